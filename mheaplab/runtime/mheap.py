"""mheap: spans and arenas. From pages to spans on allocation, from spans to pages when they die.

On allocation (``mheap_alloc_span``): a span of under 16 pages is cut from the P's page cache, which is refilled with a
64-page block when empty; anything else, and anything without a P, comes from the page allocator; when that has no run
long enough, the heap grows by whole 512-page chunks, from the current arena or from a new one placed by the arena
hints.  The span gets a record, its pages point at it (``mheap_set_spans``), it learns whether its memory may be dirty
(``mheap_alloc_needs_zero``), and it is accounted.  On free the pages go back and the record is recycled.

Sweeping before an allocation (``reclaim``) stands in ``mgcsweep``, because sweeping frees spans: the first of the three
cuts that make Go's files acyclic (ARCHITECTURE.md).

Follows runtime/mheap.go and mheap.sysAlloc of malloc.go, Go 1.19; what 1.22 to 1.27 changed (objects per span, when a
span needs zeroing) is in the parameters.  Simplified: no locks; whether to scavenge on heap growth and
at the memory limit is not decided here (``run`` makes the scavenges that a recorded run says an allocation made).
"""

import numpy as np

from ._jit import kinline, kjit
from .mfixalloc import spanalloc_alloc, spanalloc_free
from .mheap_gcbits import bitmap_words, new_mark_bits
from .mpagealloc import Throw, page_alloc_alloc, page_alloc_free, page_alloc_grow
from .mpagecache import page_alloc_alloc_to_cache, page_cache_alloc
from .mpallocbits import FULL, U0, U1
from .structs import (
    ARENA_BASE_OFFSET,
    GC_BITS_CHUNK_WORDS,
    HEAP_ADDR_BITS,
    MANUAL_CLASS,
    MAX_ADDRESS,
    MAX_SPAN_CLASSES,
    NO,
    NO_P,
    PAGE_CACHE_PAGES,
    PAGE_SHIFT,
    PAGE_SIZE,
    PALLOC_CHUNK_PAGES,
    PALLOC_CHUNKS_L2,
    SPAN_ALLOC_HEAP,
    SPAN_ALLOC_PTR_SCALAR_BITS,
    SPAN_ALLOC_STACK,
    SPAN_DEAD,
    SPAN_IN_USE,
    SPAN_MANUAL,
    SPAN_SET_BLOCK_ENTRIES,
)
from .tables import arena_map, arena_map_set, heap_arena, span, span_row

WORST_BITMAP_WASTE = np.int64(16)
"""Words that may stay unused at the end of a bitmap arena."""


@kinline
def arena_index(h, addr):
    """arenaIndex: index of the arena that holds ``addr``."""
    return (np.int64(addr) + ARENA_BASE_OFFSET) >> np.int64(h.params.log_arena_bytes)


@kinline
def arena_base(h, ai):
    """arenaBase: address of the first byte of arena ``ai``."""
    return (np.int64(ai) << np.int64(h.params.log_arena_bytes)) - ARENA_BASE_OFFSET


@kinline
def arena_page(h, addr):
    """Page of ``addr`` within its arena (Go writes (p / pageSize) % pagesPerArena)."""
    return (np.int64(addr) >> PAGE_SHIFT) & ((np.int64(1) << (np.int64(h.params.log_arena_bytes) - PAGE_SHIFT)) - 1)


@kinline
def arena_of(h, addr):
    """The heapArena record of ``addr``, which must be in a known arena."""
    return heap_arena(h, arena_map(h, arena_index(h, addr)))


@kinline
def span_of_unchecked(h, addr):
    """spanOfUnchecked: span index of the page of ``addr``, which must be in a known arena."""
    return np.int64(arena_of(h, addr).spans[arena_page(h, addr)])


@kjit
def span_of(h, addr):
    """spanOf: index of the span that holds ``addr``, 0 outside known arenas (the page's span may be dead)."""
    if addr < 0 or addr > MAX_ADDRESS:
        return np.int64(0)
    index = arena_map(h, arena_index(h, addr))
    return np.int64(0) if index == 0 else np.int64(heap_arena(h, index).spans[arena_page(h, addr)])


@kinline
def page_bit_set(bits, page):
    """Set the bit of ``page`` in a per-page bitmap of an arena."""
    bits[page >> 6] |= U1 << np.uint64(page & 63)


@kinline
def page_bit_clear(bits, page):
    """Clear the bit of ``page`` in a per-page bitmap of an arena."""
    bits[page >> 6] &= ~(U1 << np.uint64(page & 63))


@kjit
def mheap_has_room(h, npages):
    """Return whether the tables have room for one event that allocates a span of ``npages``; else set need_arenas.

    Everything an event may take is bounded here, so that inside it nothing can run out: one span record, a row of the
    span log, arenas and chunks for the growth, bitmaps to sweep every span once, and blocks for every set entry.
    """
    arenas = (npages << PAGE_SHIFT >> np.int64(h.params.log_arena_bytes)) + 2
    h.need_arenas = arenas
    if h.span_free == 0 and np.int64(h.spans_len) >= np.int64(h.spans_cap):
        return False
    if h.log_spans != 0 and np.int64(h.span_log_len) >= np.int64(h.span_log_cap):
        return False
    if np.int64(h.heap_arenas_len) + arenas > np.int64(h.heap_arenas_cap):
        return False
    chunks = arenas << (np.int64(h.params.log_arena_bytes) - np.int64(22))
    if np.int64(h.pallocs_len) + ((chunks >> 13) + 2) * PALLOC_CHUNKS_L2 > np.int64(h.pallocs_cap):
        return False
    if np.int64(h.in_use_len) + 2 > np.int64(h.in_use_cap):
        return False
    words = np.int64(h.bits_words) + 2 * WORST_BITMAP_WASTE
    bit_arenas = words // (GC_BITS_CHUNK_WORDS - 2 * WORST_BITMAP_WASTE) + 2
    if np.int64(h.gc_bits_len) + bit_arenas * GC_BITS_CHUNK_WORDS > np.int64(h.gc_bits_cap):
        return False
    blocks = 2 * (np.int64(h.spans_len) // SPAN_SET_BLOCK_ENTRIES + 1) + 4 * MAX_SPAN_CLASSES
    return blocks + 2 <= np.int64(h.set_blocks_cap)


@kinline
def mheap_sys_reserve(h, addr, nbytes):
    """sysReserve: whether the simulated OS gives [addr, addr + nbytes), and accounts it as reserved."""
    if addr < 0 or addr + nbytes - 1 > MAX_ADDRESS:
        return False
    h.stats.reserved += nbytes
    return True


@kinline
def mheap_sys_alloc(h, nbytes):
    """mheap.sysAlloc: reserve arenas for ``nbytes`` (already whole arenas) by the hints; address, 0 when refused."""
    v = np.int64(0)
    while h.n_hints > 0:
        hint = h.hints[np.int64(h.n_hints) - 1]
        p = np.int64(hint.addr)
        if hint.down != 0:
            p -= nbytes
        if mheap_sys_reserve(h, p, nbytes):
            v = p
            hint.addr = p if hint.down != 0 else p + nbytes
            break
        h.n_hints -= 1
    if v == 0:
        return v
    for ai in range(arena_index(h, v), arena_index(h, v + nbytes - 1) + 1):
        if arena_map(h, ai) != 0:
            raise Throw("arena already initialized", ai)
        index = np.int64(h.heap_arenas_len)
        h.heap_arenas_len = index + 1
        heap_arena(h, index).arena_idx = ai
        arena_map_set(h, ai, index)
    return v


@kinline
def mheap_sys_map(h, start, nbytes):
    """sysMap: the reserved range becomes heap memory, still unbacked, hence released."""
    h.stats.heap_released += nbytes
    h.stats.mapped += nbytes
    page_alloc_grow(h, start, nbytes)


@kinline
def mheap_grow(h, npages):
    """mheap.grow: make at least ``npages`` more pages known to the page allocator; False when the OS refuses."""
    ask = ((npages + PALLOC_CHUNK_PAGES - 1) & -PALLOC_CHUNK_PAGES) << PAGE_SHIFT
    phys = np.int64(h.params.phys_page_size)
    n_base = (np.int64(h.cur_arena_base) + ask + phys - 1) & -phys
    if n_base > np.int64(h.cur_arena_end):
        arena_bytes = np.int64(1) << np.int64(h.params.log_arena_bytes)
        size = (ask + arena_bytes - 1) & -arena_bytes
        v = mheap_sys_alloc(h, size)
        if v == 0:
            return False
        if v == np.int64(h.cur_arena_end):
            h.cur_arena_end = v + size
        else:
            rest = np.int64(h.cur_arena_end) - np.int64(h.cur_arena_base)
            if rest != 0:
                mheap_sys_map(h, np.int64(h.cur_arena_base), rest)
            h.cur_arena_base = v
            h.cur_arena_end = v + size
        n_base = (np.int64(h.cur_arena_base) + ask + phys - 1) & -phys
    start = np.int64(h.cur_arena_base)
    h.cur_arena_base = n_base
    mheap_sys_map(h, start, n_base - start)
    return True


@kjit
def mheap_alloc_needs_zero(h, start, npages):
    """mheap.allocNeedsZero: whether any page of the range was used before; moves zeroedBase over the range."""
    need_zero = False
    arena_bytes = np.int64(1) << np.int64(h.params.log_arena_bytes)
    while npages > 0:
        ha = arena_of(h, start)
        zeroed = np.int64(ha.zeroed_base)
        low = start & (arena_bytes - 1)
        if low < zeroed:
            need_zero = True
        high = min(low + npages * PAGE_SIZE, arena_bytes)
        if high > zeroed:
            ha.zeroed_base = high
        start += high - low
        npages -= (high - low) >> PAGE_SHIFT
    return need_zero


@kjit
def mheap_set_spans(h, start, npages, s):
    """mheap.setSpans: point every page of [start, start + npages) at span index ``s``."""
    arena_pages = np.int64(1) << (np.int64(h.params.log_arena_bytes) - PAGE_SHIFT)
    while npages > 0:
        ha = arena_of(h, start)
        page = arena_page(h, start)
        n = min(npages, arena_pages - page)
        for i in range(page, page + n):
            ha.spans[i] = np.uint32(s)
        start += n << PAGE_SHIFT
        npages -= n


@kjit
def _alloc_pages(h, npages, p):
    """Pages for allocSpan: address, 0 when out of memory; scavenged bytes in ``h.out_scav``."""
    if p != NO_P and h.params.page_cache != 0 and npages < PAGE_CACHE_PAGES // 4:
        c = h.allp[p].pcache
        if c.cache == U0:
            page_alloc_alloc_to_cache(h, c)
        addr = page_cache_alloc(h, c, npages)
        if addr != 0:
            return addr
    addr = page_alloc_alloc(h, npages)
    if addr == 0:
        if not mheap_grow(h, npages):
            return np.int64(0)
        addr = page_alloc_alloc(h, npages)
        if addr == 0:
            raise Throw("grew heap, but no adequate free space found", npages)
    return addr


@kinline
def mheap_init_span(h, s, typ, spanclass):
    """mspan.init and mheap.initSpan: what a span is used for; its pages, scav and needzero are set already."""
    s.alloc_count = np.uint16(0)
    s.alloc_count_before_cache = np.uint16(0)
    s.freeindex = np.uint16(0)
    s.alloc_type = np.uint8(typ)
    s.limit = np.int64(s.start_addr) + np.int64(s.npages) * PAGE_SIZE
    if typ != SPAN_ALLOC_HEAP:
        s.spanclass = np.uint8(0)
        s.elemsize = np.int64(0)
        s.nelems = np.uint16(0)
        s.div_mul = np.uint32(0)
        s.alloc_bits = np.uint32(0)
        s.gcmark_bits = np.uint32(0)
        s.state = np.uint8(SPAN_MANUAL)
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
    s.alloc_bits = np.uint32(new_mark_bits(h, s.nelems))
    h.bits_words += bitmap_words(s.nelems)
    s.sweepgen = np.uint32(h.sweepgen)
    s.state = np.uint8(SPAN_IN_USE)


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
def mheap_alloc_span(h, npages, typ, spanclass, p):
    """mheap.allocSpan: index of a new span of ``npages`` for ``typ``, 0 when out of memory. ``p`` NO_P: without a P."""
    start = _alloc_pages(h, npages, p)
    if start == 0:
        return np.int64(0)
    scav = np.int64(h.out_scav)
    index = spanalloc_alloc(h)
    s = span(h, index)
    nbytes = npages * PAGE_SIZE
    s.start_addr = start
    s.npages = npages
    s.scav = scav
    s.event = np.uint32(np.uint64(h.event) & np.uint64(0xFFFFFFFF))
    dirty = mheap_alloc_needs_zero(h, start, npages)
    if h.params.scavenged_is_zero != 0 and scav == nbytes:
        dirty = False
    s.needzero = np.uint8(1) if dirty else np.uint8(0)
    mheap_init_span(h, s, typ, spanclass)
    h.stats.heap_released -= scav
    h.stats.heap_free -= nbytes - scav
    if typ == SPAN_ALLOC_HEAP:
        h.stats.heap_in_use += nbytes
        h.pages_in_use += npages
        page_bit_set(arena_of(h, start).page_in_use, arena_page(h, start))
    else:
        _account_manual(h, typ, nbytes)
    mheap_set_spans(h, start, npages, index)
    if h.log_spans != 0:
        _log_span(h, s, typ)
    return index


@kjit
def mheap_free_span(h, index):
    """mheap.freeSpan and freeManual (freeSpanLocked): return a span's pages and recycle its record."""
    s = span(h, index)
    nbytes = np.int64(s.npages) * PAGE_SIZE
    start = np.int64(s.start_addr)
    if s.state == SPAN_MANUAL:
        if s.alloc_count != 0:
            raise Throw("mheap.freeSpanLocked - invalid stack free", start, s.alloc_count)
        _account_manual(h, np.int64(s.alloc_type), -nbytes)
    elif s.state == SPAN_IN_USE:
        if s.alloc_count != 0 or np.int64(s.sweepgen) != np.int64(h.sweepgen):
            raise Throw("mheap.freeSpanLocked - invalid free", start, s.alloc_count, s.sweepgen, h.sweepgen)
        h.pages_in_use -= np.int64(s.npages)
        page_bit_clear(arena_of(h, start).page_in_use, arena_page(h, start))
        h.bits_words -= bitmap_words(s.nelems)
        h.stats.heap_in_use -= nbytes
    else:
        raise Throw("mheap.freeSpanLocked - invalid span state", start, s.state)
    h.stats.heap_free += nbytes
    page_alloc_free(h, start, np.int64(s.npages), NO)
    s.state = np.uint8(SPAN_DEAD)
    spanalloc_free(h, index)


@kinline
def mheap_alloc_manual(h, npages, typ, p):
    """mheap.allocManual: a span that is not garbage collected, for ``typ`` other than heap."""
    if typ == SPAN_ALLOC_HEAP:
        raise Throw("manual span allocation called with non-manually-managed type", typ)
    return mheap_alloc_span(h, npages, typ, np.int64(0), p)


def address_bits_ok(addr):
    """Return whether ``addr`` is a legal user address (plain Python)."""
    return 0 < addr < 1 << (int(HEAP_ADDR_BITS) - 1)
