"""pacer_params: what Go understands of the environment variables GOGC and GOMEMLIMIT."""

import pytest

from mheaplab.pacer_params import NO_LIMIT, read_gogc, read_gomemlimit


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
