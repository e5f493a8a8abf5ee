"""params: the two profiles, legal ranges, and what the kernel gets of them."""

import dataclasses

import numpy as np
import pytest

from mheaplab.pacer_params import NO_LIMIT, PacerParams
from mheaplab.param_fields import AddressRanges, shown
from mheaplab.params import SPECIAL_BYTES, HeapParams
from mheaplab.policy_params import PolicyParams
from mheaplab.runtime.sim_structs import SIM_PARAMS
from mheaplab.runtime.structs import HEAP_PARAMS, SPECIAL_NAMES
from mheaplab.size_tables import divides_exactly, go_classes, pow2_classes
from mheaplab.time_params import TimeParams

FIELDS = dataclasses.fields(HeapParams)
TOP = 1 << 47
PROFILES = ("go1.19", "go1.27")

# what differs between the profiles
GO119 = {
    "malloc_header_bytes": 0,
    "heap_bits_in_span_bytes": -1,
    "inline_mark_bytes": 0,
    "scavenged_is_zero": False,
    "scans_noscan_finalized": True,
    "profiled_before_noted": False,
    "mspan_bytes": 144,
    "live_is_trigger": False,
    "cons_mark_window": 0,
    "limit_headroom_percent": 0,
    "scavenge_limit_factor": 95.0,
}
GO127 = {
    "malloc_header_bytes": 8,
    "heap_bits_in_span_bytes": 512,
    "inline_mark_bytes": 128,
    "scavenged_is_zero": True,
    "scans_noscan_finalized": False,
    "profiled_before_noted": True,
    "mspan_bytes": 160,
    "live_is_trigger": True,
    "cons_mark_window": 4,
    "limit_headroom_percent": 3,
    "scavenge_limit_factor": 0.95,
}
SAME = {
    "arena_bytes": 64 << 20,
    "size_classes": "go",
    "page_placement": "first-fit",
    "page_cache_pages": 64,
    "grow_early_percent": 100,
    "gogc": 100,
    "heap_minimum_bytes": 4 << 20,
    "phys_page_bytes": 4096,
    "huge_page_bytes": 2 << 20,
    "inline_mark_min_bytes": 16,
    "arena_l1_bits": 0,
    "memory_limit": NO_LIMIT,
    "other_ready_bytes": 0,
    "occupied": (),
    "os_top": 0x7FFFF7FFF000,
}

IN_RECORD = {
    "malloc_header_bytes": "malloc_header",
    "heap_bits_in_span_bytes": "heap_bits_in_span",
    "inline_mark_min_bytes": "inline_mark_min",
    "phys_page_bytes": "phys_page_size",
    "huge_page_bytes": "phys_huge_page_size",
    "other_ready_bytes": "other_ready",
}
"""Names of parameters in the kernel's record, where they differ."""


@pytest.mark.parametrize(("go", "own"), [("go1.19", GO119), ("go1.27", GO127)])
def test_profiles(go, own):
    params = HeapParams.of_version(go)
    timed = {field.name: field.default for field in dataclasses.fields(TimeParams)}
    assert dataclasses.asdict(params) == {"go": go} | own | SAME | timed
    assert params == getattr(HeapParams, go.replace("1.", "1").replace(".", ""))()
    assert NO_LIMIT == np.iinfo(np.int64).max


def test_changes_and_replace():
    params = HeapParams.go127(arena_bytes=4 << 20, mspan_bytes=200)
    assert (params.arena_bytes, params.mspan_bytes, params.malloc_header_bytes) == (4 << 20, 200, 8)
    assert params.replace(arena_bytes=8 << 20) == HeapParams.go127(arena_bytes=8 << 20, mspan_bytes=200)
    with pytest.raises(dataclasses.FrozenInstanceError):
        params.arena_bytes = 8 << 20


def test_metadata():
    """Every parameter says its unit, its legal values, what it is, and where in Go; its default is legal."""
    for field in FIELDS:
        meta = field.metadata
        assert set(meta) == {"unit", "legal", "help", "source"} and meta["help"] and meta["source"], field.name
        assert field.default in meta["legal"], field.name


# parameter, values at the edges that are legal, values that are not, what the message says of the legal ones
EDGES = [
    ("go", ["go1.19", "go1.27"], ["go1.20", "", None], "one of go1.19, go1.27"),
    ("arena_bytes", [4 << 20, 64 << 20], [0, 2 << 20, 12 << 20, 128 << 20], "one of 4194304, 8388608, "),
    ("page_cache_pages", [0, 8, 64], [1, 128, None], "one of 0, 8, 16, 32, 64"),
    ("page_placement", ["best-fit", "next-fit"], ["worst-fit", 0], "one of first-fit, best-fit, next-fit"),
    ("grow_early_percent", [50, 100], [49, 101, 80.5], "50 to 100"),
    ("size_classes", ["pow2", ((16, 1), (32768, 4))], ["pow3", (), ((16, 1),), ((8, 1), (16, 1))], "'go', 'pow2', or "),
    ("gogc", [-1, 0, (1 << 31) - 1], [-2, 1 << 31, 0.5], "-1 to 2,147,483,647"),
    ("heap_minimum_bytes", [1 << 19], [0], "one of 524288, 4194304"),
    ("cons_mark_window", [0, 8], [-1, 9], "0 to 8"),
    ("limit_headroom_percent", [50], [51], "0 to 50"),
    ("scavenge_limit_factor", [0, 100], [-0.1, float("nan"), "1"], "0.0 to 100.0"),
    ("procs", [0, 255], [-1, 256], "0 to 255"),
    ("idle_share", [0, 1], [-0.1, 1.1, float("nan")], "0.0 to 1.0"),
    ("scan_byte_ns", [0.001], [0], "0.001 to 1,000,000.0"),
    ("phys_page_bytes", [4096, 8192], [0, 2048, 16384], "one of 4096, 8192"),
    ("huge_page_bytes", [0, 2 << 20], [4096, 4 << 20], "one of 0, 2097152"),
    ("arena_l1_bits", [0, 6], [-1, 1, 7], "one of 0, 6"),
    ("mspan_bytes", [64, 512], [0, 63, 513], "64 to 512"),
    ("memory_limit", [1, NO_LIMIT], [0, -1, NO_LIMIT + 1], "1 to 9,223,372,036,854,775,807"),
    ("other_ready_bytes", [0, (1 << 46) - 1], [-1, 1 << 46], "0 to 70,368,744,177,663"),
    ("os_top", [1 << 32, TOP], [0, (1 << 32) - 4096, TOP + 4096, (1 << 32) + 1, TOP - 1], "4,294,967,296 to "),
]


@pytest.mark.parametrize(("name", "legal", "illegal", "words"), EDGES)
def test_legal_ranges(name, legal, illegal, words):
    for value in legal:
        assert getattr(HeapParams(**{name: value}), name) == value
    for value in illegal:
        with pytest.raises(ValueError, match="is outside its legal range") as error:
            HeapParams(**{name: value})
        assert str(error.value).startswith(f"{name} = {value!r} is outside its legal range: {words}")


GOOD = ((16, 1), (512, 1), (32768, 4))
REASONS = [
    ("pow3", "this is neither of them"),
    (((16, 1), (32768, 4.0)), "this is neither of them"),
    (((16, 1),), "this has 1 classes"),
    (tuple((8 * k, 1) for k in range(1, 129)), "this has 128 classes"),
    (((0, 1), *GOOD), "class 1, (0, 1): a size must be a positive multiple of 8"),
    (((12, 1), *GOOD), "class 1, (12, 1): a size must be a positive multiple of 8"),
    (((16, 1), (1032, 1), (32768, 4)), "class 2, (1032, 1): a size above 1,024 must be a positive multiple of 128"),
    (((16, 1), (512, 65), (32768, 4)), "class 2, (512, 65): a span must have 1 to 64 pages"),
    (((16, 1), (512, 0), (32768, 4)), "class 2, (512, 0): a span must have 1 to 64 pages"),
    (((16, 1), (32768, 3)), "class 2, (32768, 3): the span does not hold one object"),
    (((8, 2), *GOOD), "class 1, (8, 2): the span would have more than 1,024 objects"),
    (((16, 1), (16, 1), (32768, 4)), "class 2, (16, 1): sizes must rise"),
    (((16, 1), (24960, 64), (32768, 4)), "class 2, (24960, 64): Go's division by multiplication would name a wrong"),
    (GOOD[:-1], "sizes above 512 would have no class: the last must be 32768"),
    (((24, 1), (32768, 4)), "no class of 16 bytes, the blocks of tiny objects"),
]


@pytest.mark.parametrize(("table", "why"), REASONS)
def test_what_is_wrong_with_a_table_of_classes(table, why):
    """The message ends with the one rule that the table breaks."""
    with pytest.raises(ValueError, match="is outside its legal range") as error:
        HeapParams(size_classes=table)
    assert f"pages to a span; {why}" in str(error.value)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (((16, 1), (32768, 4)), "no class of 512 bytes, up to which objects with pointers have no header"),
        (((16, 1), (256, 2), (512, 1), (32768, 4)), "the class of 256 bytes has spans of 2 pages: inline marks"),
    ],
)
def test_tables_that_go127_cannot_have(table, why):
    """Go 1.27 throws at its start if 512 is no class, or a class up to it has spans of two pages."""
    with pytest.raises(ValueError, match="contradicts heap_bits_in_span_bytes = 512") as error:
        HeapParams.go127(size_classes=table)
    assert why in str(error.value)
    assert HeapParams.go119(size_classes=table).size_classes == table
    HeapParams.go127(size_classes=GOOD)


def test_objects_are_told_apart_where_the_rule_says_so():
    """Every object's first and last byte give its number, by the multiplication of the kernel, or the rule says no."""
    refused = 0
    for size in (*range(8, 1025, 8), *range(1152, 32769, 128)):
        for pages in (1, 3, 10, 40, 64):
            objects, magic = pages * 8192 // size, -(-(1 << 32) // size)
            exact = all((k * size * magic >> 32, (k * size + size - 1) * magic >> 32) == (k, k) for k in range(objects))
            if objects:
                assert divides_exactly(size, pages) == exact, (size, pages)
                refused += not exact
    assert refused > 10
    assert all(divides_exactly(*c) for c in (*go_classes(), *pow2_classes()))


def test_unknown_version():
    with pytest.raises(ValueError, match=r"go = 'go1.3' is outside its legal range: one of go1.19, go1.27"):
        HeapParams.of_version("go1.3")


# ------------------------------------------------------------------------------------------------------- occupied

RANGES = [(), ((0, 4096),), ((TOP - 4096, TOP),), ((8192, 16384), (4096, 12288)), ((0, TOP),)]
NOT_RANGES = [
    ((0, 0),),
    ((8192, 4096),),
    ((0, 4095),),
    ((1, 4096),),
    ((-4096, 4096),),
    ((0, TOP + 4096),),
    ((0, 4096, 8192),),
    ((0,),),
    ((0.0, 4096.0),),
    [(0, 4096)],
    ([0, 4096],),
    (0, 4096),
    None,
]


@pytest.mark.parametrize("occupied", RANGES)
def test_occupied(occupied):
    assert HeapParams(occupied=occupied).occupied == occupied


@pytest.mark.parametrize("occupied", NOT_RANGES)
def test_not_occupied(occupied):
    with pytest.raises(ValueError, match=r"occupied = .* is outside its legal range: a tuple of \(start, limit\), "):
        HeapParams(occupied=occupied)


def test_shown():
    assert shown(range(1, 2001)) == "1 to 2,000"
    assert shown((4, 8)) == "one of 4, 8"
    assert shown(AddressRanges()).startswith("a tuple of (start, limit), multiples of 4096")


# --------------------------------------------------------------------------------------------------------- record


@pytest.mark.parametrize("go", PROFILES)
def test_record_has_every_parameter(go):
    """What is no table and no name stands in the kernel's record under its name, or the one listed here."""
    changes = {"mspan_bytes": 177, "page_cache_pages": 16, "other_ready_bytes": 7, "os_top": 1 << 33}
    params = HeapParams.of_version(go, memory_limit=5, **changes)
    record = params.to_record()
    elsewhere = {"go", "arena_bytes", "occupied", "size_classes", "page_placement"}
    elsewhere |= {field.name for group in (TimeParams, PacerParams) for field in dataclasses.fields(group)}
    for field in FIELDS:
        if field.name not in elsewhere:
            assert int(record[IN_RECORD.get(field.name, field.name)]) == getattr(params, field.name), field.name
    assert int(record["placement"]) == 0
    assert int(params.replace(page_placement="next-fit").to_record()["placement"]) == 2


def test_pacers_record():
    """What the pacer is told: its own group, and two numbers of the heap."""
    params = HeapParams.go127(cons_mark_window=2, phys_page_bytes=8192, other_ready_bytes=5)
    record = params.pacer_record()
    assert (int(record.cons_mark_window), int(record.phys_page_size), int(record.other_ready)) == (2, 8192, 5)
    assert (int(record.default_heap_minimum), float(record.scavenge_limit_factor)) == (4 << 20, 0.95)
    names = {field.name for field in dataclasses.fields(PacerParams)} - {"gogc", "memory_limit", "heap_minimum_bytes"}
    assert names < set(record.dtype.names)


def test_sims_record():
    """What the simulation is told: every number of the time model, in ns."""
    changes = {"background_sweep_per_ms": 7.0, "force_gc_s": 0.5, "gogc": 50}
    params = HeapParams.go119(procs=3, cycle_us=2.5, mark_wait_us=4.5, **changes)
    record = params.sim_record()
    assert record.dtype == SIM_PARAMS
    got = {name: record[name].item() for name in SIM_PARAMS.names}
    renamed = {"cycle_ns": 2500.0, "mark_wait_ns": 4500.0, "background_sweep": 7.0, "force_gc_ns": 5e8, "gogc": 50}
    assert got == renamed | {name: getattr(params, name) for name in set(SIM_PARAMS.names) - set(renamed)}


def test_groups_have_no_field_in_common():
    names = [field.name for group in (PolicyParams, TimeParams, PacerParams) for field in dataclasses.fields(group)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("mib", [4, 8, 16, 32, 64])
def test_record_has_the_arena(mib):
    assert 1 << int(HeapParams(arena_bytes=mib << 20).to_record()["log_arena_bytes"]) == mib << 20


@pytest.mark.parametrize("go", PROFILES)
def test_record_has_the_sizes_of_specials(go):
    """A kind of special that a version does not have has size 0."""
    sizes = HeapParams.of_version(go).to_record()["special_bytes"].tolist()
    want = SPECIAL_BYTES[go]
    assert dict(zip(SPECIAL_NAMES, sizes, strict=True)) == {name: want.get(name, 0) for name in SPECIAL_NAMES}
    assert set(want) <= set(SPECIAL_NAMES)


def test_record_has_the_classes():
    """68 size classes with their pages and multipliers, and the tables from a size to its class."""
    record = HeapParams.go119().to_record()
    assert (int(record["n_classes"]), int(record["tiny_class"])) == (68, 2)
    sizes = record["class_to_size"]
    assert sizes[[0, 1, 5, 67, 68]].tolist() == [0, 8, 48, 32768, 0]
    assert record["class_to_allocnpages"][[1, 5, 67]].tolist() == [1, 1, 4]
    assert int(record["class_to_divmagic"][5]) == -(-(1 << 32) // 48)
    assert sizes[record["size_to_class8"][1:]].tolist()[:6] == [8, 16, 24, 32, 48, 48]
    assert int(sizes[record["size_to_class128"][-1]]) == 32768


def test_record_has_other_classes():
    """Powers of two, and a table of one's own."""
    record = HeapParams(size_classes="pow2").to_record()
    assert record["class_to_size"][:15].tolist() == [0, *(8 << k for k in range(13)), 0]
    assert record["class_to_allocnpages"][1:14].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32]
    assert int(record["class_to_size"][record["size_to_class8"][128]]) == 1024
    assert int(record["class_to_size"][record["size_to_class128"][1]]) == 2048
    record = HeapParams(size_classes=((16, 1), (2048, 2), (32768, 5))).to_record()
    assert (int(record["n_classes"]), int(record["tiny_class"])) == (4, 1)
    assert record["class_to_allocnpages"][:4].tolist() == [0, 1, 2, 5]


def test_record_is_of_the_kernels_type():
    record = HeapParams.go127().to_record()
    assert record.dtype == HEAP_PARAMS and not record["_pad"].any()
