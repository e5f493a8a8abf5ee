"""What scenarios expect of live objects and stacks holds for their events, whatever a heap makes of them.

The rest of an expectation speaks of the simulated heap, and is checked where scenarios are simulated.
"""

import numpy as np
import pytest

from mheaplab.workloads import check_expectation, names, read

EVENT_COLUMNS = {"live", "stacks"}
EVERY = 1000
"""Events between samples."""


def ended_bytes(kind, size, name):
    """Return for each death or end of a stack the bytes of what ends; 0 elsewhere."""
    lives = kind < 4
    order = np.flatnonzero(lives)[np.argsort(name[lives], kind="stable")]
    found = np.zeros(len(kind), np.int64)
    ends = (kind[order] % 2) == 1
    found[order[ends]] = size[order[np.flatnonzero(ends) - 1]]
    return found


def samples_of(trace):
    """Return samples of phase, live bytes and stack bytes: every so many events, and at the end of each phase."""
    kind, _, size, _, name, _ = (np.concatenate(c) for c in zip(*trace.batches(), strict=True))
    ended = ended_bytes(kind, size.astype(np.int64), name)
    at = np.arange(0, len(kind), EVERY)
    at = np.unique(np.concatenate((at, np.flatnonzero(kind == 5)[1:] - 1, [len(kind) - 1])))
    samples = np.zeros(len(at), [("phase", "i8"), ("live", "i8"), ("stacks", "i8")])
    samples["phase"] = (np.cumsum(kind == 5) - 1)[at]
    for column, born, gone in (("live", 0, 1), ("stacks", 2, 3)):
        change = np.where(kind == born, size.astype(np.int64), 0) - np.where(kind == gone, ended, 0)
        samples[column] = np.cumsum(change)[at]
    return samples


@pytest.mark.parametrize("name", names())
def test_live_objects(name):
    scenario = read(name)
    statements = [s for s in scenario.expectation if {s.get("column"), s.get("over")} - {None} <= EVENT_COLUMNS]
    statements = [s for s in statements if "column" in s]
    samples = samples_of(scenario.trace(seed=0))
    assert (samples["live"] >= 0).all() and (samples["stacks"] >= 0).all()
    assert check_expectation(statements, samples, samples[:0]) == []
