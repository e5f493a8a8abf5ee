"""The size-class table by Go's rule: which slot sizes exist and how many pages their spans have.

Sizes grow in steps of an alignment that itself grows with the size (8 bytes at first, an eighth of the size between 128
and 2048, 256 above), so rounding up wastes at most 12.5% from the second power of two on.  Each class takes the fewest
pages whose unusable tail is under 12.5% of the span; a class that would have the same pages and the same number of
objects as the one before replaces it; at last every size is raised as far as its number of objects allows, in steps
of 128.  Go's generator promises these bounds and yields 68 classes, class 0 standing for large objects.

Follows runtime/mksizeclasses.go of Go 1.19 (in 1.27 runtime/_mkmalloc, with the same result).  Plain Python; runs when
parameters are made.
"""

import numpy as np

from .structs import MAX_CLASSES, MAX_SMALL_SIZE, MAX_SPAN_CLASSES

PAGE_BYTES = 8192
LARGE_SIZE_DIV = 128


def _alignment_after(nbytes, align):
    """Return the step to the next size once ``nbytes``, a power of two, has been passed."""
    if nbytes >= 2048:
        return 256
    if nbytes >= 128:
        return nbytes // 8
    return 16 if nbytes >= 32 else align


def make_classes():
    """makeClasses: return (sizes, npages), int64 arrays of 68, in bytes and pages; entry 0 is 0."""
    classes = [(0, 0)]
    align = 8
    nbytes = align
    while nbytes <= MAX_SMALL_SIZE:
        if nbytes & (nbytes - 1) == 0:
            align = _alignment_after(nbytes, align)
        alloc = PAGE_BYTES
        while alloc % nbytes > alloc // 8:
            alloc += PAGE_BYTES
        npages = alloc // PAGE_BYTES
        before_size, before_pages = classes[-1]
        if before_size and npages == before_pages and alloc // nbytes == alloc // before_size:
            classes[-1] = (nbytes, npages)
        else:
            classes.append((nbytes, npages))
        nbytes += align
    for i, (nbytes, npages) in enumerate(classes[1:], 1):
        span = npages * PAGE_BYTES
        classes[i] = (max(nbytes, span // (span // nbytes) & -LARGE_SIZE_DIV), npages)
    table = np.array(classes, dtype=np.int64)
    return table[:, 0].copy(), table[:, 1].copy()


def div_magic(sizes):
    """computeDivMagic: return ceil(2**32 / size) of each class (0 for class 0): n * magic >> 32 == n // size."""
    return np.array([0 if n == 0 else 0xFFFFFFFF // int(n) + 1 for n in sizes], dtype=np.uint32)


def size_to_class_tables(sizes):
    """Return (size_to_class8, size_to_class128): the smallest class that holds a size, by eighths and by 128ths."""
    classes = np.asarray(sizes, dtype=np.int64)[1:]
    small = np.searchsorted(classes, np.arange(129) * 8) + 1
    small[0] = 0
    large = np.searchsorted(classes, 1024 + np.arange(249) * 128) + 1
    return small.astype(np.uint8), large.astype(np.uint8)


def class_objects(sizes, npages, params):
    """Return the objects of a span of each span class (uint16, MAX_SPAN_CLASSES), after what the span reserves.

    ``params`` is a filled HEAP_PARAMS record: since Go 1.22 spans of small objects with pointers hold their pointer
    bitmap (1/64 of the span), since 1.26 spans of 16 to 512 bytes also hold inline marks.
    """
    nelems = np.zeros(MAX_SPAN_CLASSES, dtype=np.uint16)
    limit = int(params["heap_bits_in_span"])
    for c in range(1, min(len(sizes), MAX_CLASSES)):
        size = int(sizes[c])
        if size == 0:
            continue
        nbytes = int(npages[c]) * PAGE_BYTES
        for noscan in (0, 1):
            reserve = 0
            if size <= limit:
                reserve += int(params["inline_mark_bytes"]) if size >= int(params["inline_mark_min"]) else 0
                reserve += 0 if noscan else nbytes // 64
            nelems[2 * c + noscan] = (nbytes - reserve) // size
    return nelems
