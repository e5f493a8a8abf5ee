#!/usr/bin/env python3
"""Write the tables of docs/size-classes.md: what tables of size classes cost programs, and what better ones would save.

Programs are the scenarios of data/scenarios (a fiftieth of each) and recorded cases.  All their allocations count, also
those that die soon; the sizes of what lives at once may be distributed otherwise.
"""

import sys
from pathlib import Path

import numpy as np
from page_table import keep_table

import mheaplab as mh
from mheaplab.runtime.structs import MALLOC
from mheaplab.runtime.trace_events import ALLOC
from mheaplab.sizeclasses import OTHERS, count_sizes, evaluate, go_table, optimal, optimal_mixture, optimal_near

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "size-classes.md"
MARK = "<!-- size class table: tools/size_class_table.py -->"
CASES = (
    "go119-json", "go119-gzip", "go119-parse", "go119-trees", "go119-gofmt", "go119-final-full",
    "go119-service-gogc50-full", "go119-compiler-gogc50-full", "go119-cache-gogc200-full",
)  # fmt: skip
SCALE = 0.02
CHANGES = (1, 3, 10)


def of_case(name):
    """Return (counts, noscan counts) of a recorded case."""
    events = np.load(ROOT / "data" / "cases" / f"{name}.events.npz")
    rows = events["kind"] == MALLOC
    return count_sizes(events["size"][rows], events["flags"][rows] & 1)


def of_scenario(name):
    """Return (counts, noscan counts) of a scenario."""
    counted = []
    for events in mh.workloads.load(name, scale=SCALE).batches():
        rows = events.kind == ALLOC
        counted.append(count_sizes(events.size[rows], events.noscan[rows]))
    return tuple(sum(part) for part in zip(*counted, strict=True))


def programs():
    """Return {name: (counts, noscan counts)}."""
    scenarios = {name: of_scenario(name) for name in mh.workloads.names()}
    return {name.removeprefix("go119-").removesuffix("-full"): of_case(name) for name in CASES} | scenarios


def tables_of(go, counts, noscan, together):
    """Yield (column, table) for a program."""
    yield "Go", go_table(go)
    for changes in CHANGES:
        yield f"{changes} changed", optimal_near(counts, changes, noscan=noscan, go=go)
    yield "best", optimal(counts, noscan=noscan, go=go)
    yield "best for all", together
    yield from ((name, make(go)) for name, make in OTHERS.items())


def rows_of(go, known):
    """Yield the lines of the table of a Go version: waste in percent of the bytes requested."""
    splits = [noscan for _, noscan in known.values()]
    together = optimal_mixture([(counts, 1) for counts, _ in known.values()], noscan=splits, go=go)
    sums = {}
    for name, (counts, noscan) in known.items():
        shares = {
            column: 100 * evaluate(table, counts, go, noscan).share
            for column, table in tables_of(go, counts, noscan, together)
        }
        if not sums:
            yield f"| {go}, waste in % | {' | '.join(shares)} |"
            yield f"| --- |{' ---: |' * len(shares)}"
        sums = {column: sums.get(column, 0) + share for column, share in shares.items()}
        yield f"| {name} | {' | '.join(f'{share:.2f}' for share in shares.values())} |"
    yield f"| *mean* | {' | '.join(f'{share / len(known):.2f}' for share in sums.values())} |"


def table():
    """Return both tables."""
    known = programs()
    return "\n\n".join("\n".join(rows_of(go, known)) for go in ("go1.19", "go1.27"))


if __name__ == "__main__":
    sys.exit(keep_table(PAGE, MARK, table, sys.argv[1:], __doc__))
