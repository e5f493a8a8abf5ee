"""exectrace_cursors: one event after the other of one thread."""

import numpy as np

from ._jit import kinline, kjit
from .exectrace_maps import map_get, map_put
from .exectrace_numbers import bad_number, fail, varint
from .exectrace_structs import (
    BROKEN,
    FINE,
    N_ARGS,
    NO_GOROUTINE,
    NO_PROC,
    NO_THREAD,
    NOT_A_TIMED_EVENT,
    NOT_TIMED,
    batch_at,
    data_byte,
    m_at,
)
from .gofloat import go_int64

NONE_LEFT = np.int64(-1)
SCRATCH = np.int64(0)
"""The row of the state of no thread, which forgets everything."""


@kinline
def nanoseconds(t, ts):
    """Return a number of the clock's units in nanoseconds."""
    return go_int64(np.float64(ts) * t.freq)


@kjit
def next_event(t, c):
    """Read the thread's next event; return FINE, NONE_LEFT or BROKEN. Modifies t, c."""
    while c.at == c.end:
        following = batch_at(t, c.batch).following
        if following == 0:
            return NONE_LEFT
        c.batch = following
        batch = batch_at(t, following)
        c.at = batch.at
        c.end = batch.end
        c.last_ts = 0
    if c.last_ts == 0:
        c.last_ts = nanoseconds(t, batch_at(t, c.batch).start)
    start = np.int64(c.at)
    end = np.int64(c.end)
    kind = np.int64(data_byte(t, start))
    n = np.int64(N_ARGS[np.uint64(kind)])
    if n == NOT_TIMED:
        fail(t, NOT_A_TIMED_EVENT, start, kind, 0)
        return BROKEN
    elapsed, at = varint(t, start + 1, end)
    for i in range(n):
        found, at = varint(t, at, end)
        c.args[np.uint64(i)] = found
    if at < 0:
        bad_number(t, start, at)
        return BROKEN
    c.kind = kind
    c.ev_at = start
    c.at = at
    c.time = nanoseconds(t, elapsed) + c.last_ts
    c.last_ts = c.time
    return FINE


@kjit
def thread_of(t, m):
    """Return the row of the state of thread ``m``, 0 if there is none."""
    return np.int64(map_get(t.m_ids, np.uint64(m)))


@kjit
def new_thread(t, m):
    """Return the row of a new thread's state. Modifies t, ms, m_ids."""
    row = np.int64(t.n_ms)
    t.n_ms += 1
    thread = m_at(t, row)
    thread.g = NO_GOROUTINE
    thread.p = NO_PROC
    map_put(t.m_ids, np.uint64(m), np.uint64(row))
    return row


@kjit
def know_thread(t, c):
    """Return the row of the state of the cursor's thread, which is made if it is new. Modifies t, c, ms, m_ids."""
    if c.m == NO_THREAD:
        scratch = m_at(t, SCRATCH)
        scratch.g = NO_GOROUTINE
        scratch.p = NO_PROC
        return SCRATCH
    if c.ms == 0:
        row = thread_of(t, np.int64(c.m))
        c.ms = row if row != 0 else new_thread(t, np.int64(c.m))
    return np.int64(c.ms)
