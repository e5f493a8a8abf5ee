"""Heap: one heap to poke by hand. Allocate, collect, and ask it what Go's runtime would answer.

>>> import mheaplab as mh
>>> heap = mh.Heap(mh.HeapParams.go119())
>>> a = heap.malloc(48)
>>> hex(a), heap.span_of(a).npages, heap.in_heap(a)
('0xc000000000', 1, True)
>>> heap.collect(live=[]).objects_freed
1

Every call is one event of the kernel.  Wrong use raises ``GoThrow`` with Go's message.  What can be seen to be wrong
before anything has changed leaves the heap usable (``GoThrow.usable``); a throw from within an operation does not, and
every later call says so.
"""

from typing import NamedTuple

import numpy as np

from .errors import GoThrow, InvariantError
from .heap_dump import dump
from .params import HeapParams
from .runtime import byhand
from .runtime import structs as go
from .runtime.malloc import NEED_ROOM
from .runtime.mpagealloc import Throw
from .runtime.mstats import read_memstats
from .runtime.run import BadEvent
from .runtime.state import HeapState
from .runtime.verify import INVARIANTS, Violation, verify_heap
from .snapshot import take_snapshot
from .spans import SPAN_TYPE_NAMES, span_indexes, take_span

MAX_SIZE = 1 << 47
NO_P = int(go.NO_P)


class PageIndex(NamedTuple):
    """Where a page stands in the per-page bitmaps of its arena: arena index, byte, mask within the byte."""

    arena: int
    byte: int
    mask: int


class Collection(NamedTuple):
    """What a collection did: objects and bytes freed, spans swept, spans given back to the heap."""

    objects_freed: int
    bytes_freed: int
    spans_swept: int
    spans_freed: int


class ArenaHint(NamedTuple):
    """Where the heap would try to put its next arena; ``down``: the arena would end there."""

    addr: int
    down: bool


class Heap:
    """A Go heap, empty at first.

    Parameters
    ----------
    params : HeapParams, optional
        Default: the profile of Go 1.19.

    Notes
    -----
    Every allocating call takes ``p``, the P on which it runs: 0 to 254, or None for "without a P", as while the runtime
    starts.  Addresses are plain integers.
    """

    def __init__(self, params=None):
        self.params = params or HeapParams.go119()
        self.state = HeapState(self.params.to_record(), None, self.params.occupied)
        self._broken = None
        self._stacks = {}
        self._black = []
        self._out = np.zeros(4, np.int64)

    # ------------------------------------------------------------------------------------------------ driving

    def _run(self, call, *args):
        """Call a kernel entry, growing tables as asked; a throw from within makes the heap unusable."""
        if self._broken:
            raise GoThrow(f"the heap is not usable any more since Go threw: {self._broken}", usable=False)
        while True:
            try:
                with np.errstate(over="ignore"):
                    result = int(call(self.state.h, *args))
            except Throw as err:
                self._broken = " ".join(str(a) for a in err.args)
                raise GoThrow(self._broken, usable=False) from err
            self.state.take_span_rows()
            if result != NEED_ROOM:
                return result
            self.state.grow(int(self.state.h.need_arenas))

    def _do(self, kind, p=NO_P, flags=0, nbytes=0, addr=0):
        self.state.h.event += 1
        return self._run(byhand.do_by_hand, kind, p, flags, nbytes, addr)

    @staticmethod
    def _p(p):
        if p is None:
            return NO_P
        if not 0 <= p < NO_P:
            raise ValueError(f"p = {p!r} is outside its legal range: 0 to {NO_P - 1}, or None")
        return int(p)

    def _throw(self, message):
        """Refuse a call before anything has changed."""
        raise GoThrow(message, usable=True)

    # ------------------------------------------------------------------------------------------------ memory

    def malloc(self, size, noscan=False, p=0):
        """mallocgc: allocate an object of ``size`` bytes (``noscan``: without pointers); its address.

        Raises
        ------
        ValueError
            If ``size`` is not from 1 to 2**47, or ``p`` is no P.
        GoThrow
            "out of memory", when the simulated OS has no address space left; the heap stays usable.
        """
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size = {size!r} is outside its legal range: 1 to {MAX_SIZE:,} bytes")
        addr = self._do(go.MALLOC, self._p(p), int(bool(noscan)), int(size))
        if addr == 0:
            self._throw("out of memory")
        if self.state.h.gcphase != go.GC_OFF:
            self._black.append(addr)
        return addr

    def malloc_large(self, size, noscan=False, p=0):
        """mallocgc for an object that gets a span of its own: over 32 KiB (less the malloc header)."""
        least = go.MAX_SMALL_SIZE - self.params.malloc_header_bytes + 1
        if not least <= size <= MAX_SIZE:
            raise ValueError(f"size = {size!r} is outside its legal range: {least:,} to {MAX_SIZE:,} bytes")
        return self.malloc(size, noscan, p)

    def alloc_manual(self, npages, type="stack", p=None):
        """mheap.allocManual: a span of ``npages`` that is not collected, for ``type``; its address."""
        if type not in SPAN_TYPE_NAMES:
            raise ValueError(f"type = {type!r} is outside its legal range: one of {', '.join(SPAN_TYPE_NAMES[1:])}")
        if not 1 <= npages <= MAX_SIZE >> 13:
            raise ValueError(f"npages = {npages!r} is outside its legal range: 1 to {MAX_SIZE >> 13:,} pages")
        if type == "heap":
            self._throw("manual span allocation called with non-manually-managed type")
        addr = self._do(go.SPAN_ALLOC, self._p(p), SPAN_TYPE_NAMES.index(type), int(npages))
        return addr or self._throw("out of memory")

    def free_manual(self, addr):
        """mheap.freeManual: free the manual span that begins at ``addr``."""
        span = self.span_of(addr)
        if span is None or span.base != addr or span.state == "mSpanDead":
            self._throw("mheap.freeSpanLocked - invalid span state")
        if span.state == "mSpanInUse":
            self._throw("mheap.freeSpanLocked - invalid free")
        if span.alloc_count or span.in_list or addr in self._stacks:
            self._throw("mheap.freeSpanLocked - invalid stack free")
        self._do(go.SPAN_FREE, addr=addr)

    def stack_alloc(self, size, p=0):
        """stackalloc: a goroutine stack of ``size`` bytes, a power of two from 2 KiB; its address."""
        if not 2048 <= size <= MAX_SIZE:
            raise ValueError(f"size = {size!r} is outside its legal range: a power of two, 2,048 to {MAX_SIZE:,} bytes")
        if size & (size - 1):
            self._throw("stack size not a power of 2")
        addr = self._do(go.STACK_ALLOC, self._p(p), 0, int(size))
        if addr == 0:
            self._throw("out of memory")
        self._stacks[addr] = int(size)
        return addr

    def stack_free(self, addr, p=0):
        """stackfree: free the stack at ``addr``."""
        if addr not in self._stacks:
            self._throw("freeing stack not in a stack span")
        self._do(go.STACK_FREE, self._p(p), 0, self._stacks.pop(addr), addr)

    # ------------------------------------------------------------------------------------------------ collection

    def gc_start(self):
        """gcStart: finish the last sweep and begin to mark. What is allocated from here on survives this collection."""
        if self.state.h.gcphase != go.GC_OFF:
            self._throw("gcStart while a collection is running")
        self._black = []
        self._do(go.GC_START, p=0)

    def collect(self, live, sweep=True, page_marked=None):
        """A collection that found the objects at the addresses ``live`` alive and nothing else.

        Parameters
        ----------
        live : iterable of int
            Addresses within the objects that are reachable.
        sweep : bool
            Whether all spans are swept at once, as runtime.GC does; else that is left to allocations and
            :meth:`sweep_one`.
        page_marked : iterable of int, optional
            Go 1.27: addresses of objects whose spans got a page mark, among spans with inline marks.  Default: by rule
            (``runtime/mgc.py``).

        Returns
        -------
        Collection
            With ``sweep`` False only what the flush of the mcaches has swept.
        """
        live = np.unique(np.array([*live, *self._black], np.int64))
        wrong = self._run(byhand.check_live, live)
        if wrong:
            what = ("found bad pointer in Go heap", "found pointer to free object")[wrong & 1]
            self._throw(f"{what} {int(live[(wrong >> 1) - 1]):#x}")
        marked = np.array([] if page_marked is None else list(page_marked), np.int64)
        if any(self.span_of_heap(int(a)) is None for a in marked):
            self._throw("found bad pointer in Go heap")
        before = self._counts()
        self._run(byhand.collect_by_hand, live, marked, np.bool_(page_marked is not None))
        self._black = []
        if sweep:
            self.sweep_all()
        return self._since(before)

    def _counts(self):
        st = self.state.h.stats
        frees = int(st.small_free_count.sum()) + int(st.large_free_count)
        return frees, int(st.total_free), len(span_indexes(self.state))

    def _since(self, before):
        now = self._counts()
        # A swept heap span has the heap's sweepgen, or three more in an mcache; a freed one has left the heap.
        rows = self.state.tables["spans"][: int(self.state.h.spans_len)]
        swept = (rows["state"] == go.SPAN_IN_USE) & (rows["sweepgen"] >= int(self.state.h.sweepgen))
        freed = before[2] - now[2]
        return Collection(now[0] - before[0], now[1] - before[1], int(swept.sum()) + freed, freed)

    def sweep_one(self, p=0):
        """sweepone: sweep the next span; its base, or None when all are swept."""
        return self._do(go.SWEEPONE, self._p(p)) or None

    def sweep_all(self, p=0):
        """Sweep every span that still needs it; how many."""
        swept = 0
        while self.sweep_one(p) is not None:
            swept += 1
        return swept

    def flush_mcache(self, p=0):
        """Give the cached spans and stacks of P ``p`` back (mcache.releaseAll, stackcache_clear)."""
        self._do(go.MCACHE_FLUSH, self._p(p))

    def flush_page_cache(self, p=0):
        """pageCache.flush: give the pages that P ``p`` keeps back to the page allocator."""
        self._do(go.PCACHE_FLUSH, self._p(p))

    # ------------------------------------------------------------------------------------------------ scavenging

    def scavenge(self, nbytes):
        """pageAlloc.scavenge: return at least ``nbytes`` of free memory to the OS, if there is so much; bytes done."""
        if nbytes < 1:
            raise ValueError(f"nbytes = {nbytes!r} is outside its legal range: 1 or more")
        return self._run(byhand.scavenge_by_hand, min(int(nbytes), MAX_SIZE))

    def scavenge_all(self):
        """mheap.scavengeAll: return all free memory that the scavenger knows of; bytes returned."""
        before = int(self.state.h.stats.heap_released)
        self._do(go.SCAVENGE_ALL)
        return int(self.state.h.stats.heap_released) - before

    def free_os_memory(self, live):
        """runtime_debug_freeOSMemory: a full collection, then scavenge all; bytes returned."""
        self.collect(live)
        return self.scavenge_all()

    @property
    def gc_percent_goal(self):
        """Bytes that the heap should retain: when it grows past them it scavenges. None: never."""
        goal = int(self.state.h.gc_percent_goal)
        return None if goal < 0 else goal

    @gc_percent_goal.setter
    def gc_percent_goal(self, goal):
        if goal is not None and not 0 <= goal <= MAX_SIZE:
            raise ValueError(f"gc_percent_goal = {goal!r} is outside its legal range: 0 to {MAX_SIZE:,} bytes, or None")
        self.state.h.gc_percent_goal = -1 if goal is None else goal

    # ------------------------------------------------------------------------------------------------ specials

    def _special(self, event, addr, kind, value=0):
        known = [n for k, n in enumerate(go.SPECIAL_NAMES) if self.state.h.params.special_bytes[k]]
        if kind not in known:
            legal = ", ".join(known)
            raise ValueError(f"kind = {kind!r} is outside its legal range in {self.params.go}: one of {legal}")
        if self.span_of_heap(addr) is None:
            self._throw(f"{'add' if event == go.ADD_SPECIAL else 'remove'}special on invalid pointer")
        try:
            self._do(event, 0, go.SPECIAL_NAMES.index(kind), value, addr)
        except BadEvent as err:
            raise GoThrow(" ".join(str(a) for a in err.args), usable=True) from err
        return bool(self.state.h.out_pages)

    def add_special(self, addr, kind, value=0):
        """addspecial: hang a record on the object at ``addr``; False if it has one of that kind."""
        if kind == "profile" and any(s.kind == kind and s.addr == addr for s in self.specials(addr)):
            self._throw("setprofilebucket: profile already set")
        return self._special(go.ADD_SPECIAL, addr, kind, value)

    def remove_special(self, addr, kind):
        """removespecial: take that record off; False if there was none."""
        return self._special(go.REMOVE_SPECIAL, addr, kind)

    def add_finalizer(self, addr, fn=0):
        """runtime.SetFinalizer: the object at ``addr`` survives its death once, and ``fn`` is queued with it."""
        if not self.add_special(addr, "finalizer", fn):
            self._throw("runtime.SetFinalizer: finalizer already set")

    def remove_finalizer(self, addr):
        """runtime.SetFinalizer(x, nil); False if there was none."""
        return self.remove_special(addr, "finalizer")

    def set_profile_bucket(self, addr, bucket=0):
        """setprofilebucket: the heap profile has sampled the object at ``addr``."""
        self.add_special(addr, "profile", bucket)

    def specials(self, addr):
        """The specials of the object at ``addr``, by offset and kind; empty outside the heap."""
        span = self.span_of_heap(addr)
        if span is None:
            return ()
        slot = span.slot(addr)
        return tuple(s for s in span.specials if span.slot(s.addr) == slot)

    def take_finalizers(self):
        """Take what sweeping has queued: a list of (object or 0 for a cleanup, fn). Whoever runs them lets go of it."""
        rows = self.state.tables["finalizers"][: int(self.state.h.finalizers_len)]
        taken = [(int(row["arg"]), int(row["fn"])) for row in rows]
        self.state.h.finalizers_len = 0
        return taken

    # ------------------------------------------------------------------------------------------------ questions

    def _ask(self, question, addr):
        return self._run(byhand.ask, question, int(addr), self._out)

    def _span(self, index):
        return take_span(self.state, index) if index else None

    def arena_index(self, addr):
        """arenaIndex: index of the arena that holds ``addr``, known or not."""
        return self._ask(byhand.ASK_ARENA_INDEX, addr)

    def arena_base(self, arena):
        """arenaBase: address of the first byte of arena ``arena``."""
        return self._ask(byhand.ASK_ARENA_BASE, arena)

    def arena_l1(self, arena):
        """arenaIdx.l1: index of arena ``arena`` in the first level of the arenas map; 0 where the map is flat."""
        return self._ask(byhand.ASK_ARENA_L1, arena)

    def arena_l2(self, arena):
        """arenaIdx.l2: index of arena ``arena`` in the second level."""
        return self._ask(byhand.ASK_ARENA_L2, arena)

    def in_heap(self, addr):
        """inheap: whether ``addr`` lies in a heap span in use."""
        return bool(self._ask(byhand.ASK_IN_HEAP, addr))

    def in_heap_or_stack(self, addr):
        """inHeapOrStack: whether ``addr`` lies in a heap span or in a manual span."""
        return bool(self._ask(byhand.ASK_IN_HEAP_OR_STACK, addr))

    def span_of(self, addr):
        """spanOf: the span last at the page of ``addr``, even a dead one; None outside known arenas."""
        return self._span(self._ask(byhand.ASK_SPAN_OF, addr))

    def span_of_heap(self, addr):
        """spanOfHeap: the heap span in use that holds ``addr``, else None."""
        return self._span(self._ask(byhand.ASK_SPAN_OF_HEAP, addr))

    def span_of_unchecked(self, addr):
        """spanOfUnchecked: as :meth:`span_of`, but an address outside known arenas is a fault."""
        self._in_arena(addr)
        return self._span(self._ask(byhand.ASK_SPAN_OF_UNCHECKED, addr))

    def page_index_of(self, addr):
        """pageIndexOf: arena index, byte and mask of the page of ``addr`` in the per-page bitmaps of its arena."""
        self._in_arena(addr)
        self._ask(byhand.ASK_PAGE_INDEX, addr)
        return PageIndex(self.arena_index(addr), int(self._out[0]), int(self._out[1]))

    def _in_arena(self, addr):
        if not 0 <= addr <= go.MAX_ADDRESS or not self._ask(byhand.ASK_ARENA, addr):
            self._throw("invalid memory address or nil pointer dereference")

    def spans(self):
        """All spans in use, heap and manual, by rising address."""
        return [take_span(self.state, index) for index in span_indexes(self.state)]

    def arena_hints(self):
        """The arena hints, the next to be tried first."""
        n = int(self.state.h.n_hints)
        return [ArenaHint(int(hint.addr), bool(hint.down)) for hint in self.state.h.hints[:n][::-1]]

    def memstats(self):
        """runtime.ReadMemStats, without its flush of the mcaches: a dict with Go's names, in bytes and counts."""
        return read_memstats(self.state.h)

    def snapshot(self):
        """The heap as it is, as plain arrays for figures (:class:`Snapshot`)."""
        return take_snapshot(self.state, int(self.state.h.event), self.memstats())

    def dump(self):
        """The state as text, in the words of Go's debug prints."""
        return dump(self.state)

    def verify(self):
        """Recount everything.

        Raises
        ------
        InvariantError
            If an account is not what the recount says, which is a bug in mheaplab.
        """
        try:
            with np.errstate(over="ignore"):
                verify_heap(self.state.h)
        except Violation as err:
            which, *numbers = err.args
            raise InvariantError(f"{which}: {INVARIANTS[which]} ({' '.join(str(n) for n in numbers)})") from err
