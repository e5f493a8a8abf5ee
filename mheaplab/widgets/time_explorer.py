"""time_explorer: a slider and a play button through the moments of a run, over its heap map and its heap over time.

All moments are taken before (``mheaplab/moments.py``), so a step only draws: the picture of the map goes to the browser
as one small image, and below it only the line that marks the moment moves.  While the slider moves or plays, the brush
paints both into the plots; when it rests, plotly draws, and hover texts are those of the moment.
"""

from pathlib import Path

import ipywidgets as ipw

from ..figures import map_frame
from ..figures.agreement import heap_over_time_picture, with_mark
from ..figures.heapmap import heap_map_picture
from ..figures.theme import theme_of
from ..figures.units import bytes_text, count_text
from ..moments import moments_of
from .brush import Brush
from .case_explorer import COLORINGS, PLAY_MS
from .code_box import CodeBox
from .explorer import Explorer
from .live import LiveFigure
from .map_figure import MapFigure
from .save_row import SaveRow
from .settle import Settle

AGES = {"age of the middle object": "age", "age of the oldest object": "oldest"}
TYPES = {"type of most objects": "type"}
NUMBERS = ("HeapInuse", "HeapAlloc", "HeapIdle", "HeapReleased", "StackInuse")


def colorings(snapshot):
    """Return what colour can stand for in the map of ``snapshot``, as {words: name}."""
    lives = snapshot.residents
    return COLORINGS | (AGES if lives is not None else {}) | (TYPES if lives is not None and lives.types else {})


class TimeExplorer(Explorer):
    """The heap of a run at any of its moments; made by :func:`time_explorer`.

    Attributes
    ----------
    moment, color, play : ipywidgets.Widget
        The controls; ``moment`` counts moments from 1.
    code_box : CodeBox
    live : dict of str to LiveFigure
        "heap-map" and "over-time".
    moments : Moments
        The pictures.
    snapshot : Snapshot
        What is shown.
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, moments, start, color, look):
        self.moments, self.theme, self.folder = moments, theme_of(look[0]), look[1]
        shots = moments.snapshots
        self.frame = map_frame(shots[-1])
        self.snapshot = shots[start]
        self.brush, self.settle = Brush(), Settle(self._settled)
        more = {"theme": self.theme, "name": moments.name}
        self._over_time = heap_over_time_picture(shots, at=self.snapshot.event, **more)
        self._make_controls(start + 1, color)
        self.live = {
            "heap-map": MapFigure(self._map(), f"{moments.name}-heap-map", self.snapshot, self.frame),
            "over-time": LiveFigure(self._curve(), f"{moments.name}-over-time"),
        }
        self.code_box = CodeBox()
        self.save_row = SaveRow(self)
        top = [
            ipw.HBox([self.play, self.moment], layout=ipw.Layout(width="100%")),
            ipw.HBox([self.color, self.code_box, self.brush], layout=ipw.Layout(flex_flow="row wrap")),
        ]
        controls = {"moment": self.moment, "color": self.color}
        super().__init__(controls, self._show, [*self.live.values(), self.save_row], top)
        self._say()
        self.code_box.code = self.code()

    def _make_controls(self, start, color):
        last = len(self.moments.snapshots)
        self.moment = ipw.IntSlider(
            start, 1, last, description="moment", readout=False,
            layout=ipw.Layout(width="auto", flex="1 1 auto", min_width="240px"),
            tooltip=f"which of {last} moments of the run is shown: arrow keys move by one",
        )  # fmt: skip
        self.play = ipw.Play(
            value=start, min=1, max=last, interval=PLAY_MS, layout=ipw.Layout(width="auto"),
            tooltip="go through the moments",
        )  # fmt: skip
        ipw.jslink((self.play, "value"), (self.moment, "value"))
        self.color = ipw.Dropdown(
            options=list(colorings(self.snapshot).items()), value=color, description="colour",
            layout=ipw.Layout(width="290px"), tooltip="what colour stands for in the heap map",
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ what is shown

    def _map(self, hover=True):
        more = {"theme": self.theme, "name": self.moments.name, "hover": hover}
        return heap_map_picture(self.snapshot, self.color.value, frame=self.frame, **more)

    def _curve(self):
        return with_mark(self._over_time, self.snapshot.event)

    def _show(self, moment, color):
        """Draw a moment; what the brush has painted becomes part of the figure when the slider rests."""
        self.settle.cancel()
        self.snapshot = self.moments.snapshots[moment - 1]
        self.live["heap-map"].draft(self._map(hover=False), self.snapshot, self.brush)
        self.live["over-time"].sketch(self._curve(), self.brush)
        self._say()
        self.settle.ask()

    def _settled(self):
        self.save_row.rename()
        self.live["heap-map"].show(self._map(), self.snapshot)
        self.live["over-time"].redraw(self._curve())
        self.code_box.code = self.code()

    def _say(self):
        """Fill the line of numbers."""
        shot, lives = self.snapshot, self.snapshot.residents
        parts = [f"after {count_text(shot.event)} of {count_text(self.moments.events)} events"]
        parts += [f"<b>{name}</b>&nbsp;{bytes_text(shot.memstats[name])}" for name in NUMBERS if name in shot.memstats]
        parts.append(f"<b>spans</b>&nbsp;{count_text(len(shot.spans))}")
        if lives is not None:
            parts.append(f"<b>objects&nbsp;alive</b>&nbsp;{count_text(int(lives.spans['objects'].sum()))}")
            parts.append(f"<b>allocated</b>&nbsp;{bytes_text(lives.clock)}")
        self.status.value = f"<span style='font-variant-numeric:tabular-nums'>{' &ensp; '.join(parts)}</span>"

    # ------------------------------------------------------------------------------------------ export

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        yield "heap-map", self.live["heap-map"], self._map().figure()
        yield "over-time", self.live["over-time"], self._curve().figure()

    def stem(self):
        """Return the name of what is shown, for files."""
        words = f"{self.moments.name}-event-{self.snapshot.event}-{self.color.value}"
        return "".join(c if c.isalnum() or c in "-." else "-" for c in words)

    @property
    def about(self):
        """Where what is shown comes from, for the stamp."""
        return self.moments.about

    def code(self):
        """Return the lines of Python that make what is shown."""
        taken = self.moments.code.replace("{event}", str(self.snapshot.event))
        more = f"theme={self.theme!r}, name={self.moments.name!r}"
        return f"import mheaplab as mh\n\n{taken}\nmh.figures.heap_map(snapshot, {self.color.value!r}, {more})"


def time_explorer(
    source, params=None, *, moments=100, event=None, color="state", theme=None, folder="exports", name=""
):
    """Return a widget that goes through a run in time: its heap map at each moment, and the heap over time.

    A slider and a play button choose the moment, a list what colour stands for.

    Parameters
    ----------
    source : Case, Trace or sequence of Snapshot
        A case is replayed, a trace simulated; snapshots, such as those of ``mheaplab.go_snapshots``, are shown as they
        are.
    params : HeapParams, optional
        For a trace: the parameters of the simulation.
    moments : int
        How many pictures to take, 1 to 1,000; fewer if they would take more than 512 MiB together.
    event : int, optional
        Where to begin: at the moment nearest to it.  Default: at the end.
    color : {"state", "class", "occupancy", "age", "oldest", "type"}
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.
    name : str
        What the heap is called.  Default: the name of the case or the trace.

    Returns
    -------
    TimeExplorer
        An ipywidgets box.

    Raises
    ------
    ValueError
        If ``moments`` is illegal, or colour cannot stand for ``color`` in this heap.
    """
    found = moments_of(source, params, moments=moments, name=name)
    known = colorings(found.snapshots[0]).values()
    if color not in known:
        raise ValueError(f"color = {color!r} is outside its legal range: one of {', '.join(known)}")
    start = len(found.snapshots) - 1 if event is None else found.nearest(event)
    return TimeExplorer(found, start, color, (theme, Path(folder)))
