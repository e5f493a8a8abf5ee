"""The events of a trace: what a program asks of its heap, one row per event, as columns.

A trace says what a program did, never what its heap did: objects appear and die, goroutines get and lose stacks, the
program asks for a collection, a phase begins.  Where things lie and when collections come is the simulation's answer.

=============  ======================================================================================
kind           ``size`` and the rest
=============  ======================================================================================
ALLOC          bytes requested (1 to 2**47); ``id`` is the object's name until it dies
DEATH          object ``id`` can no longer be reached; ``size``, ``p`` and ``noscan`` say nothing
STACK_ALLOC    bytes of the stack, a power of two from 2 KiB to 2 GiB; ``id`` names it until it is freed
STACK_FREE     stack ``id`` is given back on P ``p``; ``size`` repeats its bytes
FORCED_GC      0: runtime.GC, 1: debug.FreeOSMemory
PHASE          number of the phase that begins here
=============  ======================================================================================

Objects and stacks share one space of ids.  An id may be used again once its object is dead.  In a trace whose ids are
*dense* every id is below the largest number of objects and stacks that were alive at once, so that a table indexed by
id is as large as what lives and no larger, however long the trace.
"""

from typing import NamedTuple

import numpy as np

ALLOC = 0
DEATH = 1
STACK_ALLOC = 2
STACK_FREE = 3
FORCED_GC = 4
PHASE = 5
KINDS = 6
TRACE_KIND_NAMES = ("ALLOC", "DEATH", "STACK_ALLOC", "STACK_FREE", "FORCED_GC", "PHASE")

MAX_OBJECT = 1 << 47
"""Bytes of the largest object: all of the address space."""
MIN_STACK = 1 << 11
MAX_STACK = 1 << 31
MAX_PHASES = 1 << 16
MAX_TRACE_P = 254
"""The highest P: 255 is Go's "no P", and a program's allocations have one."""


class TraceEvents(NamedTuple):
    """Columns of equal length; ``time`` is in ns since the start of the program, 0 where it is not known."""

    kind: np.ndarray
    p: np.ndarray
    size: np.ndarray
    noscan: np.ndarray
    id: np.ndarray
    time: np.ndarray


TRACE_TYPES = TraceEvents("u1", "u1", "u8", "u1", "u8", "u8")
"""The types of the columns."""


def new_trace_events(rows):
    """Return columns of ``rows`` events, all 0."""
    return TraceEvents(*(np.zeros(rows, dtype) for dtype in TRACE_TYPES))


def slice_trace_events(events, start, stop):
    """Return rows ``start`` to ``stop`` of ``events`` as views."""
    return TraceEvents(*(column[start:stop] for column in events))
