#!/usr/bin/env python3
"""Record what Go's own pacer answers in made-up collections.

    record_pacer.py [--go GO] [--out DIR]

The Go files of this folder drive the controller of Go's runtime (`go_overlay` says how they get there); GO is the
command of Go 1.19 or 1.27 with the source of its runtime and the tests. The log becomes DIR/pacer-VERSION.npz: an
array TABLE.COLUMN for each column of a table below. The same Go gives the same bytes.

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
from go_overlay import RecordError, column_arrays, read_log, record_log  # noqa: E402

COMMON = ("export_test.go", "pacer_test.go", "scenarios_test.go")
FILES = {
    "go1.19": [HERE / name for name in (*COMMON, "fields_go119_test.go")],
    "go1.27": [HERE / name for name in (*COMMON, "fields_go127_test.go")],
}

KINDS = "init memory start revise worker end commit percent limit update stack globals idle".split()
"""Operations, by the number in ops.kind; each has a table of its name. The Go files have them in the same order."""
SHAPES = "steady step ramp jitter noisy raw".split()
"""Shapes of a program over time, by the number in init.shape."""

TABLES = {
    "ops": "kind:u1 digest:u2",
    "init": "shape:u1 percent:i4 limit:i8",
    "memory": "heap_in_use:i8 heap_free:i8 total_alloc:i8 total_free:i8 mapped_ready:i8 limit_goal:u8 goal:u8",
    "start": "now:i8 over:i8 stack:i8 globals:i8 frac:u1 procs:u1 flags:u1 triggered:u8 goal:u8 ratio:f8"
    " dedicated:i2 fractional:f8 max_idle:i2",
    "revise": "d_live:i8 d_scan:i8 heap_work:i8 stack_work:i8 globals_work:i8 goal:u8 ratio:f8",
    "worker": "mode:u1 duration:i8",
    "end": "marked:i8 assist:i8 now:i8 procs:u1 goal:u8 trigger:u8 cons_mark:f8 runway:u8",
    "commit": "flags:u1 swept:i8 in_use:i8 last_in_use:i8 goal:u8 trigger:u8 per_byte:f8 percent_goal:u8 limit_goal:u8",
    "percent": "percent:i4 old:i4",
    "limit": "limit:i8 old:i8",
    "update": "d_live:i8 d_scan:i8 marking:u1 live:u8",
    "stack": "amount:i8",
    "globals": "amount:i8",
    "idle": "what:u1 most:i4 answer:u1",
}
"""Columns of each table in the order of the log: what was given, then what Go answered. f8: in the log as its bits."""


def make_arrays(rows, version):
    """Return the archive's arrays."""
    named = {"go": np.array(version), "ops.kinds": np.array(KINDS), "init.shapes": np.array(SHAPES)}
    return named | column_arrays(rows, TABLES)


def main(argv=None):
    """Record, and say how many operations of each kind there are."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--go", default="go", help="the go command of Go 1.19 or 1.27 (default: that of PATH)")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "data" / "go", help="where the archive goes")
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="record_pacer.") as work:
            version, log = record_log(args.go, FILES, "TestRecordPacer", Path(work))
            arrays = make_arrays(read_log(log, TABLES), version)
    except RecordError as err:
        print(f"record_pacer: {err}", file=sys.stderr)
        return 2
    path = args.out / f"pacer-{version}.npz"
    write_npz(path, arrays)
    counts = np.bincount(arrays["ops.kind"], minlength=len(KINDS)).tolist()
    print(f"{path.name}: {path.stat().st_size} bytes")
    print(f"{sum(counts)} operations:", ", ".join(f"{n} {c}" for n, c in zip(KINDS, counts, strict=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
