"""spanSet: the queues of spans in which the centrals keep what they own.

A span set is first in, first out: ``push`` appends at the tail, ``pop`` takes from the head.  Entries stand in blocks
of 512, which come from and return to one pool.  Each central has four sets; which of a pair holds swept spans changes
with every collection (``partial_swept`` and its sisters compute that from sweepgen).

Room.  A span is in at most one swept set and, since the page reclaimer sweeps spans without popping them, has at most
one stale entry in an unswept set.  So two entries per span record and one open block per set bound the pool, and
``mheap_has_room`` keeps that many blocks free.

Follows runtime/mspanset.go and the set accessors of mcentral.go, Go 1.19.  Simplified: Go finds blocks by a spine
array, so that many threads may push and pop at once; with one thread blocks linked in order behave the same.
"""

import numpy as np

from ._jit import kinline, kjit
from .mpagealloc import Throw
from .structs import SPAN_SET_BLOCK_ENTRIES
from .tables import set_block


@kinline
def mcentral_partial_swept(h, spc):
    """mcentral.partialSwept: swept spans of ``spc`` with a free object."""
    return h.central[spc].partial[(np.int64(h.sweepgen) >> 1) & 1]


@kinline
def mcentral_partial_unswept(h, spc):
    """mcentral.partialUnswept: unswept spans of ``spc`` with a free object."""
    return h.central[spc].partial[1 - ((np.int64(h.sweepgen) >> 1) & 1)]


@kinline
def mcentral_full_swept(h, spc):
    """mcentral.fullSwept: swept spans of ``spc`` without a free object."""
    return h.central[spc].full[(np.int64(h.sweepgen) >> 1) & 1]


@kinline
def mcentral_full_unswept(h, spc):
    """mcentral.fullUnswept: unswept spans of ``spc`` without a free object."""
    return h.central[spc].full[1 - ((np.int64(h.sweepgen) >> 1) & 1)]


@kjit
def _block_alloc(h):
    """spanSetBlockPool.alloc: an empty block."""
    b = np.int64(h.block_free)
    if b != 0:
        h.block_free = set_block(h, b).next
    else:
        b = np.int64(h.set_blocks_len)
        if b >= np.int64(h.set_blocks_cap):
            raise Throw("span set blocks exhausted", b)
        h.set_blocks_len = b + 1
    set_block(h, b).next = np.uint32(0)
    return b


@kinline
def _block_free(h, b):
    """spanSetBlockPool.free: return a block of which nothing is used."""
    set_block(h, b).next = h.block_free
    h.block_free = np.uint32(b)


@kjit
def span_set_push(h, q, s):
    """spanSet.push: append span index ``s`` to set ``q``."""
    tail = np.int64(q.tail)
    if tail & (SPAN_SET_BLOCK_ENTRIES - 1) == 0:
        b = _block_alloc(h)
        if q.tail_block != 0:
            set_block(h, q.tail_block).next = np.uint32(b)
        else:
            q.head_block = np.uint32(b)
        q.tail_block = np.uint32(b)
    set_block(h, q.tail_block).spans[tail & (SPAN_SET_BLOCK_ENTRIES - 1)] = np.uint32(s)
    q.tail = tail + 1


@kjit
def span_set_pop(h, q):
    """spanSet.pop: take the oldest span index of set ``q``, 0 if it is empty."""
    head = np.int64(q.head)
    if head >= np.int64(q.tail):
        return np.int64(0)
    b = np.int64(q.head_block)
    s = np.int64(set_block(h, b).spans[head & (SPAN_SET_BLOCK_ENTRIES - 1)])
    head += 1
    q.head = head
    if head & (SPAN_SET_BLOCK_ENTRIES - 1) == 0:
        q.head_block = set_block(h, b).next
        if q.head_block == 0:
            q.tail_block = np.uint32(0)
        _block_free(h, b)
    return s


@kjit
def span_set_reset(h, q):
    """spanSet.reset: start an empty set ``q`` anew."""
    if np.int64(q.head) < np.int64(q.tail):
        raise Throw("attempt to clear non-empty span set", q.head, q.tail)
    if q.head_block != 0:
        _block_free(h, np.int64(q.head_block))
    q.head = np.int64(0)
    q.tail = np.int64(0)
    q.head_block = np.uint32(0)
    q.tail_block = np.uint32(0)
