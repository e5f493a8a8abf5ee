"""moments: a run as pictures of its heap at evenly spaced moments, to go through by a slider.

Whoever moves a slider cannot wait for a replay, so all pictures are taken before.  How many there can be follows from
how large one is: together they take at most ``MOST_BYTES``.
"""

import dataclasses
from dataclasses import dataclass, field

from .case import Case
from .previews import HELD, trace_code
from .replay import snapshots
from .simulate import simulate

MOST_MOMENTS = 1000
MOST_BYTES = 512 << 20
LEAST_MOMENTS = 8
"""Moments that are taken whatever they need."""
LOOKS = 4
"""Moments that are taken first, to see how large a picture is."""


@dataclass(frozen=True)
class Moments:
    """Pictures of one run.

    Attributes
    ----------
    name : str
        What was run.
    events : int
        How many events the run has.
    snapshots : tuple of Snapshot
        By rising event, with their residents.
    about : Case, dict or None
        Where they come from, for the stamp of exports.
    code : str
        A line of Python that takes a picture, as ``snapshot``, after ``{event}`` events, and what goes before it.
    """

    name: str
    events: int
    snapshots: tuple = field(repr=False)
    about: object = field(repr=False)
    code: str = field(repr=False)

    def nearest(self, event):
        """Return the number of the moment nearest to ``event``."""
        return min(range(len(self.snapshots)), key=lambda k: abs(self.snapshots[k].event - event))


def picture_bytes(snapshot):
    """Return the bytes that a snapshot takes."""
    arrays = [snapshot.pages, snapshot.page_span, snapshot.spans]
    if snapshot.residents is not None:
        arrays.append(snapshot.residents.spans)
    return sum(a.nbytes for a in arrays)


def spaced(events, moments):
    """Return evenly spaced numbers of events, the last at the end, each once."""
    return sorted({events * k // moments for k in range(1, moments + 1)})


def _affordable(pictures, moments):
    """Return how many moments there can be if a picture is as large as the largest of ``pictures``."""
    largest = max((picture_bytes(s) for s in pictures), default=1)
    return max(min(moments, MOST_BYTES // max(largest, 1)), min(moments, LEAST_MOMENTS))


def moments_of(source, params=None, *, moments=100, name=""):
    """Return a run as pictures at evenly spaced moments.

    Parameters
    ----------
    source : Case, Trace or sequence of Snapshot
        A case is replayed, a trace simulated; snapshots, such as those of :func:`mheaplab.go_snapshots`, are taken as
        they are.
    params : HeapParams, optional
        For a trace: the parameters of the simulation.
    moments : int
        How many, 1 to 1,000; fewer if they would take more than 512 MiB together.
    name : str
        What the heap is called.  Default: the name of the case or the trace.

    Raises
    ------
    ValueError
        If ``moments`` is illegal, or there are no snapshots.
    """
    if isinstance(source, list | tuple):
        if not source:
            raise ValueError("source: there are no snapshots in it")
        code = "snapshots = ...  # the snapshots that you gave to the explorer"
        code += "\nsnapshot = next(s for s in snapshots if s.event == {event})"
        return Moments(name or "heap", source[-1].event, tuple(source), None, code)
    if not isinstance(moments, int) or not 1 <= moments <= MOST_MOMENTS:
        raise ValueError(f"moments = {moments!r} is outside its legal range: 1 to {MOST_MOMENTS:,}")
    found = (_of_case if isinstance(source, Case) else _of_trace)(source, params, moments)
    return dataclasses.replace(found, name=name or found.name)


def _of_case(case, params, moments):
    def take(events):
        return snapshots(case, events, params=params, residents=True)

    found = take(spaced(len(case), _affordable(take(spaced(len(case), LOOKS)), moments)))
    code = f'case = mh.load_case(mh.data_path("cases/{case.name}"))\n'
    code += "snapshot = mh.snapshots(case, [{event}], residents=True)[0]"
    return Moments(case.name, len(case), tuple(found), case, code)


def _of_trace(trace, params, moments):
    trace = trace.loaded(HELD)
    events = int(trace.count().sum()) if trace.n_events is None else trace.n_events

    def run(marks):
        return simulate(trace, params, snapshots=marks, residents=True)

    looked = run(spaced(events, LOOKS))
    result = run(spaced(events, _affordable(looked.snapshots.values(), moments)))
    found = tuple(result.snapshots[event] for event in sorted(result.snapshots))
    code = f"trace = {trace_code(trace)}\nparams = {result.params.to_code()}\n"
    code += "result = mh.simulate(trace, params, snapshots=[{event}], residents=True)\n"
    code += "snapshot = result.snapshot(at={event})"
    return Moments(result.name, events, found, result.provenance, code)
