"""Figures of a run by what is in them: every line against the samples, units, captions, and what is left out."""

import itertools
import re

import made_up
import numpy as np
import pytest
from test_figures import SIGHT, lab

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures import runs, theme
from mheaplab.figures.comparison import comparison_picture, numbers_text
from mheaplab.figures.cycles import grouped, groups
from mheaplab.figures.sweeping import allocations, tail_points
from mheaplab.figures.views import VIEWS
from mheaplab.results import HISTOGRAMS, SWEEPERS

MIB = 1 << 20
ALONG = [name for name in VIEWS if "x" in VIEWS[name].options]


@pytest.fixture(scope="module")
def run():
    """A run of a million events and twelve collections."""
    return made_up.made_result()


@pytest.fixture(scope="module")
def long_run():
    """A run with more samples than are drawn, and collections that share bars."""
    return made_up.made_result(samples=20_000, cycles=1000)


def traces(figure):
    """Return the traces by name."""
    found = {t.name: t for t in figure.data}
    assert len(found) == len(figure.data)
    return found


def y_of(figure, name):
    """Return the values of a line."""
    return np.asarray(traces(figure)[name].y, np.float64)


# ---------------------------------------------------------------------------------------------- every view


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("look", theme.THEMES)
def test_views_say_what_they_show(run, name, look):
    """Every axis has a title with a unit or none that would be drawn, and the caption has parameters and extent."""
    figure = VIEWS[name].draw(run, theme=look).figure()
    assert figure.layout.title.text.endswith(": made-up")
    assert "Go 1.19, GOGC=100<br>exact: all 1,000,000 events" in figure.layout.title.subtitle.text
    assert figure.layout.paper_bgcolor is None and figure.layout.template == theme.template(look)
    for axis in ("xaxis", "yaxis", "xaxis2", "yaxis2"):
        if axis in figure.layout and figure.layout[axis].showticklabels is not False:
            assert figure.layout[axis].title.text and len(figure.layout[axis].range) == 2
    names = [t.name for t in figure.data if t.showlegend is not False]
    assert all(names) and len(set(names)) == len(names)


@pytest.mark.parametrize("name", VIEWS)
def test_public_function_is_the_view(run, name):
    """The figure of that name in ``mheaplab.figures`` is the same, and its code runs."""
    view = VIEWS[name]
    figure = getattr(figures, view.function)(run)
    assert figure == view.draw(run).figure()
    code = view.code(x="'time'", theme="'dark'", pinned=None)
    assert eval(code, {"mh": mh, "result": run}) == view.draw(run, x="time", theme="dark").figure()


@pytest.mark.parametrize("name", VIEWS)
def test_numbers_travel_as_they_are(run, long_run, name):
    """Lines are of types that a live figure sends as bytes, and of at most 3,000 points."""
    for result in (run, long_run):
        for trace in VIEWS[name].draw(result).traces:
            for key in ("x", "y"):
                assert np.asarray(trace[key]).dtype in (np.int32, np.float32), (trace["name"], key)
                assert len(trace[key]) <= 3000


@pytest.mark.parametrize("name", VIEWS)
def test_runs_without_anything(name):
    """A run of no events, one without collections, and one without samples are drawn too."""
    for result in (
        made_up.made_result(samples=1, cycles=0, events=0),
        made_up.made_result(samples=50, cycles=0),
        made_up.made_result(samples=0, cycles=0, events=0),
    ):
        figure = VIEWS[name].draw(result).figure()
        if len(result.samples) > 1:
            assert all(len(t.x) and len(t.y) for t in figure.data if t.showlegend is not False), "or the legend jumps"
        for axis in figure.select_xaxes():
            low, high = axis.range
            assert np.isfinite([low, high]).all() and low < high


@pytest.mark.parametrize("name", ALONG)
def test_axis_along_the_run(run, name):
    """The axis counts events, bytes allocated or simulated time, up to the end of the run."""
    ends = {"events": (1_000_000, "events"), "allocated": (520, "MiB"), "time": (400, "ms")}
    for by, (last, words) in ends.items():
        figure = VIEWS[name].draw(run, x=by).figure()
        axis = next(a for a in figure.select_xaxes() if words in (a.title.text or ""))
        assert axis.range == pytest.approx((0, last))
    with pytest.raises(ValueError, match="x = 'days' is outside its legal range: one of events, allocated, time"):
        VIEWS[name].draw(run, x="days")


@pytest.mark.parametrize("name", VIEWS)
def test_themes(run, name):
    with pytest.raises(ValueError, match="theme = 'grey' is outside its legal range"):
        VIEWS[name].draw(run, theme="grey")


@pytest.mark.parametrize("name", VIEWS)
def test_stamp_and_numbers(run, name, tmp_path):
    """An export carries trace, seed, parameters and the numbers behind the figure."""
    figure = getattr(figures, VIEWS[name].function)(run)
    (path,) = figures.export(figure, tmp_path / name, "csv", about=run)
    text = path.read_text(encoding="utf-8")
    assert "# seed: 0\n" in text and '"gogc": 100' in text and "# events_done: 1000000\n" in text
    assert f'# trace: {{"name": "made-up", "sha256": "{"ab" * 32}"}}' in text
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(rows) == 1 + (12 if name in ("cycles", "sweep") else 500)
    assert figures.provenance(figure)["sha256"] in text


# ---------------------------------------------------------------------------------------------- captions, axes


def test_captions():
    """What a caption says of parameters and extent."""
    changed = mh.HeapParams.go127(gogc=-1, memory_limit=300 * MIB, procs=4, arena_bytes=4 * MIB, idle_share=0.25)
    words = runs.caption(made_up.made_result(changed, done=125_000))
    assert words == (
        "Go 1.27, GOGC=off, limit 300 MiB, 4 Ps, idle_share=0.25, arena_bytes=4 MiB"
        "<br>prefix: first 125,000 of 1,000,000 events"
    )
    assert runs.caption(made_up.made_result(), "a", "b").endswith("exact: all 1,000,000 events · a · b")
    classes = ((8, 1), (16, 1), (32768, 4))
    many = mh.HeapParams.go119(
        page_cache_pages=0, page_placement="best-fit", background_sweep_per_ms=0.0, cycle_us=1.0, alloc_ns=1.0
    )
    words = "Go 1.19, GOGC=100, alloc_ns=1, cycle_us=1, background_sweep_per_ms=0, page_placement=best-fit"
    assert runs.parameter_words(many) == f"{words}, 1 more change" and len(words) <= runs.CAPTION_LETTERS
    assert "size_classes=3 classes" in runs.parameter_words(mh.HeapParams.go119(size_classes=classes))
    assert runs.extent_words(made_up.made_result(events=1)) == "exact: all 1 event"


def test_many_events_fit():
    """Events beyond 2**31 are drawn as fractions, not as something else."""
    values = runs.small(np.array([0, 3_000_000_000]), 3_000_000_000)
    assert values.dtype == np.float32 and values[1] == 3e9
    assert runs.small(np.array([5]), 5).dtype == np.int32


@pytest.mark.parametrize(("n", "lines"), [(3001, 1), (10_000, 1), (20_011, 3), (100_000, 9), (3002, 400)])
def test_thinning_keeps_extremes(rng, n, lines):
    """Of each line the least and greatest value of every stretch stay; the first and last sample; at most 3,000."""
    found = [np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)) for _ in range(lines)]
    kept = runs.thin(*found)
    assert len(kept) <= runs.POINTS and (np.diff(kept) > 0).all() and kept[0] == 0 and kept[-1] == n - 1
    for line in found:
        assert np.nanmax(line[kept]) == np.nanmax(line) and np.nanmin(line[kept]) == np.nanmin(line)


def test_thinning_is_local(rng):
    """A peak in every hundred samples is kept wherever it is."""
    line = np.zeros(100_000)
    peaks = np.arange(0, 100_000, 100) + rng.integers(0, 100, 1000)
    line[peaks] = 1 + rng.random(1000)
    assert np.isin(peaks, runs.thin(line)).mean() > 0.9
    assert runs.thin(np.zeros(3000)).tolist() == list(range(3000))


# ---------------------------------------------------------------------------------------------- memory


def test_memory_adds_up(run):
    """The stacked areas add up to what is mapped, in the unit of the axis."""
    figure = figures.memory_over_time(run)
    stacked = [t for t in figure.data if t.stackgroup]
    assert [t.line.color for t in stacked] == list(theme.account_colors("light"))
    total = sum(np.asarray(t.y, np.float64) for t in stacked)
    assert total == pytest.approx(run.samples["mapped"] / MIB, rel=1e-5)
    assert figure.layout.yaxis.title.text == "memory, MiB" and stacked[0].hovertemplate == "%{y:.4~g} MiB"
    assert figure.layout.title.subtitle.text.endswith("12 collections")
    assert y_of(figure, "heap goal") == pytest.approx(run.samples["goal"] / MIB, rel=1e-6)


def test_goal_that_is_off_is_not_drawn(run):
    """Without a goal there is no line, and the axis is that of the memory."""
    samples = run.samples.copy()
    samples["goal"][:250] = np.iinfo(np.int64).max
    samples["trigger"][:250] = -1
    other = made_up.dataclasses.replace(run, samples=samples)
    figure = figures.memory_over_time(other)
    assert np.isnan(y_of(figure, "heap goal")[:250]).all() and np.isnan(y_of(figure, "trigger")[:250]).all()
    assert np.isfinite(y_of(figure, "heap goal")[250:]).all()
    assert figure.layout.yaxis.range[1] < 2 * samples["mapped"].max() / MIB


def test_collections_are_marked(run, long_run):
    """Each collection has a mark where it ended; of very many, every second or third."""
    marks = traces(figures.memory_over_time(run))["end of a collection"]
    assert np.asarray(marks.y, np.float64) == pytest.approx(run.cycles["live_end"] / MIB, rel=1e-6)
    nearest = np.abs(np.asarray(marks.x, np.int64) - run.cycles["end_event"])
    assert nearest.max() <= 1_000_000 / 499 + 1
    assert marks.text[3].startswith("collection 4 ends: ")
    many = traces(figures.memory_over_time(long_run))["end of a collection, 1 of 3"]
    assert len(many.x) == 334


def test_pinned_run_is_beside(run):
    """A pinned run is two lines, of its own length."""
    pinned = made_up.made_result(live_mib=90, done=500_000)
    figure = figures.memory_over_time(run, pinned=pinned)
    in_use, backed = (traces(figure)[f"pinned: {name}"] for name in ("in use", "backed"))
    assert np.asarray(in_use.y) == pytest.approx(pinned.samples["heap_in_use"] / MIB, rel=1e-6)
    assert (np.asarray(backed.y) >= np.asarray(in_use.y)).all() and max(in_use.x) == 500_000
    assert figure.layout.yaxis.range[1] > pinned.samples["mapped"].max() / MIB
    assert in_use.line.dash and backed.line.dash and in_use.line.dash != backed.line.dash


# ---------------------------------------------------------------------------------------------- collections


def test_cycles_are_drawn(run):
    """One point per collection and size, one bar per collection and worker."""
    figure = figures.cycles_figure(run)
    assert y_of(figure, "marked") == pytest.approx(run.cycles["marked"] / MIB, rel=1e-6)
    assert y_of(figure, "counted when marking began") == pytest.approx(run.cycles["live_start"] / MIB, rel=1e-6)
    assert list(traces(figure)["marked"].x) == list(range(1, 13))
    assert y_of(figure, "assists of allocations") == pytest.approx(run.cycles["assist_ns"] / 1e6, rel=1e-6)
    assert figure.layout.yaxis2.title.text == "marking, ms of a P" and figure.layout.xaxis2.title.text == "collection"


def test_many_cycles_share_bars(long_run):
    """A bar of several collections has their sum."""
    figure = figures.cycles_figure(long_run)
    bars = y_of(figure, "background workers")
    assert figure.layout.xaxis2.title.text == "collection, 5 to a bar" and len(bars) == 200
    unit = {"ms": 1e6, "µs": 1e3}[figure.layout.yaxis2.title.text.split()[1]]
    assert bars.sum() == pytest.approx(long_run.cycles["mark_ns"].sum() / unit, rel=1e-5)
    assert traces(figure)["background workers"].x[0] == 3.0


def test_grouping(rng):
    """Groups cover everything once."""
    for n in (0, 1, 239, 240, 241, 999):
        values = rng.integers(0, 100, (n, 3))
        first, each = groups(n)
        assert len(first) <= 240 and grouped(values).sum() == values.sum()
        if n:
            assert grouped(values)[-1].tolist() == values[first[-1] :].sum(0).tolist() and each == -(-n // 240)


# ---------------------------------------------------------------------------------------------- sweeping


def test_sweepers_are_stacked(run):
    """A bar per sweeper and collection, in pages, and each told apart by more than its colour where it matters."""
    figure = figures.sweep_figure(run)
    bars = [t for t in figure.data if t.type == "bar"]
    assert len(bars) == len(SWEEPERS) and figure.layout.barmode == "stack"
    for k, bar in enumerate(bars):
        assert np.asarray(bar.y).tolist() == run.cycles["swept_pages"][:, k].tolist()
        assert bar.marker.color == theme.SWEEPER_COLORS[k]
    assert y_of(figure, "pages not yet swept") == pytest.approx(run.samples["pages_unswept"])
    behind = y_of(figure, "pages behind the pace")
    debt = run.samples["sweep_debt"]
    assert np.array_equal(np.isnan(behind), debt <= 0) and behind[debt > 0] == pytest.approx(debt[debt > 0])


def test_tails(run):
    """The tails are of all allocations, per million, on logarithmic axes that hold every point."""
    figure = figures.sweep_figure(run)
    pages, held = figure.data[-2:]
    assert allocations(run) == 600_000
    histogram = run.histograms["swept_pages"]
    assert pages.y[0] == pytest.approx(histogram[1:].sum() / 0.6, rel=1e-6) and pages.x[0] == 1
    assert pages.y[-1] == pytest.approx(histogram[14] / 0.6, rel=1e-6) and pages.x[-1] == 2**13
    for trace, x, y in ((pages, "xaxis3", "yaxis3"), (held, "xaxis4", "yaxis4")):
        for values, axis in ((trace.x, figure.layout[x]), (trace.y, figure.layout[y])):
            low, high = axis.range
            assert axis.type == "log" and low < np.log10(min(values)) and np.log10(max(values)) < high
    assert "99% sweep at most 127 pages" in figure.layout.title.subtitle.text
    assert list(figure.layout.xaxis4.ticktext[:3]) == ["1 ns", "1 µs", "1 ms"]
    short = np.zeros(40, np.int64)
    short[9:12] = 3, 2, 1  # 256 ns to 2 µs
    held = figures.sweep_figure(made_up.dataclasses.replace(run, histograms=run.histograms | {"stall_ns": short}))
    assert list(held.data[-1].x) == [256, 512, 1024] and list(held.layout.xaxis4.ticktext[:2]) == ["1 ns", "10 ns"]


def test_tail_without_members():
    """Where nothing was swept there is no tail; where nothing reaches two values, it begins at the larger."""
    histogram = np.zeros(40, np.int64)
    histogram[[0, 3, 5]] = 100, 2, 1
    values, counts = tail_points(histogram)
    assert values.tolist() == [4, 8, 16] and counts.tolist() == [3, 1, 1]
    values, counts = tail_points(np.zeros(40, np.int64))
    assert len(values) == len(counts) == 0
    figure = figures.sweep_figure(
        made_up.dataclasses.replace(made_up.made_result(), histograms=dict.fromkeys(HISTOGRAMS, np.zeros(40, np.int64)))
    )
    assert figure.layout.title.subtitle.text.endswith("no allocation had to sweep")


# ---------------------------------------------------------------------------------------------- waste, arenas


def test_causes_of_waste(run):
    """What is missing to 100% is live."""
    figure = figures.fragmentation(run)
    total = sum(np.asarray(t.y, np.float64) for t in figure.data if t.stackgroup)
    assert total == pytest.approx(100 - 100 * run.samples["live"] / run.samples["mapped"], rel=1e-4)
    assert y_of(figure, "in use, in whole huge pages") == pytest.approx(50, abs=0.01)
    assert re.search(r"mean waste of backed memory 4\d\.\d%", figure.layout.title.subtitle.text)


def test_growth_is_marked(run):
    """Every sample at which more was mapped has a mark that says how much."""
    figure = figures.arenas_figure(run)
    marks = traces(figure)["the heap has grown"]
    mapped = run.samples["mapped"]
    grown = np.diff(mapped, prepend=0)
    assert np.asarray(marks.x).tolist() == run.samples["event"][grown > 0].tolist()
    assert len(marks.text) == (grown > 0).sum() and marks.text[1] == "by 4 MiB"
    assert y_of(figure, "backed by memory") == pytest.approx((mapped - run.samples["released"]) / MIB, rel=1e-6)
    assert y_of(figure, "arenas").max() == 2 and figure.layout.title.subtitle.text.endswith("2 arenas of 64 MiB")


# ---------------------------------------------------------------------------------------------- comparison


def test_comparison_places_multiples():
    """A number that is twice the first run's stands at 1, half of it at -1, what is out of reach at the edge."""
    a, b = made_up.made_result(cycles=10), made_up.made_result(cycles=20)
    none = made_up.made_result(cycles=0)
    figure = figures.compare([a, b, none], ["a", "b", "none"], metrics=["collections", "peak_in_use"])
    assert [list(t.x)[0] for t in figure.data] == pytest.approx([0, 1, -3.3])
    assert [t.name for t in figure.data] == ["a", "b", "none"]
    assert len({t.marker.symbol for t in figure.data}) == len({t.marker.color for t in figure.data}) == 3
    assert figure.layout.annotations[0].text == "10 → 20 → 0" and "+100%" in figure.data[1].hovertext[0]
    grows = figures.compare([none, a], metrics=["collections"])
    assert list(grows.data[1].x) == pytest.approx([3.3]) and "+10" in grows.data[1].hovertext[0]


def test_comparison_table():
    """The numbers of all metrics, with differences to the first in words."""
    a, b = made_up.made_result(cycles=10), made_up.made_result(cycles=15, live_mib=80)
    table = figures.comparison_table([a, b], ["small", "large"])
    assert table["metric"] == [m.label for m in mh.METRICS] and table["small"] == list(mh.summary(a).values())
    differences = dict(zip(table["metric"], table["difference: large"], strict=True))
    assert differences["collections"] == "+50%" and differences["pages swept, p99"] == "the same"
    assert "points" in differences["mean waste"]
    assert figures.numbers(figures.compare([a, b], ["small", "large"])) == table


def test_comparison_says_what_it_compares():
    """Title, axis and caption name the first run, its parameters, and extents that differ."""
    a, b = made_up.made_result(mh.HeapParams.go119(gogc=50)), made_up.made_result(done=1000)
    figure = figures.compare([a, b], ["half", "whole"])
    assert figure.layout.title.text == "half and whole: made-up"
    assert figure.layout.xaxis.title.text == "multiple of half"
    assert figure.layout.title.subtitle.text == (
        "1× is half: Go 1.19, GOGC=50<br>exact: all 1,000,000 events; prefix: first 1,000 of 1,000,000 events"
    )
    assert len(figures.provenance(figure)["runs"]) == 2


@pytest.mark.parametrize(
    ("count", "more", "words"),
    [
        (0, {}, "results = 0 runs is outside the legal range: 1 to 6"),
        (7, {}, "results = 7 runs"),
        (2, {"labels": ["a"]}, "labels = .* is outside its legal range: 2 different names"),
        (2, {"labels": ["a", "a"]}, "2 different names"),
        (1, {"metrics": ["speed"]}, "metrics = 'speed' is outside its legal range: one of collections"),
    ],
)
def test_comparison_refuses(run, count, more, words):
    with pytest.raises(ValueError, match=words):
        figures.compare([run] * count, **more)


def test_one_run_is_compared_with_itself(run):
    """One run gives its numbers, without arrows, and so do more runs than there is room for."""
    picture = comparison_picture([run], ["now"])
    assert all("→" not in note["text"] for note in picture.layout["annotations"])
    assert picture.layout["annotations"] == comparison_picture([run] * 4).layout["annotations"]


def test_numbers_beside_a_comparison():
    """Numbers of one unit say it once."""
    peak, count = (mh.metrics.metric(name) for name in ("peak_in_use", "collections"))
    assert numbers_text(peak, [40 * MIB, 50.5 * MIB]) == "40 → 50.5 MiB"
    assert numbers_text(peak, [40 * MIB, 512]) == "40 MiB → 512 B"
    assert numbers_text(count, [1000, 3]) == "1,000 → 3" and numbers_text(count, [7]) == "7"


# ---------------------------------------------------------------------------------------------- colours


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("look", theme.THEMES)
def test_accounts_and_sweepers_can_be_told_apart(look, sight):
    """Any two accounts, and any two sweepers, differ visibly, whoever looks; and so they do from the paper."""
    for colors in (theme.account_colors(look), theme.SWEEPER_COLORS):
        seen = lab([*colors, theme.PAPER[look]], sight)
        for a, b in itertools.combinations(seen, 2):
            assert np.linalg.norm(a - b) > 14


def test_accounts_have_the_colors_of_pages():
    """Pages that are free, and stacks, look as in the heap map."""
    colors = dict(zip(theme.ACCOUNTS, theme.account_colors("dark"), strict=True))
    states = theme.state_colors("dark")
    assert (colors["free"], colors["released"]) == (states[2], states[1])
    assert colors["stacks"] == states[mh.snapshot.PAGE_STACK] and colors["live"] == theme.SCAN


@pytest.mark.parametrize("kind", ["html", "json"])
def test_the_same_runs_make_the_same_file_whatever_they_took(kind, tmp_path):
    written = []
    for seconds in (0.1, 0.2):
        runs_of = [made_up.made_result(), made_up.made_result()]
        for result in runs_of:
            result.provenance["wall_seconds"] = seconds
        figure = figures.compare(runs_of, ["a", "b"])
        if kind == "json":
            written.append(figure.to_json())
        else:
            (path,) = figures.export(figure, tmp_path / f"{seconds}" / "x", "html", about=runs_of[0])
            written.append(path.read_bytes())
    assert written[0] == written[1]
