"""Run Go test files of ours inside Go's own runtime: what the recorders of this folder's subfolders share.

The files are laid over the tests of Go's package runtime with `go test -c -overlay`, so that nothing is written into
GOROOT, and the test binary runs one test of ours alone.  That writes a log: text rows of a table's name and integers.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

PREFIX = "mheaplab_"
"""Put before the names of our files where they lie beside the runtime's, which has an export_test.go too."""


class RecordError(Exception):
    """Something outside the recorder is missing or failed; the message says what."""


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
    # From GOAMD64=v3 on Go would round a multiplication and an addition once.
    fixed = {"GOENV": "off", "GOFLAGS": "", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOMAXPROCS": "1"}
    fixed["GOAMD64"] = "v1"
    return env | {name: str(work / folder) for name, folder in own.items()} | fixed


def find_go(given, versions, work, env):
    """Return (command, version, GOROOT) of the Go to use, having checked that it is one of ``versions`` with tests."""
    go = shutil.which(given)
    if go is None:
        raise RecordError(f"there is no command {given!r}; name a Go with --go")
    said = (run([go, "version"], work, env).split() + ["", "", "no Go"])[2]
    known = [version for version in versions if (said + ".").startswith(version + ".")]
    if not known:
        raise RecordError(f"{go} is {said}; the recording needs {' or '.join(versions)}")
    goroot = Path(run([go, "env", "GOROOT"], work, env).strip())
    if not (goroot / "src" / "runtime" / "export_test.go").is_file():
        raise RecordError(f"{goroot} has no tests of the runtime (src/runtime/export_test.go)")
    return go, known[0], goroot


def record_log(go, files_of, test, work):
    """Build and run ``test`` in folder ``work``; return (version, path of its log).

    ``files_of`` has the paths of our Go files by version; the test finds the log's path in RECORD_LOG.
    """
    env = environment(work)
    go, version, goroot = find_go(go, tuple(files_of), work, env)
    # GOROOT is not resolved: the overlay must name files by the path under which go sees them.
    laid_over = {str(goroot / "src" / "runtime" / (PREFIX + path.name)): str(path) for path in files_of[version]}
    overlay = work / "overlay.json"
    overlay.write_text(json.dumps({"Replace": laid_over}), encoding="utf-8")
    binary, log = work / "runtime.test", work / "record.log"
    # vet looks for the files where they are not.
    run([go, "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, "runtime"], work, env)
    run([binary, "-test.run", f"^{test}$"], work, env | {"RECORD_LOG": str(log)})
    if not log.is_file():
        raise RecordError("the recording ran and left no log")
    return version, log


def read_log(path, tables):
    """Return the log's rows, lists of integers by table."""
    rows = {table: [] for table in tables}
    with open(path, encoding="ascii") as lines:
        for number, line in enumerate(lines, 1):
            table, *values = line.split()
            if table not in rows:
                raise RecordError(f"line {number} of the log: there is no table {table!r}")
            rows[table].append([int(v) for v in values])
    return rows


def column_arrays(rows, tables):
    """Return the columns of a log as arrays named TABLE.COLUMN.

    ``tables`` says of each table "NAME:TYPE ..." in the order of the log; f8 is in the log as its bits.  A number that
    its column cannot hold is an error of NumPy's.
    """
    arrays = {}
    for table, text in tables.items():
        columns = [column.split(":") for column in text.split()]
        wrong = [k for k, row in enumerate(rows[table]) if len(row) != len(columns)]
        if wrong or not rows[table]:
            raise RecordError(f"table {table}: {len(wrong)} of {len(rows[table])} rows have not {len(columns)} numbers")
        for k, (name, kind) in enumerate(columns):
            values = np.array([row[k] for row in rows[table]], "i8" if kind == "f8" else kind)
            arrays[f"{table}.{name}"] = values.view("f8") if kind == "f8" else values
    return arrays
