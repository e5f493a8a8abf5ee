"""fixalloc: records of one size, from a free list or from the end of a 16 KiB chunk.

A ``FIXALLOC`` holds the free list and the accounts (bytes in use, bytes taken from the OS); the records themselves
stand in a table, in the order in which they were first handed out, so a chunk is nothing but a count of records left.

Two users: span records, of which the first use of each is entered in allspans (``recordspan``), and specials, with one
fixalloc for each kind.  Which records a P keeps for itself (mspancache) is up to ``mheap``.

Follows runtime/mfixalloc.go and recordspan of mheap.go, Go 1.19.  Simplified: the array behind allspans is its entry
count and its capacity, since entry k is record k + 1 of the table.
"""

import numpy as np

from ._jit import kinline, kjit
from .mpagealloc import Throw
from .structs import ALLSPANS_FIRST_CAP, FIX_ALLOC_CHUNK, SPECIAL_KINDS
from .tables import span, special

POINTER_BYTES = np.int64(8)


def fixalloc_init(f, item_bytes):
    """fixalloc.init: an empty allocator ``f`` of records of ``item_bytes`` (plain Python, runs once)."""
    f.item_bytes = item_bytes
    f.free = 0
    f.chunk_left = f.in_use = f.sys = 0


@kinline
def fixalloc_bump(f):
    """The slow part of fixalloc.alloc: count one record off the current chunk, and take a chunk if it is used up."""
    if f.chunk_left == 0:
        f.chunk_left = FIX_ALLOC_CHUNK // np.int64(f.item_bytes)
        f.sys += np.int64(f.chunk_left) * np.int64(f.item_bytes)
    f.chunk_left -= 1


@kjit
def recordspan(h, i):
    """recordspan: enter span record ``i``, just made, in allspans, whose array grows by half when it is full."""
    n = np.int64(h.allspans)
    if n + 1 != i:
        raise Throw("recordspan out of order", i, n)
    if n >= np.int64(h.allspans_cap):
        room = max(ALLSPANS_FIRST_CAP, np.int64(h.allspans_cap) * 3 // 2)
        h.stats.other_sys += (room - np.int64(h.allspans_cap)) * POINTER_BYTES
        h.allspans_cap = room
    h.allspans = n + 1


@kjit
def spanalloc_alloc(h):
    """mheap_.spanalloc.alloc: index of an unused span record. ``mheap_has_room`` has made sure that there is one."""
    f = h.spanalloc
    f.in_use += f.item_bytes
    i = np.int64(f.free)
    if i != 0:
        f.free = span(h, i).free_link
        return i
    fixalloc_bump(f)
    i = np.int64(h.spans_len)
    if i >= np.int64(h.spans_cap):
        raise Throw("runtime: out of span records", i)
    h.spans_len = i + 1
    recordspan(h, i)
    return i


@kjit
def spanalloc_free(h, i):
    """mheap_.spanalloc.free: put span record ``i`` on the free list. Its sweepgen survives, as in Go."""
    f = h.spanalloc
    f.in_use -= f.item_bytes
    span(h, i).free_link = f.free
    f.free = np.uint32(i)


@kjit
def specialalloc_alloc(h, kind):
    """The fixalloc of a kind of special (specialfinalizeralloc, ...): index of a cleared record."""
    if kind <= 0 or kind >= SPECIAL_KINDS:
        raise Throw("bad special kind", kind)
    f = h.specialalloc[kind]
    f.in_use += f.item_bytes
    i = np.int64(f.free)
    if i != 0:
        f.free = special(h, i).next
    else:
        fixalloc_bump(f)
        i = np.int64(h.specials_len)
        if i >= np.int64(h.specials_cap):
            raise Throw("runtime: out of special records", i)
        h.specials_len = i + 1
    sp = special(h, i)
    sp.next = np.uint32(0)
    sp.kind = np.uint8(kind)
    sp.done = np.uint8(0)
    sp.reachable = np.uint8(0)
    sp.offset = np.int64(0)
    sp.value = np.int64(0)
    return i


@kjit
def specialalloc_free(h, i):
    """Free special record ``i`` into the fixalloc of its kind."""
    sp = special(h, i)
    f = h.specialalloc[np.int64(sp.kind)]
    f.in_use -= f.item_bytes
    sp.next = f.free
    sp.kind = np.uint8(0)
    f.free = np.uint32(i)
