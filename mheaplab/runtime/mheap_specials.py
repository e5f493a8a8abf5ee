"""Specials: records hung on objects. The sorted list of a span, its iterator, and what happens when an object dies.

A special has an offset (of the object, or of a byte within a tiny block), a kind and a value.  The specials of a span
form a list sorted by offset and kind, with at most one of each kind at an offset (cleanups excepted, of which an object
may have several).  The span's page_specials bit says whether there is any, so that the collector finds them.

When sweeping meets an unmarked object with specials there are two cases (``mspan_sweep_specials``). If one of them is a
finalizer, the object is marked after all, all finalizers of the object are queued and taken off (a tiny block may have
several, at different offsets), weak handles to it are cleared, and the rest stays: so an object with a finalizer
survives one cycle.  Otherwise every special is taken off and freed: a profile record is counted as freed, a cleanup is
queued, a reachable special learns that the object died.  On a marked object only a reachable special is decided.

An iterator is a pair (prev, current) of special indexes, prev 0 standing for the span's own head: Go's pointer to the
previous link.

Follows special, specialsIter, freeSpecial of runtime/mheap.go, queuefinalizer of mfinal.go and the specials part of
sweepLocked.sweep, Go 1.19, with the kinds of Go 1.27 that change what lives: weak handle, pin counter, cleanup, tiny
block.  Simplified: what a finalizer or cleanup would run is a number.
"""

import numpy as np

from ._jit import kinline, kjit
from .mfixalloc import specialalloc_free
from .mheap_arena import span_has_no_specials
from .mheap_gcbits import gc_bits_is_set, gc_bits_set
from .mpagealloc import Throw
from .structs import (
    SPECIAL_CLEANUP,
    SPECIAL_FINALIZER,
    SPECIAL_PIN_COUNTER,
    SPECIAL_PROFILE,
    SPECIAL_REACHABLE,
    SPECIAL_TINY_BLOCK,
    SPECIAL_WEAK_HANDLE,
)
from .tables import finalizer, special


@kinline
def new_specials_iter(s):
    """newSpecialsIter: (prev, current) at the first special of span ``s``."""
    return np.int64(0), np.int64(s.specials)


@kinline
def specials_iter_valid(current):
    """specialsIter.valid: whether the iterator is at a special."""
    return current != 0


@kinline
def specials_iter_next(h, current):
    """specialsIter.next: (prev, current) one further."""
    return current, np.int64(special(h, current).next)


@kinline
def specials_iter_unlink_and_next(h, s, prev, current):
    """specialsIter.unlinkAndNext: take the current special off the list of ``s``; the next one (prev stays)."""
    after = np.int64(special(h, current).next)
    if prev == 0:
        s.specials = np.uint32(after)
    else:
        special(h, prev).next = np.uint32(after)
    return after


@kjit
def mspan_special_find_splice_point(h, s, offset, kind):
    """mspan.specialFindSplicePoint: (prev, current) where a special of ``kind`` at ``offset`` is, or belongs."""
    prev, current = new_specials_iter(s)
    while specials_iter_valid(current):
        sp = special(h, current)
        at = np.int64(sp.offset)
        if offset < at or (offset == at and kind <= np.int64(sp.kind)):
            break
        prev, current = specials_iter_next(h, current)
    return prev, current


@kinline
def special_is(h, current, offset, kind):
    """Whether ``current`` is a special of ``kind`` at ``offset``."""
    found = False
    if current != 0:
        found = np.int64(special(h, current).offset) == offset and np.int64(special(h, current).kind) == kind
    return found


@kjit
def queuefinalizer(h, arg, fn):
    """queuefinalizer: enter (``arg``, ``fn``) in the queue of what is to be run. Adding the special made room."""
    n = np.int64(h.finalizers_len)
    h.finalizers_len = n + 1
    finalizer(h, n).arg = arg
    finalizer(h, n).fn = fn


@kjit
def free_special(h, index, p, nbytes):
    """freeSpecial: the object at ``p``, in a slot of ``nbytes``, dies (or is finalized): act on special ``index``."""
    sp = special(h, index)
    kind = np.int64(sp.kind)
    if kind == SPECIAL_REACHABLE:
        # Whoever made it looks at it and frees it.
        sp.done = np.uint8(1)
        return
    if kind == SPECIAL_FINALIZER:
        queuefinalizer(h, p, np.int64(sp.value))
    elif kind == SPECIAL_CLEANUP:
        # Unlike a finalizer it does not bring the object back, so it does not get it either.
        queuefinalizer(h, np.int64(0), np.int64(sp.value))
    elif kind == SPECIAL_PROFILE:
        h.stats.prof_frees += 1
        h.stats.prof_free_bytes += nbytes
    elif kind != SPECIAL_WEAK_HANDLE and kind != SPECIAL_PIN_COUNTER and kind != SPECIAL_TINY_BLOCK:
        raise Throw("bad special kind", kind)
    specialalloc_free(h, index)


@kjit
def _has_finalizer(h, current, end):
    """Whether a special from ``current`` on, below offset ``end``, is a finalizer."""
    while current != 0 and np.int64(special(h, current).offset) < end:
        if np.int64(special(h, current).kind) == SPECIAL_FINALIZER:
            return True
        current = np.int64(special(h, current).next)
    return False


@kjit
def _sweep_dead_object(h, s, prev, current, end):
    """Handle the specials of an unmarked object that ends at offset ``end``; (prev, current) after them."""
    nbytes = np.int64(s.elemsize)
    revived = _has_finalizer(h, current, end)
    if revived:
        gc_bits_set(h, s.gcmark_bits, (end - 1) // nbytes)
    while specials_iter_valid(current) and np.int64(special(h, current).offset) < end:
        sp = special(h, current)
        kind = np.int64(sp.kind)
        if revived and kind != SPECIAL_FINALIZER and kind != SPECIAL_WEAK_HANDLE:
            prev, current = specials_iter_next(h, current)
            continue
        gone = current
        p = np.int64(s.start_addr) + np.int64(sp.offset)
        current = specials_iter_unlink_and_next(h, s, prev, gone)
        free_special(h, gone, p, nbytes)
    return prev, current


@kjit
def mspan_sweep_specials(h, s):
    """The specials part of mspan.sweep: unlink and free the specials of objects that are about to be freed."""
    nbytes = np.int64(s.elemsize)
    prev, current = new_specials_iter(s)
    while specials_iter_valid(current):
        sp = special(h, current)
        obj = np.int64(sp.offset) // nbytes
        if not gc_bits_is_set(h, s.gcmark_bits, obj):
            prev, current = _sweep_dead_object(h, s, prev, current, (obj + 1) * nbytes)
        elif np.int64(sp.kind) == SPECIAL_REACHABLE:
            gone = current
            current = specials_iter_unlink_and_next(h, s, prev, gone)
            sp.reachable = np.uint8(1)
            free_special(h, gone, np.int64(s.start_addr) + obj * nbytes, nbytes)
        else:
            prev, current = specials_iter_next(h, current)
    if s.specials == 0:
        span_has_no_specials(h, s)


@kjit
def scan_finalized(h, s):
    """What scanobject adds to bytesMarked for an object of span ``s`` that is scanned because it has a finalizer.

    Go counts an object as it scans it, so a reachable one with a finalizer counts twice, and an unreachable one once.
    """
    if s.spanclass & 1 == 0 or h.params.scans_noscan_finalized != 0:
        h.finalizer_bytes_scanned += np.int64(s.elemsize)
