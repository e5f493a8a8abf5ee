"""intrinsics and tables: bit counts, and records and words of tables that may move."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime._jit import BOUNDSCHECK
from mheaplab.runtime.exectrace_structs import EXECTRACE, data_word
from mheaplab.runtime.intrinsics import OUTSIDE, clz64, ctz64, popcount64
from mheaplab.runtime.structs import HEAP, TABLES
from mheaplab.runtime.tables import (
    arena_map,
    arena_map_set,
    gc_bits,
    gc_bits_set_word,
    gc_bits_word,
    heap_arena,
    in_use_range,
    palloc_data,
    scav_chunks,
    scav_chunks_set,
    set_block,
    span,
    span_row,
    summary,
    summary_set,
)

FULL = 2**64 - 1


@entry
def count_bits(words, counts):
    """Write the three counts of each word into a row of ``counts``."""
    for k in range(len(words)):
        counts[k, 0] = ctz64(words[k])
        counts[k, 1] = clz64(words[k])
        counts[k, 2] = popcount64(words[k])


def bit_counts(words):
    """Return (trailing zeros, leading zeros, ones) of each word."""
    counts = np.zeros((len(words), 3), np.int64)
    count_bits(np.array(words, np.uint64), counts)
    return counts.tolist()


def counts_by_text(word):
    """Return the same by looking at the 64 digits."""
    text = f"{word:064b}"
    return [64 - len(text.rstrip("0")), 64 - len(text.lstrip("0")), text.count("1")]


def test_bit_counts_by_hand():
    """Zero counts as 64 zeros from either end, as in Go's sys.TrailingZeros64 and sys.LeadingZeros64."""
    assert bit_counts([0, FULL, 1, 1 << 63, 0b1011000]) == [
        [64, 64, 0],
        [0, 0, 64],
        [0, 63, 1],
        [63, 0, 1],
        [3, 57, 3],
    ]


def test_bit_counts_every_border():
    """One bit, all bits from one on and all bits below one, for each of the 64."""
    words = [1 << k for k in range(64)] + [FULL << k & FULL for k in range(64)] + [(1 << k) - 1 for k in range(64)]
    assert bit_counts(words) == [counts_by_text(w) for w in words]


def test_bit_counts_random(rng):
    """Random words, shifted so that both ends have zeros."""
    words = rng.integers(FULL, size=(2000 if COMPILED else 200), dtype=np.uint64, endpoint=True)
    words = (words >> rng.integers(64, size=len(words), dtype=np.uint64)).tolist()
    words += [w << 17 & FULL for w in words]
    assert bit_counts(words) == [counts_by_text(w) for w in words]


# ---------------------------------------------------------------------------------------------------- tables

RECORDS = ["spans", "heap_arenas", "pallocs", "set_blocks", "in_use", "span_log", "gc_bits"]
WORDS = ["arena_map", "scav_chunks", "summary"]
WORD = len(RECORDS)


@entry
def touch(h, table, index, value):
    """Write ``value`` into item ``index`` of a table, by the order of RECORDS and WORDS; return what was there."""
    old = np.int64(0)
    if table == 0:
        old = np.int64(span(h, index).npages)
        span(h, index).npages = value
    elif table == 1:
        old = np.int64(heap_arena(h, index).zeroed_base)
        heap_arena(h, index).zeroed_base = value
    elif table == 2:
        old = np.int64(palloc_data(h, index).alloc.w[7])
        palloc_data(h, index).alloc.w[7] = np.uint64(value)
    elif table == 3:
        old = np.int64(set_block(h, index).spans[511])
        set_block(h, index).spans[511] = np.uint32(value)
    elif table == 4:
        old = np.int64(in_use_range(h, index).limit)
        in_use_range(h, index).limit = value
    elif table == 5:
        old = np.int64(span_row(h, index).span_event)
        span_row(h, index).span_event = value
    elif table == 6:
        old = np.int64(gc_bits_word(h, index))
        gc_bits_set_word(h, index, np.uint64(value))
    elif table == WORD:
        old = np.int64(arena_map(h, index))
        arena_map_set(h, index, np.uint32(value))
    elif table == WORD + 1:
        old = np.int64(scav_chunks(h, index))
        scav_chunks_set(h, index, np.uint64(value))
    elif table == WORD + 2:
        old = np.int64(summary(h, 0, index))
        summary_set(h, 0, index, np.uint64(value))
    return old


@entry
def bitmap_words(h, first, words):
    """Copy the sixteen words of the bitmap that begins at word ``first``."""
    bits = gc_bits(h, first)
    for k in range(16):
        words[k] = bits.word[k]


@pytest.fixture
def small():
    """A heap with ten items in each table that grows."""
    state = new_state()
    for name in RECORDS:
        state.h[f"{name}_len"] = 10
    return state


@pytest.mark.parametrize("table", range(len(RECORDS) + len(WORDS)))
def test_items_are_those_of_the_arrays(small, table):
    """What compiled code writes into an item stands in the NumPy array beside the record, and nowhere else."""
    name = (RECORDS + WORDS)[table]
    for index in (1, 4, 9):
        assert touch(small.h, table, index, 1000 + index) == 0
    array = small.tables[name][:12].copy()
    for index in (1, 4, 9):
        assert touch(small.h, table, index, 0) == 1000 + index
        assert array[index].tobytes() != bytes(array.itemsize)
    blank = small.tables[name][:12]
    assert blank.tobytes() == bytes(blank.nbytes)
    for index in (0, 2, 3, 5, 6, 7, 8, 10, 11):
        assert array[index].tobytes() == bytes(array.itemsize)


@pytest.mark.skipif(COMPILED and not BOUNDSCHECK, reason="compiled without bounds checks")
@pytest.mark.parametrize("table", range(len(RECORDS)))
@pytest.mark.parametrize("index", [10, 11, 1 << 40, -1, -(1 << 62)])
def test_index_outside(small, table, index):
    """An index at or above the table's length, or below 0, raises; the capacity does not matter."""
    with pytest.raises(IndexError, match=OUTSIDE):
        touch(small.h, table, index, 1)


@pytest.mark.skipif(COMPILED and not BOUNDSCHECK, reason="compiled without bounds checks")
@pytest.mark.parametrize("table", range(WORD, WORD + len(WORDS)))
def test_index_outside_fixed(small, table):
    """The tables that cover the address space have all their items from the start."""
    name = WORDS[table - WORD]
    n = len(small.tables[name])
    assert touch(small.h, table, n - 1, 7) == 0
    with pytest.raises(IndexError, match=OUTSIDE):
        touch(small.h, table, n, 1)


def test_gc_bits_is_sixteen_words(small):
    """A bitmap is read as sixteen words from any word on, of which the last may lie beyond the table's length."""
    small.tables["gc_bits"][:30] = np.arange(30) + 100
    words = np.zeros(16, np.uint64)
    for first in (0, 3, 9):
        bitmap_words(small.h, first, words)
        assert words.tolist() == list(range(100 + first, 116 + first))


def test_moved_table(small):
    """A table that moved into a larger array keeps its items, and the same compiled code finds them there."""
    for index in range(1, 10):
        touch(small.h, 0, index, index * 11)
    before = small.h.spans_at
    small._place("spans", 2 * int(small.h.spans_cap))
    assert small.h.spans_at != before
    assert [touch(small.h, 0, index, 5) for index in range(1, 10)] == [index * 11 for index in range(1, 10)]
    assert small.tables["spans"]["npages"][1:10].tolist() == [5] * 9


def test_record_and_tables_agree():
    """A fresh record says where each table is, how many items fit, and how many are used: nil alone, or none."""
    state = new_state()
    assert len(state.h.tobytes()) == HEAP.itemsize
    for name in TABLES:
        array = state.tables[name]
        assert int(state.h[f"{name}_at"]) == array.ctypes.data
        assert int(state.h[f"{name}_at"]) % 64 == 0
        assert int(state.h[f"{name}_cap"]) == len(array)
        assert 0 <= int(state.h[f"{name}_len"]) <= len(array)


@entry
def word_of_bytes(t, offset):
    """Return the 8 bytes from ``offset``."""
    return data_word(t, offset)


def test_words_at_any_byte():
    """A word may begin at any byte, and must end within the table."""
    t, table = np.zeros(1, EXECTRACE)[0], np.arange(250, 266).astype(np.uint8)
    t["data_at"], t["data_cap"], t["data_len"] = table.ctypes.data, 16, 16
    for offset in range(9):
        assert word_of_bytes(t, np.int64(offset)) == int.from_bytes(table[offset : offset + 8].tobytes(), "little")
    for offset in (9, 16, 1 << 40, -1, -8, -(1 << 63)):
        if BOUNDSCHECK:
            with pytest.raises(IndexError, match=OUTSIDE):
                word_of_bytes(t, np.int64(offset))
