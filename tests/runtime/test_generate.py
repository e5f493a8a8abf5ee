"""generate: a few hundred events of everything against the slow twin, compiled and as plain Python."""

import numpy as np
import pytest
from naive_workload import Twin

from mheaplab.runtime.generate_structs import DONE
from mheaplab.workloads import (
    Between,
    Exponential,
    Fixed,
    Groups,
    Held,
    Immortal,
    Phase,
    Stream,
    Uniform,
    UntilPhaseEnds,
    Workload,
)
from mheaplab.workloads.plan import Plan

LITTLE = Workload(
    "little",
    [
        Stream("short", Uniform(8, 64, noscan=0.5), Exponential(1000)),
        Stream("group", Fixed(32), Groups(objects=5, open=2, then=Between(0, 2000))),
        Stream("phase", Fixed(16), UntilPhaseEnds()),
        Stream("kept", Fixed(16), Immortal()),
        Stream("cache", Fixed(40), Held(400, "random")),
        Stream("clock", Fixed(24), Held(240, "second chance")),
        Stream("stack", Fixed(4096), Exponential(500), stack=True),
    ],
    [
        Phase("one", dict.fromkeys(["short", "group", "phase", "kept", "cache", "clock", "stack"], 1), allocs=120, ps=3,
              run=2, ns_per_alloc=3, drop={"kept": 0.5, "short": 0.5, "cache": 0.5, "group": 1}, collect_end="gc"),
        Phase("two", {"short": 1, "cache": 2, "kept": 1}, bytes=2000, ps=2, spread="random", run=1, collect_every=500,
              hold={"clock": 0}, idle_ns=50),
    ],
)  # fmt: skip


def generated(seed, rows):
    """Return all rows, made ``rows`` at a time."""
    generator = Plan(LITTLE, 1.0).start(seed)
    found = []
    while not generator.done:
        found += list(zip(*(c.tolist() for c in generator.next_events(rows)), strict=True))
    assert generator.record["stage"] == DONE
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_as_the_twin(seed):
    state = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    assert generated(seed, 1000) == Twin(Plan(LITTLE, 1.0), state).rows


def test_stops_anywhere():
    assert generated(2, 1) == generated(2, 7) == generated(2, 1000)


def test_tables_that_are_full_are_made_larger(monkeypatch):
    from mheaplab.workloads import plan

    wanted = generated(3, 1000)
    monkeypatch.setattr(plan, "FIRST_IDS", 1)
    monkeypatch.setattr(plan, "FIRST_CHUNKS", 2)
    monkeypatch.setattr(plan, "FIRST_PLACES", 1)
    assert generated(3, 1000) == wanted
