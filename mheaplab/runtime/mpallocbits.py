"""pageBits and pallocBits: the bitmaps of one 512-page chunk, and what can be asked of them.

A chunk has two bitmaps of eight 64-bit words: ``alloc`` (1: the page is taken) and ``scavenged`` (1: the page is free
and its memory was given back).  Page ``i`` is bit ``i % 64`` of word ``i / 64``.  Searches go from low addresses to
high ones, because the page allocator is first-fit, and return the index found together with the index of the first
free page seen, which the caller may use to raise its search address.

A *summary* of a bitmap is three numbers: free pages at its start, longest free run, free pages at its end.  They are
packed in one word, 21 bits each; a run of 2**21 pages does not fit, and then bit 63 alone means (2**21, 2**21, 2**21).

Follows runtime/mpallocbits.go and pallocSum of mpagealloc.go.  Not simplified; ``palloc_bits_summarize`` finds the
longest run word by word with shift-and-mask halving as Go does, since it runs at every change of a chunk.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import clz64, ctz64, popcount64
from .structs import PALLOC_CHUNK_PAGES

U0 = np.uint64(0)
U1 = np.uint64(1)
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
NOT_FOUND = np.int64(-1)
LOG_MAX_PACKED_VALUE = np.int64(21)
MAX_PACKED_VALUE = np.int64(1 << 21)
_PACK_MASK = np.uint64((1 << 21) - 1)
_PACKED_ALL = np.uint64(1 << 63)
_SHIFT_MAX = np.uint64(21)
_SHIFT_END = np.uint64(42)
FREE_CHUNK_SUM = np.uint64(512 | 512 << 21 | 512 << 42)
"""freeChunkSum: summary of a chunk without an allocated page."""


@kinline
def low_mask(n):
    """Return a word with the ``n`` lowest bits set, 0 <= n <= 64."""
    return FULL if n >= 64 else (U1 << np.uint64(n)) - U1


@kinline
def pack_palloc_sum(start, most, end):
    """packPallocSum: pack three page counts, each at most 2**21, into a summary word."""
    if most == MAX_PACKED_VALUE:
        packed = _PACKED_ALL
    else:
        packed = np.uint64(start) | np.uint64(most) << _SHIFT_MAX | np.uint64(end) << _SHIFT_END
    return packed


@kinline
def palloc_sum_start(packed):
    """pallocSum.start: free pages at the low end."""
    return MAX_PACKED_VALUE if packed == _PACKED_ALL else np.int64(packed & _PACK_MASK)


@kinline
def palloc_sum_max(packed):
    """pallocSum.max: pages of the longest free run."""
    return MAX_PACKED_VALUE if packed == _PACKED_ALL else np.int64((packed >> _SHIFT_MAX) & _PACK_MASK)


@kinline
def palloc_sum_end(packed):
    """pallocSum.end: free pages at the high end."""
    return MAX_PACKED_VALUE if packed == _PACKED_ALL else np.int64((packed >> _SHIFT_END) & _PACK_MASK)


@kjit
def page_bits_set_range(b, i, n):
    """pageBits.setRange: set bits [i, i + n)."""
    j = i + n - 1
    wi = i >> 6
    wj = j >> 6
    if wi == wj:
        b.w[wi] |= low_mask(n) << np.uint64(i & 63)
        return
    b.w[wi] |= FULL << np.uint64(i & 63)
    for k in range(wi + 1, wj):
        b.w[k] = FULL
    b.w[wj] |= low_mask((j & 63) + 1)


@kjit
def page_bits_clear_range(b, i, n):
    """pageBits.clearRange: clear bits [i, i + n)."""
    j = i + n - 1
    wi = i >> 6
    wj = j >> 6
    if wi == wj:
        b.w[wi] &= ~(low_mask(n) << np.uint64(i & 63))
        return
    b.w[wi] &= ~(FULL << np.uint64(i & 63))
    for k in range(wi + 1, wj):
        b.w[k] = U0
    b.w[wj] &= ~low_mask((j & 63) + 1)


@kjit
def page_bits_popcnt_range(b, i, n):
    """pageBits.popcntRange: count the set bits in [i, i + n)."""
    j = i + n - 1
    wi = i >> 6
    wj = j >> 6
    if wi == wj:
        return popcount64((b.w[wi] >> np.uint64(i & 63)) & low_mask(n))
    count = popcount64(b.w[wi] >> np.uint64(i & 63))
    for k in range(wi + 1, wj):
        count += popcount64(b.w[k])
    return count + popcount64(b.w[wj] & low_mask((j & 63) + 1))


@kjit
def find_bit_range64(c, n):
    """findBitRange64: index of the first run of ``n`` one bits in ``c`` (1 <= n <= 64), 64 if there is none."""
    p = n - 1
    k = np.int64(1)
    while p > 0:
        if p <= k:
            c &= c >> np.uint64(p & 63)
            break
        c &= c >> np.uint64(k & 63)
        if c == U0:
            return np.int64(64)
        p -= k
        k *= 2
    return ctz64(c)


@kjit
def _longest_run_within(x, most):
    """Return the longest run of zeros strictly inside word ``x`` if it is longer than ``most``, else ``most``."""
    x >>= np.uint64(ctz64(x) & 63)
    if x & (x + U1) == U0:
        return most
    p = most
    k = np.int64(1)
    while True:
        # Shrink every run of zeros by p, doubling the step; a word without inner zeros has no longer run.
        while p > 0:
            if p <= k:
                x |= x >> np.uint64(p & 63)
                if x & (x + U1) == U0:
                    return most
                break
            x |= x >> np.uint64(k & 63)
            if x & (x + U1) == U0:
                return most
            p -= k
            k *= 2
        x >>= np.uint64(ctz64(~x) & 63)
        j = ctz64(x)
        x >>= np.uint64(j & 63)
        most += j
        if x & (x + U1) == U0:
            return most
        p = j


@kjit
def palloc_bits_summarize(b):
    """pallocBits.summarize: the packed summary of a chunk's alloc bitmap."""
    start = NOT_FOUND
    most = np.int64(0)
    cur = np.int64(0)
    for i in range(8):
        x = b.w[i]
        if x == U0:
            cur += 64
            continue
        cur += ctz64(x)
        if start == NOT_FOUND:
            start = cur
        most = max(most, cur)
        cur = clz64(x)
    if start == NOT_FOUND:
        return FREE_CHUNK_SUM
    most = max(most, cur)
    if most < 62:
        # A run inside one word is at most 62 long, since both ends of the word touch the word's own runs.
        for i in range(8):
            x = b.w[i]
            # The zeros between the word's outer ones bound any run among them: most words need no closer look.
            if x != U0 and 64 - popcount64(x) - ctz64(x) - clz64(x) > most:
                most = _longest_run_within(x, most)
    return pack_palloc_sum(start, most, cur)


@kinline
def palloc_bits_find1(b, search_idx):
    """pallocBits.find1: first free page from the word of ``search_idx`` on, NOT_FOUND if none."""
    found = NOT_FOUND
    for i in range(search_idx >> 6, 8):
        x = b.w[i]
        if x != FULL:
            found = i * 64 + ctz64(~x)
            break
    return found


@kjit
def palloc_bits_find_first(b, search_idx):
    """First free page from the word of ``search_idx`` on: the second result of Go's pallocBits.find."""
    return palloc_bits_find1(b, search_idx)


@kjit
def _find_small_n(b, npages, search_idx):
    """pallocBits.findSmallN: first run of at most 64 pages."""
    end = np.int64(0)
    for i in range(search_idx >> 6, 8):
        bi = b.w[i]
        if bi == FULL:
            end = np.int64(0)
            continue
        if end + ctz64(bi) >= npages:
            return i * 64 - end
        j = find_bit_range64(~bi, npages)
        if j < 64:
            return i * 64 + j
        end = clz64(bi)
    return NOT_FOUND


@kjit
def _find_large_n(b, npages, search_idx):
    """pallocBits.findLargeN: first run of more than 64 pages."""
    start = NOT_FOUND
    run = np.int64(0)
    for i in range(search_idx >> 6, 8):
        x = b.w[i]
        if x == FULL:
            run = np.int64(0)
            continue
        if run == 0:
            run = clz64(x)
            start = i * 64 + 64 - run
            continue
        s = ctz64(x)
        if s + run >= npages:
            return start
        if s < 64:
            run = clz64(x)
            start = i * 64 + 64 - run
            continue
        run += 64
    return start if run >= npages else NOT_FOUND


@kjit
def palloc_bits_find(b, npages, search_idx):
    """pallocBits.find: first page of the first free run of ``npages``, NOT_FOUND if there is none.

    Go also returns the first free page seen; that is ``palloc_bits_find_first`` (numba cannot return a pair cheaply
    through a record-taking function, and only callers that move searchAddr want it).
    """
    if npages == 1:
        return palloc_bits_find1(b, search_idx)
    if npages <= 64:
        return _find_small_n(b, npages, search_idx)
    return _find_large_n(b, npages, search_idx)


@kinline
def palloc_data_alloc_range(m, i, n):
    """pallocData.allocRange: take pages [i, i + n) and forget that they were scavenged."""
    page_bits_set_range(m.alloc, i, n)
    page_bits_clear_range(m.scavenged, i, n)


@kjit
def palloc_data_alloc_all(m):
    """pallocData.allocAll: the same for the whole chunk."""
    page_bits_set_range(m.alloc, np.int64(0), PALLOC_CHUNK_PAGES)
    page_bits_clear_range(m.scavenged, np.int64(0), PALLOC_CHUNK_PAGES)
