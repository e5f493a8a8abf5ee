"""Rows of the two tables of a run: a sample of everything, and one row per collection.

A sample is taken every so many events and whenever the collector changes phase.  All accounts of bytes are read off
counters that allocation, sweeping and scavenging keep anyway; only huge pages are counted from the bitmaps.

The row of a collection is begun when marking begins and gets its numbers as they come; what its sweeping did is entered
when the next collection begins, or when the run ends.
"""

import numpy as np

from ._jit import kinline, kjit
from .mgcpacer import gc_controller_heap_goal, gc_controller_trigger
from .mgcpacer_pace import sweep_pages_target
from .mhuge import heap_huge_bytes
from .sim_structs import (
    HISTOGRAM,
    PHASE_MARKING,
    PHASE_SWEEPING,
    PHASE_SWEPT,
    SWEEPERS,
)
from .structs import GC_OFF
from .tables import cycle_row, sample_row

N_SWEEPERS = np.int64(len(SWEEPERS))
SAMPLE_ROOM = np.int64(12)
"""Rows that one event may add at most."""
CYCLE_ROOM = np.int64(4)
NOT_YET = np.int64(-1)
NEVER_BYTES = np.uint64((1 << 63) - 1)
"""What a goal that is never reached is in a table."""
_ZERO = np.float64(0.0)
_NO_CALLER_PAGES = np.int64(0)


@kinline
def has_row_room(h):
    """Whether both tables have room for what one event may add."""
    samples = np.int64(h.samples_len) + SAMPLE_ROOM <= np.int64(h.samples_cap)
    return samples and np.int64(h.cycles_len) + CYCLE_ROOM <= np.int64(h.cycles_cap)


@kinline
def signed(nbytes):
    """An unsigned byte count as the tables have it: ``NEVER_BYTES`` at most."""
    return np.int64(min(nbytes, NEVER_BYTES))


@kjit
def log2_bin(value):
    """Bin of ``value`` in a histogram by powers of two: 0 for 0, k from 2**(k-1) up to 2**k."""
    k = np.int64(0)
    while value > 0 and k < HISTOGRAM - 1:
        value >>= 1
        k += 1
    return k


@kjit
def collector_phase(h):
    """What the collector is doing (PHASE_SWEPT, ...)."""
    if h.gcphase != GC_OFF:
        return PHASE_MARKING
    return PHASE_SWEPT if h.sweep_drained != 0 else PHASE_SWEEPING


@kjit
def sweep_debt(h):
    """Pages by which sweeping is behind its pace."""
    c = h.controller
    if h.sweep_drained != 0 or c.sweep_pages_per_byte == _ZERO:
        return np.int64(0)
    target = sweep_pages_target(c, h.stats, np.int64(0), _NO_CALLER_PAGES)
    return max(target - (np.int64(h.pages_swept) - np.int64(c.pages_swept_basis)), np.int64(0))


@kjit
def _sample_accounts(h, row):
    """Where every byte of the heap is."""
    sim, stats = h.sim, h.stats
    taken = np.int64(sim.slots_taken) - np.int64(stats.total_free)
    row.live = sim.live
    row.garbage = taken - np.int64(sim.live)
    row.free_slots = np.int64(stats.slot_bytes) - taken
    row.tail = np.int64(stats.heap_in_use) - np.int64(stats.slot_bytes)
    row.stacks = stats.in_stacks
    row.other_spans = np.int64(stats.in_ptr_scalar_bits) + np.int64(stats.in_work_bufs)
    row.free = stats.heap_free
    row.released = stats.heap_released
    row.mapped = np.int64(stats.prepared) + np.int64(stats.ready)
    row.reserved = stats.reserved
    row.heap_in_use = stats.heap_in_use
    row.heap_sys = np.int64(stats.heap_in_use) + np.int64(stats.heap_free) + np.int64(stats.heap_released)
    row.heap_alloc = taken
    row.total_alloc = sim.slots_taken
    row.huge = heap_huge_bytes(h)


@kjit
def _sample_sweeping(h, row):
    """How far sweeping is, and who does it."""
    stats = h.stats
    row.pages_in_use = h.pages_in_use
    unswept = np.int64(0)
    if collector_phase(h) == PHASE_SWEEPING:
        unswept = max(np.int64(h.sim.pages_at_end) - np.int64(h.pages_swept), np.int64(0))
    row.pages_unswept = unswept
    row.sweep_debt = sweep_debt(h)
    for k in range(N_SWEEPERS):
        row.swept_spans[k] = stats.swept_spans[k]
        row.swept_pages[k] = stats.swept_pages[k]
    row.scavenged_background = stats.scavenged_background
    row.scavenged_allocation = stats.scavenged_allocation
    row.scavenged_all = stats.scavenged_all


@kjit
def take_sample(h, why):
    """Append a row to the samples."""
    at = np.int64(h.samples_len)
    h.samples_len = at + 1
    sim = h.sim
    row = sample_row(h, at)
    row.event = sim.events
    row.time_ns = sim.now
    row.why = why
    row.gc_phase = collector_phase(h)
    row.phase = sim.phase
    row.cycles = sim.cycles_done
    row.heap_live = h.stats.heap_live
    row.heap_marked = signed(h.controller.heap_marked)
    trigger, goal = gc_controller_trigger(h.controller, h.stats)
    row.goal = signed(goal)
    row.trigger = signed(trigger)
    row.objects = sim.live_objects
    row.spans = np.int64(h.spanalloc.in_use) // np.int64(h.spanalloc.item_bytes)
    row.arenas = h.heap_arenas_len - 1
    _sample_accounts(h, row)
    _sample_sweeping(h, row)
    row.max_swept = sim.max_swept
    row.max_stall_ns = sim.max_stall_ns
    sim.max_swept = np.int64(0)
    sim.max_stall_ns = _ZERO
    row.assist_ns = sim.assist_ns
    row.mark_ns = sim.mark_ns
    row.stall_ns = sim.stall_ns


@kjit
def cycle_begin(h, forced):
    """Append the row of the collection that begins to mark."""
    at = np.int64(h.cycles_len)
    h.cycles_len = at + 1
    sim, c, stats = h.sim, h.controller, h.stats
    row = cycle_row(h, at)
    row.cycle = np.int64(sim.cycles_done) + 1
    row.forced = forced
    row.start_event = sim.events
    row.end_event = NOT_YET
    row.swept_event = NOT_YET
    row.start_ns = sim.now
    row.end_ns = _ZERO
    row.swept_ns = _ZERO
    row.trigger = signed(c.triggered)
    row.goal = signed(gc_controller_heap_goal(c, stats))
    row.live_start = stats.heap_live
    row.assist_ns = sim.assist_ns
    row.mark_ns = sim.mark_ns


@kjit
def cycle_end_marking(h, live_end):
    """Enter what marking came to, and remember where the counts of sweeping stand."""
    sim, c, stats = h.sim, h.controller, h.stats
    row = cycle_row(h, np.int64(h.cycles_len) - 1)
    row.end_event = sim.events
    row.end_ns = sim.now
    row.live_end = live_end
    row.marked = signed(c.heap_marked)
    row.reachable = sim.live
    row.scanned = c.heap_scan_work
    row.stack_scanned = c.stack_scan_work
    row.globals_scanned = c.globals_scan_work
    trigger, goal = gc_controller_trigger(c, stats)
    row.next_goal = signed(goal)
    row.next_trigger = signed(trigger)
    row.runway = signed(c.runway)
    row.cons_mark = c.cons_mark
    row.heap_in_use = stats.heap_in_use
    row.heap_sys = np.int64(stats.heap_in_use) + np.int64(stats.heap_free) + np.int64(stats.heap_released)
    row.assist_ns = sim.assist_ns - row.assist_ns
    row.mark_ns = sim.mark_ns - row.mark_ns
    row.pages = h.pages_in_use
    sim.pages_at_end = h.pages_in_use
    for k in range(N_SWEEPERS):
        row.swept_spans[k] = stats.swept_spans[k]
        row.swept_pages[k] = stats.swept_pages[k]
    row.scavenged = _scavenged(h)


@kinline
def _scavenged(h):
    """Bytes given back to the OS since the run began."""
    stats = h.stats
    total = np.int64(stats.scavenged_background) + np.int64(stats.scavenged_allocation)
    return total + np.int64(stats.scavenged_all)


@kjit
def cycle_note_swept(h):
    """Enter when the last span was swept."""
    row = cycle_row(h, np.int64(h.cycles_len) - 1)
    row.swept_event = h.sim.events
    row.swept_ns = h.sim.now


@kjit
def cycle_close(h):
    """Enter what the sweeping of the last collection came to."""
    sim, stats = h.sim, h.stats
    if sim.cycle_open == 0:
        return
    sim.cycle_open = np.int64(0)
    row = cycle_row(h, np.int64(h.cycles_len) - 1)
    for k in range(N_SWEEPERS):
        row.swept_spans[k] = np.int64(stats.swept_spans[k]) - np.int64(row.swept_spans[k])
        row.swept_pages[k] = np.int64(stats.swept_pages[k]) - np.int64(row.swept_pages[k])
    row.scavenged = _scavenged(h) - np.int64(row.scavenged)
