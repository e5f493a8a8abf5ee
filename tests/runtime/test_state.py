"""state: the empty heap as Go makes it, several heaps at once, and the growth of a heap's tables."""

import numpy as np
import pytest
from runtime.entry import SMALL_ROOM
from runtime.spans import ALLOC_MANUAL, ALLOC_SPAN, FREE_MANUAL, FREE_SPAN, HEAP, SCAVENGE_ALL, STACK, WITHOUT_P, Spans

from mheaplab.params import HeapParams
from mheaplab.runtime.state import ROOM, HeapState, mheap_init
from mheaplab.runtime.structs import HEAP as HEAP_RECORD
from mheaplab.runtime.structs import MAX_SEARCH_ADDR, TABLES, WHOLE_TABLES
from mheaplab.runtime.verify import verify_heap

PARAMS = HeapParams.go119().to_record()

NEW = {
    "spans_len": 1,  # record 0 is nil
    "heap_arenas_len": 1,
    "set_blocks_len": 1,
    "specials_len": 1,
    "stack_slots_len": 1,
    "gc_bits_len": 8192,
    "pallocs_len": 8192,
    "search_addr": (1 << 47) - 1,
    "level_shift": [34, 31, 28, 25, 22],
    "level_offset": [0, 1 << 14, (1 << 14) + (1 << 17), 1196032, 9584640],
    "level_log_pages": [21, 18, 15, 12, 9],
    "scav_search": -1,  # nothing is marked
    "reclaim_index": 1 << 62,  # no sweep is going on
    "sweep_drained": 1,
    "n_hints": 128,
    "arena_l1": [1] + [0] * 63,
    "gc_percent_goal": -1,
    "current_p": 255,
    "log_spans": 1,
    "tiny_counts_len": 1,
}
"""What is not 0 in a new heap, but for parameters, tables, hints, records' sizes and objects per span."""
GIVEN = {"params", "hints", "spanalloc", "specialalloc", "class_nelems"}


def test_new_heap():
    """mheap.init: a heap without spans, arenas and objects; all centrals, caches and accounts are empty."""
    state = HeapState(PARAMS, SMALL_ROOM)
    for name in HEAP_RECORD.names:
        tables = {f"{table}_{what}" for table in TABLES for what in ("at", "cap")} | {f"{t}_len" for t in WHOLE_TABLES}
        if name in GIVEN | tables:
            continue
        value = state.h[name]
        if name in NEW:
            assert np.array_equal(value, NEW[name]), name
        else:
            assert not np.atleast_1d(value).view("u1").any(), name
    for f in (state.h.spanalloc, *state.h.specialalloc):
        assert [int(f[name]) for name in ("free", "chunk_left", "in_use", "sys")] == [0] * 4, "no record, no chunk"
    assert int(state.h.spanalloc.item_bytes) == 144
    assert state.h.specialalloc["item_bytes"].tolist() == [0, 0, 48, 0, 24, 24, 0, 0]
    assert state.h.class_nelems[[2, 3, 10, 134, 135, 136]].tolist() == [1024, 1024, 170, 1, 1, 0]
    assert state.h.params == PARAMS


def test_what_the_hot_path_reads_begins_on_a_cache_line():
    state = HeapState(PARAMS, SMALL_ROOM)
    for name in ("central", "allp"):
        assert HEAP_RECORD.fields[name][1] % 64 == 0, name
        assert (state.h[name].ctypes.data if name == "central" else state.h.allp.ctypes.data) % 64 == 0, name


def test_new_heap_with_other_parameters():
    h = HeapState(HeapParams.go127(arena_l1_bits=6, mspan_bytes=200).to_record(), SMALL_ROOM).h
    assert not h.arena_l1.any(), "no second level of the arenas map"
    assert int(h.spanalloc.item_bytes) == 200
    assert h.specialalloc["item_bytes"].tolist() == [0, 24, 56, 32, 32, 32, 32, 56]
    assert h.class_nelems[[2, 3]].tolist() == [1008, 1024]


def test_mheap_init_again():
    """Everything that is not zero in a new heap is set, whatever the record held."""
    state = HeapState(PARAMS, SMALL_ROOM)
    before = state.h.tobytes()
    for name in (*NEW, "spanalloc", "class_nelems", "hints"):
        state.h[name] = np.zeros_like(state.h[name])
    mheap_init(state.h)
    assert state.h.tobytes() == before


# ranges that something else occupies, as the OS has them; they are joined where they touch or overlap
OCCUPIED = [
    ((), []),
    (((8192, 16384),), [(8192, 16384)]),
    (((32768, 40960), (8192, 16384)), [(8192, 16384), (32768, 40960)]),
    (((8192, 16384), (16384, 20480)), [(8192, 20480)]),
    (((8192, 40960), (12288, 16384), (36864, 45056)), [(8192, 45056)]),
    (tuple((k << 20, (k << 20) + 4096) for k in range(1, 200)), [(k << 20, (k << 20) + 4096) for k in range(1, 200)]),
]


@pytest.mark.parametrize("occupied, want", OCCUPIED)
def test_occupied(occupied, want):
    state = HeapState(HeapParams.go119(occupied=occupied).to_record(), SMALL_ROOM, occupied)
    rows = state.tables["os_ranges"][: int(state.h.os_ranges_len)]
    assert [(int(r["base_addr"]), int(r["limit"])) for r in rows] == want
    assert int(state.h.stats.reserved) == 0 and len(state.tables["os_ranges"]) >= len(want) + 6


def test_empty_heap():
    state = HeapState(PARAMS)
    h = state.h
    for name in TABLES:
        cap = int(h[f"{name}_cap"])
        assert len(state.tables[name]) == cap and state.tables[name].ctypes.data == int(h[f"{name}_at"])
        if name in ROOM:
            assert cap == ROOM[name]
        if name in WHOLE_TABLES:
            assert int(h[f"{name}_len"]) == cap
    assert [int(h[f"{name}_len"]) for name in ("spans", "heap_arenas", "set_blocks")] == [1, 1, 1], "0 is nil"
    assert int(h.in_use_len) == int(h.span_log_len) == 0
    assert int(h.search_addr) == int(MAX_SEARCH_ADDR) and int(h.sweep_drained) == 1
    assert not any(int(x) for x in (h.stats.prepared, h.stats.ready, h.stats.reserved, h.pages_in_use))
    verify_heap(h)


@pytest.mark.parametrize("mib", [4, 64])
def test_fixed_tables_cover_the_address_space(mib):
    state = HeapState(HeapParams.go119(arena_bytes=mib << 20).to_record(), SMALL_ROOM)
    assert len(state.tables["arena_map"]) == (1 << 48) // (mib << 20)
    assert len(state.tables["scav_chunks"]) * 64 * (4 << 20) == 1 << 48
    assert [int(x) for x in state.h.level_offset] == [0, 1 << 14, (1 << 14) + (1 << 17), 1196032, 9584640]
    assert len(state.tables["summary"]) == 9584640 + (1 << 26)


# table, its room, what is full, arenas asked for, room afterwards
GROWTH = [
    pytest.param("spans", 1024, {"spans_len": 384}, 0, 1024, id="half full with the records of a P's cache: nothing"),
    pytest.param("spans", 1024, {"spans_len": 385}, 0, 1026, id="spans double when more than half full"),
    pytest.param("heap_arenas", 16, {"heap_arenas_len": 8}, 0, 16, id="arenas, half full"),
    pytest.param("heap_arenas", 16, {"heap_arenas_len": 9}, 0, 18, id="arenas"),
    pytest.param("heap_arenas", 16, {}, 100, 202, id="as many arenas as an allocation needs"),
    pytest.param("in_use", 256, {"in_use_len": 125}, 0, 256, id="ranges, three of them left of a half"),
    pytest.param("in_use", 256, {"in_use_len": 126}, 0, 512, id="ranges"),
    pytest.param("os_ranges", 64, {"os_ranges_len": 30}, 0, 128, id="ranges of the OS"),
    pytest.param("specials", 1024, {"specials_len": 511}, 0, 1024, id="specials, half full with one more"),
    pytest.param("specials", 1024, {"specials_len": 512}, 0, 1026, id="specials"),
    pytest.param("finalizers", 1024, {"finalizers_len": 510}, 0, 1024, id="finalizers, half full with one more"),
    pytest.param("finalizers", 1024, {"finalizers_len": 10, "specials_len": 600}, 0, 1222, id="one for each special"),
    pytest.param("stack_slots", 256, {"stack_slots_len": 128}, 0, 258, id="links of stacks"),
    pytest.param("gc_bits", 1 << 18, {"bits_words": 1 << 20}, 0, 2 * (8192 + (2 << 20) + 4 * 8192),
                 id="bitmaps for one sweep of all"),
]


@pytest.mark.parametrize("table, has, full, arenas, room", GROWTH)
def test_grow(table, has, full, arenas, room):
    state = HeapState(PARAMS, SMALL_ROOM | {table: has})
    for name, value in full.items():
        state.h[name] = value
    state.tables[table][: int(state.h[f"{table}_len"])].view("u1")[:] = 7
    state.grow(arenas)
    assert int(state.h[f"{table}_cap"]) == room == len(state.tables[table])
    assert int(state.h[f"{table}_at"]) == state.tables[table].ctypes.data
    used = int(state.h[f"{table}_len"])
    assert (state.tables[table][:used].view("u1") == 7).all() and not state.tables[table][used:].view("u1").any()


def test_blocks_grow_with_the_spans():
    state = HeapState(PARAMS, SMALL_ROOM)
    before = int(state.h.set_blocks_cap)
    state.h.spans_len = 200
    for _ in range(6):
        state.grow()
        state.h.spans_len = state.h.spans_cap
    assert int(state.h.spans_cap) > 100 * 256
    assert int(state.h.set_blocks_cap) == before + 2 * (int(state.h.spans_cap) // 512), "two entries per span"


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


def random_calls(rng, n):
    """Return ``n`` random calls of the heap, made on a heap of their own to know what there is to free."""
    heap, held, calls = Spans(), [], []
    for _ in range(n):
        kind = rng.random()
        if kind < 0.3 and held:
            calls.append(held.pop(int(rng.integers(len(held)))))
            heap.calls(calls[-1])
            continue
        p = int(rng.choice([0, 1, WITHOUT_P]))
        npages = int(rng.choice([1, rng.integers(1, 40), rng.integers(1, 900)]))
        if kind < 0.35:
            calls.append((SCAVENGE_ALL,))
            heap.calls(calls[-1])
        elif kind < 0.6:
            calls.append((ALLOC_SPAN, npages, HEAP, int(rng.integers(2)), p))
            held.append((FREE_SPAN, heap.call(*calls[-1])))
        else:
            calls.append((ALLOC_MANUAL, npages, STACK, p))
            held.append((FREE_MANUAL, heap.call(*calls[-1]), STACK))
    return calls


def contents(heap):
    """Return all that a heap consists of, but for where its tables are."""
    record = heap.h.copy()
    for name in TABLES:
        record[f"{name}_at"] = 0
    tables = [heap.state.tables[name][: int(heap.h[f"{name}_len"])] for name in TABLES if name not in WHOLE_TABLES]
    return [record.tobytes(), *(table.tobytes() for table in tables)]


def test_two_heaps(rng):
    """mheap_ is a value: two heaps that are used in turns are as if each were alone."""
    scripts = [random_calls(rng, 40) for _ in range(2)]
    alone, turns = ([Spans(), Spans()] for _ in range(2))
    for heap, calls in zip(alone, scripts, strict=True):
        heap.calls(*calls)
    for pair in zip(*scripts, strict=True):
        for heap, call in zip(turns, pair, strict=True):
            heap.calls(call)
    assert [contents(heap) for heap in turns] == [contents(heap) for heap in alone]
    assert contents(turns[0]) != contents(turns[1])


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
    assert state.take_rows()["span_npages"].tolist() == [5, 6]
    assert len(state.take_rows()) == 0
