"""mpagecache: 64 pages per P, against sets of pages, and Go's own tables of cases."""

import naive
import numpy as np
import pytest
from runtime.entry import (
    ALL,
    BASE_CHUNK,
    CACHE_ALLOC,
    CHUNK_BYTES,
    CHUNK_PAGES,
    COMPILED,
    FLUSH,
    PAGE,
    TO_CACHE,
    PageScript,
    check_pages,
    new_page_alloc,
    new_state,
    new_twin,
    page_base,
    same_pages,
)

from mheaplab.runtime.structs import MAX_SEARCH_ADDR

SEQUENCES = 200 if COMPILED else 15
OPERATIONS = 200
PS = 4
"""Ps of a random sequence."""

P = CHUNK_PAGES
FULL = 2**64 - 1
BASE = page_base(BASE_CHUNK)
JUMP = 0x100000
BOUNDARY = (BASE_CHUNK & ~511) + 511 - BASE_CHUNK


def chunks(table):
    """Return a table keyed by the offset from BASE_CHUNK as one keyed by chunk index."""
    return {BASE_CHUNK + offset: ranges for offset, ranges in table.items()}


def give_cache(state, script, p, address, cache, scav):
    """Make the cache of P ``p`` hold these bitmaps, in the state and in the script's twin."""
    record = state.h.allp[p].pcache
    record.base_addr, record.cache, record.scav = address, cache, scav
    twin = naive.NaivePageCache()
    twin.block = address // PAGE
    twin.pages = {twin.block + i for i in range(64) if cache >> i & 1}
    twin.scavenged = {twin.block + i for i in range(64) if scav >> i & 1}
    script.caches[p] = twin


# ---------------------------------------------------------------------------------------------------- Go's tables

# Cases after TestPageCacheAlloc of runtime/mpagecache_test.go: bitmap, scavenged pages, then allocations as (pages,
# page, scavenged pages) or (pages,) for one that fails.
ALLOC_CASES = {
    "Empty": (0, 0, [(n,) for n in (1, 2, 3, 4, 5, 11, 12, 16, 27, 32, 43, 57, 64, 121)]),
    "Lo1": (1, 1, [(1, 0, 1), (1,), (10,)]),
    "Hi1": (1 << 63, 1, [(1, 63, 0), (1,), (10,)]),
    "Swiss1": (
        0x20005555,
        0x5505,
        [
            *((2,), (1, 0, 1), (1, 2, 1), (1, 4, 0), (1, 6, 0), (1, 8, 1), (1, 10, 1), (1, 12, 1), (1, 14, 1)),
            *((1, 29, 0), (1,), (10,)),
        ],
    ),
    "Lo2": (3, 2 << 62 & FULL, [(2, 0, 0), (2,), (1,)]),
    "Hi2": (3 << 62, 3 << 62, [(2, 62, 2), (2,), (1,)]),
    "Swiss2": (0x3333 << 31, 0x3030 << 31, [(2, 31, 0), (2, 35, 2), (2, 39, 0), (2, 43, 2), (2,)]),
    "Hi53": ((1 << 53) - 1 << 10, (1 << 16) - 1 << 10, [(53, 10, 16), (53,), (1,)]),
    "Full53": (FULL, (1 << 16) - 1 << 10, [(53, 0, 16), (53,), (1, 53, 0)]),
    "Full64": (FULL, FULL, [(64, 0, 64), (64,), (1,)]),
    "FullMixed": (
        FULL,
        FULL,
        [
            *((5, 0, 5), (7, 5, 7), (1, 12, 1), (23, 13, 23), (63,), (3, 36, 3), (3, 39, 3), (3, 42, 3), (12, 45, 12)),
            *((11,), (4, 57, 4), (4,), (6,), (36,), (2, 61, 2), (3,), (1, 63, 1), (4,), (2,), (62,), (1,)),
        ],
    ),
}


@pytest.mark.parametrize("name", ALLOC_CASES)
def test_cache_alloc_table(name):
    """Go's cases of allocation from a cache."""
    cache, scav, hits = ALLOC_CASES[name]
    state = new_state()
    script = PageScript()
    give_cache(state, script, 3, BASE, cache, scav)
    # Go's Hi1 and Lo2 have scavenged bits for pages that the cache does not own. The twin leaves those out.
    script.caches[3].scavenged &= script.caches[3].pages
    for n, *hit in hits:
        want = (BASE + hit[0] * PAGE, hit[1] * PAGE) if hit else (0, 0)
        assert script.caches[3].alloc(n) == want
        script.add(CACHE_ALLOC, b=n, p=3, want=want)
    script.run(state)
    record = state.h.allp[3].pcache
    assert (int(record.cache), int(record.scav) & cache) == script.caches[3].words()[1:]


# Cases after TestPageAllocAllocToCache: taken and scavenged ranges by chunk, the caches as (chunk, page, bitmap,
# scavenged pages) or () for an empty one, and both afterwards.
TO_CACHE_CASES = {
    "AllFree": (
        {0: []},
        {0: [(1, 1), (64, 64)]},
        [(0, 0, FULL, 2), (0, 64, FULL, FULL), (0, 128, FULL, 0), (0, 192, FULL, 0)],
        {0: [(0, 256)]},
        {},
    ),
    "ManyArena": (
        {0: [ALL], 1: [ALL], 2: [(0, P - 64)]},
        {0: [ALL], 1: [ALL], 2: []},
        [(2, P - 64, FULL, 0)],
        {0: [ALL], 1: [ALL], 2: [ALL]},
        {},
    ),
    "NotContiguous": (
        {0: [ALL], 0xFF: []},
        {0: [ALL], 0xFF: [(31, 67)]},
        [(0xFF, 0, FULL, (1 << 33) - 1 << 31)],
        {0: [ALL], 0xFF: [(0, 64)]},
        {0: [ALL], 0xFF: [(64, 34)]},
    ),
    "First": (
        {0: [(0, 32), (33, 31), (96, 32)]},
        {0: [(1, 4), (31, 5), (66, 2)]},
        [(0, 0, 1 << 32, 1 << 32), (0, 64, (1 << 32) - 1, 3 << 2)],
        {0: [(0, 128)]},
        {},
    ),
    "Fail": ({0: [ALL]}, {}, [(), (), ()], {0: [ALL]}, {}),
    "RetainScavBits": (
        {0: [(0, 1), (10, 2)]},
        {0: [(0, 4), (11, 1)]},
        [(0, 0, FULL & ~(1 | 3 << 10), 7 << 1)],
        {0: [(0, 64)]},
        {0: [(0, 1), (11, 1)]},
    ),
    "DiscontiguousMappedSumBoundary": (
        {BOUNDARY: [(0, P - 1)], JUMP: [(1, P - 1)]},
        {},
        [(BOUNDARY, P - 64, 1 << 63, 0), (JUMP, 0, 1, 0), ()],
        {BOUNDARY: [ALL], JUMP: [ALL]},
        {},
    ),
}


@pytest.mark.parametrize("name", TO_CACHE_CASES)
def test_alloc_to_cache_table(name):
    """Go's cases of filling caches."""
    taken, scavenged, hits, after, scavenged_after = TO_CACHE_CASES[name]
    state, script = new_page_alloc(chunks(taken), chunks(scavenged))
    for p, hit in enumerate(hits):
        want = (page_base(BASE_CHUNK + hit[0], hit[1]), *hit[2:]) if hit else (0, 0, 0)
        assert script.twin.alloc_to_cache().words() == want
        script.add(TO_CACHE, p=p, want=want)
    script.run(state)
    assert same_pages(script.twin, new_twin(chunks(after), chunks(scavenged_after)))
    check_pages(state, script.twin)


def flush_case(block, cache, scav):
    """Check the flush of a cache over ``block`` of a chunk in which only its 64 pages are taken."""
    state, script = new_page_alloc(chunks({0: [(64 * block, 64)]}))
    give_cache(state, script, 0, page_base(BASE_CHUNK, 64 * block), cache, scav)
    script.flush(0)
    script.run(state)
    at = script.twin.chunk_at(BASE_CHUNK)
    assert naive.to_words(script.twin.free[at])[block] == cache
    assert naive.to_words(script.twin.scavenged[at])[block] == scav
    check_pages(state, script.twin)


def test_flush(rng):
    """Flushing gives each page back in the state it is in (after TestPageCacheFlush)."""
    flush_case(0, FULL, FULL)
    for _ in range(100 if COMPILED else 10):
        cache, other = rng.integers(FULL, size=2, dtype=np.uint64, endpoint=True).tolist()
        flush_case(int(rng.integers(8)), cache, cache & other)


# ---------------------------------------------------------------------------------------------------- by hand


def test_flush_of_an_empty_cache():
    """Nothing happens: even the address of the block stays."""
    state, script = new_page_alloc(chunks({0: [(0, 64)]}))
    give_cache(state, script, 0, BASE, 0, 0)
    script.add(FLUSH, want=(BASE, 0, 0))
    script.run(state)
    check_pages(state, script.twin)


def test_search_addr():
    """A filled cache leaves the search address at the last page of its block, a flush moves it back to the first."""
    state, script = new_page_alloc(chunks({0: [(0, 70)]}))
    script.alloc_to_cache(0)
    script.run(state)
    assert int(state.h.search_addr) == page_base(BASE_CHUNK, 127)
    script.flush(0)
    script.run(state)
    assert int(state.h.search_addr) == page_base(BASE_CHUNK, 64)


def test_search_addr_of_a_full_heap():
    """A cache that finds nothing leaves the mark of a full heap."""
    state, script = new_page_alloc(chunks({0: [ALL], 1: [ALL]}))
    script.alloc_to_cache(0)
    script.run(state)
    assert int(state.h.search_addr) == MAX_SEARCH_ADDR
    script.alloc_to_cache(1)
    script.run(state)
    assert script.caches[1].words() == (0, 0, 0)


# ---------------------------------------------------------------------------------------------------- at random


def random_operation(rng, script, live):
    """Append one operation of a P, as allocSpan makes them, or of the page allocator."""
    p = int(rng.integers(PS))
    kind = rng.random()
    if kind < 0.45:
        n = int(rng.integers(1, 16))
        if not script.caches[p].pages:
            script.alloc_to_cache(p)
        address = script.cache_alloc(p, n) or script.alloc(n)
        if address:
            live.append((address, n))
        elif rng.random() < 0.5:
            top = int(script.twin.chunks()[-1])
            if len(script.twin.chunks()) < 16:
                script.grow(page_base(top + 1 + int(rng.choice([0, 0, 3, 600]))), CHUNK_BYTES * int(rng.integers(1, 3)))
    elif kind < 0.5:
        script.flush(p)
    elif kind < 0.6:
        n = int(rng.integers(16, 300))
        address = script.alloc(n)
        if address:
            live.append((address, n))
    elif kind < 0.65:
        if script.scavenge_next(int(rng.integers(1, 600))) == 0:
            script.alloc_to_cache(PS)
            script.flush(PS)
    elif live:
        script.free(*live.pop(int(rng.integers(len(live)))))


def test_random_sequences(rng):
    """Ps that fill, use and flush caches while pages are taken, freed and scavenged beside them."""
    for _ in range(SEQUENCES):
        state = new_state()
        script = PageScript()
        script.caches = {p: naive.NaivePageCache() for p in range(PS)}
        script.grow(page_base(BASE_CHUNK + int(rng.integers(1000))), 2 * CHUNK_BYTES)
        live = []
        for _ in range(OPERATIONS):
            random_operation(rng, script, live)
        script.run(state)
        check_pages(state, script.twin)
        for p in range(PS):
            record = state.h.allp[p].pcache
            words = (int(record.base_addr), int(record.cache), int(record.scav))
            assert words == script.caches[p].words()
        # Once all is given back, the heap is free to the last page.
        for p in range(PS):
            script.flush(p)
        for address, n in live:
            script.free(address, n)
        script.run(state)
        assert script.twin.free.all()
        check_pages(state, script.twin)
