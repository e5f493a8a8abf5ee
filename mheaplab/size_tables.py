"""Tables of size classes that a heap may have: Go's, powers of two, or one's own; and which tables are legal.

A table is a list of classes, each a pair (bytes of an object, pages of a span), from small to large.  The kernel looks
classes up as Go does, so a table must suit Go's two look-up tables: every size a multiple of 8, above 1024 of 128, up
to 32 KiB exactly, which is where large objects begin.
"""

from .runtime.mksizeclasses import make_classes
from .runtime.structs import MAX_CLASSES, MAX_OBJECTS_PER_SPAN, MAX_SMALL_SIZE, PAGE_SIZE

_PAGE = int(PAGE_SIZE)
TINY = 16
"""Bytes of the tiny allocator's blocks: the size of one class."""
MAX_SPAN_PAGES = 64


def pow2_classes():
    """Return the table of powers of two from 8 bytes to 32 KiB: (bytes, pages), in spans with at least 8 objects."""
    sizes = [8 << k for k in range(13)]
    return tuple((size, max(1, 8 * size // _PAGE)) for size in sizes)


def go_classes():
    """Return Go's table, by the rules of mksizeclasses.go, without class 0."""
    sizes, npages = make_classes()
    return tuple(zip((int(s) for s in sizes[1:]), (int(n) for n in npages[1:]), strict=True))


def classes_of(table):
    """Return the classes that the parameter ``size_classes`` means."""
    if table == "go":
        return go_classes()
    return pow2_classes() if table == "pow2" else table


class SizeTables:
    """The legal values of a table of size classes."""

    def __contains__(self, value):
        if isinstance(value, str):
            return value in ("go", "pow2")
        return isinstance(value, tuple) and self._is_table(value)

    def _is_table(self, table):
        if not 2 <= len(table) < MAX_CLASSES or not all(self._is_class(item) for item in table):
            return False
        sizes = [size for size, _ in table]
        return sizes == sorted(set(sizes)) and sizes[-1] == MAX_SMALL_SIZE and TINY in sizes

    def _is_class(self, item):
        if not isinstance(item, tuple) or len(item) != 2 or not all(isinstance(n, int) for n in item):
            return False
        size, pages = item
        step = 8 if size <= 1024 else 128
        fits = 1 <= pages <= MAX_SPAN_PAGES and 0 < size <= pages * _PAGE
        return fits and size % step == 0 and pages * _PAGE // size <= MAX_OBJECTS_PER_SPAN

    def __str__(self):
        return (
            "'go', 'pow2', or a tuple of 2 to 127 pairs (bytes, pages) with rising sizes that end at 32768 and "
            "contain 16: multiples of 8, above 1024 of 128, at most 1,024 objects and 64 pages to a span"
        )
