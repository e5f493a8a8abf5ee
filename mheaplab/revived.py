"""Objects that wait for their finalizer: found unmarked by a collection, and kept by the sweep.

When a collection finds an object with a finalizer unreachable, sweeping marks it again, so that the finalizer can run
on it; the object is freed one collection later.  Until its span is swept it has no page mark on its account, and the
page reclaimer sweeps a span in which only such objects are left.  A case lists who was *freed*, so these objects look
alive in it.

A case may say which they were (``revived``, ``revived_offsets``).  Where it does not, they are inferred: the runtime
makes sure that a span is swept (an ENSURE_SWEPT event) when a finalizer is set, and the event that names is then the
object itself if it is the latest of its span.  An object with a finalizer that is freed by collection k was revived by
k - 1.  The heap profiler causes the same events for the objects that it samples, one in 512 KiB; so sizes whose
objects have no more of these events than sampling explains are left out.

What remains unknown: a finalizer set on an object when younger objects share its span, and a finalizer that runs later
than one collection.  ``docs/cases.md`` says what that can do.
"""

import numpy as np

from .runtime.structs import ENSURE_SWEPT, MALLOC, SWEEP_START

PROFILE_RATE = 512 * 1024
"""Bytes allocated per object that the heap profiler samples (runtime.MemProfileRate)."""
UNLIKELY = 1e-4
"""Probability below which sampling does not explain the events of a size."""


def _poisson_tail(count, mean):
    """Return the probability of ``count`` or more events where ``mean`` are expected."""
    term = total = np.exp(-mean)
    for k in range(1, count):
        term *= mean / k
        total += term
    return max(0.0, 1.0 - total)


def _sizes_with_finalizers(events, objects):
    """Return the keys (size * 2 + noscan) whose ENSURE_SWEPT events on ``objects`` sampling does not explain."""
    mallocs = events.kind == MALLOC
    keys = events.size * np.uint64(2) + (events.flags & 1)
    wanted, counts = np.unique(keys[objects], return_counts=True)
    made = keys[mallocs]
    found = []
    for key, count in zip(wanted.tolist(), counts.tolist(), strict=True):
        allocated = int((made == key).sum()) * (key // 2)
        if _poisson_tail(count, allocated / PROFILE_RATE) < UNLIKELY:
            found.append(key)
    return np.array(found, np.uint64), keys


def infer_revived(events):
    """Return ``{"revived": ..., "revived_offsets": ...}`` for a case that does not say who waited for a finalizer.

    Parameters
    ----------
    events : Events

    Returns
    -------
    dict of str to numpy.ndarray of int64
        MALLOC events, collection by collection, in the manner of ``dead``.
    """
    n = len(events.kind)
    starts = np.flatnonzero(events.kind == SWEEP_START)
    none = {"revived": np.zeros(0, np.int64), "revived_offsets": np.zeros(len(starts) + 1, np.int64)}
    set_at = np.flatnonzero((events.kind == ENSURE_SWEPT) & (events.ref >= 0))
    objects = events.ref[set_at]
    if len(objects) == 0 or len(starts) < 2:
        return none
    sizes, keys = _sizes_with_finalizers(events, objects)
    chosen = np.isin(keys[objects], sizes)
    set_at, objects = set_at[chosen], objects[chosen]
    freed_by = np.full(n, -1, np.int64)
    freed_by[events.dead] = np.repeat(np.arange(len(starts)), np.diff(events.dead_offsets))
    collection = freed_by[objects] - 1
    known = collection >= 0
    known[known] &= set_at[known] < starts[collection[known]]
    pairs = np.unique(np.stack([collection[known], objects[known]], axis=1), axis=0)
    offsets = np.searchsorted(pairs[:, 0], np.arange(len(starts) + 1))
    return {"revived": np.ascontiguousarray(pairs[:, 1]), "revived_offsets": offsets.astype(np.int64)}
