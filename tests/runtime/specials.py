"""How the tests of specials reach the kernel: one compiled driver, and ``Specials``, a heap with one span to try it on.

The driver applies rows (kind, a, b, c) and writes what they tell into a log of numbers, of which the first entry counts
the others.  What it must remember from one call to the next stands in ``now``: the current span, and the record of each
reachable special that somebody will ask.
"""

import numpy as np
from runtime.entry import SMALL_ROOM, entry

from mheaplab.params import HeapParams
from mheaplab.runtime._jit import kjit
from mheaplab.runtime.mbitmap import mspan_allocated_word
from mheaplab.runtime.mfinal import (
    add_special_of,
    addfinalizer,
    addspecial,
    find_special,
    reachable_result,
    remove_special_of,
    removefinalizer,
    removespecial,
    setprofilebucket,
    special_kind_known,
    specials_have_room,
)
from mheaplab.runtime.mfixalloc import specialalloc_alloc, specialalloc_free
from mheaplab.runtime.mgcsweep import ensure_swept
from mheaplab.runtime.mheap import mheap_alloc_span
from mheaplab.runtime.mheap_arena import page_bit, page_index_of, span_has_no_specials, span_has_specials
from mheaplab.runtime.mheap_gcbits import bitmap_words, next_mark_bit_arena_epoch
from mheaplab.runtime.mheap_specials import (
    free_special,
    mspan_special_find_splice_point,
    new_specials_iter,
    queuefinalizer,
    special_is,
    specials_iter_next,
    specials_iter_unlink_and_next,
    specials_iter_valid,
)
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import (
    NO_P,
    SPAN_ALLOC_HEAP,
    SPAN_IN_USE,
    SPECIAL_KINDS,
    SPECIAL_REACHABLE,
)
from mheaplab.runtime.tables import gc_bits, heap_arena, span, special

NEW, ADD, REMOVE, MARK, SWEEP, ASK, LOOK = range(7)
ITERATE, SPLICE, BIT, MAKE, GIVE, FREE, QUEUE = range(7, 14)
ADDSPECIAL, REMOVESPECIAL, ADDFINALIZER, REMOVEFINALIZER, SETPROFILE, RESULT, KNOWN, ROOM, FIND = range(14, 23)
ALL = -1
"""In place of a list of objects."""
END = -7
"""What the log has behind a list of specials."""
ASKED = 16
"""Reachable specials of a span whose records are remembered."""


@kjit
def tell(log, value):
    """Append ``value`` to the log."""
    log[0] += 1
    log[log[0]] = np.int64(value)


@kjit
def new_span(h, now, spc, npages):
    """Make a span of class ``spc`` the current one, all its objects allocated; return its address."""
    index = mheap_alloc_span(h, npages, SPAN_ALLOC_HEAP, spc, NO_P)
    s = span(h, index)
    s.freeindex = s.nelems
    s.alloc_count = s.nelems
    now[:] = 0
    now[0] = index
    return np.int64(s.start_addr)


@kjit
def mark(h, s, dead):
    """End a collection that found the objects ``dead`` of span ``s`` dead."""
    next_mark_bit_arena_epoch(h)
    marks = gc_bits(h, s.gcmark_bits)
    everything = len(dead) > 0 and dead[0] == ALL
    for word in range(bitmap_words(s.nelems)):
        marks.word[word] = mspan_allocated_word(h, s, np.int64(word)) if not everything else np.uint64(0)
    if not everything:
        for obj in dead:
            marks.word[obj >> 6] &= ~(np.uint64(1) << np.uint64(obj & 63))
    # Bits of objects that do not exist stay 0.
    for obj in range(np.int64(s.nelems), 64 * bitmap_words(s.nelems)):
        marks.word[obj >> 6] &= ~(np.uint64(1) << np.uint64(obj & 63))
    h.sweepgen += 2
    h.sweep_drained = np.int64(0)


@kjit
def tell_specials(h, s, log):
    """Log the specials of ``s`` in order, by the iterator."""
    _, current = new_specials_iter(s)
    while specials_iter_valid(current):
        sp = special(h, current)
        tell(log, sp.offset)
        tell(log, sp.kind)
        tell(log, sp.value)
        _, current = specials_iter_next(h, current)
    tell(log, END)


@kjit
def look(h, s, log):
    """Log all that the twin knows too: bits, accounts, queue and list."""
    a, byte, _ = page_index_of(h, s.start_addr)
    word = mspan_allocated_word(h, s, np.int64(0))
    tell(log, s.state)
    tell(log, page_bit(heap_arena(h, a).page_specials, byte * 8 + (np.int64(s.start_addr) >> 13 & 7)))
    tell(log, h.finalizers_len)
    tell(log, h.stats.prof_frees)
    tell(log, h.stats.prof_free_bytes)
    for kind in range(1, SPECIAL_KINDS):
        tell(log, h.specialalloc[kind].in_use)
        tell(log, h.specialalloc[kind].sys)
    if s.state == SPAN_IN_USE:
        tell(log, s.alloc_count)
        for word in range(bitmap_words(s.nelems)):
            tell(log, mspan_allocated_word(h, s, np.int64(word)))
    tell_specials(h, s, log)


@kjit
def iterate(h, s, steps, unlink, log):
    """Go ``steps`` specials on; log whether there is one, the iterator, and what unlinking makes of it and the list."""
    prev, current = new_specials_iter(s)
    for _ in range(steps):
        prev, current = specials_iter_next(h, current)
    tell(log, 1 if specials_iter_valid(current) else 0)
    tell(log, prev)
    tell(log, current)
    if unlink:
        tell(log, specials_iter_unlink_and_next(h, s, prev, current))
    tell_specials(h, s, log)


@kjit
def splice(h, s, offset, kind, log):
    """Log where a special belongs, and whether it is there."""
    prev, current = mspan_special_find_splice_point(h, s, offset, kind)
    tell(log, prev)
    tell(log, current)
    tell(log, 1 if special_is(h, current, offset, kind) else 0)


@kjit
def add(h, now, p, kind, value):
    """Hang a special on ``p``; remember the record of a reachable one under its value."""
    added = add_special_of(h, p, kind, value)
    if added and kind == SPECIAL_REACHABLE and 0 < value and value < ASKED:
        now[value] = find_special(h, p, kind)
    return added


@kjit
def ask(h, index):
    """What a reachable special has learnt; whoever asks frees it then."""
    answer = reachable_result(h, index)
    if answer != -1:
        specialalloc_free(h, index)
    return answer


@kjit
def apply_to_records(h, s, row, log):
    """Apply one row that is about a function of mheap_specials, or of records, alone."""
    kind, a, b, c = row[0], row[1], row[2], row[3]
    if kind == ITERATE:
        iterate(h, s, a, b != 0, log)
    elif kind == SPLICE:
        splice(h, s, a, b, log)
    elif kind == BIT:
        if a != 0:
            span_has_specials(h, s)
        else:
            span_has_no_specials(h, s)
    elif kind == MAKE:
        tell(log, specialalloc_alloc(h, a))
    elif kind == GIVE:
        specialalloc_free(h, a)
    elif kind == FREE:
        free_special(h, a, b, c)
    elif kind == QUEUE:
        queuefinalizer(h, a, b)


@kjit
def apply_to_object(h, row, log):
    """Apply one row that is about a function of mfinal alone; its object is given by the address."""
    kind, a, b = row[0], row[1], row[2]
    if kind == ADDSPECIAL:
        tell(log, 1 if addspecial(h, a, b, row[3] != 0) else 0)
    elif kind == REMOVESPECIAL:
        tell(log, removespecial(h, a, b))
    elif kind == ADDFINALIZER:
        tell(log, 1 if addfinalizer(h, a, b) else 0)
    elif kind == REMOVEFINALIZER:
        tell(log, 1 if removefinalizer(h, a) else 0)
    elif kind == SETPROFILE:
        setprofilebucket(h, a, b)
    elif kind == RESULT:
        tell(log, reachable_result(h, a))
    elif kind == KNOWN:
        tell(log, 1 if special_kind_known(h, a) else 0)
    elif kind == ROOM:
        tell(log, 1 if specials_have_room(h) else 0)
    elif kind == FIND:
        tell(log, find_special(h, a, b))


@entry
def drive_specials(h, ops, lists, now, log):
    """Apply ``ops``, rows (kind, a, b, c), to the current span; a MARK has its dead objects in ``lists[a:b]``."""
    for k in range(len(ops)):
        kind, a, b, c = ops[k, 0], ops[k, 1], ops[k, 2], ops[k, 3]
        index = now[0]
        s = span(h, index)
        if kind == NEW:
            tell(log, new_span(h, now, a, b))
        elif kind == ADD:
            tell(log, 1 if add(h, now, np.int64(s.start_addr) + a, b, c) else 0)
        elif kind == REMOVE:
            tell(log, 1 if remove_special_of(h, np.int64(s.start_addr) + a, b) else 0)
        elif kind == MARK:
            if s.state == SPAN_IN_USE:
                ensure_swept(h, index)
                mark(h, s, lists[a:b])
        elif kind == SWEEP:
            if s.state == SPAN_IN_USE:
                ensure_swept(h, index)
        elif kind == ASK:
            tell(log, ask(h, now[a]))
        elif kind == LOOK:
            look(h, s, log)
        elif kind < ADDSPECIAL:
            apply_to_records(h, s, ops[k], log)
        else:
            apply_to_object(h, ops[k], log)


class Specials:
    """A heap with a current span, to which the driver's rows are applied one at a time.

    Attributes
    ----------
    state : HeapState
    h : numpy.record
    base : int
        Address of the current span.
    """

    def __init__(self, go="go1.19", **room):
        self.state = HeapState(HeapParams.of_version(go).to_record(), SMALL_ROOM | room)
        self.h = self.state.h
        self.h.log_spans = 0
        self.now = np.zeros(ASKED, np.int64)
        self.log = np.zeros(1 << 12, np.int64)
        self.base = 0

    def do(self, kind, a=0, b=0, c=0):
        """Apply one row; return the numbers that it tells."""
        self.log[0] = 0
        drive_specials(self.h, np.array([[kind, a, b, c]], np.int64), np.zeros(0, np.int64), self.now, self.log)
        return self.log[1 : 1 + self.log[0]].tolist()

    def new(self, spc, npages=1):
        """Make a span of class ``spc`` the current one; return its address."""
        (self.base,) = self.do(NEW, spc, npages)
        return self.base

    def collect(self, dead=(), sweep=True):
        """End a collection that found the objects numbered ``dead`` dead, and sweep the span."""
        dead = np.array([ALL] if dead == ALL else sorted(dead), np.int64)
        self.log[0] = 0
        rows = [[MARK, 0, len(dead), 0]] + [[SWEEP, 0, 0, 0]] * sweep
        drive_specials(self.h, np.array(rows, np.int64), dead, self.now, self.log)

    def add(self, offset, kind, value=0):
        """Hang a special on the current span by ``add_special_of``; return whether it was."""
        return self.do(ADD, offset, kind, value) == [1]

    def make(self, kind, value=0):
        """Make a record of ``kind``; return its index."""
        (index,) = self.do(MAKE, kind)
        self.record(index)["value"] = value
        return index

    def record(self, index):
        """Return special ``index``."""
        return self.state.tables["specials"][index]

    def span(self):
        """Return the record of the current span."""
        return self.state.tables["spans"][int(self.now[0])]

    def listed(self):
        """Return the indexes of the span's specials, in order."""
        found, at = [], int(self.span()["specials"])
        while at:
            found.append(at)
            at = int(self.record(at)["next"])
        return found

    def hung(self):
        """Return (offset, kind, value) of the span's specials, in order."""
        return [tuple(int(self.record(k)[f]) for f in ("offset", "kind", "value")) for k in self.listed()]

    def page_bit(self):
        """Return whether the page_specials bit of the current span is set, and no other bit is."""
        words = self.state.tables["heap_arenas"][1]["page_specials"]
        page = (self.base % (64 << 20)) >> 13
        mine = int(words[page >> 6]) >> (page & 63) & 1
        assert sum(int(w).bit_count() for w in words) == mine
        return bool(mine)

    def queue(self):
        """Return (address, what to run) of the queue."""
        return [(int(r["arg"]), int(r["fn"])) for r in self.state.tables["finalizers"][: int(self.h.finalizers_len)]]

    def in_use(self, kind):
        """Return the bytes of the records of ``kind`` that live."""
        return int(self.h.specialalloc[kind]["in_use"])

    def marked(self, obj):
        """Return whether the object, in the span just swept, survived."""
        word = self.state.tables["gc_bits"][int(self.span()["alloc_bits"]) + (obj >> 6)]
        return bool(int(word) >> (obj & 63) & 1)
