"""Real Go heaps, predicted address for address: the reason why this project may be believed."""

import json

import numpy as np
import pytest
from conftest import CASES, golden_cases

import mheaplab as mh

NAMES = golden_cases()
SMALLEST = ("go119-gzip", "go127-gzip", "go127-goroutines")
MEMSTATS = (
    "HeapAlloc TotalAlloc Mallocs Frees HeapObjects HeapSys HeapIdle HeapInuse HeapReleased StackInuse BySize "
    "MSpanInuse MSpanSys"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_everything_go_did(name):
    case = mh.load_case(CASES / name)
    pred = mh.replay(case, check=1)
    agreement = mh.compare(pred, case.truth)
    assert agreement.exact, str(agreement)
    assert pred.unrecorded_sweeps == 0
    assert agreement.total["objects"] > 500


@pytest.mark.parametrize("name", [n for n in NAMES if (CASES / f"{n}.memstats.json").exists()])
def test_memstats(name):
    case = mh.load_case(CASES / name)
    recorded = json.loads((CASES / f"{name}.memstats.json").read_text())
    found = mh.replay(case).memstats
    assert {k: found[k] for k in MEMSTATS} == {k: recorded[k] for k in MEMSTATS}


@pytest.mark.parametrize("name", SMALLEST)
def test_recount_after_every_event(name):
    case = mh.load_case(CASES / name)
    assert mh.compare(mh.replay(case, check=2), case.truth).exact


def test_predicts_without_the_truth(tmp_path):
    name = "go119-gzip"
    (tmp_path / f"{name}.events.npz").write_bytes((CASES / f"{name}.events.npz").read_bytes())
    case = mh.load_case(tmp_path / name)
    assert case.truth is None
    pred = mh.replay(case)
    truth = mh.load_case(CASES / name).truth
    assert mh.compare(pred, truth).exact
    pred.save(tmp_path / "pred.npz")
    with np.load(tmp_path / "pred.npz") as saved:
        assert sorted(saved.files) == sorted(truth)
        for column in truth:
            assert np.array_equal(saved[column], truth[column])


def test_compare_finds_what_differs():
    case = mh.load_case(CASES / "go119-gzip")
    pred = mh.replay(case)
    truth = {k: v.copy() for k, v in case.truth.items()}
    truth["addr"][3] += 8
    truth["span_npages"][5] += 1
    agreement = mh.compare(pred, truth)
    assert not agreement.exact
    assert agreement.total["objects"] - agreement.matched["objects"] == 1
    assert agreement.total["spans"] - agreement.matched["spans"] == 1
    assert any("event 3: MALLOC" in d for d in agreement.differences)
    assert any("span 5" in d and "npages" in d for d in agreement.differences)
    with pytest.raises(mh.FormatError, match="no truth"):
        mh.compare(pred, None)
