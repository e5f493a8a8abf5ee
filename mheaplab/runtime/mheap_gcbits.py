"""gcBits arenas: where the mark and alloc bitmaps of spans live.

A span has two bitmaps of one bit per object: ``alloc_bits`` (what was allocated at the last sweep) and ``gcmark_bits``
(what the running collection has reached).  Sweeping a span makes its mark bits the new alloc bits and asks for fresh
mark bits.  Bitmaps are never freed one by one: they are bump-allocated from arenas of 64 KiB, and all bitmaps of a
generation die together.  ``next`` takes new bitmaps; at each collection next becomes ``current``, current becomes
``previous``, and the arenas of previous, which nothing refers to any more, go to the ``free`` list.

Layout: the table ``gc_bits`` is one array of words, cut into arenas of 8192 words.  An arena is named by its first
word's index; word 0 of an arena holds how many words of it are used (header included), word 1 the next arena in its
list.  Index 0 is nil (the table's first arena is not used).

Follows gcBits, gcBitsArena, newMarkBits, nextMarkBitArenaEpoch of runtime/mheap.go, Go 1.19.  Simplified: the epoch
turns when the sweep phase starts, not when the mark phase does; between the two no bitmap dies, so only the moment at
which a free arena is reused differs.
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
def _new_arena(h):
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
    gc_bits_set_word(h, a, GC_BITS_HEADER_WORDS)
    return a


@kjit
def new_mark_bits(h, nelems):
    """newMarkBits: a cleared bitmap for ``nelems`` objects, as word index."""
    words = bitmap_words(nelems)
    a = np.int64(h.bits_next)
    used = np.int64(gc_bits_word(h, a)) if a != 0 else GC_BITS_CHUNK_WORDS
    if used + words > GC_BITS_CHUNK_WORDS:
        fresh = _new_arena(h)
        gc_bits_set_word(h, fresh + 1, a)
        h.bits_next = fresh
        a = fresh
        used = GC_BITS_HEADER_WORDS
    gc_bits_set_word(h, a, used + words)
    return a + used


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
def gc_bits_is_set(h, bits, index):
    """gcBits.bitp, read: whether bit ``index`` of bitmap ``bits`` is set."""
    word = gc_bits(h, bits).word[np.int64(index) >> 6]
    return (word >> np.uint64(np.int64(index) & 63)) & np.uint64(1) != np.uint64(0)


@kinline
def gc_bits_set(h, bits, index):
    """gcBits.bitp, write: set bit ``index`` of bitmap ``bits``."""
    gc_bits(h, bits).word[np.int64(index) >> 6] |= np.uint64(1) << np.uint64(np.int64(index) & 63)
