"""CodeBox: a button that copies the code which makes what is shown, and shows it."""

import anywidget
import traitlets


class CodeBox(anywidget.AnyWidget):
    """A button "Copy as code"; the code also appears below it, for browsers that give no access to the clipboard."""

    _esm = """
    export default {
      render({ model, el }) {
        const button = document.createElement("button");
        button.textContent = "Copy as code";
        button.className = "jupyter-widgets jupyter-button";
        button.style.width = "auto";
        button.title = "Copy the lines of Python that make this view";
        button.setAttribute("aria-expanded", "false");
        const told = document.createElement("span");
        told.setAttribute("role", "status");
        told.style.marginLeft = "8px";
        const code = document.createElement("pre");
        code.style.cssText = "margin:4px 2px;white-space:pre-wrap;user-select:all";
        code.hidden = true;
        const show = () => { code.textContent = model.get("code"); };
        button.onclick = async () => {
          code.hidden = !code.hidden;
          button.setAttribute("aria-expanded", String(!code.hidden));
          told.textContent = "";
          if (code.hidden) return;
          try {
            await navigator.clipboard.writeText(model.get("code"));
            told.textContent = "copied";
          } catch {
            told.textContent = "select and copy:";
          }
        };
        model.on("change:code", show);
        show();
        el.append(button, told, code);
      },
    };
    """
    code = traitlets.Unicode().tag(sync=True)
