"""Tables made by hand: a class moved, added or taken out, with what a Go version stands on kept.

A size is all that is asked for.  Pages come from the table at hand where it has that size, else from the rule of the
optimum: the count at which an object costs the least, of those that the version can hold.
"""

import functools
from bisect import bisect_left

import numpy as np

from .optimal import MAX_TABLE, candidates
from .rules import MAX_SIZE, rules_of
from .table import SizeClassTable, go_table


@functools.cache
def _best_pages(go):
    """Return the page count of each legal size, a dict: a slider that moves asks many times a second."""
    items = candidates(go)
    return dict(zip(items.sizes.tolist(), items.pages.tolist(), strict=True))


def legal_sizes(go="go1.19"):
    """Return the sizes in bytes that may be classes in a Go version, ascending: an int64 array."""
    return np.array(list(_best_pages(go)), np.int64)


def fixed_sizes(go="go1.19"):
    """Return the sizes that must be classes in a Go version: a tuple of int."""
    return rules_of(go).forced


def table_of(sizes, go="go1.19", like=None):
    """Return the table that has classes of ``sizes`` bytes.

    Parameters
    ----------
    sizes : sequence of int
        Bytes of each class, in any order; what a Go version needs (``fixed_sizes``) is added.
    go : str
        "go1.19" or "go1.27".
    like : SizeClassTable, optional
        Whose page counts are taken for sizes that it has; by default Go's.

    Raises
    ------
    ValueError
        If a size cannot be a class in that version, or there are too many.

    Examples
    --------
    >>> table_of([24, 48, 96]).sizes.tolist()
    [0, 8, 16, 24, 48, 96, 32768]
    """
    like = go_table(go) if like is None else like
    best = _best_pages(go)
    wanted = {int(size) for size in sizes} | set(fixed_sizes(go))
    illegal = sorted(wanted - best.keys())
    if illegal:
        raise ValueError(f"sizes: {illegal[0]:,} bytes cannot be a class in {go}, {nearest_words(illegal[0], go)}")
    if len(wanted) > MAX_TABLE:
        raise ValueError(f"sizes: {len(wanted)} classes are too many, expected at most {MAX_TABLE}")
    pages = best | {size: count for size, count in like.pairs if size in wanted}
    return SizeClassTable(tuple((size, pages[size]) for size in sorted(wanted)), "own table")


def nearest_words(size, go="go1.19"):
    """Return the legal sizes around a size that is not legal, in words."""
    legal = legal_sizes(go)
    if size > MAX_SIZE:
        return f"the largest is {MAX_SIZE:,}"
    at = int(np.searchsorted(legal, size))
    below = f"{legal[at - 1]:,} and " if at else ""
    return f"nearest are {below}{legal[at]:,}"


def moved(table, size, to, go="go1.19"):
    """Return ``table`` with its class of ``size`` bytes at ``to`` bytes instead, which may be past other classes.

    Raises
    ------
    ValueError
        If there is no such class, the version needs it, or ``to`` is a class already or cannot be one.
    """
    sizes = table.sizes[1:].tolist()
    at = _class_at(table, size, go)
    if to in sizes:
        raise ValueError(f"to = {to!r}: {table.name} has such a class")
    return table_of([*sizes[:at], to, *sizes[at + 1 :]], go, table)


def with_class(table, size, go="go1.19"):
    """Return ``table`` with a class of ``size`` bytes more; ``ValueError`` if that is not legal."""
    return table_of([*table.sizes[1:].tolist(), size], go, table)


def without_class(table, size, go="go1.19"):
    """Return ``table`` without its class of ``size`` bytes; ``ValueError`` if there is none or Go needs it."""
    sizes = table.sizes[1:].tolist()
    del sizes[_class_at(table, size, go)]
    return table_of(sizes, go, table)


def _class_at(table, size, go):
    """Return where a class that may be moved stands among the sizes."""
    sizes = table.sizes[1:].tolist()
    at = bisect_left(sizes, size)
    if at == len(sizes) or sizes[at] != size:
        raise ValueError(f"size = {size!r}: {table.name} has no such class")
    if size in fixed_sizes(go):
        raise ValueError(f"size = {size!r}: {go} needs this class")
    return at
