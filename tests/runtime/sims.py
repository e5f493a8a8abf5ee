"""How the tests of a run of the twin's own reach its functions: one compiled driver, and ``Sim``, a heap that runs.

``Sim`` applies a program's events through ``run_trace``, and calls single functions of the simulation through
``drive_sim``; everything else a test reads from, or writes into, the heap's record.
"""

import numpy as np
from runtime.entry import SMALL_ROOM, entry

from mheaplab.params import HeapParams
from mheaplab.runtime.mgc_cycle import (
    background_tick,
    cycle_end,
    cycle_start,
    gc_forced,
    gc_trigger_test,
    next_wake,
    sweeps_per_ns,
)
from mheaplab.runtime.mgclimit import gc_cpu_limiter_accumulate
from mheaplab.runtime.mgcmark_pace import (
    gc_assist_alloc,
    idle_workers,
    mark_advance,
    mark_begin,
    mark_finish_time,
    program_speed,
    set_scan_work,
)
from mheaplab.runtime.mgcscavenge_background import (
    scavenger_init,
    scavenger_ready,
    scavenger_run,
    scavenger_should_stop,
    scavenger_wake,
)
from mheaplab.runtime.mgcsweep import deduct_sweep_credit, sweepone
from mheaplab.runtime.mheap import mheap_alloc_manual, mheap_free_manual
from mheaplab.runtime.mheap_tiny import tiny_count, tiny_count_add, tiny_count_remove
from mheaplab.runtime.sim_objects import ADDR_MASK
from mheaplab.runtime.sim_samples import collector_phase, log2_bin, sweep_debt, take_sample
from mheaplab.runtime.simulate import run_trace, sim_end, sim_init
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import GC_OFF, NO_P, SPAN_ALLOC_STACK
from mheaplab.runtime.trace_events import (
    ALLOC,
    DEATH,
    FORCED_GC,
    PHASE,
    STACK_ALLOC,
    STACK_FREE,
    TRACE_TYPES,
    TraceEvents,
)

ROOM = SMALL_ROOM | {"spans": 1 << 10, "objects": 1 << 10, "deaths": 1 << 10, "tiny_counts": 16}
ROOM |= {"samples": 256, "cycles": 64}
PAGE = 8192
MIB = 1 << 20
TIMES = {
    "alloc_ns": 300.0, "byte_ns": 0.5, "idle_share": 0.0, "scan_byte_ns": 1.0, "scan_share": 0.75, "cycle_us": 100.0,
    "globals_bytes": 234_000, "stack_bytes": 3000, "stack_used_bytes": 280, "sweep_span_ns": 400.0,
    "background_sweep_per_ms": 1.0, "scavenge_kib_ns": 100.0, "force_gc_s": 120.0, "keeps_dying": True,
}  # fmt: skip
"""A time model for tests with numbers: whoever measures better defaults need not work these out again."""

KINDS = (
    "TINY_ADD TINY_REMOVE TINY_COUNT LIMITER SPEED IDLE SCAN_WORK MARK_BEGIN MARK_ADVANCE FINISH_TIME ASSIST TRIGGER"
    " START END FORCED WAKE RATE TICK READY SCAVENGE STOP SCAVENGER_WAKE SCAVENGER_INIT PHASE_NOW LOG2 DEBT SAMPLE"
    " SWEEPONE CREDIT MANUAL FREE_MANUAL"
).split()
(
    TINY_ADD, TINY_REMOVE, TINY_COUNT, LIMITER, SPEED, IDLE, SCAN_WORK, MARK_BEGIN, MARK_ADVANCE, FINISH_TIME, ASSIST,
    TRIGGER, START, END, FORCED, WAKE, RATE, TICK, READY, SCAVENGE, STOP, SCAVENGER_WAKE, SCAVENGER_INIT, PHASE_NOW,
    LOG2, DEBT, SAMPLE, SWEEPONE, CREDIT, MANUAL, FREE_MANUAL,
) = range(len(KINDS))  # fmt: skip


@entry
def drive_sim(h, kind, a, b):
    """Call function ``kind`` with what it takes of ``a`` and ``b``; what it returns, as a float."""
    answer = np.float64(0.0)
    i, j = np.int64(a), np.int64(b)
    if kind == TINY_ADD:
        tiny_count_add(h, i)
    elif kind == TINY_REMOVE:
        answer = np.float64(tiny_count_remove(h, i))
    elif kind == TINY_COUNT:
        answer = np.float64(tiny_count(h, i))
    elif kind == LIMITER:
        gc_cpu_limiter_accumulate(h, a, b)
    elif kind == SPEED:
        answer = program_speed(h, i != 0)
    elif kind == IDLE:
        answer = idle_workers(h)
    elif kind == SCAN_WORK:
        set_scan_work(h)
    elif kind == MARK_BEGIN:
        mark_begin(h)
    elif kind == MARK_ADVANCE:
        answer = np.float64(mark_advance(h))
    elif kind == FINISH_TIME:
        answer = mark_finish_time(h)
    elif kind == ASSIST:
        answer = np.float64(gc_assist_alloc(h, i))
    elif kind == TRIGGER:
        answer = np.float64(gc_trigger_test(h))
    elif kind == START:
        cycle_start(h, i)
    elif kind == END:
        cycle_end(h)
    elif kind == FORCED:
        gc_forced(h, i != 0)
    elif kind == WAKE:
        answer = next_wake(h)
    elif kind == RATE:
        answer = sweeps_per_ns(h)
    elif kind == TICK:
        answer = np.float64(background_tick(h))
    elif kind == READY:
        scavenger_ready(h)
    elif kind == SCAVENGE:
        released, answer = scavenger_run(h)
        h.out_scav = released
    elif kind == STOP:
        answer = np.float64(scavenger_should_stop(h))
    elif kind == SCAVENGER_WAKE:
        scavenger_wake(h)
    elif kind == SCAVENGER_INIT:
        scavenger_init(h)
    elif kind == PHASE_NOW:
        answer = np.float64(collector_phase(h))
    elif kind == LOG2:
        answer = np.float64(log2_bin(i))
    elif kind == DEBT:
        answer = np.float64(sweep_debt(h))
    elif kind == SAMPLE:
        take_sample(h, i)
    elif kind == SWEEPONE:
        answer = np.float64(sweepone(h))
    elif kind == CREDIT:
        deduct_sweep_credit(h, i, j, np.int64(-1))
    elif kind == MANUAL:
        answer = np.float64(mheap_alloc_manual(h, i, SPAN_ALLOC_STACK, NO_P))
    elif kind == FREE_MANUAL:
        mheap_free_manual(h, i, SPAN_ALLOC_STACK)
    return answer


class Sim:
    """A heap that runs by itself; objects are named by numbers, which are given in order.

    Attributes
    ----------
    state : HeapState
    h, sim : numpy.record
        The heap and its ``sim`` part.
    """

    def __init__(self, go="go1.19", stride=1 << 40, room=None, **changes):
        changes = TIMES | {"procs": 1, "heap_minimum_bytes": MIB // 2} | changes
        self.params = HeapParams.of_version(go, **changes)
        self.state = HeapState(self.params.to_record(), ROOM | (room or {}), self.params.occupied)
        self.h, self.sim = self.state.h, self.state.h.sim
        self.h.log_spans = 0
        self.sim.params = self.params.sim_record()
        self.h.controller.params = self.params.pacer_record()
        with np.errstate(all="ignore"):
            sim_init(self.h, np.int64(self.params.memory_limit), np.int64(stride))
        self.numbers = 0
        self._samples, self._cycles = [], []

    def do(self, kind, a=0, b=0):
        """Call one function of the driver."""
        with np.errstate(all="ignore"):
            return drive_sim(self.h, np.int64(kind), np.float64(a), np.float64(b))

    # ------------------------------------------------------------------------------------------------ events

    def event(self, kind, nbytes=0, noscan=False, number=0, p=0, time=0):
        """Apply one event."""
        row = (kind, p, nbytes, int(noscan), number, time)
        self.run(TraceEvents(*(np.array([value], dtype) for value, dtype in zip(row, TRACE_TYPES, strict=True))))

    def run(self, events):
        """Apply columns of events, growing tables as asked."""
        at, n = 0, len(events.kind)
        with np.errstate(all="ignore"):
            while at < n:
                at = run_trace(self.h, events, at, n)
                if at < n:
                    self.take_rows()
                    self.state.grow(int(self.h.need_arenas))

    def alloc(self, nbytes, noscan=True, p=0, time=0):
        """Allocate an object; return its number."""
        number = self.numbers
        self.numbers += 1
        self.event(ALLOC, nbytes, noscan, number, p, time)
        return number

    def allocs(self, times, nbytes, noscan=True, p=0):
        """Allocate ``times`` objects; return their numbers."""
        return [self.alloc(nbytes, noscan, p) for _ in range(times)]

    def die(self, *numbers):
        """Let objects die."""
        for number in numbers:
            self.event(DEATH, number=number)

    def stack(self, nbytes, p=0):
        """Give a goroutine a stack; return its number."""
        number = self.numbers
        self.numbers += 1
        self.event(STACK_ALLOC, nbytes, number=number, p=p)
        return number

    def unstack(self, number, nbytes, p=0):
        """Take a stack back."""
        self.event(STACK_FREE, nbytes, number=number, p=p)

    def collect(self, give_back=0):
        """runtime.GC, or debug.FreeOSMemory."""
        self.event(FORCED_GC, give_back)

    def phase(self, number):
        """A phase begins."""
        self.event(PHASE, number)

    def end(self):
        """End the run."""
        with np.errstate(all="ignore"):
            sim_end(self.h)

    # ------------------------------------------------------------------------------------------------ looks

    def take_rows(self):
        """Set the rows of samples and of finished collections aside."""
        self._samples.append(self.state.take_rows("samples"))
        self._cycles.append(self.state.take_rows("cycles", keep=min(1, int(self.h.cycles_len))))

    def samples(self):
        """Return all samples so far."""
        self.take_rows()
        return np.concatenate(self._samples)

    def samples_now(self):
        """Take a sample and return it."""
        self.do(SAMPLE, 0)
        return self.samples()[-1]

    def cycles(self):
        """Return all collections so far, the last one as far as it has come."""
        self.take_rows()
        return np.concatenate([*self._cycles, self.state.tables["cycles"][: int(self.h.cycles_len)]])

    def address(self, number):
        """Return the address of an object or stack."""
        return int(self.state.tables["objects"][number] & ADDR_MASK)

    def span_of(self, address):
        """Return the record of the heap span that holds ``address``, None if there is none."""
        rows = self.state.tables["spans"][1 : int(self.h.spans_len)]
        inside = (rows["state"] == 1) & (rows["start_addr"] <= address)
        inside &= address < rows["start_addr"] + rows["npages"].astype(np.int64) * PAGE
        return rows[inside][0] if inside.any() else None

    def deaths(self):
        """Return the list of the dead that wait, as (address, whether it died while the collector marked)."""
        entries = self.state.tables["deaths"][: int(self.h.deaths_len)].tolist()
        return [(e & ~(1 << 63), bool(e >> 63)) for e in entries]

    def marking(self):
        """Whether the collector marks."""
        return self.h.gcphase != GC_OFF

    def swept(self):
        """Return the spans swept, by whom."""
        return self.h.stats.swept_spans.tolist()
