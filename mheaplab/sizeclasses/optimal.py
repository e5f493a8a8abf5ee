"""The best table for a program: the least expected waste that Go's rules allow, for one program or for several.

What is minimised is what objects cost as slots (:mod:`mheaplab.sizeclasses.evaluate`): an object in a class with n
objects to a span of S bytes costs S / n.  What was requested does not depend on the table, so this is to minimise
waste.

Pages come first.  How many pages a class has changes S / n of that class and nothing else: not which objects are in it,
since that is up to sizes, nor another class.  So for each size the best page count can be chosen beforehand, on its
own: the one with the least S / n of all that are legal and not above a cap, and of equals the fewest.  (Where spans
keep bitmaps, in Go 1.27 up to 512 bytes, they have one page and there is nothing to choose.) The default cap is 10
pages, the most that a class of Go's has: more would make tails yet smaller, and a class with few objects larger.  Then
:mod:`mheaplab.sizeclasses.partition` finds the sizes.

Sizes are those that the Go version can hold (:mod:`mheaplab.sizeclasses.rules`): 376 with Go 1.27, 314 with Go 1.19.
"""

import numpy as np

from ..runtime.mksizeclasses import PAGE_BYTES, div_magic
from ..runtime.structs import MAX_CLASSES, MAX_OBJECTS_PER_SPAN
from ..size_tables import MAX_SPAN_PAGES, go_classes
from .demand import demand_of, slots
from .partition import Items, chain_to, chains, costs
from .rules import MAX_SIZE, least_before, rules_of, steps_kept
from .table import SizeClassTable, go_table

MAX_TABLE = MAX_CLASSES - 1
"""Classes that the numbers of span classes, 8 bits, have room for."""
GO_CLASSES = len(go_classes())
PAGES = 10
"""Pages of the largest span of a class of Go's."""


def _whole(name, value, low, high):
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} = {value!r} is outside its legal range: a whole number from {low} to {high}")
    return int(value)


def _pages_legal(sizes, pages, rules):
    """Return of each size (column) and page count (row) whether Go's runtime can hold such spans."""
    span = pages[:, None] * PAGE_BYTES
    objects = span // sizes
    last = (objects * sizes - 1) * div_magic(sizes).astype(np.int64) >> 32
    legal = (objects >= 1) & (objects <= MAX_OBJECTS_PER_SPAN) & (last == objects - 1)
    return legal & ((sizes > rules.one_page_to) | (pages[:, None] == 1))


def candidates(go="go1.19", align=None, pages=PAGES):
    """Return the :class:`Items` that may be classes in a Go version, each with its best page count.

    Parameters
    ----------
    go : str
        Go version.
    align : sequence of (int, int), optional
        Steps of one's own beside the version's: from the first number of bytes on, sizes are multiples of the second.
    pages : int
        Most pages to a span, 1 to 64.
    """
    rules = rules_of(go)
    cap = _whole("pages", pages, 1, MAX_SPAN_PAGES)
    steps = () if align is None else tuple(align)
    if not all(len(step) == 2 and min(step) >= 1 for step in steps):
        raise ValueError(f"align = {align!r}: expected pairs (from bytes on, multiples of bytes), from 1 on")
    sizes = np.arange(8, MAX_SIZE + 1, 8)
    sizes = sizes[steps_kept(sizes, (*rules.steps, *steps))]
    counts = np.arange(1, cap + 1)
    legal = _pages_legal(sizes, counts, rules)
    slot = np.full((2, *legal.shape), np.inf)
    for row, count in enumerate(counts):
        ok = legal[row]
        slot[:, row, ok] = count * PAGE_BYTES / slots(sizes[ok], np.full(ok.sum(), count), go)
    best = slot[1].argmin(axis=0)
    columns = np.arange(len(sizes))
    held = legal[best, columns]
    items = Items(
        sizes, counts[best], slot[:, best, columns], least_before(sizes, rules), np.ones(len(sizes), np.int64)
    )
    items = Items(*(column[..., held] for column in items))
    missing = sorted(set(rules.forced) - set(items.sizes.tolist()))
    if missing:
        raise ValueError(f"align = {align!r}, pages = {pages}: {go} needs a class of {missing[0]:,} bytes")
    return items


def _one_of_each(go):
    """Return the demand that decides between tables of equal cost: an object of each size, half with pointers."""
    return demand_of(np.full(MAX_SIZE + 1, 2.0), np.ones(MAX_SIZE + 1), go)


def _first_best(best, other):
    """Return the index of the least (best, other), of equals the first."""
    return int(np.lexsort((np.arange(len(best)), other, best))[0])


def best_table(demand, items, classes, go, name):
    """Return the best table of at most ``classes`` classes for a demand, from ``items``."""
    items = items._replace(change=np.zeros_like(items.change))
    cost = costs(items, demand.fitting(items.sizes))
    second = costs(items, _one_of_each(go).fitting(items.sizes))
    best, other, back = chains(items, cost, second, classes)
    last = len(items.sizes) - 1
    k = _first_best(best[:, 0, last], other[:, 0, last])
    if not np.isfinite(best[k, 0, last]):
        least = len(rules_of(go).forced)
        raise ValueError(f"classes = {classes} is too few for {go}: {least} sizes must be classes")
    chain = chain_to(items, back, k, 0, last)
    return SizeClassTable(tuple((int(items.sizes[j]), int(items.pages[j])) for j in chain), name)


def optimal(histogram, classes=GO_CLASSES, *, noscan=None, go="go1.19", align=None, pages=PAGES):
    """Return the table with the least expected waste for a program: a :class:`SizeClassTable`.

    No table that is legal in ``go``, has at most ``classes`` classes, sizes that ``align`` allows and spans of at most
    ``pages`` pages costs less; :mod:`mheaplab.sizeclasses.partition` has the proof.  With the defaults it is never
    worse than Go's own table, which is such a table.

    Parameters
    ----------
    histogram : array_like or object with ``by_size``
        Objects by requested size in bytes.
    classes : int
        Most classes, 2 to 127; by default 67, Go's number.
    noscan : array_like or object with ``by_size``, optional
        How many of them have no pointers, by default what the histogram itself knows; Go 1.27's headers and bitmaps
        are counted only with it.
    go : str
        Whose rules and layout: "go1.19" or "go1.27".
    align : sequence of (int, int), optional
        Further steps: from the first number of bytes on, sizes are multiples of the second.
    pages : int
        Most pages to a span.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range, or nothing is left that is legal.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.zeros(101); counts[100] = 1000
    >>> optimal(counts, classes=4).sizes.tolist()
    [0, 8, 16, 112, 32768]
    """
    classes = _whole("classes", classes, 2, MAX_TABLE)
    return best_table(demand_of(histogram, noscan, go), candidates(go, align, pages), classes, go, "optimal")


def _mixed(parts, noscan, go):
    """Return the weighted sum of demands, each as if it had asked for one byte."""
    parts = list(parts)
    splits = [None] * len(parts) if noscan is None else list(noscan)
    if not parts or len(splits) != len(parts):
        raise ValueError(f"parts, noscan: {len(parts)} and {len(splits)}, expected as many of both, and at least one")
    total = None
    for (histogram, weight), split in zip(parts, splits, strict=True):
        demand = demand_of(histogram, split, go)
        if not 0 <= weight < np.inf:
            raise ValueError(f"weight = {weight!r} is outside its legal range: 0 or more")
        if demand.requested:
            demand = demand.scaled(weight / demand.requested)
        total = demand if total is None else total + demand
    return total


def optimal_mixture(parts, classes=GO_CLASSES, *, noscan=None, go="go1.19", align=None, pages=PAGES):
    """Return the table that is best for several programs together.

    Each histogram is divided by the bytes that it requests, so that what is minimised is the weighted sum of the
    programs' waste per byte requested, and a long run counts as much as a short one.

    Parameters
    ----------
    parts : sequence of (histogram, float)
        Programs and their weights.
    noscan : sequence, optional
        Of each program the objects without pointers, or None.
    classes, go, align, pages
        As for :func:`optimal`.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range.
    """
    classes = _whole("classes", classes, 2, MAX_TABLE)
    return best_table(_mixed(parts, noscan, go), candidates(go, align, pages), classes, go, "optimal mixture")


def _with_kept(items, table, go):
    """Return the items, and beside them the classes of a table with its own pages, which are no changes."""
    sizes, pages = table.sizes[1:], table.npages[1:]
    slot = pages * PAGE_BYTES / slots(sizes, pages, go)
    kept = Items(sizes, pages, slot, least_before(sizes, rules_of(go)), np.zeros(len(sizes), np.int64))
    own = set(table.pairs)
    new = [pair not in own for pair in zip(items.sizes.tolist(), items.pages.tolist(), strict=True)]
    columns = [np.concatenate((a, b[..., new]), axis=-1) for a, b in zip(kept, items, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return Items(*(column[..., order] for column in columns))


def optimal_near(histogram, changes, table=None, *, noscan=None, go="go1.19", pages=PAGES):
    """Return the best table that differs from another in at most ``changes`` classes.

    A class is its size and its pages.  A change is a class of the new table that the other has not; the number of
    classes stays the same, so as many of the other's are gone.  Of tables with equal cost the one with the fewest
    changes is taken.

    Parameters
    ----------
    histogram, noscan, go, pages
        As for :func:`optimal`.
    changes : int
        Most changes; 0 gives the table itself.
    table : SizeClassTable, optional
        The table to stay near to; by default Go's.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range, or the table is not legal in ``go``.
    """
    return optimal_near_each(histogram, changes, table, noscan=noscan, go=go, pages=pages)[-1]


def optimal_near_each(histogram, changes, table=None, *, noscan=None, go="go1.19", pages=PAGES):
    """Return the best tables with at most 0, 1, ... ``changes`` changes, a list: one computation for all of them.

    Parameters and errors are those of :func:`optimal_near`.
    """
    table = go_table(go) if table is None else table
    wrong = table.why_not(go)
    if wrong:
        raise ValueError(f"table = {table.name}: {wrong}")
    changes = _whole("changes", changes, 0, len(table.pairs))
    items = _with_kept(candidates(go, None, pages), table, go)
    cost = costs(items, demand_of(histogram, noscan, go).fitting(items.sizes))
    second = costs(items, _one_of_each(go).fitting(items.sizes))
    k = len(table.pairs) - 1
    best, other, back = chains(items, cost, second, k + 1, changes)
    ends = np.flatnonzero(items.sizes == MAX_SIZE).tolist()
    found = [min((best[k, c, j], c, other[k, c, j], j) for j in ends) for c in range(changes + 1)]
    tables = []
    for at_most in range(changes + 1):
        _, c, _, last = min(found[: at_most + 1])
        chain = chain_to(items, back, k, c, last)
        pairs = tuple((int(items.sizes[j]), int(items.pages[j])) for j in chain)
        tables.append(SizeClassTable(pairs, f"{table.name}, {c} changed") if c else table)
    return tables
