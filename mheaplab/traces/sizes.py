"""How many objects of which size a trace has: all that were allocated, or those still alive at its end.

``SizeCounts`` adds up as it reads: a size and whether its objects hold pointers make one key, and keys are kept sorted
with a count each.  So memory goes with the number of different sizes, not of events, and that number has a bound: a
program has thousands of sizes, and what has more than a million is not a program's.
"""

import numpy as np

from ..errors import FormatError
from ..runtime.trace_events import ALLOC, DEATH

MAX_SIZES = 1 << 20
"""Different keys that are counted."""
MAX_COUNT = 1 << 53
"""Objects that are counted: up to here floats are exact, and no program comes near."""


def too_many(counts):
    """Return whether ``counts``, each at most ``MAX_COUNT``, are more than that together, whatever their number."""
    return bool(counts.sum(dtype=np.float64) > 2 * MAX_COUNT or counts.sum() > MAX_COUNT)


class SizeCounts:
    """Counts by size and by whether there are pointers, added to bit by bit.

    Parameters
    ----------
    name : str
        What messages call the file.
    """

    def __init__(self, name):
        self.name = name
        self._keys = np.empty(0, np.uint64)
        self._counts = np.empty(0, np.int64)

    def add(self, sizes, counts, noscan=0):
        """Count ``counts`` objects of each of ``sizes``; the same size may come more than once.

        Parameters
        ----------
        sizes, counts, noscan : array_like of int
            Bytes, below 2**63; 0 to ``MAX_COUNT``; 1 for objects without pointers.

        Raises
        ------
        FormatError
            If there are too many objects or too many different sizes.
        """
        counts = np.asarray(counts, np.int64)
        keys = (np.asarray(sizes, np.uint64) << np.uint64(1)) | np.asarray(noscan, np.uint64)
        every = np.concatenate((self._counts, np.broadcast_to(counts, keys.shape)))
        if too_many(every):
            raise FormatError(f"{self.name}: more than 2**53 objects, expected what a program can allocate")
        kept = every > 0
        every, keys = every[kept], np.concatenate((self._keys, keys))[kept]
        self._keys, place = np.unique(keys, return_inverse=True)
        self._counts = np.bincount(place, weights=every, minlength=len(self._keys)).astype(np.int64)
        if len(self._keys) > MAX_SIZES:
            raise FormatError(f"{self.name}: objects of more than {MAX_SIZES:,} different sizes")

    def columns(self):
        """Return (sizes, counts, counts of objects without pointers), int64 arrays, sizes rising."""
        sizes, place = np.unique(self._keys >> np.uint64(1), return_inverse=True)
        noscan = self._counts * (self._keys & np.uint64(1)).astype(np.int64)
        totals = np.zeros((2, len(sizes)), np.int64)
        np.add.at(totals, (slice(None), place), (self._counts, noscan))
        return sizes.astype(np.int64), totals[0], totals[1]


def count_sizes(trace):
    """Return (sizes, counts, counts without pointers) of all objects that ``trace`` allocates, reading it once."""
    found = SizeCounts(trace.name)
    for events in trace.batches():
        born = events.kind == ALLOC
        keys, counts = np.unique((events.size[born] << np.uint64(1)) | events.noscan[born], return_counts=True)
        found.add(keys >> np.uint64(1), counts, keys & np.uint64(1))
    return found.columns()


def count_alive(trace):
    """Return what ``count_sizes`` does of the objects that are alive after the last event of ``trace``.

    A table by dense id holds the key of who lives there; of several events of one id the last one counts.
    """
    alive = np.zeros(0, np.uint64)
    for events in trace.dense_batches():
        rows = (events.kind == ALLOC) | (events.kind == DEATH)
        ids = events.id[rows].astype(np.int64)
        born = events.kind[rows] == ALLOC
        keys = np.where(born, (events.size[rows] << np.uint64(1)) | events.noscan[rows], np.uint64(0))
        most = 1 + int(ids.max(initial=-1))
        if most > len(alive):
            alive = np.concatenate((alive, np.zeros(max(most, 2 * len(alive)) - len(alive), np.uint64)))
        alive[ids] = keys
    found = SizeCounts(trace.name)
    kept = alive[alive > 0]
    found.add(kept >> np.uint64(1), np.ones(len(kept), np.int64), kept & np.uint64(1))
    return found.columns()
