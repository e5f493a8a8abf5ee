"""Programs for tests: streams of births and deaths at random, in the columns of a trace."""

import numpy as np

from mheaplab.runtime.trace_events import (
    ALLOC,
    DEATH,
    FORCED_GC,
    PHASE,
    STACK_ALLOC,
    STACK_FREE,
    TRACE_TYPES,
    TraceEvents,
)

SIZES = ((0.35, 1, 15), (0.4, 16, 1024), (0.18, 1024, 32768), (0.07, 32769, 300_000))
"""Share, smallest and largest size of the kinds of objects: tiny, small, larger, and those with their own span."""


class Program:
    """A program that is written as it goes.

    Attributes
    ----------
    rows : list of tuple
        Kind, P, bytes, noscan, number.
    """

    def __init__(self):
        self.rows = []
        self.live, self.stacks = [], []
        self.free_numbers, self.numbers = [], 0

    def _number(self):
        if self.free_numbers:
            return self.free_numbers.pop()
        self.numbers += 1
        return self.numbers - 1

    def alloc(self, nbytes, noscan=True, p=0):
        """Allocate an object; return its number."""
        number = self._number()
        self.rows.append((ALLOC, p, nbytes, int(noscan), number))
        self.live.append(number)
        return number

    def die(self, number):
        """Let an object die."""
        self.live.remove(number)
        self.rows.append((DEATH, 0, 0, 0, number))
        self.free_numbers.append(number)

    def stack(self, nbytes, p=0):
        """Give a goroutine a stack."""
        number = self._number()
        self.rows.append((STACK_ALLOC, p, nbytes, 0, number))
        self.stacks.append((number, nbytes))

    def unstack(self, which, p=0):
        """Take stack ``which`` of ``stacks`` back."""
        number, nbytes = self.stacks.pop(which)
        self.rows.append((STACK_FREE, p, nbytes, 0, number))
        self.free_numbers.append(number)

    def collect(self, give_back=0, p=0):
        """runtime.GC, or debug.FreeOSMemory."""
        self.rows.append((FORCED_GC, p, give_back, 0, 0))

    def phase(self, number):
        """A phase begins."""
        self.rows.append((PHASE, 0, number, 0, 0))

    def events(self):
        """Return the columns."""
        columns = zip(*((*row, 0) for row in self.rows), strict=True)
        return TraceEvents(*(np.array(c, dtype) for c, dtype in zip(columns, TRACE_TYPES, strict=True)))


def random_program(rng, n, procs=1, most=400, forced=0.0, stacks=0.05, large=1.0):
    """Return a program of ``n`` events with about ``most`` objects alive, now growing, now shrinking.

    ``forced`` and ``stacks`` are shares of the events; ``large`` scales the share of large objects.
    """
    program = Program()
    share = np.array([row[0] for row in SIZES]) * [1, 1, 1, large]
    share /= share.sum()
    while len(program.rows) < n:
        p = int(rng.integers(procs))
        x = rng.random()
        wanted = most * (1 + np.sin(len(program.rows) / n * 20)) / 2
        if x < forced:
            program.collect(int(rng.integers(2)), p)
        elif x < forced + stacks:
            if program.stacks and rng.random() < 0.5:
                program.unstack(int(rng.integers(len(program.stacks))), p)
            else:
                program.stack(2048 << int(rng.integers(7)), p)
        elif rng.random() < (0.35 if len(program.live) < wanted else 0.65) and program.live:
            # Half die young.
            at = int(rng.integers(len(program.live))) if rng.random() < 0.5 else len(program.live) - 1
            program.die(program.live[at])
        else:
            _, low, high = SIZES[int(rng.choice(len(SIZES), p=share))]
            program.alloc(int(rng.integers(low, high + 1)), rng.random() < 0.6, p)
    return program.events()
