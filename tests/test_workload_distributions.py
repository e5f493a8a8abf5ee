"""Sizes and lifetimes: the generator's statistics against what the distributions say, by closed formulas."""

import math

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.workloads import (
    Between,
    Blend,
    Exponential,
    Fixed,
    Generational,
    Histogram,
    LifePart,
    LogNormal,
    Mixture,
    Pareto,
    Phase,
    SizePart,
    Stream,
    Uniform,
    Workload,
)
from mheaplab.workloads.cells import alias_table, make_bins, make_cells

N = 200_000


def events_of(sizes, lifetime=None, n=N, seed=1, **phase):
    """Return all events of a workload of one stream in one batch."""
    streams = [Stream("s", sizes, lifetime or Between(0, 0))]
    trace = Workload("w", streams, [Phase("p", {"s": 1}, allocs=n, **phase)]).trace(seed)
    return next(trace.batches(4 * n))


def sizes_of(sizes, n=N):
    """Return the sizes and flags of ``n`` objects."""
    events = events_of(sizes, n=n)
    born = events.kind == 0
    return events.size[born].astype(np.int64), events.noscan[born]


def lifetimes_of(lifetime, size=16, n=N):
    """Return the lifetimes in bytes of the objects of a run that died in it, oldest first, and how many did not."""
    events = events_of(Fixed(size), lifetime, n)
    clock = np.cumsum(np.where(events.kind == 0, events.size, 0).astype(np.int64))
    born, lives = {}, []
    for kind, name, now in zip(events.kind.tolist(), events.id.tolist(), clock.tolist(), strict=True):
        if kind == 0:
            born[name] = now
        elif kind == 1:
            lives.append(now - born.pop(name))
    return np.array(lives), len(born)


def test_fixed():
    found, _ = sizes_of(Fixed(48))
    assert len(found) == N and (found == 48).all()


def test_uniform():
    found, noscan = sizes_of(Uniform(10, 19, noscan=0.25))
    counts = np.bincount(found, minlength=20)
    assert counts[:10].sum() == 0 and len(counts) == 20
    assert np.abs(counts[10:] - N / 10).max() < 5 * math.sqrt(N / 10)
    assert abs(noscan.mean() - 0.25) < 0.005


@pytest.mark.parametrize(("median", "sigma"), [(64, 0.3), (64, 1.2), (5000, 2.0), (3, 0.5)])
def test_lognormal(median, sigma):
    found, _ = sizes_of(LogNormal(median, sigma))
    # Against the same distribution drawn by NumPy, at its deciles.
    for share in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        z = math.sqrt(2) * _erfinv(2 * share - 1)
        edge = math.floor(median * math.exp(sigma * z)) + 0.5
        exact = 0.5 * math.erfc(-math.log(edge / median) / (sigma * math.sqrt(2)))
        least = 0.5 * math.erfc(-math.log(0.5 / median) / (sigma * math.sqrt(2)))
        expected = (exact - least) / (1 - least)
        assert abs((found < edge).mean() - expected) < 5 * math.sqrt(0.25 / N) + 0.002


def _erfinv(y):
    """Inverse of erf by bisection."""
    low, high = -6.0, 6.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle) < y else (low, middle)
    return low


def test_lognormal_is_cut():
    found, _ = sizes_of(LogNormal(100, 1.0, least=50, most=200))
    assert found.min() == 50 and found.max() == 200
    far, _ = sizes_of(LogNormal(100, 0.01, least=5000, most=6000), n=100)
    assert far.min() >= 5000 and far.max() < 5300


def test_histogram_and_steps_of_noscan():
    found, noscan = sizes_of(Histogram([(8, 1), (16, 2, 0.9), (1024, 1), (4096, 0)], noscan=[(16, 0.1), (2048, 1.0)]))
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [8, 16, 1024]
    assert np.abs(counts / N - [0.25, 0.5, 0.25]).max() < 0.006
    shares = [noscan[found == v].mean() for v in values]
    assert abs(shares[0] - 0.1) < 0.01 and abs(shares[1] - 0.9) < 0.01 and shares[2] == 1.0


def test_noscan_steps_cut_smooth_distributions():
    for sizes in (Uniform(1, 200, noscan=[(64, 0.0), (200, 1.0)]), LogNormal(64, 1, noscan=[(64, 0.0), (65, 1.0)])):
        found, noscan = sizes_of(sizes)
        assert (noscan == (found > 64)).all()


def test_mixture():
    found, noscan = sizes_of(Mixture([SizePart(3, Fixed(16)), SizePart(1, Uniform(100, 199, noscan=1.0))]))
    assert abs((found == 16).mean() - 0.75) < 0.005
    assert (noscan == (found != 16)).all()


def test_histogram_of_a_trace_and_of_sizes():
    trace = mh.workloads.load("compiler", scale=0.02)
    hist = Histogram.of_trace(trace)
    batch = next(trace.batches(1 << 22))
    born = batch.kind == 0
    values, counts = np.unique(batch.size[born], return_counts=True)
    assert [(r[0], r[1]) for r in hist.rows] == list(zip(values.tolist(), counts.tolist(), strict=True))
    assert hist.rows[0][2] == batch.noscan[born][batch.size[born] == values[0]].mean()
    assert Histogram.of_sizes([8, 16, 8]).rows == ((8, 2), (16, 1))
    with pytest.raises(ValueError, match="no object is allocated"):
        Histogram.of_trace(trace.prefix(1))


def test_exponential():
    mean = 50_000
    lives, left = lifetimes_of(Exponential(mean))
    assert left < 0.05 * N
    # Rounded up to ticks (128 bytes here) and 0.4%.
    for share in (0.5, 1.0, 2.0):
        assert abs((lives > share * mean).mean() - math.exp(-share)) < 0.01
    assert abs(lives.mean() / mean - 1) < 0.03


def test_between_is_exact_to_a_tick():
    lives, _ = lifetimes_of(Between(1000, 1000))
    assert lives.min() >= 1000 and lives.max() <= 1000 + 2 * 128
    long, _ = lifetimes_of(Between(1_000_000, 1_000_000))
    assert long.min() >= 1_000_000 and long.max() <= 1_000_000 * (1 + 8 / 2**11) + 256


def test_pareto():
    lives, left = lifetimes_of(Pareto(1000, 1.0, 100_000))
    assert lives.min() >= 1000 and lives.max() <= 100_000 * 1.004 + 256
    for x in (2000, 10_000, 50_000):
        expected = (1000 / x - 0.01) / 0.99
        assert abs((lives > x).mean() - expected) < 0.05
    assert left < 0.1 * N


def test_generational_and_blend():
    lives, _ = lifetimes_of(Generational(1000, 100_000, 0.2))
    assert abs((lives > 20_000).mean() - 0.2 * math.exp(-0.2)) < 0.015
    lives, _ = lifetimes_of(Blend([LifePart(1, Between(500, 500)), LifePart(3, Between(50_000, 50_000))]))
    assert abs((lives > 20_000).mean() - 0.75) < 0.02


@pytest.mark.parametrize("weight", [[1], [1, 1], [1, 3], [0, 1, 0], [1e-12, 1, 1e12], list(range(1, 100))])
def test_alias_table_gives_each_its_share(weight):
    keep, other = alias_table(np.array(weight, float))
    n = len(weight)
    found = np.zeros(n)
    np.add.at(found, np.arange(n), keep / 2**32 / n)
    np.add.at(found, other, (1 - keep / 2**32) / n)
    assert np.abs(found - np.array(weight) / np.sum(weight)).max() < 1e-9
    assert (keep >= 0).all() and (keep <= 1 << 32).all()


def test_bins_without_weight_are_left_out():
    bins = make_bins([1, 2, 3], 1, [1.0, 0.0, 2.0])
    assert bins.least.tolist() == [1, 3]
    assert bins.mean == pytest.approx(7 / 3)
    assert make_cells(bins, 7)["stream"].tolist() == [7, 7]


def test_time_and_ps():
    events = events_of(Fixed(8), n=10_000, ps=4, spread="skewed", run=1, ns_per_alloc=0.5, idle_ns=1000)
    born = events.kind == 0
    assert events.time[0] == 1000 and events.time[-1] == 6000
    assert (np.diff(events.time.astype(np.int64)) >= 0).all()
    counts = np.bincount(events.p[born], minlength=4) / 10_000
    assert np.abs(counts - [0.5, 0.25, 0.125, 0.125]).max() < 0.03
    turns = events_of(Fixed(8), n=12, ps=3, run=2)
    assert turns.p[turns.kind == 0].tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert set(events_of(Fixed(8), n=1000, ps=5, spread="random", run=1).p.tolist()) == {0, 1, 2, 3, 4}
