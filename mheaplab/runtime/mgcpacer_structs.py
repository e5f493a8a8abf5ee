"""The pacer's record, its parameters and Go's constants of pacing: fields in Go's words, one commented line each.

``GC_CONTROLLER`` is Go's gcControllerState, and beside it the few variables of other files that pacing writes and
nothing else does (mheap_.sweepPagesPerByte and its two bases, the scavenger's two goals, memstats.lastHeapInUse).  What
the heap counts anyway is not repeated here: heapLive, heapInUse, heapFree, totalAlloc, totalFree and mappedReady are
fields of ``STATS``, so the pacer's functions take both records, ``c`` and ``stats``.

Unlike elsewhere in the kernel, byte counts that are unsigned in Go are uint64 here.  Pacing uses the largest uint64
for "never" (no goal, not triggered) and lets products wrap, and its answers are compared with Go's bit by bit; the same
numbers as int64 would compare the other way round.  Signed and unsigned must not be mixed in one expression: NumPy
would make floats of them.

Simplified against Go: no atomics, since one thread runs the heap, and idleMarkWorkers is two fields instead of two
halves of a word.
"""

import numpy as np

from .records import struct

NEVER = np.uint64(0xFFFFFFFFFFFFFFFF)
"""^uint64(0): no goal, not triggered."""
U64_0 = np.uint64(0)
GOAL_UTILIZATION = np.float64(0.25)
"""gcGoalUtilization and gcBackgroundUtilization: the part of all Ps that marking should take."""
MAX_UTIL_ERROR = np.float64(0.3)
TRIGGER_RATIO_DEN = np.uint64(64)
MIN_TRIGGER_RATIO_NUM = np.uint64(45)
MAX_TRIGGER_RATIO_NUM = np.uint64(61)
MIN_RUNWAY = np.uint64(64 << 10)
SWEEP_MIN_HEAP_DISTANCE = np.uint64(1 << 20)
SWEEP_MARGIN = np.int64(1 << 20)
"""gcPaceSweeper wants to be through with sweeping this many bytes before the trigger."""
MEMORY_LIMIT_MIN_HEADROOM = np.uint64(1 << 20)
"""memoryLimitHeapGoalHeadroom of Go 1.19, memoryLimitMinHeapGoalHeadroom of 1.27."""
RETAIN_EXTRA_DIVISOR = np.uint64(10)
"""retainExtraPercent of 10 as Go divides by it."""
MAX_STACK_SCAN_SLACK = np.int64(8 << 10)
GC_OFF_PERCENT = np.int64(100000)
"""The GOGC that assists reckon with when GOGC=off."""
MIN_SCAN_WORK = np.int64(1000)
MAX_OVERSHOOT = np.float64(1.1)

# piController of init, Go 1.19
PI_KP = np.float64(0.9)
PI_TI = np.float64(4.0)
PI_TT = np.float64(1000.0)
PI_MIN = np.float64(-1000.0)
PI_MAX = np.float64(1000.0)
PI_PERIOD = np.float64(1.0)

# gcMarkWorkerMode
NOT_WORKER = np.int64(0)
DEDICATED_MODE = np.int64(1)
FRACTIONAL_MODE = np.int64(2)
IDLE_MODE = np.int64(3)

MAX_CONS_MARK_WINDOW = 8
"""Room for past measurements of cons/mark (Go 1.27 keeps four)."""

# What differs between Go versions, and what the pacer needs of the heap's parameters.
PACER_PARAMS = struct(
    ("default_heap_minimum", "u8"),  # heap goal of an empty heap at GOGC=100, bytes
    ("live_is_trigger", "i8"),  # 1: a cycle counts as triggered where the heap is when it starts, not where planned
    ("cons_mark_window", "i8"),  # past measurements of cons/mark whose largest is taken; 0: the PI controller instead
    ("limit_headroom_percent", "u8"),  # part of the memory limit's heap goal that is left free (1 MiB at least)
    ("scavenge_limit_factor", "f8"),  # times the memory limit: what the background scavenger keeps to
    ("phys_page_size", "u8"),  # as in HEAP_PARAMS
    ("other_ready", "i8"),  # as in HEAP_PARAMS
)

GC_CONTROLLER = struct(
    ("params", PACER_PARAMS),
    ("gc_percent", "i8"),  # GOGC; -1: off
    ("memory_limit", "i8"),  # GOMEMLIMIT, bytes
    ("heap_minimum", "u8"),  # no goal from GOGC is below this; default_heap_minimum scaled by GOGC
    ("runway", "u8"),  # bytes that the program is expected to allocate while a cycle marks
    # Estimates of cons/mark: bytes allocated per CPU time of the program, over bytes scanned per CPU time of the GC
    ("cons_mark", "f8"),  # the one in use
    ("last_cons_mark", "f8", (MAX_CONS_MARK_WINDOW,)),  # measured in the last cons_mark_window cycles, oldest first
    ("err_integral", "f8"),  # consMarkController, where cons_mark_window is 0
    ("err_overflow", "i8"),  # 1: err_integral overflowed once
    ("input_overflow", "i8"),  # 1: a measurement was too large once
    # Goals, bytes of live heap
    ("gc_percent_heap_goal", "u8"),  # from GOGC; NEVER without
    ("sweep_dist_min_trigger", "u8"),  # no trigger, nor goal from GOGC, is below this; 0 when swept
    ("triggered", "u8"),  # where this cycle was triggered; NEVER between cycles
    ("last_heap_goal", "u8"),  # goal when the last cycle ended
    # Bytes to scan
    ("heap_scan", "u8"),  # of the live heap, as far as it may hold pointers
    ("last_heap_scan", "u8"),  # of the heap in the last cycle
    ("last_stack_scan", "u8"),  # of stacks in the last cycle
    ("max_stack_scan", "u8"),  # of goroutine stacks allocated
    ("globals_scan", "u8"),  # of global variables
    ("heap_marked", "u8"),  # bytes that the last cycle marked
    # Of this cycle
    ("heap_scan_work", "i8"),  # bytes scanned
    ("stack_scan_work", "i8"),
    ("globals_scan_work", "i8"),
    ("bg_scan_credit", "i8"),  # bytes scanned in the background that assists may count as theirs
    ("assist_time", "i8"),  # ns in assists, over all Ps
    ("dedicated_mark_time", "i8"),  # ns in mark workers, by kind
    ("fractional_mark_time", "i8"),
    ("idle_mark_time", "i8"),
    ("mark_start_time", "i8"),  # ns
    ("dedicated_mark_workers_needed", "i8"),  # dedicated workers still to be started
    ("idle_mark_workers", "i8"),  # idle workers running
    ("max_idle_mark_workers", "i8"),
    ("fractional_utilization_goal", "f8"),  # part of the time of each P without a dedicated worker; 0: none
    ("assist_work_per_byte", "f8"),  # bytes to scan for each byte allocated
    ("assist_bytes_per_work", "f8"),
    # mheap_: proportional sweep, a line through (sweep_heap_live_basis, pages_swept_basis)
    ("sweep_pages_per_byte", "f8"),  # its slope; 0: nothing to sweep
    ("sweep_heap_live_basis", "u8"),
    ("pages_swept_basis", "u8"),
    # scavenge: what the background scavenger keeps to, bytes; NEVER: it has nothing to do
    ("scavenge_gc_percent_goal", "u8"),  # of the heap retained
    ("scavenge_memory_limit_goal", "u8"),  # of all memory mapped and ready
    ("last_heap_in_use", "u8"),  # memstats.lastHeapInUse: bytes of heap spans when the last cycle ended
)
