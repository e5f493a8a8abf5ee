"""simulate: events one by one: the time they pass, the debt they pay, what they may not do, and how tables grow."""

import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.programs import random_program
from runtime.sims import END, MIB, START, Sim

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.run import BadEvent
from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC, PHASE, STACK_ALLOC, STACK_FREE
from mheaplab.runtime.verify_sim import verify_sim

NATURAL = 0
KIB = 1024
TINY_ROOM = {"spans": 2, "heap_arenas": 2, "gc_bits": 8192, "in_use": 4, "objects": 1, "deaths": 300, "tiny_counts": 2}
TINY_ROOM |= {"samples": 12, "cycles": 5, "stack_slots": 2}


# ---------------------------------------------------------------------------------------------------- time


def test_an_allocation_takes_time_by_itself_and_by_its_bytes():
    heap = Sim(alloc_ns=300.0, byte_ns=0.5)
    heap.alloc(100)
    assert heap.sim.now == 350
    heap.alloc(1)
    assert heap.sim.now == 650.5
    # Nothing else takes any.
    heap.die(0)
    heap.phase(1)
    heap.unstack(heap.stack(2048), 2048)
    assert heap.sim.now == 650.5 and heap.sim.events == 6


@pytest.mark.parametrize(
    ("procs", "idle_share", "passed"), [(1, 0.0, 1000), (4, 0.0, 250), (4, 0.5, 500), (2, 1.0, 1_000_000)]
)
def test_several_ps_share_the_work(procs, idle_share, passed):
    heap = Sim(procs=procs, idle_share=idle_share, alloc_ns=1000.0, byte_ns=0.0)
    heap.alloc(16)
    assert heap.sim.now == pytest.approx(passed, rel=1e-12)


def test_while_the_collector_marks_it_has_its_quarter():
    heap = Sim(procs=4, alloc_ns=3000.0, byte_ns=0.0)
    heap.alloc(16)
    heap.do(START, NATURAL)
    # No debt: it has been paid for.
    heap.sim.assist_bytes[0] = 1000
    began = float(heap.sim.now)
    heap.alloc(16)
    assert heap.sim.now - began == 1000


def test_a_trace_may_tell_the_time():
    heap = Sim(procs=2, alloc_ns=7.0, byte_ns=0.0)
    heap.alloc(16, time=1000)
    heap.alloc(16, time=1600)
    assert heap.sim.now == 1600 and heap.sim.trace_last == 1600
    # Events of other goroutines may be a little late; where there is no time, it is modelled.
    heap.alloc(16, time=1500)
    assert heap.sim.now == 1600 and heap.sim.trace_last == 1600
    heap.alloc(16)
    assert heap.sim.now == 1603.5
    heap.alloc(16, time=2000)
    assert heap.sim.now == 2003.5
    heap = Sim(trace_time=False, alloc_ns=7.0, byte_ns=0.0)
    heap.alloc(16, time=1000)
    assert heap.sim.now == 7


def test_what_holds_an_allocation_up_is_counted_and_passes_time():
    heap = Sim(procs=2, alloc_ns=100.0, byte_ns=0.0, sweep_span_ns=1000.0, background_sweep_per_ms=0.0)
    heap.allocs(40, 2048)
    heap.do(START, NATURAL)
    heap.do(END)
    heap.h.controller.sweep_pages_per_byte = 5 / 8192
    began = float(heap.sim.now)
    heap.alloc(1500)
    assert heap.sim.swept_pages_seen == heap.sim.swept_spans_seen == 4
    # Four spans in a microsecond each, while the other P runs.
    assert heap.sim.stall_ns == heap.sim.max_stall_ns == 4000 and heap.sim.stalled == 0
    assert heap.sim.now - began == 50 + 2000
    assert heap.sim.max_swept == 4 and heap.sim.swept_histogram.nonzero()[0].tolist() == [3]
    assert heap.sim.stall_histogram.nonzero()[0].tolist() == [12]
    heap.alloc(1500)
    assert heap.sim.stall_histogram.sum() == heap.sim.swept_histogram.sum() == 1


def test_an_assist_passes_its_time_once():
    heap = Sim(procs=2, alloc_ns=300.0, byte_ns=0.0, scan_byte_ns=2.0)
    heap.alloc(100)
    heap.do(START, NATURAL)
    began = float(heap.sim.now)
    heap.alloc(100)
    # One P scans 64 KiB; meanwhile the other has half of its time for the program, as both have after it.
    assert heap.sim.assist_ns == heap.sim.stall_ns == 2 * 65536
    assert heap.sim.now - began == pytest.approx((2 * 65536 + 300) / 1.5, rel=1e-12)


def test_an_allocation_that_takes_a_span_while_the_collector_marks_revises_the_assist_ratio():
    heap = Sim()
    heap.alloc(2048)
    heap.do(START, NATURAL)
    c = heap.h.controller
    heap.sim.assist_bytes[0] = 1 << 40
    c.assist_work_per_byte, wanted = 0.0, float(c.assist_work_per_byte)
    heap.allocs(3, 2048)
    assert c.assist_work_per_byte == 0
    heap.alloc(2048)
    # The goal is as far as it was, but for a page.
    assert wanted < c.assist_work_per_byte < wanted * 1.1


def test_giving_memory_back_holds_an_allocation_up():
    heap = Sim(gogc=-1, memory_limit=3 * MIB, scavenge_kib_ns=10.0, sweep_span_ns=0.0, huge_page_bytes=0)
    first, _ = heap.alloc(MIB), heap.alloc(MIB)
    heap.die(first)
    heap.collect()
    heap.sim.assist_bytes[0] = 1 << 40
    began = float(heap.sim.stall_ns)
    # It does not fit into the free MiB, and with its own memory there would be too much.
    heap.alloc(2 * MIB + 512 * KIB)
    assert heap.h.stats.scavenged_allocation == heap.sim.scavenged_seen == MIB
    assert heap.sim.stall_ns - began == 1024 * 10


# ---------------------------------------------------------------------------------------------------- Ps


def test_more_ps_than_there_are_share_those_there_are():
    heap = Sim(procs=3)
    for p in (0, 4, 7):
        heap.alloc(100, p=p)
    used = [int(heap.h.allp[p].mcache.alloc.astype(bool).sum()) for p in range(8)]
    assert used == [1, 1, 0, 0, 0, 0, 0, 0] and heap.sim.ps_used == 2


# ---------------------------------------------------------------------------------------------------- stacks


def test_goroutine_stacks_are_counted_and_scanned():
    heap = Sim(procs=2)
    scan = int(heap.h.controller.max_stack_scan)
    a = heap.stack(32 * KIB)
    b = heap.stack(64 * KIB, p=1)
    assert (int(heap.sim.stack_live), int(heap.sim.stack_count)) == (96 * KIB, 2)
    # What a P holds of the account beyond 8 KiB goes to the pacer's.
    assert heap.h.controller.max_stack_scan == scan + 96 * KIB
    assert heap.h.stats.in_stacks == 96 * KIB
    heap.unstack(a, 32 * KIB, p=1)
    assert (int(heap.sim.stack_live), int(heap.sim.stack_count)) == (64 * KIB, 1)
    assert heap.h.stats.in_stacks == 64 * KIB and heap.h.controller.max_stack_scan == scan + 64 * KIB
    heap.unstack(b, 64 * KIB)
    assert heap.h.stats.in_stacks == 0


def test_a_large_stack_that_is_freed_while_the_collector_marks_waits():
    heap = Sim()
    a = heap.stack(64 * KIB)
    heap.do(START, NATURAL)
    heap.unstack(a, 64 * KIB)
    assert heap.h.stats.in_stacks == 64 * KIB and heap.sim.stack_live == 0
    heap.do(END)
    assert heap.h.stats.in_stacks == 0


# ---------------------------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ((DEATH, 0, False, 5), "death of an object that was not born"),
        ((DEATH, 0, False, 1), "death of an object that was not born"),
        ((DEATH, 0, False, 2), "death of an object that was not born"),
        ((ALLOC, 16, False, 0), "birth of an object that lives"),
        ((ALLOC, 16, False, 1), "birth of an object that lives"),
        ((STACK_FREE, 2048, False, 0), "free of a stack that was not allocated"),
        ((STACK_FREE, 2048, False, 2), "free of a stack that was not allocated"),
        ((6, 0, False, 0), "kind of event is unknown"),
        ((255, 0, False, 0), "kind of event is unknown"),
    ],
)
def test_events_that_contradict_each_other(event, words):
    heap = Sim()
    heap.alloc(100)
    heap.stack(2048)
    heap.die(heap.alloc(100))
    kind, nbytes, noscan, number = event
    with pytest.raises(BadEvent, match=words):
        heap.event(kind, nbytes, noscan, number)
    assert heap.sim.events == 4


def test_a_number_may_be_used_again():
    heap = Sim()
    heap.alloc(100)
    heap.die(0)
    heap.event(STACK_ALLOC, 2048, number=0)
    heap.event(STACK_FREE, 2048, number=0)
    heap.event(ALLOC, 100, number=0)
    assert heap.sim.live_objects == 1 and heap.sim.stack_count == 0


def test_out_of_memory():
    heap = Sim(occupied=((4096, 1 << 47),))
    with pytest.raises(Throw, match="out of memory"):
        heap.alloc(100)
    with pytest.raises(Throw, match="out of memory"):
        heap.stack(2048)


# ---------------------------------------------------------------------------------------------------- room


def check(heap):
    """Recount everything."""
    with np.errstate(all="ignore"):
        verify_sim(heap.h)


@pytest.mark.parametrize("procs", [1, 3])
def test_tables_with_almost_no_room_give_the_same_run(procs, rng):
    program = random_program(rng, 3000 if COMPILED else 150, procs=procs, forced=0.01, stacks=0.1)
    changes = {"procs": procs, "gogc": 20, "globals_bytes": 1000, "cycle_us": 1.0, "stride": 7}
    small, large = Sim(room=TINY_ROOM, **changes), Sim(**changes)
    for heap in (small, large):
        heap.run(program)
        heap.end()
        check(heap)
    assert small.samples().tobytes() == large.samples().tobytes()
    assert small.cycles().tobytes() == large.cycles().tobytes() and len(small.cycles()) > (20 if COMPILED else 0)


def test_an_event_that_is_tried_again_does_not_pay_twice():
    heap = Sim(room={"spans": 70})
    heap.alloc(100)
    heap.do(START, NATURAL)
    cap, heap.h.spans_cap = int(heap.h.spans_cap), int(heap.h.spans_len)
    bought = []
    grow = heap.state.grow

    def grown(more):
        # The kernel has come back without having made the event, but it has paid.
        bought.append((int(heap.sim.assist_bytes[0]), float(heap.sim.assist_ns), int(heap.sim.events)))
        if len(bought) == 3:
            heap.h.spans_cap = cap
            grow(more)

    heap.state.grow = grown
    heap.alloc(5000)
    assert len(bought) == 3 and len(set(bought)) == 1 and bought[0][1] == 65536
    assert heap.sim.assist_ns == heap.sim.stall_ns == 65536 and heap.sim.events == 2


@pytest.mark.parametrize("kind", [FORCED_GC, PHASE])
def test_kinds_that_take_no_object(kind):
    heap = Sim(room=TINY_ROOM)
    heap.allocs(10, 100)
    heap.event(kind, 1)
    check(heap)
    assert heap.sim.events == 11 and heap.sim.phase == (kind == PHASE) and heap.sim.cycles_done == (kind == FORCED_GC)
