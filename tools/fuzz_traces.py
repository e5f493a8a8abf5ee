"""The readers of traces and cases, for ``fuzz.py``: one that takes a path gets a file written anew for each input."""

import re
import tempfile
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
PIECE = 1 << 12
"""Bytes that a reader of Go's traces gets at a time, so that tables grow and batches are cut."""


def from_path(read, ending):
    """Return a function of bytes that writes them to a file and calls ``read`` with its path."""
    # In memory where there is such a place, as a million files are written.
    shared = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None, prefix="mheaplab-fuzz-")
    path = Path(folder.name) / f"input{ending}"

    def read_bytes(data):
        path.write_bytes(data)
        return read(path)

    read_bytes.folder = folder  # goes when the function goes
    return read_bytes


def go_trace_reader():
    """Go's execution traces: events in Go's order, with tables that begin small."""
    from mheaplab.traces import go_trace

    go_trace.FIRST_SLOTS.update(dict.fromkeys(go_trace.FIRST_SLOTS, 64))
    go_trace.FIRST_ROOM.update(data=1 << 13, samples=64)

    def read(path):
        reader = go_trace.GoTraceReader(path, PIECE)
        for _ in reader.batches(256):
            reader.types()

    seeds = [(DATA / "traces" / "go127-tiny.trace").read_bytes()]
    # Older formats differ in their first bytes and in a few events only.
    seeds += [seeds[0].replace(b"go 1.26", f"go 1.{version}".encode(), 1) for version in (22, 23, 25)]
    return seeds, from_path(read, ".trace")


def program_reader():
    """Go's execution traces as something to simulate."""
    from mheaplab.traces import go_trace, read_trace

    go_trace.FIRST_SLOTS.update(dict.fromkeys(go_trace.FIRST_SLOTS, 64))
    go_trace.FIRST_ROOM.update(data=1 << 13, samples=64)

    def read(path):
        for _ in read_trace(path).dense_batches():
            pass

    return [(DATA / "traces" / "go127-tiny.trace").read_bytes()], from_path(read, ".trace")


def parquet_reader():
    """Traces in Parquet: short ones, of events of every kind."""
    import mheaplab as mh

    def seed(n, **meta):
        rows = [(0, 0, 48, 0, 0), (2, 1, 2048, 0, 1), (0, 2, 4096, 1, 2), (1, 0, 0, 0, 0)]
        rows += [(5, 0, 1, 0, 0), (3, 1, 2048, 0, 1), (4, 0, 0, 0, 0), (0, 3, 70_000, 1, 3)]
        rows = [(*row[:4], 4 * k + row[4]) for k in range(n) for row in rows]
        trace = mh.Trace.from_arrays(*zip(*rows, strict=True), **meta)
        with tempfile.TemporaryDirectory() as folder:
            mh.write_trace(trace, Path(folder) / "x.parquet")
            return (Path(folder) / "x.parquet").read_bytes()

    def read(path):
        for _ in mh.read_trace(path).dense_batches():
            pass

    return [seed(1), seed(3, go="go1.27", program="x"), seed(40)], from_path(read, ".parquet")


def case_reader():
    """Recorded cases: an archive of arrays, checked event by event."""
    import mheaplab as mh

    whole = [(DATA / "cases" / f"{name}.events.npz").read_bytes() for name in ("go119-gzip", "go127-goroutines")]

    return whole, from_path(mh.load_case, ".events.npz")


def recording_reader():
    """A program's own recordings: spoiled records in a file whose sums are right, else nothing would get past them."""
    import numpy as np

    import mheaplab as mh
    from mheaplab.recording import BLOCK_BYTES, BLOCK_MAGIC, END_MAGIC, block_total

    whole = mh.Recording(DATA / "recordings" / "go119-goroutines.mhrec")
    header, first = whole.data[:128].tobytes(), whole.blocks[0][0]

    def block(magic, before, number, count, records):
        head = bytearray(BLOCK_BYTES)
        head[:4], head[4:8] = magic, len(records).to_bytes(4, "little")
        head[8:16], head[16:20] = before.to_bytes(8, "little"), count.to_bytes(4, "little")
        head[20:24] = number.to_bytes(4, "little")
        total = block_total(np.frombuffer(bytes(head) + records, np.uint8), 0, len(records))
        head[24:32] = total.to_bytes(8, "little")
        return bytes(head) + records

    def recording(records, count):
        end = block(END_MAGIC, count, 1, 0, (1).to_bytes(8, "little"))
        return header + block(BLOCK_MAGIC, 0, 0, count, records) + end

    def read(path):
        records = path.read_bytes()
        path.write_bytes(recording(records, 0))
        try:
            mh.load_case(path)
        except mh.FormatError as err:
            found = re.search(r"(\d+) records in the block, expected 0", str(err))
            if found is None:
                raise
            path.write_bytes(recording(records, int(found[1])))
            mh.load_case(path)

    seeds = []
    for length in (300, 1000, 4000):
        # Where a record ends, the file is whole.
        for more in range(64):
            records = whole.data[first : first + length + more].tobytes()
            if isinstance(outcome(from_path(read, ".mhrec"), records), bool):
                seeds.append(records)
                break
    return seeds, from_path(read, ".mhrec")


def outcome(read, data):
    """Return True if ``read`` answers, else its error."""
    try:
        read(data)
    except ValueError as err:
        return err
    return True


READERS = {"go-trace": go_trace_reader, "program": program_reader, "parquet": parquet_reader, "case": case_reader}
READERS |= {"recording": recording_reader}
