#!/usr/bin/env python3
"""Measure, with a stock Go 1.19, what the twin's time model has constants for; prints the tables of docs/time-model.md.

    measure.py --go GOROOT [--runs N]

The programs are those of tools/cases_go, with plain.go in place of the recording, and timego (main.go here).  They run
with GODEBUG=gctrace=1,gcpacertrace=1, which tells for each collection how many bytes were scanned and the CPU time of
everyone who scanned.  What the process used besides is the program's.  Times are the best of N runs, since whatever
else the machine does only adds to them.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CASES = HERE.parent / "cases_go"
PROGRAMS = (
    ("service-gogc50", 50),
    ("service-gogc50", 100),
    ("service-gogc50", 200),
    ("compiler-gogc50", 50),
    ("compiler-gogc50", 200),
    ("cache-gogc200", 100),
    ("cache-gogc200", 200),
    ("reflect-closures", 50),
    ("arenas", 100),
)
WORK = re.compile(r"pacer: (\d+)% CPU .* for (\d+)\+(\d+)\+(\d+) B work")
CLOCKS = re.compile(r"gc \d+ @\S+ \d+%: (\S+)\+(\S+)\+(\S+) ms clock, (\S+)\+(\S+)/(\S+)/(\S+)\+(\S+) ms cpu")
NANO = 1e6
"""Nanoseconds in a millisecond."""
NODE_SCANNED = 56
"""Bytes of timego's node up to the end of its last pointer."""


def build(goroot, work):
    """Build both programs; return their paths."""
    overlay = work / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(CASES / "oplog.go"): str(HERE / "plain.go")}}))
    env = {k: v for k, v in os.environ.items() if not k.startswith("GO")}
    env |= {"HOME": str(work), "GOCACHE": str(work / "cache"), "GOENV": "off", "GOPROXY": "off", "GOFLAGS": ""}
    for name, folder in (("timego", HERE), ("casesgo", CASES)):
        command = [goroot / "bin" / "go", "build", "-overlay", overlay, "-o", work / name, "."]
        subprocess.run(command, cwd=folder, env=env, check=True)
    return work / "timego", work / "casesgo"


def run(command, procs, gogc=100):
    """Run a program with traces on; return what it printed, its traces and its CPU seconds."""
    env = dict(os.environ, GOMAXPROCS=str(procs), GOGC=str(gogc), GODEBUG="gctrace=1,gcpacertrace=1")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, done.stderr, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def clocks(trace):
    """Return nanoseconds of each collection: three clocks (stop, mark, end), CPU of both stops and of three markers."""
    found = [re_match.groups() for re_match in map(CLOCKS.match, trace.splitlines()) if re_match]
    return np.array(found, float).reshape(-1, 8) * NANO


def collections(trace):
    """Return a row per collection: bytes scanned, nanoseconds of scanning, of all the collector's CPU, of both pauses.

    The pacer's line comes first. It says nothing of forced collections, and a program may end between the two.
    """
    rows, work = [], None
    for line in trace.splitlines():
        if found := WORK.match(line):
            work = sum(int(n) for n in found.groups()[1:])
        elif work is not None and CLOCKS.match(line):
            first, _, last, stop, assist, background, idle, end = clocks(line)[0]
            scan = assist + background + idle
            rows.append((work, scan, scan + stop + end, first + last))
            work = None
    return np.array(rows).reshape(-1, 4)


def measure_programs(casesgo, work, runs):
    """Print the table of programs: all of their collections are Go's own."""
    print("| program | GOGC | Ps | collections | scanned bytes/ns | pauses, us | program ns/allocation | ns/byte |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: |")
    idle = min(run([casesgo, "none", "none"], 1)[2] for _ in range(runs))
    for program, gogc in PROGRAMS:
        for procs in (1, 2):
            total, collector, speed, pause, number = [], [], [], [], []
            for _ in range(runs):
                _, trace, cpu = run([casesgo, program, work / "stats.json"], procs, gogc)
                stats = json.loads((work / "stats.json").read_text())
                rows = collections(trace)
                total.append((cpu - idle) * 1e9)
                collector.append(rows[:, 2].sum())
                speed.append(rows[:, 0].sum() / rows[:, 1].sum())
                pause.append(np.median(rows[:, 3]) / 1e3)
                number.append(len(rows))
            # The collector's times are by the clock, so what disturbs a run counts in them; not so in the least ones.
            best = min(total) - min(collector)
            allocations, nbytes = stats["Mallocs"], stats["TotalAlloc"]
            cells = (program.split("-gogc")[0], gogc, procs, f"{min(number)} to {max(number)}", f"{max(speed):.2f}")
            cells += (f"{min(pause):.0f}", f"{best / allocations:.0f}", f"{best / nbytes:.2f}")
            print("| " + " | ".join(map(str, cells)) + " |")
    print()


def measure_malloc(timego, runs):
    """Print what allocations cost without collections, and the straight line through it."""
    best = defaultdict(lambda: np.inf)
    for _ in range(runs):
        for line in run([timego, "malloc"], 1)[0].splitlines():
            _, size, kind, ns = line.split()
            best[int(size), kind] = min(best[int(size), kind], float(ns))
    sizes = sorted({size for size, _ in best})
    print("| bytes | " + " | ".join(map(str, sizes)) + " |")
    print("| --- |" + " --: |" * len(sizes))
    for kind in ("noscan", "scan"):
        print(f"| {kind}, ns | " + " | ".join(f"{best[s, kind]:.0f}" for s in sizes) + " |")
    print()
    for kind in ("noscan", "scan"):
        y = np.array([best[s, kind] for s in sizes[1:]])
        x = np.stack([np.ones(len(y)), np.array(sizes[1:], float)], axis=1)
        fixed, slope = np.linalg.lstsq(x / y[:, None], np.ones(len(y)), rcond=None)[0]
        print(f"{kind}: {fixed:.0f} ns + {slope:.3f} ns a byte (least relative squares)")
    print()


def measure_mark(timego, runs):
    """Print the speed of marking large heaps of small objects in random order."""
    print("| live heap, MiB | scanned bytes/ns, one P | ns an object |")
    print("| --: | --: | --: |")
    for mebi in (2, 8, 32, 64):
        best = min(clocks(run([timego, "mark", mebi], 1)[1])[:, 4:7].sum(axis=1).min() for _ in range(runs))
        nodes = mebi << 14
        print(f"| {mebi} | {nodes * NODE_SCANNED / best:.2f} | {best / nodes:.0f} |")
    print()


def measure_sweep(timego, runs):
    """Print what is left of runtime.GC after marking, per span."""
    best = defaultdict(lambda: np.inf)
    for _ in range(runs):
        out, trace, _ = run([timego, "sweep"], 1)
        lines = [line.split() for line in out.splitlines()]
        # Two collections for each line: the one that was timed, and one that clears up.
        for (_, size, keep, ns), clock in zip(lines, clocks(trace)[::2, :3].sum(axis=1), strict=True):
            key = int(size), keep
            best[key] = min(best[key], (float(ns) - clock) / 16384)
    print("| slot, bytes | all alive, ns a span | every other dead | all dead |")
    print("| --: | --: | --: | --: |")
    for size in sorted({size for size, _ in best}):
        print(f"| {size} | " + " | ".join(f"{best[size, keep]:.0f}" for keep in ("all", "half", "none")) + " |")


def main():
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--go", required=True, type=Path, metavar="GOROOT", help="a Go 1.19")
    parser.add_argument("--runs", type=int, default=5, help="how often each program runs")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="time_go.") as folder:
        work = Path(folder)
        timego, casesgo = build(args.go, work)
        measure_programs(casesgo, work, args.runs)
        measure_malloc(timego, args.runs)
        measure_mark(timego, args.runs)
        measure_sweep(timego, args.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
