"""mh.simulate: what goes in, what comes out, what is refused, and how a run is stopped."""

import dataclasses
import importlib
import os
import resource
import signal
import threading

import numpy as np
import pytest
from conftest import CASES
from runtime.programs import Program, random_program

import mheaplab as mh
from mheaplab.errors import FormatError, InvariantError
from mheaplab.runtime.sim_structs import WHY_END, WHY_STRIDE
from mheaplab.runtime.trace_events import ALLOC, DEATH, new_trace_events
from mheaplab.traces import Trace

MIB = 1 << 20
module = importlib.import_module("mheaplab.simulate")
"""The module: in the package the function has its name."""
PARAMS = mh.HeapParams.go119(procs=2, heap_minimum_bytes=MIB // 2, globals_bytes=10_000)


class Source:
    """Events of which nobody says how many there are."""

    checked = False
    n_events = None

    def __init__(self, events):
        self.events = events

    def batches(self, rows):
        yield self.events

    def digest(self):
        return "0" * 64


def trace_of(events, known=True, **meta):
    """Return a trace of columns."""
    if known:
        return Trace.from_arrays(*events, **meta)
    return Trace(Source(events), {"ids": "dense"} | meta)


@pytest.fixture(scope="module")
def program():
    """A program of 20,000 events with everything in it."""
    return random_program(np.random.default_rng(5), 20_000, procs=2, forced=0.0005)


def strided(result):
    """Return the events at which samples were taken by stride."""
    return result.samples["event"][result.samples["why"] == WHY_STRIDE].tolist()


# ---------------------------------------------------------------------------------------------------- what comes out


def test_a_run_has_samples_collections_and_where_it_comes_from(program):
    result = mh.simulate(trace_of(program), PARAMS, samples=100, seed=7, snapshots=[0, 777, 20_000], check=1)
    assert result.complete and strided(result) == list(range(0, 20_000, 200))
    last = result.samples[-1]
    assert (int(last["why"]), int(last["event"])) == (WHY_END, 20_000)
    assert len(result.cycles) == last["cycles"] > 20
    assert result.cycles["cycle"].tolist() == [*range(1, last["cycles"] + 1)]
    assert (np.diff(result.samples["event"]) >= 0).all() and (np.diff(result.samples["time_ns"]) >= 0).all()
    assert result.memstats["HeapInuse"] == last["heap_in_use"] and result.memstats["HeapSys"] == last["heap_sys"]
    facts = result.provenance
    assert (facts["events_done"], facts["events_total"], facts["complete"], facts["seed"]) == (20_000, 20_000, True, 7)
    assert facts["simulated_seconds"] == last["time_ns"] / 1e9 and facts["trace"]["sha256"] == trace_of(program).digest
    assert sorted(result.snapshots) == [0, 777, 20_000] and result.snapshots[777].event == 777
    swept = result.histograms["swept_pages"]
    assert swept[0] == 0 and 0 < swept.sum() < 20_000


@pytest.mark.parametrize("gogc", [-1, 10, 100, 1000])
def test_every_byte_is_in_one_account_at_every_sample(program, gogc):
    rows = mh.simulate(trace_of(program), PARAMS.replace(gogc=gogc), samples=2000, check=1).samples
    spans = rows["live"] + rows["garbage"] + rows["free_slots"] + rows["tail"]
    assert np.array_equal(spans, rows["heap_in_use"])
    assert np.array_equal(spans + rows["free"] + rows["released"], rows["heap_sys"])
    assert np.array_equal(rows["heap_sys"] + rows["stacks"] + rows["other_spans"], rows["mapped"])
    assert np.array_equal(rows["live"] + rows["garbage"], rows["heap_alloc"])
    for name in ("live", "garbage", "free_slots", "tail", "stacks", "free", "released", "reserved", "pages_unswept"):
        assert rows[name].min() >= 0, name
    for name in ("total_alloc", "swept_spans", "swept_pages", "mapped", "assist_ns", "mark_ns", "stall_ns", "cycles"):
        assert (np.diff(rows[name], axis=0) >= 0).all(), name


def test_the_same_run_gives_the_same_bytes(program):
    first, second = (mh.simulate(trace_of(program), PARAMS, samples=500) for _ in range(2))
    assert first.samples.tobytes() == second.samples.tobytes()
    assert first.cycles.tobytes() == second.cycles.tobytes()
    assert all(np.array_equal(first.histograms[k], second.histograms[k]) for k in first.histograms)


def test_neither_the_samples_nor_the_batches_change_the_run(program, monkeypatch):
    many = mh.simulate(trace_of(program), PARAMS, samples=20_000)
    monkeypatch.setattr(module, "BATCH", 317)
    few = mh.simulate(trace_of(program), PARAMS, samples=1, snapshots=range(0, 20_000, 999))
    assert many.cycles.tobytes() == few.cycles.tobytes()
    assert strided(few) == [0] and len(strided(many)) == 20_000
    same = [name for name in many.samples.dtype.names if not name.startswith("max_")]
    assert many.samples[same][-1] == few.samples[same][-1]


def test_a_saved_result_is_the_same_when_loaded(program, tmp_path):
    result = mh.simulate(trace_of(program), PARAMS, samples=50, snapshots=[100], out=tmp_path / "a" / "run")
    loaded = mh.load_result(tmp_path / "a" / "run")
    assert loaded.samples.tobytes() == result.samples.tobytes() and loaded.cycles.tobytes() == result.cycles.tobytes()
    assert loaded.params == result.params and loaded.memstats == result.memstats
    assert loaded.snapshots.keys() == {100} and loaded.complete


def test_where_the_length_is_not_known_samples_are_thinned(program):
    result = mh.simulate(trace_of(program, known=False), PARAMS, samples=20)
    assert result.provenance["events_total"] == 20_000
    found = strided(result)
    assert 20 <= len(found) <= 40
    stride = found[1]
    assert stride in (512, 1024) and found == list(range(0, 20_000, stride))
    known = mh.simulate(trace_of(program), PARAMS, samples=20)
    assert result.cycles.tobytes() == known.cycles.tobytes()


def test_a_short_trace_of_unknown_length_keeps_its_samples():
    program = Program()
    for _ in range(200):
        program.alloc(100)
    result = mh.simulate(trace_of(program.events(), known=False), PARAMS, samples=20)
    assert strided(result) == [0, 64, 128, 192]


def test_a_trace_without_events():
    result = mh.simulate(Trace.from_arrays([], 0, [], 0, []), PARAMS, snapshots=[0])
    assert len(result.cycles) == 0 and result.samples["event"].tolist() == [0] and result.samples["mapped"][0] == 0
    assert result.complete and result.snapshots.keys() == {0}


def test_marking_that_goes_on_at_the_end_is_no_collection():
    program = Program()
    program.alloc(16 * MIB)
    result = mh.simulate(trace_of(program.events()), PARAMS)
    assert len(result.cycles) == 0 and result.samples["gc_phase"][-1] == 2


def test_the_trace_may_be_a_case_a_path_or_a_scenario(tmp_path):
    case = mh.load_case(CASES / "go119-gzip")
    result = mh.simulate(case, seed=3)
    assert result.params.go == "go1.19" and result.provenance["events_done"] > 500
    for path in (CASES / "go119-gzip", str(CASES / "go119-gzip.events.npz")):
        same = mh.simulate(path, seed=3)
        assert same.samples.tobytes() == result.samples.tobytes()
        assert mh.simulate(path, seed=4).samples.tobytes() != result.samples.tobytes(), "another draw of deaths"
    mh.write_trace(mh.read_trace(CASES / "go119-gzip"), tmp_path / "gzip.parquet")
    stored = mh.simulate(tmp_path / "gzip.parquet")
    assert stored.cycles.tobytes() == mh.simulate(case).cycles.tobytes() and len(stored.cycles) > 3
    scenario = mh.workloads.load("tree-builder", seed=2)
    assert mh.simulate("tree-builder", seed=2).cycles.tobytes() == mh.simulate(scenario).cycles.tobytes()
    with pytest.raises((FormatError, ValueError), match="no-such-scenario"):
        mh.simulate("no-such-scenario")
    with pytest.raises(FormatError, match="nowhere"):
        mh.simulate(tmp_path / "nowhere")


def test_params_follow_the_trace():
    program = Program()
    program.alloc(100, p=3)
    result = mh.simulate(trace_of(program.events(), go="go1.27"))
    assert result.params.go == "go1.27" and result.params.procs == 4
    assert mh.simulate(trace_of(program.events())).params.go == "go1.19"


def test_progress_is_told_after_every_batch(program, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 8000)
    told = []
    mh.simulate(trace_of(program), PARAMS, progress=lambda done, total: told.append((done, total)))
    assert told == [(8000, 20_000), (16_000, 20_000), (20_000, 20_000)]
    told.clear()
    mh.simulate(trace_of(program, known=False), PARAMS, progress=lambda done, total: told.append((done, total)))
    assert told == [(8000, None), (16_000, None), (20_000, None)]


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(ALLOC, 16, 0), (DEATH, 0, 1)], "event 1: death of object 1, which was not born"),
        ([(DEATH, 0, 0), (ALLOC, 16, 0)], "event 0: death of object 0, which was not born"),
        ([(ALLOC, 16, 0), (ALLOC, 16, 0)], "event 1: object 0 is alive already"),
        ([(ALLOC, 16, 0), (DEATH, 0, 0), (DEATH, 0, 0)], "event 2: death of object 0"),
        ([(ALLOC, 0, 0)], "event 0: size 0"),
        ([(9, 0, 0)], "event 0: unknown kind 9"),
    ],
)
@pytest.mark.parametrize("ids", ["any", "dense"])
def test_a_trace_that_contradicts_itself_names_the_event(rows, words, ids):
    kind, size, number = zip(*rows, strict=True)
    with pytest.raises(FormatError) as found:
        mh.simulate(Trace.from_arrays(kind, 0, size, 0, number, ids=ids, origin="made up"), PARAMS)
    text = str(found.value)
    assert text.startswith("made up: event") and all(word in text for word in words.split(": ", 1)[0].split())
    assert words.split(": ", 1)[1].split(",")[0] in text


@pytest.mark.parametrize("samples", [0, -1, 1_000_001, 2.5, "many", None])
def test_samples_out_of_range(program, samples):
    with pytest.raises(ValueError, match="samples = .* legal range: 1 to 1,000,000"):
        mh.simulate(trace_of(program), PARAMS, samples=samples)


@pytest.mark.parametrize("check", [-1, 3, 1.5, "yes"])
def test_check_out_of_range(program, check):
    with pytest.raises(ValueError, match="check = .* 0, 1 or 2"):
        mh.simulate(trace_of(program), PARAMS, check=check)


@pytest.mark.parametrize("at", [-1, 20_001])
def test_snapshots_out_of_range(program, at):
    with pytest.raises(ValueError, match=f"snapshots: {at} is outside its legal range: 0 to 20,000 events"):
        mh.simulate(trace_of(program), PARAMS, snapshots=[5, at])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_limit": 4 * MIB - 1}, "memory_limit = 4194303 is below heap_minimum_bytes = 4194304"),
        ({"memory_limit": 8 * MIB, "other_ready_bytes": 8 * MIB}, "is not above other_ready_bytes = 8388608"),
    ],
)
def test_parameters_that_contradict_each_other(program, changes, words):
    params = mh.HeapParams.go119(**changes)
    with pytest.raises(ValueError, match=words):
        mh.simulate(trace_of(program), params)
    fitting = {name: value + 4096 if name == "memory_limit" else value - 1 for name, value in changes.items()}
    assert mh.simulate(trace_of(program).prefix(10), mh.HeapParams.go119(**fitting)).complete


def test_a_folder_that_exists_is_left_alone(program, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ValueError, match=r"out = .*run.* exists already"):
        mh.simulate(trace_of(program), PARAMS, out=tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_what_go_would_throw_names_the_event():
    program = Program()
    program.phase(1)
    program.alloc(100)
    params = PARAMS.replace(occupied=((4096, 1 << 47),))
    with pytest.raises(FormatError, match=r"event 1 \(ALLOC\): Go would throw: out of memory"):
        mh.simulate(trace_of(program.events()), params)


def test_a_failed_recount_is_an_error_of_ours(program, monkeypatch):
    def broken(h):
        raise module.Violation("R4", 1, 2)

    monkeypatch.setattr(module, "verify_sim", broken)
    with pytest.raises(InvariantError, match=r"after 1 events: R4: slots taken .* \(1 2\)"):
        mh.simulate(trace_of(program), PARAMS, check=2)


def test_an_event_that_never_has_room_ends_the_run(program, monkeypatch):
    monkeypatch.setattr(module, "run_trace", lambda h, events, at, end: at)
    with pytest.raises(InvariantError, match="event 0 has no room, however the tables grow"):
        mh.simulate(trace_of(program), PARAMS)


# ---------------------------------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_ends_the_run_after_the_batch_and_keeps_what_is_done(program, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "BATCH", 5000)
    before = signal.getsignal(signal.SIGINT)

    def press(done, total):
        if done == 10_000:
            os.kill(os.getpid(), signal.SIGINT)

    result = mh.simulate(trace_of(program), PARAMS, samples=20, progress=press, out=tmp_path / "run")
    assert not result.complete and signal.getsignal(signal.SIGINT) is before
    assert result.provenance["events_done"] == 10_000 and result.provenance["events_total"] == 20_000
    assert result.samples["event"][-1] == 10_000 and strided(result) == list(range(0, 10_000, 1000))
    loaded = mh.load_result(tmp_path / "run")
    assert not loaded.complete and loaded.samples.tobytes() == result.samples.tobytes()
    whole = mh.simulate(trace_of(program).prefix(10_000), PARAMS, samples=10)
    assert whole.samples.tobytes() == result.samples.tobytes() and whole.cycles.tobytes() == result.cycles.tobytes()


def test_a_second_ctrl_c_is_meant(program, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 5000)

    def press(done, total):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        mh.simulate(trace_of(program), PARAMS, progress=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_run_in_another_thread_does_not_listen(program):
    found = []
    thread = threading.Thread(target=lambda: found.append(mh.simulate(trace_of(program), PARAMS, samples=10)))
    thread.start()
    thread.join()
    assert found[0].complete


# ---------------------------------------------------------------------------------------------------- long


class Generated:
    """A long program made on the way: objects of random sizes in a ring, each dying when its place is needed."""

    checked = False

    def __init__(self, n, ring=5000, known=True):
        self.n, self.ring = n, ring
        self.n_events = n if known else None

    def batches(self, rows):
        rng = np.random.default_rng(1)
        for start in range(0, self.n, 1 << 16):
            count = min(1 << 16, self.n - start)
            at = np.arange(start, start + count)
            events = new_trace_events(count)
            # Births fill the ring first; then a death and a birth in turn.
            filled = at - self.ring
            events.kind[:] = np.where((filled >= 0) & (filled % 2 == 0), DEATH, ALLOC)
            events.size[:] = np.where(events.kind == ALLOC, rng.geometric(1 / 150, count), 0)
            events.noscan[:] = rng.integers(0, 2, count) * (events.kind == ALLOC)
            events.id[:] = np.where(filled < 0, at, filled // 2 % self.ring)
            yield events

    def digest(self):
        return "1" * 64


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_memory_does_not_grow_with_the_length_of_a_trace(known):
    def run(n):
        result = mh.simulate(Trace(Generated(n, known=known), {"ids": "dense"}), PARAMS, samples=100)
        return result, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

    _, before = run(300_000)
    result, after = run(3_000_000)
    assert result.provenance["events_done"] == 3_000_000 and len(result.cycles) > 100
    # MiB; 3 million events are 60 MiB as columns.
    assert after - before < 40
    assert result.samples["objects"][-1] == 5000


def test_a_result_says_nothing_of_the_machine(program):
    result = mh.simulate(trace_of(program).prefix(100), PARAMS)
    assert dataclasses.asdict(PARAMS) == result.provenance["params"]


@pytest.mark.parametrize(
    "name", ["traces/go127-buffers.trace", "recordings/go119-goroutines.mhrec", "cases/go119-gzip"]
)
def test_the_seed_reaches_what_is_drawn_of_a_file(name):
    """When objects died is drawn for files that do not tell: another seed is another trace, the same one the same."""
    runs = [mh.simulate(str(mh.data_path(name)), seed=seed) for seed in (0, 0, 5)]
    digests = [run.provenance["trace"]["sha256"] for run in runs]
    assert np.array_equal(runs[0].samples, runs[1].samples) and digests[0] == digests[1]
    assert not np.array_equal(runs[0].samples, runs[2].samples)
