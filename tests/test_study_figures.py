"""Figures and widgets of studies, against numbers made up so that the answer is known."""

import numpy as np
import pyarrow as pa
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures import theme
from mheaplab.figures.multiples import multiples_picture
from mheaplab.figures.pareto import front, pareto_picture
from mheaplab.figures.sensitivity import REST, effects, main_effect, parts_of
from mheaplab.figures.study_axes import knob_axis, knob_values
from mheaplab.studies import Interval, Study
from mheaplab.studies.run_one import Run, failed_row
from mheaplab.studies.space import grid_sets
from mheaplab.studies.store import schema
from mheaplab.studies.study import Plan

SPACE = {"gogc": [25, 50, 100, "off"], "arena_bytes": ["4MiB", "64MiB"], "size_classes": ["go", "tcmalloc"]}


def made(space, sets, numbers, traces=("json-service",), failed=0, **about):
    """Return a study whose metrics are ``numbers(run)``, a dict."""
    plan = Plan(list(traces))
    runs = plan.runs(sets)
    good = {"error": "", "lasting": True}
    rows = [
        failed_row(run, "", True) | dict.fromkeys([m.name for m in mh.METRICS], 0.0) | numbers(run) | good
        for run in runs
    ]
    rows[:failed] = [failed_row(run, "made to fail", True) for run in runs[:failed]]
    table = pa.Table.from_pylist(rows, schema())
    return Study("made", table, tuple(space), len(rows), plan.about("grid", space) | {"code": "c"} | about)


def cost(run: Run):
    """GOGC decides what is collected, the arena a little of the memory, both nothing else."""
    gogc = 800 if run.params.gogc < 0 else run.params.gogc
    return {
        "collections": 1000 / gogc,
        "mean_backed": float(gogc << 20) + 0.1 * run.params.arena_bytes,
        "gc_share": 10 / gogc,
    }


@pytest.fixture(scope="module")
def study():
    """Sixteen sets of parameters, and two traces."""
    return made(SPACE, grid_sets(SPACE), cost, ("json-service", "tree-builder"))


@pytest.mark.parametrize("look", theme.THEMES)
@pytest.mark.parametrize("name", ["pareto", "multiples", "sensitivity", "parallel"])
def test_every_figure_says_what_it_shows(study, name, look):
    figure = getattr(figures, name)(study, theme=look)
    assert figure.layout.title.text and "grid, exact: all 32 runs" in figure.layout.title.subtitle.text
    assert figure.layout.template == theme.template(look) and figure.layout.meta["mheaplab"]["go"] == "go1.19"
    for axis in ("xaxis", "yaxis"):
        if name != "parallel":
            assert figure.layout[axis].title.text is not None and len(figure.layout[axis].range) == 2
    columns = figures.numbers(figure)
    assert len({len(v) for v in columns.values()}) == 1
    with pytest.raises(ValueError, match="theme"):
        getattr(figures, name)(study, theme="pink")


def test_the_front_is_what_no_other_beats(rng):
    x, y = rng.integers(0, 30, 300).astype(float), rng.integers(0, 30, 300).astype(float)
    found = front(x, y)
    beaten = [np.any((x <= a) & (y <= b) & ((x < a) | (y < b))) for a, b in zip(x, y, strict=True)]
    best = {(a, b) for a, b, bad in zip(x, y, beaten, strict=True) if not bad}
    assert {(x[k], y[k]) for k in found} == best and len(found) == len(best)
    assert (np.diff(x[found]) > 0).all()


def test_pareto_shows_sets_of_one_trace(study):
    picture = pareto_picture(study, "mean_backed", "collections", by="gogc", trace="tree-builder")
    line, *groups = picture.traces
    assert [g["name"] for g in groups] == ["GOGC 25", "GOGC 50", "GOGC 100", "GOGC off"]
    assert sum(len(g["x"]) for g in groups) == 16 and len(line["x"]) == 4, "4 MiB arenas, twice as good as each other"
    assert "MiB" in picture.layout["xaxis"]["title"]["text"] and picture.layout["title"]["text"].endswith(
        "tree-builder"
    )
    assert "GOGC off, arena 64 MiB, size classes tcmalloc" in " ".join(groups[-1]["hovertext"])
    table = picture.table()
    assert sum(table["front"]) == 4 and set(table["arena_bytes"]) == {4 << 20, 64 << 20} and set(table["runs"]) == {1}


def test_colours_are_never_more_than_can_be_told_apart():
    space = {"gogc": list(range(50, 150))}
    picture = pareto_picture(made(space, grid_sets(space), cost), by="gogc")
    assert len(picture.traces) == 1 + len(theme.RUN_COLORS)
    assert sum(len(t["x"]) for t in picture.traces[1:]) == 100


def test_what_matters_is_found():
    """A main effect, an interaction and nothing at all, in a grid where each has a third of the variance or none."""
    space = {"procs": [1, 2], "grow_early_percent": [50, 100], "page_cache_pages": [0, 64]}

    def numbers(run):
        a, b = 2 * run.params.procs - 3, run.params.grow_early_percent / 25 - 3
        return {"collections": 10 + a + a * b, "mean_backed": 5 + 2 * b, "scavenged": 3.0}

    found = effects(made(space, grid_sets(space), numbers), ("collections", "mean_backed", "scavenged"))
    assert found["procs"] == pytest.approx([0.5, 0, 0]) and found["grow_early_percent"] == pytest.approx([0, 1, 0])
    assert found["page_cache_pages"] == pytest.approx([0, 0, 0]) and found[REST] == pytest.approx([0.5, 0, 0])


def test_chance_does_not_matter(rng):
    """Of many values, one column decides half of the variance, and the other none."""
    a, b, noise = rng.random(4000), rng.random(4000), rng.standard_normal(4000)
    values = a * np.sqrt(12) + noise
    assert main_effect(values, *parts_of(a)) == pytest.approx(0.49, abs=0.04)
    assert main_effect(values, *parts_of(b)) < 0.01
    assert main_effect(np.ones(4), *parts_of(np.arange(4))) == 0


def test_multiples_have_a_panel_a_line_and_a_place_for_everything(study):
    picture = multiples_picture(study, "collections")
    assert [a["text"] for a in picture.layout["annotations"]] == ["size classes go", "size classes tcmalloc"]
    assert [t["name"] for t in picture.traces] == ["arena 4 MiB", "arena 64 MiB"] * 2
    assert all(t["y"].tolist() == pytest.approx([40, 20, 10, 1.25]) for t in picture.traces)
    assert picture.layout["xaxis2"]["ticktext"] == ["25", "50", "100", "off"]
    assert {t["xaxis"] for t in picture.traces} == {"x", "x2"}
    alone = multiples_picture(study, "collections", x="trace", by="", panels="")
    (only,) = alone.traces
    assert len(only["x"]) == 2 and not alone.layout["annotations"]
    with pytest.raises(ValueError, match="knob = 'procs' is outside its legal range: one of gogc"):
        multiples_picture(study, x="procs")
    many = {"gogc": list(range(50, 60)), "procs": [1, 2]}
    with pytest.raises(ValueError, match="gogc has 10 values, expected at most 6"):
        multiples_picture(made(many, grid_sets(many), cost), by="gogc", x="procs")


def test_many_values_are_a_number():
    space = {"gogc": Interval(25, 400, log=True)}
    study = made(space, [{"gogc": g} for g in range(25, 400)], cost)
    axis = knob_axis(study, "gogc", knob_values(study, "gogc"))
    assert axis.title == "GOGC, percent" and axis.texts[0] == "25" and axis.texts[-1] == "399"
    assert axis.places[0] == pytest.approx(np.log2(25)) and (np.diff(axis.ticks) > 0).all()


def test_failures_are_said_and_left_out(study):
    some = made(SPACE, grid_sets(SPACE), cost, failed=3)
    figure = figures.pareto(some)
    assert "3 failed" in figure.layout.title.subtitle.text and len(figures.numbers(figure)["gogc"]) == 13
    none = made(SPACE, grid_sets(SPACE)[:2], cost, failed=2)
    for name in ("pareto", "multiples", "sensitivity", "parallel"):
        with pytest.raises(ValueError, match="study: "):
            getattr(figures, name)(none)
    with pytest.raises(ValueError, match="study: expected a parameter"):
        mh.widgets.study_explorer(none)
    with pytest.raises(ValueError, match="trace = 'x' is outside"):
        figures.pareto(study, trace="x")
    with pytest.raises(ValueError, match="metric = 'speed' is outside"):
        figures.parallel(study, ["speed"])


def test_parallel_has_an_axis_for_everything(study):
    (trace,) = figures.parallel(study).data
    assert [d.label for d in trace.dimensions] == [
        "GOGC, percent", "arena", "size classes", "mean backed, MiB", "collections", "collector's time, percent"
    ]  # fmt: skip
    assert trace.dimensions[0].ticktext == ("25", "50", "100", "off") and len(trace.dimensions[4]["values"]) == 16
    assert list(trace.line.color) == list(trace.dimensions[-1]["values"])


def test_the_explorer_follows_its_controls(study, tmp_path):
    explorer = mh.widgets.study_explorer(study, folder=tmp_path)
    assert explorer.along == "gogc" and "32 of 32 runs" in explorer.status.value
    explorer.y.value = "collections"
    explorer.trace.value = "tree-builder"
    assert explorer.live["pareto"].layout.title.text == "Collections against mean backed: tree-builder"
    assert explorer.live["multiples"].layout.title.text == "Collections by GOGC"
    explorer.by.value = "size_classes"
    shown = [t.name for t in explorer.live["multiples"].data if t.visible is not False]
    assert shown == ["size classes go", "size classes tcmalloc"]
    explorer.by.value = ""
    assert [t.name for t in explorer.live["multiples"].data if t.visible is not False] == ["collections"]
    explorer.save_row.format.value = ("csv",)
    explorer.save_row.save.click()
    names = sorted(p.name for p in tmp_path.iterdir())
    assert not explorer.error.value
    assert names == [
        f"study-tree-builder-collections-mean_backed-all-{k}.csv" for k in ("multiples", "pareto", "sensitivity")
    ]


def test_the_bar_says_how_long_the_rest_takes():
    bar = mh.widgets.study_progress()
    bar(10, 10)
    assert bar.bar.value == bar.bar.max == 10 and bar.words.value == "10 of 10, 0 s"
    bar._begin, bar._last = bar._begin - 10, 0
    bar(5, 10)
    assert bar.words.value == "5 of 10, 10 s left"
    bar(6, 10)
    assert bar.bar.value == 5, "not more often than a browser draws"
