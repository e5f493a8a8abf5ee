"""Best fit and next fit: cases by hand over the borders of chunks, and random sequences against the slow twin.

Every answer must be the twin's, and afterwards the whole state: bitmaps, all levels of the tree, what the Ps hold, and
the address that next fit goes on from.  The search address is checked after every operation.
"""

import collections
import random

import naive
import numpy as np
import pytest
from runtime.entry import (
    ALL,
    BASE_CHUNK,
    CHUNK_PAGES,
    COMPILED,
    PAGE,
    PageScript,
    check_bitmaps,
    check_summaries,
    entry,
    new_page_alloc,
    page_base,
)
from runtime.twins_pages import Bench, shown, write_caches, write_tree

from mheaplab.runtime.mplacement import free_run_pages, next_free_run

SEQUENCES = 2_000 if COMPILED else 60
SHORT, LONG, LONG_EVERY = 12, 200, 50
POLICIES = ("best-fit", "next-fit")


@entry
def drive_runs(h, addrs, npages, got):
    """For each address the first free run of ``npages`` from there on, and how long it is."""
    for k in range(len(addrs)):
        got[k, 0] = next_free_run(h, addrs[k], npages[k])
        got[k, 1] = free_run_pages(h, got[k, 0]) if got[k, 0] != 0 else np.int64(0)


def placed(taken, policy, sizes, after_last=0):
    """Return where a heap with the chunks ``taken`` places runs of ``sizes``, as (chunk, page); None for nowhere."""
    state, script = new_page_alloc(taken, page_placement=policy)
    script.twin.placement = policy
    state.h.next_fit = script.twin.after_last = after_last
    found = [script.alloc(n) for n in sizes]
    script.run(state)
    check_bitmaps(state, script.twin)
    check_summaries(state, script.twin)
    return [divmod((a - page_base(BASE_CHUNK)) // PAGE, CHUNK_PAGES) if a else None for a in found]


def holes(*free):
    """Return the runs of a chunk that are taken where only ``free``, (first page, pages), are not."""
    edges = [0, *(edge for first, n in free for edge in (first, first + n)), CHUNK_PAGES]
    return [(low, high - low) for low, high in zip(edges[::2], edges[1::2], strict=True) if high > low]


def test_best_fit_takes_the_smallest_and_of_equals_the_lowest():
    heap = {BASE_CHUNK: holes((10, 9), (30, 4), (70, 4), (100, 5)), BASE_CHUNK + 1: holes((200, 3))}
    assert placed(heap, "best-fit", [4, 4, 4, 3, 8, 1, 6]) == [
        (0, 30), (0, 70), (0, 100), (1, 200), (0, 10), (0, 18), None,
    ]  # fmt: skip


def test_best_fit_measures_runs_over_the_borders_of_chunks():
    """A run of 2 + 512 + 3 pages is too long for 6, which 7 hold, and just right for 517."""
    heap = {
        BASE_CHUNK: holes((100, 6), (510, 2)),
        BASE_CHUNK + 1: [],
        BASE_CHUNK + 2: holes((0, 3), (40, 7)),
    }
    assert placed(heap, "best-fit", [7, 6, 517]) == [(2, 40), (0, 100), (0, 510)]
    assert placed(heap, "best-fit", [8, 2, 1]) == [(0, 510), (0, 100), (0, 102)]


def test_best_fit_over_the_borders_of_tree_entries():
    """Free chunks 5 to 20 are entries of two levels of the tree; a gap of the address space ends a run."""
    taken = {BASE_CHUNK + c: [ALL] for c in range(24)}
    taken |= {BASE_CHUNK + c: [] for c in range(5, 21)}
    taken |= {BASE_CHUNK + 1000: [(500, 12)]}
    assert placed(taken, "best-fit", [500, 16 * 512, 1]) == [(1000, 0), (5, 0), None]
    assert placed(taken, "best-fit", [501, 600]) == [(5, 0), (5, 501)]


def test_next_fit_goes_on_where_it_was_and_begins_again():
    heap = {BASE_CHUNK: holes((0, 5), (100, 5)), BASE_CHUNK + 1: holes((0, 5), (300, 50))}
    assert placed(heap, "next-fit", [3, 3, 3, 45, 5, 2, 2, 2]) == [
        (0, 0), (0, 100), (1, 0), (1, 300), (1, 345), (0, 3), (0, 103), (1, 3),
    ]  # fmt: skip


def test_next_fit_takes_the_rest_of_a_run_and_runs_over_borders():
    heap = {BASE_CHUNK: holes((500, 12)), BASE_CHUNK + 1: [], BASE_CHUNK + 2: holes((0, 4))}
    assert placed(heap, "next-fit", [4, 520, 4, 1]) == [(0, 500), (0, 504), (2, 0), None]
    middle = page_base(BASE_CHUNK + 1, 256)
    assert placed(heap, "next-fit", [260, 261], middle) == [(1, 256), (0, 500)]
    assert placed(heap, "next-fit", [261], middle) == [(0, 500)]
    assert placed(heap, "next-fit", [1, 1], page_base(BASE_CHUNK + 7)) == [(0, 500), (0, 501)]


@pytest.mark.parametrize("policy", POLICIES)
def test_full_and_empty_heaps(policy):
    assert placed({BASE_CHUNK: [ALL]}, policy, [1, 600]) == [None, None]
    assert placed({BASE_CHUNK: [], BASE_CHUNK + 1: []}, policy, [1024, 1]) == [(0, 0), None]
    assert placed({BASE_CHUNK: [], BASE_CHUNK + 2: []}, policy, [513, 512, 512, 1]) == [None, (0, 0), (2, 0), None]


def test_a_cache_takes_the_block_of_the_page_that_the_policy_would_take():
    """The only hole of one page lies in the third block; next fit goes on behind page 3."""
    heap = {BASE_CHUNK: holes((0, 3), (64, 3), (130, 1), (180, 5))}
    for policy, want in (("best-fit", (128, 6)), ("next-fit", (64, 3))):
        state, script = new_page_alloc(heap, page_placement=policy)
        script.twin.placement = policy
        state.h.next_fit = script.twin.after_last = page_base(BASE_CHUNK, 3)
        script.alloc_to_cache(0)
        script.run(state)
        cache = script.caches[0]
        assert (cache.block * PAGE, len(cache.pages)) == (page_base(BASE_CHUNK, want[0]), want[1])


# ------------------------------------------------------------------------------------------------------- sequences


def run_sequence(write, bench, number, policy, cache_pages=naive.CACHE_PAGES):
    """Write a sequence under ``policy``, run it, compare the heap afterwards, and return what was reached."""
    rnd = random.Random(number)
    script = PageScript(naive.NaivePageAlloc(placement=policy, cache_pages=cache_pages))
    with shown(number, script.listing):
        write(rnd, bench, script, LONG if number % LONG_EVERY == LONG_EVERY - 1 else SHORT)
        script.run(bench.state)
        check_bitmaps(bench.state, script.twin)
        check_summaries(bench.state, script.twin)
        if policy == "next-fit":
            assert int(bench.state.h.next_fit) == script.twin.after_last
        for p in script.caches:
            record = bench.state.h.allp[p].pcache
            assert (int(record.base_addr), int(record.cache), int(record.scav)) == script.caches[p].words()
    bench.wipe(script)
    return script.tally


@pytest.mark.parametrize("policy", POLICIES)
def test_random_trees(policy):
    bench = Bench(page_placement=policy)
    reached = collections.Counter()
    for number in range(SEQUENCES):
        reached += run_sequence(write_tree, bench, number, policy)
    assert min(reached["ALLOC", True], reached["ALLOC", False], reached["FREE", False]) > SEQUENCES // 10


@pytest.mark.parametrize("cache_pages", [8, 16, 32, 64])
@pytest.mark.parametrize("policy", ["first-fit", *POLICIES])
def test_random_caches(policy, cache_pages):
    """Ps that fill, use and flush caches of any size beside other allocations, under every policy."""
    bench = Bench(page_placement=policy, page_cache_pages=cache_pages)
    reached = collections.Counter()
    for number in range(SEQUENCES // 4):
        reached += run_sequence(write_caches, bench, number, policy, cache_pages)
    names = ("TO_CACHE", "CACHE_ALLOC", "FLUSH", "ALLOC")
    rare = [(name, some) for name in names for some in (True, False) if reached[name, some] < SEQUENCES // 200]
    assert not rare or not COMPILED


def test_next_free_run():
    """From any address of random heaps: the lowest run that is long enough, and how long it is from there."""
    bench = Bench()
    for number in range(SEQUENCES):
        rnd = random.Random(number)
        script = PageScript(naive.NaivePageAlloc())
        write_tree(rnd, bench, script, 3)
        script.run(bench.state)
        twin = script.twin
        addrs = [rnd.choice(twin.page.tolist()) * PAGE for _ in range(6)]
        npages = [rnd.choice((1, 2, rnd.randint(1, 70), rnd.randint(1, 1200))) for _ in addrs]
        want = []
        for addr, n in zip(addrs, npages, strict=True):
            runs = [r for r in twin.runs_of(twin.free & (twin.page * PAGE >= addr)) if r[1] >= n]
            want.append(runs[0] if runs else (0, 0))
        got = np.zeros((len(addrs), 2), np.int64)
        with shown(number, script.listing):
            drive_runs(bench.state.h, np.array(addrs), np.array(npages), got)
            assert got.tolist() == [list(w) for w in want]
        bench.wipe(script)
