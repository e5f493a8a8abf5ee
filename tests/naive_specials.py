"""Slow twin of specials: what hangs on the objects of a span, and what a sweep makes of it, from the definition.

No lists, no iterators and no records here: what hangs at an offset is a dict entry, and an order is made by sorting.
Written from addspecial to freeSpecial of runtime/mheap.go and sweepLocked.sweep, for the kinds of Go 1.27.
"""

import collections

TINY_BLOCK, FINALIZER, WEAK_HANDLE, PROFILE, REACHABLE, PIN_COUNTER, CLEANUP = range(1, 8)
CHUNK_BYTES = 16 << 10
"""What a fixalloc takes from the OS at a time."""
UNDECIDED, UNREACHABLE, REACHED = -1, 0, 1


class NaiveSpecialHeap:
    """What the spans have in common: the queue of what is to be run, the profile, and the accounts of records.

    Attributes
    ----------
    queue : list of (object or None, int)
        Finalizers and cleanups in the order in which sweeping found them: ((span, offset), or None, and what to run).
    frees, free_bytes : int
        Sampled objects that died, and the bytes of their slots.
    """

    def __init__(self, record_bytes):
        self.record_bytes = record_bytes
        self.queue = []
        self.frees = self.free_bytes = 0
        self.records = collections.Counter()
        self.most = collections.Counter()

    def take(self, kind):
        """Make a record of ``kind``."""
        self.records[kind] += 1
        self.most[kind] = max(self.most[kind], self.records[kind])

    def give(self, kind):
        """Free a record of ``kind``."""
        self.records[kind] -= 1

    def in_use(self, kind):
        """Bytes of the records of ``kind`` that live."""
        return self.records[kind] * self.record_bytes.get(kind, 0)

    def sys(self, kind):
        """Bytes taken from the OS for records of ``kind``: whole chunks, for the most that ever lived at a time."""
        item = self.record_bytes.get(kind, 0)
        in_chunk = CHUNK_BYTES // item if item else 1
        return -(-self.most[kind] // in_chunk) * in_chunk * item


class NaiveSpan:
    """One span: which objects are alive, and what hangs on them.

    Attributes
    ----------
    alive : set of int
        Objects by their number.
    hung : dict of (int, int) to list
        Values by (offset, kind); only a cleanup may have several, of which the last added stands first.
    dead : set of int, or None
        Objects that a collection found dead while the span waits for its sweep; None once it is swept.
    verdict : dict of int to int
        Of each reachable special that has a record, by its value, what it has learnt.
    """

    def __init__(self, heap, number, slot, nelems):
        self.heap, self.number, self.slot, self.nelems = heap, number, slot, nelems
        self.alive = set(range(nelems))
        self.hung = {}
        self.dead = None
        self.verdict = {}

    def listed(self):
        """Return (offset, kind, value) in order."""
        return [(*key, value) for key in sorted(self.hung) for value in self.hung[key]]

    def place(self, offset, kind):
        """Return where a special of ``kind`` for offset ``offset`` hangs: a pin is one of the object, not of a byte."""
        return (offset // self.slot * self.slot if kind == PIN_COUNTER else offset), kind

    def add(self, offset, kind, value):
        """Hang a special; return whether that was allowed."""
        self.sweep()
        place = self.place(offset, kind)
        there = self.hung.get(place)
        if there and kind == PIN_COUNTER:
            there[0] += 1
            return True
        if there and kind == WEAK_HANDLE:  # the caller gets the one that is there: none is made
            return False
        self.heap.take(kind)
        if there and kind != CLEANUP:
            self.heap.give(kind)
            return False
        self.hung.setdefault(place, []).insert(0, 1 if kind == PIN_COUNTER else value)
        if kind == REACHABLE:
            self.verdict[value] = UNDECIDED
        return True

    def remove(self, offset, kind):
        """Take a special off, the last added of several; return whether there was one."""
        self.sweep()
        place = self.place(offset, kind)
        there = self.hung.get(place)
        if not there:
            return False
        if kind == PIN_COUNTER and there[0] > 1:
            there[0] -= 1
            return True
        value = there.pop(0)
        if not there:
            del self.hung[place]
        if kind == REACHABLE:
            del self.verdict[value]
        self.heap.give(kind)
        return True

    def ask(self, value):
        """Return what a reachable special has learnt. Who asks frees its record, once it has learnt something."""
        verdict = self.verdict[value]
        if verdict != UNDECIDED:
            self.heap.give(REACHABLE)
            del self.verdict[value]
        return verdict

    def mark(self, dead):
        """End a collection that found the objects ``dead`` unreachable."""
        self.sweep()
        self.dead = self.alive & set(dead)

    def sweep(self):
        """Let the dead go, but those with a finalizer, unless the span is swept already."""
        if self.dead is None:
            return
        by_object = collections.defaultdict(list)
        for place in sorted(self.hung):
            by_object[place[0] // self.slot].append(place)
        for number, places in by_object.items():
            if number not in self.dead:
                self._reached(places)
            elif any(kind == FINALIZER for _, kind in places):
                self._finalized(places)
                self.dead.discard(number)
            else:
                self._died(places)
        self.alive -= self.dead
        self.dead = None

    def _reached(self, places):
        for place in places:
            if place[1] == REACHABLE:
                self.verdict[self.hung.pop(place)[0]] = REACHED

    def _finalized(self, places):
        for place in places:
            if place[1] == FINALIZER:
                self.heap.queue.append(((self.number, place[0]), self.hung[place][0]))
            if place[1] in (FINALIZER, WEAK_HANDLE):
                self.heap.give(place[1])
                del self.hung[place]

    def _died(self, places):
        for place in places:
            kind = place[1]
            for value in self.hung.pop(place):
                if kind == REACHABLE:
                    self.verdict[value] = UNREACHABLE
                    continue
                if kind == CLEANUP:
                    self.heap.queue.append((None, value))
                elif kind == PROFILE:
                    self.heap.frees += 1
                    self.heap.free_bytes += self.slot
                self.heap.give(kind)
