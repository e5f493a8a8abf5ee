"""exectrace_order: what may come when, thread by thread, in made-up traces."""

import pytest
from exectraces import ALLOC, FREE, NO_M, batch, event, generation, header, ids, parse, runs, stacks, strings

from mheaplab.errors import FormatError
from mheaplab.runtime import exectrace_structs as x

E = event
P_RUNS, P_IDLE, P_SYSCALL, P_LOST = x.PROC_RUNNING, x.PROC_IDLE, x.PROC_SYSCALL, x.PROC_ABANDONED


def alloc(i):
    """Return the allocation of object ``i``, one unit of time after the last event."""
    return E(ALLOC, 1, i, 0)


def trace(*threads, gen=1, tables=b""):
    """Return a trace of one generation: (thread, time, events) each."""
    return header() + generation(gen, tables, *(batch(gen, m, time, events) for m, time, events in threads))


def test_clocks_that_disagree(tmp_path):
    """A goroutine starts after it was made, whatever the clock of its processor says."""
    one = runs(1, 0, 1) + alloc(1) + E(x.EV_GO_CREATE, 1, 2, 0, 0) + alloc(2)
    two = E(x.EV_PROC_STATUS, 0, 1, P_IDLE) + E(x.EV_PROC_START, 0, 1, 1) + E(x.EV_GO_START, 0, 2, 1) + alloc(3)
    rows = parse(tmp_path, trace((1, 1000, one), (2, 10, two)))
    assert [row[3] for row in rows] == [1, 3, 2]
    assert [row[1] for row in rows] == [0, 1, 0]
    # What has to wait gets a time after that of what came before.
    assert [row[2] for row in rows] == [1002, 1005, 1006]


def test_hand_over_of_a_p(tmp_path):
    """A P is started by the next thread after it was stopped, and with it what that thread allocates."""
    one = runs(1, 0, 1) + alloc(1) + E(x.EV_GO_BLOCK, 1, 0, 0) + E(x.EV_PROC_STOP, 1) + E(FREE, 1, 5)
    two = E(x.EV_PROC_START, 1, 0, 1) + alloc(2) + E(x.EV_GO_UNBLOCK, 1, 1, 1, 0) + E(x.EV_GO_START, 1, 1, 2) + alloc(3)
    rows = parse(tmp_path, trace((2, 1, two), (1, 500, one)))
    assert [row[3] for row in rows] == [1, 2, 3, 5] or [row[3] for row in rows] == [1, 5, 2, 3]
    assert dict(zip([row[3] for row in rows], [row[1] for row in rows], strict=True)) == {1: 0, 2: 0, 3: 0, 5: -1}


def test_numbers_of_hand_overs(tmp_path):
    """Three threads that hand one goroutine round: their numbers decide, not their times."""
    head = E(x.EV_GO_STATUS, 0, 9, 0, x.GO_RUNNABLE)
    laps = []
    for k, m in enumerate((1, 2, 3)):
        start = E(x.EV_PROC_STATUS, 0, k, P_RUNS)
        start += E(x.EV_GO_START, 1, 9, 1 + k) + alloc(10 + k) + E(x.EV_GO_STOP, 1, 0, 0)
        laps.append((m, 900 - 100 * k, start))
    assert ids(tmp_path, trace((7, 990, head), *laps)) == [10, 11, 12]
    assert ids(tmp_path, trace(*laps[::-1], (7, 1, head))) == [10, 11, 12]


def test_system_calls(tmp_path):
    """A thread comes back from a system call with its P, or after it was taken away."""
    call = E(x.EV_GO_SYSCALL_BEGIN, 1, 1, 0)
    kept = runs(1, 0, 1) + call + E(x.EV_GO_SYSCALL_END, 1) + alloc(1)
    assert ids(tmp_path, trace((1, 1, kept))) == [1]
    lost = runs(1, 0, 1) + call + E(x.EV_GO_SYSCALL_END_BLOCKED, 1) + alloc(2)
    thief = E(x.EV_PROC_STEAL, 0, 0, 2, 1) + E(x.EV_PROC_START, 1, 0, 3) + alloc(3)
    rows = parse(tmp_path, trace((1, 1, lost), (2, 900, thief)))
    assert [(row[1], row[3]) for row in rows] == [(-1, 2), (0, 3)]
    own = runs(1, 0, 1) + call + E(x.EV_PROC_STEAL, 1, 0, 2, 1) + E(x.EV_GO_SYSCALL_END_BLOCKED, 1) + alloc(4)
    assert [(row[1], row[3]) for row in parse(tmp_path, trace((1, 1, own)))] == [(-1, 4)]


def test_a_p_of_a_forgotten_thread(tmp_path):
    """A P that is taken from a thread which the generation has not seen."""
    thief = E(x.EV_PROC_STATUS, 0, 0, P_LOST) + E(x.EV_PROC_STEAL, 0, 0, 1, 99) + E(x.EV_PROC_START, 1, 0, 2) + alloc(1)
    assert [(row[1], row[3]) for row in parse(tmp_path, trace((2, 1, thief)))] == [(0, 1)]


def test_switches_and_their_times(tmp_path):
    """A coroutine takes over; three events at one time, as Go has it."""
    events = runs(1, 0, 1) + E(x.EV_GO_CREATE_BLOCKED, 1, 2, 0, 0) + E(x.EV_GO_SWITCH, 1, 2, 1) + E(ALLOC, 0, 1, 0)
    events += E(x.EV_GO_SWITCH_DESTROY, 0, 1, 1) + E(ALLOC, 0, 2, 0)
    assert [row[2] for row in parse(tmp_path, trace((1, 100, events)))] == [106, 110]


def test_threads_of_c(tmp_path):
    """A goroutine for a callback from C appears in a system call and disappears in one, its P left behind."""
    events = E(x.EV_GO_CREATE_SYSCALL, 1, 7) + E(x.EV_PROC_STATUS, 1, 0, P_IDLE)
    # It gets a P, as its system call ends, and goes back.
    events += E(x.EV_GO_SYSCALL_END_BLOCKED, 1) + E(x.EV_PROC_START, 1, 0, 1) + E(x.EV_GO_START, 1, 7, 1) + alloc(1)
    events += E(x.EV_GO_SYSCALL_BEGIN, 1, 2, 0) + E(x.EV_GO_DESTROY_SYSCALL, 1) + alloc(2)
    rows = parse(tmp_path, trace((1, 100, events)))
    assert [(row[1], row[3]) for row in rows] == [(0, 1), (-1, 2)]
    assert rows[1][2] - rows[0][2] == 4


def test_ranges_tasks_and_regions(tmp_path):
    names = strings(1, {1: "a", 2: "b", 3: "a", 4: "why"}) + stacks(1, {6: [(1, 1, 1, 1)]})
    events = runs(1, 0, 1) + E(x.EV_STW_BEGIN, 1, 4, 6) + E(x.EV_PROCS_CHANGE, 1, 8, 6) + E(x.EV_STW_END, 1)
    events += E(x.EV_GC_BEGIN, 1, 5, 6) + E(x.EV_ASSIST_BEGIN, 1, 6) + E(x.EV_ASSIST_END, 1) + E(x.EV_GC_END, 1, 6)
    events += E(x.EV_GC_SWEEP_BEGIN, 1, 6) + alloc(1) + E(x.EV_GC_SWEEP_END, 1, 10, 5)
    events += E(x.EV_HEAP_ALLOC, 1, 99) + E(x.EV_HEAP_GOAL, 1, 99) + E(x.EV_USER_LOG, 1, 1, 1, 2, 6)
    events += E(x.EV_TASK_BEGIN, 1, 1, 0, 1, 6) + E(x.EV_TASK_END, 1, 1, 6) + E(x.EV_TASK_END, 1, 1, 6)
    events += E(x.EV_REGION_BEGIN, 1, 1, 1, 6) + E(x.EV_REGION_BEGIN, 1, 1, 2, 0) + E(x.EV_REGION_END, 1, 1, 2, 0)
    # The same name under another number is the same region.
    events += E(x.EV_REGION_END, 1, 1, 3, 0) + E(x.EV_REGION_END, 1, 9, 2, 0) + alloc(2)
    assert ids(tmp_path, trace((1, 1, events), tables=names)) == [1, 2]


def test_generations_go_on(tmp_path):
    """What was going on goes on in the next generation, whose hand-overs count from 0 again."""
    first = runs(1, 0, 1) + E(x.EV_GO_CREATE, 1, 2, 0, 0) + E(x.EV_GO_STATUS, 1, 3, 4, x.GO_SYSCALL)
    first += E(x.EV_REGION_BEGIN, 1, 1, 5, 0) + E(x.EV_ASSIST_BEGIN, 1, 0) + E(x.EV_GC_SWEEP_BEGIN, 1, 0) + alloc(1)
    first += E(x.EV_GC_BEGIN, 1, 70, 0)
    second = runs(1, 0, 1) + E(x.EV_GO_STATUS, 0, 2, 0, x.GO_RUNNABLE) + E(x.EV_GO_STATUS, 1, 3, 4, x.GO_SYSCALL)
    second += E(x.EV_ASSIST_ACTIVE, 1, 1) + E(x.EV_ASSIST_END, 1) + E(x.EV_GC_SWEEP_ACTIVE, 1, 0)
    second += E(x.EV_GC_SWEEP_END, 1, 1, 1) + E(x.EV_GC_ACTIVE, 1, 71) + E(x.EV_GC_END, 1, 72)
    second += E(x.EV_REGION_END, 1, 1, 6, 0) + E(x.EV_GO_STOP, 1, 0, 0) + E(x.EV_GO_START, 1, 2, 1) + alloc(2)
    data = trace((1, 1, first), tables=strings(1, {5: "r"}))
    data += generation(2, strings(2, {6: "r"}), batch(2, 1, 1, second))
    rows = parse(tmp_path, data)
    # All of the second generation's times are before those of the first.
    assert [row[3] for row in rows] == [1, 2] and rows[1][2] > rows[0][2]


def test_many_goroutines(tmp_path):
    """Rows of goroutines and regions are used again, and tables grow."""
    events = runs(1, 0, 1)
    for g in range(2, 302):
        events += E(x.EV_GO_CREATE, 1, g, 0, 0)
    for g in range(2, 302):
        events += E(x.EV_GO_STOP, 1, 0, 0) if g == 2 else b""
        events += E(x.EV_GO_START, 1, g, 1) + E(x.EV_REGION_BEGIN, 1, g, 0, 0) * 3 + E(x.EV_TASK_BEGIN, 1, g, 0, 0, 0)
        events += alloc(g) + E(x.EV_GO_DESTROY, 1)
    assert ids(tmp_path, trace((1, 1, events))) == list(range(2, 302))


BASE = runs(1, 0, 1)
CALL = E(x.EV_GO_SYSCALL_BEGIN, 1, 1, 0)
BLOCK = E(x.EV_GO_BLOCK, 1, 0, 0)
STRANGE = {
    "stuck": (BASE + BLOCK + E(x.EV_GO_START, 1, 1, 1), "cannot be put in order: none of 1 threads"),
    "unknown goroutine": (BASE + BLOCK + E(x.EV_GO_START, 1, 5, 1), "cannot be put in order"),
    "number left out": (BASE + E(x.EV_GO_STOP, 1, 0, 0) + E(x.EV_GO_START, 1, 1, 2), "cannot be put in order"),
    "P too high": (E(x.EV_PROC_STATUS, 1, 40000, P_RUNS), "P 40000, expected"),
    "P start too high": (E(x.EV_PROC_START, 1, 40000, 1), "cannot be put in order"),
    "status of a P": (E(x.EV_PROC_STATUS, 1, 0, 5), "status 5 of P 0"),
    "other status of a P": (BASE + E(x.EV_PROC_STATUS, 1, 0, P_IDLE), "status 2 of P 0 contradicts"),
    "status of a goroutine": (E(x.EV_GO_STATUS, 1, 1, 1, 5), "status 5 of goroutine 1"),
    "other status": (BASE + E(x.EV_GO_STATUS, 1, 1, 1, x.GO_WAITING), "status 4 of goroutine 1 contradicts"),
    "nobody's system call": (E(x.EV_GO_STATUS, 1, 1, NO_M, x.GO_SYSCALL), "needs a thread"),
    "stop without P": (E(x.EV_PROC_STOP, 1), "event 11 needs a thread with a P"),
    "block without goroutine": (BASE + BLOCK + BLOCK, "event 20 needs a goroutine that runs"),
    "label without goroutine": (BASE + BLOCK + E(x.EV_GO_LABEL, 1, 0), "needs a goroutine that runs"),
    "create without P": (E(x.EV_GO_CREATE, 1, 5, 0, 0), "needs a thread with a P"),
    "create twice": (BASE + E(x.EV_GO_CREATE, 1, 5, 0, 0) * 2, "goroutine 5 is there already"),
    "create in a call": (BASE + CALL + E(x.EV_GO_CREATE, 1, 5, 0, 0), "event 14 of goroutine 1, whose status"),
    "C's goroutine": (BASE + E(x.EV_GO_CREATE_SYSCALL, 1, 5), "must not come while a goroutine runs"),
    "C's goroutine twice": (BASE + BLOCK + E(x.EV_GO_CREATE_SYSCALL, 1, 1), "goroutine 1 is there already"),
    "C's end": (BASE + E(x.EV_GO_DESTROY_SYSCALL, 1), "event 18 of goroutine 1, whose status"),
    "start while one runs": (
        BASE + E(x.EV_GO_CREATE, 1, 5, 0, 0) + E(x.EV_GO_START, 1, 5, 1), "event 16 must not come while"
    ),
    "block in a call": (BASE + CALL + BLOCK, "event 20 of goroutine 1, whose status"),
    "call in a call": (BASE + CALL + CALL, "event 22 of goroutine 1, whose status"),
    "end without call": (BASE + E(x.EV_GO_SYSCALL_END, 1), "event 23 of goroutine 1, whose status"),
    "order of calls": (BASE + E(x.EV_GO_SYSCALL_BEGIN, 1, 5, 0), "a system call on P 0 out of its order"),
    "blocked, P not taken": (BASE + CALL + E(x.EV_GO_SYSCALL_END_BLOCKED, 1), "cannot be put in order"),
    "steal from another": (BASE + CALL + E(x.EV_PROC_STEAL, 1, 0, 2, 5), "P 0 is taken from a thread that does not"),
    "stw twice": (BASE + 2 * E(x.EV_STW_BEGIN, 1, 0, 0), "event 26: the same is going on"),
    "stw end": (BASE + E(x.EV_STW_END, 1), "event 27: nothing of the kind"),
    "assist twice": (BASE + E(x.EV_ASSIST_ACTIVE, 1, 1) + E(x.EV_ASSIST_BEGIN, 1, 0), "event 35: the same"),
    "assist of nobody": (E(x.EV_ASSIST_ACTIVE, 1, 7), "event 34 of goroutine 7, which is not known"),
    "sweep end": (BASE + E(x.EV_GC_SWEEP_END, 1, 0, 0), "event 33: nothing of the kind"),
    "sweep twice": (BASE + E(x.EV_GC_SWEEP_ACTIVE, 1, 0) + E(x.EV_GC_SWEEP_BEGIN, 1, 0), "event 32: the same"),
    "sweep of no P": (BASE + E(x.EV_GC_SWEEP_ACTIVE, 1, 3), "event 31 of P 3"),
    "gc end first": (BASE + E(x.EV_GC_END, 1, 1), "event 30 of the collector"),
    "gc begin twice": (BASE + E(x.EV_GC_BEGIN, 1, 1, 0) + E(x.EV_GC_BEGIN, 1, 2, 0), "event 29 of the collector"),
    "gc active late": (BASE + E(x.EV_GC_BEGIN, 1, 1, 0) + E(x.EV_GC_ACTIVE, 1, 2), "event 28 of the collector"),
    "task twice": (BASE + 2 * E(x.EV_TASK_BEGIN, 1, 5, 0, 0, 0), "task 5 is there already"),
    "region": (BASE + E(x.EV_REGION_BEGIN, 1, 5, 0, 0) + E(x.EV_REGION_END, 1, 6, 0, 0), "not the innermost of gor"),
    "string": (BASE + E(x.EV_GO_LABEL, 1, 5), "string 5 is not in the generation's table"),
    "stack": (BASE + E(x.EV_GO_BLOCK, 1, 0, 5), "stack 5 is not in the generation's table"),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
def test_contradictions(tmp_path, case):
    events, message = STRANGE[case]
    with pytest.raises(FormatError, match=f"made.trace: offset [0-9]+: .*{message}"):
        parse(tmp_path, trace((1, 10, events)))


def test_events_of_no_thread(tmp_path):
    """States may be told by nobody; memory is allocated by somebody."""
    told = E(x.EV_PROC_STATUS, 0, 0, P_RUNS) + E(x.EV_GO_STATUS, 0, 1, 1, x.GO_RUNNABLE)
    assert ids(tmp_path, trace((NO_M, 1, told), (1, 1, alloc(1)))) == [1]
    with pytest.raises(FormatError, match="event 132 needs a thread"):
        parse(tmp_path, trace((NO_M, 1, told + alloc(1))))


def test_what_later_generations_may_not_say(tmp_path):
    data = trace((1, 1, BASE + E(x.EV_GO_STATUS, 1, 3, 4, x.GO_SYSCALL)))
    for events, message in {
        E(x.EV_GO_STATUS, 1, 8, 1, x.GO_WAITING): "event 25 of goroutine 8, which is not known",
        E(x.EV_GO_STATUS, 1, 3, 1, x.GO_SYSCALL): "goroutine 3 is said to be on another thread",
        E(x.EV_ASSIST_ACTIVE, 1, 1): "event 34: nothing of the kind",
        E(x.EV_GC_SWEEP_ACTIVE, 1, 0): "event 31: nothing of the kind",
        E(x.EV_GC_ACTIVE, 1, 1): "event 28 of the collector",
    }.items():
        with pytest.raises(FormatError, match=message):
            parse(tmp_path, data + generation(2, batch(2, 1, 1, BASE + events)))
