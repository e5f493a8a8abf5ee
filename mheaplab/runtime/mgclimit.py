"""gcCPULimiter: when collecting takes more than half of all CPU time, assists stop, and the heap may exceed its goal.

A leaky bucket: collector time flows in, program time flows out, and it holds one second for each P.  While it is full,
allocations neither assist nor scavenge for the memory limit.  That ends the spiral in which a program below its memory
limit's reach does nothing but collect.

Follows runtime/mgclimit.go of Go 1.19.  Simplified: the bucket is filled when marking advances and drained when it
begins, not by every P for itself; idle time counts as neither.  Assists, for marking and for the memory limit, take
time from the program: they wait in a pool for the next update, which counts them as the collector's.
"""

import numpy as np

from ._jit import kjit

CAPACITY_NS_PER_PROC = np.float64(1e9)
"""capacityPerProc: what the bucket holds for each P, ns."""


@kjit
def gc_cpu_limiter_accumulate(h, program_ns, collector_ns):
    """gcCPULimiterState.accumulate: so much time, ns of one P, has gone to the program and to the collector."""
    sim = h.sim
    capacity = CAPACITY_NS_PER_PROC * np.float64(sim.params.procs)
    fill = sim.bucket_ns + collector_ns - program_ns
    fill = min(max(fill, np.float64(0.0)), capacity)
    sim.bucket_ns = fill
    sim.limited = np.int64(1) if fill >= capacity else np.int64(0)


@kjit
def gc_cpu_limiter_update(h, program_ns, collector_ns):
    """gcCPULimiterState.updateLocked: account for a window, in which assists are the collector's time."""
    assist = h.sim.assist_pool
    h.sim.assist_pool = np.float64(0.0)
    gc_cpu_limiter_accumulate(h, program_ns - assist, collector_ns + assist)
