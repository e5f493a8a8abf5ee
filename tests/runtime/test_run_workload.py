"""run: the events of specials and stacks, the start of a collection, scavenging all.

The functions behind them have tests of their own; here it is what happens when they come as events: order, accounts,
tables that must grow first, events that contradict the heap.  ``check`` recounts everything.
"""

import numpy as np
import pytest
from naive_specials import CLEANUP, FINALIZER, PIN_COUNTER, PROFILE, REACHABLE, TINY_BLOCK, WEAK_HANDLE
from runtime.test_run import BASE, MIB, PAGE, STACK, WITHOUT_P, Heap

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.run import BadEvent, run_events
from mheaplab.runtime.structs import (
    ADD_SPECIAL,
    GC_MARK,
    GC_OFF,
    MALLOC,
    REMOVE_SPECIAL,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_DEAD,
    STACK_ALLOC,
    STACK_FREE,
)

KIB = 1 << 10
FN = 7
CHANGES = [pytest.param(ADD_SPECIAL, id="add"), pytest.param(REMOVE_SPECIAL, id="remove")]


def queue(heap):
    """Return (address, what to run) of the queue."""
    rows = heap.state.tables["finalizers"][: int(heap.h.finalizers_len)]
    return [(int(r["arg"]), int(r["fn"])) for r in rows]


def in_use(heap, kind):
    """Return the bytes of the records of a kind of special."""
    return int(heap.h.specialalloc[kind]["in_use"])


# ------------------------------------------------------------------------------------------------- specials


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "go, kind",
    [("go1.19", k) for k in (0, TINY_BLOCK, WEAK_HANDLE, PIN_COUNTER, CLEANUP, 8, 255)]
    + [("go1.27", k) for k in (0, 8, 255)],
)
def test_kinds_that_a_version_does_not_have(change, go, kind):
    heap = Heap(go)
    event = heap.event_of[heap.malloc(48)]
    with pytest.raises(BadEvent, match="no such kind of special in this version of Go"):
        heap.apply(change, ref=event, flags=kind)
    assert int(heap.h.event) == 1 and int(heap.h.specials_len) == 1


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("what", ["no object", "a manual span", "a freed object's span"])
def test_special_of_what_is_not_there(change, what):
    heap = Heap()
    gone, manual = heap.malloc(100000), heap.span_alloc(4)
    ref = {"no object": -1, "a manual span": heap.event_of[manual]}.get(what, heap.event_of[gone])
    heap.collect(dead=[gone])
    heap.sweep()
    with pytest.raises(BadEvent, match="special of an object that is not there"):
        heap.apply(change, ref=ref, flags=FINALIZER)


def test_what_was_done_is_told():
    heap = Heap("go1.27")
    a, b = heap.malloc(48), heap.malloc(48)
    assert heap.add_special(a, FINALIZER, FN) and not heap.add_special(a, FINALIZER, 8)
    assert heap.add_special(b, PIN_COUNTER) and heap.add_special(b, PIN_COUNTER)
    assert heap.remove_special(a, FINALIZER) and not heap.remove_special(a, FINALIZER)
    assert heap.add_special(a, CLEANUP, 2**40)
    heap.check()
    heap.collect(dead=[a])
    heap.sweep()
    assert queue(heap) == [(0, 2**40)] and in_use(heap, PIN_COUNTER) == 32
    heap.check()


def test_a_profile_is_set_once():
    heap = Heap()
    heap.add_special(heap.malloc(48), PROFILE)
    with pytest.raises(Throw, match="setprofilebucket: profile already set"):
        heap.add_special(BASE, PROFILE)


def by_sweepone(heap, address):
    heap.sweep()


def by_ensure_swept(heap, address):
    heap.ensure_swept(address)


def by_allocating(heap, address):
    heap.malloc(8 * KIB, p=1)


def by_reclaiming(heap, address):
    """A large object looks for a page to free first, and sweeps every span without a mark on the way."""
    heap.malloc(MIB)


def by_adding(heap, address):
    heap.add_special(address, PROFILE)


def by_removing(heap, address):
    heap.remove_special(address, FINALIZER)


def by_the_next_collection(heap, address):
    heap.gc_start()


@pytest.mark.parametrize(
    "sweeps",
    [by_sweepone, by_ensure_swept, by_allocating, by_reclaiming, by_adding, by_removing, by_the_next_collection],
)
def test_whoever_sweeps_acts_on_the_specials(sweeps):
    """The finalizer is queued, the object stays, and the span with it; and not before."""
    heap = Heap()
    (p,) = heap.mallocs(1, 8 * KIB)
    heap.add_special(p, FINALIZER, FN)
    heap.flush()
    heap.collect(dead=[p], flush=())
    assert queue(heap) == []
    sweeps(heap, p)
    assert queue(heap) == [(p, FN)] and in_use(heap, FINALIZER) == 0
    assert int(heap.span(p)["alloc_count"]) == 1 and heap.page_bit("page_specials", p) == (sweeps is by_adding)
    heap.check()


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
@pytest.mark.parametrize(
    "size", [10, 48, 1000, 32 * KIB, 100 * KIB], ids=["tiny", "small", "medium", "32 KiB", "large"]
)
def test_an_object_with_a_finalizer_dies_in_the_second_collection(go, size):
    heap = Heap(go)
    p = heap.malloc(size, noscan=size < 16)
    heap.add_special(p, FINALIZER, FN), heap.add_special(p, PROFILE, 1)
    heap.flush()
    heap.collect(dead=[p])
    heap.sweep()
    assert queue(heap) == [(p, FN)] and int(heap.h.stats.prof_frees) == 0
    slot = int(heap.span(p)["elemsize"])
    heap.check()
    heap.collect(dead=[p])
    heap.sweep()
    assert len(queue(heap)) == 1 and int(heap.h.stats.prof_free_bytes) == slot
    assert int(heap.span(p)["state"]) == SPAN_DEAD and not heap.page_bit("page_specials", p)
    heap.check()
    again = heap.malloc(size, noscan=size < 16)
    assert again == p, "its memory is used again"


def test_tiny_objects_of_one_block():
    """The block dies as a whole, and all their finalizers are queued at once."""
    heap = Heap()
    objects = heap.mallocs(4, 4)
    assert objects == [BASE + 4 * k for k in range(4)]
    for k in (2, 0, 3):
        heap.add_special(objects[k], FINALIZER, k + 1)
    heap.flush()
    for _ in range(2):
        heap.collect(dead=[BASE])
        heap.sweep()
        assert queue(heap) == [(BASE, 1), (BASE + 8, 3), (BASE + 12, 4)]
    assert heap.accounts()[0] == 0
    heap.check()


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size, swept", [(48, False), (48, True), (100 * KIB, False)])
def test_special_of_a_dead_object(change, size, swept):
    """Whether its span goes as a whole or stays, and whether it is this event that sweeps it."""
    heap = Heap()
    p = heap.malloc(size)
    heap.malloc(48)
    heap.flush()
    heap.collect(dead=[p])
    if swept:
        heap.sweep()
    with pytest.raises(BadEvent, match="special of an object that is not there"):
        heap.apply(change, ref=heap.event_of[p], flags=FINALIZER)


def test_reachable():
    heap = Heap()
    living, dying = heap.mallocs(2, 48)
    for p in (dying, living):
        heap.add_special(p, REACHABLE)
    heap.collect(dead=[dying])
    heap.sweep()
    told = heap.state.tables["specials"][["done", "reachable"]][1:3].tolist()
    assert told == [(1, 0), (1, 1)]
    assert in_use(heap, REACHABLE) == 48, "nobody has freed them"


@pytest.mark.parametrize("p", [0, 3])
def test_special_in_a_cached_span(p):
    """A span in an mcache is swept when the mcache is flushed."""
    heap = Heap()
    a, b = heap.mallocs(2, 48, p=p)
    heap.add_special(a, FINALIZER, FN)
    heap.collect(dead=[a, b], flush=())
    assert queue(heap) == []
    heap.flush(p)
    assert queue(heap) == [(a, FN)] and int(heap.span(a)["alloc_count"]) == 1
    heap.check()


def test_without_room_no_special_is_hung():
    heap = Heap(room={"specials": 3})
    objects = heap.mallocs(8, 48)
    for p in objects:
        heap.add(ADD_SPECIAL, ref=heap.event_of[p], flags=FINALIZER, size=FN)
    events = heap.events()
    assert run_events(heap.h, events, heap.out, heap.done, heap.n) == 8 + 2
    before = in_use(heap, FINALIZER), int(heap.h.specials_len), int(heap.span(BASE)["specials"])
    assert run_events(heap.h, events, heap.out, 10, heap.n) == 10
    assert before == (in_use(heap, FINALIZER), int(heap.h.specials_len), int(heap.span(BASE)["specials"]))
    heap.done = 10
    heap.run()
    assert in_use(heap, FINALIZER) == 8 * 48
    heap.check()
    heap.collect(dead=objects)
    heap.sweep()
    assert queue(heap) == [(p, FN) for p in objects]


def test_room_for_what_will_be_queued():
    heap = Heap(room={"finalizers": 4})
    objects = heap.mallocs(9, 48)
    for p in objects:
        heap.add_special(p, FINALIZER, FN)
    heap.collect(dead=objects)
    heap.sweep()
    assert queue(heap) == [(p, FN) for p in objects]


# --------------------------------------------------------------------------------------------------- stacks


def test_stacks_as_events():
    heap = Heap()
    small, large = heap.stack_alloc(2 * KIB, 0), heap.stack_alloc(MIB, 1)
    assert small == BASE + 16 * KIB and large == BASE + 4 * PAGE
    assert heap.accounts()[:3] == (0, 4 + 128, 0)
    heap.stack_free(large, 1)
    assert heap.accounts()[1] == 4
    heap.stack_free(small, 0)
    assert heap.accounts()[1] == 4, "in the cache of P 0"
    heap.check()
    heap.flush(0)
    assert heap.accounts()[1] == 0
    heap.check()


def test_stacks_of_other_ps_stay_when_one_is_flushed():
    heap = Heap()
    for p in (0, 2):
        heap.stack_free(heap.stack_alloc(8 * KIB, p), p)
    heap.flush(2)
    assert heap.accounts()[1] == 4
    heap.flush(WITHOUT_P)
    assert heap.accounts()[1] == 0, "without a P it is the mcache of P 0"


def test_a_freed_stack_becomes_objects():
    heap = Heap()
    stack = heap.stack_alloc(64 * KIB)
    heap.stack_free(stack)
    assert heap.malloc(64 * KIB) == stack and int(heap.span(stack)["needzero"]) == 1
    heap.check()


@pytest.mark.parametrize("nbytes", [2 * KIB, 256 * KIB])
def test_stacks_wait_for_the_end_of_marking(nbytes):
    heap = Heap()
    stacks = [heap.stack_alloc(nbytes) for _ in range(3)]
    held = heap.accounts()[1]
    heap.gc_start()
    for stack in stacks:
        heap.stack_free(stack)
    assert heap.accounts()[1] == held
    heap.check()
    assert heap.stack_alloc(nbytes) == stacks[-1]
    heap.stack_free(stacks[-1])
    heap.collect()
    assert heap.accounts()[1] == 0
    heap.check()


def test_a_span_record_goes_to_the_p_that_frees():
    """The records of its cache are taken and given by the P of the event."""
    heap = Heap()
    stack = heap.stack_alloc(64 * KIB, 1)
    n = int(heap.h.allp[1]["mspancache"]["n"])
    heap.stack_free(stack, 2)
    assert (int(heap.h.allp[1]["mspancache"]["n"]), int(heap.h.allp[2]["mspancache"]["n"])) == (n, 1)
    heap.check()


@pytest.mark.parametrize("room", [{"stack_slots": 1}, {"spans": 4}, {"span_log": 1}, {"in_use": 1}])
def test_without_room_no_stack_is_taken(room):
    sizes = [2 * KIB << (k % 7) for k in range(30)]
    heap, plenty = Heap(room=room, arena_bytes=4 * MIB), Heap(arena_bytes=4 * MIB)
    for n in sizes:
        heap.add(STACK_ALLOC, size=n, p=WITHOUT_P)
    reached = run_events(heap.h, heap.events(), heap.out, 0, heap.n)
    assert reached < heap.n and not heap.out.addr[reached:].any()
    before = heap.accounts(), int(heap.h.spans_len), int(heap.h.stack_slots_len)
    assert run_events(heap.h, heap.events(), heap.out, reached, heap.n) == reached
    assert before == (heap.accounts(), int(heap.h.spans_len), int(heap.h.stack_slots_len))
    heap.done = reached
    heap.run()
    assert heap.out.addr[: heap.n].tolist() == [plenty.stack_alloc(n) for n in sizes]
    heap.check()


@pytest.mark.parametrize("nbytes", [0, 1 * KIB, 3 * KIB, 100 * KIB])
def test_bad_stacks(nbytes):
    heap = Heap()
    with pytest.raises(Throw, match="stack size not a power of 2"):
        heap.stack_alloc(nbytes)
    heap = Heap()
    event = heap.event_of[heap.stack_alloc(64 * KIB)]
    with pytest.raises(Throw, match="stack not a power of 2"):
        heap.apply(STACK_FREE, ref=event, size=nbytes)


# --------------------------------------------------------------------------- the start of a collection, scavenging


def test_gc_start_finishes_the_sweep():
    heap = Heap()
    objects = heap.mallocs(6, 8 * KIB)
    heap.flush()
    heap.collect(dead=objects[:3])
    assert int(heap.h.sweep_drained) == 0 and int(heap.h.gcphase) == GC_OFF
    heap.gc_start()
    assert int(heap.h.sweep_drained) == 1 and int(heap.h.gcphase) == GC_MARK
    assert int(heap.h.unrecorded_sweeps) == 6 and heap.accounts()[0] == 3
    heap.check()
    heap.collect()
    assert int(heap.h.gcphase) == GC_OFF and int(heap.h.sweepgen) == 4
    heap.check()


@pytest.mark.slow
def test_collections_without_an_allocation_between():
    """Each takes bitmaps for every span, and those of the last two are not free yet."""
    heap = Heap(room={"gc_bits": 10 << 13, "spans": 1 << 15, "span_log": 1 << 15}, events=1 << 15)
    heap.mallocs(16400, 8 * KIB)
    heap.flush()
    for _ in range(4):
        heap.collect()


def test_what_is_allocated_while_marking_lives():
    heap = Heap()
    old = heap.malloc(48)
    heap.flush()
    heap.gc_start()
    new = heap.malloc(48)
    heap.collect(dead=[old])
    heap.sweep()
    assert int(heap.span(new)["alloc_count"]) == 1 and heap.malloc(48) == old
    heap.check()


def test_gc_start_may_be_left_out():
    """SWEEP_START does what it does, so the heap comes out the same."""

    def drive(heap, start):
        for _ in range(8):
            objects = heap.mallocs(300, 512) + heap.mallocs(20, 9 * KIB)
            if start:
                heap.gc_start()
            heap.collect(dead=objects[::3])
        return heap

    with_start, without = drive(Heap(), True), drive(Heap(), False)
    names = "gc_bits_len bits_free bits_next bits_current bits_previous sweepgen unrecorded_sweeps pages_in_use"
    assert [int(with_start.h[n]) for n in names.split()] == [int(without.h[n]) for n in names.split()]
    assert np.array_equal(with_start.rows()["span_base"], without.rows()["span_base"])
    with_start.check()


def test_scavenge_waits_for_the_stack_that_made_it():
    """As for any span: its pages are taken first, and of 33 free ones a stack of 32 leaves one."""
    heap = Heap()
    heap.free_pages(33)
    event = heap.add(SCAVENGE, size=3)
    heap.add(STACK_ALLOC, size=256 * KIB, p=WITHOUT_P)
    heap.run()
    assert heap.out.addr[event : event + 2].tolist() == [BASE + 32 * PAGE, BASE]
    assert int(heap.out.scav[event]) == 1
    heap.check()


def test_scavenge_all():
    heap = Heap()
    low, _, high = heap.span_alloc(700), heap.span_alloc(1), heap.span_alloc(40)
    heap.span_free(low), heap.span_free(high)
    assert heap.accounts()[3] == 740
    assert heap.scavenge_all() == 740 * PAGE
    assert heap.accounts()[3:5] == (0, 1024 - 1) and heap.scavenge_all() == 0
    heap.check()
    heap.span_alloc(10, STACK)
    assert int(heap.span(low)["scav"]) == 10 * PAGE


def test_scavenge_all_leaves_page_caches():
    heap = Heap()
    heap.free_pages(64)
    heap.malloc(48)
    assert heap.accounts()[3] == 63 and heap.scavenge_all() == 0
    heap.flush_pages()
    assert heap.accounts()[3] == 63
    heap.check()


ALLOCATIONS = [
    {"kind": MALLOC, "size": 1},
    {"kind": SPAN_ALLOC, "size": 1, "flags": STACK},
    {"kind": STACK_ALLOC, "size": 2 * KIB},
    {"kind": STACK_ALLOC, "size": 64 * KIB},
]


@pytest.mark.parametrize("event", ALLOCATIONS)
@pytest.mark.parametrize("p", [0, WITHOUT_P])
def test_out_of_memory_is_a_throw(event, p):
    heap = Heap(occupied=((0, 1 << 47),))
    with pytest.raises(Throw, match="out of memory"):
        heap.apply(p=p, **event)
