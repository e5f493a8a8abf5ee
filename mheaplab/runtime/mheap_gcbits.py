"""gcBits arenas: where the mark and alloc bitmaps of spans live.

A span has two bitmaps of one bit per object: ``alloc_bits`` (what was allocated at the last sweep) and ``gcmark_bits``
(what the running collection has reached).  Sweeping a span makes its mark bits the new alloc bits and asks for fresh
mark bits.  Bitmaps are never freed one by one: they are bump-allocated from arenas of 64 KiB, and all bitmaps of a
generation die together.  ``next`` takes new bitmaps; at each collection next becomes ``current``, current becomes
``previous``, and the arenas of previous, which nothing refers to any more, go to the ``free`` list.

What the arenas take from the OS is accounted in ``stats.gc_bits_sys`` (Go counts it in GCSys). A bitmap is named by the
index of its first word; ``gc_bits_bytep`` and ``gc_bits_bitp`` speak of its bytes, as Go does.

Layout: the table ``gc_bits`` is one array of words, cut into arenas of 8192 words.  An arena is named by its first
word's index; word 0 of an arena holds how many words of it are used (header included), word 1 the next arena in its
list.  Index 0 is nil (the table's first arena is not used).

Follows gcBits, gcBitsArena, newMarkBits, nextMarkBitArenaEpoch of runtime/mheap.go, Go 1.19.  Simplified: the epoch
of a replayed run turns when the sweep phase starts, not when the mark phase does, since a recording does not say when
that was; between the two no bitmap dies, so only the moment at which a free arena is reused differs.
"""

import numpy as np

from ._jit import kinline, kjit
from .mpagealloc import Throw
from .structs import GC_BITS_CHUNK_WORDS, GC_BITS_HEADER_WORDS
from .tables import gc_bits, gc_bits_set_word, gc_bits_word


@kinline
def bitmap_words(nelems):
    """Words of a bitmap for ``nelems`` objects."""
    return (np.int64(nelems) + 63) >> 6


@kjit
def new_arena_may_unlock(h):
    """newArenaMayUnlock: an empty, zeroed bitmap arena from the free list or from the OS."""
    a = np.int64(h.bits_free)
    if a != 0:
        h.bits_free = np.int64(gc_bits_word(h, a + 1))
        for w in range(a, a + np.int64(gc_bits_word(h, a))):
            gc_bits_set_word(h, w, np.int64(0))
    else:
        a = np.int64(h.gc_bits_len)
        if a + GC_BITS_CHUNK_WORDS > np.int64(h.gc_bits_cap):
            raise Throw("runtime: cannot allocate memory", a)
        h.gc_bits_len = a + GC_BITS_CHUNK_WORDS
        h.stats.gc_bits_sys += GC_BITS_CHUNK_WORDS * 8
    gc_bits_set_word(h, a, GC_BITS_HEADER_WORDS)
    gc_bits_set_word(h, a + 1, np.int64(0))
    return a


@kjit
def gc_bits_arena_try_alloc(h, a, words):
    """gcBitsArena.tryAlloc: bump-allocate ``words`` from arena ``a``; the bitmap's index, 0 if there is no room."""
    if a == 0:
        return np.int64(0)
    used = np.int64(gc_bits_word(h, a))
    if used + words > GC_BITS_CHUNK_WORDS:
        return np.int64(0)
    gc_bits_set_word(h, a, used + words)
    return a + used


@kjit
def new_mark_bits(h, nelems):
    """newMarkBits: a cleared bitmap for ``nelems`` objects, as word index."""
    words = bitmap_words(nelems)
    bits = gc_bits_arena_try_alloc(h, np.int64(h.bits_next), words)
    if bits == 0:
        fresh = new_arena_may_unlock(h)
        bits = gc_bits_arena_try_alloc(h, fresh, words)
        if bits == 0:
            raise Throw("markBits overflow", nelems)
        gc_bits_set_word(h, fresh + 1, np.int64(h.bits_next))
        h.bits_next = fresh
    return bits


@kinline
def new_alloc_bits(h, nelems):
    """newAllocBits: the same for the alloc bits of a new span."""
    return new_mark_bits(h, nelems)


@kjit
def next_mark_bit_arena_epoch(h):
    """nextMarkBitArenaEpoch: free previous, and let current and next each grow one generation older."""
    a = np.int64(h.bits_previous)
    if a != 0:
        last = a
        while np.int64(gc_bits_word(h, last + 1)) != 0:
            last = np.int64(gc_bits_word(h, last + 1))
        gc_bits_set_word(h, last + 1, h.bits_free)
        h.bits_free = a
    h.bits_previous = h.bits_current
    h.bits_current = h.bits_next
    h.bits_next = np.int64(0)


@kinline
def gc_bits_bytep(h, bits, n):
    """gcBits.bytep: byte ``n`` of bitmap ``bits``."""
    return (gc_bits(h, bits).word[np.int64(n) >> 3] >> np.uint64((np.int64(n) & 7) << 3)) & np.uint64(0xFF)


@kinline
def gc_bits_bitp(h, bits, n):
    """gcBits.bitp: the byte of bitmap ``bits`` that holds bit ``n``, and the bit's mask in it."""
    return gc_bits_bytep(h, bits, np.int64(n) >> 3), np.uint64(1) << np.uint64(np.int64(n) & 7)


@kinline
def gc_bits_is_set(h, bits, n):
    """markBits.isMarked: whether bit ``n`` of bitmap ``bits`` is set."""
    byte, mask = gc_bits_bitp(h, bits, n)
    return byte & mask != np.uint64(0)


@kinline
def gc_bits_set(h, bits, n):
    """markBits.setMarkedNonAtomic: set bit ``n`` of bitmap ``bits``."""
    gc_bits(h, bits).word[np.int64(n) >> 6] |= np.uint64(1) << np.uint64(np.int64(n) & 63)
