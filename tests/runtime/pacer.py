"""The driver of the pacer's functions, that the comparison with Go and the tests by hand share.

``drive_pacer`` does a list of operations, a row each: its kind, and numbers in the order of ``GIVEN``; what the pacer
answers goes into the row of another array in the order of ``ANSWERED``, floats as their bits.  The first kinds are
those that recordings of Go's pacer have (``tools/pacer_go``), in their order; the others are for tests by hand, which
call ``do``.
"""

import numpy as np
from runtime.entry import entry

from mheaplab.params import HeapParams
from mheaplab.runtime._jit import kjit
from mheaplab.runtime.gofloat import go_uint64
from mheaplab.runtime.mgcpacer import (
    gc_controller_add_globals,
    gc_controller_add_scannable_stack,
    gc_controller_commit,
    gc_controller_heap_goal,
    gc_controller_heap_goal_internal,
    gc_controller_init,
    gc_controller_memory_limit_heap_goal,
    gc_controller_set_gc_percent,
    gc_controller_set_memory_limit,
    gc_controller_trigger,
    gc_controller_trigger_bounds,
)
from mheaplab.runtime.mgcpacer_cycle import (
    gc_controller_add_idle_mark_worker,
    gc_controller_end_cycle,
    gc_controller_find_worker_mode,
    gc_controller_mark_worker_stop,
    gc_controller_need_idle_mark_worker,
    gc_controller_remove_idle_mark_worker,
    gc_controller_reset_live,
    gc_controller_revise,
    gc_controller_set_max_idle_mark_workers,
    gc_controller_start_cycle,
    gc_controller_update,
)
from mheaplab.runtime.mgcpacer_pace import gc_controller_commit_all, sweep_pages_target
from mheaplab.runtime.mgcpacer_structs import GC_CONTROLLER
from mheaplab.runtime.records import struct
from mheaplab.runtime.structs import NO, STATS

RECORDED_KINDS = "init memory start revise worker end commit percent limit update stack globals idle".split()
KINDS = [*RECORDED_KINDS, "bounds", "find", "target"]
INIT, MEMORY, START, REVISE, WORKER, END, COMMIT, PERCENT, LIMIT, UPDATE, STACK, GLOBALS, IDLE = range(13)
BOUNDS, FIND, TARGET = range(13, 16)
IDLE_ADD, IDLE_NEED, IDLE_REMOVE, IDLE_MOST = range(4)
GIVEN = {
    "init": "percent limit",
    "memory": "heap_in_use heap_free total_alloc total_free mapped_ready",
    "start": "now over stack globals frac procs flags",
    "revise": "d_live d_scan heap_work stack_work globals_work",
    "worker": "mode duration",
    "end": "marked assist now procs",
    "commit": "flags swept in_use last_in_use",
    "percent": "percent",
    "limit": "limit",
    "update": "d_live d_scan marking",
    "stack": "amount",
    "globals": "amount",
    "idle": "what most",
    "bounds": "",
    "find": "fractional_mark_time now",
    "target": "span_bytes swept",
}
"""What an operation is given. Flags of start: 1 where the heap is, 2 periodic; of commit: 1 marking, 2 swept."""
ANSWERED = {
    "init": "",
    "memory": "limit_goal goal",
    "start": "triggered goal ratio dedicated fractional max_idle",
    "revise": "goal ratio",
    "worker": "",
    "end": "goal trigger cons_mark runway",
    "commit": "goal trigger per_byte percent_goal limit_goal",
    "percent": "old",
    "limit": "old",
    "update": "live",
    "stack": "",
    "globals": "",
    "idle": "answer",
    "bounds": "goal trigger low high limit_goal",
    "find": "mode",
    "target": "pages",
}
FLOATS = ("ratio", "fractional", "cons_mark", "per_byte")
MOST_GIVEN, MOST_ANSWERED = 7, 6
DIGEST = MOST_ANSWERED
"""Column of the digest, behind the answers."""

PACER = struct(
    ("c", GC_CONTROLLER),
    ("stats", STATS),
    ("held", "i8"),  # bytes of stack that the P has not counted yet
    ("digest", "u8"),  # of the pacer after each operation so far
)
"""What the driver works on."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_DIGEST_SHIFT = np.uint64(48)


# ---------------------------------------------------------------------------------------------------- driver


@kjit
def bits(x):
    """Return the bits of a float."""
    return np.float64(x).view(np.uint64)


@kjit
def mix(g, word):
    """Add a word to the digest, as the recording does."""
    x = (g.digest ^ np.uint64(word)) * _MULTIPLIER
    g.digest = x ^ (x >> _SHIFT)


@kjit
def bounds(g, answer):
    """The goal, the trigger and what bounds them; returns the least trigger that a sweep asks for."""
    c = g.c
    goal, least = gc_controller_heap_goal_internal(c, g.stats)
    trigger, _ = gc_controller_trigger(c, g.stats)
    low = goal
    high = goal
    if c.heap_marked < goal:
        low, high = gc_controller_trigger_bounds(c, goal, least)
    answer[0] = goal
    answer[1] = trigger
    answer[2] = low
    answer[3] = high
    answer[4] = gc_controller_memory_limit_heap_goal(c, g.stats)
    return least


@kjit
def mix_goals(g, words):
    """Add the goal, the trigger and what bounds them."""
    least = bounds(g, words)
    mix(g, words[0])
    mix(g, least)
    for i in range(1, 5):
        mix(g, words[i])


@kjit
def mix_settings(g):
    """Add GOGC, GOMEMLIMIT, and what commit and the last cycle made."""
    c = g.c
    mix(g, c.gc_percent)
    mix(g, c.memory_limit)
    mix(g, c.heap_minimum)
    mix(g, c.runway)
    mix(g, bits(c.cons_mark))
    for word in (c.gc_percent_heap_goal, c.sweep_dist_min_trigger, c.triggered, c.last_heap_goal, c.last_heap_scan):
        mix(g, word)
    mix(g, c.heap_marked)


@kjit
def mix_cycle(g):
    """Add the accounts of a cycle, and the pace."""
    c = g.c
    for work in (c.heap_scan_work, c.stack_scan_work, c.globals_scan_work, c.assist_time, c.mark_start_time):
        mix(g, work)
    mix(g, c.idle_mark_workers)
    mix(g, c.max_idle_mark_workers)
    for ratio in (c.fractional_utilization_goal, c.assist_work_per_byte, c.assist_bytes_per_work):
        mix(g, bits(ratio))
    mix(g, bits(c.sweep_pages_per_byte))
    mix(g, c.sweep_heap_live_basis)
    mix(g, c.pages_swept_basis)
    mix(g, c.scavenge_gc_percent_goal)
    mix(g, c.scavenge_memory_limit_goal)
    mix(g, g.held)


@kjit
def mix_rest(g):
    """Add what the two versions store differently."""
    c = g.c
    mix(g, g.stats.heap_live)
    for scan in (c.heap_scan, c.last_stack_scan, c.max_stack_scan, c.globals_scan):
        mix(g, scan)
    for time in (c.dedicated_mark_time, c.fractional_mark_time, c.idle_mark_time, c.dedicated_mark_workers_needed):
        mix(g, time)
    mix(g, bits(c.err_integral))
    mix(g, c.err_overflow | c.input_overflow << 1)
    for i in range(4):
        mix(g, bits(c.last_cons_mark[i]))


@kjit
def set_memory(g, given):
    """The statistics that a memory limit is about."""
    stats = g.stats
    stats.heap_in_use = given[0]
    stats.heap_free = given[1]
    stats.total_alloc = given[2]
    stats.total_free = given[3]
    stats.ready = given[4]


@kjit
def start(g, given, answer):
    """StartCycle of Go's export_test.go: a cycle that starts at the trigger, or late, or where the heap is."""
    c = g.c
    stats = g.stats
    over = np.uint64(given[1])
    if given[6] & 1:
        stats.heap_live += given[1]
    else:
        trigger, _ = gc_controller_trigger(c, stats)
        live = max(trigger, c.heap_marked) + over
        stats.heap_live = np.int64(live)
        c.heap_scan += go_uint64(np.float64(live - c.heap_marked) * (np.float64(given[4]) / np.float64(64.0)))
    c.max_stack_scan = np.uint64(given[2])
    c.globals_scan = np.uint64(given[3])
    gc_controller_start_cycle(c, stats, given[0], given[5], given[6] & 2 != 0)
    answer[0] = c.triggered
    answer[1] = gc_controller_heap_goal(c, stats)
    answer[2] = bits(c.assist_work_per_byte)
    answer[3] = np.uint64(c.dedicated_mark_workers_needed)
    answer[4] = bits(c.fractional_utilization_goal)
    answer[5] = np.uint64(c.max_idle_mark_workers)


@kjit
def revise(g, given, answer):
    """Revise of Go's export_test.go: count what was allocated and scanned, and revise."""
    c = g.c
    g.stats.heap_live += given[0]
    c.heap_scan += np.uint64(given[1])
    c.heap_scan_work += given[2]
    c.stack_scan_work += given[3]
    c.globals_scan_work += given[4]
    gc_controller_revise(c, g.stats)
    answer[0] = gc_controller_heap_goal(c, g.stats)
    answer[1] = bits(c.assist_work_per_byte)


@kjit
def end(g, given, answer):
    """EndCycle of Go's export_test.go: endCycle, resetLive and commit."""
    c = g.c
    c.assist_time = given[1]
    gc_controller_end_cycle(c, g.stats, given[2], given[3])
    gc_controller_reset_live(c, g.stats, given[0])
    gc_controller_commit(c, g.stats, NO)
    trigger, goal = gc_controller_trigger(c, g.stats)
    answer[0] = goal
    answer[1] = trigger
    answer[2] = bits(c.cons_mark)
    answer[3] = c.runway


@kjit
def commit(g, given, answer):
    """gcControllerCommit."""
    c = g.c
    c.last_heap_in_use = np.uint64(given[3])
    gc_controller_commit_all(c, g.stats, given[0] & 1 != 0, given[0] & 2 != 0, given[1], given[2])
    trigger, goal = gc_controller_trigger(c, g.stats)
    answer[0] = goal
    answer[1] = trigger
    answer[2] = bits(c.sweep_pages_per_byte)
    answer[3] = c.scavenge_gc_percent_goal
    answer[4] = c.scavenge_memory_limit_goal


@kjit
def idle(c, what, most):
    """One of the four operations on idle workers."""
    answer = NO
    if what == IDLE_ADD:
        answer = gc_controller_add_idle_mark_worker(c)
    elif what == IDLE_NEED:
        answer = gc_controller_need_idle_mark_worker(c)
    elif what == IDLE_REMOVE:
        gc_controller_remove_idle_mark_worker(c)
    else:
        gc_controller_set_max_idle_mark_workers(c, most)
    return np.uint64(answer)


@kjit
def small(g, kind, given, answer):
    """The operations with at most one answer."""
    c = g.c
    if kind == WORKER:
        gc_controller_mark_worker_stop(c, given[0], given[1])
    elif kind == PERCENT:
        answer[0] = np.uint64(gc_controller_set_gc_percent(c, given[0]))
    elif kind == LIMIT:
        answer[0] = np.uint64(gc_controller_set_memory_limit(c, given[0]))
    elif kind == UPDATE:
        gc_controller_update(c, g.stats, given[0], given[1], given[2] != 0)
        answer[0] = np.uint64(g.stats.heap_live)
    elif kind == STACK:
        g.held = gc_controller_add_scannable_stack(c, np.int64(g.held), given[0])
    elif kind == GLOBALS:
        gc_controller_add_globals(c, given[0])
    elif kind == IDLE:
        answer[0] = idle(c, given[0], given[1])
    elif kind == FIND:
        answer[0] = np.uint64(gc_controller_find_worker_mode(c, given[0], given[1]))
    elif kind == TARGET:
        answer[0] = np.uint64(sweep_pages_target(c, g.stats, given[0], given[1]))


@kjit
def operate(g, kind, given, answer):
    """Do one operation."""
    if kind == INIT:
        gc_controller_init(g.c, g.stats, given[0], given[1])
    elif kind == MEMORY:
        set_memory(g, given)
        answer[0] = gc_controller_memory_limit_heap_goal(g.c, g.stats)
        answer[1] = gc_controller_heap_goal(g.c, g.stats)
    elif kind == START:
        start(g, given, answer)
    elif kind == REVISE:
        revise(g, given, answer)
    elif kind == END:
        end(g, given, answer)
    elif kind == COMMIT:
        commit(g, given, answer)
    elif kind == BOUNDS:
        bounds(g, answer)
    else:
        small(g, kind, given, answer)


@entry
def drive_pacer(g, kinds, given, want, got):
    """Do all operations; return the index of the first whose answer differs from ``want``, as far as that goes."""
    words = np.zeros(MOST_ANSWERED, np.uint64)
    for k in range(len(kinds)):
        operate(g, kinds[k], given[k], got[k])
        if k >= len(want):
            continue
        mix_goals(g, words)
        mix_settings(g)
        mix_cycle(g)
        mix_rest(g)
        got[k, DIGEST] = g.digest >> _DIGEST_SHIFT
        for j in range(DIGEST + 1):
            if got[k, j] != want[k, j]:
                return k
    return len(kinds)


# ---------------------------------------------------------------------------------------------------- by hand


def new_pacer(version="go1.19", **changes):
    """Return the driver's record for a new program, before init."""
    g = np.zeros((), PACER)[()]
    g["c"]["params"] = HeapParams.of_version(version, **changes).pacer_record()
    return g


def do(g, *operations):
    """Do operations, tuples of kind and numbers; return what the last of them answered, by name."""
    given = np.zeros((len(operations), MOST_GIVEN), np.int64)
    for k, (_, *numbers) in enumerate(operations):
        given[k, : len(numbers)] = numbers
    kinds = np.array([KINDS.index(name) for name, *_ in operations])
    got = np.zeros((len(operations), MOST_ANSWERED + 1), np.uint64)
    with np.errstate(all="ignore"):
        drive_pacer(g, kinds, given, got[:0], got)
    return answers(operations[-1][0], got[-1])


def answers(name, row):
    """Return what an operation answered, by name."""
    columns = zip(ANSWERED[name].split(), row.tolist(), row.view(np.float64).tolist(), strict=False)
    return {column: x if column in FLOATS else word for column, word, x in columns}
