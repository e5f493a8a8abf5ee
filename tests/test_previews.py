"""Previews: which part of a trace is simulated while somebody chooses, and what is remembered."""

import itertools

import made_up
import numpy as np
import pytest

import mheaplab as mh
from mheaplab import previews
from mheaplab.previews import Preview

GO = mh.HeapParams.go119()


class Clock:
    """A clock that stands still but for what simulating costs: so many seconds a run, and an event."""

    def __init__(self, monkeypatch, per_run, per_event):
        self.now, self.per_run, self.per_event, self.runs = 0.0, per_run, per_event, []
        monkeypatch.setattr(previews.time, "thread_time", lambda: self.now)

    def simulate(self, trace, params, **more):
        self.now += self.per_run + self.per_event * len(trace)
        self.runs.append((len(trace), params.gogc, more))
        return made_up.made_simulate(trace, params, **more)

    def preview(self, events=1_000_000, **more):
        return Preview(made_up.made_trace(events), simulate=self.simulate, **more)


@pytest.fixture
def clock(monkeypatch):
    """Twenty milliseconds a run, seven million events a second."""
    return Clock(monkeypatch, 0.02, 1.4e-7)


numbers = itertools.count(1000)


def drafts(preview, count):
    """Return the events that so many drafts with new parameters simulate."""
    return [preview.draft(GO.replace(gogc=next(numbers))).provenance["events_done"] for _ in range(count)]


def test_draft_is_a_prefix_and_says_so(clock):
    """The first draft has a sixteenth of the events; the exact result has all, and more samples."""
    preview = clock.preview(samples=777, seed=5)
    draft = preview.draft(GO)
    assert (draft.provenance["events_done"], draft.provenance["events_total"]) == (62_500, 1_000_000)
    assert draft.complete is False
    exact = preview.exact(GO)
    assert exact.provenance["events_done"] == 1_000_000 and exact.complete
    assert clock.runs == [(62_500, 100, {"samples": 250, "seed": 5}), (1_000_000, 100, {"samples": 777, "seed": 5})]


@pytest.mark.parametrize(
    ("per_event", "events"), [(1.4e-7, 62_500), (4e-8, 125_000), (1e-9, 1_000_000), (1e-6, 7812)]
)
def test_prefix_fits_the_budget(clock, per_event, events):
    """Whatever a run costs beside, the events of a draft fit the budget, and no longer prefix does."""
    clock.per_event = per_event
    preview = clock.preview()
    for _ in range(3):
        preview.exact(GO.replace(gogc=next(numbers)))
        drafts(preview, 3)
    assert set(drafts(preview, 5)) == {events}
    assert preview.rate() == pytest.approx(per_event)
    assert events * per_event <= previews.BUDGET * previews.TOLERANCE
    assert events == 1_000_000 or 2 * events * per_event * previews.TOLERANCE >= previews.BUDGET


def test_prefix_stays_while_it_is_about_right(clock):
    """A rate that sways does not change the prefix back and forth."""
    preview = clock.preview()
    seen = set()
    for sway in (1, 1.2, 0.9, 1.1, 0.8, 1.2):
        clock.per_event = 1.4e-7 * sway
        preview.exact(GO.replace(gogc=next(numbers)))
        seen |= set(drafts(preview, 2))
    assert seen == {62_500}


def test_compiling_is_no_measure(clock):
    """The first run of all may take half a minute, which says nothing of the next."""
    clock.per_run = 30.0
    preview = clock.preview()
    preview.exact(GO)
    clock.per_run = 0.02
    assert drafts(preview, 4) == [62_500] * 4
    preview.exact(GO.replace(gogc=7))
    assert drafts(preview, 2) == [62_500] * 2


def test_a_disturbed_run_does_not_count(clock):
    """Of several runs of a length the quickest counts."""
    preview = clock.preview()
    preview.exact(GO)
    drafts(preview, 2)
    for per_run in (0.02, 5.0):
        clock.per_run = per_run
        preview.exact(GO.replace(gogc=next(numbers)))
    assert preview.rate() == pytest.approx(1.4e-7)


def test_whole_trace_is_exact_where_it_is_quick(clock):
    """A draft of all events is the exact result itself."""
    preview = clock.preview(3000)
    preview.exact(GO)
    assert drafts(preview, 1) == [2000]
    preview.exact(GO.replace(gogc=3))
    draft = preview.draft(GO.replace(gogc=4))
    assert draft.complete and preview.exact(GO.replace(gogc=4)) is draft


def test_short_traces_are_not_cut_to_nothing(clock):
    """A prefix has at least some thousand events, or all."""
    clock.per_event = 1.0
    for events, least in ((0, 0), (100, 100), (10_000, previews.LEAST)):
        preview = clock.preview(events)
        for k in range(4):
            preview.exact(GO.replace(gogc=k))
            assert min(drafts(preview, 3)) >= least


def test_results_are_kept(clock):
    """The same choice is not simulated again, up to a number of results."""
    preview = clock.preview(100_000)
    first = preview.exact(GO)
    assert preview.exact(mh.HeapParams.go119()) is first and len(clock.runs) == 1
    for k in range(previews.KEPT):
        preview.exact(GO.replace(gogc=k + 1))
    assert preview.exact(GO) is not first and len(clock.runs) == previews.KEPT + 2


def test_interrupted_run_is_not_exact():
    """A run that was cut short stays incomplete, whatever it was asked for."""

    def cut(trace, params, **_more):
        return made_up.made_result(params, events=len(trace), done=len(trace) // 2)

    result = Preview(made_up.made_trace(1000), simulate=cut).exact(GO)
    assert not result.complete and result.provenance["events_done"] == 500


class Counted(made_up.MadeEvents):
    """A source that counts how often it is read, and does not say how long it is."""

    def __init__(self, n):
        super().__init__(n)
        self.reads, self.n, self.n_events = 0, n, None

    def digest(self):
        return "ef" * 32

    def batches(self, rows):
        self.reads += 1
        self.n_events = self.n
        yield from super().batches(rows)
        self.n_events = None


@pytest.mark.parametrize("most", [1 << 24, 100])
def test_events_are_kept_in_memory(monkeypatch, most):
    """A stream is read once, unless it is too long to be kept; its events, digest and name stay."""
    monkeypatch.setattr(previews, "HELD", most)
    source = Counted(5000)
    trace = mh.Trace(source, {"ids": "dense"}, "counted")
    preview = Preview(trace, simulate=made_up.made_simulate)
    assert preview.events == 5000 and source.reads == (1 if most > 5000 else 2)
    (found,), (wanted,) = list(preview.trace.dense_batches()), list(trace.dense_batches())
    for a, b in zip(found, wanted, strict=True):
        assert np.array_equal(a, b) and a.dtype == b.dtype
    assert preview.trace.digest == trace.digest and preview.trace.name == "counted"


def test_real_runs():
    """A prefix of a workload is simulated as the same events would be by themselves."""
    trace = mh.workloads.Workload.read(mh.data_path("scenarios/json-service.json")).trace(0, 0.02)
    preview = Preview(trace, samples=50)
    draft, exact = preview.run(GO, 5000), preview.exact(GO)
    for result, alone in ((draft, mh.simulate(trace.prefix(5000), GO)), (exact, mh.simulate(trace, GO))):
        assert result.samples[-1] == alone.samples[-1] and np.array_equal(result.cycles, alone.cycles)
        assert result.provenance["events_done"] == alone.provenance["events_done"]
        assert result.provenance["events_total"] == preview.events
    assert exact.complete and not draft.complete and len(exact.samples) < 100
