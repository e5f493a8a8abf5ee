"""Recounts of what hangs in lists: bitmap arenas, span lists and free stacks, specials, and the simulated OS.

The second half of ``verify``: the same rules, in a file of its own for its length.
"""

import numpy as np

from ._jit import kjit
from .mbitmap import mspan_is_allocated
from .mheap_arena import arena_base, arena_idx_l1, arena_page, page_bit, page_index_of, span_of
from .mpallocbits import U0
from .structs import (
    FIXED_STACK,
    GC_BITS_CHUNK_WORDS,
    GC_OFF,
    MAX_PS,
    NUM_STACK_ORDERS,
    SPAN_IN_USE,
    SPAN_MANUAL,
    SPECIAL_KINDS,
    SPECIAL_REACHABLE,
    STACK_CACHE_SIZE,
    STACK_LARGE_ORDERS,
)
from .tables import arena_map, gc_bits_word, heap_arena, os_range, span, special, stack_slots

IN_FREE_LIST = np.int64(4)


class Violation(AssertionError):
    """A recount failed; args: the invariant's id, then numbers."""


@kjit
def _list_arenas(h, where, first, name):
    """Note list ``name`` for each bitmap arena of the list that begins at ``first``."""
    a = np.int64(first)
    while a != 0:
        k = a // GC_BITS_CHUNK_WORDS
        if a % GC_BITS_CHUNK_WORDS != 0 or where[k] != 0:
            raise Violation("G1", a, where[k], name)
        where[k] = name
        a = np.int64(gc_bits_word(h, a + 1))


@kjit
def verify_bitmap_arenas(h):
    """G1, G2: lists of bitmap arenas, and that no span's bitmap lies in a free one."""
    made = np.int64(h.gc_bits_len) // GC_BITS_CHUNK_WORDS
    where = np.zeros(made, np.int64)
    _list_arenas(h, where, h.bits_next, np.int64(1))
    _list_arenas(h, where, h.bits_current, np.int64(2))
    _list_arenas(h, where, h.bits_previous, np.int64(3))
    _list_arenas(h, where, h.bits_free, IN_FREE_LIST)
    for k in range(1, made):
        if where[k] == 0:
            raise Violation("G1", k * GC_BITS_CHUNK_WORDS, 0, 0)
    if (made - 1) * GC_BITS_CHUNK_WORDS * 8 != h.stats.gc_bits_sys:
        raise Violation("G1", made - 1, h.stats.gc_bits_sys)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state == SPAN_IN_USE:
            marks = where[np.int64(s.gcmark_bits) // GC_BITS_CHUNK_WORDS]
            taken = where[np.int64(s.alloc_bits) // GC_BITS_CHUNK_WORDS]
            if marks == 0 or marks == IN_FREE_LIST or taken == 0 or taken == IN_FREE_LIST:
                raise Violation("G2", s.start_addr, s.gcmark_bits, s.alloc_bits)


@kjit
def verify_os(h):
    """O3, O4: what the simulated OS has given, and that the arenas map leads to all arenas."""
    n = np.int64(h.os_ranges_len)
    for k in range(n):
        r = os_range(h, k)
        if r.base_addr >= r.limit or (k > 0 and np.int64(os_range(h, k - 1).limit) > np.int64(r.base_addr)):
            raise Violation("O3", k, r.base_addr, r.limit)
    for a in range(1, np.int64(h.heap_arenas_len)):
        ai = np.int64(heap_arena(h, a).arena_idx)
        if arena_map(h, ai) != a or h.arena_l1[arena_idx_l1(h, ai)] == 0:
            raise Violation("O4", a, ai, arena_map(h, ai))
        base = arena_base(h, ai)
        limit = base + (np.int64(1) << np.int64(h.params.log_arena_bytes))
        owned = False
        for k in range(n):
            owned = owned or (np.int64(os_range(h, k).base_addr) <= base and limit <= np.int64(os_range(h, k).limit))
        if not owned:
            raise Violation("O3", base, limit)


@kjit
def verify_specials(h):
    """T1, T2: the specials of each span, and how many records there are."""
    count = np.zeros(SPECIAL_KINDS, np.int64)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        start = np.int64(s.start_addr)
        a, _, _ = page_index_of(h, start)
        bit = page_bit(heap_arena(h, a).page_specials, arena_page(h, start))
        if (bit != U0) != (s.specials != 0):
            raise Violation("T1", start, s.specials, bit)
        offset, kind = np.int64(-1), np.int64(0)
        k = np.int64(s.specials)
        while k != 0:
            sp = special(h, k)
            at, of = np.int64(sp.offset), np.int64(sp.kind)
            if at < offset or (at == offset and of < kind):
                raise Violation("T1", start, offset, kind, at, of)
            if not mspan_is_allocated(h, s, at // np.int64(s.elemsize)):
                raise Violation("T1", start, at, of)
            offset, kind = at, of
            count[of] += 1
            k = np.int64(sp.next)
    for kind in range(1, SPECIAL_KINDS):
        f = h.specialalloc[kind]
        records = count[kind] * np.int64(f.item_bytes)
        # A reachable special outlives the object: whoever made it still looks at it.
        if records > f.in_use or (records != f.in_use and kind != SPECIAL_REACHABLE):
            raise Violation("T2", kind, count[kind], f.in_use)


@kjit
def _verify_span_list(h, which):
    """L1 for one list; the number of spans in it."""
    q = h.span_lists[which]
    n = 0
    before = np.int64(0)
    at = np.int64(q.first)
    while at != 0:
        s = span(h, at)
        if np.int64(s.list) != which + 1 or np.int64(s.prev) != before or s.state != SPAN_MANUAL:
            raise Violation("L1", which, at, s.list, s.prev, before)
        if which < NUM_STACK_ORDERS and s.manual_free_list == 0:
            raise Violation("L1", which, at)
        n += 1
        before = at
        at = np.int64(s.next)
    if np.int64(q.last) != before or (n != 0 and which >= NUM_STACK_ORDERS and h.gcphase == GC_OFF):
        raise Violation("L1", which, q.last, before, n)
    return n


@kjit
def verify_stacks(h):
    """L1, K1, K2: lists of spans, free stacks of pool spans, and stack caches."""
    listed = 0
    for which in range(NUM_STACK_ORDERS + STACK_LARGE_ORDERS):
        listed += _verify_span_list(h, np.int64(which))
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_MANUAL:
            continue
        if s.list != 0:
            listed -= 1
        if s.slots == 0:
            continue
        free = 0
        x = np.int64(s.manual_free_list)
        while x != 0:
            if span_of(h, x) != i:
                raise Violation("K1", s.start_addr, x)
            free += 1
            x = np.int64(stack_slots(h, s.slots).next[(x - np.int64(s.start_addr)) // np.int64(s.elemsize)])
        if free + np.int64(s.alloc_count) != STACK_CACHE_SIZE // np.int64(s.elemsize):
            raise Violation("K1", s.start_addr, free, s.alloc_count, s.elemsize)
        if (free != 0) != (s.list != 0):
            raise Violation("L1", s.start_addr, free, s.list)
    if listed != 0:
        raise Violation("L1", listed)
    for p in range(MAX_PS):
        for order in range(NUM_STACK_ORDERS):
            _verify_stack_cache(h, np.int64(p), np.int64(order))


@kjit
def _verify_stack_cache(h, p, order):
    """K2: the stacks of one cache are of its size and as many as it says."""
    c = h.allp[p].mcache.stackcache[order]
    held = np.int64(0)
    x = np.int64(c.list)
    while x != 0:
        s = span(h, span_of(h, x))
        if s.state != SPAN_MANUAL or np.int64(s.elemsize) != FIXED_STACK << order:
            raise Violation("K2", p, order, x)
        held += FIXED_STACK << order
        if held > c.held:
            raise Violation("K2", p, order, held, c.held)
        x = np.int64(stack_slots(h, s.slots).next[(x - np.int64(s.start_addr)) // np.int64(s.elemsize)])
    if held != c.held:
        raise Violation("K2", p, order, held, c.held)
