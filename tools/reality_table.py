#!/usr/bin/env python3
"""Write the table of docs/pacing.md: recorded programs beside what the twin does when it paces itself.

The twin gets a program's allocations, with deaths drawn between the recorded collections (``mheaplab/case_trace.py``),
GOGC, the size of its globals and its speed.  When to collect, sweep and scavenge it decides.  A row has the median of
SEEDS draws.  ``Go again`` is what the same program came to when Go ran it 20 times more, without being recorded
(data/go/repeats-go1.19.json, made by tools/time_go/repeat.py).
"""

import json
import sys
from pathlib import Path

import numpy as np
from page_table import keep_table

import mheaplab as mh
from mheaplab.case_lives import Lives
from mheaplab.case_trace import trace_of_lives
from mheaplab.replay import _Driver
from mheaplab.runtime.structs import MALLOC
from mheaplab.runtime.trace_events import ALLOC
from mheaplab.traces import Trace

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "data" / "cases"
PAGE = ROOT / "docs" / "pacing.md"
MARK = "<!-- reality table: tools/reality_table.py -->"
SEEDS = 5
LEAST_COLLECTIONS = 3
MIB = 1 << 20
GLOBALS = {"gofmt": 227_824, "final": 227_568, "gzip": 227_568, "json": 227_568}
"""Bytes of globals that Go scans, by program; those of tools/cases_go are one binary."""
GLOBALS_OF_CASES_GO = 233_712
GOGC = {"limit": 25}
"""GOGC of programs that set it themselves."""
LIMIT_SETS_LIMIT = 72_000
"""The `limit` program sets its memory limit just before it makes 3,000 slices, its first object of this size."""
BYTE_NS = 0.17
SCAN_SHARE = 0.9
"""Constants of docs/time-model.md."""


def program_of(name):
    """Return the program of a case: its name without version and kind of recording."""
    return name.removeprefix("go119-").removesuffix("-full")


def gogc_of(program):
    """Return GOGC of a program."""
    return GOGC.get(program, int(program.split("-gogc")[1]) if "-gogc" in program else 100)


class Recorded:
    """What a case has of a run: collections, goals, and the heap where it is looked at."""

    def __init__(self, path):
        self.case = mh.load_case(path)
        self.program = program_of(self.case.name)
        self.gogc = gogc_of(self.program)
        self.globals = GLOBALS.get(self.program, GLOBALS_OF_CASES_GO)
        self.lives = Lives(self.case, "begin")
        self.stats = json.loads(Path(f"{path}.memstats.json").read_text())
        self.stop = self._stop()
        self.ends = self.lives.end[self.lives.end < self.stop]
        self.goals = self._goals(Path(f"{path}.pacing.npz"))

    def _stop(self):
        """Return the event up to which the twin can follow, len(case) for all."""
        e = self.case.events
        if self.program != "limit":
            return len(self.case)
        return int(np.flatnonzero((e.kind == MALLOC) & (e.size == LIMIT_SETS_LIMIT))[0])

    def heap(self):
        """Return HeapInuse and HeapSys where the program read them, or where the twin stops."""
        if self.stop == len(self.case):
            return self.stats["HeapInuse"], self.stats["HeapSys"]
        stats = mh.snapshots(self.case, [self.stop])[0].memstats
        return stats["HeapInuse"], stats["HeapSys"]

    def _goals(self, pacing):
        """Return the goal in force until each collection ended, and the one after the last."""
        if pacing.exists():
            with np.load(pacing) as seen:
                return np.append(seen["last_goal"], self.stats["NextGC"])
        return self._goals_from_marks()

    def _goals_from_marks(self):
        """Return goals as GOGC sets them, from what was marked; to a few KiB, as nobody noted the stacks scanned."""
        run = _Driver(self.case, None, 0)
        least = 4 * MIB * self.gogc // 100
        goals = [least]
        for begin, end in zip(self.lives.begin.tolist(), self.ends.tolist(), strict=False):
            run.run_to(begin)
            goals[-1] = max(goals[-1], int(run.state.h.stats.heap_live) + (64 << 10))
            run.run_to(end + 1)
            marked = int(run.state.h.heap_marked)
            goals.append(max(least, marked + (marked + self.globals + 3000) * self.gogc // 100))
        if self.stop == len(self.case):
            goals[-1] = self.stats["NextGC"]
        return np.array(goals)

    def params(self, repeats):
        """Return what the twin is told of the program."""
        again = repeats[self.program]
        alloc_ns = max((min(again["program_ns"]) - BYTE_NS * again["TotalAlloc"]) / again["Mallocs"], 1.0)
        full = self.case.name.endswith("-full")
        return mh.HeapParams.go119(
            gogc=self.gogc, globals_bytes=self.globals, stack_bytes=0 if full else 3000, scan_share=SCAN_SHARE,
            alloc_ns=round(alloc_ns), byte_ns=BYTE_NS,
        )  # fmt: skip


def mean_goal(ends, goals, total):
    """Return the goal averaged over bytes allocated, 0 to ``total``; ``goals[k]`` holds until ``ends[k]`` bytes."""
    bounds = np.concatenate([[0], np.minimum(ends, total), [total]])
    return float((np.diff(bounds) * goals).sum() / total)


def simulate(recorded, params, seed):
    """Return collections, mean goal, HeapInuse and HeapSys of one run of the twin's own."""
    made = trace_of_lives(recorded.lives, seed)
    rows = int(made.row[recorded.stop])
    trace = Trace.from_arrays(**{name: column[:rows] for name, column in made.columns.items()})
    at = min(made.memstats_row, rows)
    result = mh.simulate(trace, params, samples=10, snapshots=[at])
    size = np.where(made.columns["kind"] == ALLOC, made.columns["size"], 0)[:rows]
    clock = np.concatenate([[0], np.cumsum(size, dtype=np.int64)])
    cycles = result.cycles
    last = cycles["next_goal"][-1] if len(cycles) else 4 * MIB * params.gogc // 100
    goal = mean_goal(clock[cycles["end_event"]], np.append(cycles["goal"], last), clock[-1])
    stats = result.snapshot(at).memstats
    return len(cycles), goal, stats["HeapInuse"], stats["HeapSys"]


def measure(recorded, repeats):
    """Return the numbers of a row, recorded and simulated."""
    clock, stop = recorded.lives.clock, recorded.stop
    goal = mean_goal(clock[recorded.ends], recorded.goals[: len(recorded.ends) + 1], clock[stop])
    was = (len(recorded.ends), goal, *recorded.heap())
    params = recorded.params(repeats)
    runs = np.array([simulate(recorded, params, seed) for seed in range(SEEDS)])
    return was, np.median(runs, axis=0)


def row_of(recorded, repeats):
    """Return one row of the table in Markdown."""
    was, found = measure(recorded, repeats)
    whole = recorded.stop == len(recorded.case)
    cells = [recorded.case.name + ("" if whole else ", until it sets a limit"), str(recorded.gogc)]
    for k, key in enumerate(("NumGC", None, "HeapInuse", "HeapSys")):
        unit, form = (1, "{:.0f}") if k == 0 else (MIB, "{:.2f}")
        cells += [form.format(was[k] / unit), form.format(found[k] / unit), f"{100 * (found[k] / was[k] - 1):+.1f}%"]
        if key and whole:
            again = repeats[recorded.program][key]
            cells.append(f"{form.format(min(again) / unit)} to {form.format(max(again) / unit)}")
        elif key:
            cells.append("")
    return "| " + " | ".join(cells) + " |"


def table():
    """Return the table in Markdown, one row per case of Go 1.19 with enough collections."""
    repeats = json.loads((ROOT / "data" / "go" / "repeats-go1.19.json").read_text())
    head = ["case", "GOGC", "collections", "twin", "", "Go again", "mean goal", "twin", "", "HeapInuse", "twin", ""]
    head += ["Go again", "HeapSys", "twin", "", "Go again"]
    rows = ["| " + " | ".join(head) + " |", "| --- |" + " --: |" * (len(head) - 1)]
    for path in sorted(CASES.glob("go119-*.events.npz")):
        name = str(path).removesuffix(".events.npz")
        with np.load(path) as events:
            if len(events["dead_offsets"]) - 1 < LEAST_COLLECTIONS:
                continue
        rows.append(row_of(Recorded(name), repeats))
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(keep_table(PAGE, MARK, table, sys.argv[1:], __doc__))
