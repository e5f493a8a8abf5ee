"""Survival curves from looks that only say who is still there, held to processes whose lifetimes are known."""

import numpy as np
import pytest

from mheaplab.lifetimes import NEVER, Looks, Survival, curve, estimate, pool_adjacent_violators

MIXES = {
    "exponential": ((1.0, 40_000.0),),
    "generational": ((0.7, 5_000.0), (0.2, 300_000.0), (0.1, np.inf)),
    "two": ((0.5, 100_000.0), (0.5, 2_000_000.0)),
}


def process(rng, mix, n=150_000, every=500_000):
    """Return birth and death in bytes allocated of objects with exponential lifetimes, and looks at irregular times."""
    birth = np.cumsum(rng.integers(8, 96, n))
    mean = np.array([m for _, m in mix])[rng.choice(len(mix), n, p=[p for p, _ in mix])]
    life = np.where(np.isinf(mean), 1e15, rng.exponential(np.where(np.isinf(mean), 1.0, mean)))
    clock = np.cumsum(rng.integers(every // 2, every * 3 // 2, 3 * birth[-1] // every))
    return birth, birth + life.astype(np.int64), clock[clock < birth[-1]]


def true_share(mix, age):
    """Return the share that is alive at ``age``."""
    return sum(p * np.exp(-age / m) for p, m in mix)


def look(birth, death, clock):
    gone = np.searchsorted(clock, death)
    return Looks(clock, birth, gone - 1, gone)


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_estimate_recovers_the_truth(rng, mix):
    birth, death, clock = process(rng, mix)
    survival = estimate(look(birth, death, clock), np.zeros(len(birth), np.int64), (1, 1))[0]
    age = np.geomspace(200, clock[-1] / 2, 80)
    error = np.abs(survival.at(age) - true_share(mix, age))
    # A look sees only a few dozen objects of one young age: single ages are noisy, their average is not.
    assert error.max() < 0.1
    assert error.mean() < 0.015


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_drawn_deaths_keep_their_intervals_and_the_live_bytes(rng, mix):
    birth, death, clock = process(rng, mix)
    looks = look(birth, death, clock)
    survival = estimate(looks, np.zeros(len(birth), np.int64), (1, 1))[0]
    found = looks.gone < len(clock)
    bounds = np.concatenate([[0], clock])
    low = np.maximum(bounds[looks.seen + 1], birth) - birth
    high = np.append(clock, 0)[looks.gone] - birth
    age = np.zeros(len(birth), np.int64)
    age[found] = survival.draw(low[found], high[found], rng.random(found.sum()))
    assert ((low <= age) & (age <= high))[found].all()
    age[~found] = survival.draw_after(low[~found], rng.random((~found).sum()))
    assert (age >= low)[~found].all()
    # Between looks nothing is known but by the curve.
    between = (clock[2:-1] + clock[3:]) // 2
    alive = np.array([((birth <= at) & (death > at)).sum() for at in between])
    drawn = np.array([((birth <= at) & (birth + age > at)).sum() for at in between])
    assert drawn.sum() == pytest.approx(alive.sum(), rel=0.03)
    assert drawn == pytest.approx(alive, rel=0.1)


def test_objects_of_unknown_status_are_not_counted():
    clock = np.array([100, 200, 300])
    birth = np.array([10, 20, 150, 250])
    # The first was seen at 100 and never found dead, the second looked at last at 300, the third is found by 300.
    looks = Looks(clock, birth, np.array([0, 2, 1, 1]), np.array([3, 3, 2, 3]))
    seen, alive, _ = looks.counts(np.zeros(4, np.int64), 1).sum(axis=2)
    assert (seen.tolist(), alive.tolist()) == ([1 + 3 + 2 + 0], [1 + 3 + 1])


def test_groups_have_curves_of_their_own_and_borrow_from_neighbours(rng):
    birth, death, clock = process(rng, MIXES["exponential"], n=20_000)
    forever = rng.random(len(birth)) < 0.5
    group = np.where(forever, 0, 4)
    group[:3] = 2
    death[forever] = 10**15
    curves = estimate(look(birth, death, clock), group, (2, 3))
    assert curves[0].at(10**6) == 1.0
    assert curves[4].at(10**6) < 0.01
    # Its own three objects are too few: the nearest with enough are two columns away, in the same row.
    assert curves[2].observations == curves[0].observations + 3 * len(clock)
    assert curves[1].observations == curves[2].observations
    assert curves[3].at(10**6) < 0.01


def slow_pools(share, weight):
    """Isotonic regression from its definition: the least over ends of the greatest mean over beginnings."""
    n = len(share)

    def mean(a, b):
        return np.average(share[a : b + 1], weights=weight[a : b + 1])

    return [min(max(mean(a, b) for b in range(i, n)) for a in range(i + 1)) for i in range(n)]


def test_pool_adjacent_violators(rng):
    for _ in range(200):
        n = int(rng.integers(1, 12))
        share, weight = rng.integers(0, 5, n) / 4, rng.integers(1, 6, n).astype(float)
        lengths, levels = pool_adjacent_violators(share, weight)
        assert np.allclose(np.repeat(levels, lengths), slow_pools(share, weight))
        assert (np.diff(levels) < 0).all()


def test_draws_follow_the_curve(rng):
    survival = Survival(np.array([0.0, 1000.0, 8000.0, 64000.0]), np.array([1.0, 0.5, 0.5, 0.25]))
    n = 100_000
    low, high = np.full(n, 0), np.full(n, 64000)
    age = survival.draw(low, high, rng.random(n))
    for at in (100, 300, 1000, 8000, 20000):
        assert (age > at).mean() == pytest.approx((survival.at(at) - 0.25) / 0.75, abs=0.01)
    assert ((age < 1010) | (age > 7900)).all()
    after = survival.draw_after(np.full(n, 1000), rng.random(n))
    assert (after == NEVER).mean() == pytest.approx(0.5, abs=0.01)
    assert ((after == NEVER) | ((after >= 1000) & (after <= 64000))).all()


def test_where_the_curve_is_flat_draws_are_spread_over_the_interval(rng):
    survival = Survival(np.array([0.0, 1000.0]), np.array([1.0, 0.5]))
    age = survival.draw(np.full(1000, 2000), np.full(1000, 4000), rng.random(1000))
    assert age.min() < 2100 and age.max() > 3900 and 2700 < age.mean() < 3100


def test_nothing_seen_means_nothing_known(rng):
    survival = curve(np.zeros((3, 10)))
    assert survival.observations == 0 and survival.at(10**6) == 1.0
    assert (survival.draw_after(np.zeros(5), rng.random(5)) == NEVER).all()
    age = survival.draw(np.full(5, 10), np.full(5, 20), rng.random(5))
    assert ((age >= 10) & (age <= 20)).all()
