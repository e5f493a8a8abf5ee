"""Stacks: where the memory of goroutine stacks comes from.

Stacks of 2, 4, 8 and 16 KiB are cut from spans of 32 KiB.  Each P has a cache of free stacks per size, linked through
the stacks themselves; an empty cache is refilled to half its limit of 32 KiB from the *stack pool* of that size, a list
of manual spans that have a free stack, and one that is full gives half back.  Without a P the pool is used directly.
Larger stacks are spans of their own.  While the collector marks, nothing goes back to the heap: empty pool spans stay
in their pool and large stacks wait in the lists of ``stackLarge``; ``free_stack_spans`` returns both when marking ends.

The link from one free stack to the next stands in a ``STACK_SLOTS`` record of the span, since the twin's memory has no
contents.

Follows stackalloc, stackfree, stackpoolalloc, stackpoolfree, stackcacherefill, stackcacherelease, stackcache_clear and
freeStackSpans of runtime/stack.go, Go 1.19.  Not simplified, but for stackNoCache and the sanitizers.
"""

import numpy as np

from ._jit import kinline, kjit
from .mheap import mheap_alloc_manual, mheap_free_manual
from .mheap_arena import span_of_unchecked
from .mpagealloc import Throw
from .mspan import mspan_list_insert, mspan_list_is_empty, mspan_list_remove
from .structs import (
    FIXED_STACK,
    GC_OFF,
    NO_P,
    NUM_STACK_ORDERS,
    PAGE_SHIFT,
    SPAN_ALLOC_STACK,
    SPAN_MANUAL,
    STACK_CACHE_SIZE,
    STACK_LARGE_ORDERS,
)
from .tables import span, stack_slots

OUT_OF_MEMORY = np.int64(0)


@kinline
def stack_order(n):
    """Order of a stack of ``n`` bytes: log2 of its size over the smallest."""
    order = np.int64(0)
    while FIXED_STACK << order < n:
        order += 1
    return order


@kinline
def stacklog2(n):
    """stacklog2: floor of log2 of ``n``."""
    log = np.int64(0)
    while n > 1:
        n >>= 1
        log += 1
    return log


@kjit
def _link(h, x):
    """The address of the free stack after the one at ``x``."""
    s = span(h, span_of_unchecked(h, x))
    return np.int64(stack_slots(h, s.slots).next[(x - np.int64(s.start_addr)) // np.int64(s.elemsize)])


@kjit
def _set_link(h, x, to):
    """Let the free stack at ``x`` be followed by the one at ``to``."""
    s = span(h, span_of_unchecked(h, x))
    stack_slots(h, s.slots).next[(x - np.int64(s.start_addr)) // np.int64(s.elemsize)] = to


@kjit
def _slots_alloc(h):
    """A record for the links of a span, from the free list or the table's end. ``mheap_has_room`` made room."""
    i = np.int64(h.slots_free)
    if i != 0:
        h.slots_free = stack_slots(h, i).link
        return i
    i = np.int64(h.stack_slots_len)
    h.stack_slots_len = i + 1
    return i


@kjit
def _free_stack_span(h, index):
    """Free a stack pool's span, which is in no list any more, and its record of links."""
    s = span(h, index)
    s.manual_free_list = np.int64(0)
    if s.slots != 0:
        stack_slots(h, s.slots).link = h.slots_free
        h.slots_free = s.slots
        s.slots = np.uint32(0)
    mheap_free_manual(h, index, SPAN_ALLOC_STACK)


@kjit
def stackpoolalloc(h, order, p):
    """stackpoolalloc: a free stack of ``order`` from the pool; its address, 0 when out of memory."""
    index = np.int64(h.span_lists[order].first)
    if index == 0:
        index = mheap_alloc_manual(h, STACK_CACHE_SIZE >> PAGE_SHIFT, SPAN_ALLOC_STACK, p)
        if index == 0:
            return OUT_OF_MEMORY
        s = span(h, index)
        s.elemsize = FIXED_STACK << order
        s.slots = np.uint32(_slots_alloc(h))
        x = np.int64(s.start_addr)
        while x < np.int64(s.start_addr) + STACK_CACHE_SIZE:
            _set_link(h, x, np.int64(s.manual_free_list))
            s.manual_free_list = x
            x += np.int64(s.elemsize)
        mspan_list_insert(h, order, index)
    s = span(h, index)
    x = np.int64(s.manual_free_list)
    if x == 0:
        raise Throw("span has no free stacks", s.start_addr)
    s.manual_free_list = _link(h, x)
    s.alloc_count += np.uint16(1)
    if s.manual_free_list == 0:
        mspan_list_remove(h, order, index)
    return x


@kjit
def stackpoolfree(h, x, order):
    """stackpoolfree: give the stack at ``x`` back to the pool of ``order``; frees its span if that is empty."""
    index = span_of_unchecked(h, x)
    s = span(h, index)
    if s.state != SPAN_MANUAL or s.slots == 0:
        raise Throw("freeing stack not in a stack span", x)
    if s.manual_free_list == 0:
        mspan_list_insert(h, order, index)
    _set_link(h, x, np.int64(s.manual_free_list))
    s.manual_free_list = x
    s.alloc_count -= np.uint16(1)
    if h.gcphase == GC_OFF and s.alloc_count == 0:
        mspan_list_remove(h, order, index)
        _free_stack_span(h, index)


@kjit
def stackcacherefill(h, p, order):
    """stackcacherefill: fill the cache of P ``p`` with stacks of ``order`` up to half its limit; False: no memory."""
    first = np.int64(0)
    held = np.int64(0)
    while held < STACK_CACHE_SIZE // 2:
        x = stackpoolalloc(h, order, p)
        if x == 0:
            return False
        _set_link(h, x, first)
        first = x
        held += FIXED_STACK << order
    c = h.allp[p].mcache.stackcache[order]
    c.list = first
    c.held = held
    return True


@kjit
def stackcacherelease(h, p, order, keep):
    """stackcacherelease: free stacks of ``order`` from the cache of P ``p`` until it holds at most ``keep`` bytes."""
    c = h.allp[p].mcache.stackcache[order]
    while np.int64(c.held) > keep:
        x = np.int64(c.list)
        c.list = _link(h, x)
        c.held -= FIXED_STACK << order
        stackpoolfree(h, x, order)


@kjit
def stackcache_clear(h, p):
    """stackcache_clear: empty all stack caches of P ``p``."""
    for order in range(NUM_STACK_ORDERS):
        stackcacherelease(h, p, np.int64(order), np.int64(0))


@kjit
def stackalloc(h, n, p):
    """stackalloc: a stack of ``n`` bytes (a power of two, at least 2 KiB) for P ``p``; its address, 0: no memory."""
    if n < FIXED_STACK or n & (n - 1) != 0:
        raise Throw("stack size not a power of 2", n)
    if n < FIXED_STACK << NUM_STACK_ORDERS and n < STACK_CACHE_SIZE:
        order = stack_order(n)
        if p == NO_P:
            return stackpoolalloc(h, order, p)
        c = h.allp[p].mcache.stackcache[order]
        if c.list == 0 and not stackcacherefill(h, p, order):
            return OUT_OF_MEMORY
        x = np.int64(c.list)
        c.list = _link(h, x)
        c.held -= n
        return x
    npages = n >> PAGE_SHIFT
    which = NUM_STACK_ORDERS + stacklog2(npages)
    index = np.int64(h.span_lists[which].first)
    if index != 0:
        mspan_list_remove(h, which, index)
    else:
        index = mheap_alloc_manual(h, npages, SPAN_ALLOC_STACK, p)
        if index == 0:
            return OUT_OF_MEMORY
        span(h, index).elemsize = n
    return np.int64(span(h, index).start_addr)


@kjit
def stackfree(h, x, n, p):
    """stackfree: free the stack of ``n`` bytes at ``x``."""
    if n < FIXED_STACK or n & (n - 1) != 0:
        raise Throw("stack not a power of 2", n)
    if n < FIXED_STACK << NUM_STACK_ORDERS and n < STACK_CACHE_SIZE:
        order = stack_order(n)
        if p == NO_P:
            stackpoolfree(h, x, order)
            return
        c = h.allp[p].mcache.stackcache[order]
        if c.held >= STACK_CACHE_SIZE:
            stackcacherelease(h, p, order, STACK_CACHE_SIZE // 2)
        _set_link(h, x, np.int64(c.list))
        c.list = x
        c.held += n
        return
    index = span_of_unchecked(h, x)
    s = span(h, index)
    if s.state != SPAN_MANUAL:
        raise Throw("bad span state", s.start_addr, s.state)
    if h.gcphase == GC_OFF:
        mheap_free_manual(h, index, SPAN_ALLOC_STACK)
    else:
        mspan_list_insert(h, NUM_STACK_ORDERS + stacklog2(np.int64(s.npages)), index)


@kjit
def free_stack_spans(h):
    """freeStackSpans: when marking has ended, free the pools' empty spans and all large free stacks."""
    for order in range(NUM_STACK_ORDERS):
        index = np.int64(h.span_lists[order].first)
        while index != 0:
            after = np.int64(span(h, index).next)
            if span(h, index).alloc_count == 0:
                mspan_list_remove(h, np.int64(order), index)
                _free_stack_span(h, index)
            index = after
    for k in range(NUM_STACK_ORDERS, NUM_STACK_ORDERS + STACK_LARGE_ORDERS):
        while not mspan_list_is_empty(h, np.int64(k)):
            index = np.int64(h.span_lists[k].first)
            mspan_list_remove(h, np.int64(k), index)
            mheap_free_manual(h, index, SPAN_ALLOC_STACK)
