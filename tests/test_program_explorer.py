"""The program explorer without a browser: files, moments and GOGC against the runs that they mean."""

import dataclasses
import datetime

import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.widgets import program_explorer
from mheaplab.widgets.live import same
from mheaplab.widgets.program_explorer import KEPT, MOMENTS

PROFILE = mh.data_path("histograms/go127-tmpl.heap.pb.gz")
OTHER = mh.data_path("histograms/go127-buffers.heap.pb.gz")


@pytest.fixture
def explorer(tmp_path):
    """An explorer of a profile."""
    return program_explorer(PROFILE, folder=tmp_path / "exports")


def wanted(path, gogc, moment):
    """Return the run and the snapshot that are to be shown."""
    trace = mh.read_program(path).loaded()
    n = len(trace)
    run = mh.simulate(trace, mh.HeapParams.go119(gogc=gogc), samples=1500, snapshots=[n * moment // MOMENTS, n])
    return run, run.snapshot(n * moment // MOMENTS), run.snapshot(n)


def assert_shows(explorer, path, gogc, moment):
    """Compare every figure and the line of numbers with the run."""
    run, now, last = wanted(path, gogc, moment)
    pictures = {
        "memory": figures.memory_over_time(run),
        "occupancy": figures.occupancy(now, name=run.name),
        "heap-map": figures.heap_map(now, frame=figures.map_frame(last), name=run.name),
    }
    for kind, picture in pictures.items():
        live = explorer.live[kind]
        assert live.layout.title.text == picture.layout.title.text
        shown = [trace for trace in live.data if trace.visible is not False]
        for trace, new in zip(shown, picture.data, strict=True):
            assert all(same(trace[key], new[key]) for key in ("x", "y", "source") if key in new)
    assert f"<b>collections</b>&nbsp;{len(run.cycles)}" in explorer.status.value
    assert f"after {now.event:,} of" in explorer.status.value and not explorer.error.value


def test_begins_at_the_end(explorer):
    assert_shows(explorer, PROFILE, 100, MOMENTS)
    assert "deaths assumed: exponential lifetimes" in explorer.status.value


def test_every_control_moves_the_figures(explorer):
    explorer.moment.value = 7
    assert_shows(explorer, PROFILE, 100, 7)
    explorer.gogc.control.value = 25
    assert_shows(explorer, PROFILE, 25, 7)
    explorer.path.value = str(OTHER)
    assert_shows(explorer, OTHER, 25, 7)
    explorer.moment.value = MOMENTS
    assert_shows(explorer, OTHER, 25, MOMENTS)
    explorer.path.value = str(PROFILE)
    assert_shows(explorer, PROFILE, 25, MOMENTS)


def test_a_file_that_the_browser_sends(explorer):
    sent = {"name": "../../etc/mine.pb.gz", "type": "", "size": 1, "content": memoryview(OTHER.read_bytes())}
    explorer.upload.value = ({**sent, "last_modified": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)},)
    assert explorer.path.value.endswith("/mine.pb.gz") and ".." not in explorer.path.value
    assert explorer.trace.count()[0] == mh.read_histogram(OTHER).objects
    assert explorer.live["memory"].layout.title.text.endswith("mine.pb.gz")


def test_a_file_that_cannot_be_opened_leaves_the_figures(explorer, tmp_path):
    (tmp_path / "bad").write_bytes(b"\x00 nothing")
    explorer.path.value = str(tmp_path / "bad")
    assert "FormatError" in explorer.error.value and explorer.error.layout.display == ""
    assert explorer.live["memory"].layout.title.text.endswith(PROFILE.name)
    explorer.path.value = str(PROFILE)
    assert_shows(explorer, PROFILE, 100, MOMENTS)


def test_runs_are_kept_and_no_more_than_some(explorer, monkeypatch):
    made = []
    run = explorer._run
    monkeypatch.setattr(explorer, "_run", lambda gogc: made.append(gogc) or run(gogc))
    for gogc in (50, 100, 50):
        explorer.gogc.control.value = gogc
    assert made == [50]
    for gogc in (25, 75, 125, 150, 200, 300, 400, 500):
        explorer.gogc.control.value = gogc
    assert len(explorer._runs) == KEPT


def test_given_parameters(tmp_path):
    params = mh.HeapParams.go127(arena_bytes=4 << 20, gogc=50)
    explorer = program_explorer(PROFILE, params, theme="dark", folder=tmp_path)
    assert explorer.result.params == dataclasses.replace(params, procs=1) and explorer.gogc.control.value == 50


def test_save(explorer, tmp_path):
    explorer.save_row.format.value = ("csv",)
    explorer.save_row.save.click()
    names = sorted(p.name for p in (tmp_path / "exports").iterdir())
    assert [name.rsplit("-", 2)[-1] for name in names] == ["map.csv", "memory.csv", "occupancy.csv"]
    assert all(name.startswith("go127-tmpl.heap.pb.gz-gogc-100-event-") for name in names)
