"""Adding and removing specials: finalizers, profile records, and what Go 1.27 added.

``addspecial`` makes sure that the object's span is swept first, because sweeping walks the list without a lock, and
refuses a second special of the same kind at the same offset.  The functions on top of it make the record, add it, and
free it again if it was refused.

They stand above ``mgcsweep`` (they sweep), while the lists themselves stand below it, in ``mheap_specials`` (sweeping
walks them): another cut through a circle of Go's.

Follows addspecial to setprofilebucket of runtime/mheap.go, Go 1.19; addCleanup, getOrAddWeakHandle, incPinnerCounter
and setTinyBlockContext are Go 1.27's.  Simplified: while marking, Go marks from a new finalizer's object; here whoever
says what lives has counted that in.
"""

import numpy as np

from ._jit import kjit
from .mbitmap import mspan_obj_index
from .mfixalloc import specialalloc_alloc, specialalloc_free
from .mgcsweep import ensure_swept
from .mheap_arena import span_has_no_specials, span_has_specials, span_of_heap
from .mheap_specials import (
    mspan_special_find_splice_point,
    scan_finalized,
    special_is,
    specials_iter_unlink_and_next,
)
from .mpagealloc import Throw
from .structs import (
    GC_MARK,
    SPECIAL_CLEANUP,
    SPECIAL_FINALIZER,
    SPECIAL_KINDS,
    SPECIAL_PIN_COUNTER,
    SPECIAL_PROFILE,
    SPECIAL_REACHABLE,
    SPECIAL_WEAK_HANDLE,
)
from .tables import span, special


@kjit
def specials_have_room(h):
    """Return whether one more special fits in its table, and, once its time comes, in the queue of finalizers."""
    queued = np.int64(h.finalizers_len)
    for kind in (SPECIAL_FINALIZER, SPECIAL_CLEANUP):
        f = h.specialalloc[kind]
        queued += np.int64(f.in_use) // max(np.int64(f.item_bytes), np.int64(1))
    return np.int64(h.specials_len) < np.int64(h.specials_cap) and queued < np.int64(h.finalizers_cap)


@kjit
def special_kind_known(h, kind):
    """Return whether this Go version has specials of ``kind``."""
    return 0 < kind and kind < SPECIAL_KINDS and h.params.special_bytes[kind] != 0


@kjit
def addspecial(h, p, index, force):
    """addspecial: hang special ``index`` on the object at ``p``; False if it has one of its kind, unless ``force``."""
    at = span_of_heap(h, p)
    if at == 0:
        raise Throw("addspecial on invalid pointer", p)
    ensure_swept(h, at)
    s = span(h, at)
    offset = p - np.int64(s.start_addr)
    sp = special(h, index)
    prev, current = mspan_special_find_splice_point(h, s, offset, np.int64(sp.kind))
    if special_is(h, current, offset, np.int64(sp.kind)) and not force:
        return False
    sp.offset = offset
    sp.next = np.uint32(current)
    if prev == 0:
        s.specials = np.uint32(index)
    else:
        special(h, prev).next = np.uint32(index)
    span_has_specials(h, s)
    return True


@kjit
def removespecial(h, p, kind):
    """removespecial: take the special of ``kind`` off the object at ``p``; its index, 0 if there is none."""
    at = span_of_heap(h, p)
    if at == 0:
        raise Throw("removespecial on invalid pointer", p)
    ensure_swept(h, at)
    s = span(h, at)
    offset = p - np.int64(s.start_addr)
    prev, current = mspan_special_find_splice_point(h, s, offset, kind)
    if not special_is(h, current, offset, kind):
        current = np.int64(0)
    else:
        specials_iter_unlink_and_next(h, s, prev, current)
    if s.specials == 0:
        span_has_no_specials(h, s)
    return current


@kjit
def find_special(h, p, kind):
    """getWeakHandle, for any kind: the special of ``kind`` of the object at ``p``, 0 if there is none."""
    at = span_of_heap(h, p)
    if at == 0:
        raise Throw("getWeakHandle on invalid pointer", p)
    ensure_swept(h, at)
    offset = p - np.int64(span(h, at).start_addr)
    _, current = mspan_special_find_splice_point(h, span(h, at), offset, kind)
    return current if special_is(h, current, offset, kind) else np.int64(0)


@kjit
def _slot_of(h, p):
    """The slot of the object at ``p``, where its pin counter hangs: a tiny block is pinned as a whole."""
    at = span_of_heap(h, p)
    if at == 0:
        raise Throw("pin of an invalid pointer", p)
    s = span(h, at)
    return np.int64(s.start_addr) + mspan_obj_index(s, p) * np.int64(s.elemsize)


@kjit
def _add(h, p, kind, value, force):
    """Make a special of ``kind`` and add it; False, with the record freed, if it was refused."""
    index = specialalloc_alloc(h, kind)
    special(h, index).value = value
    added = addspecial(h, p, index, force)
    if not added:
        specialalloc_free(h, index)
    return added


@kjit
def addfinalizer(h, p, fn):
    """addfinalizer: add finalizer ``fn`` to the object at ``p``; False if it has one. While marking, it is scanned."""
    if not _add(h, p, SPECIAL_FINALIZER, fn, np.bool_(False)):
        return False
    if h.gcphase == GC_MARK:
        scan_finalized(h, span(h, span_of_heap(h, p)))
    return True


@kjit
def removefinalizer(h, p):
    """removefinalizer: remove the finalizer of the object at ``p``, if it has one."""
    index = removespecial(h, p, SPECIAL_FINALIZER)
    if index != 0:
        specialalloc_free(h, index)
    return index != 0


@kjit
def setprofilebucket(h, p, bucket):
    """setprofilebucket: note that the object at ``p`` was sampled into ``bucket``."""
    if not _add(h, p, SPECIAL_PROFILE, bucket, np.bool_(False)):
        raise Throw("setprofilebucket: profile already set", p)


@kjit
def add_special_of(h, p, kind, value):
    """Add a special of any kind to the object at ``p``; False if it has one of that kind and may not have more.

    A cleanup may be added any number of times.  Adding a pin counter to an object that has one counts it up.
    """
    if kind == SPECIAL_FINALIZER:
        return addfinalizer(h, p, value)
    if kind == SPECIAL_PROFILE:
        setprofilebucket(h, p, value)
        return True
    if kind == SPECIAL_WEAK_HANDLE and find_special(h, p, kind) != 0:
        # Whoever asks for a weak handle gets the one that is there, so no record is made.
        return False
    if kind == SPECIAL_PIN_COUNTER:
        p = _slot_of(h, p)
        there = find_special(h, p, kind)
        if there != 0:
            special(h, there).value += 1
            return True
        value = np.int64(1)
    return _add(h, p, kind, value, np.bool_(kind == SPECIAL_CLEANUP))


@kjit
def remove_special_of(h, p, kind):
    """Remove the special of ``kind`` from the object at ``p``; False if it has none. A pin counter is counted down."""
    if kind == SPECIAL_FINALIZER:
        return removefinalizer(h, p)
    if kind == SPECIAL_PIN_COUNTER:
        p = _slot_of(h, p)
        there = find_special(h, p, kind)
        if there != 0 and special(h, there).value > 1:
            special(h, there).value -= 1
            return True
    index = removespecial(h, p, kind)
    if index != 0:
        specialalloc_free(h, index)
    return index != 0


@kjit
def reachable_result(h, index):
    """What a specialReachable has learnt: -1 not yet decided, 0 unreachable, 1 reachable."""
    sp = special(h, index)
    if np.int64(sp.kind) != SPECIAL_REACHABLE:
        raise Throw("bad special kind", sp.kind)
    return np.int64(-1) if sp.done == 0 else np.int64(sp.reachable)
