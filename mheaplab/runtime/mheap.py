"""mheap: spans. From pages to spans on allocation, from spans to pages when they die.

On allocation (``mheap_alloc_span``): a span of under 16 pages is cut from the P's page cache, which is refilled with a
64-page block when empty; anything else, and anything without a P, comes from the page allocator; when that has no run
long enough, the heap grows (``mheap_grow``); as a what-if it grows before that (``_grow_early``).  The span's record
comes from the P's cache of 128, which is refilled by half.  The span learns whether its memory may be dirty, gets its
bitmaps, is accounted, and its pages point at it.  Then Go looks whether memory must be given back for it: if the heap
is above its limit, or grew past what it should retain, ``page_alloc_scavenge`` returns as much.  On free the pages go
back and the record to the P's cache.

Sweeping before an allocation (``reclaim``) stands in ``mgcsweep``, because sweeping frees spans: the first of the
cuts that make Go's files acyclic (ARCHITECTURE.md).

Follows runtime/mheap.go of Go 1.19; what 1.22 to 1.27 changed (objects per span, when a span needs zeroing) is in the
parameters.  Simplified: no locks; the limiter that stops scavenging when it takes too much CPU time never does.
"""

import numpy as np

from ._jit import kinline, kjit
from .mem import sys_used
from .mfixalloc import spanalloc_alloc, spanalloc_free
from .mgcscavenge import page_alloc_scavenge
from .mheap_arena import (
    mheap_alloc_needs_zero,
    mheap_set_spans,
    page_bit_clear,
    page_bit_set,
    page_index_of,
)
from .mheap_gcbits import bitmap_words, new_alloc_bits, new_mark_bits
from .mheap_grow import mheap_grow
from .mheap_tiny import tiny_counts_free
from .mpagealloc import Throw, page_alloc_free
from .mpagecache import page_alloc_alloc_to_cache, page_cache_alloc
from .mpallocbits import FULL, U0
from .mplacement import page_alloc_place
from .mspan import mspan_init, mspan_state_box_set, span_alloc_type_manual
from .structs import (
    GC_BITS_CHUNK_WORDS,
    MANUAL_CLASS,
    MAX_SPAN_CLASSES,
    MSPAN_CACHE_LEN,
    NO,
    NO_P,
    PAGE_SHIFT,
    PAGE_SIZE,
    PALLOC_CHUNKS_L2,
    SPAN_ALLOC_HEAP,
    SPAN_ALLOC_PTR_SCALAR_BITS,
    SPAN_ALLOC_STACK,
    SPAN_DEAD,
    SPAN_IN_USE,
    SPAN_MANUAL,
    SPAN_SET_BLOCK_ENTRIES,
)
from .tables import heap_arena, span, span_row

WORST_BITMAP_WASTE = np.int64(16)
"""Words that may stay unused at the end of a bitmap arena."""
MSPAN_REFILL = np.int64(MSPAN_CACHE_LEN // 2)
"""Span records that an empty cache is refilled with."""


@kjit
def mheap_has_room(h, npages):
    """Return whether the tables have room for one event that allocates a span of ``npages``; else set need_arenas.

    Everything an event may take is bounded here, so that inside it nothing runs out: span records for a refill of the
    P's cache, a row of the span log, arenas and chunks for the growth, rows of address ranges, bitmaps to sweep every
    span twice (two collections may come before the next allocation), blocks for every set entry, a record for the links
    of a stack pool's span, and one for the counts of tiny blocks.
    """
    arenas = (npages << PAGE_SHIFT >> np.int64(h.params.log_arena_bytes)) + 2
    h.need_arenas = arenas
    if np.int64(h.spans_len) + MSPAN_REFILL > np.int64(h.spans_cap):
        return False
    if h.log_spans != 0 and np.int64(h.span_log_len) >= np.int64(h.span_log_cap):
        return False
    if np.int64(h.heap_arenas_len) + arenas > np.int64(h.heap_arenas_cap):
        return False
    chunks = arenas << (np.int64(h.params.log_arena_bytes) - np.int64(22))
    if np.int64(h.pallocs_len) + ((chunks >> 13) + 2) * PALLOC_CHUNKS_L2 > np.int64(h.pallocs_cap):
        return False
    if np.int64(h.in_use_len) + 2 > np.int64(h.in_use_cap) or np.int64(h.os_ranges_len) + 3 > np.int64(h.os_ranges_cap):
        return False
    if h.slots_free == 0 and np.int64(h.stack_slots_len) >= np.int64(h.stack_slots_cap):
        return False
    if h.tiny_free == 0 and np.int64(h.tiny_counts_len) >= np.int64(h.tiny_counts_cap):
        return False
    words = 2 * np.int64(h.bits_words) + 2 * WORST_BITMAP_WASTE
    bit_arenas = words // (GC_BITS_CHUNK_WORDS - 2 * WORST_BITMAP_WASTE) + 2
    if np.int64(h.gc_bits_len) + bit_arenas * GC_BITS_CHUNK_WORDS > np.int64(h.gc_bits_cap):
        return False
    blocks = 2 * (np.int64(h.spans_len) // SPAN_SET_BLOCK_ENTRIES + 1) + 4 * MAX_SPAN_CLASSES
    return blocks + 2 <= np.int64(h.set_blocks_cap)


@kjit
def mheap_try_alloc_mspan(h, p):
    """mheap.tryAllocMSpan: a span record from the cache of P ``p``, 0 if it is empty or there is no P."""
    if p == NO_P:
        return np.int64(0)
    c = h.allp[p].mspancache
    if c.n == 0:
        return np.int64(0)
    c.n -= 1
    index = np.int64(c.buf[np.int64(c.n)])
    span(h, index).unused = np.uint32(0)
    return index


@kjit
def mheap_alloc_mspan_locked(h, p):
    """mheap.allocMSpanLocked: a span record from the cache of P ``p``, refilled by half if empty, or from fixalloc."""
    if p == NO_P:
        index = spanalloc_alloc(h)
        span(h, index).unused = np.uint32(0)
        return index
    c = h.allp[p].mspancache
    if c.n == 0:
        for i in range(MSPAN_REFILL):
            index = spanalloc_alloc(h)
            span(h, index).unused = np.uint32(1)
            c.buf[i] = np.uint32(index)
        c.n = MSPAN_REFILL
    return mheap_try_alloc_mspan(h, p)


@kjit
def mheap_free_mspan_locked(h, index):
    """mheap.freeMSpanLocked: give span record ``index`` to the cache of the running P, or to fixalloc if it is full."""
    span(h, index).unused = np.uint32(1)
    p = np.int64(h.current_p)
    if p != NO_P:
        c = h.allp[p].mspancache
        if c.n < MSPAN_CACHE_LEN:
            c.buf[np.int64(c.n)] = np.uint32(index)
            c.n += 1
            return
    spanalloc_free(h, index)


@kjit
def _pages_from_cache(h, npages, p):
    """Pages for allocSpan from the page cache of P ``p``, 0 if it has none; scavenged bytes in ``h.out_scav``."""
    if p == NO_P or npages >= np.int64(h.params.page_cache_pages) >> 2:
        return np.int64(0)
    c = h.allp[p].pcache
    if c.cache == U0:
        page_alloc_alloc_to_cache(h, c)
    return page_cache_alloc(h, c, npages)


@kjit
def _pages_from_heap(h, npages):
    """Pages for allocSpan from the page allocator, growing the heap; 0 when out of memory. Growth: ``h.out_growth``."""
    addr = page_alloc_place(h, npages)
    if addr == 0:
        h.out_growth = mheap_grow(h, npages)
        if h.out_growth == 0:
            return np.int64(0)
        addr = page_alloc_place(h, npages)
        if addr == 0:
            raise Throw("grew heap, but no adequate free space found", npages)
    return addr


@kjit
def _grow_early(h, npages):
    """Grow for a span of ``npages`` if more than the asked part of the mapped heap would be in use. Not Go's.

    What this adds is long enough for the span, so one event grows at most once (``mheap_has_room``).
    """
    st = h.stats
    used = np.int64(st.heap_in_use) + np.int64(st.in_stacks)
    used += np.int64(st.in_ptr_scalar_bits) + np.int64(st.in_work_bufs)
    mapped = used + np.int64(st.heap_free) + np.int64(st.heap_released)
    if (used + npages * PAGE_SIZE) * 100 > mapped * np.int64(h.params.grow_early_percent):
        h.out_growth = mheap_grow(h, npages)


@kjit
def mheap_init_span(h, s, typ, spanclass):
    """The part of mheap.allocSpan that later Go calls initSpan: make ``s``, after mspan.init, a span of ``typ``."""
    s.alloc_type = np.uint8(typ)
    s.limit = np.int64(s.start_addr) + np.int64(s.npages) * PAGE_SIZE
    if span_alloc_type_manual(typ):
        s.manual_free_list = np.int64(0)
        s.slots = np.uint32(0)
        s.nelems = np.uint16(0)
        s.div_mul = np.uint32(0)
        mspan_state_box_set(s, SPAN_MANUAL)
        return
    s.spanclass = np.uint8(spanclass)
    sizeclass = spanclass >> 1
    if sizeclass == 0:
        s.elemsize = np.int64(s.npages) * PAGE_SIZE
        s.nelems = np.uint16(1)
        s.div_mul = np.uint32(0)
    else:
        s.elemsize = np.int64(h.params.class_to_size[sizeclass])
        s.nelems = h.class_nelems[spanclass]
        s.div_mul = h.params.class_to_divmagic[sizeclass]
        s.limit = np.int64(s.start_addr) + np.int64(s.nelems) * np.int64(s.elemsize)
    s.alloc_cache = FULL
    s.gcmark_bits = np.uint32(new_mark_bits(h, s.nelems))
    s.alloc_bits = np.uint32(new_alloc_bits(h, s.nelems))
    h.bits_words += bitmap_words(s.nelems)
    h.stats.slot_bytes += np.int64(s.nelems) * np.int64(s.elemsize)
    s.sweepgen = np.uint32(h.sweepgen)
    mspan_state_box_set(s, SPAN_IN_USE)


@kjit
def _bytes_to_scavenge(h, scav, growth):
    """How much allocSpan returns to the OS for a span of which ``scav`` bytes will be paged in, after ``growth``."""
    todo = np.int64(0)
    limit = np.int64(h.params.memory_limit)
    mapped_ready = np.int64(h.stats.ready) + np.int64(h.params.other_ready)
    if scav + mapped_ready > limit and h.sim.limited == 0:
        todo = scav + mapped_ready - limit
    goal = np.int64(h.gc_percent_goal)
    if goal >= 0 and growth > 0:
        retained = np.int64(h.stats.heap_in_use) + np.int64(h.stats.heap_free)
        if retained + growth > goal:
            todo = max(todo, min(growth, retained + growth - goal))
    return todo


@kjit
def _account_manual(h, typ, nbytes):
    """Add ``nbytes`` (negative on free) to the account of a manual span type."""
    if typ == SPAN_ALLOC_STACK:
        h.stats.in_stacks += nbytes
    elif typ == SPAN_ALLOC_PTR_SCALAR_BITS:
        h.stats.in_ptr_scalar_bits += nbytes
    else:
        h.stats.in_work_bufs += nbytes


@kinline
def _log_span(h, s, typ):
    """Append the row of a new span to the span log."""
    at = np.int64(h.span_log_len)
    h.span_log_len = at + 1
    row = span_row(h, at)
    row.span_base = np.uint64(s.start_addr)
    row.span_npages = np.uint64(s.npages)
    row.span_scav = np.uint64(s.scav)
    row.span_event = h.event
    row.span_class = np.uint32(s.spanclass) if typ == SPAN_ALLOC_HEAP else np.uint32(MANUAL_CLASS)
    row.span_needzero = s.needzero


@kjit
def _account_span(h, typ, nbytes, scav):
    """The accounts of a new span of ``nbytes``, ``scav`` of them scavenged until now."""
    if scav != 0:
        sys_used(h, scav)
        h.stats.heap_released -= scav
    h.stats.heap_free -= nbytes - scav
    if typ == SPAN_ALLOC_HEAP:
        h.stats.heap_in_use += nbytes
    else:
        _account_manual(h, typ, nbytes)


@kjit
def mheap_alloc_span(h, npages, typ, spanclass, p):
    """mheap.allocSpan: index of a new span of ``npages`` for ``typ``, 0 when out of memory. ``p`` NO_P: without a P."""
    h.out_growth = np.int64(0)
    if h.params.grow_early_percent < 100:
        _grow_early(h, npages)
    index = np.int64(0)
    start = _pages_from_cache(h, npages, p)
    if start != 0:
        index = mheap_try_alloc_mspan(h, p)
    else:
        start = _pages_from_heap(h, npages)
        if start == 0:
            return start
    scav = np.int64(h.out_scav)
    if index == 0:
        index = mheap_alloc_mspan_locked(h, p)
    s = span(h, index)
    nbytes = npages * PAGE_SIZE
    mspan_init(s, start, npages)
    s.scav = scav
    s.event = np.uint32(np.uint64(h.event) & np.uint64(0xFFFFFFFF))
    dirty = mheap_alloc_needs_zero(h, start, npages)
    if h.params.scavenged_is_zero != 0 and scav == nbytes:
        dirty = False
    s.needzero = np.uint8(1) if dirty else np.uint8(0)
    mheap_init_span(h, s, typ, spanclass)
    todo = _bytes_to_scavenge(h, scav, np.int64(h.out_growth))
    if p != NO_P and todo > 0:
        h.stats.scavenged_allocation += page_alloc_scavenge(h, todo)
    _account_span(h, typ, nbytes, scav)
    mheap_set_spans(h, start, npages, index)
    if typ == SPAN_ALLOC_HEAP:
        a, byte, mask = page_index_of(h, start)
        page_bit_set(heap_arena(h, a).page_in_use, byte, mask)
        h.pages_in_use += npages
    if h.log_spans != 0:
        _log_span(h, s, typ)
    return index


@kjit
def mheap_free_span_locked(h, index, typ):
    """mheap.freeSpanLocked: return a span's pages and recycle its record."""
    s = span(h, index)
    nbytes = np.int64(s.npages) * PAGE_SIZE
    start = np.int64(s.start_addr)
    if s.state == SPAN_MANUAL:
        if s.alloc_count != 0:
            raise Throw("mheap.freeSpanLocked - invalid stack free", start, s.alloc_count)
    elif s.state == SPAN_IN_USE:
        if s.alloc_count != 0 or np.int64(s.sweepgen) != np.int64(h.sweepgen):
            raise Throw("mheap.freeSpanLocked - invalid free", start, s.alloc_count, s.sweepgen, h.sweepgen)
        h.pages_in_use -= np.int64(s.npages)
        a, byte, mask = page_index_of(h, start)
        page_bit_clear(heap_arena(h, a).page_in_use, byte, mask)
        h.bits_words -= bitmap_words(s.nelems)
        h.stats.slot_bytes -= np.int64(s.nelems) * np.int64(s.elemsize)
        if s.tiny != 0:
            tiny_counts_free(h, s)
    else:
        raise Throw("mheap.freeSpanLocked - invalid span state", start, s.state)
    h.stats.heap_free += nbytes
    if typ == SPAN_ALLOC_HEAP:
        h.stats.heap_in_use -= nbytes
    else:
        _account_manual(h, typ, -nbytes)
    page_alloc_free(h, start, np.int64(s.npages), NO)
    mspan_state_box_set(s, SPAN_DEAD)
    mheap_free_mspan_locked(h, index)


@kinline
def mheap_free_span(h, index):
    """mheap.freeSpan: free the heap span ``index``, in which nothing is allocated."""
    mheap_free_span_locked(h, index, SPAN_ALLOC_HEAP)


@kjit
def mheap_free_manual(h, index, typ):
    """mheap.freeManual: free the manual span ``index``, which was allocated for ``typ``."""
    s = span(h, index)
    s.needzero = np.uint8(1)
    if s.state == SPAN_MANUAL and np.int64(s.alloc_type) != typ:
        raise Throw("manual span freed as another type", s.start_addr, s.alloc_type, typ)
    mheap_free_span_locked(h, index, typ)


@kinline
def mheap_alloc_manual(h, npages, typ, p):
    """mheap.allocManual: a span that is not garbage collected, for ``typ`` other than heap."""
    if not span_alloc_type_manual(typ):
        raise Throw("manual span allocation called with non-manually-managed type", typ)
    return mheap_alloc_span(h, npages, typ, np.int64(0), p)
