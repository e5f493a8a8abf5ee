"""scavengeOne: give one run of free pages back to the OS, from the highest marked chunk down.

``find_scavenge_candidate`` walks a chunk's bitmaps from the top and takes the highest run of pages that are free and
not yet scavenged, at most ``most`` pages of its upper end; if cutting the run there would split a huge page (2 MiB)
that the run holds whole, the whole huge page is taken.  The pages are allocated while the OS call runs and freed as
scavenged afterwards, as in Go.

``page_alloc_scavenge`` repeats that until enough has been returned: for heap growth and the memory limit (allocSpan),
and for everything (``mheap_scavenge_all``). The pace of the background scavenger is not decided here.

Follows runtime/mgcscavenge.go of Go 1.19. Not simplified but for the physical page: it is at most a runtime page on
linux/amd64, so the alignment of candidates to larger physical pages (fillAligned) has no work to do.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import clz64
from .mem import sys_unused
from .mgcscavenge_index import scavenge_index_clear, scavenge_index_find
from .mpagealloc import (
    LEAF,
    Throw,
    chunk_base,
    chunk_index,
    chunk_of,
    chunk_page_index,
    page_alloc_alloc_range,
    page_alloc_free,
)
from .mpallocbits import FULL, U0, page_bits_popcnt_range, page_bits_set_range, palloc_sum_max
from .mranges import addr_ranges_contains
from .structs import PAGE_SHIFT, PAGE_SIZE, YES
from .tables import summary

NO_LIMIT = np.int64(1 << 51)
"""maxPages of a scavenge of everything."""


@kjit
def _run_below_bit(m, i, z1):
    """Length of the run of candidate pages that ends (exclusive) ``z1`` bits below the top of word ``i``."""
    x = m.scavenged.w[i] | m.alloc.w[i]
    shifted = x << np.uint64(z1)
    if shifted != U0:
        return clz64(shifted)
    run = 64 - z1
    for k in range(i):
        x = m.scavenged.w[i - 1 - k] | m.alloc.w[i - 1 - k]
        run += clz64(x)
        if x != U0:
            break
    return run


@kjit
def palloc_data_find_scavenge_candidate(h, m, most):
    """pallocData.findScavengeCandidate: first page of the highest run worth scavenging; pages in ``h.out_pages``.

    ``most`` is the page limit (at least 1).  Zero pages: there is no candidate.
    """
    i = np.int64(7)
    while i >= 0 and m.scavenged.w[i] | m.alloc.w[i] == FULL:
        i -= 1
    h.out_pages = np.int64(0)
    if i < 0:
        return np.int64(0)
    z1 = clz64(~(m.scavenged.w[i] | m.alloc.w[i]))
    end = i * 64 + 64 - z1
    run = _run_below_bit(m, i, z1)
    pages = min(run, most)
    start = end - pages
    if h.params.phys_huge_page_size > PAGE_SIZE:
        huge = np.int64(h.params.phys_huge_page_size) >> PAGE_SHIFT
        above = (start + huge - 1) & -huge
        below = start & -huge
        if above <= end and below >= end - run:
            pages += start - below
            start = below
    h.out_pages = pages
    return start


@kjit
def page_alloc_scavenge_one(h, ci, most):
    """pageAlloc.scavengeOne: scavenge at most ``most`` pages of chunk ``ci``; address, 0 if nothing was there.

    Pages taken are left in ``h.out_pages``.  A chunk with nothing to give loses its mark.
    """
    if palloc_sum_max(summary(h, LEAF, ci)) >= 1:
        chunk = chunk_of(h, ci)
        start = palloc_data_find_scavenge_candidate(h, chunk, most)
        npages = np.int64(h.out_pages)
        if npages != 0:
            addr = chunk_base(ci) + start * PAGE_SIZE
            if page_alloc_alloc_range(h, addr, npages) != 0:
                raise Throw("double scavenge", addr, npages)
            sys_unused(h, npages * PAGE_SIZE)
            h.stats.heap_released += npages * PAGE_SIZE
            h.stats.heap_free -= npages * PAGE_SIZE
            page_alloc_free(h, addr, npages, YES)
            page_bits_set_range(chunk.scavenged, start, npages)
            h.out_pages = npages
            return addr
    scavenge_index_clear(h, ci)
    h.out_pages = np.int64(0)
    return np.int64(0)


@kjit
def page_alloc_scavenge_next(h, most):
    """One successful scavengeOne, as pageAlloc.scavenge's loop makes it: address, 0 if the heap has nothing left."""
    addr = np.int64(0)
    h.out_pages = np.int64(0)
    ci = scavenge_index_find(h)
    while ci != 0 and addr == 0:
        addr = page_alloc_scavenge_one(h, ci, most)
        if addr == 0:
            ci = scavenge_index_find(h)
    return addr


@kjit
def page_alloc_scavenge(h, nbytes):
    """pageAlloc.scavenge: return at least ``nbytes`` to the OS, or all that can be; bytes returned."""
    released = np.int64(0)
    while released < nbytes:
        most = (nbytes - released + PAGE_SIZE - 1) >> PAGE_SHIFT
        if page_alloc_scavenge_next(h, most) == 0:
            break
        released += np.int64(h.out_pages) << PAGE_SHIFT
    return released


@kinline
def mheap_scavenge_all(h):
    """mheap.scavengeAll: return every free page to the OS that the scavenger knows of; bytes returned."""
    released = page_alloc_scavenge(h, NO_LIMIT)
    h.stats.scavenged_all += released
    return released


@kjit
def page_alloc_scavenge_at(h, addr, npages):
    """Scavenge the free pages [addr, addr + npages), where a later Go's index chose to; False if they are not free."""
    limit = addr + npages * PAGE_SIZE
    for ci in range(chunk_index(addr), chunk_index(limit - 1) + 1):
        low = max(addr, chunk_base(ci))
        high = min(limit, chunk_base(ci + 1))
        if ci < np.int64(h.chunk_start) or ci >= np.int64(h.chunk_end) or not addr_ranges_contains(h, low):
            return False
        n = (high - low) >> PAGE_SHIFT
        if page_bits_popcnt_range(chunk_of(h, ci).alloc, chunk_page_index(low), n) != 0:
            return False
        if page_bits_popcnt_range(chunk_of(h, ci).scavenged, chunk_page_index(low), n) != 0:
            return False
    page_alloc_alloc_range(h, addr, npages)
    sys_unused(h, npages * PAGE_SIZE)
    h.stats.heap_released += npages * PAGE_SIZE
    h.stats.heap_free -= npages * PAGE_SIZE
    page_alloc_free(h, addr, npages, YES)
    for ci in range(chunk_index(addr), chunk_index(limit - 1) + 1):
        low = max(addr, chunk_base(ci))
        high = min(limit, chunk_base(ci + 1))
        page_bits_set_range(chunk_of(h, ci).scavenged, chunk_page_index(low), (high - low) >> PAGE_SHIFT)
    h.out_pages = npages
    return True


@kjit
def scavenge_recorded(h, most, given_addr, given_pages):
    """Make one recorded scavengeOne: at the given place if there is one. Address, 0 if that is not possible.

    ``most`` is the page limit, 0 for none; pages are left in ``h.out_pages``.
    """
    if given_addr != 0:
        return given_addr if page_alloc_scavenge_at(h, given_addr, given_pages) else np.int64(0)
    return page_alloc_scavenge_next(h, NO_LIMIT if most == 0 else most)

