"""Where a run of pages is placed: Go's first fit, and two that Go does not have (any more), best fit and next fit.

``page_alloc_place`` is what the heap asks for pages.  Under first fit it is ``page_alloc_alloc`` and nothing else.

* Best fit takes the smallest free run that is long enough, of several equal ones the lowest: what Go did until 1.12,
  with lists of runs by length and a treap of the long ones (runtime/mgclarge.go).  Go 1.13 kept the treap but made it
  first-fit, and 1.14 put the bitmaps of ``mpagealloc`` in its place.
* Next fit takes the first run at or after the end of the last one taken, and behind the end of the heap begins again
  at its start.  Go never had it.

Both stand on one question, ``next_free_run``: the first free run of at least so many pages at or after an address.  It
walks the chunks and goes over whole entries of the summary tree whose longest run is too short, as far up as it can;
runs that cross chunks are followed by the free pages at the ends of what is walked over.

Cost.  Next fit is one such question; in a heap with little room it may be asked over the whole heap, once.  Best fit
asks it from run to run until one is exactly long enough, so in the worst case it looks at every free run of the heap
that is long enough, at 25 to 60 ns each: 0.1 ms in 1 GiB with 3,000 holes, 6.5 ms in 32 GiB with 100,000.  Mostly an
exact fit comes soon: after 8 and 14 us there.  Go's treap took the logarithm of the number of runs.  All measurements:
docs/policies.md.

A page cache is filled with the block in which the policy would place a single page; that is Go's rule under first fit,
and without it the policy would decide about long spans only.

The search address stays what it is in Go, an address below which nothing is free; these policies raise it when they
take the page it stands on, or when a search for one page has shown which is the lowest.

Not in Go as it is: plain searches rather than clever ones.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import ctz64
from .mpagealloc import (
    LEAF,
    Throw,
    chunk_base,
    chunk_index,
    chunk_of,
    chunk_page_index,
    page_alloc_alloc,
    page_alloc_alloc_range,
    page_alloc_find,
)
from .mpallocbits import (
    FULL,
    NOT_FOUND,
    U0,
    palloc_bits_find,
    palloc_sum_end,
    palloc_sum_max,
    palloc_sum_start,
)
from .structs import MAX_SEARCH_ADDR, PAGE_SIZE, PALLOC_CHUNK_PAGES, SUMMARY_LEVEL_BITS
from .tables import summary

FIRST_FIT = np.int64(0)
BEST_FIT = np.int64(1)
NEXT_FIT = np.int64(2)
ONE_PAGE = np.int64(1)
_ENTRY_MASK = np.int64((1 << SUMMARY_LEVEL_BITS) - 1)


@kjit
def _next_page(b, i, taken):
    """The first page from ``i`` on that is taken (or, without ``taken``, free) in bitmap ``b``; 512 if none is."""
    for wi in range(i >> 6, 8):
        x = b.w[wi] if taken else ~b.w[wi]
        if wi == i >> 6:
            x &= FULL << np.uint64(i & 63)
        if x != U0:
            return np.int64(wi) * 64 + ctz64(x)
    return PALLOC_CHUNK_PAGES


@kjit
def _run_in_chunk(b, i, npages):
    """From page ``i`` of bitmap ``b`` on: start of the first free run of ``npages`` or up to the end; 512 for none."""
    while i < PALLOC_CHUNK_PAGES:
        i = _next_page(b, i, np.bool_(False))
        end = _next_page(b, i, np.bool_(True)) if i < PALLOC_CHUNK_PAGES else i
        if end - i >= npages or end == PALLOC_CHUNK_PAGES:
            break
        i = end
    return i


@kinline
def _short_level(h, ci, npages):
    """The highest level of the tree with an entry that begins with chunk ``ci`` and has no run of ``npages`` in it.

    The leaf itself, if even that has one.
    """
    level = LEAF
    at = ci
    while level > 0 and at & _ENTRY_MASK == 0:
        at >>= SUMMARY_LEVEL_BITS
        if palloc_sum_max(summary(h, level - 1, at)) >= npages:
            break
        level -= 1
    return level


@kjit
def next_free_run(h, addr, npages):
    """The lowest address at or after ``addr`` from which ``npages`` pages are free; 0 if there is none up to the end.

    Nothing else is free between ``addr`` and the result that would be long enough, so unless the result is ``addr``
    itself the page before it is taken.
    """
    ci = chunk_index(addr)
    if ci >= np.int64(h.chunk_end):
        return np.int64(0)
    # The first chunk may have to be looked at from its middle on; after that, run pages before chunk ci are free.
    run = np.int64(0)
    if summary(h, LEAF, ci) != U0:
        bits = chunk_of(h, ci).alloc
        i = _run_in_chunk(bits, chunk_page_index(addr), npages)
        run = PALLOC_CHUNK_PAGES - i
        if run > 0 and (run >= npages or _next_page(bits, i, np.bool_(True)) < PALLOC_CHUNK_PAGES):
            return chunk_base(ci) + i * PAGE_SIZE
    ci += 1
    while ci < np.int64(h.chunk_end):
        level = _short_level(h, ci, npages)
        up = (LEAF - level) * SUMMARY_LEVEL_BITS
        packed = summary(h, level, ci >> up)
        if run + palloc_sum_start(packed) >= npages:
            return chunk_base(ci) - run * PAGE_SIZE
        if palloc_sum_max(packed) >= npages:
            j = palloc_bits_find(chunk_of(h, ci).alloc, npages, np.int64(0))
            if j == NOT_FOUND:
                raise Throw("bad summary data", ci, npages)
            return chunk_base(ci) + j * PAGE_SIZE
        whole = PALLOC_CHUNK_PAGES << up
        end = palloc_sum_end(packed)
        run = run + whole if end == whole else end
        ci += np.int64(1) << up
    return np.int64(0)


@kjit
def free_run_pages(h, addr):
    """Pages that are free from the free page at ``addr`` on."""
    ci = chunk_index(addr)
    i = chunk_page_index(addr)
    end = _next_page(chunk_of(h, ci).alloc, i, np.bool_(True))
    run = end - i
    while end == PALLOC_CHUNK_PAGES:
        ci += 1
        end = palloc_sum_start(summary(h, LEAF, ci))
        run += end
    return run


@kjit
def page_alloc_find_best(h, npages):
    """The smallest free run of at least ``npages``, the lowest of several; 0 if there is none."""
    best = np.int64(0)
    best_pages = np.int64(0)
    addr = next_free_run(h, np.int64(h.search_addr), npages)
    if addr != 0 and npages == 1:
        h.search_addr = addr
    while addr != 0:
        pages = free_run_pages(h, addr)
        if best == 0 or pages < best_pages:
            best = addr
            best_pages = pages
            if pages == npages:
                break
        addr = next_free_run(h, addr + pages * PAGE_SIZE, npages)
    return best


@kjit
def page_alloc_find_next(h, npages):
    """The first free run of ``npages`` at or after the end of the last one taken, else the first of all; 0 for none."""
    addr = next_free_run(h, max(np.int64(h.next_fit), np.int64(h.search_addr)), npages)
    if addr == 0 and np.int64(h.next_fit) > np.int64(h.search_addr):
        addr = page_alloc_find(h, npages)
        if addr != 0:
            h.search_addr = max(np.int64(h.search_addr), np.int64(h.out_search))
    return addr


@kjit
def page_alloc_find_placed(h, npages):
    """Where a policy other than first fit places ``npages``; 0 if no free run is long enough."""
    if chunk_index(h.search_addr) >= np.int64(h.chunk_end):
        return np.int64(0)
    if h.params.placement == BEST_FIT:
        addr = page_alloc_find_best(h, npages)
    else:
        addr = page_alloc_find_next(h, npages)
    if addr == 0 and npages == 1:
        h.search_addr = MAX_SEARCH_ADDR
    return addr


@kjit
def page_alloc_placed(h, addr, npages):
    """Remember that all free pages of [addr, addr + npages) were taken: for next fit, and for the search address.

    As Go does after filling a cache, it is raised to the last page taken and not beyond, which may be no page at all.
    """
    h.next_fit = addr + npages * PAGE_SIZE
    if addr <= np.int64(h.search_addr):
        h.search_addr = max(np.int64(h.search_addr), addr + (npages - 1) * PAGE_SIZE)


@kjit
def page_alloc_place(h, npages):
    """pageAlloc.alloc under the policy of the parameters: the pages' address, or 0. Scavenged bytes: ``h.out_scav``."""
    if h.params.placement == FIRST_FIT:
        return page_alloc_alloc(h, npages)
    h.out_scav = np.int64(0)
    addr = page_alloc_find_placed(h, npages)
    if addr != 0:
        h.out_scav = page_alloc_alloc_range(h, addr, npages)
        page_alloc_placed(h, addr, npages)
    return addr
