"""exectrace_gos: events of goroutines in an execution trace: created, started, stopped, woken, in a system call.

Each function looks at the event at a cursor: it comes now (ADVANCED), has to wait for other threads (WAITS), or
contradicts what has come before (a fault).
"""

import numpy as np

from ._jit import kjit
from .exectrace_cursors import new_thread, thread_of
from .exectrace_structs import (
    BAD_GO_STATE,
    BAD_GO_STATUS,
    BAD_PROC_STATE,
    BAD_SYSCALL,
    EV_GO_CREATE_BLOCKED,
    EV_GO_DESTROY,
    EV_GO_STOP,
    EV_GO_SWITCH,
    GO_RUNNABLE,
    GO_RUNNING,
    GO_SYSCALL,
    GO_WAITING,
    GOROUTINE_TWICE,
    HAS_GOROUTINE,
    MAY,
    MUST,
    NEEDS_THREAD,
    NO_GOROUTINE,
    NO_PROC,
    NO_THREAD,
    OK,
    OTHER_THREAD,
    PROC_ABANDONED,
    PROC_RUNNING,
    PROC_SYSCALL,
    UNKNOWN_GOROUTINE,
    g_at,
    m_at,
    p_at,
)
from .exectrace_world import (
    ADVANCED,
    STATUS_BITS,
    WAITS,
    end_goroutine,
    give_proc,
    goroutine_of,
    needs,
    new_goroutine,
    restart,
    running,
    succeeds,
    take_time,
    wrong,
)


@kjit
def go_status(t, c, row):
    """EvGoStatus: what a goroutine is doing when it is first seen in a generation."""
    gid = np.int64(c.args[0])
    m = np.int64(c.args[1])
    status = np.int64(c.args[2] & STATUS_BITS)
    place = goroutine_of(t, gid)
    if status > GO_WAITING or gid == NO_GOROUTINE:
        return wrong(t, c, BAD_GO_STATUS, status, gid)
    if place != 0:
        g = g_at(t, place)
        if g.status != status:
            return wrong(t, c, BAD_GO_STATUS, status, gid)
        restart(t, g)
    elif t.gen == t.initial_gen:
        new_goroutine(t, gid, status)
    else:
        return wrong(t, c, UNKNOWN_GOROUTINE, c.kind, gid)
    thread = m_at(t, row)
    if status == GO_RUNNING:
        thread.g = gid
    elif status == GO_SYSCALL:
        if m == NO_THREAD:
            return wrong(t, c, NEEDS_THREAD, c.kind, 0)
        if m == c.m:
            if t.gen != t.initial_gen and thread.g != gid:
                return wrong(t, c, OTHER_THREAD, 0, gid)
            thread.g = gid
            return ADVANCED
        # It has been in a system call on another thread for all of the generation.
        other = thread_of(t, m)
        if other == 0:
            m_at(t, new_thread(t, m)).g = gid
        elif m_at(t, other).g != gid:
            return wrong(t, c, OTHER_THREAD, 0, gid)
    return ADVANCED


@kjit
def go_create(t, c, row):
    """EvGoCreate, EvGoCreateBlocked: a goroutine is made, runnable or waiting."""
    fault = needs(t, c, row, MUST, MAY)
    if fault != OK:
        return fault
    gid = np.int64(m_at(t, row).g)
    place = goroutine_of(t, gid)
    if place != 0 and g_at(t, place).status != GO_RUNNING:
        return wrong(t, c, BAD_GO_STATE, c.kind, gid)
    new = np.int64(c.args[0])
    if new == NO_GOROUTINE or goroutine_of(t, new) != 0:
        return wrong(t, c, GOROUTINE_TWICE, 0, new)
    new_goroutine(t, new, GO_WAITING if c.kind == EV_GO_CREATE_BLOCKED else GO_RUNNABLE)
    return ADVANCED


@kjit
def go_stop(t, c, row):
    """EvGoDestroy, EvGoStop, EvGoBlock: the goroutine that runs does not any more."""
    place = running(t, c, row, GO_RUNNING, MUST)
    if place < 0:
        return -1 - place
    thread = m_at(t, row)
    if c.kind == EV_GO_DESTROY:
        end_goroutine(t, np.int64(thread.g), place)
    else:
        g_at(t, place).status = GO_RUNNABLE if c.kind == EV_GO_STOP else GO_WAITING
    thread.g = NO_GOROUTINE
    return ADVANCED


@kjit
def go_start(t, c, row):
    """EvGoStart: a goroutine begins to run on a thread."""
    place = goroutine_of(t, np.int64(c.args[0]))
    if place == 0:
        return WAITS
    g = g_at(t, place)
    if g.status != GO_RUNNABLE or not succeeds(t, g, c.args[1]):
        return WAITS
    fault = needs(t, c, row, MUST, MAY)
    if fault != OK:
        return fault
    thread = m_at(t, row)
    if thread.g != NO_GOROUTINE:
        return wrong(t, c, HAS_GOROUTINE, c.kind, 0)
    g.status = GO_RUNNING
    g.seq = c.args[1]
    thread.g = np.int64(c.args[0])
    return ADVANCED


@kjit
def go_unblock(t, c):
    """EvGoUnblock: a goroutine is woken."""
    place = goroutine_of(t, np.int64(c.args[0]))
    if place == 0:
        return WAITS
    g = g_at(t, place)
    if g.status != GO_WAITING or not succeeds(t, g, c.args[1]):
        return WAITS
    g.status = GO_RUNNABLE
    g.seq = c.args[1]
    return ADVANCED


@kjit
def go_switch(t, c, row):
    """EvGoSwitch, EvGoSwitchDestroy: the goroutine that runs makes place for one that waits."""
    place = running(t, c, row, GO_RUNNING, MUST)
    if place < 0:
        return -1 - place
    following = goroutine_of(t, np.int64(c.args[0]))
    if following == 0:
        return WAITS
    g = g_at(t, following)
    if g.status != GO_WAITING or not succeeds(t, g, c.args[1]):
        return WAITS
    thread = m_at(t, row)
    if c.kind == EV_GO_SWITCH:
        g_at(t, place).status = GO_WAITING
    else:
        end_goroutine(t, np.int64(thread.g), place)
    g.status = GO_RUNNING
    g.seq = c.args[1]
    thread.g = np.int64(c.args[0])
    return ADVANCED


@kjit
def syscall_begin(t, c, row):
    """EvGoSyscallBegin: a goroutine enters a system call, and keeps its P for now."""
    place = running(t, c, row, GO_RUNNING, MUST)
    if place < 0:
        return -1 - place
    pid = np.int64(m_at(t, row).p)
    proc = p_at(t, pid)
    if not succeeds(t, proc, c.args[0]):
        return wrong(t, c, BAD_SYSCALL, 0, pid)
    g_at(t, place).status = GO_SYSCALL
    proc.status = PROC_SYSCALL
    proc.seq = c.args[0]
    return ADVANCED


@kjit
def syscall_end(t, c, row):
    """EvGoSyscallEnd: a goroutine comes back from a system call and still has its P."""
    place = running(t, c, row, GO_SYSCALL, MUST)
    if place < 0:
        return -1 - place
    pid = np.int64(m_at(t, row).p)
    proc = p_at(t, pid)
    if proc.status != PROC_SYSCALL:
        return wrong(t, c, BAD_PROC_STATE, c.kind, pid)
    g_at(t, place).status = GO_RUNNING
    proc.status = PROC_RUNNING
    return ADVANCED


@kjit
def syscall_end_blocked(t, c, row):
    """EvGoSyscallEndBlocked: a goroutine comes back from a system call and its P is gone."""
    thread = m_at(t, row)
    if thread.p != NO_PROC and p_at(t, thread.p).status == PROC_SYSCALL:
        # It has not been taken yet.
        return WAITS
    place = running(t, c, row, GO_SYSCALL, MAY)
    if place < 0:
        return -1 - place
    g_at(t, place).status = GO_RUNNABLE
    thread.g = NO_GOROUTINE
    return ADVANCED


@kjit
def go_create_syscall(t, c, row):
    """EvGoCreateSyscall: a thread of C becomes a goroutine in a system call."""
    fault = needs(t, c, row, MAY, MAY)
    if fault != OK:
        return fault
    thread = m_at(t, row)
    if thread.g != NO_GOROUTINE:
        return wrong(t, c, HAS_GOROUTINE, c.kind, 0)
    new = np.int64(c.args[0])
    if new == NO_GOROUTINE or goroutine_of(t, new) != 0:
        return wrong(t, c, GOROUTINE_TWICE, 0, new)
    new_goroutine(t, new, GO_SYSCALL)
    thread.g = new
    return ADVANCED


@kjit
def go_destroy_syscall(t, c, row):
    """EvGoDestroySyscall: such a goroutine ends, and whatever P the thread has is left alone."""
    place = running(t, c, row, GO_SYSCALL, MAY)
    if place < 0:
        return -1 - place
    thread = m_at(t, row)
    end_goroutine(t, np.int64(thread.g), place)
    thread.g = NO_GOROUTINE
    pid = np.int64(thread.p)
    if pid != NO_PROC:
        proc = p_at(t, pid)
        if proc.status != PROC_SYSCALL:
            return wrong(t, c, BAD_PROC_STATE, c.kind, pid)
        proc.status = PROC_ABANDONED
        give_proc(t, row, NO_PROC)
        # Go's parser hands out another event first, that the P was stolen.
        take_time(t, np.int64(c.time))
    return ADVANCED
