"""The driver of a replay: growth of tables, batches, snapshots, check levels."""

import importlib

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.case import make_events
from mheaplab.runtime.structs import MSPAN, TABLES
from mheaplab.snapshot import PAGE_LARGE, PAGE_NOSCAN, PAGE_OTHER, PAGE_SCAN, PAGE_STACK

# The module; the package's attribute of that name is the function.
driver = importlib.import_module("mheaplab.replay")
TINY_ROOM = {"spans": 3, "heap_arenas": 2, "pallocs": 8192, "gc_bits": 8192, "in_use": 4, "span_log": 2}
TINY_ROOM |= {"specials": 2, "finalizers": 2, "stack_slots": 2}


def test_growing_tables_changes_nothing(cases_dir):
    for name in ("go119-arenas", "go119-limit", "go127-finalizers", "go119-finalizers-full", "go119-stacks-full"):
        case = mh.load_case(cases_dir / name)
        run = driver._Driver(case, None, 1, room=TINY_ROOM)
        run.run_to(len(case))
        assert np.array_equal(run.out.addr, case.truth["addr"])
        assert np.array_equal(run.spans()["span_base"], case.truth["span_base"])
        assert int(run.state.h.spans_cap) > 100


def test_an_event_that_never_has_room_ends_the_replay(cases_dir, monkeypatch):
    case = mh.load_case(cases_dir / "go119-finalizers-full")
    run = driver._Driver(case, None, 0, room=TINY_ROOM)
    monkeypatch.setattr(run.state, "grow", lambda arenas: None)
    with pytest.raises(mh.InvariantError, match="has no room, however the tables grow"):
        run.run_to(len(case))


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_change_nothing(cases_dir, monkeypatch, batch):
    monkeypatch.setattr(driver, "BATCH", batch)
    case = mh.load_case(cases_dir / "go119-gzip")
    assert mh.compare(mh.replay(case), case.truth).exact
    if batch == 1000:
        case = mh.load_case(cases_dir / "go119-limit")
        assert mh.compare(mh.replay(case), case.truth).exact


def test_other_arena_sizes_give_a_whole_heap(cases_dir):
    case = mh.load_case(cases_dir / "go119-arenas")
    for mib in (4, 8, 16, 32):
        params = mh.HeapParams.go119(arena_bytes=mib << 20)
        pred = mh.replay(mh.Case("what-if", case.go, without_scavenges(case.events)), params=params, check=1)
        stats = pred.memstats
        assert stats["HeapAlloc"] == 0 or stats["HeapInuse"] >= stats["HeapAlloc"]
        assert stats["Mallocs"] == mh.replay(case).memstats["Mallocs"]


def without_scavenges(events):
    """The events with every SCAVENGE made a harmless ENSURE_SWEPT: under other parameters it may not be possible."""
    kind = events.kind.copy()
    kind[kind == 7] = 6
    return driver_events(events, kind=kind, size=np.where(events.kind == 7, 0, events.size))


def driver_events(events, **changes):
    """A copy of ``events`` with some columns replaced."""
    return make_events(events._asdict() | changes)


def test_no_page_cache_is_a_what_if(cases_dir):
    case = mh.load_case(cases_dir / "go119-trees")
    pred = mh.replay(case, params=mh.HeapParams.go119(page_cache_pages=0), check=1)
    assert pred.memstats["Mallocs"] == mh.replay(case).memstats["Mallocs"]


WHAT_IFS = [
    {"size_classes": "pow2"},
    {"size_classes": ((8, 1), (16, 1), (512, 1), (2048, 2), (4096, 7), (32768, 64))},
    {"page_placement": "best-fit"},
    {"page_placement": "next-fit", "page_cache_pages": 8},
    {"page_cache_pages": 16, "grow_early_percent": 50},
    {"page_placement": "best-fit", "size_classes": "pow2", "page_cache_pages": 0, "grow_early_percent": 80},
]


@pytest.mark.parametrize("name", ["go119-gofmt", "go119-stacks-full", "go127-gofmt"])
@pytest.mark.parametrize("policy", WHAT_IFS)
def test_policies_are_what_ifs(cases_dir, name, policy):
    """The same objects are allocated and die, elsewhere; every recount holds, and a snapshot adds up."""
    case = mh.load_case(cases_dir / name)
    params = case.params.replace(**policy)
    case = mh.Case("what-if", case.go, without_scavenges(case.events))
    pred, truth = mh.replay(case, params=params, check=1), mh.replay(case)
    assert pred.memstats["Mallocs"] == truth.memstats["Mallocs"]
    allocates = case.events.kind == 0
    assert np.all(pred.addr[allocates] != 0) and not np.array_equal(pred.addr, truth.addr)
    sizes = [row["Size"] for row in pred.memstats["BySize"]]
    (snap,) = mh.snapshots(case, [len(case)], params=params)
    classes = snap.class_sizes.tolist()
    assert sizes == (classes + [0] * 61)[:61] and len(snap.class_sizes) == int(params.to_record()["n_classes"])
    assert sum(row["Mallocs"] for row in pred.memstats["BySize"]) <= pred.memstats["Mallocs"]
    assert (snap.page_span >= 0).sum() == snap.spans["npages"].sum()
    assert mh.figures.heap_map(snap).data and mh.figures.occupancy(snap).data


def test_parameters_name_their_range():
    with pytest.raises(ValueError, match=r"arena_bytes = 12 .*4194304"):
        mh.HeapParams(arena_bytes=12)
    with pytest.raises(ValueError, match=r"go = 'go1\.3'"):
        mh.HeapParams.of_version("go1.3")
    with pytest.raises(ValueError, match="check = 3"):
        mh.replay(None, check=3)


def test_progress_ends_at_the_end(cases_dir):
    case = mh.load_case(cases_dir / "go119-gzip")
    seen = []
    mh.replay(case, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(case), len(case)) and seen == sorted(seen)


def test_snapshots_add_up(cases_dir):
    case = mh.load_case(cases_dir / "go119-final")
    n = len(case)
    first, middle, again, last = mh.snapshots(case, [0, n // 2, n // 2, n])
    assert len(first.spans) == 0 and len(first.arenas) == 0 and first.event == 0
    assert np.array_equal(middle.pages, again.pages) and middle.event == n // 2
    for snap in (middle, last):
        heap = np.isin(snap.pages, (PAGE_SCAN, PAGE_NOSCAN, PAGE_LARGE))
        assert heap.sum() * 8192 == snap.memstats["HeapInuse"]
        assert (snap.pages == PAGE_STACK).sum() * 8192 == snap.memstats["StackInuse"]
        assert (snap.page_span >= 0).sum() == snap.spans["npages"].sum()
        assert ((snap.page_span >= 0) == (heap | (snap.pages >= PAGE_STACK))).all()
        assert set(np.unique(snap.spans["state"])) <= {PAGE_SCAN, PAGE_NOSCAN, PAGE_LARGE, PAGE_STACK, PAGE_OTHER}
        assert (np.diff(snap.spans["base"].astype(np.int64)) > 0).all()
        assert (snap.spans["alloc_count"] <= np.maximum(snap.spans["nelems"], 0)).all()
    with pytest.raises(ValueError, match=f"0 to {n}"):
        mh.snapshots(case, [n + 1])


def test_state_per_small_object_is_under_24_bytes():
    """100 million live 16-byte objects would need 24 bytes each at most; measured on a million."""
    n = 1_000_000
    columns = {
        "kind": np.zeros(n, np.uint8),
        "p": np.zeros(n, np.uint8),
        "flags": np.zeros(n, np.uint8),
        "size": np.full(n, 16, np.uint64),
        "ref": np.full(n, -1, np.int64),
        "credit": np.zeros(n, np.uint32),
        "dead": np.zeros(0, np.int64),
        "dead_offsets": np.zeros(1, np.int64),
    }
    run = driver._Driver(mh.Case("many", "go1.19", make_events(columns)), None, 0)
    run.run_to(n)
    tables = ("spans", "heap_arenas", "gc_bits", "set_blocks", "pallocs")
    used = sum(int(run.state.h[f"{t}_len"]) * TABLES[t].itemsize for t in tables)
    assert used / n < 24 and MSPAN.itemsize == 128
    assert run.state.h.stats.heap_in_use == -(-n // 512) * 8192
