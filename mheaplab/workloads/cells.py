"""Cells: any distribution as ranges of whole numbers within which all are equally likely, drawn by an alias table.

``Bins`` are what distributions are made of here: a least value, a width, a weight, and for sizes the share of objects
without pointers.  A smooth distribution is cut at the points of a geometric grid, 16 to the octave, with the weight of
each bin from the distribution function; what is lost is the slope within 4% of a value.  Mixtures are bins side by
side.  ``alias_table`` turns weights into two columns from which one random number picks a bin in constant time (A. J.
Walker 1977, M. D. Vose 1991).
"""

from typing import NamedTuple

import numpy as np

from ..runtime.generate_structs import CELL, CERTAIN

PER_OCTAVE = 16


class Bins(NamedTuple):
    """Ranges of whole numbers: ``least`` to ``least + width - 1``, with a weight and a share without pointers."""

    least: np.ndarray
    width: np.ndarray
    weight: np.ndarray
    noscan: np.ndarray

    @property
    def mean(self):
        """The mean of the values."""
        return float(np.average(self.least + (self.width - 1) / 2, weights=self.weight))


def make_bins(least, width, weight, noscan=0.0):
    """Return ``Bins`` of the given columns, those without weight left out."""
    least = np.atleast_1d(np.asarray(least, np.int64))
    columns = np.broadcast_arrays(least, width, weight, noscan)
    kept = columns[2] > 0
    return Bins(*(np.array(c[kept], t) for c, t in zip(columns, ("i8", "i8", "f8", "f8"), strict=True)))


def join_bins(parts):
    """Return the bins of a mixture of (weight, bins)."""
    scaled = [b._replace(weight=b.weight / b.weight.sum() * weight) for weight, b in parts]
    return Bins(*(np.concatenate(columns) for columns in zip(*scaled, strict=True)))


def grid(least, most, also=()):
    """Return the edges, whole numbers from ``least`` to ``most`` + 1, of geometric bins, those in ``also`` included."""
    octaves = np.log2((most + 1) / max(least, 1))
    edges = np.ceil(max(least, 1) * 2.0 ** (np.arange(int(octaves * PER_OCTAVE) + 1) / PER_OCTAVE)).astype(np.int64)
    inner = [e for e in also if least < e <= most]
    edges = np.unique(np.concatenate(([least, most + 1], edges, np.array(inner, np.int64))))
    return edges[(edges >= least) & (edges <= most + 1)]


def bins_of(distribution, edges, noscan=0.0):
    """Return bins between ``edges``, weighted by the distribution function ``distribution`` of an array."""
    weight = np.maximum(np.diff(distribution(edges.astype(np.float64))), 0.0)
    if not weight.sum() > 0:
        # All of it lies beyond the range, too far for the function's precision: the near end is what is left.
        near_start = distribution(edges[:1].astype(np.float64))[0] > 0.5
        weight[0 if near_start else -1] = 1.0
    return make_bins(edges[:-1], np.diff(edges), weight, noscan)


def alias_table(weight):
    """Return (keep, other) of Vose's alias method: take column i at random, stay with ``keep[i]`` / 2**32.

    Rounding is to 2**-32 of a column's share; no column of weight 0 is ever picked.
    """
    n = len(weight)
    share = np.asarray(weight, np.float64) / np.sum(weight) * n
    keep = np.full(n, CERTAIN, np.int64)
    other = np.arange(n)
    small = [i for i in range(n) if share[i] < 1]
    large = [i for i in range(n) if share[i] >= 1]
    while small and large:
        less, more = small.pop(), large[-1]
        keep[less] = round(share[less] * CERTAIN)
        other[less] = more
        share[more] -= 1 - share[less]
        if share[more] < 1:
            small.append(large.pop())
    return keep, other


def make_cells(bins, stream=0):
    """Return the generator's cells for ``bins``; ``stream`` is the number of the stream of each."""
    cells = np.zeros(len(bins.least), CELL)
    cells["keep"], cells["other"] = alias_table(bins.weight)
    cells["stream"] = stream
    cells["noscan"] = np.round(bins.noscan * CERTAIN)
    cells["least"] = bins.least
    cells["width"] = bins.width
    return cells
