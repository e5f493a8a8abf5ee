"""Made-up results: runs that no heap has made, but whose numbers fit each other as those of a heap would.

A saw-tooth: the program allocates, garbage grows to the goal, a collection leaves what is live, sweeping follows.  The
accounts add up to what is mapped at every sample, running sums never fall, and everything depends on the seed only.
"""

import dataclasses

import numpy as np

import mheaplab as mh
from mheaplab.results import CYCLE_TYPE, HISTOGRAMS, SAMPLE_TYPE, SWEEPERS, provenance_of
from mheaplab.runtime.trace_events import new_trace_events
from mheaplab.traces.trace import Trace

KIB, MIB, PAGE = 1 << 10, 1 << 20, 8192
HISTOGRAM = 40
SHARES = np.array([30, 12, 20, 25, 5, 6, 0, 2]) / 100
"""How much each sweeper sweeps, in the order of ``SWEEPERS``."""


def made_samples(n, cycles, events, live, rng):
    """Return ``n`` samples of a run of ``cycles`` collections whose live heap is around ``live`` bytes."""
    s = np.zeros(n, SAMPLE_TYPE)
    at = np.linspace(0, 1, n)
    s["event"] = np.round(at * events)
    s["time_ns"] = at * events * 400.0
    saw = (at * (cycles + 0.5)) % 1 if cycles else at
    s["cycles"] = np.floor(at * (cycles + 0.5)) if cycles else 0
    grown = np.minimum(1, at * 4)
    s["live"] = (grown * live * (1 + 0.1 * np.sin(9 * at))).astype(np.int64)
    s["garbage"] = (saw * grown * live).astype(np.int64)
    s["free_slots"] = ((1.05 - saw) * 0.3 * grown * live).astype(np.int64) + rng.integers(0, live // 50 + 1, n)
    s["tail"] = s["live"] // 30
    s["stacks"] = 256 * KIB
    s["other_spans"] = 64 * KIB
    s["heap_alloc"] = s["live"] + s["garbage"]
    s["heap_in_use"] = s["live"] + s["garbage"] + s["free_slots"] + s["tail"]
    used = s["heap_in_use"] + s["stacks"] + s["other_spans"]
    s["mapped"] = np.maximum.accumulate(-(-(used + MIB) // (4 * MIB)) * (4 * MIB))
    s["released"] = (s["mapped"] - used) // 3
    s["free"] = s["mapped"] - used - s["released"]
    s["heap_sys"] = s["heap_in_use"] + s["free"] + s["released"]
    s["arenas"] = -(-s["mapped"] // (64 * MIB))
    s["reserved"] = s["arenas"] * 64 * MIB - s["mapped"]
    s["huge"] = used // 2
    s["heap_live"] = s["heap_alloc"]
    s["heap_marked"] = s["live"]
    s["goal"] = np.maximum(2 * s["live"], 4 * MIB)
    s["trigger"] = s["goal"] * 9 // 10
    s["total_alloc"] = (at * live * (cycles + 1)).astype(np.int64)
    s["objects"] = s["live"] // 64
    s["spans"] = s["heap_in_use"] // PAGE
    s["pages_in_use"] = s["heap_in_use"] // PAGE
    s["pages_unswept"] = np.where(saw < 0.5, (1 - 2 * saw) * s["pages_in_use"], 0)
    s["sweep_debt"] = np.where(s["pages_unswept"] > 0, rng.integers(-30, 30, n), 0)
    s["gc_phase"] = np.where(saw > 0.9, 2, np.where(s["pages_unswept"] > 0, 1, 0))
    for name, weight in (("swept_spans", 1), ("swept_pages", 2)):
        s[name] = (at[:, None] * weight * cycles * 1000 * SHARES).astype(np.int64)
    for name, share in (("assist_ns", 0.01), ("mark_ns", 0.08), ("stall_ns", 0.02)):
        s[name] = share * s["time_ns"]
    s["scavenged_background"] = (at * live).astype(np.int64)
    return s


def made_cycles(n, events, live, rng):
    """Return ``n`` collections of such a run."""
    c = np.zeros(n, CYCLE_TYPE)
    k = np.arange(n)
    c["cycle"] = k + 1
    c["end_event"] = (k + 1) * events // (n + 1)
    c["start_event"] = c["end_event"] - events // (20 * (n + 1))
    c["swept_event"] = np.minimum(c["end_event"] + events // (3 * (n + 1)), events)
    for name in ("start", "end", "swept"):
        c[f"{name}_ns"] = c[f"{name}_event"] * 400.0
    c["marked"] = live * (1 + 0.1 * np.sin(k))
    c["reachable"] = c["marked"] * 95 // 100
    c["goal"], c["trigger"] = 2 * live, 18 * live // 10
    c["live_start"] = c["trigger"] + rng.integers(0, live // 20 + 1, n)
    c["live_end"] = c["live_start"] + live // 10
    c["next_goal"], c["next_trigger"] = 2 * c["marked"], 18 * c["marked"] // 10
    c["assist_ns"], c["mark_ns"] = 2e5 * (1 + rng.random(n)), 1e6 * (1 + rng.random(n))
    c["pages"] = c["live_end"] // PAGE
    c["swept_pages"] = (c["pages"][:, None] * SHARES).astype(np.int64)
    c["swept_spans"] = c["swept_pages"] // 2
    return c


def made_histograms(rng):
    """Return histograms that fall by half from bin to bin."""
    falling = np.zeros(HISTOGRAM, np.int64)
    falling[1:15] = 2 ** np.arange(14, 0, -1)
    longer = np.zeros(HISTOGRAM, np.int64)
    longer[6:24] = 2 ** np.arange(18, 0, -1) + rng.integers(0, 2, 18)
    return dict(zip(HISTOGRAMS, (falling, longer), strict=True))


def made_result(
    params=None, *, samples=500, cycles=12, events=1_000_000, live_mib=40, name="made-up", done=None, seed=0
):
    """Return a result that nobody simulated; ``done`` events of all if it was cut short."""
    params = params or mh.HeapParams.go119()
    rng = np.random.default_rng(seed)
    live = live_mib * MIB
    done = events if done is None else done
    run = {"events_done": done, "events_total": events, "complete": done == events}
    run |= {"simulated_seconds": done * 4e-7, "wall_seconds": 0.1}
    facts = provenance_of(params, seed, {"name": name, "sha256": "ab" * 32}, run)
    stats = {"Mallocs": done * 6 // 10, "HeapInuse": live}
    rows, gcs = made_samples(samples, cycles, done, live, rng), made_cycles(cycles, done, live, rng)
    return mh.Result(rows, gcs, stats, params, facts, {}, made_histograms(rng))


def made_simulate(trace, params=None, *, samples=2000, seed=0, **_more):
    """Stand in for ``mh.simulate``: a made-up run whose heap follows GOGC, over the events of a trace."""
    params = params or mh.HeapParams.go119()
    gogc = max(params.gogc, 1)
    cycles = max(1, 1200 * len(trace) // 1_000_000 // gogc) if params.gogc >= 0 else 0
    found = made_result(params, samples=200, cycles=cycles, events=len(trace), live_mib=20 + gogc // 10, seed=seed)
    facts = found.provenance | {"trace": {"name": trace.name, "sha256": trace.digest}}
    return dataclasses.replace(found, provenance=facts)


class MadeEvents:
    """A source of so many allocations."""

    checked = True

    def __init__(self, n):
        self.n_events = n

    def batches(self, rows):
        """Yield them."""
        for start in range(0, self.n_events, rows):
            events = new_trace_events(min(rows, self.n_events - start))
            for column in events:
                column[:] = 0
            events.id[:] = np.arange(start, start + len(events.id))
            events.size[:] = 48
            yield events

    def digest(self):
        """Return what identifies them."""
        return f"{self.n_events:064x}"


def made_trace(events=1_000_000, origin=""):
    """Return a trace of so many allocations."""
    return Trace(MadeEvents(events), {"ids": "dense", "origin": origin}, "made-up")


assert len(SHARES) == len(SWEEPERS)
