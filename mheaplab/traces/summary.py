"""TraceSummary: what a trace holds, read once from beginning to end."""

from dataclasses import dataclass

import numpy as np

from ..runtime.trace_events import TRACE_KIND_NAMES
from ..runtime.trace_summary import TRACE_SUMMARY, trace_summary_add

FIRST_ROOM = 1 << 16
SAME = ("allocated", "noscan", "largest", "objects", "objects_peak", "live", "live_peak", "stacks", "stacks_peak")
"""What the summary takes from the kernel's record as it is."""


@dataclass(frozen=True)
class TraceSummary:
    """What a program asked of its heap, by the numbers; sizes are in bytes, as the trace has them.

    Attributes
    ----------
    events : int
    counts : dict of str to int
        Events by the name of their kind.
    allocated, noscan, largest : int
        Of all objects: bytes; bytes of those without pointers; bytes of the largest.
    objects, objects_peak, live, live_peak : int
        Objects that are reachable at the end, and at most; and their bytes.
    stacks, stacks_peak : int
        Bytes of stacks at the end, and at most.
    procs : int
        One more than the highest P.
    seconds : float
        Time of the last event; 0 if the trace has no times.
    """

    events: int
    counts: dict
    allocated: int
    noscan: int
    largest: int
    objects: int
    objects_peak: int
    live: int
    live_peak: int
    stacks: int
    stacks_peak: int
    procs: int
    seconds: float


def summarise(trace, progress=None):
    """Read a trace and return its TraceSummary; memory is bounded by what lives.

    Parameters
    ----------
    trace : Trace
    progress : callable, optional
        Called after each batch with the number of events read and of all, None if that is not known.

    Raises
    ------
    FormatError
        If an event of the trace is wrong.
    """
    state = np.zeros(1, TRACE_SUMMARY)[0]
    alive, events = np.zeros(FIRST_ROOM, np.uint64), 0
    for batch in trace.dense_batches():
        most = int(batch.id.max(initial=0))
        if most >= len(alive):
            alive = np.concatenate((alive, np.zeros(max(most + 1 - len(alive), len(alive)), np.uint64)))
        trace_summary_add(state, alive, batch)
        events += len(batch.kind)
        if progress:
            progress(events, trace.n_events)
    counts = dict(zip(TRACE_KIND_NAMES, state["counts"].tolist(), strict=True))
    kept = {name: int(state[name]) for name in SAME}
    procs, seconds = int(state["highest_p"]) + 1, int(state["latest"]) / 1e9
    return TraceSummary(events=events, counts=counts, procs=procs, seconds=seconds, **kept)
