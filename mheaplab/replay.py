"""replay: drive a recorded case through the twin and collect what it predicts.

Everything comes from the events: the truth file is not looked at.  The events go to the kernel in batches, between
which tables grow, the span log is emptied, progress is shown and an interrupt is noticed.
"""

import dataclasses
import time
from dataclasses import dataclass, field

import numpy as np

from .case import COLUMNS, Case, make_events, write_npz
from .errors import FormatError, InvariantError
from .residents import CaseResidents
from .runtime.mpagealloc import Throw
from .runtime.mstats import read_memstats
from .runtime.run import BadEvent, Results, run_events
from .runtime.state import HeapState
from .runtime.structs import KIND_NAMES, MCACHE_FLUSH, NO_P, SPAN_ALLOC_STACK, SPAN_FREE, SWEEP_START, SWEEPONE
from .runtime.verify import INVARIANTS, Violation, verify_heap
from .snapshot import take_snapshot

BATCH = 1 << 20
"""Events per call of the kernel."""
PATIENCE = 8
"""Times that tables may grow for one event."""
SPAN_NAMES = ("span_base", "span_npages", "span_class", "span_scav", "span_needzero", "span_event")


@dataclass(frozen=True)
class Prediction:
    """What the twin says Go did, named as in a truth file.

    Attributes
    ----------
    case : Case
        The events that were replayed.
    addr : numpy.ndarray of uint64
        Per event: the object of a MALLOC, the span of a SPAN_ALLOC, the stack of a STACK_ALLOC, the run of a SCAVENGE,
        the span swept by a SWEEPONE (0: none was left); 0 elsewhere.
    scav : numpy.ndarray of uint64
        SPAN_ALLOC: bytes that were scavenged; SCAVENGE: pages.
    needzero : numpy.ndarray of uint8
        SPAN_ALLOC: whether the memory may be dirty.
    spans : numpy.ndarray, structured
        One row per span in order of allocation: ``span_base``, ``span_npages``, ``span_class`` (0xffff manual),
        ``span_scav``, ``span_needzero``, ``span_event``.
    memstats : dict
        MemStats when the program read them (:func:`memstats_point`), or at the end.
    memstats_event : int
        Events applied when ``memstats`` was taken.
    unrecorded_sweeps : int
        Spans that were still unswept when a collection began.  Go had swept them, so the case does not tell everything:
        it does not say which objects waited for their finalizer (``docs/cases.md``).
    seconds : float
        Wall time of the replay.
    """

    case: Case = field(repr=False)
    addr: np.ndarray
    scav: np.ndarray
    needzero: np.ndarray
    spans: np.ndarray = field(repr=False)
    memstats: dict = field(repr=False)
    memstats_event: int
    unrecorded_sweeps: int
    seconds: float

    def arrays(self):
        """Return the prediction as a dict of arrays with a truth file's names."""
        named = {"addr": self.addr, "scav": self.scav, "needzero": self.needzero}
        return named | {name: self.spans[name] for name in SPAN_NAMES}

    def save(self, path):
        """Write the prediction as an npz file with a truth file's array names (temporary name, then renamed)."""
        write_npz(path, self.arrays())


class _Driver:
    """One run of a case: the heap, the result columns, and the loop over batches."""

    def __init__(self, case, params, check, room=None):
        self.case = case
        self.check = check
        params = params or case.params
        self.state = HeapState(params.to_record(), room, params.occupied)
        n = len(case)
        self.out = Results(np.zeros(n, "u8"), np.zeros(n, "u8"), np.zeros(n, "u1"))
        self.rows = []
        self.at = 0
        self.grown = 0

    def _fail(self, reason):
        event = int(self.state.h.event)
        kind = KIND_NAMES[int(self.case.events.kind[event])]
        return FormatError(f"{self.case.name}: event {event} ({kind}): {reason}")

    def run_to(self, stop):
        """Apply events up to ``stop``, growing tables as asked."""
        h = self.state.h
        while self.at < stop:
            end = min(self.at + (1 if self.check >= 2 else BATCH), stop)
            try:
                with np.errstate(over="ignore"):
                    reached = run_events(h, self.case.events, self.out, self.at, end)
                    if self.check >= 1:
                        verify_heap(h)
            except BadEvent as err:
                raise self._fail(" ".join(str(a) for a in err.args)) from err
            except Throw as err:
                raise self._fail("Go would throw: " + " ".join(str(a) for a in err.args)) from err
            except Violation as err:
                which, *numbers = err.args
                shown = " ".join(str(n) for n in numbers)
                raise InvariantError(
                    f"{self.case.name}: after event {int(h.event)}: {which}: {INVARIANTS[which]} ({shown})"
                ) from err
            except IndexError as err:
                raise self._fail(f"refers to something outside the heap ({err})") from err
            self.rows.append(self.state.take_rows())
            if reached < end:
                self.make_room(reached)
            self.at = reached

    def make_room(self, reached):
        """Grow tables for event ``reached``. That it asks again and again would otherwise be a replay without end."""
        self.grown = self.grown + 1 if reached == self.at else 1
        if self.grown > PATIENCE:
            raise InvariantError(f"{self.case.name}: event {reached} has no room, however the tables grow")
        self.state.grow(int(self.state.h.need_arenas))

    def sweep_rest(self):
        """Sweep whatever is not swept yet, as runtime.GC does before it returns, whether or not it was recorded."""
        n = 1024
        columns = {name: np.zeros(n, dtype) for name, dtype in COLUMNS.items()}
        columns["kind"][:], columns["ref"][:] = SWEEPONE, -1
        columns |= {"dead": np.zeros(0, np.int64), "dead_offsets": np.zeros(1, np.int64)}
        events, out = make_events(columns), Results(np.ones(n, "u8"), np.zeros(n, "u8"), np.zeros(n, "u1"))
        while out.addr[-1] != 0:
            with np.errstate(over="ignore"):
                run_events(self.state.h, events, out, 0, n)

    def spans(self):
        """Return all span rows so far."""
        return np.concatenate(self.rows) if self.rows else self.state.take_rows()


def memstats_points(events):
    """Return the numbers of events applied whenever the program had read its MemStats, rising.

    ReadMemStats flushes the mcaches, which is an event for each P, and then the stack caches, which frees stack spans.
    A collection flushes the mcaches too: that is each P's first flush after its SWEEP_START.  With several Ps only the
    last point is one of a whole reading.
    """
    kind = events.kind
    flushes = np.flatnonzero(kind == MCACHE_FLUSH)
    starts = np.flatnonzero(kind == SWEEP_START)
    before = np.searchsorted(starts, flushes)
    _, first = np.unique(before * (NO_P + 1) + events.p[flushes], return_index=True)
    own = np.ones(len(flushes), bool)
    own[first] = False
    own |= before == 0
    points = []
    for flush in flushes[own].tolist():
        at = flush + 1
        while at < len(kind) and kind[at] == SPAN_FREE and events.flags[at] == SPAN_ALLOC_STACK:
            at += 1
        points.append(at)
    return points


def memstats_point(events):
    """Return the number of events applied when the program last read its MemStats, or all events if it did not."""
    points = memstats_points(events)
    return points[-1] if points else len(events.kind)


def replay(case, *, params=None, check=0, progress=None):
    """Predict from the events of a case alone where everything lies.

    Parameters
    ----------
    case : Case
        From :func:`load_case`.
    params : HeapParams, optional
        Default: the profile of the case's Go version.
    check : {0, 1, 2}
        0: Go's own throws only; 1: also recount every account after each batch of events; 2: after every event (slow).
    progress : callable, optional
        Called as ``progress(done, total)`` after every batch.

    Returns
    -------
    Prediction

    Raises
    ------
    FormatError
        If an event contradicts the heap; the message names the event and the reason.
    InvariantError
        If a recount fails, which is a bug in mheaplab.
    ValueError
        If ``check`` is not 0, 1 or 2.

    Notes
    -----
    In go1.27 cases the place of each scavenge and the page marks of small-object spans are taken from the case, since
    they depend on pacing and on the order of marking.
    """
    if check not in (0, 1, 2):
        raise ValueError(f"check = {check!r} is outside its legal range: 0, 1 or 2")
    begin = time.perf_counter()
    driver = _Driver(case, params, check)
    n = len(case)
    stats_at = memstats_point(case.events)
    memstats = None
    for stop in sorted({*range(BATCH, n, BATCH), stats_at, n}):
        driver.run_to(stop)
        if stop == stats_at:
            memstats = read_memstats(driver.state.h)
        if progress is not None:
            progress(stop, n)
    if memstats is None:
        memstats = read_memstats(driver.state.h)
    out = driver.out
    seconds = time.perf_counter() - begin
    left = int(driver.state.h.unrecorded_sweeps)
    return Prediction(case, out.addr, out.scav, out.needzero, driver.spans(), memstats, stats_at, left, seconds)


def snapshots(case, at, *, params=None, residents=False):
    """Return the heap of a case after each of the given numbers of events.

    Parameters
    ----------
    case : Case
    at : iterable of int
        Numbers of events, 0 to ``len(case)``, in any order.
    params : HeapParams, optional
    residents : bool
        Whether each snapshot also has its ``residents``: who lives in which span, and how old they are.

    Returns
    -------
    list of Snapshot
        In the order of ``at``.

    Raises
    ------
    ValueError
        If a number is outside 0 to ``len(case)``.
    """
    wanted = [int(k) for k in at]
    for k in wanted:
        if not 0 <= k <= len(case):
            raise ValueError(f"at = {k} is outside its legal range: 0 to {len(case)} events")
    driver = _Driver(case, params, 0)
    taken = {}
    lives = CaseResidents(case) if residents else None
    for k in sorted(set(wanted)):
        driver.run_to(k)
        taken[k] = take_snapshot(driver.state, k, read_memstats(driver.state.h))
        if lives is not None:
            taken[k] = dataclasses.replace(taken[k], residents=lives.at(k, driver.out.addr, taken[k].spans))
    return [taken[k] for k in wanted]
