"""mspan, spanClass, spanAllocType and mSpanList: the small types of mheap.go.

A span is a run of pages (``MSPAN``). Its state says what it is: dead, in use (objects), or manual (a stack, a bitmap, a
work buffer). Its span class is a size class and a bit that says whether its objects are without pointers.

``mSpanList`` is a doubly linked list of spans, threaded through the records.  Stack pools and the lists of large free
stacks use it; heap spans do not, they stand in the span sets of their central.  A list is named by its index in
``h.span_lists``, and a span in a list knows which.

Follows runtime/mheap.go of Go 1.19.  Not simplified, but for the atomic box around the state: with one thread it is the
field.
"""

import numpy as np

from ._jit import kinline, kjit
from .mpagealloc import Throw
from .structs import PAGE_SHIFT, SPAN_ALLOC_HEAP, SPAN_DEAD, SPAN_MANUAL
from .tables import span


@kinline
def make_span_class(sizeclass, noscan):
    """makeSpanClass: the span class of ``sizeclass``, with or without pointers."""
    return np.int64(sizeclass) * 2 + (np.int64(1) if noscan else np.int64(0))


@kinline
def span_class_sizeclass(spc):
    """spanClass.sizeclass: the size class of span class ``spc``."""
    return np.int64(spc) >> 1


@kinline
def span_class_noscan(spc):
    """spanClass.noscan: whether objects of span class ``spc`` have no pointers."""
    return np.int64(spc) & 1 != 0


@kinline
def span_alloc_type_manual(typ):
    """spanAllocType.manual: whether spans of type ``typ`` are freed by hand, not by the collector."""
    return typ != SPAN_ALLOC_HEAP


@kinline
def mspan_state_box_get(s):
    """mSpanStateBox.get: the state of span ``s``."""
    return np.int64(s.state)


@kinline
def mspan_state_box_set(s, state):
    """mSpanStateBox.set: set the state of span ``s``."""
    if state < SPAN_DEAD or state > SPAN_MANUAL:
        raise Throw("bad span state", state)
    s.state = np.uint8(state)


@kinline
def mspan_base(s):
    """mspan.base: address of the first byte of span ``s``."""
    return np.int64(s.start_addr)


@kinline
def mspan_layout(s):
    """mspan.layout: bytes of a slot, slots that fit, and bytes of span ``s``; no slots where the size is 0."""
    total = np.int64(s.npages) << PAGE_SHIFT
    nbytes = np.int64(s.elemsize)
    n = total // nbytes if nbytes > 0 else np.int64(0)
    return nbytes, n, total


@kinline
def mspan_init(s, addr, npages):
    """mspan.init: make the record ``s`` a dead span of ``npages`` at ``addr``. Its sweepgen is left as it was."""
    s.next = np.uint32(0)
    s.prev = np.uint32(0)
    s.list = np.uint32(0)
    s.start_addr = addr
    s.npages = npages
    s.alloc_count = np.uint16(0)
    s.alloc_count_before_cache = np.uint16(0)
    s.spanclass = np.uint8(0)
    s.elemsize = np.int64(0)
    s.specials = np.uint32(0)
    s.needzero = np.uint8(0)
    s.freeindex = np.uint16(0)
    s.alloc_bits = np.uint32(0)
    s.gcmark_bits = np.uint32(0)
    s.state = np.uint8(SPAN_DEAD)


@kinline
def mspan_in_list(s):
    """mspan.inList: whether span ``s`` is in an mSpanList."""
    return s.list != 0


@kjit
def mspan_list_init(h, which):
    """mSpanList.init: empty list ``which``."""
    h.span_lists[which].first = np.uint32(0)
    h.span_lists[which].last = np.uint32(0)


@kjit
def mspan_list_is_empty(h, which):
    """mSpanList.isEmpty: whether list ``which`` has no span."""
    return h.span_lists[which].first == 0


@kjit
def mspan_list_insert(h, which, index):
    """mSpanList.insert: put span ``index``, which is in no list, in front of list ``which``."""
    q = h.span_lists[which]
    s = span(h, index)
    if s.next != 0 or s.prev != 0 or s.list != 0:
        raise Throw("mSpanList.insert", index, s.next, s.prev, s.list)
    s.next = q.first
    if q.first != 0:
        span(h, q.first).prev = np.uint32(index)
    else:
        q.last = np.uint32(index)
    q.first = np.uint32(index)
    s.list = np.uint32(which + 1)


@kjit
def mspan_list_insert_back(h, which, index):
    """mSpanList.insertBack: put span ``index``, which is in no list, at the end of list ``which``."""
    q = h.span_lists[which]
    s = span(h, index)
    if s.next != 0 or s.prev != 0 or s.list != 0:
        raise Throw("mSpanList.insertBack", index, s.next, s.prev, s.list)
    s.prev = q.last
    if q.last != 0:
        span(h, q.last).next = np.uint32(index)
    else:
        q.first = np.uint32(index)
    q.last = np.uint32(index)
    s.list = np.uint32(which + 1)


@kjit
def mspan_list_remove(h, which, index):
    """mSpanList.remove: take span ``index`` out of list ``which``."""
    q = h.span_lists[which]
    s = span(h, index)
    if np.int64(s.list) != which + 1:
        raise Throw("mSpanList.remove", index, s.npages, s.prev, s.list, which + 1)
    if np.int64(q.first) == index:
        q.first = s.next
    else:
        span(h, s.prev).next = s.next
    if np.int64(q.last) == index:
        q.last = s.prev
    else:
        span(h, s.next).prev = s.prev
    s.next = np.uint32(0)
    s.prev = np.uint32(0)
    s.list = np.uint32(0)


@kjit
def mspan_list_take_all(h, which, other):
    """mSpanList.takeAll: put all spans of list ``other`` in front of list ``which``."""
    q = h.span_lists[which]
    o = h.span_lists[other]
    if o.first == 0:
        return
    k = np.int64(o.first)
    while k != 0:
        span(h, k).list = np.uint32(which + 1)
        k = np.int64(span(h, k).next)
    if q.first == 0:
        q.first = o.first
        q.last = o.last
    else:
        span(h, o.last).next = q.first
        span(h, q.first).prev = o.last
        q.first = o.first
    o.first = np.uint32(0)
    o.last = np.uint32(0)
