"""run_trace: the entry through which a batch of a program's events goes into a heap that paces itself.

An event is what the program does: an object or a stack is allocated, or can no longer be reached; runtime.GC is called;
a phase begins.  Everything else follows: each allocation passes time, pays its debt while the collector marks, takes a
slot (``mallocgc`` with the sweeping that Go would make first), and looks at the trigger if it took a span.

A batch may end early: when a table has no room for the next event, nothing of that event has been done but what it
owed, which it will not owe again (``paid``); the driver grows the tables and calls again from there.

Errors in the trace raise ``BadEvent``; impossible states of the heap raise ``Throw`` with Go's words.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .malloc import NEED_ROOM, mallocgc
from .mcache import p_or_p0
from .mgc_cycle import (
    NATURAL,
    background_tick,
    commit,
    cycle_end,
    cycle_start,
    gc_forced,
    gc_trigger_test,
    next_wake,
    sweep_ended,
)
from .mgcmark_pace import gc_assist_alloc, program_speed
from .mgcpacer import gc_controller_add_scannable_stack, gc_controller_init
from .mgcpacer_cycle import gc_controller_revise
from .mgcscavenge_background import scavenger_init
from .mheap import mheap_has_room
from .mpagealloc import Throw
from .run import BadEvent
from .sim_objects import ADDR_BITS, ADDR_MASK, CLASS_MASK, IS_STACK, object_born, object_dies
from .sim_samples import cycle_close, has_row_room, log2_bin, take_sample
from .sim_structs import (
    DEATH_ROOM,
    SWEPT_BY_ALLOCATION,
    SWEPT_BY_CREDIT,
    SWEPT_BY_RECLAIM,
    WHY_END,
    WHY_PHASE,
    WHY_STRIDE,
)
from .stack import stackalloc, stackfree, stacklog2
from .structs import GC_MARK, NO, PAGE_SHIFT
from .tables import objects, objects_set
from .trace_events import ALLOC, DEATH, FORCED_GC, PHASE, STACK_ALLOC, STACK_FREE

COMPUTED = np.int64(-1)
"""Credit of an allocation whose sweeping is not given but follows from the pace."""
IDLE_GAP_NS = np.float64(1e6)
"""Time between two events of a trace from which on the program is taken to wait: collecting does not make it longer."""
_U0 = np.uint64(0)
_ZERO = np.float64(0.0)
_KIB = np.float64(1024.0)


@kentry
def sim_init(h, memory_limit, stride):
    """Make the empty heap ``h``, whose parameters are set, ready for ``run_trace``."""
    sim = h.sim
    sim.on = np.int64(1)
    sim.stride = stride
    sim.ps_used = np.int64(1)
    scavenger_init(h)
    gc_controller_init(h.controller, h.stats, np.int64(sim.params.gogc), memory_limit)
    h.controller.globals_scan = np.uint64(sim.params.globals_bytes)
    h.controller.max_stack_scan = np.uint64(sim.params.stack_bytes)
    commit(h)
    sim.wake = next_wake(h)


# ------------------------------------------------------------------------------------------------ time and debt


@kinline
def _pass_time(h, nbytes, time):
    """Let the program run up to its next event."""
    sim = h.sim
    if time != 0 and sim.params.trace_time != 0:
        passed = np.float64(max(np.int64(time) - np.int64(sim.trace_last), np.int64(0)))
        sim.trace_last = max(np.int64(time), np.int64(sim.trace_last))
        if passed > IDLE_GAP_NS:
            sim.now += passed
            took = _ZERO
        else:
            took = passed * program_speed(h, NO)
    else:
        took = sim.params.alloc_ns + sim.params.byte_ns * np.float64(nbytes)
    sim.now += took / program_speed(h, h.gcphase == GC_MARK)


@kjit
def _pay_debt(h, nbytes, p):
    """The debt of an allocation while the collector marks; it may end marking."""
    sim = h.sim
    sim.assist_bytes[p] -= nbytes
    if sim.assist_bytes[p] < 0 and gc_assist_alloc(h, p):
        cycle_end(h)


@kjit
def _after_span(h):
    """An allocation has taken a span: account for the time that cost, and see whether a collection is due."""
    sim, stats = h.sim, h.stats
    sim.live_seen = stats.heap_live
    by = stats.swept_spans
    spans = np.int64(by[SWEPT_BY_ALLOCATION]) + np.int64(by[SWEPT_BY_CREDIT]) + np.int64(by[SWEPT_BY_RECLAIM])
    if spans != np.int64(sim.swept_spans_seen):
        sim.stalled += np.float64(spans - np.int64(sim.swept_spans_seen)) * sim.params.sweep_span_ns
        sim.swept_spans_seen = spans
        by = stats.swept_pages
        pages = np.int64(by[SWEPT_BY_ALLOCATION]) + np.int64(by[SWEPT_BY_CREDIT]) + np.int64(by[SWEPT_BY_RECLAIM])
        here = pages - np.int64(sim.swept_pages_seen)
        sim.swept_pages_seen = pages
        sim.max_swept = max(np.int64(sim.max_swept), here)
        sim.swept_histogram[log2_bin(here)] += 1
        if h.sweep_drained != 0 and sim.sweep_open != 0:
            sweep_ended(h)
    scavenged = np.int64(stats.scavenged_allocation)
    if scavenged != np.int64(sim.scavenged_seen):
        took = np.float64(scavenged - np.int64(sim.scavenged_seen)) / _KIB * sim.params.scavenge_kib_ns
        sim.stalled += took
        sim.assist_pool += took
        sim.scavenged_seen = scavenged
    if h.gcphase == GC_MARK:
        gc_controller_revise(h.controller, stats)
    elif gc_trigger_test(h):
        cycle_start(h, NATURAL)


@kjit
def _note_stall(h, assisted):
    """Enter what the allocation just made was held up for; the clock moves on by what has not been counted yet."""
    sim = h.sim
    sim.now += (sim.stalled - assisted) / program_speed(h, h.gcphase == GC_MARK)
    sim.stall_ns += sim.stalled
    sim.max_stall_ns = max(sim.max_stall_ns, sim.stalled)
    sim.stall_histogram[log2_bin(np.int64(sim.stalled))] += 1
    sim.stalled = _ZERO


# ------------------------------------------------------------------------------------------------ events


@kinline
def _alloc(h, number, nbytes, noscan, p):
    """ALLOC: object ``number`` of ``nbytes``; False: no room."""
    sim = h.sim
    assisted = sim.stalled
    if h.gcphase == GC_MARK and sim.paid != sim.events + 1:
        sim.paid = sim.events + 1
        h.current_p = p
        _pay_debt(h, nbytes, p)
        assisted = sim.stalled
    old_block = np.int64(h.allp[p_or_p0(p)].mcache.tiny)
    addr = mallocgc(h, nbytes, noscan, p, COMPUTED)
    if addr <= 0:
        if addr == NEED_ROOM:
            return False
        raise Throw("out of memory", nbytes)
    object_born(h, number, addr, nbytes, noscan, p, old_block)
    if np.int64(h.stats.heap_live) != np.int64(sim.live_seen):
        _after_span(h)
    if sim.stalled != _ZERO:
        _note_stall(h, assisted)
    return True


@kjit
def _stack_alloc(h, number, nbytes, p):
    """STACK_ALLOC: goroutine stack ``number`` of ``nbytes``; False: no room."""
    if not mheap_has_room(h, max(nbytes >> PAGE_SHIFT, np.int64(4))):
        return False
    h.current_p = p
    addr = stackalloc(h, nbytes, p)
    if addr == 0:
        raise Throw("out of memory", nbytes)
    objects_set(h, number, np.uint64(addr) | np.uint64(stacklog2(nbytes)) << ADDR_BITS | IS_STACK)
    _count_stack(h, nbytes, p)
    return True


@kjit
def _count_stack(h, nbytes, p):
    """addScannableStack, and the account of what will be scanned."""
    h.sim.stack_live += nbytes
    h.sim.stack_count += np.int64(1) if nbytes > 0 else np.int64(-1)
    held = gc_controller_add_scannable_stack(h.controller, np.int64(h.sim.max_stack_held[p]), nbytes)
    h.sim.max_stack_held[p] = held


@kjit
def _stack_free(h, number, entry, p):
    """STACK_FREE: stack ``number``, whose ``entry`` in objects is given."""
    nbytes = np.int64(1) << np.int64((entry >> ADDR_BITS) & CLASS_MASK)
    h.current_p = p
    objects_set(h, number, _U0)
    stackfree(h, np.int64(entry & ADDR_MASK), nbytes, p)
    _count_stack(h, -nbytes, p)


@kjit
def _other(h, kind, number, nbytes, p):
    """The kinds that are rare; False: no room."""
    if kind == STACK_ALLOC:
        return _stack_alloc(h, number, nbytes, p)
    if kind == STACK_FREE:
        entry = objects(h, number)
        if entry & IS_STACK == _U0:
            raise BadEvent("free of a stack that was not allocated", number)
        _stack_free(h, number, entry, p)
    elif kind == FORCED_GC:
        if not mheap_has_room(h, np.int64(1)):
            return False
        h.current_p = p
        gc_forced(h, nbytes == 1)
    elif kind == PHASE:
        # The sample is the last of the phase that ends here.
        take_sample(h, WHY_PHASE)
        h.sim.phase = nbytes
        h.sim.check_at = h.sim.events
    else:
        raise BadEvent("kind of event is unknown", kind)
    return True


@kjit
def _between_events(h, p):
    """What is due before an event: a sample, work in the background; False: no room for it."""
    sim = h.sim
    h.current_p = p
    if not has_row_room(h) or np.int64(h.deaths_len) + DEATH_ROOM > np.int64(h.deaths_cap):
        return False
    if sim.now >= sim.wake and not background_tick(h):
        return False
    if sim.events >= sim.sample_at:
        sim.sample_at += sim.stride
        take_sample(h, WHY_STRIDE)
    # Each event notes two deaths at most, its own and a tiny block's, unless a collection flushes the mcaches.
    spare = (np.int64(h.deaths_cap) - np.int64(h.deaths_len) - DEATH_ROOM) >> 1
    sim.check_at = min(np.int64(sim.sample_at), sim.events + max(spare, np.int64(1)))
    return True


@kentry
def run_trace(h, ev, start, stop):
    """Apply events [start, stop) of the columns ``ev`` to ``h``; return the index of the first one not applied.

    Less than ``stop`` means that a table has no room for that event (``need_arenas``, ``need_objects``).
    """
    kinds, ps, sizes, noscans, numbers, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    sim = h.sim
    procs = np.int64(sim.params.procs)
    for event in range(start, stop):
        i = np.uint64(event)
        h.event = sim.events
        p = np.int64(ps[i])
        if p >= procs:
            p %= procs
        if p >= np.int64(sim.ps_used):
            sim.ps_used = p + 1
        if (sim.events >= sim.check_at or sim.now >= sim.wake) and not _between_events(h, p):
            return event
        kind = np.int64(kinds[i])
        number = np.int64(numbers[i])
        if number < 0 or number >= np.int64(h.objects_cap):
            h.need_objects = number + 1
            return event
        nbytes = np.int64(sizes[i])
        if kind == DEATH:
            entry = objects(h, number)
            if entry == _U0 or entry & IS_STACK != _U0:
                raise BadEvent("death of an object that was not born", number)
            object_dies(h, number, entry)
        elif kind == ALLOC:
            if objects(h, number) != _U0:
                raise BadEvent("birth of an object that lives", number)
            if not _alloc(h, number, nbytes, noscans[i] != 0, p):
                return event
            _pass_time(h, nbytes, times[i])
        elif not _other(h, kind, number, nbytes, p):
            return event
        sim.events += 1
    return stop


@kentry
def sim_end(h):
    """Take the last sample and finish the row of the last collection."""
    cycle_close(h)
    take_sample(h, WHY_END)
