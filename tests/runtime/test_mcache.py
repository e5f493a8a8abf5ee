"""mcache: how a P's span is exchanged, and what is counted when."""

import pytest
from runtime.test_run import PAGE, Heap

from mheaplab.runtime.mpagealloc import Throw

HALF = 4096
"""An object of which a span of one page holds two."""


def test_refill_gives_back_then_sweeps_then_takes():
    """uncacheSpan, deductSweepCredit, then the first pop of cacheSpan."""
    heap = Heap()
    objects = heap.mallocs(9, HALF)
    a, b, c, d, e = objects[::2]
    heap.flush()
    heap.collect(dead=[objects[2]])  # one object of b
    spc = int(heap.span(a)["spanclass"])
    assert heap.malloc(HALF) == e + HALF, "the only span that was partial"
    assert heap.malloc(HALF, credit=2) == b, "found swept, where the credit's second sweepone put it"
    assert heap.queue("full", True, spc) == [e, a], "the old span came first, then the one that was swept first"
    assert heap.queue("full", False, spc) == [c, d]
    assert heap.malloc(HALF) == e + PAGE
    heap.check()


def test_cached_span_in_a_collection_is_swept_at_its_flush():
    heap = Heap()
    objects = heap.mallocs(3, HALF)
    heap.collect(dead=[objects[2]], flush=())
    s = heap.span(objects[2])
    assert int(s["sweepgen"]) == int(heap.h.sweepgen) + 1
    assert heap.sweep() == [objects[0]], "what a P holds is for it to sweep"
    heap.flush()
    assert int(s["state"]) == 0, "it was empty"
    heap.check()


def counts(heap, c):
    """Return (objects allocated of class ``c``, bytes allocated, bytes live for the pacer, tiny objects)."""
    s = heap.h.stats
    return tuple(int(x) for x in (s.small_alloc_count[c], s.total_alloc, s.heap_live, s.tiny_alloc_count))


def test_statistics_are_counted_when_the_span_is_given_back():
    heap = Heap()
    objects = heap.mallocs(3, 1024)
    c = int(heap.span(objects[0])["spanclass"]) >> 1
    assert counts(heap, c) == (0, 0, PAGE, 0), "a whole span counts as live when the mcache takes it"
    heap.flush()
    assert counts(heap, c) == (3, 3072, 3072, 0)
    heap.flush()
    assert counts(heap, c) == (3, 3072, 3072, 0)
    heap.mallocs(5, 1024)
    assert counts(heap, c) == (3, 3072, PAGE, 0)
    heap.malloc(1024)
    assert counts(heap, c) == (8, PAGE, 2 * PAGE, 0), "refilled"
    heap.flush()
    assert counts(heap, c) == (9, 9 * 1024, 9 * 1024, 0)
    heap.check()


def test_large_objects_are_counted_at_once():
    heap = Heap()
    heap.malloc(40000)
    s, nbytes = heap.h.stats, 5 * PAGE
    counted = [int(x) for x in (s.large_alloc_count, s.large_alloc, s.total_alloc, s.heap_live)]
    assert counted == [1, nbytes, nbytes, nbytes]


def test_flush_ends_the_tiny_block():
    heap = Heap()
    first = heap.malloc(4)
    assert heap.malloc(4) == first + 4
    cache = heap.h.allp[0].mcache
    assert (int(cache.tiny), int(cache.tinyoffset), int(cache.tiny_allocs)) == (first, 8, 1)
    assert counts(heap, 2) == (0, 0, PAGE, 0)
    heap.flush()
    assert (int(cache.tiny), int(cache.tinyoffset), int(cache.tiny_allocs)) == (0, 0, 0)
    assert counts(heap, 2) == (1, 16, 16, 1)
    assert heap.malloc(4) == first + 16
    assert heap.h.allp[0].mcache.alloc[:6].tolist() == [0] * 5 + [heap.span_index(first)]


def test_refill_of_the_tiny_class_counts_tiny_objects():
    heap = Heap()
    heap.mallocs(1024, 8)
    assert int(heap.h.stats.tiny_alloc_count) == 0
    heap.malloc(8)
    assert int(heap.h.stats.tiny_alloc_count) == 512 and int(heap.h.stats.small_alloc_count[2]) == 512


def test_each_p_has_its_own():
    heap = Heap()
    a, b = heap.malloc(1000, p=3), heap.malloc(1000, p=4)
    assert heap.span_index(a) != heap.span_index(b)
    heap.flush(3)
    assert heap.malloc(1000, p=4) == b + 1024
    assert heap.malloc(1000, p=5) == a + 1024, "the span that P 3 gave back"
    heap.check()


# what is wrong with a full cached span, and Go's throw
THROWS = [
    ({"alloc_count": 1}, "allocCount != s.nelems"),
    ({"sweepgen": 0}, "bad sweepgen in refill"),
]


@pytest.mark.parametrize("wrong, message", THROWS)
def test_throws(wrong, message):
    heap = Heap()
    s = heap.span(heap.mallocs(2, HALF)[0])
    for name, value in wrong.items():
        s[name] = value
    with pytest.raises(Throw, match=message):
        heap.malloc(HALF)
