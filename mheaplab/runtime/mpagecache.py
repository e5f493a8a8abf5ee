"""pageCache: 64 aligned pages that a P owns, from which spans of under 16 pages are cut without the heap's lock.

``page_alloc_alloc_to_cache`` takes all the free pages of the 64-page block that holds the lowest free page; the cache
then hands out the lowest run that fits and is replaced only when it is empty, so a request that does not fit goes to
the page allocator although the cache stays.  Pages in a cache count as allocated; a cache remembers which of them are
scavenged.

Follows runtime/mpagecache.go of Go 1.19. Not simplified.
"""

import numpy as np

from ._jit import kjit
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
from .mpallocbits import FULL, NOT_FOUND, U0, find_bit_range64, low_mask, palloc_bits_find_first
from .structs import MAX_SEARCH_ADDR, NO, PAGE_CACHE_PAGES, PAGE_SIZE, YES
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
    word = chunk_page_index(start) >> 6
    chunk.alloc.w[word] &= ~c.cache
    chunk.scavenged.w[word] |= c.scav
    h.search_addr = min(np.int64(h.search_addr), start)
    page_alloc_update(h, start, PAGE_CACHE_PAGES, NO)
    c.base_addr = np.int64(0)
    c.cache = U0
    c.scav = U0


@kjit
def page_alloc_alloc_to_cache(h, c):
    """pageAlloc.allocToCache: fill cache ``c`` with the free pages of the block of the lowest free page.

    The cache stays empty when the heap has no free page.
    """
    c.base_addr = np.int64(0)
    c.cache = U0
    c.scav = U0
    search_addr = np.int64(h.search_addr)
    ci = chunk_index(search_addr)
    if ci >= np.int64(h.chunk_end):
        return
    if summary(h, LEAF, ci) != U0:
        j = palloc_bits_find_first(chunk_of(h, ci).alloc, chunk_page_index(search_addr))
        if j == NOT_FOUND:
            raise Throw("bad summary data", ci, search_addr)
        addr = chunk_base(ci) + j * PAGE_SIZE
    else:
        addr = page_alloc_find(h, np.int64(1))
        if addr == 0:
            h.search_addr = MAX_SEARCH_ADDR
            return
        ci = chunk_index(addr)
    chunk = chunk_of(h, ci)
    word = chunk_page_index(addr) >> 6
    start = addr & -(PAGE_CACHE_PAGES * PAGE_SIZE)
    free = chunk.alloc.w[word] ^ FULL
    c.base_addr = start
    c.cache = free
    # Go copies the whole word; scavenged bits of pages that are taken cannot be set, so the mask changes nothing.
    c.scav = chunk.scavenged.w[word] & free
    chunk.alloc.w[word] = FULL
    chunk.scavenged.w[word] &= ~free
    page_alloc_update(h, start, PAGE_CACHE_PAGES, YES)
    h.search_addr = start + PAGE_SIZE * (PAGE_CACHE_PAGES - 1)
