"""recording_events: the records of a recording become the events of a case, and the truth about them.

A recording says where everything was; a case names objects and spans by the events that made them.  So this keeps, as
Go's heap went along, which event's object is in each slot and which span begins at each base (one hash table: slots
have even addresses, and a base stands with its lowest bit set), and for each P what it is in the middle of:

* spans that it allocated belong to the allocation that it is about to record;
* a sweepone made to pay an allocation's sweep debt is counted in that allocation (``credit``), any other is an event,
  and the span swept next on that P is what it found;
* where a stack grows in the middle of an allocation, the runtime may allocate or free a stack span there; such spans
  wait until the allocation is recorded, since nothing in the rest of it touches the heap;
* while it reclaims pages, spans that it sweeps and that keep objects have been taken for empty ones: what they keep
  waits for a finalizer (``revived``).

With several Ps their records stand in one order, in which each P's own are right, as is whatever a lock or a stopped
world orders.  The rest is as it came.

What contradicts what came before is a fault: the caller says so with the record's number, and nothing is made of it.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kentry, kinline, kjit
from .recording_bytes import (
    ALLOCATED,
    ENSURES_SWEPT,
    FORM_ALL,
    FORM_BITS,
    FORM_NONE,
    MAX_SLOTS,
    MCACHE_FLUSHED,
    PAGE_MARKED,
    PCACHE_FLUSHED,
    PHASE,
    RECLAIMS,
    REFILLED,
    SCAVENGED,
    SPAN_ALLOCATED,
    SPAN_FREED,
    SWEEPGEN,
    SWEEPS_ONE,
    SWEPT,
    read_record,
)
from .records import struct
from .splitmix import mix
from .structs import (
    ENSURE_SWEPT,
    GC_START,
    MALLOC,
    MANUAL_CLASS,
    MCACHE_FLUSH,
    NO_P,
    PAGE_SIZE,
    PCACHE_FLUSH,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_FREE,
    SWEEP_START,
    SWEEPONE,
)

(FINE, NEEDS_ROOM, BAD_SPAN, NO_SPAN, BAD_CLASS, NO_REFILL, OUTSIDE, TWICE, NOT_TINY, NO_COLLECTION, NO_OBJECT,
 OTHER_COUNT) = range(12)  # fmt: skip
"""Why a conversion stopped."""
NOSCAN_NEEDZERO, BLACK, TINY_HIT, BEHIND_HEADER = 3, 4, 8, 16
"""Flags of an ALLOCATED record."""
BY_CREDIT, MARKING = 1, 1
"""Flags of a SWEEPS_ONE and of a PHASE record."""
HEADER, TINY_MASK = np.uint64(8), ~np.uint64(15)
PAGE_MASK, WORD_MASK = np.uint64(8191), np.uint64(7)
MAX_ADDRESS, MAX_PAGES = np.uint64(1 << 47), np.uint64(1 << 34)
LOW_WORD = np.uint64(0xFFFFFFFF)
BASE_BIT = np.uint64(1)
ALL_PS = 256
SPAN_CLASSES = 2 * 68
"""Go has 68 size classes, with pointers and without."""
MAX_LATER = 16
"""Stack spans that may wait for one allocation; if there are more, they do not wait."""

PROGRESS = struct(
    ("fault", "i8"),
    ("event", "i8"),  # rows written so far: events,
    ("span", "i8"),  # spans,
    ("dead", "i8"),  # and of the lists
    ("marked", "i8"),
    ("kept", "i8"),
    ("collection", "i8"),  # collections begun, as sweepgen counts them
    ("used", "i8"),  # entries of the hash table
    ("inline_low", "i8"),  # bytes of objects whose span has marks inline, from
    ("inline_high", "i8"),  # to; 0: none has
)


class Made(NamedTuple):
    """What is made: the columns of a case and of its truth, with enough rows."""

    kind: np.ndarray
    p: np.ndarray
    flags: np.ndarray
    size: np.ndarray
    ref: np.ndarray
    credit: np.ndarray
    addr: np.ndarray
    scav: np.ndarray
    needzero: np.ndarray
    dead: np.ndarray
    dead_offsets: np.ndarray
    page_marked: np.ndarray
    page_marked_offsets: np.ndarray
    revived: np.ndarray
    revived_offsets: np.ndarray
    span_base: np.ndarray
    span_npages: np.ndarray
    span_class: np.ndarray
    span_scav: np.ndarray
    span_needzero: np.ndarray
    span_event: np.ndarray


class Going(NamedTuple):
    """What is kept meanwhile."""

    keys: np.ndarray
    """uint64: addresses of slots, and bases with their lowest bit set."""
    values: np.ndarray
    """int64: event or span, plus 1; 0: this entry is free."""
    elem_size: np.ndarray
    """int64: bytes of an object by size class."""
    refilled: np.ndarray
    """int64, P by span class: the span in its mcache, or -1."""
    waiting: np.ndarray
    """int64 by P: the last span that waits for an allocation, or -1."""
    waits_behind: np.ndarray
    """int64 by span: the one that waits too, or -1."""
    span_type: np.ndarray
    """uint8 by span: 0 for objects, else manual."""
    last_object: np.ndarray
    """int64 by span: the last allocation that opened a slot in it, or -1."""
    doing: np.ndarray
    """int64 by P: columns INSIDE to RECLAIMING."""
    later: np.ndarray
    """uint64 by P: spans that wait for the end of an allocation; twice the number, or twice the base and 1."""


INSIDE, CREDIT, LAST_SWEEPONE, LATER, RECLAIMING = range(5)


@kjit
def find_entry(g, key):
    """Return the entry of ``key``, or the free one where it would be put."""
    mask = np.uint64(g.keys.shape[0] - 1)
    at = mix(key) & mask
    while g.values[at] != 0 and g.keys[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@kinline
def look_up(g, key):
    """Return what ``key`` stands for, or -1."""
    return g.values[find_entry(g, key)] - 1


@kjit
def put_entry(s, g, key, value):
    """Let ``key`` stand for ``value``. Modifies s, keys, values."""
    at = find_entry(g, key)
    if g.values[at] == 0:
        s.used += 1
    g.keys[at] = key
    g.values[at] = value + 1


@kjit
def remove_entry(s, g, at):
    """Free entry ``at`` and move back what would no longer be found. Modifies s, keys, values."""
    mask = np.uint64(g.keys.shape[0] - 1)
    hole = at
    while True:
        at = (at + np.uint64(1)) & mask
        if g.values[at] == 0:
            break
        # It may move if its own place is not between the hole and where it stands.
        if ((at - mix(g.keys[at])) & mask) >= ((at - hole) & mask):
            g.keys[hole] = g.keys[at]
            g.values[hole] = g.values[at]
            hole = at
    g.values[hole] = 0
    s.used -= 1


@kentry
def rehash_entries(g, keys, values):
    """Put all entries of the arrays ``keys`` and ``values`` into those of ``g``, which are free. Modifies them."""
    for i in range(keys.shape[0]):
        if values[i] != 0:
            at = find_entry(g, keys[i])
            g.keys[at] = keys[i]
            g.values[at] = values[i]


@kjit
def emit(s, made, kind, p, flags, size):
    """Append an event that refers to none and return its number. Modifies s, the columns."""
    e = s.event
    made.kind[e], made.p[e], made.flags[e], made.size[e] = kind, p, flags, size
    made.ref[e] = -1
    s.event = e + 1
    return e


@kjit
def span_allocated(s, made, g, r):
    """A span: a row of the truth; an event too if it is manual. Modifies all."""
    base, npages, sort = r.first, r.second, r.kind_flags & 7
    manual = sort != 0
    bad = base & PAGE_MASK != np.uint64(0) or base >= MAX_ADDRESS or npages == np.uint64(0) or npages >= MAX_PAGES
    if bad or sort > 3 or (r.spanclass < SPAN_CLASSES) == manual:
        return BAD_SPAN
    row = s.span
    s.span = row + 1
    made.span_base[row], made.span_npages[row], made.span_scav[row] = base, npages, r.third
    made.span_class[row] = np.int64(MANUAL_CLASS) if manual else r.spanclass
    made.span_needzero[row] = (r.kind_flags >> 3) & 1
    made.span_event[row], g.last_object[row], g.span_type[row] = -1, -1, sort
    put_entry(s, g, base | BASE_BIT, row)
    if not manual:
        g.waits_behind[row] = g.waiting[r.p]
        g.waiting[r.p] = row
        g.doing[r.p, INSIDE] = 1
        g.doing[r.p, RECLAIMING] = 0
    elif not put_off(g, r.p, np.uint64(2 * row)):
        manual_allocated(s, made, g, r.p, row)
    return FINE


@kjit
def span_freed(s, made, g, r):
    """A span goes back to the heap: an event if it is manual. Modifies all."""
    row = look_up(g, r.first | BASE_BIT)
    if row < 0 or np.int64(g.span_type[row]) != r.kind_flags:
        return NO_SPAN
    if r.kind_flags != 0 and not put_off(g, r.p, np.uint64(2 * row + 1)):
        return manual_freed(s, made, g, r.p, row)
    return FINE


@kjit
def put_off(g, p, what):
    """Whether ``what`` waits until the allocation that P ``p`` is in the middle of is recorded. Modifies later, doing."""
    waits = g.doing[p, LATER]
    if g.doing[p, INSIDE] == 0 or waits == MAX_LATER:
        return False
    g.later[p, waits] = what
    g.doing[p, LATER] = waits + 1
    return True


@kjit
def manual_allocated(s, made, g, p, row):
    """SPAN_ALLOC of span ``row``. Modifies s, the columns."""
    e = emit(s, made, SPAN_ALLOC, p, g.span_type[row], made.span_npages[row])
    made.addr[e], made.scav[e] = made.span_base[row], made.span_scav[row]
    made.needzero[e] = made.span_needzero[row]
    made.span_event[row] = e


@kjit
def manual_freed(s, made, g, p, row):
    """SPAN_FREE of span ``row``. Modifies s, the columns."""
    if made.span_event[row] < 0 or g.span_type[row] == 0:
        return NO_SPAN
    e = emit(s, made, SPAN_FREE, p, g.span_type[row], made.span_npages[row])
    made.ref[e] = made.span_event[row]
    g.span_type[row] = 0
    return FINE


@kinline
def cache_of(r):
    """Return whose mcache a record is about: without a P, before there are any, it is the one that P 0 gets."""
    return np.int64(0) if r.p == np.int64(NO_P) else r.p


@kjit
def span_of_object(made, g, r):
    """Return the span in which P ``r.p`` allocated, or a fault, negative."""
    large = r.spanclass < 2
    row = g.waiting[r.p] if large else g.refilled[cache_of(r), r.spanclass]
    if row < 0:
        return -NO_REFILL
    base = made.span_base[row]
    if np.int64(made.span_class[row]) != r.spanclass:
        return -BAD_CLASS
    if r.first < base or r.first - base >= made.span_npages[row] * np.uint64(PAGE_SIZE):
        return -OUTSIDE
    return row


@kjit
def object_allocated(s, made, g, r):
    """MALLOC. Modifies all."""
    if r.spanclass >= SPAN_CLASSES:
        return BAD_CLASS
    p, e = r.p, s.event
    if r.kind_flags & TINY_HIT != 0:
        if look_up(g, r.first & TINY_MASK) < 0:
            return NOT_TINY
    else:
        slot = r.first - HEADER if r.kind_flags & BEHIND_HEADER != 0 else r.first
        row = span_of_object(made, g, r)
        if row < 0:
            return -row
        if slot & WORD_MASK != np.uint64(0) or look_up(g, slot) >= 0:
            return TWICE
        put_entry(s, g, slot, e)
        g.last_object[row] = e
    emit(s, made, MALLOC, p, r.kind_flags & (NOSCAN_NEEDZERO | BLACK), r.second)
    made.addr[e] = r.first
    made.credit[e] = g.doing[p, CREDIT]
    g.doing[p, CREDIT] = 0
    return allocation_done(s, made, g, p, e)


@kjit
def allocation_done(s, made, g, p, e):
    """Event ``e`` ends an allocation: spans that waited for it are its own, others follow. Modifies all."""
    row = g.waiting[p]
    while row >= 0:
        made.span_event[row] = e
        row = g.waits_behind[row]
    g.waiting[p] = -1
    g.doing[p, INSIDE] = 0
    fault = FINE
    for k in range(g.doing[p, LATER]):
        row = np.int64(g.later[p, k] >> np.uint64(1))
        if g.later[p, k] & np.uint64(1) == np.uint64(0):
            manual_allocated(s, made, g, p, row)
        elif fault == FINE:
            fault = manual_freed(s, made, g, p, row)
    g.doing[p, LATER] = 0
    return fault


@kinline
def is_dead(data, r, i):
    """Whether slot ``i`` of a swept span is among the dead."""
    form = r.kind_flags >> 1
    if form == FORM_BITS:
        return (np.int64(data[r.bits_at + (i >> 3)]) >> (i & 7)) & 1 != 0
    return form == FORM_ALL


@kjit
def span_swept(s, made, g, data, r):
    """A span is swept: its dead, and what a reclaimer found kept. Modifies all."""
    p, row = r.p, look_up(g, r.first | BASE_BIT)
    if row < 0 or np.int64(made.span_class[row]) != r.spanclass:
        return NO_SPAN
    if g.doing[p, LAST_SWEEPONE] >= 0 and r.kind_flags & 1 == 0:
        made.addr[g.doing[p, LAST_SWEEPONE]] = r.first
    elem = g.elem_size[r.spanclass >> 1] if r.spanclass >= 2 else np.int64(PAGE_SIZE)
    slots = np.int64(r.second) if r.spanclass >= 2 else 1
    inline = elem >= s.inline_low and elem <= s.inline_high
    reclaiming = g.doing[p, RECLAIMING] != 0 and not inline
    none = r.kind_flags >> 1 == FORM_NONE
    if none and not reclaiming:
        return FINE
    if s.collection == 0:
        return NO_COLLECTION
    found = np.int64(0)
    for i in range(slots):
        at = find_entry(g, r.first + np.uint64(i * elem))
        e = g.values[at] - 1
        if is_dead(data, r, i):
            if e >= 0:
                made.dead[s.dead] = e
                s.dead += 1
                found += 1
                remove_entry(s, g, at)
            elif r.kind_flags >> 1 == FORM_BITS:
                return NO_OBJECT
        elif reclaiming and e >= 0:
            made.revived[s.kept] = e
            s.kept += 1
    return FINE if np.uint64(found) == r.third else OTHER_COUNT


@kjit
def collection_ends(s, made, p):
    """SWEEP_START. Modifies s, the columns, the offsets."""
    e = emit(s, made, SWEEP_START, p, 0, np.uint64(0))
    k = s.collection
    made.ref[e] = k
    made.dead_offsets[k], made.page_marked_offsets[k], made.revived_offsets[k] = s.dead, s.marked, s.kept
    s.collection = k + 1


@kjit
def page_is_marked(s, made, g, r):
    """A span's page mark is set: an object of it stands for it. Modifies s, page_marked."""
    row = look_up(g, r.first | BASE_BIT)
    if row < 0 or g.last_object[row] < 0:
        return NO_SPAN
    if s.collection == 0:
        return NO_COLLECTION
    made.page_marked[s.marked] = g.last_object[row]
    s.marked += 1
    return FINE


@kjit
def cache_changes(s, made, g, r):
    """An mcache gets a span, or gives all back. Modifies all."""
    if r.kind == MCACHE_FLUSHED:
        g.refilled[cache_of(r), :] = -1
        emit(s, made, MCACHE_FLUSH, r.p, 0, np.uint64(0))
        return FINE
    row = look_up(g, r.first | BASE_BIT)
    if row < 0 or r.spanclass >= SPAN_CLASSES or np.int64(made.span_class[row]) != r.spanclass:
        return NO_SPAN
    g.refilled[cache_of(r), r.spanclass] = row
    g.doing[r.p, INSIDE] = 1
    return FINE


@kjit
def sweep_one(s, made, g, r):
    """SWEEPONE, or one more that an allocation owes. Modifies s, the columns, doing."""
    if r.kind_flags == BY_CREDIT:
        g.doing[r.p, CREDIT] += 1
        return np.int64(-1)
    return emit(s, made, SWEEPONE, r.p, r.kind_flags, np.uint64(0))


@kjit
def other_event(s, made, g, r):
    """What needs nothing of what is kept, or little. Modifies s, the columns."""
    if r.kind == SCAVENGED:
        e = emit(s, made, SCAVENGE, r.p, 0, r.third & LOW_WORD)
        made.addr[e], made.scav[e] = r.first, r.second
    elif r.kind == PCACHE_FLUSHED:
        emit(s, made, PCACHE_FLUSH, r.p, 0, np.uint64(0))
    elif r.kind == ENSURES_SWEPT:
        row = look_up(g, r.first | BASE_BIT)
        e = emit(s, made, ENSURE_SWEPT, r.p, 0, np.uint64(0))
        made.ref[e] = g.last_object[row] if row >= 0 else -1
    elif r.kind == PHASE and r.kind_flags == MARKING:
        emit(s, made, GC_START, r.p, 0, np.uint64(0))
    elif r.kind == RECLAIMS:
        g.doing[r.p, RECLAIMING] = 1


@kjit
def take_record(s, made, g, data, r):
    """Make of one record what it means; return what is wrong with it, or FINE. Modifies all."""
    kind, fault, sweepone = r.kind, FINE, np.int64(-1)
    if kind == ALLOCATED:
        fault = object_allocated(s, made, g, r)
    elif kind == SWEPT:
        fault = span_swept(s, made, g, data, r)
    elif kind == SPAN_ALLOCATED:
        fault = span_allocated(s, made, g, r)
    elif kind == SPAN_FREED:
        fault = span_freed(s, made, g, r)
    elif kind == PAGE_MARKED:
        fault = page_is_marked(s, made, g, r)
    elif kind == MCACHE_FLUSHED or kind == REFILLED:
        fault = cache_changes(s, made, g, r)
    elif kind == SWEEPS_ONE:
        sweepone = sweep_one(s, made, g, r)
    elif kind == SWEEPGEN:
        collection_ends(s, made, r.p)
    else:
        other_event(s, made, g, r)
    g.doing[r.p, LAST_SWEEPONE] = sweepone
    return fault


@kentry
def convert_block(b, start, stop, r, s, made, g):
    """Convert the records from byte ``start`` to ``stop``, which have been scanned; return where it stopped.

    ``s.fault`` says why: NEEDS_ROOM asks for a larger hash table or more room in ``revived``, before anything was done.
    Modifies all.
    """
    at = np.int64(start)
    while at < stop:
        if 2 * s.used + 2 > g.keys.shape[0] or s.kept + MAX_SLOTS > made.revived.shape[0]:
            s.fault = NEEDS_ROOM
            return at
        read_record(b, at, stop, r)
        s.fault = take_record(s, made, g, b.data, r)
        if s.fault != FINE:
            return at
        at = r.next_at
    return at
