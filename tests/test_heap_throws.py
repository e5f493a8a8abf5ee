"""Heap: wrong use is refused in Go's words and changes nothing; after a throw from within, every call says so.

The texts are those of Go 1.19's runtime, in the file named.
"""

import numpy as np
import pytest
from heaps import BASE, KIB, MIB, PAGE, TOP, count_objects, row_of, throws

import mheaplab as mh

BAD_POINTER = "found bad pointer in Go heap"  # mbitmap.go
FREE_OBJECT = "found pointer to free object"  # mgcsweep.go
NOT_MANUAL_TYPE = "manual span allocation called with non-manually-managed type"  # mheap.go
BAD_STATE = "mheap.freeSpanLocked - invalid span state"  # mheap.go
BAD_FREE = "mheap.freeSpanLocked - invalid free"  # mheap.go
BAD_STACK_FREE = "mheap.freeSpanLocked - invalid stack free"  # mheap.go
NOT_POWER = "stack size not a power of 2"  # stack.go
NOT_A_STACK = "freeing stack not in a stack span"  # stack.go
ADD_INVALID = "addspecial on invalid pointer"  # mheap.go
REMOVE_INVALID = "removespecial on invalid pointer"  # mheap.go
PROFILE_SET = "setprofilebucket: profile already set"  # mheap.go
FINALIZER_SET = "runtime.SetFinalizer: finalizer already set"  # mfinal.go
NOT_ALLOCATED = "runtime.SetFinalizer: pointer not in allocated block"  # mfinal.go
NOT_AT_START = "runtime.SetFinalizer: pointer not at beginning of allocated block"  # mfinal.go
NIL_POINTER = "invalid memory address or nil pointer dereference"  # panic.go


# ---------------------------------------------------------------------------------------------------- wrong use


def test_wrong_manual_frees():
    heap = mh.Heap()
    a, span = heap.malloc(48), heap.alloc_manual(2)
    with throws(heap, NOT_MANUAL_TYPE):
        heap.alloc_manual(1, "heap")
    for wrong in (span + PAGE, span + 8, 0, -1, TOP, BASE + 60 * MIB):
        with throws(heap, BAD_STATE):
            heap.free_manual(wrong)
    with throws(heap, BAD_FREE):
        heap.free_manual(a)
    heap.free_manual(span)
    with throws(heap, BAD_STATE):
        heap.free_manual(span)
    assert heap.malloc(48) == a + 48


def test_wrong_stack_frees():
    heap = mh.Heap()
    with throws(heap, NOT_POWER):
        heap.stack_alloc(3000)
    small, large, manual = heap.stack_alloc(4 * KIB), heap.stack_alloc(64 * KIB), heap.alloc_manual(8)
    for stack in (small, large):
        with throws(heap, BAD_STACK_FREE):
            heap.free_manual(heap.span_of(stack).base)
    for wrong in (manual, small + 8, large + PAGE, heap.malloc(48), 0):
        with throws(heap, NOT_A_STACK):
            heap.stack_free(wrong)
    for stack in (small, large):
        heap.stack_free(stack)
        with throws(heap, NOT_A_STACK):
            heap.stack_free(stack)
    with throws(heap, BAD_STACK_FREE):
        heap.free_manual(heap.span_of(small).base)
    assert heap.stack_alloc(4 * KIB) == small
    heap.free_manual(manual)


def test_wrong_pointers_to_a_collection():
    heap = mh.Heap()
    a, b, gone = heap.malloc(48), heap.malloc(100, noscan=True), heap.malloc(40 * KIB)
    manual = heap.alloc_manual(1)
    for wrong in (manual, 0, -8, TOP, 1 << 63, gone + 40 * KIB, a + 8160, BASE + 50 * MIB):
        with throws(heap, BAD_POINTER):
            heap.collect([a, wrong], page_marked=[a])
        with throws(heap, BAD_POINTER):
            heap.collect([a], page_marked=[a, wrong])
    with throws(heap, f"{FREE_OBJECT} {a + 48:#x}"):
        heap.collect([a + 48])
    with throws(heap, f"{FREE_OBJECT} {b + 112:#x}"):
        heap.collect([a], page_marked=[b + 112])
    assert count_objects(heap)[0] == 3, "nothing was collected"
    heap.collect([a, b])
    with throws(heap, BAD_POINTER):
        heap.collect([gone])
    heap.gc_start()
    with throws(heap, "gcStart while a collection is running"):
        heap.gc_start()
    assert heap.collect([a]).objects_freed == 1


def test_wrong_specials():
    heap = mh.Heap()
    a, tiny, manual = heap.malloc(48), heap.malloc(4, noscan=True), heap.alloc_manual(1)
    for wrong in (manual, 0, TOP, -1):
        with throws(heap, ADD_INVALID):
            heap.add_special(wrong, "profile")
        with throws(heap, REMOVE_INVALID):
            heap.remove_special(wrong, "profile")
        with throws(heap, NOT_ALLOCATED):
            heap.add_finalizer(wrong)
    for change in (heap.add_special, heap.remove_special):
        with throws(heap, f"{FREE_OBJECT} {a + 48:#x}"):
            change(a + 48, "reachable")
    heap.set_profile_bucket(a)
    with throws(heap, PROFILE_SET):
        heap.set_profile_bucket(a)
    heap.add_finalizer(a)
    with throws(heap, FINALIZER_SET):
        heap.add_finalizer(a)
    for change in (heap.add_finalizer, heap.remove_finalizer):
        with throws(heap, NOT_AT_START):
            change(a + 8)
    heap.add_finalizer(tiny + 3)
    assert [s.kind for s in heap.specials(a)] == ["finalizer", "profile"]
    assert [s.addr for s in heap.specials(tiny)] == [tiny + 3], "a tiny object may begin anywhere in its block"


def test_a_finalizer_of_go_1_27_is_set_behind_the_header():
    heap = mh.Heap(mh.HeapParams.go127())
    small, with_header = heap.malloc(512), heap.malloc(600)
    large, noscan = heap.malloc(40 * KIB), heap.malloc(600, noscan=True)
    for addr in (small, with_header, large, noscan):
        heap.add_finalizer(addr, 7)
        assert heap.specials(addr) == (mh.spans.Special(addr, "finalizer", 7),)
        with throws(heap, NOT_AT_START):
            heap.add_finalizer(addr + 8)
    with throws(heap, NOT_AT_START):
        heap.remove_finalizer(with_header - 8)


def test_unknown_pages():
    heap = mh.Heap()
    for ask in (heap.span_of_unchecked, heap.page_index_of):
        for addr in (BASE, 0, -1, TOP, 1 << 64):
            with throws(heap, NIL_POINTER):
                ask(addr)


# ---------------------------------------------------------------------------------------------------- not usable


def broken_heap():
    """Return a heap with an object and a stack that a sweep has broken, and the two addresses."""
    heap = mh.Heap()
    a, stack = heap.malloc(48), heap.stack_alloc(2 * KIB)
    row_of(heap, a)["alloc_count"] = 0
    with throws(heap, "uncaching span but s.allocCount == 0", usable=False):  # mcentral.go
        heap.flush_mcache()
    return heap, a, stack


CALLS = {
    "add_finalizer": lambda h, a, stack: h.add_finalizer(a),
    "add_special": lambda h, a, stack: h.add_special(a, "profile"),
    "alloc_manual": lambda h, a, stack: h.alloc_manual(1),
    "arena_base": lambda h, a, stack: h.arena_base(1),
    "arena_hints": lambda h, a, stack: h.arena_hints(),
    "arena_index": lambda h, a, stack: h.arena_index(a),
    "arena_l1": lambda h, a, stack: h.arena_l1(1),
    "arena_l2": lambda h, a, stack: h.arena_l2(1),
    "collect": lambda h, a, stack: h.collect([]),
    "dump": lambda h, a, stack: h.dump(),
    "flush_mcache": lambda h, a, stack: h.flush_mcache(),
    "flush_page_cache": lambda h, a, stack: h.flush_page_cache(),
    "free_manual": lambda h, a, stack: h.free_manual(0),
    "free_os_memory": lambda h, a, stack: h.free_os_memory([]),
    "gc_percent_goal": lambda h, a, stack: h.gc_percent_goal,
    "gc_start": lambda h, a, stack: h.gc_start(),
    "in_heap": lambda h, a, stack: h.in_heap(a),
    "in_heap_or_stack": lambda h, a, stack: h.in_heap_or_stack(a),
    "malloc": lambda h, a, stack: h.malloc(8),
    "malloc_large": lambda h, a, stack: h.malloc_large(MIB),
    "memstats": lambda h, a, stack: h.memstats(),
    "page_index_of": lambda h, a, stack: h.page_index_of(a),
    "remove_finalizer": lambda h, a, stack: h.remove_finalizer(a),
    "remove_special": lambda h, a, stack: h.remove_special(a, "profile"),
    "scavenge": lambda h, a, stack: h.scavenge(1),
    "scavenge_all": lambda h, a, stack: h.scavenge_all(),
    "set_profile_bucket": lambda h, a, stack: h.set_profile_bucket(a),
    "snapshot": lambda h, a, stack: h.snapshot(),
    "span_of": lambda h, a, stack: h.span_of(a),
    "span_of_heap": lambda h, a, stack: h.span_of_heap(a),
    "span_of_unchecked": lambda h, a, stack: h.span_of_unchecked(a),
    "spans": lambda h, a, stack: h.spans(),
    "specials": lambda h, a, stack: h.specials(a),
    "stack_alloc": lambda h, a, stack: h.stack_alloc(3000),
    "stack_free": lambda h, a, stack: h.stack_free(a),
    "sweep_all": lambda h, a, stack: h.sweep_all(),
    "sweep_one": lambda h, a, stack: h.sweep_one(),
    "take_finalizers": lambda h, a, stack: h.take_finalizers(),
    "verify": lambda h, a, stack: h.verify(),
}


def test_every_call_on_a_broken_heap_says_so():
    public = {name for name in vars(mh.Heap) | vars(mh.Heap.__base__) if not name.startswith("_")}
    assert public == set(CALLS)
    heap, a, stack = broken_heap()
    text = "the heap is not usable any more since Go threw: uncaching span but s.allocCount == 0"
    more = [lambda h, *_: h.stack_free(stack), lambda h, *_: setattr(h, "gc_percent_goal", 0)]
    for call in (*CALLS.values(), *more):
        with throws(heap, text, usable=False):
            call(heap, a, stack)


def lower_the_count(heap, row):
    row["alloc_count"] = 0


def mark_a_free_slot(heap, row):
    heap.state.tables["gc_bits"][row["gcmark_bits"]] |= np.uint64(8)


@pytest.mark.parametrize(
    "damage, text",
    [
        (lower_the_count, "sweep increased allocation count"),  # mgcsweep.go
        (mark_a_free_slot, "found pointer to free object"),  # mgcsweep.go
    ],
)
def test_a_throw_of_the_sweep(damage, text):
    heap = mh.Heap()
    a = heap.malloc(1024)
    heap.flush_mcache()
    heap.collect([a], sweep=False)
    damage(heap, row_of(heap, a))
    with throws(heap, text, usable=False):
        heap.sweep_all()
    with throws(heap, "the heap is not usable any more since Go threw: " + text, usable=False):
        heap.malloc(8)


def test_a_throw_of_an_allocation():
    heap = mh.Heap()
    a = heap.malloc(32 * KIB)
    row_of(heap, a)["sweepgen"] += 2
    with throws(heap, "bad sweepgen in refill", usable=False):  # mcache.go
        heap.malloc(32 * KIB)
    with throws(heap, "the heap is not usable", usable=False):
        heap.malloc(32 * KIB)


def test_verify_names_the_invariant():
    heap = mh.Heap()
    heap.malloc(48)
    heap.state.h.pages_in_use += 1
    with pytest.raises(mh.InvariantError, match="H1: pages_in_use is the sum of npages over heap spans in use"):
        heap.verify()
    heap.state.h.pages_in_use -= 1
    heap.verify()
