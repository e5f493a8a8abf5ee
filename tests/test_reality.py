"""docs/pacing.md: the twin that paces itself beside recorded programs.

The whole table takes minutes (tools/reality_table.py --check); here are its quick rows, and what all rows must be like.
"""

import importlib
import json
import sys

import numpy as np
import pytest
from conftest import CASES, ROOT

sys.path.insert(0, str(ROOT / "tools"))
reality, page_table = (importlib.import_module(name) for name in ("reality_table", "page_table"))
sys.path.pop(0)

REPEATS = json.loads((ROOT / "data" / "go" / "repeats-go1.19.json").read_text())
QUICK = ("go119-final-full", "go119-gzip", "go119-stacks")
NUMBERS = (2, 3, 6, 7, 9, 10, 13, 14)
"""Columns of a row that hold numbers: collections, goal, HeapInuse, HeapSys, each recorded and simulated."""


def rows():
    """Return the page's rows by case, as texts."""
    page = reality.PAGE.read_text()
    lines = page.split(reality.MARK)[1].split(page_table.END)[0].strip().splitlines()[2:]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0].split(",")[0]: cells for cells in split}


def numbers(cells):
    return np.array([float(cells[k]) for k in NUMBERS]).reshape(4, 2)


def test_every_program_with_enough_collections_has_a_row():
    wanted = set()
    for path in CASES.glob("go119-*.events.npz"):
        with np.load(path) as events:
            if len(events["dead_offsets"]) > reality.LEAST_COLLECTIONS:
                wanted.add(path.name.removesuffix(".events.npz"))
    assert set(rows()) == wanted
    assert len(wanted) >= 18


@pytest.mark.parametrize("name", QUICK)
def test_quick_rows_are_current(name):
    found = reality.row_of(reality.Recorded(str(CASES / name)), REPEATS)
    found = numbers([cell.strip() for cell in found.strip("|").split("|")])
    stated = numbers(rows()[name])
    # The recorded numbers exactly; those of the twin as far as another machine's logarithms may move a death.
    assert np.array_equal(found[:, 0], stated[:, 0])
    assert found[:, 1] == pytest.approx(stated[:, 1], rel=0.05)


def test_the_twin_is_where_go_is():
    """Over all rows, which hardly depend on one draw: goal, HeapInuse and HeapSys; collections are small numbers."""
    table = np.array([numbers(cells) for cells in rows().values()])
    off = np.abs(table[:, 1:, 1] / table[:, 1:, 0] - 1.0)
    assert (np.median(off, axis=0) < 0.05).all()
    assert (off[:, 0] < 0.16).all()
    collections = np.abs(table[:, 0, 1] - table[:, 0, 0])
    assert collections.max() <= 2 and np.median(collections) <= 1


def test_recorded_goals_follow_from_marks():
    """Where Go noted its goals, those worked out from a replay are the same, but for stacks and late triggers."""
    recorded = reality.Recorded(str(CASES / "go119-cache-gogc200-full"))
    worked_out = recorded._goals_from_marks()
    assert worked_out == pytest.approx(recorded.goals, rel=0.002)
