#!/usr/bin/env python3
"""Record what the data structures of Go's own page heap do with random operations.

    record_structures.py [--go GO] [--out DIR]

The Go files of this folder drive Go's own code (`go_overlay` says how they get there). Their log becomes
DIR/structures-go1.19.npz: an array TABLE.COLUMN for each column of a table below. The same Go gives the same bytes.

GO is the command of a Go 1.19 that has the source of its runtime with the tests (Debian: golang-1.19-src).

Exit status: 0 recorded, 2 something is missing or failed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from mheaplab.case import write_npz

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from go_overlay import RecordError, read_log, record_log  # noqa: E402

VERSION = "go1.19"
NAMES = ("export_test.go", "structures_test.go", "bits_test.go", "pages_test.go", "caches_test.go", "ranges_test.go")
FILES = {VERSION: [HERE / name for name in NAMES]}

BITS = (
    "summarize find popcnt_range alloc_range free alloc_all free_all set_scavenged find_scavenge_candidate"
    " find_bit_range64 pack unpack"
).split()
PAGES = (
    "grow alloc alloc_range free free_scavenged find scavenge scavenge_one scavenge_find to_cache cache_alloc flush"
    " set_cache"
).split()
RANGES = "add find_succ find_addr_greater_equal contains".split()
"""Operations, by the number in the column ``kind``; the Go files have them in the same order."""

WORDS = 8
_CHUNK = {"taken": ("u8", WORDS), "scavenged": ("u8", WORDS)}
_ANSWERS = dict.fromkeys(("x", "y", "z"), "i8")
_PAGES_OP = {"sequence": "u2", "kind": "u1", "cache": "u1", "a": "i8", "b": "i8"}
_STATE = {"search_addr": "i8", "bitmaps": "u4", "tree": "u4", "marks": "u4"}
_PAGES_TABLES = {
    "sequences": {"huge_page": "u4", "chunks": "u1"},
    "chunks": {"chunk": "u4"} | _CHUNK,
    "ops": _PAGES_OP | _ANSWERS | _STATE,
}
TABLES = {
    "bits_chunks": _CHUNK,
    "bits_ops": {"kind": "u1", "chunk": "u2", "a": "i8", "b": "i8", "c": "i8"} | _ANSWERS,
    **{f"{name}_{table}": columns for name in ("pages", "caches") for table, columns in _PAGES_TABLES.items()},
    "ranges_ops": {"sequence": "u2", "kind": "u1", "a": "i8", "b": "i8"} | _ANSWERS,
}
"""Columns of each table: type, or type and width, in the order of the log."""
KINDS = {"bits_ops": BITS, "pages_ops": PAGES, "caches_ops": PAGES, "ranges_ops": RANGES}


def make_arrays(rows):
    """Return the arrays of the archive. A number that its column cannot hold is an error of NumPy's."""
    arrays = {"go": np.array(VERSION)}
    for table, columns in TABLES.items():
        widths = [spec[1] if isinstance(spec, tuple) else 1 for spec in columns.values()]
        wrong = [k for k, row in enumerate(rows[table]) if len(row) != sum(widths)]
        if wrong or not rows[table]:
            raise RecordError(f"table {table}: {len(wrong)} of {len(rows[table])} rows have not {sum(widths)} numbers")
        start = 0
        for (name, spec), width in zip(columns.items(), widths, strict=True):
            dtype = spec[0] if isinstance(spec, tuple) else spec
            column = [row[start : start + width] for row in rows[table]]
            start += width
            arrays[f"{table}.{name}"] = np.array(column, dtype).reshape((-1, width) if width > 1 else -1)
        if table in KINDS:
            arrays[f"{table}.kinds"] = np.array(KINDS[table])
    return arrays


def main(argv=None):
    """Record, and say how many operations of each kind there are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--go", default="go", help="the go command of a Go 1.19 (default: that of PATH)")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "data" / "go", help="where the archive goes")
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="record_structures.") as work:
            _, log = record_log(args.go, FILES, "TestRecordStructures", Path(work))
            arrays = make_arrays(read_log(log, TABLES))
    except RecordError as err:
        print(f"record_structures: {err}", file=sys.stderr)
        return 2
    path = args.out / f"structures-{VERSION}.npz"
    write_npz(path, arrays)
    print(f"{path.name}: {path.stat().st_size} bytes")
    for table, names in KINDS.items():
        counts = np.bincount(arrays[f"{table}.kind"], minlength=len(names)).tolist()
        print(f"{table}: {sum(counts)}:", ", ".join(f"{n} {c}" for n, c in zip(names, counts, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
