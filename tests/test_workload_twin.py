"""The workload generator against its slow twin, and against itself in other batches and another process."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_workload import Twin

from mheaplab.workloads import (
    Between,
    Exponential,
    Fixed,
    Generational,
    Groups,
    Held,
    Histogram,
    Immortal,
    LogNormal,
    Pareto,
    Phase,
    Stream,
    UntilPhaseEnds,
    Workload,
)
from mheaplab.workloads.plan import Plan

EVERYTHING = Workload(
    "everything",
    streams=[
        Stream("short", LogNormal(64, 1.0, 8, 4096, noscan=0.4), Generational(2000, 200_000, 0.1)),
        Stream("tail", Fixed(48), Pareto(100, 0.7, 1 << 24)),
        Stream("request", Histogram([(16, 3, 1.0), (32, 1, 0.0)]), Groups(objects=20, open=5, then=Exponential(5000))),
        Stream("arena", Fixed(100), Groups(bytes=3000)),
        Stream("phase", Fixed(80), UntilPhaseEnds()),
        Stream("kept", Fixed(24), Immortal()),
        Stream("fifo", LogNormal(100, 1.0, 8, 4096), Held(20_000)),
        Stream("random", LogNormal(100, 1.0, 8, 4096), Held(15_000, "random")),
        Stream("clock", Fixed(128), Held(10_000, "second chance", 0.7)),
        Stream("goroutine", Histogram([(2048, 5), (8192, 1)]), Between(0, 30_000), stack=True),
    ],
    phases=[
        Phase(
            "fill",
            {n: 1 for n in ("short", "tail", "request", "arena", "phase", "kept", "fifo", "random", "clock")},
            allocs=1500, ps=3, run=4, ns_per_alloc=2.5, collect_every=40_000,
        ),
        Phase(
            "change",
            {"short": 3, "random": 1, "clock": 1, "goroutine": 1, "kept": 0.5},
            bytes=60_000, ps=5, spread="random", run=1, ns_per_alloc=1, collect_end="free",
            drop={"kept": 0.5, "tail": 0.3, "short": 1.0, "request": 0.5, "fifo": 0.25, "random": 0.5},
            hold={"random": 4000, "fifo": 0},
        ),
        Phase(
            "again", {"fifo": 1, "phase": 1, "short": 1, "arena": 1, "goroutine": 0.2},
            allocs=1200, ps=4, spread="skewed", run=2, idle_ns=10**6, collect_end="gc",
            drop={"goroutine": 1.0, "arena": 0.5},
        ),
        Phase("rest", {"tail": 1, "clock": 1}, allocs=600),
    ],
)  # fmt: skip


def rows_of(workload, seed, scale=1.0, rows=1 << 20):
    """Return all events as rows."""
    batches = list(workload.trace(seed, scale).batches(rows))
    return list(zip(*(np.concatenate(c).tolist() for c in zip(*batches, strict=True)), strict=True))


def twin_rows(workload, seed, scale=1.0):
    """Return all events as the twin has them."""
    return Twin(Plan(workload, scale), int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])).rows


@pytest.mark.parametrize("seed", range(5))
def test_same_events_as_the_twin(seed):
    mine, other = rows_of(EVERYTHING, seed), twin_rows(EVERYTHING, seed)
    for i, (a, b) in enumerate(zip(mine, other, strict=False)):
        assert a == b, f"event {i}"
    assert len(mine) == len(other) > 7000


@pytest.mark.parametrize("rows", [1, 2, 7, 1000, 4097])
def test_batches_do_not_matter(rows):
    assert rows_of(EVERYTHING, 3, rows=rows) == rows_of(EVERYTHING, 3)


def test_seeds_matter():
    assert rows_of(EVERYTHING, 1) != rows_of(EVERYTHING, 2)


def test_another_process_makes_the_same_events():
    code = (
        "import mheaplab as mh, hashlib\n"
        "found = hashlib.sha256()\n"
        "for events in mh.workloads.load('json-service', seed=5, scale=0.05).batches():\n"
        "    for column in events: found.update(column.tobytes())\n"
        "print(found.hexdigest())"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.strip()) == 64


lifetimes = st.one_of(
    st.builds(Exponential, st.floats(1, 1e7)),
    st.builds(lambda a, b: Between(min(a, b), max(a, b)), st.integers(0, 1 << 30), st.integers(0, 1 << 30)),
    st.builds(Pareto, st.integers(1, 1000), st.floats(0.1, 3), st.integers(2000, 1 << 40)),
    st.builds(
        Groups,
        objects=st.integers(1, 50),
        open=st.integers(1, 6),
        then=st.builds(Exponential, st.floats(1, 1e6)),
    ),
    st.builds(Held, st.integers(0, 50_000), st.sampled_from(["oldest", "random", "second chance"]), st.floats(0, 0.9)),
    st.just(Immortal()),
    st.just(UntilPhaseEnds()),
)
sizes = st.one_of(st.builds(Fixed, st.integers(1, 5000)), st.builds(LogNormal, st.floats(8, 1000), st.floats(0.1, 2)))


@st.composite
def workloads(draw):
    """Draw a small workload."""
    streams = [Stream(f"s{i}", draw(sizes), draw(lifetimes)) for i in range(draw(st.integers(1, 4)))]
    phases = []
    for i in range(draw(st.integers(1, 3))):
        weights = {s.name: draw(st.floats(0.1, 10)) for s in streams}
        drop = {s.name: draw(st.sampled_from([0.0, 0.0, 0.4, 1.0])) for s in streams}
        phases.append(Phase(f"p{i}", weights, allocs=draw(st.integers(1, 400)), drop=drop, ps=draw(st.integers(1, 9))))
    return Workload("drawn", streams, phases)


@given(workloads(), st.integers(0, 1 << 64))
@settings(max_examples=60, deadline=None)
def test_any_workload_as_the_twin(workload, seed):
    assert rows_of(workload, seed) == twin_rows(workload, seed)
