"""Recounts of a run of the twin's own: what the program can reach, and where every byte is.

``verify_sim`` checks all that ``verify_heap`` does, and that the accounts which follow births and deaths agree with the
table of objects, with the counts of tiny blocks and with the heap's bitmaps.
"""

import numpy as np

from ._jit import kentry, kjit
from .intrinsics import popcount64
from .mbitmap import mspan_allocated_word, mspan_is_allocated, mspan_obj_index
from .mheap_arena import span_of
from .mheap_gcbits import bitmap_words
from .mheap_tiny import tiny_count
from .mpallocbits import low_mask
from .sim_objects import ADDR_BITS, ADDR_MASK, CLASS_MASK, DIED_MARKING, IS_STACK, IS_TINY
from .structs import GC_OFF, MAX_TINY_SIZE, SPAN_IN_USE, SPAN_MANUAL
from .tables import deaths, objects, span, tiny_counts
from .verify import verify_heap
from .verify_lists import Violation

SIM_INVARIANTS = {
    "R1": "an object that the program can reach is allocated, in a span of its class",
    "R2": "live, live_scan and live_objects are the sums over the objects that the program can reach",
    "R3": "a tiny block counts the objects in it",
    "R4": "slots taken less slots freed are the allocated slots of all spans, as far as sweeping has come",
    "R5": "a dead object that waits for a collection is allocated",
    "R6": "every byte that is mapped is in one account, and no account is below 0",
    "R7": "what the program can reach and what waits to be unmarked are together at most what is allocated",
}
_U0 = np.uint64(0)


@kjit
def _is_slot_taken(h, addr):
    """Span index of the allocated object at ``addr``, 0 if there is none."""
    index = span_of(h, addr)
    if index == 0 or span(h, index).state != SPAN_IN_USE:
        return np.int64(0)
    s = span(h, index)
    obj = mspan_obj_index(s, addr)
    return index if obj < np.int64(s.nelems) and mspan_is_allocated(h, s, obj) else np.int64(0)


@kjit
def _current_blocks(h):
    """Tiny blocks that an mcache fills although nothing in them lives; they count as live."""
    n = np.int64(0)
    for p in range(np.int64(h.sim.ps_used)):
        block = np.int64(h.allp[p].mcache.tiny)
        if block != 0 and tiny_count(h, block) == 0:
            n += 1
    return n


@kjit
def _verify_reachable(h):
    """R1 and R2, with the blocks of tiny objects counted by R3; returns the tiny objects."""
    live, scan, count, tiny, stacks = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    n_stacks = np.int64(0)
    for number in range(np.int64(h.objects_len)):
        entry = objects(h, number)
        if entry == _U0:
            continue
        addr = np.int64(entry & ADDR_MASK)
        if entry & IS_STACK != _U0:
            stacks += np.int64(1) << np.int64((entry >> ADDR_BITS) & CLASS_MASK)
            n_stacks += 1
            if span(h, span_of(h, addr)).state != SPAN_MANUAL:
                raise Violation("R1", number, addr)
            continue
        count += 1
        index = _is_slot_taken(h, addr)
        if index == 0 or np.int64(span(h, index).spanclass) != np.int64((entry >> ADDR_BITS) & CLASS_MASK):
            raise Violation("R1", number, addr)
        if entry & IS_TINY != _U0:
            tiny += 1
            continue
        live += np.int64(span(h, index).elemsize)
        if span(h, index).spanclass & 1 == 0:
            scan += np.int64(span(h, index).elemsize)
    blocks = _verify_tiny(h, tiny) + _current_blocks(h)
    sim = h.sim
    live += blocks * MAX_TINY_SIZE
    if live != np.int64(sim.live) or scan != np.int64(sim.live_scan) or count != np.int64(sim.live_objects):
        raise Violation("R2", live, sim.live, scan, sim.live_scan, count, sim.live_objects)
    if stacks != np.int64(sim.stack_live) or n_stacks != np.int64(sim.stack_count):
        raise Violation("R2", stacks, sim.stack_live, n_stacks, sim.stack_count)


@kjit
def _verify_tiny(h, tiny):
    """R3: the counts of all blocks sum to the ``tiny`` objects there are; returns the blocks that have any."""
    total, blocks = np.int64(0), np.int64(0)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE or s.tiny == 0:
            continue
        counts = tiny_counts(h, s.tiny)
        for k in range(counts.count.shape[0]):
            total += np.int64(counts.count[k])
            if counts.count[k] != 0:
                blocks += 1
    if total != tiny:
        raise Violation("R3", total, tiny)
    return blocks


@kjit
def _verify_slots(h):
    """R4: slots that spans have handed out, by their bitmaps, are those taken and not freed."""
    taken, slots = np.int64(0), np.int64(0)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        count = np.int64(0)
        words = bitmap_words(s.nelems)
        for word in range(words):
            bits = mspan_allocated_word(h, s, np.int64(word))
            if word == words - 1:
                bits &= low_mask(np.int64(s.nelems) - (words - 1) * 64)
            count += popcount64(bits)
        taken += count * np.int64(s.elemsize)
        slots += np.int64(s.nelems) * np.int64(s.elemsize)
    if taken != np.int64(h.sim.slots_taken) - np.int64(h.stats.total_free) or slots != np.int64(h.stats.slot_bytes):
        raise Violation("R4", taken, h.sim.slots_taken, h.stats.total_free, slots, h.stats.slot_bytes)


@kjit
def _verify_deaths(h):
    """R5 and R7: the dead that wait are allocated, and with what lives they are no more than what is."""
    waiting = np.int64(0)
    for k in range(np.int64(h.deaths_len)):
        addr = np.int64(deaths(h, k) & ~DIED_MARKING)
        index = _is_slot_taken(h, addr)
        if index == 0:
            raise Violation("R5", addr)
        waiting += np.int64(span(h, index).elemsize)
    taken = np.int64(h.sim.slots_taken) - np.int64(h.stats.total_free)
    if np.int64(h.sim.live) + waiting > taken:
        raise Violation("R7", h.sim.live, waiting, taken)
    # Once everything is swept nothing else is left: then the two are all there is.
    if h.sweep_drained != 0 and h.gcphase == GC_OFF and np.int64(h.sim.live) + waiting != taken:
        raise Violation("R7", h.sim.live, waiting, taken)


@kjit
def _verify_mapped(h):
    """R6: every byte is in one account."""
    stats = h.stats
    taken = np.int64(h.sim.slots_taken) - np.int64(stats.total_free)
    garbage = taken - np.int64(h.sim.live)
    free_slots = np.int64(stats.slot_bytes) - taken
    tail = np.int64(stats.heap_in_use) - np.int64(stats.slot_bytes)
    if garbage < 0 or free_slots < 0 or tail < 0:
        raise Violation("R6", garbage, free_slots, tail)
    total = np.int64(h.sim.live) + garbage + free_slots + tail + np.int64(stats.in_stacks)
    total += np.int64(stats.in_ptr_scalar_bits) + np.int64(stats.in_work_bufs)
    total += np.int64(stats.heap_free) + np.int64(stats.heap_released)
    if total != np.int64(stats.prepared) + np.int64(stats.ready):
        raise Violation("R6", total, stats.prepared, stats.ready)


@kentry
def verify_sim(h):
    """Check every invariant of ``verify.INVARIANTS`` and ``SIM_INVARIANTS``; raises ``Violation``."""
    verify_heap(h)
    _verify_reachable(h)
    _verify_slots(h)
    _verify_deaths(h)
    _verify_mapped(h)
