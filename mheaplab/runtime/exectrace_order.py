"""exectrace_order: whether a thread's next event may come now, and what it changes.

The events of one thread are in order; between threads their times are a hint only, for clocks of two processors differ.
What decides is what happened to goroutines and Ps: that a goroutine starts on one thread after it was created or woken
on another, that a P is taken away from a thread in a system call before another thread starts it.  Events that hand
something over carry a number, which counts the hand-overs of that goroutine or P from the start of the generation.

``advance`` looks at the event at a cursor: it either comes now (ADVANCED), or has to wait for other threads (WAITS), or
contradicts what has come before (a fault).  All of it is done as Go's own parser does it, whose order is the truth.
"""

import numpy as np

from ._jit import kjit
from .exectrace_cursors import know_thread
from .exectrace_gos import (
    go_create,
    go_create_syscall,
    go_destroy_syscall,
    go_start,
    go_status,
    go_stop,
    go_switch,
    go_unblock,
    syscall_begin,
    syscall_end,
    syscall_end_blocked,
)
from .exectrace_procs import proc_start, proc_status, proc_steal, proc_stop, sweep_active, sweep_range
from .exectrace_ranges import assist_active, gc_event, region_event, stw_or_assist, task_event
from .exectrace_structs import (
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
    MAY,
    MUST,
    NO_STACK,
    NO_STRING,
    OK,
    STACK_ARGS,
    STRING_ARGS,
)
from .exectrace_tables import has_entry
from .exectrace_world import ADVANCED, ONE, ZERO, needs, take_time, wrong


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
