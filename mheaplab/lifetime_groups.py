"""lifetime_groups: which objects share a survival curve.

Objects of one size are mostly of one type, made in one place, and live alike; the more so the larger they are.  So a
size has a curve of its own if there are enough of its objects, others one for their range of sizes, with and without
pointers apart.  ``lifetimes`` has how a curve is made.
"""

import numpy as np

from .lifetimes import PART, Indexed, curve, estimate

SIZE_EDGES = (16, 64, 256, 2048, 32768)
"""Bytes at which groups of objects with a survival curve of their own begin, after the first."""
SIZES = len(SIZE_EDGES) + 1
GROUPS = 2 * SIZES
COMMON = 20
"""Objects of one size from which on they may have a curve of their own."""
ENOUGH = 200
"""Observations that a curve needs."""
AT_ONCE = 1024
"""Sizes that are counted at a time, so that a program of very many needs no more memory."""


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


def number_kinds(n, kinds_of):
    """Number the kinds of objects that there are: sizes, with pointers and without.

    Parameters
    ----------
    n : int
        Objects.
    kinds_of : callable
        Called with the first of some objects and the first after them; returns an array with the kind of each: twice
        its bytes, and 1 more if it has no pointers.

    Returns
    -------
    kinds : numpy.ndarray of int64
        In rising order.
    number : numpy.ndarray of int32
        For each object the place of its kind.
    """
    parts = [(first, min(first + PART, n)) for first in range(0, n, PART)]
    kinds = np.zeros(0, np.int64)
    for first, stop in parts:
        kinds = np.union1d(kinds, kinds_of(first, stop))
    number = np.empty(n, np.int32)
    for first, stop in parts:
        number[first:stop] = np.searchsorted(kinds, kinds_of(first, stop))
    return kinds, number


def _own_curves(kinds, number, looks):
    """Return the kinds, by number, of which there are enough for a curve of their own, and by name these curves."""
    members = np.zeros(len(kinds), np.int64)
    for first in range(0, len(number), PART):
        members += np.bincount(number[first : first + PART], minlength=len(kinds))
    candidates = np.flatnonzero(members >= COMMON)
    common, curves = [], {}
    for first in range(0, len(candidates), AT_ONCE):
        some = candidates[first : first + AT_ONCE]
        place = np.full(len(kinds), -1, np.int32)
        place[some] = np.arange(len(some))
        counts = looks.counts(Indexed(place, number), len(some))
        for at in np.flatnonzero(counts[0].sum(axis=1) >= ENOUGH).tolist():
            kind = int(kinds[some[at]])
            common.append(int(some[at]))
            curves[f"{kind // 2} B, {_kind_name(kind % 2)}"] = curve(counts[:, at])
    return common, curves


def survival_by_group(kinds, number, looks):
    """Estimate survival curves of objects that a series of looks says something of.

    Parameters
    ----------
    kinds, number : numpy.ndarray
        What :func:`number_kinds` says of the objects; ``number`` becomes the result.
    looks : Looks

    Returns
    -------
    group : numpy.ndarray of int32
        For each object the place of its curve.
    survival : dict of str to Survival
        The curves, by group of objects.
    """
    group = group_of(kinds // 2, kinds % 2).astype(np.int32)
    curves = dict(
        zip(map(group_name, range(GROUPS)), estimate(looks, Indexed(group, number), (2, SIZES), ENOUGH), strict=True)
    )
    common, more = _own_curves(kinds, number, looks)
    group[common] = GROUPS + np.arange(len(common))
    for first in range(0, len(number), PART):
        number[first : first + PART] = group[number[first : first + PART]]
    return number, curves | more
