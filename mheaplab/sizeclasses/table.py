"""SizeClassTable: a table of size classes with the columns that Go's generator prints, and Go's own table.

A table is data: pairs (bytes of an object, pages of a span).  Everything else follows from them, by the formulas of
Go's mksizeclasses.go, and has an entry 0, as in Go, for large objects.  A table need not be one that Go could run with
(other allocators' are not all): ``why_not`` says, and ``classes`` is what ``HeapParams(size_classes=...)`` takes.

``rule_table`` is Go's generator with its numbers as parameters.  ``mheaplab.runtime.mksizeclasses`` has the same with
Go's numbers alone, for the kernel; a test holds one to the other.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..runtime.mksizeclasses import LARGE_SIZE_DIV, PAGE_BYTES, div_magic, size_to_class_tables
from ..runtime.structs import MAX_OBJECTS_PER_SPAN
from ..size_tables import MAX_SPAN_PAGES, go_classes
from .rules import MAX_SIZE, rules_of, why_not

GO_STEPS = ((8, 8), (32, 16), (256, 32), (512, 64), (1024, 128), (2048, 256))
"""Go's alignment: once a power of two has been passed, the step to the next size, both in bytes."""


def _fixed(values, dtype=np.int64):
    array = np.asarray(values, dtype)
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class SizeClassTable:
    """A table of size classes up to 32 KiB.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Bytes of an object and pages (8 KiB) of a span of each class from 1 on; sizes rise, the last is 32,768.
    name : str
        What the table is called in tables and figures.

    Raises
    ------
    ValueError
        If these are no such pairs, or a span does not hold one object.

    Examples
    --------
    >>> SizeClassTable([(16, 1), (1024, 1), (32768, 4)]).objects.tolist()
    [0, 512, 8, 1]
    """

    pairs: tuple
    name: str = "table"

    def __post_init__(self):
        try:
            pairs = tuple((int(size), int(pages)) for size, pages in self.pairs)
            whole = all(size == a and pages == b for (size, pages), (a, b) in zip(self.pairs, pairs, strict=True))
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise ValueError("pairs: expected pairs of whole numbers, bytes of an object and pages of a span")
        before = 0
        for size, pages in pairs:
            if size <= before:
                raise ValueError(f"pairs: a size of {size} after {before}, expected sizes that rise from 1 on")
            if not 1 <= pages <= MAX_SPAN_PAGES or pages * PAGE_BYTES < size:
                raise ValueError(
                    f"pairs: {pages} pages for {size} bytes, expected 1 to {MAX_SPAN_PAGES} that hold an object"
                )
            before = size
        if before != MAX_SIZE:
            raise ValueError(f"pairs: the last size is {before}, expected {MAX_SIZE}, so that every size has a class")
        object.__setattr__(self, "pairs", pairs)

    def __len__(self):
        return len(self.pairs) + 1

    @cached_property
    def sizes(self):
        """Bytes of an object, by class; 0 for class 0."""
        return _fixed([0, *(size for size, _ in self.pairs)])

    @cached_property
    def npages(self):
        """Pages of a span, by class; 0 for class 0."""
        return _fixed([0, *(pages for _, pages in self.pairs)])

    @cached_property
    def objects(self):
        """Objects that a span would hold if it held nothing else, by class."""
        return _fixed(self.npages * PAGE_BYTES // np.maximum(self.sizes, 1))

    @cached_property
    def tail_waste(self):
        """Bytes of a span after its last object, by class."""
        return _fixed(self.npages * PAGE_BYTES - self.objects * self.sizes)

    @cached_property
    def max_waste(self):
        """Share of a span that is wasted when all its objects have the least size of the class, by class."""
        span = self.npages * PAGE_BYTES
        rounding = (self.sizes - np.concatenate(([0], self.sizes[:-1])) - 1) * self.objects
        return _fixed(np.where(span > 0, rounding + self.tail_waste, 0) / np.maximum(span, 1), np.float64)

    @cached_property
    def min_align(self):
        """Bytes that every object of a class is aligned to: the power of two in its size, a page at most."""
        return _fixed(np.minimum(self.sizes & -self.sizes, PAGE_BYTES))

    @cached_property
    def div_magic(self):
        """Go's class_to_divmagic: ceil(2**32 / size), by class; 0 for class 0."""
        return _fixed(div_magic(self.sizes), np.uint32)

    @property
    def size_to_class8(self):
        """Go's table from sizes up to 1,024, by eighths, to classes."""
        return self._lookup[0]

    @property
    def size_to_class128(self):
        """Go's table from sizes above 1,024, by 128ths, to classes."""
        return self._lookup[1]

    @cached_property
    def _lookup(self):
        fine = [s for s, _ in self.pairs if s % 8 or (s > 1024 and s % 128)]
        if fine or len(self) > 256:
            why = f"it tells {fine[0]} from its neighbours" if fine else f"{len(self)} classes are too many"
            raise ValueError(f"{self.name}: Go's tables from sizes to classes cannot say this one, {why}")
        return tuple(_fixed(column, np.uint8) for column in size_to_class_tables(self.sizes))

    def classes(self):
        """Return the table as ``HeapParams(size_classes=...)`` takes it: a tuple of (bytes, pages)."""
        return self.pairs

    def why_not(self, go="go1.19"):
        """Return why Go version ``go`` could not run with this table, "" if it could; see ``sizeclasses.rules``."""
        return why_not(self.pairs, go)

    def class_of(self, size):
        """Return the class of a size in bytes, 0 for what is in none."""
        if not 0 < size <= MAX_SIZE:
            return 0
        return int(np.searchsorted(self.sizes, size))


def go_table(go="go1.19"):
    """Return the table of a Go version, "go1.19" or "go1.27": they have the same 67 classes.

    Source: runtime/sizeclasses.go of Go 1.19, internal/runtime/gc/sizeclasses.go of Go 1.27.
    """
    rules_of(go)
    return SizeClassTable(go_classes(), go)


def _check_rule(steps, waste, objects):
    """Raise ``ValueError`` for numbers that would make no table."""
    if not steps or any(step < 8 or start < 8 or start & (start - 1) or start % step for start, step in steps):
        raise ValueError(f"steps = {steps!r}: expected pairs of a power of two from 8 on and a step that divides it")
    if [start for start, _ in steps] != sorted({start for start, _ in steps}) or steps[0][0] != 8:
        raise ValueError(f"steps = {steps!r}: expected rising powers of two, the first of them 8")
    if not 0 < waste < 1:
        raise ValueError(f"waste = {waste!r} is outside its legal range: above 0, below 1")
    if not 1 <= objects <= MAX_OBJECTS_PER_SPAN:
        raise ValueError(f"max_objects = {objects!r} is outside its legal range: 1 to {MAX_OBJECTS_PER_SPAN}")


def _merged(steps, waste, max_objects, merge):
    """Return the pairs before sizes are raised: every size of the steps, and those dropped that add nothing."""
    pairs, size, step, starts = [], 8, 8, dict(steps)
    while size <= MAX_SIZE:
        step = starts.get(size, step)
        pages = 1
        while pages <= MAX_SPAN_PAGES and (
            pages * PAGE_BYTES < size or pages * PAGE_BYTES % size > waste * pages * PAGE_BYTES
        ):
            pages += 1
        objects = pages * PAGE_BYTES // size
        if pages > MAX_SPAN_PAGES:
            raise ValueError(f"waste = {waste!r}: no span of up to {MAX_SPAN_PAGES} pages is so full of {size} bytes")
        if objects <= max_objects:
            same = bool(merge and pairs) and (pages, objects) == (pairs[-1][1], pages * PAGE_BYTES // pairs[-1][0])
            pairs[len(pairs) - same :] = [(size, pages)]
        size += step
    return pairs


def rule_table(steps=GO_STEPS, waste=0.125, max_objects=1024, merge=True, grow=True):
    """Return the table that the rule of Go's generator gives with other numbers; without arguments, Go's.

    Sizes go up in steps.  Each size has the fewest pages with at most ``waste`` of the span in the tail.

    Parameters
    ----------
    steps : sequence of (int, int)
        Once the first, a power of two, has been reached, sizes go up by the second; both in bytes.
    waste : float
        Largest share of a span that its tail may be; in Go an eighth.
    max_objects : int
        Objects that a span may hold; sizes of which one page holds more are left out.
    merge : bool
        Whether a size takes the place of the one before if a span of as many pages holds as many of it.
    grow : bool
        Whether sizes are raised, in multiples of 128, as far as a span holds as many.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range, or there is no size or no span that meets it.

    Notes
    -----
    Follows makeClasses of runtime/mksizeclasses.go (Go 1.19), runtime/_mkmalloc (Go 1.27).
    """
    steps = tuple(tuple(pair) for pair in steps)
    _check_rule(steps, waste, max_objects)
    pairs = _merged(steps, waste, max_objects, merge)
    if grow:
        spans = [(size, pages * PAGE_BYTES) for size, pages in pairs]
        raised = [max(size, span // (span // size) & -LARGE_SIZE_DIV) for size, span in spans]
        pairs = sorted({size: pages for size, (_, pages) in zip(raised, pairs, strict=True)}.items())
    return SizeClassTable(pairs, "rule")
