"""span_history: Go's own heap over the course of an execution trace, to hold a simulation against.

A trace with memory events tells of every span and slot when Go took it and when it freed it.  ``span_history`` adds
these up along the trace; ``differences`` puts a run of the twin's own beside them.  Both are lined up by the bytes of
slots that were taken, which the twin counts just so (``total_alloc``), since it takes a slot of the same class for
each object.

The twin begins with an empty heap and allocates first what was there when the trace began, so these objects lie closer
together than they did in Go, and the first part of a run (``History.prologue_bytes``) is not compared.
"""

from dataclasses import dataclass, field

import numpy as np

from .runtime.structs import PAGE_SIZE
from .traces.go_heap import read_go_heap

POINT = np.dtype(
    [
        ("time_ns", "i8"),  # since the trace's first event
        ("total_alloc", "i8"),  # bytes of slots that were taken, with those that were taken at the start
        ("heap_alloc", "i8"),  # bytes of slots that are taken: live objects, and garbage that is not yet swept
        ("objects", "i8"),  # such slots
        ("heap_spans", "i8"),
        ("heap_in_use", "i8"),  # bytes of these spans
        ("manual", "i8"),  # bytes of spans of the runtime's own: stacks, work buffers
        ("collections", "i8"),  # that ended
    ]
)
COMPARED = ("heap_alloc", "heap_in_use")
"""Columns that the samples of a run have as well."""
MOST_ROWS = 1 << 16
MIN_POINTS, MAX_POINTS = 2, 1_000_000


@dataclass(frozen=True)
class History:
    """Go's heap along a trace.

    Attributes
    ----------
    name : str
        Of the trace.
    points : numpy.ndarray, structured
        Columns ``POINT``, in the order of the trace.
    prologue_bytes : int
        Bytes of slots that were taken when the trace began.
    marks : numpy.ndarray, structured
        For each collection that ended in the trace: ``begun`` and ``ended``, when it marked, ns since the trace's first
        event, ``begun`` -1 if that was before; ``clock`` and ``end_clock``, bytes of slots taken by then.
    """

    name: str
    points: np.ndarray = field(repr=False)
    prologue_bytes: int
    marks: np.ndarray = field(repr=False)

    @property
    def mark_ms(self):
        """How long each collection marked that began in the trace, ms; the clock of the program's own machine."""
        whole = self.marks[self.marks["begun"] >= 0]
        return (whole["ended"] - whole["begun"]) / 1e6


def span_history(path, points=2000):
    """Return Go's own spans and slots along an execution trace with memory events.

    Parameters
    ----------
    path : str or os.PathLike
    points : int
        About how many points to take, 2 to 1,000,000.

    Returns
    -------
    History

    Raises
    ------
    FormatError
        If the file is not what it claims to be, has no memory events, or these contradict each other.
    ValueError
        If ``points`` is illegal.
    """
    if not isinstance(points, int | np.integer) or not MIN_POINTS <= points <= MAX_POINTS:
        raise ValueError(f"points = {points!r} is outside its legal range: {MIN_POINTS} to {MAX_POINTS:,}")
    # The number of events is not known before: begin with few at a time, and more when there are too many points.
    rows, found = 16, []
    while True:
        found = _points(path, rows, 2 * points if rows < MOST_ROWS else None)
        if found is not None:
            break
        rows *= 4
    history, prologue, marks = found
    every = max(1, len(history) // points)
    keep = np.arange(len(history) - 1, -1, -every)[::-1]
    return History(str(path), history[keep], prologue, marks)


def _points(path, rows, most):
    """Return (points after every ``rows`` events, bytes at the start, marks); None if more points than ``most``."""
    found, marks, prologue = [], [], 0
    for heap, _, _, _, more in read_go_heap(path, rows):
        marks.append(more)
        s = heap.state
        prologue = int(s["prologue_clock"] or (s["clock"] if s["in_prologue"] else 0))
        found.append(
            (
                int(s["latest_time"]) - int(s["first_time"]),
                int(s["clock"]),
                int(s["slots_bytes"]),
                int(s["objects_in"]),
                int(s["heap_spans"]),
                int(s["heap_pages"]) * int(PAGE_SIZE),
                int(s["manual_pages"]) * int(PAGE_SIZE),
                int(s["collections"]),
            )
        )
        if most is not None and len(found) > most:
            return None
    return np.array(found, POINT), prologue, np.concatenate(marks)


@dataclass(frozen=True)
class Difference:
    """How far a run is from Go, in bytes of one column.

    Attributes
    ----------
    mean : float
        The mean of the run less the mean of Go, in percent of the latter, over all that was allocated in the trace.
    final : float
        The same at the end.
    spread : float
        Mean of the difference's size at each moment, in percent of Go's mean: 0 if the curves are the same.
    """

    mean: float
    final: float
    spread: float


def beside(history, result):
    """Return a trace's history and a run along the same bytes allocated.

    Returns
    -------
    total_alloc : numpy.ndarray of int64
        Bytes of slots that were taken, evenly spaced, after what was there at the start.
    go, twin : dict of str to numpy.ndarray
        The columns ``COMPARED`` at these moments, in bytes.
    """
    points, samples = history.points, result.samples
    end = min(int(points["total_alloc"][-1]), int(samples["total_alloc"][-1]))
    clock = np.linspace(min(history.prologue_bytes, end), end, 1000)
    go = {name: np.interp(clock, points["total_alloc"], points[name]) for name in COMPARED}
    twin = {name: np.interp(clock, samples["total_alloc"], samples[name]) for name in COMPARED}
    return clock.astype(np.int64), go, twin


def differences(history, result):
    """Return by column of ``COMPARED`` how far a run is from Go (:class:`Difference`).

    Parameters
    ----------
    history : History
        From :func:`span_history`.
    result : Result
        Of a simulation of the same trace.
    """
    _, go, twin = beside(history, result)
    found = {}
    for name in COMPARED:
        level = max(float(go[name].mean()), 1.0)
        gap = twin[name] - go[name]
        found[name] = Difference(
            100 * float(gap.mean()) / level,
            100 * float(gap[-1]) / max(float(go[name][-1]), 1.0),
            100 * float(np.abs(gap).mean()) / level,
        )
    return found
