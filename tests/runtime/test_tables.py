"""tables: no index outside a table is followed, and a table that moves keeps what it holds."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state
from runtime.test_run import Heap

from mheaplab.runtime._jit import BOUNDSCHECK
from mheaplab.runtime.structs import TABLES, WHOLE_TABLES
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

ACCESS = [
    ("spans", 0), ("heap_arenas", 1), ("pallocs", 2), ("set_blocks", 3), ("in_use", 4), ("span_log", 5), ("gc_bits", 6),
    ("gc_bits", 7), ("gc_bits", 8), ("arena_map", 9), ("arena_map", 10), ("scav_chunks", 11), ("scav_chunks", 12),
]
"""Tables, and the number of each access to them in ``drive_tables``."""
SUMMARY, SUMMARY_SET = 13, 14


@entry
def drive_tables(h, which, index, value):
    """Make access ``which`` at ``index``; return what is read."""
    result = np.uint64(0)
    if which == 0:
        result = np.uint64(span(h, index).npages)
    elif which == 1:
        result = np.uint64(heap_arena(h, index).arena_idx)
    elif which == 2:
        result = palloc_data(h, index).alloc.w[7]
    elif which == 3:
        result = np.uint64(set_block(h, index).spans[511])
    elif which == 4:
        result = np.uint64(in_use_range(h, index).limit)
    elif which == 5:
        result = np.uint64(span_row(h, index).span_class)
    elif which == 6:
        result = gc_bits(h, index).word[0]
    elif which == 7:
        result = gc_bits_word(h, index)
    elif which == 8:
        gc_bits_set_word(h, index, value)
    elif which == 9:
        result = np.uint64(arena_map(h, index))
    elif which == 10:
        arena_map_set(h, index, np.uint32(value))
    elif which == 11:
        result = scav_chunks(h, index)
    elif which == 12:
        scav_chunks_set(h, index, value)
    elif which == 13:
        result = summary(h, np.int64(4), index)
    elif which == 14:
        summary_set(h, np.int64(4), index, value)
    return result


needs_checks = pytest.mark.skipif(COMPILED and not BOUNDSCHECK, reason="bounds checks are off")


@needs_checks
@pytest.mark.parametrize("name, which", ACCESS)
def test_index_outside_a_table(name, which):
    state = new_state()
    length = max(int(state.h[f"{name}_len"]), 4)
    state.h[f"{name}_len"] = length
    drive_tables(state.h, which, np.int64(length - 1), np.uint64(0))
    for index in (length, length + 1, 1 << 40, -1, -(1 << 62)):
        with pytest.raises(IndexError, match="outside a table of the heap"):
            drive_tables(state.h, which, np.int64(index), np.uint64(0))


@needs_checks
@pytest.mark.parametrize("which", [SUMMARY, SUMMARY_SET])
def test_index_outside_the_summaries(which):
    state = new_state()
    leaves = 1 << 26
    drive_tables(state.h, which, np.int64(leaves - 1), np.uint64(0))
    with pytest.raises(IndexError):
        drive_tables(state.h, which, np.int64(leaves), np.uint64(0))


def test_words_are_kept_whole():
    state = new_state()
    word = 0x8000_0000_1234_5678
    for store, load in ((8, 7), (12, 11), (14, 13)):
        drive_tables(state.h, store, np.int64(77), np.uint64(word))
        assert int(drive_tables(state.h, load, np.int64(77), np.uint64(0))) == word
        assert int(drive_tables(state.h, load, np.int64(76), np.uint64(0))) == 0
    drive_tables(state.h, 10, np.int64(5), np.uint64(0xFFFFFFFF))
    assert int(drive_tables(state.h, 9, np.int64(5), np.uint64(0))) == 0xFFFFFFFF
    # A bitmap may begin at any word.
    assert int(drive_tables(state.h, 6, np.int64(77), np.uint64(0))) == word


def test_tables_keep_their_contents_when_grown():
    heap = Heap()
    objects = heap.mallocs(40, 2048)
    heap.collect(dead=objects[::3])
    used = {name: int(heap.h[f"{name}_len"]) for name in TABLES if name not in WHOLE_TABLES}
    before = {name: heap.state.tables[name][:n].copy() for name, n in used.items()}
    for name in used:
        heap.state._place(name, 3 * int(heap.h[f"{name}_cap"]))
    for name, n in used.items():
        assert np.array_equal(heap.state.tables[name][:n].view("u1"), before[name].view("u1")), name
        assert int(heap.h[f"{name}_at"]) == heap.state.tables[name].ctypes.data
        assert int(heap.h[f"{name}_at"]) % 64 == 0
        assert len(heap.state.tables[name]) == int(heap.h[f"{name}_cap"]) and int(heap.h[f"{name}_len"]) == n
    heap.check()
    assert heap.mallocs(2, 2048)[0] in objects[::3]
    heap.check()
