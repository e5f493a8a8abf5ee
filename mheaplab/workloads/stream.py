"""The events of a workload as a trace."""

import hashlib
import json

from ..traces.trace import Trace
from .fields import Number
from .plan import Plan

GENERATOR_VERSION = 1
"""Part of every digest: a change of the events that a workload and a seed give must change it."""
SCALE = Number(1e-6, 1e9)


class WorkloadEvents:
    """The source of a workload's trace: each iteration makes the events anew from the seed."""

    n_events = None
    checked = True

    def __init__(self, workload, seed, scale):
        self.workload, self.seed, self.scale = workload, seed, scale
        self.plan = Plan(workload, scale)

    def batches(self, rows):
        """Yield the events in batches of ``rows``, the last one shorter."""
        generator = self.plan.start(self.seed)
        while not generator.done:
            events = generator.next_events(rows)
            if len(events.kind):
                yield events

    def digest(self):
        """Return the hash of everything that decides the events."""
        what = [GENERATOR_VERSION, self.workload.to_json(), self.seed, self.scale]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def make_trace(workload, seed, scale):
    """Return the trace of ``workload``; see :meth:`Workload.trace`."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 128:
        raise ValueError(f"seed = {seed!r}: expected a whole number from 0 to 2**128 - 1")
    if scale not in SCALE:
        raise ValueError(f"scale = {scale!r}: expected {SCALE}")
    source = WorkloadEvents(workload, seed, float(scale))
    meta = {
        "go": "",
        "program": workload.name,
        "sizes": "requested",
        "deaths": "known",
        "origin": f"workload {workload.name}, seed {seed}, scale {scale:g}",
        "ids": "dense",
        "phases": [phase.name for phase in workload.phases],
    }
    return Trace(source, meta)
