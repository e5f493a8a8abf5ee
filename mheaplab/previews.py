"""Preview: a trace that is simulated in part while somebody chooses, and whole when they have chosen.

While a slider moves there are some twenty milliseconds for a run.  A prefix of the trace answers in that time: the
first 1/2, 1/4, 1/8, ... of its events.  Which, is measured: a run has a fixed cost, which no prefix makes less, and a
cost per event, which follows from two runs of different length; the prefix is what the budget pays at that rate.  What
is measured is time of the processor, since on a busy machine the clock on the wall says little.  Halves, and not any
number of events, so that two drafts of one drag mostly show the same prefix and can be compared.  A result says by its
provenance which part it is of: ``events_done`` of ``events_total``.

A trace may be a stream that is made or read anew for each run, which would cost as much as the run, so its events are
kept in memory unless they are very many.  The same choice is often seen again, by going back or by pinning it, so the
last results are kept, too.
"""

import dataclasses
import itertools
import re
import time
from collections import OrderedDict

BUDGET = 0.008
"""Seconds that the events of a draft should take at most, beside the fixed cost of a run."""
TOLERANCE = 1.4
"""By how much a draft may miss the budget before another length is chosen."""
FIRST_HALVINGS = 4
LEAST = 2000
"""Events below which a prefix says nothing."""
MEASURED = 5
"""Runs of a length from which its time is taken: the quickest, since what disturbs only makes slower."""
KEPT = 12
HELD = 1 << 24
"""Events that are kept in memory at most, 27 bytes each."""
SAMPLES, DRAFT_SAMPLES = 1500, 250


def trace_code(trace):
    """Return the code that makes a trace, as far as it says where it is from."""
    made = re.fullmatch(r"workload (\S+), seed (\d+), scale (\S+)", trace.meta["origin"])
    if made is None:
        return "...  # the trace that you gave to the explorer"
    name, seed, scale = made.groups()
    more = [f"seed={seed}"] * (seed != "0") + [f"scale={scale}"] * (scale != "1")
    return f"mh.workloads.load({', '.join([repr(name), *more])})"


class Preview:
    """A trace and how it is simulated.

    Parameters
    ----------
    trace : Trace
    samples, seed : int
        As of ``mheaplab.simulate``; a draft has fewer samples.
    simulate : callable, optional
        What runs a trace, instead of ``mheaplab.simulate``.

    Attributes
    ----------
    trace : Trace
    events : int
        How many it has.
    halvings : int
        A draft simulates one 2**halvings-th of them.
    """

    def __init__(self, trace, *, samples=SAMPLES, seed=0, simulate=None):
        if simulate is None:
            from .simulate import simulate
        self.trace = trace.loaded(HELD)
        self.events = int(self.trace.count().sum()) if self.trace.n_events is None else self.trace.n_events
        self.samples, self.seed = samples, seed
        self._simulate = simulate
        self._results = OrderedDict()
        self._prefixes = {self.events: self.trace}
        self._took = {}
        self._first = True
        self.halvings = FIRST_HALVINGS

    @property
    def prefix(self):
        """Events that a draft simulates now."""
        return max(self.events >> self.halvings, min(LEAST, self.events))

    def draft(self, params):
        """Return a quick result: of a prefix, or of all events if that is quick enough."""
        self._choose()
        return self.run(params, self.prefix)

    def exact(self, params):
        """Return the result for all events."""
        return self.run(params, self.events)

    def run(self, params, events):
        """Return the result for the first ``events`` events."""
        key = (events, params)
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        samples = self.samples if events == self.events else min(DRAFT_SAMPLES, self.samples)
        if events not in self._prefixes:
            self._prefixes[events] = self.trace.prefix(events)
        begin = time.thread_time()
        result = self._simulate(self._prefixes[events], params, samples=samples, seed=self.seed)
        self._note(events, time.thread_time() - begin)
        facts = {"events_total": self.events, "complete": result.complete and events == self.events}
        result = dataclasses.replace(result, provenance=result.provenance | facts)
        self._results[key] = result
        while len(self._results) > KEPT:
            self._results.popitem(last=False)
        return result

    def _note(self, events, seconds):
        """Learn what a run took; not from the first, which may have compiled."""
        if not self._first:
            self._took[events] = [*self._took.get(events, []), seconds][-MEASURED:]
        self._first = False

    def rate(self):
        """Return the seconds that an event takes, from the two lengths that differ most; None if unknown."""
        known = sorted((n, min(seconds)) for n, seconds in self._took.items())
        if len(known) < 2:
            return None
        (few, short), (many, long) = known[0], known[-1]
        return max(long - short, 0.0) / (many - few)

    def _choose(self):
        """Choose the length of drafts, if the present one misses the budget."""
        rate = self.rate()
        if rate is None:
            return
        now = self.prefix * rate
        longer = self.halvings > 0 and 2 * now * TOLERANCE < BUDGET
        if longer or now > BUDGET * TOLERANCE:
            sizes = (h for h in itertools.count() if (self.events >> h) * rate <= BUDGET or self.events >> h <= LEAST)
            self.halvings = next(sizes)
