"""What figures of a run share: the axis along the run, its samples thinned for drawing, and the caption.

Thinning keeps, for every line of a figure, the least and the greatest value of every stretch, so a peak of one sample
stays; and all lines keep the same samples, so that areas can be stacked and hovered together.

Numbers that a live figure sends are ``int32`` or ``float32``: those travel as they are in memory, wider ones as text.

A figure is first a ``Picture``: traces and layout as plain dicts.  Plotly's own objects cost some twenty milliseconds
to make, which a live figure that follows a slider does not have and does not need.
"""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ..pacer_params import NO_LIMIT
from .export import attach, digest
from .units import bytes_axis, bytes_text, count_text, plural, time_axis

POINTS = 3000
"""Points of one line that are drawn at most."""
ALONG = ("events", "allocated", "time")
CAPTION_LETTERS = 96
"""Letters that a line of a caption may have: more do not fit a text column (``theme.NARROW``)."""
ALWAYS_NAMED = ("go", "gogc", "memory_limit", "procs")
INT_MAX = (1 << 31) - 1


@dataclass(frozen=True)
class Picture:
    """A figure that is not yet one of plotly's.

    Attributes
    ----------
    traces : list of dict
    layout : dict
    table : callable
        Returns the numbers behind it as a dict of columns.
    facts : callable
        Returns what it shows as a dict, for the stamp.
    """

    traces: list
    layout: dict
    table: object
    facts: object

    def figure(self):
        """Return the plotly figure."""
        return attach(go.Figure(self.traces, self.layout), self.table, self.facts())


@dataclass(frozen=True)
class Along:
    """The axis along a run.

    Attributes
    ----------
    values : numpy.ndarray
        One per sample.
    title : str
        With the unit.
    hover : str
        A d3 format for one value.
    last : float
        Where the run ends.
    """

    values: np.ndarray
    title: str
    hover: str
    last: float

    def axis(self):
        """Return the layout of the axis."""
        return {
            "range": [0, self.last or 1],
            "title": {"text": self.title},
            "tickformat": self.hover,
            "hoverformat": self.hover,
            "nticks": 8,
        }


def along(result, by="events", rows=None):
    """Return the axis along a run: by events, bytes allocated, or simulated time.

    Parameters
    ----------
    result : Result
    by : {"events", "allocated", "time"}
    rows : numpy.ndarray, structured
        Where to take the values from instead of all samples: samples.

    Raises
    ------
    ValueError
        If ``by`` is none of these.
    """
    if by not in ALONG:
        raise ValueError(f"x = {by!r} is outside its legal range: one of {', '.join(ALONG)}")
    samples = result.samples
    rows = samples if rows is None else rows
    if by == "events":
        last = int(samples["event"][-1]) if len(samples) else 0
        return Along(small(rows["event"], last), "events", ",d", last)
    if by == "allocated":
        divisor, unit = bytes_axis(int(samples["total_alloc"].max(initial=0)))
        values, title = samples["total_alloc"] / divisor, f"allocated since the start, {unit}"
        shown = rows["total_alloc"] / divisor
    else:
        divisor, unit = time_axis(float(samples["time_ns"].max(initial=0)))
        values, title = samples["time_ns"] / divisor, f"simulated time, {unit}"
        shown = rows["time_ns"] / divisor
    return Along(shown.astype("f4"), title, ",.4~g", float(values[-1]) if len(values) else 0.0)


def small(values, largest):
    """Return whole numbers as int32 where they fit, else as float32."""
    return values.astype("i4" if largest <= INT_MAX else "f4")


def thin(*lines, limit=POINTS):
    """Return the indices of the samples to draw: the extremes of every line in every stretch, the first, the last.

    Parameters
    ----------
    *lines : numpy.ndarray
        Of equal length; NaN counts as nothing.
    limit : int
        Indices to return at most.
    """
    n = len(lines[0])
    if n <= limit:
        return np.arange(n)
    stretches = max((limit - 2) // (2 * len(lines)), 1)
    edges = np.linspace(0, n, stretches + 1).astype(np.int64)
    starts, length = edges[:-1], int(np.diff(edges).max())
    kept = [np.array([0, n - 1])]
    # One row per stretch; what a shorter one lacks is its last sample once more.
    at = np.minimum(starts[:, None] + np.arange(length), edges[1:, None] - 1)
    for line in lines:
        rows = np.asarray(line, np.float64)[at]
        lowest = np.where(np.isnan(rows), np.inf, rows).argmin(1)
        highest = np.where(np.isnan(rows), -np.inf, rows).argmax(1)
        every = np.arange(stretches)
        kept += [at[every, lowest], at[every, highest]]
    return np.unique(np.concatenate(kept))


def gogc_text(gogc):
    """Return a percentage of GOGC as one would set it."""
    return "off" if gogc < 0 else count_text(gogc)


def value_text(name, value):
    """Return the value of a parameter in words."""
    if name.endswith("_bytes") or name == "memory_limit":
        return bytes_text(value)
    if name == "size_classes" and isinstance(value, tuple):
        return plural(len(value), "class").replace("classs", "classes")
    return f"{value:g}" if isinstance(value, float) else str(value)


def parameter_words(params):
    """Return version, GOGC, limit and Ps, and what else differs from Go's own parameters."""
    words = [params.go.replace("go", "Go "), f"GOGC={gogc_text(params.gogc)}"]
    if params.memory_limit < NO_LIMIT:
        words.append(f"limit {bytes_text(params.memory_limit)}")
    if params.procs > 1:
        words.append(f"{params.procs} Ps")
    others = [(k, v) for k, v in params.changes().items() if k not in ALWAYS_NAMED]
    for k, (name, value) in enumerate(others):
        word = f"{name}={value_text(name, value)}"
        if len(", ".join([*words, word])) > CAPTION_LETTERS:
            return ", ".join([*words, plural(len(others) - k, "more change" if k else "change")])
        words.append(word)
    return ", ".join(words)


def extent_words(result):
    """Return how much of the trace a result covers."""
    done, total = result.provenance["events_done"], result.provenance["events_total"]
    if done < total:
        return f"prefix: first {count_text(done)} of {count_text(total)} events"
    return f"exact: all {plural(total, 'event')}"


def caption(result, *more):
    """Return the two lines under a title: the parameters; how much of the trace, and what else there is to say."""
    return f"{parameter_words(result.params)}<br>{' · '.join([extent_words(result), *more])}"


def shown_points(*columns):
    """Return the columns of a trace, or of one point that is nowhere: without any, plotly drops the legend's entry."""
    return columns if len(columns[0]) else tuple(np.full(1, np.nan, np.float32) for _ in columns)


def titled(words, result):
    """Return a title with the name of the trace."""
    return f"{words}: {result.name}" if result.name else words


def run_facts(figure, result, **more):
    """Return what a figure of a run is stamped with."""
    kept = {name: result.provenance[name] for name in ("go", "seed", "trace", "params") if name in result.provenance}
    extent = {name: result.provenance[name] for name in ("events_done", "events_total")}
    return {"figure": figure, **more, **kept, **extent, "sha256": digest(result.samples, result.cycles)}


def drawn(values):
    """Return values of a line, as a live figure sends them."""
    return np.asarray(values, np.float32)


def line(x, y, name, unit, **style):
    """Return the trace of a line whose hover says the unit.

    Parameters
    ----------
    x, y : numpy.ndarray
    name, unit : str
    **style
        ``color``, ``width``, ``dash`` of the line; ``xaxis``, ``yaxis`` and other properties of the trace.
    """
    look_of = {key: style.pop(key) for key in ("color", "width", "dash", "shape") if key in style}
    trace = {"type": "scatter", "x": x, "y": drawn(y), "name": name, "mode": "lines", "line": look_of}
    return trace | {"hovertemplate": f"%{{y:.4~g}} {unit}"} | style


def frame(layout, more):
    """Return the layout of a figure of a run: the frame of all figures and ``more``; one hover box for all lines."""
    layout = layout | {"hovermode": "x unified"} | more
    layout["legend"] = layout["legend"] | {"traceorder": "normal"}
    return layout


def shared_axes(axis):
    """Return the layout of the x axes of two panels along a run, of which the lower one has the words."""
    upper = {"anchor": "y", "matches": "x2", "showticklabels": False, "ticks": "", "title": None}
    return {"xaxis": axis.axis() | upper, "xaxis2": axis.axis() | {"anchor": "y2"}}


def panel(bottom, top, **more):
    """Return the layout of a y axis that takes a part of the height, from 0 (bottom) to 1."""
    return {"domain": [bottom, top], "nticks": 5} | more
