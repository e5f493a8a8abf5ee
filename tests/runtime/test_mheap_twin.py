"""mheap: allocSpan and the frees against a slow twin: record, address, scavenged bytes, needzero, and every account."""

import naive
import pytest
from runtime.entry import COMPILED, check_pages
from runtime.spans import (
    ALLOC_MANUAL,
    ALLOC_SPAN,
    BASE,
    FLUSH_PAGES,
    FREE_MANUAL,
    FREE_SPAN_LOCKED,
    HEAP,
    MIB,
    PAGE,
    RUN_ON,
    SCAVENGE_ALL,
    STACK,
    WITHOUT_P,
    Spans,
)

from mheaplab.runtime.verify import verify_heap

SEQUENCES = 2 if COMPILED else 1
OPERATIONS = 250
NO_LIMIT = (1 << 63) - 1


class NaiveSpans:
    """The heap's spans, written down: whole pages by ``naive.NaivePageAlloc``, records as numbers in Python lists.

    Attributes
    ----------
    spans : dict of int to (int, int, int)
        Address, pages and type of each span, by its record.
    """

    def __init__(self, limit=NO_LIMIT, goal=-1, arena_pages=8192, early=100, **policy):
        self.pages = naive.NaivePageAlloc(**policy)
        self.early = early
        self.used = naive.NaiveNeedsZero(arena_pages)
        self.limit, self.goal = limit, goal
        self.caches, self.records = {}, {}
        self.free_records, self.made = [], 0
        self.spans = {}
        self.end = BASE
        self.ready = self.free = 0

    def new_record(self):
        if self.free_records:
            return self.free_records.pop()
        self.made += 1
        return self.made

    def record(self, p):
        """Return a record from the P's own, which are filled up to 64, or without a P a new one."""
        if p == WITHOUT_P:
            return self.new_record()
        own = self.records.setdefault(p, [])
        if not own:
            own += [self.new_record() for _ in range(64)]
        return own.pop()

    def take_pages(self, npages, p):
        """Return (address, scavenged bytes, growth) of pages."""
        address, growth = 0, 0
        used = sum(n for _, n, _ in self.spans.values())
        if self.early < 100 and 100 * (used + npages) * PAGE > self.early * (self.end - BASE):
            growth = self.grow(npages)
        if p != WITHOUT_P and npages < self.pages.cache_pages // 4:
            if p not in self.caches or not self.caches[p].pages:
                self.caches[p] = self.pages.alloc_to_cache()
            address, scav = self.caches[p].alloc(npages)
        if address:
            return address, scav, growth
        address, scav = self.pages.alloc(npages)
        if address:
            return address, scav, growth
        assert growth == 0
        growth = self.grow(npages)
        return *self.pages.alloc(npages), growth

    def grow(self, npages):
        growth = -(-npages // 512) * 512 * PAGE
        self.pages.grow(self.end, growth)
        self.end += growth
        return growth

    def scavenge(self, nbytes):
        """Return pages to the OS until it is ``nbytes``, or there are no more; return the bytes."""
        given = 0
        while given < nbytes:
            pages = self.pages.scavenge_next(-(-(nbytes - given) // PAGE))[1]
            if pages == 0:
                break
            given += pages * PAGE
        self.ready -= given
        self.free -= given
        return given

    def alloc(self, npages, typ, p):
        """Return (record, address, scavenged bytes, needzero) of a new span."""
        address, scav, growth = self.take_pages(npages, p)
        index = self.record(p)
        dirty = self.used.alloc(address, npages)
        todo = scav + self.ready - self.limit
        if self.goal >= 0 and growth:
            todo = max(todo, min(growth, self.bytes_of(HEAP) + self.free + growth - self.goal))
        if p != WITHOUT_P:
            self.scavenge(todo)
        self.ready += scav
        self.free -= npages * PAGE - scav
        self.spans[index] = (address, npages, typ)
        return index, address, scav, int(dirty)

    def give_back(self, index, p):
        address, npages, _ = self.spans.pop(index)
        self.pages.free_range(address, npages)
        self.free += npages * PAGE
        own = self.records.setdefault(p, []) if p != WITHOUT_P else []
        (own if p != WITHOUT_P and len(own) < 128 else self.free_records).append(index)

    def bytes_of(self, typ):
        return sum(npages * PAGE for _, npages, t in self.spans.values() if t == typ)


class Script:
    """Calls of the heap with the answers of the twin."""

    def __init__(self, twin):
        self.twin = twin
        self.calls, self.answers, self.rows = [], [], []

    def add(self, *call, answer=0):
        self.calls.append(call)
        self.answers.append(answer)

    def alloc(self, npages, typ, p):
        row = self.twin.alloc(npages, typ, p)
        self.add(*((ALLOC_SPAN, npages, HEAP, 1, p) if typ == HEAP else (ALLOC_MANUAL, npages, typ, p)), answer=row[0])
        self.rows.append((*row[1:3], npages, row[3]))

    def free(self, index, p):
        typ = self.twin.spans[index][2]
        self.add(RUN_ON, p)
        self.add(*((FREE_SPAN_LOCKED, index, HEAP) if typ == HEAP else (FREE_MANUAL, index, typ)))
        self.twin.give_back(index, p)

    def random_step(self, rng):
        """Add a random allocation or free, or now and then a flush of a page cache, or the return of everything."""
        kind, p = rng.random(), int(rng.choice([0, 1, 2, WITHOUT_P]))
        if kind < 0.55:
            npages = int(rng.choice([1, rng.integers(1, 16), rng.integers(1, 64), rng.integers(1, 1200)]))
            self.alloc(npages, int(rng.choice([HEAP, STACK, 2, 3])), p)
        elif kind < 0.93:
            if self.twin.spans:
                self.free(int(rng.choice(list(self.twin.spans))), p)
        elif kind < 0.98:
            p %= 3
            if p in self.twin.caches:
                self.add(FLUSH_PAGES, p)
                self.twin.pages.flush(self.twin.caches.pop(p))
        else:
            self.add(SCAVENGE_ALL, answer=self.twin.scavenge(1 << 60))

    def run(self, heap):
        """Make the calls since the last run; compare what each returns, and the row of each span."""
        got = heap.calls(*self.calls)
        for k, (one, want) in enumerate(zip(got, self.answers, strict=True)):
            assert one == want, f"call {k}: {self.calls[k]}"
        rows = heap.state.take_rows()
        names = ("span_base", "span_scav", "span_npages", "span_needzero")
        assert [tuple(int(row[name]) for name in names) for row in rows] == self.rows
        self.calls, self.answers, self.rows = [], [], []


def check_accounts(heap, twin):
    """Check all accounts, and in the end every page of the page allocator, against the twin."""
    s = heap.h.stats
    in_use = tuple(twin.bytes_of(typ) for typ in (HEAP, STACK, 2, 3))
    assert (int(s.heap_in_use), int(s.in_stacks), int(s.in_ptr_scalar_bits), int(s.in_work_bufs)) == in_use
    assert (int(s.ready), int(s.heap_free)) == (twin.ready, twin.free)
    assert int(s.prepared) == int(s.heap_released) == twin.end - BASE - twin.ready
    assert int(heap.h.pages_in_use) * PAGE == in_use[0]
    cached = sum(len(own) for own in twin.records.values())
    assert int(heap.h.spanalloc.in_use) == 144 * (len(twin.spans) + cached)


def run_random_spans(rng, heap, twin):
    """Make random calls, and compare every answer, every account, and every page in the end."""
    heap.h.log_spans = 1
    script = Script(twin)
    for k in range(OPERATIONS):
        script.random_step(rng)
        if k % 10 == 9:
            script.run(heap)
            check_accounts(heap, twin)
    for index in list(twin.spans):
        script.free(index, 0)
    script.run(heap)
    check_accounts(heap, twin)
    check_pages(heap.state, twin.pages)
    if COMPILED:  # every page of the heap, one by one
        verify_heap(heap.h)


# memory limit and growth goal in MiB, MiB of an arena
LIMITS = [(None, None, 64), (20, None, 64), (None, 4, 64), (16, 8, 64), (20, None, 4)]


# page placement, pages of a page cache, percent of the mapped heap in use at which it grows
POLICIES = [
    *(("first-fit", pages, 100) for pages in (0, 8, 16, 32)),
    *((placement, pages, 100) for placement in ("best-fit", "next-fit") for pages in (0, 16, 64)),
    ("first-fit", 64, 80),
    ("best-fit", 8, 50),
    ("next-fit", 32, 99),
]


@pytest.mark.parametrize("placement, cache_pages, early", POLICIES)
def test_random_spans_under_policies(rng, placement, cache_pages, early):
    for k in range(SEQUENCES):
        limit = NO_LIMIT if k == 0 else 24 * MIB
        names = {"page_placement": placement, "page_cache_pages": cache_pages, "grow_early_percent": early}
        twin = NaiveSpans(limit, 8 * MIB if k else -1, early=early, placement=placement, cache_pages=cache_pages)
        heap = Spans(room={"span_log": 1 << 10, "spans": 1 << 11}, memory_limit=limit, **names)
        heap.h.gc_percent_goal = twin.goal
        run_random_spans(rng, heap, twin)


@pytest.mark.parametrize("limit, goal, arena", LIMITS)
def test_random_spans(rng, limit, goal, arena):
    for _ in range(SEQUENCES):
        limit_bytes = NO_LIMIT if limit is None else limit * MIB + int(rng.integers(PAGE))
        goal_bytes = -1 if goal is None else goal * MIB + int(rng.integers(PAGE))
        room = {"heap_arenas": 200, "span_log": 1 << 10, "spans": 1 << 11}
        heap = Spans(room=room, memory_limit=limit_bytes, arena_bytes=arena * MIB)
        heap.h.gc_percent_goal = goal_bytes
        run_random_spans(rng, heap, NaiveSpans(limit_bytes, goal_bytes, arena * 128))
