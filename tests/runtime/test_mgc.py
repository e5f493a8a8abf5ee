"""mgc: what is marked at the end of a collection, and which page marks the reclaimer then sees."""

import pytest
from runtime.test_run import BASE, Heap

from mheaplab.runtime.run import BadEvent

WHOLE, HALF = 8192, 4096


def marked(heap, addresses):
    return [heap.page_bit("page_marks", a) for a in addresses]


def test_page_marks():
    heap = Heap()
    whole = heap.mallocs(3, WHOLE)
    half = heap.mallocs(4, HALF)
    large = heap.malloc(100000)
    stack = heap.span_alloc(2)
    heap.collect(dead=[whole[1], half[0], half[2], half[3]])
    assert marked(heap, whole) == [True, False, True]
    assert marked(heap, [half[0], half[2]]) == [True, False], "one object alive is enough"
    assert marked(heap, [large, large + WHOLE, stack]) == [True, False, False], "the first page of heap spans only"
    heap.sweep()
    heap.collect(dead=[whole[0], large])
    assert marked(heap, [*whole, half[0], large]) == [False, False, True, True, False], "marks start anew"
    heap.check()


def test_what_is_not_listed_lives():
    heap = Heap()
    objects = heap.mallocs(100, 48)
    heap.collect()
    s = heap.span(objects[0])
    assert int(s["alloc_count"]) == 100 and heap.mallocs(2, 48) == [objects[-1] + 48, objects[-1] + 96]


def test_page_marks_decide_what_is_reclaimed():
    heap = Heap()
    objects = heap.mallocs(4, WHOLE)
    heap.flush()
    heap.collect(dead=objects[1:3])
    heap.malloc(40000)
    assert int(heap.h.pages_in_use) == 2 + 5
    heap.check()


# ------------------------------------------------------------------------------------------------- revived objects


def test_revived_objects_leave_no_page_mark_but_survive():
    heap = Heap()
    objects = heap.mallocs(3, WHOLE)
    heap.flush()
    heap.collect(dead=[objects[0]], revived=[objects[1]])
    assert marked(heap, objects) == [False, False, True]
    # The reclaimer looks at both and frees one.
    heap.malloc(40000)
    assert [int(heap.span(o)["state"]) * int(heap.span(o)["npages"] == 1) for o in objects[1:]] == [1, 1]
    now = int(heap.h.sweepgen)
    assert [int(heap.span(o)["sweepgen"]) - now for o in objects[1:]] == [0, -2]
    heap.sweep()
    heap.collect(dead=[objects[1]])
    assert objects[1] in heap.sweep()
    assert int(heap.h.stats.small_free_count.sum()) == 2
    heap.check()


# ---------------------------------------------------------------------------------------------------- inline marks

# go1.27: slot bytes, whether without pointers, whether marking an object sets the span's page mark by itself
INLINE = [
    (8, False, True),
    (16, False, False),
    (16, True, False),
    (512, False, False),
    (512, True, False),
    (576, True, True),
    (1024, False, True),
    (40000, True, True),
]


@pytest.mark.parametrize("size, noscan, by_itself", INLINE)
def test_spans_with_inline_marks_take_page_marked(size, noscan, by_itself):
    heap = Heap("go1.27")
    # One object of each of two spans; the second's mcache span is another P's.
    first, second = heap.malloc(size, noscan=noscan), heap.malloc(size, noscan=noscan, p=1)
    heap.collect(page_marked=[second], flush=(0, 1))
    assert marked(heap, [first, second]) == [by_itself, True]
    heap.collect(flush=(0, 1))
    assert marked(heap, [first, second]) == [by_itself] * 2
    heap.check()


def test_go119_has_no_inline_marks():
    heap = Heap("go1.19")
    first = heap.malloc(48)
    heap.collect()
    assert marked(heap, [first]) == [True]


# ------------------------------------------------------------------------------------------------------ bad events


def test_dead_twice_in_one_collection():
    heap = Heap()
    first = heap.malloc(100)
    with pytest.raises(BadEvent, match="dead object is not an allocated object") as found:
        heap.collect(dead=[first, first])
    assert found.value.args[1:] == (0, 3)


def test_dead_again_in_a_later_collection():
    for others in (0, 1):
        heap = Heap()
        objects = heap.mallocs(1 + others, 100)
        heap.collect(dead=[objects[0]])
        heap.sweep()
        with pytest.raises(BadEvent, match="dead object is not an allocated object") as found:
            heap.collect(dead=[objects[0]])
        # With another object alive the span is there and the slot is free; else the span is gone.
        assert int(found.value.args[2]) == (3 if others else 1)


def test_dead_object_that_is_no_slot():
    heap = Heap()
    tiny = heap.mallocs(2, 3)
    with pytest.raises(BadEvent) as found:
        heap.collect(dead=[tiny[1]])
    assert int(found.value.args[2]) == 2
    heap = Heap()
    address = heap.malloc(100)
    heap.out.addr[0] = BASE - WHOLE
    with pytest.raises(BadEvent) as found:
        heap.collect(dead=[address])
    assert int(found.value.args[2]) == 1


def test_page_marked_object_in_no_span():
    heap = Heap("go1.27")
    large = heap.malloc(100000)
    heap.collect(dead=[large])
    assert heap.sweepone() == large
    with pytest.raises(BadEvent, match="page_marked names an object in no span"):
        heap.collect(page_marked=[large])


# ----------------------------------------------------------------------------------------------------- phases


def test_what_a_collection_finds_unswept_is_swept_and_counted():
    heap = Heap()
    heap.mallocs(5, WHOLE)
    heap.flush()
    heap.collect()
    heap.sweepone()
    assert int(heap.h.unrecorded_sweeps) == 0
    heap.collect()
    assert int(heap.h.unrecorded_sweeps) == 4
    assert int(heap.h.sweepgen) == 4 and int(heap.h.pages_swept) == 0
    heap.check()


def test_start_of_sweeping():
    heap = Heap(arena_bytes=4 << 20)
    heap.mallocs(3, 3 << 20)
    heap.h.reclaim_credit = 7
    heap.collect(flush=())
    h = heap.h
    assert (int(h.sweepgen), int(h.sweep_drained), int(h.sweep_arenas)) == (2, 0, 3)
    assert (int(h.reclaim_index), int(h.reclaim_credit), int(h.central_index)) == (0, 0, 0)
