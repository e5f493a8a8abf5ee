"""TextDownload: a button with which the browser saves a text as a file; nothing is written on the server."""

import anywidget
import traitlets


class TextDownload(anywidget.AnyWidget):
    """A button; without a text it is out of use, and its tooltip says why."""

    _esm = """
    export default {
      render({ model, el }) {
        const button = document.createElement("button");
        button.className = "jupyter-widgets jupyter-button";
        button.style.width = "auto";
        const show = () => {
          button.textContent = model.get("label");
          button.disabled = !model.get("text");
          button.title = button.disabled ? model.get("reason") : model.get("hint");
        };
        button.onclick = () => {
          const link = document.createElement("a");
          link.href = URL.createObjectURL(new Blob([model.get("text")], { type: "text/plain" }));
          link.download = model.get("filename");
          link.click();
          setTimeout(() => URL.revokeObjectURL(link.href), 1000);
        };
        model.on("change:text change:label change:reason", show);
        show();
        el.appendChild(button);
        return () => model.off("change:text change:label change:reason", show);
      },
    };
    """
    label = traitlets.Unicode("Download").tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)
    filename = traitlets.Unicode("file.txt").tag(sync=True)
    text = traitlets.Unicode().tag(sync=True)
    reason = traitlets.Unicode().tag(sync=True)
