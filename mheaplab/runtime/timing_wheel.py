"""Deaths in order of time, at constant cost: a hierarchical timing wheel that moves nothing twice.

The clock is the program's allocation volume in bytes, cut into ticks.  A wheel has levels of 2**11 slots; a slot of
level 0 is one tick, and each level is eight times coarser than the one before.  An object goes to the finest level that
reaches its death, its time rounded up to that level's step, and stays there: where the usual wheel moves objects to
finer levels as their time comes nearer, this one takes them all when their slot is reached (so does Linux's
kernel/time/timer.c since 4.8).  That costs a precision of 8 / 2**11 of the lifetime, and saves the second and third
touch of objects that are long out of the cache.

A slot is a list, the last put in first.  At one tick level 0 comes first, then level 1 if its step ends
here, and so on.  Whole lists can be put in at once: the members of a group die together.

A slot is never used for two times: an object of level l dies at most 2**11 steps after the step that is running.
"""

import numpy as np

from ._jit import kinline, kjit
from .chunk_lists import list_join, list_push
from .generate_structs import WHEEL_BITS, WHEEL_LEVELS, WHEEL_SLOTS, WHEEL_STEP, slot_head, slot_set
from .intrinsics import clz64

SLOT_MASK = np.int64(WHEEL_SLOTS - 1)
BITS = np.uint64(WHEEL_BITS)


@kinline
def wheel_level(delta):
    """Return the finest level that reaches ``delta`` ticks (at least 1) ahead."""
    bits = np.int64(64) - clz64(np.uint64(delta) >> BITS)
    level = (bits + np.int64(WHEEL_STEP - 1)) // np.int64(WHEEL_STEP)
    return level + np.int64(delta > SLOT_MASK << (level * np.int64(WHEEL_STEP)))


@kinline
def wheel_slot(g, due):
    """Return the slot for what dies when the clock reaches ``due``."""
    tick = (due + (np.int64(1) << g.shift) - 1) >> g.shift
    if tick <= g.tick:
        tick = g.tick + 1
    level = wheel_level(tick - g.tick)
    step = level * np.int64(WHEEL_STEP)
    place = (tick + (np.int64(1) << step) - 1) >> step
    return level * np.int64(WHEEL_SLOTS) + (place & SLOT_MASK)


@kinline
def wheel_put(g, entry, due):
    """Let ``entry`` die when the clock reaches ``due``. Modifies wheel, chunks."""
    slot = wheel_slot(g, due)
    slot_set(g, slot, list_push(g, slot_head(g, slot), entry))


@kjit
def wheel_put_list(g, first, last, due):
    """Let the list ``first``, which ends in chunk ``last``, die when the clock is at ``due``. Modifies the wheel."""
    slot = wheel_slot(g, due)
    slot_set(g, slot, list_join(g, first, last, slot_head(g, slot)))


@kinline
def wheel_take(g, until):
    """Return the next list that is due at tick ``until`` or before, 0 if there is none. Modifies g, wheel.

    Remembers where it stopped: a list has to be buried before the wheel turns on.
    """
    while g.tick < until:
        tick = g.tick + 1
        level = g.level
        while level < WHEEL_LEVELS:
            step = level * np.int64(WHEEL_STEP)
            if tick & ((np.int64(1) << step) - 1) != 0:
                break
            slot = level * np.int64(WHEEL_SLOTS) + ((tick >> step) & SLOT_MASK)
            level += 1
            head = slot_head(g, slot)
            if head != 0:
                slot_set(g, slot, 0)
                g.level = level
                return head
        g.tick = tick
        g.level = 0
    return np.int64(0)
