"""Heap: what a collection frees and who sweeps, finalizers and other specials, and stacks while marking."""

import numpy as np
import pytest
from heaps import (
    BASE,
    KIB,
    MIB,
    PAGE,
    count_objects,
    heap_spans,
    is_swept,
    one_arena,
    throws,
    unswept,
)

import mheaplab as mh

PROFILES = [mh.HeapParams.go119, mh.HeapParams.go127]


def allocated(heap, addr):
    """Return whether the slot that holds ``addr`` is allocated; False outside the heap."""
    span = heap.span_of_heap(addr)
    return span is not None and bool(span.allocated[span.slot(addr)])


# ---------------------------------------------------------------------------------------------------- what lives


@pytest.mark.parametrize("profile", PROFILES)
def test_live_objects_live_and_others_die(profile, rng):
    heap = mh.Heap(profile())
    sizes = rng.integers(16, 60_000, 300).tolist()
    objects = [heap.malloc(n, noscan=n % 3 == 0, p=n % 2) for n in sizes]
    for _ in range(3):
        kept = [a for a in objects if rng.random() < 0.6]
        # Any address within an object keeps it, and naming it twice makes no difference.
        heap.collect([a + int(rng.integers(16)) for a in kept] + kept)
        assert count_objects(heap)[0] == len(kept)
        assert all(allocated(heap, a) for a in kept)
        assert not any(allocated(heap, a) for a in set(objects) - set(kept))
        heap.verify()
        objects = kept
    assert heap.collect([]).objects_freed == len(objects)
    assert heap.spans() == [] and heap.memstats()["HeapInuse"] == heap.memstats()["HeapAlloc"] == 0


def test_a_tiny_block_lives_as_a_whole():
    heap = mh.Heap()
    first = [heap.malloc(4, noscan=True) for _ in range(4)]
    second = heap.malloc(4, noscan=True)
    assert second == first[0] + 16
    assert heap.collect([first[2]])[:2] == (1, 16)
    assert [allocated(heap, a) for a in (*first, second)] == [True] * 4 + [False]
    assert heap.malloc(4, noscan=True) == second, "a collection ends the current block; the next slot is this one"


def test_the_freed_slots_are_used_again_in_address_order():
    heap = mh.Heap()
    objects = [heap.malloc(1024) for _ in range(8)]
    heap.collect([objects[i] for i in (0, 3, 4)])
    assert [heap.malloc(1024) for _ in range(5)] == [objects[i] for i in (1, 2, 5, 6, 7)]
    assert heap.malloc(1024) == BASE + PAGE


def test_what_is_allocated_while_marking_lives():
    """Black are objects from gc_start on: small ones beside white ones, tiny ones, large ones; once."""
    heap = mh.Heap()
    white = [heap.malloc(48), heap.malloc(3, noscan=True), heap.malloc(40 * KIB)]
    heap.gc_start()
    black = [heap.malloc(48), heap.malloc(15, noscan=True), heap.malloc(40 * KIB), heap.malloc(500, p=3)]
    packed = heap.malloc(2, noscan=True)
    assert packed == white[1] + 4, "in the block of a white object"
    done = heap.collect([])
    assert done.objects_freed == 2, "the tiny block lives through the black object in it"
    assert all(allocated(heap, a) for a in (*black, packed, white[1]))
    assert heap.collect([]).objects_freed == 5, "black is what was allocated in that collection only"
    assert heap.spans() == []


def test_gc_start_finishes_the_last_sweep():
    heap = mh.Heap()
    objects = [heap.malloc(40 * KIB) for _ in range(4)]
    heap.collect(objects[:1], sweep=False)
    assert unswept(heap) == objects
    heap.gc_start()
    assert unswept(heap) == [] and list(heap_spans(heap)) == objects[:1]
    with throws(heap, "gcStart while a collection is running"):  # not Go's words: Go would start none, and return
        heap.gc_start()
    assert heap.sweep_one() is None
    assert heap.collect([]).objects_freed == 1


def test_what_waits_to_be_swept_away_is_dead():
    """An object that the last collection found dead cannot be alive again, swept or not; then nothing has changed."""
    heap = mh.Heap()
    a, b, large = heap.malloc(1024), heap.malloc(1024), heap.malloc(40 * KIB)
    heap.flush_mcache()
    heap.collect([a], sweep=False)
    before = heap.dump()
    for gone in (b, large):
        with throws(heap, f"found pointer to free object {gone:#x}"):
            heap.collect([a, gone])
        with throws(heap, f"found pointer to free object {gone:#x}"):
            heap.collect([a], page_marked=[gone])
        with throws(heap, f"found pointer to free object {gone:#x}"):
            heap.add_finalizer(gone)
    assert heap.dump() == before and unswept(heap) == [a, large]
    assert heap.collect([a]) == (0, 0, 1, 0), "what the last collection left is not counted to this one"
    assert [allocated(heap, x) for x in (a, b, large)] == [True, False, False]


# ---------------------------------------------------------------------------------------------------- who sweeps


def test_a_collections_numbers(rng):
    """Against a recount of the spans before and after, with other threads' spans and stacks beside them."""
    heap = mh.Heap(mh.HeapParams.go127())
    objects = [heap.malloc(int(n), p=int(n) % 3) for n in rng.integers(16, 40_000, 400)]
    heap.stack_free(heap.stack_alloc(2 * KIB))
    for sweep in (True, False):
        objects = [a for a in objects if rng.random() < 0.5]
        before, spans = count_objects(heap), heap_spans(heap)
        done = heap.collect(objects, sweep=sweep)
        if not sweep:
            assert {b for b, s in heap_spans(heap).items() if is_swept(s)} != set(heap_spans(heap))
        after = heap_spans(heap)
        count = count_objects(heap)
        assert done.objects_freed == before[0] - count[0] and done.bytes_freed == before[1] - count[1]
        assert done.spans_freed == len(spans) - len(after) == len(set(spans) - set(after))
        assert done.spans_swept == done.spans_freed + sum(map(is_swept, after.values()))
        heap.malloc(48)
        heap.verify()
    assert done.spans_freed < 3, "of a collection that leaves the sweep to others only the mcaches' spans are swept"


def test_sweep_one_goes_class_by_class_full_before_partial():
    heap = mh.Heap()
    page, other_page = heap.malloc(8192), heap.malloc(8192)
    small = [heap.malloc(1024) for _ in range(12)]
    noscan, large = heap.malloc(40 * KIB, noscan=True), heap.malloc(40 * KIB)
    heap.flush_mcache()
    heap.collect([*small[:9], page], sweep=False)
    assert len(unswept(heap)) == 6
    # Span classes: large 0 and 1, then those of 1,024 bytes: the full span, the partial one; then those of 8,192.
    order = [large, noscan, small[0], small[8], page, other_page]
    assert [heap.sweep_one() for _ in range(6)] == order
    assert heap.sweep_one() is None and heap.sweep_all() == 0
    assert list(heap_spans(heap)) == sorted([page, small[0], small[8]])


def test_an_allocation_sweeps_its_class():
    """mcentral.cacheSpan: an unswept partial span before a full one; a full one without a dead object is passed by."""
    heap = mh.Heap()
    spans = [[heap.malloc(1024) for _ in range(8)] for _ in range(3)]
    other = heap.malloc(2048)
    heap.flush_mcache()
    live = [*spans[0], *spans[1][1:], *spans[2], other]
    heap.collect(live, sweep=False)
    bases = [s[0] for s in spans]
    assert unswept(heap) == [*bases, other]
    assert heap.malloc(1024) == bases[1], "the first span was swept too, but it is full"
    assert unswept(heap) == [bases[2], other]
    assert heap.sweep_all() == 2
    heap.collect([], sweep=False)
    assert heap.malloc(2048) == other, "an empty span that is swept for an allocation stays where it is"
    heap.verify()


def test_sweeping_spans_that_ps_hold():
    """The flush at the end of a collection sweeps what the mcaches of all Ps hold, and they start empty."""
    heap = mh.Heap()
    objects = [heap.malloc(1024, p=p) for p in (0, 1, 100, 254)]
    done = heap.collect(objects[:2], sweep=False)
    assert done == (2, 2048, 4, 2)
    assert unswept(heap) == [] and heap.sweep_one() is None
    assert heap.malloc(1024, p=7) == objects[0] + 1024, "a span that P 0 had"


@pytest.mark.parametrize("profile", PROFILES)
def test_collections_without_allocations_between(profile):
    """Every sweep takes new mark bits; their table, here with room for one sweep of all, grows for the next."""
    heap = mh.Heap(profile())
    n = 25_000
    objects = [heap.malloc(PAGE) for _ in range(n)]
    heap.state._place("gc_bits", int(heap.state.h.gc_bits_len) + (n // 8160 + 3) * 8192)
    for _ in range(6):
        assert heap.collect(objects, sweep=False).objects_freed == 0
    heap.verify()
    assert heap.collect([]).objects_freed == n


# ---------------------------------------------------------------------------------------------------- specials


def test_a_finalizer_brings_its_object_back_once():
    heap = mh.Heap()
    a, b = heap.malloc(48), heap.malloc(48)
    heap.add_finalizer(a, 7)
    assert heap.specials(a + 40) == (mh.spans.Special(a, "finalizer", 7),) and heap.specials(b) == ()
    assert heap.collect([a, b]).objects_freed == 0 and heap.take_finalizers() == []
    assert heap.collect([]).objects_freed == 1
    assert allocated(heap, a) and not allocated(heap, b) and heap.specials(a) == ()
    assert heap.collect([]).objects_freed == 0, "the queue holds it until somebody runs the finalizer"
    assert heap.take_finalizers() == [(a, 7)] and heap.take_finalizers() == []
    assert heap.collect([]).objects_freed == 1 and heap.spans() == []


def test_a_finalizer_may_be_set_again_or_removed():
    heap = mh.Heap()
    a, b = heap.malloc(40 * KIB), heap.malloc(48)
    heap.add_finalizer(a)
    heap.add_finalizer(b)
    heap.collect([])
    assert sorted(heap.take_finalizers()) == sorted([(a, 0), (b, 0)])
    heap.add_finalizer(a, 2)
    assert heap.remove_finalizer(b) is False
    heap.add_finalizer(b, 3)
    assert heap.remove_finalizer(b) is True and heap.specials(b) == ()
    assert heap.collect([]).objects_freed == 1
    assert heap.take_finalizers() == [(a, 2)]


def test_finalizers_queued_while_a_collection_begins():
    """An object whose finalizer is queued by the sweep that gcStart finishes is in the queue, hence alive."""
    heap = mh.Heap()
    a = heap.malloc(40 * KIB)
    heap.add_finalizer(a, 1)
    heap.collect([], sweep=False)
    assert heap.take_finalizers() == [] and unswept(heap) == [a]
    assert heap.collect([]).objects_freed == 0
    assert heap.take_finalizers() == [(a, 1)]
    assert heap.collect([]).objects_freed == 1


def test_an_object_to_be_finalized_may_be_named_alive():
    """It was found dead, but the sweep that is still to come keeps it."""
    heap = mh.Heap()
    a, b = heap.malloc(1024), heap.malloc(1024)
    heap.flush_mcache()
    heap.add_finalizer(b, 5)
    heap.collect([], sweep=False)
    with throws(heap, f"found pointer to free object {a:#x}"):
        heap.collect([a])
    heap.collect([b])
    assert heap.take_finalizers() == [(b, 5)] and allocated(heap, b)


def test_tiny_objects_have_finalizers_of_their_own():
    heap = mh.Heap()
    a, b = heap.malloc(4, noscan=True), heap.malloc(4, noscan=True)
    heap.add_finalizer(b, 2)
    heap.add_finalizer(a, 1)
    assert heap.collect([]).objects_freed == 0
    assert heap.take_finalizers() == [(a, 1), (b, 2)]
    assert heap.collect([]).objects_freed == 1


def test_profile_records_die_with_their_object():
    heap = mh.Heap()
    a = heap.malloc(100)
    heap.set_profile_bucket(a, 3)
    assert heap.add_special(a, "reachable", 1) is True and heap.add_special(a, "reachable", 1) is False
    assert [(s.kind, s.value) for s in heap.specials(a)] == [("profile", 3), ("reachable", 1)]
    assert heap.remove_special(a, "reachable") is True and heap.remove_special(a, "reachable") is False
    assert heap.collect([]).objects_freed == 1
    assert int(heap.state.h.stats.prof_frees) == 1 and int(heap.state.h.stats.prof_free_bytes) == 112
    heap.verify()


def test_specials_of_go_1_27():
    heap = mh.Heap(mh.HeapParams.go127())
    a = heap.malloc(600)
    assert heap.add_special(a, "cleanup", 1) and heap.add_special(a, "cleanup", 2)
    assert heap.add_special(a, "weak handle") and not heap.add_special(a, "weak handle")
    assert heap.add_special(a, "pin counter") and heap.add_special(a, "pin counter")
    assert [(s.kind, s.value) for s in heap.specials(a)] == [
        ("pin counter", 2),
        ("weak handle", 0),
        ("cleanup", 2),
        ("cleanup", 1),
    ]
    assert heap.specials(a)[0].addr == a - 8, "a pin is one of the slot"
    assert heap.remove_special(a, "pin counter") and heap.remove_special(a, "pin counter")
    assert not heap.remove_special(a, "pin counter")
    assert heap.collect([]).objects_freed == 1, "a cleanup does not bring the object back"
    assert heap.take_finalizers() == [(0, 2), (0, 1)]
    assert heap.collect([]).objects_freed == 0


def test_many_finalizers():
    """More than the queue has room for at first."""
    heap = mh.Heap()
    objects = [heap.malloc(16) for _ in range(3000)]
    limit_growth(heap)
    for fn, addr in enumerate(objects):
        heap.add_finalizer(addr, fn)
    assert heap.collect([]).objects_freed == 0
    assert sorted(heap.take_finalizers()) == list(zip(objects, range(3000), strict=True))
    assert heap.collect([]).objects_freed == 3000
    heap.verify()


def limit_growth(heap):
    """Make growing the tables of ``heap`` without end an error instead of a hang."""
    grow, calls = heap.state.grow, []

    def counted(more_arenas=0):
        calls.append(more_arenas)
        assert len(calls) < 20, "the tables grow, but the event still has no room"
        grow(more_arenas)

    heap.state.grow = counted


@pytest.mark.parametrize(("go", "noscan", "counts"), [("go1.19", True, 1), ("go1.27", True, 0), ("go1.27", False, 1)])
def test_marking_counts_what_it_scans_for_finalizers(go, noscan, counts):
    """work.bytesMarked: an object with a finalizer is counted as a root besides, if its kind is scanned at all."""
    heap = mh.Heap(mh.HeapParams.of_version(go))
    a, b, c, _ = (heap.malloc(48, noscan) for _ in range(4))
    heap.add_finalizer(a, 1)
    heap.add_finalizer(b, 2)
    heap.collect([a, c], sweep=False)
    assert int(heap.state.h.heap_marked) == 48 * (2 + 2 * counts), "a and c are marked, a and b scanned"
    assert int(heap.state.h.stats.heap_live) == int(heap.state.h.heap_marked)
    heap.sweep_all()
    heap.gc_start()
    heap.add_finalizer(c, 3)
    heap.collect([a, b, c])
    assert int(heap.state.h.heap_marked) == 48 * (3 + 2 * counts), "a was a root, c got its finalizer while marking"
    heap.collect([a])
    assert int(heap.state.h.heap_marked) == 48 * (2 + 2 * counts), "b is queued; a and c are roots, a and b marked"


# ---------------------------------------------------------------------------------------------------- stacks


def test_stacks_freed_while_marking_wait_for_its_end():
    heap = mh.Heap()
    large, small = [heap.stack_alloc(64 * KIB) for _ in range(3)], [heap.stack_alloc(2 * KIB) for _ in range(3)]
    in_use = heap.memstats()["StackInuse"]
    assert in_use == 3 * 64 * KIB + 32 * KIB
    heap.stack_free(large[0])
    assert heap.memstats()["StackInuse"] == in_use - 64 * KIB, "at any other time a large stack goes at once"
    heap.gc_start()
    heap.stack_free(large[1])
    heap.stack_free(large[2])
    for addr in small:
        heap.stack_free(addr)
    heap.flush_mcache()
    assert heap.memstats()["StackInuse"] == in_use - 64 * KIB
    assert [s.in_list for s in heap.spans()] == [True] * 3
    for addr in large[1:]:
        with throws(heap, "freeing stack not in a stack span"):  # stack.go
            heap.stack_free(addr)
        with throws(heap, "mheap.freeSpanLocked - invalid stack free"):  # mheap.go
            heap.free_manual(addr)
    assert heap.stack_alloc(64 * KIB) == large[2], "from the list, the last freed first"
    done = heap.collect([])
    assert done == (0, 0, 0, 0), "stacks are not the collection's"
    assert heap.memstats()["StackInuse"] == 64 * KIB
    assert [s.base for s in heap.spans()] == [large[2]]
    heap.stack_free(large[2])
    assert heap.spans() == []


def test_stack_caches_are_emptied_by_a_collection():
    heap = mh.Heap()
    a, b = heap.stack_alloc(8 * KIB, p=2), heap.stack_alloc(8 * KIB, p=None)
    heap.stack_free(a, p=2)
    assert heap.memstats()["StackInuse"] == 32 * KIB
    heap.collect([])
    assert heap.span_of(b).alloc_count == 1 and heap.memstats()["StackInuse"] == 32 * KIB
    heap.stack_free(b, p=None)
    assert heap.memstats()["StackInuse"] == 0
    heap.verify()


def test_out_of_memory_while_marking_is_survived():
    heap = one_arena()
    big = heap.malloc(60 * MIB)
    heap.gc_start()
    black = heap.malloc(MIB)
    with throws(heap, "out of memory"):
        heap.malloc(4 * MIB)
    with throws(heap, "found bad pointer in Go heap"):  # mbitmap.go
        heap.collect([0])
    assert heap.collect([]).bytes_freed == 60 * MIB
    assert list(heap_spans(heap)) == [black] and heap.malloc(4 * MIB) == big
    assert np.diff([s.base for s in heap.spans()]).min() > 0
