"""TimeParams: the time model of a run of the twin's own.

A Go program's collections depend on time: how far marking has come when the program allocates the next object, how
often the background sweeper gets to run.  A trace of allocations has no such thing, or only the wall clock of one run,
so time is modelled, by the few numbers here; ``docs/time-model.md`` says how the defaults were measured.

The program runs on ``procs`` Ps at once.  From one allocation to the next it takes ``alloc_ns`` and ``byte_ns`` for
each byte allocated, of one P.  While the collector marks, a quarter of all Ps is the collector's (dedicated and
fractional workers), and idle Ps help it.  A worker scans a byte in ``scan_byte_ns``.  An allocation that is in debt
scans for itself, at the same speed, and the program waits.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from .param_fields import Between, Checked, parameter
from .runtime.sim_structs import SIM_PARAMS


@dataclass(frozen=True)
class TimeParams(Checked):
    """The time model, as a group of ``HeapParams``."""

    procs: int = parameter(
        0, "Ps", range(256), "GOMAXPROCS: Ps that the program runs on; 0: as many as the trace has",
        "runtime/proc.go gomaxprocs",
    )
    trace_time: bool = parameter(
        True, "", (False, True),
        "whether program time between events is the trace's own, where it has times", "not in Go: the time model",
    )  # fmt: skip
    alloc_ns: float = parameter(
        300.0, "ns", Between(0.0, 1e9),
        "program time from one allocation to the next, of one P", "not in Go: the time model",
    )  # fmt: skip
    byte_ns: float = parameter(
        0.17, "ns", Between(0.0, 1e6),
        "further program time for each byte allocated, of one P", "not in Go: the time model",
    )  # fmt: skip
    idle_share: float = parameter(
        0.0, "", Between(0.0, 1.0),
        "part of all Ps' time in which the program has nothing to run; idle workers mark then, and the sweeper runs",
        "runtime/mgcpacer.go gcMarkWorkerIdleMode",
    )  # fmt: skip
    scan_byte_ns: float = parameter(
        1.0, "ns", Between(1e-3, 1e6), "time in which one worker scans a byte", "runtime/mgcmark.go gcDrain"
    )
    scan_share: float = parameter(
        0.9, "", Between(0.0, 1.0),
        "part of an object with pointers that is scanned: up to its last pointer", "runtime/malloc.go scanSize",
    )  # fmt: skip
    keeps_dying: bool = parameter(
        True, "", (False, True),
        "whether a collection keeps what dies while it marks, as Go's write barrier does; if not, it keeps of these "
        "only what was born since marking began",
        "runtime/mbarrier.go",
    )  # fmt: skip
    cycle_us: float = parameter(
        100.0, "µs", Between(0.0, 1e9),
        "time of a collection's fixed work: stopping the world twice, roots", "runtime/mgc.go gcStart",
    )  # fmt: skip
    mark_wait_us: float = parameter(
        0.0, "µs", Between(0.0, 1e9),
        "time that marking takes at the least: on a busy machine its goroutine waits for a processor",
        "runtime/mgc.go gcMarkDone",
    )  # fmt: skip
    globals_bytes: int = parameter(
        234_000, "bytes", range(1 << 40), "global variables that may hold pointers", "runtime/mgcpacer.go globalsScan"
    )
    stack_bytes: int = parameter(
        3_000, "bytes", range(1 << 40),
        "stacks that are scanned beside those in the trace", "runtime/mgcpacer.go lastStackScan",
    )  # fmt: skip
    stack_used_bytes: int = parameter(
        280, "bytes", range(1 << 31),
        "part of each stack in the trace that is in use, and so is scanned, when a collection looks at it",
        "runtime/mgcmark.go scanstack",
    )  # fmt: skip
    sweep_span_ns: float = parameter(
        250.0, "ns", Between(0.0, 1e9), "time to sweep a span", "runtime/mgcsweep.go sweepLocked.sweep"
    )
    background_sweep_per_ms: float = parameter(
        1.0, "spans/ms", Between(0.0, 1e6),
        "spans that the background sweeper sweeps in a millisecond while the program is busy",
        "runtime/mgcsweep.go bgsweep",
    )  # fmt: skip
    scavenge_kib_ns: float = parameter(
        100.0, "ns/KiB", Between(0.0, 1e9), "time to give memory back to the OS", "runtime/mgcscavenge.go scavengeOne"
    )
    force_gc_s: float = parameter(
        120.0, "s", Between(1e-3, 1e9),
        "a collection starts if none has for so long", "runtime/proc.go forcegcperiod",
    )  # fmt: skip

    def sim_record(self):
        """Return the time model as the kernel's SIM_PARAMS record."""
        record = np.zeros((), dtype=SIM_PARAMS)
        same = {field.name for field in dataclasses.fields(TimeParams)} & set(SIM_PARAMS.names)
        for name in same:
            record[name] = getattr(self, name)
        record["procs"] = max(self.procs, 1)
        record["cycle_ns"] = self.cycle_us * 1e3
        record["mark_wait_ns"] = self.mark_wait_us * 1e3
        record["background_sweep"] = self.background_sweep_per_ms
        record["force_gc_ns"] = self.force_gc_s * 1e9
        record["gogc"] = self.gogc
        return record[()]
