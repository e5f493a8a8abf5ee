"""sim_objects: what the program can reach, when it dies, and which collection frees it; sizes worked out by hand."""

import pytest
from runtime.sims import END, PAGE, START, Sim

NATURAL = 0


def accounts(heap):
    """Return (live, live_scan, live_objects, slots_taken) of a heap."""
    return tuple(int(heap.sim[name]) for name in ("live", "live_scan", "live_objects", "slots_taken"))


def freed(heap):
    """Return the slot bytes that sweeping has freed."""
    return int(heap.h.stats.total_free)


# ---------------------------------------------------------------------------------------------------- accounts


@pytest.mark.parametrize(
    ("go", "nbytes", "noscan", "slot"),
    [
        ("go1.19", 16, True, 16),
        ("go1.19", 8, False, 8),
        ("go1.19", 100, True, 112),
        ("go1.19", 100, False, 112),
        ("go1.19", 512, False, 512),
        ("go1.19", 32768, True, 32768),
        ("go1.19", 32769, True, 5 * PAGE),
        ("go1.19", 40961, False, 6 * PAGE),
        ("go1.27", 512, False, 512),
        ("go1.27", 600, False, 640),
        ("go1.27", 640, False, 704),
        ("go1.27", 640, True, 640),
        ("go1.27", 32761, False, 4 * PAGE),
    ],
)
def test_an_object_counts_with_its_slot(go, nbytes, noscan, slot):
    heap = Sim(go)
    number = heap.alloc(nbytes, noscan)
    assert accounts(heap) == (slot, 0 if noscan else slot, 1, slot)
    heap.die(number)
    assert accounts(heap) == (0, 0, 0, slot)
    span = heap.span_of(heap.address(number) or heap.deaths()[0][0])
    assert span["elemsize"] == slot


def test_a_dead_object_waits_for_the_next_collection():
    heap = Sim()
    a, b = heap.allocs(2, 1000)
    address = heap.address(a)
    heap.die(a)
    assert heap.deaths() == [(address, False)] and heap.state.tables["objects"][a] == 0
    heap.collect()
    assert heap.deaths() == [] and freed(heap) == 1024 and accounts(heap) == (1024, 0, 1, 2048)
    heap.die(b)
    heap.collect()
    assert freed(heap) == 2048 and heap.h.stats.heap_in_use == 0


# ---------------------------------------------------------------------------------------------------- tiny blocks


def test_a_tiny_block_dies_with_its_last_object():
    heap = Sim()
    a, b, c = heap.alloc(9), heap.alloc(7), heap.alloc(5)
    first, second = heap.address(a), heap.address(c)
    assert heap.address(b) == first + 9 and second == first + 16
    assert accounts(heap) == (32, 0, 3, 32)
    heap.die(b)
    assert accounts(heap) == (32, 0, 2, 32) and heap.deaths() == []
    heap.die(a)
    assert accounts(heap) == (16, 0, 1, 32) and heap.deaths() == [(first, False)]


def test_a_block_that_an_mcache_fills_outlives_its_objects():
    heap = Sim()
    a = heap.alloc(8)
    block = heap.address(a)
    heap.die(a)
    assert accounts(heap) == (16, 0, 0, 16) and heap.deaths() == []
    # The rest of the block is used, and dies; the block still stands in the mcache.
    b = heap.alloc(8)
    assert heap.address(b) == block + 8
    heap.die(b)
    assert accounts(heap) == (16, 0, 0, 16) and heap.deaths() == []
    # The next object gets a new block, and the old one is dead.
    c = heap.alloc(8)
    assert accounts(heap) == (16, 0, 1, 32) and heap.deaths() == [(block, False)]
    assert heap.address(c) == block + 16


def test_a_block_that_is_not_adopted_dies_with_its_object():
    heap = Sim()
    a = heap.alloc(8)
    # 15 bytes do not fit, and leave less room in a new block than there is in the old one, which stays.
    b = heap.alloc(15)
    assert heap.address(b) == heap.address(a) + 16 and heap.h.allp[0].mcache.tiny == heap.address(a)
    block = heap.address(b)
    heap.die(b)
    assert heap.deaths() == [(block, False)] and accounts(heap) == (16, 0, 1, 32)


def test_the_block_of_another_p_lives_too():
    heap = Sim(procs=2)
    a, b = heap.alloc(8, p=0), heap.alloc(8, p=1)
    heap.die(a, b)
    assert accounts(heap) == (32, 0, 0, 32) and heap.deaths() == []
    block = heap.address(heap.alloc(8, p=1)) - 8
    heap.alloc(8, p=1)
    assert heap.deaths() == [] and accounts(heap) == (48, 0, 2, 48)
    heap.collect()
    # Flushed when marking ended: what P 0 filled is dead from now on.
    assert len(heap.deaths()) == 1 and heap.deaths()[0][0] != block and accounts(heap) == (32, 0, 2, 48)


def test_a_collection_ends_the_blocks_that_mcaches_fill():
    heap = Sim()
    a = heap.alloc(8)
    block = heap.address(a)
    heap.die(a)
    heap.collect()
    assert heap.deaths() == [(block, False)] and freed(heap) == 0 and accounts(heap) == (0, 0, 0, 16)
    heap.collect()
    assert heap.deaths() == [] and freed(heap) == 16


# ---------------------------------------------------------------------------------------------------- while it marks


def test_what_is_born_or_dies_while_the_collector_marks_is_kept_by_this_collection_and_freed_by_the_next():
    heap = Sim()
    before, during, kept = heap.alloc(1000), heap.alloc(1000), heap.alloc(1000)
    heap.die(before)
    heap.do(START, NATURAL)
    born = heap.alloc(1000)
    addresses = [heap.address(during), heap.address(born)]
    heap.die(during, born)
    assert heap.marking() and heap.deaths()[1:] == [(a, True) for a in addresses]
    assert accounts(heap) == (1024, 0, 1, 4096)
    heap.do(END)
    assert heap.h.heap_marked == heap.h.stats.heap_live == 3 * 1024
    assert heap.deaths() == [(a, False) for a in addresses]
    heap.collect()
    assert freed(heap) == 3 * 1024 and heap.deaths() == []
    assert heap.span_of(heap.address(kept))["alloc_count"] == 1


def test_a_collection_may_free_what_died_while_it_marked_but_not_what_was_born_then():
    heap = Sim(keeps_dying=False)
    before, during, kept = heap.alloc(1000), heap.alloc(1000), heap.alloc(1000)
    heap.die(before)
    heap.do(START, NATURAL)
    born = heap.alloc(1000)
    addresses = [heap.address(during), heap.address(born)]
    heap.die(during, born)
    assert heap.deaths()[1:] == [(addresses[0], False), (addresses[1], True)]
    heap.do(END)
    assert heap.h.heap_marked == 2 * 1024 and heap.deaths() == [(addresses[1], False)]
    heap.collect()
    assert freed(heap) == 3 * 1024 and heap.span_of(heap.address(kept))["alloc_count"] == 1


@pytest.mark.parametrize("keeps_dying", [True, False])
def test_a_tiny_block_that_is_filled_when_marking_begins_is_kept(keeps_dying):
    heap = Sim(keeps_dying=keeps_dying)
    a = heap.alloc(8)
    block = heap.address(a)
    heap.die(a)
    heap.do(START, NATURAL)
    b = heap.alloc(8)
    assert heap.address(b) == block + 8
    heap.die(b)
    heap.alloc(8)
    assert heap.deaths() == [(block, True)]
    heap.do(END)
    assert heap.deaths() == [(block, False)] and heap.h.heap_marked == 32


def test_each_p_gives_back_its_own_spans_and_stacks():
    heap = Sim(procs=3)
    for p in range(3):
        heap.alloc(3000, p=p)
        heap.stack(2048, p=p)
    numbers = [heap.alloc(5000, p=1), heap.alloc(5000, p=2)]
    caches = [int(heap.h.allp[p].mspancache.n) for p in range(3)]
    heap.die(*numbers)
    heap.h.current_p = 0
    heap.do(START, NATURAL)
    heap.do(END)
    # The spans in which nothing lives are freed by the flush of the P that had them, and so are their records kept.
    assert [int(heap.h.allp[p].mspancache.n) for p in range(3)] == [caches[0], caches[1] + 1, caches[2] + 1]
    assert heap.h.current_p == 0
    for p in range(3):
        assert heap.h.allp[p].mcache.alloc.sum() == 0 and heap.h.allp[p].mcache.stackcache["held"].sum() == 0


def test_who_ends_marking_keeps_the_records_of_freed_spans():
    heap = Sim(procs=2)
    heap.allocs(2, 1000, p=1)
    stack = heap.stack(65536, p=0)
    heap.do(START, NATURAL)
    heap.unstack(stack, 65536, p=0)
    before = [int(heap.h.allp[p].mspancache.n) for p in range(2)]
    heap.sim.mark_done = heap.sim.mark_work - 1
    # P 1 scans what is left, before it allocates; P 0 ran last.
    heap.alloc(1000, p=1)
    assert not heap.marking() and heap.h.stats.in_stacks == 0
    assert [int(heap.h.allp[p].mspancache.n) for p in range(2)] == [before[0], before[1] + 1]
