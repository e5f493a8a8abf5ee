"""mcentral: where cacheSpan looks for a span with a free object, in which order, and how long."""

import pytest
from runtime.test_run import PAGE, Heap

from mheaplab.runtime.mpagealloc import Throw

HALF = 4096
"""An object of which a span of one page holds two."""


def central_heap():
    """Return (heap, objects of spans a to e): b is swept and has a free object, the others wait.

    a and e were partial when the collection ended (a has its first object free, e its second), c and d full; c's second
    object has died since.  b is a stale entry between a and e too.
    """
    heap = Heap()
    objects = heap.mallocs(9, HALF)
    spans = [objects[k : k + 2] for k in range(0, 9, 2)]
    a, b, c, d, e = spans
    heap.flush()
    heap.collect(dead=[a[0], b[0]])
    heap.sweep()
    heap.collect(dead=[c[1]])
    heap.ensure_swept(b[1])
    spc = int(heap.span(a[0])["spanclass"])
    assert heap.queue("partial", True, spc) == [b[0]]
    assert heap.queue("partial", False, spc) == [a[0], b[0], e[0]]
    assert heap.queue("full", False, spc) == [c[0], d[0]]
    return heap, spans


def test_order_of_cache_span():
    heap, (a, b, c, d, e) = central_heap()
    found = [heap.malloc(HALF) for _ in range(4)]
    assert found == [
        b[0],  # swept, with a free object
        a[0],  # unswept, was partial
        e[0] + HALF,  # the same, behind the stale entry of b
        c[1],  # unswept, was full
    ]
    last = heap.malloc(HALF)
    assert last == e[0] + PAGE, "d has nothing free, so a new span"
    spc = int(heap.span(last)["spanclass"])
    assert heap.queue("full", True, spc) == [b[0], a[0], e[0], c[0], d[0]], "c was given back before d was swept"
    assert heap.sweepone() == 0
    heap.check()


# live spans that wait, whether they were partial, and how many are left unswept after one allocation
BUDGETS = [
    pytest.param(50, 0, id="all looked at"),
    pytest.param(101, 0, id="the budget of 100, counted down to 0, is 101 tries"),
    pytest.param(102, 1, id="one too many"),
    pytest.param(150, 49, id="many"),
]


@pytest.mark.parametrize("n, left", BUDGETS)
def test_span_budget(n, left):
    heap = Heap()
    objects = heap.mallocs(2 * n, HALF)
    heap.flush()
    heap.collect(dead=[objects[-1]] if left else [])
    new = heap.malloc(HALF)
    assert heap.span_index(new) not in {heap.span_index(o) for o in objects}
    assert len(heap.sweep()) == left
    heap.check()


def test_stale_entries_use_the_budget_too():
    heap = Heap()
    objects = heap.mallocs(2 * 110, HALF)
    heap.flush()
    heap.collect(dead=[objects[-1]])
    for o in objects[: 2 * 30 : 2]:
        heap.ensure_swept(o)
    heap.malloc(HALF)
    # 30 stale entries and 71 spans; the other nine, the one with a free object among them, still wait.
    assert len(heap.sweep()) == 9


def test_new_span_when_all_is_full():
    heap = Heap()
    first = heap.malloc(HALF)
    assert heap.mallocs(2, HALF) == [first + HALF, first + PAGE]


def test_uncaching_an_empty_span():
    heap = Heap()
    heap.span(heap.malloc(HALF))["alloc_count"] = 0
    with pytest.raises(Throw, match="uncaching span but s.allocCount == 0"):
        heap.flush()


@pytest.mark.parametrize("name", ["freeindex", "alloc_count"])
def test_span_without_a_free_object_in_the_partial_set(name):
    heap = Heap()
    s = heap.span(heap.malloc(HALF))
    heap.flush()
    s[name] = 2
    with pytest.raises(Throw, match="span has no free objects"):
        heap.malloc(HALF)


def test_alloc_cache_of_a_span_taken_again():
    """freeindex stays where it was, and the cache starts there."""
    heap = Heap()
    objects = heap.mallocs(70, 16, noscan=False)
    heap.flush()
    assert heap.malloc(16, noscan=False) == objects[-1] + 16
    s = heap.span(objects[0])
    assert int(s["freeindex"]) == 71 and int(s["alloc_cache"]) == ((1 << 64) - 1) >> 7
    heap.check()
