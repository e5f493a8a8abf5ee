"""case_lives: what a recorded case says about when its objects lived.

A case has no deaths; it has, for each collection, who was found dead.  This module reads off it, for each slot, between
which two events its death lies.

**Slots.**  What a collector frees is a slot.  An object has one to itself, but tiny objects (under 16 B, no pointers)
share blocks: a slot is named by the allocation that opened it, and which block an object is in says its address, as the
twin predicts it.  A block lives at least until its last object is born.

**Looks.**  Collection k begins to mark at event ``begin[k]`` and ends at ``end[k]`` (SWEEP_START).  It looks at what
was there at ``begin[k]``; what is allocated after that is black, and nobody looked at it.  Cases without GC_START show
by their first black allocation, or not before the end, that marking has begun.

**The interval.**  A slot that k found dead was unreachable at ``begin[k]``, but for moments in which a stack was not
yet scanned.  One that k-1 looked at and kept was reachable at ``begin[k-1]``; what becomes unreachable while Go marks,
its write barrier keeps.  So death lies after ``max(birth, begin[k-1])`` and not after ``begin[k]``.  A twin that frees
what is dead when marking begins then frees just what Go freed, if it collects where Go did.  One that frees what is
dead when marking *ends* needs ``end[k-1]`` in place of ``begin[k-1]`` (``look="end"``): it is told of no deaths while
Go marked, but of as many more after that, and has a few percent too much alive between collections.

**Never found dead** means alive at the last look; but a span that was unswept when the recording ended has not told who
of its slots is dead, so for these the last collection is no look.

**Finalizers.**  A collection that finds an object with a finalizer unreachable keeps it.  Here it lives until it is
freed, one or more collections later.  Cases without specials as events list it only then.
"""

from typing import NamedTuple

import numpy as np

from .errors import FormatError
from .replay import _Driver
from .runtime.run import ALMOST_NO_LIMIT
from .runtime.structs import (
    ADD_SPECIAL,
    GC_START,
    MALLOC,
    MAX_TINY_SIZE,
    PAGE_SHIFT,
    REMOVE_SPECIAL,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_ALLOC_STACK,
    SPAN_FREE,
    SPAN_IN_USE,
    SPECIAL_FINALIZER,
    STACK_ALLOC,
    STACK_FREE,
    SWEEP_START,
    SWEEPONE,
)

NOSCAN, BLACK = 1, 4
"""Flags of a MALLOC."""
BY_RUNTIME_GC = 4
"""Flags of a SWEEPONE that runtime.GC asked for."""
TINY = int(MAX_TINY_SIZE)
PART = 1 << 18
"""Rows that are looked at at a time."""


class Lives:
    """What a case says of the lives of its objects.

    Attributes
    ----------
    case : Case
    look : str
        "begin" or "end": which moment of marking tells a twin's collector the dead from the living.
    begin, end : numpy.ndarray of int64
        For each collection the event before which marking began, and the event that ended it.
    clock : numpy.ndarray of int64
        Bytes requested before each event, and after the last.
    opener : numpy.ndarray of int
        For each MALLOC the one that opened its slot; -1 for other events.
    born : numpy.ndarray of int
        The MALLOC events that opened a slot, in order: the slots.
    gone : numpy.ndarray of int
        For each slot the collection that freed it; the number of collections if none did.
    seen : numpy.ndarray of int
        For each slot the last collection that would have found it dead if it had been; -1 for none.  It did look at
        the slot if that was born before it began.
    kept : int
        How often a finalizer kept an object that was found unreachable.
    stacks : Stacks
    asked, returned : numpy.ndarray of bool
        Which collections the program asked for, and which of these by debug.FreeOSMemory.

    Notes
    -----
    A recording has a few bytes for each object, so these columns are as narrow as the number of events allows, and
    what can be told from others is told for some slots at a time (:meth:`interval`).
    """

    def __init__(self, case, look):
        self.case = case
        self._learn(look)

    def _learn(self, look):
        """Read everything off the case."""
        if look not in ("begin", "end"):
            raise ValueError(f"look = {look!r} is outside its legal range: one of begin, end")
        self.look = look
        self.end = np.flatnonzero(self.case.events.kind == SWEEP_START)
        self.begin = _begins(self.case.events, self.end)
        self.stacks = _stacks(self.case.events)
        self.asked, self.returned = self._forced()
        addr, unswept = self._heap()
        self.opener = _openers(self.case, addr)
        self.born = _where(len(self.case), self._opens)
        self.gone, self.kept = self._gone()
        self.seen = self.gone - 1
        for part in parts_of(len(self.born)):
            silent = self.gone[part] == len(self.end)
            silent[silent] = _inside(unswept, addr[self.born[part][silent]])
            self.seen[part] -= silent
        del addr
        self._done_with_case()
        self.last = self._last()
        self.clock = _clock(self.case.events)
        for part in parts_of(len(self.born)):
            self._check(part)

    def _heap(self):
        """Return the address of each event's object, and the spans yet to be swept, as the twin has it."""
        driver = _Driver(self.case, None, 0)
        driver.run_to(len(self.case))
        return driver.out.addr.view(np.int64), _unswept_spans(driver.state)

    def _done_with_case(self):
        """Called when only the kinds, Ps, flags and sizes of the case are still to be read."""

    def _opens(self, part):
        """Which events of ``part`` opened a slot."""
        return self.opener[part] == np.arange(part.start, part.stop)

    def _gone(self):
        """Return for each slot the collection that freed it, and how many objects a finalizer kept."""
        e = self.case.events
        freed = np.full(len(e.kind), len(self.end), np.int32)
        finalizer = e.flags == SPECIAL_FINALIZER
        changes = np.flatnonzero(((e.kind == ADD_SPECIAL) | (e.kind == REMOVE_SPECIAL)) & finalizer).tolist()[::-1]
        armed, kept = set(), 0
        for k, end in enumerate(self.end.tolist()):
            while changes and changes[-1] < end:
                change = changes.pop()
                set_or_clear = armed.add if e.kind[change] == ADD_SPECIAL else armed.discard
                set_or_clear(int(self.opener[e.ref[change]]))
            dead = e.dead[e.dead_offsets[k] : e.dead_offsets[k + 1]]
            if armed:
                waits = np.isin(dead, np.fromiter(armed, np.int64, len(armed)))
                # Sweeping queues all finalizers of the slot.
                armed.difference_update(dead[waits].tolist())
                kept += int(waits.sum())
                dead = dead[~waits]
            freed[dead] = k
        return freed[self.born], kept

    def _last(self):
        """Return for each event the last object in its slot, or None if every object has a slot to itself."""
        n = len(self.case)
        hits = _where(n, lambda part: ~self._opens(part) & (self.opener[part] >= 0))
        if len(hits) == 0:
            return None
        last = np.arange(n, dtype=_narrowest(n))
        np.maximum.at(last, self.opener[hits], hits)
        return last

    def interval(self, part):
        """Return the events between which slots die.

        Parameters
        ----------
        part : slice
            Which slots.

        Returns
        -------
        low, high : numpy.ndarray of int64
            Each dies before an event from ``low`` to ``high``; ``high`` is the number of events if it may not die.
        """
        kept = self.begin if self.look == "begin" else self.end
        born, seen = self.born[part].astype(np.int64), self.seen[part]
        last = born if self.last is None else self.last[born]
        low = np.maximum(np.where(self.looked(part), np.append(kept, 0)[seen], born), last) + 1
        return low, np.append(self.begin, len(self.case))[self.gone[part]]

    def _check(self, part):
        """Refuse slots that are said to die before a collection looked at them."""
        low, high = self.interval(part)
        bad = low > high
        if bad.any():
            event = int(self.born[part][bad.argmax()])
            raise FormatError(f"{self.case.name}: {self.case.describe(event)}: dead before a collection looked at it")

    def looked(self, part=slice(None)):
        """Which slots collection ``seen`` looked at, and kept."""
        seen = self.seen[part]
        return (seen >= 0) & (self.born[part] < np.append(self.begin, 0)[seen])

    def _forced(self):
        """Return ``asked`` and ``returned``."""
        e = self.case.events
        asked, returned = np.zeros((2, len(self.end)), bool)
        for flags, found in (
            (asked, np.flatnonzero((e.kind == SWEEPONE) & (e.flags == BY_RUNTIME_GC))),
            (returned, np.flatnonzero((e.kind == SCAVENGE) & ((e.size == 0) | (e.size >= np.uint64(ALMOST_NO_LIMIT))))),
        ):
            number = np.searchsorted(self.end, found, side="right") - 1
            flags[number[number >= 0]] = True
        return asked, asked & returned


class Stacks(NamedTuple):
    """The events that take and that return stacks."""

    takes: np.ndarray
    taken_bytes: np.ndarray
    frees: np.ndarray
    freed: np.ndarray
    """For each return the event that took it."""
    freed_bytes: np.ndarray


def parts_of(n):
    """Yield slices of ``PART`` rows, the last one shorter, of ``n``."""
    for first in range(0, n, PART):
        yield slice(first, min(first + PART, n))


def _narrowest(n):
    """Return the smallest type that numbers ``n`` events."""
    return np.int32 if n < 1 << 31 else np.int64


def _where(n, chosen):
    """Return which of ``n`` rows are chosen; ``chosen`` is called with slices."""
    found = [(np.flatnonzero(chosen(part)) + part.start).astype(_narrowest(n)) for part in parts_of(n)]
    return np.concatenate(found) if found else np.zeros(0, np.int32)


def _clock(e):
    """Return the bytes requested before each event, and after the last."""
    clock = np.zeros(len(e.kind) + 1, np.int64)
    for part in parts_of(len(e.kind)):
        size = np.where(e.kind[part] == MALLOC, e.size[part], 0)
        clock[part.start + 1 : part.stop + 1] = clock[part.start] + np.cumsum(size, dtype=np.int64)
    return clock


def _stacks(e):
    """Return the :class:`Stacks` of events ``e``."""
    takes = (e.kind == STACK_ALLOC) | ((e.kind == SPAN_ALLOC) & (e.flags == SPAN_ALLOC_STACK))
    frees = (e.kind == STACK_FREE) | (e.kind == SPAN_FREE)
    frees[frees] = takes[e.ref[frees]]
    takes, frees = np.flatnonzero(takes), np.flatnonzero(frees)
    freed = e.ref[frees]
    return Stacks(takes, _stack_bytes(e, takes), frees, freed, _stack_bytes(e, freed))


def _stack_bytes(e, events):
    """Return the bytes of the stacks that ``events`` take."""
    return np.where(e.kind[events] == SPAN_ALLOC, e.size[events] << np.uint64(PAGE_SHIFT), e.size[events])


def _begins(e, ends):
    """Return the event before which each collection had begun to mark."""
    begin = ends.copy()
    for k, end in enumerate(ends.tolist()):
        start = int(ends[k - 1]) + 1 if k else 0
        kind = e.kind[start:end]
        said = kind == GC_START
        shown = said if said.any() else (kind == MALLOC) & (e.flags[start:end] & BLACK != 0)
        if shown.any():
            begin[k] = start + int(shown.argmax())
    return begin


def _openers(case, addr):
    """Return for each MALLOC the event that opened its slot: itself, unless it went into an open tiny block."""
    e, n = case.events, len(case)
    opener = np.arange(n, dtype=_narrowest(n))
    for part in parts_of(n):
        opener[part][e.kind[part] != MALLOC] = -1

    def is_tiny(part):
        return (e.kind[part] == MALLOC) & (e.size[part] < np.uint64(TINY)) & (e.flags[part] & NOSCAN != 0)

    tiny = _where(n, is_tiny)
    if len(tiny) == 0:
        return opener
    # By block, and in a block by time: those at its start open it, again and again as the slot is used again.
    tiny = tiny[np.argsort(addr[tiny] // TINY, kind="stable")]
    opens = addr[tiny] % TINY == 0
    last = np.maximum.accumulate(np.where(opens, np.arange(len(tiny), dtype=tiny.dtype), 0))
    for part in parts_of(len(tiny)):
        mine, its = tiny[part], tiny[last[part]]
        if not opens[0] or (addr[mine] // TINY != addr[its] // TINY).any():
            raise FormatError(f"{case.name}: a tiny object lies in a block that no event opened")
        opener[mine] = its
    return opener


def _unswept_spans(state):
    """Return (base, end), addresses in bytes, of the heap spans that have yet to be swept, by address."""
    h = state.h
    table = state.tables["spans"][1 : int(h.spans_len)]
    table = table[(table["state"] == SPAN_IN_USE) & (table["unused"] == 0)]
    behind = table["sweepgen"].astype(np.int64) - int(h.sweepgen)
    # Two less than the heap's: not swept; one more: in an mcache since before that.
    table = table[np.isin(behind, (-2, 1))]
    table = table[np.argsort(table["start_addr"], kind="stable")]
    base = table["start_addr"].astype(np.int64)
    return base, base + (table["npages"].astype(np.int64) << int(PAGE_SHIFT))


def _inside(spans, addr):
    """Return which addresses lie in one of ``spans``, (base, end) by address."""
    base, end = spans
    if len(base) == 0:
        return np.zeros(len(addr), bool)
    row = np.searchsorted(base, addr, side="right") - 1
    return (row >= 0) & (addr < end[row])
