"""prove_predict: from the recording of one run with Go's table, the heap of the same program with another.

Two moments are predicted (``recorder.memstats``): "exit", the heap as the program leaves it, and "collected", after one
more collection and its sweep.  Two ways lead there:

* **As recorded.**  The recorded events are replayed with the other table: the same objects are allocated in the same
  order and found dead by collections at the same moments; sizes, spans and places follow from the table.  What is left
  to sweep at the end is swept, as runtime.GC does: with another table there may be more spans than the recording has
  sweeps for.  So "collected" is predicted, and "exit" too if the collector is off.
* **Paced by the twin.**  With the collector on, what is garbage at exit depends on when it last ran, and with another
  table it runs at other moments.  So "exit" comes from a simulation in which the twin decides when to collect; deaths
  are drawn between the recorded collections (``case_trace``).

Left out of the replay: what was given back to the OS, since with another table there may be no such free page, and
which pages Go 1.27 marked.  Neither changes what is in use.  HeapReleased is not predicted therefore.

What no recording of one table can say: the program itself looks at the table.  ``append`` rounds a slice up to a class,
so with other classes it grows other slices at other moments (``runtime.growslice``, ``roundupsize``); the recording has
the sizes that Go's table led to (``recorder.rounding`` has a remedy for measurements).
"""

import dataclasses

import numpy as np

from .case_trace import trace_of_lives
from .errors import FormatError
from .params import HeapParams
from .recording_case import RecordedLives, recording_case
from .replay import _Driver, memstats_points
from .runtime.mstats import read_memstats
from .runtime.sim_structs import WHY_END
from .runtime.structs import ENSURE_SWEPT, SCAVENGE
from .simulate import simulate
from .traces import Trace

FIELDS = {
    "exit": ("HeapAlloc", "HeapInuse", "HeapSys"),
    "collected": ("HeapAlloc", "HeapInuse", "HeapSys", "TotalAlloc"),
}
"""What is predicted, by moment.  TotalAlloc, all bytes ever allocated, says how far the program asked for the same."""
OFF = -1


class Predictor:
    """What one recording says of a program under any table.

    Parameters
    ----------
    recording : Recording
        Of a program that read its MemStats twice before it ended, with a collection between (``recorder.memstats``).
    gogc : int
        GOGC of the program; -1: off.
    seed : int
        Of the draws of deaths.
    alloc_ns : float, optional
        Program time from one allocation to the next (``HeapParams``): how much is allocated while the collector marks.

    Attributes
    ----------
    case : Case
        The recorded run.
    exit, collected : int
        Events applied when the program read its MemStats.

    Raises
    ------
    FormatError
        If the recording is damaged, or has not these two moments.
    """

    def __init__(self, recording, gogc=100, seed=0, alloc_ns=None):
        self.case = recording_case(recording, truth=False)
        points = memstats_points(self.case.events)
        if len(points) < 2 or recording.procs != 1:
            raise FormatError(
                f"{recording.path}: {len(points)} readings of MemStats and {recording.procs} Ps, expected a recording"
                " with one P and the two readings that `mheaplab prove` asks for"
            )
        self.exit, self.collected = points[-2:]
        self.gogc, self.alloc_ns = gogc, alloc_ns
        made = trace_of_lives(RecordedLives(recording, "begin"), seed)
        rows = int(made.row[self.exit])
        self.columns = {name: column[:rows] for name, column in made.columns.items()}

    def params(self, table):
        """Return the profile of the recorded Go version with a table."""
        speed = {} if self.alloc_ns is None else {"alloc_ns": self.alloc_ns}
        return HeapParams.of_version(self.case.go, size_classes=table.classes(), gogc=self.gogc, **speed)

    def recorded(self):
        """Return MemStats by moment of the recorded run itself, replayed with all that it has."""
        return self._replayed(self.case, None)

    def predict(self, table):
        """Return {moment: {field: bytes}} for the program with a table; the fields are ``FIELDS``.

        Raises
        ------
        FormatError
            If the recorded events are not possible with that table; the message names the event.
        """
        found = self._replayed(_without_places(self.case), self.params(table), sweep=True)
        if self.gogc != OFF:
            found["exit"] = self._paced(table)
        return {moment: {field: stats[field] for field in FIELDS[moment]} for moment, stats in found.items()}

    def _replayed(self, case, params, sweep=False):
        """Return MemStats by moment of a replay; ``sweep``: having swept all that is left by then."""
        run = _Driver(case, params, 0)
        run.run_to(self.exit)
        found = {"exit": read_memstats(run.state.h)}
        run.run_to(self.collected)
        if sweep:
            run.sweep_rest()
        return found | {"collected": read_memstats(run.state.h)}

    def _paced(self, table):
        """Return what the heap is at exit if the twin decides when to collect."""
        trace = Trace.from_arrays(**self.columns, go=self.case.go, program=self.case.name)
        result = simulate(trace, self.params(table), samples=1)
        last = result.samples[result.samples["why"] == WHY_END][-1]
        # MemStats of a run lack what the mcaches hold, which a program that reads them flushes; samples do not.
        return result.memstats | {"HeapAlloc": int(last["live"] + last["garbage"])}


def _without_places(case):
    """Return a case that does not say which memory was given back, nor which pages were marked.

    The events stay in their places, since others refer to them by number: one that sweeps nothing does nothing.
    """
    e = case.events
    gives_back = e.kind == SCAVENGE
    kind, ref = e.kind.copy(), e.ref.copy()
    kind[gives_back], ref[gives_back] = ENSURE_SWEPT, np.array(-1, ref.dtype)
    lists = {name: getattr(e, name)[:0] for name in ("page_marked", "page_marked_offsets")}
    return dataclasses.replace(case, events=e._replace(kind=kind, ref=ref, **lists))
