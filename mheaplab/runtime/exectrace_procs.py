"""exectrace_procs: events of Ps in an execution trace: started, stopped, stolen, sweeping.

Each function looks at the event at a cursor: it comes now (ADVANCED), has to wait for other threads (WAITS), or
contradicts what has come before (a fault).
"""

import numpy as np

from ._jit import kjit
from .exectrace_cursors import thread_of
from .exectrace_structs import (
    BAD_PROC,
    BAD_PROC_STATE,
    BAD_PROC_STATUS,
    EV_GC_SWEEP_BEGIN,
    MAY,
    MUST,
    NEEDS_THREAD,
    NO_PROC,
    NO_RANGE,
    NO_THREAD,
    NOT_ITS_PROC,
    OK,
    PROC_ABANDONED,
    PROC_IDLE,
    PROC_RUNNING,
    PROC_SYSCALL,
    RANGE_TWICE,
    m_at,
    p_at,
)
from .exectrace_world import ADVANCED, STATUS_BITS, WAITS, give_proc, is_proc, needs, restart, succeeds, wrong


@kjit
def proc_status(t, c, row):
    """EvProcStatus: what a P is doing when it is first seen in a generation."""
    if not is_proc(c.args[0]):
        return wrong(t, c, BAD_PROC, c.args[0], 0)
    pid = np.int64(c.args[0])
    status = np.int64(c.args[1] & STATUS_BITS)
    proc = p_at(t, pid)
    known = proc.known != 0
    # A P that is about to be taken from a system call whose thread has not been seen yet in this generation.
    kept = known and status == PROC_ABANDONED and proc.status == PROC_SYSCALL
    if status > PROC_ABANDONED or (known and not kept and proc.status != status):
        return wrong(t, c, BAD_PROC_STATUS, status, pid)
    if not known:
        proc.known = 1
        proc.status = status
    restart(t, proc)
    if status == PROC_RUNNING or status == PROC_SYSCALL:
        give_proc(t, row, pid)
    if kept and proc.bound == 0:
        return wrong(t, c, NOT_ITS_PROC, pid, 0)
    return ADVANCED


@kjit
def proc_start(t, c, row):
    """EvProcStart: a thread gets an idle P."""
    if not is_proc(c.args[0]):
        return WAITS
    pid = np.int64(c.args[0])
    proc = p_at(t, pid)
    if proc.known == 0 or proc.status != PROC_IDLE or not succeeds(t, proc, c.args[1]) or m_at(t, row).p != NO_PROC:
        return WAITS
    if c.m == NO_THREAD:
        return wrong(t, c, NEEDS_THREAD, c.kind, 0)
    proc.status = PROC_RUNNING
    proc.seq = c.args[1]
    give_proc(t, row, pid)
    return ADVANCED


@kjit
def proc_stop(t, c, row):
    """EvProcStop: a thread gives up its P."""
    fault = needs(t, c, row, MUST, MAY)
    if fault != OK:
        return fault
    pid = np.int64(m_at(t, row).p)
    proc = p_at(t, pid)
    if proc.status != PROC_RUNNING and proc.status != PROC_SYSCALL:
        return wrong(t, c, BAD_PROC_STATE, c.kind, pid)
    proc.status = PROC_IDLE
    give_proc(t, row, NO_PROC)
    return ADVANCED


@kjit
def proc_steal(t, c, row):
    """EvProcSteal: a P is taken from a thread in a system call."""
    if not is_proc(c.args[0]):
        return WAITS
    pid = np.int64(c.args[0])
    proc = p_at(t, pid)
    taken = proc.known != 0 and (proc.status == PROC_SYSCALL or proc.status == PROC_ABANDONED)
    if not taken or not succeeds(t, proc, c.args[1]):
        return WAITS
    if c.m == NO_THREAD:
        return wrong(t, c, NEEDS_THREAD, c.kind, 0)
    before = proc.status
    proc.status = PROC_IDLE
    proc.seq = c.args[1]
    if before == PROC_ABANDONED:
        return ADVANCED
    m = np.int64(c.args[2])
    other = row if m == c.m else thread_of(t, m)
    if other == 0 or m_at(t, other).p != pid:
        return wrong(t, c, NOT_ITS_PROC, pid, 0)
    give_proc(t, other, NO_PROC)
    return ADVANCED


@kjit
def sweep_range(t, c, row):
    """EvGCSweepBegin, EvGCSweepEnd: a P sweeps for some time."""
    fault = needs(t, c, row, MUST, MAY)
    if fault != OK:
        return fault
    proc = p_at(t, m_at(t, row).p)
    begins = c.kind == EV_GC_SWEEP_BEGIN
    if (proc.sweeps != 0) == begins:
        return wrong(t, c, RANGE_TWICE if begins else NO_RANGE, c.kind, 0)
    proc.sweeps = 1 if begins else 0
    return ADVANCED


@kjit
def sweep_active(t, c):
    """EvGCSweepActive: a P sweeps as the generation begins."""
    if not is_proc(c.args[0]) or p_at(t, np.int64(c.args[0])).known == 0:
        return wrong(t, c, BAD_PROC_STATE, c.kind, c.args[0])
    proc = p_at(t, np.int64(c.args[0]))
    if (proc.sweeps != 0) == (t.gen == t.initial_gen):
        return wrong(t, c, RANGE_TWICE if proc.sweeps != 0 else NO_RANGE, c.kind, 0)
    proc.sweeps = 1
    return ADVANCED
