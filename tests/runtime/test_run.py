"""run: batches of events, and events that wait for an allocation; ``Heap``, with which other modules drive theirs.

The events of specials and stacks, GC_START and SCAVENGE_ALL are in ``test_run_workload``.
"""

import numpy as np
import pytest
from runtime.entry import COMPILED, SMALL_ROOM

import mheaplab as mh
from mheaplab.case import COLUMNS, make_events
from mheaplab.params import HeapParams
from mheaplab.runtime.run import BadEvent, Results, run_events
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import (
    ADD_SPECIAL,
    ARENA_BASE_OFFSET,
    ENSURE_SWEPT,
    GC_START,
    MALLOC,
    MCACHE_FLUSH,
    NO_P,
    PCACHE_FLUSH,
    REMOVE_SPECIAL,
    SCAVENGE,
    SCAVENGE_ALL,
    SPAN_ALLOC,
    SPAN_ALLOC_STACK,
    SPAN_FREE,
    STACK_ALLOC,
    STACK_FREE,
    SWEEP_START,
    SWEEPONE,
)
from mheaplab.runtime.verify import verify_heap

PAGE = 8192
MIB = 1 << 20
BASE = 0xC000000000
"""Where Go's first arena lies."""
WITHOUT_P = int(NO_P)
STACK = int(SPAN_ALLOC_STACK)


def page_at(n):
    """Return the address of page ``n`` of the heap."""
    return BASE + n * PAGE


def pages_of(addresses):
    """Return the page numbers of addresses."""
    return [(a - BASE) // PAGE for a in addresses]


class Heap:
    """A heap to which a test applies events; objects and spans are named by their addresses.

    Attributes
    ----------
    state : HeapState
    h : numpy.record
    out : Results
        The result columns, by event.
    n, done : int
        Events added and events run so far.
    event_of : dict of int to int
        The last allocation at each address.
    """

    def __init__(self, go="go1.19", room=None, events=4000, **changes):
        self.go = go
        params = HeapParams.of_version(go, **changes)
        self.state = HeapState(params.to_record(), SMALL_ROOM | (room or {}), params.occupied)
        self.h = self.state.h
        self.out = Results(np.zeros(events, "u8"), np.zeros(events, "u8"), np.zeros(events, "u1"))
        self.n = 0
        self._columns = {name: np.zeros(events, dtype) for name, dtype in COLUMNS.items()}
        self._columns["ref"][:] = -1
        self._lists = {name: ([], [0]) for name in ("dead", "revived", "page_marked")}
        self.event_of = {}
        self._rows = []
        self.done = 0

    # ---------------------------------------------------------------------------------------------- events

    def add(self, kind, **values):
        """Add one event without running it; return its index."""
        for name, value in values.items():
            self._columns[name][self.n] = value
        self._columns["kind"][self.n] = kind
        self.n += 1
        return self.n - 1

    def events(self):
        """Return the events so far as the kernel's columns."""
        lists = {}
        for name, (values, offsets) in self._lists.items():
            if name != "page_marked" or self.go != "go1.19":
                lists[name] = np.array(values, np.int64)
                lists[f"{name}_offsets"] = np.array(offsets, np.int64)
        return make_events({name: c[: self.n] for name, c in self._columns.items()} | lists)

    def run(self):
        """Run the events added since the last run, growing tables as asked."""
        events = self.events()
        asked = []
        while self.done < self.n:
            reached = run_events(self.h, events, self.out, self.done, self.n)
            self._rows.append(self.state.take_rows())
            if reached < self.n:
                asked.append(reached)
                assert asked.count(reached) < 5, "growing gives the event no room"
                self.state.grow(int(self.h.need_arenas))
            for event in range(self.done, reached):
                if self._columns["kind"][event] in (MALLOC, SPAN_ALLOC, STACK_ALLOC):
                    self.event_of[int(self.out.addr[event])] = event
            self.done = reached

    def apply(self, kind, **values):
        """Add one event and run it; return its address."""
        event = self.add(kind, **values)
        self.run()
        return int(self.out.addr[event])

    def malloc(self, size, noscan=True, p=0, credit=0):
        return self.apply(MALLOC, size=size, flags=int(noscan), p=p, credit=credit)

    def mallocs(self, times, size, noscan=True, p=0):
        first = self.n
        for _ in range(times):
            self.add(MALLOC, size=size, flags=int(noscan), p=p)
        self.run()
        return self.out.addr[first : self.n].astype(np.int64).tolist()

    def span_alloc(self, npages, kind=STACK, p=WITHOUT_P):
        return self.apply(SPAN_ALLOC, size=npages, flags=kind, p=p)

    def span_free(self, address):
        self.apply(SPAN_FREE, ref=self.event_of[address])

    def free_pages(self, npages):
        """Take ``npages`` and free them again: they are then not scavenged any more. Return their address."""
        address = self.span_alloc(npages)
        self.span_free(address)
        return address

    def collect(self, dead=(), revived=(), page_marked=(), flush=(0,)):
        """End a collection that found ``dead``; then each P of ``flush`` flushes its mcache, as Go does."""
        for name, addresses in (("dead", dead), ("revived", revived), ("page_marked", page_marked)):
            values, offsets = self._lists[name]
            values += [self.event_of[a] for a in addresses]
            offsets.append(len(values))
        self.apply(SWEEP_START, ref=len(self._lists["dead"][1]) - 2)
        for p in flush:
            self.flush(p)

    def flush(self, p=0):
        self.apply(MCACHE_FLUSH, p=p)

    def sweepone(self):
        return self.apply(SWEEPONE, flags=2)

    def sweep(self):
        """Sweep all that is left; return the spans' addresses in order."""
        swept = []
        while (address := self.sweepone()) != 0:
            swept.append(address)
        return swept

    def ensure_swept(self, address):
        self.apply(ENSURE_SWEPT, ref=self.event_of[address])

    def scavenge(self, limit):
        """Scavenge; return (address, pages)."""
        address = self.apply(SCAVENGE, size=limit)
        return address, int(self.out.scav[self.n - 1])

    def scavenge_all(self):
        """Scavenge all that is free; return the bytes."""
        self.apply(SCAVENGE_ALL)
        return int(self.h.out_scav)

    def flush_pages(self, p=0):
        self.apply(PCACHE_FLUSH, p=p)

    def gc_start(self):
        self.apply(GC_START)

    def add_special(self, address, kind, value=0):
        """Hang a special on the object at ``address``; return whether that was allowed."""
        self.apply(ADD_SPECIAL, ref=self.event_of[address], flags=kind, size=value)
        return bool(self.h.out_pages)

    def remove_special(self, address, kind):
        """Take a special off the object at ``address``; return whether there was one."""
        self.apply(REMOVE_SPECIAL, ref=self.event_of[address], flags=kind)
        return bool(self.h.out_pages)

    def stack_alloc(self, nbytes, p=WITHOUT_P):
        return self.apply(STACK_ALLOC, size=nbytes, p=p)

    def stack_free(self, address, p=WITHOUT_P):
        event = self.event_of[address]
        self.apply(STACK_FREE, ref=event, size=int(self._columns["size"][event]), p=p)

    # --------------------------------------------------------------------------------------------- looking

    def arena(self, address):
        """Return the record of the arena at ``address``."""
        index = (address + int(ARENA_BASE_OFFSET)) >> int(self.h.params["log_arena_bytes"])
        return self.state.tables["heap_arenas"][self.state.tables["arena_map"][index]]

    def page_in_arena(self, address):
        return (address % (1 << int(self.h.params["log_arena_bytes"]))) // PAGE

    def page_bit(self, name, address):
        """Return whether the page of ``address`` has its bit in the arena's bitmap ``name``."""
        page = self.page_in_arena(address)
        return bool(int(self.arena(address)[name][page >> 6]) >> (page & 63) & 1)

    def span_index(self, address):
        return int(self.arena(address)["spans"][self.page_in_arena(address)])

    def span(self, address):
        """Return the record of the span that holds ``address``."""
        return self.state.tables["spans"][self.span_index(address)]

    def rows(self):
        """Return the rows of all spans allocated so far."""
        return np.concatenate(self._rows)

    def queue(self, name, swept, spc):
        """Return the addresses of the spans in the set ``name``, "partial" or "full", of span class ``spc``."""
        now = int(self.h.sweepgen) // 2 % 2
        q = self.h.central[spc][name][now if swept else 1 - now]
        blocks = self.state.tables["set_blocks"]
        block, found = int(q["head_block"]), []
        for k in range(int(q["head"]), int(q["tail"])):
            found.append(int(self.state.tables["spans"][blocks[block]["spans"][k % 512]]["start_addr"]))
            if k % 512 == 511:
                block = int(blocks[block]["next"])
        return found

    def accounts(self):
        """Return pages (in heap spans, in stacks, in other manual spans, free, released, mapped)."""
        s = self.h.stats
        other = s.in_ptr_scalar_bits + s.in_work_bufs
        accounts = (s.heap_in_use, s.in_stacks, other, s.heap_free, s.heap_released, s.prepared + s.ready)
        return tuple(int(x) // PAGE for x in accounts)

    def check(self):
        """Recount everything."""
        verify_heap(self.h)


# ----------------------------------------------------------------------------------------------------- replay


def test_golden_case(cases_dir):
    case = mh.load_case(cases_dir / "go119-gzip")
    pred = mh.replay(case, check=2 if COMPILED else 1)
    assert mh.compare(pred, case.truth).exact
    assert np.array_equal(pred.addr, case.truth["addr"])
    assert np.array_equal(pred.needzero, case.truth["needzero"])
    assert pred.unrecorded_sweeps == 0


def test_golden_case_recounted_after_every_event(cases_dir):
    """The start of the case, which plain Python can recount after every event too."""
    case = mh.load_case(cases_dir / "go119-gzip")
    state = HeapState(case.params.to_record())
    h = state.h
    out = Results(np.zeros(len(case), "u8"), np.zeros(len(case), "u8"), np.zeros(len(case), "u1"))
    h.log_spans = 0
    for event in range(len(case) if COMPILED else 12):
        assert run_events(h, case.events, out, event, event + 1) == event + 1
        verify_heap(h)
        assert out.addr[event] == case.truth["addr"][event]


@pytest.mark.parametrize("room", [{"spans": 4}, {"span_log": 3}, {"heap_arenas": 2}, {"in_use": 1}, {"pallocs": 8192}])
def test_without_room_nothing_has_happened(room):
    heap = Heap(room=room, arena_bytes=4 * MIB)
    for _ in range(6):
        heap.add(SPAN_ALLOC, size=500, flags=STACK, p=WITHOUT_P)
    reached = run_events(heap.h, heap.events(), heap.out, 0, 6)
    assert reached < 6
    before = heap.accounts(), int(heap.h.spans_len), int(heap.h.n_hints), int(heap.h.search_addr)
    assert run_events(heap.h, heap.events(), heap.out, reached, 6) == reached
    assert before == (heap.accounts(), int(heap.h.spans_len), int(heap.h.n_hints), int(heap.h.search_addr))
    assert not heap.out.addr[reached:].any()
    assert int(heap.h.event) == reached and int(heap.h.need_arenas) == 2
    heap.done = reached
    heap.run()
    plenty = Heap(arena_bytes=4 * MIB)
    assert heap.out.addr[:6].tolist() == [plenty.span_alloc(500) for _ in range(6)]


def test_credits_are_counted_when_used():
    heap = Heap()
    heap.malloc(100, credit=3)
    heap.malloc(100, credit=5)
    assert int(heap.h.credits_used) == 3, "the second object needed no span"
    heap.malloc(40000, credit=7)
    assert int(heap.h.credits_used) == 10


# --------------------------------------------------------------------------------------------------- scavenge

# limit of the SCAVENGE, whether an allocation of 30 of the 32 free pages follows, run scavenged (first page, pages),
# and how many scavenged pages the allocation then got
DEFERRAL = [
    pytest.param(8, True, (24, 8), 6, id="the background scavenger's 64 KiB: at once"),
    pytest.param(0, True, (0, 32), 30, id="no limit: at once"),
    pytest.param((1 << 32) - 1, True, (0, 32), 30, id="what is left of no limit: at once"),
    pytest.param(3, True, (30, 2), 0, id="an allocation's limit: after the allocation"),
    pytest.param(1 << 30, True, (30, 2), 0, id="a large limit of an allocation"),
    pytest.param(3, False, (29, 3), 0, id="no allocation follows: at once"),
]


@pytest.mark.parametrize("limit, allocates, run, scavenged", DEFERRAL)
def test_scavenge_waits_for_the_allocation_that_made_it(limit, allocates, run, scavenged):
    heap = Heap()
    heap.free_pages(32)
    event = heap.add(SCAVENGE, size=limit)
    if allocates:
        heap.add(SPAN_ALLOC, size=30, flags=STACK, p=WITHOUT_P)
    else:
        heap.add(PCACHE_FLUSH)
    heap.run()
    first, pages = run
    assert (int(heap.out.addr[event]), int(heap.out.scav[event])) == (page_at(first), pages)
    if allocates:
        assert (int(heap.out.addr[event + 1]), int(heap.out.scav[event + 1])) == (page_at(0), scavenged * PAGE)
    assert int(heap.h.waiting_stop) == 0
    heap.check()


def test_several_scavenges_wait_together():
    heap = Heap()
    heap.free_pages(64)
    events = [heap.add(SCAVENGE, size=n) for n in (3, 5, 2)]
    heap.add(SPAN_ALLOC, size=40, flags=STACK, p=WITHOUT_P)
    heap.run()
    assert pages_of(heap.out.addr[events].astype(np.int64).tolist()) == [61, 56, 54]
    assert heap.out.scav[events].tolist() == [3, 5, 2]


def test_waiting_scavenges_run_one_event_at_a_time():
    """A batch may end while scavenges wait."""
    heap = Heap()
    heap.free_pages(32)
    heap.apply(SCAVENGE, size=3)
    assert heap.out.addr[heap.n - 1] == page_at(29), "nothing followed within the columns"
    first = heap.add(SCAVENGE, size=4)
    heap.add(SCAVENGE, size=5)
    heap.add(SPAN_ALLOC, size=20, flags=STACK, p=WITHOUT_P)
    events = heap.events()
    for event in range(first, heap.n):
        assert run_events(heap.h, events, heap.out, event, event + 1) == event + 1
    assert pages_of(heap.out.addr[first : heap.n].astype(np.int64).tolist()) == [25, 20, 0]


def test_scavenge_of_an_allocation_that_needs_no_span():
    heap = Heap()
    heap.malloc(100)
    heap.flush_pages()
    heap.free_pages(100)
    event = heap.add(SCAVENGE, size=3)
    heap.add(MALLOC, size=100, flags=1)
    heap.run()
    assert pages_of([int(heap.out.addr[event])]) == [98] and heap.out.scav[event] == 3


def test_background_scavenger_goes_on_with_the_rest_of_its_quantum():
    heap = Heap()
    low = heap.span_alloc(5)
    heap.span_alloc(1)
    high = heap.span_alloc(5)
    heap.span_alloc(1)
    heap.span_free(low)
    heap.span_free(high)
    assert heap.scavenge(8) == (high, 5)
    assert int(heap.h.background_left) == 3
    event = heap.add(SCAVENGE, size=3)
    heap.add(SPAN_ALLOC, size=4, flags=STACK, p=WITHOUT_P)
    heap.run()
    assert int(heap.out.addr[event]) == low + 2 * PAGE, "before the allocation took the pages from low to low + 4"
    assert int(heap.out.scav[event + 1]) == 2 * PAGE
    event = heap.add(SCAVENGE, size=3)
    heap.add(SPAN_ALLOC, size=1, flags=STACK, p=WITHOUT_P)
    with pytest.raises(BadEvent, match="no such free page"):
        heap.run()


# ---------------------------------------------------------------------------------------------- ensure swept

# Go version, what the event names, bytes of the allocation that follows (0: none does), whether that swept the first
# span of its class before the event was applied
ENSURES = [
    pytest.param("go1.19", "same class", 4096, False, id="before go1.27: at once"),
    pytest.param("go1.27", "same class", 4096, True, id="names a span of the allocation's class: waits"),
    pytest.param("go1.27", "same class", 0, False, id="no allocation follows: at once"),
    pytest.param("go1.27", "other class", 4096, False, id="another class, something alive: at once"),
    pytest.param("go1.27", "nothing alive", 4096, True, id="nothing alive: waits"),
]


@pytest.mark.parametrize("go, named, size, waits", ENSURES)
def test_ensure_swept_waits_for_the_allocation_it_is_about(go, named, size, waits):
    heap = Heap(go)
    first, second = heap.mallocs(4, 4096)[::2]
    other, empty = heap.mallocs(2, 8192)
    heap.flush()
    heap.collect(dead=[second, empty])
    ref = heap.event_of[{"same class": second, "other class": other, "nothing alive": empty}[named]]
    event = heap.add(ENSURE_SWEPT, ref=ref)
    heap.add(MALLOC, size=size, flags=1) if size else heap.add(PCACHE_FLUSH)
    assert run_events(heap.h, heap.events(), heap.out, event, event + 1) == event + 1
    assert (int(heap.h.waiting_stop) == event + 1) == waits
    swept = {a: int(heap.span(a)["sweepgen"]) == int(heap.h.sweepgen) for a in (first, second, other)}
    assert swept == {first: False, second: not waits and named == "same class", other: named == "other class"}
    heap.done = event + 1
    heap.run()
    assert int(heap.h.waiting_stop) == 0
    if size:
        assert int(heap.out.addr[event + 1]) == second
    if named == "nothing alive":
        assert int(heap.span(empty)["state"]) == 0
    heap.check()


# ------------------------------------------------------------------------------------------------- bad events


def test_events_that_contradict_the_heap():
    heap = Heap()
    stack = heap.span_alloc(4)
    heap.span_free(stack)
    with pytest.raises(BadEvent, match="SPAN_FREE of a span that is not there"):
        heap.span_free(stack)
    heap = Heap()
    with pytest.raises(BadEvent, match="no such free page"):
        heap.scavenge(0)


def test_ensure_swept_of_a_span_that_is_gone():
    heap = Heap()
    large, other = heap.malloc(100000), heap.malloc(100000)
    heap.collect(dead=[large])
    assert heap.sweepone() == large
    before = heap.accounts()
    heap.ensure_swept(large)
    assert heap.accounts() == before and heap.queue("full", False, 1) == [other]
