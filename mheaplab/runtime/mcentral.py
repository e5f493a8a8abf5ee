"""mcentral: the spans of one span class that no mcache holds, and the search for one with a free object.

``mcentral_cache_span`` looks, in this order, at swept partial spans, at up to a hundred unswept ones (partial first,
then full, sweeping each), and at last takes a new span from the heap.  ``mcentral_uncache_span`` takes a span back; one
that was cached when a collection ended is swept first, since nobody else could.

Follows runtime/mcentral.go of Go 1.19 (1.27 is the same here). Not simplified.
"""

import numpy as np

from ._jit import kinline, kjit
from .mbitmap import mspan_next_free_index, mspan_refill_alloc_cache
from .mgcsweep import deduct_sweep_credit, mheap_alloc, mspan_sweep, sweep_locker_try_acquire
from .mpagealloc import Throw
from .mspanset import (
    mcentral_full_swept,
    mcentral_full_unswept,
    mcentral_partial_swept,
    mcentral_partial_unswept,
    span_set_pop,
    span_set_push,
)
from .sim_structs import SWEPT_BY_ALLOCATION, SWEPT_BY_FLUSH
from .structs import NO, PAGE_SHIFT, YES
from .tables import span

SPAN_BUDGET = 100
"""spanBudget: unswept spans that one cacheSpan looks at before it takes a new span."""


@kinline
def _sweep_for_span(h, spc):
    """The middle part of cacheSpan: sweep unswept spans of ``spc`` until one has a free object; its index or 0."""
    budget = SPAN_BUDGET
    while budget >= 0:
        index = span_set_pop(h, mcentral_partial_unswept(h, spc))
        if index == 0:
            break
        if sweep_locker_try_acquire(h, span(h, index)):
            mspan_sweep(h, index, YES)
            return index
        budget -= 1
    while budget >= 0:
        index = span_set_pop(h, mcentral_full_unswept(h, spc))
        if index == 0:
            break
        s = span(h, index)
        if sweep_locker_try_acquire(h, s):
            mspan_sweep(h, index, YES)
            free_index = mspan_next_free_index(h, s)
            if free_index != np.int64(s.nelems):
                s.freeindex = np.uint16(free_index)
                return index
            span_set_push(h, mcentral_full_swept(h, spc), index)
        budget -= 1
    return np.int64(0)


@kinline
def mcentral_cache_span(h, spc, p, credit):
    """mcentral.cacheSpan: index of a span of ``spc`` with a free object, for an mcache; 0 when out of memory."""
    npages = np.int64(h.params.class_to_allocnpages[spc >> 1])
    deduct_sweep_credit(h, npages << PAGE_SHIFT, np.int64(0), credit)
    index = span_set_pop(h, mcentral_partial_swept(h, spc))
    if index == 0 and h.sweep_drained == 0:
        index = _sweep_for_span(h, spc)
    if index == 0:
        index = mheap_alloc(h, npages, spc, p)
        if index == 0:
            return index
    s = span(h, index)
    if s.freeindex == s.nelems or s.alloc_count == s.nelems:
        raise Throw("span has no free objects", s.start_addr, s.freeindex, s.alloc_count, s.nelems)
    freeindex = np.int64(s.freeindex)
    mspan_refill_alloc_cache(h, s, freeindex >> 6)
    s.alloc_cache >>= np.uint64(freeindex & 63)
    return index


@kjit
def mcentral_uncache_span(h, spc, index):
    """mcentral.uncacheSpan: take span ``index`` back from an mcache."""
    s = span(h, index)
    if s.alloc_count == 0:
        raise Throw("uncaching span but s.allocCount == 0", s.start_addr)
    sweepgen = np.int64(h.sweepgen)
    if np.int64(s.sweepgen) == sweepgen + 1:
        s.sweepgen = np.uint32(sweepgen - 1)
        h.sweeper = SWEPT_BY_FLUSH
        mspan_sweep(h, index, NO)
        h.sweeper = SWEPT_BY_ALLOCATION
        return
    s.sweepgen = np.uint32(sweepgen)
    if s.nelems > s.alloc_count:
        span_set_push(h, mcentral_partial_swept(h, spc), index)
    else:
        span_set_push(h, mcentral_full_swept(h, spc), index)
