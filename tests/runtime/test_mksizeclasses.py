"""mksizeclasses: the rule gives Go's table, number by number, and keeps the promises that Go's generator makes."""

import json
import pathlib

import numpy as np
import pytest

from mheaplab.params import HeapParams
from mheaplab.runtime.mksizeclasses import class_objects, div_magic, make_classes, size_to_class_tables
from mheaplab.runtime.structs import MAX_OBJECTS_PER_SPAN, MAX_SMALL_SIZE, MAX_SPAN_CLASSES

GO = json.loads((pathlib.Path(__file__).parents[2] / "data/go/sizeclasses-go1.19.json").read_text(encoding="utf-8"))
"""Go's numbers, the same in 1.19 and 1.27."""

SIZES, NPAGES = make_classes()
SMALL_SIZE_MAX = 1024


def test_classes_are_gos():
    """Sizes and pages of the 68 classes."""
    assert SIZES.tolist() == GO["class_to_size"]
    assert NPAGES.tolist() == GO["class_to_allocnpages"]


def test_div_magic_is_gos():
    """The multipliers that stand for division by the size."""
    assert div_magic(SIZES).tolist() == GO["class_to_divmagic"]


def test_lookup_tables_are_gos():
    """Both tables from size to class, with the length that Go gives them."""
    small, large = size_to_class_tables(SIZES)
    assert small.tolist() == GO["size_to_class8"]
    assert large.tolist() == GO["size_to_class128"]


def test_record_has_gos_tables():
    """The kernel gets the same numbers, and zeros for the classes that do not exist."""
    record = HeapParams.go119().to_record()
    n = len(GO["class_to_size"])
    assert int(record["n_classes"]) == n == 68
    for name in ("class_to_size", "class_to_allocnpages", "class_to_divmagic"):
        assert record[name][:n].tolist() == GO[name]
        assert not record[name][n:].any()
    assert record["size_to_class8"].tolist() == GO["size_to_class8"]
    assert record["size_to_class128"].tolist() == GO["size_to_class128"]
    assert int(record["class_to_size"][int(record["tiny_class"])]) == 16


def test_lookup_finds_the_smallest_class():
    """Every size up to 32 KiB, by Go's two lookups (malloc.go), lands in the smallest class that holds it."""
    small, large = size_to_class_tables(SIZES)
    for size in range(1, MAX_SMALL_SIZE + 1):
        if size <= SMALL_SIZE_MAX - 8:
            found = small[(size + 7) // 8]
        else:
            found = large[(size - SMALL_SIZE_MAX + 127) // 128]
        assert SIZES[found - 1] < size <= SIZES[found], size


def test_division_by_multiplication():
    """n * magic >> 32 is n / size for every n within a span of the class."""
    for size, pages, magic in zip(SIZES[1:].tolist(), NPAGES[1:].tolist(), div_magic(SIZES)[1:].tolist(), strict=True):
        n = np.arange(pages * 8192, dtype=np.uint64)
        assert np.array_equal(n * np.uint64(magic) >> np.uint64(32), n // np.uint64(size)), size


def test_waste():
    """Objects, tail and worst waste of each class are those in Go's comment, and the tail is under an eighth."""
    for c in range(1, len(SIZES)):
        size, nbytes = int(SIZES[c]), int(NPAGES[c]) * 8192
        objects = nbytes // size
        tail = nbytes - objects * size
        worst = (objects * (size - int(SIZES[c - 1]) - 1) + tail) / nbytes
        assert objects == GO["objects"][c] <= MAX_OBJECTS_PER_SPAN
        assert tail == GO["tail_waste"][c] <= nbytes / 8
        assert round(100 * worst, 2) == pytest.approx(GO["max_waste_percent"][c], abs=0.011)


def test_objects_of_go119():
    """All of a span is for objects, with pointers or without."""
    record = HeapParams.go119().to_record()
    nelems = class_objects(record["class_to_size"], record["class_to_allocnpages"], record)
    assert nelems.shape == (MAX_SPAN_CLASSES,)
    assert nelems[0 : 2 * 68 : 2].tolist() == nelems[1 : 2 * 68 : 2].tolist() == GO["objects"]
    assert not nelems[2 * 68 :].any()


def test_objects_of_go127():
    """Spans of up to 512 bytes hold inline marks (from 16 bytes on), and pointer bitmaps if there are pointers."""
    record = HeapParams.go127().to_record()
    nelems = class_objects(record["class_to_size"], record["class_to_allocnpages"], record)
    by_size = {int(SIZES[c]): (int(nelems[2 * c]), int(nelems[2 * c + 1])) for c in range(1, 68)}
    assert by_size[8] == ((8192 - 128) // 8, 1024)
    assert by_size[16] == ((8192 - 128 - 128) // 16, (8192 - 128) // 16)
    assert by_size[48] == (165, 168)
    assert by_size[512] == (15, 15)
    assert by_size[576] == (14, 14)
    assert by_size[32768] == (1, 1)
    for c in range(1, 68):
        size, nbytes = int(SIZES[c]), int(NPAGES[c]) * 8192
        marks = 128 if 16 <= size <= 512 else 0
        pointers = nbytes // 8 // 8 if size <= 512 else 0
        assert by_size[size] == ((nbytes - marks - pointers) // size, (nbytes - marks) // size)
