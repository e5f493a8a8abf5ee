"""mheap: where the heap's address space comes from. Arena hints, sysAlloc and grow.

At start Go on linux/amd64 writes down 128 addresses at which it would like its arenas (0x00c0 << 32, then 1 TiB apart).
``mheap_sys_alloc`` tries the first hint; if something else is there the OS gives another address, which Go hands back,
and the hint is dropped for good.  After a success the hint moves on to the end of what was got (or to its start, for a
hint that grows downward).  When no hint is left Go takes whatever the OS gives, aligned, and makes two hints around it,
one downward and one upward, of which the upward is tried first.

``mheap_grow`` gives the page allocator whole 4 MiB chunks of the current arena.  If that has too little room it asks
for a new one; if the new one does not follow the old, what was left of the old goes to the page allocator as well, and
the page allocator then has one more address range in use.

Follows mheap.sysAlloc, mallocinit's hints (runtime/malloc.go) and mheap.grow (runtime/mheap.go), Go 1.19.  Simplified:
the record of a hint is a row of a small array; metadata of arenas is not accounted.
"""

import numpy as np

from ._jit import kjit
from .mem import sys_free_os, sys_map, sys_reserve, sys_reserve_aligned
from .mheap_arena import arena_idx_l1, arena_index
from .mpagealloc import Throw, page_alloc_grow
from .structs import ARENA_HINTS, MAX_ADDRESS, PAGE_SHIFT, PALLOC_CHUNK_PAGES
from .tables import arena_map, arena_map_set, heap_arena


def arena_hints_init(h):
    """The arena hints of mallocinit on linux/amd64, as a stack: the last entry is tried first (plain Python)."""
    h.hints["addr"][:ARENA_HINTS] = np.arange(ARENA_HINTS - 1, -1, -1) << 40 | 0x00C0 << 32
    h.hints["down"][:ARENA_HINTS] = 0
    h.n_hints = ARENA_HINTS


@kjit
def arena_hint_push(h, addr, down):
    """Make a new arena hint, to be tried first."""
    n = np.int64(h.n_hints)
    h.hints[n].addr = addr
    h.hints[n].down = down
    h.n_hints = n + 1


@kjit
def _reserve_at_hint(h, nbytes):
    """Try the hints in order; the address got, 0 when none is left."""
    while h.n_hints > 0:
        hint = h.hints[np.int64(h.n_hints) - 1]
        p = np.int64(hint.addr)
        if hint.down != 0:
            p -= nbytes
        v = np.int64(0)
        if p > 0 and p <= MAX_ADDRESS - nbytes + 1:
            v = sys_reserve(h, p, nbytes)
        if v == p and v != 0:
            hint.addr = p if hint.down != 0 else p + nbytes
            return v
        if v != 0:
            sys_free_os(h, v, nbytes)
        h.n_hints -= 1
    return np.int64(0)


@kjit
def mheap_sys_alloc(h, nbytes):
    """mheap.sysAlloc: whole arenas of reserved space for ``nbytes``; (address, bytes), (0, 0) when there is none."""
    arena_bytes = np.int64(1) << np.int64(h.params.log_arena_bytes)
    nbytes = (nbytes + arena_bytes - 1) & -arena_bytes
    v = _reserve_at_hint(h, nbytes)
    if v == 0:
        v, nbytes = sys_reserve_aligned(h, nbytes, arena_bytes)
        if v == 0:
            return v, nbytes
        arena_hint_push(h, v, np.int64(1))
        arena_hint_push(h, v + nbytes, np.int64(0))
    if v & (arena_bytes - 1) != 0:
        raise Throw("misrounded allocation in sysAlloc", v)
    for ai in range(arena_index(h, v), arena_index(h, v + nbytes - 1) + 1):
        h.arena_l1[arena_idx_l1(h, ai)] = np.uint8(1)
        if arena_map(h, ai) != 0:
            raise Throw("arena already initialized", ai)
        index = np.int64(h.heap_arenas_len)
        h.heap_arenas_len = index + 1
        heap_arena(h, index).arena_idx = ai
        arena_map_set(h, ai, index)
    return v, nbytes


@kjit
def _map_and_grow(h, start, nbytes):
    """The reserved range becomes heap memory, still unbacked, hence released."""
    sys_map(h, nbytes)
    h.stats.heap_released += nbytes
    page_alloc_grow(h, start, nbytes)


@kjit
def mheap_grow(h, npages):
    """mheap.grow: give at least ``npages`` more pages to the page allocator; bytes grown, 0 when the OS refuses."""
    ask = ((npages + PALLOC_CHUNK_PAGES - 1) & -PALLOC_CHUNK_PAGES) << PAGE_SHIFT
    phys = np.int64(h.params.phys_page_size)
    total = np.int64(0)
    n_base = (np.int64(h.cur_arena_base) + ask + phys - 1) & -phys
    if n_base > np.int64(h.cur_arena_end):
        v, size = mheap_sys_alloc(h, ask)
        if v == 0:
            return v
        if v == np.int64(h.cur_arena_end):
            h.cur_arena_end = v + size
        else:
            rest = np.int64(h.cur_arena_end) - np.int64(h.cur_arena_base)
            if rest != 0:
                _map_and_grow(h, np.int64(h.cur_arena_base), rest)
                total += rest
            h.cur_arena_base = v
            h.cur_arena_end = v + size
        n_base = (np.int64(h.cur_arena_base) + ask + phys - 1) & -phys
    start = np.int64(h.cur_arena_base)
    h.cur_arena_base = n_base
    _map_and_grow(h, start, n_base - start)
    return total + n_base - start
