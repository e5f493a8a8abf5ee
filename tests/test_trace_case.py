"""case_of_trace: against the twin's own run of the same trace with the collector off, and through files."""

import numpy as np
import pytest
from runtime.programs import random_program

import mheaplab as mh
from mheaplab.case import check_events
from mheaplab.case_writer import write_case
from mheaplab.runtime.structs import SCAVENGE, SWEEP_START, SWEEPONE
from mheaplab.trace_case import case_of_trace

OFF = mh.HeapParams.go119(gogc=-1, procs=4, keeps_dying=False, background_sweep_per_ms=0.0, force_gc_s=1e6)


def made(seed, n=3000, forced=0.005):
    """Return a trace of everything that a program can do."""
    events = random_program(np.random.default_rng(seed), n, 4, 500, forced, 0.1, 1.0)
    return mh.Trace.from_arrays(*events[:5], ids="dense", program=f"random {seed}")


@pytest.mark.parametrize("seed", range(6))
def test_the_heap_is_that_of_a_run_without_a_pacer(seed):
    trace = made(seed)
    case = case_of_trace(trace)
    check_events(case.events, "made", case.go)
    found = mh.replay(case, check=1)
    assert mh.compare(found, case.truth).exact and found.unrecorded_sweeps == 0
    n = len(trace)
    run = mh.simulate(trace, OFF, snapshots=[n])
    mine, its = mh.snapshots(case, [len(case)])[0], run.snapshot(n)
    for name in ("base", "npages", "span_class", "nelems", "alloc_count"):
        assert np.array_equal(mine.spans[name], its.spans[name]), name
    for name in ("HeapAlloc", "HeapInuse", "HeapObjects", "TotalAlloc", "StackInuse", "Mallocs", "Frees"):
        assert found.memstats[name] == run.memstats[name], name


def test_collections_free_what_is_dead_by_then():
    kinds, ids = [0, 0, 0, 1, 4, 1, 4, 1], [0, 1, 2, 1, 0, 0, 0, 2]
    case = case_of_trace(mh.Trace.from_arrays(kinds, 0, [100, 200, 300, 0, 0, 0, 0, 0], 0, ids, ids="dense"))
    events = case.events
    assert np.flatnonzero(events.kind == SWEEP_START).size == 2
    assert events.dead.tolist() == [1, 0] and events.dead_offsets.tolist() == [0, 1, 2]
    assert not (events.kind == SCAVENGE).any() and (events.kind == SWEEPONE).any()


def test_memory_is_given_back_only_if_asked():
    sizes = [1 << 20, 0, 1]
    for how in (0, 1):
        trace = mh.Trace.from_arrays([0, 1, 4], 0, [*sizes[:2], how], 1, [0, 0, 0], ids="dense")
        stats = mh.replay(case_of_trace(trace)).memstats
        assert stats["HeapAlloc"] == 0 and (stats["HeapReleased"] == stats["HeapIdle"]) == (how == 1)


def test_a_tiny_block_dies_when_all_in_it_do():
    kinds, ids = [0, 0, 0, 1, 4, 1, 4], [0, 1, 2, 0, 0, 1, 0]
    case = case_of_trace(mh.Trace.from_arrays(kinds, 0, [8, 8, 8, 0, 0, 0, 0], 1, ids, ids="dense"))
    assert case.events.dead.tolist() == [0] and case.events.dead_offsets.tolist() == [0, 0, 1]


def test_through_files(tmp_path):
    trace = made(11, 500)
    mh.write_trace(trace, tmp_path / "x.parquet")
    case = case_of_trace(mh.read_trace(tmp_path / "x.parquet"), "x")
    write_case(case, tmp_path / "x")
    again = mh.load_case(tmp_path / "x")
    assert again.name == "x" and all(map(np.array_equal, again.events, case.events))
    assert mh.compare(mh.replay(again), again.truth).exact
    first = (tmp_path / "x.events.npz").read_bytes()
    write_case(case, tmp_path / "x.events.npz")
    assert (tmp_path / "x.events.npz").read_bytes() == first
    back = mh.read_trace(tmp_path / "x")
    assert back.count()[[0, 2, 3, 4]].tolist() == trace.count()[[0, 2, 3, 4]].tolist(), "all but deaths is as it was"


def test_a_trace_without_events():
    case = case_of_trace(mh.Trace.from_arrays([], 0, [], 0, [], ids="dense"))
    assert len(case) == 0 and len(case.truth["span_base"]) == 0
