"""Sweeping: turn what the mark phase left into free objects and free spans.

A collection ends by raising ``sweepgen`` by two, which makes every span unswept.  Spans are then swept by whoever comes
first: an allocation that needs a span of that class (``mcentral``), the proportional sweep that an allocation pays for
before it takes a span (``deduct_sweep_credit``), the background sweeper (``sweepone``), whoever needs one certain span
swept (``ensure_swept``), or the page reclaimer (``mheap_reclaim``): before the heap grows by a span, it sweeps spans
without any mark, found by the per-page bitmaps of arenas, until as many pages are freed as are asked for; pages freed
beyond that become credit for the next.

``mspan_sweep`` makes the mark bits the alloc bits.  An empty span is freed, others go to the swept set of their class,
partial or full.  Before that the specials of its dead objects are acted on (``mheap_specials``): an object with a
finalizer survives this cycle.

``reclaim`` and ``mheap_alloc`` stand here and not in ``mheap``, since sweeping frees spans: the first of the cuts
that keep the modules acyclic.  Follows runtime/mgcsweep.go and mheap.reclaim of Go 1.19.  Simplified: one thread, so a
span is never being swept by someone else.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import ctz64
from .mbitmap import mspan_count_alloc, mspan_refill_alloc_cache
from .mgcpacer_pace import sweep_pages_target
from .mheap import mheap_alloc_span, mheap_free_span
from .mheap_gcbits import bitmap_words, new_mark_bits
from .mheap_specials import mspan_sweep_specials
from .mpagealloc import Throw
from .mpallocbits import FULL, U0, U1, low_mask
from .mspanset import (
    mcentral_full_swept,
    mcentral_full_unswept,
    mcentral_partial_swept,
    mcentral_partial_unswept,
    span_set_pop,
    span_set_push,
)
from .sim_structs import SWEPT_BY_ALLOCATION, SWEPT_BY_CREDIT, SWEPT_BY_RECLAIM, SWEPT_FOR_OBJECT
from .structs import (
    MAX_SPAN_CLASSES,
    NO,
    PAGE_SHIFT,
    PAGES_PER_RECLAIMER_CHUNK,
    RECLAIM_DONE,
    SPAN_ALLOC_HEAP,
    SPAN_IN_USE,
)
from .tables import gc_bits, heap_arena, span

NO_MORE_WORK = np.int64(-1)
"""sweepone's ^uintptr(0): nothing is left to sweep."""
SWEEP_CLASS_DONE = np.int64(2 * MAX_SPAN_CLASSES)


@kinline
def is_sweep_done(h):
    """isSweepDone: every span has been swept."""
    return h.sweep_drained != 0


@kinline
def sweep_locker_try_acquire(h, s):
    """sweepLocker.tryAcquire: claim span ``s`` for sweeping if it needs it."""
    acquired = False
    if np.int64(s.sweepgen) == np.int64(h.sweepgen) - 2:
        s.sweepgen = np.uint32(h.sweepgen - 1)
        acquired = True
    return acquired


@kinline
def _check_zombies(h, s):
    """The zombie check of mspan.sweep: a marked object at or above freeindex must be allocated."""
    marks = gc_bits(h, s.gcmark_bits)
    allocated = gc_bits(h, s.alloc_bits)
    freeindex = np.int64(s.freeindex)
    for word in range(freeindex >> 6, bitmap_words(s.nelems)):
        bad = marks.word[word] & ~allocated.word[word]
        if word == freeindex >> 6:
            bad &= ~low_mask(freeindex & 63)
        if bad != U0:
            raise Throw("found pointer to free object", s.start_addr, word * 64 + ctz64(bad))


@kjit
def mspan_sweep(h, index, preserve):
    """sweepLocked.sweep: sweep a span claimed by sweepgen - 1; True if that freed it.

    ``preserve``: the caller keeps the span, so it is neither freed nor put in a set.
    """
    s = span(h, index)
    sweepgen = np.int64(h.sweepgen)
    if s.state != SPAN_IN_USE or np.int64(s.sweepgen) != sweepgen - 1:
        raise Throw("mspan.sweep: bad span state", s.start_addr, s.state, s.sweepgen, sweepgen)
    h.pages_swept += np.int64(s.npages)
    h.stats.swept_spans[np.uint32(h.sweeper)] += 1
    h.stats.swept_pages[np.uint32(h.sweeper)] += np.int64(s.npages)
    spc = np.int64(s.spanclass)
    if s.specials != 0:
        mspan_sweep_specials(h, s)
    if s.freeindex < s.nelems:
        _check_zombies(h, s)
    nalloc = mspan_count_alloc(h, s)
    nfreed = np.int64(s.alloc_count) - nalloc
    if nfreed < 0:
        raise Throw("sweep increased allocation count", s.start_addr, s.nelems, nalloc, s.alloc_count)
    s.alloc_count = np.uint16(nalloc)
    s.freeindex = np.uint16(0)
    s.alloc_bits = s.gcmark_bits
    s.gcmark_bits = np.uint32(new_mark_bits(h, s.nelems))
    mspan_refill_alloc_cache(h, s, np.int64(0))
    s.sweepgen = np.uint32(sweepgen)
    if spc >> 1 == 0:
        return _sweep_large_end(h, index, spc, nfreed, preserve)
    if nfreed > 0:
        s.needzero = np.uint8(1)
        h.stats.small_free_count[spc >> 1] += nfreed
        h.stats.total_free += nfreed * np.int64(s.elemsize)
    if preserve:
        return False
    if nalloc == 0:
        mheap_free_span(h, index)
        return True
    if nalloc == np.int64(s.nelems):
        span_set_push(h, mcentral_full_swept(h, spc), index)
    else:
        span_set_push(h, mcentral_partial_swept(h, spc), index)
    return False


@kjit
def _sweep_large_end(h, index, spc, nfreed, preserve):
    """The end of mspan.sweep for a span of one large object."""
    if preserve:
        return False
    if nfreed != 0:
        elemsize = np.int64(span(h, index).elemsize)
        mheap_free_span(h, index)
        h.stats.large_free_count += 1
        h.stats.large_free += elemsize
        h.stats.total_free += elemsize
        return True
    span_set_push(h, mcentral_full_swept(h, spc), index)
    return False


@kinline
def mheap_next_span_for_sweep(h):
    """mheap.nextSpanForSweep: pop the next unswept span, class by class, full before partial; 0 if none is left."""
    sc = np.int64(h.central_index)
    while sc < 4 * np.int64(h.params.n_classes):
        if sc & 1 == 0:
            index = span_set_pop(h, mcentral_full_unswept(h, sc >> 1))
        else:
            index = span_set_pop(h, mcentral_partial_unswept(h, sc >> 1))
        if index != 0:
            h.central_index = sc
            return index
        sc += 1
    h.central_index = SWEEP_CLASS_DONE
    return np.int64(0)


@kjit
def _sweep_next(h):
    """The loop of sweepone: sweep the next span that needs it; its base address, 0 if there is none."""
    while True:
        index = mheap_next_span_for_sweep(h)
        if index == 0:
            h.sweep_drained = np.int64(1)
            return np.int64(0)
        s = span(h, index)
        if s.state != SPAN_IN_USE:
            sweepgen = np.int64(s.sweepgen)
            if sweepgen != np.int64(h.sweepgen) and sweepgen != np.int64(h.sweepgen) + 3:
                raise Throw("non in-use span in unswept list", s.start_addr, s.state, sweepgen, h.sweepgen)
            continue
        if sweep_locker_try_acquire(h, s):
            swept = np.int64(s.start_addr)
            npages = np.int64(s.npages)
            if mspan_sweep(h, index, NO):
                h.reclaim_credit += npages
            return swept


@kinline
def sweepone(h):
    """sweepone: sweep one span; its base address, 0 if all were swept (Go returns pages, NO_MORE_WORK at the end)."""
    return _sweep_next(h) if h.sweep_drained == 0 else np.int64(0)


@kjit
def ensure_swept(h, index):
    """mspan.ensureSwept: sweep span ``index`` now if it still needs it."""
    if h.sweep_drained == 0 and sweep_locker_try_acquire(h, span(h, index)):
        h.sweeper = SWEPT_FOR_OBJECT
        mspan_sweep(h, index, NO)
        h.sweeper = SWEPT_BY_ALLOCATION


@kjit
def _sweep_to_pace(h, span_bytes, caller_sweep_pages):
    """The loop of deductSweepCredit: sweep until the pages swept since the basis are as many as they should be.

    Go starts anew if the basis changes meanwhile, which takes another thread.
    """
    c = h.controller
    target = sweep_pages_target(c, h.stats, span_bytes, caller_sweep_pages)
    while target > np.int64(h.pages_swept) - np.int64(c.pages_swept_basis):
        if sweepone(h) == 0:
            c.sweep_pages_per_byte = np.float64(0.0)
            break


@kinline
def deduct_sweep_credit(h, span_bytes, caller_sweep_pages, credit):
    """deductSweepCredit: what an allocation must sweep before it takes a span of ``span_bytes``.

    In a replay the number of sweepone calls is given as ``credit``; where that is negative, the pace decides.
    """
    h.sweeper = SWEPT_BY_CREDIT
    if credit < 0:
        if h.controller.sweep_pages_per_byte != np.float64(0.0):
            _sweep_to_pace(h, span_bytes, caller_sweep_pages)
    else:
        for _ in range(credit):
            sweepone(h)
    h.sweeper = SWEPT_BY_ALLOCATION


@kjit
def mheap_reclaim_chunk(h, page, n):
    """mheap.reclaimChunk: sweep the unmarked spans that begin in pages [page, page + n) of the arenas; pages freed."""
    if h.sweep_drained != 0:
        return np.int64(0)
    log_arena_pages = np.int64(h.params.log_arena_bytes) - PAGE_SHIFT
    freed = np.int64(0)
    while n > 0:
        ha = heap_arena(h, 1 + (page >> log_arena_pages))
        at = page & ((np.int64(1) << log_arena_pages) - 1)
        word = at >> 6
        # n and the arena's size are whole words, so a word is never looked at in part.
        todo = FULL
        while todo != U0:
            unmarked = ha.page_in_use[word] & ~ha.page_marks[word] & todo
            if unmarked == U0:
                break
            bit = ctz64(unmarked)
            # Sweeping may free other spans' pages and reuse nothing, so the words are read again each time.
            todo = FULL << np.uint64(bit) & ~(U1 << np.uint64(bit))
            index = np.int64(ha.spans[(word << 6) + bit])
            if sweep_locker_try_acquire(h, span(h, index)):
                npages = np.int64(span(h, index).npages)
                if mspan_sweep(h, index, NO):
                    freed += npages
        page += 64
        n -= 64
    return freed


@kinline
def mheap_reclaim(h, npages):
    """mheap.reclaim: sweep until ``npages`` pages have been freed, or paid for by credit, or nothing is left."""
    if np.int64(h.reclaim_index) >= RECLAIM_DONE:
        return
    limit = np.int64(h.sweep_arenas) << (np.int64(h.params.log_arena_bytes) - PAGE_SHIFT)
    h.sweeper = SWEPT_BY_RECLAIM
    while npages > 0:
        credit = np.int64(h.reclaim_credit)
        if credit > 0:
            take = min(credit, npages)
            h.reclaim_credit = credit - take
            npages -= take
            continue
        page = np.int64(h.reclaim_index)
        h.reclaim_index = page + PAGES_PER_RECLAIMER_CHUNK
        if page >= limit:
            h.reclaim_index = RECLAIM_DONE
            break
        found = mheap_reclaim_chunk(h, page, PAGES_PER_RECLAIMER_CHUNK)
        if found <= npages:
            npages -= found
        else:
            h.reclaim_credit += found - npages
            npages = np.int64(0)
    h.sweeper = SWEPT_BY_ALLOCATION


@kjit
def mheap_alloc(h, npages, spanclass, p):
    """mheap.alloc: a heap span of ``spanclass``; while sweeping, first reclaim as many pages. 0: out of memory."""
    if not is_sweep_done(h):
        mheap_reclaim(h, npages)
    return mheap_alloc_span(h, npages, SPAN_ALLOC_HEAP, spanclass, p)
