"""exectrace_batches: a generation of an execution trace cut into batches, and its tables read.

``split_batches`` walks over the bytes at hand, batch by batch, each only when all of its bytes are there.  Strings,
stacks and samples go to their tables at once, for which room is made before; batches of events are chained by thread.
The generation is complete when the next one begins or its end mark comes, and only then its events can be put in order.

Offsets are places in the table ``data``, which begins at some place in the file.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .exectrace_maps import map_get, map_has_room, map_put
from .exectrace_structs import (
    ALLOC_FREE,
    ASKING,
    BAD_GENERATION,
    BROKEN,
    BY_FREE_OS_MEMORY,
    BY_ITSELF,
    BY_RUNTIME_GC,
    CLOCK_TWICE,
    EV_CLOCK_SNAPSHOT,
    EV_CPU_SAMPLE,
    EV_CPU_SAMPLES,
    EV_END_OF_GENERATION,
    EV_EVENT_BATCH,
    EV_EXPERIMENTAL_BATCH,
    EV_FREQUENCY,
    EV_STACK,
    EV_STACKS,
    EV_STRING,
    EV_STRINGS,
    EVENTS,
    FINE,
    FREQUENCY_TWICE,
    GENERATION_ENDS,
    INFO_BATCH,
    LONG_BATCH,
    LONG_NAME,
    LONG_NUMBER,
    LONG_STACK,
    LONG_STRING,
    MANY_THREADS,
    MAX_BATCH,
    MAX_FRAMES,
    MAX_STRING,
    MAX_THREADS,
    NEEDS_DATA,
    NEEDS_ROOM,
    NO_CLOCK,
    NO_FRAME_STRING,
    NO_FREQUENCY,
    NO_HERTZ,
    NOT_A_BATCH,
    NOT_A_CLOCK,
    NOT_A_SAMPLE,
    NOT_A_STACK,
    NOT_A_STRING,
    OK,
    OTHER_GENERATION,
    SHORT_BATCH,
    STACK_TWICE,
    STACKS,
    STRING_TWICE,
    STRUCTURE,
    TYPES,
    TYPES_BATCH,
    batch_at,
    cursor_at,
    data_byte,
    data_word,
    sample_set,
)
from .intrinsics import ctz64

TRUNCATED = np.int64(-1)
OVERFLOWS = np.int64(-2)
"""What stands for the next offset after a number that was cut off, or has more than 64 bits."""
ZERO = np.uint64(0)
LOW7 = np.uint64(0x7F)
BIT8 = np.uint64(0x80)
S7 = np.uint64(7)
ONE = np.uint64(1)
BIT8S = np.uint64(0x8080808080808080)
LOW7S = np.uint64(0x7F7F7F7F7F7F7F7F)
EVEN_BYTES = np.uint64(0x007F007F007F007F)
ODD_BYTES = np.uint64(0x7F007F007F007F00)
EVEN_PAIRS = np.uint64(0x00003FFF00003FFF)
ODD_PAIRS = np.uint64(0x3FFF00003FFF0000)
LOW_HALF = np.uint64(0x0FFFFFFF)
S63 = np.uint64(63)
LEN_BITS = np.uint64(11)
LEN_MASK = np.uint64(2047)
GC_NAME, FREE_OS_MEMORY_NAME = (np.frombuffer(name, np.uint8) for name in ASKING)
MIN_ENTRY = 3
"""Bytes of the shortest string, stack or sample in its batch."""


@kjit
def long_varint(t, at, end):
    """Return (number, next offset) of the number of any length at ``at``; TRUNCATED or OVERFLOWS as next offset."""
    found = ZERO
    shift = ZERO
    while at < end:
        byte = np.uint64(data_byte(t, at))
        at += 1
        if shift == S63 and byte > np.uint64(1):
            return found, OVERFLOWS
        found |= (byte & LOW7) << shift
        if byte < BIT8:
            return found, np.int64(at)
        shift += S7
    return found, TRUNCATED


@kjit
def varint(t, at, end):
    """Return (number, next offset) of the number at ``at``; those of up to 56 bits without a loop."""
    if at < 0 or at >= end:
        # What is asked for after a number that was bad is bad as well.
        return ZERO, np.int64(at) if at < 0 else TRUNCATED
    word = np.uint64(data_word(t, at))
    last = ~word & BIT8S
    after = np.int64(at) + (ctz64(last) >> 3) + 1
    if last == ZERO or after > end:
        return long_varint(t, at, end)
    # The bytes up to the first without a high bit, then 7 bits of each moved together: by twos, by fours, all.
    word &= (last ^ (last - ONE)) & LOW7S
    word = (word & EVEN_BYTES) | ((word & ODD_BYTES) >> ONE)
    word = (word & EVEN_PAIRS) | ((word & ODD_PAIRS) >> np.uint64(2))
    return (word & LOW_HALF) | ((word >> np.uint64(32)) << np.uint64(28)), after


@kinline
def fail(t, fault, at, a, b):
    """Say what is wrong, and where. Modifies t; returns the fault."""
    t.fault = fault
    t.fault_at = at
    t.fault_a = a
    t.fault_b = b
    return fault


@kjit
def bad_number(t, at, after):
    """Return the fault of a number that was read up to ``after``. Modifies t."""
    return fail(t, LONG_NUMBER if after == OVERFLOWS else SHORT_BATCH, at, 0, 0)


@kjit
def has_entry(m, key):
    """Whether a table of strings or stacks has ``key``; 0 is nothing, and always there."""
    return key == ZERO or map_get(m, key) != ZERO


@kjit
def add_strings(t, at, end):
    """Read a batch of strings after its first byte. Modifies t, strings."""
    while at < end:
        start = at
        event = np.int64(data_byte(t, at))
        if event != EV_STRING:
            return fail(t, NOT_A_STRING, start, event, 0)
        key, at = varint(t, at + 1, end)
        length, at = varint(t, at, end)
        if at < 0:
            return bad_number(t, start, at)
        if length > np.uint64(MAX_STRING) or np.int64(length) > end - at:
            return fail(t, LONG_STRING, start, np.int64(length), 0)
        if has_entry(t.strings, key):
            return fail(t, STRING_TWICE, start, np.int64(key), 0)
        map_put(t.strings, key, (np.uint64(at) << LEN_BITS) | (length + np.uint64(1)))
        at += np.int64(length)
    return OK


@kjit
def add_stacks(t, at, end):
    """Read a batch of stacks after its first byte; their frames are looked at later. Modifies t, stacks."""
    while at < end:
        start = at
        event = np.int64(data_byte(t, at))
        if event != EV_STACK:
            return fail(t, NOT_A_STACK, start, event, 0)
        key, at = varint(t, at + 1, end)
        frames, at = varint(t, at, end)
        if at >= 0 and frames > np.uint64(MAX_FRAMES):
            return fail(t, LONG_STACK, start, np.int64(frames), 0)
        for _ in range(4 * np.int64(frames)):
            _, at = varint(t, at, end)
        if at < 0:
            return bad_number(t, start, at)
        if has_entry(t.stacks, key):
            return fail(t, STACK_TWICE, start, np.int64(key), 0)
        map_put(t.stacks, key, np.uint64(1 + BY_ITSELF))
    return OK


@kjit
def string_is(t, key, text):
    """Whether string ``key`` of the generation is ``text``, an array of bytes."""
    word = np.uint64(map_get(t.strings, key)) if key != ZERO else ZERO
    if np.int64(word & LEN_MASK) - 1 != text.shape[0]:
        return False
    at = np.int64(word >> LEN_BITS)
    for i in range(text.shape[0]):
        if data_byte(t, at + i) != text[np.uint64(i)]:
            return False
    return True


@kjit
def asks_for_gc(t, function):
    """Return who begins a collection if this function is on the stack: BY_ITSELF if it tells nothing."""
    if string_is(t, function, GC_NAME):
        return BY_RUNTIME_GC
    return BY_FREE_OS_MEMORY if string_is(t, function, FREE_OS_MEMORY_NAME) else BY_ITSELF


@kjit
def check_frames(t, at, end):
    """Look for the strings of the frames of a batch of stacks that has been read before. Modifies t, stacks.

    The word of a stack on which the program asks for a collection becomes 1 and what it asked by.
    """
    while at < end:
        start = at
        asks = BY_ITSELF
        key, at = varint(t, at + 1, end)
        frames, at = varint(t, at, end)
        for _ in range(np.int64(frames)):
            _, at = varint(t, at, end)
            function, at = varint(t, at, end)
            file, at = varint(t, at, end)
            _, at = varint(t, at, end)
            if not has_entry(t.strings, function):
                return fail(t, NO_FRAME_STRING, start, np.int64(function), 0)
            if not has_entry(t.strings, file):
                return fail(t, NO_FRAME_STRING, start, np.int64(file), 0)
            if t.marks != 0:
                asks = max(asks, asks_for_gc(t, function))
        if asks != BY_ITSELF and key != ZERO:
            map_put(t.stacks, key, np.uint64(1 + asks))
    return OK


@kjit
def add_samples(t, at, end):
    """Read the times of a batch of CPU samples after its first byte. Modifies t, samples."""
    while at < end:
        start = at
        event = np.int64(data_byte(t, at))
        if event != EV_CPU_SAMPLE:
            return fail(t, NOT_A_SAMPLE, start, event, 0)
        time, at = varint(t, at + 1, end)
        for _ in range(4):
            _, at = varint(t, at, end)
        if at < 0:
            return bad_number(t, start, at)
        sample_set(t, t.n_samples, np.int64(time))
        t.n_samples += 1
    return OK


@kjit
def set_clock(t, at, end):
    """Read a batch with the clock's frequency. Modifies t."""
    while at < end:
        start = at
        event = np.int64(data_byte(t, at))
        first, at = varint(t, at + 1, end)
        if event == EV_FREQUENCY:
            if at < 0:
                return bad_number(t, start, at)
            if t.freq != 0.0:
                return fail(t, FREQUENCY_TWICE, start, 0, 0)
            if first == ZERO:
                return fail(t, NO_HERTZ, start, 0, 0)
            t.freq = 1.0 / (np.float64(first) / 1e9)
        elif event == EV_CLOCK_SNAPSHOT and t.clock != 0:
            for _ in range(3):
                _, at = varint(t, at, end)
            if at < 0:
                return bad_number(t, start, at)
            if t.has_clock != 0:
                return fail(t, CLOCK_TWICE, start, 0, 0)
            t.has_clock = 1
        else:
            return fail(t, NOT_A_CLOCK, start, event, 0)
    return OK


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
