#!/usr/bin/env python3
"""Measure with a real Go 1.19 what docs/size-class-questions.md predicts; print its two tables.

    questions.py [--go GO]

GO is a Go 1.19 (default: go).  The first table is of heaps that nothing is freed from (heaps.go): HeapInuse is
predicted in whole spans; spans that the program's own start has begun take some of the objects.  The second is of an
ordinary program that encodes and decodes JSON (tools/record_go/programs/json.go): how often it collects with GOGC=10.

A table with pages of 2 KiB comes from Go's own mksizeclasses.go, in a copy with three numbers changed, as in
Tailscale's fork.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from class_answers import small_heaps, wasteful
from class_answers.programs import made_objects, objects_of
from go_overlay import RecordError, environment, run

import mheaplab as mh

sc = mh.sizeclasses
GO = "go1.19"
TOOLS = Path(__file__).resolve().parent.parent
HEAPS, JSON = TOOLS / "classes_go" / "heaps.go", TOOLS / "record_go" / "programs" / "json.go"
NODES = 100_000
PREFIXES = (4000, 64_000)
MADE = (wasteful.SHOWN, 20_000)
RECORDS = "4000"
SMALL = {
    "maxSmallSize = 32 << 10": "maxSmallSize = 16 << 10",
    "pageShift    = 13": "pageShift    = 11",
    "len(classes) != 68": "len(classes) != 50",
}
"""What is changed in mksizeclasses.go."""


def heaps():
    """Return {name: (sizes, whether without pointers)}; objects with pointers are whole words."""
    found = {f"{NODES:,} nodes of 24 bytes": (np.full(NODES, 24), np.zeros(NODES, bool))}
    sizes, noscan = objects_of()
    taken = {f"first {n:,} objects of json": (sizes[:n], noscan[:n]) for n in PREFIXES}
    taken[f"first {MADE[1]:,} objects of {MADE[0]}"] = made_objects(*MADE)
    for name, (sizes, noscan) in taken.items():
        found[name] = np.where(noscan, sizes, np.maximum(sizes // 8 * 8, 8)), noscan
    return found


def tables(sizes, noscan):
    """Return {name: table}; None is that with pages of 2 KiB."""
    own = sc.go_table(GO)
    counts, without = sc.count_sizes(sizes, noscan)
    found = {"Go": own, "without 24": sc.without_class(own, 24), "raised": wasteful.raised(GO), "2 KiB pages": None}
    found["best 14, fewest pages"] = small_heaps.few_classes(sizes, noscan, 14)
    return found | {"best 67": sc.optimal(counts, noscan=without)}


def small_overlay(goroot, go, work, env):
    """Write the overlay with pages of 2 KiB; return its path."""
    text = (Path(goroot) / "src" / "runtime" / "mksizeclasses.go").read_text()
    for there, ours in SMALL.items():
        if there not in text:
            raise RecordError(f"{goroot}: mksizeclasses.go has no {there!r}, expected that of Go 1.19")
        text = text.replace(there, ours)
    folder = work / "2kib"
    folder.mkdir(exist_ok=True)
    (folder / "mksizeclasses.go").write_text(text)
    made = folder / "sizeclasses.go"
    made.write_text(run([go, "run", folder / "mksizeclasses.go", "-stdout"], work, env))
    path = folder / "overlay.json"
    path.write_text(json.dumps({"Replace": {str(Path(goroot) / "src/runtime/sizeclasses.go"): str(made)}}))
    return path


class Builder:
    """Builds programs with other tables of size classes, in a folder that is thrown away."""

    def __init__(self, go, work):
        self.go, self.work, self.env = go, work, environment(work)
        self.goroot = run([go, "env", "GOROOT"], work, self.env).strip()
        version = sc.version_of(self.goroot)
        if version != GO:
            raise RecordError(f"{go} is {version}, expected {GO}")

    def build(self, program, table):
        """Return the path of the program with a table."""
        if table is None:
            overlay = small_overlay(self.goroot, self.go, self.work, self.env)
        else:
            overlay = sc.overlay(table, self.goroot, self.work / "overlay").path
        binary = self.work / program.stem
        run([self.go, "build", "-overlay", overlay, "-o", binary, program], self.work, self.env)
        return binary

    def heap(self, table, sizes, noscan):
        """Return (HeapAlloc, HeapInuse) that objects add."""
        path = self.work / "sizes.json"
        path.write_text(json.dumps(np.where(noscan, -sizes, sizes).tolist()))
        said = run([self.build(HEAPS, table), path], self.work, self.env | {"GOGC": "off"})
        return [int(word) for word in said.split()]

    def collections(self, table, procs):
        """Return how often the JSON program collects on so many Ps."""
        binary, log = self.build(JSON, table), self.work / "gctrace"
        script = f"GODEBUG=gctrace=1 GOGC={small_heaps.GOGC} GOMAXPROCS={procs} {binary} {RECORDS} 2>{log}"
        run(["sh", "-c", script], self.work, self.env)
        return sum(line.startswith("gc ") for line in log.read_text().splitlines())


def predicted(table, sizes, noscan):
    """Return (HeapAlloc, HeapInuse) as slots and whole spans."""
    page = 8192 if table is not None else small_heaps.SMALL_PAGE
    pairs = table.pairs if table is not None else small_heaps.rule_classes(page, small_heaps.SMALL_MOST)
    slot = np.array(pairs)[:, 0]
    large = sizes > slot[-1]
    rounded = slot[np.searchsorted(slot, sizes[~large])].sum() + (-(-sizes[large] // page) * page).sum()
    return int(rounded), small_heaps.whole_spans(sizes, noscan, pairs, page)


def main(argv=None):
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", default="go", help="the go command, a Go 1.19; default: go")
    given = parser.parse_args(argv).go
    go = shutil.which(given)
    if go is None:
        parser.error(f"there is no command {given!r}")
    with tempfile.TemporaryDirectory() as work:
        try:
            measure(Builder(go, Path(work)))
        except (RecordError, ValueError) as err:
            print(f"questions.py: {err}", file=sys.stderr)
            return 1
    return 0


def measure(builder):
    """Print both tables."""
    print("| go1.19, bytes | table | HeapAlloc predicted | measured | HeapInuse predicted | measured |")
    print("| --- | --- | ---: | ---: | ---: | ---: |", flush=True)
    for name, (sizes, noscan) in heaps().items():
        for label, table in tables(sizes, noscan).items():
            numbers = zip(predicted(table, sizes, noscan), builder.heap(table, sizes, noscan), strict=True)
            print(f"| {name} | {label} | {' | '.join(f'{a:,} | {b:,}' for a, b in numbers)} |", flush=True)
    print(
        f"\n| collections of the JSON program, GOGC={small_heaps.GOGC} | 1 P | 4 Ps |\n| --- | ---: | ---: |",
        flush=True,
    )
    for label, table in tables(*objects_of()).items():
        print(f"| {label} | {' | '.join(str(builder.collections(table, procs)) for procs in (1, 4))} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
