"""Demand: how many objects of each size a table has to hold, and what a slot of a class costs.

A histogram is an array: entry s is the number of objects of s requested bytes; or anything with a method
``by_size(limit)`` that returns such an array.  Objects above 32 KiB (in Go 1.27, above 32 KiB less a header) are in no
class; they are counted apart.

Whether objects have pointers matters in two ways, so ``noscan`` may say how many of the objects have none:

* Since Go 1.22 an object with pointers of more than 512 bytes has a header of 8, and a span of smaller ones keeps their
  pointer bitmap.
* Objects without pointers of less than 16 bytes share blocks of 16 (tiny objects).  How many to a block is a matter of
  order, not of sizes, and no table changes it, since each has a class of 16: they are counted apart too.

A histogram that knows for itself (``mheaplab.Histogram`` of a trace) is asked, by ``noscan_by_size(limit)``.  Without
either no object is taken to have pointers, and none to be tiny.
"""

from dataclasses import dataclass

import numpy as np

from ..params import HeapParams
from ..runtime.mksizeclasses import PAGE_BYTES
from ..size_tables import TINY
from .rules import MAX_SIZE, rules_of


def counts_of(histogram, name="histogram"):
    """Return (counts by requested size 0 to 32,768, objects above), float64 and a number, of a histogram.

    Raises
    ------
    ValueError
        If it is no array of one dimension with counts from 0 on.
    """
    if hasattr(histogram, "by_size"):
        histogram = histogram.by_size(MAX_SIZE)
    try:
        counts = np.asarray(histogram, np.float64)
    except (TypeError, ValueError):
        counts = np.zeros((0, 0))
    if counts.ndim != 1 or not np.all(np.isfinite(counts)) or np.any(counts < 0):
        raise ValueError(f"{name}: expected counts by requested size from 0 on, an array, or what has by_size(limit)")
    kept = np.zeros(MAX_SIZE + 1)
    kept[: len(counts)] = counts[: MAX_SIZE + 1]
    return kept, float(counts[MAX_SIZE + 1 :].sum())


def count_sizes(sizes, noscan):
    """Return (counts, noscan counts) by requested size of objects: what ``histogram`` and ``noscan`` are elsewhere.

    ``sizes`` has the bytes of each object, ``noscan`` whether it has no pointers.  Entry 32,769 is for all that is
    larger.
    """
    sizes = np.minimum(np.asarray(sizes, np.uint64), MAX_SIZE + 1).astype(np.int64)
    without = np.asarray(noscan) != 0
    return tuple(np.bincount(part, minlength=MAX_SIZE + 2) for part in (sizes, sizes[without]))


@dataclass(frozen=True)
class Demand:
    """Objects by requested size, in float64 arrays of 32,769.

    Attributes
    ----------
    counts : ndarray
        Two rows: objects with pointers and objects without.
    tiny, large : ndarray, float
        Tiny objects by size; objects that are in no class.
    header, header_above : int
        Bytes before an object with pointers, and above which size.
    """

    counts: np.ndarray
    tiny: np.ndarray
    large: float
    header: int
    header_above: int

    @property
    def requested(self):
        """Bytes requested by the objects that have a slot of their own."""
        return float(self.counts.sum(axis=0) @ np.arange(MAX_SIZE + 1))

    def scaled(self, factor):
        """Return as many times the objects."""
        return Demand(self.counts * factor, self.tiny * factor, self.large * factor, self.header, self.header_above)

    def __add__(self, other):
        mine, theirs = (self.header, self.header_above), (other.header, other.header_above)
        if mine != theirs:
            raise ValueError("these demands are of two Go versions")
        return Demand(self.counts + other.counts, self.tiny + other.tiny, self.large + other.large, *mine)

    def fitting(self, sizes, weights=None):
        """Return the sum of ``counts`` (times ``weights`` by requested size) that slots of ``sizes`` bytes hold.

        Two rows, with and without pointers: what fits into a slot, whatever smaller ones there are.
        """
        sizes = np.asarray(sizes)
        sums = np.cumsum(self.counts if weights is None else self.counts * weights, axis=1)
        room = np.where(sizes > self.header_above, np.maximum(sizes - self.header, self.header_above), sizes)
        return np.stack((sums[0, room if self.header else sizes], sums[1, sizes]))


def demand_of(histogram, noscan=None, go="go1.19"):
    """Return the :class:`Demand` of a histogram in a Go version; ``noscan`` counts those of it without pointers.

    Raises
    ------
    ValueError
        If the histogram is none, or ``noscan`` counts more objects of a size than there are.
    """
    rules_of(go)
    profile = HeapParams.of_version(go)
    if noscan is None and hasattr(histogram, "noscan_by_size"):
        noscan = histogram.noscan_by_size(MAX_SIZE)
    counts, large = counts_of(histogram)
    counts[0] = 0  # objects of no bytes have the address of zerobase
    without = counts.copy() if noscan is None else counts_of(noscan, "noscan")[0]
    without[0] = 0
    if np.any(without > counts):
        size = int(np.flatnonzero(without > counts)[0])
        raise ValueError(f"noscan: {without[size]:g} objects of {size} bytes, and the histogram has {counts[size]:g}")
    split = np.stack((counts - without, without))
    most = MAX_SIZE - profile.malloc_header_bytes
    large += float(split[:, most + 1 :].sum())
    split[:, most + 1 :] = 0
    tiny = np.zeros(TINY)
    if noscan is not None:
        tiny[:] = split[1, :TINY]
        split[1, :TINY] = 0
    return Demand(split, tiny, large, profile.malloc_header_bytes, max(profile.heap_bits_in_span_bytes, 0))


def reserves(sizes, npages, go):
    """Return (bitmap, marks): bytes that a span with pointers and any span keep for the collector, by class."""
    profile = HeapParams.of_version(go)
    small = np.asarray(sizes) <= profile.heap_bits_in_span_bytes
    bitmap = np.where(small, np.asarray(npages) * PAGE_BYTES // 64, 0)
    marks = np.where(small & (np.asarray(sizes) >= profile.inline_mark_min_bytes), profile.inline_mark_bytes, 0)
    return bitmap, marks


def slots(sizes, npages, go):
    """Return the objects that a span holds, two rows by class: with and without pointers.

    What ``runtime.mksizeclasses.class_objects`` has for the kernel's parameters.
    """
    sizes, npages = np.asarray(sizes, np.int64), np.asarray(npages, np.int64)
    bitmap, marks = reserves(sizes, npages, go)
    room = npages * PAGE_BYTES - marks
    return np.stack(((room - bitmap) // sizes, room // sizes))
