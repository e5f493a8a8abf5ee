"""exectrace_tables: the tables of a generation of an execution trace: strings, stacks, samples, and its clock.

Of strings and stacks it is kept where they are, in maps by their number; of samples, when they were taken.
"""

import numpy as np

from ._jit import kjit
from .exectrace_maps import map_get, map_put
from .exectrace_numbers import ZERO, bad_number, fail, varint
from .exectrace_structs import (
    ASKING,
    BY_FREE_OS_MEMORY,
    BY_ITSELF,
    BY_RUNTIME_GC,
    CLOCK_TWICE,
    EV_CLOCK_SNAPSHOT,
    EV_CPU_SAMPLE,
    EV_FREQUENCY,
    EV_STACK,
    EV_STRING,
    FREQUENCY_TWICE,
    LONG_STACK,
    LONG_STRING,
    MAX_FRAMES,
    MAX_STRING,
    NO_FRAME_STRING,
    NO_HERTZ,
    NOT_A_CLOCK,
    NOT_A_SAMPLE,
    NOT_A_STACK,
    NOT_A_STRING,
    OK,
    STACK_TWICE,
    STRING_TWICE,
    data_byte,
    sample_set,
)

LEN_BITS = np.uint64(11)
LEN_MASK = np.uint64(2047)
GC_NAME, FREE_OS_MEMORY_NAME = (np.frombuffer(name, np.uint8) for name in ASKING)


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
