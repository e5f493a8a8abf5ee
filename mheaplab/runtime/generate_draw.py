"""What the workload generator draws, and the rows that it writes.

Random numbers are splitmix64's (``splitmix``): each is a hash of a counter.  ``next_random`` counts on by one; an
allocation, which may need six numbers, takes them side by side.  A draw from a distribution takes two: one for the
cell, one for the value in it.  The upper half of a number and the lower one are independent.
"""

import numpy as np

from ._jit import kinline, kjit
from .chunk_lists import chunk_count, chunk_free_put, chunk_next, chunk_shorten
from .generate_structs import (
    CHUNK_WORDS,
    STACK_BITS,
    TIME_SHIFT,
    cell_at,
    chunk_word,
    free_id_set,
    id_set,
    kind_set,
    noscan_set,
    p_set,
    size_set,
    time_set,
)
from .splitmix import GOLDEN, mix
from .trace_events import DEATH, STACK_FREE

LOW = np.uint64(0xFFFFFFFF)
S11, S32 = np.uint64(11), np.uint64(32)
TWO_M53 = 2.0**-53


# ---------------------------------------------------------------------------------------------------- chance


@kjit
def next_random(g):
    """Return 64 random bits. Modifies g."""
    g.rng = g.rng + GOLDEN
    return mix(g.rng)


@kinline
def below(r, count):
    """Return a number from 0 to ``count`` - 1 (less than 2**32) made of the upper half of ``r``."""
    return np.int64(((r >> S32) * np.uint64(count)) >> S32)


@kinline
def pick_cell(g, first, count, r):
    """Return the cell that ``r`` falls into, of the ``count`` from ``first`` on."""
    i = first + below(r, count)
    cell = cell_at(g, i)
    # Both are read, so that the choice costs no branch, which would be wrong half of the time.
    keep, other = cell.keep, cell.other
    return cell_at(g, i if np.int64(r & LOW) < keep else first + other)


@kinline
def value_in_cell(cell, r):
    """Return the value that ``r`` picks in ``cell``."""
    return cell.least + np.int64(cell.width * (np.float64(np.int64(r >> S11)) * TWO_M53))


# ---------------------------------------------------------------------------------------------------- rows


@kinline
def put_row(g, n, kind, p, amount, noscan, name):
    """Write row ``n``. Modifies the columns."""
    kind_set(g, n, kind)
    p_set(g, n, p)
    size_set(g, n, amount)
    noscan_set(g, n, noscan)
    id_set(g, n, name)
    time_set(g, n, g.time >> np.int64(TIME_SHIFT))


@kinline
def bury(g, n, entry):
    """Write the death of ``entry`` in row ``n``, which is all 0, and free its id. Modifies g, ids, columns."""
    name = np.int64(entry & LOW)
    order = np.int64(entry >> np.uint64(STACK_BITS))
    if order != 0:
        put_row(g, n, STACK_FREE, g.on_p, np.int64(1) << order, 0, name)
    else:
        kind_set(g, n, DEATH)
        id_set(g, n, name)
        time_set(g, n, g.time >> np.int64(TIME_SHIFT))
    free_id_set(g, g.ids_free, name)
    g.ids_free += 1


@kjit
def bury_due(g, n, rows):
    """Write the deaths of what is due, as far as there are rows; return the next row. Modifies g, chunks, columns."""
    chunk = g.due
    while chunk != 0 and n < rows:
        head = chunk_word(g, chunk * np.int64(CHUNK_WORDS))
        count = chunk_count(head)
        left = max(count - (rows - n), np.int64(0))
        for k in range(count, left, -1):
            bury(g, n, chunk_word(g, chunk * np.int64(CHUNK_WORDS) + k))
            n += 1
        if left != 0:
            chunk_shorten(g, chunk, left)
        else:
            chunk_free_put(g, chunk)
            chunk = chunk_next(head)
    g.due = chunk
    return n
