"""One cycle as the pacer sees it: how many workers mark, how much allocations must help, what it says of the next one.

At the start a quarter of the Ps is given to dedicated workers, rounded; if rounding is off by more than 30%, fractional
workers on the other Ps make up for it.  Ps with nothing else to do may run idle workers.

``gc_controller_revise`` sets the *assist ratio*: the scan work left over the allocation left until the goal, so that
both run out together.  The work expected is that of the last cycle.  Once more than that has been done the heap must
have grown: then the worst case counts, everything that may hold pointers, and the goal is moved out in proportion, up
to what the next cycle's goal would be anyway.  A heap beyond even that goal gets a tenth more, to finish in.

At the end the cycle's cons/mark is measured: bytes allocated since the trigger per CPU time of the program, over bytes
scanned per CPU time of the GC.  One measurement is noisy.  Go 1.19 feeds it to a PI controller; Go 1.27 takes the
largest of it and the last four, since a high value only starts cycles early, and a low one makes allocations wait.

Follows runtime/mgcpacer.go of Go 1.19.  Left out: GODEBUG=gcstoptheworld; the times that startCycle clears in every P;
what finds a goroutine for a worker, or preempts a P for one (enlistWorker).
"""

import numpy as np

from ._jit import kjit
from .gofloat import go_int64
from .mgcpacer import gc_controller_heap_goal, gc_controller_trigger
from .mgcpacer_structs import (
    DEDICATED_MODE,
    FRACTIONAL_MODE,
    GC_OFF_PERCENT,
    GOAL_UTILIZATION,
    IDLE_MODE,
    MAX_OVERSHOOT,
    MAX_UTIL_ERROR,
    MIN_SCAN_WORK,
    NEVER,
    NOT_WORKER,
    PI_KP,
    PI_MAX,
    PI_MIN,
    PI_PERIOD,
    PI_TI,
    PI_TT,
)
from .mpagealloc import Throw
from .structs import NO, YES

_ZERO = np.float64(0.0)
_HALF = np.float64(0.5)
_ONE = np.float64(1.0)
_HUNDRED = np.float64(100.0)


# ---------------------------------------------------------------------------------------------------- start


@kjit
def gc_controller_start_cycle(c, stats, now, procs, periodic):
    """startCycle: reset the cycle's accounts at time ``now`` and decide on workers for ``procs`` Ps.

    ``periodic``: the cycle starts because none has for two minutes, so the program is idle as it is.
    """
    c.heap_scan_work = 0
    c.stack_scan_work = 0
    c.globals_scan_work = 0
    c.bg_scan_credit = 0
    c.assist_time = 0
    c.dedicated_mark_time = 0
    c.fractional_mark_time = 0
    c.idle_mark_time = 0
    c.mark_start_time = now
    if c.params.live_is_trigger:
        c.triggered = np.uint64(stats.heap_live)
    else:
        trigger, _ = gc_controller_trigger(c, stats)
        c.triggered = trigger
    dedicated = _set_mark_workers(c, procs)
    if not periodic:
        gc_controller_set_max_idle_mark_workers(c, procs - dedicated)
    elif dedicated > 0:
        gc_controller_set_max_idle_mark_workers(c, np.int64(0))
    else:
        # A fractional worker alone may never be scheduled.
        gc_controller_set_max_idle_mark_workers(c, np.int64(1))
    gc_controller_revise(c, stats)


@kjit
def _set_mark_workers(c, procs):
    """The part of startCycle that divides a quarter of the Ps between kinds of workers; the dedicated ones."""
    goal = np.float64(procs) * GOAL_UTILIZATION
    dedicated = go_int64(goal + _HALF)
    fractional = _ZERO
    error = np.float64(dedicated) / goal - _ONE
    if error < -MAX_UTIL_ERROR or error > MAX_UTIL_ERROR:
        if np.float64(dedicated) > goal:
            dedicated -= 1
        fractional = (goal - np.float64(dedicated)) / np.float64(procs)
    c.dedicated_mark_workers_needed = dedicated
    c.fractional_utilization_goal = fractional
    return dedicated


# ---------------------------------------------------------------------------------------------------- assists


@kjit
def _extended_goal(c, goal, expected, most):
    """The part of revise that moves the goal out for a heap that grew: ``most`` bytes to scan, not ``expected``."""
    percent = np.int64(c.gc_percent)
    if percent < 0:
        percent = GC_OFF_PERCENT
    triggered = np.int64(c.triggered)
    extended = go_int64(np.float64(goal - triggered) / np.float64(expected) * np.float64(most)) + triggered
    hard = go_int64((_ONE + np.float64(percent) / _HUNDRED) * np.float64(goal))
    if extended > hard:
        extended = hard
    return extended


@kjit
def gc_controller_revise(c, stats):
    """revise: set the assist ratio from what is left to scan and to allocate."""
    live = np.int64(stats.heap_live)
    work = np.int64(c.heap_scan_work + c.stack_scan_work + c.globals_scan_work)
    goal = np.int64(gc_controller_heap_goal(c, stats))
    expected = np.int64(c.last_heap_scan + c.last_stack_scan + c.globals_scan)
    most = np.int64(c.heap_scan + c.max_stack_scan + c.globals_scan)
    if work > expected:
        goal = _extended_goal(c, goal, expected, most)
        expected = most
    if live > goal:
        goal = go_int64(np.float64(goal) * MAX_OVERSHOOT)
        expected = most
    work_remaining = expected - work
    if work_remaining < MIN_SCAN_WORK:
        work_remaining = MIN_SCAN_WORK
    heap_remaining = goal - live
    if heap_remaining <= 0:
        heap_remaining = np.int64(1)
    c.assist_work_per_byte = np.float64(work_remaining) / np.float64(heap_remaining)
    c.assist_bytes_per_work = np.float64(heap_remaining) / np.float64(work_remaining)


@kjit
def gc_controller_update(c, stats, d_heap_live, d_heap_scan, marking):
    """update: count bytes that became live; while ``marking``, revise, else count those that may hold pointers."""
    stats.heap_live += d_heap_live
    if marking:
        gc_controller_revise(c, stats)
    else:
        c.heap_scan += np.uint64(d_heap_scan)


# ---------------------------------------------------------------------------------------------------- end


@kjit
def _pi_next(c, measured):
    """piController.next, with a reset of cons_mark where that fails: smooth one measurement."""
    error = measured - c.cons_mark
    raw = PI_KP * error + c.err_integral
    if not np.isfinite(raw):
        c.err_integral = _ZERO
        c.input_overflow = 1
        return _ZERO
    output = raw
    if output < PI_MIN:
        output = PI_MIN
    elif output > PI_MAX:
        output = PI_MAX
    c.err_integral += (PI_KP * PI_PERIOD / PI_TI) * error + (PI_PERIOD / PI_TT) * (output - raw)
    if not np.isfinite(c.err_integral):
        c.err_integral = _ZERO
        c.err_overflow = 1
        return _ZERO
    return output


@kjit
def _largest_of_window(c, measured):
    """The part of endCycle of Go 1.27 that takes the largest of the last measurements, and remembers this one."""
    largest = measured
    last = np.int64(c.params.cons_mark_window) - 1
    for i in range(last + 1):
        if c.last_cons_mark[i] > largest:
            largest = c.last_cons_mark[i]
    for i in range(last):
        c.last_cons_mark[i] = c.last_cons_mark[i + 1]
    c.last_cons_mark[last] = measured
    return largest


@kjit
def gc_controller_end_cycle(c, stats, now, procs):
    """endCycle: estimate cons/mark from the cycle that ends at time ``now``."""
    c.last_heap_goal = gc_controller_heap_goal(c, stats)
    duration = np.int64(now - c.mark_start_time)
    utilization = GOAL_UTILIZATION
    idle = _ZERO
    if duration > 0:
        utilization += np.float64(c.assist_time) / np.float64(duration * procs)
        idle = np.float64(c.idle_mark_time) / np.float64(duration * procs)
    live = np.uint64(stats.heap_live)
    if live <= c.triggered:
        # Nothing was allocated, so nothing is known.
        return
    work = np.int64(c.heap_scan_work + c.stack_scan_work + c.globals_scan_work)
    cons = np.float64(live - c.triggered) * (utilization + idle)
    measured = cons / (np.float64(work) * (_ONE - utilization))
    if c.params.cons_mark_window == 0:
        c.cons_mark = _pi_next(c, measured)
    else:
        c.cons_mark = _largest_of_window(c, measured)


@kjit
def gc_controller_reset_live(c, stats, bytes_marked):
    """resetLive: the heap is what was marked. Comes after end_cycle and before commit."""
    c.heap_marked = np.uint64(bytes_marked)
    stats.heap_live = bytes_marked
    c.heap_scan = np.uint64(c.heap_scan_work)
    c.last_heap_scan = np.uint64(c.heap_scan_work)
    c.last_stack_scan = np.uint64(c.stack_scan_work)
    c.triggered = NEVER


# ---------------------------------------------------------------------------------------------------- workers


@kjit
def gc_controller_find_worker_mode(c, fractional_mark_time, now):
    """findRunnableGCWorker's decision: the kind of worker that a P runs next, having spent so long in fractional ones.

    A dedicated worker is taken from those still needed; NOT_WORKER: none.
    """
    if c.dedicated_mark_workers_needed > 0:
        c.dedicated_mark_workers_needed -= 1
        return DEDICATED_MODE
    if c.fractional_utilization_goal == _ZERO:
        return NOT_WORKER
    since = np.int64(now - c.mark_start_time)
    if since > 0 and np.float64(fractional_mark_time) / np.float64(since) > c.fractional_utilization_goal:
        return NOT_WORKER
    return FRACTIONAL_MODE


@kjit
def gc_controller_mark_worker_stop(c, mode, duration):
    """markWorkerStop: a worker of kind ``mode`` stops after ``duration`` ns."""
    if mode == DEDICATED_MODE:
        c.dedicated_mark_time += duration
        c.dedicated_mark_workers_needed += 1
    elif mode == FRACTIONAL_MODE:
        c.fractional_mark_time += duration
    elif mode == IDLE_MODE:
        c.idle_mark_time += duration
        gc_controller_remove_idle_mark_worker(c)
    else:
        raise Throw("markWorkerStop: unknown mark worker mode", mode)


@kjit
def gc_controller_need_idle_mark_worker(c):
    """needIdleMarkWorker: whether one more idle worker may run."""
    return c.idle_mark_workers < c.max_idle_mark_workers


@kjit
def gc_controller_add_idle_mark_worker(c):
    """addIdleMarkWorker: count one more idle worker; False, and no change, if there are enough."""
    if not gc_controller_need_idle_mark_worker(c):
        return NO
    c.idle_mark_workers += 1
    return YES


@kjit
def gc_controller_remove_idle_mark_worker(c):
    """removeIdleMarkWorker: an idle worker has stopped."""
    if c.idle_mark_workers < 1:
        raise Throw("negative idle mark workers", c.idle_mark_workers, c.max_idle_mark_workers)
    c.idle_mark_workers -= 1


@kjit
def gc_controller_set_max_idle_mark_workers(c, most):
    """setMaxIdleMarkWorkers: how many idle workers may run from now on; those that run may be more."""
    c.max_idle_mark_workers = most
