"""Generator: the compiled generator with the arrays that its record points to."""

import numpy as np

from ..runtime.generate import generate
from ..runtime.generate_structs import (
    CHUNK_WORDS,
    COLUMN_NAMES,
    DONE,
    NEEDS_CHUNKS,
    NEEDS_IDS,
    NEEDS_RINGS,
    TABLE_NAMES,
    bind,
)
from ..runtime.trace_events import new_trace_events, slice_trace_events

MAX_IDS = 1 << 31


class Generator:
    """A stream of events under way.

    Parameters
    ----------
    record : numpy.record
        Of type ``GENERATOR``, modified in place.
    tables : dict of str to numpy.ndarray
        Its tables by name.
    """

    def __init__(self, record, tables):
        self.record = record
        self.tables = tables
        for name in TABLE_NAMES:
            bind(record, name, tables[name])

    @property
    def done(self):
        """Whether there are no more events."""
        return self.record["stage"] == DONE

    def next_events(self, rows):
        """Return the next ``rows`` events, or fewer if these are the last."""
        events = new_trace_events(rows)
        filled = 0
        while filled < rows and not self.done:
            for name, column in zip(COLUMN_NAMES, events, strict=True):
                bind(self.record, name, column[filled:])
            filled += generate(self.record)
            if self.record["needs"] == NEEDS_IDS:
                self._double("ids")
            elif self.record["needs"] == NEEDS_CHUNKS:
                self._double("chunks")
            elif self.record["needs"] == NEEDS_RINGS:
                self._more_places()
        return slice_trace_events(events, 0, filled)

    def _replace(self, name, array):
        self.tables[name] = array
        bind(self.record, name, array)

    def _double(self, name):
        """Make table ``name`` twice as large."""
        old = self.tables[name]
        if len(old) >= MAX_IDS * CHUNK_WORDS:
            raise MemoryError("workload: over 2**31 objects are alive at once, which is more than there are names for")
        self._replace(name, np.concatenate((old, np.zeros(len(old), old.dtype))))

    def _more_places(self):
        """Give the rings twice as many places; what they hold begins at their first place then."""
        ends, places = self.tables["ring_ends"], int(self.record["places"])
        old = self.tables["rings"].reshape(-1, places)
        rings = np.zeros((len(old), 2 * places), old.dtype)
        for row, ring in enumerate(old):
            rings[row, :places] = np.roll(ring, -int(ends["head"][row]))
        ends["head"] = 0
        self.record["places"] = 2 * places
        self._replace("rings", rings.reshape(-1))
