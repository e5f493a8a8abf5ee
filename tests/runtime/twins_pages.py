"""Random sequences for the page allocator and what stands on it: the heaps they begin with, and their operations.

A sequence is a ``PageScript``, written by an object of ``random.Random`` that was made from a number, its seed; so the
number is all that is needed to have it again.  It begins with a heap of a few chunks, neighbours or far apart, whose
pages are in random states, and goes on with operations of which each asks the twin what is possible: what is freed was
taken, what is taken was free.  The twin writes down every answer; the kernel then makes the same operations on a heap
that is made once and wiped after each sequence (``Bench``), since making one takes longer than a sequence.

The shapes matter more than the numbers.  Runs of free pages end at the borders of words, chunks and tree entries more
often than chance would have it, and requests are often as long as some run is, or a page longer or shorter.
"""

import contextlib

import naive
import numpy as np
from runtime.entry import (
    BASE_CHUNK,
    CHUNK_BYTES,
    CHUNK_PAGES,
    CLEAR,
    FIND,
    MARK,
    PAGE,
    new_state,
    page_base,
    place_of_chunks,
    write_pages,
)

from mheaplab.runtime.mgcscavenge import NO_LIMIT
from mheaplab.runtime.structs import SUMMARY_LEVELS

ENTRY_CHUNKS = (1, 8, 64, 512, 4096)
"""Chunks under an entry of each level of the tree, from the leaves up."""
GAPS = (0, 0, 0, 1, 2, 7, 64, 510, 4095, 9000, 0x100000)
"""Chunks between two pieces of a heap; the last is terabytes."""
MAX_CHUNKS = 14
"""Chunks at which the heap of a short sequence stops growing; a long one has more."""
PS = 3
"""Ps of a sequence with page caches."""


class Bench:
    """A heap on which one sequence after another is run."""

    def __init__(self, **changes):
        self.state = new_state(**changes)
        self._record = self.state.h.base.view("u1")
        self._blank = self._record.copy()

    def wipe_record(self):
        """Make the record what it was at first; what stands in the tables is then forgotten, but still there."""
        self._record[:] = self._blank

    def wipe(self, script):
        """Make the heap empty again, after the operations of ``script``.

        Nothing but what these may have touched is wiped, so that ``check_strays`` finds anything else afterwards.
        """
        tables, chunks = self.state.tables, script.twin.chunks()
        tables["pallocs"][place_of_chunks(self.state, chunks)] = np.zeros((), tables["pallocs"].dtype)
        tables["scav_chunks"][chunks >> 6] = 0
        for level in range(SUMMARY_LEVELS):
            offset = int(self.state.h.level_offset[level])
            tables["summary"][offset + (chunks >> 3 * (SUMMARY_LEVELS - 1 - level))] = 0
        tables["arena_map"][list(script.arenas)] = 0
        self.wipe_record()


@contextlib.contextmanager
def shown(seed, listing):
    """Add the seed and the operations, as ``listing`` returns them, to whatever goes wrong with a sequence."""
    try:
        yield
    except Exception as error:
        error.add_note(f"sequence {seed}:\n{listing()}")
        raise


# ---------------------------------------------------------------------------------------------------- bitmaps


def random_bits(rnd):
    """Return a bitmap of a chunk: noise of any density, or a few runs, of which many end at the border of a word."""
    bits = np.zeros(CHUNK_PAGES, bool)
    kind = rnd.random()
    if kind < 0.3:
        words = [rnd.getrandbits(CHUNK_PAGES) for _ in range(rnd.randint(1, 5))]
        noise = words.pop()
        for word in words:
            noise = noise & word if rnd.random() < 0.7 else noise | word
        return naive.to_bits(np.frombuffer(noise.to_bytes(CHUNK_PAGES // 8, "little"), "<u8"))
    borders = []
    for _ in range(rnd.choice((2, 2, 2, 3, 4, 7, 12))):
        near = 64 * rnd.randint(0, 8) + rnd.randint(-1, 1)
        borders.append(max(0, near) if rnd.random() < 0.4 else rnd.randint(0, CHUNK_PAGES))
    borders.sort()
    for start, end in zip(borders[::2], borders[1::2], strict=False):
        bits[start:end] = True
    return bits if kind < 0.75 else ~bits


def random_chunk(rnd):
    """Return bitmaps (taken, scavenged) of a chunk; whole chunks of one state are frequent."""
    kind = rnd.random()
    taken = np.full(CHUNK_PAGES, kind < 0.1) if kind < 0.3 else random_bits(rnd)
    scavenged = np.full(CHUNK_PAGES, rnd.random() < 0.5) if rnd.random() < 0.4 else random_bits(rnd)
    return taken, scavenged & ~taken


# ---------------------------------------------------------------------------------------------------- operations


def grow_somewhere(rnd, script, arenas, most=MAX_CHUNKS):
    """Grow the heap by a few chunks, unless it has ``most``: near a border of the tree, then around what is there.

    ``arenas`` says whether arenas are mapped around the new chunks, as they are when the whole heap asks for pages.
    """
    if len(script.twin.page) >= most * CHUNK_PAGES:  # a sequence takes its time by the page
        return
    used = [(base // CHUNK_BYTES, limit // CHUNK_BYTES) for base, limit in script.twin.in_use()]
    size = rnd.randint(1, 4)
    if not used:
        border = rnd.choice(ENTRY_CHUNKS)
        first = page_base(BASE_CHUNK + rnd.randrange(1 << 16)) // CHUNK_BYTES // border * border - rnd.randint(0, 3)
    elif len(used) > 1 and rnd.random() < 0.3:
        # A hole is filled from either end; a small one perhaps wholly.
        i = rnd.randrange(len(used) - 1)
        low, high = used[i][1], used[i + 1][0]
        size = min(size, high - low)
        first = rnd.choice((low, high - size))
    elif rnd.random() < 0.7:
        first = used[-1][1] + rnd.choice(GAPS)
    else:
        first = used[0][0] - rnd.choice(GAPS[:-1]) - size
    if arenas:
        for address in range(first * CHUNK_BYTES, (first + size) * CHUNK_BYTES, CHUNK_BYTES):
            script.map_arena(address)
    # Growth takes whole chunks, whatever part of the first and the last is asked for.
    skip = rnd.choice((0, 0, rnd.randrange(CHUNK_PAGES))) * PAGE
    script.grow(first * CHUNK_BYTES + skip, size * CHUNK_BYTES - skip)


def begin_heap(rnd, bench, script, arenas):
    """Make the heap that a sequence begins with; return the runs of pages that are taken, as [(address, pages)]."""
    for _ in range(rnd.choice((1, 1, 2, 3))):
        grow_somewhere(rnd, script, arenas)
    script.run(bench.state)
    if rnd.random() < 0.1:
        return []
    twin = script.twin
    for ci in twin.chunks().tolist():
        at = twin.chunk_at(ci)
        taken, twin.scavenged[at] = random_chunk(rnd)
        twin.free[at] = ~taken
        if (twin.free[at] & ~twin.scavenged[at]).any() and rnd.random() < 0.9:
            twin.marked.add(ci)
    write_pages(bench.state, script)
    return twin.runs_of(~twin.free)


def part_of(rnd, address, pages):
    """Return a part of a run of pages as (address, pages): all of it, an end, or something inside."""
    n = pages if rnd.random() < 0.4 else rnd.randint(1, pages)
    return address + rnd.choice((0, pages - n, rnd.randint(0, pages - n))) * PAGE, n


def wanted_pages(rnd, twin):
    """Return a number of pages to ask for: few, many, or about as many as some free run has."""
    kind = rnd.random()
    if kind < 0.3:
        return rnd.randint(1, 8)
    if kind < 0.45:
        return rnd.randint(1, rnd.choice((130, 6 * CHUNK_PAGES)))
    found = twin.runs_of(twin.free)
    return max(1, rnd.choice(found)[1] + rnd.randint(-1, 1)) if found else 1


def alloc_somewhere(rnd, script, live):
    """Ask for pages; return whether there were any."""
    n = wanted_pages(rnd, script.twin)
    address = script.alloc(n)
    if address:
        live.append((address, n))
    return address != 0


def take_somewhere(rnd, script, live):
    """Take named free pages."""
    found = script.twin.runs_of(script.twin.free)
    if found:
        live.append(part_of(rnd, *rnd.choice(found)))
        script.alloc_range(*live[-1])


def free_somewhere(rnd, script, live):
    """Give back what was taken at once, or a part of it: to the page allocator taken pages are alike."""
    if not live:
        return
    address, n = live.pop(rnd.randrange(len(live)))
    start, pages = part_of(rnd, address, n)
    below = (start - address) // PAGE
    above = n - below - pages
    live += [(address, below)] * (below > 0) + [(start + pages * PAGE, above)] * (above > 0)
    script.free(start, pages)


# ---------------------------------------------------------------------------------------------------- sequences


def write_tree(rnd, bench, script, operations):
    """Write a sequence that takes, frees and grows."""
    arenas = rnd.random() < 0.5
    live = begin_heap(rnd, bench, script, arenas)
    appetite = rnd.choice((0.4, 0.55, 0.7))
    most = MAX_CHUNKS + operations // 6
    for _ in range(operations):
        kind = rnd.random()
        if kind < appetite:
            if not alloc_somewhere(rnd, script, live) and rnd.random() < 0.2:
                grow_somewhere(rnd, script, arenas, most)
        elif kind < appetite + 0.07:
            take_somewhere(rnd, script, live)
        elif kind < 0.97:
            free_somewhere(rnd, script, live)
        else:
            grow_somewhere(rnd, script, arenas, most)


def write_caches(rnd, bench, script, operations):
    """Write a sequence of Ps that fill, use and flush caches while pages are taken and freed beside them."""
    arenas = rnd.random() < 0.5
    script.caches = {p: naive.NaivePageCache() for p in range(PS)}
    live = begin_heap(rnd, bench, script, arenas)
    for _ in range(operations):
        kind = rnd.random()
        p = rnd.randrange(PS)
        if kind < 0.6:
            if not script.caches[p].pages:
                script.alloc_to_cache(p)
            n = rnd.choice((1, 1, rnd.randint(1, 15), rnd.randint(1, 64)))
            address = script.cache_alloc(p, n)
            live += [(address, n)] * (address != 0)
        elif kind < 0.7:
            script.flush(p)
        elif kind < 0.8:
            alloc_somewhere(rnd, script, live)
        elif kind < 0.95:
            free_somewhere(rnd, script, live)
        elif kind < 0.98:
            script.scavenge_next(rnd.randint(1, CHUNK_PAGES))
        else:
            grow_somewhere(rnd, script, arenas)
    if rnd.random() < 0.1:
        # Once all is given back, the heap is free to the last page.
        for p in range(PS):
            script.flush(p)
        for address, n in live:
            script.free(address, n)
        assert script.twin.free.all()


def write_scavenges(rnd, bench, script, operations):
    """Write a sequence that scavenges, marks and clears between allocations and frees."""
    live = begin_heap(rnd, bench, script, False)
    for _ in range(operations):
        kind = rnd.random()
        most = rnd.choice((1, 8, 8, rnd.randint(1, CHUNK_PAGES), rnd.randint(1, CHUNK_PAGES), int(NO_LIMIT)))
        if kind < 0.25:
            script.scavenge_next(most)
        elif kind < 0.45:
            script.scavenge_one(rnd.choice(script.twin.chunks().tolist()), most)
        elif kind < 0.55:
            scavenge_somewhere(rnd, script)
        elif kind < 0.65:
            script.add(FIND, want=(max(script.twin.marked, default=0),))
        elif kind < 0.7:
            mark_or_clear(rnd, script)
        elif kind < 0.8:
            alloc_somewhere(rnd, script, live)
        elif kind < 0.97:
            free_somewhere(rnd, script, live)
        else:
            grow_somewhere(rnd, script, False)
    if rnd.random() < 0.1:
        # What is still marked is found, and then nothing is left.
        while script.scavenge_next(int(NO_LIMIT)):
            pass
    script.add(FIND, want=(max(script.twin.marked, default=0),))


def scavenge_somewhere(rnd, script):
    """Scavenge a part of a run that may be, or any pages at all, which is mostly refused."""
    twin = script.twin
    found = twin.runs_of(twin.free & ~twin.scavenged)
    if found and rnd.random() < 0.7:
        script.scavenge_at(*part_of(rnd, *rnd.choice(found)))
    else:
        base, limit = rnd.choice(twin.in_use())
        address = rnd.randrange(base // PAGE - 3, limit // PAGE + 3) * PAGE
        script.scavenge_at(address, rnd.choice((1, 3, 70, 600)))


def mark_or_clear(rnd, script):
    """Mark neighbouring chunks of the heap, or clear one."""
    base, limit = rnd.choice(script.twin.in_use())
    first = base // CHUNK_BYTES + naive.CHUNK_OFFSET
    last = limit // CHUNK_BYTES - 1 + naive.CHUNK_OFFSET
    low = rnd.randint(first, last)
    if rnd.random() < 0.5:
        script.add(CLEAR, low)
        script.twin.marked.discard(low)
    else:
        high = rnd.randint(low, last)
        script.add(MARK, low, high)
        script.twin.marked |= set(range(low, high + 1))
