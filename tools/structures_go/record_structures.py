#!/usr/bin/env python3
"""Record what the data structures of Go's own page heap do with random operations.

    record_structures.py [--go GO] [--out DIR]

The Go files of this folder are laid over the tests of Go's runtime with `go test -c -overlay`, so that nothing is
written into GOROOT; the test binary runs the recording alone. Its log, text rows of a table's name and numbers, becomes
DIR/structures-go1.19.npz: an array TABLE.COLUMN for each column of a table below. The same Go gives the same bytes.

GO is the command of a Go 1.19 that has the source of its runtime with the tests (Debian: golang-1.19-src).

Exit status: 0 recorded, 2 something is missing or failed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from mheaplab.case import write_npz

HERE = Path(__file__).resolve().parent
VERSION = "go1.19"
FILES = ("export_test.go", "structures_test.go", "bits_test.go", "pages_test.go", "caches_test.go", "ranges_test.go")
PREFIX = "mheaplab_"
"""Put before the names of our files where they lie beside the runtime's, which has an export_test.go too."""

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


class RecordError(Exception):
    """Something outside this script is missing or failed; the message says what."""


def run(command, cwd, env):
    """Run ``command`` and return what it wrote; RecordError with its last words if it failed."""
    command = [str(c) for c in command]
    try:
        done = subprocess.run(command, check=False, cwd=cwd, env=env, capture_output=True, text=True)
    except OSError as err:
        raise RecordError(f"cannot run {command[0]}: {err}") from err
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise RecordError(f"{' '.join(command[:3])} ... exit status {done.returncode}\n  " + "\n  ".join(last))
    return done.stdout


def environment(work):
    """Return an environment in which Go asks nobody, and writes to folder ``work`` only."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GO")}
    own = {"HOME": "home", "XDG_CONFIG_HOME": "home", "GOPATH": "gopath", "GOCACHE": "cache", "TMPDIR": "tmp"}
    for folder in set(own.values()):
        (work / folder).mkdir()
    fixed = {"GOENV": "off", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOMAXPROCS": "1"}
    return env | {name: str(work / folder) for name, folder in own.items()} | fixed


def find_go(given, work, env):
    """Return (command, GOROOT) of the Go to use, having checked that it is what the recording needs."""
    go = shutil.which(given)
    if go is None:
        raise RecordError(f"there is no command {given!r}; name a Go 1.19 with --go")
    said = run([go, "version"], work, env).split()
    if len(said) < 3 or not (said[2] + ".").startswith(VERSION + "."):
        raise RecordError(f"{go} is {' '.join(said[2:3]) or 'no Go'}; the recording needs {VERSION}")
    goroot = Path(run([go, "env", "GOROOT"], work, env).strip())
    if not (goroot / "src" / "runtime" / "export_test.go").is_file():
        raise RecordError(f"{goroot} has no tests of the runtime (src/runtime/export_test.go)")
    return go, goroot


def record_log(go, work):
    """Build and run the recording in folder ``work`` and return the path of its log."""
    env = environment(work)
    go, goroot = find_go(go, work, env)
    # Not resolved: the overlay must name files by the path under which go sees them.
    laid_over = {str(goroot / "src" / "runtime" / (PREFIX + name)): str(HERE / name) for name in FILES}
    overlay = work / "overlay.json"
    overlay.write_text(json.dumps({"Replace": laid_over}), encoding="utf-8")
    binary, log = work / "runtime.test", work / "structures.log"
    # vet looks for the files where they are not.
    run([go, "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "runtime"], work, env)
    run([binary, "-test.run", "^TestRecordStructures$"], work, env | {"STRUCTURES_LOG": str(log)})
    if not log.is_file():
        raise RecordError("the recording ran and left no log")
    return log


def read_log(path):
    """Return the log's rows, lists of integers by table."""
    rows = {table: [] for table in TABLES}
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            table, *values = line.split()
            if table not in rows:
                raise RecordError(f"line {number} of the log: there is no table {table!r}")
            rows[table].append([int(v) for v in values])
    return rows


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
            arrays = make_arrays(read_log(record_log(args.go, Path(work))))
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
