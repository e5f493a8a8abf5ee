"""workload_of: a histogram and a lifetime make a program that a twin can run.

A histogram says what was allocated, not when and for how long: the order of sizes is drawn at random, each as often as
it was counted, and a lifetime (``mheaplab.workloads``) says when objects die.  So a run shows what this mix of sizes
costs, with deaths that are an assumption.

Sizes of slots are requested as they are, which gives the same slots.  With Go 1.22 and later one thing must be told:
there, objects with pointers above 512 bytes have a header of 8 bytes in their slot, so they requested 8 less; asked for
in full they would move up a class.  ``header`` takes that off.  And slots of 8 bytes are always of objects with
pointers, whatever share is without: those without, below 16 bytes, are packed into blocks of 16.
"""

import numpy as np

from ..size_tables import TINY
from ..workloads import Histogram as Sizes
from ..workloads import Phase, Stream, Workload

NO_HEADER = 512
"""Bytes of the largest slot whose objects never have a header: Go notes their pointers in the span."""
STREAM = "objects"


def workload_of(histogram, lifetime, *, objects=None, noscan=0.0, header=0, phase=None):
    """Return the workload that allocates objects as a histogram counts them.

    Parameters
    ----------
    histogram : Histogram
    lifetime : object
        One of ``mh.workloads``: ``Exponential(1 << 20)``, ``Generational(...)``, ``Immortal()``, ...; bytes allocated.
    objects : int, optional
        How many to allocate, 1 or more; as many as were counted if left out.
    noscan : float
        Share of objects without pointers, 0 to 1, if the histogram does not know.
    header : {0, 8}
        Bytes of the malloc header in the slots of objects with pointers above 512 bytes: 8 if the sizes are slots of
        Go 1.22 or later.
    phase : dict, optional
        More fields of the ``Phase``: ``ps``, ``spread``, ``ns_per_alloc``, ``collect_every``, ...

    Returns
    -------
    Workload
        Of one stream and one phase; ``.trace(seed=0)`` gives its events.

    Raises
    ------
    ValueError
        Naming the parameter, or if the histogram has no objects.

    Examples
    --------
    >>> w = mh.read_histogram("heap.pb.gz").workload(mh.workloads.Exponential(4 << 20))     # doctest: +SKIP
    >>> mh.simulate(w.trace(seed=1), mh.HeapParams.go127())                                 # doctest: +SKIP
    """
    if not len(histogram):
        raise ValueError("histogram: no objects in it, expected at least one")
    if isinstance(noscan, bool) or not isinstance(noscan, int | float) or not 0 <= noscan <= 1:
        raise ValueError(f"noscan = {noscan!r}: expected a share from 0 to 1")
    if header not in (0, 8):
        raise ValueError(f"header = {header!r}: expected 0 or 8 bytes")
    if header and histogram.meta.sizes != "slot":
        raise ValueError(
            f"header = {header}: sizes are {histogram.meta.sizes}, expected 0 as there is no header in them"
        )
    if objects is not None and (not isinstance(objects, int | np.integer) or isinstance(objects, bool) or objects < 1):
        raise ValueError(f"objects = {objects!r}: expected a whole number, 1 or more")
    meta = histogram.meta
    length = histogram.objects if objects is None else int(objects)
    return Workload(
        "sizes of " + (meta.kind or "a histogram"),
        streams=[Stream(STREAM, Sizes(_rows(histogram, noscan, header)), lifetime)],
        phases=[Phase("all", {STREAM: 1}, allocs=length, **(phase or {}))],
        story=f"Allocates objects of the sizes of {meta.origin or 'a histogram'}, in random order.",
        modelled_after=f"{meta.kind} {meta.origin}".strip(),
    )


def _rows(histogram, noscan, header):
    """Return rows of size, count and share without pointers."""
    sizes, counts = histogram.sizes, histogram.counts
    shares = np.full(len(sizes), float(noscan)) if histogram.noscan is None else histogram.noscan / counts
    if histogram.meta.sizes == "slot":
        shares[sizes < TINY] = 0.0
    if not header:
        return tuple(zip(sizes.tolist(), counts.tolist(), shares.tolist(), strict=True))
    rows = []
    for size, count, share in zip(sizes.tolist(), counts.tolist(), shares.tolist(), strict=True):
        if size <= NO_HEADER:
            rows.append((size, count, share))
            continue
        rows += [(s, c, w) for s, c, w in ((size, count * share, 1.0), (size - header, count * (1 - share), 0.0)) if c]
    return tuple(rows)
