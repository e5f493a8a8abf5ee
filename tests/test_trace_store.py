"""Traces as Parquet: what was written is read again, and whatever else is in the file is refused."""

import json
import subprocess
import sys
import zlib

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import mheaplab as mh
from mheaplab.runtime.trace_events import TRACE_TYPES, TraceEvents
from mheaplab.traces import readers, store


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A file of some 24,000 events in several row groups of 4096."""
    target = tmp_path_factory.mktemp("traces") / "json.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "ROW_GROUP", 4096)
        mh.write_trace(mh.workloads.load("json-service", seed=1, scale=0.02), target)
    return target


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(store, "ROW_GROUP", 4096)


def everything(trace):
    """Return meta and all columns as bytes."""
    batches = list(trace.batches(1000))
    columns = [np.concatenate([getattr(b, name) for b in batches]).tobytes() for name in TraceEvents._fields]
    return [trace.meta, *columns]


def test_what_was_written_is_read(path):
    made, found = mh.workloads.load("json-service", seed=1, scale=0.02), mh.read_trace(path)
    assert everything(found) == everything(made)
    assert len(found) == sum(made.count()) > 20_000
    assert pyarrow.parquet.ParquetFile(path).num_row_groups == -(-len(found) // 4096)
    assert found.name == str(path)
    assert everything(mh.read_trace(str(path)).prefix(5000))[1] == everything(made)[1][:5000]


def test_columns_have_the_types_of_the_design(path):
    schema = pyarrow.parquet.read_schema(path)
    assert {f.name: str(f.type) for f in schema} == store.TYPES
    meta = pyarrow.parquet.ParquetFile(path).metadata
    assert meta.row_group(0).column(4).compression == "ZSTD"


def test_same_trace_same_bytes(path, tmp_path):
    mh.write_trace(mh.read_trace(path), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()
    assert mh.read_trace(path).digest == mh.read_trace(tmp_path / "again.parquet").digest


def test_an_empty_trace(tmp_path):
    mh.write_trace(mh.Trace.from_arrays([], [], [], [], [], program="none"), tmp_path / "e.parquet")
    found = mh.read_trace(tmp_path / "e.parquet")
    assert len(found) == 0 and list(found.batches()) == [] and found.meta["program"] == "none"


def test_progress_and_all_or_nothing(tmp_path):
    seen = []
    trace = mh.Trace.from_arrays([0] * 5000, 0, 8, 0, range(5000))
    mh.write_trace(trace, tmp_path / "t.parquet", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4096, 5000), (5000, 5000)]
    before = (tmp_path / "t.parquet").read_bytes()
    bad = mh.Trace.from_arrays([0] * 4096 + [1], 0, 8, 0, [*range(4096), 9999])
    with pytest.raises(mh.FormatError, match="event 4096"):
        mh.write_trace(bad, tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    with pytest.raises(ValueError, match="expected a Trace"):
        mh.write_trace([1, 2], tmp_path / "t.parquet")


def refused_or_same(data, target, wanted):
    """Write ``data`` to ``target``; return whether it is refused, and fail if it is read as something else."""
    target.write_bytes(data)
    try:
        found = everything(mh.read_trace(target))
    except mh.FormatError as err:
        assert str(target) in str(err)
        return True
    assert found == wanted
    return False


def test_truncation_anywhere(path, tmp_path, rng):
    data = path.read_bytes()
    wanted = everything(mh.read_trace(path))
    cuts = {0, 1, 3, 4, 5, 8, len(data) - 1, len(data) - 4, len(data) - 8, len(data) - 9}
    cuts |= set(rng.integers(0, len(data), 150).tolist())
    for cut in sorted(cuts):
        assert refused_or_same(data[:cut], tmp_path / "cut.parquet", wanted), cut


def test_bytes_changed_anywhere(path, tmp_path, rng):
    """Most of the file by chance, and every byte of the footer, where the column types and offsets stand."""
    data = path.read_bytes()
    wanted = everything(mh.read_trace(path))
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    places = rng.integers(0, len(data), 400).tolist() + list(range(footer, len(data), 5)) + list(range(0, 300, 3))
    refused = 0
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        refused += refused_or_same(bytes(changed), tmp_path / "flip.parquet", wanted)
    assert refused > 0.5 * len(places)


def test_pieces_overwritten(path, tmp_path, rng):
    data = path.read_bytes()
    wanted = everything(mh.read_trace(path))
    for _ in range(150):
        start = int(rng.integers(len(data)))
        changed = bytearray(data)
        piece = rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
        changed[start : start + len(piece)] = piece
        refused_or_same(bytes(changed[: len(data)]), tmp_path / "piece.parquet", wanted)


def table_of(trace, **change):
    """Return the Arrow table of a trace with some columns replaced, None to leave one out."""
    events = next(trace.batches())
    table = store._arrow_table(events)
    for name, column in change.items():
        if name in table.column_names:
            table = table.drop_columns([name])
        if column is not None:
            table = table.append_column(name, column)
    return table


def write_table(table, target, **entry):
    """Write ``table`` with the metadata of a trace of two events, some of it replaced."""
    events = TraceEvents(*(np.zeros(2, t) for t in TRACE_TYPES))
    found = {"format": 1, "n_events": 2, "fingerprints": [f"{int(store.fingerprint(events)):016x}"], "meta": {}}
    text = json.dumps(found | entry).encode()
    text = b"%08x " % zlib.crc32(text) + text
    pyarrow.parquet.write_table(table.replace_schema_metadata({store.KEY: text}), target)


TWO = mh.Trace.from_arrays([0, 0], 0, 8, 0, [1, 2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": None}, "column 'size' is missing"),
        ({"size": pyarrow.array([1, 2])}, "column 'size' is of type int64, expected uint64"),
        ({"noscan": pyarrow.array([1, 2], pyarrow.uint8())}, "column 'noscan' is of type uint8, expected bool"),
        ({"id": pyarrow.array(["a", "b"])}, "column 'id' is of type string"),
        ({"kind": pyarrow.array([[1], [2]])}, "column 'kind' is of type list"),
        ({"other": pyarrow.array([1, 2])}, "column 'other' is not one of a trace"),
        ({"time": pyarrow.array([1, None], pyarrow.uint64())}, "1 without a value"),
    ],
)
def test_wrong_columns(tmp_path, change, message):
    write_table(table_of(TWO, **change), tmp_path / "t.parquet")
    with pytest.raises(mh.FormatError, match=message):
        list(mh.read_trace(tmp_path / "t.parquet").batches())


def test_optional_columns_are_passed_over(tmp_path):
    events = next(TWO.batches())
    table = table_of(TWO, site=pyarrow.array(["a", "b"]).dictionary_encode())
    write_table(table, tmp_path / "t.parquet", fingerprints=[f"{int(store.fingerprint(events)):016x}"])
    assert everything(mh.read_trace(tmp_path / "t.parquet"))[1:] == everything(TWO)[1:]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"n_events": 3}, "row groups of 2 events in all, expected 3"),
        ({"n_events": -1}, "-1 events with 1 fingerprints"),
        ({"n_events": 1 << 60}, "events with 1 fingerprints"),
        ({"n_events": "2"}, "'2' events"),
        ({"format": 2}, "format 2, expected 1"),
        ({"fingerprints": [5]}, "not that of a trace"),
        ({"fingerprints": ["zz"]}, "not that of a trace"),
        ({"fingerprints": ["00"]}, "row group 0 .* is not what was written: its fingerprint is .*, expected 0000"),
        ({"fingerprints": []}, "2 events with 0 fingerprints"),
        ({"meta": []}, "not that of a trace"),
        ({"meta": {"ids": "some"}}, "not that of a trace .*ids = 'some'"),
    ],
)
def test_wrong_metadata(tmp_path, entry, message):
    write_table(table_of(TWO), tmp_path / "t.parquet", **entry)
    with pytest.raises(mh.FormatError, match=message):
        list(mh.read_trace(tmp_path / "t.parquet").batches())


def test_parquet_that_is_no_trace(tmp_path):
    pyarrow.parquet.write_table(table_of(TWO), tmp_path / "t.parquet")
    with pytest.raises(mh.FormatError, match=r"no entry 'mheaplab\.trace'"):
        mh.read_trace(tmp_path / "t.parquet")


def test_wrong_events_in_a_right_file(tmp_path):
    """Events are checked as those of any trace, with the file's name and the event's index."""
    events = TraceEvents(*(np.full(2, v, t) for v, t in zip((1, 0, 0, 0, 7, 0), TRACE_TYPES, strict=True)))
    table = store._arrow_table(events)
    write_table(table, tmp_path / "t.parquet", fingerprints=[f"{int(store.fingerprint(events)):016x}"])
    with pytest.raises(mh.FormatError, match=r"t\.parquet: event 0 \(DEATH\): death of object 7, which was not born"):
        list(mh.read_trace(tmp_path / "t.parquet").batches())


def test_a_file_that_changes_under_way(path, tmp_path):
    target = tmp_path / "t.parquet"
    target.write_bytes(path.read_bytes())
    trace = mh.read_trace(target)
    target.unlink()
    with pytest.raises(mh.FormatError, match="cannot be read any more"):
        list(trace.batches())


def test_what_is_no_trace_at_all(tmp_path):
    with pytest.raises(mh.FormatError, match="no such file"):
        mh.read_trace(tmp_path / "none")
    (tmp_path / "text").write_text("hello, world")
    with pytest.raises(mh.FormatError, match=r"begins with b'hello, w', expected one of: a trace in Parquet"):
        mh.read_trace(tmp_path / "text")
    with pytest.raises(mh.FormatError, match="begins with b''"):
        mh.read_trace(tmp_path)


def test_another_kind_of_file(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_readers", list(readers._readers))
    readers.register_reader("a test", lambda path, head: head.startswith(b"TEST"), lambda path, seed: TWO)
    (tmp_path / "t").write_bytes(b"TEST")
    assert mh.read_trace(tmp_path / "t") is TWO


def test_import_of_the_package_leaves_arrow_alone():
    code = "import sys, mheaplab; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
