"""mheap: arenas, and what an address tells. Which arena, which span, which bit of an arena's bitmaps.

An arena is 64 MiB of address space (a parameter) with a ``HEAP_ARENA`` record: the span of each page, three bitmaps
with one bit per page (``page_in_use``, ``page_marks``, ``page_specials``; only the bit of a span's first page is used),
and ``zeroed_base``, up to where the arena has ever been used.  The arenas map leads from an address to the record.
Go's map is flat on linux/amd64 (``arena_l1_bits`` 0) and has two levels on windows/amd64 (6 bits): a first level of
pointers to maps that are made when first needed.  Here the entries stand in one table in either case; of the first
level there is the bit that says whether the second exists.

Per-page bitmaps are words here and bytes in Go; ``page_index_of`` speaks of bytes, as Go does.

Follows runtime/mheap.go of Go 1.19: arenaIndex to pageIndexOf, setSpans, allocNeedsZero, spanHasSpecials.
"""

import numpy as np

from ._jit import kinline, kjit
from .mpallocbits import U1
from .structs import ARENA_BASE_OFFSET, HEAP_ADDR_BITS, MAX_ADDRESS, PAGE_SHIFT, PAGE_SIZE, SPAN_DEAD, SPAN_IN_USE
from .tables import arena_map, heap_arena, span


@kinline
def arena_index(h, addr):
    """arenaIndex: index of the arena that holds ``addr``."""
    return (np.int64(addr) + ARENA_BASE_OFFSET) >> np.int64(h.params.log_arena_bytes)


@kinline
def arena_base(h, ai):
    """arenaBase: address of the first byte of arena ``ai``."""
    return (np.int64(ai) << np.int64(h.params.log_arena_bytes)) - ARENA_BASE_OFFSET


@kinline
def arena_l2_bits(h):
    """arenaL2Bits: bits of an arena's index below the first level of the arenas map."""
    return HEAP_ADDR_BITS - np.int64(h.params.log_arena_bytes) - np.int64(h.params.arena_l1_bits)


@kinline
def arena_idx_l1(h, ai):
    """arenaIdx.l1: index of arena ``ai`` in the first level of the arenas map; 0 where the map is flat."""
    return np.int64(0) if h.params.arena_l1_bits == 0 else np.int64(ai) >> arena_l2_bits(h)


@kinline
def arena_idx_l2(h, ai):
    """arenaIdx.l2: index of arena ``ai`` in its second level."""
    return np.int64(ai) if h.params.arena_l1_bits == 0 else np.int64(ai) & ((np.int64(1) << arena_l2_bits(h)) - 1)


@kinline
def arenas_lookup(h, ai):
    """mheap.arenas[l1][l2]: record index of arena ``ai``, 0 where there is none.

    Go looks first whether the second level is there; here its entries read as 0 until it is made.
    """
    return np.int64(arena_map(h, ai))


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
    index = arenas_lookup(h, arena_index(h, addr))
    return np.int64(0) if index == 0 else np.int64(heap_arena(h, index).spans[arena_page(h, addr)])


@kjit
def span_of_heap(h, addr):
    """spanOfHeap: index of the heap span in use between whose base and limit ``addr`` lies, 0 if none."""
    index = span_of(h, addr)
    if index == 0:
        return index
    s = span(h, index)
    outside = s.state != SPAN_IN_USE or addr < np.int64(s.start_addr) or addr >= np.int64(s.limit)
    return np.int64(0) if outside else index


@kjit
def in_heap(h, addr):
    """inheap: whether ``addr`` lies in a heap span in use."""
    return span_of_heap(h, addr) != 0


@kjit
def in_heap_or_stack(h, addr):
    """inHeapOrStack: whether ``addr`` lies in a heap span or in a manual one."""
    index = span_of(h, addr)
    if index == 0:
        return False
    s = span(h, index)
    return s.state != SPAN_DEAD and np.int64(s.start_addr) <= addr and addr < np.int64(s.limit)


@kinline
def page_index_of(h, addr):
    """pageIndexOf: record index of the arena of ``addr``, and byte and mask of its page in the arena's bitmaps."""
    page = arena_page(h, addr)
    return np.int64(arena_map(h, arena_index(h, addr))), page >> 3, np.int64(1) << (page & 7)


@kinline
def page_bit_set(bits, byte, mask):
    """Set the bit of ``page_index_of`` in a per-page bitmap of an arena."""
    bits[byte >> 3] |= np.uint64(mask) << np.uint64((byte & 7) << 3)


@kinline
def page_bit_clear(bits, byte, mask):
    """Clear the bit of ``page_index_of`` in a per-page bitmap of an arena."""
    bits[byte >> 3] &= ~(np.uint64(mask) << np.uint64((byte & 7) << 3))


@kinline
def page_bit(bits, page):
    """Return the bit of ``page`` in a per-page bitmap of an arena, as a word."""
    return (bits[np.int64(page) >> 6] >> np.uint64(np.int64(page) & 63)) & U1


@kjit
def span_has_specials(h, s):
    """spanHasSpecials: set the page_specials bit of span ``s``."""
    a, byte, mask = page_index_of(h, s.start_addr)
    page_bit_set(heap_arena(h, a).page_specials, byte, mask)


@kjit
def span_has_no_specials(h, s):
    """spanHasNoSpecials: clear the page_specials bit of span ``s``."""
    a, byte, mask = page_index_of(h, s.start_addr)
    page_bit_clear(heap_arena(h, a).page_specials, byte, mask)


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
