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

from .heap_questions import NO_P, HeapQuestions, as_int64
from .runtime import byhand
from .runtime import structs as go
from .spans import SPAN_TYPE_NAMES

MAX_SIZE = 1 << 47


class Collection(NamedTuple):
    """What a collection did: objects and bytes freed, spans swept, spans given back to the heap."""

    objects_freed: int
    bytes_freed: int
    spans_swept: int
    spans_freed: int


class Heap(HeapQuestions):
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
        super().__init__(params)
        self._stacks = {}
        self._black = []

    # ------------------------------------------------------------------------------------------------ memory

    def _obtain(self, kind, p, flags, count, nbytes):
        """Apply an event that allocates ``nbytes``, which it counts as ``count``; the address, never 0."""
        try:
            addr = self._do(kind, p, flags, count)
        except MemoryError:
            # Tables for so many arenas do not fit into this machine. Where no gap is large enough Go gets none of them.
            if nbytes <= self._largest_gap():
                raise
            addr = 0
        return addr or self._throw("out of memory")

    def _largest_gap(self):
        """Bytes of the longest run of addresses that nothing has taken."""
        taken = self.state.tables["os_ranges"][: int(self.state.h.os_ranges_len)]
        starts = [0, *taken["limit"].tolist()]
        return max(limit - start for start, limit in zip(starts, [*taken["base_addr"].tolist(), MAX_SIZE], strict=True))

    @staticmethod
    def _p(p):
        if p is None:
            return NO_P
        if not 0 <= p < NO_P:
            raise ValueError(f"p = {p!r} is outside its legal range: 0 to {NO_P - 1}, or None")
        return int(p)

    def malloc(self, size, noscan=False, p=0):
        """mallocgc: allocate an object of ``size`` bytes (``noscan``: without pointers); its address.

        Raises
        ------
        ValueError
            If ``size`` is not from 1 to 2**47, or ``p`` is no P.
        GoThrow
            "out of memory", when the simulated OS has no address space left; the heap stays usable.
        MemoryError
            If the address space is there, but this machine has no room for what must be known of it; the same.
        """
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size = {size!r} is outside its legal range: 1 to {MAX_SIZE:,} bytes")
        addr = self._obtain(go.MALLOC, self._p(p), int(bool(noscan)), int(size), int(size))
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
        return self._obtain(go.SPAN_ALLOC, self._p(p), SPAN_TYPE_NAMES.index(type), int(npages), int(npages) << 13)

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
        addr = self._obtain(go.STACK_ALLOC, self._p(p), 0, int(size), int(size))
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

        Alive as well is what was allocated since :meth:`gc_start`, and what waits for its finalizer in the queue.

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
        live = self._allocated(live)
        marked = self._allocated([] if page_marked is None else page_marked)
        if self.state.h.gcphase == go.GC_OFF:
            self.gc_start()
        # Starting has swept what was left, and so may have queued finalizers. The queue is a root, but for cleanups.
        queued = self.state.tables["finalizers"]["arg"][: int(self.state.h.finalizers_len)]
        live = np.unique(np.concatenate([live, np.array(self._black, np.int64), queued[queued != 0]]))
        before = self._counts()
        self._run(byhand.collect_by_hand, live, marked, np.bool_(page_marked is not None))
        self._black = []
        if sweep:
            self.sweep_all()
        return self._since(before)

    def _allocated(self, addrs):
        """Return ``addrs`` as an array, each of them once, after a check that all point to objects."""
        addrs = np.unique(np.array([as_int64(a) for a in addrs], np.int64))
        wrong = self._run(byhand.check_live, addrs)
        if wrong:
            what = ("found bad pointer in Go heap", "found pointer to free object")[wrong & 1]
            self._throw(f"{what} {int(addrs[(wrong >> 1) - 1]):#x}")
        return addrs

    def _counts(self):
        st = self.state.h.stats
        frees = int(st.small_free_count.sum()) + int(st.large_free_count)
        rows = self.state.tables["spans"][: int(self.state.h.spans_len)]
        in_use = rows["state"] == go.SPAN_IN_USE
        # A swept heap span has the heap's sweepgen, or three more in an mcache.
        swept = in_use & (rows["sweepgen"] >= int(self.state.h.sweepgen))
        return frees, int(st.total_free), int(in_use.sum()), int(swept.sum())

    def _since(self, before):
        frees, nbytes, in_use, swept = self._counts()
        # A span that was freed had to be swept for that, and has left the heap.
        freed = before[2] - in_use
        return Collection(frees - before[0], nbytes - before[1], swept + freed, freed)

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
        self._check()
        goal = int(self.state.h.gc_percent_goal)
        return None if goal < 0 else goal

    @gc_percent_goal.setter
    def gc_percent_goal(self, goal):
        if goal is not None and not 0 <= goal <= MAX_SIZE:
            raise ValueError(f"gc_percent_goal = {goal!r} is outside its legal range: 0 to {MAX_SIZE:,} bytes, or None")
        self._check()
        self.state.h.gc_percent_goal = -1 if goal is None else goal

    # ------------------------------------------------------------------------------------------------ specials

    def _special(self, event, addr, kind, value=0):
        known = [n for k, n in enumerate(go.SPECIAL_NAMES) if self.state.h.params.special_bytes[k]]
        if kind not in known:
            legal = ", ".join(known)
            raise ValueError(f"kind = {kind!r} is outside its legal range in {self.params.go}: one of {legal}")
        if not self._ask(byhand.ASK_OBJECT, addr):
            self._throw(f"{'add' if event == go.ADD_SPECIAL else 'remove'}special on invalid pointer")
        # Go would only see that when the span is swept.
        if self._out[1] < 0:
            self._throw(f"found pointer to free object {addr:#x}")
        self._do(event, 0, go.SPECIAL_NAMES.index(kind), value, addr)
        return bool(self.state.h.out_pages)

    def add_special(self, addr, kind, value=0):
        """addspecial: hang a record on the object at ``addr``; False if it has one of that kind and may have no more.

        It may have any number of cleanups; a further pin counts the pin counter up.
        """
        if kind == "profile" and any(s.kind == kind and s.addr == addr for s in self.specials(addr)):
            self._throw("setprofilebucket: profile already set")
        return self._special(go.ADD_SPECIAL, addr, kind, value)

    def remove_special(self, addr, kind):
        """removespecial: take that record off; False if there was none."""
        return self._special(go.REMOVE_SPECIAL, addr, kind)

    def add_finalizer(self, addr, fn=0):
        """runtime.SetFinalizer: the object at ``addr`` survives its death once, and ``fn`` is queued with it."""
        self._finalizable(addr)
        if not self.add_special(addr, "finalizer", fn):
            self._throw("runtime.SetFinalizer: finalizer already set")

    def remove_finalizer(self, addr):
        """runtime.SetFinalizer(x, nil); False if there was none."""
        self._finalizable(addr)
        return self.remove_special(addr, "finalizer")

    def _finalizable(self, addr):
        """Check that ``addr`` is where an object begins, or, in a tiny block, may begin."""
        index = self._ask(byhand.ASK_SPAN_OF_HEAP, addr)
        if not index:
            self._throw("runtime.SetFinalizer: pointer not in allocated block")
        row = self.state.tables["spans"][index]
        elemsize, spanclass = int(row["elemsize"]), int(row["spanclass"])
        offset = (int(addr) - int(row["start_addr"])) % elemsize
        if spanclass > 1 and not spanclass & 1 and elemsize > self.params.heap_bits_in_span_bytes:
            offset -= self.params.malloc_header_bytes
        if offset and spanclass != 2 * int(self.state.h.params.tiny_class) + 1:
            self._throw("runtime.SetFinalizer: pointer not at beginning of allocated block")

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
        self._check()
        rows = self.state.tables["finalizers"][: int(self.state.h.finalizers_len)]
        taken = [(int(row["arg"]), int(row["fn"])) for row in rows]
        self.state.h.finalizers_len = 0
        return taken
