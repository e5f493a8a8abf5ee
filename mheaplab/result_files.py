"""The files of a result: two Parquet tables, an npz of snapshots, a JSON file; and a folder that appears whole.

A result is a folder.  ``samples.parquet`` and ``cycles.parquet`` hold one column per number: a field that has one value
per sweeper becomes as many columns (``swept_pages_background``).  ``snapshots.npz`` holds the arrays of each snapshot
under ``EVENT.NAME``.  ``run.json`` holds the rest.  The same run gives the same bytes, except for ``run.json``, which
also says how long it took and with which versions.

Everything is read as hostile input.  A table's schema and its number of rows are looked at before any row is read; then
come the values: an index within its names, a size that is not negative, events that do not go back.
"""

import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from .case import UNREADABLE, read_member, write_npz
from .errors import FormatError
from .runtime.sim_structs import CYCLE, GC_PHASE_NAMES, SAMPLE, SWEEPERS, WHY_NAMES
from .snapshot import PAGE_STATE_NAMES, SPAN_COLUMNS, Snapshot

SAMPLES, CYCLES, SNAPSHOTS, RUN = "samples.parquet", "cycles.parquet", "snapshots.npz", "run.json"
FILES = (SAMPLES, CYCLES, SNAPSHOTS, RUN)
MAX_ROWS = 1 << 22
"""Rows of a table, far more than a run can ask for."""
MAX_ARRAY = 1 << 30
"""Bytes of one array of a snapshot: pages of a heap of 2 TiB."""
MAX_RUN_BYTES = 1 << 26
SIGNED = {"sweep_debt", "heap_live", "swept_event", "swept_ns", "runway", "goal", "next_goal", "trigger", "cons_mark"}
"""Columns that may be negative: behind or ahead, not known, off, or what Go computes below zero."""
NAMED = {"why": len(WHY_NAMES), "gc_phase": len(GC_PHASE_NAMES), "forced": 3}
ORDERED = ("event", "time_ns", "cycles", "cycle", "start_event", "end_event", "total_alloc")
SNAPSHOT_ARRAYS = {"arenas": ("u8", 1), "pages": ("u1", 2), "page_span": ("i4", 2), "spans": (SPAN_COLUMNS, 1)}
SNAPSHOT_ARRAYS["class_sizes"] = ("i8", 1)


def plain(dtype):
    """Return a record type of the kernel as an ordinary structured type."""
    return np.dtype([(name, dtype[name]) for name in dtype.names])


SAMPLE_TYPE, CYCLE_TYPE = plain(SAMPLE), plain(CYCLE)


# ---------------------------------------------------------------------------------------------------- tables


def columns_of(dtype):
    """Yield (column, field, index or None) for every column of a table of that type."""
    for name in dtype.names:
        if dtype[name].shape:
            yield from ((f"{name}_{who}", name, k) for k, who in enumerate(SWEEPERS))
        else:
            yield name, name, None


def write_table(path, rows):
    """Write structured rows as a Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {}
    for column, field, k in columns_of(rows.dtype):
        values = rows[field] if k is None else rows[field][:, k]
        columns[column] = pa.array(np.ascontiguousarray(values))
    parquet.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False)


def read_table(path, dtype):
    """Return the rows of a Parquet file as an array of ``dtype``."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_schema(path, file, dtype)
            table = file.read()
    except FileNotFoundError as err:
        raise FormatError(f"{path}: no such file") from err
    except FormatError:
        raise
    except (pa.ArrowException, OSError, ValueError, OverflowError) as err:
        raise FormatError(f"{path}: not a readable Parquet file ({' '.join(str(err).split())})") from err
    rows = np.zeros(table.num_rows, dtype)
    for column, field, k in columns_of(dtype):
        found = table.column(column)
        if found.null_count:
            raise FormatError(f"{path}: column {column!r} has {found.null_count} empty rows, expected none")
        target = rows[field] if k is None else rows[field][:, k]
        target[...] = found.to_numpy()
        _check_column(path, column, field, target)
    return rows


def _check_schema(path, file, dtype):
    """Raise unless a Parquet file has the columns of ``dtype`` and not too many rows."""
    import pyarrow as pa

    schema = file.schema_arrow
    wanted = {column: pa.from_numpy_dtype(dtype[field].base) for column, field, _ in columns_of(dtype)}
    for column, kind in wanted.items():
        found = schema.get_all_field_indices(column)
        if len(found) != 1:
            raise FormatError(f"{path}: column {column!r} is {'missing' if not found else 'there more than once'}")
        if schema.field(found[0]).type != kind:
            raise FormatError(f"{path}: column {column!r} is {schema.field(found[0]).type}, expected {kind}")
    for column in schema.names:
        if column not in wanted:
            raise FormatError(f"{path}: column {column!r} is none of this table's")
    if not 0 <= file.metadata.num_rows <= MAX_ROWS:
        raise FormatError(f"{path}: has {file.metadata.num_rows} rows, expected 0 to {MAX_ROWS}")


def _check_column(path, column, field, values):
    """Raise unless the values of a column can be."""
    bad, words = ~np.isfinite(values), "a number"
    if not bad.any() and field not in SIGNED:
        bad, words = values < 0, "0 or more"
    if not bad.any() and field in NAMED:
        bad, words = values >= NAMED[field], f"0 to {NAMED[field] - 1}"
    if not bad.any() and field in ORDERED:
        bad, words = np.concatenate([[False], values[1:] < values[:-1]]), "as much as the row before"
    if bad.any():
        row = int(bad.argmax())
        raise FormatError(f"{path}: column {column!r}, row {row}: {values[row]} is not {words}")


# ---------------------------------------------------------------------------------------------------- snapshots


def write_snapshots(path, snapshots):
    """Write the arrays of snapshots, a dict by event, as an npz file."""
    arrays = {f"{event}.{name}": getattr(s, name) for event, s in sorted(snapshots.items()) for name in SNAPSHOT_ARRAYS}
    write_npz(path, arrays)


def read_snapshots(path, known):
    """Return the snapshots of an npz file by event.

    Parameters
    ----------
    path : pathlib.Path
    known : list of dict
        ``event``, ``arena_bytes`` and ``memstats`` of each, from ``run.json``.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            for about in known:
                event = about["event"]
                arrays = {n: _read_array(archive, path, names, f"{event}.{n}") for n in SNAPSHOT_ARRAYS}
                found[event] = _checked_snapshot(path, Snapshot(**about, **arrays))
    except FormatError:
        raise
    except FileNotFoundError as err:
        raise FormatError(f"{path}: no such file") from err
    except UNREADABLE as err:
        raise FormatError(f"{path}: not a readable npz archive ({' '.join(str(err).split())})") from err
    return found


def _read_array(archive, path, names, name):
    """Return one array of a snapshot, of its type and dimensions."""
    if f"{name}.npy" not in names:
        raise FormatError(f"{path}: array {name!r} is missing")
    if archive.getinfo(f"{name}.npy").file_size > MAX_ARRAY:
        raise FormatError(f"{path}: array {name!r} claims more than {MAX_ARRAY} bytes")
    array = read_member(archive, path, name)
    dtype, ndim = SNAPSHOT_ARRAYS[name.split(".")[1]]
    if array.dtype != np.dtype(dtype) or array.ndim != ndim:
        kinds = f"{array.dtype} with {array.ndim} dimensions, expected {np.dtype(dtype)} with {ndim}"
        raise FormatError(f"{path}: array {name!r} is {kinds}")
    return array


def _checked_snapshot(path, s):
    """Return a snapshot whose arrays agree with each other, else raise."""
    per_arena = s.arena_bytes // 8192
    checks = {
        "pages": s.pages.shape == (len(s.arenas), per_arena) and int(s.pages.max(initial=0)) < len(PAGE_STATE_NAMES),
        "page_span": s.page_span.shape == s.pages.shape and int(s.page_span.min(initial=-1)) >= -1
        and int(s.page_span.max(initial=-1)) < len(s.spans),
        "arenas": bool((s.arenas[1:] > s.arenas[:-1]).all()),
        "spans": int(s.spans["state"].max(initial=0)) < len(PAGE_STATE_NAMES)
        and all(int(s.spans[n].min(initial=0)) >= 0 for n in ("npages", "elemsize", "nelems", "alloc_count")),
        "class_sizes": int(s.class_sizes.min(initial=0)) >= 0,
    }  # fmt: skip
    for name, good in checks.items():
        if not good:
            raise FormatError(f"{path}: array '{s.event}.{name}' does not fit the other arrays of its snapshot")
    return s


# ---------------------------------------------------------------------------------------------------- JSON, folders


def write_run(path, run):
    """Write a dict as JSON."""
    path.write_text(json.dumps(run, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")


def read_run(path, wanted):
    """Return the dict of a JSON file, which has the keys of ``wanted`` with values of these types."""
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            raise FormatError(f"{path}: is longer than {MAX_RUN_BYTES} bytes")
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise FormatError(f"{path}: no such file") from err
    except FormatError:
        raise
    except (ValueError, OSError, RecursionError) as err:
        raise FormatError(f"{path}: not readable as JSON ({err})") from err
    if not isinstance(run, dict):
        raise FormatError(f"{path}: holds a {type(run).__name__}, expected an object")
    for key, kind in wanted.items():
        if not isinstance(run.get(key), kind):
            words = "is missing" if key not in run else f"is a {type(run[key]).__name__}, expected a {kind.__name__}"
            raise FormatError(f"{path}: {key!r} {words}")
    return run


def put_folder(folder, fill, overwrite):
    """Make a folder that appears whole or not at all.

    It is filled under a temporary name in the same place and renamed.  A result that is there already, which only
    ``overwrite`` allows, is moved aside before and deleted after, so that one of the two is always complete.

    Parameters
    ----------
    folder : pathlib.Path
    fill : callable
        Called with the path of the temporary folder.
    overwrite : bool

    Raises
    ------
    ValueError
        If ``folder`` exists, and ``overwrite`` is not set or it is no result.
    """
    if folder.exists() or folder.is_symlink():
        if not overwrite:
            raise ValueError(f"{folder}: is there already; overwrite=True replaces it")
        if folder.is_symlink() or not folder.is_dir() or {p.name for p in folder.iterdir()} - set(FILES):
            raise ValueError(f"{folder}: is no result, so it is not overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        fill(temporary)
        temporary.chmod(0o755)
        _swap(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _swap(temporary, folder):
    """Rename ``temporary`` to ``folder``, which may be there."""
    if not folder.exists():
        temporary.rename(folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
    folder.rename(aside)  # an empty folder may be renamed upon
    try:
        temporary.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside)
