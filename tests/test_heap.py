"""Heap: what allocation gives, on one P and on several, which values are refused, and what is left without memory.

The addresses are those that Go programs see.
"""

import pytest
from heaps import ARENA_4, BASE, KIB, MIB, NO_SPACE, PAGE, TOP, one_arena, throws

import mheaplab as mh
from mheaplab.runtime.state import HeapState

OUT_OF_MEMORY = "out of memory"  # mcache.go, stack.go


# ---------------------------------------------------------------------------------------------------- allocation


def test_first_object_is_where_go_has_it():
    for go in ("go1.19", "go1.27"):
        assert mh.Heap(mh.HeapParams.of_version(go)).malloc(48) == BASE
    assert mh.Heap().params == mh.HeapParams.go119()


def test_small_objects_fill_their_span_and_then_another():
    heap = mh.Heap()
    n = PAGE // 48
    assert [heap.malloc(48) for _ in range(n)] == [BASE + 48 * i for i in range(n)]
    assert heap.malloc(33) == BASE + PAGE, "33 bytes are of the class of 48, whose first span is full"
    assert heap.malloc(48, noscan=True) == BASE + 2 * PAGE, "objects without pointers are kept apart"
    assert [s.alloc_count for s in heap.spans()] == [n, 1, 1]
    heap.verify()


def test_tiny_objects_are_packed():
    heap = mh.Heap()
    got = [heap.malloc(n, noscan=True) - BASE for n in (1, 2, 4, 8)]
    assert got == [0, 2, 4, 8], "each at its alignment, all in one block of 16 bytes"
    assert [heap.malloc(n, noscan=True) - BASE for n in (9, 8, 15)] == [16, 32, 48], "none fits behind another"
    assert heap.malloc(3, noscan=True) == BASE + 40, "of two blocks the one with more room left stays the current one"
    assert heap.malloc(1) == BASE + PAGE, "with pointers nothing is tiny"
    assert heap.span_of(BASE).alloc_count == 4 and heap.span_of(BASE).elemsize == 16


def test_malloc_header_of_go_1_27():
    heap = mh.Heap(mh.HeapParams.go127())
    assert heap.malloc(600) == BASE + 8 and heap.malloc(600) == BASE + 640 + 8
    assert heap.span_of(BASE).elemsize == 640
    assert heap.malloc(512) % 512 == 0, "up to 512 bytes the bitmap is in the span"
    assert heap.malloc(600, noscan=True) % PAGE == 0
    largest = 32 * KIB - 8
    assert heap.span_of(heap.malloc(largest)).sizeclass == 67
    assert heap.span_of(heap.malloc_large(largest + 1)).sizeclass == 0


@pytest.mark.parametrize("profile", [mh.HeapParams.go119, mh.HeapParams.go127])
def test_large_objects_have_spans_of_their_own(profile):
    heap = mh.Heap(profile())
    a = heap.malloc_large(33 * KIB)
    b = heap.malloc(5 * MIB, noscan=True)
    assert (a, b) == (BASE, BASE + 5 * PAGE)
    spans = heap.spans()
    assert [(s.npages, s.sizeclass, s.noscan, s.nelems) for s in spans] == [(5, 0, False, 1), (640, 0, True, 1)]
    assert spans[0].limit == a + 33 * KIB, "the limit is that of the object, not of its pages"
    heap.verify()


def test_ps_have_pages_and_spans_of_their_own():
    heap = mh.Heap()
    assert heap.malloc(48, p=0) == BASE
    # The very first page comes past the page cache, since there was no heap to fill it from.
    assert heap.malloc(48, p=1) == BASE + PAGE, "P 1 takes the rest of the first 64 pages into its page cache"
    assert heap.malloc(48, p=254) == BASE + 64 * PAGE
    assert heap.malloc(80, p=1) == BASE + 2 * PAGE
    assert heap.malloc(48, p=0) == BASE + 48
    assert heap.malloc(48, p=None) == BASE + 96, "without a P the mcache of P 0 is used"
    assert heap.malloc(80, p=None) == BASE + 128 * PAGE, "but no page cache"
    assert heap.malloc(96, p=0) == BASE + 129 * PAGE
    heap.verify()


def test_manual_spans_and_stacks():
    heap = mh.Heap()
    a = heap.alloc_manual(3)
    b = heap.alloc_manual(2, "work buffer", p=0)
    c = heap.alloc_manual(1, "pointer and scalar bits")
    assert (a, b, c) == (BASE, BASE + 3 * PAGE, BASE + 64 * PAGE), "P 0 took what was left of the first 64 pages"
    assert [(s.npages, s.type) for s in heap.spans()] == [
        (3, "stack"),
        (2, "work buffer"),
        (1, "pointer and scalar bits"),
    ]
    stacks = [heap.stack_alloc(2 * KIB) for _ in range(8)]
    assert {s - heap.span_of(s).base for s in stacks} == set(range(16 * KIB, 32 * KIB, 2 * KIB)), "cut from the end"
    assert {(heap.span_of(s).base, heap.span_of(s).npages) for s in stacks} == {(min(stacks) - 16 * KIB, 4)}
    large = heap.stack_alloc(64 * KIB)
    assert heap.span_of(large).npages == 8
    assert heap.memstats()["StackInuse"] == (3 + 4 + 8) * PAGE
    for addr in (*stacks, large):
        heap.stack_free(addr)
    heap.flush_mcache()
    for addr in (a, b, c):
        heap.free_manual(addr)
    assert heap.spans() == [] and heap.memstats()["StackInuse"] == 0
    heap.verify()


# ---------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "call, legal",
    [
        (lambda h: h.malloc(0), "size = 0 .*: 1 to 140,737,488,355,328 bytes"),
        (lambda h: h.malloc(TOP + 1), "size = 140737488355329 .*: 1 to 140,737,488,355,328 bytes"),
        (lambda h: h.malloc(8, p=255), "p = 255 .*: 0 to 254, or None"),
        (lambda h: h.malloc(8, p=-1), "p = -1 .*: 0 to 254, or None"),
        (lambda h: h.malloc_large(32768), "size = 32768 .*: 32,769 to 140,737,488,355,328 bytes"),
        (lambda h: h.malloc_large(TOP + 1), "size = 140737488355329 .*: 32,769 to"),
        (lambda h: h.alloc_manual(0), "npages = 0 .*: 1 to 17,179,869,184 pages"),
        (lambda h: h.alloc_manual((TOP >> 13) + 1), "npages = 17179869185 .*: 1 to 17,179,869,184 pages"),
        (lambda h: h.alloc_manual(1, "mcache"), "type = 'mcache' .*: one of stack, pointer and scalar bits, work bu"),
        (lambda h: h.alloc_manual(1, p=300), "p = 300 .*: 0 to 254"),
        (lambda h: h.stack_alloc(1024), "size = 1024 .*: a power of two, 2,048 to 140,737,488,355,328 bytes"),
        (lambda h: h.stack_alloc(TOP * 2), "size = 281474976710656 .*: a power of two"),
        (lambda h: h.stack_alloc(2048, p=255), "p = 255 .*: 0 to 254"),
        (lambda h: h.stack_free(h.stack_alloc(2048), p=255), "p = 255 .*: 0 to 254"),
        (lambda h: h.sweep_one(p=255), "p = 255 .*: 0 to 254"),
        (lambda h: h.sweep_all(p=-2), "p = -2 .*: 0 to 254"),
        (lambda h: h.flush_mcache(p=256), "p = 256 .*: 0 to 254"),
        (lambda h: h.flush_page_cache(p=1000), "p = 1000 .*: 0 to 254"),
        (lambda h: h.scavenge(0), "nbytes = 0 .*: 1 or more"),
        (lambda h: setattr(h, "gc_percent_goal", -1), "gc_percent_goal = -1 .*: 0 to 140,737,488,355,328 bytes, or No"),
        (lambda h: setattr(h, "gc_percent_goal", TOP + 1), "gc_percent_goal = 140737488355329 .*: 0 to 140,"),
        (lambda h: h.add_special(h.malloc(8), "cleanup"), "kind = 'cleanup' .* go1.19: one of finalizer, profi"),
        (lambda h: h.remove_special(h.malloc(8), ""), "kind = '' .* go1.19: one of finalizer"),
    ],
)
def test_values_outside_their_range_are_named(call, legal):
    heap = mh.Heap()
    with pytest.raises(ValueError, match=legal):
        call(heap)
    heap.verify()


def test_least_large_object_depends_on_the_header():
    heap = mh.Heap(mh.HeapParams.go127())
    with pytest.raises(ValueError, match="size = 32760 .*: 32,761 to"):
        heap.malloc_large(32760)
    assert heap.malloc_large(32761) == BASE


# ---------------------------------------------------------------------------------------------------- out of memory


@pytest.mark.parametrize(
    "call",
    [
        lambda h: h.malloc(1),
        lambda h: h.malloc(15, noscan=True),
        lambda h: h.malloc(40 * KIB),
        lambda h: h.malloc(TOP),
        lambda h: h.malloc_large(TOP),
        lambda h: h.alloc_manual(1),
        lambda h: h.alloc_manual(TOP >> 13),
        lambda h: h.stack_alloc(2 * KIB),
        lambda h: h.stack_alloc(2 * KIB, p=None),
        lambda h: h.stack_alloc(TOP),
    ],
)
def test_no_address_space_at_all(call):
    heap = mh.Heap(mh.HeapParams.go119(occupied=NO_SPACE))
    for _ in range(2):
        with throws(heap, OUT_OF_MEMORY):
            call(heap)
    assert heap.spans() == [] and heap.memstats()["HeapSys"] == 0


def test_out_of_memory_leaves_what_is_there():
    """Of 64 MiB all but one is taken; then every page of the last is used for small objects, and no object is lost."""
    heap = one_arena()
    large = [heap.malloc(MIB, noscan=True) for _ in range(63)]
    for refused in (lambda: heap.malloc(2 * MIB), lambda: heap.alloc_manual(129), lambda: heap.stack_alloc(2 * MIB)):
        with throws(heap, OUT_OF_MEMORY):
            refused()
    small = []
    with throws(heap, OUT_OF_MEMORY):
        while True:
            small.append(heap.malloc(48))
    assert len(small) == len(set(small)) == 128 * (PAGE // 48)
    assert min(small) == BASE + 63 * MIB and max(small) < BASE + 64 * MIB
    assert heap.memstats()["HeapInuse"] == 64 * MIB
    with throws(heap, OUT_OF_MEMORY):
        heap.stack_alloc(2 * KIB)
    assert heap.collect(large[1:]).spans_freed == 1 + 128
    assert heap.malloc(MIB) == BASE, "of the free MiBs the first"
    assert heap.malloc(MIB) == BASE + 63 * MIB
    with throws(heap, OUT_OF_MEMORY):
        heap.malloc(48)


def test_out_of_memory_with_several_ps_and_unswept_spans():
    """What a collection left unswept is swept before memory is said to be out."""
    heap = one_arena(ARENA_4)
    objects = [heap.malloc(256 * KIB) for _ in range(16)]
    with throws(heap, OUT_OF_MEMORY):
        heap.malloc(48, p=1)
    heap.collect(objects[:8], sweep=False)
    assert heap.malloc(2 * MIB, p=1) == BASE + 2 * MIB, "the lower half lives"
    with throws(heap, OUT_OF_MEMORY):
        heap.malloc(48, p=1)


def test_a_machine_too_small_for_the_tables_is_not_out_of_memory(monkeypatch):
    """Where address space is left, what this machine cannot hold is a MemoryError, after which the heap goes on."""
    heap = mh.Heap()
    heap.malloc(48)

    def no_room(self, more_arenas=0):
        raise MemoryError("tables")

    monkeypatch.setattr(HeapState, "grow", no_room)
    with pytest.raises(MemoryError, match="tables"):
        heap.malloc(TOP // 2)
    heap.verify()
    assert heap.malloc(48) == BASE + 48
