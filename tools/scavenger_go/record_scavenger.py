#!/usr/bin/env python3
"""Record how long Go's own background scavenger sleeps after made-up work.

    record_scavenger.py [--go GO] [--out DIR]

The Go files of this folder drive the scavenger of Go's runtime (`go_overlay` says how they get there); GO is the
command of Go 1.19 with the source of its runtime and the tests. The log becomes DIR/scavenger-VERSION.npz: an array
TABLE.COLUMN for each column of a table below. The same Go gives the same bytes.

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

FILES = {"go1.19": [HERE / name for name in ("export_test.go", "scavenger_test.go")]}
SCENARIOS = "one four sixteen bursts long clock naps failure parked anything".split()
"""The Go file has them in the same order."""
TABLES = {
    "scenario": "name:u1 steps:i4",
    "step": "procs:u1 quantum_ns:i8 available:i8 stop:i8 slept_given:i8"
    " scavenges:i4 released:i8 worked:i8 asked:i8 slept:i8 ratio:f8 err_integral:f8 cooldown:i8",
}
"""Columns of each table in the order of the log. f8: in the log as its bits.

A step is one turn of the scavenger's loop. Given: Ps, ns for 64 KiB, bytes that can be given back, bytes after which
the goals are met (0: never), ns that the sleep lasts (-1: as asked). Answered: calls of scavenge and what they came to,
ns of sleep asked for and slept (0: it parked), and the controller after it.
"""


def make_arrays(rows, version):
    """Return the archive's arrays."""
    arrays = {"go": np.array(version), "scenario.names": np.array(SCENARIOS)} | column_arrays(rows, TABLES)
    if len(arrays["scenario.steps"]) != len(SCENARIOS) or arrays["scenario.steps"].sum() != len(arrays["step.procs"]):
        raise RecordError("the log has not all steps of all scenarios")
    return arrays


def main(argv=None):
    """Record, and say how many steps each scenario has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--go", default="go", help="the go command of Go 1.19 (default: that of PATH)")
    parser.add_argument("--out", type=Path, default=HERE.parents[1] / "data" / "go", help="where the archive goes")
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="record_scavenger.") as work:
            version, log = record_log(args.go, FILES, "TestRecordScavenger", Path(work))
            arrays = make_arrays(read_log(log, TABLES), version)
    except RecordError as err:
        print(f"record_scavenger: {err}", file=sys.stderr)
        return 2
    path = args.out / f"scavenger-{version}.npz"
    write_npz(path, arrays)
    steps = zip(SCENARIOS, arrays["scenario.steps"].tolist(), strict=True)
    print(f"{path.name}: {path.stat().st_size} bytes")
    print(f"{len(arrays['step.procs'])} steps:", ", ".join(f"{name} {n}" for name, n in steps))
    return 0


if __name__ == "__main__":
    sys.exit(main())
