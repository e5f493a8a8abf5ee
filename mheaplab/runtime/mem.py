"""The simulated OS: which address space is taken, and in which state the heap's memory is.

Go sees memory in four states (mem.go).  *None* is address space that the heap does not own.  ``sys_reserve`` makes it
*Reserved*: owned, but any access would fault.  ``sys_map`` makes it *Prepared*: it may be used at any time, but nothing
backs it yet.  ``sys_used`` makes it *Ready*, and ``sys_unused`` takes Ready memory back to Prepared, which is what
scavenging does.  The heap's accounts of the three states are in ``stats``: ``reserved``, ``prepared``, ``ready``.

Which addresses are taken is a sorted list of ranges, ``os_ranges``: those that a user says something else occupies
(``HeapParams.occupied``), and all that the heap has reserved.  As mmap does on Linux, ``sys_reserve`` grants the
address it is asked for if that range is free; otherwise, or without a wish, it takes the highest gap below ``os_top``
that is large enough.  Go then decides whether it wants that (see the arena hints in ``mheap_grow``).

Follows runtime/mem.go, mem_linux.go and sysReserveAligned of malloc.go, Go 1.19.  Simplified: memory never runs out
before address space does, and only the heap's own mappings are accounted.
"""

import numpy as np

from ._jit import kjit
from .mpagealloc import Throw
from .structs import MAX_ADDRESS
from .tables import os_range


@kjit
def os_ranges_find(h, addr):
    """Index of the first taken range that ends above ``addr``."""
    low = np.int64(0)
    high = np.int64(h.os_ranges_len)
    while low < high:
        mid = (low + high) >> 1
        if np.int64(os_range(h, mid).limit) > addr:
            high = mid
        else:
            low = mid + 1
    return low


@kjit
def os_is_free(h, addr, nbytes):
    """Return whether [addr, addr + nbytes) is user address space of which nothing is taken."""
    if addr <= 0 or nbytes <= 0 or addr > MAX_ADDRESS - nbytes + 1:
        return False
    k = os_ranges_find(h, addr)
    return k == np.int64(h.os_ranges_len) or addr + nbytes <= np.int64(os_range(h, k).base_addr)


@kjit
def os_take(h, addr, nbytes):
    """Enter the free range [addr, addr + nbytes) as taken, joined to its neighbours.

    ``mheap_has_room`` has made sure that the table has room.
    """
    k = os_ranges_find(h, addr)
    n = np.int64(h.os_ranges_len)
    joins_down = k > 0 and np.int64(os_range(h, k - 1).limit) == addr
    joins_up = k < n and np.int64(os_range(h, k).base_addr) == addr + nbytes
    if joins_down and joins_up:
        os_range(h, k - 1).limit = os_range(h, k).limit
        _remove_row(h, k)
    elif joins_down:
        os_range(h, k - 1).limit = addr + nbytes
    elif joins_up:
        os_range(h, k).base_addr = addr
    else:
        _insert_row(h, k, addr, addr + nbytes)


@kjit
def _insert_row(h, k, start, limit):
    """Insert [start, limit) as row ``k``."""
    n = np.int64(h.os_ranges_len)
    h.os_ranges_len = n + 1
    for j in range(n, k, -1):
        os_range(h, j).base_addr = os_range(h, j - 1).base_addr
        os_range(h, j).limit = os_range(h, j - 1).limit
    os_range(h, k).base_addr = start
    os_range(h, k).limit = limit


@kjit
def _remove_row(h, k):
    """Remove row ``k``."""
    n = np.int64(h.os_ranges_len)
    for j in range(k, n - 1):
        os_range(h, j).base_addr = os_range(h, j + 1).base_addr
        os_range(h, j).limit = os_range(h, j + 1).limit
    h.os_ranges_len = n - 1


@kjit
def os_place(h, nbytes):
    """Return the address that mmap without a wish gives: the top of the highest large enough gap, 0 for none."""
    top = np.int64(h.params.os_top)
    k = np.int64(h.os_ranges_len) - 1
    while k >= 0:
        r = os_range(h, k)
        if np.int64(r.base_addr) < top:
            if np.int64(r.limit) + nbytes <= top:
                return top - nbytes
            top = np.int64(r.base_addr)
        k -= 1
    return top - nbytes if top - nbytes > 0 else np.int64(0)


@kjit
def sys_reserve(h, addr, nbytes):
    """sysReserve: reserve ``nbytes``, at ``addr`` if that is free (0: anywhere); the address got, 0 for none."""
    if not os_is_free(h, addr, nbytes):
        addr = os_place(h, nbytes)
        if addr == 0:
            return addr
    os_take(h, addr, nbytes)
    h.stats.reserved += nbytes
    return addr


@kjit
def sys_free_os(h, addr, nbytes):
    """sysFreeOS: give [addr, addr + nbytes), which is Reserved, back to the OS."""
    k = os_ranges_find(h, addr)
    if k == np.int64(h.os_ranges_len):
        raise Throw("sysFreeOS of memory that is not reserved", addr, nbytes)
    base = np.int64(os_range(h, k).base_addr)
    limit = np.int64(os_range(h, k).limit)
    if addr < base or addr + nbytes > limit:
        raise Throw("sysFreeOS of memory that is not reserved", addr, nbytes)
    h.stats.reserved -= nbytes
    if base == addr and limit == addr + nbytes:
        _remove_row(h, k)
    elif base == addr:
        os_range(h, k).base_addr = addr + nbytes
    else:
        os_range(h, k).limit = addr
        if limit > addr + nbytes:
            _insert_row(h, k + 1, addr + nbytes, limit)


@kjit
def sys_reserve_aligned(h, nbytes, align):
    """sysReserveAligned without a wish: (address, a multiple of ``align``; bytes reserved), (0, 0) for none.

    Asks for ``align`` more than ``nbytes``. If the OS happens to give an aligned address, all of it is kept;
    otherwise the unaligned ends go back.
    """
    p = sys_reserve(h, np.int64(0), nbytes + align)
    if p == 0:
        return p, np.int64(0)
    if p & (align - 1) == 0:
        return p, nbytes + align
    aligned = (p + align - 1) & -align
    sys_free_os(h, p, aligned - p)
    end = aligned + nbytes
    rest = p + nbytes + align - end
    if rest > 0:
        sys_free_os(h, end, rest)
    return aligned, nbytes


@kjit
def sys_map(h, nbytes):
    """sysMap: ``nbytes`` go from Reserved to Prepared."""
    h.stats.reserved -= nbytes
    h.stats.prepared += nbytes


@kjit
def sys_used(h, nbytes):
    """sysUsed: ``nbytes`` go from Prepared to Ready."""
    h.stats.prepared -= nbytes
    h.stats.ready += nbytes


@kjit
def sys_unused(h, nbytes):
    """sysUnused: ``nbytes`` go from Ready to Prepared; nothing backs them any more."""
    h.stats.ready -= nbytes
    h.stats.prepared += nbytes
