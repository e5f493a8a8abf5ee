"""probe: the page heap alone keeps its pages."""

import numpy as np
import pytest
from runtime.entry import COMPILED, SMALL_ROOM, new_state

from mheaplab.case import COLUMNS, make_events
from mheaplab.params import HeapParams
from mheaplab.runtime.probe import bare_loop, page_heap_fill, page_heap_pairs
from mheaplab.runtime.state import HeapState

PAGE = 8192
RUNS = 3000 if COMPILED else 150


def taken_pages(state):
    """Return the addresses of all pages taken, from the bitmaps."""
    h, found = state.h, []
    for ci in range(int(h.chunk_start), int(h.chunk_end)):
        words = state.tables["pallocs"][int(h.chunks_l1[ci >> 13]) + (ci & 8191)]["alloc"]["w"]
        bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")
        found += ((ci << 22) - (1 << 47) + np.flatnonzero(bits) * PAGE).tolist()
    return found


def pages_of_runs(addr, npages):
    return sorted(a + k * PAGE for a, n in zip(addr.tolist(), npages.tolist(), strict=True) for k in range(n))


def test_fill_and_pairs(rng):
    state = new_state()
    npages = rng.integers(1, 40, RUNS).astype(np.int64)
    npages[rng.random(RUNS) < 0.02] = 600
    addr = np.zeros(RUNS, np.int64)
    assert page_heap_fill(state.h, npages, addr) == RUNS
    assert taken_pages(state) == pages_of_runs(addr, npages)
    mapped = int(state.h.stats.prepared)
    assert mapped % (4 << 20) == 0 and mapped >= int(npages.sum()) * PAGE
    for _ in range(3):
        page_heap_pairs(state.h, rng.permutation(RUNS).astype(np.int64), npages, addr)
        assert taken_pages(state) == pages_of_runs(addr, npages), "no page is lost, and none taken twice"
    assert int(state.h.stats.prepared) == mapped


def test_fill_stops_when_there_is_no_more():
    state = HeapState(HeapParams.go119().to_record(), SMALL_ROOM, ((0, 1 << 47),))
    assert page_heap_fill(state.h, np.array([1, 2], np.int64), np.zeros(2, np.int64)) == 0


@pytest.mark.parametrize("n", [0, 1, 50])
def test_bare_loop(rng, n):
    columns = {name: rng.integers(0, 100, n).astype(dtype) for name, dtype in COLUMNS.items()}
    lists = {"dead": np.zeros(0, np.int64), "dead_offsets": np.zeros(1, np.int64)}
    events = make_events(columns | lists)
    order = rng.permutation(n)
    out = np.zeros(n, np.uint64)
    total = np.cumsum(sum(columns[name].astype(np.uint64) for name in ("kind", "p", "flags", "credit")))
    assert bare_loop(events, order, out) == (total[-1] if n else 0)
    assert np.array_equal(out[order], columns["size"] + total)
