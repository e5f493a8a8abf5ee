"""program_explorer: a file of one's own program, chosen or sent by the browser, and the first three figures of it.

Memory over time, the spans of each size class, and the heap map: the twin runs on what the file says, with pictures of
the heap at some twenty moments, between which a slider goes.  Another GOGC is another run; runs are kept as long as the
file is shown.
"""

import html
import tempfile
from pathlib import Path, PurePath

import ipywidgets as ipw

from ..figures import heap_map, map_frame, memory_over_time, occupancy
from ..figures.theme import theme_of
from ..figures.units import bytes_text, count_text
from ..params import HeapParams
from ..previews import HELD
from ..programs import read_program
from ..simulate import simulate
from .explorer import Explorer
from .live import LiveFigure
from .param_controls import ParamRow
from .save_row import SaveRow

MOMENTS = 20
SAMPLES = 1500
KEPT = 8
"""Runs that are kept."""
NUMBERS = ("HeapAlloc", "HeapInuse", "HeapIdle", "HeapReleased", "StackInuse")


class ProgramExplorer(Explorer):
    """What a file says of a program; made by :func:`program_explorer`.

    Attributes
    ----------
    path, upload, moment : ipywidgets.Widget
        The controls: the file, another file from the browser's machine, and which of the moments is drawn.
    gogc : ParamRow
    live : dict of str to LiveFigure
        "memory", "occupancy", "heap-map".
    trace : Trace
    result : Result
        The run that is shown.
    snapshot : Snapshot
        The heap at the moment that is shown.
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, path, params, look):
        self.given, self.theme, self.folder = params, theme_of(look[0]), look[1]
        self._sent = tempfile.TemporaryDirectory(prefix="mheaplab-")
        self._opened, self._runs = None, {}
        self._make_controls(str(path))
        self._take(str(path), self.gogc.control.value, MOMENTS)
        self.live = {kind: LiveFigure(figure, f"program-{kind}") for kind, figure in self._figures()}
        self.save_row = SaveRow(self)
        rows = [*self.live.values(), self.save_row]
        top = [
            ipw.HBox([self.path, self.upload], layout=ipw.Layout(width="100%")),
            ipw.HBox([self.gogc, self.moment], layout=ipw.Layout(flex_flow="row wrap", width="100%")),
        ]
        controls = {"path": self.path, "gogc": self.gogc.control, "moment": self.moment}
        super().__init__(controls, self._show, rows, top)
        self._say()

    def _make_controls(self, path):
        self.path = ipw.Text(
            path, description="file", continuous_update=False, layout=ipw.Layout(flex="1 1 auto", width="auto"),
            tooltip="path of a trace, profile, metrics file or recording on the machine where the notebook runs",
        )
        self.upload = ipw.FileUpload(
            description="Choose a file", multiple=False, layout=ipw.Layout(width="auto"),
            tooltip="send a file from your browser's machine (10 MiB at most; else give its path)",
        )
        self.upload.observe(self._receive, "value")
        self.gogc = ParamRow("gogc", self.given or HeapParams())
        self.moment = ipw.IntSlider(
            MOMENTS, 1, MOMENTS, 1, description="moment", readout=False,
            layout=ipw.Layout(flex="1 1 380px", min_width="330px", max_width="760px"),
            tooltip=f"which of {MOMENTS} moments of the run the two lower figures show",
        )

    def _receive(self, change):
        """Keep a file that the browser has sent, under its own name, and open it."""
        if not change["new"]:
            return
        (sent,) = change["new"]
        place = Path(self._sent.name) / PurePath(sent["name"].replace("\\", "/")).name
        place.write_bytes(sent["content"])
        self.path.value = str(place)

    # ------------------------------------------------------------------------------------------ following

    def _take(self, path, gogc, moment):
        """Open the file and run it, as far as that is not done, and take the moment's snapshot."""
        if path != self._opened:
            self.trace, self._runs = read_program(path).loaded(HELD), {}
            self.events = int(self.trace.count().sum()) if self.trace.n_events is None else self.trace.n_events
            self._opened = path
        if gogc not in self._runs:
            while len(self._runs) >= KEPT:
                self._runs.pop(next(iter(self._runs)))
            self._runs[gogc] = self._run(gogc)
        self.result = self._runs[gogc]
        self.snapshot = self.result.snapshot(self._event(moment))

    def _event(self, moment):
        return self.events * moment // MOMENTS

    def _run(self, gogc):
        params = (self.given or HeapParams.of_program(self.trace.meta["go"] or "go1.19")).replace(gogc=gogc)
        marks = [self._event(moment) for moment in range(1, MOMENTS + 1)]
        return simulate(self.trace, params, samples=SAMPLES, snapshots=marks)

    def _figures(self):
        """Yield (kind, figure) of what is shown."""
        more = {"theme": self.theme, "name": self.result.name}
        yield "memory", memory_over_time(self.result, theme=self.theme)
        yield "occupancy", occupancy(self.snapshot, **more)
        yield "heap-map", heap_map(self.snapshot, frame=map_frame(self.result.snapshot(self.events)), **more)

    def _show(self, path, gogc, moment):
        """Draw the file's program at a GOGC, and its heap at a moment."""
        self._take(path, gogc, moment)
        self._say()
        self.save_row.rename()
        for kind, figure in self._figures():
            self.live[kind].redraw(figure)

    def _will_be_slow(self):
        values = self.values
        return values["path"] != self._opened or values["gogc"] not in self._runs

    def _say(self):
        """Fill the line of numbers."""
        stats = self.snapshot.memstats
        parts = [f"after {count_text(self.snapshot.event)} of {count_text(self.events)} events"]
        parts += [f"<b>{name}</b>&nbsp;{bytes_text(stats[name])}" for name in NUMBERS]
        parts.append(f"<b>collections</b>&nbsp;{count_text(len(self.result.cycles))}")
        words = html.escape(f"sizes {self.trace.meta['sizes']}; deaths {self.trace.meta['deaths']}")
        line = " &ensp; ".join(parts)
        self.status.value = f"<span style='font-variant-numeric:tabular-nums'>{line}</span><br>{words}"

    # ------------------------------------------------------------------------------------------ export

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        for kind, figure in self._figures():
            yield kind, self.live[kind], figure

    def stem(self):
        """Return the name of what is shown, for files."""
        words = f"{self.result.name}-gogc-{self.result.params.gogc}-event-{self.snapshot.event}"
        return "".join(c if c.isalnum() or c in "-." else "-" for c in words)

    @property
    def about(self):
        """Where what is shown comes from, for the stamp."""
        return self.result.provenance


def program_explorer(path, params=None, *, theme=None, folder="exports"):
    """Return a widget that opens a file of a program and shows memory over time, size classes, and the heap map.

    Parameters
    ----------
    path : str or os.PathLike
        What to begin with: anything that ``mheaplab.read_program`` opens.
    params : HeapParams, optional
        Default: the profile of the Go version that the file names, or of Go 1.19.
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    ProgramExplorer
        An ipywidgets box.

    Raises
    ------
    FormatError
        If the file cannot be opened; later files that cannot are an error in the box.
    """
    return ProgramExplorer(path, params, (theme, Path(folder)))
