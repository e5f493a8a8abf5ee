"""case_explorer: a slider through the events of a recorded case, over its heap map and its occupancy."""

import html
from pathlib import Path

import ipywidgets as ipw

from ..figures import export, heap_map, map_frame, occupancy
from ..figures.theme import theme_of
from ..figures.units import bytes_text, count_text
from ..replay import snapshots
from .explorer import Explorer, line
from .live import ExportButtons, LiveFigure
from .map_figure import MapFigure

LIVE_EVENTS = 3_000_000
"""Events up to which a replay is quick enough to follow a slider that moves."""
KEY_STEPS = 300
"""Key presses that should lead through a whole case."""
PLAY_MS = 200
COLORINGS = {"what a page is used for": "state", "span class": "class", "slots in use": "occupancy"}
FORMATS = {
    "SVG + CSV": ("svg", "csv"),
    "PNG": ("png",),
    "PDF": ("pdf",),
    "HTML": ("html",),
    "CSV": ("csv",),
    "everything": ("svg", "pdf", "png", "html", "csv"),
}
NUMBERS = ("HeapInuse", "HeapIdle", "HeapReleased", "StackInuse")


def key_step(events, start):
    """Return the events that one key press moves: the power of ten that leads through a case in some hundred.

    A slider stops at multiples of its step and at its end; so a start between them gets a smaller step.
    """
    step = 1
    while events // (10 * step) >= KEY_STEPS // 3 and (start == events or start % (10 * step) == 0):
        step *= 10
    return step


class CaseExplorer(Explorer):
    """The heap of a case at any of its events; made by :func:`case_explorer`.

    Attributes
    ----------
    event, color, step, play, format, save : ipywidgets.Widget
        The controls.
    heap, bars : LiveFigure
        Heap map and occupancy.
    snapshot : Snapshot
        What is shown.
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, case, event=None, color="state", theme=None, folder="exports"):
        self.case, self.theme, self.folder = case, theme_of(theme), Path(folder)
        n = len(case)
        start = n if event is None else event
        last, self.snapshot = snapshots(case, [n, start])
        self.frame = map_frame(last)
        self._make_controls(n, start, color)
        heap, bars = (figure for _, figure in self._figures())
        self.heap = MapFigure(heap, f"{case.name}-heap-map", self.snapshot, self.frame)
        self.bars = LiveFigure(bars, f"{case.name}-occupancy")
        for figure, kind in ((self.heap, "heap-map"), (self.bars, "occupancy")):
            figure.layout.meta = {**figure.layout.meta, "export_id": f"{case.name}-{kind}-{id(self)}"}
        top = [
            ipw.HBox([self.play, self.event], layout=ipw.Layout(width="100%")),
            ipw.HBox([self.step, self.color], layout=ipw.Layout(flex_flow="row wrap")),
        ]
        controls = {"event": self.event, "color": self.color}
        super().__init__(controls, self._show, [self.heap, self.bars, self._export_row()], top)
        self.status.value = self._numbers()

    def _make_controls(self, n, start, color):
        step = key_step(n, start)
        wide = ipw.Layout(width="auto", flex="1 1 auto", min_width="240px")
        self.event = ipw.IntSlider(
            start, 0, n, step, description="events", layout=wide, continuous_update=n <= LIVE_EVENTS,
            tooltip="events replayed so far: arrow keys move by one step, the number can be typed",
        )
        steps = [(f"{count_text(10**k)} a key", 10**k) for k in range(7) if 10**k <= max(n, 1)]
        self.step = ipw.Dropdown(
            options=steps, value=step, description="step", layout=ipw.Layout(width="190px"),
            tooltip="how many events an arrow key moves the slider",
        )
        self.step.observe(self._set_step, "value")
        self.color = ipw.Dropdown(
            options=list(COLORINGS.items()), value=color, description="colour", layout=ipw.Layout(width="280px"),
            tooltip="what colour stands for in the heap map",
        )
        self.play = ipw.Play(
            value=start, min=0, max=n, step=step, interval=PLAY_MS, layout=ipw.Layout(width="auto"),
            tooltip="go through the events",
        )
        ipw.jslink((self.play, "value"), (self.event, "value"))

    def _set_step(self, change):
        self.event.step = self.play.step = change["new"]

    def _figures(self):
        """Yield the two figures of the present snapshot with their names, one after the other."""
        more = {"theme": self.theme, "name": self.case.name}
        yield "heap-map", heap_map(self.snapshot, self.color.value, frame=self.frame, **more)
        yield "occupancy", occupancy(self.snapshot, **more)

    def _show(self, event, color):
        """Draw the heap after ``event`` events; the browser draws the first figure while we make the second."""
        if event != self.snapshot.event:
            (self.snapshot,) = snapshots(self.case, [event])
        self.status.value = self._numbers()
        figures = self._figures()
        self.heap.show(next(figures)[1], self.snapshot)
        self.bars.redraw(next(figures)[1])

    def _numbers(self):
        """Return the line of numbers."""
        stats = self.snapshot.memstats
        parts = [f"<b>{name}</b>&nbsp;{bytes_text(stats[name])}" for name in NUMBERS]
        parts.append(f"<b>spans</b>&nbsp;{count_text(len(self.snapshot.spans))}")
        done = self.snapshot.event
        words = f"last {self.case.describe(done - 1)}" if done else "nothing has happened yet"
        parts.append(html.escape(words))
        return "<span style='font-variant-numeric:tabular-nums'>" + " &ensp; ".join(parts) + "</span>"

    # ------------------------------------------------------------------------------------------ export

    def _export_row(self):
        self.format = ipw.Dropdown(
            options=list(FORMATS.items()), description="format", layout=ipw.Layout(width="210px"),
            tooltip="what to write; SVG, PNG and PDF need a Chrome on the server",
        )
        self.save = ipw.Button(
            description="Save both figures", icon="save", layout=ipw.Layout(width="auto"),
            tooltip=f"write heap map and occupancy to {self.folder}/",
        )
        self.save.on_click(self._save)
        self.saved = line()
        shown = [figure.layout.meta["export_id"] for figure in (self.heap, self.bars)]
        download = ExportButtons(export_id=shown[0], fitted=shown, filename=f"{self.case.name}-heap-map")
        row = ipw.HBox([self.format, self.save, download], layout=ipw.Layout(flex_flow="row wrap"))
        return ipw.VBox([row, self.saved])

    def _save(self, _button):
        """Write both figures, as they are shown, to the folder of exports."""
        self.saved.value = "writing ..."
        self.save.disabled = True
        written = []
        try:
            for live, (kind, figure) in zip((self.heap, self.bars), self._figures(), strict=True):
                live.zoom_like(figure)
                path = self.folder / f"{self.case.name}-event-{self.snapshot.event}-{kind}"
                written += export(figure, path, self.format.value, about=self.case)
        except Exception as err:  # no Chrome, no room, no permission: said in place
            self.show_error(err)
        else:
            self.clear_error()
        finally:
            self.save.disabled = False
            names = ", ".join(html.escape(p.as_posix()) for p in written)
            self.saved.value = f"wrote {names}" if names else ""


def case_explorer(case, *, event=None, color="state", theme=None, folder="exports"):
    """Return a widget that goes through the events of a case.

    A slider chooses the event, a list what colour stands for; heap map, occupancy and a line of numbers follow, zoom
    is kept.  Buttons write both figures to a folder beside the notebook, or let the browser save the picture.

    Parameters
    ----------
    case : Case
        From ``mheaplab.load_case``.
    event : int, optional
        Where to begin.  Default: at the end.
    color : {"state", "class", "occupancy"}
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    CaseExplorer
        An ipywidgets box.
    """
    return CaseExplorer(case, event, color, theme, folder)
