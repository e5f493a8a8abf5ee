"""Entry points that measure one layer alone, for ``make bench`` and for tests.

Not part of a replay: they drive the page allocator without spans, and a bare loop over the columns of events.
"""

import numpy as np

from ._jit import kentry
from .mheap_grow import mheap_grow
from .mpagealloc import Throw, page_alloc_free
from .mplacement import page_alloc_place


@kentry
def page_heap_fill(h, npages, addr):
    """Allocate a run of pages for each row of ``npages`` and store its address in ``addr``; stop at the first failure.

    Grows the heap when there is no room; returns the rows done.
    """
    for i in range(npages.shape[0]):
        at = page_alloc_place(h, np.int64(npages[i]))
        if at == 0:
            if mheap_grow(h, np.int64(npages[i])) == 0:
                return i
            at = page_alloc_place(h, np.int64(npages[i]))
        addr[i] = at
    return npages.shape[0]


@kentry
def page_heap_free(h, rows, npages, addr):
    """Free the runs of the given rows, which leaves holes."""
    for k in range(rows.shape[0]):
        i = np.uint64(rows[k])
        page_alloc_free(h, np.int64(addr[i]), np.int64(npages[i]), np.bool_(False))


@kentry
def page_heap_pairs(h, order, npages, addr):
    """Free the run of each row in ``order`` and allocate one of the same length again, in place."""
    for k in range(order.shape[0]):
        i = np.uint64(order[k])
        n = np.int64(npages[i])
        page_alloc_free(h, np.int64(addr[i]), n, np.bool_(False))
        at = page_alloc_place(h, n)
        if at == 0:
            raise Throw("page heap lost pages", i, n)
        addr[i] = at


@kentry
def bare_loop(ev, order, out):
    """Read the columns that a replay reads and make one random store per event: the floor that memory sets."""
    kinds, ps, flags, sizes, credits = ev.kind, ev.p, ev.flags, ev.size, ev.credit
    total = np.uint64(0)
    for event in range(kinds.shape[0]):
        i = np.uint64(event)
        total += np.uint64(kinds[i]) + np.uint64(ps[i]) + np.uint64(flags[i]) + np.uint64(credits[i])
        out[np.uint64(order[i])] = sizes[i] + total
    return total


@kentry
def bare_trace_loop(ev, order, out):
    """The same for the columns of a trace, which a run reads."""
    kinds, ps, sizes, noscans, ids, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    total = np.uint64(0)
    for event in range(kinds.shape[0]):
        i = np.uint64(event)
        total += np.uint64(kinds[i]) + np.uint64(ps[i]) + np.uint64(noscans[i]) + ids[i] + times[i]
        out[np.uint64(order[i])] = sizes[i] + total
    return total
