"""Entry points for one heap that is driven by hand, one call at a time, and asked about addresses (``mheaplab.heap``).

``do_by_hand`` applies one event of any kind; ``collect_by_hand`` ends a collection that found certain objects alive;
``ask`` answers the questions of mheap.go about an address, in numbers.  A replay uses none of these.

Running out of memory is an answer here (0), not a throw as in a replay: the heap may go on with what it has.
"""

import numpy as np

from ._jit import kentry, kjit
from .malloc import NEED_ROOM, mallocgc
from .mbitmap import mspan_is_allocated, mspan_obj_index
from .mcache import mcache_release_all
from .mgc import clear_page_marks, gc_sweep, reset_live, set_page_mark_of, set_page_marks
from .mgcscavenge import page_alloc_scavenge
from .mheap import mheap_alloc_manual, mheap_has_room
from .mheap_arena import (
    arena_base,
    arena_idx_l1,
    arena_idx_l2,
    arena_index,
    arenas_lookup,
    in_heap,
    in_heap_or_stack,
    page_index_of,
    span_of,
    span_of_heap,
    span_of_unchecked,
)
from .mheap_gcbits import gc_bits_is_set, gc_bits_set
from .run import apply_event
from .stack import free_stack_spans, stackalloc, stackcache_clear
from .structs import (
    MALLOC,
    MAX_PS,
    PAGE_SHIFT,
    SPAN_ALLOC,
    SPECIAL_FINALIZER,
    STACK_ALLOC,
)
from .tables import span, special

ASK_ARENA_INDEX = 0
ASK_SPAN_OF = 1
ASK_SPAN_OF_HEAP = 2
ASK_SPAN_OF_UNCHECKED = 3
ASK_IN_HEAP = 4
ASK_IN_HEAP_OR_STACK = 5
ASK_ARENA = 6
ASK_PAGE_INDEX = 7
ASK_ARENA_BASE = 8
ASK_ARENA_L1 = 9
ASK_ARENA_L2 = 10
ASK_OBJECT = 11


@kjit
def _manual_by_hand(h, kind, p, typ, n):
    """SPAN_ALLOC of ``n`` pages or STACK_ALLOC of ``n`` bytes; address, 0 out of memory, or ``NEED_ROOM``."""
    npages = n if kind == SPAN_ALLOC else max(n >> PAGE_SHIFT, np.int64(4))
    if not mheap_has_room(h, npages):
        return NEED_ROOM
    h.current_p = p
    if kind == STACK_ALLOC:
        return stackalloc(h, n, p)
    index = mheap_alloc_manual(h, n, typ, p)
    return np.int64(0) if index == 0 else np.int64(span(h, index).start_addr)


@kentry
def do_by_hand(h, kind, p, flags, nbytes, addr):
    """Apply one event; its address, 0 or ``NEED_ROOM``. For MALLOC ``flags`` is 1 without pointers."""
    if kind == MALLOC:
        return mallocgc(h, nbytes, flags & 1 != 0, p, np.int64(0))
    if kind == SPAN_ALLOC or kind == STACK_ALLOC:
        return _manual_by_hand(h, kind, p, flags, nbytes)
    return apply_event(h, kind, p, flags, nbytes, addr)


@kentry
def scavenge_by_hand(h, nbytes):
    """Return at least ``nbytes`` to the OS, as far as the scavenger finds some; the bytes returned."""
    return page_alloc_scavenge(h, nbytes)


@kjit
def _outlives_its_sweep(h, s, obj):
    """Whether the sweep that unswept span ``s`` still waits for keeps object ``obj``: marked, or to be finalized."""
    if gc_bits_is_set(h, s.gcmark_bits, obj):
        return True
    current = np.int64(s.specials)
    while current != 0:
        sp = special(h, current)
        if np.int64(sp.kind) == SPECIAL_FINALIZER and np.int64(sp.offset) // np.int64(s.elemsize) == obj:
            return True
        current = np.int64(sp.next)
    return False


@kjit
def object_index_of(h, addr):
    """(span, object) that holds ``addr``: span 0 outside the heap, object -1 where none is, or a dead one."""
    index = span_of_heap(h, addr)
    if index == 0:
        return index, np.int64(-1)
    s = span(h, index)
    obj = mspan_obj_index(s, addr)
    there = mspan_is_allocated(h, s, obj)
    if there and np.int64(s.sweepgen) == np.int64(h.sweepgen) - 2:
        there = _outlives_its_sweep(h, s, obj)
    return index, obj if there else np.int64(-1)


@kentry
def check_live(h, live):
    """Check that each address of ``live`` is in an allocated object; 0, or 2 + 2 * position, plus 1 in a free slot."""
    for k in range(live.shape[0]):
        index, obj = object_index_of(h, np.int64(live[k]))
        if index == 0:
            return 2 + 2 * np.int64(k)
        if obj < 0:
            return 3 + 2 * np.int64(k)
    return np.int64(0)


@kentry
def collect_by_hand(h, live, page_marked, given):
    """End marking: the objects at ``live`` (checked) live and nothing else; every span then needs sweeping.

    Every P gives back its cached spans and stacks.  Where ``given``, spans with inline marks have a page mark if they
    hold an address of ``page_marked``, otherwise by rule.  Returns 0 or ``NEED_ROOM``.
    """
    # The room that an allocation made for one sweep of everything may be used up by earlier collections.
    if not mheap_has_room(h, np.int64(1)):
        return NEED_ROOM
    clear_page_marks(h)
    for k in range(live.shape[0]):
        index, obj = object_index_of(h, np.int64(live[k]))
        gc_bits_set(h, span(h, index).gcmark_bits, obj)
    set_page_marks(h, given)
    for k in range(page_marked.shape[0]):
        set_page_mark_of(h, np.int64(page_marked[k]))
    reset_live(h)
    gc_sweep(h)
    free_stack_spans(h)
    for p in range(MAX_PS - 1):
        h.current_p = np.int64(p)
        mcache_release_all(h, np.int64(p))
        stackcache_clear(h, np.int64(p))
    return np.int64(0)


@kentry
def ask(h, question, addr, out):
    """Answer ``question`` about ``addr`` (an arena index for some) in ``out``, which for some takes several numbers."""
    if question == ASK_ARENA_INDEX:
        out[0] = arena_index(h, addr)
    elif question == ASK_ARENA_BASE:
        out[0] = arena_base(h, addr)
    elif question == ASK_ARENA_L1:
        out[0] = arena_idx_l1(h, addr)
    elif question == ASK_ARENA_L2:
        out[0] = arena_idx_l2(h, addr)
    elif question == ASK_ARENA:
        out[0] = arenas_lookup(h, arena_index(h, addr))
    elif question == ASK_SPAN_OF:
        out[0] = span_of(h, addr)
    elif question == ASK_SPAN_OF_HEAP:
        out[0] = span_of_heap(h, addr)
    elif question == ASK_SPAN_OF_UNCHECKED:
        out[0] = span_of_unchecked(h, addr)
    elif question == ASK_IN_HEAP:
        out[0] = np.int64(in_heap(h, addr))
    elif question == ASK_IN_HEAP_OR_STACK:
        out[0] = np.int64(in_heap_or_stack(h, addr))
    elif question == ASK_PAGE_INDEX:
        out[0], out[1], out[2] = page_index_of(h, addr)
    elif question == ASK_OBJECT:
        out[0], out[1] = object_index_of(h, addr)
    return np.int64(0)
