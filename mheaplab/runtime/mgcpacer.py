"""The pacer's goals: how large the heap may grow before the next collection ends, and where that one begins.

The *goal* is the smaller of two.  GOGC's: what the last cycle marked, plus GOGC percent of that and of the stacks and
globals it scanned, at least ``heap_minimum``.  GOMEMLIMIT's: the limit less everything mapped that is no heap object
nor free for one, less what is over the limit already (so that being over it shrinks the heap), less some headroom;
never below what is marked.  Where GOGC decides, two things may push the goal up: the sweeper needs a distance to finish
in, and a cycle that triggered late still gets 64 KiB.

The *trigger* is the goal less the *runway*: the bytes that the program will allocate while the GC scans what it scanned
last time.  That follows from cons/mark, the ratio of their speeds, weighted by 3 : 1, as CPUs are shared while marking.
It is kept within 45/64 and 61/64 of the way from the marked heap to the goal; for a large heap the upper bound is 4 MiB
below the goal instead, if that is higher.

``gc_controller_commit`` computes what changes at the end of a cycle or with a parameter; goal and trigger are worked
out whenever asked for.  The cycle itself is in ``mgcpacer_cycle``, what follows from the trigger in ``mgcpacer_pace``.

Follows runtime/mgcpacer.go of Go 1.19; what changed until 1.27 is in ``PACER_PARAMS``.  Simplified: statistics cannot
be caught half updated, so where Go would wait for them to agree, that they do not is a throw.
"""

import numpy as np

from ._jit import kjit
from .gofloat import go_uint64
from .mgcpacer_structs import (
    GOAL_UTILIZATION,
    MAX_STACK_SCAN_SLACK,
    MAX_TRIGGER_RATIO_NUM,
    MEMORY_LIMIT_MIN_HEADROOM,
    MIN_RUNWAY,
    MIN_TRIGGER_RATIO_NUM,
    NEVER,
    SWEEP_MIN_HEAP_DISTANCE,
    TRIGGER_RATIO_DEN,
    U64_0,
)
from .mpagealloc import Throw
from .structs import YES

_ONE = np.float64(1.0)
_HUNDRED = np.uint64(100)


@kjit
def gc_controller_init(c, stats, gc_percent, memory_limit):
    """gcControllerState.init: the controller of a program that starts with this GOGC and GOMEMLIMIT."""
    c.heap_minimum = c.params.default_heap_minimum
    c.triggered = NEVER
    gc_controller_set_gc_percent(c, gc_percent)
    gc_controller_set_memory_limit(c, memory_limit)
    gc_controller_commit(c, stats, YES)


@kjit
def gc_controller_set_gc_percent(c, percent):
    """setGCPercent: set GOGC (negative: off) and return what it was. A commit must follow."""
    old = np.int64(c.gc_percent)
    if percent < 0:
        percent = np.int64(-1)
    # For -1 the product wraps, as in Go; the minimum then is far above any heap, and there is no goal to raise to it.
    c.heap_minimum = c.params.default_heap_minimum * np.uint64(percent) // _HUNDRED
    c.gc_percent = percent
    return old


@kjit
def gc_controller_set_memory_limit(c, limit):
    """setMemoryLimit: set GOMEMLIMIT unless negative, and return what it was. A commit must follow."""
    old = np.int64(c.memory_limit)
    if limit >= 0:
        c.memory_limit = limit
    return old


@kjit
def gc_controller_mapped_ready(c, stats):
    """mappedReady: bytes mapped and backed by memory, the runtime's own included."""
    return np.uint64(stats.ready + c.params.other_ready)


@kjit
def gc_controller_memory_limit_heap_goal(c, stats):
    """memoryLimitHeapGoal: the heap goal that GOMEMLIMIT allows, at least what is marked."""
    heap_free = np.uint64(stats.heap_free)
    heap_alloc = np.uint64(stats.total_alloc - stats.total_free)
    mapped_ready = gc_controller_mapped_ready(c, stats)
    if heap_free + heap_alloc > mapped_ready:
        raise Throw("more heap than memory", heap_free, heap_alloc, mapped_ready)
    limit = np.uint64(c.memory_limit)
    non_heap = mapped_ready - heap_free - heap_alloc
    overage = U64_0
    if mapped_ready > limit:
        overage = mapped_ready - limit
    if non_heap + overage >= limit:
        return c.heap_marked
    goal = limit - (non_heap + overage)
    headroom = goal // _HUNDRED * c.params.limit_headroom_percent
    if headroom < MEMORY_LIMIT_MIN_HEADROOM:
        headroom = MEMORY_LIMIT_MIN_HEADROOM
    if goal < headroom or goal - headroom < headroom:
        goal = headroom
    else:
        goal -= headroom
    if goal < c.heap_marked:
        goal = c.heap_marked
    return goal


@kjit
def gc_controller_heap_goal_internal(c, stats):
    """heapGoalInternal: (goal, least trigger); the least trigger is never above the goal."""
    goal = c.gc_percent_heap_goal
    limited = gc_controller_memory_limit_heap_goal(c, stats)
    if limited < goal:
        # Nothing may raise the goal above the limit, nor the trigger above that goal.
        return limited, U64_0
    min_trigger = c.sweep_dist_min_trigger
    if min_trigger > goal:
        goal = min_trigger
    if c.triggered != NEVER and goal < c.triggered + MIN_RUNWAY:
        goal = c.triggered + MIN_RUNWAY
    return goal, min_trigger


@kjit
def gc_controller_heap_goal(c, stats):
    """heapGoal: the heap size at which this or the next cycle should end."""
    goal, _ = gc_controller_heap_goal_internal(c, stats)
    return goal


@kjit
def gc_controller_trigger_bounds(c, goal, min_trigger):
    """The lowest and highest trigger that trigger allows below ``goal``, which must be above what is marked."""
    marked = c.heap_marked
    if min_trigger < marked:
        min_trigger = marked
    step = (goal - marked) // TRIGGER_RATIO_DEN
    lower = step * MIN_TRIGGER_RATIO_NUM + marked
    if min_trigger < lower:
        min_trigger = lower
    max_trigger = step * MAX_TRIGGER_RATIO_NUM + marked
    least_heap = c.params.default_heap_minimum
    if goal > least_heap and goal - least_heap > max_trigger:
        max_trigger = goal - least_heap
    if max_trigger < min_trigger:
        max_trigger = min_trigger
    return min_trigger, max_trigger


@kjit
def gc_controller_trigger(c, stats):
    """trigger: (trigger, goal); the next cycle starts when heap_live reaches the trigger."""
    goal, min_trigger = gc_controller_heap_goal_internal(c, stats)
    if c.heap_marked >= goal:
        return goal, goal
    min_trigger, max_trigger = gc_controller_trigger_bounds(c, goal, min_trigger)
    trigger = min_trigger
    if c.runway <= goal:
        trigger = goal - c.runway
    if trigger < min_trigger:
        trigger = min_trigger
    if trigger > max_trigger:
        trigger = max_trigger
    if trigger > goal:
        raise Throw("produced a trigger greater than the heap goal", trigger, goal, min_trigger, max_trigger)
    return trigger, goal


@kjit
def gc_controller_commit(c, stats, sweep_done):
    """commit: recompute what goal and trigger are made of, after a cycle or a change of GOGC."""
    c.sweep_dist_min_trigger = U64_0
    if not sweep_done:
        c.sweep_dist_min_trigger = np.uint64(stats.heap_live) + SWEEP_MIN_HEAP_DISTANCE
    goal = NEVER
    if c.gc_percent >= 0:
        scannable = c.heap_marked + c.last_stack_scan + c.globals_scan
        goal = c.heap_marked + scannable * np.uint64(c.gc_percent) // _HUNDRED
    if goal < c.heap_minimum:
        goal = c.heap_minimum
    c.gc_percent_heap_goal = goal
    weighted = c.cons_mark * (_ONE - GOAL_UTILIZATION) / GOAL_UTILIZATION
    c.runway = go_uint64(weighted * np.float64(c.last_heap_scan + c.last_stack_scan + c.globals_scan))


@kjit
def gc_controller_add_scannable_stack(c, held, amount):
    """addScannableStack: count stack allocated (freed, if negative) by a P that still holds ``held`` uncounted bytes.

    Returns what the P holds afterwards, its maxStackScanDelta.
    """
    held += amount
    if held >= MAX_STACK_SCAN_SLACK or held <= -MAX_STACK_SCAN_SLACK:
        c.max_stack_scan += np.uint64(held)
        held = np.int64(0)
    return held


@kjit
def gc_controller_add_globals(c, amount):
    """addGlobals: count bytes of global variables that may hold pointers."""
    c.globals_scan += np.uint64(amount)
