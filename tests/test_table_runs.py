"""Runs with tables of size classes: what classes hold, recounted span by span, beside the run's own accounts."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.snapshot import PAGE_LARGE, PAGE_NOSCAN, PAGE_SCAN
from mheaplab.table_runs import COLUMNS, simulate_table

sc = mh.sizeclasses
TRACE = mh.workloads.load("cache-fill-empty", scale=0.02, seed=3).loaded()


def recounted(snapshot):
    """Count a snapshot's spans by class, one by one: spans, pages, bytes in use, free, tail."""
    found = np.zeros((5, len(snapshot.class_sizes)), np.int64)
    for span in snapshot.spans:
        if span["state"] in (PAGE_SCAN, PAGE_NOSCAN):
            k, used = span["span_class"] >> 1, span["alloc_count"] * span["elemsize"]
            slots = span["nelems"] * span["elemsize"]
            found[:, k] += (1, span["npages"], used, slots - used, span["npages"] * 8192 - slots)
        elif span["state"] == PAGE_LARGE:
            found[:, 0] += (1, span["npages"], span["npages"] * 8192, 0, 0)
    return found


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
@pytest.mark.parametrize("make", [sc.go_table, sc.jemalloc_table])
def test_classes_hold_what_their_spans_do(go, make):
    params = mh.HeapParams.of_version(go, gogc=50)
    run = simulate_table(TRACE, make(go), params, moments=5)
    assert run.moments[-1] == len(TRACE) and len(run.moments) == 5
    for k, mark in enumerate(run.moments.tolist()):
        wanted = recounted(run.result.snapshot(mark))
        assert [run.by_class[name][k].tolist() for name in COLUMNS] == wanted.tolist()
    last = run.result.samples[-1]
    totals = {name: int(run.by_class[name][-1].sum()) for name in COLUMNS}
    assert totals["free"] == last["free_slots"] and totals["tail"] == last["tail"]
    assert totals["in_use"] == last["live"] + last["garbage"] and totals["pages"] * 8192 == last["heap_in_use"]


def test_the_run_is_that_of_the_table():
    params = mh.HeapParams.go119(gogc=50)
    run = simulate_table(TRACE, sc.pow2_table(), params, moments=3, seed=2)
    alone = mh.simulate(TRACE, params.replace(size_classes=sc.pow2_table().classes()), seed=2)
    assert (run.result.cycles == alone.cycles).all() and run.by_class["spans"].shape == (3, 14)


def test_means_and_the_worst_moment():
    run = simulate_table(TRACE, sc.go_table(), moments=8)
    free = run.by_class["free"].sum(axis=1)
    assert free[run.worst] == free.max() > 0
    assert run.mean["free"].sum() == pytest.approx(free.mean())
    assert run.free_share == pytest.approx(free.mean() / run.by_class["in_use"].sum(axis=1).mean())


@pytest.mark.parametrize("moments", [0, 10_001, 1.5, True])
def test_moments_are_checked(moments):
    with pytest.raises(ValueError, match="moments = .* is outside its legal range: 1 to 10,000"):
        simulate_table(TRACE, sc.go_table(), moments=moments)


def test_a_table_that_the_twin_cannot_run_with_is_refused():
    with pytest.raises(ValueError, match="size_classes"):
        simulate_table(TRACE, sc.SizeClassTable([(40, 1), (32768, 4)]))
