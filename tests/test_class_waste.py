"""Figures of size classes: areas and lines beside the numbers that they stand for."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures.class_waste import EDGES, places, requested_bytes
from mheaplab.sizeclasses.demand import demand_of

sc = mh.sizeclasses
UNIT = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}


@pytest.fixture
def counts():
    """Some objects of 401 sizes."""
    rng = np.random.default_rng(3)
    counts = np.zeros(32769)
    counts[rng.integers(16, 32768, 400)] = rng.integers(1, 900, 400)
    counts[24] = 5000
    return counts


def unit_of(axis):
    return UNIT[axis.title.text.split(", ")[1]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_areas_stand_for_waste(counts, go, theme):
    table = sc.optimal_near(counts, 3, go=go)
    noscan = np.floor(counts / 2)
    found = sc.evaluate(table, counts, go, noscan)
    figure = figures.class_waste(counts, table, go=go, noscan=noscan, theme=theme, name="x")
    by = unit_of(figure.layout.yaxis2)
    lower = [t for t in figure.data if t.yaxis == "y2"]
    assert [t.name for t in lower] == ["rounding up", "tail of the span", "header", "pointer bitmap", "inline marks"]
    low = np.zeros(2 * (len(table) - 1))
    for trace, cause in zip(lower, sc.CAUSES, strict=True):
        assert np.allclose(trace.y - low, np.repeat(found.by_class[cause][1:], 2) / by, atol=1e-3 * trace.y.max())
        assert trace.showlegend == bool(found.by_class[cause].any())
        low = trace.y
    # A class reaches from the one before to its own size.
    assert np.allclose(lower[0].x[1::2], np.log2(table.sizes[1:]), atol=1e-5)
    assert np.allclose(lower[0].x[2::2], np.log2(table.sizes[1:-1]), atol=1e-5)
    assert f"{100 * found.share:.3g}%" in figure.layout.title.subtitle.text
    numbers = figures.numbers(figure)
    assert numbers["size"] == table.sizes[1:].tolist()
    assert sum(sum(numbers[cause]) for cause in sc.CAUSES) == pytest.approx(found.waste)


def test_the_upper_panel_is_what_was_requested(counts):
    noscan = np.floor(counts / 3)
    figure = figures.class_waste(counts, noscan=noscan)
    by = unit_of(figure.layout.yaxis)
    with_pointers, without = figure.data[:2]
    assert (with_pointers.name, without.name) == ("with pointers", "noscan")
    rows = requested_bytes(demand_of(counts, noscan))
    sizes = np.arange(32769)
    wanted = np.array(
        [((counts - noscan) * sizes)[a + 1 : b + 1].sum() for a, b in zip(EDGES, EDGES[1:], strict=False)]
    )
    assert np.allclose(rows[0], wanted)
    assert np.allclose(with_pointers.y[::2], rows[0] / by, rtol=1e-4, atol=1e-3)
    assert np.allclose(without.y[1::2], rows.sum(axis=0) / by, rtol=1e-4, atol=1e-3)


def test_boundaries_of_both_tables(counts):
    table = sc.moved(sc.go_table(), 48, 1664)
    figure = figures.class_waste(counts, table)
    lines = {t.name: t for t in figure.data if t.fill is None}
    only, own = lines["only in go1.19"], lines["class boundaries"]
    assert np.allclose(only.x[:2], np.log2(48)) and len(only.x) == 3 and only.line.dash == "dash"
    assert np.allclose(own.x[::3], places(table.sizes[1:])) and np.isnan(own.x[2::3]).all()
    unchanged = figures.class_waste(counts)
    assert len(next(t for t in unchanged.data if t.name == "only in go1.19").x) == 0


def test_tables_beside_each_other(counts):
    tables = {"Go": sc.go_table(), "same": sc.go_table(), "best": sc.optimal(counts), "pow2": sc.pow2_table()}
    found = [sc.evaluate(t, counts) for t in tables.values()]
    figure = figures.table_waste(found, list(tables), name="x")
    totals = sum(np.asarray(t.x, float) for t in figure.data)
    assert np.allclose(totals, [100 * e.share for e in found], rtol=1e-5)
    words = [a.text for a in figure.layout.annotations]
    assert "(" not in words[0] + words[1] and "(\N{MINUS SIGN}" in words[2] and "(+" in words[3]
    assert list(figure.layout.yaxis.ticktext) == list(tables) and "% of bytes" in figure.layout.xaxis.title.text
    assert figures.numbers(figure)["waste"] == [e.waste for e in found]
    with pytest.raises(ValueError, match="found, labels: 4 and 1"):
        figures.table_waste(found, ["Go"])


def test_waste_by_changes(counts):
    found = [sc.evaluate(t, counts) for t in sc.optimal_near_each(counts, 4)]
    curve, mark = figures.waste_by_changes(found, 2).data
    assert np.allclose(curve.y, [100 * e.share for e in found]) and list(curve.x) == [0, 1, 2, 3, 4]
    assert (mark.x[0], mark.y[0]) == (2, curve.y[2])
    assert len(figures.waste_by_changes(found).data[1].x) == 0
    with pytest.raises(ValueError, match="at least one table"):
        figures.waste_by_changes([])


def test_a_program_without_objects():
    figure = figures.class_waste(np.zeros(10))
    assert "0 objects" in figure.layout.title.subtitle.text
    figures.table_waste([sc.evaluate(sc.go_table(), np.zeros(10))], ["Go"])
