"""The run explorer without a browser: every control against the figures and numbers of the run that it means."""

import asyncio
import dataclasses

import made_up
import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures.comparison import comparison_picture
from mheaplab.figures.views import VIEWS
from mheaplab.pacer_params import NO_LIMIT
from mheaplab.previews import Preview
from mheaplab.widgets import run_explorer
from mheaplab.widgets.param_controls import FIELDS, ParamRow
from mheaplab.widgets.scales import stops_of, words_of
from mheaplab.widgets.settle import Settle

MIB = 1 << 20
ALL = [name for name in FIELDS if name not in ("occupied",)]


class Timer:
    """What an event loop would give; nothing happens by itself."""

    def cancel(self):
        """Nothing to cancel."""


class Slow:
    """A simulation that takes so long, by a clock of its own, that drafts stay a sixteenth; it counts its runs."""

    def __init__(self):
        self.runs = []

    def simulate(self, trace, params, **more):
        self.runs.append((len(trace), params.gogc))
        return made_up.made_simulate(trace, params, **more)


@pytest.fixture
def slow(monkeypatch):
    """Its runs; the length of drafts does not adapt."""
    monkeypatch.setattr(Preview, "_choose", lambda self: None)
    return Slow()


@pytest.fixture
def preview(slow):
    """A preview of a million events."""
    return Preview(made_up.made_trace(), simulate=slow.simulate)


@pytest.fixture
def explorer(preview, tmp_path):
    """An explorer with some controls and two views."""
    controls = ("gogc", "memory_limit", "arena_bytes", "procs", "page_placement", "live_is_trigger")
    return run_explorer(preview, controls=controls, views=("memory", "sweep"), folder=tmp_path / "exports")


@pytest.fixture
def held(explorer):
    """The same, with a hand on the slider: what should come at rest comes when it is told to.

    ``painted`` keeps what the brush was told.
    """

    class Hand(Settle):
        def ask(self):
            self._timer = Timer()

        def release(self):
            self._fire()

    explorer.settle = Hand(explorer._settled)
    explorer.painted = []
    explorer.brush.paint = lambda *told: explorer.painted.append(told)
    return explorer


def control(explorer, name):
    """Return the control of a parameter."""
    return explorer.rows[name].control


def wanted(explorer, params, events=1_000_000):
    """Return what a run of these parameters gives."""
    found = made_up.made_simulate(made_up.made_trace(events), params)
    facts = {"events_total": 1_000_000, "complete": events == 1_000_000}
    return dataclasses.replace(found, provenance=found.provenance | facts)


def screen(explorer, view):
    """Return (traces, caption) of a figure as the browser shows it: what plotly has drawn, and the brush over it."""
    live = explorer.live[view]
    traces, caption = [dict(trace) for trace in live._data], live.layout.title.subtitle.text
    if live._sketched:
        figure, caption, changes, _ = explorer.painted[-1]
        assert figure == live.layout.meta["export_id"]
        for k, found in changes.items():
            traces[k] |= found
    return [t for t in traces if t.get("visible") is not False], caption


def assert_shows(explorer, params, events=1_000_000, **options):
    """Check figures, numbers and code against a run of these parameters; of a prefix only the first figure."""
    result = wanted(explorer, params, events)
    for view in explorer.views if events == 1_000_000 else explorer.views[:1]:
        picture = VIEWS[view].draw(result, x=explorer.along.value, theme="light", **options)
        shown, caption = screen(explorer, view)
        for trace, new in zip(shown, picture.traces, strict=True):
            assert trace["name"] == new["name"]
            assert all(np.array_equal(trace[key], new[key], equal_nan=True) for key in "xy")
        assert caption == picture.layout["title"]["subtitle"]["text"]
        now, fitting = (dict(f)["yaxis"]["range"] for f in (explorer.live[view]._layout, picture.layout))
        if events == 1_000_000:
            assert list(now) == list(fitting)
        else:
            assert now[0] == 0 and fitting[1] <= now[1] <= 2 * fitting[1], "a draft may have room above"
        assert list(explorer.live[view]._layout["xaxis"]["range"]) == list(picture.layout["xaxis"]["range"])
    extent = "exact: all 1,000,000 events" if events == 1_000_000 else f"prefix: first {events:,} of 1,000,000 events"
    assert extent in explorer.status.value
    assert f"<b>collections</b>&nbsp;{len(result.cycles)}" in explorer.status.value
    assert events < 1_000_000 or params.to_code() in explorer.code_box.code
    assert not explorer.error.value


# ---------------------------------------------------------------------------------------------- following


def test_begins_with_the_exact_run(explorer, slow):
    assert_shows(explorer, mh.HeapParams.go119())
    assert slow.runs == [(1_000_000, 100)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gogc", 50), ("gogc", 800), ("gogc", -1), ("memory_limit", 64 * MIB), ("arena_bytes", 4 * MIB), ("procs", 8),
        ("page_placement", "best-fit"), ("live_is_trigger", True),
    ],
)  # fmt: skip
def test_controls_move_everything(explorer, name, value):
    """Where no event loop runs, a value of a control gives the exact run at once."""
    control(explorer, name).value = value
    assert_shows(explorer, mh.HeapParams.go119(**{name: value}))


def test_another_version_brings_its_profile(preview):
    """Go 1.27 is a whole profile; what was changed by hand stays."""
    explorer = run_explorer(preview, mh.HeapParams.go119(procs=2), controls=("go", "gogc"))
    control(explorer, "gogc").value = 50
    control(explorer, "go").value = "go1.27"
    assert_shows(explorer, mh.HeapParams.go127(procs=2, gogc=50))
    control(explorer, "go").value = "go1.19"
    assert_shows(explorer, mh.HeapParams.go119(procs=2, gogc=50))


def test_prefix_while_moving_exact_at_rest(held, slow):
    """A slider that moves shows prefixes and says so; when it rests, the whole, once."""
    for gogc in (50, 60, 75):
        control(held, "gogc").value = gogc
        assert_shows(held, mh.HeapParams.go119(gogc=gogc), 62_500)
        assert held.settle.waiting
    assert slow.runs[1:] == [(62_500, 50), (62_500, 60), (62_500, 75)]
    held.settle.release()
    assert_shows(held, mh.HeapParams.go119(gogc=75))
    assert slow.runs[4:] == [(1_000_000, 75)] and not held.settle.waiting


def test_quick_runs_need_no_prefix(explorer, monkeypatch):
    """Where the whole trace is quick enough, nothing is asked for at rest."""
    asked = []
    monkeypatch.setattr(explorer.settle, "ask", lambda: asked.append(1))
    explorer.preview.halvings = 0
    control(explorer, "gogc").value = 300
    assert_shows(explorer, mh.HeapParams.go119(gogc=300))
    assert not asked


def test_along(explorer):
    """The axis along the run is a choice."""
    for along in ("allocated", "time", "events"):
        explorer.along.value = along
        assert_shows(explorer, mh.HeapParams.go119())
    assert explorer.live["memory"].layout.xaxis.title.text == "events"


def test_zoom_is_kept(explorer):
    """A range that somebody has set stays."""
    explorer.live["memory"].layout.yaxis.range = (10, 20)
    control(explorer, "gogc").value = 200
    assert explorer.live["memory"].layout.yaxis.range == (10, 20)
    assert explorer.live["memory"].zoomed == {"yaxis"}


def test_only_what_differs_is_sent(explorer, monkeypatch):
    """The same picture again sends nothing; another one only what is different, in one message."""
    sent = []
    for view in explorer.views:
        monkeypatch.setattr(explorer.live[view], "_send_update_msg", lambda *a: sent.append(a))
        monkeypatch.setattr(explorer.live[view], "_send_relayout_msg", lambda *a: sent.append(a))
        explorer.live[view].redraw(explorer._picture(view))
    assert not sent
    control(explorer, "gogc").value = 50
    _, (style, layout, _), _ = sent  # a draft of the first figure, then both
    assert set(style) <= {"x", "y", "text"} and "y" in style
    assert {"title.subtitle.text", "meta"} <= set(layout) and "height" not in layout


def test_others_follow_at_rest(held):
    """While a slider moves, the figures that do not follow keep what they say they show."""
    sweep = held.live["sweep"]
    before = np.array(sweep.data[0].y), sweep.layout.title.subtitle.text, held.code_box.code
    control(held, "gogc").value = 50
    assert np.array_equal(sweep.data[0].y, before[0]) and sweep.layout.title.subtitle.text == before[1]
    assert "exact" in before[1] and held.code_box.code == before[2]
    held.settle.release()
    assert_shows(held, mh.HeapParams.go119(gogc=50))


def test_error_is_a_line(explorer, slow, monkeypatch):
    """What the library refuses is one line, the figures stay, and the next success removes it."""
    before = np.array(explorer.live["memory"].data[0].y)

    def refuse(*_args, **_more):
        raise ValueError("memory_limit = 8388608 is below the minimum heap: 10 MiB")

    with monkeypatch.context() as patch:
        patch.setattr(explorer.preview, "_simulate", refuse)
        control(explorer, "memory_limit").value = 8 * MIB
    assert "ValueError: memory_limit = 8388608 is below" in explorer.error.value
    assert np.array_equal(explorer.live["memory"].data[0].y, before)
    control(explorer, "memory_limit").value = 128 * MIB
    assert_shows(explorer, mh.HeapParams.go119(memory_limit=128 * MIB))


def test_error_ends_with_the_way_back(explorer, monkeypatch):
    """A failed exact run does not leave the explorer exact, busy or deaf."""
    monkeypatch.setattr(explorer.preview, "exact", lambda params: 1 / 0)
    control(explorer, "gogc").value = 50
    assert "ZeroDivisionError" in explorer.error.value and not explorer._exactly
    assert "computing" not in explorer.busy.value


def test_slow_exact_runs_are_announced(held, monkeypatch):
    """The busy mark shows while an exact run is computed, if the last one was slow."""
    seen = []
    simulate = held.preview._simulate

    def look(trace, params, **more):
        seen.append((len(trace), "computing" in held.busy.value))
        return simulate(trace, params, **more)

    monkeypatch.setattr(held.preview, "_simulate", look)
    held.exact_seconds = 1.0
    control(held, "gogc").value = 50
    held.settle.release()
    assert seen == [(62_500, False), (1_000_000, True)] and "computing" not in held.busy.value


# ---------------------------------------------------------------------------------------------- pinning, code


def test_pin_and_compare(held):
    """A pinned run is drawn beside what follows, and compared with it: a prefix with the same prefix."""
    control(held, "gogc").value = 200
    held.settle.release()
    held.pin.value = True
    assert held.comparison.layout.display == "" and held.pin.description == "Pinned: Go 1.19, GOGC=200"
    control(held, "gogc").value = 50
    params = [mh.HeapParams.go119(gogc=g) for g in (200, 50)]
    for events in (62_500, 1_000_000):
        pinned, now = (wanted(held, p, events) for p in params)
        assert_shows(held, params[1], events, pinned=pinned)
        if events < 1_000_000:
            held.settle.release()
            continue
        picture = comparison_picture([pinned, now], ["pinned", "now"])
        for trace, new in zip(held.live["compare"].data, picture.traces, strict=True):
            assert np.array_equal(trace.x, new["x"]) and trace.hovertext == tuple(new["hovertext"])
        notes = [note.text for note in held.live["compare"].layout.annotations]
        assert notes == [note["text"] for note in picture.layout["annotations"]]
    held.pin.value = False
    if held.settle.waiting:
        held.settle.release()
    assert held.comparison.layout.display == "none" and held.pin.description == "Pin this run"
    assert_shows(held, params[1])


def test_pinning_takes_what_was_asked_for(held):
    """Whoever pins while a prefix is shown pins the parameters, not the prefix."""
    control(held, "gogc").value = 50
    held.pin.value = True
    held.settle.release()
    assert held.pinned.complete and held.pinned.params.gogc == 50


def test_code_reproduces_the_view(explorer, monkeypatch):
    """The code of the button, run, gives the figures that are shown."""
    explorer.along.value = "time"
    explorer.pin.value = True
    control(explorer, "gogc").value = 50
    control(explorer, "memory_limit").value = 96 * MIB
    code = explorer.code_box.code
    assert "mh.HeapParams.go119(gogc=50, memory_limit=100663296)" in code
    monkeypatch.setattr(mh, "simulate", made_up.made_simulate, raising=False)
    names, found = {"trace": explorer.preview.trace}, []
    for line in code.splitlines():
        if line.startswith("mh.figures"):
            found.append(eval(line, names))
        elif not line.startswith("trace"):
            exec(line, names)
    assert len(found) == 3
    for figure, live in zip(found, explorer.live.values(), strict=True):
        assert [t.name for t in figure.data] == [t.name for t in live.data if t.visible is not False]
        for a, b in zip(figure.data, live.data, strict=False):
            assert np.array_equal(a.y, b.y, equal_nan=True)


def test_code_names_the_trace():
    """A trace that says how it was made is made so in the code."""
    for origin, code in (
        ("workload json-service, seed 0, scale 1", "mh.workloads.load('json-service')"),
        ("workload json-service, seed 7, scale 0.5", "mh.workloads.load('json-service', seed=7, scale=0.5)"),
        ("a file", "...  # the trace that you gave to the explorer"),
    ):
        preview = Preview(made_up.made_trace(3000, origin), simulate=made_up.made_simulate)
        assert f"trace = {code}\n" in run_explorer(preview).code_box.code


# ---------------------------------------------------------------------------------------------- export


def test_save_writes_what_is_shown(explorer, tmp_path):
    """The button writes every figure, stamped with the run."""
    explorer.pin.value = True
    control(explorer, "gogc").value = 50
    explorer.save_row.format.value = ("csv",)
    explorer.save_row.save.click()
    stem = "made-up-gogc-50-memory-limit-9223372036854775807"
    names = sorted(p.name for p in (tmp_path / "exports").iterdir())
    assert [n.rsplit("-", 1)[1] for n in names] == ["compare.csv", "memory.csv", "sweep.csv"]
    assert all(n.startswith(stem) for n in names), names
    text = (tmp_path / "exports" / names[1]).read_text(encoding="utf-8")
    assert '"gogc": 50' in text and "# events_done: 1000000" in text
    assert explorer.save_row.save.description == "Save both figures"


def test_live_figures_are_stamped_with_what_they_show(held, tmp_path):
    """An exact run is in the figure's own stamp, too."""
    control(held, "gogc").value = 50
    held.settle.release()
    (path,) = figures.export(held.live["memory"], tmp_path / "live", "csv")
    assert '"gogc": 50' in path.read_text(encoding="utf-8")


# ---------------------------------------------------------------------------------------------- controls


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_every_parameter_has_a_control(name, go):
    """All stops are legal, told apart by their words, and the profile's own value is among them; help is at hand."""
    params = mh.HeapParams.of_version(go)
    if name == "other_ready_bytes":
        params = params.replace(other_ready_bytes=12345)
    row = ParamRow(name, params)
    assert row.control.value == getattr(params, name) and row.control.description
    assert FIELDS[name].metadata["help"] in row.control.tooltip
    assert row.reset.disabled and row.reset.tooltip
    options = getattr(row.control, "options", [("", False), ("", True)])
    assert len({words for words, _ in options}) in (len(options), 1)
    for _, value in options:
        row.control.value = value
        changed = {name: value} | ({"go": go} if name != "go" else {})
        assert getattr(mh.HeapParams(**changed), name) == value
    row.control.value = next(v for _, v in options if v != getattr(params, name)) if len(options) > 1 else row.first
    assert row.reset.disabled is (len(options) == 1)
    row.reset.click()
    assert row.control.value == getattr(params, name) and row.reset.disabled


def test_own_values_have_a_place():
    """A value that is no stop stands between its neighbours; off stays at the end."""
    stops = stops_of(FIELDS["gogc"], 137)
    assert stops[stops.index(137) - 1] == 125 and stops[-1] == -1
    limit = stops_of(FIELDS["memory_limit"], 100 * MIB)
    assert limit[limit.index(100 * MIB) - 1] == 96 * MIB and limit[-1] == NO_LIMIT
    table = ((16, 1), (32768, 8))
    assert stops_of(FIELDS["size_classes"], table)[-1] == table


def test_words_of_values():
    """Values have their units."""
    words = {
        ("gogc", 100): "100%", ("gogc", -1): "off", ("memory_limit", NO_LIMIT): "none",
        ("memory_limit", 64 * MIB): "64 MiB", ("background_sweep_per_ms", 0.5): "0.5 spans/ms",
        ("page_cache_pages", 0): "none", ("page_cache_pages", 32): "32 pages", ("huge_page_bytes", 0): "none",
        ("grow_early_percent", 80): "80%", ("procs", 4): "4 Ps", ("procs", 0): "as the trace",
        ("live_is_trigger", True): "True",
    }  # fmt: skip
    assert {key: words_of(FIELDS[key[0]], key[1]) for key in words} == words


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"controls": ("speed",)}, "controls = 'speed' is outside its legal range: one of gogc"),
        ({"controls": ("occupied",)}, "controls = 'occupied' is outside its legal range: it has no values"),
        ({"views": ("map",)}, "views = 'map' is outside its legal range: one of memory"),
    ],
)
def test_explorer_refuses(preview, more, words):
    with pytest.raises(ValueError, match=words):
        run_explorer(preview, **more)


# ---------------------------------------------------------------------------------------------- settling


def test_settle_waits_for_rest():
    """In an event loop the action comes once, after the last call, and not if it was cancelled."""
    done = []

    async def move():
        settle = Settle(lambda: done.append("done"), 0.05)
        for _ in range(5):
            settle.ask()
            await asyncio.sleep(0.01)
        assert settle.waiting and not done
        await asyncio.sleep(0.1)
        assert done == ["done"] and not settle.waiting
        settle.ask()
        settle.cancel()
        await asyncio.sleep(0.1)
        assert done == ["done"]

    asyncio.run(move())


def test_explorer_settles_in_an_event_loop(preview):
    """A slider that is moved in a kernel gives prefixes first, and the exact run later, by itself."""

    async def drag():
        explorer = run_explorer(preview)
        explorer.settle.rest = 0.05
        for gogc in (50, 60, 75):
            control(explorer, "gogc").value = gogc
            assert not explorer.result.complete
        await asyncio.sleep(0.2)
        assert explorer.result.complete and explorer.result.params.gogc == 75

    asyncio.run(drag())
