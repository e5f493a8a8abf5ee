"""The records of a run of the twin's own: its clock and parameters, one row per sample, one row per collection.

``SIM`` stands in the ``HEAP`` record beside the pacer's ``GC_CONTROLLER``.  A replay leaves both alone; what a replay
also passes through (who sweeps, how many slots there are) is counted for either.

``SAMPLE`` and ``CYCLE`` are what a user gets as tables (``Result.samples``, ``Result.cycles``), so every field has its
unit in the comment here, and these comments are all the documentation a column has.

Accounts.  Every byte that the simulated OS has mapped for the heap is in exactly one of ``live``, ``garbage``,
``free_slots``, ``tail`` (these four make up the heap spans in use), ``stacks``, ``other_spans``, ``free`` and
``released``; ``runtime/verify_sim.py`` recounts them.
"""

import numpy as np

from .records import struct

MAX_SIM_PS = 256
DEATH_ROOM = np.int64(MAX_SIM_PS + 8)
"""Deaths that one event may note: its own, and a tiny block of each P."""
HISTOGRAM = 40
"""Bins of a histogram by powers of two: bin k counts values from 2**(k-1) up to 2**k, bin 0 those of 0."""

# Who swept a span. Go tells them apart by the caller of sweep.
SWEPT_BY_ALLOCATION = np.int64(0)  # mcentral.cacheSpan, looking for a span of its class
SWEPT_BY_CREDIT = np.int64(1)  # deductSweepCredit: proportional sweep before a span is taken
SWEPT_BY_RECLAIM = np.int64(2)  # mheap.reclaim, before the heap gives pages
SWEPT_IN_BACKGROUND = np.int64(3)  # bgsweep
SWEPT_BY_START = np.int64(4)  # gcStart and finishsweep_m: what was left when the next collection began
SWEPT_BY_FLUSH = np.int64(5)  # mcentral.uncacheSpan: cached when the collection ended
SWEPT_BY_FORCE = np.int64(6)  # runtime.GC, which sweeps everything before it returns
SWEPT_FOR_OBJECT = np.int64(7)  # ensureSwept: a finalizer was set, or the profiler looked
SWEEPERS = ("allocation", "credit", "reclaim", "background", "start", "flush", "force", "object")

# Why a sample was taken.
WHY_STRIDE = np.int64(0)
WHY_MARK_START = np.int64(1)
WHY_MARK_END = np.int64(2)
WHY_SWEEP_END = np.int64(3)
WHY_PHASE = np.int64(4)
WHY_END = np.int64(5)
WHY_NAMES = ("stride", "mark start", "mark end", "sweep end", "phase", "end")

# What the collector is doing.
PHASE_SWEPT = np.int64(0)
PHASE_SWEEPING = np.int64(1)
PHASE_MARKING = np.int64(2)
GC_PHASE_NAMES = ("swept", "sweeping", "marking")

# The time model and the Ps of a run: what HeapParams tells the simulation.
SIM_PARAMS = struct(
    ("procs", "i8"),  # GOMAXPROCS
    ("trace_time", "i8"),  # 1: program time between events is the trace's own where it has times
    ("alloc_ns", "f8"),  # program time from one allocation to the next, ns of one P
    ("byte_ns", "f8"),  # further program time per byte allocated, ns of one P
    ("idle_share", "f8"),  # part of all Ps' time in which the program has nothing to run
    ("scan_byte_ns", "f8"),  # time of one worker to scan a byte, ns
    ("scan_share", "f8"),  # part of an object with pointers that is scanned
    ("keeps_dying", "i8"),  # 1: what dies while the collector marks is kept by this collection, as Go's barrier does
    ("cycle_ns", "f8"),  # time of a collection's fixed work (stopping the world twice, roots), ns
    ("mark_wait_ns", "f8"),  # time that marking takes at the least, however little there is to mark, ns
    ("globals_bytes", "i8"),  # bytes of global variables that are scanned
    ("stack_bytes", "i8"),  # bytes of stacks that are scanned beside those in the trace
    ("stack_used_bytes", "i8"),  # bytes of each stack in the trace that are in use when it is scanned
    ("sweep_span_ns", "f8"),  # time to sweep a span, ns
    ("background_sweep", "f8"),  # spans that the background sweeper sweeps in a millisecond
    ("scavenge_kib_ns", "f8"),  # time to give a KiB back to the OS, ns
    ("force_gc_ns", "f8"),  # a collection starts if none has for so long (forcegcperiod), ns
    ("gogc", "i8"),  # GOGC; -1: off
)

# The scavenger of the background (scavengerState): asleep until wake, or parked until somebody makes it ready.
SCAVENGER = struct(
    ("parked", "i8"),  # 1: until sweeping ends
    ("wake", "f8"),  # time at which it wakes, ns
    ("slept", "f8"),  # the sleep that ends then, ns
    ("worked", "f8"),  # the work before that sleep, ns
    ("sleep_ratio", "f8"),  # work over sleep
    ("err_integral", "f8"),  # its controller's
    ("cooldown", "f8"),  # ns until the controller is used again after an overflow
)

SIM = struct(
    ("params", SIM_PARAMS),
    ("on", "i8"),  # 1: the twin decides by itself; 0: a replay
    # clock
    ("now", "f8"),  # ns since the run began
    ("ticked", "f8"),  # time up to which background work has been done, ns
    ("wake", "f8"),  # time at which something in the background is due, ns
    ("trace_last", "i8"),  # time of the last event in the trace, ns
    ("gc_ended", "f8"),  # when marking last ended, ns
    ("ps_used", "i8"),  # Ps that have run something: 1 + the highest
    # marking
    ("mark_work", "i8"),  # bytes that this collection has to scan
    ("mark_done", "i8"),  # of these, scanned
    ("mark_rest", "f8"),  # fraction of a byte scanned
    ("stack_work", "i8"),  # of mark_work, bytes of stacks
    ("mark_until", "f8"),  # time before which marking does not end, ns
    ("assist_bytes", "i8", (MAX_SIM_PS,)),  # gcAssistBytes: what a P may still allocate before it must assist
    ("assist_ns", "f8"),  # time in assists, ns of one P, since the run began
    ("mark_ns", "f8"),  # time in background workers, ns of one P, since the run began
    ("stall_ns", "f8"),  # time that allocations spent sweeping, scavenging and assisting, ns, since the run began
    # the CPU limiter's leaky bucket
    ("bucket_ns", "f8"),  # collector time less program time, never below 0 nor above one second a P
    ("assist_pool", "f8"),  # assistTimePool: ns of assists that the limiter has not been told of yet
    ("limited", "i8"),  # 1: assists are off, because collecting takes more than half of all time
    # background sweep
    ("sweep_rest", "f8"),  # fraction of a span that the background sweeper is ahead
    ("scavenger", SCAVENGER),
    # the program's objects
    ("live", "i8"),  # slot bytes of objects that the program can reach
    ("live_scan", "i8"),  # of these, in objects with pointers
    ("live_objects", "i8"),
    ("slots_taken", "i8"),  # slot bytes allocated since the run began
    ("stack_live", "i8"),  # bytes of goroutine stacks
    ("stack_count", "i8"),  # goroutine stacks
    ("max_stack_held", "i8", (MAX_SIM_PS,)),  # maxStackScanDelta of each P
    # sampling
    ("check_at", "i8"),  # event before which room and samples are looked at; a collection asks for it at once
    ("sample_at", "i8"),  # event before which the next sample is due
    ("stride", "i8"),  # events between samples
    ("phase", "i8"),  # number of the trace's last phase mark
    ("events", "i8"),  # events done
    ("cycles_done", "i8"),  # collections since the run began
    ("cycle_open", "i8"),  # 1: the last row of cycles still gets what its sweeping does
    ("pages_at_end", "i8"),  # pages in use when marking last ended
    ("sweep_open", "i8"),  # 1: that sweeping has ended has not been noticed
    # one allocation
    ("paid", "i8"),  # 1 + the event whose debt was last paid: an event that is tried again does not pay twice
    ("live_seen", "i8"),  # heap_live after the last allocation that changed it
    ("stalled", "f8"),  # ns that this allocation has been held up for
    ("swept_spans_seen", "i8"),  # spans and pages swept by allocations before this one
    ("swept_pages_seen", "i8"),
    ("scavenged_seen", "i8"),  # bytes given back by allocations before this one
    ("max_swept", "i8"),  # most pages swept in one allocation since the last sample
    ("max_stall_ns", "f8"),  # longest that one allocation took beyond its own time since the last sample, ns
    ("swept_histogram", "i8", (HISTOGRAM,)),  # allocations that swept, by pages swept
    ("stall_histogram", "i8", (HISTOGRAM,)),  # allocations that were held up, by ns
)

SAMPLE = struct(
    ("event", "i8"),  # events of the trace done
    ("time_ns", "f8"),  # simulated time since the run began
    ("why", "i8"),  # index into WHY_NAMES
    ("gc_phase", "i8"),  # index into GC_PHASE_NAMES
    ("phase", "i8"),  # number of the trace's last phase mark
    ("cycles", "i8"),  # collections that ended
    # the pacer, bytes
    ("heap_live", "i8"),  # what the pacer counts as live
    ("heap_marked", "i8"),  # what the last collection marked
    ("goal", "i8"),  # heap goal
    ("trigger", "i8"),  # heap_live at which the next collection begins
    # accounts of all mapped heap memory, bytes
    ("live", "i8"),  # slots of objects that the program can reach
    ("garbage", "i8"),  # slots of objects that it cannot, not yet swept
    ("free_slots", "i8"),  # free slots of heap spans
    ("tail", "i8"),  # of heap spans, what is in no slot
    ("stacks", "i8"),  # spans of goroutine stacks
    ("other_spans", "i8"),  # other manual spans
    ("free", "i8"),  # free pages, backed by memory
    ("released", "i8"),  # free pages given back to the OS, or never used
    ("mapped", "i8"),  # all of the above, as the simulated OS has it
    ("reserved", "i8"),  # address space beyond that
    # sums
    ("heap_in_use", "i8"),  # HeapInuse: live + garbage + free_slots + tail
    ("heap_sys", "i8"),  # HeapSys: heap_in_use + free + released
    ("heap_alloc", "i8"),  # slots taken: live + garbage
    ("total_alloc", "i8"),  # slots taken since the run began
    ("objects", "i8"),  # objects that the program can reach
    ("spans", "i8"),  # span records in use, those in caches of Ps included (MSpanInuse over their size)
    ("arenas", "i8"),  # arenas
    ("huge", "i8"),  # bytes of huge pages (2 MiB) of which every page is in use
    # sweeping
    ("pages_in_use", "i8"),  # pages of heap spans
    ("pages_unswept", "i8"),  # of these, still to be swept
    ("sweep_debt", "i8"),  # pages by which sweeping is behind its pace
    ("swept_spans", "i8", (len(SWEEPERS),)),  # spans swept since the run began, by whom (SWEEPERS)
    ("swept_pages", "i8", (len(SWEEPERS),)),  # pages, likewise
    ("max_swept", "i8"),  # most pages swept in one allocation since the last sample
    # time, ns of one P since the run began
    ("assist_ns", "f8"),  # in assists
    ("mark_ns", "f8"),  # in background workers
    ("stall_ns", "f8"),  # of allocations beyond their own time: sweeping, scavenging, assisting
    ("max_stall_ns", "f8"),  # longest such time of one allocation since the last sample
    # memory given back since the run began, bytes
    ("scavenged_background", "i8"),
    ("scavenged_allocation", "i8"),  # by allocations, at the limit or as the heap grew
    ("scavenged_all", "i8"),  # by debug.FreeOSMemory
)

CYCLE = struct(
    ("cycle", "i8"),  # number, from 1
    ("forced", "i8"),  # 1: runtime.GC, 2: none for two minutes
    ("start_event", "i8"),  # events done when marking began
    ("end_event", "i8"),  # events done when it ended
    ("swept_event", "i8"),  # events done when the last span was swept; -1: the next collection swept the rest
    ("start_ns", "f8"),  # times, ns since the run began
    ("end_ns", "f8"),
    ("swept_ns", "f8"),
    # bytes
    ("trigger", "i8"),  # where it was to begin
    ("goal", "i8"),  # the heap goal it was to meet
    ("live_start", "i8"),  # heap_live when marking began
    ("live_end", "i8"),  # heap_live when marking ended
    ("marked", "i8"),  # heap_marked
    ("reachable", "i8"),  # slots of objects that the program could reach then
    ("scanned", "i8"),  # of the heap
    ("stack_scanned", "i8"),
    ("globals_scanned", "i8"),
    ("next_goal", "i8"),
    ("next_trigger", "i8"),
    ("runway", "i8"),  # bytes expected to be allocated while the next cycle marks
    ("cons_mark", "f8"),
    ("heap_in_use", "i8"),  # when marking ended
    ("heap_sys", "i8"),
    # time, ns of one P
    ("assist_ns", "f8"),
    ("mark_ns", "f8"),
    # sweeping of what this collection left
    ("pages", "i8"),  # pages in use when marking ended
    ("swept_spans", "i8", (len(SWEEPERS),)),  # by whom
    ("swept_pages", "i8", (len(SWEEPERS),)),
    ("scavenged", "i8"),  # bytes given back to the OS until the next collection began
)
