"""Widgets without a kernel and without a browser."""

import sys

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures, widgets
from mheaplab.widgets import case_explorer as make_explorer
from mheaplab.widgets.case_explorer import key_step
from mheaplab.widgets.live import same

# The functions of the same names hide these modules.
explorer_module = sys.modules["mheaplab.widgets.case_explorer"]
export_module = sys.modules["mheaplab.figures.export"]


@pytest.fixture(scope="module")
def case():
    """A short real case."""
    return mh.load_case(mh.data_path("cases/go119-gzip"))


@pytest.fixture
def explorer(case, tmp_path):
    """An explorer of that case."""
    return make_explorer(case, folder=tmp_path / "exports")


def at(case, event):
    """Return the snapshot of a case after ``event`` events."""
    return mh.snapshots(case, [event])[0]


def assert_shows(explorer, event, color="state"):
    """Check that both live figures and the line of numbers are those of an event."""
    snapshot = at(explorer.case, event)
    wanted = figures.heap_map(snapshot, color, frame=explorer.frame, name=explorer.case.name)
    live = explorer.heap
    assert live.data[0].source == wanted.data[0].source
    assert np.array_equal(live.data[1].text, wanted.data[1].text)
    shown = [(t.name, t.marker.color) for t in live.data[2:] if t.visible is not False]
    assert shown == [(t.name, t.marker.color) for t in wanted.data[2:]]
    assert live.layout.title == wanted.layout.title
    bars = figures.occupancy(snapshot, name=explorer.case.name)
    for live_bar, bar in zip(explorer.bars.data, bars.data, strict=True):
        assert np.array_equal(live_bar.y, bar.y) and live_bar.text == bar.text
    assert explorer.bars.layout.yaxis == bars.layout.yaxis
    assert f"<b>spans</b>&nbsp;{len(snapshot.spans)}" in explorer.status.value
    assert not explorer.error.value


def test_explorer_begins_at_the_end(explorer, case):
    """Without an event the end of the case is shown."""
    assert explorer.event.value == len(case)
    assert_shows(explorer, len(case))


@pytest.mark.parametrize("event", [0, 1, 500, 1008])
def test_slider_moves_both_figures(explorer, event):
    """A value of the slider gives the figures and the numbers of that event."""
    explorer.event.value = event
    assert_shows(explorer, event)


def test_numbers_in_words(explorer, case):
    """The line of numbers has the accounts and the last event in words."""
    explorer.event.value = 300
    stats = at(case, 300).memstats
    assert f"<b>HeapInuse</b>&nbsp;{figures.units.bytes_text(stats['HeapInuse'])}" in explorer.status.value
    assert f"last {case.describe(299)}" in explorer.status.value
    explorer.event.value = 0
    assert "nothing has happened yet" in explorer.status.value


def test_colors_take_turns(explorer):
    """Every colouring can follow every other, with its own legend."""
    for color in ("class", "occupancy", "state", "occupancy", "class", "state"):
        explorer.color.value = color
        assert_shows(explorer, explorer.event.value, color)
    explorer.event.value = 400
    assert_shows(explorer, 400)


def test_zoom_is_kept(explorer):
    """A range that somebody has set stays while the slider moves; the others follow the figures."""
    explorer.heap.layout.xaxis.range = (10, 40)
    explorer.bars.layout.yaxis.range = (0, 1)
    explorer.event.value = 400
    assert tuple(explorer.heap.layout.xaxis.range) == (10, 40)
    assert tuple(explorer.bars.layout.yaxis.range) == (0, 1)
    bars = figures.occupancy(at(explorer.case, 400))
    assert tuple(explorer.bars.layout.yaxis2.range) == tuple(bars.layout.yaxis2.range)
    assert explorer.heap.zoomed == {"xaxis"} and explorer.bars.zoomed == {"yaxis"}


def test_only_what_differs_is_sent(explorer, monkeypatch):
    """Choosing the same picture again sends nothing about traces and axes."""
    sent = []
    monkeypatch.setattr(explorer.heap, "_send_update_msg", lambda *a, **k: sent.append(a))
    explorer.heap.redraw(figures.heap_map(explorer.snapshot, frame=explorer.frame, name=explorer.case.name))
    assert all(not any(a for a in call[:2]) for call in sent)


def test_late_browser_gets_what_is_shown(explorer):
    """The state for a browser that comes later is that of now, not of the beginning."""
    explorer.event.value = 500
    state = explorer.heap.get_state()
    assert state["_widget_layout"]["title"]["text"] == "Heap map of go119-gzip after 500 events"
    assert state["_widget_data"][0]["source"] == explorer.heap.data[0].source


def test_error_is_a_line(explorer, monkeypatch):
    """A failure is one line in place, the figures stay, and the next success removes it."""
    source = explorer.heap.data[0].source

    def fail(*_args):
        raise mh.FormatError("go119-gzip: event 5 (MALLOC): <bad>")

    with monkeypatch.context() as patch:
        patch.setattr(explorer_module, "snapshots", fail)
        explorer.event.value = 5
    assert "FormatError: go119-gzip: event 5 (MALLOC): &lt;bad&gt;" in explorer.error.value
    assert explorer.error.layout.display == "" and explorer.heap.data[0].source == source
    explorer.event.value = 6
    assert explorer.error.value == "" and explorer.error.layout.display == "none"
    assert_shows(explorer, 6)


def test_latest_value_wins():
    """A value that comes while something is drawn is drawn next, and only the last of several."""
    import ipywidgets as ipw

    drawn = []
    control = ipw.IntSlider(0, 0, 100)

    def draw(k):
        drawn.append(k)
        if k == 1:
            control.value = 2
            control.value = 3

    widgets.Explorer({"k": control}, draw, [])
    control.value = 1
    assert drawn == [1, 3]


def test_slow_drawing_is_announced(monkeypatch):
    """After a slow drawing the busy mark shows while the next one runs."""
    import ipywidgets as ipw

    monkeypatch.setattr("mheaplab.widgets.explorer.SLOW", 0.0)
    control, seen = ipw.IntSlider(0, 0, 100), []
    explorer = widgets.Explorer({"k": control}, lambda k: seen.append("computing" in explorer.busy.value), [])
    explorer.seconds = 1.0
    control.value = 1
    assert seen == [True] and "computing" not in explorer.busy.value


@pytest.mark.parametrize(
    ("events", "start", "step"),
    [
        (0, 0, 1),
        (150, 150, 1),
        (1009, 1009, 10),
        (269_742, 269_742, 1000),
        (269_742, 79_000, 1000),
        (269_742, 79_921, 1),
    ],
)
def test_key_step(events, start, step):
    """Some hundred key presses lead through a case, and the start is a multiple of the step."""
    assert key_step(events, start) == step


def test_step_is_a_choice(explorer):
    """The step of the arrow keys can be chosen, also for the play button."""
    assert explorer.event.step == explorer.step.value == 10
    explorer.step.value = 1
    assert explorer.event.step == explorer.play.step == 1


def test_long_cases_follow_on_release(case, monkeypatch):
    """The figures follow a slider that moves only where a replay is quick."""
    assert make_explorer(case).event.continuous_update is True
    monkeypatch.setattr(explorer_module, "LIVE_EVENTS", 10)
    assert make_explorer(case).event.continuous_update is False


def test_large_heap_shows_pages_when_zoomed(case, monkeypatch):
    """Where pages have no hover texts of their own, those of a window have."""
    monkeypatch.setattr("mheaplab.figures.page_hover.HOVER_PAGES", 600)
    explorer = make_explorer(case)
    assert explorer.heap.data[1].text[0][0].startswith("4 MiB from 0xc000000000")
    with explorer.heap.batch_update():
        explorer.heap.layout.xaxis.range = (10, 30)
        explorer.heap.layout.yaxis.range = (3.5, 0.5)
    assert explorer.heap.data[1].text[0][0].startswith("page 0xc000")
    explorer.event.value = 500
    assert explorer.heap.data[1].text[0][0].startswith("page 0xc000")


def test_save_writes_both_figures(explorer, case, tmp_path):
    """The button writes what is shown, and says where."""
    explorer.event.value = 500
    explorer.format.value = ("html",)
    explorer.heap.layout.xaxis.range = (11.25, 40)
    explorer.save.click()
    names = {p.name for p in (tmp_path / "exports").iterdir()}
    stems = ("go119-gzip-event-500-heap-map", "go119-gzip-event-500-occupancy")
    assert names == {f"{stem}.html" for stem in stems}
    assert all(name in explorer.saved.value for name in names)
    assert "[11.25,40]" in (tmp_path / "exports" / f"{stems[0]}.html").read_text(encoding="utf-8").split("newPlot(")[-1]
    assert not explorer.save.disabled and not explorer.error.value


def test_live_figure_can_be_exported(explorer, case, tmp_path):
    """The live figure itself has the numbers and the facts of what it shows."""
    explorer.event.value = 500
    (path,) = figures.export(explorer.bars, tmp_path / "bars", "csv", about=case)
    assert "# event: 500\n" in path.read_text(encoding="utf-8")
    assert figures.numbers(explorer.bars) == figures.occupancy_table(at(case, 500))


def test_save_without_chrome(explorer, monkeypatch):
    """Without a Chrome the reason stands in the line of errors."""
    monkeypatch.setattr(export_module, "chrome", lambda: None)
    export_module.close_renderer()
    explorer.format.value = ("png",)
    explorer.save.click()
    assert "NoChromeError" in explorer.error.value and "chromium" in explorer.error.value
    assert not explorer.save.disabled


def test_redraw_with_other_traces():
    """A live figure can take over fewer traces, and more again."""
    import plotly.graph_objects as go

    def figure(n):
        layout = {"title": {"text": f"{n}", "subtitle": {"text": ""}}, "height": 300}
        return go.Figure([go.Scatter(x=[0, n], y=[k, k], name=f"{n}.{k}") for k in range(n)], layout)

    live = widgets.LiveFigure(figure(2))
    for n in (1, 3, 2, 4):
        live.redraw(figure(n))
        assert [t.name for t in live.data if t.visible is not False] == [f"{n}.{k}" for k in range(n)]
        assert live.layout.title.text == f"{n}"


def test_live_figure_is_told_when_the_browser_has_drawn(explorer):
    """What the browser has chosen by itself is neither kept nor echoed; what waits for its drawing is called."""
    live = explorer.heap
    for name in ("_js2py_traceDeltas", "_js2py_layoutDelta"):
        assert live.trait_metadata(name, "echo_update") is False and live.trait_metadata(name, "sync")
    before, done = live.to_json(), []
    live._trace_edit_in_process = live._layout_edit_in_process = True
    live.on_edits_completed(lambda: done.append(1))
    live._js2py_traceDeltas = {"trace_deltas": [{"uid": live.data[0].uid, "visible": False}], "trace_edit_id": 1}
    assert not done
    live._js2py_layoutDelta = {"layout_delta": {"height": 1}, "layout_edit_id": 1}
    assert done == [1] and live.to_json() == before
    assert live.get_state()["_js2py_layoutDelta"] is None, "a page that is loaded again does not get it back"


def test_live_figure_keeps_numbers_that_are_none():
    """A line with gaps is not sent again because of its gaps."""
    assert same(np.array([1, np.nan], "f4"), np.array([1, np.nan], "f4"))
    assert not same(np.array([1, np.nan], "f4"), np.array([1, 2], "f4"))
    assert same(np.array(["a", None], object), ["a", None]) and not same(np.array([1, 2]), [1, 3])
