"""recording_events: the records of a recording become the events of a case, and the truth about them.

A recording says where everything was; a case names objects and spans by the events that made them.  So this keeps, as
Go's heap went along, which event's object is in each slot and which span begins at each base (one hash table: slots
have even addresses, and a base stands with its lowest bit set), and for each P what it is in the middle of:

* an allocation is recorded when it is done, but what it takes from the heap, it takes earlier: so its event begins when
  it gets a span, and what follows on other Ps, or where a stack grows in the middle of it, stands after it;
* a sweepone made to pay an allocation's sweep debt is counted in that allocation (``credit``), any other is an event,
  and the span swept next on that P is what it found;
* while it reclaims pages, spans that it sweeps and that keep objects have been taken for empty ones: what they keep
  waits for a finalizer (``revived``).

With several Ps their records stand in one order, in which each P's own are right, as is whatever a lock or a stopped
world orders.  The rest is as it came.

What contradicts what came before is a fault: the caller says so with the record's number, and nothing is made of it.
"""

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
    TINY_HIT,
    read_record,
)
from .recording_tables import (
    FREED,
    SPAN_CLASSES,
    data_byte,
    elem_size,
    entry_at,
    find_entry,
    look_up,
    proc,
    put_entry,
    remove_entry,
    row_at,
    set_addr,
    set_credit,
    set_dead,
    set_dead_offset,
    set_flags,
    set_kind,
    set_needzero,
    set_p,
    set_page_marked,
    set_page_marked_offset,
    set_ref,
    set_revived,
    set_revived_offset,
    set_scav,
    set_size,
    set_span_base,
    set_span_class,
    set_span_event,
    set_span_needzero,
    set_span_npages,
    set_span_scav,
    span_base,
    span_class,
    span_event,
    span_needzero,
    span_npages,
    span_scav,
    value_of,
)
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
NOSCAN_NEEDZERO_BLACK, BEHIND_HEADER = 7, 16
"""Flags of an ALLOCATED record; the first three are those of a MALLOC."""
SPAN_USE = 7
"""The bits of a span's flags that say what it is for: 0 objects; the next says whether its memory may be dirty."""
LARGE = 2
"""Span classes below are those of large objects, which have a span each."""
BY_CREDIT, MARKING = 1, 1
"""Flags of a SWEEPS_ONE and of a PHASE record."""
NOTHING = np.uint64(0)
BASE_BIT = np.uint64(1)
HEADER, TINY_BLOCK = np.uint64(8), ~np.uint64(15)
IN_PAGE, IN_WORD = np.uint64(8191), np.uint64(7)
MAX_ADDRESS, MAX_PAGES = np.uint64(1 << 47), np.uint64(1 << 34)
LOW_WORD = np.uint64(0xFFFFFFFF)


@kjit
def emit(s, kind, flags, size):
    """Append an event on the record's P that refers to none, and return its number. Modifies s, the columns."""
    e = s.event
    set_kind(s, e, kind)
    set_p(s, e, s.on_p)
    set_flags(s, e, flags)
    set_size(s, e, size)
    set_ref(s, e, -1)
    s.event = e + 1
    return e


@kjit
def span_allocated(s):
    """A span: a row of the truth; an event too if it is manual. Modifies all."""
    use = s.op_flags & SPAN_USE
    bad = s.first & IN_PAGE != NOTHING or s.first >= MAX_ADDRESS or s.second == NOTHING or s.second >= MAX_PAGES
    if bad or use > 3 or (s.spanclass < SPAN_CLASSES) == (use != 0):
        return BAD_SPAN
    span = s.span
    s.span = span + 1
    set_span_base(s, span, s.first)
    set_span_npages(s, span, s.second)
    set_span_class(s, span, np.int64(MANUAL_CLASS) if use != 0 else s.spanclass)
    set_span_scav(s, span, s.third)
    set_span_needzero(s, span, (s.op_flags >> 3) & 1)
    set_span_event(s, span, -1)
    row, p = row_at(s, span), proc(s, s.on_p)
    row.last_object, row.use, row.swept = -1, use, s.collection
    put_entry(s, find_entry(s, s.first | BASE_BIT), s.first | BASE_BIT, span)
    if use != 0:
        manual_allocated(s, span)
        return FINE
    allocation_begins(s)
    p.taken, p.reclaiming = span, 0
    set_span_event(s, span, p.begun)
    return FINE


@kjit
def allocation_begins(s):
    """Keep an event for the allocation that the record's P is in the middle of. Modifies s, the columns, procs."""
    p = proc(s, s.on_p)
    if p.begun < 0:
        p.begun = emit(s, ENSURE_SWEPT, 0, NOTHING)


@kjit
def span_freed(s):
    """A span goes back to the heap: an event if it is manual. Modifies all."""
    span = look_up(s, s.first | BASE_BIT)
    if span < 0 or row_at(s, span).use != s.op_flags:
        return NO_SPAN
    row_at(s, span).use = FREED
    if s.op_flags != 0:
        set_ref(s, emit(s, SPAN_FREE, s.op_flags, span_npages(s, span)), span_event(s, span))
    return FINE


@kjit
def manual_allocated(s, span):
    """SPAN_ALLOC of ``span``. Modifies s, the columns."""
    e = emit(s, SPAN_ALLOC, row_at(s, span).use, span_npages(s, span))
    set_addr(s, e, span_base(s, span))
    set_scav(s, e, span_scav(s, span))
    set_needzero(s, e, span_needzero(s, span))
    set_span_event(s, span, e)


@kinline
def cache_owner(s):
    """Return whose mcache a record is about: without a P, before there are any, it is the one that P 0 gets."""
    return np.int64(0) if s.on_p == np.int64(NO_P) else s.on_p


@kjit
def span_of_object(s):
    """Return the span in which the record's P allocated, or a fault, negative."""
    span = proc(s, s.on_p).taken
    if s.spanclass >= LARGE:
        span = proc(s, cache_owner(s)).refilled[s.spanclass]
    if span < 0:
        return -NO_REFILL
    if np.int64(span_class(s, span)) != s.spanclass:
        return -BAD_CLASS
    base = span_base(s, span)
    if s.first < base or s.first - base >= span_npages(s, span) * np.uint64(PAGE_SIZE):
        return -OUTSIDE
    return span


@kjit
def object_allocated(s):
    """MALLOC. Modifies all."""
    if s.spanclass >= SPAN_CLASSES:
        return BAD_CLASS
    if s.op_flags & TINY_HIT != 0:
        if look_up(s, s.first & TINY_BLOCK) < 0:
            return NOT_TINY
    else:
        slot = s.first - HEADER if s.op_flags & BEHIND_HEADER != 0 else s.first
        span = span_of_object(s)
        if span < 0:
            return -span
        at = find_entry(s, slot)
        if slot & IN_WORD != NOTHING or entry_at(s, at) != 0:
            return TWICE
        allocation_begins(s)
        put_entry(s, at, slot, proc(s, s.on_p).begun)
        set_ref(s, proc(s, s.on_p).begun, slot)
        row_at(s, span).last_object = proc(s, s.on_p).begun
    allocation_begins(s)
    p = proc(s, s.on_p)
    set_kind(s, p.begun, MALLOC)
    set_flags(s, p.begun, s.op_flags & NOSCAN_NEEDZERO_BLACK)
    set_size(s, p.begun, s.second)
    set_addr(s, p.begun, s.first)
    if p.credit != 0:  # memory that nobody writes to is none
        set_credit(s, p.begun, p.credit)
    p.credit, p.taken, p.begun = 0, -1, -1
    return FINE


@kinline
def is_dead(s, i):
    """Whether slot ``i`` of the swept span is among the dead."""
    form = s.op_flags >> 1
    if form == FORM_BITS:
        return (np.int64(data_byte(s, s.bits_at + (i >> 3))) >> (i & 7)) & 1 != 0
    return form == FORM_ALL


@kjit
def span_swept(s):
    """A span is swept: its dead, and what a reclaimer found kept. Modifies all."""
    p, span = proc(s, s.on_p), look_up(s, s.first | BASE_BIT)
    if span < 0 or np.int64(span_class(s, span)) != s.spanclass:
        return NO_SPAN
    if p.sweepone >= 0 and s.op_flags & 1 == 0:
        set_addr(s, p.sweepone, s.first)
    row_at(s, span).swept = s.collection
    nbytes = elem_size(s, s.spanclass >> 1)
    inline = nbytes >= s.inline_low and nbytes <= s.inline_high
    reclaiming = p.reclaiming != 0 and not inline
    if s.op_flags >> 1 == FORM_NONE and not reclaiming:
        return FINE
    return NO_COLLECTION if s.collection == 0 else slots_swept(s, nbytes, reclaiming)


@kjit
def slots_swept(s, nbytes, reclaiming):
    """Look at each slot of the swept span, of ``nbytes`` bytes each. Modifies s, entries, ref, dead, revived."""
    found = s.died
    for i in range(np.int64(s.second) if s.spanclass >= LARGE else 1):
        dead = is_dead(s, i)
        if not dead and not reclaiming:
            continue
        at = find_entry(s, s.first + np.uint64(i * nbytes))
        e = value_of(entry_at(s, at))
        if dead:
            if e >= 0:
                set_dead(s, s.died, e)
                s.died += 1
                set_ref(s, e, -1)
                remove_entry(s, at)
            elif s.op_flags >> 1 == FORM_BITS:
                return NO_OBJECT
        elif e >= 0:
            set_revived(s, s.kept, e)
            s.kept += 1
    return FINE if np.uint64(s.died - found) == s.third else OTHER_COUNT


@kjit
def sweep_begins(s):
    """SWEEP_START. Modifies s, the columns, the offsets."""
    k = s.collection
    set_ref(s, emit(s, SWEEP_START, 0, NOTHING), k)
    set_dead_offset(s, k, s.died)
    set_page_marked_offset(s, k, s.marked)
    set_revived_offset(s, k, s.kept)
    s.collection = k + 1


@kjit
def page_is_marked(s):
    """A span's page mark is set: an object of it stands for it. Modifies s, page_marked."""
    span = look_up(s, s.first | BASE_BIT)
    if span < 0 or row_at(s, span).last_object < 0:
        return NO_SPAN
    if s.collection == 0:
        return NO_COLLECTION
    set_page_marked(s, s.marked, row_at(s, span).last_object)
    s.marked += 1
    return FINE


@kjit
def cache_emptied(s):
    """MCACHE_FLUSH. Modifies s, the columns, procs."""
    refilled = proc(s, cache_owner(s)).refilled
    for k in range(SPAN_CLASSES):
        refilled[k] = -1
    emit(s, MCACHE_FLUSH, 0, NOTHING)


@kjit
def cache_refilled(s):
    """An allocation has got a span for the mcache. Modifies procs."""
    span = look_up(s, s.first | BASE_BIT)
    if span < 0 or s.spanclass >= SPAN_CLASSES or np.int64(span_class(s, span)) != s.spanclass:
        return NO_SPAN
    proc(s, cache_owner(s)).refilled[s.spanclass] = span
    allocation_begins(s)
    return FINE


@kjit
def sweeps_one(s):
    """SWEEPONE, whose event is returned, or one that an allocation owes, then -1. Modifies s, the columns, procs."""
    if s.op_flags == BY_CREDIT:
        proc(s, s.on_p).credit += 1
        return np.int64(-1)
    return emit(s, SWEEPONE, s.op_flags, NOTHING)


@kjit
def other_record(s):
    """What needs little of what is kept. Modifies s, the columns."""
    if s.op == SCAVENGED:
        e = emit(s, SCAVENGE, 0, s.third & LOW_WORD)
        set_addr(s, e, s.first)
        set_scav(s, e, s.second)
    elif s.op == PCACHE_FLUSHED:
        emit(s, PCACHE_FLUSH, 0, NOTHING)
    elif s.op == ENSURES_SWEPT:
        span = look_up(s, s.first | BASE_BIT)
        e = emit(s, ENSURE_SWEPT, 0, NOTHING)
        if span >= 0:
            set_ref(s, e, row_at(s, span).last_object)
    elif s.op == PHASE and s.op_flags == MARKING:
        emit(s, GC_START, 0, NOTHING)
    elif s.op == RECLAIMS:
        proc(s, s.on_p).reclaiming = 1


@kjit
def take_record(s):
    """Make of the record that has been read what it means; return what is wrong with it, or FINE. Modifies all."""
    op, fault, sweepone = s.op, FINE, np.int64(-1)
    if op == ALLOCATED:
        fault = object_allocated(s)
    elif op == SWEPT:
        fault = span_swept(s)
    elif op == SPAN_ALLOCATED:
        fault = span_allocated(s)
    elif op == SPAN_FREED:
        fault = span_freed(s)
    elif op == PAGE_MARKED:
        fault = page_is_marked(s)
    elif op == REFILLED:
        fault = cache_refilled(s)
    elif op == MCACHE_FLUSHED:
        cache_emptied(s)
    elif op == SWEEPS_ONE:
        sweepone = sweeps_one(s)
    elif op == SWEEPGEN:
        sweep_begins(s)
    else:
        other_record(s)
    proc(s, s.on_p).sweepone = sweepone
    return fault


@kentry
def convert_block(s, start, stop):
    """Convert the records from byte ``start`` to ``stop``, which have been scanned; return where it stopped.

    ``s.fault`` says why: NEEDS_ROOM asks for more rows of ``revived``, before anything was done.
    Modifies all.
    """
    at = np.int64(start)
    while at < stop:
        if s.kept + MAX_SLOTS > s.revived_len:
            s.fault = NEEDS_ROOM
            return at
        read_record(s, at, stop)
        s.fault = take_record(s)
        if s.fault != FINE:
            return at
        at = s.next_at
    return at
