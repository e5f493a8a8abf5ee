#!/usr/bin/env python3
"""Write the tables "Predicted and measured" of docs/size-classes.md from what `mheaplab prove` kept in data/go.

Each data/go/prove-GO-PROGRAM-GOGC.json is the proof.json of a run like

    mheaplab prove tools/classes_go/programs/store.go --gogc 100 --runs 9 --recordings 5 --table pow2 \\
        --table jemalloc --table best --table near:3 --table tools/classes_go/without-2688.json --go GO -o DIR

With the collector on the numbers are those after a last collection; with GOGC=off those at exit.
"""

import json
import sys
from pathlib import Path
from statistics import median

from page_table import keep_table

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "size-classes.md"
MARK = "<!-- prove table: tools/prove_table.py -->"
MIB = 1 << 20
HEAD = (
    "table", "HeapAlloc, Go's", "its change, predicted", "measured", "off", "HeapInuse, Go's",
    "with the table, predicted", "measured, least to most", "off",
)  # fmt: skip


def name_of(word):
    """Return what a table is called here."""
    return Path(word).stem.replace("-", " ") if word.endswith(".json") else word


def row_of(numbers, moment):
    """Return the cells of a row after the table's name."""
    stock, other = (numbers[side][moment] for side in ("stock", "with_table"))
    was = median(stock["HeapAlloc"]["runs"])
    predicted = median(other["HeapAlloc"]["predictions"]) - median(stock["HeapAlloc"]["predictions"])
    measured = median(other["HeapAlloc"]["runs"]) - was
    cells = [f"{was / MIB:.3f}", f"{predicted / MIB:+.3f}", f"{measured / MIB:+.3f}"]
    cells.append(f"{100 * (predicted - measured) / was:+.2f}%")
    runs = other["HeapInuse"]["runs"]
    middle = median(runs)
    spread = "" if max(runs) - min(runs) < MIB / 1000 else f" ({min(runs) / MIB:.2f} to {max(runs) / MIB:.2f})"
    in_use = median(other["HeapInuse"]["predictions"])
    cells += [f"{median(stock['HeapInuse']['runs']) / MIB:.2f}", f"{in_use / MIB:.2f}"]
    return [*cells, f"{middle / MIB:.2f}{spread}", f"{100 * (in_use / middle - 1):+.1f}%"]


def table():
    """Return the tables in Markdown, one for each Go and GOGC."""
    parts = {}
    for path in sorted((ROOT / "data" / "go").glob("prove-*.json")):
        proof = json.loads(path.read_text())
        off = proof["gogc"] < 0
        key = (proof["go"], "off" if off else str(proof["gogc"]), proof["append"])
        for entry in proof["tables"]:
            cells = row_of(entry["numbers"], "exit" if off else "collected")
            row = [f"{proof['program'].removesuffix('.go')}, {name_of(entry['table'])}", *cells]
            parts.setdefault(key, []).append(row)
    texts = []
    for (go, gogc, append), rows in sorted(parts.items()):
        moment = "at exit" if gogc == "off" else "after a last collection"
        as_go = ", append as Go's" if append == "go" else ""
        head = [f"{go}, GOGC={gogc}{as_go}, {moment}, MiB", *HEAD[1:]]
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        texts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(texts)


if __name__ == "__main__":
    sys.exit(keep_table(PAGE, MARK, table, sys.argv[1:], __doc__))
