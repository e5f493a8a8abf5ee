"""exectrace_sort: the frontier, the threads of a generation in the order of their next events.

Events of equal time have no order of their own: which comes first depends on how the frontier was arranged.  To give
what Go's parser gives, the frontier goes through the same arrangements: a binary heap, changed as Go changes it, and
where its first thread has to wait, sorted by Go's ``slices.SortFunc``, a pattern-defeating quicksort (O. Peters,
"Pattern-defeating Quicksort", 2021) that leaves equal elements in an order of its own.
"""

import numpy as np

from ._jit import kinline, kjit
from .exectrace_structs import cursor_at, frontier_at, frontier_set
from .intrinsics import clz64

MAX_TIME = np.int64((1 << 63) - 1)
INSERTION = 12
"""Elements up to which a part is sorted by insertion."""
NINTHER = 50
"""Elements from which on the pivot is the median of three medians, and a few elements are moved far."""
SHIFTS = 5
ALL_SWAPPED = 12
INCREASING, DECREASING, UNKNOWN = np.int64(0), np.int64(1), np.int64(2)


@kinline
def time_at(t, i):
    """Return the time of the next event of the thread at place ``i``."""
    return np.int64(cursor_at(t, frontier_at(t, i)).time)


@kinline
def swap(t, i, j):
    """Exchange two places. Modifies frontier."""
    held = frontier_at(t, i)
    frontier_set(t, i, frontier_at(t, j))
    frontier_set(t, j, held)


# ---------------------------------------------------------------------------------------------------- the heap


@kjit
def sift_up(t, i):
    """Move what stands at ``i`` up to where it belongs; return that place. Modifies frontier."""
    while i > 0 and time_at(t, (i - 1) // 2) > time_at(t, i):
        swap(t, (i - 1) // 2, i)
        i = (i - 1) // 2
    return i


@kjit
def sift_down(t, i):
    """Move what stands at ``i`` down to where it belongs. Modifies frontier."""
    n = t.n_frontier
    while True:
        least = i
        time = time_at(t, i) if i < n else MAX_TIME
        for child in range(2 * i + 1, min(2 * i + 3, n)):
            if time_at(t, child) < time:
                time = time_at(t, child)
                least = child
        if least == i:
            return
        swap(t, i, least)
        i = least


@kjit
def frontier_insert(t, cursor):
    """Add a thread. Modifies t, frontier."""
    i = np.int64(t.n_frontier)
    frontier_set(t, i, cursor)
    t.n_frontier += 1
    sift_up(t, i)


@kjit
def frontier_update(t, i):
    """Put the thread at ``i``, whose time has changed, into its place. Modifies frontier."""
    if sift_up(t, i) == i:
        sift_down(t, i)


@kjit
def frontier_remove(t, i):
    """Take out the thread at ``i``. Modifies t, frontier."""
    while i > 0:
        swap(t, (i - 1) // 2, i)
        i = (i - 1) // 2
    t.n_frontier -= 1
    swap(t, np.int64(0), t.n_frontier)
    sift_down(t, np.int64(0))


# ---------------------------------------------------------------------------------------------------- the sort


@kinline
def less(t, i, j):
    """Whether the thread at ``i`` comes before that at ``j``."""
    return time_at(t, i) < time_at(t, j)


@kjit
def insertion_sort(t, a, b):
    """Sort places ``a`` to ``b``; equal elements keep their order. Modifies frontier."""
    for i in range(a + 1, b):
        j = i
        while j > a and less(t, j, j - 1):
            swap(t, j, j - 1)
            j -= 1


@kjit
def heap_sort(t, a, b):
    """Sort places ``a`` to ``b`` where quicksort has met too many bad pivots. Modifies frontier."""
    n = b - a
    for i in range((n - 1) // 2, -1, -1):
        max_sift_down(t, np.int64(i), n, a)
    for i in range(n - 1, -1, -1):
        swap(t, a, a + i)
        max_sift_down(t, np.int64(0), np.int64(i), a)


@kjit
def max_sift_down(t, root, n, a):
    """Move an element down in the heap of ``n`` places from ``a``, the greatest on top. Modifies frontier."""
    while True:
        child = 2 * root + 1
        if child >= n:
            return
        if child + 1 < n and less(t, a + child, a + child + 1):
            child += 1
        if not less(t, a + root, a + child):
            return
        swap(t, a + root, a + child)
        root = child


@kjit
def partition(t, a, b, pivot):
    """Part places ``a`` to ``b`` by the pivot; return (its new place, whether they were parted). Modifies frontier."""
    swap(t, a, pivot)
    i = a + 1
    j = b - 1
    swaps = 0
    while True:
        while i <= j and less(t, i, a):
            i += 1
        while i <= j and not less(t, j, a):
            j -= 1
        if i > j:
            break
        swap(t, i, j)
        swaps += 1
        i += 1
        j -= 1
    swap(t, j, a)
    return j, swaps == 0


@kjit
def partition_equal(t, a, b, pivot):
    """Move what equals the pivot, the least of places ``a`` to ``b``, in front; return its end. Modifies frontier."""
    swap(t, a, pivot)
    i = a + 1
    j = b - 1
    while True:
        while i <= j and not less(t, a, i):
            i += 1
        while i <= j and less(t, a, j):
            j -= 1
        if i > j:
            return i
        swap(t, i, j)
        i += 1
        j -= 1


@kjit
def partial_insertion_sort(t, a, b):
    """Whether places ``a`` to ``b`` are sorted, after moving a few elements at most. Modifies frontier."""
    i = a + 1
    for _ in range(SHIFTS):
        while i < b and not less(t, i, i - 1):
            i += 1
        if i == b:
            return True
        if b - a < NINTHER:
            return False
        swap(t, i, i - 1)
        if i - a >= 2:
            j = i - 1
            while j >= 1 and less(t, j, j - 1):
                swap(t, j, j - 1)
                j -= 1
        if b - i >= 2:
            j = i + 1
            while j < b and less(t, j, j - 1):
                swap(t, j, j - 1)
                j += 1
    return False


@kjit
def break_patterns(t, a, b):
    """Move three elements to places at random, always the same. Modifies frontier."""
    n = b - a
    random = np.uint64(n)
    mask = (np.uint64(1) << np.uint64(64 - clz64(np.uint64(n)))) - np.uint64(1)
    middle = a + n // 4 * 2
    for i in range(middle - 1, middle + 2):
        random ^= random << np.uint64(13)
        random ^= random >> np.uint64(7)
        random ^= random << np.uint64(17)
        other = np.int64(random & mask)
        if other >= n:
            other -= n
        swap(t, np.int64(i), a + other)


@kjit
def median(t, a, b, c, swaps):
    """Return (the place of the median of three, exchanges that finding it took and ``swaps``)."""
    if less(t, b, a):
        a, b = b, a
        swaps += 1
    if less(t, c, b):
        b, c = c, b
        swaps += 1
    if less(t, b, a):
        a, b = b, a
        swaps += 1
    return b, swaps


@kjit
def choose_pivot(t, a, b):
    """Return (place, what it says of the order) of the pivot of places ``a`` to ``b``, more than INSERTION."""
    n = b - a
    i = a + n // 4
    j = a + n // 4 * 2
    k = a + n // 4 * 3
    swaps = np.int64(0)
    if n >= NINTHER:
        i, swaps = median(t, i - 1, i, i + 1, swaps)
        j, swaps = median(t, j - 1, j, j + 1, swaps)
        k, swaps = median(t, k - 1, k, k + 1, swaps)
    j, swaps = median(t, i, j, k, swaps)
    if swaps == 0:
        return j, INCREASING
    if swaps == ALL_SWAPPED:
        return j, DECREASING
    return j, UNKNOWN


@kjit
def reverse(t, a, b):
    """Turn places ``a`` to ``b`` around. Modifies frontier."""
    i = a
    j = b - 1
    while i < j:
        swap(t, i, j)
        i += 1
        j -= 1


@kjit
def push_part(t, n, a, b, limit, flags):
    """Put a part that is to be sorted on the stack of ``n`` parts; return how many there are. Modifies t."""
    at = 5 * n
    t.sort_stack[np.uint64(at)] = a
    t.sort_stack[np.uint64(at + 1)] = b
    t.sort_stack[np.uint64(at + 2)] = limit
    t.sort_stack[np.uint64(at + 3)] = flags
    return n + 1


@kjit
def sort_step(t, n, a, b, limit, flags):
    """Sort one part or put what is left of it on the stack of ``n``; return how many there are. Modifies t, frontier.

    ``flags``: 1 if the last partition was balanced, 2 if it had nothing to move.
    """
    if b - a <= INSERTION:
        insertion_sort(t, a, b)
        return n
    if limit == 0:
        heap_sort(t, a, b)
        return n
    if flags & 1 == 0:
        break_patterns(t, a, b)
        limit -= 1
    pivot, hint = choose_pivot(t, a, b)
    if hint == DECREASING:
        reverse(t, a, b)
        pivot = (b - 1) - (pivot - a)
        hint = INCREASING
    if flags == 3 and hint == INCREASING and partial_insertion_sort(t, a, b):
        return n
    if a > 0 and not less(t, a - 1, pivot):
        return push_part(t, n, partition_equal(t, a, b, pivot), b, limit, flags)
    middle, parted = partition(t, a, b, pivot)
    left = middle - a
    right = b - middle
    flags = np.int64(2) if parted else np.int64(0)
    if min(left, right) >= (b - a) // 8:
        flags |= 1
    # The smaller part is sorted first, so that the stack stays short; the order makes no difference to the outcome.
    if left < right:
        n = push_part(t, n, middle + 1, b, limit, flags)
        return push_part(t, n, a, middle, limit, np.int64(3))
    n = push_part(t, n, a, middle, limit, flags)
    return push_part(t, n, middle + 1, b, limit, np.int64(3))


@kjit
def frontier_sort(t):
    """Sort the frontier by time. Modifies t, frontier."""
    count = np.int64(t.n_frontier)
    limit = np.int64(64) - clz64(np.uint64(count))
    n = push_part(t, np.int64(0), np.int64(0), count, limit, np.int64(3))
    while n > 0:
        n -= 1
        at = 5 * n
        n = sort_step(
            t,
            n,
            np.int64(t.sort_stack[np.uint64(at)]),
            np.int64(t.sort_stack[np.uint64(at + 1)]),
            np.int64(t.sort_stack[np.uint64(at + 2)]),
            np.int64(t.sort_stack[np.uint64(at + 3)]),
        )
