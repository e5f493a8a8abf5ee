"""What a table costs: beside a count object by object, beside the twin's own heap, and by cause."""

import time

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.sizeclasses import CAUSES, OTHERS, SizeClassTable, count_sizes, counts_of, evaluate, go_table, rule_table

VERSIONS = ("go1.19", "go1.27")


def slow_cost(table, size, pointers, go):
    """Return {cause: bytes} of one object, from the definitions."""
    new = go == "go1.27"
    header = 8 if new and pointers and size > 512 else 0
    slot, pages = next((s, p) for s, p in table.pairs if s >= size + header)
    span = pages * 8192
    bitmap = span // 64 if new and pointers and slot <= 512 else 0
    marks = 128 if new and 16 <= slot <= 512 else 0
    held = (span - bitmap - marks) // slot
    tail = span - bitmap - marks - held * slot
    return {
        "rounding": slot - size - header,
        "header": header,
        "tail": tail / held,
        "bitmap": bitmap / held,
        "marks": marks / held,
    }


@pytest.mark.parametrize("go", VERSIONS)
@pytest.mark.parametrize("name", ["Go", *OTHERS])
def test_sums_are_what_objects_cost_one_by_one(go, name, rng):
    table = go_table(go) if name == "Go" else OTHERS[name](go)
    sizes = np.concatenate((rng.integers(16, 700, 300), rng.integers(16, 32761, 200), [16, 512, 513, 504, 505, 32760]))
    noscan = rng.integers(0, 2, len(sizes))
    counts, without = count_sizes(sizes, noscan)
    found = evaluate(table, counts, go, without)
    slow = [slow_cost(table, int(s), not n, go) for s, n in zip(sizes, noscan, strict=True)]
    for cause in CAUSES:
        assert found.causes[cause] == pytest.approx(sum(cost[cause] for cost in slow), abs=1e-6), cause
    assert found.requested == sizes.sum() and found.objects == len(sizes)
    assert found.waste == pytest.approx(found.pages * 8192 - found.requested)
    assert found.share == pytest.approx(found.waste / sizes.sum())
    assert found.whole_bytes >= found.pages * 8192 - 1e-6


def test_go119_wastes_by_rounding_and_tail_alone():
    found = evaluate(go_table(), np.bincount([100] * 73))
    assert found.causes == pytest.approx({"rounding": 73 * 12, "tail": 16, "header": 0, "bitmap": 0, "marks": 0})
    assert (found.spans, found.whole_bytes, found.bitmap_outside) == (pytest.approx(1), 8192, pytest.approx(256))
    assert found.by_class["objects"][9] == 73


@pytest.mark.parametrize("go", VERSIONS)
def test_a_heap_of_the_twin_has_as_many_spans(go, rng):
    """Objects allocated and none freed fill spans up: whole_spans is the heap's own number, class by class."""
    sizes = np.concatenate((rng.integers(17, 400, 3000), rng.integers(400, 9000, 400)))
    noscan = rng.integers(0, 2, len(sizes)) == 1
    table = rule_table(waste=0.1) if go == "go1.19" else go_table(go)
    assert table.why_not(go) == ""
    heap = mh.Heap(mh.HeapParams.of_version(go, size_classes=table.classes()))
    for size, without in zip(sizes.tolist(), noscan.tolist(), strict=True):
        heap.malloc(size, noscan=without)
    counts, without = count_sizes(sizes, noscan)
    found = evaluate(table, counts, go, without)
    heap.flush_mcache()
    stats = heap.memstats()
    assert stats["HeapInuse"] == found.whole_bytes
    slots = found.requested + found.causes["rounding"] + found.causes["header"]
    assert stats["HeapAlloc"] == slots


def test_tiny_and_large_objects_are_counted_apart():
    counts = np.zeros(40_001)
    counts[[0, 1, 8, 15, 16, 32761, 32768, 32769, 40_000]] = 10
    found = evaluate(go_table(), counts, "go1.19")
    assert (found.objects, found.large_objects, found.tiny_objects) == (60, 20, 0)
    found = evaluate(go_table(), counts, "go1.19", counts)
    assert (found.objects, found.large_objects, found.tiny_objects, found.tiny_bytes) == (30, 20, 30, 240)
    found = evaluate(go_table(), counts, "go1.27", counts)
    assert (found.objects, found.large_objects) == (10, 40)


def test_what_has_by_size_is_a_histogram():
    class Counts:
        def by_size(self, limit):
            assert limit == 32768
            return np.bincount([24, 24, limit])

    counts, large = counts_of(Counts())
    assert counts[24] == 2 and counts[32768] == 1 and large == 0
    assert evaluate(go_table(), Counts()).objects == 3
    assert evaluate(go_table(), []).share == 0


@pytest.mark.parametrize("bad", [[-1, 2], [[1, 2]], [float("nan")], "sizes", None, 5])
def test_what_is_no_histogram_is_refused(bad):
    with pytest.raises(ValueError, match="histogram: expected counts"):
        evaluate(go_table(), bad)


def test_more_without_pointers_than_there_are_is_refused():
    with pytest.raises(ValueError, match="noscan: 2 objects of 1 bytes, and the histogram has 1"):
        evaluate(go_table(), [0, 1], "go1.19", [0, 2])


def test_an_evaluation_takes_less_than_five_milliseconds(rng):
    counts = rng.integers(0, 1000, 32769)
    without = rng.integers(0, counts + 1)
    table = go_table("go1.27")
    took = []
    for _ in range(20):
        start = time.perf_counter()
        evaluate(table, counts, "go1.27", without)
        took.append(time.perf_counter() - start)
    # The machine may be busy; the fastest says what the work is.
    assert min(took) < 0.005


def test_a_table_that_is_not_gos_can_be_evaluated():
    table = SizeClassTable(((20, 1), (32768, 4)))
    assert evaluate(table, [0, 0, 0, 1]).causes["rounding"] == 17
