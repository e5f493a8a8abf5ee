"""Tables of size classes that a heap may have: Go's, powers of two, or one's own; and which tables are legal.

A table is a list of classes, each a pair (bytes of an object, pages of a span), from small to large.  Every size up to
32 KiB then has a class, the smallest that holds it, since the last class is 32 KiB: beyond that objects are large.  The
other rules are what the runtime stands on:

* Go finds the class of a size in two tables, one by eighths up to 1024 bytes and one by 128ths above, so no other sizes
  could be told apart.
* Tiny objects are packed into blocks of 16 bytes, which are objects of the class of 16.
* A span's bitmaps have 1,024 bits, its objects are numbered in 16, and a span class has 8 (127 classes).
* The object that an address is in is found by multiplication with ceil(2**32 / size), which is only exact while the
  remainder of 2**32 by the size is small against the span (Go's generator makes the same check).

Since Go 1.22 there is one more, about what small objects with pointers keep in their span: see ``needs_of_headers``.
"""

import functools

from .runtime.mksizeclasses import div_magic, make_classes
from .runtime.structs import MAX_CLASSES, MAX_OBJECTS_PER_SPAN, MAX_SMALL_SIZE, PAGE_SIZE

_PAGE = int(PAGE_SIZE)
TINY = 16
"""Bytes of the tiny allocator's blocks: the size of one class."""
MAX_SPAN_PAGES = 64
SMALL_STEP, LARGE_STEP = 8, 128
STEP_ABOVE = 1024


def pow2_classes():
    """Return the table of powers of two from 8 bytes to 32 KiB: (bytes, pages), in spans with at least 8 objects."""
    sizes = [8 << k for k in range(13)]
    return tuple((size, max(1, 8 * size // _PAGE)) for size in sizes)


@functools.cache
def go_classes():
    """Return Go's table, by the rules of mksizeclasses.go, without class 0."""
    sizes, npages = make_classes()
    return tuple(zip((int(s) for s in sizes[1:]), (int(n) for n in npages[1:]), strict=True))


def classes_of(table):
    """Return the classes that the parameter ``size_classes`` means."""
    if table == "go":
        return go_classes()
    return pow2_classes() if table == "pow2" else table


def divides_exactly(size, pages):
    """Return whether multiplication tells the objects of a span apart: the last byte of the last is in the last."""
    objects = pages * _PAGE // size
    return (objects * size - 1) * int(div_magic([size])[0]) >> 32 == objects - 1


def _wrong_with_class(size, pages):
    """Return what is wrong with one class, "" if nothing."""
    step = LARGE_STEP if size > STEP_ABOVE else SMALL_STEP
    if size <= 0 or size % step:
        return f"a size {f'above {STEP_ABOVE:,} ' if size > STEP_ABOVE else ''}must be a positive multiple of {step}"
    if not 1 <= pages <= MAX_SPAN_PAGES:
        return f"a span must have 1 to {MAX_SPAN_PAGES} pages"
    if size > pages * _PAGE:
        return "the span does not hold one object"
    if pages * _PAGE // size > MAX_OBJECTS_PER_SPAN:
        return f"the span would have more than {MAX_OBJECTS_PER_SPAN:,} objects"
    return "" if divides_exactly(size, pages) else "Go's division by multiplication would name a wrong object"


def _is_pair(item):
    return isinstance(item, tuple) and len(item) == 2 and all(type(n) is int for n in item)


def needs_of_headers(classes, limit, inline):
    """Return what is wrong with ``classes`` for objects whose pointers are noted in their span, "" if nothing.

    Since Go 1.22 objects with pointers up to ``limit`` bytes (512; -1: none) have no header, and whether a span holds
    their pointer bitmap is asked of its slot size.  Both agree only if ``limit`` is a class; and inline marks (since
    1.26, ``inline`` bytes of a span) have room for one page of objects.  Go's mallocinit throws where this is not so.
    """
    if limit > 0 and limit not in (size for size, _ in classes):
        return f"no class of {limit} bytes, up to which objects with pointers have no header"
    for size, pages in classes:
        if inline and size <= limit and pages != 1:
            return f"the class of {size} bytes has spans of {pages} pages: inline marks are for spans of one page"
    return ""


class SizeTables:
    """The legal values of a table of size classes."""

    def __contains__(self, value):
        return self.reason(value) == ""

    def reason(self, value):
        """Return the first thing that is wrong with a table, "" if nothing is."""
        if isinstance(value, str) and value in ("go", "pow2"):
            return ""
        if not isinstance(value, tuple) or not all(_is_pair(item) for item in value):
            return "this is neither of them"
        if not 2 <= len(value) < MAX_CLASSES:
            return f"this has {len(value)} classes"
        for k, (size, pages) in enumerate(value):
            wrong = _wrong_with_class(size, pages)
            if not wrong and k and size <= value[k - 1][0]:
                wrong = "sizes must rise"
            if wrong:
                return f"class {k + 1}, {value[k]}: {wrong}"
        if value[-1][0] != MAX_SMALL_SIZE:
            return f"sizes above {value[-1][0]} would have no class: the last must be {MAX_SMALL_SIZE}"
        return "" if TINY in dict(value) else f"no class of {TINY} bytes, the blocks of tiny objects"

    def __str__(self):
        return (
            f"'go', 'pow2', or a tuple of 2 to {MAX_CLASSES - 1} pairs (bytes, pages) with rising sizes that end at "
            f"{MAX_SMALL_SIZE} and contain {TINY}: multiples of {SMALL_STEP}, above {STEP_ABOVE} of {LARGE_STEP}, at "
            f"most {MAX_OBJECTS_PER_SPAN:,} objects and {MAX_SPAN_PAGES} pages to a span"
        )
