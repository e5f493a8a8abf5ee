"""Distributions of object sizes, in bytes requested, each with the share of objects that hold no pointers.

The share may depend on the size: ``noscan=[[64, 0.2], [32768, 0.8]]`` says 20% of objects up to 64 bytes, 80% of all
that are larger (the last step holds for everything above).
"""

import math
from dataclasses import dataclass

import numpy as np

from ..traces.sizes import count_sizes
from .cells import bins_of, grid, join_bins, make_bins
from .fields import Described, Many, Number, One, Rows, Steps, Whole, described

MAX_SIZE = 1 << 40
"""Bytes of the largest object of a workload."""
BYTES = Whole(1, MAX_SIZE)


def noscan_text():
    """Return the field every distribution has."""
    return described("share of objects without pointers", Steps(), 0.0)


def share_at(noscan, sizes):
    """Return the share of objects without pointers at each of ``sizes``."""
    if not isinstance(noscan, tuple):
        return np.full(len(sizes), float(noscan))
    tops = np.array([top for top, _ in noscan])
    shares = np.array([share for _, share in noscan], np.float64)
    return shares[np.minimum(np.searchsorted(tops, sizes), len(tops) - 1)]


def edges_of(noscan):
    """Return the sizes at which the share changes."""
    return [top + 1 for top, _ in noscan] if isinstance(noscan, tuple) else []


@dataclass(frozen=True)
class Fixed(Described):
    """All objects of one size."""

    KIND = "fixed"
    bytes: int = described("size", BYTES)
    noscan: object = noscan_text()

    def bins(self):
        """Return the distribution as bins."""
        return make_bins(self.bytes, 1, 1.0, share_at(self.noscan, [self.bytes]))


@dataclass(frozen=True)
class Uniform(Described):
    """All sizes from ``least`` to ``most`` equally often."""

    KIND = "uniform"
    least: int = described("smallest size", BYTES)
    most: int = described("largest size", BYTES)
    noscan: object = noscan_text()

    def check(self):
        """Sizes must be in order."""
        if self.least > self.most:
            raise ValueError(f"Uniform.most = {self.most}: expected at least {self.least}, which is the least")

    def bins(self):
        """Return the distribution as bins."""
        inner = [e for e in edges_of(self.noscan) if self.least < e <= self.most]
        edges = np.array([self.least, *inner, self.most + 1])
        return make_bins(edges[:-1], np.diff(edges), np.diff(edges), share_at(self.noscan, edges[:-1]))


@dataclass(frozen=True)
class LogNormal(Described):
    """Sizes whose logarithm is normal, rounded to whole bytes; what lies outside ``least`` to ``most`` is left out."""

    KIND = "lognormal"
    median: float = described("median before anything is left out", Number(1, MAX_SIZE))
    sigma: float = described("standard deviation of the natural logarithm", Number(0.01, 8))
    least: int = described("smallest size", BYTES, 1)
    most: int = described("largest size", BYTES, 1 << 30)
    noscan: object = noscan_text()

    def check(self):
        """Sizes must be in order."""
        if self.least > self.most:
            raise ValueError(f"LogNormal.most = {self.most}: expected at least {self.least}, which is the least")

    def _below(self, edges):
        """Return the share of sizes that round to less than each edge."""
        z = np.log((edges - 0.5) / self.median) / (self.sigma * math.sqrt(2))
        return np.array([0.5 * math.erfc(-v) for v in z])

    def bins(self):
        """Return the distribution as bins."""
        edges = grid(self.least, self.most, edges_of(self.noscan))
        return bins_of(self._below, edges, share_at(self.noscan, edges[:-1]))


@dataclass(frozen=True)
class Histogram(Described):
    """Sizes as often as they were counted: rows of size and count, and for some the share without pointers."""

    KIND = "histogram"
    rows: tuple = described("sizes", Rows(BYTES, Number(0, 1 << 53), Number(0, 1)))
    noscan: object = noscan_text()

    def check(self):
        """Something must have been counted."""
        if not any(row[1] > 0 for row in self.rows):
            raise ValueError("Histogram.rows: all counts are 0, expected one above 0")

    @classmethod
    def of_sizes(cls, sizes, noscan=0.0):
        """Return the histogram of ``sizes``, whole numbers of bytes.

        Parameters
        ----------
        sizes : sequence of int
        noscan : float or list of (size, share)
            Share of objects without pointers.
        """
        values, counts = np.unique(np.asarray(sizes, np.int64), return_counts=True)
        return cls(tuple(zip(values.tolist(), counts.tolist(), strict=True)), noscan)

    @classmethod
    def of_trace(cls, trace):
        """Return the histogram of all objects of a :class:`mheaplab.Trace`, with their shares without pointers."""
        sizes, counts, noscan = count_sizes(trace)
        if not len(sizes):
            raise ValueError("trace: no object is allocated in it, expected at least one")
        return cls(tuple(zip(sizes.tolist(), counts.tolist(), (noscan / counts).tolist(), strict=True)))

    def bins(self):
        """Return the distribution as bins."""
        sizes = np.array([row[0] for row in self.rows])
        shares = share_at(self.noscan, sizes)
        for i, row in enumerate(self.rows):
            if len(row) == 3:
                shares[i] = row[2]
        return make_bins(sizes, 1, np.array([row[1] for row in self.rows], np.float64), shares)


LEAVES = (Fixed, Uniform, LogNormal, Histogram)


@dataclass(frozen=True)
class SizePart(Described):
    """A part of a mixture of sizes."""

    weight: float = described("how often, beside the other parts", Number(1e-9, 1e9))
    sizes: object = described("distribution", One(*LEAVES))


@dataclass(frozen=True)
class Mixture(Described):
    """Several distributions of sizes, each as often as its weight says."""

    KIND = "mixture"
    parts: tuple = described("the parts", Many(SizePart))

    def bins(self):
        """Return the distribution as bins."""
        return join_bins([(part.weight, part.sizes.bins()) for part in self.parts])


SIZES = (*LEAVES, Mixture)
"""All distributions of sizes."""
