"""Previews: which part of a trace is simulated while somebody chooses, and what is remembered."""

import made_up
import pytest

import mheaplab as mh
from mheaplab import previews
from mheaplab.previews import Preview

GO = mh.HeapParams.go119()


class Clock:
    """A clock that stands still but for what simulating costs: so many seconds an event."""

    def __init__(self, monkeypatch, per_event):
        self.now, self.per_event, self.runs = 0.0, per_event, []
        monkeypatch.setattr(previews.time, "perf_counter", lambda: self.now)

    def simulate(self, trace, params, **more):
        self.now += self.per_event * len(trace)
        self.runs.append((len(trace), params.gogc, more))
        return made_up.made_simulate(trace, params, **more)


@pytest.fixture
def clock(monkeypatch):
    """A preview of a million events at ten million events a second."""
    return Clock(monkeypatch, 1e-7)


def drafts(preview, count):
    """Return the events that so many drafts with new parameters simulate."""
    return [preview.draft(GO.replace(gogc=100 + k)).provenance["events_done"] for k in range(count)]


def test_draft_is_a_prefix_and_says_so(clock):
    """The first draft has an eighth of the events; the exact result has all."""
    preview = Preview(made_up.MadeTrace(1_000_000), simulate=clock.simulate, samples=77, seed=5)
    draft = preview.draft(GO)
    assert (draft.provenance["events_done"], draft.provenance["events_total"]) == (125_000, 1_000_000)
    assert draft.complete is False
    exact = preview.exact(GO)
    assert exact.provenance["events_done"] == 1_000_000 and exact.complete
    assert clock.runs == [(n, 100, {"samples": 77, "seed": 5}) for n in (125_000, 1_000_000)]


def test_prefix_fits_the_budget(clock):
    """Quick drafts become longer, slow ones shorter, until the time fits; then the length stays."""
    preview = Preview(made_up.MadeTrace(1_000_000), simulate=clock.simulate)
    assert drafts(preview, 6) == [125_000] * 6  # 12.5 ms
    clock.per_event = 1e-8
    assert [preview.draft(GO.replace(gogc=500 + k)).provenance["events_done"] for k in range(6)] == [
        125_000, 250_000, 500_000, 1_000_000, 1_000_000, 1_000_000,
    ]  # fmt: skip
    clock.per_event = 1e-6
    found = [preview.draft(GO.replace(gogc=600 + k)).provenance["events_done"] for k in range(6)]
    assert found[0] == 1_000_000 and found[-1] <= 31_250 and found == sorted(found, reverse=True)


def test_whole_trace_is_exact_where_it_is_quick(clock):
    """A draft of all events is the exact result itself."""
    preview = Preview(made_up.MadeTrace(3000), simulate=clock.simulate)
    draft = preview.draft(GO)
    assert draft.provenance["events_done"] == 2000
    clock.per_event = 1e-9
    for k in range(4):
        draft = preview.draft(GO.replace(gogc=k + 1))
    assert draft.complete and preview.exact(GO.replace(gogc=4)) is draft


def test_short_traces_are_not_cut_to_nothing(clock):
    """A prefix has at least some thousand events, or all."""
    clock.per_event = 1.0
    preview = Preview(made_up.MadeTrace(100), simulate=clock.simulate)
    assert drafts(preview, 5) == [100] * 5
    preview = Preview(made_up.MadeTrace(10_000), simulate=clock.simulate)
    assert min(drafts(preview, 8)) >= previews.LEAST


def test_results_are_kept(clock):
    """The same choice is not simulated again, up to a number of results."""
    preview = Preview(made_up.MadeTrace(100_000), simulate=clock.simulate)
    first = preview.exact(GO)
    assert preview.exact(mh.HeapParams.go119()) is first and len(clock.runs) == 1
    for k in range(previews.KEPT):
        preview.exact(GO.replace(gogc=k + 1))
    assert preview.exact(GO) is not first and len(clock.runs) == previews.KEPT + 2


def test_known_draft_says_nothing_about_speed(clock):
    """Time is learnt from runs, not from what was kept."""
    preview = Preview(made_up.MadeTrace(1_000_000), simulate=clock.simulate)
    preview.draft(GO)
    clock.per_event = 1.0
    preview.exact(GO.replace(gogc=7))
    preview.draft(GO)
    assert preview.halvings == previews.FIRST_HALVINGS


def test_interrupted_run_is_not_exact(clock):
    """A run that was cut short stays incomplete, whatever it was asked for."""

    def cut(trace, params, **_more):
        return made_up.made_result(params, events=len(trace), done=len(trace) // 2)

    result = Preview(made_up.MadeTrace(1000), simulate=cut).exact(GO)
    assert not result.complete and result.provenance["events_done"] == 500
