"""The time explorer without a kernel and without a browser, and the moments behind it."""

import time

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures, widgets
from mheaplab import moments as album
from mheaplab.figures.agreement import MARK
from mheaplab.moments import moments_of, picture_bytes, spaced

TRACE = mh.data_path("traces/go127-orders.trace")


@pytest.fixture(scope="module")
def case():
    """A short real case."""
    return mh.load_case(mh.data_path("cases/go119-gzip"))


@pytest.fixture
def explorer(case, tmp_path):
    """An explorer of that case, with twelve moments."""
    return widgets.time_explorer(case, moments=12, folder=tmp_path / "exports")


def mark(explorer):
    """Return where the line over time stands."""
    (line,) = [t for t in explorer.live["over-time"].data if t.name == MARK]
    return set(np.asarray(line.x).tolist())


def assert_shows(explorer, number, color="state"):
    """Check that map, line and numbers are those of a moment."""
    snapshot = explorer.moments.snapshots[number - 1]
    wanted = figures.heap_map(snapshot, color, frame=explorer.frame, name=explorer.moments.name)
    live = explorer.live["heap-map"]
    assert live.data[0].source == wanted.data[0].source and np.array_equal(live.data[1].text, wanted.data[1].text)
    shown = [(t.name, t.marker.color) for t in live.data[2:] if t.visible is not False]
    assert shown == [(t.name, t.marker.color) for t in wanted.data[2:]]
    assert live.layout.title == wanted.layout.title and live.layout.xaxis.title == wanted.layout.xaxis.title
    assert mark(explorer) == {snapshot.event}
    assert f"after {snapshot.event:,} of {explorer.moments.events:,} events" in explorer.status.value
    assert str(snapshot.event) in explorer.code_box.code
    assert not explorer.error.value


def test_begins_at_the_end_or_near_an_event(explorer, case):
    """Without an event the last moment is shown; with one, the moment nearest to it."""
    assert explorer.moment.value == explorer.moment.max == 12
    assert_shows(explorer, 12)
    events = [s.event for s in explorer.moments.snapshots]
    near = widgets.time_explorer(case, moments=12, event=events[4] + 1)
    assert near.moment.value == 5
    assert_shows(near, 5)


def test_every_moment_and_colour(explorer):
    """Slider and colouring give the figures of that moment, in any order; types are offered only where known."""
    assert "type" not in [value for _, value in explorer.color.options]
    for number, color in [(1, "state"), (7, "age"), (7, "oldest"), (3, "class"), (12, "occupancy"), (12, "state")]:
        explorer.moment.value = number
        explorer.color.value = color
        assert_shows(explorer, number, color)


def test_moments_are_snapshots_of_the_case(explorer, case):
    """They are evenly spaced, the last at the end, each what a replay gives."""
    shots = explorer.moments.snapshots
    assert [s.event for s in shots] == spaced(len(case), 12) and shots[-1].event == len(case)
    (again,) = mh.snapshots(case, [shots[6].event], residents=True)
    assert np.array_equal(again.pages, shots[6].pages)
    assert np.array_equal(again.residents.spans, shots[6].residents.spans)


def test_go_heap_by_type():
    """Snapshots of Go's own heap can be coloured by type."""
    shots = mh.go_snapshots(TRACE, 10)
    explorer = widgets.time_explorer(shots, color="type", name="orders")
    for number in (1, 4, 9):
        explorer.moment.value = number
        assert_shows(explorer, number, "type")
    assert "HeapReleased" not in explorer.status.value and explorer.moments.name == "orders"
    names = [t.name for t in explorer.live["over-time"].data]
    assert names == ["slots taken (HeapAlloc)", "rest of the spans (HeapInuse - HeapAlloc)", MARK]


def test_simulated_trace():
    """A trace is simulated, under parameters if there are any."""
    trace = mh.read_trace(mh.data_path("cases/go119-gzip"))
    explorer = widgets.time_explorer(trace, mh.HeapParams.go119(gogc=50), moments=6, color="age")
    explorer.moment.value = 3
    assert_shows(explorer, 3, "age")
    assert "gogc=50" in explorer.code_box.code and explorer.about["params"]["gogc"] == 50
    assert explorer.moments.snapshots[-1].event == explorer.moments.events


def test_code_makes_what_is_shown(explorer):
    """The copied lines give the same picture."""
    explorer.moment.value, explorer.color.value = 5, "age"
    names = {}
    *before, last = explorer.code_box.code.splitlines()
    exec("\n".join(before), names)
    figure = eval(last, names)
    # In a frame of its own, so by its pages: the frame of the run may be larger.
    assert figure.layout.title.text == explorer.live["heap-map"].layout.title.text
    assert [t.name for t in figure.data[2:]] == [t.name for t in explorer.live["heap-map"].data[2:]]


def test_save_writes_both(explorer):
    """The button writes map and line under the name of what is shown."""
    explorer.moment.value = 6
    explorer.save_row.format.value = ("csv",)
    explorer.save_row.save.click()
    event = explorer.moments.snapshots[5].event
    names = sorted(p.name for p in explorer.folder.iterdir())
    assert names == [f"go119-gzip-event-{event}-state-{kind}.csv" for kind in ("heap-map", "over-time")]
    assert explorer.save_row.download.filename == f"go119-gzip-event-{event}-state-heap-map"


def test_zoom_is_kept_and_looked_into(explorer, monkeypatch):
    """A window that somebody has zoomed into stays while the moment changes, with texts of single pages."""
    monkeypatch.setattr("mheaplab.figures.page_hover.HOVER_PAGES", 600)
    live = explorer.live["heap-map"]
    live.layout.xaxis.range, live.layout.yaxis.range = (10, 29), (4.5, 0.5)
    explorer.moment.value = 2
    assert live.layout.xaxis.range == (10, 29)
    texts = [t for line in live.data[1].text for t in line if t]
    assert texts and all(t.startswith("page 0x") for t in texts)


def test_play_moves_in_the_browser(explorer):
    """Play and slider have the same range; the link between them is the browser's."""
    assert (explorer.play.min, explorer.play.max) == (explorer.moment.min, explorer.moment.max)


def test_memory_is_bounded(case, monkeypatch):
    """Fewer moments are taken where they would not fit, but never so few that nothing can be seen."""
    size = max(picture_bytes(s) for s in moments_of(case, moments=20).snapshots)
    monkeypatch.setattr(album, "MOST_BYTES", 15 * size)
    assert 12 <= len(moments_of(case, moments=100).snapshots) <= 18
    monkeypatch.setattr(album, "MOST_BYTES", 0)
    assert len(moments_of(case, moments=100).snapshots) == album.LEAST_MOMENTS


def test_refuses(case):
    """Wrong numbers and colours are named."""
    for wrong in (0, 1001, 1.5):
        with pytest.raises(ValueError, match="moments = "):
            widgets.time_explorer(case, moments=wrong)
    with pytest.raises(ValueError, match="color = 'type'"):
        widgets.time_explorer(case, color="type", moments=2)
    with pytest.raises(ValueError, match="no snapshots"):
        widgets.time_explorer([])


@pytest.mark.slow
def test_a_gib_is_fluid():
    """A step through a heap of more than a GiB takes the kernel a fraction of what the browser needs to draw."""
    n = 132_000
    every = np.arange(n)
    trace = mh.Trace.from_arrays(np.zeros(n, int), every % 4, np.full(n, 8192), every % 2, every)
    explorer = widgets.time_explorer(trace, mh.HeapParams.go119(gogc=-1), color="oldest")
    shots = explorer.moments.snapshots
    assert shots[-1].memstats["HeapInuse"] > 1 << 30 and len(shots[-1].spans) > 131_072
    assert sum(picture_bytes(s) for s in shots) < 600 << 20
    seconds = []
    for number in range(len(shots) - 10, len(shots)):
        begin = time.perf_counter()
        explorer.moment.value = number
        seconds.append(time.perf_counter() - begin)
    assert_shows(explorer, len(shots) - 1, "oldest")
    assert np.median(seconds) < 0.25
