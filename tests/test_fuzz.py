"""A short run of tools/fuzz.py for each reader, and that the tool finds what it is there to find."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from mheaplab.errors import FormatError

TOOL = Path(__file__).resolve().parent.parent / "tools" / "fuzz.py"
spec = importlib.util.spec_from_file_location("fuzz", TOOL)
fuzz = importlib.util.module_from_spec(spec)
sys.modules["fuzz"] = fuzz
spec.loader.exec_module(fuzz)


@pytest.mark.parametrize("reader", sorted(fuzz.READERS))
def test_spoiled_files_are_answered_or_refused(reader):
    seeds, read = fuzz.READERS[reader]()
    pick = random.Random(f"{reader} test")
    found = {"answer": 0, "refused": 0}
    for _ in range(2000):
        data = fuzz.mutated(seeds, pick)
        words = fuzz.verdict(read, data)
        assert words in found, (words, data)
        found[words] += 1
    assert min(found.values()) > 20  # else the mutations are too mild, or so wild that nothing is read


def test_the_tool_tells_of_what_should_not_happen():
    def wrong(_):
        raise KeyError("size")

    def two_lines(_):
        raise FormatError("one\ntwo")

    assert fuzz.verdict(wrong, b"") == "KeyError: 'size'"
    assert "not one line" in fuzz.verdict(two_lines, b"")
    assert fuzz.measured(lambda _: bytearray(200 << 20), b"12345") == "200 MiB for a file of 5 bytes"
    assert fuzz.measured(lambda _: bytearray(1 << 20), b"12345") == "answer"
    assert fuzz.as_varint(300) == b"\xac\x02"


def test_the_same_seed_gives_the_same_inputs():
    seeds, _ = fuzz.READERS["csv"]()
    first, second = ([fuzz.mutated(seeds, pick) for _ in range(50)] for pick in (random.Random(1), random.Random(1)))
    assert first == second and len(set(first)) > 40
