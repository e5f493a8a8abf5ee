"""trace_summary: what a trace amounts to, event by event: how many of each kind, bytes allocated, what lives at most.

A trace is what a program asked for, so these are the program's own numbers: no rounding to size classes, no heap.  The
ids must be dense; a table by id keeps what is alive, the bytes of an object or a stack.
"""

import numpy as np

from ._jit import kentry
from .records import struct
from .trace_events import ALLOC, DEATH, KINDS, STACK_ALLOC, STACK_FREE

TRACE_SUMMARY = struct(
    ("counts", "i8", (KINDS,)),  # events by kind
    ("allocated", "u8"),  # bytes of all objects
    ("noscan", "u8"),  # of these, bytes of objects without pointers
    ("largest", "u8"),  # bytes of the largest object
    ("objects", "i8"),  # alive now
    ("objects_peak", "i8"),  # alive at most
    ("live", "u8"),  # bytes of objects alive now
    ("live_peak", "u8"),
    ("stacks", "u8"),  # bytes of stacks alive now
    ("stacks_peak", "u8"),
    ("highest_p", "i8"),
    ("latest", "u8"),  # ns: the latest time seen
)


@kentry
def trace_summary_add(state, alive, ev):
    """Count the events ``ev``; ``alive`` has the bytes of what lives by dense id. Modifies state and alive."""
    kinds, ps, sizes, flags, ids, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    for event in range(kinds.shape[0]):
        i = np.uint64(event)
        kind, size, name = kinds[i], sizes[i], ids[i]
        state.counts[np.int64(kind)] += 1
        state.latest = max(state.latest, times[i])
        if kind == ALLOC:
            alive[name] = size
            state.allocated += size
            state.noscan += size * np.uint64(flags[i])
            state.largest = max(state.largest, size)
            state.objects += 1
            state.live += size
            state.objects_peak = max(state.objects_peak, state.objects)
            state.live_peak = max(state.live_peak, state.live)
        elif kind == DEATH:
            state.objects -= 1
            state.live -= alive[name]
        elif kind == STACK_ALLOC:
            state.stacks += size
            state.stacks_peak = max(state.stacks_peak, state.stacks)
        elif kind == STACK_FREE:
            state.stacks -= size
        if kind != DEATH:
            state.highest_p = max(state.highest_p, np.int64(ps[i]))
