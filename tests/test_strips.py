"""Strips: where an item stands when rows of bits are folded, and what their frames enclose."""

import numpy as np
import pytest

from mheaplab.figures.strips import LOW_ROW_PIXELS, NAMED_STRIPS, ROW_PIXELS, Strips, axes, cells, frames

ROWS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("items", "columns", "count"), [(0, 16, 1), (1, 16, 1), (16, 16, 1), (17, 16, 2), (130, 64, 3)]
)
def test_count_and_height(items, columns, count):
    strips = Strips(items, columns, ROWS)
    assert strips.count == count
    assert strips.height == count * 4, "three rows and the empty one above"


def test_at_and_grid_agree():
    strips = Strips(40, 16, ROWS)
    values = {name: np.array([f"{name}{k}" for k in range(40)], object) for name in ROWS}
    grid = strips.grid(values, "")
    assert grid.shape == (strips.height, 16)
    for name in ROWS:
        for item in range(40):
            x, y = strips.at(item, name)
            assert grid[y, x] == f"{name}{item}"
    assert (grid == "").sum() == strips.height * 16 - 3 * 40
    assert strips.at(17, "") == (1, 4)


@pytest.mark.parametrize("count", [NAMED_STRIPS, NAMED_STRIPS + 1])
def test_low_rows_have_no_letters(count):
    strips = Strips(16 * count, 16, ROWS)
    assert strips.named == (count <= NAMED_STRIPS)
    assert strips.pixels == strips.height * (ROW_PIXELS if strips.named else LOW_ROW_PIXELS)
    codes = {name: np.zeros(strips.items, object) for name in ROWS}
    letters = {"a": np.full(strips.items, "x", object)}
    trace = cells(strips, codes, letters, ["?"] * strips.items, ["red", "blue"])
    assert ("x" in trace["text"].ravel()) == strips.named
    names = axes(strips, [f"from {k}" for k in range(count)], "item")["yaxis"]
    shown = ROWS if strips.named else ROWS[:1]
    assert names["tickvals"] == [strips.at(16 * k, row)[1] for k in range(count) for row in shown]
    assert names["ticktext"] == [f"from {k}" if row == "a" else row for k in range(count) for row in shown]


@pytest.mark.parametrize(("items", "ticks"), [(0, []), (4, [0, 1, 2, 3]), (16, list(range(0, 16, 2)))])
def test_ticks_are_items(items, ticks):
    x = axes(Strips(items, 16, ROWS), [""], "item")["xaxis"]
    assert x["tickvals"] == ticks and x["range"] == [-1, 16], "no tick where nothing is"


def test_cells_without_code_say_nothing():
    strips = Strips(3, 16, ("a",))
    trace = cells(strips, {"a": np.array([1, None, 0], object)}, {}, ["one", "two", "three"], ["red", "blue"])
    assert trace["z"][1, :4].tolist() == [1, None, 0, None]
    assert trace["hovertext"][1, :4].tolist() == ["one", "", "three", ""]
    assert trace["colorscale"] == [[0.0, "red"], [0.5, "red"], [0.5, "blue"], [1.0, "blue"]]
    assert (trace["zmin"], trace["zmax"]) == (-0.5, 1.5), "each code in the middle of its colour"


def test_frames_enclose_what_is_there():
    strips = Strips(40, 16, ROWS)
    codes = {name: np.full(40, None, object) for name in ROWS}
    codes["b"][[3, 9, 35]] = 1
    boxes = [(f["x0"], f["x1"], f["y0"], f["y1"]) for f in frames(strips, codes, ("b", "c"))]
    assert boxes == [(2.5, 9.5, 1.5, 2.5), (2.5, 3.5, 9.5, 10.5)], "none in the middle strip, none in row c"
