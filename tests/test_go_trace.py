"""Go's execution traces: real ones come out as Go's own parser has them, and damaged ones are refused."""

import io
from pathlib import Path

import numpy as np
import pytest

from mheaplab import cli
from mheaplab.errors import FormatError
from mheaplab.runtime.exectrace_structs import MEMORY_NAMES
from mheaplab.traces.go_trace import GO_EVENT_TYPES, AllocFreeInfo, GoTraceReader, read_go_events

TRACES = Path(__file__).resolve().parent.parent / "data" / "traces"
NAMES = ("go123-tmpl", "go125-mixed", "go127-buffers", "go127-mixed", "go127-tmpl")
SMALL = TRACES / "go127-mixed.trace"


def same(events, truth):
    """Whether the arrays are the same, types included."""
    return all(np.array_equal(events[k], truth[k]) and events[k].dtype == truth[k].dtype for k in truth)


@pytest.mark.parametrize("name", NAMES)
def test_as_go(name):
    truth = dict(np.load(TRACES / f"{name}.truth.npz"))
    events = read_go_events(TRACES / f"{name}.trace")
    assert events.keys() == truth.keys() and same(events, truth)


@pytest.mark.parametrize(("name", "piece"), [("go127-mixed", 1), ("go125-mixed", 7), ("go123-tmpl", 4099)])
def test_any_piece(name, piece):
    assert same(read_go_events(TRACES / f"{name}.trace", piece), dict(np.load(TRACES / f"{name}.truth.npz")))


def test_batches():
    """Few rows at a time, in three generations, with what their numbers mean."""
    whole = read_go_events(SMALL)
    reader, parts, generations = GoTraceReader(SMALL), [], {}
    for events in reader.batches(rows=1000):
        parts.append(events)
        generations[reader.generation] = reader.types()
        assert 0 < len(events.p) <= 1000
        assert [column.dtype for column in events] == [np.dtype(t) for t in GO_EVENT_TYPES]
    assert reader.version == 26 and isinstance(reader.info, AllocFreeInfo)
    assert (reader.info.page_size, reader.info.min_heap_align, reader.info.fixed_stack) == (8192, 8, 2048)
    for name in ("p", "time", "id", "arg", "arg2"):
        assert np.array_equal(np.concatenate([getattr(e, name) for e in parts]), whole[name])
    names = np.array(MEMORY_NAMES)[np.concatenate([e.name for e in parts])]
    assert np.array_equal(names, whole["names"][whole["name"]])
    assert len(generations) == 3
    types = {t.name: t for t in next(iter(generations.values()))}
    assert types["main.node"].size == 16 and types["main.node"].ptr_bytes == 16


def read_changed(folder, data):
    """Return the events of ``data``, or the message of the refusal."""
    path = folder / "changed.trace"
    path.write_bytes(data)
    try:
        return read_go_events(path)
    except FormatError as err:
        assert str(err).startswith(f"{path}: offset ") and "\n" not in str(err)
        assert 0 <= int(str(err).removeprefix(f"{path}: offset ").split(":")[0]) <= len(data)
        return str(err)


def test_truncated(tmp_path, rng):
    """A trace with marked ends is refused wherever it is cut but between generations."""
    data, whole = SMALL.read_bytes(), read_go_events(SMALL)
    ends = 0
    for end in [*rng.integers(0, len(data), 40).tolist(), len(data) - 1]:
        found = read_changed(tmp_path, data[:end])
        if not isinstance(found, str):
            ends += 1
            assert np.array_equal(found["id"], whole["id"][: len(found["id"])])
    assert ends < 3


def test_damaged(tmp_path, rng):
    """A changed byte gives a refusal or other events, never anything else."""
    refused = 0
    for name in ("go127-mixed", "go125-mixed"):
        data = (TRACES / f"{name}.trace").read_bytes()
        for _ in range(60):
            changed = bytearray(data)
            for at in rng.integers(0, len(data), int(rng.integers(1, 4))).tolist():
                changed[at] = int(rng.choice([changed[at] ^ 1 << int(rng.integers(8)), int(rng.integers(256)), 255]))
            refused += isinstance(read_changed(tmp_path, bytes(changed)), str)
    assert refused > 20


def test_no_file(tmp_path):
    with pytest.raises(FormatError, match="no.trace: cannot be read"):
        read_go_events(tmp_path / "no.trace")
    with pytest.raises(ValueError, match="piece = 0"):
        GoTraceReader(SMALL, 0)


def test_command(tmp_path, capsys):
    output = tmp_path / "x.npz"
    assert cli.main(["events", str(SMALL), "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert "go127-mixed.trace: 25,044 memory events: " in out and "12,648 HeapObjectAlloc" in out and err == ""
    first = output.read_bytes()
    assert same(dict(np.load(io.BytesIO(first))), dict(np.load(TRACES / "go127-mixed.truth.npz")))
    assert cli.main(["events", str(SMALL), "-o", str(output)]) == 0
    assert output.read_bytes() == first
    assert cli.main(["events", str(output)]) == 1
    assert "x.npz: offset 0: begins with b'PK" in capsys.readouterr().err
    assert cli.main(["events", str(SMALL), "-o", str(tmp_path / "no" / "x.npz")]) == 2
