"""go_source: a Go execution trace as a trace to simulate.

>>> trace = mh.read_trace("prog.trace")                 # doctest: +SKIP

The file is read twice: once, when events are first asked for, to learn how long objects live (``Survey``), and then at
every pass over the events.  ``runtime/gotrace_heap.py`` says how rows are made of the trace's memory events and
``go_deaths`` when objects die.  What was there when the trace began comes first, as allocations: ``meta["prologue"]``
events.
"""

import hashlib
from functools import cached_property
from pathlib import Path

from ..progress import ProgressBar
from .go_deaths import Sampler, Survey, Weaver, rarer_of
from .go_heap import go_version, read_go_heap
from .go_trace import is_go_trace
from .readers import register_reader
from .trace import Trace

READ_PIECE = 1 << 20
DEATHS = "drawn between the collections of the trace that found them, by its survival curves"
COUNTS = {
    "n_objects": "objects_at_start",
    "n_stacks": "stacks_at_start",
    "n_tiny": "tiny_in_open_block",
    "n_reused": "taken_again_unfreed",
    "n_dead_at_start": "dead_at_start",
    "n_unknown": "unknown_ends",
    "collections": "collections",
}
"""What ``GoTraceSource.counts`` calls the kernel's counts."""


class GoTraceSource:
    """The events of a Go execution trace.

    Parameters
    ----------
    path : str or os.PathLike
    seed : int
        Of the draws of deaths; the same seed gives the same events.

    Attributes
    ----------
    counts : dict of str to int
        What became of the memory events, after a pass over them all: see ``COUNTS``; ``found_dead`` and ``die_later``
        (objects that no collection found dead, but that die by their curve).
    """

    checked = True
    n_events = None

    def __init__(self, path, seed=0):
        self.path, self.seed = Path(path), int(seed)
        self.counts = {}

    @cached_property
    def survey(self):
        """What a first pass over the file finds (:class:`Survey`); a bar on a terminal shows how far it is."""
        sampler, state = Sampler(), None
        size, bar = self.path.stat().st_size, ProgressBar("survey")
        for heap, reader, rows, found, marks in read_go_heap(self.path, rarer=rarer_of(size)):
            state = heap.state
            sampler.add(rows, found, marks, _existed(state, len(rows)))
            bar(min(reader.offset, size), size)
        bar.close()
        group, survival = sampler.survival()
        return Survey(int(state["collections"]), int(state["last_clock"]), int(state["clock"]), group, survival)

    def batches(self, rows):
        """Yield the events, in pieces as they are known."""
        weaver, last = Weaver(self.survey, self.seed), None
        for heap, _, more, found, marks in read_go_heap(self.path):
            last = heap
            yield from weaver.add(more, found, marks)
        yield from weaver.finish(last.living())
        self.counts = {words: int(last.state[name]) for name, words in COUNTS.items()} | weaver.counts

    def digest(self):
        """Return the hash of the file and of the seed."""
        found = hashlib.sha256(f"mheaplab execution trace, seed {self.seed}".encode())
        with self.path.open("rb") as file:
            while piece := file.read(READ_PIECE):
                found.update(piece)
        return found.hexdigest()


def _existed(state, n):
    """Return how many of the last ``n`` rows are of what was there when the trace began."""
    if state["in_prologue"]:
        return n
    return min(max(int(state["prologue"]) - (int(state["rows"]) - n), 0), n)


def _prologue(path):
    """Return how many events make what was there when the trace began; reads its first generation."""
    rows = 0
    for heap, *_ in read_go_heap(path):
        rows = int(heap.state["rows"] if heap.state["in_prologue"] else heap.state["prologue"])
        if not heap.state["in_prologue"]:
            break
    return rows


def open_go_trace(path, seed=0):
    """Return a Go execution trace with memory events as a :class:`Trace`.

    Parameters
    ----------
    path : str or os.PathLike
    seed : int
        Of the draws of deaths, 0 or more.

    Raises
    ------
    FormatError
        If it is not what it claims to be, is of Go before 1.23, or has no memory events.
    """
    path = Path(path)
    meta = {"go": go_version(path), "sizes": "slot", "deaths": DEATHS, "origin": f"Go execution trace {path.name}"}
    return Trace(GoTraceSource(path, seed), meta | {"prologue": _prologue(path)}, str(path))


register_reader("a Go execution trace", is_go_trace, open_go_trace)
