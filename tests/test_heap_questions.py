"""Heap: the questions of mheap.go about an address, asked everywhere around each kind of span, and where arenas lie."""

import numpy as np
import pytest
from heaps import ARENA_4, BASE, KIB, MIB, PAGE, TOP, count_objects, throws

import mheaplab as mh
from mheaplab.snapshot import PAGE_FREE, PAGE_LARGE, PAGE_NOSCAN, PAGE_OTHER, PAGE_SCAN, PAGE_SCAVENGED, PAGE_STACK

ARENA = 64 * MIB


@pytest.fixture
def around():
    """A heap with one span of each kind and the addresses of their first bytes."""
    heap = mh.Heap()
    at = {"small": heap.malloc(48), "large": heap.malloc(20 * PAGE - 100), "dead": heap.malloc(20 * PAGE)}
    at["manual"] = heap.alloc_manual(17, "work buffer")
    at["stack"] = heap.stack_alloc(2 * KIB)
    heap.collect([at["small"], at["large"]])
    assert len(set(at.values())) == 5
    return heap, at


def answers(heap, addr):
    """What the four questions of an address say: (spanOf, spanOfHeap, inheap, inHeapOrStack), spans by their base."""
    spans = [s and s.base for s in (heap.span_of(addr), heap.span_of_heap(addr))]
    return (*spans, heap.in_heap(addr), heap.in_heap_or_stack(addr))


# ---------------------------------------------------------------------------------------------------- spans


def test_objects(around):
    heap, at = around
    small, large = at["small"], at["large"]
    for inner in (0, 1, 47, 170 * 48 - 1):
        assert answers(heap, small + inner) == (small, small, True, True)
    for tail in (170 * 48, PAGE - 1):
        assert answers(heap, small + tail) == (small, None, False, False), "8,160 bytes of the page are slots"
    for inner in (0, PAGE, 20 * PAGE - 101):
        assert answers(heap, large + inner) == (large, large, True, True)
    for tail in (20 * PAGE - 100, 20 * PAGE - 1):
        assert answers(heap, large + tail) == (large, None, False, False), "past the size that was asked for"
    assert answers(heap, large + 20 * PAGE)[0] != large


def test_dead_spans_and_free_pages(around):
    heap, at = around
    dead = at["dead"]
    for addr in (dead, dead + 5, dead + 20 * PAGE - 1):
        assert answers(heap, addr) == (dead, None, False, False)
    assert heap.span_of(dead).state == "mSpanDead" and heap.span_of(dead).nelems == 0
    assert heap.span_of_unchecked(dead).base == dead
    never = BASE + 60 * MIB
    assert answers(heap, never) == (None, None, False, False)
    assert heap.span_of_unchecked(never) is None, "the arena is known, the page was never in a span"
    again = heap.malloc(20 * PAGE)
    assert again == dead and answers(heap, dead) == (dead, dead, True, True)


def test_a_dead_record_may_have_moved_on(around):
    """As in Go: spanOf of a page of no span may be the span that its record is now, which does not hold the page."""
    heap, at = around
    taken = heap.alloc_manual(300, p=0)
    assert taken not in (at["dead"], at["large"])
    stale = heap.span_of(at["dead"])
    assert stale.base == taken and not stale.base <= at["dead"] < stale.limit
    assert answers(heap, at["dead"]) == (taken, None, False, False)


def test_manual_spans_and_stacks(around):
    heap, at = around
    for kind, npages in (("manual", 17), ("stack", 4)):
        base = heap.span_of(at[kind]).base
        for addr in (base, at[kind], base + npages * PAGE - 1):
            assert answers(heap, addr) == (base, None, False, True)
        assert heap.span_of(base).limit == base + npages * PAGE
        assert answers(heap, base + npages * PAGE)[0] != base
    heap.free_manual(at["manual"])
    assert answers(heap, at["manual"]) == (at["manual"], None, False, False)


def test_outside_all_arenas(around):
    heap, _ = around
    nowhere = (None, None, False, False)
    for addr in (0, 1, 4096, -1, -TOP, TOP, TOP - 1, BASE - 1, BASE + ARENA, 1 << 63, (1 << 64) - 1, -(1 << 63)):
        assert answers(heap, addr) == nowhere
        assert heap.specials(addr) == ()
        for unchecked in (heap.span_of_unchecked, heap.page_index_of):
            with throws(heap, "invalid memory address or nil pointer dereference"):  # panic.go
                unchecked(addr)


def test_addresses_may_be_numbers_of_numpy(around):
    heap, at = around
    for kind in (np.int64, np.uint64):
        assert answers(heap, kind(at["large"] + 8)) == (at["large"], at["large"], True, True)
    assert heap.collect(np.array([at["small"]], np.uint64)).objects_freed == 1


# ---------------------------------------------------------------------------------------------------- arenas


@pytest.mark.parametrize("arena", [ARENA_4, ARENA])
@pytest.mark.parametrize("l1_bits", [0, 6])
def test_indexes_of_arenas(arena, l1_bits):
    """arenaIndex counts arenas from 0xffff800000000000 on, modulo 2**64; two levels cut the index in two."""
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=arena, arena_l1_bits=l1_bits))
    heap.malloc(48)
    offset = 0xFFFF800000000000
    l2_size = (1 << 48) // arena >> l1_bits
    for addr in (0, 1, BASE - 1, BASE, BASE + arena - 1, BASE + arena, TOP - 1, offset, (1 << 64) - 1, 1 << 60):
        index = heap.arena_index(addr)
        assert index == (addr - offset) % (1 << 64) // arena
        assert heap.arena_base(index) == addr // arena * arena
        assert heap.arena_index(heap.arena_base(index)) == index
        assert (heap.arena_l1(index), heap.arena_l2(index)) == (divmod(index, l2_size) if l1_bits else (0, index))
    assert heap.arena_index(-1) == heap.arena_index((1 << 64) - 1) == TOP // arena - 1
    assert heap.span_of_heap(BASE).base == BASE, "the first level's entry of the heap is there"
    assert heap.span_of(BASE + arena) is None
    heap.verify()


@pytest.mark.parametrize("arena", [ARENA_4, ARENA])
def test_page_indexes(arena):
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=arena))
    heap.malloc(2 * arena - PAGE)
    per_arena = arena // PAGE
    for page in (0, 1, 7, 8, per_arena - 1, per_arena, per_arena + 9, 2 * per_arena - 1):
        found = heap.page_index_of(BASE + page * PAGE + 5)
        within = page % per_arena
        assert found == (heap.arena_index(BASE) + page // per_arena, within // 8, 1 << within % 8)
    with throws(heap, "invalid memory address"):
        heap.page_index_of(BASE + 2 * arena)


def test_a_span_across_the_border_of_two_arenas():
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4))
    first, across = heap.malloc(3 * MIB), heap.malloc(3 * MIB)
    border = BASE + ARENA_4
    assert (first, across) == (BASE, BASE + 3 * MIB)
    for addr in (border - 1, border, border + 2 * MIB - 1):
        assert answers(heap, addr) == (across, across, True, True)
    assert answers(heap, border + 2 * MIB) == (None, None, False, False)
    assert heap.snapshot().arenas.tolist() == [BASE, border]


# ---------------------------------------------------------------------------------------------------- hints


def test_hints_of_linux():
    heap = mh.Heap()
    assert heap.arena_hints() == [(0x00C0 << 32 | i << 40, False) for i in range(128)]
    heap.malloc(48)
    assert heap.arena_hints()[:2] == [(BASE + ARENA, False), (BASE + (1 << 40), False)]
    heap.malloc(2 * ARENA)
    assert heap.arena_hints()[0] == (BASE + 3 * ARENA, False)


def test_a_hint_that_fails_is_dropped():
    """Something lies behind the first arena, and at the second hint: the third is taken."""
    occupied = ((BASE + ARENA, BASE + ARENA + 4096), (BASE + (1 << 40) + 8192, BASE + (1 << 40) + 12288))
    heap = mh.Heap(mh.HeapParams.go119(occupied=occupied))
    assert heap.malloc(ARENA) == BASE
    third = BASE + (2 << 40)
    assert heap.malloc(48) == third
    assert heap.arena_hints()[:2] == [(third + ARENA, False), (BASE + (3 << 40), False)]
    assert heap.snapshot().arenas.tolist() == [BASE, third]
    heap.verify()


def test_downward_growth_when_no_hint_is_left():
    """Go takes what the OS gives, the highest gap, and makes two hints around it; here upward fails."""
    top = 0x7FFF_F7FF_F000
    heap = mh.Heap(mh.HeapParams.go119(occupied=((BASE, top - 16 * ARENA), (top, TOP))))
    a = heap.malloc(ARENA)
    assert a == (top - 2 * ARENA + ARENA - 1) // ARENA * ARENA, "the OS gave twice as much at the top, for alignment"
    assert heap.arena_hints() == [(a + ARENA, False), (a, True)]
    below = [heap.malloc(ARENA) for _ in range(3)]
    assert below == [a - ARENA, a - 2 * ARENA, a - 3 * ARENA]
    assert heap.arena_hints() == [(a - 3 * ARENA, True)], "the upward hint failed and is gone"
    assert heap.snapshot().arenas.tolist() == sorted([a, *below])
    assert heap.malloc(2 * ARENA) == a - 5 * ARENA
    heap.verify()


def test_low_gaps_come_last():
    """With hints and top taken, the only gap left lies low."""
    low = 1 << 30
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4, occupied=((4096, low), (low + 3 * ARENA_4, TOP))))
    a, b = heap.malloc(48), heap.malloc(ARENA_4)
    assert low <= min(a, b) and max(a, b) < low + 3 * ARENA_4
    assert set(heap.snapshot().arenas.tolist()) <= {low, low + ARENA_4, low + 2 * ARENA_4}
    heap.verify()


# ---------------------------------------------------------------------------------------------------- the whole


def test_spans_snapshot_and_memstats_tell_the_same(around):
    heap, at = around
    noscan = heap.malloc(100, noscan=True)
    heap.flush_page_cache()
    heap.scavenge(20 * PAGE)
    spans, snap, stats = heap.spans(), heap.snapshot(), heap.memstats()
    assert [s.base for s in spans] == snap.spans["base"].tolist() == sorted(s.base for s in spans)
    assert [s.npages for s in spans] == snap.spans["npages"].tolist()
    assert snap.memstats == stats and snap.arena_bytes == ARENA
    state = {name: snap.pages[0][(at[name] - BASE) // PAGE] for name in at}
    kinds = {"small": PAGE_SCAN, "large": PAGE_LARGE, "dead": PAGE_SCAVENGED, "manual": PAGE_OTHER}
    assert state == kinds | {"stack": PAGE_STACK}
    assert snap.pages[0][(noscan - BASE) // PAGE] == PAGE_NOSCAN
    heap_pages = sum(s.npages for s in spans if s.state == "mSpanInUse")
    assert stats["HeapInuse"] == heap_pages * PAGE and stats["StackInuse"] == 4 * PAGE
    assert stats["HeapReleased"] == (snap.pages[0] == PAGE_SCAVENGED).sum() * PAGE
    assert stats["HeapIdle"] - stats["HeapReleased"] == (snap.pages[0] == PAGE_FREE).sum() * PAGE
    heap.flush_mcache()
    flushed = heap.memstats()
    assert flushed["HeapAlloc"] == count_objects(heap)[1]
    assert (flushed["Mallocs"], flushed["Frees"], flushed["HeapObjects"]) == (4, 1, 3)
    assert snap.event < heap.snapshot().event


def test_a_span_is_a_copy():
    heap = mh.Heap()
    a = heap.malloc(1024)
    before, snap = heap.span_of(a), heap.snapshot()
    heap.malloc(1024)
    assert (before.alloc_count, before.freeindex, int(snap.spans["alloc_count"][0])) == (1, 1, 1)
    assert heap.span_of(a).alloc_count == 2
    heap.collect([])
    assert before.state == "mSpanInUse" and before.allocated.tolist() == [True] + [False] * 7


def poke(heap, seed):
    """Drive ``heap`` with calls that depend on ``seed`` alone; what they returned."""
    rng = np.random.default_rng(seed)
    got, live = [], []
    for step in range(120):
        live.append(heap.malloc(int(rng.integers(1, 3000)), bool(rng.integers(2)), int(rng.integers(3))))
        if step % 40 == 39:
            live = [a for a in live if rng.random() < 0.4]
            got.append(heap.collect(live, sweep=bool(rng.integers(2))))
    return [*got, *live, heap.stack_alloc(4096), heap.alloc_manual(3)]


def test_same_calls_same_heap():
    one, two, other = mh.Heap(), mh.Heap(), mh.Heap()
    assert poke(one, 1) == poke(two, 1) != poke(other, 2)
    assert one.dump() == two.dump() != other.dump()
    assert one.memstats() == two.memstats()
    assert np.array_equal(one.snapshot().pages, two.snapshot().pages)


def test_two_heaps_know_nothing_of_each_other():
    """Calls on two heaps in turn give what they give one after the other."""
    alone = [mh.Heap(), mh.Heap(mh.HeapParams.go127(arena_bytes=ARENA_4))]
    mixed = [mh.Heap(), mh.Heap(mh.HeapParams.go127(arena_bytes=ARENA_4))]
    want = [[heap.malloc(700) for _ in range(50)] for heap in alone]
    got = list(zip(*[[heap.malloc(700) for heap in mixed] for _ in range(50)], strict=True))
    assert [list(g) for g in got] == want
    dumps = [heap.dump() for heap in mixed]
    assert dumps == [heap.dump() for heap in alone]
    mixed[0].collect([])
    mixed[0].alloc_manual(100)
    assert mixed[1].dump() == dumps[1]
