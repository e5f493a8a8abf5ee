"""What follows from goal and trigger: the pace of the sweeper, and what the background scavenger keeps to.

The sweeper must be through before the next cycle starts: ``sweep_pages_per_byte`` is the pages left to sweep over the
bytes left to allocate until 1 MiB before the trigger.  ``sweep_pages_target`` says how far an allocation must have
swept.

The background scavenger has two goals.  GOGC's is about memory retained by the heap: what the heap used at the end of
the last cycle, scaled as the goal has changed since, and a tenth more.  GOMEMLIMIT's is about all memory: a part of the
limit.  Go 1.19 means 95% and takes 95 times the limit (runtime/mgcscavenge.go; 1.27 has 95%), so that this goal is not
reached before memory is: a fact about 1.19, and so a number in the parameters.

Follows gcControllerCommit of runtime/mgcpacer.go, gcPaceSweeper and deductSweepCredit of mgcsweep.go and
gcPaceScavenger of mgcscavenge.go, Go 1.19.  Whether sweeping is done and how many pages there are stands
in the heap, so callers say.
"""

import numpy as np

from ._jit import kjit
from .gofloat import go_int64, go_uint64
from .mgcpacer import gc_controller_commit, gc_controller_mapped_ready, gc_controller_trigger
from .mgcpacer_cycle import gc_controller_revise
from .mgcpacer_structs import NEVER, RETAIN_EXTRA_DIVISOR, SWEEP_MARGIN, U64_0
from .structs import PAGE_SIZE

_ZERO = np.float64(0.0)
_U64_1 = np.uint64(1)


@kjit
def gc_controller_commit_all(c, stats, marking, sweep_done, pages_swept, pages_in_use):
    """gcControllerCommit: commit, and set the pace of all that depends on it."""
    gc_controller_commit(c, stats, sweep_done)
    if marking:
        gc_controller_revise(c, stats)
    trigger, goal = gc_controller_trigger(c, stats)
    gc_pace_sweeper(c, stats, trigger, sweep_done, pages_swept, pages_in_use)
    gc_pace_scavenger(c, stats, goal)


@kjit
def gc_pace_sweeper(c, stats, trigger, sweep_done, pages_swept, pages_in_use):
    """gcPaceSweeper: pages to sweep for each byte allocated, so that all are swept before ``trigger``."""
    if sweep_done:
        c.sweep_pages_per_byte = _ZERO
        return
    live = np.int64(stats.heap_live)
    distance = np.int64(trigger) - live - SWEEP_MARGIN
    if distance < PAGE_SIZE:
        distance = PAGE_SIZE
    pages = pages_in_use - pages_swept
    if pages <= 0:
        c.sweep_pages_per_byte = _ZERO
        return
    c.sweep_pages_per_byte = np.float64(pages) / np.float64(distance)
    c.sweep_heap_live_basis = np.uint64(live)
    c.pages_swept_basis = np.uint64(pages_swept)


@kjit
def sweep_pages_target(c, stats, span_bytes, caller_sweep_pages):
    """The target of deductSweepCredit: pages to have swept since the basis before a span of ``span_bytes`` is taken."""
    live = np.uint64(stats.heap_live)
    new_live = np.uint64(span_bytes)
    if c.sweep_heap_live_basis < live:
        new_live += live - c.sweep_heap_live_basis
    return go_int64(c.sweep_pages_per_byte * np.float64(new_live)) - caller_sweep_pages


@kjit
def _memory_limit_goal(c, stats):
    """The memory limit's part of gcPaceScavenger: what all memory should shrink to; NEVER if it is there."""
    goal = go_uint64(np.float64(c.memory_limit) * c.params.scavenge_limit_factor)
    return NEVER if gc_controller_mapped_ready(c, stats) <= goal else goal


@kjit
def gc_pace_scavenger(c, stats, heap_goal):
    """gcPaceScavenger: the two goals of the background scavenger, now that the heap may grow to ``heap_goal``."""
    c.scavenge_memory_limit_goal = _memory_limit_goal(c, stats)
    c.scavenge_gc_percent_goal = NEVER
    if c.last_heap_goal == U64_0:
        # No cycle has ended yet.
        return
    ratio = np.float64(heap_goal) / np.float64(c.last_heap_goal)
    goal = go_uint64(np.float64(c.last_heap_in_use) * ratio)
    goal += goal // RETAIN_EXTRA_DIVISOR
    page = c.params.phys_page_size
    goal = (goal + page - _U64_1) & ~(page - _U64_1)
    retained = np.uint64(stats.heap_in_use + stats.heap_free)
    if retained > goal and retained - goal >= page:
        c.scavenge_gc_percent_goal = goal
