"""bgscavenge: the scavenger that runs beside the program and keeps to 1% of its CPU time.

It is parked until a sweep ends, and then works off what the two goals of ``gc_pace_scavenger`` leave to do, 64 KiB at a
time, for a millisecond of work; then it sleeps long enough that its work is 1% of the time.  How long follows from
``sleep_ratio``, which a PI controller corrects after each sleep.  When there is nothing to do it parks again.

Follows scavengerState and bgscavenge of runtime/mgcscavenge.go, Go 1.19 (1.27 paces alike).  Simplified: the time of a
piece of work is its size times ``scavenge_kib_ns``, sleeping lasts as long as it should, and sysmon, which wakes the
parked scavenger, always does so after its longest nap.
"""

import numpy as np

from ._jit import kjit
from .mgcpacer_structs import NEVER
from .mgcscavenge import page_alloc_scavenge

SCAVENGE_PERCENT = np.float64(0.01)
"""scavengePercent: part of the program's CPU time that the background scavenger may take."""
STARTING_SLEEP_RATIO = np.float64(0.001)
MIN_WORK_NS = np.float64(1e6)
"""minScavWorkTime."""
QUANTUM = np.int64(64 << 10)
"""scavengeQuantum."""
PHYS_PAGE_NS = np.float64(10e3)
"""approxWorkedNSPerPhysicalPage: what a page takes where the clock says that nothing has passed."""
COOLDOWN_NS = np.float64(5e9)
SYSMON_NS = np.float64(1e7)
"""sysmon sleeps at most so long between two looks."""

_KP = np.float64(0.3375)
_TI = np.float64(3.2e6)
_TT = np.float64(1e9)
_MIN = np.float64(0.001)
_MAX = np.float64(1000.0)
_ZERO = np.float64(0.0)
_FOREVER = np.float64(np.inf)


@kjit
def scavenger_init(h):
    """scavengerState.init: parked, with the ratio it starts with."""
    s = h.sim.scavenger
    s.parked = np.int64(1)
    s.wake = _FOREVER
    s.sleep_ratio = STARTING_SLEEP_RATIO


@kjit
def scavenger_ready(h):
    """scavengerState.ready: wake the scavenger, when sysmon looks, if it is parked."""
    s = h.sim.scavenger
    if s.parked != 0 and s.wake == _FOREVER:
        s.wake = h.sim.now + SYSMON_NS


@kjit
def scavenger_should_stop(h):
    """shouldStop: neither the retained heap nor all memory is above its goal."""
    c = h.controller
    stats = h.stats
    retained = np.uint64(stats.heap_in_use + stats.heap_free)
    mapped_ready = np.uint64(stats.ready + c.params.other_ready)
    over_heap = c.scavenge_gc_percent_goal != NEVER and retained > c.scavenge_gc_percent_goal
    over_limit = c.scavenge_memory_limit_goal != NEVER and mapped_ready > c.scavenge_memory_limit_goal
    return not over_heap and not over_limit


@kjit
def scavenger_run(h):
    """scavengerState.run: give back memory until a millisecond of work is done; (bytes released, ns worked)."""
    released = np.int64(0)
    worked = _ZERO
    while worked < MIN_WORK_NS and not scavenger_should_stop(h):
        r = page_alloc_scavenge(h, QUANTUM)
        took = np.float64(r) / np.float64(1024) * h.sim.params.scavenge_kib_ns
        if took == _ZERO:
            took = PHYS_PAGE_NS * np.float64(r // np.int64(h.params.phys_page_size))
        worked += took
        released += r
        if r < QUANTUM:
            break
    return released, worked


@kjit
def _next_ratio(h, s, fraction, period):
    """piController.next, and the start afresh where it fails."""
    error = SCAVENGE_PERCENT - fraction
    raw = _KP * error + s.err_integral
    if not np.isfinite(raw):
        s.err_integral = _ZERO
        s.sleep_ratio = STARTING_SLEEP_RATIO
        s.cooldown = COOLDOWN_NS
        return
    output = min(max(raw, _MIN), _MAX)
    s.err_integral += (_KP * period / _TI) * error + (period / _TT) * (output - raw)
    if not np.isfinite(s.err_integral):
        s.err_integral = _ZERO
        s.sleep_ratio = STARTING_SLEEP_RATIO
        s.cooldown = COOLDOWN_NS
        return
    s.sleep_ratio = output


@kjit
def _after_sleep(h, s):
    """The end of scavengerState.sleep: correct the ratio by what the last sleep and the work before it came to."""
    period = s.slept + s.worked
    if s.cooldown > _ZERO:
        s.cooldown = max(s.cooldown - period, _ZERO)
        return
    fraction = s.worked / (period * np.float64(h.sim.params.procs))
    _next_ratio(h, s, fraction, period)


@kjit
def scavenger_wake(h):
    """One turn of bgscavenge's loop, at its time: work, then sleep or park."""
    s = h.sim.scavenger
    if s.parked == 0:
        _after_sleep(h, s)
    s.parked = np.int64(0)
    released, worked = scavenger_run(h)
    h.stats.scavenged_background += released
    if released == 0:
        s.parked = np.int64(1)
        s.wake = _FOREVER
        return
    s.worked = max(worked, MIN_WORK_NS)
    s.slept = np.floor(s.worked / s.sleep_ratio)
    s.wake = h.sim.now + s.worked + s.slept
