"""mcache: the spans a P allocates from, one of each class, and how they are changed.

When the span of a class is full, ``mcache_refill`` gives it back to its central and takes another.  Statistics of small
objects are counted here, when a span is given back, as in Go: between two flushes MemStats lags behind.

Large objects (over 32 KiB) go past the caches: ``mcache_alloc_large``.

Follows runtime/mcache.go of Go 1.19. Stack caches are in ``stack``. Simplified: scanAlloc (bytes to scan) is not known
without types; a run of the twin's own takes a share of the slots.
"""

import numpy as np

from ._jit import kinline, kjit
from .gofloat import go_uint64
from .mcentral import mcentral_cache_span, mcentral_uncache_span
from .mgcsweep import deduct_sweep_credit, mheap_alloc
from .mpagealloc import Throw
from .mspanset import mcentral_full_swept, span_set_push
from .structs import GC_OFF, NO_P, PAGE_SHIFT, PAGE_SIZE
from .tables import span


@kinline
def p_or_p0(p):
    """getMCache: without a P the mcache used is mcache0, which P 0 owns."""
    return np.int64(0) if p == NO_P else p


@kinline
def _count_scannable(h, nbytes, spc):
    """gcController.update's heapScan: new bytes that may hold pointers. Go fixes the number while it marks.

    Go adds up to the last pointer of each object when the mcache next takes a span; here it is a share of the slots,
    when the span goes back.
    """
    if h.sim.on != 0 and spc & 1 == 0 and h.gcphase == GC_OFF:
        h.controller.heap_scan += go_uint64(np.float64(nbytes) * h.sim.params.scan_share)


@kinline
def _count_allocated(h, s, spc):
    """Count what was allocated from ``s`` since the mcache took it."""
    used = np.int64(s.alloc_count) - np.int64(s.alloc_count_before_cache)
    s.alloc_count_before_cache = np.uint16(0)
    h.stats.small_alloc_count[spc >> 1] += used
    h.stats.total_alloc += used * np.int64(s.elemsize)
    _count_scannable(h, used * np.int64(s.elemsize), spc)


@kinline
def mcache_refill(h, spc, p, credit):
    """mcache.refill: give the full span of ``spc`` back and cache another; False when out of memory.

    ``credit`` is the number of sweepone calls that the proportional sweep makes first.
    """
    c = h.allp[p_or_p0(p)].mcache
    index = np.int64(c.alloc[spc])
    s = span(h, index)
    if s.alloc_count != s.nelems:
        raise Throw("refill of span with free space remaining", s.start_addr, s.alloc_count, s.nelems)
    if index != 0:
        if np.int64(s.sweepgen) != np.int64(h.sweepgen) + 3:
            raise Throw("bad sweepgen in refill", s.start_addr, s.sweepgen, h.sweepgen)
        # A span with this sweepgen is only put in a set, so it may be counted before as well as after (Go).
        _count_allocated(h, s, spc)
        mcentral_uncache_span(h, spc, index)
        if spc >> 1 == np.int64(h.params.tiny_class) and spc & 1 == 1:
            h.stats.tiny_alloc_count += c.tiny_allocs
            c.tiny_allocs = np.int64(0)
    index = mcentral_cache_span(h, spc, p, credit)
    if index == 0:
        # The old span is in its central by now. Go would throw here; the twin may go on.
        c.alloc[spc] = np.uint32(0)
        return False
    s = span(h, index)
    s.sweepgen = np.uint32(h.sweepgen + 3)
    s.alloc_count_before_cache = s.alloc_count
    h.stats.heap_live += np.int64(s.npages) * PAGE_SIZE - np.int64(s.alloc_count) * np.int64(s.elemsize)
    c.alloc[spc] = np.uint32(index)
    return True


@kinline
def mcache_alloc_large(h, nbytes, noscan, p, credit):
    """mcache.allocLarge: index of a span for one object of ``nbytes``, 0 when out of memory."""
    npages = (nbytes + PAGE_SIZE - 1) >> PAGE_SHIFT
    deduct_sweep_credit(h, npages << PAGE_SHIFT, npages, credit)
    spc = np.int64(1) if noscan else np.int64(0)
    index = mheap_alloc(h, npages, spc, p)
    if index == 0:
        return index
    h.stats.large_alloc += npages * PAGE_SIZE
    h.stats.large_alloc_count += 1
    h.stats.total_alloc += npages * PAGE_SIZE
    h.stats.heap_live += npages * PAGE_SIZE
    _count_scannable(h, npages * PAGE_SIZE, spc)
    span_set_push(h, mcentral_full_swept(h, spc), index)
    span(h, index).limit = np.int64(span(h, index).start_addr) + nbytes
    return index


@kjit
def mcache_release_all(h, p):
    """mcache.releaseAll: give every cached span of P ``p`` back to its central and end the tiny block."""
    c = h.allp[p_or_p0(p)].mcache
    for spc in range(2 * np.int64(h.params.n_classes)):
        index = np.int64(c.alloc[spc])
        if index == 0:
            continue
        s = span(h, index)
        _count_allocated(h, s, np.int64(spc))
        if np.int64(s.sweepgen) != np.int64(h.sweepgen) + 1:
            h.stats.heap_live -= (np.int64(s.nelems) - np.int64(s.alloc_count)) * np.int64(s.elemsize)
        mcentral_uncache_span(h, np.int64(spc), index)
        c.alloc[spc] = np.uint32(0)
    c.tiny = np.int64(0)
    c.tinyoffset = np.int64(0)
    h.stats.tiny_alloc_count += c.tiny_allocs
    c.tiny_allocs = np.int64(0)
