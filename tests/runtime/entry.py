"""How the tests reach the kernel's inner functions, and the driver of the page allocator that three modules share.

Compiled inner functions have no Python wrapper.  A test module therefore has one *driver*: a function made an entry
point by ``entry``, which applies a list of operations, one row of an array each, and writes what they return into
another.  One driver for all operations of a module compiles faster than one for each.

``PageScript`` writes such a list for the page allocator together with the answers of the slow twin, and ``run`` stops
at the first operation whose answer differs, so that a failure names it.  ``new_page_alloc`` makes a page allocator
with given pages taken and scavenged, as Go's NewPageAlloc of runtime/export_test.go does for Go's tests.
"""

import collections

import naive
import numpy as np
from numba import config

from mheaplab.params import HeapParams
from mheaplab.runtime import _jit
from mheaplab.runtime.mgcscavenge import (
    page_alloc_scavenge_at,
    page_alloc_scavenge_next,
    page_alloc_scavenge_one,
    palloc_data_find_scavenge_candidate,
)
from mheaplab.runtime.mgcscavenge_index import scavenge_index_clear, scavenge_index_find, scavenge_index_mark
from mheaplab.runtime.mpagealloc import (
    chunk_of,
    page_alloc_alloc_range,
    page_alloc_free,
    page_alloc_grow,
    page_alloc_update,
)
from mheaplab.runtime.mpagecache import page_alloc_alloc_to_cache, page_cache_alloc, page_cache_flush
from mheaplab.runtime.mplacement import page_alloc_place
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import ARENA_BASE_OFFSET, MAX_SEARCH_ADDR, NO, SUMMARY_LEVELS, YES
from mheaplab.runtime.tables import arena_map_set

COMPILED = not config.DISABLE_JIT
"""Whether the kernel is compiled. As plain Python it is several hundred times slower: fewer random steps then."""

SMALL_ROOM = {
    "spans": 1 << 8,
    "heap_arenas": 16,
    "gc_bits": 1 << 18,
    "span_log": 16,
    "in_use": 256,
    "pallocs": 40 << 13,
}
"""Room of the tables of a heap for tests: a state of the default room takes 30 ms to make, one of these 5 ms."""

PAGE = naive.PAGE
CHUNK_PAGES = naive.CHUNK_PAGES
CHUNK_BYTES = PAGE * CHUNK_PAGES
BASE_CHUNK = 0xC000 + naive.CHUNK_OFFSET
"""Chunk index from which the tests build, the BaseChunkIdx of Go's tests."""
ALL = (0, CHUNK_PAGES)
"""The range of all pages of a chunk."""


def entry(fn):
    """Make ``fn`` callable from Python: compiled and cached as the kernel's entry points are, or as it is."""
    return _jit.kentry(fn) if COMPILED else fn


def new_state(**changes):
    """Return an empty heap with Go 1.19's parameters but ``changes``, and small tables."""
    return HeapState(HeapParams.go119(**changes).to_record(), SMALL_ROOM)


def page_base(ci, page=0):
    """Return the address of a page of chunk ``ci``, as PageBase of Go's tests."""
    return ((ci - naive.CHUNK_OFFSET) * CHUNK_PAGES + page) * PAGE


# ---------------------------------------------------------------------------------------------------- driver

OPS = (
    "GROW ALLOC ALLOC_RANGE FREE FREE_SCAVENGED UPDATE MAP_ARENA TO_CACHE CACHE_ALLOC FLUSH "
    "SCAVENGE_ONE SCAVENGE_NEXT SCAVENGE_AT CANDIDATE MARK CLEAR FIND"
).split()
NOT_DONE = -1
"""Search address of an operation that was not made. An address is never negative."""
GROW, ALLOC, ALLOC_RANGE, FREE, FREE_SCAVENGED, UPDATE, MAP_ARENA, TO_CACHE, CACHE_ALLOC, FLUSH = range(10)
SCAVENGE_ONE, SCAVENGE_NEXT, SCAVENGE_AT, CANDIDATE, MARK, CLEAR, FIND = range(10, 17)


@entry
def drive_pages(h, ops, want, got):
    """Apply ``ops``, rows (kind, P, a, b); stop behind the first whose answer differs and return how many were done.

    A row of ``want`` and ``got`` is an answer of three numbers; ``got`` has the search address after it in a fourth.
    """
    for k in range(len(ops)):
        kind = ops[k, 0]
        c = h.allp[ops[k, 1]].pcache
        a = ops[k, 2]
        b = ops[k, 3]
        first = np.int64(0)
        second = np.int64(0)
        third = np.int64(0)
        if kind == GROW:
            page_alloc_grow(h, a, b)
        elif kind == ALLOC:
            first = page_alloc_place(h, b)
            second = np.int64(h.out_scav)
        elif kind == ALLOC_RANGE:
            first = page_alloc_alloc_range(h, a, b)
        elif kind == FREE:
            page_alloc_free(h, a, b, NO)
        elif kind == FREE_SCAVENGED:
            page_alloc_free(h, a, b, YES)
        elif kind == UPDATE:
            page_alloc_update(h, a, b, NO)
        elif kind == MAP_ARENA:
            arena_map_set(h, (a + ARENA_BASE_OFFSET) >> np.int64(h.params.log_arena_bytes), np.uint32(1))
        elif kind == TO_CACHE:
            page_alloc_alloc_to_cache(h, c)
            first = np.int64(c.base_addr)
            second = np.int64(c.cache)
            third = np.int64(c.scav)
        elif kind == CACHE_ALLOC:
            first = page_cache_alloc(h, c, b)
            second = np.int64(h.out_scav)
        elif kind == FLUSH:
            page_cache_flush(h, c)
            first = np.int64(c.base_addr)
            second = np.int64(c.cache)
            third = np.int64(c.scav)
        elif kind == SCAVENGE_ONE:
            first = page_alloc_scavenge_one(h, a, b)
            second = np.int64(h.out_pages)
        elif kind == SCAVENGE_NEXT:
            first = page_alloc_scavenge_next(h, b)
            second = np.int64(h.out_pages) if first != 0 else np.int64(0)
        elif kind == SCAVENGE_AT:
            first = np.int64(1) if page_alloc_scavenge_at(h, a, b) else np.int64(0)
            second = np.int64(h.out_pages) if first != 0 else np.int64(0)
        elif kind == CANDIDATE:
            first = palloc_data_find_scavenge_candidate(h, chunk_of(h, a), b)
            second = np.int64(h.out_pages)
        elif kind == MARK:
            scavenge_index_mark(h, a, b)
        elif kind == CLEAR:
            scavenge_index_clear(h, a)
        elif kind == FIND:
            first = scavenge_index_find(h)
        got[k, 0] = first
        got[k, 1] = second
        got[k, 2] = third
        got[k, 3] = np.int64(h.search_addr)
        if first != want[k, 0] or second != want[k, 1] or third != want[k, 2]:
            return k + 1
    return len(ops)


def _signed(word):
    """Return a 64-bit word as the int64 with the same bits."""
    return int(word) - (int(word) >> 63 << 64)


class PageScript:
    """A list of operations on the page allocator, with the answers they should have.

    The methods that are named like those of ``naive.NaivePageAlloc`` ask the twin for the answer and return it.

    Attributes
    ----------
    twin : naive.NaivePageAlloc
        The twin after the operations so far.
    arenas : set of int
        The arenas (of 64 MiB) that were mapped.
    tally : collections.Counter
        How often each operation was done, by its name and whether it should answer anything but zeros.
    """

    def __init__(self, twin=None):
        self.twin = twin or naive.NaivePageAlloc()
        self.caches = {}
        self._in_use = self.twin.in_use()
        self.arenas = set()
        self.tally = collections.Counter()
        self._done = []
        self._rows = []
        self._want = []
        self._after = []

    def add(self, kind, a=0, b=0, p=0, want=()):
        """Append an operation and its answer."""
        self._rows.append((kind, p, a, b))
        self.tally[OPS[kind], any(want)] += 1
        self._want.append([_signed(w) for w in want] + [0] * (3 - len(want)))
        self._after.append((self.twin.lowest_free(), self._in_use))

    def grow(self, address, nbytes):
        self.twin.grow(address, nbytes)
        self._in_use = self.twin.in_use()
        self.add(GROW, address, nbytes)

    def map_arena(self, address):
        self.arenas.add((address + int(ARENA_BASE_OFFSET)) >> 26)
        self.add(MAP_ARENA, address)

    def alloc(self, n):
        answer = self.twin.alloc(n)
        self.add(ALLOC, 0, n, want=answer)
        return answer[0]

    def alloc_range(self, address, n):
        self.add(ALLOC_RANGE, address, n, want=(self.twin.alloc_range(address, n),))

    def free(self, address, n):
        self.twin.free_range(address, n)
        self.add(FREE, address, n)

    def alloc_to_cache(self, p):
        self.caches[p] = self.twin.alloc_to_cache()
        self.add(TO_CACHE, p=p, want=self.caches[p].words())

    def cache_alloc(self, p, n):
        answer = self.caches[p].alloc(n)
        self.add(CACHE_ALLOC, b=n, p=p, want=answer)
        return answer[0]

    def flush(self, p):
        # An empty cache is left as it is, with the address of its last block.
        cache = self.caches[p]
        self.twin.flush(cache)
        self.caches[p] = naive.NaivePageCache()
        if not cache.pages:
            self.caches[p].block = cache.block
        self.add(FLUSH, p=p, want=self.caches[p].words())

    def scavenge_one(self, ci, most):
        self.add(SCAVENGE_ONE, ci, most, want=self.twin.scavenge_one(ci, most))

    def scavenge_next(self, most):
        answer = self.twin.scavenge_next(most)
        self.add(SCAVENGE_NEXT, 0, most, want=answer)
        return answer[1]

    def scavenge_at(self, address, n):
        done = self.twin.scavenge_at(address, n)
        self.add(SCAVENGE_AT, address, n, want=(1, n) if done else ())

    def run(self, state):
        """Run the operations added since the last run, compare every answer, and check the search address."""
        ops = np.array(self._rows, np.int64).reshape(-1, 4)
        want = np.array(self._want, np.int64).reshape(-1, 3)
        got = np.full((len(ops), 4), NOT_DONE, np.int64)
        try:
            done = drive_pages(state.h, ops, want, got)
        except (RuntimeError, IndexError) as error:
            error.add_note(f"at {self._named(int((got[:, 3] != NOT_DONE).sum()))}")
            raise
        if not done:
            return
        assert got[done - 1, :3].tolist() == want[done - 1].tolist(), self._named(done - 1)
        for k, (search, (lowest, in_use)) in enumerate(zip(got[:, 3].tolist(), self._after, strict=True)):
            self._check_search(search, lowest, in_use, k)
        self._done += self._rows
        self._rows, self._want, self._after = [], [], []

    def _named(self, k):
        """Return the words for operation ``k`` of those that are not yet done."""
        kind, *rest = self._rows[k]
        return f"operation {len(self._done) + k + 1}, {OPS[kind]} {rest}"

    def listing(self):
        """Return all operations, a line each: number, name, P and two arguments."""
        rows = enumerate(self._done + self._rows, 1)
        return "\n".join(f"{k:4} {OPS[kind]:14} P {p} {a:#x} {b}" for k, (kind, p, a, b) in rows)

    def _check_search(self, search, lowest, in_use, k):
        """Check what holds of the search address after operation ``k``: nothing is free below, and the page exists."""
        assert lowest is None or search <= lowest, f"free page below searchAddr after {self._named(k)}"
        known = search == MAX_SEARCH_ADDR or any(base <= search < limit for base, limit in in_use)
        known = known or (search + int(ARENA_BASE_OFFSET)) >> 26 in self.arenas
        assert known, f"searchAddr outside the heap after {self._named(k)}"


def check_pages(state, twin):
    """Check bitmaps, ranges, bounds and all five levels of summaries against the twin."""
    check_bitmaps(state, twin)
    check_summaries(state, twin)
    check_strays(state, twin)


def check_bitmaps(state, twin):
    """Check which chunks the heap has, and the state of every page."""
    h = state.h
    chunks = twin.chunks()
    data = state.tables["pallocs"][place_of_chunks(state, chunks)]
    free = ~naive.to_bits(data["alloc"]["w"])
    assert np.array_equal(free, twin.free), f"taken pages of {_differing(free, twin.free, chunks)}"
    scavenged = naive.to_bits(data["scavenged"]["w"])
    assert np.array_equal(scavenged, twin.scavenged), f"scavenged in {_differing(scavenged, twin.scavenged, chunks)}"
    assert (int(h.chunk_start), int(h.chunk_end)) == (int(chunks[0]), int(chunks[-1]) + 1)
    ranges = state.tables["in_use"][: int(h.in_use_len)]
    assert list(zip(ranges["base_addr"].tolist(), ranges["limit"].tolist(), strict=True)) == twin.in_use()


def _differing(got, want, chunks):
    """Return the words for the first page that differs between two bitmaps of the given chunks."""
    i = int(np.flatnonzero(got != want)[0])
    return f"chunk {chunks[i // CHUNK_PAGES]}: page {i % CHUNK_PAGES} is {got[i]}"


def check_summaries(state, twin):
    """Check every entry of the tree above a chunk of the heap, and the entries beside it."""
    chunks = twin.chunks()
    words = state.tables["summary"]
    for level in range(SUMMARY_LEVELS):
        offset = int(state.h.level_offset[level])
        covering = set((chunks >> 3 * (SUMMARY_LEVELS - 1 - level)).tolist())
        entries = sorted({i + beside for i in covering for beside in (-1, 0, 1)})
        want = twin.summaries(level, entries)
        got = words[offset + np.array(entries)].tolist()
        # Both ways: that the word is right, and that it is read right.
        assert [naive.unpack_sum(word) for word in got] == want, f"summaries of level {level}, entries {entries}"
        assert [naive.pack_sum(*w) for w in want] == got, f"packing at level {level}"


def check_strays(state, twin):
    """Check that all other entries of the upper levels are 0; reading the lower ones would take the memory."""
    chunks = twin.chunks()
    for level in range(2):
        offset = int(state.h.level_offset[level])
        used = np.flatnonzero(state.tables["summary"][offset : offset + (1 << 14 + 3 * level)])
        covering = chunks >> 3 * (SUMMARY_LEVELS - 1 - level)
        assert set(used.tolist()) <= set(covering.tolist()), f"stray summary at level {level}"


def new_twin(taken, scavenged=None):
    """Return the twin with the chunks ``taken``: lists of (first page, pages) that are taken, by chunk index.

    ``scavenged`` says likewise which pages are scavenged; None: none of them.  A page that is taken is not scavenged.
    Chunks with something to scavenge are marked.
    """
    twin = naive.NaivePageAlloc()
    for ci, ranges in taken.items():
        twin.grow(page_base(ci), CHUNK_BYTES)
        at = twin.chunk_at(ci)
        twin.free[at] = ~page_bitmap(ranges)
        twin.scavenged[at] = page_bitmap((scavenged or {}).get(ci, [])) & twin.free[at]
        if (twin.free[at] & ~twin.scavenged[at]).any():
            twin.marked.add(ci)
    return twin


def new_page_alloc(taken, scavenged=None, **changes):
    """Return (state, script) of a page allocator as described for ``new_twin``."""
    state = new_state(**changes)
    script = PageScript(new_twin(taken, scavenged))
    for ci in taken:
        script.add(GROW, page_base(ci), CHUNK_BYTES)
    script.run(state)
    write_pages(state, script)
    script.run(state)
    return state, script


def write_pages(state, script):
    """Write the twin's bitmaps into ``state``, and append the operations that make the rest of it follow."""
    chunks, twin = script.twin.chunks(), script.twin
    data = state.tables["pallocs"]
    at = place_of_chunks(state, chunks)
    data["alloc"]["w"][at] = naive.to_words(~twin.free).reshape(-1, 8)
    data["scavenged"]["w"][at] = naive.to_words(twin.scavenged).reshape(-1, 8)
    for ci in chunks.tolist():
        if ci in twin.marked:
            script.add(MARK, ci, ci)
        script.add(UPDATE, page_base(ci), CHUNK_PAGES)


def place_of_chunks(state, chunks):
    """Return where the table ``pallocs`` has the given chunks of the heap."""
    return state.h.chunks_l1[chunks >> 13].astype(np.int64) + (chunks & 8191)


def page_bitmap(ranges):
    """Return the bitmap of a chunk with the given (first page, pages) set."""
    bits = np.zeros(CHUNK_PAGES, bool)
    for first, n in ranges:
        bits[first : first + n] = True
    return bits


def same_pages(twin, other):
    """Return whether two twins have the same pages in the same states."""
    fields = ((twin.page, other.page), (twin.free, other.free), (twin.scavenged, other.scavenged))
    return all(np.array_equal(a, b) for a, b in fields)
