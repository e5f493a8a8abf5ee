"""simulate: let the twin run by itself on what a program allocates, and write down what became of its heap.

A trace says when objects are born and die; the twin decides when to collect, how fast to sweep and what to give back to
the OS, as Go would with the given parameters.  Events go to the kernel in batches, between which tables grow, rows are
taken out, progress is shown and an interrupt is noticed; so memory does not grow with the length of the trace, but for
a row per collection.

Samples are taken every so many events and at each change of phase.  Where the length of a trace is not known, the
stride begins small and doubles when there are twice as many samples as asked for; every other one is dropped then.
"""

import contextlib
import dataclasses
import os
import time

import numpy as np

from . import workloads
from .case import Case, load_case
from .case_trace import is_case, trace_of_case
from .errors import FormatError, InvariantError
from .interrupts import Interrupts
from .params import HeapParams
from .progress import ProgressBar
from .residents import TraceResidents
from .results import CYCLE_TYPE, SAMPLE_TYPE, Result, provenance_of
from .runtime.mpagealloc import Throw
from .runtime.mstats import read_memstats
from .runtime.run import BadEvent
from .runtime.sim_structs import WHY_STRIDE
from .runtime.simulate import run_trace, sim_end, sim_init
from .runtime.state import SIM_ROOM, HeapState
from .runtime.trace_events import TRACE_KIND_NAMES
from .runtime.verify import INVARIANTS, Violation
from .runtime.verify_sim import SIM_INVARIANTS, verify_sim
from .snapshot import take_snapshot
from .traces import Trace, read_trace

BATCH = 1 << 18
"""Events of a batch: an interrupt waits for less than a tenth of a second."""
FIRST_STRIDE = 64
"""Events between samples at first, where the length of the trace is not known."""
PATIENCE = 8
"""Times that tables may grow for one event."""
MAX_SAMPLES = 1_000_000


class _Run:
    """One run: the heap, the rows so far, and the loop over batches."""

    def __init__(self, name, params, samples, total, residents=False):
        self.name, self.wanted, self.total = name, samples, total
        self.state = HeapState(params.to_record(), SIM_ROOM, params.occupied)
        h = self.h = self.state.h
        h.log_spans = 0
        h.sim.params = params.sim_record()
        h.controller.params = params.pacer_record()
        stride = FIRST_STRIDE if total is None else max(1, -(-total // samples))
        with np.errstate(all="ignore"):
            sim_init(h, np.int64(params.memory_limit), np.int64(stride))
        self.samples, self.cycles, self.snapshots = [], [], {}
        self.residents = TraceResidents() if residents else None
        self.rows = 0

    @property
    def done(self):
        """Events done."""
        return int(self.h.sim.events)

    def apply(self, events, check, stops):
        """Apply a batch of events, with a snapshot before each number of events in ``stops``."""
        base, n, start = self.done, len(events.kind), 0
        for stop in sorted({k - base for k in stops if base < k < base + n} | {n}):
            self._apply_to(events, stop, check, base)
            if self.residents is not None:
                self.residents.take(events, start, stop)
            start = stop
            if base + stop in stops:
                self.snapshot(base + stop)

    def snapshot(self, event):
        """Take a picture of the heap after ``event`` events."""
        taken = take_snapshot(self.state, event, read_memstats(self.h))
        if self.residents is not None:
            objects = self.state.tables["objects"]
            taken = dataclasses.replace(taken, residents=self.residents.at(objects, taken.spans))
        self.snapshots[event] = taken

    def _apply_to(self, events, stop, check, base):
        at, tries = self.done - base, 0
        while at < stop:
            end = at + 1 if check >= 2 else stop
            reached = self._call(events, at, end, check)
            got_on = self._take_rows() or reached > at
            if reached < end:
                tries = 1 if got_on else tries + 1
                if tries > PATIENCE:
                    raise InvariantError(f"{self.name}: event {self.done} has no room, however the tables grow")
                self.state.grow(int(self.h.need_arenas))
            at = reached

    def _call(self, events, at, end, check):
        before = self.done
        try:
            with np.errstate(all="ignore"):
                reached = run_trace(self.h, events, at, end)
                if check >= 1:
                    verify_sim(self.h)
        except BadEvent as err:
            raise self._failure(events, at, before, " ".join(str(a) for a in err.args)) from err
        except Throw as err:
            raise self._failure(events, at, before, "Go would throw: " + " ".join(str(a) for a in err.args)) from err
        except Violation as err:
            which, *numbers = err.args
            words = (INVARIANTS | SIM_INVARIANTS)[which]
            shown = " ".join(str(n) for n in numbers)
            raise InvariantError(f"{self.name}: after {self.done} events: {which}: {words} ({shown})") from err
        return reached

    def _failure(self, events, at, before, reason):
        """The error of the event that failed: ``before`` events were done when the kernel was called at row ``at``."""
        kind = int(events.kind[at + self.done - before])
        name = TRACE_KIND_NAMES[kind] if kind < len(TRACE_KIND_NAMES) else str(kind)
        return FormatError(f"{self.name}: event {self.done} ({name}): {reason}")

    def _take_rows(self):
        """Take finished rows out of the kernel's tables; whether there were any."""
        rows = self.state.take_rows("samples").astype(SAMPLE_TYPE)
        if len(rows):
            self.samples.append(rows)
            self.rows += int((rows["why"] == WHY_STRIDE).sum())
        # The last collection's row is not finished before the next one begins.
        cycles = self.state.take_rows("cycles", keep=min(1, int(self.h.cycles_len)))
        if len(cycles):
            self.cycles.append(cycles.astype(CYCLE_TYPE))
        while self.total is None and self.rows > 2 * self.wanted:
            self._thin()
        return len(rows) + len(cycles) > 0

    def _thin(self):
        """Drop every other of the strided samples, and take half as many from now on."""
        rows = np.concatenate(self.samples)
        strided = np.flatnonzero(rows["why"] == WHY_STRIDE)
        keep = np.ones(len(rows), bool)
        keep[strided[1::2]] = False
        self.samples = [rows[keep]]
        self.rows = len(strided[::2])
        stride = 2 * int(self.h.sim.stride)
        self.h.sim.stride = stride
        self.h.sim.sample_at = -(-self.done // stride) * stride

    def finish(self):
        """Take the last rows."""
        with np.errstate(all="ignore"):
            sim_end(self.h)
        self._take_rows()
        cycles = self.state.take_rows("cycles")
        # Marking that was still going on when the trace ended is no collection.
        self.cycles.append(cycles[cycles["end_event"] >= 0].astype(CYCLE_TYPE))
        samples = np.concatenate(self.samples)
        for event, taken in self.snapshots.items():
            if taken.residents is not None:  # only now is known how much the run has allocated
                lives = dataclasses.replace(taken.residents, longest=self.residents.clock)
                self.snapshots[event] = dataclasses.replace(taken, residents=lives)
        h = self.h
        histograms = {"swept_pages": h.sim.swept_histogram.copy(), "stall_ns": h.sim.stall_histogram.copy()}
        return samples, np.concatenate(self.cycles), histograms


def _opened(trace, seed):
    """Return ``trace`` as a Trace, whatever it is given as."""
    if isinstance(trace, Trace):
        return trace
    if isinstance(trace, Case):
        return trace_of_case(trace, seed=seed)
    if is_case(trace):
        return trace_of_case(load_case(trace, truth=False), seed=seed)
    if isinstance(trace, str) and os.sep not in trace and not os.path.exists(trace):
        return workloads.load(trace, seed=seed)
    return read_trace(trace, seed=seed)


def _checked(samples, snapshots, check, total):
    """Check the arguments that are numbers; return the events at which snapshots are wanted."""
    if not isinstance(samples, int | np.integer) or not 1 <= samples <= MAX_SAMPLES:
        raise ValueError(f"samples = {samples!r} is outside its legal range: 1 to {MAX_SAMPLES:,}")
    if check not in (0, 1, 2):
        raise ValueError(f"check = {check!r} is outside its legal range: 0, 1 or 2")
    wanted = {int(k) for k in snapshots}
    most = total if total is not None else 1 << 62
    for k in sorted(wanted):
        if not 0 <= k <= most:
            raise ValueError(f"snapshots: {k} is outside its legal range: 0 to {most:,} events")
    return wanted


def _check_out(out):
    """Find out before the run, not after it, that the result cannot be saved."""
    if os.path.lexists(out):
        raise ValueError(f"out = {os.fspath(out)!r} exists already: name another folder, or take that one away")
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)


def _check_contradictions(params):
    """Refuse parameters that are legal each, but not together."""
    if params.memory_limit < params.heap_minimum_bytes:
        raise ValueError(
            f"memory_limit = {params.memory_limit} is below heap_minimum_bytes = {params.heap_minimum_bytes}, "
            "the least heap there is: raise the limit"
        )
    if params.other_ready_bytes >= params.memory_limit:
        raise ValueError(
            f"memory_limit = {params.memory_limit} is not above other_ready_bytes = {params.other_ready_bytes}, "
            "which the runtime takes for itself: raise the limit"
        )


def simulate(
    trace, params=None, *, samples=2000, seed=0, snapshots=(), residents=False, check=0, progress=None, out=None
):
    """Run the twin by itself on a program's allocations.

    Parameters
    ----------
    trace : Trace, Case, str or os.PathLike
        What the program allocates, and when its objects can no longer be reached: a trace, a recorded case, the path of
        either, or the name of a scenario (``mh.workloads.names()``).
    params : HeapParams, optional
        Default: the profile of the Go version that the trace names, or of Go 1.19.
    samples : int
        About how many samples to take, 1 to 1,000,000, beside those at changes of phase.
    seed : int
        For whatever is not yet a Trace: where its random numbers begin.
    snapshots : iterable of int
        Numbers of events after which to take a picture of the whole heap.
    residents : bool
        Whether each of these also has its ``residents``: who lives in which span, and how old they are.  A saved
        result keeps the pictures without them.
    check : {0, 1, 2}
        0: Go's own throws only; 1: also recount every account after each batch; 2: after every event (slow).
    progress : bool or callable, optional
        True: a bar on the terminal; or called as ``progress(done, total)`` after every batch (total may be None).
    out : str or os.PathLike, optional
        Folder to save the result in; also when interrupted.

    Returns
    -------
    Result
        Of what was done, if Ctrl-C came: ``result.complete`` is False then.

    Raises
    ------
    FormatError
        If an event contradicts those before it; the message names the event.
    InvariantError
        If a recount fails, which is a bug in mheaplab.
    ValueError
        If an argument or parameter is illegal, or parameters contradict each other.

    Examples
    --------
    >>> result = simulate("json-service", HeapParams.go119(gogc=50))        # doctest: +SKIP
    >>> len(result.cycles), result.samples["heap_in_use"].max()             # doctest: +SKIP
    """
    begin = time.perf_counter()
    if out is not None:
        _check_out(out)
    trace = _opened(trace, seed)
    params = params or HeapParams.of_program(trace.meta["go"] or "go1.19")
    if params.procs == 0:
        params = params.replace(procs=trace.procs)
    total = trace.n_events
    stops = _checked(samples, snapshots, check, total)
    _check_contradictions(params)
    run = _Run(trace.name, params, samples, total, residents)
    complete = _go_through(trace, run, check, stops, progress)
    rows, cycles, histograms = run.finish()
    facts = {
        "events_done": run.done,
        "events_total": total if total is not None else run.done,
        "complete": complete,
        "simulated_seconds": float(run.h.sim.now) / 1e9,
        "wall_seconds": time.perf_counter() - begin,
    }
    origin = provenance_of(params, seed, {"name": trace.name, "sha256": trace.digest, **trace.meta}, facts)
    result = Result(rows, cycles, read_memstats(run.h), params, origin, run.snapshots, histograms)
    if out is not None:
        result.save(out)
    return result


def _go_through(trace, run, check, stops, progress):
    """Apply all events; False if Ctrl-C came first."""
    bar = ProgressBar("simulate")
    tell = progress if callable(progress) else bar
    with Interrupts() as interrupts, contextlib.closing(bar):
        if 0 in stops:
            run.snapshot(0)
        for events in trace.dense_batches(BATCH):
            if interrupts.asked:
                return False
            run.apply(events, check, stops)
            if progress:
                tell(run.done, run.total)
    return True
