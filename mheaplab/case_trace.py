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
from .case_lives import NOSCAN, Lives, parts_of
from .case_rows import CaseRows
from .lifetime_groups import number_kinds, survival_by_group
from .lifetimes import Indexed, Looks
from .replay import memstats_point
from .runtime.structs import SPAN_ALLOC, SPAN_ALLOC_PTR_SCALAR_BITS, SPAN_ALLOC_WORK_BUF
from .runtime.trace_events import new_trace_events
from .traces import Trace, register_reader

DEATHS = "drawn between the collections of the recording, by its survival curves"
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
    e = lives.case.events

    def kinds_of(first, stop):
        born = lives.born[first:stop]
        return 2 * e.size[born].astype(np.int64) + (e.flags[born] & NOSCAN)

    kinds, number = number_kinds(len(lives.born), kinds_of)
    births = Indexed(lives.clock[1:], lives.born)
    return survival_by_group(kinds, number, Looks(lives.clock[lives.begin], births, lives.seen, lives.gone))


def draw_deaths(lives, seed):
    """Draw when the objects of a recording die.

    Parameters
    ----------
    lives : Lives
    seed : int

    Returns
    -------
    death : numpy.ndarray of int
        For each event, if it is a MALLOC, that before which its object dies; -1 for never.
    survival : dict of str to Survival
        The curves they were drawn by, by group of objects.
    """
    group, survival = _survival(lives)
    shapes, rng = list(survival.values()), np.random.default_rng(seed)
    death = np.full(len(lives.case), -1, lives.born.dtype)
    for part in parts_of(len(lives.born)):
        death[lives.born[part]] = _draw(lives, part, group[part], shapes, rng.random(part.stop - part.start))
    for part in parts_of(len(death)):
        shares = lives.opener[part] >= 0
        death[part][shares] = death[lives.opener[part][shares]]
    return death, survival


def _draw(lives, part, group, shapes, uniform):
    """Return the events before which the slots of ``part`` die, by the curves ``shapes`` of their groups."""
    clock = lives.clock
    birth = clock[lives.born[part].astype(np.int64) + 1]
    low, high = lives.interval(part)
    found = lives.gone[part] < len(lives.end)
    first, last = clock[low] - birth, clock[high] - birth
    age = np.zeros(len(birth), np.int64)
    order = np.argsort(2 * group + found, kind="stable")
    ends = np.cumsum(np.bincount(2 * group + found))
    for g, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
        if start == end:
            continue
        of, shape = order[start:end], shapes[g // 2]
        more = shape.draw(first[of], last[of], uniform[of]) if g % 2 else shape.draw_after(first[of], uniform[of])
        age[of] = more
    at = np.clip(np.searchsorted(clock, birth + age), low, high)
    return np.where(~found & (birth + age > clock[-1]), -1, at)


def _counts(lives, death):
    """Return what became of a recording, in numbers."""
    e = lives.case.events
    types = e.flags[e.kind == SPAN_ALLOC]
    found = lives.gone < len(lives.end)
    counts = {
        "objects": (lives.opener >= 0).sum(),
        "slots": len(lives.born),
        "found_dead": found.sum(),
        "die_later": (~found & (death[lives.born] >= 0)).sum(),
        "kept_by_finalizer": lives.kept,
        "forced": lives.asked.sum(),
        "free_os_memory": lives.returned.sum(),
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
    death, survival = draw_deaths(lives, seed)
    rows = CaseRows(lives, death)
    row = rows.before()
    collections = np.zeros(len(lives.end), COLLECTIONS)
    collections["begin_event"], collections["end_event"] = lives.begin, lives.end
    collections["begin_row"], collections["end_row"] = row[lives.begin], row[lives.end]
    collections["allocated"], collections["forced"] = lives.clock[lives.begin], lives.asked
    columns = next(rows.batches(max(rows.n_events, 1)), new_trace_events(0))._asdict()
    columns = {name: columns[name] for name in ("kind", "p", "size", "noscan", "id")}
    columns["noscan"] = columns["noscan"].view(bool)
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
    return lives_trace(Lives(case, "begin"), seed, f"case {case.name}")


def lives_trace(lives, seed, origin):
    """Return what a recording says of the lives of its objects as a :class:`Trace`; ``origin``: where it comes from."""
    case = lives.case
    death, _ = draw_deaths(lives, seed)
    meta = {"go": case.go, "program": case.name, "deaths": DEATHS, "origin": origin}
    return Trace(CaseRows(lives, death, origin), meta)


def is_case(path, head=b""):
    """Whether ``path`` is that of a recorded case, given with or without its ending as for ``load_case``."""
    text = str(path)
    return text.endswith((EVENTS_SUFFIX, TRUTH_SUFFIX)) or Path(text + EVENTS_SUFFIX).is_file()


register_reader("a recorded case", is_case, lambda path, seed: trace_of_case(load_case(path, truth=False), seed=seed))
