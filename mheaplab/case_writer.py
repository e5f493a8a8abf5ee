"""CaseWriter: a case in the making, whose events are applied to a heap as they are written, so that answers are known.

What a recorder does while a program runs: some events can only be written once the heap has answered those before, such
as how often a sweep found something.  What the heap answers is the truth of the case.
"""

import numpy as np

from .case import COLUMNS, EVENTS_SUFFIX, TRUTH, TRUTH_SUFFIX, Case, make_events, write_npz
from .errors import InvariantError
from .runtime.run import Results, run_events
from .runtime.structs import MCACHE_FLUSH, PAGE_SHIFT, SCAVENGE, SWEEP_START, SWEEPONE

FIRST_ROOM = 1 << 10
PATIENCE = 8
"""Times that tables may grow for one event."""
QUANTUM_PAGES = 8
"""Pages that the background scavenger asks for at a time."""
FORCE = 4
"""Who called sweepone, as a recording's flags have it: runtime.GC."""


class CaseWriter:
    """The events of a case so far, and the heap they have led to.

    Parameters
    ----------
    state : HeapState
        An empty heap.

    Attributes
    ----------
    n : int
        Events so far.
    out : Results
        What the heap has answered, by event.
    """

    def __init__(self, state):
        self.state, self.n = state, 0
        self.columns = {name: np.zeros(FIRST_ROOM, dtype) for name, dtype in COLUMNS.items()}
        self.dead, self.offsets, self.rows = [], [0], []
        self.out = Results(*(np.zeros(FIRST_ROOM, dtype) for dtype in ("u8", "u8", "u1")))
        self._set_events()

    def _set_events(self):
        lists = {"dead": np.array(self.dead, np.int64), "dead_offsets": np.array(self.offsets, np.int64)}
        self.events = make_events(self.columns | lists)

    def _make_room(self, more):
        room = len(self.columns["kind"])
        if self.n + more <= room:
            return
        new = max(self.n + more, 2 * room) - room
        self.columns = {name: np.append(c, np.zeros(new, c.dtype)) for name, c in self.columns.items()}
        self.out = Results(*(np.append(c, np.zeros(new, c.dtype)) for c in self.out))
        self._set_events()

    def extend(self, count, **columns):
        """Append ``count`` events and apply them; what ``columns`` leaves out is 0, and ``ref`` -1."""
        self._make_room(count)
        at, end = self.n, self.n + count
        self.columns["ref"][at:end] = -1
        for name, values in columns.items():
            self.columns[name][at:end] = values
        tries = 0
        with np.errstate(over="ignore"):
            while at < end:
                reached = run_events(self.state.h, self.events, self.out, at, end)
                self.rows.append(self.state.take_rows())
                if reached < end:
                    tries = tries + 1 if reached == at else 1
                    if tries > PATIENCE:
                        raise InvariantError(f"event {reached} has no room, however the tables grow")
                    self.state.grow(int(self.state.h.need_arenas))
                at = reached
        self.n = end

    def apply(self, kind, **values):
        """Append an event and apply it; return what the heap answers."""
        self.extend(1, kind=kind, **values)
        return int(self.out.addr[self.n - 1])

    def collect(self, dead, p=0):
        """End marking; ``dead`` are the events that allocated what is dead."""
        self.dead += list(dead)
        self.offsets.append(len(self.dead))
        self._set_events()
        self.apply(SWEEP_START, ref=len(self.offsets) - 2, p=p)

    def flush(self, ps):
        """Flush the mcaches of so many Ps."""
        for p in range(ps):
            self.apply(MCACHE_FLUSH, p=p)

    def sweep_all(self, p=0):
        """Sweep until nothing is left, as runtime.GC does."""
        while self.apply(SWEEPONE, flags=FORCE, p=p):
            pass

    def scavenge(self, nbytes, p):
        """Give ``nbytes`` back as the background scavenger does: 64 KiB at a time, or more if a huge page is cut."""
        while nbytes > 0:
            left = QUANTUM_PAGES
            while left > 0 and nbytes > 0:
                self.apply(SCAVENGE, size=left, p=p)
                left -= int(self.out.scav[self.n - 1])
                nbytes -= int(self.out.scav[self.n - 1]) << int(PAGE_SHIFT)
        assert nbytes == 0

    def scavenge_all(self, nbytes, p):
        """Give all that is free back, which is ``nbytes``."""
        while nbytes > 0:
            self.apply(SCAVENGE, size=0, p=p)
            nbytes -= int(self.out.scav[self.n - 1]) << int(PAGE_SHIFT)
        assert nbytes == 0

    def case(self, name, go):
        """Return the events so far as a case, with what the heap has answered as its truth."""
        lists = {"dead": np.array(self.dead, np.int64), "dead_offsets": np.array(self.offsets, np.int64)}
        events = make_events({name: column[: self.n].copy() for name, column in self.columns.items()} | lists)
        spans = np.concatenate([*self.rows, self.state.take_rows()])
        truth = {name: column[: self.n].copy() for name, column in self.out._asdict().items()}
        truth |= {name: spans[name].astype(dtype) for name, dtype in TRUTH.items() if name not in truth}
        return Case(name, go, events, truth)


def write_case(case, path):
    """Write a case as ``PATH.events.npz`` and, if it has a truth, ``PATH.truth.npz``; each whole or not at all.

    Parameters
    ----------
    case : Case
    path : str or os.PathLike
        With or without the endings.
    """
    stem = str(path).removesuffix(EVENTS_SUFFIX).removesuffix(TRUTH_SUFFIX)
    columns = {name: c for name, c in case.events._asdict().items() if len(c) or name in ("dead", *COLUMNS)}
    if case.truth is not None:
        write_npz(stem + TRUTH_SUFFIX, case.truth)
    write_npz(stem + EVENTS_SUFFIX, columns | {"go": np.array(case.go)})
