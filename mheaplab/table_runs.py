"""simulate_table: what a table of size classes costs a program in a heap that lives: free slots as well.

``sizeclasses.evaluate`` takes spans as full.  Here the twin runs the program's allocations and deaths with the table,
collects when Go would, and is looked at in many moments: every span of every class has slots in use (live objects, and
garbage that is not swept yet), free slots, and what is in no slot.  That last is Go's tail, bitmap and marks together.
"""

from dataclasses import dataclass, field

import numpy as np

from .params import HeapParams
from .runtime.structs import PAGE_SIZE
from .simulate import simulate
from .snapshot import PAGE_NOSCAN, PAGE_SCAN

MOMENTS = 40
MAX_MOMENTS = 10_000
COLUMNS = ("spans", "pages", "in_use", "free", "tail")


@dataclass(frozen=True)
class TableRun:
    """A program's run with a table of size classes.

    Attributes
    ----------
    table : SizeClassTable
    result : Result
        The run: samples, collections, snapshots.
    moments : numpy.ndarray of int64
        Events after which the heap was looked at.
    by_class : dict of str to numpy.ndarray, shape (moments, classes + 1)
        ``spans``, ``pages``, and bytes ``in_use`` (slots that hold an object, dead or alive), ``free`` (slots that hold
        none) and ``tail`` (what is in no slot); column 0 is for large objects, which have no free slots.
    """

    table: object
    result: object = field(repr=False)
    moments: np.ndarray = field(repr=False)
    by_class: dict = field(repr=False)

    @property
    def mean(self):
        """Means over the moments: a dict of arrays by class."""
        return {name: values.mean(axis=0) for name, values in self.by_class.items()}

    @property
    def worst(self):
        """The moment, as index into ``moments``, with the most bytes in free slots."""
        return int(self.by_class["free"].sum(axis=1).argmax())

    @property
    def free_share(self):
        """Bytes in free slots as a share of the bytes in slots that are taken, averaged over the moments."""
        free, used = self.mean["free"].sum(), self.mean["in_use"].sum()
        return float(free / used) if used else 0.0


def simulate_table(trace, table, params=None, *, moments=MOMENTS, seed=0):
    """Run a program with a table of size classes, and return what each class holds over time.

    Parameters
    ----------
    trace : Trace
        Anything that ``simulate`` takes, loaded or not; it is read twice if its length is not known.
    table : SizeClassTable
    params : HeapParams, optional
        Everything but the table; by default Go 1.19's.
    moments : int
        How often to look, evenly over the events, 1 to 10,000.
    seed : int
        As for ``simulate``.

    Returns
    -------
    TableRun

    Raises
    ------
    FormatError
        If the trace is not what it claims to be.
    ValueError
        If ``moments`` is illegal, or the twin cannot run with the table.

    Examples
    --------
    >>> import mheaplab as mh
    >>> run = simulate_table(mh.workloads.load("slow-leak", scale=0.01), mh.sizeclasses.go_table(), moments=4)
    >>> run.by_class["spans"].shape
    (4, 68)
    """
    if not isinstance(moments, int | np.integer) or isinstance(moments, bool) or not 1 <= moments <= MAX_MOMENTS:
        raise ValueError(f"moments = {moments!r} is outside its legal range: 1 to {MAX_MOMENTS:,}")
    params = (params or HeapParams.go119()).replace(size_classes=table.classes())
    events = int(trace.count().sum()) if trace.n_events is None else trace.n_events
    marks = sorted({events * k // moments for k in range(1, moments + 1)})
    result = simulate(trace, params, snapshots=marks, seed=seed)
    rows = [_by_class(result.snapshot(mark)) for mark in marks]
    by_class = {name: np.array([row[name] for row in rows]) for name in COLUMNS}
    return TableRun(table, result, np.array(marks, np.int64), by_class)


def _by_class(snapshot):
    """Return what a snapshot's spans hold, by size class."""
    spans = snapshot.spans[snapshot.spans["state"] >= PAGE_SCAN]
    spans = spans[spans["elemsize"] > 0]
    small = (spans["state"] == PAGE_SCAN) | (spans["state"] == PAGE_NOSCAN)
    size_class = np.where(small, spans["span_class"] >> 1, 0).astype(np.int64)
    span_bytes = spans["npages"] * int(PAGE_SIZE)
    used = np.where(small, spans["alloc_count"] * spans["elemsize"], span_bytes)
    slots = np.where(small, spans["nelems"] * spans["elemsize"], span_bytes)
    columns = {
        "spans": np.ones(len(spans), np.int64),
        "pages": spans["npages"],
        "in_use": used,
        "free": slots - used,
        "tail": span_bytes - slots,
    }
    n = len(snapshot.class_sizes)
    return {name: np.bincount(size_class, weights=v, minlength=n).astype(np.int64) for name, v in columns.items()}
