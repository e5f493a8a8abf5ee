"""mgcpacer_pace by hand: the sweeper's line and the scavenger's goals. Go's own numbers are in test_go_pacer."""

import pytest
from runtime.pacer import do, new_pacer

KIB, MIB = 1 << 10, 1 << 20
NEVER = (1 << 64) - 1
NO_LIMIT = (1 << 63) - 1
PAGE = 4096
MARKING, SWEPT = 1, 2


def pacer(version="go1.19", limit=NO_LIMIT, **fields):
    """Return a pacer after init with some of its fields set."""
    g = new_pacer(version)
    do(g, ("init", 100, limit))
    for name, value in fields.items():
        g["c"][name] = value
    return g


def commit(g, flags=SWEPT, swept=0, in_use=0, last_in_use=0):
    """Commit and return what the pacer says."""
    return do(g, ("commit", flags, swept, in_use, last_in_use))


# ---------------------------------------------------------------------------------------------------- sweeper


def test_pace_of_sweeping():
    """All pages until 1 MiB before the trigger."""
    # Marked 64 MiB, goal 128; the trigger is 61/64 of the way, 45 MiB beyond the live heap.
    g = pacer(heap_marked=64 * MIB)
    g.stats.heap_live = 80 * MIB
    assert commit(g, flags=0, swept=100, in_use=1000)["per_byte"] == 900 / (44 * MIB)
    assert (int(g.c.sweep_heap_live_basis), int(g.c.pages_swept_basis)) == (80 * MIB, 100)
    # A span of 8 KiB after 1 MiB: the pages for both, less what the caller sweeps.
    g.stats.heap_live = 81 * MIB
    want = int(900 / (44 * MIB) * (MIB + 8192))
    assert want == 20
    assert do(g, ("target", 8192, 0))["pages"] == want
    assert do(g, ("target", 8192, 5))["pages"] == want - 5
    # Where the heap is below the basis, for the span alone.
    g.stats.heap_live = 70 * MIB
    assert do(g, ("target", 8 * MIB, 0))["pages"] == int(900 / (44 * MIB) * 8 * MIB)


def test_pace_with_no_distance():
    """One page at least."""
    g = pacer()
    g.stats.heap_live = 10 * MIB  # the sweep's distance moves the trigger to 1 MiB beyond it, less 1 MiB
    assert commit(g, flags=0, swept=0, in_use=3)["per_byte"] == 3 / 8192


@pytest.mark.parametrize(("flags", "swept", "in_use"), [(SWEPT, 0, 9), (0, 9, 9), (0, 10, 9)])
def test_nothing_to_sweep(flags, swept, in_use):
    """No pace, and the line stays where it was."""
    g = pacer(sweep_pages_per_byte=1.0, sweep_heap_live_basis=5, pages_swept_basis=6)
    assert commit(g, flags, swept, in_use)["per_byte"] == 0
    assert (int(g.c.sweep_heap_live_basis), int(g.c.pages_swept_basis)) == (5, 6)
    assert do(g, ("target", 8192, 0))["pages"] == 0


def test_commit_revises_while_marking():
    g = pacer(last_heap_scan=2 * MIB)
    commit(g)
    assert float(g.c.assist_work_per_byte) == 0
    commit(g, flags=SWEPT | MARKING)
    assert float(g.c.assist_work_per_byte) == 0.5


# ---------------------------------------------------------------------------------------------------- scavenger


def test_no_goal_before_the_first_cycle():
    g = pacer()
    g.stats.heap_in_use = 100 * MIB
    assert commit(g, last_in_use=MIB)["percent_goal"] == NEVER


@pytest.mark.parametrize(
    ("in_use", "free", "goal"),
    [
        # 10 MiB in use then, a goal twice as high now, a tenth more: 22 MiB
        (20 * MIB, 4 * MIB, 22 * MIB),
        (22 * MIB, PAGE, 22 * MIB),
        (22 * MIB, PAGE - 1, NEVER),
        (22 * MIB, 0, NEVER),
        (20 * MIB, 0, NEVER),
    ],
)
def test_goal_of_gogc(in_use, free, goal):
    g = pacer(last_heap_goal=2 * MIB)
    g.stats.heap_in_use, g.stats.heap_free = in_use, free
    g.stats.ready = in_use + free
    assert commit(g, last_in_use=10 * MIB)["percent_goal"] == goal


def test_goal_is_whole_pages():
    g = pacer(last_heap_goal=4 * MIB)
    g.stats.heap_in_use = g.stats.ready = 100 * MIB
    assert commit(g, last_in_use=1000)["percent_goal"] == PAGE
    assert commit(g, last_in_use=40960)["percent_goal"] == 11 * PAGE
    assert commit(g, last_in_use=40964)["percent_goal"] == 12 * PAGE


def test_goal_of_the_limit():
    """95% of the limit in Go 1.27. 95 times the limit in Go 1.19, which memory is never above."""
    for version, ready, goal in (
        ("go1.27", 96 * MIB, 95 * MIB),
        ("go1.27", 95 * MIB, NEVER),
        ("go1.19", 96 * MIB, NEVER),
        ("go1.19", 9500 * MIB + 1, 9500 * MIB),
    ):
        g = pacer(version, limit=100 * MIB)
        g.stats.ready = ready
        assert commit(g)["limit_goal"] == goal, version
