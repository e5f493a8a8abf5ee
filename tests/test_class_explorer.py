"""The size-class laboratory without a browser: controls and handles against the table and the numbers they mean."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.figures.class_waste import percent
from mheaplab.widgets import class_explorer

sc = mh.sizeclasses
OTHER = mh.Histogram([24, 100, 600, 3000], [900, 500, 300, 20])


@pytest.fixture(scope="module")
def json_sizes():
    return mh.read_histogram(mh.data_path("cases/go119-json"))


@pytest.fixture
def explorer(json_sizes, tmp_path):
    return class_explorer({"json": json_sizes, "other": OTHER}, folder=tmp_path / "exports")


def shown_share(explorer):
    """Return the waste that the first figure shows, in percent of what is requested."""
    lower = [t for t in explorer.live["classes"].data if t.yaxis == "y2"]
    unit = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}[explorer.live["classes"].layout.yaxis2.title.text.split(", ")[1]]
    return 100 * unit * float(np.asarray(lower[-1].y, float)[::2].sum()) / explorer.found.requested


def agrees(explorer, table, histogram, go="go1.19"):
    """Whether figures, numbers and files are those of a table."""
    found = sc.evaluate(table, histogram, go)
    assert explorer.error.value == ""
    assert explorer.table.pairs == table.pairs and explorer.handles.value == table.sizes[1:].tolist()
    assert shown_share(explorer) == pytest.approx(100 * found.share, rel=1e-4)
    assert percent(found.share) in explorer.status.value
    bars = explorer.live["tables"]
    assert sum(float(t.x[1]) for t in bars.data) == pytest.approx(100 * found.share, rel=1e-4)
    assert explorer.source.text == ("" if table.why_not(go) else sc.to_go(table, go))
    return True


def test_each_table(explorer, json_sizes):
    assert agrees(explorer, sc.go_table(), json_sizes)
    explorer.start.value = "best"
    assert agrees(explorer, sc.optimal(json_sizes), json_sizes)
    explorer.start.value = "near"
    assert agrees(explorer, sc.optimal_near(json_sizes, 3), json_sizes)
    explorer.changes.value = 7
    assert agrees(explorer, sc.optimal_near(json_sizes, 7), json_sizes)
    assert explorer.live["changes"].data[1].x[0] == 7
    for name, make in sc.OTHERS.items():
        explorer.start.value = name
        assert agrees(explorer, make("go1.19"), json_sizes)


def test_the_mark_of_changes_moves_with_any_table(explorer):
    explorer.changes.value = 12
    assert explorer.live["changes"].data[1].x[0] == 12 and explorer.start.value == "go"


def test_program_and_go(explorer, json_sizes):
    explorer.program.value = "other"
    assert agrees(explorer, sc.go_table(), OTHER)
    explorer.go.value = "go1.27"
    assert agrees(explorer, sc.go_table("go1.27"), OTHER, "go1.27")
    assert 40 in explorer.handles.legal and explorer.handles.fixed == [8, 16, 512, 32768]


def test_handles_make_a_table_of_ones_own(explorer, json_sizes):
    moved = sc.moved(sc.go_table(), 96, 1664)
    explorer.handles.selected = 96
    explorer.handles.selected = 1664
    explorer.handles.value = moved.sizes[1:].tolist()
    assert explorer.start.value == "own" and agrees(explorer, moved, json_sizes)
    assert explorer.size.value == 1664 and "class 3" in explorer.chosen.value
    explorer.start.value = "go"
    assert agrees(explorer, sc.go_table(), json_sizes)


def test_typing_adding_and_removing(explorer, json_sizes):
    explorer.handles.selected = 1152
    explorer.size.value = 1664
    table = sc.moved(sc.go_table(), 1152, 1664)
    assert agrees(explorer, table, json_sizes) and explorer.handles.selected == 1664
    explorer.size.value = 2000
    assert "2,000 bytes cannot be a class in go1.19, nearest are 1,920 and 2,048" in explorer.error.value
    explorer.handles.selected = 1024
    explorer.add.click()
    assert len(explorer.handles.value) == 68 and 896 < explorer.handles.selected < 1024
    explorer.remove.click()
    assert agrees(explorer, table, json_sizes) and explorer.handles.selected == 896
    explorer.handles.selected = 16
    explorer.remove.click()
    assert "go1.19 needs this class" in explorer.error.value and explorer.handles.value == table.sizes[1:].tolist()
    explorer.add.click()
    assert "no class fits below 16 B" in explorer.error.value


def test_what_go_could_not_run_is_shown_and_said(explorer, json_sizes):
    explorer.go.value = "go1.27"
    table = sc.moved(sc.go_table("go1.27"), 2048, 2176)
    explorer.handles.value = table.sizes[1:].tolist()
    assert table.why_not("go1.27") and agrees(explorer, table, json_sizes, "go1.27")
    assert "cannot run with it" in explorer.status.value and explorer.source.reason == table.why_not("go1.27")


def test_another_go_moves_up_what_it_cannot_have(explorer):
    explorer.go.value = "go1.27"
    explorer.handles.value = sorted({*explorer.handles.value, 40, 72})
    explorer.go.value = "go1.19"
    assert explorer.error.value == "" and explorer.start.value == "own"
    assert {40, 72} & set(explorer.handles.value) == set() and {48, 80} <= set(explorer.handles.value)


def test_sizes_that_are_no_table_do_no_harm(explorer):
    explorer.handles.value = [8, 16, 16, 48, 48, 32768]
    assert explorer.handles.value == [8, 16, 48, 32768]
    explorer.handles.value = [8, 16, 41, 32768]
    assert "41 bytes cannot be a class" in explorer.error.value


def test_an_error_stays_when_what_moved_before_comes_to_rest(explorer):
    without = [size for size in explorer.handles.value if size != 1152]
    explorer.handles.value = without
    explorer.size.value = 1001
    assert "1,001 bytes cannot be a class" in explorer.error.value
    explorer._settled()
    assert "1,001 bytes cannot be a class" in explorer.error.value
    explorer.handles.value = sorted([*without, 1152])
    assert explorer.error.value == ""


@pytest.mark.parametrize("start", ["go", "near", "best", "jemalloc", "own"])
def test_code_makes_what_is_shown(json_sizes, start):
    path = mh.data_path("cases/go119-json")
    explorer = class_explorer({"json": path})
    if start == "own":
        explorer.handles.value = sc.moved(sc.go_table(), 96, 1664).sizes[1:].tolist()
    explorer.start.value = start
    names = {}
    lines = explorer.code_box.code.splitlines()
    exec("\n".join([*lines[:-1], f"figure = {lines[-1]}"]), names)
    assert names["table"].pairs == explorer.table.pairs
    assert names["figure"].layout.title.subtitle.text == explorer.live["classes"].layout.title.subtitle.text


def test_files(explorer, tmp_path):
    explorer.start.value = "near"
    for suffix in ("html", "csv"):
        explorer.save_row.format.value = (suffix,)
        explorer.save_row.save.click()
    names = sorted(p.name for p in (tmp_path / "exports").iterdir())
    assert names == [f"json-go1.19-near-3-{k}.{s}" for k in ("changes", "classes", "tables") for s in ("csv", "html")]
    assert explorer.handles.figure == explorer.live["classes"].layout.meta["export_id"]


def test_arguments():
    with pytest.raises(ValueError, match="programs: expected at least one"):
        class_explorer({})
    with pytest.raises(ValueError, match="go = 'go1.20'"):
        class_explorer({"x": OTHER}, "go1.20")
    with pytest.raises(mh.FormatError):
        class_explorer({"x": "nowhere.csv"})
    assert class_explorer({"x": OTHER.by_size()}).about == {"program": "x"}
