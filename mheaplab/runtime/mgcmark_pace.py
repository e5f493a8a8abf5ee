"""Marking as time: how much of the reachable heap has been scanned, by background workers and by assists.

Nothing is traversed.  What there is to scan is known, since the run knows what the program can reach: the globals, the
stacks, and a share of every reachable object with pointers.  It is worked off as time goes by: a quarter of all Ps
marks, and idle Ps do (``mark_advance``); an allocation in debt marks for itself while the program waits
(``gc_assist_alloc``).  When nothing is left, marking is over.

While the collector has its quarter, the program runs on the other Ps, if it has that much to run (``program_speed``).

On a machine that is busy with something else the goroutine that would end marking may wait for a processor long after
the work is done (``mark_wait_ns``).  The program runs on, on credit that workers have earned; an allocation in debt
finds nothing to mark and waits for the end as well, as gcMarkDone's semaphore has it.

Follows gcAssistAlloc, gcAssistAlloc1 and gcFlushBgCredit of runtime/mgcmark.go, Go 1.19.  Simplified: debt and credit
are each P's, not each goroutine's; workers find work for as long as there is any; while an assist goes on, one P waits
and the others run, so the clock moves on by its share.
"""

import numpy as np

from ._jit import kinline, kjit
from .mgclimit import gc_cpu_limiter_update
from .mgcpacer_structs import GOAL_UTILIZATION

GC_OVER_ASSIST_WORK = np.int64(64 << 10)
"""gcOverAssistWork: an assist scans at least so many bytes, so that it need not assist again at once."""
_ZERO = np.float64(0.0)
_ONE = np.float64(1.0)
_LEAST_SPEED = np.float64(1e-3)


@kinline
def program_speed(h, marking):
    """Ps that run the program, on average."""
    params = h.sim.params
    procs = np.float64(params.procs)
    speed = procs * (_ONE - params.idle_share)
    if marking:
        speed = min(speed, procs * (_ONE - GOAL_UTILIZATION))
    return max(speed, _LEAST_SPEED)


@kinline
def idle_workers(h):
    """Ps that have nothing to run while the collector has its quarter, and so mark as well."""
    procs = np.float64(h.sim.params.procs)
    return max(procs * (_ONE - GOAL_UTILIZATION) - program_speed(h, True), _ZERO)


@kjit
def set_scan_work(h):
    """Tell the pacer what has been scanned: globals first, then stacks, then the heap."""
    c, sim = h.controller, h.sim
    left = np.int64(sim.mark_done)
    part = min(left, np.int64(sim.params.globals_bytes))
    c.globals_scan_work = part
    left -= part
    part = min(left, np.int64(sim.stack_work))
    c.stack_scan_work = part
    c.heap_scan_work = left - part


@kjit
def mark_begin(h):
    """Work out what this collection has to scan."""
    sim = h.sim
    # Go scans a stack from its stack pointer up, and most goroutines wait in a shallow frame of a stack of any size.
    used = min(np.int64(sim.stack_live), np.int64(sim.stack_count) * sim.params.stack_used_bytes)
    sim.stack_work = used + sim.params.stack_bytes
    heap = np.int64(np.float64(sim.live_scan) * sim.params.scan_share)
    sim.mark_work = heap + np.int64(sim.stack_work) + np.int64(sim.params.globals_bytes)
    sim.mark_done = np.int64(0)
    sim.mark_rest = _ZERO
    sim.mark_until = sim.now + sim.params.mark_wait_ns
    for p in range(np.int64(sim.ps_used)):
        sim.assist_bytes[p] = 0


@kjit
def mark_advance(h):
    """Background workers mark for the time since they last did; True: marking may end."""
    sim, c = h.sim, h.controller
    passed = sim.now - sim.ticked
    sim.ticked = sim.now
    if np.int64(sim.mark_done) >= np.int64(sim.mark_work):
        # A worker is timed up to where it found nothing more (gcBgMarkWorker), not while it waits.
        gc_cpu_limiter_update(h, passed * program_speed(h, True), _ZERO)
        return sim.now >= sim.mark_until
    procs = np.float64(sim.params.procs)
    workers = procs * GOAL_UTILIZATION
    idle = idle_workers(h)
    could = sim.mark_rest + passed * (workers + idle) / sim.params.scan_byte_ns
    left = np.int64(sim.mark_work) - np.int64(sim.mark_done)
    work = min(np.int64(min(could, np.float64(left))), left)
    sim.mark_rest = could - np.float64(work)
    sim.mark_done += work
    c.bg_scan_credit += work
    sim.mark_ns += passed * (workers + idle)
    c.fractional_mark_time += np.int64(passed * workers)
    c.idle_mark_time += np.int64(passed * idle)
    gc_cpu_limiter_update(h, passed * program_speed(h, True), passed * workers)
    set_scan_work(h)
    return np.int64(sim.mark_done) >= np.int64(sim.mark_work) and sim.now >= sim.mark_until


@kinline
def mark_finish_time(h):
    """When background workers alone would be through; when marking may end, if they are."""
    sim = h.sim
    if np.int64(sim.mark_done) >= np.int64(sim.mark_work):
        return max(sim.ticked, sim.mark_until)
    left = np.float64(np.int64(sim.mark_work) - np.int64(sim.mark_done)) - sim.mark_rest
    workers = np.float64(sim.params.procs) * GOAL_UTILIZATION + idle_workers(h)
    return sim.ticked + max(left, _ZERO) * sim.params.scan_byte_ns / workers


@kjit
def _wait_for_the_end(h):
    """An allocation in debt, with nothing to scan, waits until marking ends; True: it may end now.

    Others run meanwhile; when they are in debt they wait too.
    """
    sim = h.sim
    waits = sim.mark_until - sim.now
    sim.stalled += waits
    sim.now += waits / max(program_speed(h, True), _ONE)
    return sim.now >= sim.mark_until


@kjit
def gc_assist_alloc(h, p):
    """gcAssistAlloc: P ``p`` is in debt; steal credit, then scan. True: marking may end."""
    sim, c = h.sim, h.controller
    if mark_advance(h):
        return True
    if sim.limited != 0:
        return False
    debt = -np.int64(sim.assist_bytes[p])
    work = np.int64(c.assist_work_per_byte * np.float64(debt))
    if work < GC_OVER_ASSIST_WORK:
        work = GC_OVER_ASSIST_WORK
        debt = np.int64(c.assist_bytes_per_work * np.float64(work))
    credit = np.int64(c.bg_scan_credit)
    if credit > 0:
        if credit < work:
            sim.assist_bytes[p] += 1 + np.int64(c.assist_bytes_per_work * np.float64(credit))
        else:
            credit = work
            sim.assist_bytes[p] += debt
        c.bg_scan_credit -= credit
        work -= credit
        if work == 0:
            return False
    left = np.int64(sim.mark_work) - np.int64(sim.mark_done)
    if left <= 0:
        return _wait_for_the_end(h)
    work = min(work, left)
    sim.mark_done += work
    sim.assist_bytes[p] += 1 + np.int64(c.assist_bytes_per_work * np.float64(work))
    took = np.float64(work) * sim.params.scan_byte_ns
    c.assist_time += np.int64(took)
    sim.assist_ns += took
    sim.stalled += took
    sim.now += took / program_speed(h, True)
    sim.assist_pool += took
    set_scan_work(h)
    if np.int64(sim.mark_done) < np.int64(sim.mark_work):
        return False
    sim.wake = min(sim.wake, sim.mark_until)
    return sim.now >= sim.mark_until
