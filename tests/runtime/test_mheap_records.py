"""mheap: a P's cache of span records: tryAllocMSpan, allocMSpanLocked, freeMSpanLocked."""

import pytest
from runtime.spans import (
    ALLOC_MANUAL,
    ALLOC_MSPAN_LOCKED,
    FREE_MSPAN_LOCKED,
    STACK,
    TRY_ALLOC_MSPAN,
    WITHOUT_P,
    Spans,
)

from mheaplab.runtime.mstats import read_memstats
from mheaplab.runtime.verify import verify_heap

CACHE = 128
"""Records that a P keeps."""
REFILL = 64
BYTES = 144
"""Go 1.19's record of a span."""


def cached(heap, p):
    """Return the records in the cache of ``p``, the next one last."""
    c = heap.h.allp[p].mspancache
    return c.buf[: int(c.n)].tolist()


def take(heap, p, n=1):
    """Take ``n`` records by allocMSpanLocked."""
    return heap.calls(*[(ALLOC_MSPAN_LOCKED, p)] * n)


def give(heap, p, *records):
    """Give records back by freeMSpanLocked while ``p`` runs."""
    heap.h.current_p = p
    heap.calls(*[(FREE_MSPAN_LOCKED, index) for index in records])


def free_list(heap):
    """Return the records on fixalloc's free list, the next one first."""
    found, at = [], int(heap.h.spanalloc.free)
    while at:
        found.append(at)
        at = int(heap.span(at)["free_link"])
    return found


def test_try_alloc_mspan():
    """tryAllocMSpan takes the last of the P's cache, and never fills it."""
    heap = Spans()
    assert heap.calls((TRY_ALLOC_MSPAN, 0), (TRY_ALLOC_MSPAN, WITHOUT_P)) == [0, 0]
    assert int(heap.h.spans_len) == 1
    take(heap, 0)
    assert heap.calls(*[(TRY_ALLOC_MSPAN, 0)] * 2) == [63, 62]
    assert cached(heap, 0) == list(range(1, 62))
    assert heap.calls((TRY_ALLOC_MSPAN, 1), (TRY_ALLOC_MSPAN, WITHOUT_P)) == [0, 0], "another P, and none"
    assert heap.calls(*[(TRY_ALLOC_MSPAN, 0)] * 62) == [*range(61, 0, -1), 0]


def test_alloc_mspan_locked_refills_by_half():
    """An empty cache gets 64 records, of which the last made is taken first."""
    heap = Spans()
    assert take(heap, 3) == [64] and cached(heap, 3) == list(range(1, 64))
    assert take(heap, 3, 63) == list(range(63, 0, -1)) and cached(heap, 3) == []
    assert int(heap.h.spans_len) == 65, "no more records than that"
    assert take(heap, 3) == [128] and cached(heap, 3) == list(range(65, 128))


def test_refill_takes_freed_records_first():
    heap = Spans()
    take(heap, WITHOUT_P, 3)
    give(heap, WITHOUT_P, 2, 1)
    assert take(heap, 0) == [65]
    assert cached(heap, 0) == [1, 2, *range(4, 65)] and free_list(heap) == []


def test_alloc_mspan_locked_without_a_p():
    """Without a P a record comes from fixalloc, one at a time."""
    heap = Spans()
    take(heap, 0)
    assert take(heap, WITHOUT_P, 2) == [65, 66]
    assert len(cached(heap, 0)) == 63


def test_each_p_has_its_own():
    heap = Spans()
    assert take(heap, 0) + take(heap, 1) + take(heap, 254) == [64, 128, 192]
    assert [cached(heap, p)[0] for p in (0, 1, 254)] == [1, 65, 129]
    give(heap, 1, 64)
    assert cached(heap, 1)[-1] == 64 and len(cached(heap, 0)) == 63
    assert take(heap, 1) == [64]


def test_free_mspan_locked_is_last_in_first_out():
    heap = Spans()
    records = take(heap, 0, 5)
    give(heap, 0, *records)
    assert cached(heap, 0)[-5:] == records
    assert take(heap, 0, 5) == records[::-1]


def test_free_mspan_locked_of_a_full_cache():
    """A cache holds 128 records; what comes then goes to fixalloc's free list."""
    heap = Spans()
    records = take(heap, WITHOUT_P, CACHE + 3)
    give(heap, 0, *records)
    assert cached(heap, 0) == records[:CACHE]
    assert free_list(heap) == records[CACHE:][::-1]
    give(heap, 1, *take(heap, 0, 2))
    assert cached(heap, 1) == records[CACHE - 2 : CACHE][::-1], "another P has room"


def test_free_mspan_locked_without_a_p():
    heap = Spans()
    take(heap, 0)
    records = take(heap, WITHOUT_P, 2)
    give(heap, WITHOUT_P, *records)
    assert free_list(heap) == records[::-1] and len(cached(heap, 0)) == 63


def test_unused_records_are_marked():
    """A record is unused in a cache and on the free list; verify counts them by that."""
    heap = Spans()
    records = take(heap, 0, 2) + take(heap, WITHOUT_P, 2)
    unused = heap.state.tables["spans"]["unused"]
    assert [i for i in range(1, 67) if not unused[i]] == sorted(records)
    give(heap, 0, records[0])
    give(heap, WITHOUT_P, records[2])
    assert [i for i in range(1, 67) if not unused[i]] == sorted(records[1::2])


def test_mspan_in_use_counts_cached_records():
    """MSpanInuse is what fixalloc has handed out, to a P's cache or to a span: 64 records for the first span."""
    heap = Spans()

    def records():
        return read_memstats(heap.h)["MSpanInuse"] // BYTES, read_memstats(heap.h)["MSpanInuse"] % BYTES

    span = heap.manual(1, p=0)
    assert records() == (REFILL, 0)
    other = heap.manual(1)
    assert records() == (REFILL + 1, 0)
    heap.free_manual(span, p=0)
    assert records() == (REFILL + 1, 0), "back in the cache"
    heap.free_manual(other)
    assert records() == (REFILL, 0), "back in fixalloc"
    verify_heap(heap.h)


@pytest.mark.parametrize("caches", [True, False])
def test_alloc_span_takes_its_record_from_the_p(caches):
    """allocSpan with a P and without, from the page cache or not; a record freed by one P is used by it again."""
    heap = Spans(page_cache_pages=64 if caches else 0)
    args = (ALLOC_MANUAL, 1, STACK)
    assert heap.calls((*args, 0), (*args, 0), (*args, WITHOUT_P), (*args, 5)) == [64, 63, 65, 129]
    heap.free_manual(64, p=5)
    heap.free_manual(129, p=0)
    heap.free_manual(65)
    assert heap.calls((*args, 0), (*args, 5), (*args, WITHOUT_P)) == [129, 64, 65]
    verify_heap(heap.h)
