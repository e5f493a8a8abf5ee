"""Heap: an allocation first reclaims as many pages as it takes, chunk by chunk, and gives memory back to the OS.

``reclaimed`` says from the spans alone what mheap.reclaim must sweep; page marks come from the rule in
``runtime/mgc.py``, restated here.
"""

import bisect
from typing import NamedTuple

import pytest
from heaps import ARENA_4, BASE, KIB, MIB, PAGE, TOP, heap_spans, unswept

import mheaplab as mh

DONE = 1 << 62
"""reclaimIndex once all arenas are through."""
PROFILES = [mh.HeapParams.go119, mh.HeapParams.go127]


def live_objects(heap, live):
    """Return (span, the objects of ``live`` in it) for every heap span."""
    spans = heap_spans(heap)
    bases, inside = list(spans), {base: set() for base in spans}
    for addr in live:
        inside[bases[bisect.bisect_right(bases, addr) - 1]].add(addr)
    return [(span, inside[base]) for base, span in spans.items()]


def page_marked(heap, live):
    """Return the bases of spans that marking the objects ``live`` leaves with a page mark."""
    marked = set()
    for span, objects in live_objects(heap, live):
        inline = heap.params.inline_mark_bytes and 16 <= span.elemsize <= 512
        # A scan of a span with inline marks sets the page mark; noscan spans are never scanned, nor is a lone object.
        if objects and not (inline and (span.noscan or len(objects) < 2)):
            marked.add(span.base)
    return marked


class Sweep(NamedTuple):
    """A heap as a collection leaves it: arenas in the order in which they came, page marks, pages of dead spans."""

    arenas: list
    marked: set
    dead: dict


def reclaimed(heap, sweep, npages):
    """Return what mheap.reclaim(npages) must leave: (bases swept, reclaimIndex, reclaimCredit)."""
    arenas, marked, dead = sweep
    index, credit = int(heap.state.h.reclaim_index), int(heap.state.h.reclaim_credit)
    waiting, swept = set(unswept(heap)), set()
    per_arena = heap.params.arena_bytes // PAGE
    while npages > 0 and index < DONE:
        take = min(credit, npages)
        credit, npages = credit - take, npages - take
        if npages == 0:
            break
        page, index = index, index + 512
        if page >= len(arenas) * per_arena:
            index = DONE
            break
        low = arenas[page // per_arena] + page % per_arena * PAGE
        here = {b for b in waiting - marked if low <= b < low + 512 * PAGE}
        waiting, swept = waiting - here, swept | here
        found = sum(dead.get(b, 0) for b in here)
        credit, npages = credit + max(found - npages, 0), max(npages - found, 0)
    return swept, index, credit


def expect_reclaim(heap, sweep, npages):
    """Allocate a span of ``npages`` and compare what was swept before it; its address."""
    swept, index, credit = reclaimed(heap, sweep, npages)
    before = set(unswept(heap))
    addr = heap.malloc(npages * PAGE)
    assert before - set(unswept(heap)) == swept
    assert (int(heap.state.h.reclaim_index), int(heap.state.h.reclaim_credit)) == (index, credit)
    return addr


def downward_heap(profile, arena_bytes):
    """Return a heap that takes its arenas from the top of a gap down, so that their order is not that of addresses."""
    top = 0x7FFF_F7FF_F000
    return mh.Heap(profile(arena_bytes=arena_bytes, occupied=((4096, top - 40 * 64 * MIB), (top, TOP))))


# ---------------------------------------------------------------------------------------------------- reclaim


def test_pages_are_reclaimed_chunk_by_chunk_with_credit_for_the_rest():
    """Four arenas of one chunk, each of eight spans of 64 pages; dead are one, none, all, and seven."""
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4))
    spans = [[heap.malloc(64 * PAGE) for _ in range(8)] for _ in range(4)]
    assert spans[3][7] == BASE + 4 * ARENA_4 - 64 * PAGE
    heap.collect([*spans[0][:7], *spans[1], spans[3][2]], sweep=False)
    dead = [spans[0][7], *spans[2], *(s for s in spans[3] if s != spans[3][2])]
    h = heap.state.h
    assert (int(h.reclaim_index), int(h.reclaim_credit)) == (0, 0) and len(unswept(heap)) == 32
    assert heap.malloc(65 * PAGE) == spans[2][0], "64 pages of the first arena were not enough, the second has none"
    assert set(dead[9:]) < set(unswept(heap)) and not {spans[0][7], *spans[2]} & set(unswept(heap))
    assert (int(h.reclaim_index), int(h.reclaim_credit)) == (3 * 512, 8 * 64 - 1)
    assert len(unswept(heap)) == 32 - 9, "spans with a mark are not swept for pages"
    assert heap.malloc(511 * PAGE) > spans[3][7] and len(unswept(heap)) == 23, "paid for by the credit"
    assert (int(h.reclaim_index), int(h.reclaim_credit)) == (3 * 512, 0)
    heap.malloc(64 * PAGE)
    assert (int(h.reclaim_index), int(h.reclaim_credit)) == (4 * 512, 6 * 64)
    assert sorted(unswept(heap)) == sorted([*spans[0][:7], *spans[1], spans[3][2]])
    heap.malloc(1000 * PAGE)
    assert int(h.reclaim_index) == DONE
    heap.verify()


def test_what_sweep_one_frees_is_credit():
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4))
    a, b, c = (heap.malloc(100 * PAGE) for _ in range(3))
    heap.collect([b], sweep=False)
    assert heap.sweep_one() == a and int(heap.state.h.reclaim_credit) == 100
    assert heap.malloc(100 * PAGE) == a
    assert unswept(heap) == [b, c] and int(heap.state.h.reclaim_index) == 0
    assert heap.sweep_one() == b and int(heap.state.h.reclaim_credit) == 0, "kept, so no credit"


def test_an_arena_got_while_sweeping_is_not_reclaimed_from():
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4))
    a = heap.malloc(512 * PAGE)
    heap.collect([a], sweep=False)
    assert heap.malloc(512 * PAGE) == a + ARENA_4
    assert int(heap.state.h.reclaim_index) == DONE
    heap.collect([], sweep=False)
    assert heap.malloc(10 * PAGE) == a and unswept(heap) == [a + ARENA_4]
    assert (int(heap.state.h.reclaim_index), int(heap.state.h.reclaim_credit)) == (512, 502)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("arena_bytes", [ARENA_4, 64 * MIB])
def test_reclaiming_at_random(profile, arena_bytes, rng):
    """Small and large spans over several arenas, allocated downward; each allocation against the model."""
    heap = downward_heap(profile, arena_bytes)
    objects = []
    for _ in range(2):
        for n in rng.integers(1, 200, 90 if arena_bytes == ARENA_4 else 250).tolist():
            objects += [heap.malloc(n * PAGE), heap.malloc(400), heap.malloc(400, True), heap.malloc(2000, p=1)]
        live = [a for a in objects if rng.random() < 0.3]
        heap.flush_mcache()
        dead = {span.base: span.npages for span, objects in live_objects(heap, live) if not objects}
        marked = page_marked(heap, live)
        heap.collect(live, sweep=False)
        rows = heap.state.tables["heap_arenas"][1 : int(heap.state.h.heap_arenas_len)]
        arenas = [heap.arena_base(int(index)) for index in rows["arena_idx"]]
        assert arenas != sorted(arenas) and len(arenas) > 1
        sweep = Sweep(arenas, marked, dead)
        fresh = [expect_reclaim(heap, sweep, n) for n in rng.integers(5, 300, 40).tolist()]
        heap.verify()
        objects = live + fresh
    heap.sweep_all()
    assert {a for a in objects if heap.in_heap(a)} == set(objects)


# ---------------------------------------------------------------------------------------------------- page marks


def marked_heap(profile, noscan, live_per_span):
    """Return a heap with three full spans of 512-byte objects, each with so many live ones, and these."""
    heap = mh.Heap(profile())
    heap.malloc(513)
    spans = {}
    while len(spans) < 4:
        addr = heap.malloc(512, noscan=noscan)
        spans.setdefault(heap.span_of(addr).base, []).append(addr)
    live = [a for objects in list(spans.values())[:3] for a in objects[3 : 3 + live_per_span]]
    return heap, live, list(spans)[:3]


@pytest.mark.parametrize(
    "profile, noscan, live_per_span, sweeps",
    [
        (mh.HeapParams.go119, False, 1, False),
        (mh.HeapParams.go119, True, 1, False),
        (mh.HeapParams.go127, True, 1, True),
        (mh.HeapParams.go127, True, 5, True),
        (mh.HeapParams.go127, False, 1, True),
        (mh.HeapParams.go127, False, 2, False),
        (mh.HeapParams.go127, False, 5, False),
    ],
)
def test_page_marks_by_rule(profile, noscan, live_per_span, sweeps):
    """A span without a page mark is swept by the reclaimer, and kept, since its objects live."""
    heap, live, bases = marked_heap(profile, noscan, live_per_span)
    heap.collect(live, sweep=False)
    assert set(bases) <= set(unswept(heap))
    heap.malloc(600 * PAGE)
    assert (set(bases) & set(unswept(heap)) == set()) is sweeps
    assert all(heap.in_heap(a) for a in live)
    heap.sweep_all()
    assert sum(int(heap.span_of(b).allocated.sum()) for b in bases) == len(live)
    heap.verify()


def test_page_marks_that_are_given():
    """In place of the rule: the span of the first object has its mark, those of the others have none."""
    for noscan in (False, True):
        heap, live, bases = marked_heap(mh.HeapParams.go127, noscan, 5)
        heap.collect(live, sweep=False, page_marked=[live[1]])
        heap.malloc(600 * PAGE)
        assert set(bases) & set(unswept(heap)) == {bases[0]}
        heap, live, bases = marked_heap(mh.HeapParams.go127, noscan, 5)
        heap.collect(live, sweep=False, page_marked=[])
        heap.malloc(600 * PAGE)
        assert set(bases) & set(unswept(heap)) == set()


def test_given_page_marks_are_for_spans_with_inline_marks_only():
    heap = mh.Heap(mh.HeapParams.go127())
    without = [heap.malloc(8, noscan=False), heap.malloc(513), heap.malloc(40 * KIB)]
    heap.flush_mcache()
    heap.collect(without, sweep=False, page_marked=[])
    heap.malloc(600 * PAGE)
    assert [heap.span_of(a).base in unswept(heap) for a in without] == [True] * 3


# ---------------------------------------------------------------------------------------------------- scavenging


def released(heap):
    """Return HeapReleased, which must be what the OS does not back."""
    stats = heap.memstats()
    assert stats["HeapReleased"] == int(heap.state.h.stats.prepared)
    assert stats["HeapSys"] - stats["HeapReleased"] + stats["StackInuse"] == int(heap.state.h.stats.ready)
    return stats["HeapReleased"]


def test_scavenging_by_and_by():
    """A free MiB below a live page: pages from the top, as many as asked for, and nothing twice."""
    heap = mh.Heap()
    heap.malloc(MIB)
    live = heap.malloc(40 * KIB)
    heap.collect([live])
    at_first = released(heap)
    assert at_first == 3 * MIB - 40 * KIB
    assert heap.scavenge(1) == PAGE and released(heap) == at_first + PAGE
    assert heap.scavenge(100 * KIB) == 13 * PAGE and released(heap) == at_first + 14 * PAGE
    top = 127 - 14
    assert heap.snapshot().pages[0][top - 1 : 129].tolist() == [2] * 2 + [1] * 14 + [6], "free, returned, large"
    assert heap.scavenge(1 << 60) == MIB - 14 * PAGE and heap.scavenge(1) == 0
    assert released(heap) == at_first + MIB
    assert heap.malloc(MIB) == BASE and released(heap) == at_first
    heap.verify()


@pytest.mark.parametrize("huge, first", [(2 * MIB, 2 * MIB), (0, PAGE)])
def test_huge_pages_are_kept_whole(huge, first):
    heap = mh.Heap(mh.HeapParams.go119(huge_page_bytes=huge))
    heap.malloc(8 * MIB)
    heap.collect([])
    assert heap.scavenge(1) == first
    assert heap.scavenge_all() == 8 * MIB - first and heap.scavenge_all() == 0
    assert released(heap) == heap.memstats()["HeapSys"] == 8 * MIB


def test_scavenge_all_and_free_os_memory():
    heap = mh.Heap()
    a, b, c = heap.malloc(3 * MIB), heap.malloc(3 * MIB), heap.malloc(48)
    grown = heap.memstats()["HeapSys"]
    assert heap.scavenge_all() == 0, "nothing was ever freed"
    assert heap.free_os_memory([b, c]) == 3 * MIB
    assert released(heap) == grown - 3 * MIB - PAGE
    assert heap.free_os_memory([b, c]) == 0
    assert heap.free_os_memory([]) == 3 * MIB + PAGE
    assert released(heap) == grown and heap.spans() == []
    assert heap.malloc(3 * MIB) == a
    heap.verify()


def grown_past(goal, p=0, **changes):
    """Grow a heap with 8 MiB of free, backed memory by 12 MiB; (HeapReleased before, and after less what is new)."""
    heap = mh.Heap(mh.HeapParams.go119(**changes))
    heap.malloc(8 * MIB)
    live = heap.malloc(PAGE)
    heap.collect([live])
    heap.gc_percent_goal = goal
    assert heap.gc_percent_goal == goal
    before, size = released(heap), heap.memstats()["HeapSys"]
    heap.malloc(12 * MIB, p=p)
    assert heap.memstats()["HeapSys"] == size + 12 * MIB, "the 8 MiB are too small for it"
    assert heap.memstats()["HeapInuse"] == 12 * MIB + PAGE
    heap.verify()
    return released(heap) - before


@pytest.mark.parametrize(
    "limit, p, back",
    [
        (20 * MIB + PAGE, 0, 0),
        (20 * MIB, 0, PAGE),
        (16 * MIB, 0, 4 * MIB + PAGE),
        (13 * MIB, 0, 7 * MIB + PAGE),
        (12 * MIB, 0, 8 * MIB),
        (1, 0, 8 * MIB),
        (1, None, 0),
    ],
)
def test_the_memory_limit_gives_back_as_much_as_is_missing(limit, p, back):
    """8 MiB and a page are Ready, 12 MiB more are asked for; without a P nothing is returned."""
    assert grown_past(None, p, memory_limit=limit, huge_page_bytes=0) == back


def test_other_memory_counts_against_the_limit():
    assert grown_past(None, memory_limit=17 * MIB, other_ready_bytes=MIB, huge_page_bytes=0) == 4 * MIB + PAGE


@pytest.mark.parametrize(
    "goal, back",
    [
        (None, 0),
        (20 * MIB + PAGE, 0),
        (20 * MIB, PAGE),
        (15 * MIB, 5 * MIB + PAGE),
        (10 * MIB, 8 * MIB),
        (0, 8 * MIB),
    ],
)
def test_growth_past_the_goal_is_paid_for(goal, back):
    """What the heap retains and its growth, 20 MiB and a page, less the goal; there are 8 MiB to give."""
    assert grown_past(goal, huge_page_bytes=0) == back


def test_the_goal_gives_back_no_more_than_the_growth():
    """Twice 8 MiB are free, the heap must shrink to nothing, and grows by 12 MiB: 12 MiB go back."""
    heap = mh.Heap(mh.HeapParams.go119(huge_page_bytes=0))
    live = [heap.malloc(8 * MIB), heap.malloc(PAGE), heap.malloc(8 * MIB), heap.malloc(PAGE)][1::2]
    heap.collect(live)
    heap.gc_percent_goal = 0
    before, size = released(heap), heap.memstats()["HeapSys"]
    heap.alloc_manual(9 * 128, p=0)
    assert heap.memstats()["HeapSys"] == size + 12 * MIB - 9 * MIB, "MemStats has no manual spans but stacks in it"
    assert released(heap) - before == 12 * MIB - 9 * MIB + 12 * MIB


def test_a_huge_page_is_given_back_for_a_single_page():
    assert grown_past(20 * MIB) == 2 * MIB
