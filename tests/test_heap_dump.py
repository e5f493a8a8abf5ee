"""The dump of a heap, read back line by line: every number in it is the one that the heap's questions give."""

import re

import pytest
from heaps import ARENA_4, BASE, KIB, MIB, PAGE, TOP

import mheaplab as mh


def lines(heap, first_word):
    """Return the lines of the dump that begin with ``first_word``."""
    return [line for line in heap.dump().splitlines() if line.split()[0] == first_word]


def pairs(line):
    """Return a line of names and numbers as a dict; units are left out."""
    return {name: int(number, 0) for name, number in re.findall(r"(\w+) (0x[0-9a-f]+|\d+)", line)}


@pytest.fixture
def used():
    """A heap with free, returned, cached and reserved pages, dead spans, unswept spans, stacks and specials."""
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4))
    objects = [heap.malloc(n, p=n % 2) for n in range(100, 30_000, 700)]
    large = heap.malloc(6 * MIB)
    heap.stack_alloc(2 * KIB)
    heap.alloc_manual(5, "work buffer")
    heap.collect([*objects[::2], large])
    heap.scavenge(30 * PAGE)
    tiny = heap.malloc(5, noscan=True, p=1)
    heap.add_finalizer(objects[0], 11)
    heap.set_profile_bucket(objects[0], 12)
    heap.collect([*objects[::4], tiny], sweep=False)
    heap.malloc(3, noscan=True, p=1)
    return heap


def test_an_empty_heap():
    assert mh.Heap().dump().splitlines() == [
        "mheap sweepgen 0 sweepDrained 1 gcphase 0 pagesInUse 0 pagesSwept 0 reclaimCredit 0",
        "curArena [0x0, 0x0) searchAddr 0x7fffffffffff arenaHints 128 allspans 0",
        "heapInUse 0 KiB heapFree 0 KiB heapReleased 0 KiB inStacks 0 KiB",
        "os Reserved 0 KiB Prepared 0 KiB Ready 0 KiB",
    ]


def test_one_object():
    heap = mh.Heap()
    heap.malloc(48)
    assert heap.dump().splitlines() == [
        "mheap sweepgen 0 sweepDrained 1 gcphase 0 pagesInUse 1 pagesSwept 0 reclaimCredit 0",
        "curArena [0xc000400000, 0xc004000000) searchAddr 0xc000000000 arenaHints 128 allspans 64",
        "heapInUse 8 KiB heapFree 0 KiB heapReleased 4088 KiB inStacks 0 KiB",
        "os Reserved 61440 KiB Prepared 4088 KiB Ready 8 KiB",
        "arena 2109440 [0xc000000000, 0xc004000000) zeroedBase 0x2000",
        "inUse [0xc000000000, 0xc000400000)",
        "P0 mspancache 63",
        str(heap.span_of(BASE)),
    ]


def test_the_lines_of_the_heap(used):
    mheap, cur_arena, heap_line, os_line = used.dump().splitlines()[:4]
    stats, spans = used.memstats(), used.spans()
    objects = [s for s in spans if s.state == "mSpanInUse"]
    found = pairs(mheap)
    assert found["sweepgen"] == 4 == spans[0].heap_sweepgen
    assert found["pagesInUse"] == sum(s.npages for s in objects)
    assert (found["sweepDrained"], found["gcphase"]) == (0, 0)
    assert found["pagesSwept"] > 0 and found["reclaimCredit"] == int(used.state.h.reclaim_credit)
    assert pairs(cur_arena)["arenaHints"] == len(used.arena_hints())
    cached = sum(pairs(line)["mspancache"] for line in used.dump().splitlines() if "mspancache" in line)
    assert pairs(cur_arena)["allspans"] >= len(spans) + cached
    found = pairs(heap_line)
    assert found["heapInUse"] * KIB == stats["HeapInuse"] and found["inStacks"] * KIB == stats["StackInuse"]
    assert found["heapReleased"] * KIB == stats["HeapReleased"]
    assert (found["heapFree"] + found["heapReleased"]) * KIB == stats["HeapIdle"]
    found = pairs(os_line)
    assert found["Prepared"] * KIB == stats["HeapReleased"]
    assert sum(found.values()) * KIB == len(used.snapshot().arenas) * ARENA_4
    used.gc_start()
    assert "sweepDrained 1 gcphase 1 " in used.dump()


def test_the_lines_of_arenas(used):
    arenas = used.snapshot().arenas.tolist()
    assert len(arenas) == 3
    told = []
    for line in lines(used, "arena"):
        index, low, high, zeroed = re.fullmatch(r"arena (\d+) \[(\w+), (\w+)\) zeroedBase (\w+)", line).groups()
        assert used.arena_base(int(index)) == int(low, 16) and int(high, 16) == int(low, 16) + ARENA_4
        inside = [s for s in used.spans() if s.base < int(high, 16) and s.base + s.npages * PAGE > int(low, 16)]
        assert all(s.base + s.npages * PAGE <= int(low, 16) + int(zeroed, 16) for s in inside[:-1])
        told.append(int(low, 16))
    assert told == arenas
    assert lines(used, "inUse") == [f"inUse [{BASE:#x}, {BASE + 3 * ARENA_4:#x})"]


def test_arenas_and_ranges_that_are_apart():
    gap = ((BASE + ARENA_4, BASE + ARENA_4 + 4096), (BASE + (1 << 40), TOP))
    heap = mh.Heap(mh.HeapParams.go119(arena_bytes=ARENA_4, occupied=gap))
    heap.malloc(ARENA_4)
    other = heap.malloc(48)
    assert lines(heap, "inUse") == [f"inUse [{a:#x}, {a + ARENA_4:#x})" for a in (BASE, other)]
    assert len(lines(heap, "arena")) == 3, "the OS happened to give an aligned address, so Go keeps the spare arena"


def test_the_lines_of_ps(used):
    pages = used.snapshot().pages
    cached = 0
    for line in used.dump().splitlines():
        if " pageCache " in line:
            cache = pairs(line)
            cached += cache["cache"].bit_count()
            assert cache["scav"] & ~cache["cache"] == 0 and cache["base"] % (64 * PAGE) == 0
    assert cached == (pages == 3).sum() > 0
    told = [line for line in used.dump().splitlines() if " tiny " in line]
    assert told == [f"P1 tiny {int(used.state.h.allp[1].mcache.tiny):#x} tinyoffset 3"]


def test_the_lines_of_spans_and_specials(used):
    text = used.dump().splitlines()
    spans = used.spans()
    assert [line for line in text if line.startswith("span ")] == [str(s) for s in spans]
    owner = next(s for s in spans if s.specials)
    at = text.index(str(owner))
    a = owner.specials[0].addr
    assert text[at + 1 : at + 3] == [f"  special finalizer {a:#x} value 11", f"  special profile {a:#x} value 12"]
    assert sum("special" in line for line in text) == 2
    states = {line.split()[4] for line in lines(used, "span")}
    assert states == {"mSpanInUse", "mSpanManual"}
