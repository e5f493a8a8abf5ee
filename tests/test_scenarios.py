"""The named scenarios, simulated: each does what its story says, and every byte is in one account all the way."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.workloads import check_expectation

ACCOUNTS = ("live", "garbage", "free_slots", "tail", "stacks", "other_spans", "free", "released")


@pytest.mark.parametrize("name", mh.workloads.names())
def test_expectation(name):
    """What the scenario's story leads one to expect is so in the run."""
    result = mh.simulate(name)
    expected = mh.workloads.read(name).expectation
    assert expected, "a scenario says what to expect"
    assert check_expectation(expected, result.samples, result.cycles) == []
    assert result.complete and len(result.cycles) > 0
    total = np.sum([result.samples[account] for account in ACCOUNTS], axis=0)
    assert np.array_equal(total, result.samples["mapped"])
    assert all(result.samples[account].min() >= 0 for account in ACCOUNTS)


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_recounts(go):
    """The beginning of every scenario, recounted after every batch."""
    for name in mh.workloads.names():
        result = mh.simulate(mh.workloads.load(name, scale=0.05), mh.HeapParams.of_version(go), samples=100, check=1)
        assert result.complete
