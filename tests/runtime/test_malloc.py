"""malloc: sizes to classes, the tiny allocator against a slow twin, and where objects stand in their span."""

import bisect

import numpy as np
import pytest
from runtime.entry import COMPILED, entry
from runtime.test_run import BASE, PAGE, Heap

from mheaplab.runtime.malloc import next_free_fast, size_to_class
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.tables import span

FULL = (1 << 64) - 1


@entry
def drive_malloc(h, sizes, classes):
    """Write the class of each size; a size of 0 asks for the next free slot of span 1 instead."""
    for k in range(len(sizes)):
        if sizes[k] == 0:
            classes[k] = next_free_fast(span(h, np.int64(1)))
        else:
            classes[k] = size_to_class(h, sizes[k])


def test_size_to_class():
    heap = Heap()
    table = heap.h.params["class_to_size"][1:68].tolist()
    sizes = np.arange(1, 32769)
    classes = np.zeros(len(sizes), np.int64)
    drive_malloc(heap.h, sizes, classes)
    assert classes.tolist() == [1 + bisect.bisect_left(table, size) for size in range(1, 32769)]


# nelems, freeindex, allocCache; slot found (None: the slow way), freeindex and allocCache then
NEXT_FREE_FAST = [
    pytest.param(128, 0, FULL, 0, 1, FULL >> 1, id="first"),
    pytest.param(128, 5, 0b1000, 8, 9, 0, id="over taken slots"),
    pytest.param(128, 5, 0, None, 5, 0, id="cache is used up"),
    pytest.param(128, 62, 0b1, 62, 63, 0, id="one before the boundary"),
    pytest.param(128, 63, 0b1, None, 63, 0b1, id="boundary of 64: the cache must be refilled"),
    pytest.param(128, 60, 0b1000, None, 60, 0b1000, id="boundary of 64, over taken slots"),
    pytest.param(64, 63, 0b1, 63, 64, 0, id="boundary of 64 that ends the span"),
    pytest.param(128, 127, 0b1, 127, 128, 0, id="end of the span"),
    pytest.param(128, 64, FULL, 64, 65, FULL >> 1, id="behind the boundary"),
    pytest.param(100, 99, 0b1, 99, 100, 0, id="last of a span of 100"),
    pytest.param(100, 99, 0b10, None, 99, 0b10, id="cache bits beyond the end"),
    pytest.param(100, 100, FULL, None, 100, FULL, id="exhausted"),
    pytest.param(1024, 0, 1 << 63, None, 0, 1 << 63, id="the cache's last bit is a boundary"),
    pytest.param(1024, 1, 1 << 63, 64, 65, 0, id="the cache's last bit"),
]


@pytest.mark.parametrize("nelems, freeindex, cache, slot, free_after, cache_after", NEXT_FREE_FAST)
def test_next_free_fast(nelems, freeindex, cache, slot, free_after, cache_after):
    heap = Heap()
    heap.h.spans_len = 2
    s = heap.state.tables["spans"][1]
    s["start_addr"], s["elemsize"], s["nelems"], s["freeindex"] = BASE, 8, nelems, freeindex
    s["alloc_cache"] = cache
    found = np.zeros(1, np.int64)
    drive_malloc(heap.h, np.zeros(1, np.int64), found)
    assert int(found[0]) == (0 if slot is None else BASE + 8 * slot)
    assert (int(s["freeindex"]), int(s["alloc_cache"])) == (free_after, cache_after)
    assert int(s["alloc_count"]) == (slot is not None)


# --------------------------------------------------------------------------------------------------------- tiny


class NaiveTiny:
    """Go's rule for objects of under 16 bytes without pointers, in units of bytes from the first block."""

    def __init__(self):
        self.blocks = 0
        self.start = None
        self.used = 0

    def align(self, size):
        for power in (8, 4, 2):
            if size % power == 0:
                return -(-self.used // power) * power
        return self.used

    def malloc(self, size):
        at = self.align(size)
        if self.start is not None and at + size <= 16:
            self.used = at + size
            return self.start + at
        fresh = 16 * self.blocks
        self.blocks += 1
        if self.start is None or size < self.used:
            self.start, self.used = fresh, size
        return fresh

    def flush(self):
        self.start, self.used = None, 0


def test_tiny_pairs():
    """All pairs of sizes, each in a block of its own."""
    heap, twin = Heap(), NaiveTiny()
    for first in range(1, 16):
        for second in range(1, 16):
            pair = [heap.malloc(first) - BASE, heap.malloc(second) - BASE]
            assert pair == [twin.malloc(first), twin.malloc(second)], (first, second)
            heap.flush()
            twin.flush()
    blocks = int(heap.h.stats.small_alloc_count[2])
    assert blocks == twin.blocks and blocks + int(heap.h.stats.tiny_alloc_count) == 450
    heap.check()


# sizes in turn, and where they come to lie
TINY = [
    pytest.param([8, 8], [0, 8], id="two halves"),
    pytest.param([1, 8], [0, 8], id="8 is aligned to 8"),
    pytest.param([1, 4, 4], [0, 4, 8], id="4 to 4"),
    pytest.param([1, 2, 2], [0, 2, 4], id="2 to 2"),
    pytest.param([1, 12], [0, 4], id="12 to 4 only"),
    pytest.param([3, 5, 7], [0, 3, 8], id="odd sizes to nothing"),
    pytest.param([3, 10], [0, 4], id="10 to 2"),
    pytest.param([15, 1, 1], [0, 15, 16], id="full to the last byte"),
    pytest.param([5, 15, 3], [0, 16, 5], id="a fresh block with less room left does not become the current one"),
    pytest.param([9, 8, 3], [0, 16, 24], id="one with more room does"),
    pytest.param([8, 9, 8], [0, 16, 8], id="the old one is kept when the fresh one is fuller"),
    pytest.param([9, 9, 7], [0, 16, 9], id="or as full"),
]


@pytest.mark.parametrize("sizes, offsets", TINY)
def test_tiny(sizes, offsets):
    heap = Heap()
    assert [heap.malloc(size) - BASE for size in sizes] == offsets


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_tiny_at_random(rng, go):
    heap, twin = Heap(go), NaiveTiny()
    per_span = 512 if go == "go1.19" else 504
    for size in rng.integers(1, 16, 2000 if COMPILED else 300).tolist():
        at = twin.malloc(size)
        span_start, in_span = divmod(at // 16, per_span)
        assert heap.malloc(size) - BASE == span_start * PAGE + in_span * 16 + at % 16


def test_only_small_objects_without_pointers_are_tiny():
    heap = Heap()
    assert heap.malloc(15) % 16 == 0 and heap.malloc(1) % 16 == 15
    for size, noscan, elemsize in ((16, True, 16), (8, False, 8), (15, False, 16), (1, False, 8)):
        assert int(heap.span(heap.malloc(size, noscan=noscan))["elemsize"]) == elemsize


# ------------------------------------------------------------------------------------------------ small and large

# Go version, bytes, whether without pointers; slot (None: a large span), header
HEADERS = [
    ("go1.19", 513, False, 576, 0),
    ("go1.19", 32768, False, 32768, 0),
    ("go1.19", 32768, True, 32768, 0),
    ("go1.19", 32769, True, None, 0),
    ("go1.27", 512, False, 512, 0),
    ("go1.27", 513, False, 576, 8),
    ("go1.27", 513, True, 576, 0),
    ("go1.27", 568, False, 576, 8),
    ("go1.27", 569, False, 640, 8),
    ("go1.27", 576, True, 576, 0),
    ("go1.27", 1024, False, 1152, 8),
    ("go1.27", 1024, True, 1024, 0),
    ("go1.27", 32760, False, 32768, 8),
    ("go1.27", 32760, True, 32768, 0),
    ("go1.27", 32761, False, None, 0),
    ("go1.27", 32761, True, None, 0),
]


@pytest.mark.parametrize("go, size, noscan, slot, header", HEADERS)
def test_header_and_threshold(go, size, noscan, slot, header):
    heap = Heap(go)
    address = heap.malloc(size, noscan=noscan)
    s = heap.span(address)
    assert address - int(s["start_addr"]) == header
    if slot is None:
        assert int(s["spanclass"]) >> 1 == 0 and int(s["elemsize"]) == -(-size // PAGE) * PAGE
    else:
        assert int(s["elemsize"]) == slot
        second = heap.malloc(size, noscan=noscan)
        assert second - address == slot or int(s["nelems"]) == 1
    heap.check()


@pytest.mark.parametrize("size", [8, 16, 48, 112, 1152, 2048, 5376, 9472])
def test_addresses_and_exhaustion(size):
    """Slot after slot to the end of the span, then a span behind it."""
    heap = Heap()
    first = heap.malloc(size, noscan=False)
    n, span_bytes = int(heap.span(first)["nelems"]), int(heap.span(first)["npages"]) * PAGE
    assert n == span_bytes // size
    rest = heap.mallocs(n, size, noscan=False)
    assert rest[:-1] == [first + k * size for k in range(1, n)]
    assert heap.span_index(rest[-1]) != heap.span_index(first) and rest[-1] == int(heap.span(rest[-1])["start_addr"])
    assert int(heap.span(first)["freeindex"]) == int(heap.span(first)["alloc_count"]) == n
    heap.check()


@pytest.mark.parametrize("size", [16, 48, 128])
def test_free_slots_are_taken_in_order(rng, size):
    heap = Heap()
    objects = [heap.malloc(size, noscan=False)]
    objects += heap.mallocs(int(heap.span(objects[0])["nelems"]) - 1, size, noscan=False)
    dying = rng.random(len(objects)) < 0.4
    dying[:70] |= rng.random() < 0.5  # a whole word of free or taken slots too
    dead = [o for o, d in zip(objects, dying.tolist(), strict=True) if d]
    heap.collect(dead=dead)
    again = heap.mallocs(len(dead) + 1, size, noscan=False)
    assert again[:-1] == dead
    assert heap.span_index(again[-1]) != heap.span_index(objects[0])
    heap.check()


def test_without_a_p_the_first_mcache_is_used():
    heap = Heap()
    first = heap.malloc(100, p=255)
    assert heap.malloc(100, p=0) - first == 112
    assert heap.span_index(heap.malloc(100, p=1)) != heap.span_index(first)


# what is wrong with the cached span of two objects, of which one is taken, and Go's throw
THROWS = [
    ({"freeindex": 3}, "s.freeindex > s.nelems"),
    ({"freeindex": 2}, "s.allocCount != s.nelems && freeIndex == s.nelems"),
    ({"alloc_count": 4, "alloc_cache": 0, "freeindex": 1}, "s.allocCount != s.nelems"),
]


@pytest.mark.parametrize("wrong, message", THROWS)
def test_throws(wrong, message):
    heap = Heap()
    s = heap.span(heap.malloc(4096))
    s["alloc_cache"] = 0
    for name, value in wrong.items():
        s[name] = value
    with pytest.raises(Throw) as found:
        heap.malloc(4096)
    assert found.value.args[0].startswith(message)
