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
SET_BLOCK = int(structs.SPAN_SET_BLOCK_ENTRIES)
INDEX_CHUNKS = 8 * 4096
"""Chunks for which a page of the scavenger's index has bits, with physical pages of 4096 bytes."""
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
        i = find_run([page in self.pages for page in range(self.block, self.block + CACHE_PAGES)], n)
        if i < 0:
            return 0, 0
        taken = set(range(self.block + i, self.block + i + n))
        scavenged = len(taken & self.scavenged)
        self.pages -= taken
        self.scavenged -= taken
        return (self.block + i) * PAGE, scavenged * PAGE


class NaivePageAlloc:
    """The pages known to the heap, in order of address, each free or not and scavenged or not.

    ``placement`` says which free run is taken, ``cache_pages`` how many pages the block of a page cache has.
    """

    def __init__(self, huge_pages=256, placement="first-fit", cache_pages=CACHE_PAGES):
        self.huge_pages = huge_pages
        self.placement, self.cache_pages = placement, cache_pages
        self.after_last = 0  # address after the last run taken (or block of a cache)
        self.page = np.zeros(0, np.int64)  # page numbers, ascending
        self.free = np.zeros(0, bool)
        self.scavenged = np.zeros(0, bool)
        self.marked = set()  # chunks that may have something to scavenge
        self.mapped = (0, 0)  # pages of the scavenger's index, from and to; 0: no bound yet
        self.released = 0  # pages scavenged so far
        self.pieces = []  # runs of ``page`` without a gap: (place of the first, page numbers from, to)

    # What is where

    def place(self, address, npages=1):
        """Return the place of the page of ``address``, None unless it and the next ones, ``npages``, are all known."""
        first = address // PAGE
        for place, start, end in self.pieces:
            if start <= first and first + npages <= end:
                return place + first - start
        return None

    def at(self, address, npages=1):
        """Return the places of ``npages`` pages from ``address`` on, which must all be known, as a slice."""
        i = self.place(address, npages)
        assert i is not None, "page outside the heap"
        return slice(i, i + npages)

    def chunks(self):
        """Return the chunk indexes of the heap, ascending."""
        return self.page[::CHUNK_PAGES] // CHUNK_PAGES + CHUNK_OFFSET

    def chunk_at(self, ci):
        """Return the places of the pages of chunk ``ci``."""
        return self.at((int(ci) - CHUNK_OFFSET) * CHUNK_PAGES * PAGE, CHUNK_PAGES)

    def in_use(self):
        """Return the address ranges of the heap as (base, limit)."""
        return [(start * PAGE, end * PAGE) for _, start, end in self.pieces]

    def lowest_free(self):
        """Return the address of the lowest free page, None if there is none."""
        i = self.free.tobytes().find(1)
        return int(self.page[i]) * PAGE if i >= 0 else None

    def runs_of(self, wanted):
        """Return the maximal runs of pages where the bitmap ``wanted`` is true as (address, pages), in order."""
        return [(start * PAGE, end - start) for start, end in _number_runs(self.page[wanted])]

    def summary(self, level, i):
        """Return (start, most, end) of the pages under entry ``i`` of ``level``, those outside the heap being taken."""
        return self.summaries(level, [i])[0]

    def summaries(self, level, entries):
        """Return the summary of each of ``entries`` of ``level``."""
        log_pages = 48 - 13 - structs.SUMMARY_L0_BITS - structs.SUMMARY_LEVEL_BITS * level
        low = (np.array(entries, np.int64)[:, None] << log_pages) - CHUNK_OFFSET * CHUNK_PAGES
        high = low + (1 << log_pages)
        # A row for each entry, with every free run cut to what lies under it.
        first, end = (np.clip(bounds, low, high) for bounds in _run_bounds(self.page[self.free]))
        length = end - first
        at_start = np.where(first == low, length, 0).max(axis=1, initial=0)
        at_end = np.where(end == high, length, 0).max(axis=1, initial=0)
        most = length.max(axis=1, initial=0)
        return list(zip(at_start.tolist(), most.tolist(), at_end.tolist(), strict=True))

    # What can be done

    def grow(self, address, nbytes):
        """Take whole chunks around [address, address + nbytes) into the heap, free and scavenged."""
        first = address // PAGE // CHUNK_PAGES * CHUNK_PAGES
        end = -(-(address + nbytes) // PAGE // CHUNK_PAGES) * CHUNK_PAGES
        i = int(np.searchsorted(self.page, first))
        assert i == len(self.page) or end <= self.page[i], "growth overlaps the heap"
        new = np.arange(first, end)
        self.page = np.concatenate((self.page[:i], new, self.page[i:]))
        self.free = np.concatenate((self.free[:i], new >= first, self.free[i:]))
        self.scavenged = np.concatenate((self.scavenged[:i], new >= first, self.scavenged[i:]))
        self.pieces, place = [], 0
        for start, stop in _number_runs(self.page):
            self.pieces.append((place, start, stop))
            place += stop - start
        self._map_index(first // CHUNK_PAGES + CHUNK_OFFSET, end // CHUNK_PAGES + CHUNK_OFFSET)

    def _map_index(self, first, end):
        """Map the scavenger's index for chunks [first, end) as Go 1.19 does: what is mapped loses its marks.

        One range of pages is kept mapped, wide enough for the whole heap, so growth maps what lies between.  But 0 is
        also the lower bound that the first growth leaves, and so the next bound above it is taken for the first.
        """
        low, high = self.mapped
        need_low = min(first // INDEX_CHUNKS, high)
        need_high = max(-(-end // INDEX_CHUNKS), low)
        if need_low < low or need_high > high:
            kept = [ci for ci in self.marked if low <= ci // INDEX_CHUNKS < high]
            beside = [ci for ci in self.marked if not need_low <= ci // INDEX_CHUNKS < need_high]
            self.marked = set(kept + beside)
            self.mapped = (min(need_low, low or need_low), max(need_high, high))

    def find(self, n):
        """Return the lowest address of ``n`` free pages in a row, 0 if there is none."""
        free = self.free.tobytes()
        for place, start, end in self.pieces:
            i = free.find(bytes([1]) * n, place, place + end - start)
            if i >= 0:
                return (start + i - place) * PAGE
        return 0

    def find_placed(self, n):
        """Return the address at which the policy places ``n`` pages, 0 if they fit nowhere."""
        if self.placement == "best-fit":
            fits = [(pages, address) for address, pages in self.runs_of(self.free) if pages >= n]
            return min(fits, default=(0, 0))[1]
        if self.placement == "next-fit":
            for address, pages in self.runs_of(self.free & (self.page * PAGE >= self.after_last)):
                if pages >= n:
                    return address
        return self.find(n)

    def alloc_range(self, address, n):
        """Take ``n`` free pages from ``address`` on; return their scavenged bytes."""
        at = self.at(address, n)
        assert self.free[at].all(), "allocating a taken page"
        scavenged = int(self.scavenged[at].sum()) * PAGE
        self.free[at] = False
        self.scavenged[at] = False
        return scavenged

    def alloc(self, n):
        """Take ``n`` pages where the policy has them; return (address, scavenged bytes), (0, 0) if there is no room."""
        address = self.find_placed(n)
        if not address:
            return 0, 0
        self.after_last = address + n * PAGE
        return address, self.alloc_range(address, n)

    def free_range(self, address, n, scavenged=False):
        """Give ``n`` taken pages back; unless they come from the scavenger, their chunks are marked for it."""
        at = self.at(address, n)
        assert not self.free[at].any(), "freeing a free page"
        self.free[at] = True
        if not scavenged:
            self.marked |= {int(page) // CHUNK_PAGES + CHUNK_OFFSET for page in self.page[at][::CHUNK_PAGES]}
            self.marked.add(int(self.page[at][-1]) // CHUNK_PAGES + CHUNK_OFFSET)

    def alloc_to_cache(self):
        """Return a cache with all free pages of the aligned block in which the policy has a single page."""
        cache = NaivePageCache()
        lowest = self.find_placed(1)
        if not lowest:
            return cache
        cache.block = lowest // PAGE // self.cache_pages * self.cache_pages
        at = self.at(cache.block * PAGE, self.cache_pages)
        self.after_last = (cache.block + self.cache_pages) * PAGE
        cache.pages = set(self.page[at][self.free[at]].tolist())
        cache.scavenged = set(self.page[at][self.free[at] & self.scavenged[at]].tolist())
        self.free[at] = False
        self.scavenged[at] = False
        return cache

    def flush(self, cache):
        """Give the pages of ``cache`` back, scavenged ones as scavenged. No chunk is marked."""
        for page in cache.pages:
            i = self.at(page * PAGE).start
            self.free[i] = True
            self.scavenged[i] = page in cache.scavenged

    def scavenge_at(self, address, n):
        """Scavenge ``n`` pages from ``address`` on; return whether all are of the heap, free and not yet scavenged."""
        i = self.place(address, n)
        if i is None or not (self.free & ~self.scavenged)[i : i + n].all():
            return False
        self.scavenged[i : i + n] = True
        self.released += n
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


def _run_bounds(numbers):
    """Return the first values of the runs of consecutive values in an ascending array, and what follows the last."""
    begins = np.ones(len(numbers) + 1, bool)
    begins[1:-1] = numbers[1:] != numbers[:-1] + 1
    return numbers[begins[:-1]], numbers[begins[1:]] + 1


def _number_runs(numbers):
    """Return the runs of consecutive values in an ascending array as [(first, last + 1)]."""
    first, end = _run_bounds(numbers)
    return list(zip(first.tolist(), end.tolist(), strict=True))


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
    """A queue, first in, first out, whose entries stand in blocks of 512 by the order in which they were pushed."""

    def __init__(self):
        self.queue = collections.deque()
        self.popped = 0  # entries, since the set was last begun

    def push(self, s):
        """Append ``s``."""
        self.queue.append(s)

    def pop(self):
        """Take the oldest, 0 if there is none."""
        if not self.queue:
            return 0
        self.popped += 1
        return self.queue.popleft()

    def reset(self):
        """Begin anew, which only an empty set may."""
        assert not self.queue, "attempt to clear non-empty span set"
        self.popped = 0

    def blocks(self):
        """Return how many blocks the set has: from that of the next entry to pop to that of the last one pushed.

        A block comes with its first entry and goes with its last, so one in which both pop and push go on stays.
        """
        pushed = self.popped + len(self.queue)
        return -(-pushed // SET_BLOCK) - self.popped // SET_BLOCK


class NaiveNeedsZero:
    """Which pages were ever used, by arena, to say whether a span's memory may be dirty.

    An arena is known to be clean above its highest page ever used, and nowhere else: Go remembers zeroedBase only.
    """

    def __init__(self, arena_pages):
        self.arena_pages = arena_pages
        # By arena number, a byte for each page of the arena: 1 if it was ever used.
        self.used = collections.defaultdict(lambda: bytearray(arena_pages))

    def zeroed_pages(self, arena):
        """Return how many pages of ``arena`` lie at or below its highest page ever used."""
        return self.used[arena].rfind(1) + 1

    def alloc(self, address, npages):
        """Use ``npages`` pages from ``address`` on; return whether one of them may hold old contents."""
        dirty = False
        page, end = address // PAGE, address // PAGE + npages
        while page < end:
            arena, first = divmod(page, self.arena_pages)
            n = min(end - page, self.arena_pages - first)
            dirty |= first < self.zeroed_pages(arena)
            self.used[arena][first : first + n] = bytes([1]) * n
            page += n
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
