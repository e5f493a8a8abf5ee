"""The benchmark of runs of the twin's own: whole scenarios, with samples, against goat and a bare loop.

An event here is what a trace holds: an allocation, a death, a stack; what the twin does besides (collections, sweeps,
scavenging) is not counted.  The trace is in memory, so that making it is not measured; a bare loop over the same
columns that makes one random store per event is the floor.
"""

import sys
import time

import numpy as np

from . import workloads
from .bench import GOAT_EVENTS_PER_SECOND, best_of
from .runtime.probe import bare_trace_loop
from .simulate import simulate

SCENARIOS = ("json-service", "web-sessions", "compiler", "tree-builder", "cache-fill-empty", "log-pipeline")
SAMPLES = 2000
REPEATS = 3


def bench_scenario(name, scale=1.0, repeats=REPEATS):
    """Measure scenario ``name``; returns a dict of rates in events per second and their ratios."""
    trace = workloads.load(name, scale=scale).loaded()
    n = len(trace)
    results = []
    seconds = best_of(repeats, lambda: results.append(simulate(trace, samples=SAMPLES)))
    events = next(trace.dense_batches(max(n, 1)))
    order = np.random.default_rng(1).permutation(n)
    out = np.zeros(n, np.uint64)
    bare_trace_loop(events, order, out)
    floor = best_of(repeats, lambda: bare_trace_loop(events, order, out))
    result = results[-1]
    return {
        "name": name,
        "events": n,
        "seconds": seconds,
        "events_per_second": n / seconds,
        "times_goat": n / seconds / GOAT_EVENTS_PER_SECOND,
        "times_bare": seconds / floor,
        "cycles": len(result.cycles),
        "spans_swept": int(result.samples[-1]["swept_spans"].sum()),
    }


def bench_stream(name, scale):
    """Measure a scenario as a stream, generator included; returns (events, seconds)."""
    begin = time.perf_counter()
    result = simulate(workloads.load(name, scale=scale), samples=SAMPLES)
    return result.provenance["events_done"], time.perf_counter() - begin


def report(out=sys.stdout, scale=1.0):
    """Print what the scenarios take."""
    print(f"simulate, {SAMPLES:,} samples, one core; an event is an allocation or a death of the trace", file=out)
    for name in SCENARIOS:
        r = bench_scenario(name, scale)
        print(
            f"  {name:>16}: {r['events_per_second'] / 1e6:5.1f} M events/s ({r['events']:,} events,"
            f" {r['cycles']} collections, {r['spans_swept']:,} spans swept),"
            f" {r['times_goat']:.1f} x goat, {r['times_bare']:.1f} x the time of a bare loop",
            file=out,
        )
    n, seconds = bench_stream(SCENARIOS[0], 10 * scale)
    print(f"  {SCENARIOS[0]} made as it is simulated: {n / seconds / 1e6:.1f} M events/s ({n:,} events)", file=out)
