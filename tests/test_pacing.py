"""What Go's pacer saw in real programs, collection by collection, and what it made of it.

The bytes live and marked follow from the events alone; goal and trigger from these and from what was scanned.
"""

import numpy as np
import pytest
from conftest import CASES
from runtime.entry import entry
from runtime.pacer import new_pacer

import mheaplab as mh
from mheaplab.pacer_params import NO_LIMIT
from mheaplab.replay import _Driver
from mheaplab.runtime.mgcpacer import gc_controller_commit, gc_controller_init, gc_controller_trigger
from mheaplab.runtime.structs import GC_START, NO, SWEEP_START

NAMES = sorted(path.name.removesuffix(".pacing.npz") for path in CASES.glob("*.pacing.npz"))


def test_there_are_recordings():
    assert len(NAMES) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_live_marked_and_pages_are_those_of_go(name):
    case = mh.load_case(CASES / name)
    with np.load(CASES / f"{name}.pacing.npz") as recorded:
        wanted = {column: recorded[column].tolist() for column in ("live_start", "live_end", "marked", "pages_in_use")}
    run = _Driver(case, None, 1)
    h = run.state.h
    found = {column: [] for column in wanted}
    starts = np.flatnonzero(case.events.kind == GC_START)
    ends = np.flatnonzero(case.events.kind == SWEEP_START)
    assert len(ends) == len(wanted["marked"]) > 3
    for start, end in zip(starts, ends, strict=False):
        run.run_to(int(start))
        found["live_start"].append(int(h.stats.heap_live))
        run.run_to(int(end) + 1)
        found["live_end"].append(int(h.stats.heap_live))
        found["marked"].append(int(h.heap_marked))
        found["pages_in_use"].append(int(h.pages_in_use))
    # The program ended before its last collection was swept, so who died in it is not known to the end.
    for column in ("live_end", "marked"):
        del found[column][-1], wanted[column][-1]
    assert found == wanted


@entry
def decide(g, percent, seen, out):
    """End a cycle that saw what a recording saw, and ask for GOGC's goal and, with the recorded runway, the trigger."""
    c, stats = g.c, g.stats
    gc_controller_init(c, stats, percent, np.int64(NO_LIMIT))
    c.heap_marked, c.last_stack_scan, c.globals_scan = np.uint64(seen[0]), np.uint64(seen[1]), np.uint64(seen[2])
    stats.heap_live = seen[0]
    gc_controller_commit(c, stats, NO)
    c.runway = np.uint64(seen[3])
    out[0] = np.int64(c.gc_percent_heap_goal)
    trigger, _ = gc_controller_trigger(c, stats)
    out[1] = np.int64(trigger)


@pytest.mark.parametrize("name", NAMES)
def test_goal_and_trigger_are_those_of_go(name):
    """From what each collection of a real program marked and scanned follow the next one's goal and trigger."""
    with np.load(CASES / f"{name}.pacing.npz") as recorded:
        seen = np.stack([recorded[c] for c in ("marked", "stack_scan", "globals_scan", "runway")], axis=1)
        wanted = np.stack([recorded[c] for c in ("percent_goal", "trigger")], axis=1).tolist()
        percent = recorded["gc_percent"].tolist()
    found = []
    for k in range(len(wanted)):
        out = np.zeros(2, np.int64)
        with np.errstate(all="ignore"):
            decide(new_pacer("go1.19"), np.int64(percent[k]), seen[k], out)
        found.append(out.tolist())
    assert found == wanted
