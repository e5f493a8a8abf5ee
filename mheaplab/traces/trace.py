"""Trace: a stream of a program's heap events that can be read again and again, in batches of any length.

Where the events come from is the *source's* business: arrays, a file, a workload's generator.  A source has

``batches(rows)``
    an iterator of :class:`TraceEvents` of about ``rows`` events, from the first event on, anew at each call;
``n_events``
    how many there are, or None where only counting them would tell;
``digest()``
    text that is the same for the same events;
``checked``
    whether its events cannot be wrong, since this package makes them;
``dense``
    whether their ids are dense too; if it does not say, they are if it is checked.

The trace sees to it that batches have the length that was asked for, that what comes from outside is checked event by
event, and that a simulation gets dense ids.
"""

import hashlib
from functools import cached_property

import numpy as np

from ..runtime.trace_events import PHASE, TRACE_TYPES, TraceEvents, slice_trace_events
from .dense import DenseTable, HashTable

ROWS = 1 << 20
"""Events in a batch, unless said otherwise."""
MAX_ROWS = 1 << 28
META = {
    "go": "",
    "program": "",
    "sizes": "requested",
    "deaths": "known",
    "origin": "",
    "ids": "any",
    "phases": [],
    "prologue": 0,
}
"""What is known of a trace, with the values that stand for nothing in particular."""
CHOICES = {"sizes": ("requested", "slot"), "ids": ("dense", "any")}


def checked_meta(meta):
    """Return ``meta`` with what it leaves out; a ``ValueError`` names what is not legal."""
    unknown = sorted(set(meta) - set(META))
    if unknown:
        raise ValueError(f"meta: unknown key {unknown[0]!r}, expected {', '.join(META)}")
    found = META | meta
    for key, value in found.items():
        if key == "phases":
            if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
                raise ValueError(f"meta: phases = {value!r}, expected a list of names")
        elif key == "prologue":
            if type(value) is not int or value < 0:
                raise ValueError(f"meta: prologue = {value!r}, expected a number of events, 0 or more")
        elif not isinstance(value, str):
            raise ValueError(f"meta: {key} = {value!r}, expected text")
        elif key in CHOICES and value not in CHOICES[key]:
            raise ValueError(f"meta: {key} = {value!r}, expected one of {', '.join(CHOICES[key])}")
    return found | {"phases": list(found["phases"])}


def rechunk(batches, rows):
    """Yield the events of ``batches`` in batches of exactly ``rows``, the last one shorter."""
    kept, count = [], 0
    for events in batches:
        at, n = 0, len(events.kind)
        if not count and n == rows:
            yield events
            continue
        while at < n:
            take = min(rows - count, n - at)
            kept.append(slice_trace_events(events, at, at + take))
            at, count = at + take, count + take
            if count == rows:
                yield _joined(kept)
                kept, count = [], 0
    if count:
        yield _joined(kept)


def _joined(parts):
    """Return one batch of all ``parts``."""
    if len(parts) == 1:
        return parts[0]
    return TraceEvents(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


class ArraySource:
    """Events that are in memory."""

    checked = False

    def __init__(self, events):
        self.events = events
        self.n_events = len(events.kind)

    def batches(self, rows):
        """Yield views of ``rows`` events."""
        for start in range(0, self.n_events, rows):
            yield slice_trace_events(self.events, start, min(start + rows, self.n_events))

    def digest(self):
        """Return the hash of the columns."""
        found = hashlib.sha256(b"mheaplab trace, columns")
        for column in self.events:
            found.update(column.astype(column.dtype.newbyteorder("<"), copy=False).data)
        return found.hexdigest()


class LoadedSource:
    """Columns in memory that have been checked, of a trace whose digest is known."""

    checked = True

    def __init__(self, events, digest):
        self.events, self._digest = events, digest
        self.n_events = len(events.kind)

    def batches(self, rows):
        """Yield the events in slices."""
        for start in range(0, self.n_events, rows):
            yield slice_trace_events(self.events, start, start + rows)

    def digest(self):
        """The digest of the trace that was loaded."""
        return self._digest


class PrefixSource:
    """The first events of another source."""

    def __init__(self, source, n):
        self.source, self.n, self.checked = source, n, source.checked
        self.dense = getattr(source, "dense", source.checked)
        self.n_events = None if source.n_events is None else min(n, source.n_events)

    def batches(self, rows):
        """Yield as many events as there are to be."""
        left = self.n
        for events in self.source.batches(min(rows, max(self.n, 1))):
            if left <= 0:
                return
            yield slice_trace_events(events, 0, min(left, len(events.kind)))
            left -= len(events.kind)

    def digest(self):
        """Return a hash of the whole and of how much of it this is."""
        return hashlib.sha256(f"{self.source.digest()} first {self.n}".encode()).hexdigest()


def checked_rows(rows):
    """Return ``rows`` if a batch can be so long."""
    if not isinstance(rows, int | np.integer) or isinstance(rows, bool) or not 1 <= rows <= MAX_ROWS:
        raise ValueError(f"rows = {rows!r}: expected a whole number from 1 to {MAX_ROWS:,}")
    return int(rows)


class Trace:
    """A stream of events of a program: allocations, deaths, stacks, forced collections, phases.

    Parameters
    ----------
    source : object
        Where the events come from; see the top of this file.
    meta : dict
        Keys of ``META``.
    name : str, optional
        What messages call the trace; its origin or program if left out.

    Attributes
    ----------
    meta : dict
        ``go`` version, ``program``, whether ``sizes`` are "requested" or rounded to a "slot", how ``deaths`` were
        learnt, ``origin``, whether ``ids`` are "dense" or "any", names of ``phases``, and how many events at the start
        (``prologue``) make what was there before.

    Examples
    --------
    >>> trace = Trace.from_arrays([0, 1], 0, [48, 0], 0, [7, 7])
    >>> len(trace), next(trace.dense_batches()).id.tolist()
    (2, [0, 0])
    """

    def __init__(self, source, meta, name=""):
        self._source = source
        self._dense = getattr(source, "dense", source.checked)
        self.meta = checked_meta(meta)
        self.name = name or self.meta["origin"] or self.meta["program"] or "trace"

    @classmethod
    def from_arrays(cls, kind, p, size, noscan, id, time=None, **meta):
        """Return a trace of columns in memory, which are copied.

        Parameters
        ----------
        kind, p, size, noscan, id, time : array_like
            See :mod:`mheaplab.runtime.trace_events`; a single number stands for all events. No time: not known.
        **meta
            Keys of :attr:`meta`.

        Raises
        ------
        ValueError
            If a column is not of whole numbers that fit its type, or of another length than ``kind``.
        """
        n = len(np.atleast_1d(kind))
        given = TraceEvents(kind, p, size, noscan, id, 0 if time is None else time)
        columns = {name: _column(name, values, n) for name, values in given._asdict().items()}
        return cls(ArraySource(TraceEvents(**columns)), meta)

    @property
    def n_events(self):
        """Number of events, or None where only reading them all would tell."""
        return self._source.n_events

    def __len__(self):
        if self.n_events is None:
            raise TypeError(f"{self.name}: the number of events is not known before they are all read")
        return self.n_events

    def __bool__(self):
        return True

    def __repr__(self):
        count = "of unknown length" if self.n_events is None else f"of {self.n_events:,} events"
        return f"<Trace {self.name}, {count}>"

    @cached_property
    def digest(self):
        """Text (64 hex digits) that is the same for the same events."""
        return self._source.digest()

    @cached_property
    def procs(self):
        """Ps that the program ran on: one more than the highest in the first 65,536 events."""
        first = next(self.dense_batches(1 << 16), None)
        return 1 if first is None or len(first.p) == 0 else 1 + int(first.p.max())

    def batches(self, rows=ROWS):
        """Yield the events in batches of ``rows``, checked, with the ids that they have.

        Raises
        ------
        FormatError
            At the first event that is wrong, naming it; what came before has been yielded in whole batches.
        """
        batches = rechunk(self._source.batches(checked_rows(rows)), rows)
        if self._source.checked:
            yield from batches
            return
        table = self._table()
        for events in batches:
            table.process(events)
            yield events

    def dense_batches(self, rows=ROWS):
        """Yield the events as :meth:`batches` does, with dense ids."""
        batches = rechunk(self._source.batches(checked_rows(rows)), rows)
        if self._dense:
            yield from batches
            return
        table = self._table()
        for events in batches:
            yield table.process(events)

    def _table(self):
        return (DenseTable if self.meta["ids"] == "dense" else HashTable)(self.name)

    def loaded(self, most=None):
        """Return the same trace in memory: checked, with dense ids, read once.

        For a trace that is to be simulated many times, such as under a slider.  27 bytes an event.  A trace of more
        than ``most`` events, if that is given, is returned as it is.
        """
        parts, left = [TraceEvents(*(np.empty(0, dtype) for dtype in TRACE_TYPES))], np.inf if most is None else most
        for events in self.dense_batches():
            parts.append(events)
            left -= len(events.kind)
            if left < 0:
                return self
        columns = TraceEvents(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        return Trace(LoadedSource(columns, self.digest), self.meta | {"ids": "dense"}, self.name)

    def prefix(self, n):
        """Return the trace of the first ``n`` events."""
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 0:
            raise ValueError(f"n = {n!r}: expected a whole number of events, 0 or more")
        return Trace(PrefixSource(self._source, int(n)), self.meta, self.name)

    def described(self, name="", **meta):
        """Return the trace of the same events with another name, and with these keys of its ``meta`` changed."""
        return Trace(self._source, self.meta | meta, name or self.name)

    def count(self):
        """Return how many events of each kind there are, reading them all."""
        counts = np.zeros(PHASE + 1, np.int64)
        for events in self.batches():
            counts += np.bincount(events.kind, minlength=PHASE + 1)
        return counts


def _column(name, values, n):
    """Return ``values`` as column ``name`` of ``n`` rows."""
    found = np.asarray(values)
    wanted = np.dtype(getattr(TRACE_TYPES, name))
    if found.dtype == bool:
        found = found.astype(np.uint8)
    if found.dtype.kind not in "iu" and found.size:
        raise ValueError(f"{name}: {found.dtype} values, expected whole numbers")
    if found.ndim > 1 or (found.ndim == 1 and len(found) != n):
        raise ValueError(f"{name}: shape {found.shape}, expected ({n},) as kind has")
    limits = np.iinfo(wanted)
    if found.size and (int(found.min()) < 0 or int(found.max()) > limits.max):
        raise ValueError(f"{name}: {int(found.min())} to {int(found.max())}, expected 0 to {limits.max}")
    return np.broadcast_to(found, (n,)).astype(wanted)
