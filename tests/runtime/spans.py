"""Spans without events: the functions of mheap, mheap_grow and mgcscavenge, called one by one.

``Spans`` is a heap whose functions a test calls by name, each with the arguments it has in the kernel; a span is named
by its index.  All of them stand in one driver, because it compiles faster than one for each.
"""

import numpy as np
from runtime.entry import SMALL_ROOM, entry

from mheaplab.params import HeapParams
from mheaplab.runtime.mgcscavenge import mheap_scavenge_all, page_alloc_scavenge
from mheaplab.runtime.mheap import (
    mheap_alloc_manual,
    mheap_alloc_mspan_locked,
    mheap_alloc_span,
    mheap_free_manual,
    mheap_free_mspan_locked,
    mheap_free_span,
    mheap_free_span_locked,
    mheap_has_room,
    mheap_init_span,
    mheap_try_alloc_mspan,
)
from mheaplab.runtime.mheap_grow import mheap_grow, mheap_sys_alloc
from mheaplab.runtime.mpagecache import page_cache_flush
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import NO_P, SPAN_ALLOC_HEAP, SPAN_ALLOC_STACK
from mheaplab.runtime.tables import span

PAGE = 8192
MIB = 1 << 20
ARENA = 64 * MIB
BASE = 0xC000000000
"""Where Go's first arena lies."""
WITHOUT_P = int(NO_P)
HEAP = int(SPAN_ALLOC_HEAP)
STACK = int(SPAN_ALLOC_STACK)

(
    ALLOC_SPAN,
    ALLOC_MANUAL,
    FREE_SPAN,
    FREE_MANUAL,
    FREE_SPAN_LOCKED,
    INIT_SPAN,
    TRY_ALLOC_MSPAN,
    ALLOC_MSPAN_LOCKED,
    FREE_MSPAN_LOCKED,
    GROW,
    SYS_ALLOC,
    SCAVENGE,
    SCAVENGE_ALL,
    FLUSH_PAGES,
    HAS_ROOM,
    RUN_ON,
) = range(16)


@entry
def drive_spans(h, ops, got):
    """Apply ``ops``, rows (kind, and up to four arguments); a row of ``got`` is what it returned, and a second part."""
    for k in range(len(ops)):
        kind, a, b, c, d = ops[k, 0], ops[k, 1], ops[k, 2], ops[k, 3], ops[k, 4]
        if kind == ALLOC_SPAN:
            got[k, 0] = mheap_alloc_span(h, a, b, c, d)
        elif kind == ALLOC_MANUAL:
            got[k, 0] = mheap_alloc_manual(h, a, b, c)
        elif kind == FREE_SPAN:
            mheap_free_span(h, a)
        elif kind == FREE_MANUAL:
            mheap_free_manual(h, a, b)
        elif kind == FREE_SPAN_LOCKED:
            mheap_free_span_locked(h, a, b)
        elif kind == INIT_SPAN:
            mheap_init_span(h, span(h, a), b, c)
        elif kind == TRY_ALLOC_MSPAN:
            got[k, 0] = mheap_try_alloc_mspan(h, a)
        elif kind == ALLOC_MSPAN_LOCKED:
            got[k, 0] = mheap_alloc_mspan_locked(h, a)
        elif kind == FREE_MSPAN_LOCKED:
            mheap_free_mspan_locked(h, a)
        elif kind == GROW:
            got[k, 0] = mheap_grow(h, a)
        elif kind == SYS_ALLOC:
            got[k, 0], got[k, 1] = mheap_sys_alloc(h, a)
        elif kind == SCAVENGE:
            got[k, 0] = page_alloc_scavenge(h, a)
        elif kind == SCAVENGE_ALL:
            got[k, 0] = mheap_scavenge_all(h)
        elif kind == FLUSH_PAGES:
            page_cache_flush(h, h.allp[a].pcache)
        elif kind == HAS_ROOM:
            got[k, 0] = np.int64(mheap_has_room(h, a))
        elif kind == RUN_ON:
            h.current_p = a


class Spans:
    """A heap whose functions are called one by one; the parameters are those of ``HeapParams``.

    Attributes
    ----------
    state : HeapState
    h : numpy.record
    """

    def __init__(self, go="go1.19", room=None, **changes):
        params = HeapParams.of_version(go, **changes)
        self.state = HeapState(params.to_record(), SMALL_ROOM | {"spans": 1 << 10} | (room or {}), params.occupied)
        self.h = self.state.h
        self.h.log_spans = 0

    def call(self, kind, *args):
        """Call one function and return what it returns."""
        return self.calls((kind, *args))[0]

    def calls(self, *ops):
        """Call functions, tuples (kind, arguments ...), in turn; return what each returns."""
        return self.pairs(*ops)[:, 0].tolist()

    def pairs(self, *ops):
        """Call functions in turn; return rows of what each returns and its second part."""
        table = np.array([[*op] + [0] * (5 - len(op)) for op in ops], np.int64).reshape(-1, 5)
        got = np.zeros((len(ops), 2), np.int64)
        drive_spans(self.h, table, got)
        return got

    def manual(self, npages, typ=STACK, p=WITHOUT_P):
        """Return a new manual span."""
        return self.call(ALLOC_MANUAL, npages, typ, p)

    def heap_span(self, npages, spc=0, p=WITHOUT_P):
        """Return a new heap span of span class ``spc``."""
        return self.call(ALLOC_SPAN, npages, HEAP, spc, p)

    def free_manual(self, index, typ=STACK, p=WITHOUT_P):
        """Free a manual span while ``p`` runs."""
        self.h.current_p = p
        self.call(FREE_MANUAL, index, typ)

    def free_pages(self, npages):
        """Take ``npages`` and free them again: then they are free and backed by memory. Return their first page."""
        index = self.manual(npages)
        self.free_manual(index)
        return self.page(index)

    def scavenge(self, npages):
        """Return at least ``npages`` to the OS."""
        assert self.call(SCAVENGE, npages * PAGE) == npages * PAGE

    def span(self, index):
        """Return the record of span ``index``."""
        return self.state.tables["spans"][index]

    def page(self, index):
        """Return the first page of span ``index``, from the start of the heap."""
        return (int(self.span(index)["start_addr"]) - BASE) // PAGE

    def page_bit(self, name, page):
        """Return whether ``page``, from the start of the heap, has its bit in the bitmap ``name`` of its arena."""
        arena = self.state.tables["heap_arenas"][1 + page * PAGE // ARENA]
        return bool(int(arena[name][page % 8192 >> 6]) >> (page & 63) & 1)

    def accounts(self):
        """Return pages (in heap spans, in stacks, in other manual spans, free, released, mapped)."""
        s = self.h.stats
        other = s.in_ptr_scalar_bits + s.in_work_bufs
        accounts = (s.heap_in_use, s.in_stacks, other, s.heap_free, s.heap_released, s.prepared + s.ready)
        assert s.prepared == s.heap_released
        return tuple(int(x) // PAGE for x in accounts)
