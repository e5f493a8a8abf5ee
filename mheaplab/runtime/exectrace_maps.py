"""exectrace_maps: maps from 64-bit ids to words that are not 0, for the parser of execution traces.

Open addressing, at most three quarters full.  Deleting moves later entries of the same run back (D. Knuth, TAOCP 6.4,
algorithm R), so that a map is as large as what it holds.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
from .exectrace_structs import map_slot
from .splitmix import mix

EMPTY = np.uint64(0)
ONE = np.uint64(1)


@kinline
def map_has_room(m, n):
    """Whether ``n`` more ids may be put into the map."""
    return 4 * (m.used + n) <= 3 * m.slots_len


@kjit
def map_place(m, key):
    """Return the slot that holds ``key``, or the free one where it would be put."""
    mask = np.uint64(m.slots_len - 1)
    at = mix(key) & mask
    slot = map_slot(m, at)
    while slot.word != EMPTY and slot.key != key:
        at = (at + ONE) & mask
        slot = map_slot(m, at)
    return at


@kjit
def map_get(m, key):
    """Return the word of ``key``, 0 if it is not in the map."""
    return np.uint64(map_slot(m, map_place(m, key)).word)


@kjit
def map_put(m, key, word):
    """Let ``word`` be that of ``key``; there must be room. Modifies m, slots."""
    slot = map_slot(m, map_place(m, key))
    if slot.word == EMPTY:
        m.used += 1
    slot.key = key
    slot.word = word


@kjit
def map_remove(m, key):
    """Take ``key`` out, if it is there. Modifies m, slots."""
    mask = np.uint64(m.slots_len - 1)
    at = map_place(m, key)
    hole = map_slot(m, at)
    if hole.word == EMPTY:
        return
    hole_at = at
    while True:
        at = (at + ONE) & mask
        moved = map_slot(m, at)
        if moved.word == EMPTY:
            break
        # It may move if its own place is not between the hole and where it stands.
        if ((at - mix(moved.key)) & mask) >= ((at - hole_at) & mask):
            hole.key = moved.key
            hole.word = moved.word
            hole = moved
            hole_at = at
    hole.word = EMPTY
    m.used -= 1


@kentry
def map_fill(m, old):
    """Put all that the array ``old`` of slots holds into the map, whose slots are empty. Modifies m, slots."""
    m.used = 0
    for i in range(old.shape[0]):
        slot = old[np.uint64(i)]
        if slot.word != EMPTY:
            map_put(m, np.uint64(slot.key), np.uint64(slot.word))
