"""exectrace_batches: a generation of an execution trace cut into batches, and its tables read.

``split_batches`` walks over the bytes at hand, batch by batch, each only when all of its bytes are there.  Strings,
stacks and samples go to their tables at once, for which room is made before; batches of events are chained by thread.
The generation is complete when the next one begins or its end mark comes, and only then its events can be put in order.

Offsets are places in the table ``data``, which begins at some place in the file.
"""

import numpy as np

from ._jit import kentry, kjit
from .exectrace_maps import map_get, map_has_room, map_put
from .exectrace_numbers import OVERFLOWS, TRUNCATED, ZERO, bad_number, fail, varint
from .exectrace_structs import (
    ALLOC_FREE,
    BAD_GENERATION,
    BROKEN,
    EV_CPU_SAMPLES,
    EV_END_OF_GENERATION,
    EV_EVENT_BATCH,
    EV_EXPERIMENTAL_BATCH,
    EV_FREQUENCY,
    EV_STACKS,
    EV_STRINGS,
    EVENTS,
    FINE,
    GENERATION_ENDS,
    INFO_BATCH,
    LONG_BATCH,
    LONG_NAME,
    LONG_NUMBER,
    MANY_THREADS,
    MAX_BATCH,
    MAX_THREADS,
    NEEDS_DATA,
    NEEDS_ROOM,
    NO_CLOCK,
    NO_FREQUENCY,
    NOT_A_BATCH,
    OK,
    OTHER_GENERATION,
    STACKS,
    STRUCTURE,
    TYPES,
    TYPES_BATCH,
    batch_at,
    cursor_at,
    data_byte,
)
from .exectrace_tables import add_samples, add_stacks, add_strings, check_frames, set_clock

MIN_ENTRY = 3
"""Bytes of the shortest string, stack or sample in its batch."""


@kjit
def add_experiment(t, at, end, batch):
    """Read a batch of the experiment: what events' numbers mean, or types. Modifies t."""
    what = np.int64(data_byte(t, at))
    start = at
    at += 1
    if what == INFO_BATCH:
        for i in range(4):
            found, at = varint(t, at, end)
            t.info[np.uint64(i)] = found
        if at < 0:
            return bad_number(t, start, at)
        t.has_info = 1
    elif what == TYPES_BATCH:
        batch.kind = TYPES
        while at < end:
            start = at
            for _ in range(4):
                _, at = varint(t, at, end)
            length, at = varint(t, at, end)
            if at < 0:
                return bad_number(t, start, at)
            if length > np.uint64(end - at):
                return fail(t, LONG_NAME, start, np.int64(length), 0)
            at += np.int64(length)
            t.types += 1
    return OK


@kjit
def cursor_of(t, m):
    """Return the row of thread ``m``'s cursor, which is made if it is new; -1 if there are too many. Modifies t."""
    key = np.uint64(m)
    found = map_get(t.cursor_ids, key)
    if found != ZERO:
        return np.int64(found) - 1
    if t.n_cursors >= MAX_THREADS:
        return np.int64(-1)
    row = np.int64(t.n_cursors)
    t.n_cursors += 1
    c = cursor_at(t, row)
    c.m = m
    c.ms = 0
    c.last_ts = 0
    c.at = 0
    c.end = 0
    c.batch = 0
    c.tail = 0
    map_put(t.cursor_ids, key, np.uint64(row + 1))
    return row


@kjit
def chain_events(t, at, m, row):
    """Let batch ``row`` be the last of thread ``m``, if there is anything in it. Modifies t, cursors, batches."""
    place = cursor_of(t, m)
    if place < 0:
        return fail(t, MANY_THREADS, at, 0, 0)
    batch = batch_at(t, row)
    if batch.at == batch.end:
        return OK
    c = cursor_at(t, place)
    if c.tail == 0:
        c.batch = row
        c.at = batch.at
        c.end = batch.end
    else:
        batch_at(t, c.tail).following = row
    c.tail = row
    return OK


@kjit
def add_batch(t, start, at, end, experiment, m, time):
    """Take in the batch whose data are from ``at`` to ``end``. Modifies t and its tables."""
    row = np.int64(t.n_batches)
    batch = batch_at(t, row)
    batch.at = at
    batch.end = end
    batch.start = time
    batch.following = 0
    batch.kind = STRUCTURE
    fault = OK
    if experiment != ZERO:
        if experiment == ALLOC_FREE and at < end:
            fault = add_experiment(t, at, end, batch)
        if batch.kind == TYPES:
            t.n_batches += 1
        return fault
    first = np.int64(data_byte(t, at)) if at < end else np.int64(0)
    if first == EV_STRINGS:
        return add_strings(t, at + 1, end)
    if first == EV_STACKS:
        batch.kind = STACKS
        t.n_batches += 1
        return add_stacks(t, at + 1, end)
    if first == EV_CPU_SAMPLES:
        return add_samples(t, at + 1, end)
    if first == np.int64(t.sync) and first != 0:
        # Without a byte of its own in front, the frequency itself says what it is.
        return set_clock(t, at + np.int64(first != EV_FREQUENCY), end)
    batch.kind = EVENTS
    t.n_batches += 1
    return chain_events(t, start, m, row)


@kjit
def room_for_batch(t, n):
    """Whether a batch of ``n`` bytes may be taken in. Modifies t (wanted)."""
    entries = n // MIN_ENTRY
    t.wanted = entries
    return (
        t.n_batches + 1 < t.batches_len
        and t.n_cursors + 1 < t.cursors_len
        and t.n_samples + entries <= t.samples_len
        and map_has_room(t.cursor_ids, 1)
        and map_has_room(t.strings, entries)
        and map_has_room(t.stacks, entries)
    )


@kjit
def next_batch(t, end):
    """Take in the batch at ``read_at`` if it is there up to its last byte; return how it went. Modifies t."""
    start = np.int64(t.read_at)
    if start >= end:
        return NEEDS_DATA
    kind = np.int64(data_byte(t, start))
    if kind == EV_END_OF_GENERATION and t.marked_end != 0:
        t.read_at += 1
        return GENERATION_ENDS
    if kind != EV_EVENT_BATCH and kind != EV_EXPERIMENTAL_BATCH:
        fail(t, NOT_A_BATCH, start, kind, 0)
        return BROKEN
    at = start + 1
    experiment = ZERO
    if kind == EV_EXPERIMENTAL_BATCH:
        if at >= end:
            return NEEDS_DATA
        experiment = np.uint64(data_byte(t, at))
        at += 1
    gen, at = varint(t, at, end)
    m, at = varint(t, at, end)
    time, at = varint(t, at, end)
    length, at = varint(t, at, end)
    if at == TRUNCATED:
        return NEEDS_DATA
    if at == OVERFLOWS:
        fail(t, LONG_NUMBER, start, 0, 0)
        return BROKEN
    if length > np.uint64(MAX_BATCH):
        fail(t, LONG_BATCH, start, np.int64(length), 0)
        return BROKEN
    if gen == ZERO:
        fail(t, BAD_GENERATION, start, 0, 0)
        return BROKEN
    if t.gen == ZERO:
        t.gen = gen
    if gen != t.gen:
        if t.marked_end == 0 and gen == t.gen + np.uint64(1):
            return GENERATION_ENDS
        fail(t, OTHER_GENERATION, start, np.int64(gen), np.int64(t.gen))
        return BROKEN
    stop = at + np.int64(length)
    if stop > end:
        return NEEDS_DATA
    if not room_for_batch(t, np.int64(length)):
        return NEEDS_ROOM
    if t.min_ts == ZERO or time < t.min_ts:
        t.min_ts = time
    if add_batch(t, start, at, stop, experiment, np.int64(m), time) != OK:
        return BROKEN
    t.read_at = stop
    return FINE


@kentry
def split_batches(t, end):
    """Take in batches up to offset ``end``, where the bytes at hand end; return why it stopped. Modifies t.

    GENERATION_ENDS: the generation is complete, and the next begins at ``read_at``.
    """
    status = FINE
    while status == FINE:
        status = next_batch(t, end)
    return status


@kentry
def finish_generation(t):
    """Check what can be checked only when the generation is complete; return FINE or BROKEN. Modifies t."""
    if t.freq == 0.0:
        fail(t, NO_FREQUENCY, np.int64(t.read_at), 0, 0)
        return BROKEN
    if t.clock != 0 and t.has_clock == 0:
        fail(t, NO_CLOCK, np.int64(t.read_at), 0, 0)
        return BROKEN
    for row in range(1, t.n_batches):
        batch = batch_at(t, row)
        if batch.kind == STACKS and check_frames(t, np.int64(batch.at) + 1, np.int64(batch.end)) != OK:
            return BROKEN
    return FINE


@kentry
def read_types(t, rows):
    """Fill ``rows``, of ``t.types`` rows: number, address, size, bytes with pointers, offset and length of the name."""
    n = 0
    for row in range(1, t.n_batches):
        batch = batch_at(t, row)
        if batch.kind != TYPES:
            continue
        at = np.int64(batch.at) + 1
        end = np.int64(batch.end)
        while at < end:
            for i in range(4):
                found, at = varint(t, at, end)
                rows[n, i] = found
            length, at = varint(t, at, end)
            rows[n, 4] = np.uint64(at)
            rows[n, 5] = length
            at += np.int64(length)
            n += 1
    return n
