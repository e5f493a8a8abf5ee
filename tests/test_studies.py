"""Studies: what is tried, what makes a run the same run, rows that survive, and local workers."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pytest

import mheaplab as mh
from mheaplab.studies import Interval, grid_sets, inputs, keys, latin_sets, store
from mheaplab.studies.execute import Processes, execute
from mheaplab.studies.inputs import look_at
from mheaplab.studies.run_one import Run, run_one
from mheaplab.studies.study import Plan

SPACE = {"gogc": [50, 200], "arena_bytes": ["4MiB", "64MiB"]}
SHORT = {"scale": 0.002, "samples": 50}


def results(study):
    """Return the rows of a study but for what time they took."""
    return study.table.drop_columns(["seconds", "cpu_seconds"]).to_pylist()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of eight runs."""
    out = tmp_path_factory.mktemp("finished") / "study"
    return mh.studies.grid(["json-service", "tree-builder"], SPACE, out=out, threads=True, workers=1, **SHORT)


@pytest.fixture
def copied(finished, tmp_path):
    """Its folder, to be spoilt."""
    return shutil.copytree(finished.out, tmp_path / "study")


def again(out, **more):
    """Ask for the same study once more."""
    how = {"threads": True, "workers": 1} | SHORT | more
    return mh.studies.grid(["json-service", "tree-builder"], SPACE, out=out, **how)


# ------------------------------------------------------------------------------------------------- space


def test_a_grid_is_every_combination():
    sets = grid_sets({"gogc": [50, "off"], "arena_bytes": ["4MiB", 64 << 20]})
    assert sets == [{"gogc": g, "arena_bytes": a << 20} for g in (50, -1) for a in (4, 64)]
    assert grid_sets({}) == [{}]
    ((value,),) = [s.values() for s in grid_sets({"trace_time": [1.0]})]
    assert value is True
    assert grid_sets({"gogc": np.array([50, 60])}) == [{"gogc": 50}, {"gogc": 60}]
    (classes,) = grid_sets({"size_classes": [mh.sizeclasses.tcmalloc_table("go1.19")]})
    assert classes == grid_sets({"size_classes": ["tcmalloc"]})[0]


def test_off_is_what_go_means_by_it():
    sets = grid_sets({"gogc": ["off"], "memory_limit": ["off", "64MiB"]})
    assert [(s["gogc"], s["memory_limit"]) for s in sets] == [(-1, mh.HeapParams.go119().memory_limit), (-1, 64 << 20)]


def test_a_latin_hypercube_uses_every_part_once():
    space = {"gogc": Interval(25, 424), "alloc_ns": Interval(1.0, 1000.0, log=True), "page_cache_pages": [0, 64]}
    sets = latin_sets(space, 40, seed=3)
    assert sorted((s["gogc"] - 25) // 10 for s in sets) == pytest.approx(range(40), abs=1)
    assert sorted(int(40 * np.log10(s["alloc_ns"]) / 3) for s in sets) == list(range(40))
    assert [s["page_cache_pages"] for s in sets].count(0) == 20
    assert sets == latin_sets(space, 40, seed=3) != latin_sets(space, 40, seed=4)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"gogcc": [1]}, "'gogcc' is no parameter that can be varied, expected one of alloc_ns"),
        ({"occupied": [()]}, "'occupied' is no parameter"),
        ({"gogc": []}, "gogc = .*at least one value"),
        ({"gogc": 50}, "gogc = 50: expected a list"),
        ({"gogc": "50"}, "gogc = '50': expected a list"),
        ({"gogc": [50, "50", 60]}, "gogc: a value is there more than once"),
        ({"gogc": ["many"]}, "gogc = 'many': 'many' is no number, nor off"),
        ({"procs": ["off"]}, "procs = 'off': 'off' is no number$"),
        ({"arena_bytes": ["5MiB"]}, "arena_bytes = 5242880 is outside its legal range: one of 4194304"),
        ({"gogc": Interval(1, 2)}, "a grid needs a list"),
        ([], "space = list: expected a dict"),
        ({"gogc": range(1, 1100), "procs": range(1, 200), "grow_early_percent": range(50, 100)}, "combinations"),
    ],
)
def test_a_space_that_is_not_legal_says_why(space, words):
    with pytest.raises(ValueError, match=words):
        grid_sets(space)


def test_intervals_and_sizes_are_checked():
    for low, high, log in ((2, 1, False), (0, 1, True), (1, float("inf"), False), ("1", 2, False)):
        with pytest.raises(ValueError, match="Interval: low = "):
            Interval(low, high, log)
    with pytest.raises(ValueError, match="arena_bytes = 5 is outside"):
        latin_sets({"arena_bytes": Interval(5, 6)}, 2)
    with pytest.raises(ValueError, match="n = 0 is outside its legal range: 1 to"):
        latin_sets(SPACE, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replications": 0}, "replications = 0 is outside"),
        ({"samples": 2.5}, "samples = 2.5 is outside"),
        ({"scale": -1}, "scale = -1 is outside"),
        ({"seed": -1}, "seed = -1 is outside"),
        ({"workers": 0}, "workers = 0 is outside"),
        ({"traces": []}, "at least one"),
        ({"traces": [mh.Trace.from_arrays([0], 0, 48, 0, 7)]}, "Trace: expected names .* mh.write_trace"),
        ({"traces": ["no-such-thing"]}, "no such file, and no scenario has that name"),
        ({"params": mh.HeapParams.go119(), "space": {"go": ["go1.27"]}}, "leave params out"),
    ],
)
def test_arguments_are_checked_before_anything_is_written(change, words, tmp_path):
    given = {"traces": ["json-service"], "space": SPACE, "out": tmp_path / "out"} | change
    with pytest.raises(ValueError, match=words):
        mh.studies.grid(given.pop("traces"), given.pop("space"), **given)
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------- keys and inputs


def test_a_key_changes_with_everything_and_with_nothing_else():
    base = {"fingerprint": "f", "seed": 1, "scale": 1.0, "params": mh.HeapParams.go119(), "samples": 10, "code": "c"}
    changes = {"fingerprint": "g", "seed": 2, "scale": 2.0, "params": mh.HeapParams.go119(gogc=99), "samples": 11}
    found = {keys.run_key(**base)} | {
        keys.run_key(**(base | {name: v})) for name, v in (changes | {"code": "d"}).items()
    }
    assert len(found) == 7
    assert keys.run_key(**(base | {"scale": 1})) == keys.run_key(**base)
    first, *others = Plan(["tree-builder"]).runs(grid_sets({"gogc": [100]}) + grid_sets({"gogc": ["100"]}) + [{}])
    assert not others and first.seed == keys.derived_seed(0, 0)


def test_the_code_is_all_that_a_number_depends_on(tmp_path):
    copy = tmp_path / "mheaplab"
    shutil.copytree(keys.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = keys.code_stamp.__wrapped__(copy)
    assert before == keys.code_stamp()
    for name in ("figures/theme.py", "cli.py", "studies/execute.py"):
        (copy / name).write_text((copy / name).read_text() + "\n# changed\n")
    assert keys.code_stamp.__wrapped__(copy) == before
    for name in ("runtime/malloc.py", "metrics.py", "studies/run_one.py", "workloads/plan.py"):
        (copy / name).write_text((copy / name).read_text() + "\n# changed\n")
        after = keys.code_stamp.__wrapped__(copy)
        assert after != before
        before = after


def test_seeds_follow_from_the_study_and_the_replication():
    seeds = [keys.derived_seed(s, r) for s in (0, 1) for r in range(50)]
    assert len(set(seeds)) == 100 and all(0 <= seed < 1 << 63 for seed in seeds)
    runs = Plan(["json-service"], replications=3, seed=5).runs([{}])
    assert [run.seed for run in runs] == [keys.derived_seed(5, r) for r in range(3)]


def test_inputs_are_known_by_what_is_in_them(tmp_path):
    trace = mh.workloads.load("tree-builder", scale=0.001)
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    mh.write_trace(trace, a)
    shutil.copy(a, b)
    one, two = look_at(a), look_at(str(b))
    assert one.fingerprint == two.fingerprint and (one.name, one.seeded) == ("a", False)
    mh.write_trace(trace.prefix(100), b)
    assert look_at(b).fingerprint != one.fingerprint
    assert len(Plan([a, b], replications=3).runs([{}])) == 2, "a trace that depends on no seed runs once"
    case = look_at(mh.data_path("cases/go119-gzip"))
    assert case.address.endswith("go119-gzip.events.npz") and case.seeded and case.go == "go1.19"
    assert {s.name for s in Plan([a, tmp_path / ".." / tmp_path.name / "a.parquet"]).inputs} == {str(a)}


def test_a_trace_that_was_changed_meanwhile_is_no_result(tmp_path):
    path = tmp_path / "a.parquet"
    trace = mh.workloads.load("tree-builder", scale=0.001)
    mh.write_trace(trace, path)
    (run,) = Plan([path]).runs([{}])
    mh.write_trace(trace.prefix(100), path)
    row = run_one(run)
    assert "is another file than when the study began" in row["error"] and row["collections"] is None


def test_a_worker_keeps_the_last_inputs_open(monkeypatch):
    opened = []
    real = inputs._opened
    monkeypatch.setattr(inputs, "_opened", lambda *args: opened.append(args) or real(*args))
    monkeypatch.setattr(inputs, "_kept", type(inputs._kept)())
    names = mh.workloads.names()[: inputs.KEPT + 1]
    for name in [*names, names[-1], names[-1], names[0]]:
        inputs.open_input(look_at(name), 0, 0.001)
    assert len(opened) == len(names) + 1 and len(inputs._kept) == inputs.KEPT


def test_workers_read_urls_through_fsspec(tmp_path, monkeypatch):
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("MHEAPLAB_TRACE_DIR", str(tmp_path / "copies"))
    mh.write_trace(mh.workloads.load("tree-builder", scale=0.001), tmp_path / "a.parquet")
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/a.parquet", (tmp_path / "a.parquet").read_bytes())
    address = "memory://bucket/a.parquet"
    study = mh.studies.grid([address], {"gogc": [100]}, out=tmp_path / "out", threads=True, workers=1)
    here = mh.studies.grid([tmp_path / "a.parquet"], {"gogc": [100]}, out=tmp_path / "here", threads=True, workers=1)
    assert study.column("key").tolist() == here.column("key").tolist()
    assert study.column("address").tolist() == [address] and len(list((tmp_path / "copies").glob("*.parquet"))) == 1
    with pytest.raises(mh.FormatError, match="memory://bucket/none: cannot be read"):
        look_at("memory://bucket/none")


# ------------------------------------------------------------------------------------------------- runs and rows


def test_a_row_is_what_simulate_says(finished):
    row = finished.table.to_pylist()[3]
    assert (row["trace"], row["gogc"], row["arena_bytes"]) == ("json-service", 200, 64 << 20)
    trace = mh.workloads.load("json-service", seed=row["seed"], scale=0.002).loaded()
    result = mh.simulate(trace, mh.HeapParams.go119(gogc=200), samples=50)
    assert {m.name: row[m.name] for m in mh.METRICS} == mh.summary(result)
    assert row["events"] == result.provenance["events_done"] and row["procs"] == result.params.procs
    assert finished.complete and len(finished) == 8 and finished.knobs == ("gogc", "arena_bytes")


def test_failures_are_rows_and_do_not_stop_the_rest(tmp_path):
    space = {"memory_limit": ["1MiB", "64MiB"]}
    study = mh.studies.grid(["tree-builder"], space, out=tmp_path / "s", threads=True, workers=1, **SHORT)
    (failure,) = study.failures
    assert failure["memory_limit"] == 1 << 20 and "is below heap_minimum_bytes" in failure["error"]
    assert study.complete and "1 failed: ValueError: memory_limit" in str(study)
    assert study.column("memory_limit").tolist() == [64 << 20]
    with pytest.raises(ValueError, match="column = 'nothing' is outside"):
        study.column("nothing")


def test_a_worker_with_other_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("mheaplab.studies.run_one.code_stamp", lambda: "another")
    with pytest.raises(RuntimeError, match="a worker has code another, the study .* install the same everywhere"):
        mh.studies.grid(["tree-builder"], {}, out=tmp_path / "s", threads=True, workers=1, **SHORT)


# ------------------------------------------------------------------------------------------------- the store


def test_nothing_is_done_twice(copied, finished, monkeypatch):
    monkeypatch.setattr("mheaplab.studies.execute.run_one", lambda run: pytest.fail("was done again"))
    assert results(again(copied)) == results(finished)


def test_a_larger_study_keeps_what_a_smaller_one_has_found(copied, finished, monkeypatch):
    done = []
    monkeypatch.setattr("mheaplab.studies.execute.run_one", lambda run: done.append(run) or run_one(run))
    larger = mh.studies.grid(
        ["json-service", "tree-builder"], SPACE | {"gogc": [50, 100, 200]}, out=copied, threads=True, workers=1, **SHORT
    )
    assert len(done) == 4 and {run.params.gogc for run in done} == {100} and len(larger) == 12
    assert len(again(copied)) == 8, "and the smaller one still is what it was"


def test_other_code_reuses_nothing(copied, finished, monkeypatch):
    for module in ("study", "store", "run_one"):
        monkeypatch.setattr(f"mheaplab.studies.{module}.code_stamp", lambda: "f" * 16)
    study = again(copied)
    assert set(study.column("code")) == {"f" * 16} and len(study) == 8
    (old,) = (copied / "old").iterdir()
    assert old.name == finished.column("code")[0] and len(list(old.iterdir())) == 1


def spoil(path, at=-20):
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("at", [0, 100, -1], ids=["first", "inside", "last"])
def test_a_damaged_part_is_seen_and_done_again(copied, finished, at):
    (part,) = (copied / "results").iterdir()
    spoil(part, at)
    with pytest.warns(store.DamagedFile, match="checksum is wrong; its runs are missing"):
        assert len(mh.studies.load(copied)) == 0
    with pytest.warns(store.DamagedFile, match="part-.*checksum is wrong; put into .*damaged, its runs are done again"):
        assert results(again(copied)) == results(finished)
    assert (copied / "damaged" / part.name).exists()


def test_rows_that_are_damaged_cut_or_doubled(copied, finished):
    """Files of rows: one spoilt, one cut short, one half-written, one that is in a part too."""
    rows = finished.table.to_pylist()
    runs = copied / "runs"
    written = [store.write_rows(runs, [row]) for row in rows[:3]]
    (copied / "results" / next((copied / "results").iterdir()).name).unlink()
    store.write_part(copied / "results", rows[2:])
    spoil(written[0])
    written[1].write_bytes(written[1].read_bytes()[:50])
    (runs / "half.rowsx.tmp").write_bytes(b"{")
    with pytest.warns(store.DamagedFile):
        assert len(mh.studies.load(copied)) == 6
    with pytest.warns(store.DamagedFile) as seen:
        assert results(again(copied)) == results(finished)
    assert len(seen) == 2 and not list(runs.iterdir())


def test_what_may_not_fail_again_is_tried_again(copied, finished):
    rows = finished.table.to_pylist()
    (part,) = (copied / "results").iterdir()
    part.unlink()
    bad = rows[1] | {"error": "MemoryError: ", "lasting": False}
    store.write_part(copied / "results", [rows[0], bad])
    store.write_rows(copied / "runs", [rows[2], rows[3] | {"error": "OSError: x", "lasting": False}])
    assert results(again(copied)) == results(finished)
    tables = [store.read_part(path) for path in (copied / "results").iterdir()]
    assert len(pa.concat_tables(tables).column("key").unique()) == sum(t.num_rows for t in tables) == 8


@pytest.mark.parametrize("step", range(6))
def test_killed_between_any_two_steps_of_a_part(copied, finished, step, monkeypatch):
    """The disk's operations are counted, and the process 'dies' at one; nothing is lost, nothing doubled."""
    rows = finished.table.to_pylist()
    shutil.rmtree(copied / "results")
    (copied / "results").mkdir()
    for row in rows[:5]:
        store.write_rows(copied / "runs", [row])
    left = [step]

    def dying(real):
        def call(*args, **more):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return real(*args, **more)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(store.Path, "unlink", dying(store.Path.unlink))
        patch.setattr(store, "write_part", dying(store.write_part))
        with pytest.raises(KeyboardInterrupt), store.Store(copied) as under:
            under.compact()
    assert len(mh.studies.load(copied)) == 5
    assert results(again(copied)) == results(finished)


def test_one_process_at_a_time(copied):
    with store.Store(copied), pytest.raises(ValueError, match="another process is at work on this study"):
        again(copied)
    assert again(copied).complete


def test_a_full_disk_says_so_and_the_study_goes_on(copied, finished, monkeypatch):
    shutil.rmtree(copied / "results")
    real, count = store.write_rows, [0]

    def full(*args):
        count[0] += 1
        if count[0] > 3:
            raise OSError(28, "No space left on device")
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "write_rows", full)
        with pytest.raises(OSError, match="the disk is full; 3 of 8 runs are kept; start the study again to go on"):
            again(copied)
    assert len(mh.studies.load(copied)) == 3
    assert results(again(copied)) == results(finished)


def test_a_folder_that_is_no_study(tmp_path):
    with pytest.raises(mh.FormatError, match="no study is there"):
        mh.studies.load(tmp_path)
    (tmp_path / store.STUDY).write_text("{}")
    with pytest.raises(mh.FormatError, match="'format' is not"):
        mh.studies.load(tmp_path)
    (tmp_path / store.STUDY).write_text(json.dumps({"format": store.FORMAT}))
    (tmp_path / store.PLAN).write_text("x")
    with pytest.raises(mh.FormatError, match="cannot be read"):
        mh.studies.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is no folder"):
        again(tmp_path / "file")


# ------------------------------------------------------------------------------------------------- processes


def test_processes_find_what_threads_find(finished, tmp_path):
    told = []
    study = again(tmp_path / "s", threads=False, workers=2, progress=lambda done, total: told.append((done, total)))
    assert results(study) == results(finished)
    assert told[-1] == (8, 8) and [d for d, _ in told] == sorted({d for d, _ in told})


def test_a_run_that_kills_its_worker_is_a_row(monkeypatch, tmp_path):
    """What takes its worker with it every time is given up; the runs beside it are done."""
    runs = Plan(["tree-builder"], scale=0.002).runs(grid_sets({"gogc": [50, 60, 70, 80]}))
    monkeypatch.setattr("mheaplab.studies.execute.run_one", dies_at_60)
    with Processes(2) as workers:
        rows = [row for some in execute(runs, workers, lambda: False) for row in some]
    assert sorted(row["gogc"] for row in rows) == [50, 60, 70, 80]
    (bad,) = [row for row in rows if row["error"]]
    assert bad["gogc"] == 60 and "its worker died" in bad["error"] and not bad["lasting"]


def dies_at_60(run: Run):
    """Do a run, unless its GOGC is 60."""
    if run.params.gogc == 60:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_one(run)


def test_ctrl_c_keeps_what_is_there(tmp_path, finished):
    """The first Ctrl-C ends the study at once, the same call goes on."""

    def press(done, total):
        if done >= 3:
            os.kill(os.getpid(), signal.SIGINT)

    how = {"out": tmp_path / "s", "workers": 1, "progress": press} | SHORT
    study = mh.studies.grid(["json-service"], {"gogc": range(1, 1000)}, **how)
    assert 3 <= len(study) < 100 and not study.complete
    assert len(mh.studies.load(tmp_path / "s")) == len(study)


def test_workers_end_with_the_one_who_began_them(tmp_path):
    """A driver that is killed leaves no process behind that holds the study."""
    text = (
        "import mheaplab as mh\nif __name__ == '__main__':\n"
        f"    mh.studies.grid(['json-service'], {{'gogc': range(1, 3000)}}, out={str(tmp_path / 's')!r}, workers=2,"
        " scale=0.002, samples=50)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(text)
    env = dict(os.environ, PYTHONPATH=str(keys.PACKAGE.parent))
    driver = subprocess.Popen([sys.executable, script], env=env)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("s/runs/*.rows")) and time.monotonic() < deadline:
        time.sleep(0.05)
    psutil = pytest.importorskip("psutil")
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    driver.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert family and not alive
    assert len(mh.studies.load(tmp_path / "s")) > 0
