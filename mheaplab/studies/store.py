"""Store: the rows of a study on disk, so that nothing that is finished is lost, and nothing counted twice.

    OUT/study.json, plan.parquet     what the study is; the keys of its runs, in order
    OUT/results/part-DIGEST.parquet  rows, each in one part only: the dataset for polars, pandas, DuckDB
    OUT/runs/KEY-DIGEST.rows         rows that came since the last part: a file per run, or for the few that end at once
    OUT/old/CODE/                    what another version of the code has left
    OUT/damaged/                     what was not what had been written

A finished run is on the disk before it counts: temporary name, fsync, rename, fsync of the folder.  Files of rows
become a part when there are ``PART`` rows, and at the end.  The part is on the disk before these files go; who is
killed in between leaves rows that are in both, which the next start, and every reader, finds by their key.

Every file has the digest of its bytes in its name.  So any change is seen; the file is put aside, one line says so, and
its runs are done again.  Runs that failed for a reason that may have gone (memory, disk, a lost worker) are done again
at the next start too.

One process at a time writes: it holds a lock that the system drops when the process ends, however it ends.
"""

import hashlib
import json
import os
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path

from ..errors import FormatError
from ..whole_file import whole_file
from .keys import code_stamp
from .locks import locked
from .run_one import MEASURED, PARAMETERS, TIMES
from .space import FIELDS

PART = 2000
STUDY, PLAN, LOCK = "study.json", "plan.parquet", "lock"
FORMAT = "mheaplab study 1"
ARROW_OF = {"bool": "bool_", "int": "int64", "float": "float64", "str": "string", "tuple": "string"}


class DamagedFile(UserWarning):
    """A file of a study is not what was written; its runs are done again."""


def schema():
    """Return the Arrow schema of a part."""
    import pyarrow as pa

    fields = [(name, pa.string()) for name in ("key", "trace", "address", "fingerprint", "code")]
    fields += [("replication", pa.int64()), ("seed", pa.int64()), ("scale", pa.float64()), ("samples", pa.int64())]
    fields += [(name, getattr(pa, ARROW_OF[type(FIELDS[name].default).__name__])()) for name in PARAMETERS]
    fields += [(name, pa.float64()) for name in MEASURED]
    fields += [("events", pa.int64()), ("simulated_seconds", pa.float64())]
    fields += [(name, pa.float64()) for name in TIMES]
    return pa.schema([*fields, ("error", pa.string()), ("lasting", pa.bool_())])


def _digest(data):
    return hashlib.sha256(data).hexdigest()


def again(row):
    """Whether a row is of a run that failed but may not fail the next time."""
    return bool(row["error"]) and not row["lasting"]


def write_rows(folder, rows):
    """Write rows as one file, durably, under the key of the first and the digest of all; return its path."""
    data = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()
    path = folder / f"{rows[0]['key']}-{_digest(data)[:16]}.rows"
    with whole_file(path, durable=True) as out:
        out.write(data)
    return path


def read_rows(path):
    """Return the rows of a file.

    Raises
    ------
    FormatError
        If it is not what was written.
    """
    data = path.read_bytes()
    if not path.stem.endswith(f"-{_digest(data)[:16]}"):
        raise FormatError(f"{path}: its checksum is wrong")
    return [json.loads(line) for line in data.splitlines()]


def write_part(folder, rows):
    """Write rows as a part, durably; return its path."""
    import pyarrow as pa
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    parquet.write_table(pa.Table.from_pylist(rows, schema()), sink, compression="zstd")
    data = sink.getvalue().to_pybytes()
    path = folder / f"part-{_digest(data)[:32]}.parquet"
    with whole_file(path, durable=True) as out:
        out.write(data)
    return path


def read_part(path):
    """Return a part as an Arrow table.

    Raises
    ------
    FormatError
        If it is not what was written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    data = path.read_bytes()
    if path.stem != f"part-{_digest(data)[:32]}":
        raise FormatError(f"{path}: its checksum is wrong")
    # Not read_table: its threads may still be there when the process ends, which then ends badly.
    with parquet.ParquetFile(pa.BufferReader(data)) as file:
        return file.read(use_threads=False)


def _files(folder, pattern):
    return sorted(folder.glob(pattern)) if folder.is_dir() else []


def table_of(out):
    """Return all rows of a study's folder as one Arrow table, whether or not its runs go on.

    A damaged file is warned of and left out.
    """
    import pyarrow as pa

    out, rows, parts = Path(out), {}, []
    # Files of rows first: those that become a part meanwhile are then found there.
    for path in _files(out / "runs", "*.rows"):
        try:
            found = read_rows(path)
            rows |= {row["key"]: row for row in found if row["key"] not in rows or again(rows[row["key"]])}
        except FileNotFoundError:
            continue
        except FormatError as err:
            warnings.warn(f"{err}; its runs are missing until the study is started again", DamagedFile, stacklevel=2)
    for path in _files(out / "results", "part-*.parquet"):
        try:
            parts.append(read_part(path))
        except FormatError as err:
            warnings.warn(f"{err}; its runs are missing until the study is started again", DamagedFile, stacklevel=2)
    for part in parts:
        for key in part.column("key").to_pylist():
            rows.pop(key, None)
    columns = [f.name for f in schema()]
    late = pa.Table.from_pylist([{c: row.get(c) for c in columns} for row in rows.values()], schema())
    return pa.concat_tables([*parts, late], promote_options="permissive")


def read_study(out):
    """Return what ``study.json`` says, and the keys of the plan.

    Raises
    ------
    FormatError
        If there is no study, or its files are not what they claim to be.
    """
    import pyarrow as pa
    from pyarrow import parquet

    path = Path(out) / STUDY
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise FormatError(f"{path}: 'format' is not {FORMAT!r}")
        with parquet.ParquetFile(Path(out) / PLAN) as file:
            keys = file.read(columns=["key"], use_threads=False).column("key").to_pylist()
    except FileNotFoundError as err:
        raise FormatError(f"{out}: no study is there (no {os.path.basename(err.filename)})") from err
    except FormatError:
        raise
    except (pa.ArrowException, OSError, ValueError, RecursionError) as err:
        raise FormatError(f"{out}: {STUDY} or {PLAN} cannot be read ({' '.join(str(err).split())})") from err
    return found, keys


class Store:
    """The folder of a study, to write to; a context, within which it is locked.

    Parameters
    ----------
    out : str or os.PathLike

    Attributes
    ----------
    done : dict
        What is there of this code, by key: a row, or (part, number of its row).  See :meth:`row`.
    """

    def __init__(self, out):
        self.out = Path(out)
        self.runs, self.results = self.out / "runs", self.out / "results"
        self.done, self._late = {}, {}
        self._stack = ExitStack()

    def __enter__(self):
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"out = {os.fspath(self.out)!r} is no folder")
        for folder in (self.out, self.runs, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.out / LOCK, wait=False))
            except BlockingIOError as err:
                text = f"out = {os.fspath(self.out)!r}: another process is at work on this study"
                raise ValueError(text) from err
            self._tidy()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def row(self, key):
        """Return the row of a run that is done."""
        found = self.done[key]
        if isinstance(found, tuple):
            part, k = found
            return part.slice(k, 1).to_pylist()[0]
        return found

    def _tidy(self):
        """Read what is there; put aside what is damaged or of other code, drop what is there twice or done again."""
        for path in [*self.out.rglob("*.tmp")]:
            path.unlink()
        for path in _files(self.results, "part-*.parquet"):
            part = self._read(path, read_part)
            if part is None:
                continue
            status = part.select(["key", "error", "lasting"]).to_pylist()
            if any(again(row) for row in status):
                # The rows that stay become a file before the part goes: whoever is killed between has both.
                self._keep(path, part.to_pylist())
            else:
                self.done |= {row["key"]: (part, k) for k, row in enumerate(status)}
        for path in _files(self.runs, "*.rows"):
            rows = self._read(path, read_rows) or []
            stay = [row for row in rows if row["key"] not in self.done and not again(row)]
            if len(stay) < len(rows):
                path = self._keep(path, stay)
            if stay:
                self.done |= {row["key"]: row for row in stay}
                self._late[path] = stay

    def _keep(self, path, rows):
        """Write those of ``rows`` that are not to be done again into a file instead of ``path``; return its path."""
        stay = [row for row in rows if not again(row)]
        kept = write_rows(self.runs, stay) if stay else None
        path.unlink()
        return kept

    def _read(self, path, reader):
        """Return what is in a file, if it is of this code; what is not to be used is put aside, and None returned."""
        try:
            found = reader(path)
        except FormatError as err:
            self._aside(path, "damaged")
            text = f"{err}; put into {self.out / 'damaged'}, its runs are done again"
            warnings.warn(text, DamagedFile, stacklevel=5)
            return None
        codes = {row["code"] for row in found} if isinstance(found, list) else set(found.column("code").to_pylist())
        if codes != {code_stamp()}:
            self._aside(path, f"old/{min(codes, default='none')}")
            return None
        return found

    def _aside(self, path, folder):
        target = self.out / folder
        target.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target / path.name)

    def describe(self, study, runs):
        """Write down what the study is: ``study.json`` and the plan."""
        import pyarrow as pa
        from pyarrow import parquet

        sink = pa.BufferOutputStream()
        parquet.write_table(pa.table({"key": [run.key for run in runs]}), sink)
        with whole_file(self.out / PLAN, durable=True) as out:
            out.write(sink.getvalue().to_pybytes())
        text = json.dumps({"format": FORMAT, "code": code_stamp()} | study, indent=1)
        with whole_file(self.out / STUDY, durable=True) as out:
            out.write(text.encode())

    def put(self, rows):
        """Write rows that have come; they are on the disk when this returns."""
        rows = [row for row in rows if row["key"] not in self.done]
        if rows:
            self._late[write_rows(self.runs, rows)] = rows
            self.done |= {row["key"]: row for row in rows}
            if sum(map(len, self._late.values())) >= PART:
                self.compact()

    def compact(self):
        """Make a part of the files of rows."""
        rows = [row for late in self._late.values() for row in late]
        if rows:
            write_part(self.results, rows)
        for path in self._late:
            path.unlink(missing_ok=True)
        self._late = {}
