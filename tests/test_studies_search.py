"""Searches: Optuna picks, the store remembers."""

import sys

import pytest

from mheaplab import cli
from mheaplab.studies import Interval, search

SHORT = {"scale": 0.01, "samples": 50, "threads": True, "workers": 1}
SPACE = {
    "gogc": Interval(20, 400, log=True),
    "arena_bytes": ["4MiB", "64MiB"],
    "page_placement": ["first-fit", "best-fit"],
}


def test_a_search_finds_what_is_known(tmp_path):
    """Memory backed is least with a small GOGC, collections with a large one; both together give a front."""
    low = search(["json-service"], SPACE, "mean_backed", 24, out=tmp_path / "a", **SHORT)
    (best,) = low.about["best"]
    assert best["changes"]["gogc"] < 100 and best["values"][0] < 1 and len(low) >= 24 and low.complete
    front = search(["json-service"], SPACE, ["mean_backed", "collections"], 24, out=tmp_path / "b", **SHORT).about[
        "best"
    ]
    values = sorted(b["values"] for b in front)
    assert len(values) > 1 and [b for _, b in values] == sorted((b for _, b in values), reverse=True)


def test_a_search_goes_on_where_it_was(tmp_path, monkeypatch):
    """The same sets are asked for again, whoever runs them, and those that are there are not run."""
    whole = search(["json-service"], SPACE, "mean_backed", 20, out=tmp_path / "whole", **SHORT)
    search(["json-service"], SPACE, "mean_backed", 8, out=tmp_path / "part", **SHORT)
    done = []
    from mheaplab.studies.run_one import run_one

    monkeypatch.setattr("mheaplab.studies.execute.run_one", lambda run: done.append(run.key) or run_one(run))
    more = search(["json-service"], SPACE, "mean_backed", 20, out=tmp_path / "part", **(SHORT | {"workers": 2}))
    first, second = (study.table.drop_columns(["seconds", "cpu_seconds"]) for study in (more, whole))
    assert first.equals(second)
    assert more.about["best"] == whole.about["best"] and len(done) == len(set(done)) <= 12


def test_sets_that_fail_are_not_best(tmp_path):
    """A limit below the least heap fails; the search goes on without it."""
    space = {"memory_limit": ["1MiB", "1GiB"], "gogc": [50, 100]}
    study = search(["tree-builder"], space, "peak_backed", 12, out=tmp_path / "s", **SHORT)
    assert study.failures and all(b["changes"]["memory_limit"] == 1 << 30 for b in study.about["best"])


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="metric = 'speed' is outside"):
        search(["json-service"], SPACE, "speed", 5, out=tmp_path / "s", **SHORT)
    with pytest.raises(ValueError, match="n = 0 is outside"):
        search(["json-service"], SPACE, "collections", 0, out=tmp_path / "s", **SHORT)
    assert not (tmp_path / "s").exists()


def test_without_optuna_one_sentence_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    file = tmp_path / "study.toml"
    file.write_text(
        'traces = ["json-service"]\nmethod = "search"\nobjective = "collections"\nn = 3\nout = "s"\n'
        "[space]\ngogc = [50]\n"
    )
    assert cli.main(["study", str(file)]) == 2
    assert capsys.readouterr().err == (
        "mheaplab: a search is done by Optuna, which is not installed: pip install 'mheaplab[search]'\n"
    )
