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


# A finalizer set, a collection that finds its object (event 0), the finalizer cleared, a stack, another collection.
FULL = {
    "kind": [0, 9, 13, 3, 4, 10, 11, 12, 13, 3, 5],
    "p": [0] * 11,
    "flags": [0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 2],
    "size": [64, 7, 0, 0, 0, 0, 2048, 2048, 0, 0, 0],
    "ref": [-1, 0, -1, 0, -1, 0, -1, 6, -1, 1, -1],
    "credit": [0] * 11,
    "dead": [0, 0],
    "dead_offsets": [0, 1, 2],
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


def edit(name, index, value, base=BASE):
    """A copy of list ``name`` of ``base`` with one value changed."""
    values = list(base[name])
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
        (edit("kind", 1, 14), ["event 1", "unknown kind 14"]),
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


def full(name, index, value):
    """FULL with one value changed."""
    return FULL | edit(name, index, value, FULL)


def again(kind):
    """FULL with its last event of ``kind`` twice in a row."""
    at = len(FULL["kind"]) - FULL["kind"][::-1].index(kind)
    columns = {name: FULL[name][:at] + FULL[name][at - 1 :] for name in COLUMNS}
    return FULL | columns


def test_specials_stacks_and_marking_load_and_replay(tmp_path):
    case = mh.load_case(write(tmp_path, columns(**FULL)))
    pred = mh.replay(case, check=2)
    assert pred.addr[6] > pred.addr[0] > 0
    # The finalizer keeps the object for one collection: the flush sweeps its span, and only the second sweep frees it.
    counts = [shot.memstats["HeapObjects"] for shot in mh.snapshots(case, [5, 11])]
    assert counts == [1, 0]
    assert case.describe(1) == "event 1: ADD_SPECIAL (finalizer) of event 0"
    assert case.describe(6) == "event 6: STACK_ALLOC of 2048 B"
    assert case.describe(7) == "event 7: STACK_FREE of event 6"


def test_a_tiny_block_waits_for_the_finalizer_of_any_of_its_parts(tmp_path):
    # Event 1 shares the block of event 0, and it is the one with the finalizer.
    changes = {"kind": [0, 0, 9, 3, 4, 3], "flags": [1, 1, 2, 0, 0, 0], "size": [4, 4, 0, 0, 0, 0]}
    changes |= {"ref": [-1, -1, 1, 0, -1, 1], "p": [0] * 6, "credit": [0] * 6}
    changes |= {"dead": [0, 0], "dead_offsets": [0, 1, 2]}
    path = write(tmp_path, columns(**changes))
    assert len(mh.replay(mh.load_case(path), check=2).addr) == 6
    with pytest.raises(mh.FormatError, match=r"dead\[1\] = 0: dead already"):
        mh.load_case(write(tmp_path, columns(**(changes | {"size": [16, 4, 0, 0, 0, 0]}))))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (full("ref", 1, 1), ["event 1", "not an earlier event"]),
        (full("ref", 1, -1), ["event 1", "not an earlier event"]),
        (full("ref", 5, 3), ["event 5", "not a MALLOC"]),
        (full("ref", 7, 0), ["event 7", "not a STACK_ALLOC"]),
        (full("ref", 6, 0), ["event 6", "expected -1"]),
        (full("ref", 2, 0), ["event 2", "expected -1"]),
        (full("flags", 1, 0), ["event 1", "special of kind 0"]),
        (full("flags", 5, 8), ["event 5", "special of kind 8"]),
        (full("size", 1, 1 << 63), ["event 1", "over 2**63"]),
        (full("size", 6, 2049), ["event 6", "power of two"]),
        (full("size", 6, 1024), ["event 6", "power of two"]),
        (full("size", 6, 1 << 32), ["event 6", "power of two"]),
        (full("size", 6, 0), ["event 6", "power of two"]),
        (full("size", 7, 4096), ["event 7", "event 6 has another size"]),
        (full("flags", 1, 4), ["dead[1] = 0", "dead already"]),
        (FULL | {"dead_offsets": [0, 2, 2]}, ["dead[1] = 0", "dead already"]),
        (again(12), ["event 8", "stack of event 6 is freed twice"]),
        (again(13), ["event 9", "marking has begun already"]),
    ],
)
def test_illegal_specials_stacks_and_marking(tmp_path, changes, words):
    path = write(tmp_path, columns(**changes))
    with pytest.raises(mh.FormatError) as caught:
        mh.load_case(path)
    for word in ["x.events.npz", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (full("flags", 1, 3), "event 1 .ADD_SPECIAL.: no such kind of special"),
        (full("flags", 5, 7), "event 5 .REMOVE_SPECIAL.: no such kind of special"),
    ],
)
def test_special_kinds_that_the_version_does_not_have(tmp_path, changes, words):
    changes["dead"], changes["dead_offsets"] = [], [0, 0, 0]
    with pytest.raises(mh.FormatError, match=words):
        mh.replay(mh.load_case(write(tmp_path, columns(**changes))))


def test_flipped_events_never_crash(tmp_path, rng):
    # Whole columns with one wrong number each: most get past the checks of the archive, and meet those of the events.
    failed = 0
    for _ in range(200):
        changes = {name: list(values) for name, values in FULL.items()}
        name = rng.choice(["kind", "flags", "size", "ref", "dead"])
        at = rng.integers(len(changes[name]))
        changes[name][at] = int(rng.integers(0, 15))
        try:
            mh.replay(mh.load_case(write(tmp_path, columns(**changes))))
        except mh.FormatError:
            failed += 1
    assert failed > 50


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


def test_an_archive_that_says_it_is_encrypted(tmp_path):
    path = write(tmp_path, columns())
    data = bytearray((tmp_path / "x.events.npz").read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    (tmp_path / "x.events.npz").write_bytes(bytes(data))
    with pytest.raises(mh.FormatError, match="encrypted"):
        mh.load_case(path)


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
