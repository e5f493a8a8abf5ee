"""Workloads as data: JSON and back, what is not legal, and the scenarios that come with the project."""

import json

import numpy as np
import pytest
from conftest import ROOT

import mheaplab as mh
from mheaplab.workloads import (
    Between,
    Blend,
    Exponential,
    Fixed,
    Generational,
    Groups,
    Held,
    Histogram,
    Immortal,
    LogNormal,
    Mixture,
    Pareto,
    Phase,
    Stream,
    Uniform,
    UntilPhaseEnds,
    Workload,
    names,
    read,
)

SCENARIOS = names()


def workload(**change):
    """Return a small workload with some of its parts replaced."""
    parts = {
        "name": "w",
        "streams": [Stream("a", Fixed(16), Immortal()), Stream("c", Fixed(32), Held(1000))],
        "phases": [Phase("p", {"a": 1, "c": 1}, allocs=10)],
    }
    return Workload(**(parts | change))


def test_the_scenarios_of_the_project():
    assert SCENARIOS == sorted(p.stem for p in (ROOT / "data" / "scenarios").glob("*.json"))
    assert {"json-service", "cache-fill-empty", "issue-18896", "issue-21695", "batch-job", "compiler"} <= set(SCENARIOS)
    assert len(SCENARIOS) >= 10


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name):
    """Length, dense ids, valid events, a story, a source and an expectation."""
    scenario = read(name)
    assert scenario.name == name
    assert len(scenario.story) > 100 and len(scenario.modelled_after) > 40
    assert any("cycles_least" in s for s in scenario.expectation) and len(scenario.expectation) >= 2
    trace = scenario.trace(seed=1)
    assert trace.meta["phases"] == [phase.name for phase in scenario.phases]
    columns = [np.concatenate(c) for c in zip(*trace.batches(), strict=True)]
    n = len(columns[0])
    assert 500_000 <= n <= 2_100_000
    # As arrays from outside its events are checked one by one.
    again = mh.Trace.from_arrays(*columns, ids="dense")
    assert again.count()[5] == len(scenario.phases)
    assert columns[5].max() > 0


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_to_json_and_back(name):
    scenario = read(name)
    text = json.dumps(scenario.to_json())
    assert Workload.from_json(json.loads(text)) == scenario


def test_scale_multiplies_the_length():
    one = mh.workloads.load("slow-leak", scale=0.1).count()
    two = mh.workloads.load("slow-leak", scale=0.2).count()
    assert abs(two[0] / one[0] - 2) < 0.001


def test_memory_is_bounded_by_what_lives():
    """Three million events, at most some 3,000 objects alive: the tables stay as small as those."""
    from mheaplab.workloads.plan import Plan

    streams = [Stream("a", Fixed(64), Exponential(100_000))]
    generator = Plan(Workload("w", streams, [Phase("p", {"a": 1}, allocs=1_500_000)]), 1.0).start(0)
    most = 0
    while not generator.done:
        most = max(most, int(generator.next_events(1 << 16).id.max()))
    assert 1000 < most < 4096
    assert len(generator.tables["ids"]) == 4096
    assert generator.tables["chunks"].nbytes <= 1 << 20


def test_a_workload_in_a_file(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(workload().to_json()))
    assert read(tmp_path / "mine.json") == workload()
    assert mh.workloads.load(str(tmp_path / "mine.json")).prefix(100).count()[0] == 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fixed(0), r"Fixed\.bytes = 0: expected a whole number from 1 to 2\*\*40"),
        (lambda: Fixed(1.5), r"Fixed\.bytes = 1\.5"),
        (lambda: Fixed(True), r"Fixed\.bytes = True"),
        (lambda: Fixed(8, noscan=1.5), r"Fixed\.noscan = 1\.5: expected a share from 0 to 1"),
        (lambda: Fixed(8, noscan=[(8, 0.5), (4, 1)]), r"Fixed\.noscan = .*rising sizes"),
        (lambda: Uniform(5, 4), r"Uniform\.most = 4: expected at least 5"),
        (lambda: LogNormal(64, -1), r"LogNormal\.sigma = -1: expected a number from 0\.01 to 8"),
        (lambda: LogNormal(64, float("nan")), r"LogNormal\.sigma = nan"),
        (lambda: LogNormal(64, 1, least=9, most=8), r"LogNormal\.most = 8"),
        (lambda: Histogram([]), r"Histogram\.rows = \(\): expected a list of rows"),
        (lambda: Histogram([(8,)]), r"Histogram\.rows"),
        (lambda: Histogram([(8, 0)]), "all counts are 0"),
        (lambda: Mixture([Fixed(3)]), r"Mixture\.parts"),
        (lambda: Exponential(0), r"Exponential\.mean = 0"),
        (lambda: Between(5, 4), r"Between\.most = 4"),
        (lambda: Pareto(100, 1, 100), r"Pareto\.cap = 100: expected more than 100"),
        (lambda: Generational(9, 8, 0.5), r"Generational\.long = 8"),
        (lambda: Blend([]), r"Blend\.parts = \(\)"),
        (Groups, "expected one of them above 0"),
        (lambda: Groups(objects=1, bytes=1), "expected one of them above 0"),
        (lambda: Groups(objects=1, then=Immortal()), r"Groups\.then = .*expected an object of kind exponential"),
        (lambda: Held(5, "newest"), r"Held\.replacement = 'newest': expected one of 'oldest', 'random'"),
        (lambda: Stream("s", Fixed(100), Exponential(9), stack=True), "a stack of 100 bytes, expected a power of two"),
        (lambda: Stream("s", Uniform(1, 2), Exponential(9), stack=True), "expected fixed or histogram"),
        (lambda: Stream("s", Fixed(2048), Held(5), stack=True), "neither held nor grouped by bytes"),
        (lambda: Stream("s", Fixed(2048), 5), r"Stream\.lifetime = 5: expected an object of kind exponential"),
        (lambda: Phase("p", {"a": 1}), "Phase.allocs = 0, Phase.bytes = 0: expected one of them above 0"),
        (lambda: Phase("p", {"a": 0}, allocs=1), "no stream has a weight above 0"),
        (lambda: Phase("p", {"a": -1}, allocs=1), r"Phase\.weights = .*a number from 0 to"),
        (lambda: Phase("p", {"a": 1}, allocs=1, ps=0), r"Phase\.ps = 0: expected a whole number from 1 to 255"),
        (lambda: Phase("p", {"a": 1}, allocs=1, ps=256), r"Phase\.ps = 256"),
        (lambda: Phase("p", {"a": 1}, allocs=1, drop={"a": 2}), r"Phase\.drop = .*a number from 0 to 1"),
        (lambda: workload(phases=[]), r"Workload\.phases = \(\): expected a list of at least one"),
        (lambda: workload(phases=[Phase("p", {"b": 1}, allocs=1)]), r"phases\[0\]\.weights: no stream 'b'"),
        (lambda: workload(phases=[Phase("p", {"a": 1}, allocs=1, hold={"a": 1})]), "'a' is not held"),
        (lambda: workload(phases=[Phase("p", {"a": 1}, allocs=1, drop={"b": 1})]), r"\.drop: no stream 'b'"),
        (lambda: workload(streams=[Stream("a", Fixed(8), Immortal())] * 2), "two have the same name"),
        (lambda: workload(expectation=[{"columns": 1}]), r"Workload\.expectation\[0\]"),
        (
            lambda: Workload(
                "w", [Stream("g", Fixed(2048), Exponential(9), stack=True)], [Phase("p", {"g": 1}, bytes=5)]
            ),
            r"phases\[0\]\.bytes = 5: only stacks are allocated",
        ),
        (lambda: workload().trace(seed=-1), "seed = -1: expected a whole number from 0"),
        (lambda: workload().trace(seed=1.0), r"seed = 1\.0"),
        (lambda: workload().trace(scale=0), "scale = 0: expected a number from 1e-06 to"),
        (lambda: workload(phases=[Phase("p", {"a": 1}, bytes=1 << 56)]).trace(scale=1e6), "scale = .*phase 'p' of"),
        (
            lambda: workload(
                streams=[Stream("a", Fixed(1 << 40), Immortal())], phases=[Phase("p", {"a": 1}, allocs=1 << 30)]
            ).trace(),
            "bytes would be allocated",
        ),
    ],
)
def test_what_is_not_legal(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["streams"][0]["sizes"].update(bytes=0), r"mine\.json\.streams\[0\]\.sizes: Fixed\.bytes = 0"),
        (lambda d: d["streams"][0]["sizes"].update(kind="cubic"), r"streams\[0\]\.sizes\.kind = 'cubic': expected one"),
        (lambda d: d["streams"][0].pop("sizes"), r"streams\[0\]: field 'sizes' is missing, expected an object of kind"),
        (lambda d: d["streams"][0].update(colour=1), r"streams\[0\]: unknown field 'colour', expected name, sizes"),
        (lambda d: d.update(streams=5), r"\.streams = 5: expected a list"),
        (lambda d: d.update(streams=[5]), r"\.streams\[0\]: found 5, expected an object of a stream"),
        (lambda d: d["phases"][0].update(weights=[1]), r"phases\[0\]: Phase\.weights = "),
        (lambda d: d["phases"][0].update(ps="4"), r"phases\[0\]: Phase\.ps = '4'"),
        (lambda d: d.update(expectation=5), r"Workload\.expectation = 5"),
        (lambda d: d["streams"][1]["lifetime"].update(kind=["held"]), r"streams\[1\]\.lifetime\.kind = "),
    ],
)
def test_wrong_files(tmp_path, change, message):
    found = workload().to_json()
    change(found)
    (tmp_path / "mine.json").write_text(json.dumps(found))
    with pytest.raises(mh.FormatError, match=message):
        mh.workloads.load(tmp_path / "mine.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "expected an object of a workload"),
        (b'{"name": ' + b"1" * 5000 + b"}", "is missing|not JSON"),
    ],
)
def test_files_that_are_no_workload(tmp_path, text, message):
    (tmp_path / "x.json").write_bytes(text)
    with pytest.raises(mh.FormatError, match=message):
        read(tmp_path / "x.json")


def test_names_that_do_not_exist(tmp_path):
    with pytest.raises(mh.FormatError, match="nothing: no such scenario, expected one of batch-job"):
        mh.workloads.load("nothing")
    with pytest.raises(mh.FormatError, match="cannot be read"):
        mh.workloads.load(tmp_path / "none.json")


def test_lists_become_tuples_and_defaults_stay_out_of_json():
    made = workload(phases=[Phase("p", {"a": 1}, allocs=3, drop={"a": 0.5})])
    assert made.to_json()["phases"] == [{"name": "p", "weights": {"a": 1}, "allocs": 3, "drop": {"a": 0.5}}]
    assert Stream("s", Fixed(8), UntilPhaseEnds()).to_json()["lifetime"] == {"kind": "phase"}
    assert isinstance(made.streams, tuple)
