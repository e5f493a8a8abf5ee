"""run_events: the one entry through which a batch of events goes into the heap.

The events of a case come as columns (``Events``), results go to columns (``Results``).  The loop handles the two
most frequent kinds in line, allocations and sweepone calls, most of which find nothing left to sweep; every other kind
goes through ``apply_event``, which gets scalars only.  A batch may end early: when a table has no room for the next
event (``need_room``), nothing of that event has been done, and the driver grows the tables and calls again from the
same index.

Errors in the events raise ``BadEvent`` with a reason and numbers; impossible states of the heap raise ``Throw`` with
Go's words.  In both cases ``h.event`` is the index of the event, and the heap is not to be used any more.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kentry, kinline, kjit
from .malloc import NEED_ROOM, mallocgc, mallocgc_span_class
from .mbitmap import mspan_count_alloc, mspan_is_allocated, mspan_obj_index
from .mcache import mcache_release_all, p_or_p0
from .mfinal import add_special_of, remove_special_of, special_kind_known, specials_have_room
from .mgc import (
    finish_sweep,
    gc_start,
    gc_sweep,
    mark_allocated,
    remark,
    reset_live,
    set_page_mark_of,
    set_page_marks,
    unmark,
)
from .mgcscavenge import mheap_scavenge_all, scavenge_recorded
from .mgcsweep import ensure_swept, sweepone
from .mheap import mheap_alloc_manual, mheap_free_manual, mheap_has_room
from .mheap_arena import span_of, span_of_heap
from .mpagealloc import Throw
from .mpagecache import page_cache_flush
from .sim_structs import SWEPT_BY_ALLOCATION, SWEPT_BY_FORCE, SWEPT_BY_START, SWEPT_IN_BACKGROUND
from .stack import free_stack_spans, stackalloc, stackcache_clear, stackfree
from .structs import (
    ADD_SPECIAL,
    ENSURE_SWEPT,
    GC_OFF,
    GC_START,
    MALLOC,
    MCACHE_FLUSH,
    PAGE_SHIFT,
    PCACHE_FLUSH,
    REMOVE_SPECIAL,
    SCAVENGE,
    SCAVENGE_ALL,
    SPAN_ALLOC,
    SPAN_FREE,
    SPAN_IN_USE,
    SPAN_MANUAL,
    STACK_ALLOC,
    STACK_FREE,
    SWEEP_START,
    SWEEPONE,
)
from .tables import span

ZERO = np.int64(0)
BACKGROUND_QUANTUM_PAGES = np.int64(8)
"""Pages that the background scavenger asks for at a time (scavengeQuantum, 64 KiB)."""
ALMOST_NO_LIMIT = np.int64(1 << 31)
"""Page limits from here on are what is recorded (in 32 bits) of no limit less the pages already scavenged."""

SWEEPER_OF = (
    SWEPT_BY_ALLOCATION,
    SWEPT_BY_ALLOCATION,
    SWEPT_IN_BACKGROUND,
    SWEPT_BY_START,
    SWEPT_BY_FORCE,
    SWEPT_BY_START,
    SWEPT_BY_START,
    SWEPT_BY_ALLOCATION,
)
"""Who called, by the low bits of a SWEEPONE event's flags (data/README.md)."""


class BadEvent(ValueError):
    """An event that contradicts what the heap has done before; args: reason, then numbers."""


class Events(NamedTuple):
    """The columns of a case, one row per event; see ``mheaplab.case``."""

    kind: np.ndarray
    p: np.ndarray
    flags: np.ndarray
    size: np.ndarray
    ref: np.ndarray
    credit: np.ndarray
    dead: np.ndarray
    dead_offsets: np.ndarray
    revived: np.ndarray
    revived_offsets: np.ndarray
    page_marked: np.ndarray
    page_marked_offsets: np.ndarray
    given_addr: np.ndarray
    given_pages: np.ndarray


class Results(NamedTuple):
    """What the twin predicts, one row per event: address, scavenged bytes (or pages), needzero."""

    addr: np.ndarray
    scav: np.ndarray
    needzero: np.ndarray


@kjit
def _unmark_all(h, dead, addr):
    """Unmark the objects that the events ``dead`` allocated."""
    for k in range(dead.shape[0]):
        at = np.uint64(dead[k])
        why = unmark(h, np.int64(addr[at]))
        if why != 0:
            raise BadEvent("dead object is not an allocated object of the heap", dead[k], why)


@kjit
def _sweep_start(h, ev, row, addr):
    """SWEEP_START: the collection ``row`` ends; False: no room. Where nobody said when it began, it begins here."""
    if not mheap_has_room(h, np.int64(1)):
        return False
    if h.gcphase == GC_OFF:
        finish_sweep(h)
    mark_allocated(h)
    _unmark_all(h, ev.dead[ev.dead_offsets[row] : ev.dead_offsets[row + 1]], addr)
    # Objects that wait for their finalizer are unmarked while the page marks are made; sweeping marks them again.
    revived = ev.revived[ev.revived_offsets[row] : ev.revived_offsets[row + 1]]
    _unmark_all(h, revived, addr)
    set_page_marks(h, ev.page_marked_offsets.shape[0] > 0)
    reset_live(h)
    for k in range(revived.shape[0]):
        remark(h, np.int64(addr[revived[k]]))
    if ev.page_marked_offsets.shape[0] > 0:
        for k in range(ev.page_marked_offsets[row], ev.page_marked_offsets[row + 1]):
            if not set_page_mark_of(h, np.int64(addr[ev.page_marked[k]])):
                raise BadEvent("page_marked names an object in no span", ev.page_marked[k])
    gc_sweep(h)
    free_stack_spans(h)
    return True


@kinline
def _span_alloc(h, npages, typ, p):
    """SPAN_ALLOC: a manual span; address or NEED_ROOM."""
    if not mheap_has_room(h, npages):
        return NEED_ROOM
    index = mheap_alloc_manual(h, npages, typ, p)
    if index == 0:
        raise Throw("out of memory", npages)
    s = span(h, index)
    h.out_scav = s.scav
    h.out_pages = np.int64(s.needzero)
    return np.int64(s.start_addr)


@kinline
def _span_free(h, ref_addr):
    """SPAN_FREE: free the manual span at ``ref_addr``."""
    index = span_of(h, ref_addr)
    if index == 0 or span(h, index).state != SPAN_MANUAL or np.int64(span(h, index).start_addr) != ref_addr:
        raise BadEvent("SPAN_FREE of a span that is not there", ref_addr)
    mheap_free_manual(h, index, np.int64(span(h, index).alloc_type))


@kinline
def _stack_alloc(h, n, p):
    """STACK_ALLOC: a goroutine stack of ``n`` bytes; address or NEED_ROOM."""
    if not mheap_has_room(h, max(n >> PAGE_SHIFT, np.int64(4))):
        return NEED_ROOM
    addr = stackalloc(h, n, p)
    if addr == 0:
        raise Throw("out of memory", n)
    return addr


@kjit
def _object_is_there(h, addr):
    """Whether ``addr`` is in an allocated object once its span is swept; addspecial and removespecial sweep first."""
    index = span_of_heap(h, addr)
    if index == 0:
        return False
    ensure_swept(h, index)
    if span_of_heap(h, addr) == 0:
        return False
    s = span(h, index)
    return mspan_is_allocated(h, s, mspan_obj_index(s, addr))


@kinline
def _change_special(h, add, kind, ref_addr, value):
    """ADD_SPECIAL and REMOVE_SPECIAL on the object at ``ref_addr``; 1, or NEED_ROOM. Done or not: ``h.out_pages``."""
    if not special_kind_known(h, kind):
        raise BadEvent("no such kind of special in this version of Go", kind)
    if not _object_is_there(h, ref_addr):
        raise BadEvent("special of an object that is not there", ref_addr)
    if not add:
        h.out_pages = np.int64(1) if remove_special_of(h, ref_addr, kind) else np.int64(0)
        return np.int64(0)
    if not specials_have_room(h):
        return NEED_ROOM
    h.out_pages = np.int64(1) if add_special_of(h, ref_addr, kind, value) else np.int64(0)
    return np.int64(0)


@kjit
def _ensure_swept(h, ref_addr):
    """ENSURE_SWEPT: sweep the heap span that holds ``ref_addr``.

    A recording names an object near the span, which may be gone if the span is fresh; then nothing was swept.
    """
    index = span_of(h, ref_addr)
    if index != 0 and span(h, index).state == SPAN_IN_USE:
        ensure_swept(h, index)


@kjit
def _scavenge(h, ev, out, event):
    """SCAVENGE ``event``: one successful scavengeOne, its address and pages to the results."""
    i = np.uint64(event)
    most = np.int64(ev.size[i])
    given_addr, given_pages = ZERO, ZERO
    if ev.given_addr.shape[0] > 0:
        given_addr = np.int64(ev.given_addr[i])
        given_pages = np.int64(ev.given_pages[i])
    addr = scavenge_recorded(h, most, given_addr, given_pages)
    if addr == 0:
        raise BadEvent("SCAVENGE, but no such free page is left to scavenge", most, given_addr, given_pages)
    out.addr[i] = np.uint64(addr)
    out.scav[i] = np.uint64(h.out_pages)


@kinline
def _is_inside_allocation(h, most):
    """Whether a SCAVENGE with page limit ``most`` was made by an allocation: it is no other's limit.

    The background scavenger asks for 64 KiB at a time and goes on with the rest of it; scavengeAll has no limit, and
    what is left of no limit later.
    """
    return (
        most != 0
        and most != BACKGROUND_QUANTUM_PAGES
        and most != np.int64(h.background_left)
        and most < ALMOST_NO_LIMIT
    )


@kinline
def _takes_a_span(kind):
    """Whether an event of ``kind`` may call allocSpan."""
    return kind == MALLOC or kind == SPAN_ALLOC or kind == STACK_ALLOC


@kjit
def _scavenge_or_wait(h, ev, out, event):
    """SCAVENGE ``event``: make it, or let it and those that follow wait for the allocation that made them.

    In allocSpan Go scavenges after the span's pages are taken, but the recording has the scavenges first, since an
    allocation is recorded when it is done.  Nothing but accounts changes in an allocation after that point, so the
    scavenges may as well follow the whole of it.
    """
    most = np.int64(ev.size[np.uint64(event)])
    if _is_inside_allocation(h, most):
        stop = event
        n = ev.kind.shape[0]
        while stop < n and ev.kind[np.uint64(stop)] == SCAVENGE:
            stop += 1
        if stop < n and _takes_a_span(ev.kind[np.uint64(stop)]):
            h.waiting_first = event
            h.waiting_stop = stop
            return
    _scavenge(h, ev, out, event)
    # What the background scavenger still wants of its quantum: it may go on later with just that limit.
    h.background_left = most - np.int64(h.out_pages)


@kjit
def _ensure_waits(h, ev, event, ref_addr):
    """Let ENSURE_SWEPT ``event`` wait for the allocation after it, if it is about the span that this will take.

    When the heap profiler samples an object it makes sure that the object's span is swept, which it is, since an
    allocation just took it.  Later recordings note the object itself only after that; the event then names an older
    object of the span, or one that was there before the span.  So an event before an allocation waits for it if it
    names a span of the same class, or one with nothing alive in it, which nobody could mean.
    """
    i = np.uint64(event + 1)
    if h.params.profiled_before_noted == 0 or event + 1 >= ev.kind.shape[0] or ev.kind[i] != MALLOC:
        return False
    index = span_of(h, ref_addr)
    if index == 0 or span(h, index).state != SPAN_IN_USE:
        return False
    s = span(h, index)
    needs_sweep = np.int64(s.sweepgen) == np.int64(h.sweepgen) - 2
    same_class = np.int64(s.spanclass) == mallocgc_span_class(h, np.int64(ev.size[i]), ev.flags[i] & 1 != 0)
    if not needs_sweep or not (same_class or mspan_count_alloc(h, s) == 0):
        return False
    h.waiting_first = event
    h.waiting_stop = event + 1
    return True


@kjit
def _after_allocation(h, ev, out):
    """Make the scavenges, or the sweep, that waited for the allocation just done."""
    stop = np.int64(h.waiting_stop)
    h.waiting_stop = ZERO
    for event in range(np.int64(h.waiting_first), stop):
        h.event = event
        if ev.kind[np.uint64(event)] == SCAVENGE:
            _scavenge(h, ev, out, event)
        elif ev.ref[np.uint64(event)] >= 0:
            _ensure_swept(h, np.int64(out.addr[np.uint64(ev.ref[np.uint64(event)])]))


@kjit
def apply_event(h, kind, p, flags, nbytes, ref_addr):
    """Apply one event that is neither an allocation nor needs a column; its address result, or NEED_ROOM.

    Second results: ``h.out_scav`` and ``h.out_pages`` (needzero for SPAN_ALLOC; for specials, whether it was done).
    """
    h.out_scav = np.int64(0)
    h.out_pages = np.int64(0)
    h.current_p = p
    result = np.int64(0)
    if kind == SPAN_ALLOC:
        result = _span_alloc(h, nbytes, flags, p)
    elif kind == SPAN_FREE:
        _span_free(h, ref_addr)
    elif kind == MCACHE_FLUSH:
        mcache_release_all(h, p)
        stackcache_clear(h, p_or_p0(p))
    elif kind == SWEEPONE:
        result = sweepone(h)
    elif kind == ENSURE_SWEPT:
        if ref_addr != 0:
            _ensure_swept(h, ref_addr)
    elif kind == PCACHE_FLUSH:
        page_cache_flush(h, h.allp[p_or_p0(p)].pcache)
    elif kind == STACK_ALLOC:
        result = _stack_alloc(h, nbytes, p)
    elif kind == STACK_FREE:
        stackfree(h, ref_addr, nbytes, p)
    elif kind == ADD_SPECIAL or kind == REMOVE_SPECIAL:
        result = _change_special(h, kind == ADD_SPECIAL, flags, ref_addr, nbytes)
    elif kind == GC_START:
        if not mheap_has_room(h, np.int64(1)):
            return NEED_ROOM
        gc_start(h)
    elif kind == SCAVENGE_ALL:
        h.out_scav = mheap_scavenge_all(h)
    return result


@kentry
def run_events(h, ev, out, start, stop):
    """Apply events [start, stop) to heap ``h``; return the index of the first one not applied.

    Less than ``stop`` means that a table has no room for that event (``h.need_arenas`` says how many arenas it asks
    for).
    """
    # Locals, because a tuple's array would be reference-counted at each use; unsigned, because Python's negative
    # indexes would cost a comparison at each use.
    kinds, ps, flags, sizes, refs, credits = ev.kind, ev.p, ev.flags, ev.size, ev.ref, ev.credit
    out_addr, out_scav, out_needzero = out.addr, out.scav, out.needzero
    for event in range(start, stop):
        i = np.uint64(event)
        h.event = event
        kind = np.int64(kinds[i])
        if kind == MALLOC:
            addr = mallocgc(h, np.int64(sizes[i]), flags[i] & 1 != 0, np.int64(ps[i]), np.int64(credits[i]))
            if addr <= 0:
                if addr == NEED_ROOM:
                    return event
                raise Throw("out of memory", event)
            out_addr[i] = np.uint64(addr)
        elif kind == SWEEPONE:
            h.current_p = np.int64(ps[i])
            h.sweeper = np.int64(SWEEPER_OF[np.uint32(flags[i]) & np.uint32(7)])
            out_addr[i] = np.uint64(sweepone(h))
            h.sweeper = SWEPT_BY_ALLOCATION
        elif kind == SWEEP_START:
            h.current_p = np.int64(ps[i])
            if not _sweep_start(h, ev, refs[i], out_addr):
                return event
        elif kind == SCAVENGE:
            if event >= np.int64(h.waiting_stop):
                _scavenge_or_wait(h, ev, out, event)
            continue
        else:
            ref_addr = np.int64(out_addr[np.uint64(refs[i])]) if refs[i] >= 0 else ZERO
            if kind == ENSURE_SWEPT and _ensure_waits(h, ev, event, ref_addr):
                continue
            addr = apply_event(h, kind, np.int64(ps[i]), np.int64(flags[i]), np.int64(sizes[i]), ref_addr)
            if addr == NEED_ROOM:
                return event
            if addr != 0:
                out_addr[i] = np.uint64(addr)
                if kind == SPAN_ALLOC:
                    out_scav[i] = np.uint64(h.out_scav)
                    out_needzero[i] = np.uint8(h.out_pages)
        if h.waiting_stop != 0:
            _after_allocation(h, ev, out)
    return stop
