"""mgc_cycle: when a collection begins and ends, and what goes on beside the program, by hand."""

import numpy as np
import pytest
from runtime.sims import DEBT, END, FINISH_TIME, FORCED, MIB, PAGE, RATE, START, SWEEPONE, TICK, TRIGGER, WAKE, Sim

from mheaplab.runtime.sim_structs import (
    PHASE_MARKING,
    PHASE_SWEEPING,
    PHASE_SWEPT,
    SWEEPERS,
    WHY_MARK_END,
    WHY_MARK_START,
    WHY_SWEEP_END,
)
from mheaplab.runtime.structs import GC_MARK, GC_OFF

NATURAL, PERIODIC = 0, 2
SOON, LATER = 1e9, 120e9
UNSWEPT = 20
NO_BACKGROUND = {"background_sweep_per_ms": 0.0}


def unswept(dead=(), **changes):
    """Return a heap whose collection has just ended, and the objects in its spans, one each and all but full.

    Those of ``dead`` died before.  Two spans were in mcaches, and so are swept already.
    """
    heap = Sim(**(NO_BACKGROUND | changes))
    numbers = heap.allocs(UNSWEPT * 4, 2048)
    heap.die(*(numbers[k] for k in dead))
    heap.do(START, NATURAL)
    heap.do(END)
    return heap, numbers


def who_swept(heap):
    """Return the spans swept, by the names of those who did."""
    return {who: n for who, n in zip(SWEEPERS, heap.swept(), strict=True) if n}


# ---------------------------------------------------------------------------------------------------- trigger


def test_a_collection_begins_when_the_heap_has_reached_the_trigger():
    heap = Sim()
    heap.alloc(16)
    trigger = int(heap.samples_now()["trigger"])
    assert 0 < trigger < MIB // 2
    for live, due in ((trigger - 1, 0), (trigger, 1), (trigger + 1, 1)):
        heap.h.stats.heap_live = live
        assert heap.do(TRIGGER) == due
    heap.h.gcphase = GC_MARK
    assert heap.do(TRIGGER) == 0


def test_gogc_off_never_triggers():
    heap = Sim(gogc=-1)
    heap.h.stats.heap_live = 1 << 60
    assert heap.do(TRIGGER) == 0


def test_the_trigger_is_tested_only_when_an_allocation_took_a_span():
    heap = Sim()
    heap.alloc(2048)
    # The heap is far above its trigger, and nobody has looked.
    heap.h.stats.heap_live = heap.sim.live_seen = 10 * MIB
    heap.allocs(3, 2048)
    assert not heap.marking()
    heap.alloc(2048)
    assert heap.marking() and heap.cycles()["live_start"].tolist() == [10 * MIB + PAGE]


def test_a_large_object_takes_a_span():
    heap = Sim()
    heap.alloc(MIB)
    assert heap.marking()


# ---------------------------------------------------------------------------------------------------- start and end


def test_a_collection_from_its_start_to_its_end():
    heap = Sim(cycle_us=100.0)
    numbers = heap.allocs(8, 2048)
    heap.die(*numbers[:5])
    now = float(heap.sim.now)
    heap.do(START, NATURAL)
    assert heap.h.gcphase == GC_MARK and heap.sim.now == heap.sim.ticked == now + 50_000
    # Stopping the world is the collector's time on all Ps, and no time of the program.
    assert heap.sim.bucket_ns == 50_000
    heap.do(END)
    assert heap.sim.bucket_ns == 100_000
    assert heap.h.gcphase == GC_OFF and heap.sim.now == heap.sim.gc_ended == now + 100_000
    assert heap.sim.cycles_done == 1 and heap.h.sweepgen == 2
    assert heap.h.heap_marked == heap.h.stats.heap_live == heap.sim.live_seen == 3 * 2048
    # The mcache's full span was swept as it went back; the other waits.
    assert who_swept(heap) == {"flush": 1} and heap.h.sweep_drained == 0
    assert heap.sim.wake == heap.do(WAKE)


def test_marking_takes_its_time_and_allocations_go_on():
    heap = Sim(globals_bytes=1_000_000, alloc_ns=1000.0, byte_ns=0.0, gogc=-1)
    heap.alloc(16)
    heap.do(START, NATURAL)
    began = float(heap.sim.now)
    heap.h.controller.assist_work_per_byte = 0.0
    count = 0
    while heap.marking():
        # Nobody assists.
        heap.sim.assist_bytes[0] = 1 << 40
        heap.alloc(16)
        count += 1
    # A quarter of one P scans a byte in 4 ns, and the program has the rest: 4/3 of 1000 ns for an event.
    work = 1_000_000 + 3000
    assert count == int(np.ceil(work * 4 / (1000 * 4 / 3))) + 1
    assert heap.cycles()["end_ns"][0] == pytest.approx(began + (count - 1) * 4000 / 3 + 50_000)


def test_a_new_collection_sweeps_what_is_left():
    heap, _ = unswept()
    assert who_swept(heap) == {"flush": 1}
    heap.do(START, NATURAL)
    assert who_swept(heap) == {"flush": 1, "start": UNSWEPT - 1} and heap.h.sweep_drained == 1
    rows = heap.cycles()
    assert rows["swept_event"].tolist() == [-1, -1]
    assert rows["swept_spans"][0].tolist() == [0, 0, 0, 0, UNSWEPT - 1, 1, 0, 0]
    # Sweeping ended, if nobody noticed: the scavenger is to look.
    assert heap.sim.scavenger.wake == heap.sim.gc_ended + 1e7


def test_what_the_heap_may_retain_follows_from_what_it_used_when_marking_ended():
    heap = Sim(gogc=-1)
    heap.die(*heap.allocs(24, MIB // 4)[4:])
    assert heap.h.gc_percent_goal == -1
    heap.collect()
    # It used 6 MiB, and retains no more.
    assert heap.h.controller.last_heap_in_use == 6 * MIB and heap.h.stats.heap_in_use == MIB
    assert heap.h.controller.scavenge_gc_percent_goal == (1 << 64) - 1 and heap.h.gc_percent_goal == -1
    heap.collect()
    # A tenth more than what it used, in whole pages of 4 KiB.
    goal = -(-(MIB + MIB // 10) // 4096) * 4096
    assert heap.h.controller.last_heap_in_use == MIB and heap.h.stats.heap_in_use + heap.h.stats.heap_free == 6 * MIB
    assert heap.h.gc_percent_goal == heap.h.controller.scavenge_gc_percent_goal == goal


def test_runtime_gc_sweeps_to_the_end():
    heap = Sim(sweep_span_ns=100.0, cycle_us=0.0, **NO_BACKGROUND)
    heap.allocs(UNSWEPT * 4, 2048)
    heap.collect()
    assert heap.h.gcphase == GC_OFF and heap.h.sweep_drained == 1 and not heap.sim.sweep_open
    assert who_swept(heap) == {"flush": 1, "force": UNSWEPT - 1}
    row = heap.cycles()[0]
    assert row["forced"] == 1 and row["swept_ns"] == row["end_ns"] + 100 * (UNSWEPT - 1)
    assert heap.samples()["why"].tolist()[1:] == [WHY_MARK_START, WHY_MARK_END, WHY_SWEEP_END]


def test_runtime_gc_waits_for_the_collection_that_goes_on():
    heap = Sim()
    numbers = heap.allocs(8, 2048)
    heap.do(START, NATURAL)
    heap.die(*numbers[:4])
    heap.collect()
    # The first keeps what died while it marked, the second does not.
    rows = heap.cycles()
    assert rows["cycle"].tolist() == [1, 2] and rows["forced"].tolist() == [0, 1]
    assert rows["marked"].tolist() == [8 * 2048, 4 * 2048]
    assert heap.sim.now >= rows["end_ns"][1] > rows["end_ns"][0]


def test_free_os_memory_gives_everything_back_and_takes_its_time():
    heap = Sim(scavenge_kib_ns=7.0)
    heap.die(heap.alloc(MIB), heap.alloc(3 * MIB))
    heap.alloc(16)
    heap.do(FORCED, 0)
    free, now = int(heap.h.stats.heap_free), float(heap.sim.now)
    assert free > 3 * MIB and heap.h.stats.scavenged_all == 0
    heap.do(FORCED, 1)
    assert heap.h.stats.heap_free == 0 and heap.h.stats.scavenged_all == free
    took = heap.sim.now - now
    assert took - free / 1024 * 7 == pytest.approx(float(heap.cycles()["swept_ns"][-1]) - now)


# ---------------------------------------------------------------------------------------------------- the background


@pytest.mark.parametrize(
    ("procs", "idle_share", "rate", "span_ns", "wanted"),
    [
        (1, 0.0, 1.0, 400.0, 1e-6),
        (4, 0.0, 250.0, 400.0, 250e-6),
        (4, 0.1, 1.0, 400.0, 1e-6 + 0.4 / 400),
        (4, 0.5, 1.0, 400.0, 1e-6 + 1 / 400),
        (2, 0.5, 0.0, 0.0, 1.0),
    ],
)
def test_the_background_sweeper_has_its_rate_and_an_idle_p(procs, idle_share, rate, span_ns, wanted):
    heap = Sim(procs=procs, idle_share=idle_share, background_sweep_per_ms=rate, sweep_span_ns=span_ns)
    assert heap.do(RATE) == pytest.approx(wanted, rel=1e-12)


def test_what_wakes_the_background_next():
    heap = Sim(gogc=-1)
    assert np.isinf(heap.do(WAKE))
    heap = Sim(force_gc_s=120.0)
    assert heap.do(WAKE) == heap.sim.wake == LATER
    heap.sim.scavenger.wake = 5e9
    assert heap.do(WAKE) == 5e9
    heap.do(START, NATURAL)
    # A quarter of a P scans 237,000 bytes.
    assert heap.do(WAKE) == heap.do(FINISH_TIME) == 50_000 + 237_000 * 4
    heap.do(END)
    heap.sim.sweep_open, heap.sim.sweep_rest, heap.sim.ticked = 1, 0.25, SOON
    assert heap.do(WAKE) == SOON + 750_000
    heap.sim.params.background_sweep = 0.0
    assert heap.do(WAKE) == 5e9
    heap.sim.scavenger.wake = 500e9
    assert heap.do(WAKE) == 100_000 + LATER


def test_the_background_sweeps_as_much_as_time_allows():
    heap, _ = unswept(background_sweep_per_ms=1.0, gogc=-1)
    began = float(heap.sim.ticked)
    seen = []
    for ms in (0.4, 0.9, 5.4, 5.5, 6.0, 7.0):
        heap.sim.now = began + ms * 1e6
        heap.do(TICK)
        seen.append(who_swept(heap).get("background", 0))
    assert seen == [0, 0, 5, 5, 6, 7]
    assert heap.h.sweeper == 0 and heap.sim.sweep_open == 1
    heap.sim.now = began + 100e6
    heap.do(TICK)
    assert who_swept(heap)["background"] == UNSWEPT - 1 and heap.sim.sweep_open == 0
    # Idle time is not saved up. The scavenger was woken when the last span was swept, found no goal, and parked again.
    assert heap.sim.sweep_rest == 1 and heap.sim.scavenger.parked == 1 and np.isinf(heap.sim.scavenger.wake)
    assert heap.samples()["why"].tolist()[-1] == WHY_SWEEP_END
    assert heap.cycles()["swept_ns"].tolist() == pytest.approx([began + UNSWEPT * 1e6], abs=2.0)


def test_a_collection_comes_when_none_has_for_two_minutes():
    heap = Sim(force_gc_s=1.0)
    heap.alloc(16)
    heap.sim.now = SOON - 1
    heap.do(TICK)
    assert not heap.marking()
    heap.sim.now = SOON
    heap.do(TICK)
    assert heap.marking() and heap.cycles()["forced"].tolist() == [PERIODIC]
    heap = Sim(force_gc_s=1.0, gogc=-1)
    heap.sim.now = 3 * SOON
    heap.do(TICK)
    assert not heap.marking()


def test_the_background_marks():
    heap = Sim(cycle_us=0.0)
    heap.alloc(16)
    heap.do(START, NATURAL)
    heap.sim.now = heap.do(FINISH_TIME) - 1
    heap.do(TICK)
    assert heap.marking() and heap.sim.wake == heap.do(FINISH_TIME)
    heap.sim.now += 1
    heap.do(TICK)
    assert not heap.marking() and heap.sim.cycles_done == 1


def test_what_was_due_while_the_program_waited_is_done_at_its_time():
    heap = Sim(force_gc_s=1.0, cycle_us=0.0, background_sweep_per_ms=1e6)
    heap.alloc(16)
    heap.sim.now = 3.5 * SOON
    heap.do(TICK)
    took = 237_000 * 4
    assert heap.cycles()["start_ns"] == pytest.approx([SOON, 2 * SOON + took, 3 * SOON + 2 * took], abs=50)
    assert heap.sim.now == 3.5 * SOON and heap.sim.cycles_done == 3


def test_without_room_the_background_waits():
    heap = Sim(force_gc_s=1.0)
    heap.sim.now = SOON
    cap, heap.h.spans_cap = int(heap.h.spans_cap), int(heap.h.spans_len)
    assert heap.do(TICK) == 0 and not heap.marking()
    heap.h.spans_cap = cap
    assert heap.do(TICK) == 1 and heap.marking()


# ---------------------------------------------------------------------------------------------------- who sweeps


def test_an_allocation_sweeps_for_a_span_of_its_class():
    heap, numbers = unswept(dead=range(0, UNSWEPT * 4, 4))
    heap.h.controller.sweep_pages_per_byte = 0.0
    # The first takes the span that was swept when it went back, and has one free slot.
    heap.alloc(2048)
    assert who_swept(heap) == {"flush": 1}
    heap.alloc(2048)
    assert who_swept(heap) == {"allocation": 1, "flush": 1}
    assert heap.sim.max_swept == 1 and heap.sim.swept_histogram[1] == 1
    # What that took holds the program up, and its time is counted.
    assert heap.sim.stall_ns == heap.sim.max_stall_ns == 400 and heap.sim.stall_histogram[9] == 1


def test_a_large_allocation_reclaims():
    heap, _ = unswept(dead=range(40, 80))
    heap.h.controller.sweep_pages_per_byte = 0.0
    heap.alloc(3 * PAGE)
    # It asks for three pages; the reclaimer goes through 512 pages at a time and keeps the rest as credit.
    assert who_swept(heap) == {"reclaim": 9, "flush": 1} and heap.h.reclaim_credit == 9 - 3


def test_allocations_sweep_to_the_pace():
    """The plain words of deductSweepCredit: swept since the basis, pages are as many as bytes allocated ask for."""
    heap, _ = unswept()
    c, per_byte = heap.h.controller, 1 / 16_384
    c.sweep_pages_per_byte = per_byte
    basis, live = int(c.pages_swept_basis), int(c.sweep_heap_live_basis)
    assert (basis, live) == (0, UNSWEPT * PAGE)
    # The span that went back with the mcache counts. A large object owes its own pages less.
    swept = []
    for nbytes, noscan in ((1025, True), (1025, False), (1153, True), (40 * PAGE, True), (5 * PAGE, False)):
        heap.alloc(nbytes, noscan)
        swept.append(int(heap.h.pages_swept))
    assert swept == go_sweep(per_byte)


def go_sweep(per_byte):
    """What deductSweepCredit of runtime/mgcsweep.go would have swept in the test above."""
    live, swept, found = 0, 1, []
    for span_bytes, caller_pages in ((PAGE, 0), (PAGE, 0), (PAGE, 0), (40 * PAGE, 40), (5 * PAGE, 5)):
        target = int(per_byte * (span_bytes + live)) - caller_pages
        swept = max(swept, target)
        live += span_bytes
        found.append(swept)
    return found


def test_when_nothing_is_left_the_pace_ends():
    heap, _ = unswept()
    heap.h.controller.sweep_pages_per_byte = 1.0
    assert heap.do(DEBT) == 0
    heap.h.stats.heap_live += 15
    assert heap.do(DEBT) == 14
    heap.alloc(1500)
    assert who_swept(heap) == {"credit": UNSWEPT - 1, "flush": 1} and heap.h.controller.sweep_pages_per_byte == 0
    assert heap.h.sweep_drained == 1 and heap.do(DEBT) == 0
    assert heap.sim.sweep_open == 0 and heap.samples()["max_swept"].tolist()[-1] == UNSWEPT - 1
    assert heap.do(SWEEPONE) == 0
    assert heap.samples()["why"].tolist()[1:] == [WHY_MARK_START, WHY_MARK_END, WHY_SWEEP_END]
    assert heap.samples()["gc_phase"].tolist()[1:] == [PHASE_MARKING, PHASE_SWEEPING, PHASE_SWEPT]
