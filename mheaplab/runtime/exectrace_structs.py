"""exectrace_structs: the format of Go's execution traces (v2, Go 1.22 on) as numbers, and the records of its parser.

A trace is a header and *generations*, about one for each second.  A generation is a row of *batches*: the events of one
thread (M) for some time, or a piece of a table that the generation's events refer to (strings, stacks, samples of the
CPU profiler, the clock's frequency), or data of an experiment.  Numbers are little-endian base 128 (varints).

Versions of the format differ in the numbers of ``VERSIONS`` and in nothing else.

Everything that the parser keeps stands in one ``EXECTRACE`` record and in tables that it points to (``t`` in compiled
code).  Row 0 of the tables of batches, threads, goroutines and regions is nil.
"""

from typing import NamedTuple

import numpy as np

from .intrinsics import make_byte_reader, make_record_table, make_word_table
from .records import struct

# ---------------------------------------------------------------------------------------------------- the format

MAX_BATCH = 1 << 16
"""Bytes of the largest batch."""
MAX_STRING = 1 << 10
MAX_FRAMES = 128
NO_THREAD = NO_PROC = NO_GOROUTINE = np.int64(-1)
ALLOC_FREE = np.uint64(1)
"""The number of the experiment that ``GODEBUG=traceallocfree=1`` switches on."""
TYPES_BATCH, INFO_BATCH = 0, 1
"""First byte of a batch of that experiment."""


class Version(NamedTuple):
    """What differs between versions of the format."""

    sync: int
    """The event that a batch with the clock's frequency begins with."""
    clock: bool
    """Whether that batch must have a snapshot of other clocks."""
    marked_end: bool
    """Whether a generation ends with a mark of its own; else the next one's first batch ends it."""


EV_EVENT_BATCH, EV_STACKS, EV_STACK, EV_STRINGS, EV_STRING, EV_CPU_SAMPLES, EV_CPU_SAMPLE, EV_FREQUENCY = range(1, 9)
EV_PROCS_CHANGE, EV_PROC_START, EV_PROC_STOP, EV_PROC_STEAL, EV_PROC_STATUS = range(9, 14)
EV_GO_CREATE, EV_GO_CREATE_SYSCALL, EV_GO_START, EV_GO_DESTROY, EV_GO_DESTROY_SYSCALL = range(14, 19)
EV_GO_STOP, EV_GO_BLOCK, EV_GO_UNBLOCK = range(19, 22)
EV_GO_SYSCALL_BEGIN, EV_GO_SYSCALL_END, EV_GO_SYSCALL_END_BLOCKED, EV_GO_STATUS = range(22, 26)
EV_STW_BEGIN, EV_STW_END, EV_GC_ACTIVE, EV_GC_BEGIN, EV_GC_END = range(26, 31)
EV_GC_SWEEP_ACTIVE, EV_GC_SWEEP_BEGIN, EV_GC_SWEEP_END = range(31, 34)
EV_ASSIST_ACTIVE, EV_ASSIST_BEGIN, EV_ASSIST_END, EV_HEAP_ALLOC, EV_HEAP_GOAL = range(34, 39)
EV_GO_LABEL, EV_TASK_BEGIN, EV_TASK_END, EV_REGION_BEGIN, EV_REGION_END, EV_USER_LOG = range(39, 45)
EV_GO_SWITCH, EV_GO_SWITCH_DESTROY, EV_GO_CREATE_BLOCKED, EV_GO_STATUS_STACK = range(45, 49)
EV_EXPERIMENTAL_BATCH, EV_SYNC, EV_CLOCK_SNAPSHOT, EV_END_OF_GENERATION = range(49, 53)
EV_MEMORY = 128
"""The first event of the experiment; ``MEMORY_NAMES`` has the names of this and the next."""

VERSIONS = {
    22: Version(EV_FREQUENCY, False, False),
    23: Version(EV_FREQUENCY, False, False),
    25: Version(EV_SYNC, True, False),
    26: Version(EV_SYNC, True, True),
}
"""By the number in the header, which is the minor version of Go that brought the format: "go 1.23 trace"."""

MEMORY_NAMES = (
    "Span",
    "SpanAlloc",
    "SpanFree",
    "HeapObject",
    "HeapObjectAlloc",
    "HeapObjectFree",
    "GoroutineStack",
    "GoroutineStackAlloc",
    "GoroutineStackFree",
)
MARK_NAMES = ("GCBegin", "GCEnd")
"""Events that may be handed out among those of memory: the ends of mark phases; their names follow ``MEMORY_NAMES``."""
GC_BEGIN = len(MEMORY_NAMES)
GC_END = GC_BEGIN + 1
BY_ITSELF, BY_RUNTIME_GC, BY_FREE_OS_MEMORY = range(3)
"""Who began a collection: the pacer, or the program with runtime.GC or debug.FreeOSMemory."""
ASKING = (b"runtime.GC", b"runtime/debug.FreeOSMemory")
"""The functions whose frames tell so, in the order of the last two."""

# Events that may stand in a batch of a thread: how many arguments they have after the time, and which of these are
# strings and stacks.
_SPECS = {
    EV_PROCS_CHANGE: (2, (), (1,)),
    EV_PROC_START: (2, (), ()),
    EV_PROC_STOP: (0, (), ()),
    EV_PROC_STEAL: (3, (), ()),
    EV_PROC_STATUS: (2, (), ()),
    EV_GO_CREATE: (3, (), (1, 2)),
    EV_GO_CREATE_SYSCALL: (1, (), ()),
    EV_GO_START: (2, (), ()),
    EV_GO_DESTROY: (0, (), ()),
    EV_GO_DESTROY_SYSCALL: (0, (), ()),
    EV_GO_STOP: (2, (0,), (1,)),
    EV_GO_BLOCK: (2, (0,), (1,)),
    EV_GO_UNBLOCK: (3, (), (2,)),
    EV_GO_SYSCALL_BEGIN: (2, (), (1,)),
    EV_GO_SYSCALL_END: (0, (), ()),
    EV_GO_SYSCALL_END_BLOCKED: (0, (), ()),
    EV_GO_STATUS: (3, (), ()),
    EV_STW_BEGIN: (2, (0,), (1,)),
    EV_STW_END: (0, (), ()),
    EV_GC_ACTIVE: (1, (), ()),
    EV_GC_BEGIN: (2, (), (1,)),
    EV_GC_END: (1, (), ()),
    EV_GC_SWEEP_ACTIVE: (1, (), ()),
    EV_GC_SWEEP_BEGIN: (1, (), (0,)),
    EV_GC_SWEEP_END: (2, (), ()),
    EV_ASSIST_ACTIVE: (1, (), ()),
    EV_ASSIST_BEGIN: (1, (), (0,)),
    EV_ASSIST_END: (0, (), ()),
    EV_HEAP_ALLOC: (1, (), ()),
    EV_HEAP_GOAL: (1, (), ()),
    EV_GO_LABEL: (1, (0,), ()),
    EV_TASK_BEGIN: (4, (2,), (3,)),
    EV_TASK_END: (2, (), (1,)),
    EV_REGION_BEGIN: (3, (1,), (2,)),
    EV_REGION_END: (3, (1,), (2,)),
    EV_USER_LOG: (4, (1, 2), (3,)),
    EV_GO_SWITCH: (2, (), ()),
    EV_GO_SWITCH_DESTROY: (2, (), ()),
    EV_GO_CREATE_BLOCKED: (3, (), (1, 2)),
    EV_GO_STATUS_STACK: (4, (), (3,)),
    **{EV_MEMORY + i: (n, (), ()) for i, n in enumerate((3, 3, 1, 2, 2, 1, 2, 2, 1))},
}
NOT_TIMED = 255
PADDING = 8
"""Bytes that must follow the last byte of the data, so that a word can be read wherever a byte can."""


def _spec_table(of):
    table = np.full(256, of(None), np.uint8)
    for event, spec in _SPECS.items():
        table[event] = of(spec)
    return table


N_ARGS = _spec_table(lambda spec: spec[0] if spec else NOT_TIMED)
"""Arguments by event, NOT_TIMED for what must not stand in a thread's batch."""
STRING_ARGS = _spec_table(lambda spec: sum(1 << i for i in spec[1]) if spec else 0)
STACK_ARGS = _spec_table(lambda spec: sum(1 << i for i in spec[2]) if spec else 0)
"""Bits of the arguments that are numbers of strings, of stacks."""

# Status of a goroutine, and of a P, as the format numbers them.
GO_BAD, GO_RUNNABLE, GO_RUNNING, GO_SYSCALL, GO_WAITING = map(np.int64, range(5))
PROC_BAD, PROC_RUNNING, PROC_IDLE, PROC_SYSCALL, PROC_ABANDONED = map(np.int64, range(5))
GC_UNDETERMINED, GC_NOT_RUNNING, GC_RUNNING = map(np.int64, range(3))

MAY, MUST = np.int64(0), np.int64(1)
"""Whether an event needs a P, a goroutine."""

# ---------------------------------------------------------------------------------------------------- limits

MAX_PROCS = 1 << 15
MAX_THREADS = 1 << 17
"""Threads with batches in one generation; Go itself ends a program at 10,000 unless told otherwise."""

# ---------------------------------------------------------------------------------------------------- records

FINE = 0
NEEDS_ROOM = 1
NEEDS_DATA = 2
GENERATION_ENDS = 3
FULL = 4
BROKEN = 5
"""How a call of the parser ended; BROKEN: ``fault`` and ``fault_at`` say what is wrong, and where."""

EVENTS, STRUCTURE, STACKS, TYPES = range(4)
"""Kinds of batches."""

MAP = struct(("used", "i8"), ("slots_at", "i8"), ("slots_cap", "i8"), ("slots_len", "i8"))
MAP_SLOT = struct(("key", "u8"), ("word", "u8"))
map_slot = make_record_table(MAP, "slots", MAP_SLOT)

BATCH = struct(("at", "i8"), ("end", "i8"), ("start", "u8"), ("following", "i4"), ("kind", "i4"))
"""Bytes ``at`` to ``end`` of the data; time ``start``; the next batch of the same thread."""
CURSOR = struct(
    ("m", "i8"),
    ("ms", "i8"),  # row of the thread's state, 0 until it is known
    ("time", "i8"),  # ns; of the event at hand
    ("last_ts", "i8"),
    ("at", "i8"),  # what follows the event at hand
    ("end", "i8"),  # of the batch
    ("ev_at", "i8"),  # the event at hand
    ("batch", "i4"),
    ("tail", "i4"),  # the thread's last batch
    ("kind", "i8"),  # of the event at hand
    ("args", "u8", (4,)),
)
THREAD = struct(("g", "i8"), ("p", "i8"))
GOROUTINE = struct(
    ("gen", "u8"),  # of seq
    ("seq", "u8"),
    ("region", "u4"),  # the innermost; of a free row, the next free row
    ("status", "u1"),
    ("stw", "u1"),  # whether it stops the world
    ("assist", "u1"),  # whether it assists marking
    ("_pad", "u1"),
)
PROC = struct(
    ("gen", "u8"),
    ("seq", "u8"),
    ("bound", "i4"),  # threads that have it
    ("known", "u1"),
    ("status", "u1"),
    ("sweeps", "u1"),
    ("_pad", "u1"),
)
REGION = struct(("task", "u8"), ("name", "u8"), ("following", "u8"))

TABLES = {
    "data": np.dtype("u1"),
    "batches": BATCH,
    "cursors": CURSOR,
    "frontier": np.dtype("i8"),
    "samples": np.dtype("i8"),
    "ms": THREAD,
    "gs": GOROUTINE,
    "ps": PROC,
    "regions": REGION,
}
MAPS = ("strings", "stacks", "cursor_ids", "m_ids", "g_ids", "tasks")

EXECTRACE = struct(
    # The version.
    ("sync", "u1"),
    ("clock", "u1"),
    ("marked_end", "u1"),
    # Reading a generation.
    ("gen", "u8"),
    ("read_at", "i8"),  # the next batch
    ("generation_end", "i8"),
    ("min_ts", "u8"),
    ("freq", "f8"),  # ns per unit of time, 0 if not known yet
    ("has_clock", "u1"),
    ("has_info", "u1"),
    ("info", "u8", (4,)),
    ("types", "i8"),
    ("marks", "u1"),  # whether the ends of mark phases are handed out, too
    ("wanted", "i8"),  # room that strings and stacks must have
    # What is in use of the tables.
    ("n_batches", "i8"),
    ("n_cursors", "i8"),
    ("n_frontier", "i8"),
    ("n_samples", "i8"),
    ("next_sample", "i8"),
    ("n_ms", "i8"),
    ("n_gs", "i8"),
    ("free_gs", "i8"),
    ("n_regions", "i8"),
    ("free_regions", "i8"),
    # Ordering.
    ("initial_gen", "u8"),
    ("gc_seq", "u8"),
    ("gc_state", "i8"),
    ("latest", "i8"),  # ns: time of the last event that was handed out
    # How the last call ended.
    ("fault", "i8"),
    ("fault_at", "i8"),
    ("fault_a", "i8"),
    ("fault_b", "i8"),
    ("sort_stack", "i8", (5 * 64,)),
    *((name, MAP) for name in MAPS),
    *((f"{name}{end}", "i8") for name in TABLES for end in ("_at", "_cap", "_len")),
)

data_byte, _ = make_word_table(EXECTRACE, "data", TABLES["data"])
data_word = make_byte_reader(EXECTRACE, "data")
batch_at = make_record_table(EXECTRACE, "batches", BATCH)
cursor_at = make_record_table(EXECTRACE, "cursors", CURSOR)
frontier_at, frontier_set = make_word_table(EXECTRACE, "frontier", TABLES["frontier"])
sample_at, sample_set = make_word_table(EXECTRACE, "samples", TABLES["samples"])
m_at = make_record_table(EXECTRACE, "ms", THREAD)
g_at = make_record_table(EXECTRACE, "gs", GOROUTINE)
p_at = make_record_table(EXECTRACE, "ps", PROC)
region_at = make_record_table(EXECTRACE, "regions", REGION)

# ---------------------------------------------------------------------------------------------------- what is wrong

FAULTS = (
    "fine",
    "event {a}, expected a batch",
    "a number of more than 64 bits",
    "generation 0, expected 1 or more",
    "a batch of generation {a}, expected one of generation {b} or its end",
    "a batch of {a} bytes, expected at most 65536",
    "a number reaches beyond its batch",
    "event {a}, expected a string (5)",
    "event {a}, expected a stack (3)",
    "event {a}, expected a sample (7)",
    "event {a}, expected a frequency or a snapshot of the clocks",
    "a string of {a} bytes, expected at most 1024 and within its batch",
    "a stack of {a} frames, expected at most 128",
    "string {a} is there already",
    "stack {a} is there already",
    "a frame's string {a} is not in the generation's table",
    "a second frequency in one generation",
    "a frequency of 0 Hz",
    "a second snapshot of the clocks in one generation",
    "no frequency in the generation that ends here",
    "no snapshot of the clocks in the generation that ends here",
    "event {a} in a thread's batch, where it cannot stand",
    "a type's name of {a} bytes reaches beyond its batch",
    "string {a} is not in the generation's table",
    "stack {a} is not in the generation's table",
    "events cannot be put in order: none of {a} threads may go on, of which this one is the first",
    "event {a} needs a thread, and has none",
    "event {a} needs a thread with a P, and it has none",
    "event {a} needs a goroutine that runs, and there is none",
    "event {a} must not come while a goroutine runs",
    "event {a} of goroutine {b}, which is not known",
    "event {a} of goroutine {b}, whose status does not allow it",
    "goroutine {b} is there already",
    "status {a} of goroutine {b} contradicts what came before",
    "status {a} of P {b} contradicts what came before",
    "P {a}, expected 0 to 32767",
    "event {a} of P {b}, whose status does not allow it",
    "P {a} is taken from a thread that does not have it",
    "goroutine {b} is said to be on another thread than before",
    "a system call on P {b} out of its order",
    "event {a}: the same is going on already",
    "event {a}: nothing of the kind is going on",
    "task {a} is there already",
    "a region ends that is not the innermost of goroutine {b}",
    "batches of more than 131072 threads in one generation",
    "event {a} of the collector while it is in another state",
)
"""Messages by fault; {a} and {b} are ``fault_a`` and ``fault_b``."""
(
    OK,
    NOT_A_BATCH,
    LONG_NUMBER,
    BAD_GENERATION,
    OTHER_GENERATION,
    LONG_BATCH,
    SHORT_BATCH,
    NOT_A_STRING,
    NOT_A_STACK,
    NOT_A_SAMPLE,
    NOT_A_CLOCK,
    LONG_STRING,
    LONG_STACK,
    STRING_TWICE,
    STACK_TWICE,
    NO_FRAME_STRING,
    FREQUENCY_TWICE,
    NO_HERTZ,
    CLOCK_TWICE,
    NO_FREQUENCY,
    NO_CLOCK,
    NOT_A_TIMED_EVENT,
    LONG_NAME,
    NO_STRING,
    NO_STACK,
    STUCK,
    NEEDS_THREAD,
    NEEDS_PROC,
    NEEDS_GOROUTINE,
    HAS_GOROUTINE,
    UNKNOWN_GOROUTINE,
    BAD_GO_STATE,
    GOROUTINE_TWICE,
    BAD_GO_STATUS,
    BAD_PROC_STATUS,
    BAD_PROC,
    BAD_PROC_STATE,
    NOT_ITS_PROC,
    OTHER_THREAD,
    BAD_SYSCALL,
    RANGE_TWICE,
    NO_RANGE,
    TASK_TWICE,
    OTHER_REGION,
    MANY_THREADS,
    BAD_GC_STATE,
) = map(np.int64, range(len(FAULTS)))
