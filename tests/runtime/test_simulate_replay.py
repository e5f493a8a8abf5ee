"""simulate: given what a run of the twin's own decided, the kernel that Go's recorded runs prove does the same.

Every run here is repeated event by event by ``run_events``: the same addresses, spans and accounts after each event.
"""

import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.lockstep import Lockstep
from runtime.programs import random_program

from mheaplab.case import check_events
from mheaplab.params import HeapParams
from mheaplab.replay import _Driver
from mheaplab.runtime.mstats import read_memstats
from mheaplab.runtime.sim_structs import SWEEPERS

MIB = 1 << 20
SMALL = {"procs": 1, "heap_minimum_bytes": MIB // 2, "globals_bytes": 10_000}
"""Many collections in few events."""

RUNS = {
    # name: (parameters, program, sweepers that it must reach)
    "gogc 20": ({"gogc": 20}, {}, "credit flush"),
    "four Ps": ({"gogc": 50, "procs": 4}, {}, "allocation credit reclaim flush"),
    "stacks and runtime.GC": (
        {"gogc": 50, "procs": 4}, {"forced": 0.004, "stacks": 0.3}, "credit start flush force",
    ),
    "limit": ({"gogc": -1, "memory_limit": 6 * MIB, "procs": 2}, {}, "credit reclaim flush"),
    "limit and more alive": (
        {"gogc": -1, "memory_limit": 12 * MIB, "procs": 2, "background_sweep_per_ms": 300.0},
        {"most": 1500}, "credit background flush",
    ),
    "limit, small arenas": (
        {
            "memory_limit": 9 * MIB, "procs": 3, "scavenge_limit_factor": 0.8, "alloc_ns": 20_000.0,
            "arena_bytes": 4 * MIB,
        },
        {"most": 3000, "large": 3}, "credit flush",
    ),
    "busy sweeper": (
        {"gogc": 100, "procs": 2, "background_sweep_per_ms": 300.0, "idle_share": 0.5}, {}, "credit background flush",
    ),
    "time": ({"gogc": 10, "alloc_ns": 5000.0, "force_gc_s": 0.003}, {}, "credit flush"),
    "other policies": (
        {"procs": 8, "scan_byte_ns": 50.0, "page_cache_pages": 0, "page_placement": "best-fit", "size_classes": "pow2"},
        {}, "credit flush",
    ),
    "the dying go": ({"gogc": 30, "procs": 2, "keeps_dying": False, "scan_byte_ns": 5.0}, {}, "credit flush"),
    "a busy machine": ({"gogc": 20, "procs": 2, "mark_wait_us": 2000.0}, {}, "credit flush"),
    "go1.27": ({"go": "go1.27", "gogc": 30, "procs": 3}, {}, "credit flush"),
    "go1.27, stacks": (
        {"go": "go1.27", "gogc": 30, "procs": 3, "background_sweep_per_ms": 1000.0}, {"stacks": 0.2}, "credit flush",
    ),
    "go1.27, limit": (
        {"go": "go1.27", "gogc": -1, "procs": 2, "memory_limit": 5 * MIB}, {"forced": 0.003}, "credit flush force",
    ),
}  # fmt: skip


def run_in_lockstep(name, rng):
    """Run a program of ``RUNS`` in two heaps at once."""
    changes, program, reached = RUNS[name]
    params = HeapParams.of_version(**({"go": "go1.19"} | SMALL | changes))
    heaps = Lockstep(params)
    heaps.run(random_program(rng, 4000 if COMPILED else 200, procs=params.procs, **program))
    return heaps, reached.split()


@pytest.mark.parametrize("name", RUNS)
def test_a_run_does_what_go_would_given_its_decisions(name, rng):
    heaps, reached = run_in_lockstep(name, rng)
    if COMPILED:
        swept = dict(zip(SWEEPERS, heaps.h.stats.swept_spans.tolist(), strict=True))
        assert heaps.collections > 8 and heaps.kept > 10
        assert all(swept[who] for who in reached), swept


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gogc 20", "stacks and runtime.GC", "limit"])
def test_a_run_written_down_is_a_case_that_replays(name, rng):
    heaps, _ = run_in_lockstep(name, rng)
    case = heaps.go.case("a run written down", "go1.19")
    check_events(case.events, case.name, case.go)
    replay = _Driver(case, heaps.params, 1)
    replay.run_to(len(case))
    event, address = np.array(heaps.addresses).T
    assert np.array_equal(replay.out.addr[event], address.astype(np.uint64))
    rows = np.concatenate(heaps.rows)
    for column in ("span_base", "span_npages", "span_class", "span_needzero"):
        assert np.array_equal(replay.spans()[column], rows[column])
    assert int(replay.state.h.unrecorded_sweeps) == 0
    # A case does not tell the goal down to which a growing heap is scavenged.
    apart = {"HeapReleased": 0, "HeapIdle": 0}
    assert read_memstats(replay.state.h) | apart == read_memstats(heaps.h) | apart
