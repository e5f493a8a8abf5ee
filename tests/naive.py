"""Slow twins of the kernel's clever functions.

Each is written from the definition (the comments of Go's runtime, or the docstring of the kernel module), not from the
fast code: bits are lists of booleans, pages are numbers in sorted arrays, queues are deques.  Where the kernel shifts
and masks, these loop.  Of the kernel they use the constants of ``structs`` and nothing else.

A *page number* is an address divided by the page size; a *chunk index* is the kernel's (address plus offset, by 4 MiB).
"""

import collections

import numpy as np

from mheaplab.runtime import structs

PAGE = int(structs.PAGE_SIZE)
CHUNK_PAGES = int(structs.PALLOC_CHUNK_PAGES)
CACHE_PAGES = int(structs.PAGE_CACHE_PAGES)
CHUNK_OFFSET = int(structs.ARENA_BASE_OFFSET) // PAGE // CHUNK_PAGES
"""Chunk index of address 0."""


# ---------------------------------------------------------------------------------------------------- bits


def to_bits(words):
    """Return the bits of 64-bit ``words``, lowest first, as a boolean array."""
    return np.unpackbits(np.ascontiguousarray(words, "<u8").view("u1"), bitorder="little").astype(bool)


def to_words(bits):
    """Return ``bits`` (a multiple of 64 of them, lowest first) as 64-bit words."""
    return np.packbits(np.asarray(bits, bool), bitorder="little").view("<u8")


def runs(bits):
    """Return the maximal runs of true values in ``bits`` as (start, end), in order."""
    found = []
    for i, bit in enumerate(bits):
        if not bit:
            continue
        if found and found[-1][1] == i:
            found[-1] = (found[-1][0], i + 1)
        else:
            found.append((i, i + 1))
    return found


def summarize(free):
    """Return (free pages at the start, longest free run, free pages at the end) of a bitmap of free pages."""
    start = most = run = 0
    touches_start = True
    for bit in free:
        if bit:
            run += 1
            start += touches_start
            most = max(most, run)
        else:
            run = 0
            touches_start = False
    return start, most, run


def find_run(bits, n, first=0):
    """Return the lowest i >= ``first`` with ``n`` true values from i on, -1 if there is none."""
    run = 0
    for i in range(first, len(bits)):
        run = run + 1 if bits[i] else 0
        if run == n:
            return i - n + 1
    return -1


def pack_sum(start, most, end):
    """Return the summary word of three page counts: 21 bits each, or bit 63 alone when all are 2**21."""
    return 1 << 63 if most == 1 << 21 else start | most << 21 | end << 42


def unpack_sum(word):
    """Return (start, most, end) of a summary word."""
    if word >> 63:
        return 1 << 21, 1 << 21, 1 << 21
    return word % 2**21, (word >> 21) % 2**21, (word >> 42) % 2**21


def scavenge_candidate(free, scavenged, most, huge_pages):
    """Return (first page, pages) of what a chunk's scavenger takes, (0, 0) if nothing.

    That is the upper end, ``most`` pages long, of the highest run of pages that are free and not scavenged.  If it
    would begin inside a huge page (``huge_pages`` pages; 0: there are none) that the run holds whole, it is extended
    down to the huge page's first page.
    """
    found = runs(np.asarray(free) & ~np.asarray(scavenged))
    if not found:
        return 0, 0
    low, end = found[-1]
    start = max(low, end - most)
    if huge_pages:
        for first in range(0, CHUNK_PAGES, huge_pages):
            whole = low <= first and first + huge_pages <= end
            if whole and first < start < first + huge_pages:
                start = first
    return start, end - start


# ---------------------------------------------------------------------------------------------------- pages


class NaivePageCache:
    """What a P owns of a 64-page block: a set of page numbers, and the subset that is scavenged."""

    def __init__(self):
        self.block = 0  # page number of the block's first page
        self.pages = set()
        self.scavenged = set()

    def words(self):
        """Return (address, bitmap, bitmap of scavenged pages) as the kernel's record has them."""
        cache = sum(1 << (p - self.block) for p in self.pages)
        return self.block * PAGE, cache, sum(1 << (p - self.block) for p in self.scavenged)

    def alloc(self, n):
        """Take the lowest run of ``n`` pages; return (address, scavenged bytes), (0, 0) if there is none."""
        for first in range(self.block, self.block + CACHE_PAGES - n + 1):
            wanted = set(range(first, first + n))
            if wanted <= self.pages:
                scavenged = len(wanted & self.scavenged)
                self.pages -= wanted
                self.scavenged -= wanted
                return first * PAGE, scavenged * PAGE
        return 0, 0


class NaivePageAlloc:
    """The pages known to the heap, in order of address, each free or not and scavenged or not."""

    def __init__(self, huge_pages=256):
        self.huge_pages = huge_pages
        self.page = np.zeros(0, np.int64)  # page numbers, ascending
        self.free = np.zeros(0, bool)
        self.scavenged = np.zeros(0, bool)
        self.marked = set()  # chunks that may have something to scavenge

    # What is where

    def at(self, address, npages=1):
        """Return the places of ``npages`` pages from ``address`` on, which must all be known, as a slice."""
        first = address // PAGE
        i = int(np.searchsorted(self.page, first))
        assert np.array_equal(self.page[i : i + npages], np.arange(first, first + npages)), "page outside the heap"
        return slice(i, i + npages)

    def chunks(self):
        """Return the chunk indexes of the heap, ascending."""
        return np.unique(self.page // CHUNK_PAGES) + CHUNK_OFFSET

    def chunk_at(self, ci):
        """Return the places of the pages of chunk ``ci``."""
        return self.at((int(ci) - CHUNK_OFFSET) * CHUNK_PAGES * PAGE, CHUNK_PAGES)

    def in_use(self):
        """Return the address ranges of the heap as (base, limit)."""
        return [(start * PAGE, end * PAGE) for start, end in _number_runs(self.page)]

    def lowest_free(self):
        """Return the address of the lowest free page, None if there is none."""
        places = np.flatnonzero(self.free)
        return int(self.page[places[0]]) * PAGE if len(places) else None

    def summary(self, level, i):
        """Return (start, most, end) of the pages under entry ``i`` of ``level``, those outside the heap being taken."""
        return self.summaries(level, [i])[0]

    def summaries(self, level, entries):
        """Return the summary of each of ``entries`` of ``level``."""
        log_pages = 48 - 13 - structs.SUMMARY_L0_BITS - structs.SUMMARY_LEVEL_BITS * level
        free_runs = np.array(_number_runs(self.page[self.free]), np.int64).reshape(-1, 2)
        found = []
        for i in entries:
            low = (int(i) << log_pages) - CHUNK_OFFSET * CHUNK_PAGES
            high = low + (1 << log_pages)
            clipped = np.clip(free_runs, low, high)
            length = clipped[:, 1] - clipped[:, 0]
            start = length[clipped[:, 0] == low].max(initial=0)
            end = length[clipped[:, 1] == high].max(initial=0)
            found.append((int(start), int(length.max(initial=0)), int(end)))
        return found

    # What can be done

    def grow(self, address, nbytes):
        """Take whole chunks around [address, address + nbytes) into the heap, free and scavenged."""
        first = address // PAGE // CHUNK_PAGES * CHUNK_PAGES
        end = -(-(address + nbytes) // PAGE // CHUNK_PAGES) * CHUNK_PAGES
        i = int(np.searchsorted(self.page, first))
        assert i == len(self.page) or end <= self.page[i], "growth overlaps the heap"
        self.page = np.insert(self.page, i, np.arange(first, end))
        self.free = np.insert(self.free, i, np.ones(end - first, bool))
        self.scavenged = np.insert(self.scavenged, i, np.ones(end - first, bool))

    def find(self, n):
        """Return the lowest address of ``n`` free pages in a row, 0 if there is none."""
        numbers = self.page[self.free]
        if len(numbers) < n:
            return 0
        fits = np.flatnonzero(numbers[n - 1 :] - numbers[: len(numbers) - n + 1] == n - 1)
        return int(numbers[fits[0]]) * PAGE if len(fits) else 0

    def alloc_range(self, address, n):
        """Take ``n`` free pages from ``address`` on; return their scavenged bytes."""
        at = self.at(address, n)
        assert self.free[at].all(), "allocating a taken page"
        scavenged = int(self.scavenged[at].sum()) * PAGE
        self.free[at] = False
        self.scavenged[at] = False
        return scavenged

    def alloc(self, n):
        """Take the first fit of ``n`` pages; return (address, scavenged bytes), (0, 0) if there is none."""
        address = self.find(n)
        return (address, self.alloc_range(address, n)) if address else (0, 0)

    def free_range(self, address, n, scavenged=False):
        """Give ``n`` taken pages back; unless they come from the scavenger, their chunks are marked for it."""
        at = self.at(address, n)
        assert not self.free[at].any(), "freeing a free page"
        self.free[at] = True
        if not scavenged:
            self.marked |= set((self.page[at] // CHUNK_PAGES + CHUNK_OFFSET).tolist())

    def alloc_to_cache(self):
        """Return a cache with all free pages of the aligned 64-page block that holds the lowest free page."""
        cache = NaivePageCache()
        lowest = self.lowest_free()
        if lowest is None:
            return cache
        cache.block = lowest // PAGE // CACHE_PAGES * CACHE_PAGES
        at = self.at(cache.block * PAGE, CACHE_PAGES)
        cache.pages = set(self.page[at][self.free[at]].tolist())
        cache.scavenged = set(self.page[at][self.free[at] & self.scavenged[at]].tolist())
        self.free[at] = False
        self.scavenged[at] = False
        return cache

    def flush(self, cache):
        """Give the pages of ``cache`` back, scavenged ones as scavenged. No chunk is marked."""
        for page in cache.pages:
            self.free[self.at(page * PAGE)] = True
            self.scavenged[self.at(page * PAGE)] = page in cache.scavenged

    def scavenge_at(self, address, n):
        """Scavenge ``n`` pages from ``address`` on; return whether all are of the heap, free and not yet scavenged."""
        i = int(np.searchsorted(self.page, address // PAGE))
        known = np.array_equal(self.page[i : i + n], np.arange(address // PAGE, address // PAGE + n))
        if not known or not (self.free & ~self.scavenged)[i : i + n].all():
            return False
        self.scavenged[i : i + n] = True
        return True

    def scavenge_one(self, ci, most):
        """Scavenge the candidate of chunk ``ci``; return (address, pages). Without one the chunk loses its mark."""
        at = self.chunk_at(ci)
        start, n = scavenge_candidate(self.free[at], self.scavenged[at], most, self.huge_pages)
        if n == 0:
            self.marked.discard(int(ci))
            return 0, 0
        address = (int(self.page[at][0]) + start) * PAGE
        assert self.scavenge_at(address, n)
        return address, n

    def scavenge_next(self, most):
        """Scavenge from the highest marked chunk that has a candidate; return (address, pages)."""
        while self.marked:
            address, n = self.scavenge_one(max(self.marked), most)
            if n:
                return address, n
        return 0, 0


def _number_runs(numbers):
    """Return the runs of consecutive values of an ascending array as (first, last + 1)."""
    if len(numbers) == 0:
        return []
    ends = np.flatnonzero(np.diff(numbers) != 1)
    first = numbers[np.concatenate(([0], ends + 1))]
    last = numbers[np.concatenate((ends, [len(numbers) - 1]))]
    return list(zip(first.tolist(), (last + 1).tolist(), strict=True))


class NaiveAddrRanges:
    """A set of addresses that remembers its members one by one; for small addresses only."""

    def __init__(self):
        self.members = set()

    def add(self, start, limit):
        """Add [start, limit), of which nothing may be in the set yet."""
        new = set(range(start, limit))
        assert not new & self.members, "ranges overlap"
        self.members |= new

    def ranges(self):
        """Return the members as maximal ranges (base, limit), in order."""
        return _number_runs(np.array(sorted(self.members), np.int64))

    def find_succ(self, address):
        """Return how many ranges have their base at or below ``address``."""
        return sum(base <= address for base, _ in self.ranges())

    def find_addr_greater_equal(self, address):
        """Return the lowest member at or above ``address``, -1 if there is none."""
        return min((a for a in self.members if a >= address), default=-1)


# ---------------------------------------------------------------------------------------------------- spans


class NaiveSpanSet:
    """A queue, first in, first out."""

    def __init__(self):
        self.queue = collections.deque()

    def push(self, s):
        """Append ``s``."""
        self.queue.append(s)

    def pop(self):
        """Take the oldest, 0 if there is none."""
        return self.queue.popleft() if self.queue else 0

    def reset(self):
        """Begin anew, which only an empty set may."""
        assert not self.queue, "attempt to clear non-empty span set"


class NaiveNeedsZero:
    """Which pages were ever used, by arena, to say whether a span's memory may be dirty.

    An arena is known to be clean above its highest page ever used, and nowhere else: Go remembers zeroedBase only.
    """

    def __init__(self, arena_pages):
        self.arena_pages = arena_pages
        self.used = collections.defaultdict(set)  # pages used, as page within the arena, by arena number

    def alloc(self, address, npages):
        """Use ``npages`` pages from ``address`` on; return whether one of them may hold old contents."""
        places = [divmod(p, self.arena_pages) for p in range(address // PAGE, address // PAGE + npages)]
        dirty = any(page <= max(self.used[arena], default=-1) for arena, page in places)
        for arena, page in places:
            self.used[arena].add(page)
        return dirty


def next_free_index(allocated, freeindex):
    """Return (index of the next free object, new freeindex): from ``freeindex`` on, or the number of objects twice."""
    for i in range(freeindex, len(allocated)):
        if not allocated[i]:
            return i, i + 1
    return len(allocated), len(allocated)


def is_allocated(allocated, freeindex):
    """Return for each object whether it is allocated: everything below ``freeindex`` is."""
    return [i < freeindex or bool(bit) for i, bit in enumerate(allocated)]
