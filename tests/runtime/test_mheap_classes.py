"""mheap: what a span holds: initSpan for every span class, and objects per span in both versions of Go."""

import numpy as np
import pytest
from runtime.spans import BASE, HEAP, INIT_SPAN, PAGE, STACK, Spans
from runtime.test_run import Heap

from mheaplab.params import HeapParams
from mheaplab.runtime.structs import SPAN_IN_USE, SPAN_MANUAL

ALL_ONES = (1 << 64) - 1
CLASSES = range(1, 68)
FIRST_BITS = 8192 + 2
"""Where the first bitmap lies: behind the header of the first arena that is not nil."""


def new_span(heap, npages):
    """Make record 1 what mspan.init leaves of a span of ``npages``, with old values in what is left to initSpan."""
    heap.h.spans_len = 2
    s = heap.span(1)
    s["start_addr"], s["npages"] = BASE, npages
    for name in ("nelems", "div_mul", "limit", "slots", "manual_free_list", "sweepgen", "alloc_type", "alloc_cache"):
        s[name] = 77
    return s


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_init_span_of_every_class(go):
    """initSpan: sizes and number of objects, everything free, two bitmaps, swept in this generation."""
    params = HeapParams.of_version(go).to_record()
    heap = Spans(go)
    heap.h.sweepgen = 8
    bits, words = FIRST_BITS, 0
    for spc in (2 * c + noscan for c in CLASSES for noscan in (0, 1)):
        size, npages = int(params["class_to_size"][spc >> 1]), int(params["class_to_allocnpages"][spc >> 1])
        s = new_span(heap, npages)
        heap.call(INIT_SPAN, 1, HEAP, spc)
        nelems = int(s["nelems"])
        assert (int(s["elemsize"]), int(s["spanclass"]), int(s["limit"])) == (size, spc, BASE + nelems * size)
        offsets = np.arange(nelems * size, step=max(1, size // 3))
        assert np.array_equal(offsets * int(s["div_mul"]) >> 32, offsets // size), "division by the size"
        assert (int(s["state"]), int(s["alloc_type"]), int(s["sweepgen"])) == (SPAN_IN_USE, HEAP, 8)
        assert int(s["alloc_cache"]) == ALL_ONES
        n = -(-nelems // 64)
        assert (int(s["gcmark_bits"]), int(s["alloc_bits"])) == (bits, bits + n)
        bits, words = bits + 2 * n, words + n
        assert int(heap.h.bits_words) == words
    assert not heap.state.tables["gc_bits"][FIRST_BITS:bits].any()


@pytest.mark.parametrize("noscan", [0, 1])
def test_init_span_of_a_large_object(noscan):
    """Size class 0: one object, as large as the span."""
    heap = Spans()
    s = new_span(heap, 13)
    heap.call(INIT_SPAN, 1, HEAP, noscan)
    want = {"elemsize": 13 * PAGE, "nelems": 1, "div_mul": 0, "limit": BASE + 13 * PAGE, "spanclass": noscan}
    assert {name: int(s[name]) for name in want} == want
    assert (int(s["gcmark_bits"]), int(s["alloc_bits"])) == (FIRST_BITS, FIRST_BITS + 1)


def test_init_span_of_a_manual_span():
    """No objects and no bitmaps; it belongs to no generation."""
    heap = Spans()
    s = new_span(heap, 4)
    heap.call(INIT_SPAN, 1, STACK, 0)
    want = {"nelems": 0, "div_mul": 0, "limit": BASE + 4 * PAGE, "slots": 0, "manual_free_list": 0, "sweepgen": 77}
    want |= {"state": int(SPAN_MANUAL), "alloc_type": STACK, "alloc_bits": 0, "gcmark_bits": 0, "alloc_cache": 77}
    assert {name: int(s[name]) for name in want} == want
    assert int(heap.h.bits_words) == 0


# size, pages of a span; objects in Go 1.19; in Go 1.27 with pointers (less 1/64 of the span up to 512 bytes) and
# without; from 16 to 512 bytes less 128 bytes of inline marks
OBJECTS = [
    (8, 1, 1024, 1008, 1024),
    (16, 1, 512, 496, 504),
    (24, 1, 341, 330, 336),
    (32, 1, 256, 248, 252),
    (48, 1, 170, 165, 168),
    (512, 1, 16, 15, 15),
    (576, 1, 14, 14, 14),
    (1024, 1, 8, 8, 8),
    (1152, 1, 7, 7, 7),
    (32768, 4, 1, 1, 1),
]


@pytest.mark.parametrize("size, npages, old, scan, noscan", OBJECTS)
def test_objects_per_span(size, npages, old, scan, noscan):
    for go, header, expected in (("go1.19", 0, (old, old)), ("go1.27", 8, (scan, noscan))):
        for is_noscan, count in enumerate(expected):
            heap = Heap(go)
            # Since Go 1.22 an object with pointers of more than 512 bytes has its header in the slot.
            asked = size - (header if size > 512 and not is_noscan else 0)
            address = heap.malloc(max(asked - (size == 32768 and is_noscan and header), 1), noscan=bool(is_noscan))
            if size == 8 and is_noscan:
                continue  # such objects are tiny; test_class_table has the class
            s = heap.span(address)
            assert (int(s["elemsize"]), int(s["npages"]), int(s["nelems"])) == (size, npages, count)
            assert int(s["limit"]) == int(s["start_addr"]) + count * size


def test_class_table():
    """Objects of every span class, from the rule, and that they and what is reserved fit the span."""
    for go in ("go1.19", "go1.27"):
        heap = Spans(go)
        params = HeapParams.of_version(go).to_record()
        for c in CLASSES:
            size, span = int(params["class_to_size"][c]), int(params["class_to_allocnpages"][c]) * PAGE
            for noscan in (0, 1):
                reserved = 0
                if go == "go1.27" and size <= 512:
                    reserved = (0 if noscan else span // 64) + (128 if size >= 16 else 0)
                count = int(heap.h.class_nelems[2 * c + noscan])
                assert count * size <= span - reserved < (count + 1) * size
    assert [row[2] for row in OBJECTS][:2] == [1024, 512]


def test_large_span():
    """The limit of a large span is the end of the object, not of the span."""
    heap = Heap("go1.27")
    address = heap.malloc(100000)
    s = heap.span(address)
    assert (int(s["npages"]), int(s["nelems"]), int(s["elemsize"]), int(s["div_mul"])) == (13, 1, 13 * PAGE, 0)
    assert int(s["limit"]) == address + 100000 and int(s["spanclass"]) == 1
    assert heap.span(heap.malloc(100000, noscan=False))["spanclass"] == 0
