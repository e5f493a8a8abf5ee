"""Huge pages: how much of the heap lies in 2 MiB that are in use to the last page.

Where the OS backs memory by transparent huge pages, one of 2 MiB needs one entry of the TLB for its 256 pages of 8 KiB.
It stays whole only while nothing in it is given back to the OS, so what a placement policy is good for shows in how
many huge pages are used wholly.  In use is what spans have; pages in a P's cache are taken in the bitmaps but not in
use.

A chunk is two huge pages, each four words of its bitmap: eight words a chunk are read, and one word for each P.  Not in
Go, whose scavenger only keeps free huge pages whole.
"""

import numpy as np

from ._jit import kjit
from .mpagealloc import chunk_index, chunk_of, chunk_page_index
from .mpallocbits import FULL, U0
from .structs import MAX_PS
from .tables import in_use_range

HUGE_PAGE_BYTES = np.int64(2 << 20)
_WORDS = np.int64(4)


@kjit
def _is_taken(bits, word):
    """Whether all pages of the huge page that begins with ``word`` of bitmap ``bits`` are taken."""
    whole = bits.w[word] & bits.w[word + 1] & bits.w[word + 2] & bits.w[word + 3]
    return whole == FULL


@kjit
def _is_counted(h, p, huge):
    """Whether a P below ``p`` has pages of the huge page at address ``huge`` in its cache."""
    for q in range(p):
        c = h.allp[q].pcache
        if c.cache != U0 and np.int64(c.base_addr) & -HUGE_PAGE_BYTES == huge:
            return True
    return False


@kjit
def _taken_huge_pages(h):
    """Huge pages of the heap whose pages are all taken in the bitmaps."""
    count = np.int64(0)
    for k in range(np.int64(h.in_use_len)):
        r = in_use_range(h, k)
        for c in range(chunk_index(r.base_addr), chunk_index(r.limit)):
            bits = chunk_of(h, c).alloc
            for half in range(2):
                if _is_taken(bits, np.int64(half) * _WORDS):
                    count += 1
    return count


@kjit
def heap_huge_bytes(h):
    """Bytes of aligned huge pages of which every page is in a span, heap or manual."""
    count = _taken_huge_pages(h)
    for p in range(MAX_PS):
        cache = h.allp[p].pcache
        if cache.cache != U0:
            huge = np.int64(cache.base_addr) & -HUGE_PAGE_BYTES
            bits = chunk_of(h, chunk_index(huge)).alloc
            if _is_taken(bits, chunk_page_index(huge) >> 6) and not _is_counted(h, np.int64(p), huge):
                count -= 1
    return count * HUGE_PAGE_BYTES
