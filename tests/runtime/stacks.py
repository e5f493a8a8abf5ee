"""How the tests of stacks reach the kernel: one compiled driver, and ``Stacks``, a heap of which stacks are taken."""

import naive_stacks as naive
import numpy as np
from runtime.entry import SMALL_ROOM, entry

from mheaplab.params import HeapParams
from mheaplab.runtime._jit import kjit
from mheaplab.runtime.stack import (
    free_stack_spans,
    stack_order,
    stackalloc,
    stackcache_clear,
    stackcacherefill,
    stackcacherelease,
    stackfree,
    stacklog2,
    stackpoolalloc,
    stackpoolfree,
)
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import GC_MARK, GC_OFF, NO_P, SPAN_DEAD, SPAN_MANUAL
from mheaplab.runtime.tables import span

ALLOC, FREE, FREE_AT, CLEAR, FREE_SPANS, PHASE, LOG2, ORDER, POOL_ALLOC, POOL_FREE, REFILL, RELEASE = range(12)
NAMES = "ALLOC FREE FREE_AT CLEAR FREE_SPANS PHASE".split()
BASE = 0xC000000000
"""Where Go's first arena lies."""
PAGE = naive.PAGE
WITHOUT_P = int(NO_P)


@kjit
def where_stacks_are(h):
    """A sum that tells which spans are taken for stacks."""
    total = np.int64(0)
    for i in range(1, h.spans_len):
        s = span(h, i)
        if s.state == SPAN_MANUAL:
            page = (np.int64(s.start_addr) - BASE) // PAGE + 1
            total += page * page * np.int64(s.npages)
    return total


@entry
def drive_stacks(h, ops, got):
    """Apply ``ops``, rows (kind, a, b, p); a FREE names the row whose stack it frees.

    Rows of ``got``: the answer, spans allocated so far, bytes in stacks, and which spans these are in.
    """
    for k in range(len(ops)):
        kind, a, b, p = ops[k, 0], ops[k, 1], ops[k, 2], ops[k, 3]
        h.current_p = p
        answer = np.int64(0)
        if kind == ALLOC:
            answer = stackalloc(h, a, p)
        elif kind == FREE:
            stackfree(h, got[a, 0], b, p)
        elif kind == FREE_AT:
            stackfree(h, a, b, p)
        elif kind == CLEAR:
            stackcache_clear(h, p)
        elif kind == FREE_SPANS:
            free_stack_spans(h)
        elif kind == PHASE:
            h.gcphase = a
        elif kind == LOG2:
            answer = stacklog2(a)
        elif kind == ORDER:
            answer = stack_order(a)
        elif kind == POOL_ALLOC:
            answer = stackpoolalloc(h, a, p)
        elif kind == POOL_FREE:
            stackpoolfree(h, a, b)
        elif kind == REFILL:
            answer = np.int64(1) if stackcacherefill(h, p, a) else np.int64(0)
        elif kind == RELEASE:
            stackcacherelease(h, p, a, b)
        got[k, 0] = answer
        got[k, 1] = h.span_log_len
        got[k, 2] = h.stats.in_stacks
        got[k, 3] = where_stacks_are(h)


class Stacks:
    """A heap of which a test takes stacks, by the driver's rows one at a time.

    Attributes
    ----------
    state : HeapState
    h : numpy.record
    """

    def __init__(self, span_log=64, occupied=()):
        room = SMALL_ROOM | {"spans": 1 << 10, "span_log": span_log}
        self.state = HeapState(HeapParams.go119().to_record(), room, occupied)
        self.h = self.state.h

    def do(self, kind, a=0, b=0, p=WITHOUT_P):
        """Apply one row; return its answer."""
        got = np.zeros((1, 4), np.int64)
        drive_stacks(self.h, np.array([[kind, a, b, p]], np.int64), got)
        return int(got[0, 0])

    def alloc(self, nbytes, p=WITHOUT_P):
        return self.do(ALLOC, nbytes, p=p)

    def allocs(self, times, nbytes, p=WITHOUT_P):
        return [self.alloc(nbytes, p) for _ in range(times)]

    def free(self, stack, nbytes, p=WITHOUT_P):
        self.do(FREE_AT, stack, nbytes, p)

    def mark(self):
        self.do(PHASE, int(GC_MARK))

    def end_of_marking(self):
        self.do(PHASE, int(GC_OFF))
        self.do(FREE_SPANS)

    def spans(self):
        """Return (address, pages) of the spans that stacks are in, by address."""
        rows = self.state.tables["spans"][1 : int(self.h.spans_len)]
        return sorted((int(r["start_addr"]), int(r["npages"])) for r in rows if r["state"] == SPAN_MANUAL)

    def record(self, address):
        """Return the record of the span at ``address`` of which it is the first byte."""
        rows = self.state.tables["spans"][1 : int(self.h.spans_len)]
        return next(r for r in rows if r["state"] != SPAN_DEAD and r["start_addr"] == address)

    def list_of(self, which):
        """Return the addresses of the spans in list ``which``, checking that its links agree."""
        found, at, before = [], int(self.h.span_lists[which]["first"]), 0
        while at:
            row = self.state.tables["spans"][at]
            assert int(row["prev"]) == before and int(row["list"]) == which + 1
            found.append(int(row["start_addr"]))
            before, at = at, int(row["next"])
        assert int(self.h.span_lists[which]["last"]) == before
        return found

    def held(self, p, order):
        """Return the bytes in the cache of P ``p``."""
        return int(self.h.allp[p]["mcache"]["stackcache"][order]["held"])

    def in_stacks(self):
        return int(self.h.stats.in_stacks)
