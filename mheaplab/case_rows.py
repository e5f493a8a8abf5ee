"""case_rows: a recorded case with its deaths as the source of a trace, whose rows are made when they are asked for.

A trace of ten million objects has twenty million rows of 27 bytes.  This keeps what they are made of, 20 bytes for each
object: the case's kinds, Ps, flags and sizes, and the deaths in their order (``runtime/case_rows.py``).
"""

import hashlib

import numpy as np

from .errors import FormatError
from .runtime.case_rows import WEAVER, place_deaths, weave_rows
from .runtime.structs import MALLOC
from .runtime.trace_events import MAX_STACK, MIN_STACK, STACK_ALLOC, TRACE_KIND_NAMES, new_trace_events
from .traces.dense import REASONS, k

DIGEST_ROWS = 1 << 18
"""Rows that are hashed at a time."""


class CaseRows:
    """The source of the trace of a case.

    Parameters
    ----------
    lives : Lives
    death : numpy.ndarray of int
        From ``draw_deaths``.
    name : str
        What messages call the trace.
    """

    checked = True
    dense = False

    def __init__(self, lives, death, name=""):
        e = lives.case.events
        self.name, self.stack_check = name, True
        self.case = e.kind, e.p, e.flags, e.size
        self.forced = lives.begin[lives.asked], lives.returned[lives.asked].astype(np.uint64)
        takes, taken_bytes, frees, freed, freed_bytes = lives.stacks
        self.ends, deaths = _counted(death)
        self.dead = np.empty(deaths, death.dtype), np.empty(deaths, np.uint8)
        place_deaths(e.kind, e.p, death, takes, self.ends, *self.dead)
        number = np.searchsorted(takes, freed) + _objects_before(e.kind, freed)
        self.stacks = takes, taken_bytes, frees, number, freed_bytes
        self.n_events = deaths + len(self.forced[0]) + int(np.count_nonzero(e.kind == MALLOC)) + len(takes) + len(frees)

    def batches(self, rows):
        """Yield ``rows`` events at a time, the last time fewer."""
        state, done = np.zeros(1, WEAVER)[0], 0
        while done < self.n_events:
            out = new_trace_events(min(rows, self.n_events - done))
            made = weave_rows(state, self.case, self.ends, *self.dead, self.forced, self.stacks, out)
            assert made == len(out.kind)
            self._check(out, done)
            done += made
            yield out

    def _check(self, out, done):
        """Refuse stacks of a size that none has: the one thing that no check of a case has seen to."""
        size = out.size
        good = (size & (size - np.uint64(1)) == 0) & (size >= MIN_STACK) & (size <= MAX_STACK)
        bad = (out.kind == STACK_ALLOC) & ~good
        if bad.any():
            i = int(bad.argmax())
            reason = REASONS[k.BAD_STACK].format(size=int(size[i]))
            raise FormatError(f"{self.name}: event {done + i} ({TRACE_KIND_NAMES[STACK_ALLOC]}): {reason}")

    def digest(self):
        """Return the hash of the columns, one after the other."""
        found = hashlib.sha256(b"mheaplab trace, columns")
        for column in range(len(new_trace_events(0))):
            for events in self.batches(DIGEST_ROWS):
                values = events[column]
                found.update(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
        return found.hexdigest()

    def before(self):
        """Return how many rows stand before each recorded event, and all of them."""
        own = np.zeros(len(self.ends), np.int64)
        own[1:] += self.case[0] == MALLOC
        own[np.concatenate((self.stacks[0], self.stacks[2])) + 1] += 1
        np.add.at(own, self.forced[0] + 1, 1)
        return np.cumsum(own) + self.ends


def _counted(death):
    """Return how many die before each event and at the end, and how many in all."""
    ends = np.zeros(len(death) + 1, death.dtype)
    dies = death[death >= 0]
    np.add.at(ends, dies, 1)
    return ends, len(dies)


def _objects_before(kinds, events):
    """Return how many objects are born before each of ``events``."""
    order = np.argsort(events, kind="stable")
    found, count, at = np.empty(len(events), np.int64), 0, 0
    for i in order.tolist():
        count += int(np.count_nonzero(kinds[at : events[i]] == MALLOC))
        found[i], at = count, int(events[i])
    return found
