"""exectrace_merge: the events of a generation's threads in one order, and those of memory handed out."""

import numpy as np

from ._jit import kentry, kinline, kjit
from .exectrace_batches import fail
from .exectrace_cursors import NONE_LEFT, nanoseconds, next_event
from .exectrace_maps import map_has_room
from .exectrace_order import ADVANCED, WAITS, advance, take_time
from .exectrace_sort import frontier_insert, frontier_remove, frontier_sort, frontier_update
from .exectrace_structs import (
    BROKEN,
    EV_MEMORY,
    FINE,
    FULL,
    N_ARGS,
    NEEDS_ROOM,
    NO_THREAD,
    STUCK,
    cursor_at,
    frontier_at,
    m_at,
    sample_at,
    sample_set,
)

ZERO = np.uint64(0)
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


@kentry
def merge_events(t, out):
    """Hand out events of memory until the columns ``out`` are full or the generation ends.

    Returns (rows filled, FINE at the end of the generation, FULL, NEEDS_ROOM, or BROKEN). Modifies t and its tables.
    """
    names, ps, times, ids, arg, arg2 = out.name, out.p, out.time, out.id, out.arg, out.arg2
    n = 0
    for _ in range(STEPS):
        if t.n_frontier == 0:
            break
        if n == names.shape[0]:
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
        kind = c.kind
        if kind >= EV_MEMORY:
            row = np.uint64(n)
            args = N_ARGS[np.uint64(kind)]
            names[row] = kind - EV_MEMORY
            ps[row] = m_at(t, c.ms).p
            times[row] = take_time(t, np.int64(c.time))
            ids[row] = c.args[0]
            arg[row] = c.args[1] if args > 1 else ZERO
            arg2[row] = c.args[2] if args > 2 else ZERO
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
