"""fixalloc: records of spans, taken from a free list or from the end of their table.

Follows runtime/mfixalloc.go for the one use that the heap has so far, ``spanalloc``.  Simplified: Go refills in 16 KiB
pieces from persistentalloc; here the table's end moves by one record.
"""

import numpy as np

from ._jit import kjit
from .mpagealloc import Throw
from .tables import span


@kjit
def spanalloc_alloc(h):
    """mheap_.spanalloc.alloc: index of an unused span record. ``mheap_has_room`` has made sure that there is one."""
    i = np.int64(h.span_free)
    if i != 0:
        h.span_free = span(h, i).next
        span(h, i).on_free_list = np.uint32(0)
    else:
        i = np.int64(h.spans_len)
        if i >= np.int64(h.spans_cap):
            raise Throw("runtime: out of span records", i)
        h.spans_len = i + 1
    h.spans_in_use += 1
    return i


@kjit
def spanalloc_free(h, i):
    """mheap_.spanalloc.free: put span record ``i`` on the free list."""
    s = span(h, i)
    s.next = h.span_free
    s.on_free_list = np.uint32(1)
    h.span_free = np.uint32(i)
    h.spans_in_use -= 1
