"""The benchmark: how fast the twin is, as ratios measured in one run against something real.

``mheaplab bench`` (``make bench``) replays a synthetic mix and its small part, and compares events per second with a
bare loop over the same columns that makes one random store per event, and with what mknyszek/goat published.  An event
is an allocation, a death or a sweep of one span: the things that the heap does.  It then measures the page heap alone
at several sizes, and, where a Go toolchain is on PATH, Go's own allocator on the same mix in the same minute.

The mix: sizes 70% of 8 to 256 B, 25% up to 8 KiB, 4% up to 32 KiB, 1% up to 1 MiB, half of them noscan, a collection
every 64 MiB at which 90% of everything dies.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from .case import Case, make_events
from .params import HeapParams
from .replay import replay
from .runtime.probe import bare_loop, page_heap_fill, page_heap_free, page_heap_pairs
from .runtime.state import HeapState
from .runtime.structs import MALLOC, MCACHE_FLUSH, SWEEP_START, SWEEPONE

GOAT_EVENTS_PER_SECOND = 3.8e6
"""What mknyszek/goat simulates per second, as its author published."""
COLLECT_EVERY = 64 << 20
SURVIVAL = 0.1
GO_SOURCE = Path(__file__).parent.parent / "tools" / "bench_go"


def mix_sizes(rng, n, small):
    """Return ``n`` requested sizes in bytes of the mix, or of its small part alone."""
    part = rng.random(n)
    sizes = rng.integers(8, 257, n)
    if not small:
        for low, high, start, stop in ((257, 8193, 0.70, 0.95), (8193, 32769, 0.95, 0.99), (32769, 1048577, 0.99, 1.0)):
            rows = (part >= start) & (part < stop)
            sizes[rows] = rng.integers(low, high, int(rows.sum()))
    return sizes


def mix_case(n, seed, small=False, sweeps=10_000):
    """Return a case of ``n`` allocations of the mix, with ``sweeps`` sweepone calls before each collection.

    Objects of 8 to 15 bytes have pointers, since a death of a tiny noscan object would need to name its block.
    """
    rng = np.random.default_rng(seed)
    sizes = mix_sizes(rng, n, small)
    noscan = (rng.random(n) < 0.5) & (sizes >= 16)
    cycle = np.cumsum(sizes) // COLLECT_EVERY
    collections = int(cycle[-1])
    first = np.searchsorted(cycle, np.arange(1, collections + 1))
    extra = np.zeros(n, np.int64)
    np.add.at(extra, first, sweeps + 2)
    at = np.arange(n) + np.cumsum(extra)
    total = n + collections * (sweeps + 2)
    columns = {
        "kind": np.full(total, SWEEPONE, np.uint8),
        "p": np.zeros(total, np.uint8),
        "flags": np.zeros(total, np.uint8),
        "size": np.zeros(total, np.uint64),
        "ref": np.full(total, -1, np.int64),
        "credit": np.zeros(total, np.uint32),
    }
    columns["kind"][at] = MALLOC
    columns["size"][at] = sizes
    columns["flags"][at] = noscan
    start = at[first] - 2
    columns["kind"][start] = SWEEP_START
    columns["ref"][start] = np.arange(collections)
    columns["kind"][start + 1] = MCACHE_FLUSH
    death = np.searchsorted(first, np.arange(n), side="right") + rng.geometric(1 - SURVIVAL, n) - 1
    order = np.lexsort((at, death))
    offsets = np.searchsorted(death[order], np.arange(collections + 1))
    columns["dead"] = at[order[: offsets[-1]]]
    columns["dead_offsets"] = offsets
    return Case("mix-small" if small else "mix", "go1.19", make_events(columns))


def drop_idle_sweeps(case):
    """Return the case without the sweepone calls that find nothing to sweep (all but one per collection)."""
    e = case.events
    idle = (e.kind == SWEEPONE) & (replay(case).addr == 0)
    first_idle = idle & ~np.concatenate([[False], idle[:-1]])
    keep = ~idle | first_idle
    moved = np.cumsum(keep) - 1
    columns = {name: getattr(e, name)[keep] for name in ("kind", "p", "flags", "size", "ref", "credit")}
    columns["dead"] = moved[e.dead]
    columns["dead_offsets"] = e.dead_offsets
    return Case(case.name, case.go, make_events(columns))


def count_events(case):
    """Return (allocations, deaths, sweeps) of a case."""
    kind = case.events.kind
    return int((kind == MALLOC).sum()), len(case.events.dead), int((kind == SWEEPONE).sum())


def best_of(times, run):
    """Return the shortest of ``times`` wall times of ``run()`` in seconds."""
    best = float("inf")
    for _ in range(times):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


def bench_replay(n, seed, small, repeats=3):
    """Measure the replay of the mix; returns a dict of rates in events per second and their ratios."""
    case = drop_idle_sweeps(mix_case(n, seed, small))
    allocs, deaths, sweeps = count_events(case)
    seconds = best_of(repeats, lambda: replay(case))
    rows = len(case)
    order = np.random.default_rng(seed).permutation(rows)
    out = np.zeros(rows, np.uint64)
    bare_loop(case.events, order, out)
    floor = best_of(repeats, lambda: bare_loop(case.events, order, out))
    events = allocs + deaths + sweeps
    return {
        "name": case.name,
        "allocations": allocs,
        "deaths": deaths,
        "sweeps": sweeps,
        "seconds": seconds,
        "ns_per_event": seconds / events * 1e9,
        "events_per_second": events / seconds,
        "allocations_per_second": allocs / seconds,
        "times_goat": events / seconds / GOAT_EVENTS_PER_SECOND,
        "bare_ns_per_row": floor / rows * 1e9,
        "times_bare": seconds / floor,
    }


def bench_page_heap(nbytes, pairs, seed, placement="first-fit", free=0.0):
    """Measure random free+alloc pairs of 1 to 64 pages in a page heap of ``nbytes``; returns ns per pair.

    The heap is full but for the share ``free`` of its runs, which are given back at random first.
    """
    rng = np.random.default_rng(seed)
    npages = np.minimum(rng.geometric(0.1, nbytes // (8192 * 10)), 64).astype(np.int64)
    addr = np.zeros(len(npages), np.int64)
    state = HeapState(HeapParams.go119(page_placement=placement).to_record())
    state.grow(nbytes // (64 << 20) + 2)
    if page_heap_fill(state.h, npages, addr) != len(npages):
        raise MemoryError(f"the simulated OS gave no more than {np.count_nonzero(addr)} runs")
    rows = rng.permutation(len(npages))
    kept = rows[int(free * len(rows)) :]
    page_heap_free(state.h, rows[: len(rows) - len(kept)], npages, addr)
    order = kept[rng.integers(0, len(kept), pairs)]
    page_heap_pairs(state.h, order[: pairs // 10], npages, addr)
    begin = time.perf_counter()
    page_heap_pairs(state.h, order, npages, addr)
    return (time.perf_counter() - begin) / pairs * 1e9


def bench_go(n):
    """Measure Go's own allocator on the mix: (version, ns per allocation of the mix, of the small part), or None."""
    go = shutil.which("go")
    if go is None or not GO_SOURCE.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "bench"
        env = dict(os.environ, GOTOOLCHAIN="local", GOPROXY="off", GOFLAGS="")
        subprocess.run([go, "build", "-o", program, "."], cwd=GO_SOURCE, check=True, env=env)
        env |= {"GOMAXPROCS": "1"}
        out = subprocess.run([program, str(n)], capture_output=True, text=True, check=True, env=env).stdout.split()
    return out[0], float(out[1]), float(out[2])


def main(argv=None, out=sys.stdout):
    """Run the benchmark and print its ratios; returns the exit status."""
    parser = argparse.ArgumentParser(prog="mheaplab bench", description="measure the twin against something real")
    parser.add_argument("--events", type=float, default=20e6, help="allocations in the mix (default 20 million)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    n = int(args.events)
    replay(mix_case(20_000, args.seed))
    print(f"replay, {n:,} allocations, one core; an event is an allocation, a death or the sweep of a span", file=out)
    twin = {}
    for small in (True, False):
        r = twin[small] = bench_replay(n, args.seed, small)
        print(
            f"  {r['name']:>10}: {r['events_per_second'] / 1e6:6.1f} M events/s"
            f" ({r['allocations_per_second'] / 1e6:.1f} M allocations/s;"
            f" {r['deaths']:,} deaths, {r['sweeps']:,} sweeps),"
            f" {r['times_goat']:.1f} x goat, {r['times_bare']:.1f} x the time of a bare loop"
            f" ({r['bare_ns_per_row']:.1f} ns a row)",
            file=out,
        )
    go = bench_go(n // 4)
    if go is None:
        print("  Go's own allocator: no go on PATH, not measured", file=out)
    else:
        version, mixed, small = go
        for label, theirs, ours in (("mix", mixed, twin[False]), ("mix-small", small, twin[True])):
            mine = 1e9 / ours["allocations_per_second"]
            print(
                f"  {label:>10}: {version} allocates in {theirs:.0f} ns (with its collections, one P);"
                f" the twin simulates an allocation, its share of deaths and sweeps in {mine:.0f} ns,"
                f" {theirs / mine:.1f} x faster",
                file=out,
            )
    from .bench_simulate import report

    report(out)
    print("page heap alone, random free+alloc pairs of 1 to 64 pages", file=out)
    for nbytes in (64 << 20, 4 << 30, 32 << 30):
        print(f"  {nbytes / 2**30:7.3g} GiB: {bench_page_heap(nbytes, 500_000, args.seed):6.0f} ns a pair", file=out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
