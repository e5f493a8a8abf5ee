"""mgcpacer_cycle by hand: workers, assists, cons/mark. Go's own numbers are in test_go_pacer."""

import numpy as np
import pytest
from runtime.pacer import IDLE_ADD, IDLE_MOST, IDLE_NEED, IDLE_REMOVE, do, new_pacer

from mheaplab.runtime.mgcpacer_structs import DEDICATED_MODE, FRACTIONAL_MODE, IDLE_MODE, NOT_WORKER
from mheaplab.runtime.mpagealloc import Throw

KIB, MIB = 1 << 10, 1 << 20
NEVER = (1 << 64) - 1
NO_LIMIT = (1 << 63) - 1
STAY, PERIODIC = 1, 2


def pacer(version="go1.19", percent=100, live=0, **fields):
    """Return a pacer after init with some of its fields set."""
    g = new_pacer(version)
    do(g, ("init", percent, NO_LIMIT))
    g.stats.heap_live = live
    for name, value in fields.items():
        g["c"][name] = value
    return g


def start(g, procs=4, flags=STAY, now=0):
    """Start a cycle where the heap is, and return what the pacer says."""
    return do(g, ("start", now, 0, 0, 0, 0, procs, flags))


# ---------------------------------------------------------------------------------------------------- workers


@pytest.mark.parametrize(
    ("procs", "dedicated", "fractional"),
    [
        (1, 0, 0.25),
        (2, 0, 0.25),
        (3, 0, 0.25),
        (4, 1, 0.0),
        (5, 1, 0.0),
        (6, 1, 0.5 / 6),
        (7, 2, 0.0),
        (8, 2, 0.0),
        (9, 2, 0.0),
        (10, 3, 0.0),
        (64, 16, 0.0),
        (255, 64, 0.0),
    ],
)
def test_workers(procs, dedicated, fractional):
    """A quarter of the Ps; idle workers on the others, or at most where the cycle is periodic."""
    got = start(pacer(), procs)
    assert (got["dedicated"], got["fractional"], got["max_idle"]) == (dedicated, fractional, procs - dedicated)
    got = start(pacer(), procs, STAY | PERIODIC)
    assert (got["dedicated"], got["max_idle"]) == (dedicated, 0 if dedicated else 1)


def test_start_resets():
    """The accounts of the last cycle are gone; what it marked and estimated is not."""
    accounts = "heap_scan_work stack_scan_work globals_scan_work bg_scan_credit assist_time dedicated_mark_time"
    accounts = [*accounts.split(), "fractional_mark_time", "idle_mark_time"]
    g = pacer(heap_marked=MIB, cons_mark=0.5, **dict.fromkeys(accounts, 77))
    start(g, now=123)
    assert [int(g["c"][name]) for name in accounts] == [0] * 8
    assert (int(g.c.mark_start_time), int(g.c.heap_marked), float(g.c.cons_mark)) == (123, MIB, 0.5)


@pytest.mark.parametrize(("version", "triggered"), [("go1.19", 4 * MIB // 64 * 61), ("go1.27", 3 * MIB)])
def test_triggered(version, triggered):
    """Go 1.19 takes a cycle for triggered where it should be, Go 1.27 where the heap is."""
    assert start(pacer(version, live=3 * MIB))["triggered"] == triggered


def test_worker_mode():
    """Dedicated workers first, each P takes one; then fractional ones, unless this P has had its part."""
    g = pacer(dedicated_mark_workers_needed=2, fractional_utilization_goal=0.25, mark_start_time=1000)
    find = ("find", 0, 1000)
    assert [do(g, find)["mode"] for _ in range(3)] == [DEDICATED_MODE, DEDICATED_MODE, FRACTIONAL_MODE]
    assert int(g.c.dedicated_mark_workers_needed) == 0
    assert do(g, ("find", 99, 1000))["mode"] == FRACTIONAL_MODE  # no time has passed
    assert do(g, ("find", 25, 1100))["mode"] == FRACTIONAL_MODE
    assert do(g, ("find", 26, 1100))["mode"] == NOT_WORKER
    g.c.fractional_utilization_goal = 0
    assert do(g, ("find", 0, 1100))["mode"] == NOT_WORKER


def test_worker_stop():
    """Time is counted by kind; a dedicated worker is needed again, an idle one makes room."""
    g = pacer(max_idle_mark_workers=1)
    do(g, ("idle", IDLE_ADD), ("worker", DEDICATED_MODE, 5), ("worker", FRACTIONAL_MODE, 7), ("worker", IDLE_MODE, 9))
    times = (g.c.dedicated_mark_time, g.c.fractional_mark_time, g.c.idle_mark_time)
    assert [int(t) for t in times] == [5, 7, 9]
    assert (int(g.c.dedicated_mark_workers_needed), int(g.c.idle_mark_workers)) == (1, 0)


@pytest.mark.parametrize("mode", [NOT_WORKER, 4, -1])
def test_unknown_worker(mode):
    with pytest.raises(Throw, match="markWorkerStop: unknown mark worker mode"):
        do(pacer(), ("worker", mode, 1))


def test_idle_workers():
    """No more than allowed at a time; fewer allowed than there are stops none."""
    g = pacer(max_idle_mark_workers=2)
    assert [do(g, ("idle", IDLE_ADD))["answer"] for _ in range(3)] == [1, 1, 0]
    assert int(g.c.idle_mark_workers) == 2
    assert do(g, ("idle", IDLE_MOST, 1), ("idle", IDLE_NEED))["answer"] == 0
    assert do(g, ("idle", IDLE_REMOVE), ("idle", IDLE_NEED))["answer"] == 0
    assert do(g, ("idle", IDLE_REMOVE), ("idle", IDLE_NEED))["answer"] == 1
    with pytest.raises(Throw, match="negative idle mark workers"):
        do(g, ("idle", IDLE_REMOVE))


# ---------------------------------------------------------------------------------------------------- assists


def revised(g, **work):
    """Revise with nothing new, and return goal and ratio."""
    for name, value in work.items():
        g["c"][name] = value
    got = do(g, ("revise",))
    assert float(g.c.assist_work_per_byte) == got["ratio"]
    return got["ratio"], float(g.c.assist_bytes_per_work)


def marking(live=60, percent=100, **fields):
    """Return a pacer in a cycle: goal 100 MiB, triggered at 60, 20 MiB of 40 scannable ones expected to be scanned."""
    expected = {"last_heap_scan": 14 * MIB, "last_stack_scan": 4 * MIB, "globals_scan": 2 * MIB}
    most = {"heap_scan": 28 * MIB, "max_stack_scan": 10 * MIB}
    goal = {"gc_percent_heap_goal": 100 * MIB, "triggered": 60 * MIB, "heap_marked": 50 * MIB}
    return pacer(percent=percent, live=live * MIB, **(expected | most | goal | fields))


def test_ratio():
    """The scan work left over the allocation left until the goal, and the other way round."""
    assert revised(marking()) == (20 / 40, 40 / 20)
    assert revised(marking(80), heap_scan_work=8 * MIB, stack_scan_work=MIB, globals_scan_work=MIB) == (10 / 20, 2.0)


def test_work_is_never_done():
    """1000 bytes are always left to scan, one byte to allocate."""
    assert revised(marking(), heap_scan_work=20 * MIB) == (1000 / (40 * MIB), 40 * MIB / 1000)
    assert revised(marking(), heap_scan_work=20 * MIB - 1001)[0] == 1001 / (40 * MIB)
    assert revised(marking(100)) == (20.0 * MIB, 1 / (20 * MIB))
    assert revised(marking(100, gc_percent_heap_goal=100 * MIB + 2))[0] == 10.0 * MIB


def test_grown_heap():
    """More work than expected: twice the work, so twice the way from the trigger; 30 MiB done of 40, 80 to allocate."""
    assert revised(marking(), heap_scan_work=30 * MIB)[0] == 10 / 80
    # The next cycle's goal, where GOGC is small, is nearer.
    assert revised(marking(percent=20), heap_scan_work=30 * MIB)[0] == 10 / 60
    # With GOGC=off there is none.
    assert revised(marking(percent=-1), heap_scan_work=30 * MIB)[0] == 10 / 80


def test_heap_beyond_the_goal():
    """A tenth more, and the worst case is reckoned with."""
    goal = int(100 * MIB * 1.1)
    assert revised(marking(101))[0] == 40 * MIB / (goal - 101 * MIB)
    assert revised(marking(200))[0] == 40.0 * MIB


def test_update():
    """What may hold pointers is counted between cycles only; while marking the ratio is revised."""
    g = marking()
    do(g, ("update", 20 * MIB, 3, 0))
    assert (int(g.stats.heap_live), int(g.c.heap_scan), float(g.c.assist_work_per_byte)) == (80 * MIB, 28 * MIB + 3, 0)
    do(g, ("update", -MIB, 3, 1))
    assert (int(g.stats.heap_live), int(g.c.heap_scan)) == (79 * MIB, 28 * MIB + 3)
    assert float(g.c.assist_work_per_byte) == 20 / 21


# ---------------------------------------------------------------------------------------------------- end


def finish(g, live, work=10 * MIB, now=1000, assist=0, procs=4, marked=MIB):
    """End a cycle that was triggered at 4 MiB and return what the pacer says."""
    g.stats.heap_live = live
    g.c.triggered = 4 * MIB
    g.c.heap_scan_work = work
    return do(g, ("end", marked, assist, now, procs))


def test_cons_mark():
    """Bytes allocated per CPU time of the program over bytes scanned per CPU time of the GC, in Go 1.27 as it is."""
    got = finish(pacer("go1.27"), 9 * MIB)
    assert got["cons_mark"] == (5 * 0.25) / (10 * 0.75)
    # Assists take another quarter, idle workers an eighth.
    got = finish(pacer("go1.27", idle_mark_time=500), 9 * MIB, assist=1000)
    assert got["cons_mark"] == (5 * 0.625) / (10 * 0.5)
    # A cycle of no time has nothing but the goal.
    got = finish(pacer("go1.27", idle_mark_time=500), 9 * MIB, assist=1000, now=0)
    assert got["cons_mark"] == (5 * 0.25) / (10 * 0.75)


@pytest.mark.parametrize("version", ["go1.19", "go1.27"])
def test_nothing_allocated(version):
    """No measurement; but the goal is remembered, and the heap is what was marked."""
    g = pacer(version, cons_mark=0.5, stack_scan_work=7)
    assert finish(g, 4 * MIB)["cons_mark"] == 0.5
    assert float(g.c.err_integral) == 0 and not g.c.last_cons_mark.any()
    # 4 MiB by GOGC, and 64 KiB because it triggered there.
    assert int(g.c.last_heap_goal) == 4 * MIB + 64 * KIB
    assert (int(g.stats.heap_live), int(g.c.heap_marked), int(g.c.triggered)) == (MIB, MIB, NEVER)
    assert [int(n) for n in (g.c.heap_scan, g.c.last_heap_scan, g.c.last_stack_scan)] == [10 * MIB, 10 * MIB, 7]
    # Its last words are of the next cycle, which waits for a sweep: 1 MiB beyond what lives.
    assert int(g.c.sweep_dist_min_trigger) == 2 * MIB


def test_largest_of_five():
    """Go 1.27: the new measurement or the largest of the four before it."""
    g = pacer("go1.27")
    unit = 0.25 / 7.5
    amounts = [3, 1, 2, 1, 1, 1, 4, 1]
    got = [finish(g, (4 + amount) * MIB)["cons_mark"] / unit for amount in amounts]
    assert got == pytest.approx([3, 3, 3, 3, 3, 2, 4, 4])
    assert g.c.last_cons_mark.tolist()[:4] == pytest.approx([unit, unit, 4 * unit, unit])


def test_controller():
    """Go 1.19: two steps of the PI controller, whose input is its last output."""
    g = pacer("go1.19")
    unit = 0.25 / 7.5
    first = finish(g, 7 * MIB)["cons_mark"]
    assert first == pytest.approx(0.9 * 3 * unit)
    integral = 0.9 / 4 * 3 * unit
    assert float(g.c.err_integral) == pytest.approx(integral)
    error = 5 * unit - first
    assert finish(g, 9 * MIB)["cons_mark"] == pytest.approx(0.9 * error + integral)
    assert float(g.c.err_integral) == pytest.approx(integral + 0.9 / 4 * error)


@pytest.mark.parametrize("sign", [1, -1])
def test_controller_at_its_bounds(sign):
    """The output stops at 1000; the error's sum is pulled back by a thousandth of the rest."""
    g = pacer("go1.19", err_integral=sign * 3000.0)
    assert finish(g, 4 * MIB + 1)["cons_mark"] == sign * 1000
    assert float(g.c.err_integral) == pytest.approx(sign * 2998.0)


@pytest.mark.parametrize(("integral", "input_overflow", "err_overflow"), [(0.0, 1, 0), (np.nan, 1, 0), (np.inf, 1, 0)])
def test_controller_fails(integral, input_overflow, err_overflow):
    """A cycle without work has an infinite cons/mark: everything back to 0."""
    g = pacer("go1.19", cons_mark=3.0, err_integral=integral)
    assert finish(g, 9 * MIB, work=0)["cons_mark"] == 0
    assert float(g.c.err_integral) == 0
    assert (int(g.c.input_overflow), int(g.c.err_overflow)) == (input_overflow, err_overflow)


def test_window_takes_infinity():
    """Go 1.27: an infinite cons/mark starts cycles as early as may be, for five of them."""
    g = pacer("go1.27")
    got = [finish(g, 9 * MIB, work=0 if k == 0 else 10 * MIB)["cons_mark"] for k in range(6)]
    assert got == [np.inf] * 5 + [pytest.approx(1.25 / 7.5)]
