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
from .chunk_lists import (
    chunk_count,
    chunk_free_put,
    chunk_next,
    chunk_shorten,
    has_chunks,
    list_last,
    list_pop,
    list_push,
)
from .generate_structs import (
    AT_RANDOM,
    BY_LIFETIME,
    CERTAIN,
    CHUNK_ENTRIES,
    CHUNK_WORDS,
    CLOSING,
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
    SECOND_CHANCE,
    SKEWED,
    STACK_BITS,
    STARTING,
    STAYS,
    STREAM_BITS,
    TIME_SHIFT,
    cell_at,
    chunk_word,
    drop_share,
    free_id,
    free_id_set,
    held_at,
    id_set,
    kind_set,
    may_hold,
    noscan_set,
    open_group,
    p_set,
    phase_plan,
    ring_at,
    size_set,
    slot_head,
    slot_set,
    stream_plan,
    time_set,
)
from .intrinsics import ctz64
from .splitmix import GOLDEN, mix
from .timing_wheel import wheel_put, wheel_put_list, wheel_take
from .trace_events import ALLOC, DEATH, FORCED_GC, PHASE, STACK_ALLOC, STACK_FREE

LOW = np.uint64(0xFFFFFFFF)
S11, S32 = np.uint64(11), np.uint64(32)
G1, G2, G3, G4, G5, G6 = (np.uint64(k * int(GOLDEN) % 2**64) for k in range(1, 7))
TOP_P = np.uint64(1 << 62)
TWO_M53 = 2.0**-53


# ---------------------------------------------------------------------------------------------------- chance


@kjit
def next_random(g):
    """Return 64 random bits. Modifies g."""
    g.rng = g.rng + GOLDEN
    return mix(g.rng)


@kinline
def below(r, count):
    """Return a number from 0 to ``count`` - 1 (less than 2**32) made of the upper half of ``r``."""
    return np.int64(((r >> S32) * np.uint64(count)) >> S32)


@kinline
def pick_cell(g, first, count, r):
    """Return the cell that ``r`` falls into, of the ``count`` from ``first`` on."""
    i = first + below(r, count)
    cell = cell_at(g, i)
    # Both are read, so that the choice costs no branch, which would be wrong half of the time.
    keep, other = cell.keep, cell.other
    return cell_at(g, i if np.int64(r & LOW) < keep else first + other)


@kinline
def value_in_cell(cell, r):
    """Return the value that ``r`` picks in ``cell``."""
    return cell.least + np.int64(cell.width * (np.float64(np.int64(r >> S11)) * TWO_M53))


# ---------------------------------------------------------------------------------------------------- rows


@kinline
def put_row(g, n, kind, p, amount, noscan, name):
    """Write row ``n``. Modifies the columns."""
    kind_set(g, n, kind)
    p_set(g, n, p)
    size_set(g, n, amount)
    noscan_set(g, n, noscan)
    id_set(g, n, name)
    time_set(g, n, g.time >> np.int64(TIME_SHIFT))


@kinline
def bury(g, n, entry):
    """Write the death of ``entry`` in row ``n``, which is all 0, and free its id. Modifies g, ids, columns."""
    name = np.int64(entry & LOW)
    order = np.int64(entry >> np.uint64(STACK_BITS))
    if order != 0:
        put_row(g, n, STACK_FREE, g.on_p, np.int64(1) << order, 0, name)
    else:
        kind_set(g, n, DEATH)
        id_set(g, n, name)
        time_set(g, n, g.time >> np.int64(TIME_SHIFT))
    free_id_set(g, g.ids_free, name)
    g.ids_free += 1


@kjit
def bury_due(g, n, rows):
    """Write the deaths of what is due, as far as there are rows; return the next row. Modifies g, chunks, columns."""
    chunk = g.due
    while chunk != 0 and n < rows:
        head = chunk_word(g, chunk * np.int64(CHUNK_WORDS))
        count = chunk_count(head)
        left = max(count - (rows - n), np.int64(0))
        for k in range(count, left, -1):
            bury(g, n, chunk_word(g, chunk * np.int64(CHUNK_WORDS) + k))
            n += 1
        if left != 0:
            chunk_shorten(g, chunk, left)
        else:
            chunk_free_put(g, chunk)
            chunk = chunk_next(head)
    g.due = chunk
    return n


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
