"""exectrace_numbers: the numbers of an execution trace, and what is said of one that is bad.

A number is written 7 bits to a byte, the lowest first.  Most have few bytes; those are read as one word without a loop.
"""

import numpy as np

from ._jit import kinline, kjit
from .exectrace_structs import (
    LONG_NUMBER,
    SHORT_BATCH,
    data_byte,
    data_word,
)
from .intrinsics import ctz64

TRUNCATED = np.int64(-1)
OVERFLOWS = np.int64(-2)
"""What stands for the next offset after a number that was cut off, or has more than 64 bits."""
ZERO = np.uint64(0)
LOW7 = np.uint64(0x7F)
BIT8 = np.uint64(0x80)
S7 = np.uint64(7)
ONE = np.uint64(1)
BIT8S = np.uint64(0x8080808080808080)
LOW7S = np.uint64(0x7F7F7F7F7F7F7F7F)
EVEN_BYTES = np.uint64(0x007F007F007F007F)
ODD_BYTES = np.uint64(0x7F007F007F007F00)
EVEN_PAIRS = np.uint64(0x00003FFF00003FFF)
ODD_PAIRS = np.uint64(0x3FFF00003FFF0000)
LOW_HALF = np.uint64(0x0FFFFFFF)
S63 = np.uint64(63)


@kjit
def long_varint(t, at, end):
    """Return (number, next offset) of the number of any length at ``at``; TRUNCATED or OVERFLOWS as next offset."""
    found = ZERO
    shift = ZERO
    while at < end:
        byte = np.uint64(data_byte(t, at))
        at += 1
        if shift == S63 and byte > np.uint64(1):
            return found, OVERFLOWS
        found |= (byte & LOW7) << shift
        if byte < BIT8:
            return found, np.int64(at)
        shift += S7
    return found, TRUNCATED


@kjit
def varint(t, at, end):
    """Return (number, next offset) of the number at ``at``; those of up to 56 bits without a loop."""
    if at < 0 or at >= end:
        # What is asked for after a number that was bad is bad as well.
        return ZERO, np.int64(at) if at < 0 else TRUNCATED
    word = np.uint64(data_word(t, at))
    last = ~word & BIT8S
    after = np.int64(at) + (ctz64(last) >> 3) + 1
    if last == ZERO or after > end:
        return long_varint(t, at, end)
    # The bytes up to the first without a high bit, then 7 bits of each moved together: by twos, by fours, all.
    word &= (last ^ (last - ONE)) & LOW7S
    word = (word & EVEN_BYTES) | ((word & ODD_BYTES) >> ONE)
    word = (word & EVEN_PAIRS) | ((word & ODD_PAIRS) >> np.uint64(2))
    return (word & LOW_HALF) | ((word >> np.uint64(32)) << np.uint64(28)), after


@kinline
def fail(t, fault, at, a, b):
    """Say what is wrong, and where. Modifies t; returns the fault."""
    t.fault = fault
    t.fault_at = at
    t.fault_a = a
    t.fault_b = b
    return fault


@kjit
def bad_number(t, at, after):
    """Return the fault of a number that was read up to ``after``. Modifies t."""
    return fail(t, LONG_NUMBER if after == OVERFLOWS else SHORT_BATCH, at, 0, 0)
