"""exectrace_merge: the events of a generation's threads in one order, and those of memory handed out."""

import numpy as np

from ._jit import kentry, kinline, kjit
from .exectrace_cursors import NONE_LEFT, nanoseconds, next_event
from .exectrace_maps import map_get, map_has_room
from .exectrace_numbers import fail, varint
from .exectrace_order import advance
from .exectrace_sort import MAX_TIME, frontier_insert, frontier_remove, frontier_sort, frontier_update
from .exectrace_structs import (
    BROKEN,
    EV_GC_BEGIN,
    EV_GC_END,
    EV_MEMORY,
    FINE,
    FULL,
    GC_BEGIN,
    GC_END,
    N_ARGS,
    NEEDS_ROOM,
    NO_THREAD,
    NOT_TIMED,
    STUCK,
    cursor_at,
    data_byte,
    frontier_at,
    m_at,
    sample_at,
    sample_set,
)
from .exectrace_world import ADVANCED, WAITS, take_time

ZERO = np.uint64(0)
ONE = np.uint64(1)
MIN_TIME = np.int64(-(1 << 63))
ROOM = 2
"""Rows and ids that one event may add to a table."""
STEPS = 1 << 20
"""Events after which the parser returns to its caller though it has no more to say."""


@kentry
def begin_generation(t):
    """Have the first event of every thread at hand; return FINE or BROKEN. Modifies t, cursors, frontier, samples.

    The times of samples become nanoseconds, in the order of the file.
    """
    t.n_frontier = 0
    t.next_sample = 0
    for i in range(t.n_samples):
        sample_set(t, i, nanoseconds(t, np.uint64(sample_at(t, i))))
    for i in range(t.n_cursors):
        c = cursor_at(t, i)
        if c.batch == 0:
            continue
        if next_event(t, c) != FINE:
            return BROKEN
        frontier_insert(t, np.int64(i))
    if t.initial_gen == ZERO and t.n_frontier != 0:
        t.initial_gen = t.gen
    # The mark between generations is an event, too.
    take_time(t, nanoseconds(t, np.uint64(t.min_ts)))
    return FINE


@kinline
def has_room(t):
    """Whether an event may come, whatever it adds, after any number of threads had to wait, which become known."""
    return (
        t.n_ms + t.n_frontier + ROOM <= t.ms_len
        and t.n_gs + ROOM <= t.gs_len
        and t.n_regions + ROOM <= t.regions_len
        and map_has_room(t.m_ids, t.n_frontier + ROOM)
        and map_has_room(t.g_ids, ROOM)
        and map_has_room(t.tasks, ROOM)
    )


@kjit
def select(t):
    """Return the place in the frontier of the thread whose event comes next; -1 if there is something wrong.

    It is the one of the earliest time that need not wait. Modifies t and its tables.
    """
    code = advance(t, cursor_at(t, frontier_at(t, np.int64(0))))
    if code == ADVANCED:
        return np.int64(0)
    if code != WAITS:
        return np.int64(-1)
    frontier_sort(t)
    for i in range(1, t.n_frontier):
        code = advance(t, cursor_at(t, frontier_at(t, np.int64(i))))
        if code == ADVANCED:
            return np.int64(i)
        if code != WAITS:
            return np.int64(-1)
    first = cursor_at(t, frontier_at(t, np.int64(0)))
    fail(t, STUCK, np.int64(first.ev_at), np.int64(t.n_frontier), 0)
    return np.int64(-1)


@kjit
def run_bound(t, place):
    """Return up to what time the thread at ``place`` stays the first, whatever it does; before all times if it is not.

    Up to the next events of the two threads below it in the heap, and the next sample.
    """
    if place != 0:
        return MIN_TIME
    bound = MAX_TIME
    for i in range(1, min(np.int64(3), t.n_frontier)):
        bound = min(bound, np.int64(cursor_at(t, frontier_at(t, np.int64(i))).time))
    if t.next_sample < t.n_samples:
        bound = min(bound, sample_at(t, t.next_sample))
    return bound


@kjit
def hand_out_mark(t, c, out, row):
    """Fill row ``row`` of ``out`` with the begin or end of a mark phase, which has just come."""
    begins = c.kind == EV_GC_BEGIN
    out.name[row] = GC_BEGIN if begins else GC_END
    out.p[row] = m_at(t, c.ms).p
    out.time[row] = t.latest
    out.id[row] = c.args[0]
    asked = np.uint64(map_get(t.stacks, np.uint64(c.args[1]))) if begins else ZERO
    out.arg[row] = asked - ONE if asked != ZERO else ZERO
    out.arg2[row] = ZERO


@kentry
def merge_events(t, out):
    """Hand out events of memory until the columns ``out`` are full or the generation ends; marks, if asked for.

    Returns (rows filled, FINE at the end of the generation, FULL, NEEDS_ROOM, or BROKEN). Modifies t and its tables.
    """
    names, ps, times, ids, arg, arg2 = out.name, out.p, out.time, out.id, out.arg, out.arg2
    n, rows = 0, names.shape[0]
    for _ in range(STEPS):
        if t.n_frontier == 0:
            break
        if n == rows:
            return n, FULL
        c = cursor_at(t, frontier_at(t, np.int64(0)))
        while t.next_sample < t.n_samples and sample_at(t, t.next_sample) < c.time:
            take_time(t, sample_at(t, t.next_sample))
            t.next_sample += 1
        place = np.int64(0)
        if c.kind < EV_MEMORY or c.ms == 0 or c.m == NO_THREAD:
            if not has_room(t):
                return n, NEEDS_ROOM
            place = select(t)
            if place < 0:
                return n, BROKEN
            c = cursor_at(t, frontier_at(t, place))
        if c.kind >= EV_MEMORY:
            p = m_at(t, c.ms).p
            bound = run_bound(t, place)
            kind, time = np.int64(c.kind), np.int64(c.time)
            first, second, third = c.args[0], c.args[1], c.args[2]
            end = np.int64(c.end)
            # Events of memory that follow in the same batch are taken without going through the cursor.
            while True:
                args = N_ARGS[np.uint64(kind)]
                row = np.uint64(n)
                names[row] = kind - EV_MEMORY
                ps[row] = p
                times[row] = take_time(t, time)
                ids[row] = first
                arg[row] = second if args > 1 else ZERO
                arg2[row] = third if args > 2 else ZERO
                n += 1
                at = np.int64(c.at)
                if n == rows or at >= end or time == 0:
                    break
                kind = np.int64(data_byte(t, at))
                args = N_ARGS[np.uint64(kind)]
                if kind < EV_MEMORY or args == NOT_TIMED:
                    break
                elapsed, at = varint(t, at + 1, end)
                first, at = varint(t, at, end)
                if args > 1:
                    second, at = varint(t, at, end)
                if args > 2:
                    third, at = varint(t, at, end)
                time += nanoseconds(t, elapsed)
                if at < 0 or time > bound:
                    break
                c.at = at
                c.last_ts = time
        elif t.marks != 0 and (c.kind == EV_GC_BEGIN or c.kind == EV_GC_END):
            hand_out_mark(t, c, out, np.uint64(n))
            n += 1
        status = next_event(t, c)
        if status == FINE:
            frontier_update(t, place)
        elif status == NONE_LEFT:
            frontier_remove(t, place)
        else:
            return n, BROKEN
    if t.n_frontier != 0:
        return n, FULL
    while t.next_sample < t.n_samples:
        take_time(t, sample_at(t, t.next_sample))
        t.next_sample += 1
    return n, FINE
