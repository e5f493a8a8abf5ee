"""Tiny blocks that the program can still reach, counted: objects of the tiny allocator share blocks of 16 bytes.

A Go collector marks the block when it meets a pointer to any object in it.  A run of the twin's own is told when each
object dies, so it counts, for each block, the objects in it that live: the block dies with the last of them.  Counts
stand in a record beside the span, made when the first tiny object is put into the span and given back with the span.

Not in Go; the blocks are those of mallocgc's tiny allocator (runtime/malloc.go).
"""

import numpy as np

from ._jit import kjit
from .mheap_arena import span_of_unchecked
from .structs import MAX_TINY_SIZE
from .tables import span, tiny_counts

_U8_0 = np.uint8(0)
_U8_1 = np.uint8(1)


@kjit
def tiny_counts_alloc(h, s):
    """Give span ``s`` a record of counts, all 0. ``mheap_has_room`` made room."""
    i = np.int64(h.tiny_free)
    if i != 0:
        h.tiny_free = tiny_counts(h, i).link
    else:
        i = np.int64(h.tiny_counts_len)
        h.tiny_counts_len = i + 1
    s.tiny = np.uint32(i)
    tiny_counts(h, i).count[:] = _U8_0


@kjit
def tiny_counts_free(h, s):
    """Take the record of counts from span ``s``, which is being freed."""
    tiny_counts(h, s.tiny).link = h.tiny_free
    h.tiny_free = s.tiny
    s.tiny = np.uint32(0)


@kjit
def tiny_count(h, addr):
    """Objects that live in the tiny block that holds ``addr``."""
    s = span(h, span_of_unchecked(h, addr))
    if s.tiny == 0:
        return np.int64(0)
    return np.int64(tiny_counts(h, s.tiny).count[(addr - np.int64(s.start_addr)) // MAX_TINY_SIZE])


@kjit
def tiny_count_add(h, addr):
    """One more object lives in the tiny block that holds ``addr``."""
    s = span(h, span_of_unchecked(h, addr))
    if s.tiny == 0:
        tiny_counts_alloc(h, s)
    tiny_counts(h, s.tiny).count[(addr - np.int64(s.start_addr)) // MAX_TINY_SIZE] += _U8_1


@kjit
def tiny_count_remove(h, addr):
    """One object less lives in the tiny block that holds ``addr``; how many are left."""
    s = span(h, span_of_unchecked(h, addr))
    k = (addr - np.int64(s.start_addr)) // MAX_TINY_SIZE
    counts = tiny_counts(h, s.tiny)
    counts.count[k] -= _U8_1
    return np.int64(counts.count[k])
