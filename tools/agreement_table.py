#!/usr/bin/env python3
"""Write the table of docs/cases.md: how far each case in data/cases agrees with Go.

Usage: agreement_table.py [--check]     (--check: exit with 1 if the page is out of step)
"""

import sys
from pathlib import Path

import mheaplab as mh

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cases.md"
MARK = "<!-- agreement table: tools/agreement_table.py -->"
END = "<!-- end of table -->"


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


def main(argv):
    """Rewrite or check the page."""
    text = PAGE.read_text()
    before, rest = text.split(MARK)
    after = rest.split(END)[1] if END in rest else rest
    wanted = f"{before}{MARK}\n\n{table()}\n\n{END}{after}"
    if "--check" in argv:
        return int(text != wanted)
    PAGE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
