"""mgcscavenge and its index: which pages go back to the OS, against the definition, and Go's own tables of cases."""

import naive
import numpy as np
import pytest
from runtime.entry import (
    ALL,
    BASE_CHUNK,
    CANDIDATE,
    CHUNK_BYTES,
    CHUNK_PAGES,
    CLEAR,
    COMPILED,
    FIND,
    MARK,
    PAGE,
    SCAVENGE_AT,
    SCAVENGE_ONE,
    PageScript,
    check_pages,
    new_page_alloc,
    new_state,
    new_twin,
    page_base,
    page_bitmap,
    same_pages,
)
from runtime.spans import FLUSH_PAGES, SCAVENGE_ALL, Spans
from runtime.spans import SCAVENGE as SCAVENGE_BYTES

from mheaplab.runtime.mgcscavenge import NO_LIMIT

SEQUENCES = 240 if COMPILED else 15
OPERATIONS = 200
RANDOM = 3000 if COMPILED else 100

P = CHUNK_PAGES
HUGE = 256
"""Pages of a huge page of 2 MiB."""
EVERYTHING = int(NO_LIMIT)


def chunks(table):
    """Return a table keyed by the offset from BASE_CHUNK as one keyed by chunk index."""
    return {BASE_CHUNK + offset: ranges for offset, ranges in table.items()}


def check_accounts(state, total):
    """Check the accounts of a heap of which nothing but the return of ``total`` bytes to the OS was accounted."""
    s = state.h.stats
    assert [int(s[name]) for name in ("heap_released", "heap_free", "prepared", "ready")] == [total, -total] * 2


# ---------------------------------------------------------------------------------------------------- candidates


def put_chunk(state, taken, scavenged):
    """Write the bitmaps of chunk BASE_CHUNK, which the heap must have."""
    data = state.tables["pallocs"][int(state.h.chunks_l1[BASE_CHUNK >> 13]) + (BASE_CHUNK & 8191)]
    data["alloc"]["w"] = naive.to_words(taken)
    data["scavenged"]["w"] = naive.to_words(scavenged)


def candidate(state, taken, scavenged, most):
    """Return (first page, pages) of the candidate in a chunk with these bitmaps, having asked the twin as well."""
    put_chunk(state, taken, scavenged)
    huge = int(state.h.params["phys_huge_page_size"]) // PAGE
    want = naive.scavenge_candidate(~taken, scavenged, most, huge)
    script = PageScript(new_twin(chunks({0: []})))
    script.add(CANDIDATE, BASE_CHUNK, most, want=want)
    script.run(state)
    return want


# Cases after TestPallocDataFindScavengeCandidate of runtime/mgcscavenge_test.go for min = 1, the only one on this
# platform: taken ranges, scavenged ranges, max (Go's 0 stands for min), and the candidate.
CANDIDATE_CASES = {
    "MixedMin1": ([(0, 40), (42, P - 42)], [(0, 41), (42, P - 42)], P, (41, 1)),
    "MultiMin1": ([(0, 63), (65, 20), (87, P - 87)], [(86, 1)], P, (85, 1)),
    "AllFreeMin1": ([], [], P, (0, P)),
    "AllScavengedMin1": ([], [ALL], P, (0, 0)),
    "NoneFreeMin1": ([ALL], [(P // 2, P // 2)], P, (0, 0)),
    "StartFreeMin1": ([(1, P - 1)], [], P, (0, 1)),
    "EndFreeMin1": ([(0, P - 1)], [], P, (P - 1, 1)),
    "Straddle64Min1": ([(0, 63), (65, P - 65)], [], 2, (63, 2)),
    "BottomEdge64WithFullMin1": ([(64, 64), (131, P - 131)], [(1, 10)], 3, (128, 3)),
    "BottomEdge64WithPocketMin1": ([(64, 62), (127, 1), (131, P - 131)], [(1, 10)], 3, (128, 3)),
    "Max0Min1": ([], [(0, P - 1)], 1, (P - 1, 1)),
    "OneFree": ([(0, 40), (41, P - 41)], [], P, (40, 1)),
    "OneScavenged": ([(0, 40), (41, P - 41)], [(40, 1)], P, (0, 0)),
    "PreserveHugePageBottom": ([(HUGE + 2, P - (HUGE + 2))], [], 3, (0, HUGE + 2)),
    "PreserveHugePageTop": ([(0, P - HUGE)], [], 1, (P - HUGE, HUGE)),
    # Go has no case for a chunk of two huge pages that are both free.
    "PreserveUpperOfTwo": ([], [], 1, (HUGE, HUGE)),
    "HugePageExactly": ([(0, 3)], [], HUGE, (HUGE, HUGE)),
    "HugePageOfWhichAPageIsTaken": ([(HUGE + 1, 1)], [], 5, (P - 5, 5)),
    "RunBeginsInsideAHugePage": ([(0, 10)], [], HUGE + 7, (HUGE - 7, HUGE + 7)),
}


@pytest.mark.parametrize("name", CANDIDATE_CASES)
def test_candidate_table(name):
    """Go's cases of findScavengeCandidate, and some of huge pages."""
    taken, scavenged, most, want = CANDIDATE_CASES[name]
    state, _ = new_page_alloc(chunks({0: []}))
    assert candidate(state, page_bitmap(taken), page_bitmap(scavenged), most) == want


def test_candidate_without_huge_pages():
    """Where there are no huge pages, the limit is kept to the page."""
    state, _ = new_page_alloc(chunks({0: []}), huge_page_bytes=0)
    assert candidate(state, page_bitmap([]), page_bitmap([]), 1) == (P - 1, 1)
    assert candidate(state, page_bitmap([(HUGE + 2, P - HUGE - 2)]), page_bitmap([]), 3) == (HUGE - 1, 3)


def test_candidate_one_run(rng):
    """One run of candidate pages, of any place and length, with any limit."""
    state, _ = new_page_alloc(chunks({0: []}))
    for _ in range(RANDOM):
        low, end = sorted(rng.integers(0, P + 1, 2).tolist())
        if rng.random() < 0.3:
            low = low // 64 * 64
        if rng.random() < 0.3:
            end = -(-end // 64) * 64
        outside = ~page_bitmap([(low, end - low)])
        taken = outside & (rng.random(P) < 0.5)
        candidate(state, taken, outside & ~taken, int(rng.integers(1, 2 * P)))


def test_candidate_random(rng):
    """Runs of pages in random states."""
    state, _ = new_page_alloc(chunks({0: []}))
    for _ in range(RANDOM):
        borders = np.sort(rng.integers(0, P, int(rng.integers(0, 12))))
        kind = rng.integers(0, 3, 13)[np.searchsorted(borders, np.arange(P))]
        candidate(state, kind == 0, kind == 1, int(rng.integers(1, 2 * P)))


# ---------------------------------------------------------------------------------------------------- the index


def index_script(state):
    """Return a script for a heap whose lowest chunk is BASE_CHUNK, with methods of Go's test of the index."""
    script = PageScript()
    script.grow(page_base(BASE_CHUNK), CHUNK_BYTES)
    script.run(state)
    return script


def find_and_clear(script, *offsets):
    """Append finds that should name these chunks one after the other, each being cleared then, and one that fails."""
    for offset in offsets:
        script.add(FIND, want=(BASE_CHUNK + offset,))
        script.add(CLEAR, BASE_CHUNK + offset)
    script.add(FIND, want=(0,))


# Cases after TestScavengeIndex of runtime/mgcscavenge_test.go, with chunks for addresses: marked (first, last).
INDEX_CASES = {
    "Uninitialized": [],
    "OneChunk": [(0, 0)],
    "TwoChunks": [(0, 1)],
    "TwoChunksOffset": [(7, 8)],
    "SevenChunksOffset": [(6, 13)],
    "ThirtyTwoChunks": [(0, 31)],
    "ThirtyTwoChunksOffset": [(3, 34)],
    "Mark": [(c, c) for c in range(32)],
    "MarkDown": [(c, c) for c in range(31, -1, -1)],
    "MarkIdempotentOneChunk": [(0, 0), (0, 0)],
    "MarkIdempotentThirtyTwoChunks": [(0, 31), (0, 31)],
    "MarkIdempotentThirtyTwoChunksOffset": [(4, 31), (5, 35)],
    # Words of the index have 64 chunks.
    "WholeWord": [(64, 127)],
    "AcrossWords": [(60, 200)],
    "BordersOfWords": [(63, 63), (64, 64), (127, 128), (500, 500)],
}


@pytest.mark.parametrize("name", INDEX_CASES)
def test_index_table(name):
    """Marked chunks are found from the top down, each once."""
    state = new_state()
    script = index_script(state)
    marked = set()
    for first, last in INDEX_CASES[name]:
        script.add(MARK, BASE_CHUNK + first, BASE_CHUNK + last)
        marked |= set(range(first, last + 1))
    find_and_clear(script, *sorted(marked, reverse=True))
    script.run(state)
    assert not state.tables["scav_chunks"][BASE_CHUNK >> 6 :][:20].any()


def test_index_interleaved():
    """A mark above where the last search ended is found (Go's MarkInterleaved)."""
    state = new_state()
    script = index_script(state)
    for offset in range(0, 200, 9):
        script.add(MARK, BASE_CHUNK + offset, BASE_CHUNK + offset)
        find_and_clear(script, offset)
    script.run(state)


def test_index_find_leaves_the_mark():
    """A chunk is found again until it is cleared."""
    state = new_state()
    script = index_script(state)
    script.add(MARK, BASE_CHUNK + 70, BASE_CHUNK + 70)
    script.add(MARK, BASE_CHUNK + 3, BASE_CHUNK + 3)
    for _ in range(3):
        script.add(FIND, want=(BASE_CHUNK + 70,))
    find_and_clear(script, 70, 3)
    script.run(state)


def test_index_random(rng):
    """Random marks, clears and searches, against a set of chunks."""
    for _ in range(SEQUENCES // 5):
        state = new_state()
        script = index_script(state)
        marked = set()
        for _ in range(OPERATIONS):
            kind = rng.random()
            first = int(rng.integers(0, 400))
            if kind < 0.3:
                last = first + int(rng.choice([0, 1, 5, 70, 150]))
                script.add(MARK, BASE_CHUNK + first, BASE_CHUNK + last)
                marked |= set(range(first, last + 1))
            elif kind < 0.5:
                # The page allocator clears what it has found, or any chunk at all.
                first = max(marked) if marked and rng.random() < 0.8 else first
                script.add(CLEAR, BASE_CHUNK + first)
                marked.discard(first)
            else:
                script.add(FIND, want=(BASE_CHUNK + max(marked) if marked else 0,))
        script.run(state)


# ---------------------------------------------------------------------------------------------------- scavenging

# Cases after TestPageAllocScavenge: taken and scavenged ranges by chunk, requests as (pages asked for, pages given),
# and scavenged ranges afterwards.
SCAVENGE_CASES = {
    "AllFreeUnscavExhaust": (
        {0: [], 1: [], 2: []},
        {},
        [(EVERYTHING, 3 * P)],
        {0: [ALL], 1: [ALL], 2: [ALL]},
    ),
    "NoneFreeUnscavExhaust": (
        {0: [ALL], 1: [], 2: [ALL]},
        {0: [], 1: [ALL], 2: []},
        [(EVERYTHING, 0)],
        {0: [], 1: [ALL], 2: []},
    ),
    "ScavHighestPageFirst": ({0: []}, {0: [(1, P - 2)]}, [(1, 1)], {0: [(1, P - 1)]}),
    "ScavMultiple": ({0: []}, {0: [(1, P - 2)]}, [(1, 1), (1, 1)], {0: [ALL]}),
    "ScavMultiple2": (
        {0: [], 1: []},
        {0: [(1, P - 2)], 1: [(0, P - 2)]},
        [(2, 2), (1, 1), (1, 1)],
        {0: [ALL], 1: [ALL]},
    ),
    "ScavDiscontiguous": (
        {0: [], 0xE: []},
        {0: [(1, P - 2)], 0xE: [(2, P - 2)]},
        [(2, 2), (EVERYTHING, 2), (EVERYTHING, 0)],
        {0: [ALL], 0xE: [ALL]},
    ),
    "ScavAllVeryDiscontiguous": (
        {0: [], 0x1000: []},
        {},
        [(EVERYTHING, 2 * P), (EVERYTHING, 0)],
        {0: [ALL], 0x1000: [ALL]},
    ),
}


@pytest.mark.parametrize("name", SCAVENGE_CASES)
def test_scavenge_table(name):
    """Go's cases of scavenging a number of pages, one run after the other."""
    taken, scavenged, requests, after = SCAVENGE_CASES[name]
    state, script = new_page_alloc(chunks(taken), chunks(scavenged))
    for request, want in requests:
        given = 0
        while given < request:
            pages = script.scavenge_next(request - given)
            given += pages
            if pages == 0:
                break
        assert given == want
    script.run(state)
    assert same_pages(script.twin, new_twin(chunks(taken), chunks(after)))
    check_pages(state, script.twin)
    total = sum(given for _, given in requests) * PAGE
    check_accounts(state, total)


def test_scavenge_one_clears_the_mark():
    """A chunk without a candidate loses its mark, one that gave something keeps it."""
    state, script = new_page_alloc(chunks({0: [(0, P - 3)], 1: [ALL]}))
    script.add(MARK, BASE_CHUNK + 1, BASE_CHUNK + 1)
    script.add(FIND, want=(BASE_CHUNK + 1,))
    script.add(SCAVENGE_ONE, BASE_CHUNK + 1, P, want=(0, 0))
    script.add(FIND, want=(BASE_CHUNK,))
    script.scavenge_one(BASE_CHUNK, P)
    script.add(FIND, want=(BASE_CHUNK,))
    script.scavenge_one(BASE_CHUNK, P)
    script.add(FIND, want=(0,))
    script.run(state)
    check_pages(state, script.twin)


def test_scavenging_keeps_the_search_address():
    """What is scavenged was free before and is afterwards, so nothing is free below the search address either way."""
    state, script = new_page_alloc(chunks({0: [(0, 100)], 1: []}))
    script.alloc(7)
    script.alloc(7)
    script.run(state)
    assert int(state.h.search_addr) == page_base(BASE_CHUNK, 107)
    while script.scavenge_next(50):
        pass
    script.run(state)
    assert int(state.h.search_addr) == page_base(BASE_CHUNK, 107)
    check_pages(state, script.twin)


def test_scavenge_at():
    """Named pages are scavenged wherever they lie, over borders of chunks too."""
    state, script = new_page_alloc(chunks({0: [(0, 5)], 1: [], 2: [], 3: [(40, 1)]}), chunks({1: []}))
    script.scavenge_at(page_base(BASE_CHUNK, 5), 1)
    script.scavenge_at(page_base(BASE_CHUNK, 500), 2 * P)
    script.scavenge_at(page_base(BASE_CHUNK + 3, 41), P - 41)
    script.run(state)
    check_pages(state, script.twin)
    total = (1 + 2 * P + P - 41) * PAGE
    check_accounts(state, total)


@pytest.mark.parametrize(
    ("chunk", "page", "n"),
    [
        *((0, 4, 1), (0, 3, 2), (3, 40, 1), (3, 30, 20)),  # taken
        *((1, 200, 1), (1, 0, P), (0, 500, P)),  # scavenged
        *((2, 0, 1), (-1, 9, 1), (9, 0, 1), (3, 500, 20), (1, 508, 4)),  # outside, or scavenged at the end
    ],
)
def test_scavenge_at_refuses(chunk, page, n):
    """Pages that are taken, scavenged or not of the heap are refused, and nothing changes."""
    state, script = new_page_alloc(chunks({0: [(0, 5)], 1: [], 3: [(40, 1)]}), chunks({1: [(200, 1), (511, 1)]}))
    script.add(SCAVENGE_AT, page_base(BASE_CHUNK + chunk, page), n, want=(0,))
    script.run(state)
    check_pages(state, script.twin)
    assert int(state.h.stats.heap_released) == 0


def random_place(rng, twin):
    """Return (address, pages) of a piece of a run that may be scavenged, or, now and then, of any pages."""
    wanted = twin.free & ~twin.scavenged
    candidates = np.flatnonzero(wanted)
    if len(candidates) == 0 or rng.random() < 0.2:
        return int(rng.choice(twin.page)) * PAGE, int(rng.choice([1, 3, 300]))
    i = int(rng.choice(candidates))
    n = 1
    while n < 700 and i + n < len(wanted) and wanted[i + n] and twin.page[i + n] == twin.page[i] + n:
        n += 1
    return int(twin.page[i]) * PAGE, int(rng.integers(1, n + 1))


def random_operation(rng, script, live):
    """Append an allocation, a free or a scavenge."""
    kind = rng.random()
    if kind < 0.35:
        n = int(rng.choice([rng.integers(1, 30), rng.integers(1, 700)]))
        address = script.alloc(n)
        if address:
            live.append((address, n))
    elif kind < 0.65:
        if live:
            script.free(*live.pop(int(rng.integers(len(live)))))
    elif kind < 0.85:
        script.scavenge_next(int(rng.choice([8, 8, 1, rng.integers(1, 700), EVERYTHING])))
    elif kind < 0.92:
        script.scavenge_one(int(rng.choice(script.twin.chunks())), int(rng.integers(1, P + 1)))
    else:
        script.scavenge_at(*random_place(rng, script.twin))


@pytest.mark.parametrize("huge_page_bytes", [2 << 20, 0])
def test_random_sequences(rng, huge_page_bytes):
    """Scavenging between allocations and frees: addresses, lengths, and the whole state at the end."""
    for _ in range(SEQUENCES // 2):
        state = new_state(huge_page_bytes=huge_page_bytes)
        script = PageScript(naive.NaivePageAlloc(huge_page_bytes // PAGE))
        first = BASE_CHUNK + int(rng.integers(1000))
        script.grow(page_base(first), CHUNK_BYTES * int(rng.integers(1, 4)))
        script.grow(page_base(first + 4 + int(rng.choice([0, 1, 60, 130]))), CHUNK_BYTES * int(rng.integers(1, 3)))
        live = []
        for _ in range(OPERATIONS):
            random_operation(rng, script, live)
        script.run(state)
        check_pages(state, script.twin)
        # Everything that is still marked is found, and then nothing is left that a free has marked.
        while script.scavenge_next(EVERYTHING):
            pass
        script.add(FIND, want=(0,))
        script.run(state)
        check_pages(state, script.twin)


# ------------------------------------------------------------------------------------------- scavenge, scavengeAll


def runs_of_free_pages(*runs):
    """Return a heap with runs of so many free and backed pages, a taken page behind each, and their first pages."""
    heap = Spans(huge_page_bytes=0)
    spans = [(heap.manual(n), heap.manual(1))[0] for n in runs]
    for index in spans:
        heap.free_manual(index)
    return heap, [heap.page(index) for index in spans]


# bytes asked for, pages that go back, of runs of 10, 5 and 7 pages, and what is left of the runs then
@pytest.mark.parametrize(
    ("nbytes", "pages", "left"),
    [
        *((0, 0, [10, 5, 7]), (1, 1, [10, 5, 6]), (PAGE, 1, [10, 5, 6]), (PAGE + 1, 2, [10, 5, 5])),
        *((12 * PAGE, 12, [10, 0, 0]), (12 * PAGE + 1, 13, [9, 0, 0]), (22 * PAGE, 22, [0, 0, 0])),
        *((23 * PAGE, 22, [0, 0, 0]), (1 << 60, 22, [0, 0, 0])),
    ],
)
def test_scavenge(nbytes, pages, left):
    """pageAlloc.scavenge: at least so many bytes in whole pages, from the top down, or all there are."""
    heap, first = runs_of_free_pages(10, 5, 7)
    assert heap.call(SCAVENGE_BYTES, nbytes) == pages * PAGE
    assert heap.accounts()[3:5] == (22 - pages, P - 25 + pages)
    at = int(heap.h.chunks_l1[int(heap.h.chunk_start) >> 13]) + (int(heap.h.chunk_start) & 8191)
    taken, back = (naive.to_bits(heap.state.tables["pallocs"][at][name]["w"]) for name in ("alloc", "scavenged"))
    free = ~taken & ~back
    for start, n in zip(first, left, strict=True):
        assert free[start : start + 10].tolist()[:n] == [True] * n
    assert free.sum() == sum(left)


def test_scavenge_all():
    """mheap.scavengeAll: every free page of every chunk; a second time there is nothing."""
    heap, _ = runs_of_free_pages(3, 300, 600, 1000, 40)
    assert heap.accounts()[3] == 1943
    assert heap.calls((SCAVENGE_ALL,), (SCAVENGE_ALL,)) == [1943 * PAGE, 0]
    assert heap.accounts()[3] == 0 and heap.accounts()[4] == heap.accounts()[5] - 5


def test_scavenge_all_leaves_page_caches():
    """Pages in a P's cache are not the page allocator's, and flushed into a chunk without a mark they stay."""
    heap, _ = runs_of_free_pages(128, 30)
    small = heap.manual(1, p=0)  # the cache gets the first 64 pages
    assert heap.call(SCAVENGE_ALL) == (64 + 30) * PAGE and heap.accounts()[3] == 63
    assert heap.calls((FLUSH_PAGES, 0), (SCAVENGE_ALL,))[1] == 0 and heap.accounts()[3] == 63
    heap.free_manual(small)  # which marks the chunk
    assert heap.call(SCAVENGE_ALL) == 64 * PAGE and heap.accounts()[3] == 0
