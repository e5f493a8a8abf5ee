"""residents: who lives in each span at a moment: how many objects, born when, and of which type most of them are.

A span is free only when its last object is dead, so what matters of a span's age is twofold: the object in the middle
says whether the span is of today or of yesterday, the oldest one what keeps it from being freed.

Age is counted in bytes that the program has allocated since, as Go's collector counts time: a collection comes when so
many bytes have been allocated, not after so many seconds.  The *clock* is the number of bytes allocated so far.

Nothing here asks the kernel for more than it says anyway.  A case has the event in which each object was born and the
collection that found it dead, and the replay adds the addresses.  A run of the twin's own holds for each object that
the program can reach its address; when it was born is remembered here, by the trace's dense ids.

An object lives here until it is known to be dead: in a case until a collection has found it so (one that its finalizer
keeps: until the last that did), in a run of the twin's own until the program cannot reach it, in an execution trace
until the sweeper has freed it.
"""

from dataclasses import dataclass

import numpy as np

from .runtime.sim_objects import ADDR_MASK, IS_STACK, IS_TINY
from .runtime.structs import MALLOC, MAX_TINY_SIZE, PAGE_SIZE, SWEEP_START
from .runtime.trace_events import ALLOC

UNKNOWN = -1
"""In place of the clock at birth: born before anybody looked; in place of a type: none is known."""
RESIDENTS = np.dtype(
    [
        ("objects", "i4"),
        ("oldest", "i8"),  # clock when the oldest was born, or UNKNOWN
        ("middle", "i8"),  # clock when the one in the middle was born (of two: the older), or UNKNOWN
        ("kind", "i4"),  # the type of most objects (of equally many: the first in ``types``), or UNKNOWN
        ("of_kind", "i4"),  # objects of this type
    ]
)
"""What is known of the objects of one span; all 0 but the type without objects."""
TINY_MASK = MAX_TINY_SIZE - 1


@dataclass(frozen=True)
class Residents:
    """The objects of a heap at one moment, span by span.

    Attributes
    ----------
    clock : int
        Bytes allocated so far.
    longest : int
        Bytes allocated in the whole run: nothing in it can become older.
    spans : numpy.ndarray, structured
        A row of ``RESIDENTS`` for each row of the snapshot's ``spans``.
    types : tuple of str
        Names of types, those with the most bytes in the run first; empty where no types are known.
    """

    clock: int
    longest: int
    spans: np.ndarray
    types: tuple = ()

    def age(self, which):
        """Return the age in bytes of the object ``which`` ("oldest" or "middle") of each span, 0 without objects.

        Of an object that was there before anybody looked it is the least that it can be.
        """
        born = np.maximum(self.spans[which], 0)
        return np.where(self.spans["objects"] > 0, self.clock - born, 0)


def span_residents(spans, address, born, kind=None):
    """Return the rows of ``RESIDENTS`` of ``spans`` for objects at ``address``.

    Parameters
    ----------
    spans : numpy.ndarray, structured
        By rising address, with ``base``, ``npages`` and ``elemsize``.
    address : numpy.ndarray of int64
        One per object, anywhere in its slot.  Objects in no span of objects are left out.
    born : numpy.ndarray of int64
        The clock at birth, or UNKNOWN.
    kind : numpy.ndarray of int64, optional
        Number of the type, 0 or more, or UNKNOWN.
    """
    found = np.zeros(len(spans), RESIDENTS)
    found["kind"] = UNKNOWN
    base = spans["base"].astype(np.int64)
    row = np.searchsorted(base, address, side="right") - 1
    inside = row >= 0
    if len(spans):
        inside &= (address < base[row] + spans["npages"][row] * int(PAGE_SIZE)) & (spans["elemsize"][row] > 0)
    row, born = row[inside], born[inside]
    order = np.lexsort((born, row))
    row, born = row[order], born[order]
    first, count = _runs(row)
    there = row[first]
    found["objects"][there] = count
    found["oldest"][there] = born[first]
    found["middle"][there] = born[first + (count - 1) // 2]
    if kind is not None:
        _most_frequent(found, row, kind[inside][order])
    return found


def _runs(values):
    """Return where each run of equal values begins, and how long it is."""
    first = np.flatnonzero(np.concatenate([np.ones(min(len(values), 1), bool), values[1:] != values[:-1]]))
    return first, np.diff(np.append(first, len(values)))


def _most_frequent(found, row, kind):
    """Fill in the type of most objects of each span."""
    order = np.lexsort((kind, row))
    row, kind = row[order], kind[order]
    first, _ = _runs(row * (int(kind.max(initial=0)) + 2) + kind)
    count = np.diff(np.append(first, len(row)))
    # By span, the most frequent first; of equally many the least number.
    best = np.lexsort((kind[first], -count, row[first]))
    spans, _ = _runs(row[first][best])
    chosen = best[spans]
    found["kind"][row[first][chosen]] = kind[first][chosen]
    found["of_kind"][row[first][chosen]] = count[chosen]


class CaseResidents:
    """Births and deaths of a case's objects.

    Parameters
    ----------
    case : Case
    """

    def __init__(self, case):
        e = case.events
        n = len(e.kind)
        malloc = e.kind == MALLOC
        self.clock = np.cumsum(np.where(malloc, e.size, 0).astype(np.int64))
        self.born = np.flatnonzero(malloc)
        # An object listed twice was kept by its finalizer; its last death counts.
        ends = np.full(n, n, np.int64)
        starts = np.flatnonzero(e.kind == SWEEP_START)
        if len(starts):
            collection = e.ref[starts]
            for start, k in zip(starts.tolist(), collection.tolist(), strict=True):
                ends[e.dead[e.dead_offsets[k] : e.dead_offsets[k + 1]]] = start
        self.dies = ends[self.born]
        self.tiny = (e.size[self.born] < MAX_TINY_SIZE) & (e.flags[self.born] & 1 == 1)

    def at(self, event, addr, spans):
        """Return the Residents after ``event`` events, whose objects lie at ``addr`` (per event)."""
        n = int(np.searchsorted(self.born, event))
        lives = self.dies[:n] >= event
        where = addr[self.born[:n]].astype(np.int64)
        # A tiny block counts as one object, the one that opened it; collections name it so.
        lives &= ~(self.tiny[:n] & (where & TINY_MASK != 0))
        born = self.clock[self.born[:n][lives]]
        clock = int(self.clock[event - 1]) if event else 0
        longest = int(self.clock[-1]) if len(self.clock) else 0
        return Residents(clock, longest, span_residents(spans, where[lives], born))


class TraceResidents:
    """Births of a trace's objects, by their dense ids."""

    def __init__(self):
        self.clock = 0
        self.born = np.zeros(1 << 12, np.int64)

    def take(self, events, start, stop):
        """Take in the rows ``start`` to ``stop`` of a batch."""
        rows = np.flatnonzero(events.kind[start:stop] == ALLOC) + start
        if not len(rows):
            return
        ids = events.id[rows].astype(np.int64)
        most = int(ids.max())
        if most >= len(self.born):
            self.born = np.concatenate([self.born, np.zeros(most + most // 2 + 1 - len(self.born), np.int64)])
        clock = self.clock + np.cumsum(events.size[rows].astype(np.int64))
        self.born[ids] = clock  # of an id that comes twice the last stays
        self.clock = int(clock[-1])

    def at(self, objects, spans):
        """Return the Residents of a heap whose kernel says in ``objects`` where each id lies."""
        objects = objects[: len(self.born)]
        ids = np.flatnonzero((objects != 0) & (objects & IS_STACK == 0))
        entry = objects[ids]
        where, born = (entry & ADDR_MASK).astype(np.int64), self.born[ids]
        tiny = entry & IS_TINY != 0
        if tiny.any():
            # A tiny block counts as one object, as old as the oldest in it.
            block, which = np.unique(where[tiny] & ~TINY_MASK, return_inverse=True)
            oldest = np.full(len(block), np.iinfo(np.int64).max)
            np.minimum.at(oldest, which, born[tiny])
            where, born = np.concatenate([where[~tiny], block]), np.concatenate([born[~tiny], oldest])
        return Residents(self.clock, self.clock, span_residents(spans, where, born))
