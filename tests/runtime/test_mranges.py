"""mranges: the sorted, coalesced list of address ranges, against a set of addresses, and Go's own tables of cases."""

import naive
import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime.mranges import (
    addr_ranges_add,
    addr_ranges_contains,
    addr_ranges_find_addr_greater_equal,
    addr_ranges_find_succ,
)

SEQUENCES = 200 if COMPILED else 15
SPACE = 300
"""Addresses of a random sequence."""

ADD, FIND_SUCC, FIND_GREATER_EQUAL, CONTAINS = range(4)


@entry
def drive_ranges(h, ops, answers):
    """Apply ``ops``, rows (kind, a, b)."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        a = ops[k, 1]
        if kind == ADD:
            addr_ranges_add(h, a, ops[k, 2])
        elif kind == FIND_SUCC:
            answers[k] = addr_ranges_find_succ(h, a)
        elif kind == FIND_GREATER_EQUAL:
            answers[k] = addr_ranges_find_addr_greater_equal(h, a)
        elif kind == CONTAINS:
            answers[k] = 1 if addr_ranges_contains(h, a) else 0


def drive(state, *ops):
    """Run ``ops`` on the ranges of ``state`` and return the answers."""
    table = np.array([list(op) + [0] * (3 - len(op)) for op in ops], np.int64).reshape(-1, 3)
    answers = np.zeros(len(ops), np.int64)
    drive_ranges(state.h, table, answers)
    return answers.tolist()


def ranges(state):
    """Return the ranges in the table as (base, limit)."""
    used = state.tables["in_use"][: int(state.h.in_use_len)]
    return list(zip(used["base_addr"].tolist(), used["limit"].tolist(), strict=True))


def test_add_table():
    """Go's steps of TestAddrRangesAdd (runtime/mranges_test.go)."""
    state = new_state()
    steps = [
        ((512, 1024), [(512, 1024)]),
        ((1024, 2048), [(512, 2048)]),  # joins upwards
        ((4096, 8192), [(512, 2048), (4096, 8192)]),
        ((3776, 4096), [(512, 2048), (3776, 8192)]),  # joins downwards
        ((2048, 3776), [(512, 8192)]),  # closes a gap
    ]
    for added, want in steps:
        drive(state, (ADD, *added))
        assert ranges(state) == want
    above = [(8192 + (i + 1) * 2048, 8192 + (i + 1) * 2048 + 10) for i in range(64)]
    drive(state, *((ADD, *each) for each in above))
    assert ranges(state) == [(512, 8192), *above]
    below = [(8 + i * 8, 8 + i * 8 + 4) for i in range(63)]
    drive(state, *((ADD, *each) for each in below))
    assert ranges(state) == [*below, (512, 8192), *above]


LARGE = [(5 + i * 5, 5 + i * 5 + 3) for i in range(100)]
THREE = [(6, 10), (12, 16), (19, 22)]
TOP = 2**63 - 1
# Cases after TestAddrRangesFindSucc: ranges, address, index. Addresses are signed here, so Max is the highest of those.
FIND_SUCC_CASES = {
    "Empty": ([], 12, 0),
    "OneBefore": ([(14, 16)], 12, 0),
    "OneWithin": ([(14, 16)], 14, 1),
    "OneAfterLimit": ([(14, 16)], 16, 1),
    "OneAfter": ([(14, 16)], 17, 1),
    "ThreeBefore": (THREE, 3, 0),
    "ThreeAfter": (THREE, 24, 3),
    "ThreeBetween": (THREE, 11, 1),
    "ThreeWithin": (THREE, 9, 1),
    "Zero": ([(0, 10)], 0, 1),
    "Max": ([(TOP - 5, TOP)], TOP, 1),
    "LargeBefore": (LARGE, 2, 0),
    "LargeAfter": (LARGE, 5 + 100 * 5 + 30, 100),
    "LargeBetweenLow": (LARGE, 14, 2),
    "LargeBetweenHigh": (LARGE, 249, 49),
    "LargeWithinLow": (LARGE, 25, 5),
    "LargeWithinHigh": (LARGE, 396, 79),
    "LargeWithinMiddle": (LARGE, 250, 50),
}


@pytest.mark.parametrize("name", FIND_SUCC_CASES)
def test_find_succ_table(name):
    """Go's cases of findSucc."""
    added, address, want = FIND_SUCC_CASES[name]
    state = new_state()
    assert drive(state, *((ADD, *each) for each in added), (FIND_SUCC, address))[-1] == want


def test_no_ranges():
    """Nothing is found in an empty list."""
    assert drive(new_state(), (FIND_GREATER_EQUAL, 5), (CONTAINS, 5), (FIND_SUCC, 0)) == [-1, 0, 0]


def test_random(rng):
    """Random ranges in random order, of which many touch; every address is asked for after every step."""
    for _ in range(SEQUENCES):
        state = new_state()
        twin = naive.NaiveAddrRanges()
        borders = np.unique(rng.integers(1, SPACE, int(rng.integers(2, 40)))).tolist()
        pieces = [(a, b) for a, b in zip(borders, borders[1:], strict=False) if rng.random() < 0.8]
        for i in rng.permutation(len(pieces)).tolist():
            twin.add(*pieces[i])
            asked = rng.integers(0, SPACE + 5, 10).tolist() + list(pieces[i]) + [pieces[i][0] - 1]
            ops, want = [(ADD, *pieces[i])], [0]
            for address in asked:
                ops += [(FIND_SUCC, address), (FIND_GREATER_EQUAL, address), (CONTAINS, address)]
                want += [twin.find_succ(address), twin.find_addr_greater_equal(address), address in twin.members]
            assert drive(state, *ops) == want
            assert ranges(state) == twin.ranges()
