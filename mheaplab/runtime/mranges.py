"""addrRanges: the page allocator's sorted, coalesced list of address ranges in use.

The heap may lie in several pieces (see the arena hints).  ``find`` asks this list only when an address falls outside
every known arena; growth adds to it.  Ranges never go away.

Follows addrRanges of runtime/mranges.go.  Simplified: the search is a plain binary search (Go adds a linear tail).
"""

import numpy as np

from ._jit import kjit
from .tables import in_use_range


@kjit
def addr_ranges_find_succ(h, addr):
    """addrRanges.findSucc: index of the first range whose base is above ``addr``."""
    low = np.int64(0)
    high = np.int64(h.in_use_len)
    while low < high:
        mid = (low + high) >> 1
        if addr < np.int64(in_use_range(h, mid).base_addr):
            high = mid
        else:
            low = mid + 1
    return low


@kjit
def addr_ranges_find_addr_greater_equal(h, addr):
    """addrRanges.findAddrGreaterEqual: lowest address in a range that is at or above ``addr``, -1 if none."""
    i = addr_ranges_find_succ(h, addr)
    if i > 0 and addr < np.int64(in_use_range(h, i - 1).limit):
        return np.int64(addr)
    if i < np.int64(h.in_use_len):
        return np.int64(in_use_range(h, i).base_addr)
    return np.int64(-1)


@kjit
def addr_ranges_contains(h, addr):
    """addrRanges.contains: whether ``addr`` lies in a range."""
    i = addr_ranges_find_succ(h, addr)
    return i > 0 and addr < np.int64(in_use_range(h, i - 1).limit)


@kjit
def addr_ranges_add(h, start, limit):
    """addrRanges.add: add [start, limit), which must not overlap a range, and join it to its neighbours."""
    i = addr_ranges_find_succ(h, start)
    n = np.int64(h.in_use_len)
    joins_down = i > 0 and np.int64(in_use_range(h, i - 1).limit) == start
    joins_up = i < n and np.int64(in_use_range(h, i).base_addr) == limit
    if joins_down and joins_up:
        in_use_range(h, i - 1).limit = in_use_range(h, i).limit
        for k in range(i, n - 1):
            in_use_range(h, k).base_addr = in_use_range(h, k + 1).base_addr
            in_use_range(h, k).limit = in_use_range(h, k + 1).limit
        h.in_use_len = n - 1
    elif joins_down:
        in_use_range(h, i - 1).limit = limit
    elif joins_up:
        in_use_range(h, i).base_addr = start
    else:
        h.in_use_len = n + 1
        for k in range(n, i, -1):
            in_use_range(h, k).base_addr = in_use_range(h, k - 1).base_addr
            in_use_range(h, k).limit = in_use_range(h, k - 1).limit
        in_use_range(h, i).base_addr = start
        in_use_range(h, i).limit = limit
