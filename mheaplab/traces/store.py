"""Traces as Parquet files: written and read row group by row group, with checksums of what was written.

A file is a table of the columns of :mod:`mheaplab.runtime.trace_events` (``noscan`` as a boolean), zstd-compressed, in
row groups of 2**20 events, so that any Parquet reader can look into it and this one needs memory for one row group.
The file's metadata has one entry, ``mheaplab.trace``: JSON with what is known of the trace, the number of events, and a
64-bit fingerprint of every row group.

Parquet's own page checksums (CRC-32, also written) do not cover the pages' headers nor the footer; the fingerprints and
the checksum of the JSON text do.  So a file that was truncated, or in which anything that matters was changed, is
refused before a wrong event is handed out: a row group is compared with its fingerprint before its events are yielded.

The same trace gives the same bytes with the same version of Arrow, whose name and version are in the file.
"""

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ..runtime.trace_events import TRACE_TYPES, TraceEvents
from ..runtime.trace_ids import fingerprint
from ..whole_file import whole_file
from .trace import Trace, checked_meta

ROW_GROUP = 1 << 20
"""Events in a row group."""
KEY = b"mheaplab.trace"
FORMAT = 1
TYPES = {"kind": "uint8", "p": "uint8", "size": "uint64", "noscan": "bool", "id": "uint64", "time": "uint64"}
OPTIONAL = ("type", "site")
"""Columns that a trace may have beside those of an event; they are not read here."""
MAGIC = b"PAR1"
COMPRESSION_LEVEL = 3
MAX_METADATA = 64 << 20
"""Bytes of a footer's text beyond which a file is refused."""
READ_PIECE = 1 << 20


def _unreadable():
    """Return what Arrow raises on files that are not what they claim to be."""
    import pyarrow

    return (pyarrow.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError)


def _schema():
    """Return the Arrow schema of a trace."""
    import pyarrow

    fields = [pyarrow.field(name, _arrow_type(kind), nullable=False) for name, kind in TYPES.items()]
    return pyarrow.schema(fields)


def _arrow_type(name):
    import pyarrow

    return pyarrow.bool_() if name == "bool" else getattr(pyarrow, name)()


def _arrow_table(events):
    """Return the Arrow table of ``events``."""
    import pyarrow

    columns = events._replace(noscan=events.noscan.astype(bool))
    return pyarrow.Table.from_arrays([pyarrow.array(column) for column in columns], schema=_schema())


def _writer(target):
    import pyarrow.parquet

    return pyarrow.parquet.ParquetWriter(
        target,
        _schema(),
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=["kind", "p", "size"],
        column_encoding={"id": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    )


def _footer_entry(meta, prints, n_events):
    """Return the text of the file's metadata: a checksum, a space, JSON."""
    found = {"format": FORMAT, "n_events": n_events, "fingerprints": prints, "meta": meta}
    text = json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
    return b"%08x " % zlib.crc32(text) + text


def write_trace(trace, path, progress=None):
    """Write a trace to a Parquet file, all or nothing: to a temporary name in the same folder, then renamed.

    Parameters
    ----------
    trace : Trace
    path : str or os.PathLike
        By custom it ends in ``.parquet``.
    progress : callable, optional
        Called after each row group with the number of events written and the number of all, None if not known.

    Raises
    ------
    FormatError
        If an event of the trace is wrong.

    Notes
    -----
    Memory is bounded by one row group and what is alive.
    """
    if not isinstance(trace, Trace):
        raise ValueError(f"trace = {type(trace).__name__}: expected a Trace")
    with whole_file(path) as target:
        _write_to(target, trace, progress)


def _write_to(target, trace, progress):
    """Write ``trace`` to the open file ``target``."""
    prints, done = [], 0
    with _writer(target) as writer:
        for events in trace.batches(ROW_GROUP):
            prints.append(f"{int(fingerprint(events)):016x}")
            writer.write_table(_arrow_table(events), row_group_size=ROW_GROUP)
            done += len(events.kind)
            if progress:
                progress(done, trace.n_events)
        writer.add_key_value_metadata({KEY: _footer_entry(trace.meta, prints, done)})


class ParquetSource:
    """The events of a file that ``write_trace`` has written."""

    checked = False

    def __init__(self, path):
        self.path = Path(path)
        self.meta, self.prints, self.n_events = self._read_footer()

    def _open(self):
        """Return the open file."""
        import pyarrow.parquet

        # Plain reads: a mapped file that is cut short under way would end the process.
        return pyarrow.parquet.ParquetFile(
            self.path,
            memory_map=False,
            pre_buffer=False,
            page_checksum_verification=True,
            thrift_string_size_limit=MAX_METADATA,
            thrift_container_size_limit=1 << 20,
        )

    def _read_footer(self):
        """Return (meta, fingerprints, number of events) after checking that they agree with the file's row groups."""
        try:
            with self._open() as file:
                footer = file.metadata
                sizes = [footer.row_group(i).num_rows for i in range(footer.num_row_groups)]
                self._check_columns(file.schema_arrow)
                entry = (footer.metadata or {}).get(KEY)
        except FormatError:
            raise
        except _unreadable() as err:
            raise FormatError(f"{self.path}: not a readable Parquet file ({_first_line(err)})") from err
        meta, prints, n_events = self._parse(entry)
        expected = [min(ROW_GROUP, n_events - start) for start in range(0, n_events, ROW_GROUP)]
        if sizes != expected or len(prints) != len(expected):
            raise FormatError(
                f"{self.path}: row groups of {sum(sizes)} events in all, expected {n_events} in groups of {ROW_GROUP}"
            )
        return meta, prints, n_events

    def _check_columns(self, schema):
        """Refuse columns that are missing, of another type, or not known."""
        found = {field.name: field for field in schema}
        for name, kind in TYPES.items():
            if name not in found:
                raise FormatError(f"{self.path}: column {name!r} is missing, expected {', '.join(TYPES)}")
            if found[name].type != _arrow_type(kind):
                raise FormatError(f"{self.path}: column {name!r} is of type {found[name].type}, expected {kind}")
        unknown = sorted(set(found) - set(TYPES) - set(OPTIONAL))
        if unknown or len(found) != len(schema):
            raise FormatError(f"{self.path}: column {(unknown or ['?'])[0]!r} is not one of a trace")

    def _parse(self, entry):
        """Return (meta, fingerprints, number of events) from the text of the file's metadata."""
        if entry is None:
            raise FormatError(f"{self.path}: no entry {KEY.decode()!r} in the file's metadata, expected a trace's")
        check, _, text = entry.partition(b" ")
        if check != b"%08x" % zlib.crc32(text):
            raise FormatError(f"{self.path}: the metadata's checksum is wrong, expected {zlib.crc32(text):08x}")
        try:
            found = json.loads(text)
            if found["format"] != FORMAT:
                raise FormatError(f"{self.path}: format {found['format']!r}, expected {FORMAT}")
            prints = [int(p, 16) for p in found["fingerprints"]]
            n_events = found["n_events"]
            if not isinstance(n_events, int) or not 0 <= n_events <= len(prints) * ROW_GROUP:
                raise FormatError(f"{self.path}: {n_events!r} events with {len(prints)} fingerprints")
            return checked_meta(found["meta"]), prints, n_events
        except FormatError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
            raise FormatError(f"{self.path}: the metadata is not that of a trace ({err!r})") from err

    def batches(self, rows):
        """Yield the events row group by row group, each compared with its fingerprint."""
        try:
            with self._open() as file:
                for i, wanted in enumerate(self.prints):
                    yield self._row_group(file, i, wanted)
        except FormatError:
            raise
        except _unreadable() as err:
            raise FormatError(f"{self.path}: cannot be read any more ({_first_line(err)})") from err

    def _row_group(self, file, i, wanted):
        """Return the events of row group ``i``."""
        try:
            table = file.read_row_group(i, columns=list(TYPES), use_threads=False)
            columns = {name: table.column(name) for name in TYPES}
            lengths = {len(c) for c in columns.values()}
            nulls = sum(c.null_count for c in columns.values())
            if len(lengths) != 1 or nulls:
                raise FormatError(f"{self.path}: row group {i}: columns of {lengths} rows, {nulls} without a value")
            events = TraceEvents(*(_numpy(columns[name], getattr(TRACE_TYPES, name)) for name in TraceEvents._fields))
        except FormatError:
            raise
        except _unreadable() as err:
            raise FormatError(f"{self.path}: row group {i}: {_first_line(err)}") from err
        found = int(fingerprint(events))
        if found != wanted:
            raise FormatError(
                f"{self.path}: row group {i} (events from {i * ROW_GROUP} on) is not what was written:"
                f" its fingerprint is {found:016x}, expected {wanted:016x}"
            )
        return events

    def digest(self):
        """Return the hash of the file's bytes."""
        found = hashlib.sha256()
        with self.path.open("rb") as file:
            while piece := file.read(READ_PIECE):
                found.update(piece)
        return found.hexdigest()


def _numpy(column, dtype):
    """Return a chunked Arrow array without nulls as an array of one's own, which can be written to."""
    found, at = np.empty(len(column), dtype), 0
    for chunk in column.chunks:
        found[at : at + len(chunk)] = chunk.to_numpy(zero_copy_only=False)
        at += len(chunk)
    return found


def _first_line(err):
    """Return the first line of an error's text."""
    return (str(err) or type(err).__name__).splitlines()[0][:200]


def is_parquet(path, head):
    """Whether the file ``path``, which begins with ``head``, says that it is a Parquet file."""
    return head.startswith(MAGIC)


def open_parquet(path, _seed):
    """Return the trace in the Parquet file ``path``."""
    source = ParquetSource(path)
    return Trace(source, source.meta, str(path))
