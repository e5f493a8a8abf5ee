"""generate: the events of a workload, made as they are asked for.

One loop decides what happens next, in this order: what is due dies; what a stream holds too much of is evicted; the
wheel turns on to the clock; the phase ends, or a collection is forced, or an object (or stack) is allocated.  Nothing
outside the records and arrays passed in says where the stream is, so it can stop after any event and go on from there:
the events do not depend on how they are cut into batches.

Memory is bounded by what is alive.  Ids are dense: the id freed last is the next to be used.

Random numbers are splitmix64's (``splitmix``): each is a hash of a counter, so that the six an allocation may need are
computed side by side.

Before anything is changed, room is made sure of: the generator returns with ``needs`` set, the caller makes an array
larger, and the same step is tried again.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .chunk_lists import has_chunks, list_push
from .generate_draw import S32, below, bury, bury_due, pick_cell, put_row, value_in_cell
from .generate_phases import close_phase, end_phase, evict_one, hold, phase_is_over, start_phase
from .generate_structs import (
    BY_LIFETIME,
    DONE,
    ENDING,
    IN_GROUPS,
    IN_TURN,
    NEEDS_CHUNKS,
    NEEDS_IDS,
    NEEDS_NOTHING,
    NEEDS_RINGS,
    OLDEST_FIRST,
    RUNNING,
    SKEWED,
    STACK_BITS,
    STARTING,
    STAYS,
    STREAM_BITS,
    free_id,
    open_group,
    phase_plan,
    ring_at,
    stream_plan,
)
from .intrinsics import ctz64
from .splitmix import GOLDEN, mix
from .timing_wheel import wheel_put, wheel_put_list, wheel_take
from .trace_events import ALLOC, FORCED_GC, STACK_ALLOC

G1, G2, G3, G4, G5, G6 = (np.uint64(k * int(GOLDEN) % 2**64) for k in range(1, 7))
TOP_P = np.uint64(1 << 62)


# ---------------------------------------------------------------------------------------------------- births


@kinline
def choose_p(g, phase, r):
    """Set the P of the next allocation; ``r`` has random bits in its lower half. Modifies g."""
    if g.run_left == 0:
        g.run_left = phase.run
        if phase.spread == IN_TURN:
            g.on_p += 1
            if g.on_p >= phase.ps:
                g.on_p = 0
        elif phase.spread == SKEWED:
            g.on_p = min(ctz64(r | TOP_P), phase.ps - 1)
        else:
            g.on_p = below(r << S32, phase.ps)
    g.run_left -= 1


@kjit
def join_group(g, stream, entry, amount, base):
    """Add an object to an open group of ``stream``; a full one is given its time. Modifies g, groups, wheel, chunks."""
    group = open_group(g, stream.groups + below(mix(base + G4), stream.open_groups))
    group.head = list_push(g, group.head, entry)
    if group.tail == 0:
        group.tail = group.head
    group.filled += amount if stream.by_bytes != 0 else np.int64(1)
    if group.filled >= stream.group_amount:
        life = value_in_cell(pick_cell(g, stream.first, stream.cells, mix(base + G5)), mix(base + G6))
        wheel_put_list(g, group.head, group.tail, g.clock + life)
        group.head = 0
        group.tail = 0
        group.filled = 0


@kinline
def set_fate(g, s, entry, amount, base):
    """Decide when an object of stream ``s`` dies. Modifies g, wheel, groups, rings, chunks."""
    stream = stream_plan(g, s)
    if stream.dies == BY_LIFETIME:
        life = value_in_cell(pick_cell(g, stream.first, stream.cells, mix(base + G4)), mix(base + G5))
        wheel_put(g, entry, g.clock + life)
    elif stream.dies == IN_GROUPS:
        join_group(g, stream, entry, amount, base)
    elif stream.dies >= OLDEST_FIRST:
        hold(g, s, entry, amount)
    elif stream.dies == STAYS:
        g.stay = list_push(g, g.stay, entry)


@kinline
def lacks_room(g, stream):
    """Whether there is no id, chunk or place in a ring for one more object of ``stream``. Modifies g."""
    if g.ids_free == 0 and g.ids_used >= g.ids_len:
        g.needs = NEEDS_IDS
    elif not has_chunks(g, 1):
        g.needs = NEEDS_CHUNKS
    elif stream.dies >= OLDEST_FIRST and ring_at(g, stream.row).count >= g.places:
        g.needs = NEEDS_RINGS
    return g.needs != NEEDS_NOTHING


@kinline
def take_id(g):
    """Return a free id; there is one. Modifies g."""
    if g.ids_free != 0:
        g.ids_free -= 1
        return np.int64(free_id(g, g.ids_free))
    g.ids_used += 1
    return g.ids_used - 1


@kinline
def give_birth(g, phase, n):
    """Allocate an object or stack and write it in row ``n``; return the next row. Modifies all."""
    base = g.rng
    cell = pick_cell(g, phase.first, phase.cells, mix(base + G1))
    s = cell.stream
    stream = stream_plan(g, s)
    if lacks_room(g, stream):
        return n
    r = mix(base + G3)
    g.rng = base + G6
    name = take_id(g)
    choose_p(g, phase, r)
    g.time += phase.alloc_time
    g.allocs += 1
    amount = value_in_cell(cell, mix(base + G2))
    entry = np.uint64(name) | (np.uint64(s) << np.uint64(STREAM_BITS))
    if stream.stack != 0:
        entry |= np.uint64(ctz64(np.uint64(amount))) << np.uint64(STACK_BITS)
        put_row(g, n, STACK_ALLOC, g.on_p, amount, 0, name)
    else:
        g.clock += amount
        put_row(g, n, ALLOC, g.on_p, amount, np.int64(r >> S32) < cell.noscan, name)
    set_fate(g, s, entry, amount, base)
    return n + 1


# ---------------------------------------------------------------------------------------------------- the loop


@kjit
def run_phase(g, n, rows):
    """Do what happens in a phase until its end, or while there are rows and room; return the next row. Modifies all."""
    phase = phase_plan(g, g.phase)
    while n < rows and g.needs == NEEDS_NOTHING:
        if g.evict < g.evict_end:
            stream = stream_plan(g, g.evict)
            if stream.live > stream.may_hold:
                bury(g, n, evict_one(g, g.evict))
                n += 1
            else:
                g.evict += 1
            continue
        g.due = wheel_take(g, g.clock >> g.shift)
        if g.due != 0:
            n = bury_due(g, n, rows)
        elif phase_is_over(g, phase):
            g.stage = ENDING
            return n
        elif phase.collect_every != 0 and g.clock >= g.collect_at:
            g.collect_at = g.clock + phase.collect_every
            put_row(g, n, FORCED_GC, g.on_p, 0, 0, 0)
            n += 1
        else:
            n = give_birth(g, phase, n)
    return n


@kentry
def generate(g):
    """Fill the output columns, which are all 0, with the next events; return how many: fewer if done or in need."""
    n = np.int64(0)
    rows = g.kind_out_len
    g.needs = NEEDS_NOTHING
    while n < rows and g.stage != DONE and g.needs == NEEDS_NOTHING:
        if g.due != 0:
            n = bury_due(g, n, rows)
        elif g.stage == RUNNING:
            n = run_phase(g, n, rows)
        elif g.stage == STARTING:
            start_phase(g, n)
            n += 1
        elif g.stage == ENDING:
            end_phase(g)
        else:
            n = close_phase(g, n)
    return n
