"""A collection that the twin decides on: gcTrigger.test, gcStart, the end of marking, and what goes on beside.

A run looks whether the trigger has been reached whenever an allocation has taken a span, as Go does.  ``cycle_start``
then finishes the last sweep and begins to mark; time passes, and when ``mgcmark_pace`` has scanned everything
``cycle_end`` unmarks the dead, starts to sweep, works out the next goal and trigger, and flushes the mcaches.

``background_tick`` does what other goroutines do meanwhile, at the time it is due: marking, the background sweeper, the
background scavenger, and the collection that comes when none has for two minutes.  ``next_wake`` is that time.

Follows gcStart, gcMarkDone, gcMarkTermination of runtime/mgc.go and bgsweep of mgcsweep.go, Go 1.19.  Simplified: the
two pauses take ``cycle_ns`` between them; what becomes of an object that dies while marking goes on does not depend on
how far marking was (``sim_objects``); the background sweeper sweeps at a given rate, and as fast as it can on a P that
is idle.
"""

import numpy as np

from ._jit import kinline, kjit
from .mgc import gc_start, gc_sweep, mark_allocated, reset_live, set_page_marks, unmark
from .mgclimit import gc_cpu_limiter_accumulate, gc_cpu_limiter_update
from .mgcmark_pace import idle_workers, mark_advance, mark_begin, mark_finish_time, program_speed, set_scan_work
from .mgcpacer import gc_controller_trigger
from .mgcpacer_cycle import gc_controller_end_cycle, gc_controller_reset_live, gc_controller_start_cycle
from .mgcpacer_pace import gc_controller_commit_all
from .mgcpacer_structs import GOAL_UTILIZATION, NEVER
from .mgcscavenge import mheap_scavenge_all
from .mgcscavenge_background import scavenger_ready, scavenger_wake
from .mgcsweep import sweepone
from .mheap import mheap_has_room
from .mpagealloc import Throw
from .sim_objects import DIED_MARKING, blacken_tiny_blocks, flush_mcaches
from .sim_samples import (
    cycle_begin,
    cycle_close,
    cycle_end_marking,
    cycle_note_swept,
    has_row_room,
    take_sample,
)
from .sim_structs import (
    SWEPT_BY_ALLOCATION,
    SWEPT_BY_FORCE,
    SWEPT_IN_BACKGROUND,
    WHY_MARK_END,
    WHY_MARK_START,
    WHY_SWEEP_END,
)
from .stack import free_stack_spans
from .structs import GC_MARK, GC_OFF, NO, YES
from .tables import deaths, deaths_set

NATURAL = np.int64(0)
FORCED = np.int64(1)
PERIODIC = np.int64(2)
_U0 = np.uint64(0)
_ZERO = np.float64(0.0)
_HALF = np.float64(0.5)
_ONE = np.float64(1.0)
_MS = np.float64(1e6)
_FOREVER = np.float64(np.inf)


@kinline
def gc_trigger_test(h):
    """gcTrigger.test for the heap's size: it has reached the trigger, and no collection is going on."""
    if h.gcphase != GC_OFF:
        return False
    trigger, _ = gc_controller_trigger(h.controller, h.stats)
    return np.uint64(h.stats.heap_live) >= trigger


@kjit
def sweep_ended(h):
    """The last span has just been swept: note when, and let the scavenger look."""
    h.sim.sweep_open = np.int64(0)
    cycle_note_swept(h)
    take_sample(h, WHY_SWEEP_END)
    h.sim.check_at = h.sim.events
    scavenger_ready(h)


@kjit
def cycle_start(h, forced):
    """gcStart: finish the last sweep and begin to mark. ``forced``: NATURAL, FORCED or PERIODIC."""
    sim = h.sim
    gc_start(h)
    if sim.sweep_open != 0:
        sim.sweep_open = np.int64(0)
        scavenger_ready(h)
    cycle_close(h)
    pause = sim.params.cycle_ns * _HALF
    gc_cpu_limiter_update(h, (sim.now - sim.gc_ended) * program_speed(h, NO), _ZERO)
    sim.now += pause
    gc_cpu_limiter_accumulate(h, _ZERO, pause * np.float64(sim.params.procs))
    blacken_tiny_blocks(h)
    gc_controller_start_cycle(h.controller, h.stats, np.int64(sim.now), sim.params.procs, forced == PERIODIC)
    mark_begin(h)
    sim.ticked = sim.now
    cycle_begin(h, forced)
    take_sample(h, WHY_MARK_START)
    sim.check_at = sim.events
    sim.wake = next_wake(h)


@kjit
def _unmark_the_dead(h):
    """Mark what is allocated, but for those that were dead when marking began, and set the page marks."""
    mark_allocated(h)
    kept = np.int64(0)
    for k in range(np.int64(h.deaths_len)):
        addr = deaths(h, k)
        if addr & DIED_MARKING != _U0:
            deaths_set(h, kept, addr & ~DIED_MARKING)
            kept += 1
            continue
        why = unmark(h, np.int64(addr))
        if why != 0:
            raise Throw("a dead object is not an allocated object", addr, why)
    h.deaths_len = kept
    set_page_marks(h, NO)


@kjit
def cycle_end(h):
    """gcMarkDone and gcMarkTermination: end marking and begin to sweep."""
    sim, c, stats = h.sim, h.controller, h.stats
    passed = sim.now - sim.ticked
    gc_cpu_limiter_update(h, passed * program_speed(h, YES), passed * np.float64(sim.params.procs) * GOAL_UTILIZATION)
    pause = sim.params.cycle_ns * _HALF
    sim.now += pause
    gc_cpu_limiter_accumulate(h, _ZERO, pause * np.float64(sim.params.procs))
    set_scan_work(h)
    gc_controller_end_cycle(c, stats, np.int64(sim.now), sim.params.procs)
    live_end = np.int64(stats.heap_live)
    _unmark_the_dead(h)
    reset_live(h)
    gc_controller_reset_live(c, stats, np.int64(h.heap_marked))
    gc_sweep(h)
    c.last_heap_in_use = np.uint64(stats.heap_in_use)
    commit(h)
    cycle_end_marking(h, live_end)
    free_stack_spans(h)
    flush_mcaches(h)
    sim.cycles_done += 1
    sim.cycle_open = np.int64(1)
    sim.sweep_open = np.int64(1)
    sim.sweep_rest = _ZERO
    sim.ticked = sim.now
    sim.gc_ended = sim.now
    sim.live_seen = stats.heap_live
    take_sample(h, WHY_MARK_END)
    sim.check_at = sim.events
    sim.wake = next_wake(h)


@kjit
def commit(h):
    """gcControllerCommit, and the scavenger's goal where allocSpan looks for it."""
    c = h.controller
    marking = h.gcphase == GC_MARK
    swept, in_use = np.int64(h.pages_swept), np.int64(h.pages_in_use)
    gc_controller_commit_all(c, h.stats, marking, h.sweep_drained != 0, swept, in_use)
    goal = np.int64(-1)
    if c.scavenge_gc_percent_goal != NEVER:
        goal = np.int64(c.scavenge_gc_percent_goal)
    h.gc_percent_goal = goal


# ------------------------------------------------------------------------------------------------ the background


@kinline
def sweeps_per_ns(h):
    """Spans that the background sweeper sweeps in a nanosecond."""
    params = h.sim.params
    idle = min(np.float64(params.procs) * params.idle_share, _ONE)
    if h.gcphase != GC_OFF:
        idle = min(idle_workers(h), _ONE)
    return params.background_sweep / _MS + idle / max(params.sweep_span_ns, _ONE)


@kjit
def next_wake(h):
    """When something in the background is due next, ns."""
    sim = h.sim
    wake = sim.scavenger.wake
    if h.gcphase == GC_MARK:
        wake = min(wake, mark_finish_time(h))
    else:
        if h.sim.sweep_open != 0:
            rate = sweeps_per_ns(h)
            if rate > _ZERO:
                wake = min(wake, sim.ticked + (_ONE - sim.sweep_rest) / rate)
        if sim.params.gogc >= 0:
            wake = min(wake, sim.gc_ended + sim.params.force_gc_ns)
    return wake


@kjit
def _background_sweep(h):
    """bgsweep: sweep as many spans as the time since the last tick allows."""
    sim = h.sim
    could = sim.sweep_rest + (sim.now - sim.ticked) * sweeps_per_ns(h)
    h.sweeper = SWEPT_IN_BACKGROUND
    while could >= _ONE and sweepone(h) != 0:
        could -= _ONE
    h.sweeper = SWEPT_BY_ALLOCATION
    sim.sweep_rest = min(could, _ONE)
    if h.sweep_drained != 0:
        sweep_ended(h)


@kjit
def _tick(h):
    """Do what is due just now beside the program."""
    sim = h.sim
    if h.gcphase == GC_MARK:
        if mark_advance(h):
            cycle_end(h)
    elif sim.sweep_open != 0:
        _background_sweep(h)
        sim.ticked = sim.now
    if sim.now >= sim.scavenger.wake:
        scavenger_wake(h)
    if h.gcphase == GC_OFF and sim.params.gogc >= 0 and sim.now - sim.gc_ended >= sim.params.force_gc_ns:
        cycle_start(h, PERIODIC)
    sim.wake = max(next_wake(h), sim.now + _ONE)


@kjit
def background_tick(h):
    """Do what is due by now beside the program, each thing at its time; False: the tables need room first.

    Between two events a program may have waited for minutes, in which the scavenger wakes many times.  What is done
    when room runs out stays done; the rest is still due.
    """
    sim = h.sim
    present = sim.now
    while sim.wake <= present:
        if not has_row_room(h) or not mheap_has_room(h, np.int64(1)):
            sim.now = present
            return False
        begin = max(sim.wake, sim.ticked)
        sim.now = begin
        _tick(h)
        # A collection's pause holds the program up as well.
        present += sim.now - begin
    sim.now = present
    return True


@kjit
def _finish_marking(h):
    """Let time pass until the collection that goes on is done; the program waits."""
    sim = h.sim
    while h.gcphase == GC_MARK:
        sim.now = max(sim.now, mark_finish_time(h) + _ONE)
        if mark_advance(h):
            cycle_end(h)


@kjit
def gc_forced(h, give_back):
    """runtime.GC: a whole collection, swept to its end; and all free memory to the OS if ``give_back``."""
    sim = h.sim
    _finish_marking(h)
    cycle_start(h, FORCED)
    _finish_marking(h)
    h.sweeper = SWEPT_BY_FORCE
    while sweepone(h) != 0:
        sim.now += sim.params.sweep_span_ns
    h.sweeper = SWEPT_BY_ALLOCATION
    sweep_ended(h)
    if give_back:
        sim.now += np.float64(mheap_scavenge_all(h)) / np.float64(1024) * sim.params.scavenge_kib_ns
    sim.ticked = sim.now
    sim.wake = next_wake(h)
