"""state: the empty heap as Go makes it, and the growth of its tables."""

import numpy as np
import pytest
from runtime.entry import SMALL_ROOM

from mheaplab.params import HeapParams
from mheaplab.runtime.state import ROOM, HeapState
from mheaplab.runtime.structs import FIXED_TABLES, MAX_SEARCH_ADDR, TABLES
from mheaplab.runtime.verify import verify_heap

PARAMS = HeapParams.go119().to_record()


def test_hints():
    """mallocinit: 0x00c0 << 32 | i << 40 for i from 0x7f down to 0, each put before the others."""
    h = HeapState(PARAMS, SMALL_ROOM).h
    assert int(h.n_hints) == 128
    order = [int(h.hints[k].addr) for k in reversed(range(128))]
    assert order[:3] == [0xC000000000, 0x1C000000000, 0x2C000000000] and order[-1] == 0x7FC000000000
    assert order == sorted(order) and not h.hints["down"].any()


def test_empty_heap():
    state = HeapState(PARAMS)
    h = state.h
    for name in TABLES:
        cap = int(h[f"{name}_cap"])
        assert len(state.tables[name]) == cap and state.tables[name].ctypes.data == int(h[f"{name}_at"])
        if name in ROOM:
            assert cap == ROOM[name]
        if name in FIXED_TABLES:
            assert int(h[f"{name}_len"]) == cap
    assert [int(h[f"{name}_len"]) for name in ("spans", "heap_arenas", "set_blocks")] == [1, 1, 1], "0 is nil"
    assert int(h.in_use_len) == int(h.span_log_len) == 0
    assert int(h.search_addr) == int(MAX_SEARCH_ADDR) and int(h.sweep_drained) == 1
    assert not any(int(x) for x in (h.stats.mapped, h.stats.reserved, h.pages_in_use, h.spans_in_use))
    verify_heap(h)


@pytest.mark.parametrize("mib", [4, 64])
def test_fixed_tables_cover_the_address_space(mib):
    state = HeapState(HeapParams.go119(arena_bytes=mib << 20).to_record(), SMALL_ROOM)
    assert len(state.tables["arena_map"]) == (1 << 48) // (mib << 20)
    assert len(state.tables["scav_chunks"]) * 64 * (4 << 20) == 1 << 48
    assert [int(x) for x in state.h.level_offset] == [0, 1 << 14, (1 << 14) + (1 << 17), 1196032, 9584640]
    assert len(state.tables["summary"]) == 9584640 + (1 << 26)


# table, what is full, arenas asked for, room afterwards
GROWTH = [
    pytest.param("spans", {"spans_len": 128}, 0, 256, id="half full: nothing"),
    pytest.param("spans", {"spans_len": 129}, 0, 512, id="spans double when more than half full"),
    pytest.param("heap_arenas", {"heap_arenas_len": 9}, 0, 18, id="arenas"),
    pytest.param("heap_arenas", {}, 100, 202, id="as many arenas as an allocation needs"),
    pytest.param("in_use", {"in_use_len": 127}, 0, 512, id="ranges"),
    pytest.param("gc_bits", {"bits_words": 1 << 20}, 0, 2 * (8192 + (2 << 20) + 4 * 8192),
                 id="bitmaps for one sweep of all"),
]


@pytest.mark.parametrize("table, full, arenas, room", GROWTH)
def test_grow(table, full, arenas, room):
    state = HeapState(PARAMS, SMALL_ROOM)
    for name, value in full.items():
        state.h[name] = value
    state.tables[table][: int(state.h[f"{table}_len"])].view("u1")[:] = 7
    state.grow(arenas)
    assert int(state.h[f"{table}_cap"]) == room == len(state.tables[table])
    used = int(state.h[f"{table}_len"])
    assert (state.tables[table][:used].view("u1") == 7).all() and not state.tables[table][used:].view("u1").any()


def test_blocks_grow_with_the_spans():
    state = HeapState(PARAMS, SMALL_ROOM)
    before = int(state.h.set_blocks_cap)
    state.h.spans_len = 200
    for _ in range(6):
        state.grow()
        state.h.spans_len = state.h.spans_cap
    assert int(state.h.spans_cap) == 64 * 256
    assert int(state.h.set_blocks_cap) == before + 2 * 64 * 256 // 512, "two entries per span"


def test_chunks_for_the_arenas():
    state = HeapState(PARAMS, dict(SMALL_ROOM, pallocs=8192))
    state.grow(1)
    assert int(state.h.pallocs_cap) >= int(state.h.pallocs_len) + 2 * 8192


def test_table_larger_than_the_machine():
    with pytest.raises(MemoryError, match=r"the heap's table 'spans' would need \d+ MiB"):
        HeapState(PARAMS, dict(SMALL_ROOM, spans=1 << 45))
    state = HeapState(PARAMS, SMALL_ROOM)
    with pytest.raises(MemoryError, match="'heap_arenas'"):
        state.grow(1 << 40)


def test_heaps_share_nothing():
    one, two = HeapState(PARAMS, SMALL_ROOM), HeapState(PARAMS, SMALL_ROOM)
    one.h.sweepgen = 8
    one.tables["spans"][1]["npages"] = 3
    assert int(two.h.sweepgen) == 0 and not two.tables["spans"]["npages"].any()
    assert not np.shares_memory(one.tables["spans"], two.tables["spans"])


def test_span_rows_are_taken_once():
    state = HeapState(PARAMS, SMALL_ROOM)
    state.tables["span_log"]["span_npages"][:2] = [5, 6]
    state.h.span_log_len = 2
    assert state.take_span_rows()["span_npages"].tolist() == [5, 6]
    assert len(state.take_span_rows()) == 0
