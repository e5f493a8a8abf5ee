"""recording_bytes: the records of a recording, as the recorder in the recorded program's runtime encoded them.

A record is four bytes (kind, P, flags, and a span class or 255) and then two or three numbers of variable length: seven
bits to a byte, the lowest first, 0x80 for "more follows".  The first number is an address: 0 for none, else one more
than the distance to the last address of its sort, with the sign in the lowest bit.  Objects of a span class are a sort,
all other addresses are one.  A sweep may be followed by a bitmap of the dead.  ``docs/recording.md`` has the whole.

``scan_block`` goes through the records of a block without looking at what they mean, and counts; nothing after it need
fear a record that ends beyond its block.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kentry, kinline, kjit
from .records import struct
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
ALL_OTHER = 255
"""The sort of addresses that are no object's."""

FINE, TOO_LONG, NO_SUCH_KIND, BAD_FORM = range(4)
"""Why a scan stopped."""
FORM_NONE, FORM_ALL, FORM_BITS = range(3)
"""How a sweep says who is dead."""
WORD, HALF = np.uint64(8), np.uint64(32)

RECORD = struct(
    ("kind", "i8"),
    ("p", "i8"),
    ("kind_flags", "i8"),
    ("spanclass", "i8"),
    ("first", "u8"),  # the address
    ("second", "u8"),
    ("third", "u8"),
    ("bits_at", "i8"),  # where a bitmap begins
    ("next_at", "i8"),  # where the next record begins, or 0: this one is not whole
)


class Bytes(NamedTuple):
    """The bytes of a recording and what decoding them needs."""

    data: np.ndarray
    last: np.ndarray
    """uint64, 256: the last address of each sort."""
    procs: np.ndarray
    """int64, 1: the most Ps that there were."""


def new_bytes(data):
    """Return the bytes of array ``data`` with nothing decoded yet."""
    return Bytes(data, np.zeros(256, np.uint64), np.zeros(1, np.int64))


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
def read_number(data, at, stop):
    """Return (number, where the next one begins); 0 for the latter if it does not end before ``stop``."""
    value = np.uint64(0)
    for k in range(10):
        if at + k >= stop:
            break
        byte = np.uint64(data[at + k])
        value |= (byte & np.uint64(0x7F)) << np.uint64(7 * k)
        if byte < np.uint64(0x80):
            return value, at + k + 1
    return np.uint64(0), np.int64(0)


@kinline
def bitmap_bytes(r):
    """Return the bytes of the bitmap that follows a SWEPT record."""
    return (np.int64(r.second) + 7) >> 3 if (r.kind_flags >> 1) == FORM_BITS else np.int64(0)


@kjit
def read_record(b, at, stop, r):
    """Decode the record at byte ``at`` of a block that ends at ``stop``. Modifies r, ``b.last``."""
    data = b.data
    r.next_at = 0
    if at + 4 > stop:
        return
    op = np.int64(data[at])
    r.kind = op & ~HAS_THIRD
    r.p, r.kind_flags, r.spanclass = np.int64(data[at + 1]), np.int64(data[at + 2]), np.int64(data[at + 3])
    first, at = read_number(data, at + 4, stop)
    if at == 0:
        return
    r.second, at = read_number(data, at, stop)
    if at == 0:
        return
    r.third = np.uint64(0)
    if op & HAS_THIRD != 0:
        r.third, at = read_number(data, at, stop)
        if at == 0:
            return
    r.first = np.uint64(0)
    if first != np.uint64(0):
        coded = first - np.uint64(1)
        distance = (coded >> np.uint64(1)) ^ (np.uint64(0) - (coded & np.uint64(1)))
        sort = r.spanclass if r.kind == ALLOCATED else np.int64(ALL_OTHER)
        r.first = b.last[sort] + distance
        b.last[sort] = r.first
    r.bits_at = at
    if r.kind == SWEPT:
        if r.second > np.uint64(MAX_SLOTS):
            return
        at += bitmap_bytes(r)
        if at > stop:
            return
    r.next_at = at


@kentry
def scan_block(b, start, stop, r, counts):
    """Count the records from byte ``start`` to ``stop``; return why it stopped, FINE at the end of the block.

    Modifies ``b.last``, ``b.procs``, r (at the end the last record read) and counts: a row for each kind, a column for its flags.
    """
    at = np.int64(start)
    while at < stop:
        read_record(b, at, stop, r)
        if r.next_at == 0:
            return TOO_LONG
        if r.kind == 0 or r.kind >= RECORD_KINDS:
            return NO_SUCH_KIND
        if ((THIRD_NUMBER >> r.kind) & 1) != np.int64(b.data[at] >= HAS_THIRD):
            return NO_SUCH_KIND
        if r.kind == SWEPT and (r.kind_flags >> 1) > FORM_BITS:
            return BAD_FORM
        counts[r.kind, r.kind_flags] += 1
        if r.kind == PROCS:
            b.procs[0] = max(b.procs[0], np.int64(r.second))
        at = r.next_at
    return FINE
