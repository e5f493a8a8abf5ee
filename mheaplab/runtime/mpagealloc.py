"""pageAlloc: the page allocator, first-fit by address over a five-level tree of summaries.

The address space is cut into chunks of 512 pages (4 MiB), each with the bitmaps of ``mpallocbits``.  Above them stands
a radix tree: a leaf is the summary of one chunk (free pages at its start, longest run, free pages at its end), an inner
entry merges eight children, and the root level has 2**14 entries of 16 GiB.  ``find`` goes down from the root to the
first place where a run of ``npages`` fits, which may span children at any level; ``update`` recomputes the leaves of a
changed range and their parents until nothing changes.  ``search_addr`` is an address below which there is no free page;
it moves up only when a search has proved that, and down whenever something is freed below it.

Nothing here depends on how large the heap is, except that a search which fails looks at the root entries up to the end
of the heap.

Second results: ``page_alloc_find`` leaves the new search address in ``h.out_search``; ``page_alloc_alloc`` leaves the
scavenged bytes of what it took in ``h.out_scav``.

Follows runtime/mpagealloc.go of Go 1.19 (1.27 is the same but for its scavenge index).  Simplified: the root level is
searched up to the end of the heap instead of the end of the address space; the accounting of the memory that the tree
itself takes from the OS is left out.
"""

import numpy as np

from ._jit import kinline, kjit
from .mgcscavenge_index import scavenge_index_grow, scavenge_index_mark
from .mpallocbits import (
    FREE_CHUNK_SUM,
    NOT_FOUND,
    U0,
    pack_palloc_sum,
    page_bits_clear_range,
    page_bits_popcnt_range,
    page_bits_set_range,
    palloc_bits_find,
    palloc_bits_find_first,
    palloc_bits_summarize,
    palloc_data_alloc_all,
    palloc_data_alloc_range,
    palloc_sum_end,
    palloc_sum_max,
    palloc_sum_start,
)
from .mranges import addr_ranges_add, addr_ranges_find_addr_greater_equal
from .structs import (
    ARENA_BASE_OFFSET,
    LOG_PALLOC_CHUNK_BYTES,
    MAX_ADDRESS,
    MAX_SEARCH_ADDR,
    NO,
    PAGE_SHIFT,
    PAGE_SIZE,
    PALLOC_CHUNK_BYTES,
    PALLOC_CHUNK_PAGES,
    PALLOC_CHUNKS_L2,
    SUMMARY_L0_BITS,
    SUMMARY_LEVEL_BITS,
    SUMMARY_LEVELS,
    YES,
)
from .tables import arena_map, palloc_data, summary, summary_set

LEAF = np.int64(SUMMARY_LEVELS - 1)


class Throw(RuntimeError):
    """What Go reports by throw(): an impossible state of the heap, in Go's words, with the numbers."""


@kinline
def chunk_index(addr):
    """chunkIndex: index of the chunk that holds ``addr``."""
    return (np.int64(addr) + ARENA_BASE_OFFSET) >> LOG_PALLOC_CHUNK_BYTES


@kinline
def chunk_base(ci):
    """chunkBase: address of the first byte of chunk ``ci``."""
    return (np.int64(ci) << LOG_PALLOC_CHUNK_BYTES) - ARENA_BASE_OFFSET


@kinline
def chunk_page_index(addr):
    """chunkPageIndex: page of ``addr`` within its chunk."""
    return (np.int64(addr) >> PAGE_SHIFT) & (PALLOC_CHUNK_PAGES - 1)


@kinline
def chunk_of(h, ci):
    """pageAlloc.chunkOf: the pallocData of chunk ``ci``, which must have been grown into."""
    l2 = np.int64(h.chunks_l1[np.int64(ci) >> 13])
    return palloc_data(h, l2 + (np.int64(ci) & (PALLOC_CHUNKS_L2 - 1)))


@kinline
def level_index(h, level, addr):
    """offAddrToLevelIndex: index of the entry of ``level`` that covers ``addr``."""
    return (np.int64(addr) + ARENA_BASE_OFFSET) >> np.int64(h.level_shift[level])


@kinline
def level_index_to_addr(h, level, i):
    """levelIndexToOffAddr: address of the first byte under entry ``i`` of ``level``."""
    return (np.int64(i) << np.int64(h.level_shift[level])) - ARENA_BASE_OFFSET


def page_alloc_init(h):
    """pageAlloc.init: set the shape of the tree in a fresh heap record (plain Python, runs once)."""
    offset = 0
    for level in range(SUMMARY_LEVELS):
        bits = SUMMARY_L0_BITS + SUMMARY_LEVEL_BITS * level
        h.level_shift[level] = 48 - bits
        h.level_offset[level] = offset
        h.level_log_pages[level] = 48 - bits - 13
        offset += 1 << bits
    h.search_addr = MAX_SEARCH_ADDR
    h.scav_search = -1


@kjit
def merge_summaries(h, level, first):
    """mergeSummaries: the summary of the eight entries of ``level`` from ``first`` on."""
    log_pages = np.int64(h.level_log_pages[level])
    whole = np.int64(1) << log_pages
    packed = summary(h, level, first)
    start = palloc_sum_start(packed)
    most = palloc_sum_max(packed)
    end = palloc_sum_end(packed)
    for i in range(1, 1 << SUMMARY_LEVEL_BITS):
        packed = summary(h, level, first + i)
        if packed == U0:
            end = np.int64(0)
            continue
        s = palloc_sum_start(packed)
        if start == np.int64(i) << log_pages:
            start += s
        most = max(most, end + s, palloc_sum_max(packed))
        e = palloc_sum_end(packed)
        end = end + whole if e == whole else e
    return pack_palloc_sum(start, most, end)


@kinline
def _update_leaves(h, sc, ec, alloc):
    """Recompute the leaf summaries of chunks ``sc`` to ``ec`` and return whether one changed."""
    y = palloc_bits_summarize(chunk_of(h, sc).alloc)
    if sc == ec:
        changed = y != summary(h, LEAF, sc)
        summary_set(h, LEAF, sc, y)
        return changed
    summary_set(h, LEAF, sc, y)
    whole = U0 if alloc else FREE_CHUNK_SUM
    for c in range(sc + 1, ec):
        summary_set(h, LEAF, c, whole)
    summary_set(h, LEAF, ec, palloc_bits_summarize(chunk_of(h, ec).alloc))
    return True


@kjit
def page_alloc_update(h, start, npages, alloc):
    """pageAlloc.update: bring the tree up to date after pages [start, start + npages) were all taken or all freed.

    Of chunks wholly inside the range only the new state is written (Go's contig); the ends are counted.
    """
    limit = start + npages * PAGE_SIZE - 1
    if not _update_leaves(h, chunk_index(start), chunk_index(limit), alloc):
        return
    for up in range(SUMMARY_LEVELS - 1):
        level = np.int64(SUMMARY_LEVELS - 2 - up)
        changed = False
        for i in range(level_index(h, level, start), level_index(h, level, limit) + 1):
            merged = merge_summaries(h, level + 1, np.int64(i) << SUMMARY_LEVEL_BITS)
            if merged != summary(h, level, i):
                changed = True
                summary_set(h, level, i, merged)
        if not changed:
            return


@kjit
def page_alloc_grow(h, start, nbytes):
    """pageAlloc.grow: take [start, start + nbytes) into the page allocator, free and scavenged.

    The caller has made sure that the tables have room (``mheap_has_room``).
    """
    limit = (start + nbytes + PALLOC_CHUNK_BYTES - 1) & -PALLOC_CHUNK_BYTES
    start &= -PALLOC_CHUNK_BYTES
    sc = chunk_index(start)
    ec = chunk_index(limit)
    if np.int64(h.chunk_start) == 0 or sc < np.int64(h.chunk_start):
        h.chunk_start = sc
    h.chunk_end = max(np.int64(h.chunk_end), ec)
    addr_ranges_add(h, start, limit)
    h.search_addr = min(np.int64(h.search_addr), start)
    scavenge_index_grow(h, sc, ec)
    for c in range(sc, ec):
        if h.chunks_l1[np.int64(c) >> 13] == 0:
            h.chunks_l1[np.int64(c) >> 13] = h.pallocs_len
            h.pallocs_len += PALLOC_CHUNKS_L2
        page_bits_set_range(chunk_of(h, c).scavenged, np.int64(0), PALLOC_CHUNK_PAGES)
    page_alloc_update(h, start, (limit - start) >> PAGE_SHIFT, NO)


@kjit
def page_alloc_alloc_range(h, start, npages):
    """pageAlloc.allocRange: take the free pages [start, start + npages); return how many bytes were scavenged."""
    limit = start + npages * PAGE_SIZE - 1
    sc = chunk_index(start)
    ec = chunk_index(limit)
    si = chunk_page_index(start)
    ei = chunk_page_index(limit)
    chunk = chunk_of(h, sc)
    if sc == ec:
        scav = page_bits_popcnt_range(chunk.scavenged, si, ei + 1 - si)
        palloc_data_alloc_range(chunk, si, ei + 1 - si)
    else:
        scav = page_bits_popcnt_range(chunk.scavenged, si, PALLOC_CHUNK_PAGES - si)
        palloc_data_alloc_range(chunk, si, PALLOC_CHUNK_PAGES - si)
        for c in range(sc + 1, ec):
            chunk = chunk_of(h, c)
            scav += page_bits_popcnt_range(chunk.scavenged, np.int64(0), PALLOC_CHUNK_PAGES)
            palloc_data_alloc_all(chunk)
        chunk = chunk_of(h, ec)
        scav += page_bits_popcnt_range(chunk.scavenged, np.int64(0), ei + 1)
        palloc_data_alloc_range(chunk, np.int64(0), ei + 1)
    page_alloc_update(h, start, npages, YES)
    return scav * PAGE_SIZE


@kjit
def page_alloc_find_mapped_addr(h, addr):
    """pageAlloc.findMappedAddr: ``addr`` if its arena exists, else the next address in use."""
    if addr < 0 or addr > MAX_ADDRESS:
        return MAX_SEARCH_ADDR
    if arena_map(h, (addr + ARENA_BASE_OFFSET) >> np.int64(h.params.log_arena_bytes)) != 0:
        return addr
    found = addr_ranges_find_addr_greater_equal(h, addr)
    return MAX_SEARCH_ADDR if found < 0 else found


@kjit
def page_alloc_find(h, npages):
    """pageAlloc.find: address of the first free run of ``npages``, 0 if there is none.

    ``h.out_search`` is then the lowest address that may hold a free page, as far as this search has seen.
    """
    search_addr = np.int64(h.search_addr)
    first_base = np.int64(0)  # [first_base, first_bound] is the smallest region known to hold the first free page
    first_bound = MAX_ADDRESS
    i = np.int64(0)
    for lv in range(SUMMARY_LEVELS):
        level = np.int64(lv)
        if level == 0:
            entries = min(np.int64(1 << SUMMARY_L0_BITS), level_index(h, level, chunk_base(h.chunk_end) - 1) + 1)
            block = np.int64(1 << SUMMARY_L0_BITS)
        else:
            entries = block = np.int64(1 << SUMMARY_LEVEL_BITS)
            i <<= SUMMARY_LEVEL_BITS
        log_pages = np.int64(h.level_log_pages[level])
        j0 = np.int64(0)
        search_idx = level_index(h, level, search_addr)
        if search_idx & ~(block - 1) == i:
            j0 = search_idx & (block - 1)
        run = np.int64(0)
        run_base = np.int64(0)
        down = False
        for j in range(j0, entries):
            packed = summary(h, level, i + j)
            if packed == U0:
                run = np.int64(0)
                continue
            low = level_index_to_addr(h, level, i + j)
            high = low + (PAGE_SIZE << log_pages) - 1
            if first_base <= low and high <= first_bound:
                first_base = low
                first_bound = high
            elif not (high < first_base or first_bound < low):
                raise Throw("range partially overlaps", low, high, first_base, first_bound)
            s = palloc_sum_start(packed)
            if run + s >= npages:
                if run == 0:
                    run_base = np.int64(j) << log_pages
                run += s
                break
            if palloc_sum_max(packed) >= npages:
                i += j
                down = True
                break
            if run == 0 or s < np.int64(1) << log_pages:
                run = palloc_sum_end(packed)
                run_base = (np.int64(j + 1) << log_pages) - run
                continue
            run += np.int64(1) << log_pages
        if down:
            continue
        if run >= npages:
            h.out_search = page_alloc_find_mapped_addr(h, first_base)
            return level_index_to_addr(h, level, i) + run_base * PAGE_SIZE
        if level == 0:
            h.out_search = MAX_SEARCH_ADDR
            return np.int64(0)
        raise Throw("bad summary data", level, npages, j0, search_addr, i)
    return _find_in_chunk(h, npages, i, first_base, first_bound)


@kinline
def _find_in_chunk(h, npages, ci, first_base, first_bound):
    """Finish ``page_alloc_find`` in the bitmap of the one chunk whose summary promises a run."""
    bits = chunk_of(h, ci).alloc
    j = palloc_bits_find(bits, npages, np.int64(0))
    if j == NOT_FOUND:
        raise Throw("bad summary data", ci, npages)
    low = chunk_base(ci) + palloc_bits_find_first(bits, np.int64(0)) * PAGE_SIZE
    high = chunk_base(ci + 1) - 1
    if first_base <= low and high <= first_bound:
        first_base = low
    elif not (high < first_base or first_bound < low):
        raise Throw("range partially overlaps", low, high, first_base, first_bound)
    h.out_search = page_alloc_find_mapped_addr(h, first_base)
    return chunk_base(ci) + j * PAGE_SIZE


@kjit
def page_alloc_alloc(h, npages):
    """pageAlloc.alloc: take the first free run of ``npages``; its address, or 0. Scavenged bytes: ``h.out_scav``."""
    h.out_scav = np.int64(0)
    search_addr = np.int64(h.search_addr)
    ci = chunk_index(search_addr)
    if ci >= np.int64(h.chunk_end):
        return np.int64(0)
    addr = np.int64(0)
    new_search = np.int64(0)
    si = chunk_page_index(search_addr)
    if PALLOC_CHUNK_PAGES - si >= npages and palloc_sum_max(summary(h, LEAF, ci)) >= npages:
        bits = chunk_of(h, ci).alloc
        j = palloc_bits_find(bits, npages, si)
        if j == NOT_FOUND:
            raise Throw("bad summary data", npages, si, search_addr)
        addr = chunk_base(ci) + j * PAGE_SIZE
        new_search = chunk_base(ci) + palloc_bits_find_first(bits, si) * PAGE_SIZE
    else:
        addr = page_alloc_find(h, npages)
        new_search = np.int64(h.out_search)
        if addr == 0:
            if npages == 1:
                h.search_addr = MAX_SEARCH_ADDR
            return np.int64(0)
    h.out_scav = page_alloc_alloc_range(h, addr, npages)
    h.search_addr = max(np.int64(h.search_addr), new_search)
    return addr


@kjit
def page_alloc_free(h, start, npages, scavenged):
    """pageAlloc.free: give pages [start, start + npages) back; mark them for the scavenger unless ``scavenged``."""
    h.search_addr = min(np.int64(h.search_addr), start)
    limit = start + npages * PAGE_SIZE - 1
    sc = chunk_index(start)
    ec = chunk_index(limit)
    si = chunk_page_index(start)
    ei = chunk_page_index(limit)
    if not scavenged:
        scavenge_index_mark(h, sc, ec)
    if sc == ec:
        page_bits_clear_range(chunk_of(h, sc).alloc, si, ei + 1 - si)
    else:
        page_bits_clear_range(chunk_of(h, sc).alloc, si, PALLOC_CHUNK_PAGES - si)
        for c in range(sc + 1, ec):
            page_bits_clear_range(chunk_of(h, c).alloc, np.int64(0), PALLOC_CHUNK_PAGES)
        page_bits_clear_range(chunk_of(h, ec).alloc, np.int64(0), ei + 1)
    page_alloc_update(h, start, npages, NO)
