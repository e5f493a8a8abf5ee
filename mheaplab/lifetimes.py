"""Lifetimes: how long objects live, learnt from collections that only say who is still there.

A recorded collection is a look at the heap: of every object born before it, it tells whether it is there or gone.  When
an object died is known only up to an interval, from the last look that saw it to the first that did not.  A twin that
collects at other moments needs the moment itself, and must not be told that everything died just when Go looked: then a
look a little earlier would find nothing dead.  So deaths are drawn from the interval, by a survival curve.

Age is counted in bytes allocated since birth, as collectors count time.  ``estimate`` makes a curve from the status of
objects at looks (current-status data): at each look, every object of known status is one observation of its age and of
whether it lives.  Observations go into bins of the logarithm of age; the share alive in each bin, made to fall by
pooling adjacent violators, is the nonparametric maximum likelihood estimate of the survival curve on these bins.

Simplified: an object seen at several looks counts at each of them as if these were different objects, which leaves the
estimate consistent but less sharp than the full likelihood of intervals would; where the estimate has a step the curve
runs straight (in the logarithm of age) from the middle of one pool of bins to that of the next, unless these are wide;
one curve serves the whole run, although programs have phases.  The intervals hold in any case: a curve only says where
in them.
"""

from dataclasses import dataclass

import numpy as np

UNIT = 16.0
"""Bytes of age around which the scale turns from linear to logarithmic: the smallest allocation but tiny ones."""
BINS_PER_OCTAVE = 8
OCTAVES = 48
WIDE = 1.0
"""Octaves from which on a pool of bins is an age at which nothing dies."""
NEVER = np.int64(2**62)
"""An age that no recording reaches."""
PART = 1 << 18
"""Objects that are looked at at a time."""
SLOPE = 1e-9
"""Weight of the even spread that decides where the curve is flat, though an object did die there."""


def _scale(age):
    """Return ages on the scale of bins, in octaves."""
    return np.log2(1.0 + np.asarray(age, np.float64) / UNIT)


def _unscale(x):
    """Return the ages of points on the scale of bins, in bytes."""
    return UNIT * (np.exp2(x) - 1.0)


@dataclass(frozen=True)
class Survival:
    """The share of objects that are alive at each age.

    Attributes
    ----------
    ages : numpy.ndarray of float64
        Ages of the knots, bytes allocated since birth, strictly rising from 0.
    alive : numpy.ndarray of float64
        Share alive at each knot, falling from 1.  Between knots the share is linear in ``log2(1 + age/16)``; after the
        last it stays as it is.
    observations : int
        Pairs of object and look that it was estimated from.
    """

    ages: np.ndarray
    alive: np.ndarray
    observations: int = 0

    def at(self, age):
        """Return the share alive at ``age`` bytes."""
        return np.interp(_scale(age), _scale(self.ages), self.alive)

    def _dead(self):
        """Return points and the share dead there, strictly rising, so that it has an inverse."""
        x = np.append(_scale(self.ages), OCTAVES + 16.0)
        share = 1.0 - np.append(self.alive, self.alive[-1])
        return x, (1.0 - SLOPE) * share + SLOPE * x / x[-1]

    def draw(self, low, high, uniform):
        """Return ages at death, given that each lies between ``low`` and ``high``.

        Parameters
        ----------
        low, high : array of int
            Bytes.
        uniform : array of float
            Random numbers from 0 to 1, one for each.
        """
        x, dead = self._dead()
        first, last = np.interp(_scale(low), x, dead), np.interp(_scale(high), x, dead)
        age = _unscale(np.interp(first + uniform * (last - first), dead, x))
        return np.clip(np.rint(age).astype(np.int64), low, high)

    def draw_after(self, low, uniform):
        """Return ages at death, given that each is over ``low``; ``NEVER`` where the curve ends before that."""
        x, dead = self._dead()
        first = np.interp(_scale(low), x, dead)
        share = first + uniform * (1.0 - first)
        never = share >= dead[len(self.ages) - 1]
        age = _unscale(np.interp(np.where(never, 0.0, share), dead, x))
        return np.where(never, NEVER, np.maximum(np.rint(age).astype(np.int64), low))


def pool_adjacent_violators(share, weight):
    """Return the falling sequence nearest to ``share`` in weighted least squares, as lengths and levels of its pools.

    Parameters
    ----------
    share, weight : sequence of float
        Weights are positive.

    Returns
    -------
    lengths : list of int
    levels : list of float
        Strictly falling.
    """
    pools = []
    for value, w in zip(share, weight, strict=True):
        pools.append([1, float(value), float(w)])
        while len(pools) > 1 and pools[-2][1] <= pools[-1][1]:
            n, level, mass = pools.pop()
            before = pools[-1]
            before[1] = (before[1] * before[2] + level * mass) / (before[2] + mass)
            before[0] += n
            before[2] += mass
    return [p[0] for p in pools], [p[1] for p in pools]


class Indexed:
    """The rows of a table that an array of numbers names, looked up when some of them are asked for."""

    def __init__(self, table, numbers):
        self.table, self.numbers = table, numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, part):
        return self.table[self.numbers[part]]


@dataclass(frozen=True)
class Looks:
    """What a series of looks at a heap says of its objects.

    Attributes
    ----------
    clock : numpy.ndarray of int64
        Bytes allocated until each look, rising.
    birth : numpy.ndarray of int64, or Indexed
        Bytes allocated until each object was born, itself included.
    seen : numpy.ndarray of int64
        The last look that saw the object alive; -1 if none did.
    gone : numpy.ndarray of int64
        The first look that found it dead; the number of looks if none did.  Looks between the two, and those before
        its birth, say nothing of it.
    """

    clock: np.ndarray
    birth: np.ndarray
    seen: np.ndarray
    gone: np.ndarray

    def counts(self, group, groups):
        """Count observations by group and bin of age: all, alive, and the sum of their points on the scale.

        Parameters
        ----------
        group : numpy.ndarray of int, or Indexed
            The group of each object; those of group -1 are left out.
        groups : int

        Returns
        -------
        numpy.ndarray of float64, shape (3, groups, bins)
        """
        bins = OCTAVES * BINS_PER_OCTAVE
        total = np.zeros((3, groups * bins))
        for k, clock in enumerate(self.clock.tolist()):
            points = np.zeros(groups * bins)
            for first in range(0, len(self.birth), PART):
                part = slice(first, first + PART)
                birth, seen, gone, of = self.birth[part], self.seen[part], self.gone[part], group[part]
                # At age 0 everything is alive by definition, whatever became of it a moment later.
                known = (birth < clock) & ((seen >= k) | (gone <= k)) & (of >= 0)
                x = _scale(clock - birth[known])
                where = of[known].astype(np.int64) * bins + np.minimum(x * BINS_PER_OCTAVE, bins - 1).astype(np.int64)
                np.add.at(total[0], where, 1.0)
                np.add.at(total[1], where, (seen[known] >= k).astype(np.float64))
                np.add.at(points, where, x)
            total[2] += points
        return total.reshape(3, groups, bins)


def _knots(seen, points, lengths):
    """Return where pools of bins have their knots: one in the middle, or one at each end of a pool that is wide.

    Narrow pools come from noise, wide ones from ages at which nothing dies.
    """
    x = points / seen
    knots, pools = [], []
    start = 0
    for k, n in enumerate(lengths):
        inside = slice(start, start + n)
        wide = x[start + n - 1] - x[start] > WIDE
        knots += [x[start], x[start + n - 1]] if wide else [points[inside].sum() / seen[inside].sum()]
        pools += [k, k] if wide else [k]
        start += n
    return np.array(knots), pools


def curve(counts):
    """Return the :class:`Survival` of one group's counts (``Looks.counts``), or of several groups added up."""
    seen, alive, points = counts[:, counts[0] > 0]
    if len(seen) == 0:
        return Survival(np.zeros(1), np.ones(1))
    lengths, levels = pool_adjacent_violators(alive / seen, seen)
    x, pools = _knots(seen, points, lengths)
    return Survival(np.append(0.0, _unscale(x)), np.append(1.0, np.array(levels)[pools]), int(seen.sum()))


def estimate(looks, group, groups, enough=200):
    """Return one survival curve for each group of objects.

    Parameters
    ----------
    looks : Looks
    group : numpy.ndarray of int, or Indexed
        The group of each object: its row times the number of columns, and its column.
    groups : tuple of int
        Rows and columns of groups; along a row, neighbours are alike.
    enough : int
        A group with fewer observations than this borrows those of its neighbours in the row, nearest first.

    Returns
    -------
    list of Survival
    """
    rows, columns = groups
    counts = looks.counts(group, rows * columns)
    curves = []
    for g in range(rows * columns):
        row, at = counts[:, g // columns * columns :][:, :columns], g % columns
        reach = 0
        while reach < columns and row[0, max(at - reach, 0) : at + reach + 1].sum() < enough:
            reach += 1
        curves.append(curve(row[:, max(at - reach, 0) : at + reach + 1].sum(axis=1)))
    return curves
