"""go_deaths: when the objects of an execution trace died, and deaths put between the rows of the trace.

A trace tells when the sweeper met a dead object.  It died before the collection that found it began to mark, and after
the one before, which saw it alive: an interval, in which a survival curve draws the moment, as for recorded cases
(``lifetimes``).  The curves come from a first pass over the trace (``Survey``): of a sample of its objects, at no more
than ``MAX_LOOKS`` of its collections.

``Weaver`` makes the second pass: it keeps rows until all who died among them are known, which is when the sweep after
the next collection is over, so about two collections' worth.

Simplified: objects that were there when the trace began have no known age, and die evenly spread over their interval;
those of them that no collection found live on.  The last collection counts as having seen all that it did not find,
though its sweep may not have been over when the trace ended.
"""

from dataclasses import dataclass, field

import numpy as np

from ..lifetime_groups import group_of, number_kinds, survival_by_group
from ..lifetimes import Looks
from ..runtime.gotrace_structs import FOUND, UNKNOWN_AGE
from ..runtime.gotrace_weave import uniform_of, weave
from ..runtime.trace_events import ALLOC, TRACE_TYPES, TraceEvents
from ..size_tables import go_classes

SAMPLE_BYTES = 4 << 20
"""Bytes of a trace up to which all of its objects are looked at; of one twice as large every second page, and so on."""
MAX_LOOKS = 128
LARGE = 1 << 16
"""Bytes that stand for the size of every large object: they share a curve."""
SPAN_CLASSES = 256


def uniform(born, seed):
    """Return a random number from 0 to 1 for each of ``born``."""
    out = np.empty(len(born))
    uniform_of(np.ascontiguousarray(born, np.int64), np.uint64(seed), out)
    return out


def rarer_of(nbytes):
    """Return of one in how many pages, as a power of two, the objects of a trace of ``nbytes`` are looked at."""
    return max(0, (int(nbytes) // SAMPLE_BYTES).bit_length())


def class_sizes():
    """Return the bytes of a slot by span class."""
    sizes = np.zeros(SPAN_CLASSES, np.int64)
    for c, (nbytes, _) in enumerate(((LARGE, 0), *go_classes())):
        sizes[2 * c : 2 * c + 2] = nbytes
    return sizes


@dataclass(frozen=True)
class Survey:
    """What a first pass over a trace found.

    Attributes
    ----------
    collections : int
        That ended in the trace.
    last_look : int
        Clock when the last of them began to mark.
    end : int
        Clock at the end of the trace.
    group : numpy.ndarray of int64
        Group of objects by span class.
    survival : dict of str to Survival
        The curves, by group of objects.
    """

    collections: int
    last_look: int
    end: int
    group: np.ndarray = field(repr=False)
    survival: dict = field(repr=False)


class Sampler:
    """Collects objects in a first pass: births, and by which collection they were found dead."""

    def __init__(self):
        self.births, self.found, self.clocks = [], [], []

    def add(self, rows, found, marks, first):
        """Take in what one step of the pass gave; rows before ``first`` are of what was there at the start."""
        self.births.append(rows[first:][["spc", "clock"]][rows["kind"][first:] == ALLOC])
        self.found.append(found[["born", "collection"]][found["collection"] > 0])
        self.clocks.append(marks["clock"])

    def survival(self):
        """Return the group of objects by span class, and the curves by group."""
        births, found, clock = (np.concatenate(parts) for parts in (self.births, self.found, self.clocks))
        looks, born, spc = len(clock), np.ascontiguousarray(births["clock"]), births["spc"]
        gone = np.full(len(born), looks)
        at = np.searchsorted(born, found["born"])
        known = at < len(born)
        known[known] = born[at[known]] == found["born"][known]
        gone[at[known]] = found["collection"][known] - 1
        every = np.arange(0, looks, max(1, -(-looks // MAX_LOOKS)))
        seen, gone = np.searchsorted(every, gone - 1, "right") - 1, np.searchsorted(every, gone)
        sizes = class_sizes()
        noscan = spc.astype(np.int64) & 1
        kinds, number = number_kinds(len(spc), lambda first, stop: 2 * sizes[spc[first:stop]] + noscan[first:stop])
        group, curves = survival_by_group(kinds, number, Looks(clock[every], born, seen, gone))
        by_class = group_of(sizes, np.arange(SPAN_CLASSES) & 1)
        by_class[spc] = group
        return by_class, curves


class Weaver:
    """Puts deaths between the rows of a trace, in a second pass.

    Parameters
    ----------
    survey : Survey
    seed : int
        Of the draws.
    """

    def __init__(self, survey, seed):
        self.survey, self.seed = survey, seed
        self.curves = list(survey.survival.values())
        self.parts, self.base, self.end = [], 0, 0  # rows that wait, and which they are
        self.found = [np.empty(0, FOUND)]
        self.target, self.dead = np.empty(0, np.int64), np.empty(0, np.uint32)
        self.begins = [0, 0]  # rows where the last two collections that ended began to mark
        self.counts = {"found_dead": 0, "die_later": 0}

    def add(self, rows, found, marks):
        """Take in more rows, dead objects and collections; yield the events that are known to the end by now."""
        if len(rows):
            self.parts.append(rows)
            self.end += len(rows)
        if len(found):
            self.found.append(found)
        self.begins = [*self.begins, *marks["row"][-2:].tolist()][-2:]
        final = self.begins[0] if self.survey.collections else self.end
        if final > self.base:
            self._draw_found(final)
            yield from self._flush(final)

    def finish(self, living):
        """Yield what is left; ``living``: number, clock at birth and span class of the objects that are there."""
        self._draw_found(None)
        if self.survey.collections:
            self._draw_living(*living)
        yield from self._flush(None)

    def _ages(self, spc, low, high, chance):
        """Return ages at death between ``low`` and ``high``; later than ``low`` if there is no ``high``."""
        group = self.survey.group[spc].astype(np.uint16)
        age = np.zeros(len(low), np.int64)
        order = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=len(self.curves)))
        for number, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
            of = order[start:end]
            shape = self.curves[number]
            more = shape.draw_after(low[of], chance[of]) if high is None else shape.draw(low[of], high[of], chance[of])
            age[of] = more
        return age

    def _clock(self):
        return np.concatenate([np.empty(0, np.int64), *(part["clock"] for part in self.parts)])

    def _draw_found(self, final):
        """Draw when those died that are found dead, and of whom all rows before ``final`` tell enough."""
        found, clock = np.concatenate(self.found), self._clock()
        ready = np.ones(len(found), bool)
        if final is not None:
            ready = (found["cap"] <= final) | (found["high"] < clock[final - self.base - 1])
        self.found, found = [found[~ready]], found[ready]
        number, born, low, high = (np.ascontiguousarray(found[name]) for name in ("id", "born", "low", "high"))
        aged = born != UNKNOWN_AGE
        chance = uniform(np.where(aged, born, -2 - number.astype(np.int64)), self.seed)
        when = low + np.floor(chance * (high - low)).astype(np.int64)
        by = np.flatnonzero(aged & (low < high))
        age = self._ages(found["spc"][by], low[by] - born[by], high[by] - born[by], chance[by])
        when[by] = born[by] + age
        self.counts["found_dead"] += len(when)
        # In order of time, the rows are found in memory that has just been read.
        order = np.argsort(when)
        target = self.base + np.searchsorted(clock, when[order], "right")
        self._add_deaths(np.minimum(target, found["cap"][order]), number[order])

    def _draw_living(self, number, born, spc):
        """Draw who of those that nobody found dead dies before the trace ends."""
        low = np.maximum(self.survey.last_look - born, 0)
        age = self._ages(spc, low, None, uniform(born, self.seed))
        dies = age <= self.survey.end - born
        self.counts["die_later"] += int(dies.sum())
        when = (born + age)[dies]
        self._add_deaths(self.base + np.searchsorted(self._clock(), when, "right"), number[dies])

    def _add_deaths(self, target, dead):
        target, dead = np.concatenate([self.target, target]), np.concatenate([self.dead, dead])
        order = np.argsort(target, kind="stable")
        self.target, self.dead = target[order], dead[order]

    def _flush(self, final):
        """Yield the rows before ``final``, or all, with the deaths between them."""
        last, at = final is None, 0
        final = self.end if last else final
        while self.base < final:
            rows = self.parts[0]
            n = min(len(rows), final - self.base)
            ends = last and self.base + n == final
            deaths = len(self.target) if ends else int(np.searchsorted(self.target, self.base + n))
            out = TraceEvents(*(np.empty(n + deaths - at, dtype) for dtype in TRACE_TYPES))
            _, at, filled = weave(rows[:n], self.base, self.target, self.dead, 0, at, ends, out)
            assert filled == len(out.kind)
            self.parts[0] = rows[n:]
            if n == len(rows):
                self.parts.pop(0)
            self.base += n
            yield out
        self.target, self.dead = self.target[at:], self.dead[at:]
