#!/usr/bin/env python3
"""Build a Go program with other tables of size classes, run it, and print what was predicted beside what Go says.

    prove.py [--go GO]

GO is a Go 1.19 or 1.27 (default: go).  The program (main.go) allocates 63,000 objects of made-up sizes and frees none.
Predicted are HeapAlloc, which must be the same but for what the program needs for itself, and HeapInuse as if spans
were as full as they can be: spans that were partly free before take some of the objects.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from go_overlay import RecordError, environment, run

import mheaplab as mh

sc = mh.sizeclasses
PROGRAM = Path(__file__).resolve().parent / "main.go"
ALIKE_SHARE = 0.01
"""HeapInuse may be this far from the prediction."""
ALIKE_BYTES = 1024
"""HeapAlloc may be this far from it: what reading the statistics allocates."""


def made_up_sizes():
    """Return sizes of objects, and which have pointers: every second, whose sizes are whole words."""
    rng = np.random.default_rng(5)
    sizes = np.concatenate((rng.integers(16, 700, 60_000), rng.integers(700, 32_000, 3_000)))
    sizes[::2] = sizes[::2] // 8 * 8
    return sizes, np.arange(len(sizes)) % 2 == 0


def tables(counts, noscan, go):
    """Return tables by name."""
    found = {"Go": sc.go_table(go), "best": sc.optimal(counts, noscan=noscan, go=go)}
    found["three changed"] = sc.optimal_near(counts, 3, noscan=noscan, go=go)
    return found | {name: make(go) for name, make in sc.OTHERS.items() if name != "mimalloc"}


def measure(go, overlay, work, env):
    """Build and run the program; return (HeapAlloc, HeapInuse) that its objects added."""
    binary = overlay.path.parent / "program"
    run([go, "build", "-overlay", overlay.path, "-o", binary, PROGRAM], work, env | overlay.environment)
    return [int(word) for word in run([binary, work / "sizes.json"], work, env | {"GOGC": "off"}).split()]


def prove(go, work):
    """Print the table of a Go; return whether all is as predicted."""
    env = environment(work)
    goroot = run([go, "env", "GOROOT"], work, env).strip()
    sizes, pointers = made_up_sizes()
    (work / "sizes.json").write_text(json.dumps(sizes.tolist()))
    counts, noscan = sc.count_sizes(sizes, ~pointers)
    version, alike = sc.version_of(goroot), True
    print(f"| {version}, bytes | HeapAlloc predicted | measured | HeapInuse predicted | measured |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    for name, table in tables(counts, noscan, version).items():
        overlay = sc.overlay(table, goroot, work / name.replace(" ", "-"))
        allocated, in_use = measure(go, overlay, work, env)
        found = sc.evaluate(table, counts, version, noscan)
        slots = found.requested + found.causes["rounding"] + found.causes["header"]
        alike &= abs(allocated - slots) <= ALIKE_BYTES and abs(in_use / found.whole_bytes - 1) <= ALIKE_SHARE
        print(f"| {name} | {slots:,.0f} | {allocated:,} | {found.whole_bytes:,.0f} | {in_use:,} |", flush=True)
    return alike


def main(argv=None):
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--go", default="go", help="the go command; default: go")
    given = parser.parse_args(argv).go
    go = shutil.which(given)
    if go is None:
        parser.error(f"there is no command {given!r}")
    with tempfile.TemporaryDirectory() as work:
        try:
            return 0 if prove(go, Path(work)) else 1
        except (RecordError, ValueError) as err:
            print(f"prove.py: {err}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
