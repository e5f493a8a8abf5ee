"""mpagealloc: first fit over the tree of summaries, against a sorted list of pages, and Go's own tables of cases."""

import numpy as np
import pytest
from runtime.entry import (
    ALL,
    ALLOC,
    BASE_CHUNK,
    CHUNK_BYTES,
    CHUNK_PAGES,
    COMPILED,
    PAGE,
    PageScript,
    check_pages,
    new_page_alloc,
    new_state,
    new_twin,
    page_base,
    same_pages,
)

from mheaplab.runtime.structs import MAX_SEARCH_ADDR

SEQUENCES = 300 if COMPILED else 20
OPERATIONS = 200
MAX_CHUNKS = 48
"""Chunks of a random heap, about: the twin takes time by the page."""

P = CHUNK_PAGES
JUMP = 0x100000
"""Chunks to a place terabytes away."""
# 512 leaf summaries of 8 bytes fill a physical page of Go's summary array.
BOUNDARY = (BASE_CHUNK & ~511) + 511 - BASE_CHUNK


def chunks(table):
    """Return a table keyed by the offset from BASE_CHUNK as one keyed by chunk index."""
    return {BASE_CHUNK + offset: ranges for offset, ranges in table.items()}


# ---------------------------------------------------------------------------------------------------- Go's tables

# Cases after TestPageAllocGrow of runtime/mpagealloc_test.go: chunks, and the ranges in use as (first, end) chunks.
GROW_CASES = {
    "One": ([0], [(0, 1)]),
    "Contiguous2": ([0, 1], [(0, 2)]),
    "Contiguous5": ([0, 1, 2, 3, 4], [(0, 5)]),
    "Discontiguous": ([0, 2, 4], [(0, 1), (2, 3), (4, 5)]),
    "Mixed": ([0, 1, 2, 4], [(0, 3), (4, 5)]),
    "WildlyDiscontiguous": ([0, 1, 0x10, 0x21], [(0, 2), (0x10, 0x11), (0x21, 0x22)]),
    "ManyDiscontiguous": (list(range(0, 66, 2)), [(c, c + 1) for c in range(0, 66, 2)]),
    "ExtremelyDiscontiguous": ([0, JUMP], [(0, 1), (JUMP, JUMP + 1)]),
}


@pytest.mark.parametrize("name", GROW_CASES)
@pytest.mark.parametrize("backwards", [False, True])
def test_grow_in_use(name, backwards):
    """Growth in either order joins neighbouring ranges and keeps them sorted."""
    grown, ranges = GROW_CASES[name]
    state = new_state()
    script = PageScript()
    for offset in reversed(grown) if backwards else grown:
        script.grow(page_base(BASE_CHUNK + offset), CHUNK_BYTES)
    script.run(state)
    want = [(page_base(BASE_CHUNK + first), page_base(BASE_CHUNK + end)) for first, end in ranges]
    assert script.twin.in_use() == want
    check_pages(state, script.twin)


# Cases after TestPageAllocAlloc of runtime/mpagealloc_test.go: taken and scavenged ranges by chunk, then allocations
# as (pages, chunk, page, scavenged pages) or (pages,) for one that fails, then the taken ranges afterwards.
ALLOC_CASES = {
    "AllFree1": (
        {0: []},
        {0: [(0, 1), (2, 2)]},
        [(1, 0, 0, 1), (1, 0, 1, 0), (1, 0, 2, 1), (1, 0, 3, 1), (1, 0, 4, 0)],
        {0: [(0, 5)]},
    ),
    "ManyArena1": (
        {0: [ALL], 1: [ALL], 2: [(0, P - 1)]},
        {0: [ALL], 1: [ALL], 2: [ALL]},
        [(1, 2, P - 1, 1)],
        {0: [ALL], 1: [ALL], 2: [ALL]},
    ),
    "NotContiguous1": (
        {0: [ALL], 0xFF: []},
        {0: [ALL], 0xFF: [ALL]},
        [(1, 0xFF, 0, 1)],
        {0: [ALL], 0xFF: [(0, 1)]},
    ),
    "AllFree2": (
        {0: []},
        {0: [(0, 3), (7, 1)]},
        [(2, 0, 0, 2), (2, 0, 2, 1), (2, 0, 4, 0), (2, 0, 6, 1), (2, 0, 8, 0)],
        {0: [(0, 10)]},
    ),
    "Straddle2": (
        {0: [(0, P - 1)], 1: [(1, P - 1)]},
        {0: [(P - 1, 1)], 1: []},
        [(2, 0, P - 1, 1)],
        {0: [ALL], 1: [ALL]},
    ),
    "AllFree5": (
        {0: []},
        {0: [(0, 8), (9, 1), (17, 5)]},
        [(5, 0, 0, 5), (5, 0, 5, 4), (5, 0, 10, 0), (5, 0, 15, 3), (5, 0, 20, 2)],
        {0: [(0, 25)]},
    ),
    "AllFree64": (
        {0: []},
        {0: [(21, 1), (63, 65)]},
        [(64, 0, 0, 2), (64, 0, 64, 64), (64, 0, 128, 0)],
        {0: [(0, 192)]},
    ),
    "AllFree65": (
        {0: []},
        {0: [(129, 1)]},
        [(65, 0, 0, 0), (65, 0, 65, 1), (65, 0, 130, 0)],
        {0: [(0, 195)]},
    ),
    "ExhaustPallocChunkPages-3": (
        {0: []},
        {0: [(10, 1)]},
        [(P - 3, 0, 0, 1), (P - 3,), (1, 0, P - 3, 0), (2, 0, P - 2, 0), (1,), (P - 3,)],
        {0: [ALL]},
    ),
    "AllFreePallocChunkPages": (
        {0: []},
        {0: [(0, 1), (P - 1, 1)]},
        [(P, 0, 0, 2), (P,), (1,)],
        {0: [ALL]},
    ),
    "StraddlePallocChunkPages": (
        {0: [(0, P // 2)], 1: [(P // 2, P // 2)]},
        {0: [], 1: [(3, 100)]},
        [(P, 0, P // 2, 100), (P,), (1,)],
        {0: [ALL], 1: [ALL]},
    ),
    "StraddlePallocChunkPages+1": (
        {0: [(0, P // 2)], 1: []},
        {0: [ALL], 1: [ALL]},
        [(P + 1, 0, P // 2, P + 1), (P,), (1, 1, P // 2 + 1, 1)],
        {0: [ALL], 1: [(0, P // 2 + 2)]},
    ),
    "AllFreePallocChunkPages*2": (
        {0: [], 1: []},
        {0: [], 1: []},
        [(P * 2, 0, 0, 0), (P * 2,), (1,)],
        {0: [ALL], 1: [ALL]},
    ),
    "NotContiguousPallocChunkPages*2": (
        {0: [], 0x40: [], 0x41: []},
        {0: [ALL], 0x40: [], 0x41: []},
        [(P * 2, 0x40, 0, 0), (21, 0, 0, 21), (1, 0, 21, 1)],
        {0: [(0, 22)], 0x40: [ALL], 0x41: [ALL]},
    ),
    "StraddlePallocChunkPages*2": (
        {0: [(0, P // 2)], 1: [], 2: [(P // 2, P // 2)]},
        {0: [(0, 7)], 1: [(3, 5), (121, 10)], 2: [(P // 2 + 12, 2)]},
        [(P * 2, 0, P // 2, 15), (P * 2,), (1,)],
        {0: [ALL], 1: [ALL], 2: [ALL]},
    ),
    "StraddlePallocChunkPages*5/4": (
        {0: [ALL], 1: [(0, P * 3 // 4)], 2: [(0, P * 3 // 4)], 3: []},
        {0: [ALL], 1: [(P // 2, P // 4 + 1)], 2: [(P // 3, 1)], 3: [(P * 2 // 3, 1)]},
        [(P * 5 // 4, 2, P * 3 // 4, 1), (P * 5 // 4,), (1, 1, P * 3 // 4, 1)],
        {0: [ALL], 1: [(0, P * 3 // 4 + 1)], 2: [ALL], 3: [ALL]},
    ),
    "AllFreePallocChunkPages*7+5": (
        {c: [] for c in range(8)},
        {c: [(page, 1)] for c, page in enumerate((50, 31, 7, 200, 3, 51, 20, 1))},
        [(P * 7 + 5, 0, 0, 8), (P * 7 + 5,), (1, 7, 5, 0)],
        {c: [ALL] if c < 7 else [(0, 6)] for c in range(8)},
    ),
    "DiscontiguousMappedSumBoundary": (
        {BOUNDARY: [], JUMP: []},
        {},
        [(P - 1, BOUNDARY, 0, 0), (1, BOUNDARY, P - 1, 0), (1, JUMP, 0, 0), (P - 1, JUMP, 1, 0), (1,)],
        {BOUNDARY: [ALL], JUMP: [ALL]},
    ),
    "DiscontiguousBadSearchAddr": (
        {0: [(0, P - 1)], JUMP + 0x503: [(0, P - 10), (P - 1, 1)], JUMP * 2: []},
        {},
        [(1, 0, P - 1, 0), (100, JUMP * 2, 0, 0), (9, JUMP + 0x503, P - 10, 0)],
        {0: [ALL], JUMP + 0x503: [ALL], JUMP * 2: [(0, 100)]},
    ),
}


@pytest.mark.parametrize("name", ALLOC_CASES)
def test_alloc_table(name):
    """Go's cases of allocation: address, scavenged bytes and the bitmaps afterwards."""
    taken, scavenged, hits, after = ALLOC_CASES[name]
    state, script = new_page_alloc(chunks(taken), chunks(scavenged))
    for n, *hit in hits:
        got = script.twin.alloc(n)
        want = (page_base(BASE_CHUNK + hit[0], hit[1]), hit[2] * PAGE) if hit else (0, 0)
        assert got == want, f"the twin allocates {n} pages elsewhere than Go"
        script.add(ALLOC, 0, n, want=want)
    script.run(state)
    assert same_pages(script.twin, new_twin(chunks(after), chunks(scavenged)))
    check_pages(state, script.twin)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 16, 64, 1024, 1025, 2048, 2049])
def test_alloc_exhaust(n):
    """Four chunks are handed out from the bottom without gaps until nothing fits (after TestPageAllocExhaust)."""
    state, script = new_page_alloc(chunks({c: [] for c in range(4)}))
    for k in range(4 * P // n):
        assert script.alloc(n) == page_base(BASE_CHUNK, k * n)
    assert script.alloc(n) == 0
    script.run(state)
    check_pages(state, script.twin)


# Cases after TestPageAllocFree of runtime/mpagealloc_test.go: pages of each free, taken ranges by chunk, the (chunk,
# page) freed, and the taken ranges afterwards.
FREE_CASES = {
    "Free1": (1, {0: [ALL]}, [(0, k) for k in range(5)], {0: [(5, P - 5)]}),
    "ManyArena1": (
        1,
        {0: [ALL], 1: [ALL], 2: [ALL]},
        [(0, P // 2), (1, 0), (2, P - 1)],
        {0: [(0, P // 2), (P // 2 + 1, P // 2 - 1)], 1: [(1, P - 1)], 2: [(0, P - 1)]},
    ),
    "Free2": (2, {0: [ALL]}, [(0, k) for k in range(0, 10, 2)], {0: [(10, P - 10)]}),
    "Straddle2": (2, {0: [(P - 1, 1)], 1: [(0, 1)]}, [(0, P - 1)], {0: [], 1: []}),
    "Free5": (5, {0: [ALL]}, [(0, k) for k in range(0, 25, 5)], {0: [(25, P - 25)]}),
    "Free64": (64, {0: [ALL]}, [(0, 0), (0, 64), (0, 128)], {0: [(192, P - 192)]}),
    "Free65": (65, {0: [ALL]}, [(0, 0), (0, 65), (0, 130)], {0: [(195, P - 195)]}),
    "FreePallocChunkPages": (P, {0: [ALL]}, [(0, 0)], {0: []}),
    "StraddlePallocChunkPages": (P, {0: [(P // 2, P // 2)], 1: [(0, P // 2)]}, [(0, P // 2)], {0: [], 1: []}),
    "StraddlePallocChunkPages+1": (
        P + 1,
        {0: [ALL], 1: [ALL]},
        [(0, P // 2)],
        {0: [(0, P // 2)], 1: [(P // 2 + 1, P // 2 - 1)]},
    ),
    "FreePallocChunkPages*2": (P * 2, {0: [ALL], 1: [ALL]}, [(0, 0)], {0: [], 1: []}),
    "StraddlePallocChunkPages*2": (
        P * 2,
        {0: [ALL], 1: [ALL], 2: [ALL]},
        [(0, P // 2)],
        {0: [(0, P // 2)], 1: [], 2: [(P // 2, P // 2)]},
    ),
    "AllFreePallocChunkPages*7+5": (
        P * 7 + 5,
        {c: [ALL] for c in range(8)},
        [(0, 0)],
        {c: [] if c < 7 else [(5, P - 5)] for c in range(8)},
    ),
}


@pytest.mark.parametrize("name", FREE_CASES)
def test_free_table(name):
    """Go's cases of freeing: the bitmaps afterwards."""
    n, taken, frees, after = FREE_CASES[name]
    state, script = new_page_alloc(chunks(taken))
    for offset, page in frees:
        script.free(page_base(BASE_CHUNK + offset, page), n)
    script.run(state)
    assert same_pages(script.twin, new_twin(chunks(after)))
    check_pages(state, script.twin)


def test_alloc_and_free():
    """Eight chunks can be taken and given back as one, again and again (after TestPageAllocAllocAndFree)."""
    state, script = new_page_alloc(chunks({c: [] for c in range(8)}))
    for n in (P * 8, P * 8, P * 8, 1):
        assert script.alloc(n) == page_base(BASE_CHUNK)
        script.free(page_base(BASE_CHUNK), n)
    assert script.alloc(P * 8) == page_base(BASE_CHUNK)
    script.run(state)
    check_pages(state, script.twin)


# ---------------------------------------------------------------------------------------------------- by hand


def test_grow_rounds_to_chunks():
    """Growth takes whole chunks, whatever part of them is asked for."""
    state = new_state()
    script = PageScript()
    script.grow(page_base(BASE_CHUNK, 3), PAGE)
    script.grow(page_base(BASE_CHUNK + 5, P - 1), 2 * PAGE)
    assert script.twin.chunks().tolist() == [BASE_CHUNK, BASE_CHUNK + 5, BASE_CHUNK + 6]
    script.run(state)
    check_pages(state, script.twin)


def test_grown_memory_is_scavenged():
    """What the heap grows by was never backed by memory, so all of it counts as scavenged."""
    state = new_state()
    script = PageScript()
    script.grow(page_base(BASE_CHUNK), 3 * CHUNK_BYTES)
    script.add(ALLOC, 0, P + 7, want=(page_base(BASE_CHUNK), (P + 7) * PAGE))
    script.run(state)


def test_empty_heap():
    """A heap without pages has none to give, and its search address says so."""
    state = new_state()
    script = PageScript()
    assert script.alloc(1) == 0
    script.run(state)
    assert state.h.search_addr == MAX_SEARCH_ADDR


def search_after(state, script):
    """Run ``script`` and return the search address afterwards."""
    script.run(state)
    return int(state.h.search_addr)


def test_search_addr_moves():
    """The search address follows the lowest free page as far as an allocation has seen it, and goes back on a free."""
    state, script = new_page_alloc(chunks({0: [], 1: [], 2: []}))
    assert search_after(state, script) == page_base(BASE_CHUNK)
    script.alloc(3)
    # The page at which the search found the first free page, before it was taken.
    assert search_after(state, script) == page_base(BASE_CHUNK)
    script.alloc(2)
    assert search_after(state, script) == page_base(BASE_CHUNK, 3)
    script.alloc(P - 5)
    assert search_after(state, script) == page_base(BASE_CHUNK, 5)
    script.alloc(1)
    assert search_after(state, script) == page_base(BASE_CHUNK + 1)
    script.free(page_base(BASE_CHUNK, 3), 2)
    assert search_after(state, script) == page_base(BASE_CHUNK, 3)
    # A search that goes over the page of a hole does not move the search address past it.
    script.alloc(P)
    assert search_after(state, script) == page_base(BASE_CHUNK, 3)
    script.alloc(2)
    script.alloc(P - 1)
    assert script.twin.lowest_free() is None
    assert search_after(state, script) == page_base(BASE_CHUNK + 2, 1)
    script.alloc(1)
    assert search_after(state, script) == MAX_SEARCH_ADDR


def test_search_addr_stays_when_a_long_run_is_missing():
    """Only a failed search for one page proves that the heap is full."""
    state, script = new_page_alloc(chunks({0: [(0, P - 1)], 2: [(1, P - 1)]}))
    assert script.alloc(2) == 0
    assert search_after(state, script) == page_base(BASE_CHUNK)
    script.alloc(1)
    script.alloc(1)
    assert script.alloc(1) == 0
    assert search_after(state, script) == MAX_SEARCH_ADDR


ROOT_CHUNKS = 1 << 12
"""Chunks under a root entry (16 GiB)."""


def test_root_entries():
    """Runs of a whole root entry (2**21 pages, a number for which 21 bits are too few) and over its borders."""
    first = BASE_CHUNK & -ROOT_CHUNKS
    whole = ROOT_CHUNKS * P
    state = new_state()
    script = PageScript()
    script.grow(page_base(first), ROOT_CHUNKS * CHUNK_BYTES)
    script.run(state)
    assert int(state.tables["summary"][first // ROOT_CHUNKS]) == 1 << 63
    script.grow(page_base(first - 2), 2 * CHUNK_BYTES)
    script.grow(page_base(first + ROOT_CHUNKS), CHUNK_BYTES)
    assert script.alloc(whole + 3 * P + 1) == 0
    assert script.alloc(P) == page_base(first - 2)
    assert script.alloc(whole + P + 1) == page_base(first - 1)
    assert script.alloc(P) == 0
    script.free(page_base(first - 1), whole + P + 1)
    script.run(state)
    check_pages(state, script.twin)
    if COMPILED:
        assert script.alloc(1) == page_base(first - 1)
        assert script.alloc(whole) == page_base(first - 1, 1)
        script.free(page_base(first - 1, 1), whole)
        assert script.alloc(whole + 2 * P - 1) == page_base(first - 1, 1)
        script.run(state)
        check_pages(state, script.twin)


# ---------------------------------------------------------------------------------------------------- at random


def random_pages(rng):
    """Return a number of pages: mostly small, sometimes thousands."""
    kind = rng.random()
    limit = 16 if kind < 0.55 else 130 if kind < 0.8 else 600 if kind < 0.93 else 5 * P
    return int(rng.integers(1, limit + 1))


def random_growth(rng, script, arenas):
    """Grow the heap somewhere: on top, beyond a gap, terabytes away, or below all of it."""
    used = script.twin.chunks()
    if len(used) >= MAX_CHUNKS:
        return
    size = int(rng.integers(1, 7)) if rng.random() < 0.9 else 20
    if len(used) == 0:
        first = BASE_CHUNK + int(rng.integers(0, 1000))
    else:
        gap = int(rng.choice([0, 0, 0, 1, 7, 100, 5000, JUMP]))
        first = int(used[-1]) + 1 + gap if rng.random() < 0.7 else int(used[0]) - gap % 6000 - size
    if arenas:
        for ci in range(first, first + size, 16):
            script.map_arena(page_base(ci))
        script.map_arena(page_base(first + size - 1))
    script.grow(page_base(first), size * CHUNK_BYTES)


def random_script(rng, operations, arenas):
    """Return a script of random growth, allocation and freeing."""
    script = PageScript()
    live = []
    random_growth(rng, script, arenas)
    appetite = rng.choice([0.5, 0.65, 0.9])
    for k in range(operations):
        if k == operations // 2:
            appetite = 1 - appetite
        if not live or rng.random() < appetite:
            n = random_pages(rng)
            address = script.alloc(n)
            if address:
                live.append((address, n))
            elif rng.random() < 0.6:
                random_growth(rng, script, arenas)
        else:
            i = int(rng.integers(len(live)))
            live[i], live[-1] = live[-1], live[i]
            address, n = live.pop()
            if n > 1 and rng.random() < 0.1:
                # No span is freed in part, but to the page allocator any taken pages are alike.
                part = int(rng.integers(1, n))
                live.append((address + part * PAGE, n - part))
                n = part
            script.free(address, n)
    return script


@pytest.mark.parametrize("arenas", [False, True])
def test_random_sequences(rng, arenas):
    """Random growth, allocation and freeing: addresses, scavenged bytes, and the whole state at the end."""
    for _ in range(SEQUENCES // 2):
        state = new_state()
        script = random_script(rng, OPERATIONS, arenas)
        script.run(state)
        check_pages(state, script.twin)


def test_fragmented_heap(rng):
    """Every other page taken: only single pages fit until neighbours are freed."""
    holes = [(page, 1) for page in range(0, P, 2)]
    state, script = new_page_alloc(chunks({0: holes, 1: holes, 2: holes}))
    for page in rng.permutation(P // 2)[: 40 if COMPILED else 8].tolist():
        script.alloc(2)
        script.free(page_base(BASE_CHUNK + 1, 2 * page), 1)
        script.alloc(int(rng.integers(1, 4)))
    script.run(state)
    check_pages(state, script.twin)


def test_twin_first_fit():
    """The twin itself, on pages that one can count."""
    twin = new_twin(chunks({0: [(0, 2), (3, 4), (10, P - 10)], 2: [(5, 5)]}))
    assert [twin.find(n) for n in (1, 3, 4)] == [
        page_base(BASE_CHUNK, 2),
        page_base(BASE_CHUNK, 7),
        page_base(BASE_CHUNK + 2),
    ]
    assert twin.find(P - 10) == page_base(BASE_CHUNK + 2, 10)
    assert twin.find(P - 9) == 0
    assert twin.lowest_free() == page_base(BASE_CHUNK, 2)
    assert twin.summary(4, BASE_CHUNK) == (0, 3, 0)
    assert twin.summary(4, BASE_CHUNK + 2) == (5, P - 10, P - 10)
    assert np.array_equal(twin.chunks(), [BASE_CHUNK, BASE_CHUNK + 2])
