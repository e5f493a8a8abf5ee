"""Expectations, on runs made up for the purpose."""

import numpy as np
import pytest

from mheaplab.workloads.expectation import check_expectation, check_vocabulary, measure

SAMPLES = np.array(
    [(0, 100, 0, 10), (0, 200, 50, 20), (1, 400, 200, 40), (1, 300, 240, 10), (2, 100, 90, 0)],
    [("phase", "u4"), ("in_use", "u8"), ("free_slots", "u8"), ("stacks", "i8")],
)
CYCLES = np.array([(7,), (9,)], [("goal", "u8")])
NONE = SAMPLES[:0]


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ({"column": "in_use", "at": "start"}, 100),
        ({"column": "in_use", "at": "end"}, 100),
        ({"column": "in_use", "at": "max"}, 400),
        ({"column": "in_use", "at": "min"}, 100),
        ({"column": "in_use", "at": "mean"}, 220),
        ({"column": "stacks", "at": "rise"}, -10),
        ({"column": "in_use", "at": {"phase": 0}}, 200),
        ({"column": "in_use", "at": {"phase": 1}}, 300),
        ({"column": "free_slots", "over": "in_use", "at": "max"}, 0.9),
        ({"column": "free_slots", "over": "in_use", "at": {"phase": 1}}, 0.8),
        ({"column": "in_use", "at": {"phase": 1}, "than": {"phase": 0}}, 1.5),
        ({"column": "in_use", "at": "end", "than": "max"}, 0.25),
        ({"column": "goal", "of": "cycles", "at": "end"}, 9),
    ],
)
def test_measure(statement, value):
    assert measure(statement, SAMPLES, CYCLES) == pytest.approx(value)
    lower, upper = value - abs(value) * 0.01, value + abs(value) * 0.01
    assert check_expectation([statement | {"least": lower, "most": upper}], SAMPLES, CYCLES) == []
    assert len(check_expectation([statement | {"least": upper + 1e-6}], SAMPLES, CYCLES)) == 1
    assert len(check_expectation([statement | {"most": lower - 1e-6}], SAMPLES, CYCLES)) == 1


def test_collections_are_counted():
    assert check_expectation([{"cycles_least": 2}, {"cycles_most": 2}, {"cycles_least": 0}], SAMPLES, CYCLES) == []
    failed = check_expectation([{"cycles_least": 3, "why": "busy"}, {"cycles_most": 1}], SAMPLES, CYCLES)
    assert failed[0] == "expectation[0]: number of collections is 2, expected 3 to inf (busy)"
    assert failed[1].startswith("expectation[1]: number of collections is 2, expected 0 to 1")


def test_sentences():
    statement = {"column": "free_slots", "over": "in_use", "at": "end", "than": "max", "least": 2, "why": "because"}
    assert check_expectation([statement], SAMPLES, CYCLES) == [
        "expectation[0]: free_slots / in_use at end beside max is 1, expected 2 to inf (because)"
    ]


def test_nothing_by_nothing_is_in_no_range():
    zero = SAMPLES[:1].copy()
    zero["in_use"] = 0
    assert check_expectation([{"column": "free_slots", "over": "in_use", "at": "end", "least": 0}], zero, CYCLES)


def test_an_empty_heap_is_left_out_of_a_mean():
    rows = np.concatenate([SAMPLES[:1], SAMPLES])
    rows["in_use"][0] = rows["free_slots"][0] = 0
    statement = {"column": "free_slots", "over": "in_use", "at": "mean"}
    assert measure(statement, rows, CYCLES) == measure(statement, SAMPLES, CYCLES)


@pytest.mark.parametrize(
    ("statement", "samples", "message"),
    [
        ({"column": "pages", "at": "end", "least": 0}, SAMPLES, "column 'pages': not in the run, expected one"),
        ({"column": "in_use", "over": "x", "at": "end", "least": 0}, SAMPLES, "column 'x'"),
        ({"column": "in_use", "at": {"phase": 5}, "least": 0}, SAMPLES, "phase 5: no sample of the run lies in it"),
        ({"column": "in_use", "at": "end", "least": 0}, NONE, "the run has no rows"),
        ({"column": "goal", "of": "cycles", "at": {"phase": 0}, "least": 0}, SAMPLES, "column 'phase'"),
    ],
)
def test_runs_that_cannot_answer(statement, samples, message):
    with pytest.raises(ValueError, match=message):
        check_expectation([statement], samples, CYCLES)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({}, r"here\.column = None"),
        ({"column": "a", "at": "end"}, "neither least nor most"),
        ({"column": "a", "at": "middle", "least": 1}, r"here\.at = 'middle': expected one of start, end"),
        ({"column": "a", "at": {"phase": -1}, "least": 1}, r"here\.at = "),
        ({"column": "a", "at": "end", "than": 3, "least": 1}, r"here\.than = 3"),
        ({"column": "a", "at": "end", "least": "1"}, r"here\.least = '1': expected a number"),
        ({"column": "a", "at": "end", "most": float("nan")}, r"here\.most = nan"),
        ({"column": "a", "at": "end", "least": 1, "of": "spans"}, r"here\.of = 'spans'"),
        ({"column": "a", "at": "end", "least": 1, "over": 5}, r"here\.over = 5"),
        ({"column": "a", "at": "end", "least": 1, "when": 5}, "here: unknown key 'when'"),
        ({"cycles_least": -1}, r"here\.cycles_least = -1"),
        ({"cycles_least": 1, "column": "a"}, "unknown key 'column'"),
    ],
)
def test_vocabulary(statement, message):
    with pytest.raises(ValueError, match=message):
        check_vocabulary(statement, "here")
