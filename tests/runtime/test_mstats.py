"""mstats: MemStats of a small heap, computed by hand."""

from runtime.test_run import MIB, PAGE, Heap

from mheaplab.runtime.mstats import read_memstats


def test_memstats_by_hand():
    heap = Heap()
    heap.span_alloc(4)
    small = heap.mallocs(3, 1000)  # class of 1024
    tiny = heap.mallocs(3, 4)  # one block of 16
    large = heap.malloc(40000)  # five pages
    heap.malloc(100000)  # thirteen
    heap.flush()
    heap.collect(dead=[small[0], large])
    heap.sweep()
    heap.scavenge(8)
    stats = read_memstats(heap.h)
    by_size = {row["Size"]: (row["Mallocs"], row["Frees"]) for row in stats.pop("BySize")}
    assert {size: counts for size, counts in by_size.items() if counts != (0, 0)} == {1024: (3, 1), 16: (1, 0)}
    assert len(by_size) == 61 and max(by_size) == 18432
    total = 3 * 1024 + 16 + (5 + 13) * PAGE
    assert stats == {
        "HeapAlloc": total - 1024 - 5 * PAGE,
        "TotalAlloc": total,
        # The two tiny objects that shared a block count as allocated and as freed.
        "Mallocs": 3 + 1 + 2 + 2,
        "Frees": 1 + 1 + 2,
        "HeapObjects": 4,
        "HeapSys": 4 * MIB - 4 * PAGE,
        "HeapIdle": 4 * MIB - (4 + 2 + 13) * PAGE,
        "HeapInuse": (2 + 13) * PAGE,
        "HeapReleased": 4 * MIB - (4 + 2 + 13) * PAGE,
        "StackInuse": 4 * PAGE,
        # The record of the manual span, which no P took, and the 64 that P 0 got for its first span.
        "MSpanInuse": 65 * 144,
        "MSpanSys": 113 * 144,
    }
    assert all(isinstance(v, int) for v in stats.values()) and tiny[1] == tiny[0] + 4


def test_empty_heap():
    stats = read_memstats(Heap().h)
    assert all(row["Mallocs"] == row["Frees"] == 0 for row in stats.pop("BySize"))
    assert set(stats.values()) == {0}
