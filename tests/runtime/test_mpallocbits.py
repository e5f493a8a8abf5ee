"""mpallocbits: the bitmaps of a chunk and their summaries, against loops over bits, and Go's own tables of cases."""

import naive
import numpy as np
import pytest
from runtime.entry import ALL, CHUNK_PAGES, COMPILED, entry, page_bitmap

from mheaplab.runtime.mpallocbits import (
    FREE_CHUNK_SUM,
    find_bit_range64,
    low_mask,
    pack_palloc_sum,
    page_bits_clear_range,
    page_bits_popcnt_range,
    page_bits_set_range,
    palloc_bits_find,
    palloc_bits_find1,
    palloc_bits_find_first,
    palloc_bits_summarize,
    palloc_data_alloc_all,
    palloc_data_alloc_range,
    palloc_sum_end,
    palloc_sum_max,
    palloc_sum_start,
)
from mheaplab.runtime.structs import PALLOC_DATA

RANDOM = 5000 if COMPILED else 100
"""Random bitmaps for a test."""

P = CHUNK_PAGES
FULL = 2**64 - 1

OPS = "SET CLEAR POPCNT SUMMARIZE FIND FIND1 FIND_FIRST ALLOC_RANGE ALLOC_ALL FIND_BITS LOW_MASK PACK".split()
SET, CLEAR, POPCNT, SUMMARIZE, FIND, FIND1, FIND_FIRST, ALLOC_RANGE, ALLOC_ALL, FIND_BITS, LOW_MASK, PACK = range(12)


@entry
def drive_bits(data, ops, numbers, words):
    """Apply ``ops``, rows (kind, chunk, a, b, c), to the chunks ``data``; answers go to ``numbers`` or ``words``."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        m = data[ops[k, 1]]
        a = ops[k, 2]
        b = ops[k, 3]
        if kind == SET:
            page_bits_set_range(m.alloc, a, b)
        elif kind == CLEAR:
            page_bits_clear_range(m.alloc, a, b)
        elif kind == POPCNT:
            numbers[k, 0] = page_bits_popcnt_range(m.alloc, a, b)
        elif kind == SUMMARIZE:
            packed = palloc_bits_summarize(m.alloc)
            words[k] = packed
            numbers[k, 0] = palloc_sum_start(packed)
            numbers[k, 1] = palloc_sum_max(packed)
            numbers[k, 2] = palloc_sum_end(packed)
        elif kind == FIND:
            numbers[k, 0] = palloc_bits_find(m.alloc, a, b)
        elif kind == FIND1:
            numbers[k, 0] = palloc_bits_find1(m.alloc, b)
        elif kind == FIND_FIRST:
            numbers[k, 0] = palloc_bits_find_first(m.alloc, b)
        elif kind == ALLOC_RANGE:
            palloc_data_alloc_range(m, a, b)
        elif kind == ALLOC_ALL:
            palloc_data_alloc_all(m)
        elif kind == FIND_BITS:
            numbers[k, 0] = find_bit_range64(m.alloc.w[0], a)
        elif kind == LOW_MASK:
            words[k] = low_mask(a)
        elif kind == PACK:
            packed = pack_palloc_sum(a, b, ops[k, 4])
            words[k] = packed
            numbers[k, 0] = palloc_sum_start(packed)
            numbers[k, 1] = palloc_sum_max(packed)
            numbers[k, 2] = palloc_sum_end(packed)


def drive(data, *ops):
    """Run ``ops`` on the chunks ``data``; return the numbers (three columns) and the words."""
    table = np.array([list(op) + [0] * (5 - len(op)) for op in ops], np.int64).reshape(-1, 5)
    numbers = np.zeros((len(ops), 3), np.int64)
    words = np.zeros(len(ops), np.uint64)
    drive_bits(data, table, numbers, words)
    return numbers, words


def chunk(*bitmaps):
    """Return chunks with the given bitmaps of taken pages."""
    data = np.zeros(len(bitmaps), PALLOC_DATA)
    for i, bits in enumerate(bitmaps):
        data["alloc"]["w"][i] = naive.to_words(bits)
    return data


def taken(data, i=0):
    """Return the bitmap of taken pages of chunk ``i``."""
    return naive.to_bits(data["alloc"]["w"][i])


def random_bitmap(rng):
    """Return a random bitmap of a chunk: of any density, of words of one kind, of runs, or nearly of one kind."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.random(P) < rng.random()
    if kind == 1:
        words = np.array([0, FULL, 1, 1 << 63, rng.integers(FULL, dtype=np.uint64)], np.uint64)
        return naive.to_bits(rng.choice(words, 8))
    if kind == 2:
        borders = np.sort(rng.integers(0, P, int(rng.integers(1, 20))))
        return np.searchsorted(borders, np.arange(P)) % 2 == rng.integers(2)
    bits = np.full(P, rng.integers(2), bool)
    bits[rng.integers(0, P, int(rng.integers(0, 4)))] ^= True
    return bits


# ---------------------------------------------------------------------------------------------------- Go's tables

# Cases after TestPallocBitsAllocRange of runtime/mpallocbits_test.go: the range, and the words that are not 0.
ALLOC_RANGE_CASES = {
    "OneLow": ((0, 1), {0: 1}),
    "OneHigh": ((P - 1, 1), {7: 1 << 63}),
    "Inner": ((129, 5), {2: 0x3E}),
    "Aligned": ((128, 128), {2: FULL, 3: FULL}),
    "Begin": ((0, 321), {0: FULL, 1: FULL, 2: FULL, 3: FULL, 4: FULL, 5: 1}),
    "End": ((P - 193, 193), {7: FULL, 6: FULL, 5: FULL, 4: 1 << 63}),
    "All": (ALL, dict.fromkeys(range(8), FULL)),
}


@pytest.mark.parametrize("name", ALLOC_RANGE_CASES)
def test_set_range_table(name):
    """Setting a range sets its words; clearing it in a full bitmap leaves the complement."""
    pages, words = ALLOC_RANGE_CASES[name]
    data = chunk(page_bitmap([]), page_bitmap([ALL]))
    drive(data, (SET, 0, *pages), (CLEAR, 1, *pages))
    want = np.array([words.get(i, 0) for i in range(8)], np.uint64)
    assert data["alloc"]["w"].tolist() == [want.tolist(), (~want).tolist()]


SCATTERED = [
    *((1, 3), (5, 1), (7, 1), (10, 2), (13, 1), (15, 4), (21, 1), (23, 1), (26, 2), (30, 5), (36, 2), (40, 3), (44, 6)),
    *((51, 1), (53, 2), (58, 3), (63, 1), (67, 2), (71, 10), (84, 1), (89, 7), (99, 2), (103, 1), (107, 2), (111, 1)),
    *((113, 1), (115, 1), (118, 1), (120, 2), (125, 5)),
]
# Cases after TestMallocBitsPopcntRange: ranges set, then (first, pages, set bits in them).
POPCNT_CASES = {
    "None": ([], [(0, 1, 0), (5, 3, 0), (2, 11, 0), (P // 4 + 1, P // 2, 0), (0, P, 0)]),
    "All": ([ALL], [(0, 1, 1), (5, 3, 3), (2, 11, 11), (P // 4 + 1, P // 2, P // 2), (0, P, P)]),
    "Half": (
        [(P // 2, P // 2)],
        [
            *((0, 1, 0), (5, 3, 0), (2, 11, 0), (P // 2 - 1, 1, 0), (P // 2, 1, 1), (P // 2 + 10, 1, 1)),
            *((P // 2 - 1, 2, 1), (P // 4, P // 4, 0), (P // 4, P // 4 + 1, 1), (P // 4 + 1, P // 2, P // 4 + 1)),
            (0, P, P // 2),
        ],
    ),
    "OddBound": (
        [(0, 111)],
        [
            *((0, 1, 1), (5, 3, 3), (2, 11, 11), (110, 2, 1), (99, 50, 12), (110, 1, 1), (111, 1, 0), (99, 1, 1)),
            *((120, 1, 0), (P // 2, P // 2, 0), (0, P, 111)),
        ],
    ),
    "Scattered": (
        SCATTERED,
        [(0, 11, 6), (0, 64, 39), (13, 64, 40), (64, 64, 34), (0, 128, 73), (1, 128, 74), (0, P, 75)],
    ),
}


@pytest.mark.parametrize("name", POPCNT_CASES)
def test_popcnt_table(name):
    """Go's cases of counting bits in a range."""
    ranges, counts = POPCNT_CASES[name]
    numbers, _ = drive(chunk(page_bitmap(ranges)), *((POPCNT, 0, first, n) for first, n, _ in counts))
    assert numbers[:, 0].tolist() == [want for _, _, want in counts]


# Cases after TestPallocBitsSummarize: free ranges, and (start, max, end).
SUMMARIZE_CASES = {
    "NoneFree": ([], (0, 0, 0)),
    "OnlyStart": ([(0, 10)], (10, 10, 0)),
    "OnlyEnd": ([(P - 40, 40)], (0, 40, 40)),
    "StartAndEnd": ([(0, 11), (P - 23, 23)], (11, 23, 23)),
    "StartMaxEnd": ([(0, 4), (50, 100), (P - 4, 4)], (4, 100, 4)),
    "OnlyMax": ([(1, 20), (35, 241), (P - 50, 30)], (0, 241, 0)),
    "MultiMax": ([(35, 2), (40, 5), (100, 5)], (0, 5, 0)),
    "One": ([(2, 1)], (0, 1, 0)),
    "AllFree": ([ALL], (P, P, P)),
}


@pytest.mark.parametrize("name", SUMMARIZE_CASES)
def test_summarize_table(name):
    """Go's cases of summaries."""
    free, want = SUMMARIZE_CASES[name]
    numbers, words = drive(chunk(~page_bitmap(free)), (SUMMARIZE, 0))
    assert numbers[0].tolist() == list(want)
    assert words.tolist() == [naive.pack_sum(*want)]
    assert naive.summarize(page_bitmap(free).tolist()) == want


# Patterns after BenchmarkPallocBitsSummarize and BenchmarkFindBitRange64: all words of a bitmap are the pattern.
PATTERNS = [
    *(0, FULL, 0xAA, 0xAAAAAAAAAAAAAAAA, 0x80000000AAAAAAAA, 0xAAAAAAAA00000001, 0xBBBBBBBBBBBBBBBB),
    *(0x80000000BBBBBBBB, 0xBBBBBBBB00000001, 0xCCCCCCCCCCCCCCCC, 0x4444444444444444, 0x4040404040404040),
    *(0x4000400040004000, 0x1000404044CCAAFF),
]


def check_summaries(bitmaps):
    """Compare the summaries of bitmaps of taken pages with the twin's."""
    numbers, words = drive(chunk(*bitmaps), *((SUMMARIZE, i) for i in range(len(bitmaps))))
    for i, bits in enumerate(bitmaps):
        want = naive.summarize((~bits).tolist())
        assert (tuple(numbers[i].tolist()), int(words[i])) == (want, naive.pack_sum(*want)), naive.runs(~bits)


def test_summarize_patterns():
    """Bitmaps of one word repeated, which are worst cases for the search of the longest run within a word."""
    check_summaries([naive.to_bits(np.full(8, word, np.uint64)) for word in PATTERNS])


def test_summarize_one_run():
    """One free run of each length up to 66, at each place of a word: the longest run is found where it lies."""
    places = range(64) if COMPILED else range(0, 64, 9)
    lengths = range(1, 67) if COMPILED else (1, 2, 3, 31, 61, 62, 63, 64, 66)
    check_summaries([~page_bitmap([(64 + place, length)]) for place in places for length in lengths])


def test_summarize_two_runs_in_a_word():
    """Two free runs within one word, of nearly equal length."""
    lengths = range(1, 31) if COMPILED else (1, 2, 7, 15, 16, 30)
    bitmaps = []
    for n in lengths:
        for m in (n - 1, n, n + 1):
            bitmaps.append(~page_bitmap([(193, n), (193 + n + 1, m)]))
            bitmaps.append(~page_bitmap([(193, m), (254 - n, n)]))
    check_summaries(bitmaps)


def test_summarize_a_run_within_beside_one_across():
    """A run within a word that is a little shorter or longer than one over the border of two words."""
    lengths = range(1, 63) if COMPILED else (1, 2, 20, 31, 32, 33, 47, 61, 62)
    bitmaps = []
    for n in lengths:
        for across in {max(n - 1, 2), n, n // 2 + 1}:
            bitmaps.append(~page_bitmap([(320 - across // 2, across), (65, n)]))
            bitmaps.append(~page_bitmap([(128 - across // 2, across), (319 - n, n)]))
    check_summaries(bitmaps)


def test_summarize_random(rng):
    """Random bitmaps."""
    check_summaries([random_bitmap(rng) for _ in range(RANDOM)])


# Cases after TestPallocBitsAlloc: taken ranges, pages, where each allocation lands (-1: nowhere), taken ranges after.
ALLOC_CASES = {
    "AllFree1": ([], 1, [0, 1, 2, 3, 4, 5], [(0, 6)]),
    "AllFree2": ([], 2, [0, 2, 4, 6, 8, 10], [(0, 12)]),
    "AllFree5": ([], 5, [0, 5, 10, 15, 20], [(0, 25)]),
    "AllFree64": ([], 64, [0, 64, 128], [(0, 192)]),
    "AllFree65": ([], 65, [0, 65, 130], [(0, 195)]),
    "SomeFree64": ([(0, 32), (64, 32), (100, P - 100)], 64, [-1], [(0, 32), (64, 32), (100, P - 100)]),
    "NoneFree1": ([ALL], 1, [-1, -1], [ALL]),
    "NoneFree2": ([ALL], 2, [-1, -1], [ALL]),
    "NoneFree5": ([ALL], 5, [-1, -1], [ALL]),
    "NoneFree65": ([ALL], 65, [-1, -1], [ALL]),
    "ExactFit1": ([(0, P // 2 - 3), (P // 2 - 2, P // 2 + 2)], 1, [P // 2 - 3, -1], [ALL]),
    "ExactFit2": ([(0, P // 2 - 3), (P // 2 - 1, P // 2 + 1)], 2, [P // 2 - 3, -1], [ALL]),
    "ExactFit5": ([(0, P // 2 - 3), (P // 2 + 2, P // 2 - 2)], 5, [P // 2 - 3, -1], [ALL]),
    "ExactFit65": ([(0, P // 2 - 31), (P // 2 + 34, P // 2 - 34)], 65, [P // 2 - 31, -1], [ALL]),
    "SomeFree161": ([(0, 185), (331, 1)], 161, [332], [(0, 185), (331, 162)]),
}


@pytest.mark.parametrize("name", ALLOC_CASES)
def test_alloc_table(name):
    """Go's cases of find and allocRange by turns."""
    before, n, hits, after = ALLOC_CASES[name]
    data = chunk(page_bitmap(before))
    for hit in hits:
        numbers, _ = drive(data, (FIND, 0, n, 0))
        assert numbers[0, 0] == hit
        assert naive.find_run((~taken(data)).tolist(), n) == hit
        if hit >= 0:
            drive(data, (ALLOC_RANGE, 0, hit, n))
    assert np.array_equal(taken(data), page_bitmap(after))


# Cases after TestPallocBitsFree: free ranges, pages, pages freed, free ranges afterwards.
FREE_CASES = {
    "SomeFree": ([(0, 32), (64, 32), (100, 1)], 1, [32], [(0, 33), (64, 32), (100, 1)]),
    "NoneFree1": ([], 1, [0, 1, 2, 3, 4, 5], [(0, 6)]),
    "NoneFree2": ([], 2, [0, 2, 4, 6, 8, 10], [(0, 12)]),
    "NoneFree5": ([], 5, [0, 5, 10, 15, 20], [(0, 25)]),
    "NoneFree64": ([], 64, [0, 64, 128], [(0, 192)]),
    "NoneFree65": ([], 65, [0, 65, 130], [(0, 195)]),
}


@pytest.mark.parametrize("name", FREE_CASES)
def test_free_table(name):
    """Go's cases of freeing."""
    before, n, frees, after = FREE_CASES[name]
    data = chunk(~page_bitmap(before))
    drive(data, *((CLEAR, 0, first, n) for first in frees))
    assert np.array_equal(taken(data), ~page_bitmap(after))


# Cases after TestFindBitRange64: word, length, index (64: none).
FIND_BITS_CASES = [
    *((FULL, n, 0) for n in range(1, 65)),
    *((0, n, 64) for n in range(1, 65)),
    (0x8000000000000000, 1, 63),
    (0xC000010001010000, 2, 62),
    (0xC000010001030000, 2, 16),
    (0xE000030001030000, 3, 61),
    (0xE000030001070000, 3, 16),
    (0xFFFF03FF01070000, 16, 48),
    (0xFFFF03FF0107FFFF, 16, 0),
    (0x0FFF03FF01079FFF, 16, 64),
]


def find_bits(words, lengths):
    """Return find_bit_range64 of each word with each length beside it."""
    data = np.zeros(len(words), PALLOC_DATA)
    data["alloc"]["w"][:, 0] = words
    numbers, _ = drive(data, *((FIND_BITS, i, n) for i, n in enumerate(lengths)))
    return numbers[:, 0].tolist()


def test_find_bit_range64_table():
    """Go's cases of runs of ones in a word."""
    words, lengths, want = zip(*FIND_BITS_CASES, strict=True)
    assert find_bits(words, lengths) == list(want)


def test_find_bit_range64(rng):
    """Every length in Go's patterns and in random words that have long runs."""
    words = list(PATTERNS) + [0xFFFF << k for k in range(0, 49, 7)]
    for _ in range(RANDOM // 20):
        bits = rng.random(64) < rng.choice([0.5, 0.8, 0.95, 0.98])
        words.append(int(naive.to_words(bits)[0]))
    pairs = [(word, n) for word in words for n in range(1, 65)]
    got = find_bits(*zip(*pairs, strict=True))
    bits = {word: naive.to_bits(np.array([word], np.uint64)).tolist() for word in words}
    want = [naive.find_run(bits[word], n) % 65 for word, n in pairs]  # -1 becomes 64
    assert got == want


# ---------------------------------------------------------------------------------------------------- by hand


def test_low_mask():
    """The n lowest bits, from none to all."""
    _, words = drive(chunk(page_bitmap([])), *((LOW_MASK, 0, n) for n in range(65)))
    assert words.tolist() == [(1 << n) - 1 for n in range(65)]


def test_pack_palloc_sum():
    """Three counts go through a word unchanged; a run of 2**21 has a word of its own."""
    top = 1 << 21
    sums = [(0, 0, 0), (1, 2, 3), (0, 5, 0), (P, P, P), (top - 1, top - 1, top - 1), (top, top, top)]
    sums += [(1 << k, top - 1, 0) for k in range(21)] + [(0, 1 << k, 1 << k) for k in range(21)]
    numbers, words = drive(chunk(page_bitmap([])), *((PACK, 0, *each) for each in sums))
    assert numbers.tolist() == [list(each) for each in sums]
    assert words.tolist() == [naive.pack_sum(*each) for each in sums]
    assert [naive.unpack_sum(int(w)) for w in words] == sums
    assert int(FREE_CHUNK_SUM) == naive.pack_sum(P, P, P)


def test_pack_palloc_sum_random(rng):
    """Random counts below 2**21."""
    sums = rng.integers(0, 1 << 21, (RANDOM, 3)).tolist()
    numbers, words = drive(chunk(page_bitmap([])), *((PACK, 0, *each) for each in sums))
    assert numbers.tolist() == sums
    assert words.tolist() == [naive.pack_sum(*each) for each in sums]


def test_alloc_all():
    """A chunk that is taken as a whole forgets what was scavenged."""
    data = chunk(page_bitmap([(3, 5)]), page_bitmap([]))
    data["scavenged"]["w"][:] = FULL
    drive(data, (ALLOC_ALL, 0), (ALLOC_RANGE, 1, 60, 70))
    assert taken(data).all()
    assert not data["scavenged"]["w"][0].any()
    assert np.array_equal(taken(data, 1), page_bitmap([(60, 70)]))
    assert np.array_equal(naive.to_bits(data["scavenged"]["w"][1]), ~page_bitmap([(60, 70)]))


# ---------------------------------------------------------------------------------------------------- at random


def random_range(rng):
    """Return (first page, pages) within a chunk; ends at words' borders are as frequent as others."""
    first, last = sorted(rng.integers(0, P, 2).tolist())
    if rng.random() < 0.3:
        first &= ~63
    if rng.random() < 0.3:
        last |= 63
    return first, last - first + 1


def test_ranges_random(rng):
    """Setting, clearing and counting random ranges of one bitmap, one after the other."""
    data = chunk(random_bitmap(rng))
    bits = taken(data).copy()
    ops, want = [], []
    for _ in range(3 * RANDOM):
        kind = int(rng.choice([SET, CLEAR, POPCNT]))
        first, n = random_range(rng)
        if kind != POPCNT:
            bits[first : first + n] = kind == SET
        ops.append((kind, 0, first, n))
        want.append(int(bits[first : first + n].sum()) if kind == POPCNT else 0)
        ops.append((POPCNT, 0, 0, P))
        want.append(int(bits.sum()))
    numbers, _ = drive(data, *ops)
    assert numbers[:, 0].tolist() == want
    assert np.array_equal(taken(data), bits)


def test_find_every_length(rng):
    """find of every length from 1 to 512 pages in random bitmaps, from the first page on."""
    bitmaps = [page_bitmap([]), page_bitmap([ALL]), page_bitmap([(255, 1)])]
    bitmaps += [random_bitmap(rng) for _ in range(RANDOM // 40)]
    lengths = range(1, P + 1) if COMPILED else (*range(1, 70, 3), *range(100, P + 1, 103))
    pairs = [(i, n) for i in range(len(bitmaps)) for n in lengths]
    numbers, _ = drive(chunk(*bitmaps), *((FIND, i, n, 0) for i, n in pairs))
    free_runs = [naive.runs(~bits) for bits in bitmaps]
    want = [next((low for low, end in free_runs[i] if end - low >= n), -1) for i, n in pairs]
    assert numbers[:, 0].tolist() == want


def test_find_from_search_index(rng):
    """find from a search index on: below it everything is taken, as the page allocator promises."""
    bitmaps, ops, want = [], [], []
    for i in range(RANDOM):
        search = int(rng.integers(P))
        bits = random_bitmap(rng)
        bits[:search] = True
        bitmaps.append(bits)
        free = (~bits).tolist()
        kind = rng.random()
        n = int(rng.integers(1, 4 if kind < 0.3 else 65 if kind < 0.7 else P + 1))
        ops += [(FIND, i, n, search), (FIND1, i, 1, search), (FIND_FIRST, i, 1, search)]
        want += [naive.find_run(free, n), naive.find_run(free, 1), naive.find_run(free, 1)]
    numbers, _ = drive(chunk(*bitmaps), *ops)
    assert numbers[:, 0].tolist() == want


def test_find_begins_at_the_word_of_the_search_index(rng):
    """Free pages below the word of the search index are not looked at; those in it are."""
    bitmaps, ops, want = [], [], []
    for i in range(RANDOM):
        bits = random_bitmap(rng)
        bitmaps.append(bits)
        search = int(rng.integers(P))
        n = int(rng.integers(1, 130))
        ops.append((FIND, i, n, search))
        want.append(naive.find_run((~bits).tolist(), n, search & ~63))
    numbers, _ = drive(chunk(*bitmaps), *ops)
    assert numbers[:, 0].tolist() == want
