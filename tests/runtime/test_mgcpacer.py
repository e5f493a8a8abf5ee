"""mgcpacer by hand: goals and triggers whose numbers follow from the file's essay. Go's own are in test_go_pacer."""

import numpy as np
import pytest
from runtime.pacer import do, new_pacer

from mheaplab.params import HeapParams
from mheaplab.runtime.mpagealloc import Throw

KIB, MIB = 1 << 10, 1 << 20
NEVER = (1 << 64) - 1
NO_LIMIT = (1 << 63) - 1
FAR = 1 << 62


def pacer(version="go1.19", percent=100, limit=NO_LIMIT, **fields):
    """Return a pacer after init with some of its fields set."""
    g = new_pacer(version)
    do(g, ("init", percent, limit))
    for name, value in fields.items():
        g["c"][name] = value
    return g


def memory(in_use=0, free=0, alloc=0, ready=0):
    """Return the operation that sets memory: heap spans, free, objects, all that is mapped and ready."""
    return ("memory", in_use, free, alloc, 0, ready)


# ---------------------------------------------------------------------------------------------------- GOGC


@pytest.mark.parametrize(
    ("percent", "minimum"),
    [(100, 4 * MIB), (25, MIB), (50, 2 * MIB), (800, 32 * MIB), (1, 41943), (0, 0), (-1, (2**64 - 4 * MIB) // 100)],
)
def test_heap_minimum(percent, minimum):
    """4 MiB scaled by GOGC, cut to whole bytes; off is -1 as an unsigned number, and only the limit is left."""
    g = pacer(percent=percent)
    assert int(g.c.heap_minimum) == minimum
    assert int(g.c.gc_percent_heap_goal) == (minimum if percent >= 0 else NEVER)
    assert do(g, ("bounds",))["goal"] == (minimum if percent >= 0 else NO_LIMIT - MIB)


def test_smaller_heap_minimum():
    """GOEXPERIMENT=heapminimum512KiB: also the distance that a large heap's trigger keeps from its goal."""
    g = new_pacer(heap_minimum_bytes=512 * KIB)
    do(g, ("init", 100, NO_LIMIT))
    assert do(g, ("bounds",))["goal"] == 512 * KIB
    g.c.gc_percent_heap_goal = 64 * MIB
    assert do(g, ("bounds",))["high"] == 64 * MIB - 512 * KIB


def test_set_gc_percent():
    """What it was is returned; any negative number is -1; nothing happens to the goal before a commit."""
    g = pacer(percent=100)
    assert do(g, ("percent", 200))["old"] == 100
    assert int(g.c.gc_percent_heap_goal) == 4 * MIB
    assert do(g, ("commit", 2, 0, 0, 0))["goal"] == 8 * MIB
    assert do(g, ("percent", -7))["old"] == 200
    assert do(g, ("percent", 50))["old"] == 2**64 - 1


def test_set_memory_limit():
    """A negative limit asks only."""
    g = pacer(limit=FAR)
    assert do(g, ("limit", -1))["old"] == FAR
    assert do(g, ("limit", 0))["old"] == FAR
    assert do(g, ("limit", 5))["old"] == 0
    assert int(g.c.memory_limit) == 5


def test_goal_includes_stacks_and_globals():
    """GOGC percent of marked heap, stacks and globals on top of the marked heap alone."""
    g = pacer(percent=50, heap_marked=100 * MIB, last_stack_scan=10 * MIB, globals_scan=6 * MIB)
    assert do(g, ("commit", 2, 0, 0, 0))["goal"] == (100 + 58) * MIB


def test_commit_with_gogc_off():
    g = pacer(percent=-1, heap_marked=100 * MIB)
    assert do(g, ("commit", 2, 0, 0, 0))["goal"] == NO_LIMIT - MIB
    assert int(g.c.gc_percent_heap_goal) == NEVER


# ---------------------------------------------------------------------------------------------------- GOMEMLIMIT


@pytest.mark.parametrize(
    ("limit", "free", "alloc", "other", "marked", "old", "new"),
    [
        # 100 MiB, of which 10 are no heap: 90, less 1 MiB or 3% (in whole hundreds of bytes)
        (100, 20, 40, 10, 30, 89 * MIB, 90 * MIB - 90 * MIB // 100 * 3),
        # 3% of 20 MiB are less than 1 MiB
        (30, 0, 10, 10, 5, 19 * MIB, 19 * MIB),
        # 5 MiB over the limit: that comes off too
        (60, 15, 40, 10, 30, 44 * MIB, 45 * MIB - 45 * MIB // 100 * 3),
        # never below what is marked
        (60, 15, 40, 10, 50, 50 * MIB, 50 * MIB),
        # non-heap memory alone is the limit
        (10, 0, 0, 10, 3, 3 * MIB, 3 * MIB),
        (10, 0, 0, 10, 0.5, 0.5 * MIB, 0.5 * MIB),
        # less than two headrooms are left: one headroom
        (11, 0, 0, 10, 0, MIB, MIB),
        (12, 0, 0, 10, 0, MIB, MIB),
        (12.5, 0, 0, 10, 0, 1.5 * MIB, 1.5 * MIB),
        (10.5, 0, 0, 10, 0, MIB, MIB),
    ],
)
def test_memory_limit(limit, free, alloc, other, marked, old, new):
    """The goal that a limit allows, in both versions; here GOGC is off."""
    for version, want in (("go1.19", old), ("go1.27", new)):
        g = pacer(version, percent=-1, limit=int(limit * MIB), heap_marked=marked * MIB)
        ready = (free + alloc + other) * MIB
        got = do(g, memory(free=free * MIB, alloc=alloc * MIB, ready=ready))
        assert got == {"limit_goal": want, "goal": want}, version


def test_memory_beside_the_heap():
    """Memory that the program has beside what the heap counts comes off the goal."""
    g = new_pacer()
    g.c.params.other_ready = 7 * MIB
    do(g, ("init", -1, 100 * MIB))
    assert do(g, memory(alloc=10 * MIB, ready=10 * MIB))["goal"] == 92 * MIB


def test_memory_that_is_freed():
    """Objects are those allocated less those freed."""
    g = pacer(percent=-1, limit=100 * MIB)
    freed = do(g, ("memory", 0, 0, 50 * MIB, 20 * MIB, 35 * MIB))
    assert freed["goal"] == 94 * MIB


def test_statistics_that_disagree():
    """More heap than memory: Go would wait for another thread to make them agree."""
    g = pacer(limit=100 * MIB)
    with pytest.raises(Throw, match="more heap than memory"):
        do(g, memory(free=MIB, alloc=MIB, ready=2 * MIB - 1))


def test_the_smaller_goal_wins():
    """GOGC's where both are equal: then a late trigger moves the goal out."""
    g = pacer(limit=100 * MIB, gc_percent_heap_goal=50 * MIB)
    assert do(g, memory())["goal"] == 50 * MIB
    g.c.gc_percent_heap_goal = 99 * MIB
    g.c.triggered = 99 * MIB
    assert do(g, memory()) == {"limit_goal": 99 * MIB, "goal": 99 * MIB + 64 * KIB}
    g.c.gc_percent_heap_goal = 99 * MIB + 1
    assert do(g, memory())["goal"] == 99 * MIB


# ---------------------------------------------------------------------------------------------------- pushed up


def test_late_trigger():
    """64 KiB beyond the trigger at least; a cycle that is not going on has none."""
    g = pacer(gc_percent_heap_goal=10 * MIB, triggered=10 * MIB - 64 * KIB)
    assert do(g, ("bounds",))["goal"] == 10 * MIB
    g.c.triggered = 10 * MIB - 64 * KIB + 1
    assert do(g, ("bounds",))["goal"] == 10 * MIB + 1
    g.c.triggered = NEVER
    assert do(g, ("bounds",))["goal"] == 10 * MIB


def test_sweep_distance():
    """The trigger, and with it the goal, is 1 MiB beyond the live heap while sweeping; but not above a limit's goal."""
    g = pacer()
    g.stats.heap_live = 9 * MIB
    got = do(g, ("commit", 0, 0, 0, 0))
    assert got["goal"] == got["trigger"] == 10 * MIB
    g.c.memory_limit = 7 * MIB
    g.c.gc_percent_heap_goal = 8 * MIB
    got = do(g, ("bounds",))
    assert got["goal"] == 6 * MIB and got["low"] == 6 * MIB // 64 * 45
    g.c.memory_limit = NO_LIMIT
    got = do(g, ("commit", 2, 0, 0, 0))
    assert got["goal"] == 4 * MIB and int(g.c.sweep_dist_min_trigger) == 0


# ---------------------------------------------------------------------------------------------------- trigger


@pytest.mark.parametrize(
    ("goal", "marked", "runway", "trigger"),
    [
        (128, 64, 10, 118),  # the runway before the goal
        (256, 64, 0, 252),  # no nearer than 4 MiB, in a large heap
        (128, 64, 0, 125),  # 61/64 of the way
        (128, 64, 19, 109),  # 45/64 of the way
        (128, 64, 20, 109),
        (128, 64, 129, 109),  # a runway longer than the heap
        (20, 4, 0, 19.25),
        (20, 4, 5, 15.25),
        (64, 64, 5, 64),  # nothing to allocate
        (60, 64, 5, 60),  # less than nothing, as with a limit
    ],
)
def test_trigger(goal, marked, runway, trigger):
    g = pacer(gc_percent_heap_goal=goal * MIB, heap_marked=marked * MIB, runway=runway * MIB)
    assert do(g, ("bounds",))["trigger"] == trigger * MIB


def test_trigger_divides_before_it_multiplies():
    """63 bytes of heap growth are no 64th: the trigger may lie where the marked heap is."""
    g = pacer(gc_percent_heap_goal=1063, heap_marked=1000)
    got = do(g, ("bounds",))
    assert (got["goal"], got["low"], got["trigger"], got["high"]) == (1063, 1000, 1000, 1000)


def test_trigger_of_a_sweep():
    """The least trigger of a sweep counts where it is above the others, and the highest gives way."""
    g = pacer(gc_percent_heap_goal=20 * MIB, heap_marked=4 * MIB, sweep_dist_min_trigger=19.5 * MIB)
    got = do(g, ("bounds",))
    assert (got["low"], got["high"], got["trigger"]) == (19.5 * MIB, 19.5 * MIB, 19.5 * MIB)
    g.c.sweep_dist_min_trigger = 2 * MIB
    assert do(g, ("bounds",))["low"] == 15.25 * MIB


def test_runway():
    """Three times cons/mark of what was scanned; what does not fit an integer is a half of all numbers."""
    g = pacer(cons_mark=0.25, last_heap_scan=8 * MIB, last_stack_scan=4 * MIB, globals_scan=4 * MIB)
    do(g, ("commit", 2, 0, 0, 0))
    assert int(g.c.runway) == 12 * MIB
    for cons_mark, runway in ((np.inf, 1 << 63), (np.nan, 1 << 63), (-1 / 3, 2**64 - 16 * MIB)):
        g.c.cons_mark = cons_mark
        do(g, ("commit", 2, 0, 0, 0))
        assert int(g.c.runway) == runway


# ---------------------------------------------------------------------------------------------------- counts


def test_scannable_stack():
    """A P holds back less than 8 KiB, up or down."""
    g = pacer()
    for amount, held, counted in (
        (8191, 8191, 0),
        (1, 0, 8192),
        (-8191, -8191, 8192),
        (-1, 0, 0),
        (20000, 0, 20000),
        (-20001, 0, 2**64 - 1),
    ):
        do(g, ("stack", amount))
        assert (int(g.held), int(g.c.max_stack_scan)) == (held, counted)


def test_globals():
    g = pacer()
    do(g, ("globals", 100), ("globals", 23), ("globals", -3))
    assert int(g.c.globals_scan) == 120


def test_parameters_come_from_the_heap():
    """Physical pages and memory beside the heap are the heap's parameters."""
    record = HeapParams.go119(phys_page_bytes=8192, other_ready_bytes=5).pacer_record()
    assert (int(record.phys_page_size), int(record.other_ready)) == (8192, 5)
