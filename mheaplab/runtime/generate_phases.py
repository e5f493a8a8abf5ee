"""Phases of a workload, and the streams that hold what they can: what dies other than by its own time.

A phase begins with a mark in the trace and ends with what it drops: every list and ring is gone through once, in a
fixed order, and what chance chooses becomes due.  A held stream is a ring of objects from the oldest on; when it holds
more than it may, one goes: the oldest, any, or the oldest that was not used of late.
"""

import numpy as np

from ._jit import kinline, kjit
from .chunk_lists import has_chunks, list_last, list_pop, list_push
from .generate_draw import S32, below, next_random, put_row
from .generate_structs import (
    AT_RANDOM,
    CERTAIN,
    CHUNK_ENTRIES,
    CLOSING,
    DONE,
    ENDING,
    NEEDS_CHUNKS,
    OLDEST_FIRST,
    RUNNING,
    SECOND_CHANCE,
    STARTING,
    STREAM_BITS,
    drop_share,
    held_at,
    may_hold,
    open_group,
    phase_plan,
    ring_at,
    slot_head,
    slot_set,
    stream_plan,
)
from .trace_events import FORCED_GC, PHASE

# ---------------------------------------------------------------------------------------------------- held streams


@kinline
def place(g, stream, k):
    """Return where the ring of ``stream`` has its item ``k``, counted from the oldest."""
    return stream.row * g.places + ((ring_at(g, stream.row).head + k) & (g.places - 1))


@kinline
def evict_one(g, s):
    """Take one object out of what stream ``s`` holds and return its entry. Modifies g, streams, rings."""
    stream = stream_plan(g, s)
    ring = ring_at(g, stream.row)
    first = held_at(g, place(g, stream, 0))
    entry, amount = first.entry, first.amount
    if stream.dies == AT_RANDOM:
        # The oldest takes the place of the one that goes.
        item = held_at(g, place(g, stream, below(next_random(g), ring.count)))
        oldest, its_amount = entry, amount
        entry, amount = item.entry, item.amount
        item.entry = oldest
        item.amount = its_amount
    elif stream.dies == SECOND_CHANCE:
        while np.int64(next_random(g) >> S32) < stream.again:
            item = held_at(g, place(g, stream, ring.count))
            item.entry = entry
            item.amount = amount
            ring.head = (ring.head + 1) & (g.places - 1)
            item = held_at(g, place(g, stream, 0))
            entry, amount = item.entry, item.amount
    ring.head = (ring.head + 1) & (g.places - 1)
    ring.count -= 1
    stream.live -= amount
    return entry


@kinline
def hold(g, s, entry, amount):
    """Add an object of ``amount`` bytes to what stream ``s`` holds. Modifies g, streams, rings."""
    stream = stream_plan(g, s)
    ring = ring_at(g, stream.row)
    item = held_at(g, place(g, stream, ring.count))
    item.entry = entry
    item.amount = amount
    ring.count += 1
    stream.live += amount
    g.evict = s
    g.evict_end = s + 1


# ---------------------------------------------------------------------------------------------------- phases


@kjit
def start_phase(g, n):
    """Write the phase's mark in row ``n`` and set what changes with it. Modifies g, streams, columns."""
    phase = phase_plan(g, g.phase)
    g.time += phase.idle_time
    put_row(g, n, PHASE, 0, g.phase, 0, 0)
    g.allocs = 0
    g.phase_clock = g.clock
    g.collect_at = g.clock + phase.collect_every
    g.on_p = phase.ps - 1
    g.run_left = 0
    for s in range(g.streams_len):
        stream_plan(g, s).may_hold = may_hold(g, g.phase * g.streams_len + s)
    g.evict = 0
    g.evict_end = g.streams_len
    g.stage = RUNNING


@kinline
def phase_is_over(g, phase):
    """Whether the phase has allocated what it was to allocate."""
    if phase.by_bytes != 0:
        return g.clock - g.phase_clock >= phase.amount
    return g.allocs >= phase.amount


@kjit
def is_dropped(g, entry):
    """Whether ``entry`` dies at the end of the phase. Modifies g."""
    s = np.int64((entry >> np.uint64(STREAM_BITS)) & np.uint64(0xFFFF))
    share = drop_share(g, g.phase * g.streams_len + s)
    return share != 0 and (share >= CERTAIN or np.int64(next_random(g) >> S32) < share)


@kjit
def drop_from_list(g, chunk):
    """Return the list ``chunk`` without what dies at the end of the phase, in the same order. Modifies g, chunks."""
    aside = np.int64(0)
    while chunk != 0:
        chunk, entry = list_pop(g, chunk)
        if is_dropped(g, entry):
            g.due = list_push(g, g.due, entry)
        else:
            aside = list_push(g, aside, entry)
    while aside != 0:
        aside, entry = list_pop(g, aside)
        chunk = list_push(g, chunk, entry)
    return chunk


@kjit
def drop_from_ring(g, s):
    """Take what dies at the end of the phase out of what stream ``s`` holds. Modifies g, streams, rings, chunks."""
    stream = stream_plan(g, s)
    ring = ring_at(g, stream.row)
    kept = np.int64(0)
    for k in range(ring.count):
        item = held_at(g, place(g, stream, k))
        entry, amount = item.entry, item.amount
        if is_dropped(g, entry):
            g.due = list_push(g, g.due, entry)
            stream.live -= amount
        else:
            to = held_at(g, place(g, stream, kept))
            to.entry = entry
            to.amount = amount
            kept += 1
    ring.count = kept


@kjit
def drop_all(g):
    """Make due what dies with the phase: of wheel, groups, what stays, what is held, in this order. Modifies all."""
    for slot in range(g.wheel_len):
        if slot_head(g, slot) != 0:
            slot_set(g, slot, drop_from_list(g, slot_head(g, slot)))
    for k in range(g.groups_len):
        group = open_group(g, k)
        group.head = drop_from_list(g, group.head)
        group.tail = list_last(g, group.head)
    g.stay = drop_from_list(g, g.stay)
    for s in range(g.streams_len):
        if stream_plan(g, s).dies >= OLDEST_FIRST:
            drop_from_ring(g, s)


@kjit
def drops_something(g):
    """Whether the phase's end may kill anything."""
    for s in range(g.streams_len):
        if drop_share(g, g.phase * g.streams_len + s) != 0:
            return True
    return False


@kjit
def end_phase(g):
    """Make due what dies at the end of the phase, or ask for room to do so. Modifies all."""
    g.stage = CLOSING
    if not drops_something(g):
        return
    # A list gives back chunks as it is emptied, so all lists need three more; rings give back nothing.
    chunks = np.int64(4)
    for k in range(g.ring_ends_len):
        chunks += ring_at(g, k).count // CHUNK_ENTRIES + 1
    if not has_chunks(g, chunks):
        g.stage = ENDING
        g.needs = NEEDS_CHUNKS
        return
    drop_all(g)


@kjit
def close_phase(g, n):
    """Force the collection at the end of a phase, if there is one; return the next row. Modifies g, columns."""
    how = phase_plan(g, g.phase).collect_end
    if how != 0:
        put_row(g, n, FORCED_GC, g.on_p, how - 1, 0, 0)
        n += 1
    g.phase += 1
    g.stage = STARTING
    if g.phase == g.phases_len:
        g.stage = DONE
    return n
