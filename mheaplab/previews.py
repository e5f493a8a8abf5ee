"""Preview: a trace that is simulated in part while somebody chooses, and whole when they have chosen.

While a slider moves there are some ten milliseconds for a run.  A prefix of the trace answers in that time: the first
1/2, 1/4, 1/8, ... of its events.  Which, is measured: a draft that took too long makes the next shorter, one that was
quick makes it longer.  Halves, and not any number of events, so that two drafts of one drag mostly show the same prefix
and can be compared.  A result says by its provenance which part it is of: ``events_done`` of ``events_total``.

The same choice is often seen again, by going back or by pinning it, so the last results are kept.
"""

import dataclasses
import math
import time
from collections import OrderedDict

BUDGET = 0.025
"""Seconds that a draft should take at most."""
SLACK = 2.5
"""A draft that takes this many times less than the budget may be twice as long."""
FIRST_HALVINGS = 3
LEAST = 2000
"""Events below which a prefix says nothing."""
JUMP = 3
"""Halvings at most after one slow draft: the first run of all may have waited for the compiler."""
KEPT = 12
SAMPLES = 1500


class Preview:
    """A trace and how it is simulated.

    Parameters
    ----------
    trace : Trace
        Has ``head(events)``, the first of its events as a trace.
    samples, seed : int
        As of ``mheaplab.simulate``.
    simulate : callable, optional
        What runs a trace, instead of ``mheaplab.simulate``.

    Attributes
    ----------
    halvings : int
        A draft simulates one 2**halvings-th of the events.
    seconds : float
        What the last run took.
    """

    def __init__(self, trace, *, samples=SAMPLES, seed=0, simulate=None):
        if simulate is None:
            from .simulate import simulate
        self.trace, self.samples, self.seed = trace, samples, seed
        self._simulate = simulate
        self._results = OrderedDict()
        self._heads = {}
        self.halvings = FIRST_HALVINGS
        self.seconds = 0.0

    @property
    def prefix(self):
        """Events that a draft simulates now."""
        return max(len(self.trace) >> self.halvings, min(LEAST, len(self.trace)))

    def draft(self, params):
        """Return a quick result: of a prefix, or of all events if that is quick enough."""
        n = self.prefix
        known = (n, params) in self._results
        result = self.run(params, n)
        if not known:
            self._adapt(n)
        return result

    def exact(self, params):
        """Return the result for all events."""
        return self.run(params, len(self.trace))

    def run(self, params, events):
        """Return the result for the first ``events`` events."""
        key = (events, params)
        if key in self._results:
            self._results.move_to_end(key)
            return self._results[key]
        begin = time.perf_counter()
        result = self._simulate(self._head(events), params, samples=self.samples, seed=self.seed)
        self.seconds = time.perf_counter() - begin
        total = len(self.trace)
        facts = {"events_total": total, "complete": result.complete and events == total}
        result = dataclasses.replace(result, provenance=result.provenance | facts)
        self._results[key] = result
        while len(self._results) > KEPT:
            self._results.popitem(last=False)
        return result

    def _head(self, events):
        """Return the first events of the trace."""
        if events == len(self.trace):
            return self.trace
        if events not in self._heads:
            self._heads[events] = self.trace.head(events)
        return self._heads[events]

    def _adapt(self, events):
        """Choose the length of the next draft by the time that this one took."""
        if self.seconds > BUDGET and events > LEAST:
            self.halvings += min(JUMP, math.ceil(math.log2(self.seconds / BUDGET)))
        elif self.seconds < BUDGET / SLACK and self.halvings > 0:
            self.halvings -= 1
        while self.halvings > 0 and len(self.trace) >> self.halvings < LEAST:
            self.halvings -= 1
