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
    SPAN_IN_USE,
    SPECIAL_FINALIZER,
    SWEEP_START,
    SWEEPONE,
)

NOSCAN, BLACK = 1, 4
"""Flags of a MALLOC."""
BY_RUNTIME_GC = 4
"""Flags of a SWEEPONE that runtime.GC asked for."""
TINY = int(MAX_TINY_SIZE)


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
    addr : numpy.ndarray of int64
        Address of each event's object, as the twin predicts it.
    opener : numpy.ndarray of int64
        For each MALLOC the one that opened its slot; -1 for other events.
    born : numpy.ndarray of int64
        The MALLOC events that opened a slot, in order: the slots.
    gone : numpy.ndarray of int64
        For each slot the collection that freed it; the number of collections if none did.
    seen : numpy.ndarray of int64
        For each slot the last collection that would have found it dead if it had been; -1 for none.  It did look at
        the slot if that was born before it began.
    low, high : numpy.ndarray of int64
        Each slot dies before an event from ``low`` to ``high``; ``high`` is the number of events if it may not die.
    kept : int
        How often a finalizer kept an object that was found unreachable.
    """

    def __init__(self, case, look):
        if look not in ("begin", "end"):
            raise ValueError(f"look = {look!r} is outside its legal range: one of begin, end")
        self.case = case
        self.look = look
        e = case.events
        malloc = e.kind == MALLOC
        self.end = np.flatnonzero(e.kind == SWEEP_START)
        self.begin = _begins(e, self.end)
        self.clock = np.concatenate([[0], np.cumsum(np.where(malloc, e.size, 0), dtype=np.int64)])
        self.addr, unswept = self._heap()
        self.opener = _openers(case, self.addr)
        self.born = np.flatnonzero(malloc & (self.opener == np.arange(len(case))))
        self.gone, self.kept = self._gone()
        silent = (self.gone == len(self.end)) & _inside(unswept, self.addr[self.born])
        self.seen = self.gone - 1 - silent
        self.low, self.high = self._intervals()

    def _heap(self):
        """Return the address of each event's object, and the spans yet to be swept, as the twin has it."""
        driver = _Driver(self.case, None, 0)
        driver.run_to(len(self.case))
        return driver.out.addr.astype(np.int64), _unswept_spans(driver.state)

    def _gone(self):
        """Return for each slot the collection that freed it, and how many objects a finalizer kept."""
        e = self.case.events
        freed = np.full(len(e.kind), len(self.end))
        finalizer = e.flags == SPECIAL_FINALIZER
        changes = np.flatnonzero(((e.kind == ADD_SPECIAL) | (e.kind == REMOVE_SPECIAL)) & finalizer).tolist()[::-1]
        armed, kept = set(), 0
        for k, end in enumerate(self.end.tolist()):
            while changes and changes[-1] < end:
                change = changes.pop()
                set_or_clear = armed.add if e.kind[change] == ADD_SPECIAL else armed.discard
                set_or_clear(int(self.opener[e.ref[change]]))
            dead = e.dead[e.dead_offsets[k] : e.dead_offsets[k + 1]]
            waits = np.isin(dead, np.fromiter(armed, np.int64, len(armed)))
            # Sweeping queues all finalizers of the slot.
            armed.difference_update(dead[waits].tolist())
            kept += int(waits.sum())
            freed[dead[~waits]] = k
        return freed[self.born], kept

    def _intervals(self):
        """Return for each slot the events between which it dies."""
        n = len(self.case)
        last = np.zeros(n, np.int64)
        malloc = np.flatnonzero(self.opener >= 0)
        np.maximum.at(last, self.opener[malloc], malloc)
        kept = self.begin if self.look == "begin" else self.end
        low = np.maximum(np.where(self.looked(), np.append(kept, 0)[self.seen], self.born), last[self.born]) + 1
        high = np.append(self.begin, n)[self.gone]
        bad = low > high
        if bad.any():
            event = int(self.born[bad.argmax()])
            raise FormatError(f"{self.case.name}: {self.case.describe(event)}: dead before a collection looked at it")
        return low, high

    def looked(self):
        """Which slots collection ``seen`` looked at, and kept."""
        return (self.seen >= 0) & (self.born < np.append(self.begin, 0)[self.seen])

    def forced(self):
        """Which collections the program asked for, and which of these by debug.FreeOSMemory."""
        e = self.case.events
        number = np.cumsum(e.kind == SWEEP_START) - 1
        asked, returned = np.zeros((2, len(self.end)), bool)
        asked[number[(e.kind == SWEEPONE) & (e.flags == BY_RUNTIME_GC) & (number >= 0)]] = True
        unlimited = (e.kind == SCAVENGE) & ((e.size == 0) | (e.size >= np.uint64(ALMOST_NO_LIMIT)))
        returned[number[unlimited & (number >= 0)]] = True
        return asked, asked & returned


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
    e = case.events
    malloc = e.kind == MALLOC
    opener = np.where(malloc, np.arange(len(case)), -1)
    tiny = np.flatnonzero(malloc & (e.size < np.uint64(TINY)) & (e.flags & NOSCAN != 0))
    if len(tiny) == 0:
        return opener
    # By block, and in a block by time: those at its start open it, again and again as the slot is used again.
    tiny = tiny[np.argsort(addr[tiny] // TINY, kind="stable")]
    block, opens = addr[tiny] // TINY, addr[tiny] % TINY == 0
    last = np.maximum.accumulate(np.where(opens, np.arange(len(tiny)), 0))
    if not opens[0] or (block != block[last]).any():
        raise FormatError(f"{case.name}: a tiny object lies in a block that no event opened")
    opener[tiny] = tiny[last]
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
