"""pageCache: 64 aligned pages that a P owns, from which spans of under 16 pages are cut without the heap's lock.

``page_alloc_alloc_to_cache`` takes all the free pages of the 64-page block that holds the lowest free page; the cache
then hands out the lowest run that fits and is replaced only when it is empty, so a request that does not fit goes to
the page allocator although the cache stays.  Pages in a cache count as allocated; a cache remembers which of them are
scavenged.

What-ifs: a block may have 8, 16 or 32 pages, then it is a part of a word of the bitmaps and stands in the low bits of
the cache's words; and under a placement other than first fit (``mplacement``) it is the block in which the policy would
put one page.

Follows runtime/mpagecache.go of Go 1.19. Not simplified.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import ctz64, popcount64
from .mpagealloc import (
    LEAF,
    Throw,
    chunk_base,
    chunk_index,
    chunk_of,
    chunk_page_index,
    page_alloc_find,
    page_alloc_update,
)
from .mpallocbits import NOT_FOUND, U0, find_bit_range64, low_mask, palloc_bits_find_first
from .mplacement import FIRST_FIT, page_alloc_find_placed, page_alloc_placed
from .structs import MAX_SEARCH_ADDR, NO, PAGE_SIZE, YES
from .tables import summary


@kjit
def page_cache_alloc(h, c, npages):
    """pageCache.alloc: address of ``npages`` pages from cache ``c``, 0 if no run fits. Scavenged bytes: out_scav."""
    h.out_scav = np.int64(0)
    if c.cache == U0:
        return np.int64(0)
    i = ctz64(c.cache) if npages == 1 else find_bit_range64(c.cache, npages)
    if i >= 64:
        return np.int64(0)
    mask = low_mask(npages) << np.uint64(i)
    h.out_scav = popcount64(c.scav & mask) * PAGE_SIZE
    c.cache &= ~mask
    c.scav &= ~mask
    return np.int64(c.base_addr) + i * PAGE_SIZE


@kjit
def page_cache_flush(h, c):
    """pageCache.flush: give the pages of cache ``c`` back to the page allocator. The scavenger is not told."""
    if c.cache == U0:
        return
    start = np.int64(c.base_addr)
    chunk = chunk_of(h, chunk_index(start))
    page = chunk_page_index(start)
    chunk.alloc.w[page >> 6] &= ~(c.cache << np.uint64(page & 63))
    chunk.scavenged.w[page >> 6] |= c.scav << np.uint64(page & 63)
    h.search_addr = min(np.int64(h.search_addr), start)
    page_alloc_update(h, start, np.int64(h.params.page_cache_pages), NO)
    c.base_addr = np.int64(0)
    c.cache = U0
    c.scav = U0


@kjit
def _lowest_free_page(h):
    """Address of the lowest free page, 0 if the heap has none."""
    search_addr = np.int64(h.search_addr)
    ci = chunk_index(search_addr)
    if ci >= np.int64(h.chunk_end):
        return np.int64(0)
    if summary(h, LEAF, ci) != U0:
        j = palloc_bits_find_first(chunk_of(h, ci).alloc, chunk_page_index(search_addr))
        if j == NOT_FOUND:
            raise Throw("bad summary data", ci, search_addr)
        return chunk_base(ci) + j * PAGE_SIZE
    addr = page_alloc_find(h, np.int64(1))
    if addr == 0:
        h.search_addr = MAX_SEARCH_ADDR
    return addr


@kinline
def _take_block(h, c, start, pages):
    """Move the free ones of ``pages`` aligned pages at ``start``, one of which is free, from their chunk to ``c``."""
    chunk = chunk_of(h, chunk_index(start))
    word = chunk_page_index(start) >> 6
    shift = np.uint64(chunk_page_index(start) & 63)
    free = ~chunk.alloc.w[word] & (low_mask(pages) << shift)
    c.base_addr = start
    c.cache = free >> shift
    # Go copies the whole word; scavenged bits of pages that are taken cannot be set, so the mask changes nothing.
    c.scav = (chunk.scavenged.w[word] & free) >> shift
    chunk.alloc.w[word] |= free
    chunk.scavenged.w[word] &= ~free


@kjit
def page_alloc_alloc_to_cache(h, c):
    """pageAlloc.allocToCache: fill cache ``c`` with the free pages of the block of the lowest free page.

    The cache stays empty when the heap has no free page.
    """
    c.base_addr = np.int64(0)
    c.cache = U0
    c.scav = U0
    first_fit = h.params.placement == FIRST_FIT
    addr = _lowest_free_page(h) if first_fit else page_alloc_find_placed(h, np.int64(1))
    if addr == 0:
        return
    pages = np.int64(h.params.page_cache_pages)
    start = addr & -(pages * PAGE_SIZE)
    _take_block(h, c, start, pages)
    page_alloc_update(h, start, pages, YES)
    if first_fit:
        h.search_addr = start + PAGE_SIZE * (pages - 1)
    else:
        page_alloc_placed(h, start, pages)
