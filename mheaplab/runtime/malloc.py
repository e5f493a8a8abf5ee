"""mallocgc: where an object goes. Tiny, small and large.

* Tiny: up to 15 bytes without pointers are packed into 16-byte blocks of the mcache (``tiny_pack``); what does not fit
  gets a fresh block, which becomes the current one if it has more room left (``tiny_adopt``).
* Small: up to 32 KiB (less the malloc header, if the version has one): the size is rounded up to a size class, whose
  span in the mcache gives the next free slot: one count of trailing zeros when the alloc cache has a bit left
  (``next_free_fast``), else ``mcache_next_free``.
* Large: a span of its own.

Results are addresses.  0 means out of memory; ``NEED_ROOM`` (-1) that a table must grow first: nothing has changed then
and the same event may be tried again.

Follows mallocgc, nextFreeFast, nextFree of runtime/malloc.go, Go 1.19.  What Go 1.22 added, an 8-byte header before
objects with pointers of more than 512 bytes, is a parameter.  Simplified: no GC assists, no profiling, and contents are
not zeroed because there are none.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import ctz64
from .mbitmap import mspan_next_free_index
from .mcache import mcache_alloc_large, mcache_refill, p_or_p0
from .mheap import mheap_has_room
from .mpagealloc import Throw
from .structs import MAX_SMALL_SIZE, MAX_TINY_SIZE, PAGE_SHIFT, PAGE_SIZE
from .tables import span

NEED_ROOM = np.int64(-1)
SMALL_SIZE_MAX = np.int64(1024)


@kinline
def size_to_class(h, nbytes):
    """Size class of an object of ``nbytes`` (1 to 32768), by Go's two tables."""
    if nbytes <= SMALL_SIZE_MAX - 8:
        sizeclass = np.int64(h.params.size_to_class8[np.uint32((nbytes + 7) >> 3)])
    else:
        sizeclass = np.int64(h.params.size_to_class128[np.uint32((nbytes - SMALL_SIZE_MAX + 127) >> 7)])
    return sizeclass


@kinline
def next_free_fast(s):
    """nextFreeFast: address of the next free slot of ``s`` if the alloc cache knows it, else 0."""
    result = np.int64(0)
    bit = ctz64(s.alloc_cache)
    if bit < 64:
        index = np.int64(s.freeindex) + bit
        nelems = np.int64(s.nelems)
        freeindex = index + 1
        if index < nelems and (freeindex & 63 != 0 or freeindex == nelems):
            s.alloc_cache = (s.alloc_cache >> np.uint64(bit)) >> np.uint64(1)
            s.freeindex = np.uint16(freeindex)
            s.alloc_count += np.uint16(1)
            result = np.int64(s.start_addr) + index * np.int64(s.elemsize)
    return result


@kjit
def mcache_next_free(h, spc, p, credit):
    """mcache.nextFree: address of a free slot of ``spc``, refilling the mcache if need be."""
    c = h.allp[p_or_p0(p)].mcache
    s = span(h, c.alloc[spc])
    index = mspan_next_free_index(h, s)
    if index == np.int64(s.nelems):
        if s.alloc_count != s.nelems:
            raise Throw("s.allocCount != s.nelems && freeIndex == s.nelems", s.start_addr, s.alloc_count, s.nelems)
        if not mheap_has_room(h, np.int64(h.params.class_to_allocnpages[spc >> 1])):
            return NEED_ROOM
        h.current_p = p
        h.credits_used += max(credit, np.int64(0))
        if not mcache_refill(h, spc, p, credit):
            return np.int64(0)
        s = span(h, c.alloc[spc])
        index = mspan_next_free_index(h, s)
    if index >= np.int64(s.nelems):
        raise Throw("freeIndex is not valid", s.start_addr, index, s.nelems)
    s.alloc_count += np.uint16(1)
    if s.alloc_count > s.nelems:
        raise Throw("s.allocCount > s.nelems", s.start_addr, s.alloc_count, s.nelems)
    return np.int64(s.start_addr) + index * np.int64(s.elemsize)


@kinline
def _tiny_align(offset, nbytes):
    """Round ``offset`` up to the alignment that a tiny object of ``nbytes`` gets."""
    if nbytes & 7 == 0:
        offset = (offset + 7) & -8
    elif nbytes & 3 == 0:
        offset = (offset + 3) & -4
    elif nbytes & 1 == 0:
        offset = (offset + 1) & -2
    return offset


@kinline
def tiny_pack(c, nbytes):
    """The tiny allocator's fast case: address in the current block of mcache ``c``, 0 if it does not fit."""
    addr = np.int64(0)
    offset = _tiny_align(np.int64(c.tinyoffset), nbytes)
    if offset + nbytes <= MAX_TINY_SIZE and c.tiny != 0:
        c.tinyoffset = offset + nbytes
        c.tiny_allocs += 1
        addr = np.int64(c.tiny) + offset
    return addr


@kinline
def tiny_adopt(c, addr, nbytes):
    """Make the fresh block at ``addr`` the current one if it has more room left than the old one."""
    if nbytes < np.int64(c.tinyoffset) or c.tiny == 0:
        c.tiny = addr
        c.tinyoffset = nbytes


@kjit
def mallocgc_large(h, nbytes, noscan, p, credit):
    """The large case of mallocgc: a span of its own."""
    if not mheap_has_room(h, (nbytes + PAGE_SIZE - 1) >> PAGE_SHIFT):
        return NEED_ROOM
    h.current_p = p
    h.credits_used += max(credit, np.int64(0))
    index = mcache_alloc_large(h, nbytes, noscan, p, credit)
    if index == 0:
        return index
    s = span(h, index)
    s.freeindex = np.uint16(1)
    s.alloc_count = np.uint16(1)
    return np.int64(s.start_addr)


@kjit
def mallocgc_span_class(h, nbytes, noscan):
    """The span class that an object of ``nbytes`` is allocated in (0 and 1: a span of its own)."""
    spc = np.int64(1) if noscan else np.int64(0)
    if noscan and nbytes < MAX_TINY_SIZE:
        return np.int64(h.params.tiny_class) * 2 + spc
    if nbytes > MAX_SMALL_SIZE - np.int64(h.params.malloc_header):
        return spc
    if not noscan and nbytes > np.int64(h.params.heap_bits_in_span):
        nbytes += np.int64(h.params.malloc_header)
    return size_to_class(h, nbytes) * 2 + spc


@kinline
def mallocgc(h, nbytes, noscan, p, credit):
    """mallocgc: address of an object of ``nbytes`` (at least 1); 0 out of memory, NEED_ROOM to grow and retry."""
    if nbytes > MAX_SMALL_SIZE - np.int64(h.params.malloc_header):
        return mallocgc_large(h, nbytes, noscan, p, credit)
    c = h.allp[p_or_p0(p)].mcache
    tiny = noscan and nbytes < MAX_TINY_SIZE
    header = np.int64(0)
    if tiny:
        addr = tiny_pack(c, nbytes)
        if addr != 0:
            return addr
        spc = np.int64(h.params.tiny_class) * 2 + 1
    else:
        if not noscan and nbytes > np.int64(h.params.heap_bits_in_span):
            header = np.int64(h.params.malloc_header)
        spc = size_to_class(h, nbytes + header) * 2 + (np.int64(1) if noscan else np.int64(0))
    addr = next_free_fast(span(h, c.alloc[np.uint32(spc)]))
    if addr == 0:
        addr = mcache_next_free(h, spc, p, credit)
        if addr <= 0:
            return addr
    if tiny:
        tiny_adopt(c, addr, nbytes)
    return addr + header
