"""The clever structures of the page heap against their slow twins, ten thousand random sequences each.

Summary tree and find, page caches, scavenging, span sets and needzero: every answer of every operation and the whole
state after a sequence must be equal.  The tables of cases and the cases by hand stand in the modules' own tests; here
is only what chance finds.  A sequence is known by its number, which is the seed of all that is random in it; what
fails shows that number, the operations, and which of them answered otherwise first.  To run one sequence alone, give
``numbers`` as ``[number]``.

As plain Python the kernel is several hundred times slower and runs fewer sequences, the first ones of the same.
"""

import collections
import random

import naive
import numpy as np
import pytest
from runtime.entry import (
    CANDIDATE,
    CHUNK_BYTES,
    COMPILED,
    PAGE,
    PageScript,
    check_bitmaps,
    check_strays,
    check_summaries,
    entry,
    page_base,
    write_pages,
)
from runtime.test_mspanset import POP, PUSH, RESET, SETS, SWEEPGEN, check_blocks, drive_sets
from runtime.twins_pages import (
    PS,
    Bench,
    random_bits,
    shown,
    write_caches,
    write_scavenges,
    write_tree,
)

from mheaplab.runtime.mheap_arena import mheap_alloc_needs_zero
from mheaplab.runtime.structs import ARENA_BASE_OFFSET, MAX_SPAN_CLASSES

SEQUENCES = 10_000 if COMPILED else 100
"""Sequences for each structure."""
SHORT, LONG = 12, 200
"""Operations of a sequence, after those that make its heap."""
LONG_EVERY = 50
"""Of so many sequences one is long. Most are short, since each begins with another heap."""
MIB = 1 << 20


def numbers(first=0, step=1):
    """Return the numbers of the sequences to run."""
    return range(first, SEQUENCES, step)


def operations(number):
    """Return how many operations a sequence has."""
    return LONG if number % LONG_EVERY == LONG_EVERY - 1 else SHORT


def check_reached(reached, *names):
    """Check that each of ``names`` was counted often enough for the comparison to mean something."""
    rare = [name for name in names if reached[name] < max(1, SEQUENCES // 100)]
    assert not rare, f"hardly ever reached: {rare}"


# ---------------------------------------------------------------------------------------------------- pages


def run_pages(write, bench, number):
    """Write a sequence for the page allocator, run it on ``bench``, compare the heap afterwards; return the script."""
    rnd = random.Random(number)
    huge = int(bench.state.h.params["phys_huge_page_size"]) // PAGE
    script = PageScript(naive.NaivePageAlloc(huge))
    with shown(number, script.listing):
        write(rnd, bench, script, operations(number))
        script.run(bench.state)
        check_bitmaps(bench.state, script.twin)
        check_summaries(bench.state, script.twin)
    return script


def answered(*names):
    """Return the names under which a script counts these operations, those that answered and those that did not."""
    return [(name, some) for name in names for some in (True, False)]


def test_summary_tree():
    """Growth, allocation and freeing: addresses, scavenged bytes, searchAddr, bitmaps, and all levels of the tree."""
    bench = Bench()
    reached = collections.Counter()
    for number in numbers():
        script = run_pages(write_tree, bench, number)
        reached += script.tally
        bench.wipe(script)
    check_strays(bench.state, naive.NaivePageAlloc())
    check_reached(reached, *answered("ALLOC", "ALLOC_RANGE"), ("FREE", False), ("GROW", False), ("MAP_ARENA", False))


def test_page_cache():
    """Ps fill, use and flush caches beside other allocations: the answers, the heap, and what the Ps hold."""
    bench = Bench()
    reached = collections.Counter()
    for number in numbers():
        script = run_pages(write_caches, bench, number)
        reached += script.tally
        with shown(number, script.listing):
            for p in range(PS):
                record = bench.state.h.allp[p].pcache
                words = (int(record.base_addr), int(record.cache), int(record.scav))
                assert words == script.caches[p].words(), f"cache of P {p}"
        bench.wipe(script)
    check_reached(reached, *answered("TO_CACHE", "CACHE_ALLOC", "FLUSH", "ALLOC"))


HUGE = pytest.mark.parametrize(("first", "huge_page_bytes"), [(0, 2 * MIB), (1, 0)])
"""Sequences of even numbers have huge pages, the others none."""


@HUGE
def test_scavenge(first, huge_page_bytes):
    """Scavenging between allocations and frees: what is taken, which chunks stay marked, the heap and its accounts."""
    bench = Bench(huge_page_bytes=huge_page_bytes)
    reached = collections.Counter()
    for number in numbers(first, 2):
        script = run_pages(write_scavenges, bench, number)
        reached += script.tally
        with shown(number, script.listing):
            stats = bench.state.h.stats
            released = script.twin.released * PAGE
            assert (int(stats.heap_released), int(stats.heap_free)) == (released, -released)
        bench.wipe(script)
    check_reached(reached, *answered("SCAVENGE_ONE", "SCAVENGE_NEXT", "SCAVENGE_AT", "FIND"), ("CLEAR", False))


LIMITS = (1, 2, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1 << 51)


@HUGE
def test_scavenge_candidate(first, huge_page_bytes):
    """The candidate of random bitmaps under many limits, some of them as long as its run, or a page off."""
    bench = Bench(huge_page_bytes=huge_page_bytes)
    address = page_base(naive.CHUNK_OFFSET + 0x5000)
    for number in numbers(first, 2):
        rnd = random.Random(number)
        script = PageScript(naive.NaivePageAlloc(huge_page_bytes // PAGE))
        twin = script.twin
        script.grow(address, CHUNK_BYTES)
        script.run(bench.state)
        twin.free = ~random_bits(rnd)
        twin.scavenged = random_bits(rnd) & twin.free
        write_pages(bench.state, script)
        runs = twin.runs_of(twin.free & ~twin.scavenged)
        top = runs[-1][1] if runs else 1
        for most in (top, max(1, top - 1), top + 1, rnd.choice(LIMITS), rnd.choice(LIMITS), rnd.randint(1, 600)):
            want = naive.scavenge_candidate(twin.free, twin.scavenged, most, twin.huge_pages)
            script.add(CANDIDATE, naive.CHUNK_OFFSET + 0x5000, most, want=want)
        with shown(number, script.listing):
            script.run(bench.state)
        bench.wipe(script)


# ---------------------------------------------------------------------------------------------------- span sets

CLASSES = (0, 3, MAX_SPAN_CLASSES - 1)


class SetScript:
    """Operations on span sets, in bulk, with their answers."""

    def __init__(self):
        self.twins = {(q, spc): naive.NaiveSpanSet() for q in SETS for spc in CLASSES}
        self.sweepgen = 0
        self.blocks = 0  # most blocks that were in use at once
        self.pushed = 0
        self.rows, self.want, self.lines = [], [], []

    def add(self, words, n, row, want):
        """Append an operation: ``n`` rows, which are alike but for what is pushed, and their answers."""
        rows = np.zeros((n, 4), np.int64)
        rows[:, : len(row)] = row
        self.lines.append(f"row {sum(map(len, self.rows)):6}: {words}")
        self.rows.append(rows)
        self.want.append(want)
        self.blocks = max(self.blocks, sum(twin.blocks() for twin in self.twins.values()))

    def push(self, name, n):
        """Push the next ``n`` numbers."""
        spans = range(self.pushed + 1, self.pushed + n + 1)
        self.pushed += n
        for s in spans:
            self.twins[name].push(s)
        self.add(f"PUSH {name} {n}", n, (PUSH, *name), [0] * n)
        self.rows[-1][:, 3] = spans

    def pop(self, name, n):
        """Pop ``n`` times, perhaps more than there are entries."""
        want = [self.twins[name].pop() for _ in range(n)]
        self.add(f"POP {name} {n}", n, (POP, *name), want)

    def reset(self, name):
        """Begin an empty set anew."""
        self.twins[name].reset()
        self.add(f"RESET {name}", 1, (RESET, *name), [0])

    def swap(self):
        """Begin a collection: swept and unswept sets trade places."""
        self.sweepgen += 2
        swept_and_unswept = [((q, spc), (q + 1, spc)) for q in (0, 2) for spc in CLASSES]
        for a, b in swept_and_unswept:
            self.twins[a], self.twins[b] = self.twins[b], self.twins[a]
        self.add(f"SWEEPGEN {self.sweepgen}", 1, (SWEEPGEN, 0, 0, self.sweepgen), [0])

    def listing(self):
        """Return the operations, a line each, with the number of their first row."""
        return "\n".join(self.lines)

    def run(self, state):
        """Run the operations and compare the answers."""
        want = np.concatenate(self.want)
        answers = np.zeros(len(want), np.int64)
        drive_sets(state.h, np.concatenate(self.rows), answers)
        wrong = np.flatnonzero(answers != want)
        assert not len(wrong), f"row {wrong[0]}: {answers[wrong[0]]}, not {want[wrong[0]]}"


def write_sets(rnd, script, operations):
    """Write a sequence of pushes and pops, few or over several blocks, mostly on a few sets of one pool."""
    names = rnd.sample(list(script.twins), rnd.choice((1, 2, 2, 5)))
    for _ in range(operations):
        name = rnd.choice(names)
        twin = script.twins[name]
        left = naive.SET_BLOCK - (twin.popped + len(twin.queue)) % naive.SET_BLOCK
        n = rnd.choice((1, rnd.randint(1, 40), left, left + 1, rnd.randint(1, 3 * naive.SET_BLOCK)))
        kind = rnd.random()
        if kind < 0.45:
            script.push(name, n)
        elif kind < 0.65:
            script.pop(name, n)
        elif kind < 0.85:
            script.pop(name, len(twin.queue) + rnd.randint(0, 1))
        elif kind < 0.9:
            script.swap()
        elif not twin.queue:
            script.reset(name)


def test_span_sets():
    """First in, first out, over the borders of blocks; no more blocks are made than are in use at once."""
    bench = Bench()
    reached = collections.Counter()
    for number in numbers():
        script = SetScript()
        with shown(number, script.listing):
            write_sets(random.Random(number), script, operations(number))
            script.run(bench.state)
            assert int(bench.state.h.set_blocks_len) - 1 == script.blocks, "blocks made"
            check_blocks(bench.state)
        bench.wipe_record()
        reached.update(line.split()[2] for line in script.lines)
        reached["block used again"] += script.pushed > script.blocks * naive.SET_BLOCK
    check_reached(reached, "PUSH", "POP", "RESET", "SWEEPGEN", "block used again")


# ---------------------------------------------------------------------------------------------------- needzero

ARENAS = 4
"""Neighbouring arenas of a sequence."""
ARENAS_AT = 64 * MIB * 5


@entry
def drive_needs_zero(h, ops, answers):
    """Apply ``ops``, rows (address, pages)."""
    for k in range(len(ops)):
        answers[k] = np.int64(mheap_alloc_needs_zero(h, ops[k, 0], ops[k, 1]))


def new_arenas(state):
    """Give the heap its arenas; return which records they have, which is another order than that of addresses."""
    size = 1 << int(state.h.params["log_arena_bytes"])
    records = np.array([3, 1, 4, 2])
    state.tables["arena_map"][(ARENAS_AT + int(ARENA_BASE_OFFSET)) // size + np.arange(ARENAS)] = records
    state.h.heap_arenas_len = ARENAS + 1
    return records


def random_range(rnd, arena_pages, first, end):
    """Return (first page, end) of a range: behind or before [first, end), at a border of arenas, or anywhere."""
    total = ARENAS * arena_pages
    kind = rnd.random()
    n = rnd.choice((1, rnd.randint(1, 20), rnd.randint(1, arena_pages), rnd.randint(1, 3 * arena_pages)))
    if kind < 0.35:
        start = end + rnd.randint(-1, 1)
    elif kind < 0.5:
        start = first - n + rnd.randint(-1, 1)
    elif kind < 0.7:
        start = rnd.randint(0, ARENAS) * arena_pages - rnd.choice((0, 1, n, n + 1))
    else:
        start = rnd.randrange(total)
    start = min(max(start, 0), total - 1)
    return start, min(start + n, total)


def run_ranges(state, records, number):
    """Run one sequence of ranges on new arenas; return its answers."""
    rnd = random.Random(number)
    arena_pages = 1 << int(state.h.params["log_arena_bytes"]) >> 13
    twin = naive.NaiveNeedsZero(arena_pages)
    pages, want = [(0, 0)], []
    for _ in range(operations(number)):
        pages.append(random_range(rnd, arena_pages, *pages[-1]))
        first, end = pages[-1]
        want.append(twin.alloc(ARENAS_AT + first * PAGE, end - first))
    ops = np.array([(ARENAS_AT + first * PAGE, end - first) for first, end in pages[1:]], np.int64)
    answers = np.zeros(len(ops), np.int64)
    zeroed = state.tables["heap_arenas"]["zeroed_base"]
    zeroed[records] = 0
    with shown(number, lambda: "\n".join(f"{k:4} pages {first} to {end}" for k, (first, end) in enumerate(pages))):
        drive_needs_zero(state.h, ops, answers)
        wrong = np.flatnonzero(answers != np.array(want))
        assert not len(wrong), f"operation {wrong[0] + 1} answers {answers[wrong[0]]}"
        first = ARENAS_AT // PAGE // arena_pages
        assert zeroed[records].tolist() == [twin.zeroed_pages(first + k) * PAGE for k in range(ARENAS)], "zeroedBase"
    return want


@pytest.mark.parametrize("mib", [4, 16, 64])
def test_needzero(mib):
    """Ranges within and over arenas: whether they may be dirty, and zeroedBase of every arena afterwards."""
    state = Bench(arena_bytes=mib * MIB).state
    records = new_arenas(state)
    reached = collections.Counter()
    for number in numbers():
        reached.update(run_ranges(state, records, number))
    check_reached(reached, True, False)
