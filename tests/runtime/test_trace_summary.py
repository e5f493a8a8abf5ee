"""trace_summary: against a dict of what is alive."""

import numpy as np
import pytest

from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC, PHASE, STACK_ALLOC, STACK_FREE, new_trace_events
from mheaplab.runtime.trace_summary import TRACE_SUMMARY, trace_summary_add
from mheaplab.traces.trace import slice_trace_events


def random_events(seed, n):
    """Return ``n`` events that a program could make, with dense ids."""
    rng = np.random.default_rng(seed)
    events, free, objects, stacks = new_trace_events(n), list(range(n))[::-1], [], []
    for i in range(n):
        kind = int(rng.choice([ALLOC, ALLOC, DEATH, STACK_ALLOC, STACK_FREE, FORCED_GC, PHASE]))
        ids = {DEATH: objects, STACK_FREE: stacks}.get(kind)
        if ids is not None and not ids:
            kind = ALLOC
        size = {ALLOC: int(rng.integers(1, 1 << 20)), STACK_ALLOC: 2048 << int(rng.integers(5))}.get(kind, 0)
        if kind in (ALLOC, STACK_ALLOC):
            name = free.pop()
            (objects if kind == ALLOC else stacks).append((name, size))
        elif ids:
            name, size = ids.pop(int(rng.integers(len(ids))))
            free.append(name)
            size = size if kind == STACK_FREE else 0
        else:
            name = 0
        row = (kind, int(rng.integers(9)), size, int(rng.integers(2)), name, 10 * i)
        for column, value in zip(events, row, strict=True):
            column[i] = value
    return events


def naive(events):
    """Return the summary as a dict."""
    alive, stacks, found = {}, {}, {"counts": [0] * 6, "allocated": 0, "noscan": 0, "largest": 0, "highest_p": 0}
    peaks = {"objects_peak": 0, "live_peak": 0, "stacks_peak": 0}
    for kind, p, size, noscan, name, _ in zip(*(c.tolist() for c in events), strict=True):
        found["counts"][kind] += 1
        if kind == ALLOC:
            alive[name] = size
            found["allocated"] += size
            found["noscan"] += size if noscan else 0
            found["largest"] = max(found["largest"], size)
        elif kind == DEATH:
            del alive[name]
        elif kind == STACK_ALLOC:
            stacks[name] = size
        elif kind == STACK_FREE:
            del stacks[name]
        if kind != DEATH:
            found["highest_p"] = max(found["highest_p"], p)
        now = {"objects_peak": len(alive), "live_peak": sum(alive.values()), "stacks_peak": sum(stacks.values())}
        peaks = {key: max(peaks[key], value) for key, value in now.items()}
    found |= {"objects": len(alive), "live": sum(alive.values()), "stacks": sum(stacks.values())}
    return found | peaks | {"latest": int(events.time.max())}


@pytest.mark.parametrize("seed", range(5))
def test_against_a_dict(seed):
    events = random_events(seed, 400)
    state, alive = np.zeros(1, TRACE_SUMMARY)[0], np.zeros(400, np.uint64)
    for start in range(0, 400, 90):
        trace_summary_add(state, alive, slice_trace_events(events, start, min(start + 90, 400)))
    found = {name: state[name].tolist() for name in TRACE_SUMMARY.names}
    assert found == naive(events)
