"""mgcmark_pace: marking as time, by hand; assists beside gcAssistAlloc as Go has it."""

import pytest
from runtime.sims import (
    ASSIST,
    FINISH_TIME,
    IDLE,
    MARK_ADVANCE,
    MARK_BEGIN,
    SCAN_WORK,
    SPEED,
    START,
    Sim,
)

from mheaplab.runtime.structs import GC_MARK

OVER = 64 << 10


def marking(work=1_000_000, **changes):
    """Return a heap that marks, with so many bytes to scan, at time 0."""
    heap = Sim(**({"globals_bytes": 0, "stack_bytes": 0} | changes))
    heap.h.gcphase = GC_MARK
    heap.sim.mark_work = work
    return heap


@pytest.mark.parametrize(
    ("procs", "idle_share", "speed", "while_marking", "idle"),
    [
        (1, 0.0, 1.0, 0.75, 0.0),
        (4, 0.0, 4.0, 3.0, 0.0),
        (4, 0.1, 3.6, 3.0, 0.0),
        (4, 0.5, 2.0, 2.0, 1.0),
        (8, 0.75, 2.0, 2.0, 4.0),
        (4, 1.0, 0.001, 0.001, 2.999),
    ],
)
def test_the_collector_has_a_quarter_and_idle_ps_help_it(procs, idle_share, speed, while_marking, idle):
    heap = Sim(procs=procs, idle_share=idle_share)
    found = (heap.do(SPEED, 0), heap.do(SPEED, 1), heap.do(IDLE))
    assert found == pytest.approx((speed, while_marking, idle), rel=1e-12)


def test_what_there_is_to_scan():
    heap = Sim(scan_share=0.75, globals_bytes=20_000, stack_bytes=3000, stack_used_bytes=280)
    heap.sim.live_scan = 1001
    heap.sim.mark_done, heap.sim.mark_rest = 7, 0.5
    heap.sim.ps_used = 2
    heap.sim.assist_bytes[:3] = 5
    heap.do(MARK_BEGIN)
    assert (int(heap.sim.mark_work), int(heap.sim.stack_work)) == (750 + 3000 + 20_000, 3000)
    assert (int(heap.sim.mark_done), float(heap.sim.mark_rest)) == (0, 0)
    # Only Ps that have run something can be in debt.
    assert heap.sim.assist_bytes[:3].tolist() == [0, 0, 5]


def test_of_each_stack_what_is_in_use_is_scanned():
    heap = Sim(stack_bytes=3000, stack_used_bytes=5000)
    heap.sim.stack_live, heap.sim.stack_count = 16 << 10, 3
    heap.do(MARK_BEGIN)
    assert heap.sim.stack_work == 3000 + 15_000
    heap.sim.stack_count = 4
    heap.do(MARK_BEGIN)
    assert heap.sim.stack_work == 3000 + (16 << 10)


def test_globals_are_scanned_first_then_stacks_then_the_heap():
    heap = marking(globals_bytes=100)
    heap.sim.stack_work = 50
    found = []
    for done in (0, 60, 120, 150, 170):
        heap.sim.mark_done = done
        heap.do(SCAN_WORK)
        c = heap.h.controller
        found.append((int(c.globals_scan_work), int(c.stack_scan_work), int(c.heap_scan_work)))
    assert found == [(0, 0, 0), (60, 0, 0), (100, 20, 0), (100, 50, 0), (100, 50, 20)]


def test_workers_scan_as_time_goes_by():
    heap = marking(work=100, procs=4, scan_byte_ns=2.0)
    sim, c = heap.sim, heap.h.controller
    sim.now = 101.0
    assert heap.do(MARK_ADVANCE) == 0
    assert (int(sim.mark_done), float(sim.mark_rest), int(c.bg_scan_credit)) == (50, 0.5, 50)
    assert (float(sim.mark_ns), int(c.fractional_mark_time), int(c.idle_mark_time)) == (101, 101, 0)
    # Until then the program had three Ps: the limiter's bucket stays empty.
    assert sim.bucket_ns == 0 and sim.ticked == 101
    sim.now = 102.0
    assert heap.do(MARK_ADVANCE) == 0 and sim.mark_done == 51 and sim.mark_rest == 0
    assert heap.do(FINISH_TIME) == 102 + 49 * 2
    sim.now = 199.0
    assert heap.do(MARK_ADVANCE) == 0 and sim.mark_done == 99 and heap.do(FINISH_TIME) == 200
    sim.now = 500.0
    assert heap.do(MARK_ADVANCE) == 1
    assert (int(sim.mark_done), int(c.bg_scan_credit), int(c.heap_scan_work)) == (100, 100, 100)


def test_idle_workers_scan_too():
    heap = marking(procs=8, idle_share=0.75)
    heap.sim.now = 100.0
    heap.do(MARK_ADVANCE)
    c = heap.h.controller
    assert (int(heap.sim.mark_done), int(c.fractional_mark_time), int(c.idle_mark_time)) == (600, 200, 400)
    assert heap.sim.mark_ns == 600 and heap.do(FINISH_TIME) == 100 + (1_000_000 - 600) / 6


def go_assist(debt_bytes, work_per_byte, bytes_per_work, credit, left):
    """gcAssistAlloc of runtime/mgcmark.go for a goroutine with ``gcAssistBytes`` = -debt_bytes, ``left`` to scan.

    Returns (gcAssistBytes, bgScanCredit, bytes scanned).
    """
    assist_bytes = -debt_bytes
    scan_work = int(work_per_byte * float(debt_bytes))
    if scan_work < OVER:
        scan_work = OVER
        debt_bytes = int(bytes_per_work * float(scan_work))
    if credit > 0:
        if credit < scan_work:
            stolen = credit
            assist_bytes += 1 + int(bytes_per_work * float(stolen))
        else:
            stolen = scan_work
            assist_bytes += debt_bytes
        credit -= stolen
        scan_work -= stolen
        if scan_work == 0:
            return assist_bytes, credit, 0
    # gcAssistAlloc1: gcDrainN stops when nothing is left.
    done = min(scan_work, left)
    return assist_bytes + 1 + int(bytes_per_work * float(done)), credit, done


def test_assists_are_those_of_go(rng):
    kinds = set()
    heap = marking(procs=2, scan_byte_ns=3.0)
    sim, c = heap.sim, heap.h.controller
    for _ in range(400):
        debt = int(rng.integers(1, 1 << int(rng.integers(4, 22))))
        per_byte = float(rng.uniform(0.01, 4))
        credit = int(rng.integers(-50_000, 300_000)) if rng.random() < 0.7 else 0
        left = int(rng.integers(1, 400_000))
        sim.assist_bytes[1], c.assist_work_per_byte, c.assist_bytes_per_work = -debt, per_byte, 1 / per_byte
        c.bg_scan_credit, sim.mark_done, sim.mark_rest = credit, 1_000_000 - left, 0.0
        sim.assist_ns = sim.stalled = sim.assist_pool = 0.0
        sim.now = sim.ticked = 1000.0
        c.assist_time = 0
        done = heap.do(ASSIST, 1)
        wanted = go_assist(debt, per_byte, 1 / per_byte, credit, left)
        assert (int(sim.assist_bytes[1]), int(c.bg_scan_credit), int(sim.mark_done) - 1_000_000 + left) == wanted
        took = 3.0 * wanted[2]
        assert done == (wanted[2] == left)
        assert sim.assist_ns == sim.stalled == c.assist_time == sim.assist_pool == took
        # The other P runs, as far as the collector leaves it time: one and a half on average.
        assert sim.now == pytest.approx(1000 + took / 1.5, rel=1e-12)
        kinds.add((wanted[2] > 0, wanted[2] == left, credit > 0, per_byte * debt < OVER))
    assert len(kinds) >= 8


def test_a_debt_of_one_byte_scans_64_kib():
    heap = marking()
    c = heap.h.controller
    c.assist_work_per_byte, c.assist_bytes_per_work = 0.5, 2.0
    heap.sim.assist_bytes[0] = -1
    heap.do(ASSIST, 0)
    assert heap.sim.mark_done == OVER and heap.sim.assist_bytes[0] == -1 + 1 + 2 * OVER


def test_workers_may_be_through_before_the_assist():
    heap = marking(work=1000)
    heap.sim.assist_bytes[0] = -100
    heap.sim.now = 1e6
    assert heap.do(ASSIST, 0) == 1 and heap.sim.assist_ns == 0 and heap.sim.assist_bytes[0] == -100


def test_an_allocation_pays_what_it_asks_for_and_not_again_before_it_is_in_debt():
    heap = Sim()
    heap.alloc(100)
    heap.do(START, 0)
    bought = []
    for _ in range(3):
        heap.alloc(100)
        bought.append(int(heap.sim.assist_bytes[0]))
    # The first buys 64 KiB of scanning and more; the others use it up.
    assert bought[0] > 0 and bought[1:] == [bought[0] - 100, bought[0] - 200]
    assert heap.sim.assist_ns == OVER and heap.sim.stall_ns == OVER


def test_marking_takes_at_least_its_wait():
    heap = marking(work=100, procs=4, scan_byte_ns=2.0)
    sim, c = heap.sim, heap.h.controller
    sim.mark_until = 1000.0
    sim.now = 200.0
    assert heap.do(FINISH_TIME) == 200
    assert heap.do(MARK_ADVANCE) == 0 and sim.mark_done == 100
    # Who waits marks nothing: no more time of a worker's is counted.
    assert heap.do(FINISH_TIME) == 1000 and sim.mark_ns == 200
    sim.now = 999.0
    assert heap.do(MARK_ADVANCE) == 0 and sim.mark_ns == 200 and c.fractional_mark_time == 200
    sim.now = 1000.0
    assert heap.do(MARK_ADVANCE) == 1 and c.bg_scan_credit == 100


def test_an_allocation_in_debt_waits_for_the_end_when_nothing_is_left():
    heap = marking(work=100, procs=1, scan_byte_ns=1.0)
    sim, c = heap.sim, heap.h.controller
    sim.mark_done, sim.mark_until, sim.now = 100, 5000.0, 1000.0
    sim.ticked = 1000.0
    c.assist_work_per_byte, c.assist_bytes_per_work, c.bg_scan_credit = 0.5, 2.0, 100
    sim.assist_bytes[0] = -50
    # 100 bytes of credit are not the 64 KiB that it would scan, but they pay the debt for the next time.
    assert heap.do(ASSIST, 0) == 1
    assert (float(sim.now), float(sim.stalled), float(sim.assist_ns)) == (5000, 4000, 0)
    assert (int(sim.assist_bytes[0]), int(c.bg_scan_credit)) == (-50 + 1 + 200, 0)


def test_an_assist_that_marks_the_last_byte_lets_the_program_run_on():
    heap = marking(work=100, procs=1, scan_byte_ns=1.0)
    sim, c = heap.sim, heap.h.controller
    sim.mark_until, sim.wake = 5000.0, 1e9
    c.assist_work_per_byte, c.assist_bytes_per_work = 0.5, 2.0
    sim.assist_bytes[0] = -50
    assert heap.do(ASSIST, 0) == 0
    assert (int(sim.mark_done), float(sim.assist_ns), float(sim.wake)) == (100, 100, 5000)
