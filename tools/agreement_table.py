#!/usr/bin/env python3
"""Write the table of docs/cases.md: how far each case in data/cases agrees with Go.
"""

import sys
from pathlib import Path

from page_table import keep_table

import mheaplab as mh

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cases.md"
MARK = "<!-- agreement table: tools/agreement_table.py -->"


def table():
    """Return the table in Markdown, one row per case."""
    rows = ["| case | events | collections | objects | spans, all columns | stacks | sweeps | scavenges |"]
    rows.append("| --- | --: | --: | --: | --: | --: | --: | --: |")
    for path in sorted((ROOT / "data" / "cases").glob("*.events.npz")):
        case = mh.load_case(path)
        agreement = mh.compare(mh.replay(case), case.truth)
        cells = [case.name, f"{len(case):,}", str(len(case.events.dead_offsets) - 1)]
        for kind in ("objects", "spans", "stacks", "sweeps", "scavenges"):
            matched, total = agreement.matched[kind], agreement.total[kind]
            cells.append(f"{matched:,} of {total:,}" if total else "none")
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(keep_table(PAGE, MARK, table, sys.argv[1:], __doc__))
