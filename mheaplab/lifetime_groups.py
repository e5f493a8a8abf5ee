"""lifetime_groups: which objects share a survival curve.

Objects of one size are mostly of one type, made in one place, and live alike; the more so the larger they are.  So a
size has a curve of its own if there are enough of its objects, others one for their range of sizes, with and without
pointers apart.  ``lifetimes`` has how a curve is made.
"""

import numpy as np

from .lifetimes import curve, estimate

SIZE_EDGES = (16, 64, 256, 2048, 32768)
"""Bytes at which groups of objects with a survival curve of their own begin, after the first."""
SIZES = len(SIZE_EDGES) + 1
GROUPS = 2 * SIZES
COMMON = 20
"""Objects of one size from which on they may have a curve of their own."""
ENOUGH = 200
"""Observations that a curve needs."""


def group_of(size, noscan):
    """Return the groups of objects of ``size`` bytes, with pointers or ``noscan``."""
    return np.searchsorted(SIZE_EDGES, size, side="right") + SIZES * np.asarray(noscan, np.int64)


def group_name(group):
    """Return a group of objects in words."""
    low, high = (1, *SIZE_EDGES)[group % SIZES], (*SIZE_EDGES, 0)[group % SIZES]
    size = f"{low} to {high - 1} B" if high else f"{low} B and more"
    return f"{size}, {_kind_name(group >= SIZES)}"


def _kind_name(noscan):
    return "noscan" if noscan else "with pointers"


def _groups_by_size(size, noscan, looks):
    """Return the group of each object by its very size, -1 where it is rare, and by name the survival curve of each."""
    kinds, group, members = np.unique(size * 2 + noscan, return_inverse=True, return_counts=True)
    counts = looks.counts(group, len(kinds))
    common = (members >= COMMON) & (counts[0].sum(axis=1) >= ENOUGH)
    number = np.where(common, np.cumsum(common) - 1, -1)
    curves = {
        f"{kinds[k] // 2} B, {_kind_name(kinds[k] % 2)}": curve(counts[:, k]) for k in np.flatnonzero(common).tolist()
    }
    return number[group], curves


def survival_by_group(size, noscan, looks):
    """Estimate survival curves of objects that a series of looks says something of.

    Parameters
    ----------
    size : numpy.ndarray of int64
        Bytes of each object.
    noscan : numpy.ndarray of int64
        Whether it has no pointers, 0 or 1.
    looks : Looks

    Returns
    -------
    group : numpy.ndarray of int64
        For each object the place of its curve.
    survival : dict of str to Survival
        The curves, by group of objects.
    """
    ranges = group_of(size, noscan)
    curves = dict(zip(map(group_name, range(GROUPS)), estimate(looks, ranges, (2, SIZES), ENOUGH), strict=True))
    own, more = _groups_by_size(size, noscan, looks)
    return np.where(own >= 0, GROUPS + own, ranges), curves | more
