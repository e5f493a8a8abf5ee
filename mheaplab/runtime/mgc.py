"""The two ends of a collection that the heap sees: what is marked when marking ends, and the start of sweeping.

A recorded run tells which objects a collection found dead.  So at the start of sweeping every allocated object is
marked and then the dead ones are unmarked; the page marks of arenas, by which the page reclaimer finds spans with
nothing alive, follow.  From there on everything runs as in Go.

Simplified against runtime/mgc.go and mgcmark.go: marking takes no time and no order; what is allocated while marking is
black, hence alive, which a list of dead objects already implies.  Since Go 1.26 marking a span of small objects often
sets no page mark although objects in it live, depending on the order of marking.  Which spans had the mark is given
with a recorded run; otherwise the rule is that spans of objects without pointers get none, since these are never
scanned, and spans of objects with pointers get one if at least two objects in them live, since a lone object is scanned
by itself.
"""

import numpy as np

from ._jit import kinline, kjit
from .intrinsics import popcount64
from .mbitmap import mspan_allocated_word, mspan_count_alloc, mspan_obj_index
from .mgcsweep import sweepone
from .mheap_arena import page_bit_set, page_index_of, span_of
from .mheap_gcbits import bitmap_words, gc_bits_set, next_mark_bit_arena_epoch
from .mheap_specials import scan_finalized
from .mpallocbits import U0, U1, low_mask
from .mspanset import mcentral_full_unswept, mcentral_partial_unswept, span_set_reset
from .sim_structs import SWEPT_BY_ALLOCATION, SWEPT_BY_START
from .structs import GC_MARK, GC_OFF, SPAN_IN_USE, SPECIAL_FINALIZER
from .tables import gc_bits, heap_arena, span, special

BAD_DEAD_NO_SPAN = np.int64(1)
BAD_DEAD_NOT_SLOT = np.int64(2)
BAD_DEAD_TWICE = np.int64(3)


@kjit
def clear_page_marks(h):
    """Clear the page marks of all arenas, as gcResetMarkState does."""
    for a in range(1, np.int64(h.heap_arenas_len)):
        ha = heap_arena(h, a)
        for word in range(ha.page_marks.shape[0]):
            ha.page_marks[word] = U0


@kinline
def mark_allocated(h):
    """Mark every allocated object of every heap span in use, and clear all page marks."""
    clear_page_marks(h)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        marks = gc_bits(h, s.gcmark_bits)
        words = bitmap_words(s.nelems)
        for word in range(words):
            marks.word[word] = mspan_allocated_word(h, s, np.int64(word))
        marks.word[words - 1] &= low_mask(np.int64(s.nelems) - (words - 1) * 64)


@kinline
def unmark(h, addr):
    """Unmark the dead object at ``addr``; 0, or why it cannot be dead."""
    index = span_of(h, addr)
    if index == 0:
        return BAD_DEAD_NO_SPAN
    s = span(h, index)
    if s.state != SPAN_IN_USE:
        return BAD_DEAD_NO_SPAN
    obj = mspan_obj_index(s, addr)
    offset = addr - np.int64(s.start_addr) - obj * np.int64(s.elemsize)
    if obj >= np.int64(s.nelems) or (offset != 0 and offset != np.int64(h.params.malloc_header)):
        return BAD_DEAD_NOT_SLOT
    marks = gc_bits(h, s.gcmark_bits)
    bit = U1 << np.uint64(obj & 63)
    if marks.word[obj >> 6] & bit == U0:
        return BAD_DEAD_TWICE
    marks.word[obj >> 6] &= ~bit
    return np.int64(0)


@kinline
def remark(h, addr):
    """Mark the object at ``addr`` again: what mspan.sweep does to an unmarked object with a finalizer."""
    index = span_of(h, addr)
    s = span(h, index)
    gc_bits_set(h, s.gcmark_bits, mspan_obj_index(s, addr))


@kjit
def span_uses_inline_marks(h, s):
    """gcUsesSpanInlineMarkBits: whether marks of ``s`` go to its inline bits and need not reach the page marks."""
    elemsize = np.int64(s.elemsize)
    return (
        h.params.inline_mark_bytes != 0
        and np.int64(h.params.inline_mark_min) <= elemsize
        and elemsize <= np.int64(h.params.heap_bits_in_span)
    )


@kjit
def set_page_mark(h, start):
    """Set the page mark of the span that begins at ``start``."""
    a, byte, mask = page_index_of(h, start)
    page_bit_set(heap_arena(h, a).page_marks, byte, mask)


@kjit
def set_page_marks(h, given):
    """Set the page mark of every span with a marked object; of spans with inline marks by rule, unless ``given``."""
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        least = np.int64(1)
        if span_uses_inline_marks(h, s):
            if given or s.spanclass & 1 != 0:
                continue
            least = np.int64(2)
        marks = gc_bits(h, s.gcmark_bits)
        for word in range(bitmap_words(s.nelems)):
            least -= popcount64(marks.word[word])
            if least <= 0:
                set_page_mark(h, np.int64(s.start_addr))
                break


@kinline
def set_page_mark_of(h, addr):
    """Set the page mark of the span that holds ``addr``; False when no heap span does."""
    index = span_of(h, addr)
    if index == 0 or span(h, index).state != SPAN_IN_USE:
        return False
    set_page_mark(h, np.int64(span(h, index).start_addr))
    return True


@kjit
def finish_sweep(h):
    """finishsweep_m: sweep what is left, start the empty unswept sets anew, let bitmaps grow one generation older.

    In a recorded run nothing is left, because the sweeps that Go makes here are events; what is swept all the same is
    counted, since it says that the events do not tell the whole story (objects that wait for their finalizer).
    """
    h.sweeper = SWEPT_BY_START
    while sweepone(h) != 0:
        h.unrecorded_sweeps += 1
    h.sweeper = SWEPT_BY_ALLOCATION
    for spc in range(2 * np.int64(h.params.n_classes)):
        span_set_reset(h, mcentral_partial_unswept(h, spc))
        span_set_reset(h, mcentral_full_unswept(h, spc))
    next_mark_bit_arena_epoch(h)


@kjit
def mark_root_spans(h):
    """markrootSpans: count the objects with a finalizer, which are scanned as roots without being marked."""
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        at = np.int64(s.specials)
        while at != 0:
            sp = special(h, at)
            if sp.kind == SPECIAL_FINALIZER:
                scan_finalized(h, s)
            at = np.int64(sp.next)


@kjit
def gc_start(h):
    """gcStart: finish the sweep of the last collection and begin to mark."""
    finish_sweep(h)
    h.gcphase = GC_MARK
    mark_root_spans(h)


@kjit
def reset_live(h):
    """gcControllerState.resetLive: what is live is what was marked (work.bytesMarked), and was scanned as a root."""
    total = np.int64(h.finalizer_bytes_scanned)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state == SPAN_IN_USE:
            total += mspan_count_alloc(h, s) * np.int64(s.elemsize)
    h.finalizer_bytes_scanned = 0
    h.heap_marked = total
    h.stats.heap_live = total


@kjit
def gc_sweep(h):
    """gcSweep: every span needs sweeping from now on. ``free_stack_spans`` and the flush of the mcaches follow."""
    h.gcphase = GC_OFF
    h.sweepgen += 2
    h.sweep_drained = np.int64(0)
    h.pages_swept = np.int64(0)
    h.sweep_arenas = h.heap_arenas_len - 1
    h.reclaim_index = np.int64(0)
    h.reclaim_credit = np.int64(0)
    h.central_index = np.int64(0)
