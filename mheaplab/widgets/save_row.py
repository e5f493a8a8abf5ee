"""SaveRow: the row of buttons with which an explorer's figures become files."""

import html

import ipywidgets as ipw

from ..figures import export
from .case_explorer import FORMATS
from .explorer import line
from .live import ExportButtons


class SaveRow(ipw.VBox):
    """A list of formats, a button that writes to a folder beside the notebook, and buttons for the browser.

    Parameters
    ----------
    owner : Explorer
        Has ``pictures()``, which yields (kind, live figure, figure) as they are shown; ``stem()``, the name of what is
        shown; ``about``, a dict for the stamp; and ``folder``.

    Attributes
    ----------
    format, save : ipywidgets.Widget
        The controls.
    download : ExportButtons
        The browser's buttons, for the first of the figures.
    saved : ipywidgets.HTML
        What was written.
    """

    def __init__(self, owner):
        self.owner = owner
        self.format = ipw.Dropdown(
            options=list(FORMATS.items()), description="format", layout=ipw.Layout(width="210px"),
            tooltip="what to write; SVG, PNG and PDF need a Chrome on the server",
        )  # fmt: skip
        shown, self.kinds = [], []
        for kind, live, _ in owner.pictures():
            self.kinds.append(kind)
            shown.append(f"{owner.stem()}-{kind}-{id(owner)}")
            live.layout.meta = {**live.layout.meta, "export_id": shown[-1]}
        what = {1: "the figure", 2: "both figures"}.get(len(shown), "all figures")
        self.save = ipw.Button(
            description=f"Save {what}", icon="save", layout=ipw.Layout(width="auto"),
            tooltip=f"write {what} to {owner.folder}/",
        )  # fmt: skip
        self.save.on_click(self._save)
        self.saved = line()
        self.download = ExportButtons(export_id=shown[0], fitted=shown)
        self.rename()
        row = ipw.HBox([self.format, self.save, self.download], layout=ipw.Layout(flex_flow="row wrap"))
        super().__init__([row, self.saved])

    def rename(self):
        """Give a picture that the browser saves the name of what is shown; first, so that it is never an old one."""
        self.download.filename = f"{self.owner.stem()}-{self.kinds[0]}"

    def _save(self, _button):
        """Write the figures, as they are shown."""
        self.saved.value = "writing ..."
        self.save.disabled = True
        written = []
        try:
            for kind, live, figure in self.owner.pictures():
                path = self.owner.folder / f"{self.owner.stem()}-{kind}"
                written += export(live.zoom_like(figure), path, self.format.value, about=self.owner.about)
        except Exception as err:  # no Chrome, no room, no permission: said in place
            self.owner.show_error(err)
        else:
            self.owner.clear_error()
        finally:
            self.save.disabled = False
            names = ", ".join(html.escape(p.as_posix()) for p in written)
            self.saved.value = f"wrote {names}" if names else ""
