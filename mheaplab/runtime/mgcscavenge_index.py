"""scavengeIndex of Go 1.19: one bit per chunk, set when pages of it were freed that may be worth returning to the OS.

The scavenger works from the highest marked chunk down.  A free marks its chunks; a chunk in which the scavenger finds
nothing loses its mark.  Flushing a page cache marks nothing, so pages that come back that way wait for a neighbour.

Go keeps the search address in an atomic box whose sign says that a free moved it up meanwhile; with one thread all that
remains of this is ``scav_search``, a chunk above which nothing is marked.  This module stands below ``mpagealloc``
because freeing pages marks the index; what scavenges stands above, in ``mgcscavenge``.

Go maps the index's memory as the heap grows, and Go 1.19 has a slip there: 0 stands for "nothing mapped", but the first
growth stores just that as the lower bound.  When the heap has then grown beyond the 128 GiB that a page of the index
covers, the lower bound jumps up, and a growth below it maps, and so clears, memory of the index that is in use: marks
are lost.  ``scavenge_index_grow`` does the same.

Follows scavengeIndex of runtime/mgcscavenge.go and mpagealloc_64bit.go, Go 1.19. Go 1.21 and later weigh occupancy and
time instead; replayed go1.27 cases bring the placement with them.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import clz64
from .mpallocbits import U0, U1, low_mask
from .tables import scav_chunks, scav_chunks_set


@kjit
def scavenge_index_mark(h, first, last):
    """scavengeIndex.mark: mark chunks ``first`` to ``last`` (chunk indexes, inclusive)."""
    for word in range(first >> 6, (last >> 6) + 1):
        low = max(first, word << 6)
        high = min(last, (word << 6) + 63)
        mask = low_mask(high - low + 1) << np.uint64(low & 63)
        scav_chunks_set(h, word, scav_chunks(h, word) | mask)
    if last > np.int64(h.scav_search):
        h.scav_search = last


@kjit
def scavenge_index_grow(h, first, end):
    """scavengeIndex.grow: the heap now has chunks [first, end) too; map their part of the index, which clears it."""
    have_min = np.int64(h.scav_index_min)
    have_max = np.int64(h.scav_index_max)
    phys = np.int64(h.params.phys_page_size)
    need_min = min((first >> 3) & -phys, have_max)
    need_max = max((((end + 7) >> 3) + phys - 1) & -phys, have_min)
    low, high = _subtract(need_min, need_max, have_min, have_max)
    if low < high:
        for word in range(max(low, np.int64(h.scav_min_chunk) >> 3) >> 3, (min(high, have_max) + 7) >> 3):
            scav_chunks_set(h, word, U0)
        if have_min == 0 or need_min < have_min:
            h.scav_index_min = need_min
        if have_max == 0 or need_max > have_max:
            h.scav_index_max = need_max
    lowest = np.int64(h.scav_min_chunk)
    if lowest == 0 or first < lowest:
        h.scav_min_chunk = first


@kinline
def _subtract(low, high, have_low, have_high):
    """addrRange.subtract: [low, high) less [have_low, have_high); empty if nothing is left."""
    if have_low <= low and high <= have_high:
        high = low
    elif have_high < high and low < have_high:
        low = have_high
    elif low < have_low and have_low < high:
        high = have_low
    return low, high


@kinline
def scavenge_index_clear(h, ci):
    """scavengeIndex.clear: take the mark off chunk ``ci``."""
    scav_chunks_set(h, ci >> 6, scav_chunks(h, ci >> 6) & ~(U1 << np.uint64(ci & 63)))


@kjit
def scavenge_index_find(h):
    """scavengeIndex.find: the highest marked chunk, 0 if there is none."""
    search = np.int64(h.scav_search)
    lowest = np.int64(h.scav_min_chunk)
    word = search >> 6
    while search >= 0 and word >= lowest >> 6:
        bits = scav_chunks(h, word)
        if bits != U0:
            ci = (word << 6) + 63 - clz64(bits)
            h.scav_search = ci
            return ci
        word -= 1
    h.scav_search = np.int64(-1)
    return np.int64(0)
