"""exectrace_world: what threads, Ps and goroutines of an execution trace are doing, and how that is changed.

A thread may have a P and run a goroutine.  Events that hand a P or a goroutine over carry a number, which counts the
hand-overs of that P or goroutine from the start of the generation (``succeeds``, ``restart``).  What an event asks of
its thread is looked up by ``needs`` and ``running``; what is wrong is said by ``wrong``.  The events themselves are in
``exectrace_procs``, ``exectrace_gos`` and ``exectrace_ranges``.
"""

import numpy as np

from ._jit import kinline, kjit
from .exectrace_cursors import SCRATCH
from .exectrace_maps import map_get, map_put, map_remove
from .exectrace_numbers import fail
from .exectrace_structs import (
    BAD_GO_STATE,
    MAX_PROCS,
    MUST,
    NEEDS_GOROUTINE,
    NEEDS_PROC,
    NEEDS_THREAD,
    NO_GOROUTINE,
    NO_PROC,
    NO_THREAD,
    OK,
    UNKNOWN_GOROUTINE,
    g_at,
    m_at,
    p_at,
    region_at,
)

ADVANCED = np.int64(0)
WAITS = np.int64(-1)
ANY = np.int64(0)
"""Any status."""
ZERO = np.uint64(0)
ONE = np.uint64(1)
STATUS_BITS = np.uint64(0xFF)
"""A status is a byte in Go; what is above it in the number is lost."""


@kjit
def wrong(t, c, fault, a, b):
    """Say what is wrong with the event at the cursor. Modifies t."""
    return fail(t, fault, np.int64(c.ev_at), np.int64(a), np.int64(b))


@kjit
def take_time(t, time):
    """Return the time of the next event to be handed out: ``time``, or later than that of the last. Modifies t."""
    if time <= t.latest:
        time = t.latest + 1
    t.latest = time
    return np.int64(time)


@kinline
def succeeds(t, owner, seq):
    """Whether ``seq`` is the number of the hand-over that follows the last one of ``owner``."""
    return owner.gen == t.gen and seq == owner.seq + ONE


@kinline
def restart(t, owner):
    """Let the numbers of ``owner`` begin anew with this generation. Modifies owner."""
    owner.gen = t.gen
    owner.seq = ZERO


@kjit
def give_proc(t, row, pid):
    """Let the thread of ``row`` have the P ``pid``, or none. Modifies ms, ps."""
    if row == SCRATCH:
        return
    thread = m_at(t, row)
    if thread.p >= 0:
        p_at(t, thread.p).bound -= 1
    thread.p = pid
    if pid >= 0:
        p_at(t, pid).bound += 1


@kinline
def is_proc(pid):
    """Whether ``pid``, as a number of 64 bits, can be that of a P."""
    return pid < np.uint64(MAX_PROCS)


@kjit
def needs(t, c, row, proc, goroutine):
    """Return what the event at the cursor lacks of a thread, a P, a goroutine; OK if nothing. Modifies t."""
    thread = m_at(t, row)
    if c.m == NO_THREAD:
        return wrong(t, c, NEEDS_THREAD, c.kind, 0)
    if proc == MUST and thread.p == NO_PROC:
        return wrong(t, c, NEEDS_PROC, c.kind, 0)
    if goroutine == MUST and thread.g == NO_GOROUTINE:
        return wrong(t, c, NEEDS_GOROUTINE, c.kind, 0)
    return OK


@kjit
def goroutine_of(t, gid):
    """Return the row of goroutine ``gid``, 0 if there is none."""
    if gid == NO_GOROUTINE:
        return np.int64(0)
    return np.int64(map_get(t.g_ids, np.uint64(gid)))


@kjit
def new_goroutine(t, gid, status):
    """Add a goroutine. Modifies t, gs, g_ids."""
    row = np.int64(t.free_gs)
    if row != 0:
        t.free_gs = np.int64(g_at(t, row).region)
    else:
        row = np.int64(t.n_gs)
        t.n_gs += 1
    g = g_at(t, row)
    g.status = status
    g.region = 0
    g.stw = 0
    g.assist = 0
    restart(t, g)
    map_put(t.g_ids, np.uint64(gid), np.uint64(row))


@kjit
def pop_region(t, g):
    """Remove a goroutine's innermost region. Modifies t, g, regions."""
    row = np.int64(g.region)
    region = region_at(t, row)
    g.region = region.following
    region.following = t.free_regions
    t.free_regions = row


@kjit
def end_goroutine(t, gid, row):
    """Remove a goroutine and its regions. Modifies t, gs, g_ids, regions."""
    g = g_at(t, row)
    while g.region != 0:
        pop_region(t, g)
    map_remove(t.g_ids, np.uint64(gid))
    g.region = t.free_gs
    t.free_gs = row


@kjit
def running(t, c, row, status, proc):
    """Return the row of the goroutine that the event is about, of the given status; a fault as -1 - fault."""
    fault = needs(t, c, row, proc, MUST)
    if fault != OK:
        return np.int64(-1 - fault)
    gid = np.int64(m_at(t, row).g)
    place = goroutine_of(t, gid)
    if place == 0:
        return np.int64(-1 - wrong(t, c, UNKNOWN_GOROUTINE, c.kind, gid))
    if status != ANY and g_at(t, place).status != status:
        return np.int64(-1 - wrong(t, c, BAD_GO_STATE, c.kind, gid))
    return place
