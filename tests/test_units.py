"""Numbers as text."""

import pytest

from mheaplab.figures import units


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (8192, "8 KiB"),
        (10_000, "9.77 KiB"),
        (100_000, "97.7 KiB"),
        (1_000_000, "977 KiB"),
        ((1 << 20) - 1, "1 MiB"),
        (1 << 20, "1 MiB"),
        (3_235_840, "3.09 MiB"),
        (64 << 20, "64 MiB"),
        (10 << 30, "10 GiB"),
        (1 << 60, "1,024 PiB"),
        (-8192, "-8 KiB"),
    ],
)
def test_bytes_text(n, text):
    """Bytes have three figures, in the largest unit that leaves at least 1."""
    assert units.bytes_text(n) == text


@pytest.mark.parametrize(
    ("n", "text"),
    [(8, "8 B"), (1024, "1 KiB"), (1152, "1,152 B"), (6144, "6 KiB"), (32768, "32 KiB"), (9472, "9,472 B")],
)
def test_slot_text(n, text):
    """A slot's size is exact."""
    assert units.slot_text(n) == text


def test_counts_and_addresses():
    """Counts have commas, a single thing no s, addresses are as Go prints them."""
    assert units.count_text(269_742) == "269,742"
    assert [units.plural(n, "span") for n in (0, 1, 2, 1000)] == ["0 spans", "1 span", "2 spans", "1,000 spans"]
    assert units.address_text(0xC000_0000_00) == "0xc000000000"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "none"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (1, 2, "50%"),
        (269_711, 269_712, "99.9996%"),
        (1, 269_712, "0.0004%"),
        (10**9 - 1, 10**9, "over 99.9999%"),
        (1, 10**9, "under 0.0001%"),
    ],
)
def test_percent_text(part, whole, text):
    """Nothing is 100% unless it is all, nor 0% unless it is nothing."""
    assert units.percent_text(part, whole) == text


@pytest.mark.parametrize(
    ("largest", "found"),
    [
        (0, (1, "B")),
        (2047, (1, "B")),
        (300 << 10, (1 << 10, "KiB")),
        (8 << 20, (1 << 20, "MiB")),
        (3 << 30, (1 << 30, "GiB")),
    ],
)
def test_bytes_axis(largest, found):
    """An axis has the largest unit of which it reaches at least 2."""
    assert units.bytes_axis(largest) == found
