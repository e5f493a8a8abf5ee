"""The best way to cut sizes into classes: dynamic programming over the last class.

The problem.  There are m *items*, sizes that may be a class (with their pages and what a slot of them costs), from
small to large.  A table is a chain of items with rising sizes; it ends at the last size.  Objects go to the smallest
class that holds them, so what class j costs depends on j and on the class i before it alone: on the objects that fit j
and do not fit i, times what a slot of j costs.  All rules on neighbours depend on i and j alone too.  Call that
``cost[i, j]``, infinite where j may not follow i, with i = 0 for no class before.

Why it is optimal.  Let F(k, c, j) be the least cost of a chain of k items that ends at j, c of which count as changes.
Such a chain without its last item is a chain of k - 1 items that ends at some i and has c - change(j) changes, and its
cost is the cost of that part plus ``cost[i, j]``.  If the part were not the cheapest of its kind, a cheaper one in its
place would make the whole cheaper.  So

    F(1, change(j), j) = cost[0, j]
    F(k, c, j) = least of F(k - 1, c - change(j), i) + cost[i, j] over i

and the least F(k, c, last) over the k and c that are allowed is the optimum: no table is left out and none is counted
with another cost than its own.  Go has 314 or 376 sizes that may be a class (1.19, 1.27), so this is 67 steps over a
square of 376.

Ties.  Where no object is, classes cost nothing, and there are many optimal tables.  Of those with the same cost, to the
last bit of the sum, the one is taken that is best for one object of every size (``second``), so that a table for few
sizes is of use for others too: pairs of (cost, second) are compared as such, which is the same recursion over pairs.
"""

from typing import NamedTuple

import numpy as np


class Items(NamedTuple):
    """Sizes that may be a class: columns by item, sorted by size.

    ``least`` is the least size of the class before, 0 if it may be the first; ``slot`` has two rows, what a slot costs
    an object with and without pointers; ``change`` is 1 where the item counts as a change.
    """

    sizes: np.ndarray
    pages: np.ndarray
    slot: np.ndarray
    least: np.ndarray
    change: np.ndarray


def costs(items, fitting):
    """Return ``cost[i, j]``: what class j costs after class i, row 0 for no class before.

    ``fitting`` has what slots of each item hold, two rows: with and without pointers.
    """
    before = np.concatenate((np.zeros((2, 1)), fitting), axis=1)
    held = fitting[:, None, :] - before[:, :, None]
    sizes = np.concatenate(([0], items.sizes))[:, None]
    legal = (sizes < items.sizes) & (sizes >= items.least)
    return np.where(legal, (held * items.slot[:, None, :]).sum(axis=0), np.inf)


def _least(total, second):
    """Return of each column the row with the least (total, second), and both."""
    best = total.min(axis=0)
    tied = np.where(total == best, second, np.inf)
    row = tied.argmin(axis=0)
    return row, best, tied[row, np.arange(len(row))]


def chains(items, cost, second, classes, changes=0):
    """Return (F, S, back): least cost, its tie-breaker, and the item before, by [classes - 1, changes, item].

    A chain of k items that does not exist costs infinitely much.
    """
    m = len(items.sizes)
    best, other = np.full((2, classes, changes + 1, m), np.inf)
    back = np.full((classes, changes + 1, m), -1, np.int16)
    kinds = [(change, np.flatnonzero(items.change == change)) for change in range(min(changes, 1) + 1)]
    for change, columns in kinds:
        best[0, change, columns] = cost[0, columns]
        other[0, change, columns] = second[0, columns]
    steps = [(change, columns, cost[1:, columns], second[1:, columns]) for change, columns in kinds if len(columns)]
    for k in range(1, classes):
        for change, columns, step, step_second in steps:
            for c in range(change, min(k + 1, changes) + 1):
                before = best[k - 1, c - change][:, None], other[k - 1, c - change][:, None]
                found = _least(before[0] + step, before[1] + step_second)
                back[k, c, columns], best[k, c, columns], other[k, c, columns] = found
    return best, other, back


def chain_to(items, back, k, c, last):
    """Return the items of the chain of ``k + 1`` classes with ``c`` changes that ends at item ``last``."""
    found = [last]
    while k:
        last, c, k = int(back[k, c, last]), c - int(items.change[last]), k - 1
        found.append(last)
    return found[::-1]
