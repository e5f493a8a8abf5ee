"""freeindex, allocCache and the mark bits of a span: how the next free object is found and how the survivors count.

A span hands out its objects in address order.  Below ``freeindex`` everything is taken; from there on ``alloc_bits``
tells, of which ``alloc_cache`` holds the complement of the 64 bits from freeindex on, shifted so that its lowest one
bit is the next free object.

Follows nextFreeIndex, refillAllocCache, isFree, countAlloc of runtime/mbitmap.go, Go 1.19.  Pointer bitmaps (which
words of an object are pointers) are not modelled: the mark phase is given by who is dead, not computed.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import ctz64, popcount64
from .mheap_gcbits import bitmap_words
from .mpagealloc import Throw
from .mpallocbits import low_mask
from .tables import gc_bits


@kinline
def mspan_refill_alloc_cache(h, s, word):
    """mspan.refillAllocCache: load alloc_cache from word ``word`` of the alloc bits."""
    s.alloc_cache = ~gc_bits(h, s.alloc_bits).word[word]


@kjit
def mspan_next_free_index(h, s):
    """mspan.nextFreeIndex: index of the next free object at or after freeindex, nelems if there is none."""
    sfreeindex = np.int64(s.freeindex)
    snelems = np.int64(s.nelems)
    if sfreeindex == snelems:
        return sfreeindex
    if sfreeindex > snelems:
        raise Throw("s.freeindex > s.nelems", sfreeindex, snelems)
    bit = ctz64(s.alloc_cache)
    while bit == 64:
        sfreeindex = (sfreeindex + 64) & -64
        if sfreeindex >= snelems:
            s.freeindex = np.uint16(snelems)
            return snelems
        mspan_refill_alloc_cache(h, s, sfreeindex >> 6)
        bit = ctz64(s.alloc_cache)
    result = sfreeindex + bit
    if result >= snelems:
        s.freeindex = np.uint16(snelems)
        return snelems
    s.alloc_cache = (s.alloc_cache >> np.uint64(bit)) >> np.uint64(1)
    sfreeindex = result + 1
    if sfreeindex & 63 == 0 and sfreeindex != snelems:
        mspan_refill_alloc_cache(h, s, sfreeindex >> 6)
    s.freeindex = np.uint16(sfreeindex)
    return result


@kinline
def mspan_allocated_word(h, s, word):
    """Bits of the objects 64 * word .. that are allocated: below freeindex, or set in the alloc bits."""
    below = np.int64(s.freeindex) - word * 64
    taken = gc_bits(h, s.alloc_bits).word[word]
    if below > 0:
        taken |= low_mask(min(below, np.int64(64)))
    return taken


@kinline
def mspan_is_allocated(h, s, index):
    """The complement of mspan.isFree: whether object ``index`` is allocated."""
    return (mspan_allocated_word(h, s, np.int64(index) >> 6) >> np.uint64(np.int64(index) & 63)) & np.uint64(
        1
    ) != np.uint64(0)


@kjit
def mspan_count_alloc(h, s):
    """mspan.countAlloc: number of marked objects."""
    marks = gc_bits(h, s.gcmark_bits)
    count = np.int64(0)
    for word in range(bitmap_words(s.nelems)):
        count += popcount64(marks.word[word])
    return count


@kinline
def mspan_obj_index(s, addr):
    """mspan.objIndex: index of the object that holds ``addr``, by multiplication with div_mul."""
    return ((np.int64(addr) - np.int64(s.start_addr)) * np.int64(s.div_mul)) >> 32
