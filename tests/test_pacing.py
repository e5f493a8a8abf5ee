"""What Go's pacer saw, collection by collection: the bytes live and marked, which follow from the events alone."""

import numpy as np
import pytest
from conftest import CASES

import mheaplab as mh
from mheaplab.replay import _Driver
from mheaplab.runtime.structs import GC_START, SWEEP_START

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
