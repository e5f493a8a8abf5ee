"""case_rows: the events of a recorded case, woven with the deaths that were drawn for it, become rows of a trace.

A case has an event for each allocation and no deaths.  ``place_deaths`` sorts the deaths by the event before which they
stand, by counting, and ``weave_rows`` writes as many rows of the trace as there is room for, from wherever it stopped.
What stands at one event keeps this order: deaths, the oldest object first; a call of the collector; the event itself.

An object is numbered by its birth, so the number of the next one is how many were born; only who dies needs its number
kept.
"""

import numpy as np

from ._jit import kentry, kjit
from .records import struct
from .structs import MALLOC, NO_P
from .trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE

NOSCAN = np.uint8(1)
"""Flag of a MALLOC."""
WEAVER = struct(
    ("event", "i8"),  # the next recorded event,
    ("death", "i8"),  # death,
    ("forced", "i8"),  # call of the collector,
    ("taken", "i8"),  # stack taken
    ("freed", "i8"),  # and stack given back
    ("born", "i8"),  # objects and stacks so far
)


@kjit
def own_p(p):
    """Return on which P a row stands: what ran without one is the runtime's own doing; a program's stacks have one."""
    return np.uint8(0) if np.int64(p) == np.int64(NO_P) else p


@kentry
def place_deaths(kinds, ps, death, takes, ends, numbers, dead_ps):
    """Sort the deaths of objects by the event before which they stand, and by birth.

    Parameters
    ----------
    kinds, ps : arrays
        Columns of the case.
    death : array of int
        For each event that before which its object dies, -1 for never.
    takes : array of int
        The events that take stacks.
    ends : array of int, one longer than ``death``; modified
        In: deaths before each event.  Out: deaths before each event or an earlier one.
    numbers, dead_ps : arrays, modified
        The objects' numbers, and the Ps they were born on.
    """
    total = np.int64(0)
    for e in range(len(ends)):
        count = ends[e]
        ends[e] = total
        total += count
    born, taken = np.int64(0), np.int64(0)
    for e in range(len(kinds)):
        if taken < len(takes) and takes[taken] == e:
            taken += 1
            born += 1
        if kinds[e] != MALLOC:
            continue
        if death[e] >= 0:
            at = ends[death[e]]
            numbers[at], dead_ps[at] = born, own_p(ps[e])
            ends[death[e]] = at + 1
        born += 1


@kentry
def weave_rows(s, case, ends, numbers, dead_ps, forced, stacks, out):
    """Write rows into ``out`` until it is full or there are no more; return how many. Modifies s and out.

    Parameters
    ----------
    s : WEAVER
    case : tuple of arrays
        Kinds, Ps, flags and sizes of the recorded events.
    ends, numbers, dead_ps : arrays
        From ``place_deaths``.
    forced : tuple of arrays
        Before which events the program called the collector, and what each such row has as size.
    stacks : tuple of arrays
        Events that take stacks and bytes, events that give stacks back, their numbers and bytes.
    out : TraceEvents
    """
    kinds, ps, flags, sizes = case
    forced_at, forced_size = forced
    takes, taken_bytes, frees, freed_numbers, freed_bytes = stacks
    n, rows, room = len(kinds), 0, len(out.kind)
    while rows < room and s.event <= n:
        e = s.event
        out.p[rows] = out.size[rows] = out.noscan[rows] = out.id[rows] = out.time[rows] = 0
        if s.death < ends[e]:
            out.kind[rows], out.p[rows], out.id[rows] = DEATH, dead_ps[s.death], numbers[s.death]
            s.death += 1
            rows += 1
            continue
        if s.forced < len(forced_at) and forced_at[s.forced] == e:
            out.kind[rows], out.size[rows] = FORCED_GC, forced_size[s.forced]
            s.forced += 1
            rows += 1
            continue
        s.event = e + 1
        if e == n:
            break
        if kinds[e] == MALLOC:
            out.kind[rows], out.size[rows], out.noscan[rows] = ALLOC, sizes[e], flags[e] & NOSCAN
            out.id[rows] = s.born
            s.born += 1
        elif s.taken < len(takes) and takes[s.taken] == e:
            out.kind[rows], out.size[rows], out.id[rows] = STACK_ALLOC, taken_bytes[s.taken], s.born
            s.taken += 1
            s.born += 1
        elif s.freed < len(frees) and frees[s.freed] == e:
            out.kind[rows], out.size[rows] = STACK_FREE, freed_bytes[s.freed]
            out.id[rows] = freed_numbers[s.freed]
            s.freed += 1
        else:
            continue
        out.p[rows] = own_p(ps[e])
        rows += 1
    return rows
