"""MemStats: what runtime.ReadMemStats reports of the heap, computed from the accounts.

Go flushes every mcache first, because statistics of small objects are counted when an mcache gives a span back; the
recorded runs have that flush as an event.  Fields about things that are not modelled (GC times, memory of the runtime's
own tables) are absent rather than zero.

Follows readmemstats_m of runtime/mstats.go, Go 1.19.  Plain Python.
"""

import numpy as np

BY_SIZE_LEN = 61
"""Entries of MemStats.BySize, which Go cannot change any more: classes 0 to 60."""


def read_memstats(h):
    """Return MemStats of heap record ``h`` as a dict with Go's field names (bytes and counts, Python ints)."""
    s = h.stats
    sizes = h.params.class_to_size.astype(np.int64)
    mallocs = s.small_alloc_count
    frees = s.small_free_count
    n_malloc = int(s.large_alloc_count + mallocs.sum() + s.tiny_alloc_count)
    n_free = int(s.large_free_count + frees.sum() + s.tiny_alloc_count)
    total_alloc = int(s.large_alloc + (mallocs * sizes).sum())
    total_free = int(s.large_free + (frees * sizes).sum())
    in_use, free, released = int(s.heap_in_use), int(s.heap_free), int(s.heap_released)
    return {
        "HeapAlloc": total_alloc - total_free,
        "TotalAlloc": total_alloc,
        "Mallocs": n_malloc,
        "Frees": n_free,
        "HeapObjects": n_malloc - n_free,
        "HeapSys": in_use + free + released,
        "HeapIdle": free + released,
        "HeapInuse": in_use,
        "HeapReleased": released,
        "StackInuse": int(s.in_stacks),
        "MSpanInuse": int(h.spanalloc.in_use),
        "MSpanSys": int(h.spanalloc.sys),
        "BySize": [
            {"Size": int(sizes[c]), "Mallocs": int(mallocs[c]), "Frees": int(frees[c])} for c in range(BY_SIZE_LEN)
        ],
    }
