"""Span: a copy of one span with Go's fields, its bitmaps against objects kept by hand, slots, layout and specials."""

import dataclasses

import numpy as np
import pytest
from heaps import BASE, KIB, PAGE

import mheaplab as mh
from mheaplab.spans import SPAN_TYPE_NAMES, Special, span_indexes, take_span


def test_fields_of_a_small_span():
    heap = mh.Heap()
    objects = [heap.malloc(100, noscan=True) for _ in range(70)]
    span = heap.span_of(objects[0])
    assert (span.base, span.npages, span.state, span.type) == (BASE, 1, "mSpanInUse", "heap")
    assert (span.elemsize, span.nelems, span.limit) == (112, 73, BASE + 73 * 112)
    assert (span.span_class, span.sizeclass, span.noscan) == (2 * 9 + 1, 9, True)
    assert (span.freeindex, span.alloc_count) == (70, 70)
    # Slots 64 to 72 remain in the cache when 64 were handed out, less the six taken since.
    assert span.alloc_cache == (1 << 64) - 1 >> 6
    assert (span.sweepgen, span.heap_sweepgen) == (3, 0), "in an mcache, and swept"
    assert (span.needzero, span.scav, span.in_list, span.specials) == (False, PAGE, False, ())
    assert span.layout() == (112, 73, PAGE)
    assert str(span) == (
        "span 0xc000000000 npages 1 mSpanInUse spanclass 19 elemsize 112 allocCount 70/73 freeindex 70 "
        "sweepgen 3/0 needzero 0"
    )


def test_fields_of_a_large_span():
    heap = mh.Heap()
    a = heap.malloc(5 * PAGE - 7)
    span = heap.span_of(a)
    assert (span.npages, span.elemsize, span.nelems, span.limit) == (5, 5 * PAGE, 1, a + 5 * PAGE - 7)
    assert (span.span_class, span.sizeclass, span.noscan) == (0, 0, False)
    assert span.allocated.tolist() == [True] and span.sweepgen == span.heap_sweepgen
    assert span.layout() == (5 * PAGE, 1, 5 * PAGE) and span.scav == 5 * PAGE
    heap.collect([])
    again = heap.span_of(heap.malloc(5 * PAGE, noscan=True))
    assert (again.base, again.needzero, again.scav, again.noscan) == (a, True, 0, True)
    assert str(again).endswith("sweepgen 2/2 needzero 1")


@pytest.mark.parametrize("kind", SPAN_TYPE_NAMES[1:])
def test_fields_of_a_manual_span(kind):
    heap = mh.Heap()
    span = heap.span_of(heap.alloc_manual(3, kind))
    assert (span.state, span.type, span.npages, span.nelems, span.alloc_count) == ("mSpanManual", kind, 3, 0, 0)
    assert span.limit == span.base + 3 * PAGE and span.layout() == (0, 0, 3 * PAGE)
    assert len(span.allocated) == len(span.gcmark_bits) == 0
    assert str(span).startswith(f"span 0xc000000000 npages 3 mSpanManual {kind} allocCount 0/0 freeindex 0")
    with pytest.raises(ValueError, match="addr = 0xc000000000 is outside"):
        span.slot(span.base)


def test_a_span_of_stacks():
    heap = mh.Heap()
    a = heap.stack_alloc(4 * KIB)
    span = heap.span_of(a)
    assert (span.type, span.npages, span.elemsize, span.in_list) == ("stack", 4, 4 * KIB, True)
    assert span.alloc_count == 4, "half a span's bytes went to the P's cache"
    assert span.slot(a) == (a - span.base) // (4 * KIB) and span.layout() == (4 * KIB, 8, 4 * PAGE)


def test_bitmaps_through_a_collection(rng):
    """Allocated slots, alloc bits and mark bits, before the mark, unswept, and swept."""
    heap = mh.Heap()
    objects = [heap.malloc(16, noscan=True) for _ in range(300)]
    heap.flush_mcache()
    live = np.sort(rng.choice(300, 100, replace=False))
    before = heap.span_of(BASE)
    assert before.nelems == 512 and before.allocated.tolist() == [True] * 300 + [False] * 212
    assert not before.alloc_bits.any() and not before.gcmark_bits.any()
    heap.collect([objects[i] for i in live], sweep=False)
    unswept = heap.span_of(BASE)
    assert np.flatnonzero(unswept.gcmark_bits).tolist() == live.tolist()
    assert unswept.alloc_count == unswept.allocated.sum() == 300
    assert unswept.sweepgen == unswept.heap_sweepgen - 2
    assert heap.sweep_all() == 1
    swept = heap.span_of(BASE)
    assert np.flatnonzero(swept.alloc_bits).tolist() == np.flatnonzero(swept.allocated).tolist() == live.tolist()
    assert (swept.freeindex, swept.alloc_count, swept.gcmark_bits.any()) == (0, 100, False)
    word = sum(1 << int(i) for i in live if i < 64)
    assert swept.alloc_cache == word ^ (1 << 64) - 1
    for _ in range(50):
        heap.malloc(16)
        heap.malloc(16, noscan=True)
    later = heap.span_of(BASE)
    free = sorted(set(range(512)) - set(live.tolist()))
    assert later.freeindex == free[49] + 1 and later.allocated.sum() == 150
    assert np.array_equal(before.allocated, np.arange(512) < 300), "a span is a copy"


def test_slots():
    span = take(mh.Heap(), 48)
    assert [span.slot(BASE + n) for n in (0, 47, 48, 170 * 48 - 1)] == [0, 0, 1, 169]
    for outside in (BASE - 1, BASE + 170 * 48, BASE + PAGE):
        with pytest.raises(ValueError, match=f"addr = {outside:#x} .*: 0xc000000000 to 0xc000001fdf"):
            span.slot(outside)
    large = take(mh.Heap(), 5 * PAGE - 7)
    assert large.slot(large.base) == large.slot(large.limit - 1) == 0
    with pytest.raises(ValueError, match="outside its legal range"):
        large.slot(large.limit)


def take(heap, size):
    """Return the span of a fresh object of ``size`` bytes."""
    return heap.span_of(heap.malloc(size))


def test_specials_by_offset_and_kind():
    heap = mh.Heap()
    a, b = heap.malloc(48), heap.malloc(48)
    heap.set_profile_bucket(b, 5)
    heap.add_finalizer(b, 6)
    heap.add_special(a, "reachable", 7)
    want = (Special(a, "reachable", 7), Special(b, "finalizer", 6), Special(b, "profile", 5))
    assert heap.span_of(a).specials == want
    assert heap.specials(b) == want[1:]
    heap.remove_finalizer(b)
    assert heap.span_of(a).specials == (want[0], want[2])


def test_a_span_cannot_be_changed():
    span = take(mh.Heap(), 48)
    with pytest.raises(dataclasses.FrozenInstanceError):
        span.npages = 7


def test_indexes_are_those_of_spans_in_use_by_address():
    """Records that a P keeps, free records and dead spans are left out; order is by address, not by record."""
    heap = mh.Heap()
    first, second, third = heap.alloc_manual(100), heap.malloc(48), heap.alloc_manual(200)
    heap.free_manual(first)
    heap.free_manual(third)
    low = heap.alloc_manual(20)
    assert int(heap.state.h.allspans) == 66 and low == first
    indexes = span_indexes(heap.state)
    assert [take_span(heap.state, i).base for i in indexes] == [s.base for s in heap.spans()] == [low, second]
    assert indexes != sorted(indexes), "the record of the third, freed last, is used first"
    assert span_indexes(mh.Heap().state) == []
