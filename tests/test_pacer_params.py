"""pacer_params: the two profiles, legal ranges, what the kernel gets of them, and the environment's two variables."""

import dataclasses

import pytest

from mheaplab.pacer_params import NO_LIMIT, PacerParams, read_gogc, read_gomemlimit

MIB = 1 << 20
SAME = {"gc_percent": 100, "heap_minimum_bytes": 4 * MIB}
GO119 = {
    "live_is_trigger": False,
    "cons_mark_window": 0,
    "limit_headroom_percent": 0,
    "scavenge_limit_factor": 95.0,
}
GO127 = {
    "live_is_trigger": True,
    "cons_mark_window": 4,
    "limit_headroom_percent": 3,
    "scavenge_limit_factor": 0.95,
}


@pytest.mark.parametrize(("go", "own"), [("go1.19", GO119), ("go1.27", GO127)])
def test_profiles(go, own):
    params = PacerParams.of_version(go)
    assert dataclasses.asdict(params) == {"go": go} | SAME | own
    record = params.to_record()
    got = {name: record[name].item() for name in own}
    assert got == own and int(record.default_heap_minimum) == 4 * MIB and int(record.phys_page_size) == 4096


def test_changes():
    """A what-if is a profile with another number."""
    assert PacerParams.go127(cons_mark_window=0).to_record().cons_mark_window == 0
    assert PacerParams.go119(gc_percent=-1).gc_percent == -1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("go", "go1.20"),
        ("gc_percent", -2),
        ("gc_percent", 1 << 31),
        ("gc_percent", 0.5),
        ("heap_minimum_bytes", 0),
        ("cons_mark_window", 9),
        ("cons_mark_window", -1),
        ("limit_headroom_percent", 51),
        ("scavenge_limit_factor", -0.1),
        ("scavenge_limit_factor", float("nan")),
        ("scavenge_limit_factor", "1"),
    ],
)
def test_illegal(name, value):
    with pytest.raises(ValueError, match=f"^{name} = .* is outside its legal range: "):
        PacerParams(**{name: value})


def test_unknown_version():
    with pytest.raises(ValueError, match="go = 'go1.20' is outside its legal range"):
        PacerParams.of_version("go1.20")


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("", 100, 100),
        ("off", -1, -1),
        ("Off", 100, 100),
        ("0", 0, 0),
        ("50", 50, 50),
        ("-5", -1, -1),
        ("007", 7, 7),
        (" 50", 100, 100),
        ("50%", 100, 100),
        ("+50", 100, 50),
        ("-", 0, 100),
        ("1_000", 100, 100),
        ("2147483647", 2147483647, 2147483647),
        ("2147483648", 100, 100),
        ("-2147483648", -1, -1),
        ("-2147483649", 100, 100),
        ("99999999999999999999", 100, 100),
        ("٣", 100, 100),
    ],
)
def test_gogc(text, old, new):
    assert (read_gogc(text, "go1.19"), read_gogc(text, "go1.27")) == (old, new)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("", NO_LIMIT),
        ("off", NO_LIMIT),
        ("0", 0),
        ("123", 123),
        ("123B", 123),
        ("3KiB", 3 << 10),
        ("64MiB", 64 << 20),
        ("2GiB", 2 << 30),
        ("8388607TiB", 8388607 << 40),
        ("9223372036854775807", NO_LIMIT),
    ],
)
def test_gomemlimit(text, limit):
    assert read_gomemlimit(text, "go1.19") == read_gomemlimit(text, "go1.27") == limit


@pytest.mark.parametrize(
    "text",
    ["-1", "1.5GiB", "64MB", "64M", "64Mi", "64mib", "B", "MiB", " 1", "1 MiB", "5iB", "1\nMiB", "٣", "³B"]
    + ["8388608TiB", "9223372036854775808", "-1KiB", "64MiBB", "unlimited"],
)
def test_malformed_gomemlimit(text):
    for go in ("go1.19", "go1.27"):
        with pytest.raises(ValueError, match="^GOMEMLIMIT = .* is malformed"):
            read_gomemlimit(text, go)
