"""recording_bytes: the records of a recording, as the recorder in the recorded program's runtime encoded them.

A record is four bytes (kind, P, flags, and a span class or 255) and then two or three numbers of variable length: seven
bits to a byte, the lowest first, 0x80 for "more follows".  The first number is an address: 0 for none, else one more
than the distance to the last address of its sort, with the sign in the lowest bit.  Objects of a span class are a sort,
all other addresses are one.  A sweep may be followed by a bitmap of the dead.  ``docs/recording.md`` has the whole.

``scan_block`` goes through the records of a block without looking at what they mean, and counts; nothing after it need
fear a record that ends beyond its block.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .recording_tables import data_byte, last_address, set_last_address
from .splitmix import GOLDEN

HAS_THIRD = 0x80
SPAN_ALLOCATED, SPAN_FREED, PCACHE_FLUSHED, SCAVENGED, ALLOCATED, SWEPT, SWEEPGEN, PAGE_MARKED = range(1, 9)
MCACHE_FLUSHED, REFILLED, SWEEPS_ONE, ENSURES_SWEPT, PHASE, RECLAIMS, PROCS = range(9, 16)
RECORD_KINDS = 16
"""Kinds of records, without the bit for a third number; 0 is none."""
RECORD_NAMES = (
    "?", "span allocated", "span freed", "page cache flushed", "scavenged", "object allocated", "span swept",
    "sweepgen raised", "page marked", "mcache flushed", "mcache refilled", "sweepone", "ensureSwept", "phase",
    "reclaim", "procresize",
)  # fmt: skip
THIRD_NUMBER = (1 << SPAN_ALLOCATED) | (1 << SCAVENGED) | (1 << SWEPT)
"""Kinds that have a third number, as bits."""
MAX_SLOTS = 1024
"""Objects in a span of small objects: 8 KiB of 8 B each have the most."""
TINY_HIT = 8
"""Flag of an ALLOCATED record: the object is in an open tiny block, and takes no slot."""
ALL_OTHER = 255
"""The sort of addresses that are no object's."""

FINE, TOO_LONG, NO_SUCH_KIND, BAD_FORM = range(4)
"""Why a scan stopped."""
FORM_NONE, FORM_ALL, FORM_BITS = range(3)
"""How a sweep says who is dead."""
WORD, HALF = np.uint64(8), np.uint64(32)


@kentry
def block_sum(data, start, nbytes, total):
    """Return the sum of ``nbytes`` bytes from ``start`` on, the last word filled with zeros, on top of ``total``."""
    for first in range(start, start + nbytes, 8):
        word = np.uint64(0)
        for k in range(min(8, start + nbytes - first)):
            word |= np.uint64(data[first + k]) << (np.uint64(k) * WORD)
        total = (total ^ word) * GOLDEN
        total ^= total >> HALF
    return total


@kjit
def read_number(s, at, stop):
    """Return (number, where the next one begins); 0 for the latter if it does not end before ``stop``."""
    value, shift = np.uint64(0), np.uint64(0)
    while at < stop and shift < np.uint64(64):
        byte = np.uint64(data_byte(s, at))
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        shift += np.uint64(7)
        if byte < np.uint64(0x80):
            return value, at
    return np.uint64(0), np.int64(0)


@kinline
def bitmap_bytes(s):
    """Return the bytes of the bitmap that follows the SWEPT record that has been read."""
    return (np.int64(s.second) + 7) >> 3 if (s.op_flags >> 1) == FORM_BITS else np.int64(0)


@kjit
def read_address(s, coded):
    """Return the address that a record's first number stands for. Modifies last."""
    if coded == np.uint64(0):
        return np.uint64(0)
    coded -= np.uint64(1)
    distance = (coded >> np.uint64(1)) ^ (np.uint64(0) - (coded & np.uint64(1)))
    sort = s.spanclass if s.op == ALLOCATED else np.int64(ALL_OTHER)
    address = last_address(s, sort) + distance
    set_last_address(s, sort, address)
    return address


@kjit
def read_record(s, at, stop):
    """Decode the record at byte ``at`` of a block that ends at ``stop``, into s. Modifies last."""
    s.next_at = 0
    if at + 4 > stop:
        return
    op = np.int64(data_byte(s, at))
    s.op, s.on_p = op & ~HAS_THIRD, np.int64(data_byte(s, at + 1))
    s.op_flags, s.spanclass = np.int64(data_byte(s, at + 2)), np.int64(data_byte(s, at + 3))
    first, at = read_number(s, at + 4, stop)
    if at == 0:
        return
    s.second, at = read_number(s, at, stop)
    if at == 0:
        return
    s.third = np.uint64(0)
    if op & HAS_THIRD != 0:
        s.third, at = read_number(s, at, stop)
        if at == 0:
            return
    s.first = read_address(s, first)
    s.bits_at = at
    if s.op == SWEPT:
        if s.second > np.uint64(MAX_SLOTS):
            return
        at += bitmap_bytes(s)
        if at > stop:
            return
    s.next_at = at


@kjit
def count_slots(s):
    """Count the slots that the record takes or that it says are dead; what lies about that, is refused later.

    Modifies s.
    """
    if s.op == ALLOCATED and s.op_flags & TINY_HIT == 0:
        s.live += 1
        s.most_live = max(s.most_live, s.live)
    elif s.op == SWEPT and (s.op_flags >> 1) != FORM_NONE:
        dead = np.int64(min(s.third, np.uint64(MAX_SLOTS)))
        s.dead_counted += dead
        s.live = max(s.live - dead, np.int64(0))


@kentry
def scan_block(s, start, stop, counts):
    """Count the records from byte ``start`` to ``stop``; return why it stopped, FINE at the end of the block.

    Modifies s (the record that it stopped at is the last one read), last, and counts: a row for each kind, a column for
    its flags.
    """
    at = np.int64(start)
    while at < stop:
        read_record(s, at, stop)
        if s.next_at == 0:
            return TOO_LONG
        if s.op == 0 or s.op >= RECORD_KINDS:
            return NO_SUCH_KIND
        if ((THIRD_NUMBER >> s.op) & 1 != 0) != (data_byte(s, at) >= HAS_THIRD):
            return NO_SUCH_KIND
        if s.op == SWEPT and (s.op_flags >> 1) > FORM_BITS:
            return BAD_FORM
        counts[s.op, s.op_flags] += 1
        s.records += 1
        count_slots(s)
        if s.op == PROCS:
            s.most_procs = max(s.most_procs, np.int64(s.second))
        at = s.next_at
    return FINE
