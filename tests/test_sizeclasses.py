"""Tables of size classes: Go's columns, its generator's rule, other allocators, what a Go can run with."""

import hashlib
import json

import numpy as np
import pytest
from conftest import ROOT

import mheaplab as mh
from mheaplab.runtime.mksizeclasses import class_objects
from mheaplab.size_tables import go_classes
from mheaplab.sizeclasses import OTHERS, SizeClassTable, go_table, rule_table, to_go
from mheaplab.sizeclasses.demand import slots

GO = json.loads((ROOT / "data/go/sizeclasses-go1.19.json").read_text(encoding="utf-8"))
FILES = {
    # Go 1.19.8, src/runtime/sizeclasses.go, and Go 1.27.3, src/internal/runtime/gc/sizeclasses.go
    "go1.19": "f6165d882e33703a5e9e4fe6099b305e82bb00263574020ccc6b4d0b54249f80",
    "go1.27": "7626b00bbb416c25c5279b29aa73a072d74ace3444e58b178a6ff855a2deec2c",
}
ENDS = ((16, 1), (32768, 4))


@pytest.mark.parametrize("go", FILES)
def test_the_columns_are_gos(go):
    table = go_table(go)
    assert len(table) == 68
    for ours, theirs in (
        (table.sizes, "class_to_size"),
        (table.npages, "class_to_allocnpages"),
        (table.div_magic, "class_to_divmagic"),
        (table.size_to_class8, "size_to_class8"),
        (table.size_to_class128, "size_to_class128"),
        (table.objects, "objects"),
        (table.tail_waste, "tail_waste"),
        (np.round(100 * table.max_waste, 2), "max_waste_percent"),
    ):
        assert ours.tolist() == GO[theirs], theirs
    assert table.min_align[[1, 3, 32, 57, 67]].tolist() == [8, 8, 1024, 256, 8192]
    assert table.why_not(go) == "" and table.classes() == go_classes()


@pytest.mark.parametrize("go", FILES)
def test_the_source_file_is_gos_to_the_byte(go):
    assert hashlib.sha256(to_go(go_table(go), go).encode()).hexdigest() == FILES[go]


def test_columns_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        go_table().sizes[1] = 9


def test_the_rule_gives_gos_table_and_other_numbers_give_others():
    assert rule_table().pairs == go_classes()
    plain = rule_table(merge=False, grow=False)
    assert len(plain) > 68 and set(np.diff(plain.sizes[9:17])) == {16}
    finer = rule_table(steps=((8, 8), (128, 16), (256, 32), (512, 64), (1024, 128)), waste=0.05)
    spans = finer.npages * 8192
    assert np.all(finer.tail_waste[1:] <= 0.05 * spans[1:]) and len(finer) > 68
    few = rule_table(max_objects=256)
    assert few.sizes[1] == 32 and few.objects.max() == 256


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": ()}, "steps"),
        ({"steps": ((8, 8), (24, 8))}, "steps"),
        ({"steps": ((8, 8), (32, 64))}, "steps"),
        ({"steps": ((16, 16),)}, "the first of them 8"),
        ({"waste": 0.0}, "waste = 0.0"),
        ({"waste": 1e-9}, "no span of up to 64 pages"),
        ({"max_objects": 2000}, "max_objects = 2000"),
    ],
)
def test_a_rule_that_makes_no_table_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        rule_table(**arguments)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([(16, 1)], "the last size is 16"),
        ([(16, 1), (16, 1), (32768, 4)], "rise"),
        ([(0, 1), (32768, 4)], "rise"),
        ([(16, 1), (32768, 3)], "3 pages for 32768"),
        ([(16, 65), (32768, 4)], "1 to 64"),
        ([(16, 1.5), (32768, 4)], "whole numbers"),
        ([(16,), (32768, 4)], "whole numbers"),
        (7, "whole numbers"),
        ([], "the last size is 0"),
    ],
)
def test_what_is_no_table_is_refused(pairs, words):
    with pytest.raises(ValueError, match=words):
        SizeClassTable(pairs)


@pytest.mark.parametrize(
    ("go", "pairs", "words"),
    [
        ("go1.19", (ENDS[0], (40, 1), ENDS[1]), "40 bytes"),
        ("go1.19", ((32, 1), ENDS[1]), "no class of 16"),
        ("go1.19", (ENDS[0], (1032, 1), ENDS[1]), "multiple of 128"),
        ("go1.19", (*ENDS,), "go1.19 needs a class of 8 bytes"),
        ("go1.27", (ENDS[0], (512, 1), ENDS[1]), "needs a class of 8 bytes"),
        ("go1.27", ((8, 1), *ENDS), "needs a class of 512 bytes"),
        ("go1.27", ((8, 1), (16, 2), (512, 1), ENDS[1]), "2 pages"),
        ("go1.27", ((8, 1), (16, 1), (512, 1), (2304, 2), ENDS[1]), "is 2,304 bytes"),
    ],
)
def test_what_a_go_cannot_run_with_is_said(go, pairs, words):
    assert words in SizeClassTable(pairs).why_not(go)
    with pytest.raises(ValueError, match=words):
        to_go(SizeClassTable(pairs), go)


def test_what_one_go_cannot_have_another_can():
    assert SizeClassTable((ENDS[0], (40, 1), ENDS[1])).why_not("go1.27") == "go1.27 needs a class of 8 bytes"
    assert SizeClassTable(((8, 1), (16, 1), (40, 1), (512, 1), (3072, 3), ENDS[1])).why_not("go1.27") == ""
    assert SizeClassTable(((8, 1), ENDS[0], (1152, 1), ENDS[1])).why_not("go1.19") == ""


def test_a_go_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"go = 'go1.18'"):
        go_table("go1.18")


def test_lookups_need_sizes_that_the_lookups_can_tell():
    with pytest.raises(ValueError, match="it tells 20 from"):
        SizeClassTable((ENDS[0], (20, 1), ENDS[1])).size_to_class8  # noqa: B018


@pytest.mark.parametrize("go", FILES)
@pytest.mark.parametrize("name", OTHERS)
def test_other_allocators_tables_are_legal_and_as_published(go, name):
    table = OTHERS[name](go)
    assert table.why_not(go) == ""
    mh.HeapParams.of_version(go, size_classes=table.classes())
    sizes = table.sizes[1:].tolist()
    if name in ("jemalloc", "mimalloc"):
        # jemalloc(3), "size classes": spacing 16 to 128, then a quarter of the power of two below.
        assert sizes[:9] == [8, 16, 32, 48, 64, 80, 96, 112, 128]
        assert sizes[9:17] == [160, 192, 224, 256, 320, 384, 448, 512] and sizes[-5:-1] == [16384, 20480, 24576, 28672]
    if name == "jemalloc" and go == "go1.19":
        assert table.tail_waste.max() == 0
    if name == "TCMalloc":
        rounding = np.array(sizes[9:]) / (np.array(sizes[8:-1]) + 1) - 1
        assert rounding.max() <= 0.25 and sizes[:9] == [8, 16, 32, 48, 64, 80, 96, 112, 128]


@pytest.mark.parametrize("go", FILES)
def test_slots_are_what_the_kernel_has(go):
    table = go_table(go)
    params = mh.HeapParams.of_version(go)
    kernel = class_objects(table.sizes, table.npages, params.to_record())
    with_pointers, without = slots(table.sizes[1:], table.npages[1:], go)
    assert kernel[2 : 2 * len(table) : 2].tolist() == with_pointers.tolist()
    assert kernel[3 : 2 * len(table) : 2].tolist() == without.tolist()
