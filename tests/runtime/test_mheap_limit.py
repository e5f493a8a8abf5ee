"""mheap: what an allocation returns to the OS for itself, at the memory limit and after heap growth."""

import numpy as np
import pytest
from runtime.spans import PAGE, Spans

P0 = 0
CHUNK = 512


def scavenged(heap):
    """Return the pages that are scavenged, from the start of the heap, which is one range."""
    first, end = int(heap.h.chunk_start), int(heap.h.chunk_end)
    at = int(heap.h.chunks_l1[first >> 13]) + (first & 8191)
    words = heap.state.tables["pallocs"][at : at + end - first]["scavenged"]["w"].ravel()
    return set(np.flatnonzero(np.unpackbits(words.view("u1"), bitorder="little")).tolist())


def ready(heap):
    """Return the pages that the OS backs."""
    return int(heap.h.stats.ready) // PAGE


def thousand_ready_pages(**changes):
    """Return a heap of two chunks: 700 pages in use, 300 free and backed, the last 24 never used."""
    heap = Spans(huge_page_bytes=0, **changes)
    heap.manual(700)
    assert heap.free_pages(300) == 700
    assert ready(heap) == 1000 and scavenged(heap) == set(range(1000, 1024))
    return heap


# the limit in bytes, bytes beside the heap, pages returned; 1000 pages are backed, of which 280 stay free
AT_THE_LIMIT = [
    pytest.param(1000 * PAGE, 0, 0, id="at the limit"),
    pytest.param(1000 * PAGE - 1, 0, 1, id="a byte above it is a page"),
    pytest.param(990 * PAGE, 0, 10, id="ten pages above it"),
    pytest.param(990 * PAGE + 1, 0, 10, id="ten pages less a byte"),
    pytest.param(990 * PAGE - 1, 0, 11, id="ten pages and a byte"),
    pytest.param(1005 * PAGE, 15 * PAGE, 10, id="memory beside the heap counts"),
    pytest.param(1005 * PAGE, 5 * PAGE, 0, id="at the limit with it"),
    pytest.param(500 * PAGE, 0, 280, id="more than is free: all of it"),
    pytest.param(1, 0, 280, id="the smallest limit"),
    pytest.param((1 << 63) - 1, 0, 0, id="no limit"),
    pytest.param((1 << 63) - 1, (1 << 46) - 1, 0, id="no limit, and as much beside the heap as can be"),
]


@pytest.mark.parametrize("limit, beside, returned", AT_THE_LIMIT)
def test_memory_limit(limit, beside, returned):
    """What is Ready is brought down to the limit, in whole pages, the highest free pages first."""
    heap = thousand_ready_pages(memory_limit=limit, other_ready_bytes=beside)
    assert heap.page(heap.manual(20, p=P0)) == 700
    assert scavenged(heap) == set(range(1000 - returned, 1024))
    assert ready(heap) == 1000 - returned
    assert heap.accounts() == (0, 720, 0, 280 - returned, 24 + returned, 1024)


def test_memory_limit_without_a_p():
    """Without a P nothing is returned; whoever comes next does it."""
    heap = thousand_ready_pages(memory_limit=900 * PAGE)
    heap.manual(20)
    assert ready(heap) == 1000
    heap.manual(20, p=P0)
    assert ready(heap) == 900


def test_memory_limit_of_a_heap_span():
    heap = thousand_ready_pages(memory_limit=900 * PAGE)
    heap.heap_span(20, p=P0)
    assert ready(heap) == 900 and heap.accounts() == (20, 700, 0, 180, 124, 1024)


def test_memory_limit_and_a_page_cache():
    """Pages in a P's cache are not the page allocator's to return. A span from the cache returns others."""
    heap = thousand_ready_pages(memory_limit=1)
    assert heap.page(heap.manual(1, p=P0)) == 700
    assert scavenged(heap) == set(range(704, 1024)), "the cache has the pages up to the next multiple of 64"
    assert heap.accounts()[3] == 3


def test_scavenged_pages_of_the_span_count():
    """The span's own scavenged pages are about to be Ready, so as many others go first."""
    heap = Spans(huge_page_bytes=0, memory_limit=1000 * PAGE)
    heap.manual(600)
    hole = heap.manual(29)
    heap.manual(361)
    heap.free_pages(10)
    heap.free_manual(hole)
    index = heap.manual(30, p=P0)  # ten free pages and twenty scavenged ones, for the hole is too small
    assert heap.page(index) == 990 and int(heap.span(index)["scav"]) == 20 * PAGE
    assert scavenged(heap) == {*range(609, 629), *range(1020, 1024)}
    assert ready(heap) == 1000


# -------------------------------------------------------------------------------------------------------- growth


def about_to_grow(heap_pages=0, **changes):
    """Return a heap of one full chunk but for 300 free and backed pages at its start."""
    heap = Spans(huge_page_bytes=0, **changes)
    low = heap.manual(300)
    heap.manual(212 - heap_pages)
    if heap_pages:
        heap.heap_span(heap_pages)
    heap.free_manual(low)
    return heap


# the goal in bytes (-1: none), pages returned when 300 pages are retained, and the heap grows by 512
AFTER_GROWTH = [
    pytest.param(-1, 0, id="no goal"),
    pytest.param(812 * PAGE, 0, id="at the goal"),
    pytest.param(812 * PAGE - 1, 1, id="a byte above it is a page"),
    pytest.param(700 * PAGE, 112, id="what is above it"),
    pytest.param(512 * PAGE, 300, id="all that is free"),
    pytest.param(0, 300, id="not more than that"),
]


@pytest.mark.parametrize("goal, returned", AFTER_GROWTH)
def test_heap_growth(goal, returned):
    """After growth, what is retained and the growth are brought down to the goal."""
    heap = about_to_grow()
    heap.h.gc_percent_goal = goal
    index = heap.manual(400, p=P0)
    assert heap.page(index) == 512 and int(heap.span(index)["scav"]) == 400 * PAGE
    assert scavenged(heap) == {*range(300 - returned, 300), *range(912, 1024)}
    assert ready(heap) == 912 - returned


def test_heap_growth_returns_at_most_the_growth():
    """Whatever is above the goal: the growth is what must be made up for."""
    heap = Spans(huge_page_bytes=0)
    low = heap.manual(1000)
    heap.manual(24)
    heap.free_manual(low)
    heap.h.gc_percent_goal = 0
    assert heap.page(heap.manual(1001, p=P0)) == 1024
    assert ready(heap) == 1024 + 1001 - 1000, "it grew by 1024 pages"
    heap = Spans(huge_page_bytes=0)
    spans = [heap.manual(n) for n in (500, 12, 500, 12)]
    heap.free_manual(spans[0])
    heap.free_manual(spans[2])
    heap.h.gc_percent_goal = 0
    assert heap.page(heap.manual(501, p=P0)) == 1024
    assert ready(heap) == 1024 + 501 - CHUNK, "it grew by a chunk, of 1000 free pages"
    assert scavenged(heap) == {*range(488, 500), *range(512, 1012), *range(1525, 1536)}


def test_retained_are_heap_spans_and_free_pages():
    """Stacks and other manual spans are not retained by the heap."""
    for heap_pages in (0, 100):
        heap = about_to_grow(heap_pages)
        heap.h.gc_percent_goal = 800 * PAGE
        heap.manual(400, p=P0)
        assert ready(heap) == 912 - (12 + heap_pages)


def test_nothing_is_returned_without_growth():
    heap = about_to_grow()
    heap.h.gc_percent_goal = 0
    heap.manual(200, p=P0)
    assert ready(heap) == 512


def test_heap_growth_without_a_p():
    heap = about_to_grow()
    heap.h.gc_percent_goal = 0
    heap.manual(400)
    assert ready(heap) == 912


# goal and limit in pages, pages returned: scav and Ready are 400 + 512, retained and growth 300 + 512
@pytest.mark.parametrize("goal, limit, returned", [(712, 900, 100), (802, 862, 50), (812, 912, 0), (-1, 902, 10)])
def test_the_larger_of_both(goal, limit, returned):
    heap = about_to_grow(memory_limit=limit * PAGE)
    heap.h.gc_percent_goal = goal * PAGE if goal >= 0 else -1
    heap.manual(400, p=P0)
    assert ready(heap) == 912 - returned


def test_huge_pages_are_kept_whole():
    """The scavenger does not break a huge page for the last few pages that are asked for."""
    heap = Spans(memory_limit=1023 * PAGE)
    heap.manual(512)
    heap.free_pages(512)
    assert heap.page(heap.manual(100, p=P0)) == 512
    assert scavenged(heap) == set(range(768, 1024)), "256 pages for one"
