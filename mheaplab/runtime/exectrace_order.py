"""exectrace_order: whether a thread's next event may come now, and what it changes.

The events of one thread are in order; between threads their times are a hint only, for clocks of two processors differ.
What decides is what happened to goroutines and Ps: that a goroutine starts on one thread after it was created or woken
on another, that a P is taken away from a thread in a system call before another thread starts it.  Events that hand
something over carry a number, which counts the hand-overs of that goroutine or P from the start of the generation.

``advance`` looks at the event at a cursor: it either comes now (ADVANCED), or has to wait for other threads (WAITS), or
contradicts what has come before (a fault).  All of it is done as Go's own parser does it, whose order is the truth.
"""

import numpy as np

from ._jit import kinline, kjit
from .exectrace_batches import LEN_BITS, LEN_MASK, fail, has_entry
from .exectrace_cursors import SCRATCH, know_thread, new_thread, thread_of
from .exectrace_maps import map_get, map_put, map_remove
from .exectrace_structs import (
    BAD_GC_STATE,
    BAD_GO_STATE,
    BAD_GO_STATUS,
    BAD_PROC,
    BAD_PROC_STATE,
    BAD_PROC_STATUS,
    BAD_SYSCALL,
    EV_ASSIST_ACTIVE,
    EV_ASSIST_BEGIN,
    EV_ASSIST_END,
    EV_GC_ACTIVE,
    EV_GC_BEGIN,
    EV_GC_END,
    EV_GC_SWEEP_ACTIVE,
    EV_GC_SWEEP_BEGIN,
    EV_GC_SWEEP_END,
    EV_GO_BLOCK,
    EV_GO_CREATE,
    EV_GO_CREATE_BLOCKED,
    EV_GO_CREATE_SYSCALL,
    EV_GO_DESTROY,
    EV_GO_LABEL,
    EV_GO_START,
    EV_GO_STATUS,
    EV_GO_STATUS_STACK,
    EV_GO_STOP,
    EV_GO_SWITCH,
    EV_GO_SWITCH_DESTROY,
    EV_GO_SYSCALL_BEGIN,
    EV_GO_SYSCALL_END,
    EV_GO_SYSCALL_END_BLOCKED,
    EV_GO_UNBLOCK,
    EV_HEAP_ALLOC,
    EV_HEAP_GOAL,
    EV_MEMORY,
    EV_PROC_START,
    EV_PROC_STATUS,
    EV_PROC_STEAL,
    EV_PROC_STOP,
    EV_PROCS_CHANGE,
    EV_REGION_BEGIN,
    EV_REGION_END,
    EV_STW_BEGIN,
    EV_STW_END,
    EV_TASK_BEGIN,
    EV_TASK_END,
    EV_USER_LOG,
    GC_NOT_RUNNING,
    GC_RUNNING,
    GC_UNDETERMINED,
    GO_RUNNABLE,
    GO_RUNNING,
    GO_SYSCALL,
    GO_WAITING,
    GOROUTINE_TWICE,
    HAS_GOROUTINE,
    MAX_PROCS,
    MAY,
    MUST,
    NEEDS_GOROUTINE,
    NEEDS_PROC,
    NEEDS_THREAD,
    NO_GOROUTINE,
    NO_PROC,
    NO_RANGE,
    NO_STACK,
    NO_STRING,
    NO_THREAD,
    NOT_ITS_PROC,
    OK,
    OTHER_REGION,
    OTHER_THREAD,
    PROC_ABANDONED,
    PROC_IDLE,
    PROC_RUNNING,
    PROC_SYSCALL,
    RANGE_TWICE,
    STACK_ARGS,
    STRING_ARGS,
    TASK_TWICE,
    UNKNOWN_GOROUTINE,
    data_byte,
    g_at,
    m_at,
    p_at,
    region_at,
)
from .splitmix import GOLDEN, mix

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


# ---------------------------------------------------------------------------------------------------- threads and Ps


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


# ---------------------------------------------------------------------------------------------------- goroutines


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
def end_goroutine(t, gid, row):
    """Remove a goroutine and its regions. Modifies t, gs, g_ids, regions."""
    g = g_at(t, row)
    while g.region != 0:
        pop_region(t, g)
    map_remove(t.g_ids, np.uint64(gid))
    g.region = t.free_gs
    t.free_gs = row


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


# ---------------------------------------------------------------------------------------------------- ranges of time


@kjit
def stw_or_assist(t, c, row):
    """EvSTWBegin, EvSTWEnd, EvGCMarkAssistBegin, EvGCMarkAssistEnd: what a goroutine does for some time."""
    place = running(t, c, row, ANY, MUST)
    if place < 0:
        return -1 - place
    g = g_at(t, place)
    begins = c.kind == EV_STW_BEGIN or c.kind == EV_ASSIST_BEGIN
    stw = c.kind == EV_STW_BEGIN or c.kind == EV_STW_END
    if ((g.stw if stw else g.assist) != 0) == begins:
        return wrong(t, c, RANGE_TWICE if begins else NO_RANGE, c.kind, 0)
    if stw:
        g.stw = 1 if begins else 0
    else:
        g.assist = 1 if begins else 0
    return ADVANCED


@kjit
def assist_active(t, c):
    """EvGCMarkAssistActive: a goroutine assists as the generation begins."""
    place = goroutine_of(t, np.int64(c.args[0]))
    if place == 0:
        return wrong(t, c, UNKNOWN_GOROUTINE, c.kind, c.args[0])
    g = g_at(t, place)
    if (g.assist != 0) == (t.gen == t.initial_gen):
        return wrong(t, c, RANGE_TWICE if g.assist != 0 else NO_RANGE, c.kind, 0)
    g.assist = 1
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


@kjit
def gc_event(t, c, row):
    """EvGCActive, EvGCBegin, EvGCEnd: the mark phase, whose ends are numbered one after the other."""
    seq = np.uint64(c.args[0])
    first = c.kind == EV_GC_ACTIVE and t.gen == t.initial_gen
    if first and t.gc_state != GC_UNDETERMINED:
        return wrong(t, c, BAD_GC_STATE, c.kind, 0)
    if first or (c.kind == EV_GC_BEGIN and t.gc_state == GC_UNDETERMINED):
        t.gc_seq = seq
        t.gc_state = GC_RUNNING
        return ADVANCED
    if seq != t.gc_seq + ONE:
        return WAITS
    if (t.gc_state == GC_RUNNING) == (c.kind == EV_GC_BEGIN):
        return wrong(t, c, BAD_GC_STATE, c.kind, 0)
    t.gc_seq = seq
    t.gc_state = GC_NOT_RUNNING if c.kind == EV_GC_END else GC_RUNNING
    return needs(t, c, row, MUST, MUST)


# ---------------------------------------------------------------------------------------------------- the user's


@kjit
def string_hash(t, key):
    """Return 64 bits that depend on all of a string of this generation; 0 is the empty one."""
    word = np.uint64(map_get(t.strings, key)) if key != ZERO else ZERO
    if word & LEN_MASK <= ONE:
        return ZERO
    at = np.int64(word >> LEN_BITS)
    found = GOLDEN
    for i in range(np.int64((word & LEN_MASK) - ONE)):
        found = mix(found ^ np.uint64(data_byte(t, at + i)))
    return found | ONE


@kjit
def pop_region(t, g):
    """Remove a goroutine's innermost region. Modifies t, g, regions."""
    row = np.int64(g.region)
    region = region_at(t, row)
    g.region = region.following
    region.following = t.free_regions
    t.free_regions = row


@kjit
def region_event(t, c, row):
    """EvUserRegionBegin, EvUserRegionEnd: regions are ended in the reverse order; those of before are not known."""
    place = running(t, c, row, ANY, MUST)
    if place < 0:
        return -1 - place
    g = g_at(t, place)
    name = string_hash(t, np.uint64(c.args[1]))
    if c.kind == EV_REGION_BEGIN:
        new = np.int64(t.free_regions)
        if new != 0:
            t.free_regions = np.int64(region_at(t, new).following)
        else:
            new = np.int64(t.n_regions)
            t.n_regions += 1
        region = region_at(t, new)
        region.task = c.args[0]
        region.name = name
        region.following = g.region
        g.region = new
    elif g.region != 0:
        region = region_at(t, g.region)
        if region.task != c.args[0] or region.name != name:
            return wrong(t, c, OTHER_REGION, 0, m_at(t, row).g)
        pop_region(t, g)
    return ADVANCED


@kjit
def task_event(t, c, row):
    """EvUserTaskBegin, EvUserTaskEnd: a task begins once, and may end again and again."""
    key = np.uint64(c.args[0])
    if c.kind == EV_TASK_BEGIN:
        if map_get(t.tasks, key) != ZERO:
            return wrong(t, c, TASK_TWICE, key, 0)
        map_put(t.tasks, key, ONE)
    else:
        map_remove(t.tasks, key)
    return needs(t, c, row, MUST, MUST)


# ---------------------------------------------------------------------------------------------------- any event


@kjit
def advance_other(t, c, row):
    """Let the event at the cursor come, which is none of memory, if it may. Modifies t and its tables."""
    kind = c.kind
    if kind == EV_GO_START:
        return go_start(t, c, row)
    if kind == EV_GO_BLOCK or kind == EV_GO_STOP or kind == EV_GO_DESTROY:
        return go_stop(t, c, row)
    if kind == EV_GO_UNBLOCK:
        return go_unblock(t, c)
    if kind == EV_GO_SYSCALL_BEGIN:
        return syscall_begin(t, c, row)
    if kind == EV_GO_SYSCALL_END:
        return syscall_end(t, c, row)
    if kind == EV_GO_SYSCALL_END_BLOCKED:
        return syscall_end_blocked(t, c, row)
    if kind == EV_GC_SWEEP_BEGIN or kind == EV_GC_SWEEP_END:
        return sweep_range(t, c, row)
    if kind == EV_STW_BEGIN or kind == EV_STW_END or kind == EV_ASSIST_BEGIN or kind == EV_ASSIST_END:
        return stw_or_assist(t, c, row)
    if kind == EV_HEAP_ALLOC or kind == EV_HEAP_GOAL:
        return needs(t, c, row, MUST, MAY)
    if kind == EV_PROCS_CHANGE or kind == EV_GO_LABEL or kind == EV_USER_LOG:
        return needs(t, c, row, MUST, MUST)
    if kind == EV_PROC_START:
        return proc_start(t, c, row)
    if kind == EV_PROC_STOP:
        return proc_stop(t, c, row)
    if kind == EV_PROC_STEAL:
        return proc_steal(t, c, row)
    if kind == EV_PROC_STATUS:
        return proc_status(t, c, row)
    if kind == EV_GO_CREATE or kind == EV_GO_CREATE_BLOCKED:
        return go_create(t, c, row)
    if kind == EV_GO_STATUS or kind == EV_GO_STATUS_STACK:
        return go_status(t, c, row)
    if kind == EV_GO_SWITCH or kind == EV_GO_SWITCH_DESTROY:
        return go_switch(t, c, row)
    if kind == EV_GC_ACTIVE or kind == EV_GC_BEGIN or kind == EV_GC_END:
        return gc_event(t, c, row)
    if kind == EV_GC_SWEEP_ACTIVE:
        return sweep_active(t, c)
    if kind == EV_ASSIST_ACTIVE:
        return assist_active(t, c)
    if kind == EV_REGION_BEGIN or kind == EV_REGION_END:
        return region_event(t, c, row)
    if kind == EV_TASK_BEGIN or kind == EV_TASK_END:
        return task_event(t, c, row)
    if kind == EV_GO_CREATE_SYSCALL:
        return go_create_syscall(t, c, row)
    return go_destroy_syscall(t, c, row)


@kjit
def check_args(t, c):
    """Look for the strings and stacks that the event at the cursor names. Modifies t."""
    strings = np.uint64(STRING_ARGS[np.uint64(c.kind)])
    stacks = np.uint64(STACK_ARGS[np.uint64(c.kind)])
    for i in range(4):
        bit = ONE << np.uint64(i)
        key = np.uint64(c.args[np.uint64(i)])
        if strings & bit != ZERO and not has_entry(t.strings, key):
            return wrong(t, c, NO_STRING, key, 0)
        if stacks & bit != ZERO and not has_entry(t.stacks, key):
            return wrong(t, c, NO_STACK, key, 0)
    return OK


@kjit
def advance(t, c):
    """Let the event at the cursor come if it may; return ADVANCED, WAITS or a fault. Modifies t and its tables.

    An event of memory is only looked at; whoever hands it out takes its time.
    """
    row = know_thread(t, c)
    if c.kind >= EV_MEMORY:
        return needs(t, c, row, MAY, MAY)
    code = check_args(t, c)
    if code == OK:
        code = advance_other(t, c, row)
    if code == ADVANCED:
        take_time(t, np.int64(c.time))
        if c.kind == EV_GO_SWITCH or c.kind == EV_GO_SWITCH_DESTROY:
            # Go's parser makes three events of it.
            take_time(t, np.int64(c.time))
            take_time(t, np.int64(c.time))
    return code
