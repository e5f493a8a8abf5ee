"""gotrace_heap: the memory events of an execution trace turned into allocations, stacks, and objects found dead.

The trace names objects by address and says which spans there are; here each object gets the class of its span, a size
that has this class, and a number that is free.  A number is given back when the sweeper frees the object, which is
after the object died, so numbers are never in use twice, and are few.

**Slots.**  Go logs an allocation with the address that the program gets, which is 8 bytes into the slot where there is
a malloc header, and anywhere in a tiny block; what exists and what is freed, with the slot's.  So addresses are rounded
down to their slot.  A tiny object in a block that is open is no row: the block is one object of 16 bytes.

**Found dead.**  The sweep after collection k tells who was unreachable when k began to mark, and was reachable, if
it was born by then, when k-1 began.  An object that is freed by the sweep of a collection from before the trace was
dead from the start; it dies where the sweeper meets it.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .exectrace_maps import map_get, map_has_room, map_put, map_remove
from .exectrace_structs import BY_FREE_OS_MEMORY, BY_ITSELF, GC_BEGIN, GC_END, MEMORY_NAMES
from .gotrace_structs import (
    BAD_SPAN,
    BAD_STACK,
    BROKEN,
    BYTE,
    FINE,
    FULL,
    MANUAL,
    MANUAL_SPAN,
    MAX_CLOCK,
    MAX_PAGES,
    NEEDS_ROOM,
    NO_CAP,
    NO_SLOT,
    NO_SPAN,
    OFFSET_BITS,
    OK,
    ONE,
    PAGES_BITS,
    SPAN_TWICE,
    TOO_MUCH,
    UNKNOWN_AGE,
    found_at,
    free_at,
    free_set,
    living_at,
    mark_at,
    row_at,
)
from .splitmix import mix
from .structs import MAX_SMALL_SIZE, PAGE_SHIFT
from .trace_events import ALLOC, FORCED_GC, STACK_ALLOC, STACK_FREE

(SPAN, SPAN_ALLOC, SPAN_FREE, OBJECT, OBJECT_ALLOC, OBJECT_FREE, STACK, STACK_ALLOCATED, STACK_FREED) = range(
    len(MEMORY_NAMES)
)
PROCS = 255
"""A trace's P of a higher number is another one modulo this."""
ZERO = np.uint64(0)
UNIT_BITS, PAGE_UNITS = np.uint64(3), np.uint64(1 << (PAGE_SHIFT - 3))
PAGE_UNIT_BITS = np.uint64(PAGE_SHIFT - 3)
HEADER, NO_HEADER = 8, 512
"""Bytes of a malloc header, and up to which size objects with pointers have none (Go 1.22 on)."""
TINY_SPC, TINY = 5, 16
"""Span class and bytes of a tiny block."""
LARGEST = MAX_SMALL_SIZE - HEADER
"""Bytes of the largest small object, header not counted."""
MIN_STACK_BITS, MAX_STACK_BITS = 12, 32
"""Bits of the sizes of stacks, as bits.Len has them."""
SPAN_ROOM = 65
"""Pages that one event may add to the map of spans."""


@kinline
def fail(t, fault, a, b):
    """Say what is wrong. Modifies t; returns the fault."""
    t.fault = fault
    t.fault_a = np.int64(a)
    t.fault_b = np.int64(b)
    return fault


@kjit
def requested_size(t, spc, npages, type_bytes):
    """Return bytes of an object that has a slot of this span class: of its type, or as many of it as fit.

    ``type_bytes`` is 0 if the type is not known.  Malloc gives the size a slot of the same class.
    """
    c = np.uint64(spc >> 1)
    if c == ZERO:
        most = np.int64(npages) << PAGE_SHIFT
        least = max(most - (1 << PAGE_SHIFT), LARGEST) + 1
    else:
        if spc == TINY_SPC:
            return np.int64(TINY)
        header = HEADER if spc & 1 == 0 else 0
        slot = np.int64(t.class_to_size[c])
        below = np.int64(t.class_to_size[c - ONE])
        most = min(slot - header if slot > NO_HEADER else slot, LARGEST)
        least = (max(below - header, NO_HEADER) if slot > NO_HEADER and header != 0 else below) + 1
    if type_bytes == ZERO or type_bytes > np.uint64(most):
        return most
    whole = np.int64(type_bytes)
    if whole <= most >> 1:
        whole = most - np.int64(np.uint64(most) % type_bytes)
    return whole if whole >= least else most


@kjit
def new_number(t):
    """Return a number that nothing has. Modifies t, free."""
    if t.free_len_used > 0:
        t.free_len_used -= 1
        return np.int64(free_at(t, t.free_len_used))
    number = np.int64(t.numbers)
    t.numbers += 1
    return number


@kjit
def give_back(t, number):
    """Let ``number`` be free. Modifies t, free, living."""
    living_at(t, number).lives = 0
    free_set(t, t.free_len_used, number)
    t.free_len_used += 1


@kjit
def add_row(t, kind, p, size, spc, number, time):
    """Append a row. Modifies t, rows."""
    row = row_at(t, t.n_rows)
    row.kind = kind
    row.p = p
    row.amount = size
    row.spc = spc
    row.id = number
    row.time = time
    row.clock = t.clock
    t.n_rows += 1
    t.rows += 1


@kjit
def add_found(t, number, low, high, cap, collection):
    """Append the object ``number``, which is dead. Modifies t, found."""
    living = living_at(t, number)
    found = found_at(t, t.n_found)
    found.id = number
    found.born = living.born
    found.spc = living.spc
    found.low = low
    found.high = high
    found.cap = cap
    found.collection = collection
    t.n_found += 1


@kjit
def span_begins(t, page, npages, what):
    """Span, SpanAlloc: there is a span. Modifies t, spans."""
    manual = what & ONE == ONE
    spc = np.int64(min(what >> ONE, BYTE))
    small = not manual and spc >> 1 != 0
    bad = npages == ZERO or npages > MAX_PAGES or spc >> 1 >= t.n_classes or page > np.uint64(1 << 50)
    if bad or (small and np.int64(npages) != t.class_to_allocnpages[np.uint64(spc >> 1)]):
        return fail(t, BAD_SPAN, npages, what >> ONE)
    code = MANUAL if manual else np.uint64(spc + 1)
    for i in range(np.int64(npages) if small else 1):
        if map_get(t.spans, page + np.uint64(i)) != ZERO:
            return fail(t, SPAN_TWICE, page, 0)
        map_put(t.spans, page + np.uint64(i), (npages << PAGES_BITS) | (np.uint64(i) << OFFSET_BITS) | code)
    if manual:
        t.manual_pages += np.int64(npages)
    else:
        t.heap_spans += 1
        t.heap_pages += np.int64(npages)
    return OK


@kjit
def span_ends(t, page):
    """SpanFree: the span is gone. Modifies t, spans."""
    word = np.uint64(map_get(t.spans, page))
    if word == ZERO or (word >> OFFSET_BITS) & BYTE != ZERO:
        t.n_unknown += 1
        return
    npages = word >> PAGES_BITS
    code = word & BYTE
    if code == MANUAL:
        t.manual_pages -= np.int64(npages)
    else:
        t.heap_spans -= 1
        t.heap_pages -= np.int64(npages)
    for i in range(np.int64(npages) if code != MANUAL and code > np.uint64(2) else 1):
        map_remove(t.spans, page + np.uint64(i))


@kjit
def slot_size(t, spc, npages):
    """Return the bytes of a slot."""
    c = np.uint64(spc >> 1)
    return np.int64(t.class_to_size[c]) if c != ZERO else np.int64(npages) << PAGE_SHIFT


@kinline
def is_left_out(t, key):
    """Whether the slot at ``key`` is on a page of which nothing is followed."""
    return t.rarer != ZERO and mix(key >> PAGE_UNIT_BITS) & ((ONE << t.rarer) - ONE) != ZERO


@kjit
def object_begins(t, unit, kind_of_type, exists, p, time):
    """HeapObject, HeapObjectAlloc: a slot is taken. Modifies t and its tables."""
    page = unit >> PAGE_UNIT_BITS
    word = np.uint64(map_get(t.spans, page))
    if word == ZERO:
        return fail(t, NO_SPAN, unit, 0)
    code = word & BYTE
    if code == MANUAL:
        return fail(t, MANUAL_SPAN, unit, 0)
    spc = np.int64(code) - 1
    npages = word >> PAGES_BITS
    nbytes = slot_size(t, spc, npages)
    start = (page - ((word >> OFFSET_BITS) & BYTE)) << PAGE_UNIT_BITS
    units = np.uint64(nbytes) >> UNIT_BITS
    key = start
    if spc >> 1 != 0:
        # mspan.objIndex: division by multiplication.
        magic = np.uint64(t.class_to_divmagic[np.uint64(spc >> 1)])
        key += ((((unit - start) << UNIT_BITS) * magic) >> np.uint64(32)) * units
    if key + units > start + npages * PAGE_UNITS:
        return fail(t, NO_SLOT, unit, 0)
    if t.clock > MAX_CLOCK:
        return fail(t, TOO_MUCH, 0, 0)
    if is_left_out(t, key):
        t.clock += nbytes
        return OK
    last = np.int64(map_get(t.objects, key)) - 1
    if last >= 0:
        if spc == TINY_SPC:
            t.n_tiny += 1
            return OK
        # Nobody said that it was freed: it was by now.
        t.n_reused += 1
        add_found(t, last, t.clock, t.clock, t.rows, 0)
        give_back(t, last)
        t.slots_bytes -= nbytes
        t.objects_in -= 1
    number = new_number(t)
    map_put(t.objects, key, np.uint64(number + 1))
    type_bytes = np.uint64(map_get(t.types, kind_of_type)) if kind_of_type != ZERO else ZERO
    size = requested_size(t, spc, npages, type_bytes)
    t.clock += nbytes
    t.slots_bytes += nbytes
    t.objects_in += 1
    t.n_objects += exists
    living = living_at(t, number)
    living.born = UNKNOWN_AGE if exists else t.clock
    living.spc = spc
    living.lives = 1
    living.kind = np.uint32(t.type_base + kind_of_type) if ZERO < kind_of_type <= t.type_most else np.uint32(0)
    add_row(t, ALLOC, p, size, spc, number, time)
    return OK


@kjit
def object_ends(t, unit):
    """HeapObjectFree: the sweeper met a dead object. Modifies t and its tables."""
    if is_left_out(t, unit):
        return
    number = np.int64(map_get(t.objects, unit)) - 1
    if number < 0:
        t.n_unknown += 1
        return
    map_remove(t.objects, unit)
    living = living_at(t, number)
    page = unit >> PAGE_UNIT_BITS
    t.slots_bytes -= slot_size(t, np.int64(living.spc), np.uint64(map_get(t.spans, page)) >> PAGES_BITS)
    t.objects_in -= 1
    if t.collections == 0:
        t.n_dead_at_start += 1
        add_found(t, number, t.clock, t.clock, t.rows, 0)
    elif living.born > t.last_clock:
        # It was allocated between the event and the beginning of marking.
        add_found(t, number, living.born, living.born, NO_CAP, t.collections)
    else:
        add_found(t, number, max(living.born, t.before_clock), t.last_clock, t.last_row, t.collections)
    give_back(t, number)


@kjit
def stack_ends(t, unit, p, time):
    """GoroutineStackFree. Modifies t and its tables; returns whether there was such a stack."""
    number = np.int64(map_get(t.stacks, unit)) - 1
    if number < 0:
        return False
    map_remove(t.stacks, unit)
    add_row(t, STACK_FREE, p, np.uint64(living_at(t, number).born), 0, number, time)
    give_back(t, number)
    return True


@kjit
def stack_begins(t, unit, bits, exists, p, time):
    """GoroutineStack, GoroutineStackAlloc. Modifies t and its tables."""
    if bits == ZERO:
        # The stack of a goroutine that is dead.
        return OK
    if bits < np.uint64(MIN_STACK_BITS) or bits > np.uint64(MAX_STACK_BITS):
        return fail(t, BAD_STACK, np.int64(bits) - 1, 0)
    if stack_ends(t, unit, p, time):
        t.n_reused += 1
    number = new_number(t)
    map_put(t.stacks, unit, np.uint64(number + 1))
    living = living_at(t, number)
    living.born = np.int64(ONE << (bits - ONE))
    living.lives = 2
    t.n_stacks += exists
    add_row(t, STACK_ALLOC, p, np.uint64(living.born), 0, number, time)
    return OK


@kjit
def collection_ends(t):
    """GCEnd: what is swept from now on was found dead by this collection. Modifies t, marks."""
    if t.marking == 0:
        # It began before the trace did.
        t.begun_time = -1
        t.begun_clock = t.prologue_clock
        t.begun_row = t.prologue
    t.marking = 0
    t.before_clock, t.before_row = t.last_clock, t.last_row
    t.last_clock, t.last_row = t.begun_clock, t.begun_row
    t.collections += 1
    mark = mark_at(t, t.n_marks)
    mark.row = t.last_row
    mark.clock = t.last_clock
    mark.end_clock = t.clock
    mark.begun = t.begun_time
    mark.ended = t.latest_time - t.first_time
    t.n_marks += 1


@kjit
def has_room(t):
    """Whether an event may come, whatever it adds."""
    return (
        t.numbers + 2 <= t.living_len
        and t.numbers + 2 <= t.free_len
        and map_has_room(t.spans, SPAN_ROOM)
        and map_has_room(t.objects, 2)
        and map_has_room(t.stacks, 2)
    )


@kjit
def one_event(t, name, p, time, key, arg, arg2):
    """Take in one event; return OK or a fault. Modifies t and its tables."""
    if name == OBJECT_ALLOC or name == OBJECT:
        return object_begins(t, key, arg, name == OBJECT, p, time)
    if name == OBJECT_FREE:
        object_ends(t, key)
    elif name == SPAN_ALLOC or name == SPAN:
        return span_begins(t, key, arg, arg2)
    elif name == SPAN_FREE:
        span_ends(t, key)
    elif name == STACK or name == STACK_ALLOCATED:
        return stack_begins(t, key, arg, name == STACK, p, time)
    elif name == STACK_FREED:
        if not stack_ends(t, key, p, time):
            t.n_unknown += 1
    elif name == GC_BEGIN:
        t.marking = 1
        t.begun_time = time
        t.begun_clock = t.clock
        t.begun_row = t.rows
        if arg != np.uint64(BY_ITSELF):
            add_row(t, FORCED_GC, p, np.uint64(arg == np.uint64(BY_FREE_OS_MEMORY)), 0, 0, time)
    elif name == GC_END:
        collection_ends(t)
    return OK


@kinline
def prologue_ends(t):
    """What was there when the trace began has been told. Modifies t."""
    t.in_prologue = 0
    t.prologue = t.rows
    t.prologue_clock = t.clock
    t.last_row = t.rows
    t.last_clock = t.clock


@kentry
def take_events(t, ev, start):
    """Take in the events ``ev`` from ``start`` on; return (where it stopped, FINE, NEEDS_ROOM, FULL or BROKEN).

    Modifies t and its tables, of which rows, found and marks are filled from the first row on.
    """
    names, ps, times, ids, args, args2 = ev.name, ev.p, ev.time, ev.id, ev.arg, ev.arg2
    t.n_rows = 0
    t.n_found = 0
    t.n_marks = 0
    for event in range(start, names.shape[0]):
        i = np.uint64(event)
        if t.n_rows + 2 > t.rows_len or t.n_found + 1 > t.found_len or t.n_marks + 1 > t.marks_len:
            return event, FULL
        if not has_room(t):
            return event, NEEDS_ROOM
        if t.started == 0:
            t.started = 1
            t.in_prologue = 1
            t.first_time = times[i]
        name = np.int64(names[i])
        if t.in_prologue != 0 and name != SPAN and name != OBJECT and name != STACK:
            prologue_ends(t)
        p = np.int64(ps[i])
        if p >= PROCS:
            p %= PROCS
        p = max(p, np.int64(0))
        t.latest_time = times[i]
        time = np.uint64(times[i]) - np.uint64(t.first_time)
        if one_event(t, name, p, time, ids[i], args[i], args2[i]) != OK:
            return event, BROKEN
    return names.shape[0], FINE


@kentry
def set_types(t, rows):
    """Put the types ``rows`` (number, address, bytes, ...) into the map, which is empty and has room. Modifies t."""
    for i in range(rows.shape[0]):
        if rows[i, 0] != ZERO and rows[i, 2] != ZERO:
            map_put(t.types, rows[i, 0], rows[i, 2])


@kentry
def list_living(t, number, born, spc):
    """Fill the columns with the objects that are there; return how many.

    ``spc`` is the span class.  Whoever was there when the trace began is left out, for their age is not known.
    """
    n = 0
    for i in range(t.numbers):
        living = living_at(t, i)
        if living.lives == 1 and living.born != UNKNOWN_AGE:
            number[n] = i
            born[n] = living.born
            spc[n] = living.spc
            n += 1
    return n
