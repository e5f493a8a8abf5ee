"""trace_ids: every event of a trace checked against what is alive, and its ids made dense.

Two ways to know what is alive.  Where a trace promises dense ids, a table indexed by id is enough, and an id beyond
what lives (and ``SLACK``) breaks the promise.  Otherwise ids may be any 64-bit numbers, addresses say: a hash table
with open addressing finds the dense id of each, taken from a stack of free ones, the last freed first.  Deleting moves
later entries of the same run back (D. Knuth, TAOCP 6.4, algorithm R), so that nothing is left behind and memory is
bounded by what lives, not by the length of the trace.

Both stop at the first event that contradicts what came before and say why (``fault``); before an event touches
anything, they stop if a table has no room for it (``NEEDS_ROOM``), and the caller makes it larger and goes on there.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .intrinsics import make_record_table, make_word_table
from .records import struct
from .splitmix import GOLDEN, MIX1, MIX2, mix
from .trace_events import (
    ALLOC,
    DEATH,
    FORCED_GC,
    MAX_OBJECT,
    MAX_PHASES,
    MAX_STACK,
    MAX_TRACE_P,
    MIN_STACK,
    PHASE,
    STACK_ALLOC,
    STACK_FREE,
)

FINE = 0
NEEDS_ROOM = 1
BAD_KIND = 2
BAD_P = 3
BAD_NOSCAN = 4
BAD_SIZE = 5
BAD_STACK = 6
BAD_GC = 7
BAD_PHASE = 8
BAD_TIME = 9
BORN_TWICE = 10
NOT_BORN = 11
OTHER_KIND = 12
OTHER_SIZE = 13
NOT_DENSE = 14

SLACK = np.uint64(1024)
"""A dense id may be this far beyond the number of objects that were alive at once."""
GONE = np.uint64(0)
OBJECT_LIVES = np.uint64(1)
"""What lives under an id: nothing, an object, or a stack, of which its bytes are kept."""

TRACE_IDS = struct(
    ("live", "i8"),  # objects and stacks alive
    ("peak", "i8"),  # most that were alive at once
    ("free", "i8"),  # dense ids on the stack of free ones
    ("latest", "u8"),  # ns: the latest time seen
    ("fault", "i8"),  # why the last call stopped
    *((f"{name}{end}", "i8") for name in ("table", "slots", "free_ids") for end in ("_at", "_cap", "_len")),
)

ID_SLOT = struct(("key", "u8"), ("lives", "u8"), ("dense", "i8"))

# The tables, whose address and length the record holds: what lives by id; the hash table; the stack of free ids.
lives_under, lives_set = make_word_table(TRACE_IDS, "table", np.dtype("u8"))
slot_at = make_record_table(TRACE_IDS, "slots", ID_SLOT)
free_id, free_id_set = make_word_table(TRACE_IDS, "free_ids", np.dtype("u4"))


@kinline
def is_power_of_two(x):
    """Whether the uint64 ``x``, which is not 0, has one bit."""
    return x & (x - np.uint64(1)) == GONE


@kjit
def size_fault(kind, amount):
    """Return what is wrong with the size of an event of ``kind``, or FINE."""
    if kind == ALLOC:
        return BAD_SIZE if amount == GONE or amount > np.uint64(MAX_OBJECT) else FINE
    if kind == DEATH:
        return FINE
    if kind == STACK_ALLOC or kind == STACK_FREE:
        bad = amount < np.uint64(MIN_STACK) or amount > np.uint64(MAX_STACK) or not is_power_of_two(amount)
        return BAD_STACK if bad else FINE
    if kind == FORCED_GC:
        return BAD_GC if amount > np.uint64(1) else FINE
    if kind == PHASE:
        return BAD_PHASE if amount >= np.uint64(MAX_PHASES) else FINE
    return BAD_KIND


@kjit
def column_fault(state, p, noscan, time):
    """Return what is wrong with the P, the flag or the time of an event, or FINE. Modifies state."""
    if p > MAX_TRACE_P:
        return BAD_P
    if noscan > 1:
        return BAD_NOSCAN
    if time != GONE:
        if time < state.latest:
            return BAD_TIME
        state.latest = time
    return FINE


@kjit
def end_fault(kind, lives, amount):
    """Return what is wrong with the end, by an event of ``kind``, of what ``lives`` under its id, or FINE."""
    if lives == GONE:
        return NOT_BORN
    if (kind == DEATH) != (lives == OBJECT_LIVES):
        return OTHER_KIND
    if kind == STACK_FREE and amount != lives:
        return OTHER_SIZE
    return FINE


@kinline
def count_birth(state):
    """Count one more alive. Modifies state."""
    state.live += 1
    if state.live > state.peak:
        state.peak = state.live


@kjit
def dense_event(state, kind, name, amount):
    """Return what is wrong with an event under the dense id ``name``, or FINE. Modifies state, table."""
    if kind == ALLOC or kind == STACK_ALLOC:
        if name > np.uint64(state.peak) + SLACK:
            return NOT_DENSE
        if lives_under(state, name) != GONE:
            return BORN_TWICE
        lives_set(state, name, OBJECT_LIVES if kind == ALLOC else amount)
        count_birth(state)
    elif kind == DEATH or kind == STACK_FREE:
        lives = lives_under(state, name) if name < np.uint64(state.table_len) else GONE
        fault = end_fault(kind, lives, amount)
        if fault != FINE:
            return fault
        lives_set(state, name, GONE)
        state.live -= 1
    return FINE


@kentry
def check_dense(state, ev, start):
    """Check events from ``start`` on, whose ids are dense; return where it stopped. Modifies state, table."""
    kinds, ps, sizes, flags, ids, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    for event in range(start, kinds.shape[0]):
        i = np.uint64(event)
        if state.peak + np.int64(SLACK) >= state.table_len:
            state.fault = NEEDS_ROOM
            return event
        kind = np.int64(kinds[i])
        state.fault = size_fault(kind, sizes[i])
        if state.fault == FINE:
            state.fault = column_fault(state, ps[i], flags[i], times[i])
        if state.fault == FINE:
            state.fault = dense_event(state, kind, ids[i], sizes[i])
        if state.fault != FINE:
            return event
    return kinds.shape[0]


@kjit
def find_slot(state, key):
    """Return the slot that holds ``key``, or the free one where it would be put."""
    mask = np.uint64(state.slots_len - 1)
    at = mix(key) & mask
    slot = slot_at(state, at)
    while slot.lives != GONE and slot.key != key:
        at = (at + np.uint64(1)) & mask
        slot = slot_at(state, at)
    return at


@kjit
def free_slot(state, at):
    """Free slot ``at`` and move back what would no longer be found. Modifies slots."""
    mask = np.uint64(state.slots_len - 1)
    hole = slot_at(state, at)
    hole_at = at
    while True:
        at = (at + np.uint64(1)) & mask
        moved = slot_at(state, at)
        if moved.lives == GONE:
            break
        # It may move if its own place is not between the hole and where it stands.
        if ((at - mix(moved.key)) & mask) >= ((at - hole_at) & mask):
            copy_slot(moved, hole)
            hole = moved
            hole_at = at
    hole.lives = GONE


@kjit
def copy_slot(source, target):
    """Copy all fields of a slot. Modifies target."""
    target.key = source.key
    target.lives = source.lives
    target.dense = source.dense


@kentry
def rehash(state, old):
    """Put all that the array ``old`` of slots holds into the slots, which are empty. Modifies slots."""
    for i in range(old.shape[0]):
        slot = old[np.uint64(i)]
        if slot.lives != GONE:
            copy_slot(slot, slot_at(state, find_slot(state, slot.key)))


@kjit
def hashed_event(state, kind, key, amount):
    """Return (fault, dense id) of an event under the id ``key``. Modifies state, slots, free_ids."""
    at = find_slot(state, key)
    slot = slot_at(state, at)
    if kind == ALLOC or kind == STACK_ALLOC:
        if slot.lives != GONE:
            return BORN_TWICE, np.int64(0)
        dense = state.live
        if state.free > 0:
            state.free -= 1
            dense = np.int64(free_id(state, state.free))
        slot.key = key
        slot.lives = OBJECT_LIVES if kind == ALLOC else amount
        slot.dense = dense
        count_birth(state)
        return FINE, dense
    fault = end_fault(kind, slot.lives, amount)
    dense = slot.dense
    if fault == FINE:
        free_slot(state, at)
        free_id_set(state, state.free, dense)
        state.free += 1
        state.live -= 1
    return fault, dense


@kentry
def renumber(state, ev, start):
    """Check events from ``start`` on and make their ids dense in place; return where it stopped.

    Modifies state, slots (a power of two, at most half of them in use), free_ids (half as many) and ``ev.id``.
    """
    kinds, ps, sizes, flags, ids, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    for event in range(start, kinds.shape[0]):
        i = np.uint64(event)
        if state.live >= state.free_ids_len:
            state.fault = NEEDS_ROOM
            return event
        kind = np.int64(kinds[i])
        dense = np.int64(0)
        state.fault = size_fault(kind, sizes[i])
        if state.fault == FINE:
            state.fault = column_fault(state, ps[i], flags[i], times[i])
        if state.fault == FINE and kind < FORCED_GC:
            state.fault, dense = hashed_event(state, kind, ids[i], sizes[i])
        if state.fault != FINE:
            return event
        ids[i] = dense
    return kinds.shape[0]


@kentry
def fingerprint(ev):
    """Return 64 bits that depend on every value of the columns and on their order."""
    kinds, ps, sizes, flags, ids, times = ev.kind, ev.p, ev.size, ev.noscan, ev.id, ev.time
    a, b, c = np.uint64(1), np.uint64(2), np.uint64(3)
    for event in range(kinds.shape[0]):
        i = np.uint64(event)
        small = np.uint64(kinds[i]) | (np.uint64(ps[i]) << np.uint64(8)) | (np.uint64(flags[i]) << np.uint64(16))
        a = (a ^ sizes[i] ^ (small << np.uint64(40))) * GOLDEN
        b = (b ^ ids[i] ^ (a >> np.uint64(32))) * MIX1
        c = (c ^ times[i] ^ (b >> np.uint64(32))) * MIX2
    return mix(a) ^ mix(b + np.uint64(1)) ^ mix(c + np.uint64(2))
