"""mgclimit: the leaky bucket of the CPU limiter, by hand and beside accumulate as Go has it."""

import numpy as np
import pytest
from runtime.sims import ASSIST, END, LIMITER, MARK_ADVANCE, START, Sim

SECOND = 10**9


class GoLimiter:
    """gcCPULimiterState.accumulate of runtime/mgclimit.go, in whole ns as there."""

    def __init__(self, procs):
        self.capacity, self.fill, self.enabled = procs * SECOND, 0, False

    def accumulate(self, mutator, collector):
        headroom = self.capacity - self.fill
        change = collector - mutator
        if change > 0 and headroom <= change:
            self.fill, self.enabled = self.capacity, True
            return
        if change < 0 and self.fill <= -change:
            self.fill = 0
        else:
            self.fill += change
        if change != 0 and headroom == 0:
            self.enabled = False


@pytest.mark.parametrize(
    ("times", "fill", "limited"),
    [
        ([(0, 1.5e9)], 1.5e9, 0),
        ([(0, 2e9 - 1)], 2e9 - 1, 0),
        ([(0, 2e9)], 2e9, 1),
        ([(0, 9e9)], 2e9, 1),
        ([(0, 9e9), (0, 0)], 2e9, 1),
        ([(0, 9e9), (1, 0)], 2e9 - 1, 0),
        ([(0, 1e9), (9e9, 0)], 0, 0),
        ([(0, 1e9), (5e8, 1e8)], 6e8, 0),
    ],
)
def test_a_bucket_of_a_second_for_each_p(times, fill, limited):
    heap = Sim(procs=2)
    for program, collector in times:
        heap.do(LIMITER, program, collector)
    assert (float(heap.sim.bucket_ns), int(heap.sim.limited)) == (fill, limited)


def test_any_times_fill_it_as_in_go(rng):
    for procs in (1, 3):
        heap, go = Sim(procs=procs), GoLimiter(procs)
        limited = 0
        for _ in range(300):
            program, collector = rng.integers(0, 2 * SECOND, 2).tolist() if rng.random() < 0.9 else (0, 0)
            heap.do(LIMITER, program, collector)
            go.accumulate(program, collector)
            assert (int(heap.sim.bucket_ns), bool(heap.sim.limited)) == (go.fill, go.enabled)
            limited += go.enabled
        assert 10 < limited < 290


def test_assists_are_no_time_of_the_program():
    """A program that does nothing but assist: with background workers that is all time of all Ps."""
    heap = Sim(procs=4, cycle_us=0.0, globals_bytes=1 << 30)
    heap.do(START, 0)
    heap.sim.bucket_ns = 0.0
    began = float(heap.sim.now)
    for _ in range(50):
        heap.sim.assist_bytes[0] = -(1 << 20)
        heap.h.controller.bg_scan_credit = 0
        heap.do(ASSIST, 0)
    heap.do(MARK_ADVANCE)
    passed = float(heap.sim.now) - began
    assert heap.sim.assist_ns == pytest.approx(3 * passed, rel=1e-9)
    assert heap.sim.bucket_ns == pytest.approx(4 * passed, rel=1e-9) and heap.sim.assist_pool == 0
    # Then it runs: as long again fills one P's time and drains three.
    heap.sim.now += passed
    heap.do(MARK_ADVANCE)
    assert heap.sim.bucket_ns == pytest.approx(2 * passed, rel=1e-9)


def test_what_is_left_when_marking_ends_and_begins_counts():
    heap = Sim(procs=4, cycle_us=0.0)
    heap.sim.now, heap.sim.assist_pool = 1000.0, 3000.0
    heap.do(START, 0)
    # Of 4000 ns of four Ps, 3000 went to scavenging for the limit.
    assert heap.sim.bucket_ns == 2000 and heap.sim.assist_pool == 0
    heap.sim.now, heap.sim.assist_pool = 2000.0, 1500.0
    heap.do(END)
    # The collector had 1000 and 1500 of assists, the program what is left of 4000.
    assert heap.sim.bucket_ns == 2000 + 2500 - 1500 and heap.sim.assist_pool == 0


def test_who_is_limited_does_not_assist():
    heap = Sim()
    heap.alloc(1000)
    heap.do(START, 0)
    heap.sim.assist_bytes[0] = -5000
    # Time has not passed, so that background workers, who would empty the bucket, have not either.
    heap.sim.bucket_ns = 1e9
    heap.do(LIMITER, 0, 0)
    heap.do(ASSIST, 0)
    assert heap.sim.limited == 1 and heap.sim.assist_bytes[0] == -5000 and heap.sim.assist_ns == 0
    heap.do(LIMITER, 1, 0)
    heap.do(ASSIST, 0)
    assert heap.sim.assist_bytes[0] > 0 and heap.sim.assist_ns == np.float64(64 << 10)
