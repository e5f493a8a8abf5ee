"""Metrics: each against numbers that can be checked by hand."""

import dataclasses

import made_up
import numpy as np
import pytest

import mheaplab as mh
from mheaplab import metrics
from mheaplab.results import SAMPLE_TYPE


def small(events, **columns):
    """Return a result whose samples have these columns."""
    found = made_up.made_result()
    samples = np.zeros(len(events), SAMPLE_TYPE)
    samples["event"] = events
    for name, values in columns.items():
        samples[name] = values
    return dataclasses.replace(found, samples=samples)


def test_every_metric_has_unit_and_meaning():
    """Names are unique, units known, and each is explained in a sentence."""
    assert len({m.name for m in mh.METRICS}) == len({m.label for m in mh.METRICS}) == len(mh.METRICS)
    assert {m.unit for m in mh.METRICS} == {"bytes", "share", "pages", "ns", ""}
    assert all(len(m.text) > 10 for m in mh.METRICS)


def test_summary_of_a_made_up_run():
    """All metrics of a run, as plain numbers."""
    run = made_up.made_result(cycles=12, live_mib=40)
    found = mh.summary(run)
    assert found["collections"] == 12
    assert found["peak_mapped"] == int(run.samples["mapped"].max()) > found["peak_in_use"] > found["mean_live"]
    assert found["gc_share"] == pytest.approx(0.09) and found["assist_share"] == pytest.approx(0.01)
    assert found["stall_share"] == pytest.approx(0.02) and found["mean_huge"] == pytest.approx(0.5, abs=1e-4)
    assert all(type(value) in (int, float) for value in found.values())


def test_time_is_that_of_all_ps():
    """Of four Ps a share of time is a quarter."""
    one, four = (made_up.made_result(mh.HeapParams.go119(procs=n)) for n in (1, 4))
    assert mh.summary(one)["gc_share"] == pytest.approx(4 * mh.summary(four)["gc_share"])


def test_mean_is_over_events():
    """A sample counts for the events around it, however many samples there are."""
    run = small([0, 10, 10, 100], live=[0, 0, 100, 100])
    assert metrics.metric("mean_live").of(run) == 90.0
    assert metrics.metric("mean_live").of(small([5], live=[7])) == 7.0
    assert metrics.metric("mean_live").of(small([])) == 0.0


def test_waste_is_what_is_backed_and_not_live():
    """Released pages and stacks are no waste of the heap."""
    run = small([0, 1], live=60, garbage=10, free_slots=15, tail=5, free=10, released=900, stacks=50, mapped=1050)
    assert metrics.metric("mean_waste").of(run) == pytest.approx(0.4)
    assert metrics.metric("peak_backed").of(run) == 150


def test_huge_pages_of_what_is_in_use():
    """The share is of pages in use, stacks and the runtime's own included."""
    run = small([0, 1], heap_in_use=60, stacks=30, other_spans=10, huge=25)
    assert metrics.metric("mean_huge").of(run) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [({}, 0), ({0: 5}, 0), ({1: 99, 4: 1}, 1), ({1: 98, 4: 2}, 15), ({3: 1}, 7), ({1: 1, 2: 1}, 3)],
)
def test_percentile(counts, wanted):
    """The bound of the bin in which 99 of 100 are reached."""
    histogram = np.zeros(40, np.int64)
    for k, count in counts.items():
        histogram[k] = count
    assert metrics.percentile(histogram) == wanted


def test_percentile_bounds_what_was_counted(rng):
    """Of random values, at least 99 of 100 do not exceed the percentile, and it is at most twice the true one."""
    for _ in range(200):
        values = rng.integers(0, 1 << int(rng.integers(1, 20)), 300)
        histogram = np.bincount([int(v).bit_length() for v in values], minlength=40)
        found = metrics.percentile(histogram)
        assert np.mean(values <= found) >= 0.99
        assert found <= 2 * max(np.sort(values)[296], 1)


def test_tail_counts(rng):
    """How many are at least 1, 2, 4, ... against counting them."""
    values = rng.integers(0, 1 << 20, 1000)
    histogram = np.bincount([int(v).bit_length() for v in values], minlength=40)
    edges, counts = metrics.tail_counts(histogram)
    assert edges[:4].tolist() == [1, 2, 4, 8] and len(edges) == len(counts) == 39
    assert counts.tolist() == [int((values >= edge).sum()) for edge in edges]


def test_unknown_metric():
    with pytest.raises(ValueError, match="metric = 'speed' is outside its legal range: one of collections"):
        metrics.metric("speed")
