#!/usr/bin/env python3
"""Turn a raw log with specials and stacks (oplog_specials.py) into a case that holds causes instead of effects.

Usage: convert_specials.py RAW.bin OUT_PREFIX GOVERSION  ->  OUT_PREFIX.events.npz, OUT_PREFIX.truth.npz

The oracle's convert.py makes cases in which stack spans are given and finalizers appear as somebody asking for a sweep.
Here a finalizer set or cleared is an ADD_SPECIAL or REMOVE_SPECIAL, which sweep by themselves; goroutine stacks are
STACK_ALLOC and STACK_FREE, and their spans the twin's own business; GC_START says when marking begins.  A collection's
``dead`` list holds what it found unmarked: what sweeping freed, and the objects whose finalizers sweeping queued.

Stacks grow wherever a function is called, so also inside an allocation, after that has got its span but before it is
recorded.  Such stack events are put after the allocation: nothing in the rest of it touches the heap.

What the events could not say is refused: a stack that passed by its P's cache although there is a P, and stacks between
the end of marking and freeStackSpans.  No recording had either.
"""

import os
import sys
from typing import NamedTuple

import numpy as np
from oplog_specials import (
    ADD_SPECIAL,
    CLEAR_STACKS,
    FREE_SPECIAL,
    FREE_STACKS,
    REMOVE_SPECIAL,
    STACK_ALLOC,
    STACK_FREE,
)

from mheaplab.case import COLUMNS, TRUTH, write_npz
from mheaplab.runtime import structs as kinds

RECORD = np.dtype({"names": ["op", "p", "flags", "aux", "a", "b", "c"], "formats": "u1 u1 <u2 <u4 <u8 <u8 <u8".split()})
ALLOC_SPAN, FREE_SPAN, PCACHE_FLUSH, SCAVENGED, MALLOC, OBJ_FREE, SWEEP, SWEEPGEN, MCACHE_FLUSH, REFILL = (
    1, 2, 3, 7, 8, 9, 10, 11, 12, 13,
)  # fmt: skip
GC_PHASE, SWEEPONE, ENSURE_SWEPT = 17, 21, 23
NO_P = 255
HEAP, STACK = 0, 1
TINY_BLOCK = 16
MARKING = 1
BY_CREDIT = 1
SPECIAL_OF_GO119 = {1: kinds.SPECIAL_FINALIZER, 2: kinds.SPECIAL_PROFILE, 3: kinds.SPECIAL_REACHABLE}


class Record(NamedTuple):
    """One record of the log; what a, b and c are depends on op."""

    op: int
    p: int
    flags: int
    aux: int
    a: int
    b: int
    c: int


class Converter:
    """Reads records in order and writes the columns of a case and its truth."""

    def __init__(self):
        self.events = {name: [] for name in COLUMNS}
        self.truth = {name: [] for name in TRUTH}
        self.dead = []  # per collection: MALLOC events found unmarked, a dict for its order
        self.slot = {}  # slot address -> the MALLOC event that opened it
        self.at = {}  # object address -> its MALLOC event
        self.opener = {}  # MALLOC event -> the MALLOC event that opened its slot
        self.manual = {}  # base of a manual span -> its event
        self.stack = {}  # stack address -> its STACK_ALLOC event
        self.waiting_spans = {HEAP: [], STACK: []}  # spans allocated, waiting for the event that did it
        self.credit = 0
        self.inside_malloc = False
        self.later = []  # stack records inside an allocation
        self.sweepone = -1
        self.marking_ended = False  # and freeStackSpans has not begun
        self.flushed = False
        self.previous = None

    def emit(self, kind, p, flags=0, size=0, ref=-1, **truth):
        """Append an event; its index."""
        for name, value in zip(COLUMNS, (kind, p, flags, size, ref, 0), strict=True):
            self.events[name].append(int(value))
        for name in ("addr", "scav", "needzero"):
            self.truth[name].append(truth.get(name, 0))
        return len(self.events["kind"]) - 1

    def record(self, r):
        """Convert one record."""
        if r.op not in (SWEEP, FREE_SPECIAL):
            self.sweepone = -1
        if r.op in HANDLERS:
            HANDLERS[r.op](self, r)
        self.previous = r.op

    def span_event(self, which, event):
        """Say that ``event`` allocated the spans of type ``which`` that wait for it."""
        for row in self.waiting_spans[which]:
            self.truth["span_event"][row] = event
        self.waiting_spans[which].clear()

    def alloc_span(self, r):
        """ALLOC_SPAN: a row of the truth; an event only if nothing else says it."""
        kind, needzero = r.flags & 255, r.flags >> 8
        row = len(self.truth["span_base"])
        klass = r.aux if kind == HEAP else int(kinds.MANUAL_CLASS)
        columns = {"base": r.a, "npages": r.b, "class": klass, "scav": r.c, "needzero": needzero, "event": -1}
        for name, value in columns.items():
            self.truth["span_" + name].append(value)
        if kind in self.waiting_spans:
            self.waiting_spans[kind].append(row)
            self.inside_malloc |= kind == HEAP
            return
        event = self.emit(kinds.SPAN_ALLOC, r.p, kind, r.b, addr=r.a, scav=r.c, needzero=needzero)
        self.truth["span_event"][row] = event
        self.manual[r.a] = event

    def free_span(self, r):
        """FREE_SPAN: an event if the span is manual and not a stack's."""
        if r.flags not in (HEAP, STACK):
            self.emit(kinds.SPAN_FREE, r.p, r.flags, r.b, self.manual.pop(r.a))

    def refill(self, _):
        """REFILL: an allocation has got its span."""
        self.inside_malloc = True

    def malloc(self, r):
        """MALLOC, and the stacks that changed inside it."""
        event = self.emit(kinds.MALLOC, r.p, r.flags & 3 | (r.flags & 8) >> 1, r.b, addr=r.a)
        self.events["credit"][event], self.credit = self.credit, 0
        self.span_event(HEAP, event)
        self.at[r.a] = event
        in_open_block = r.flags & 4
        if not in_open_block:
            self.slot[r.a] = event
        self.opener[event] = self.slot[r.a & -TINY_BLOCK] if in_open_block else event
        self.inside_malloc = False
        later, self.later = self.later, []
        for change in later:
            self.stack_change(change)

    def stack_change(self, r):
        """STACK_ALLOC, which follows the allocation of its span; STACK_FREE, which precedes the freeing of its span."""
        if r.flags and r.p != NO_P:
            raise SystemExit(f"stack {r.a:#x} passed by the cache of P {r.p}: events cannot say that")
        if self.marking_ended:
            raise SystemExit(f"stack {r.a:#x} changed between the end of marking and freeStackSpans")
        if self.inside_malloc:
            self.later.append(r)
        elif r.op == STACK_FREE:
            self.emit(kinds.STACK_FREE, r.p, 0, r.b, self.stack.pop(r.a))
        else:
            self.stack[r.a] = event = self.emit(kinds.STACK_ALLOC, r.p, 0, r.b, addr=r.a)
            self.span_event(STACK, event)

    def add_special(self, r):
        """ADD_SPECIAL; that it sweeps the span first goes without saying."""
        self.emit(kinds.ADD_SPECIAL, r.p, SPECIAL_OF_GO119[r.flags], 0, self.at[r.a])

    def remove_special(self, r):
        """REMOVE_SPECIAL, successful or not: it sweeps the span in both cases."""
        self.emit(kinds.REMOVE_SPECIAL, r.p, SPECIAL_OF_GO119[r.flags], 0, self.at[r.a])

    def ensure_swept(self, _):
        """ENSURE_SWEPT: implied by the special before it; nothing else in a recorded program asks for it."""
        if self.previous not in (ADD_SPECIAL, REMOVE_SPECIAL):
            raise SystemExit("ensureSwept without a special")

    def free_special(self, r):
        """FREE_SPECIAL: an object whose finalizer is queued was found unmarked, though it is not freed."""
        if SPECIAL_OF_GO119[r.flags] == kinds.SPECIAL_FINALIZER:
            self.dead[-1][self.opener[self.at[r.a]]] = True

    def obj_free(self, r):
        """OBJ_FREE: sweeping frees the slot."""
        self.dead[-1][self.slot.pop(r.a)] = True

    def sweep(self, r):
        """SWEEP: what a sweepone found. flags: the span is preserved, hence not sweepone's."""
        if self.sweepone >= 0 and not r.flags:
            self.truth["addr"][self.sweepone] = r.a
        self.sweepone = -1

    def sweep_one(self, r):
        """SWEEPONE, but for those that an allocation owes: these are counted."""
        if r.flags == BY_CREDIT:
            self.credit += 1
        else:
            self.sweepone = self.emit(kinds.SWEEPONE, r.p, r.flags)

    def gc_phase(self, r):
        """GC_START, when marking begins."""
        if r.flags == MARKING:
            self.emit(kinds.GC_START, r.p)

    def sweepgen(self, r):
        """SWEEP_START. Go then flushes the mcache before it frees stack spans, which comes to the same."""
        self.emit(kinds.SWEEP_START, r.p, 0, 0, len(self.dead))
        self.dead.append({})
        self.marking_ended = True

    def free_stacks(self, _):
        """FREE_STACKS: implied by SWEEP_START."""
        self.marking_ended = False

    def mcache_flush(self, r):
        """MCACHE_FLUSH, which implies that the stack caches are emptied."""
        self.emit(kinds.MCACHE_FLUSH, r.p)
        self.flushed = True

    def clear_stacks(self, _):
        """CLEAR_STACKS: implied by MCACHE_FLUSH."""
        if not self.flushed:
            raise SystemExit("stackcache_clear without a flush of the mcache")
        self.flushed = False

    def scavenged(self, r):
        """SCAVENGE; aux is the page limit."""
        self.emit(kinds.SCAVENGE, r.p, 0, r.aux, addr=r.a, scav=r.b)

    def pcache_flush(self, r):
        """PCACHE_FLUSH."""
        self.emit(kinds.PCACHE_FLUSH, r.p)

    def arrays(self):
        """Return the arrays of both files."""
        events = {name: np.array(self.events[name], dtype) for name, dtype in COLUMNS.items()}
        events["dead"] = np.array([e for found in self.dead for e in sorted(found)], np.int64)
        events["dead_offsets"] = np.cumsum([0, *map(len, self.dead)]).astype(np.int64)
        return events, {name: np.array(self.truth[name], dtype) for name, dtype in TRUTH.items()}


HANDLERS = {
    ALLOC_SPAN: Converter.alloc_span,
    FREE_SPAN: Converter.free_span,
    REFILL: Converter.refill,
    MALLOC: Converter.malloc,
    OBJ_FREE: Converter.obj_free,
    SWEEP: Converter.sweep,
    SWEEPONE: Converter.sweep_one,
    SWEEPGEN: Converter.sweepgen,
    GC_PHASE: Converter.gc_phase,
    MCACHE_FLUSH: Converter.mcache_flush,
    PCACHE_FLUSH: Converter.pcache_flush,
    SCAVENGED: Converter.scavenged,
    ENSURE_SWEPT: Converter.ensure_swept,
    ADD_SPECIAL: Converter.add_special,
    REMOVE_SPECIAL: Converter.remove_special,
    FREE_SPECIAL: Converter.free_special,
    STACK_ALLOC: Converter.stack_change,
    STACK_FREE: Converter.stack_change,
    FREE_STACKS: Converter.free_stacks,
    CLEAR_STACKS: Converter.clear_stacks,
}


def main(raw_path, case, go):
    """Write the two files of ``case``."""
    if go != "go1.19":
        raise SystemExit(f"cannot convert a log of {go}, only of go1.19")
    converter = Converter()
    for record in np.fromfile(raw_path, RECORD).tolist():
        converter.record(Record(*record))
    if converter.later or any(converter.waiting_spans.values()):
        raise SystemExit(f"{raw_path} ends inside an allocation")
    events, truth = converter.arrays()
    write_npz(case + ".events.npz", {"go": np.array(go)} | events)
    write_npz(case + ".truth.npz", truth)
    print(f"{os.path.basename(case)}: {len(events['kind'])} events, {len(converter.dead)} collections")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
