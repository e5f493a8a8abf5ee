"""Reading cases: right files come out as they are, wrong ones give one FormatError that says where and why."""

import io
import zipfile

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.case import COLUMNS, LISTS, make_events, write_npz
from mheaplab.runtime.run import run_events

BASE = {
    "kind": [0, 0, 1, 3, 4, 5, 2, 0],
    "p": [0] * 8,
    "flags": [0, 1, 1, 0, 0, 2, 0, 0],
    "size": [64, 100, 4, 0, 0, 0, 4, 2000],
    "ref": [-1, -1, -1, 0, -1, -1, 2, -1],
    "credit": [0] * 8,
    "dead": [0],
    "dead_offsets": [0, 1],
}


def columns(**changes):
    """The arrays of a small legal case, with ``changes``."""
    types = COLUMNS | LISTS
    arrays = {name: np.array(values, types[name]) for name, values in (BASE | changes).items() if name in types}
    return arrays | {k: v for k, v in changes.items() if k not in types}


def write(folder, arrays, go="go1.19"):
    """Write a case of ``arrays`` and return its path."""
    write_npz(folder / "x.events.npz", arrays | {"go": np.array(go)})
    return folder / "x"


def edit(name, index, value):
    """A copy of BASE's list ``name`` with one value changed."""
    values = list(BASE[name])
    values[index] = value
    return {name: values}


def test_legal_case_loads_and_replays(tmp_path):
    case = mh.load_case(write(tmp_path, columns()))
    assert len(case) == 8 and case.go == "go1.19" and case.truth is None
    pred = mh.replay(case)
    assert pred.addr[0] == 0xC000000000 and (pred.addr[[0, 1, 2, 7]] > 0).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (edit("kind", 1, 9), ["event 1", "unknown kind 9"]),
        (edit("size", 7, (1 << 47) + 1), ["event 7", "over 2**47"]),
        (edit("size", 0, 0), ["event 0", "size 0"]),
        (edit("size", 2, 0), ["event 2", "0 pages"]),
        (edit("flags", 2, 7), ["event 2", "span type 7"]),
        (edit("ref", 6, 7), ["event 6", "not an earlier event"]),
        (edit("ref", 6, 99), ["event 6", "not an earlier event"]),
        (edit("ref", 6, -1), ["event 6", "not an earlier event"]),
        (edit("ref", 6, 0), ["event 6", "not a SPAN_ALLOC"]),
        (edit("ref", 0, 5), ["event 0", "expected -1"]),
        (edit("ref", 3, 4), ["event 3", "number of this collection"]),
        ({"dead": [7]}, ["dead[0] = 7", "later than the collection"]),
        ({"dead": [2]}, ["dead[0] = 2", "not a MALLOC"]),
        ({"dead": [99]}, ["dead[0] = 99", "no such event"]),
        ({"dead": [-3]}, ["dead[0] = -3", "no such event"]),
        ({"dead": [0, 0], "dead_offsets": [0, 2]}, ["dead[1] = 0", "dead already"]),
        ({"dead_offsets": [0, 1, 1]}, ["dead_offsets", "expected 2"]),
        ({"dead_offsets": [0, 5]}, ["dead_offsets", "does not rise"]),
        ({"p": [0] * 7}, ["p has 7 rows", "kind has 8"]),
    ],
)
def test_illegal_events_name_the_event_and_the_reason(tmp_path, changes, words):
    path = write(tmp_path, columns(**changes))
    with pytest.raises(mh.FormatError) as caught:
        mh.load_case(path)
    for word in ["x.events.npz", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", [*COLUMNS, *LISTS])
def test_missing_array(tmp_path, name):
    arrays = columns()
    del arrays[name]
    with pytest.raises(mh.FormatError, match=f"'{name}' is missing"):
        mh.load_case(write(tmp_path, arrays))


@pytest.mark.parametrize("name", [*COLUMNS, *LISTS])
def test_wrong_type_or_shape(tmp_path, name):
    for wrong in (np.zeros(8, np.float32), np.zeros((8, 2), (COLUMNS | LISTS)[name]), np.array(["a"] * 8)):
        with pytest.raises(mh.FormatError, match=f"'{name}' is"):
            mh.load_case(write(tmp_path, columns() | {name: wrong}))


def test_python_objects_are_refused(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, **(columns() | {"go": np.array("go1.19"), "kind": np.array([{}] * 8, object)}))
    (tmp_path / "x.events.npz").write_bytes(buffer.getvalue())
    with pytest.raises(mh.FormatError, match="Python objects"):
        mh.load_case(tmp_path / "x")


def test_unknown_version_and_missing_file(tmp_path):
    with pytest.raises(mh.FormatError, match=r"go1\.18"):
        mh.load_case(write(tmp_path, columns(), go="go1.18"))
    with pytest.raises(mh.FormatError, match="no such file"):
        mh.load_case(tmp_path / "absent")
    with pytest.raises(mh.FormatError, match="page_marked"):
        mh.load_case(write(tmp_path, columns(), go="go1.27"))


def test_truncation_at_every_length(tmp_path):
    path = write(tmp_path, columns())
    whole = (tmp_path / "x.events.npz").read_bytes()
    for cut in range(0, len(whole), 7):
        (tmp_path / "x.events.npz").write_bytes(whole[:cut])
        with pytest.raises(mh.FormatError, match=r"x\.events\.npz"):
            mh.load_case(path)


def test_flipped_bytes_never_crash(tmp_path, rng):
    path = write(tmp_path, columns())
    whole = (tmp_path / "x.events.npz").read_bytes()
    failed = 0
    for _ in range(300):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 3):
            data[at] ^= int(rng.integers(1, 256))
        (tmp_path / "x.events.npz").write_bytes(bytes(data))
        try:
            mh.replay(mh.load_case(path))
        except mh.FormatError:
            failed += 1
    assert failed > 200


def test_header_that_promises_more_than_there_is(tmp_path):
    arrays = columns()
    path = write(tmp_path, arrays)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    with zipfile.ZipFile(tmp_path / "x.events.npz") as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    members["kind.npy"] = header.getvalue() + bytes(8)
    with zipfile.ZipFile(tmp_path / "x.events.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(mh.FormatError, match="promises"):
        mh.load_case(path)


def test_what_only_the_heap_can_tell(tmp_path):
    # Event 1 shares the tiny block that event 0 opened, so the block is named by 0.
    tiny = {"kind": [0, 0, 3], "flags": [1, 1, 0], "size": [4, 4, 0], "ref": [-1, -1, 0]}
    tiny |= {"p": [0] * 3, "credit": [0] * 3}
    with pytest.raises(mh.FormatError, match="event 2 .SWEEP_START.: dead object"):
        mh.replay(mh.load_case(write(tmp_path, columns(**tiny, dead=[1], dead_offsets=[0, 1]))))
    scav = {"kind": [0, 7], "p": [0] * 2, "flags": [0, 0], "size": [64, 0], "ref": [-1, -1], "credit": [0, 0]}
    with pytest.raises(mh.FormatError, match="event 1 .SCAVENGE.: .*no such free page"):
        mh.replay(mh.load_case(write(tmp_path, columns(**scav, dead=[], dead_offsets=[0]))))


def test_too_large_a_heap_is_refused_clearly(tmp_path):
    one = {"kind": [0], "p": [0], "flags": [0], "size": [1 << 47], "ref": [-1], "credit": [0]}
    case = mh.load_case(write(tmp_path, columns(**one, dead=[], dead_offsets=[0])))
    with pytest.raises((mh.FormatError, MemoryError), match="event 0|table"):
        mh.replay(case)


def test_one_compiled_version_for_all_cases(cases_dir):
    for name in ("go119-gzip", "go127-gzip", "go119-finalizers"):
        case = mh.load_case(cases_dir / name)
        mh.replay(case)
    rebuilt = make_events({k: np.array(v) for k, v in case.events._asdict().items()})
    mh.replay(mh.Case("again", case.go, rebuilt))
    if hasattr(run_events, "signatures"):
        assert len(run_events.signatures) == 1


def test_written_files_are_whole_and_repeatable(tmp_path):
    arrays = columns()
    write_npz(tmp_path / "a.npz", arrays)
    write_npz(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with pytest.raises(ValueError, match="allow_pickle"):
        write_npz(tmp_path / "a.npz", arrays | {"bad": np.array([object()])})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]
    with np.load(tmp_path / "a.npz") as archive:
        assert sorted(archive.files) == sorted(arrays)
