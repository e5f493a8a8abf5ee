"""case_trace: turn a recorded case into a trace, from which a twin may run by itself.

A case says what Go's heap did, collections included; a trace says only what the program did: what it allocated, and
when each object became unreachable.  Allocations, stacks and calls of the collector by the program are taken as they
were recorded.  Deaths are not in a recording: it has, for each collection, who was found dead.  They are drawn from the
interval that this leaves (``case_lives``), by survival curves that the same recording gives (``lifetimes``), and with a
seed.  Objects of one size have a curve of their own if there are enough of them, others one for their range of sizes,
with and without pointers apart.  What was never found dead dies after the last look at it, if its curve ends it before
the recording ends.

What stands at one recorded event keeps this order: deaths, then a call of the collector, then the event.

Simplified, and counted in ``counts``:

* all objects of a tiny block die when the block does;
* objects with finalizers die when they are freed; the trace has no finalizers;
* manual spans of the runtime's own (bitmaps, work buffers) and profile records are left out;
* stack spans of cases without stack events stand as stacks of their size;
* objects that die together, as a structure, die one by one, each by its own draw: bytes agree, but holes are spread
  more evenly than real ones.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .case import EVENTS_SUFFIX, TRUTH_SUFFIX, load_case
from .case_lives import NOSCAN, Lives
from .lifetime_groups import survival_by_group
from .lifetimes import Looks
from .replay import memstats_point
from .runtime.structs import (
    NO_P,
    PAGE_SHIFT,
    SPAN_ALLOC,
    SPAN_ALLOC_PTR_SCALAR_BITS,
    SPAN_ALLOC_STACK,
    SPAN_ALLOC_WORK_BUF,
    SPAN_FREE,
)
from .runtime.structs import STACK_ALLOC as TAKES_STACK
from .runtime.structs import STACK_FREE as RETURNS_STACK
from .runtime.trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE
from .traces import Trace, register_reader

ROW = np.dtype([("at", "i8"), ("kind", "u1"), ("p", "u1"), ("size", "u8"), ("noscan", "?"), ("id", "u8")])
"""A row of the trace with the recorded event it stands at."""
COLLECTIONS = np.dtype(
    [
        ("begin_row", "i8"),  # rows of the trace before marking began
        ("end_row", "i8"),  # and before it ended
        ("begin_event", "i8"),  # the recorded events of both
        ("end_event", "i8"),
        ("allocated", "i8"),  # bytes requested until marking began
        ("forced", "?"),  # the program called runtime.GC or debug.FreeOSMemory
    ]
)


@dataclass(frozen=True)
class CaseTrace:
    """A recorded case as a trace.

    Attributes
    ----------
    columns : dict of str to numpy.ndarray
        ``kind``, ``p``, ``size``, ``noscan``, ``id``, as in ``runtime/trace_events.py``.  Objects and stacks are
        numbered by birth; no number is used twice.
    counts : dict of str to int
        What became of the recording: ``objects``, ``slots``, ``found_dead`` (slots), ``die_later`` (slots that no
        collection found dead, but that die by their curve), ``kept_by_finalizer``, ``forced``, ``free_os_memory``,
        ``bitmap_spans`` and ``work_buffers`` (left out).
    collections : numpy.ndarray, structured
        Where Go collected: one row per recorded collection, columns ``COLLECTIONS``.
    row : numpy.ndarray of int64
        Rows of the trace before each recorded event, and all of them.
    memstats_row : int
        Rows of the trace before the program read its MemStats.
    death : numpy.ndarray of int64
        Per recorded event, for a MALLOC: the recorded event before which the object dies, -1 for never.
    survival : dict of str to Survival
        The curves by which deaths were drawn, by group of objects.
    """

    columns: dict = field(repr=False)
    counts: dict
    collections: np.ndarray = field(repr=False)
    row: np.ndarray = field(repr=False)
    memstats_row: int
    death: np.ndarray = field(repr=False)
    survival: dict = field(repr=False)


def _survival(lives):
    """Return the group of each slot, and by name the survival curve of each group."""
    e, clock = lives.case.events, lives.clock
    size, noscan = e.size[lives.born].astype(np.int64), (e.flags[lives.born] & NOSCAN).astype(np.int64)
    looks = Looks(clock[lives.begin], clock[lives.born + 1], lives.seen, lives.gone)
    return survival_by_group(size, noscan, looks)


def draw_deaths(lives, seed):
    """Draw when each slot of a recording dies.

    Parameters
    ----------
    lives : Lives
    seed : int

    Returns
    -------
    at : numpy.ndarray of int64
        For each slot the event before which it dies, -1 for never.
    survival : dict of str to Survival
        The curves they were drawn by, by group of objects.
    """
    clock = lives.clock
    birth = clock[lives.born + 1]
    group, survival = _survival(lives)
    found = lives.gone < len(lives.end)
    first, last = clock[lives.low] - birth, clock[lives.high] - birth
    uniform = np.random.default_rng(seed).random(len(birth))
    age = np.zeros(len(birth), np.int64)
    for g, shape in enumerate(survival.values()):
        dies, may_die = (group == g) & found, (group == g) & ~found
        age[dies] = shape.draw(first[dies], last[dies], uniform[dies])
        age[may_die] = shape.draw_after(first[may_die], uniform[may_die])
    at = np.clip(np.searchsorted(clock, birth + age), lives.low, lives.high)
    return np.where(~found & (birth + age > clock[-1]), -1, at), survival


def _stacks(e):
    """Return the events that take and that return stacks, their bytes, and for each return what it returns."""
    takes = (e.kind == TAKES_STACK) | ((e.kind == SPAN_ALLOC) & (e.flags == SPAN_ALLOC_STACK))
    frees = (e.kind == RETURNS_STACK) | (e.kind == SPAN_FREE)
    frees[frees] = takes[e.ref[frees]]
    takes, frees = np.flatnonzero(takes), np.flatnonzero(frees)
    nbytes = np.where(e.kind == SPAN_ALLOC, e.size << np.uint64(PAGE_SHIFT), e.size)
    return takes, nbytes[takes], frees, nbytes[e.ref[frees]]


class _Rows:
    """Collects rows of the trace with the recorded event they stand at, and puts them in order."""

    order = {DEATH: 0, FORCED_GC: 1, ALLOC: 2, STACK_ALLOC: 2, STACK_FREE: 2}
    """What comes first at one event: deaths, a call of the collector, the event itself."""

    def __init__(self):
        self.parts = []

    def add(self, kind, at, **columns):
        """Add rows of ``kind`` at events ``at``; columns that are not given are 0."""
        rows = np.zeros(len(at), ROW)
        rows["at"], rows["kind"] = at, kind
        for name, values in columns.items():
            rows[name] = values
        self.parts.append(rows)

    def sorted(self):
        """Return all rows by event; at one event by kind, and by birth."""
        rows = np.concatenate(self.parts)
        rank = np.array([self.order[k] for k in range(len(self.order))])[rows["kind"]]
        return rows[np.lexsort((rows["id"], rank, rows["at"]))]


def _rows(lives, death):
    """Return the trace's rows with the events they stand at."""
    e = lives.case.events
    malloc = np.flatnonzero(lives.opener >= 0)
    takes, stack_bytes, frees, returned_bytes = _stacks(e)
    number = np.zeros(len(e.kind), np.int64)
    born = np.sort(np.concatenate([malloc, takes]))
    number[born] = np.arange(len(born))
    asked, returned = lives.forced()
    # What ran without a P is the runtime's own doing; a program's stacks have one.
    p = np.where(e.p == NO_P, 0, e.p)
    rows = _Rows()
    rows.add(ALLOC, malloc, p=p[malloc], size=e.size[malloc], noscan=e.flags[malloc] & NOSCAN, id=number[malloc])
    rows.add(STACK_ALLOC, takes, p=p[takes], size=stack_bytes, id=number[takes])
    rows.add(STACK_FREE, frees, p=p[frees], size=returned_bytes, id=number[e.ref[frees]])
    dies = malloc[death[malloc] >= 0]
    rows.add(DEATH, death[dies], p=p[dies], id=number[dies])
    rows.add(FORCED_GC, lives.begin[asked], size=returned[asked])
    return rows.sorted()


def _counts(lives, death):
    """Return what became of a recording, in numbers."""
    e = lives.case.events
    types = e.flags[e.kind == SPAN_ALLOC]
    found = lives.gone < len(lives.end)
    asked, returned = lives.forced()
    counts = {
        "objects": (lives.opener >= 0).sum(),
        "slots": len(lives.born),
        "found_dead": found.sum(),
        "die_later": (~found & (death[lives.born] >= 0)).sum(),
        "kept_by_finalizer": lives.kept,
        "forced": asked.sum(),
        "free_os_memory": returned.sum(),
        "bitmap_spans": (types == SPAN_ALLOC_PTR_SCALAR_BITS).sum(),
        "work_buffers": (types == SPAN_ALLOC_WORK_BUF).sum(),
    }
    return {name: int(n) for name, n in counts.items()}


def case_trace(case, *, seed=0, look="begin"):
    """Turn a recorded case into a trace.

    Parameters
    ----------
    case : Case
        From :func:`load_case`.
    seed : int
        Of the draws of deaths; the same seed gives the same trace.
    look : {"begin", "end"}
        What the collector of the twin will free: what is dead when marking begins, as Go does, or when it ends.

    Returns
    -------
    CaseTrace

    Raises
    ------
    FormatError
        If an event contradicts the heap.
    ValueError
        If ``look`` is neither of the two.
    """
    return trace_of_lives(Lives(case, look), seed)


def trace_of_lives(lives, seed):
    """Return the :class:`CaseTrace` of a recording that has been read already, for several draws of it."""
    case = lives.case
    at, survival = draw_deaths(lives, seed)
    death = np.full(len(case), -1, np.int64)
    malloc = np.flatnonzero(lives.opener >= 0)
    death[malloc] = at[np.searchsorted(lives.born, lives.opener[malloc])]
    rows = _rows(lives, death)
    # A death at event e stands before it.
    before = rows["at"] - (rows["kind"] == DEATH)
    row = np.searchsorted(before, np.arange(len(case) + 1))
    collections = np.zeros(len(lives.end), COLLECTIONS)
    collections["begin_event"], collections["end_event"] = lives.begin, lives.end
    collections["begin_row"], collections["end_row"] = row[lives.begin], row[lives.end]
    collections["allocated"], collections["forced"] = lives.clock[lives.begin], lives.forced()[0]
    columns = {name: np.ascontiguousarray(rows[name]) for name in ("kind", "p", "size", "noscan", "id")}
    memstats_row = int(row[memstats_point(case.events)])
    return CaseTrace(columns, _counts(lives, death), collections, row, memstats_row, death, survival)


def trace_of_case(case, *, seed=0):
    """Return a recorded case as a :class:`Trace`.

    Parameters
    ----------
    case : Case
    seed : int
        Of the draws of deaths.

    Returns
    -------
    Trace

    Raises
    ------
    FormatError
        If an event contradicts the heap.
    """
    return named_trace(case, case_trace(case, seed=seed), f"case {case.name}")


def named_trace(case, made, origin):
    """Return what :func:`case_trace` made of ``case`` as a :class:`Trace`; ``origin`` says where it comes from."""
    deaths = "drawn between the collections of the recording, by its survival curves"
    return Trace.from_arrays(**made.columns, go=case.go, program=case.name, deaths=deaths, origin=origin)


def is_case(path, head=b""):
    """Whether ``path`` is that of a recorded case, given with or without its ending as for ``load_case``."""
    text = str(path)
    return text.endswith((EVENTS_SUFFIX, TRUTH_SUFFIX)) or Path(text + EVENTS_SUFFIX).is_file()


register_reader("a recorded case", is_case, lambda path, seed: trace_of_case(load_case(path, truth=False), seed=seed))
