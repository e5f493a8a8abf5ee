"""mgcscavenge_background: when the scavenger runs, what it gives back, when it parks; its pace: test_go_scavenger."""

import numpy as np
import pytest
from runtime.sims import (
    FREE_MANUAL,
    MANUAL,
    MIB,
    PAGE,
    READY,
    SCAVENGE,
    SCAVENGER_INIT,
    SCAVENGER_WAKE,
    STOP,
    TICK,
    Sim,
)

NEVER = (1 << 64) - 1
KIB = 1024
QUANTUM = 64 * KIB


def with_free(nbytes, goal=0, **changes):
    """Return a heap with ``nbytes`` free and backed, and a goal for what the heap retains."""
    heap = Sim(huge_page_bytes=0, page_cache_pages=0, **changes)
    heap.do(FREE_MANUAL, heap.do(MANUAL, nbytes // PAGE))
    heap.h.controller.scavenge_gc_percent_goal = goal
    heap.h.controller.scavenge_memory_limit_goal = NEVER
    return heap


def test_it_begins_parked_and_is_woken_when_sysmon_looks():
    heap = Sim()
    s = heap.sim.scavenger
    s.sleep_ratio = 5.0
    heap.do(SCAVENGER_INIT)
    assert (int(s.parked), float(s.wake), float(s.sleep_ratio)) == (1, np.inf, 0.001)
    heap.sim.now = 500.0
    heap.do(READY)
    assert s.wake == 500 + 1e7
    # Who has been woken is not woken again, and who sleeps does not wake sooner.
    heap.sim.now = 900.0
    heap.do(READY)
    assert s.wake == 500 + 1e7
    s.parked, s.wake = 0, np.inf
    heap.do(READY)
    assert np.isinf(s.wake)


@pytest.mark.parametrize(
    ("percent_goal", "limit_goal", "other", "stops"),
    [
        (NEVER, NEVER, 0, 1),
        (QUANTUM, NEVER, 0, 1),
        (QUANTUM - 1, NEVER, 0, 0),
        (NEVER, QUANTUM, 0, 1),
        (NEVER, QUANTUM - 1, 0, 0),
        (NEVER, QUANTUM + 9, 10, 0),
        (NEVER, QUANTUM + 10, 10, 1),
        (0, NEVER, 0, 0),
    ],
)
def test_it_stops_when_neither_goal_is_exceeded(percent_goal, limit_goal, other, stops):
    heap = with_free(QUANTUM)
    c = heap.h.controller
    c.scavenge_gc_percent_goal, c.scavenge_memory_limit_goal, c.params.other_ready = percent_goal, limit_goal, other
    assert int(heap.h.stats.ready) == QUANTUM and heap.do(STOP) == stops


def test_it_works_for_a_millisecond():
    heap = with_free(4 << 20, scavenge_kib_ns=2500.0)
    # 160 µs for 64 KiB: the seventh time makes it 1.12 ms.
    assert heap.do(SCAVENGE) == 7 * 160_000 and heap.h.out_scav == 7 * QUANTUM
    assert heap.h.stats.heap_released >= 7 * QUANTUM and heap.h.stats.heap_free == (4 << 20) - 7 * QUANTUM


def test_it_goes_as_far_as_the_goal():
    heap = with_free(4 << 20, goal=(4 << 20) - 100 * KIB, scavenge_kib_ns=1.0)
    assert heap.do(SCAVENGE) == 128 and heap.h.out_scav == 2 * QUANTUM


def test_it_ends_with_the_last_free_page():
    heap = with_free(QUANTUM + 3 * PAGE, scavenge_kib_ns=10.0)
    assert heap.do(SCAVENGE) == 640 + 240 and heap.h.out_scav == QUANTUM + 3 * PAGE and heap.h.stats.heap_free == 0


def test_it_ends_when_nothing_is_free_although_the_goal_is_exceeded():
    heap = with_free(3 * PAGE)
    heap.alloc(MIB)
    heap.do(FREE_MANUAL, heap.do(MANUAL, 3))
    assert heap.do(STOP) == 0
    free = int(heap.h.stats.heap_free)
    heap.do(SCAVENGE)
    assert heap.h.out_scav == free > 0 and heap.h.stats.heap_free == 0 and heap.do(STOP) == 0


def test_where_the_clock_says_nothing_a_page_takes_ten_microseconds():
    heap = with_free(4 << 20, scavenge_kib_ns=0.0)
    assert heap.do(SCAVENGE) == 7 * 16 * 10_000 and heap.h.out_scav == 7 * QUANTUM


def test_it_sleeps_long_enough_and_then_goes_on():
    heap = with_free(1 << 20, scavenge_kib_ns=2500.0)
    s = heap.sim.scavenger
    heap.sim.now = 100.0
    heap.do(SCAVENGER_WAKE)
    assert (int(s.parked), float(s.worked), float(s.slept)) == (0, 1_120_000, 1_120_000_000)
    assert s.wake == 100 + 1_120_000 + 1_120_000_000
    assert heap.h.stats.scavenged_background == 7 * QUANTUM
    heap.sim.now = heap.sim.wake = float(s.wake)
    heap.do(TICK)
    # The first sleep was ten times too long: the ratio rises by 0.3375 times what is missing of 1%.
    part = 1_120_000 / (1_120_000 + 1_120_000_000)
    assert s.sleep_ratio == pytest.approx(0.3375 * (0.01 - part), rel=1e-12)
    assert heap.h.stats.scavenged_background == 14 * QUANTUM
    for _ in range(2):
        heap.sim.now = float(s.wake)
        heap.do(TICK)
    # Two quanta were left; then there was nothing, so it parked.
    assert heap.h.stats.scavenged_background == 1 << 20 and s.parked and np.isinf(s.wake)
    assert heap.sim.wake == 120e9


def test_a_little_work_counts_as_a_millisecond():
    heap = with_free(PAGE, scavenge_kib_ns=1.0)
    heap.do(SCAVENGER_WAKE)
    assert (float(heap.sim.scavenger.worked), float(heap.sim.scavenger.slept)) == (1e6, 1e9)


def test_who_parks_keeps_the_ratio():
    heap = with_free(PAGE)
    s = heap.sim.scavenger
    s.sleep_ratio, s.err_integral, s.slept, s.worked = 0.25, 0.125, 5e8, 1e6
    heap.h.controller.scavenge_gc_percent_goal = NEVER
    heap.do(READY)
    heap.do(SCAVENGER_WAKE)
    assert (float(s.sleep_ratio), float(s.err_integral), int(s.parked)) == (0.25, 0.125, 1)
