"""Results: what they hold, that saving and loading keeps it, and that nothing hostile gets through."""

import dataclasses
import json
import os
import subprocess
import sys

import made_up
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import mheaplab as mh
from mheaplab import result_files
from mheaplab.results import CYCLE_TYPE, SAMPLE_TYPE, SWEEPERS


@pytest.fixture(scope="module")
def snapshots():
    """Two moments of a real heap."""
    case = mh.load_case(mh.data_path("cases/go119-gzip"))
    return {s.event: s for s in mh.snapshots(case, [200, len(case)])}


@pytest.fixture
def result(snapshots):
    """A made-up result with snapshots."""
    found = made_up.made_result(mh.HeapParams.go127(gogc=50, size_classes="pow2", occupied=((4096, 8192),)))
    found.snapshots.update(snapshots)
    return found


@pytest.fixture
def folder(result, tmp_path):
    """That result, saved."""
    return result.save(tmp_path / "runs" / "one")


def same_arrays(a, b):
    """Return whether two arrays are equal, types included."""
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


# ---------------------------------------------------------------------------------------------------- what is kept


def test_types_are_plain():
    """Tables are of ordinary types, which any version of NumPy can unpickle, with a column per sweeper."""
    assert SAMPLE_TYPE.type is np.void and CYCLE_TYPE.type is np.void
    assert SAMPLE_TYPE["swept_pages"].shape == (len(SWEEPERS),)
    names = [column for column, *_ in result_files.columns_of(SAMPLE_TYPE)]
    assert "swept_spans_background" in names and len(names) == len(set(names))


def test_made_up_results_add_up():
    """The results that these tests are made with have every byte in one account."""
    s = made_up.made_result().samples
    accounts = ("live", "garbage", "free_slots", "tail", "stacks", "other_spans", "free", "released")
    assert (sum(s[name] for name in accounts) == s["mapped"]).all()
    assert all((s[name] >= 0).all() for name in accounts)


def test_round_trip(result, folder):
    """What is loaded is what was saved."""
    found = mh.load_result(folder)
    assert same_arrays(found.samples, result.samples) and same_arrays(found.cycles, result.cycles)
    assert found.params == result.params and found.memstats == result.memstats
    assert found.provenance == result.provenance and found.name == "made-up" and found.complete
    for name, values in result.histograms.items():
        assert same_arrays(found.histograms[name], values)
    assert sorted(found.snapshots) == sorted(result.snapshots)
    for event, s in result.snapshots.items():
        for name in ("arenas", "pages", "page_span", "spans", "class_sizes"):
            assert same_arrays(getattr(found.snapshots[event], name), getattr(s, name)), name
        assert found.snapshots[event].memstats == s.memstats


def test_empty_result(tmp_path):
    """A run of no events and no collections is a result too."""
    found = made_up.made_result(samples=1, cycles=0, events=0)
    loaded = mh.load_result(found.save(tmp_path / "none"))
    assert len(loaded.cycles) == 0 and len(loaded.samples) == 1 and loaded.snapshots == {}


def test_other_tools_read_it(folder):
    """The tables are ordinary Parquet: one column per number."""
    table = parquet.read_table(folder / "samples.parquet")
    assert table.num_rows == 500 and table.schema.field("swept_pages_reclaim").type == pa.int64()


def test_same_run_same_bytes(result, folder, tmp_path):
    """Only ``run.json`` may differ from run to run."""
    again = result.save(tmp_path / "two")
    for name in ("samples.parquet", "cycles.parquet", "snapshots.npz", "run.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_snapshot_by_event(result, snapshots):
    """A snapshot is found by its event; others are named."""
    event = max(snapshots)
    assert result.snapshot(at=event) is snapshots[event]
    with pytest.raises(ValueError, match=rf"at = 7 is outside .*\(200, {event}\)"):
        result.snapshot(at=7)
    with pytest.raises(ValueError, match=r"\(none\)"):
        made_up.made_result().snapshot(at=0)


def test_provenance_says_it_all():
    """Version, parameters, seed, trace and versions of what it ran on."""
    facts = made_up.made_result(mh.HeapParams.go119(gogc=77), done=5, seed=9).provenance
    assert facts["mheaplab"] == mh.__version__ and facts["go"] == "go1.19" and facts["seed"] == 9
    assert facts["params"]["gogc"] == 77 and facts["trace"]["sha256"] and facts["complete"] is False
    assert set(facts["versions"]) == {"python", "numpy", "numba"}
    assert json.loads(json.dumps(facts))["events_done"] == 5


# ---------------------------------------------------------------------------------------------------- saving


def test_existing_folder_is_kept(result, folder, tmp_path):
    """Saving onto something asks for overwrite, and replaces results only."""
    before = (folder / "run.json").read_bytes()
    with pytest.raises(ValueError, match="is there already; overwrite=True replaces it"):
        result.save(folder)
    assert (folder / "run.json").read_bytes() == before
    other = made_up.made_result(cycles=3)
    other.save(folder, overwrite=True)
    assert len(mh.load_result(folder).cycles) == 3 and [p.name for p in folder.parent.iterdir()] == ["one"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("dear")
    for target in ("mine", "mine/thesis.tex"):
        with pytest.raises(ValueError, match="is no result, so it is not overwritten"):
            result.save(tmp_path / target, overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "dear"


def test_link_is_not_followed(result, folder):
    """A link to a result is no result: what it leads to is somebody else's."""
    link = folder.with_name("link")
    link.symlink_to(folder)
    with pytest.raises(ValueError, match="is no result"):
        result.save(link, overwrite=True)
    assert len(mh.load_result(folder).cycles) == 12


@pytest.mark.parametrize("step", ["write_table", "write_snapshots", "write_run"])
def test_failed_save_leaves_nothing(result, folder, monkeypatch, step):
    """A save that fails leaves no new folder, and the old one as it was."""

    def fail(*_args):
        raise OSError("no space left")

    monkeypatch.setattr(result_files, step, fail)
    for target, overwrite in ((folder, True), (folder.with_name("new"), False)):
        with pytest.raises(OSError, match="no space"):
            result.save(target, overwrite=overwrite)
    assert [p.name for p in folder.parent.iterdir()] == ["one"]
    assert len(mh.load_result(folder).cycles) == 12


def test_failed_swap_puts_the_old_one_back(result, folder, monkeypatch):
    """If the new folder cannot take the place of the old one, that returns to it."""
    rename = result_files.Path.rename

    def refuse(self, target):
        if self.suffix == ".tmp":
            raise OSError("refused")
        return rename(self, target)

    monkeypatch.setattr(result_files.Path, "rename", refuse)
    with pytest.raises(OSError, match="refused"):
        made_up.made_result(cycles=3).save(folder, overwrite=True)
    assert len(mh.load_result(folder).cycles) == 12 and [p.name for p in folder.parent.iterdir()] == ["one"]


def test_numbers_that_json_has_not(result, tmp_path):
    """A run.json is JSON as others read it: no NaN."""
    result.memstats["Share"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        result.save(tmp_path / "nan")
    assert not list(tmp_path.glob("*nan*"))


# ---------------------------------------------------------------------------------------------------- hostile input


def table_with(folder, name, change):
    """Rewrite a Parquet file of a folder with changed columns."""
    path = folder / name
    table = parquet.read_table(path)
    columns = {column: table.column(column).to_pylist() for column in table.column_names}
    parquet.write_table(pa.table(change(columns)), path)
    return path


def setting(column, row, value):
    """Return a change of one value."""

    def change(columns):
        columns[column][row] = value
        return columns

    return change


@pytest.mark.parametrize("name", result_files.FILES)
@pytest.mark.parametrize("part", [0, 10, 0.5, 0.99])
def test_truncated_files(folder, name, part):
    """A truncated file is named."""
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: part if isinstance(part, int) else int(part * len(data))])
    with pytest.raises(mh.FormatError, match=name):
        mh.load_result(folder)


@pytest.mark.parametrize("name", result_files.FILES)
def test_missing_files(folder, name):
    """A missing file is named."""
    (folder / name).unlink()
    with pytest.raises(mh.FormatError, match=f"{name}: no such file"):
        mh.load_result(folder)


@pytest.mark.parametrize("name", ["samples.parquet", "cycles.parquet", "snapshots.npz"])
def test_flipped_bytes(folder, name, rng):
    """A damaged file gives a FormatError or what a reader may take for a result, never anything else."""
    data = (folder / name).read_bytes()
    refused = 0
    for at in rng.integers(0, len(data), 60):
        (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            mh.load_result(folder)
        except mh.FormatError as err:
            refused += 1
            assert name in str(err)
    assert refused > 20


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("samples.parquet", setting("why", 3, 6), "column 'why', row 3: 6 is not 0 to 5"),
        ("samples.parquet", setting("live", 499, -1), "column 'live', row 499: -1 is not 0 or more"),
        ("samples.parquet", setting("event", 9, 0), "column 'event', row 9: 0 is not as much as the row before"),
        ("samples.parquet", setting("assist_ns", 2, float("nan")), "column 'assist_ns', row 2: nan is not a number"),
        ("samples.parquet", setting("free", 0, None), "column 'free' has 1 empty rows"),
        ("cycles.parquet", setting("swept_pages_flush", 1, -2), "column 'swept_pages_flush', row 1: -2"),
        ("cycles.parquet", lambda c: c | {"more": c["cycle"]}, "column 'more' is none of this table's"),
        ("cycles.parquet", lambda c: {k: v for k, v in c.items() if k != "pages"}, "column 'pages' is missing"),
        ("cycles.parquet", lambda c: c | {"cycle": [str(v) for v in c["cycle"]]}, "column 'cycle' is string"),
    ],
)  # fmt: skip
def test_bad_tables(folder, name, change, words):
    """What cannot be is refused, with the file, the column and the row."""
    path = table_with(folder, name, change)
    with pytest.raises(mh.FormatError) as caught:
        mh.load_result(folder)
    assert words in str(caught.value) and str(path) in str(caught.value)


def test_too_many_rows(folder, monkeypatch):
    """A table of more rows than a run has is not read."""
    monkeypatch.setattr(result_files, "MAX_ROWS", 499)
    with pytest.raises(mh.FormatError, match="has 500 rows, expected 0 to 499"):
        mh.load_result(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.pop("params"), "'params' is missing"),
        (lambda r: r.update(histograms=[]), "'histograms' is a list, expected a dict"),
        (lambda r: r.update(format="mheaplab result 2"), "'format' is 'mheaplab result 2'"),
        (lambda r: r["params"].update(gogc=-7), "gogc = -7 is outside its legal range"),
        (lambda r: r["params"].update(speed=1), "unexpected keyword argument 'speed'"),
        (lambda r: r["params"].update(gogc=[[]]), "gogc"),
        (lambda r: r["provenance"].pop("trace"), "'provenance' has no 'trace' of type dict"),
        (lambda r: r["provenance"].update(events_done="many"), "'events_done' of type int"),
        (lambda r: r["histograms"].pop("stall_ns"), "'histograms', 'stall_ns'"),
        (lambda r: r["histograms"].update(stall_ns=[0] * 41), "expected at most 40 counts"),
        (lambda r: r["histograms"].update(stall_ns=[-1]), "expected at most 40 counts"),
        (lambda r: r["histograms"].update(stall_ns=[1 << 63]), "expected at most 40 counts"),
        (lambda r: r["memstats"].update(Mallocs="6"), "'Mallocs': '6' is no count"),
        (lambda r: r["snapshots"][1].update(arena_bytes=0), "'snapshots', entry 1"),
        (lambda r: r["snapshots"][0].update(event="200"), "'snapshots', entry 0"),
        (lambda r: r["snapshots"][0].update(event=201), "array '201.arenas' is missing"),
        (lambda r: r["snapshots"][0].update(arena_bytes=1 << 22), "array '200.pages' does not fit"),
    ],
)  # fmt: skip
def test_bad_run(folder, change, words):
    """What ``run.json`` says is checked, key by key."""
    path = folder / "run.json"
    run = json.loads(path.read_text())
    change(run)
    path.write_text(json.dumps(run))
    with pytest.raises(mh.FormatError) as caught:
        mh.load_result(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"a":' * 100_000, "\xff"])
def test_run_that_is_no_json(folder, text):
    """A ``run.json`` that is no object is refused, however deep."""
    (folder / "run.json").write_text(text, encoding="latin-1")
    with pytest.raises(mh.FormatError, match="run.json"):
        mh.load_result(folder)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("pages", lambda a: np.full_like(a, 9), "does not fit"),
        ("pages", lambda a: a.astype("i8"), "is int64 with 2 dimensions, expected uint8 with 2"),
        ("page_span", lambda a: np.full_like(a, 1 << 20), "does not fit"),
        ("page_span", lambda a: a[:, :5], "does not fit"),
        ("arenas", lambda a: a[::-1].repeat(2), "does not fit"),
        ("spans", lambda a: a["base"], "expected"),
        ("class_sizes", lambda a: a - 1, "does not fit"),
        ("class_sizes", lambda a: np.array([object()]), "Python objects"),
    ],
)  # fmt: skip
def test_bad_snapshots(folder, name, value, words):
    """Arrays of a snapshot must fit each other."""
    path = folder / "snapshots.npz"
    arrays = dict(np.load(path))
    arrays[f"200.{name}"] = value(arrays[f"200.{name}"])
    np.savez(path, **arrays)
    with pytest.raises(mh.FormatError) as caught:
        mh.load_result(folder)
    assert words in str(caught.value) and "200." in str(caught.value)


def test_no_folder(tmp_path):
    """What is not there is said in one line."""
    with pytest.raises(mh.FormatError, match="run.json: no such file"):
        mh.load_result(tmp_path / "nowhere")


def test_pyarrow_is_imported_late():
    """``import mheaplab`` does not load pyarrow."""
    code = "import sys, mheaplab; print('pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_modes(folder):
    """Others may read a result, as far as the user's folders allow."""
    assert os.stat(folder).st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("trace", "name"),
    [({"program": "p", "name": "/a/b.trace"}, "p"), ({"program": "", "name": "/a/b.trace"}, "b.trace"), ({}, "")],
)
def test_name(trace, name):
    """A result is called by its program or its file, never by a path of one machine."""
    result = made_up.made_simulate(made_up.made_trace(1000), mh.HeapParams.go119())
    provenance = result.provenance | {"trace": result.provenance["trace"] | {"program": "", "name": ""} | trace}
    assert dataclasses.replace(result, provenance=provenance).name == name
