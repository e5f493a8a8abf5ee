"""What every test may ask for, and the rule for plain Python mode."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from numba import config

if config.DISABLE_JIT:
    # Words wrap around by intention: shifts and complements of uint64 scalars, which NumPy would warn about.
    np.seterr(over="ignore")


@pytest.fixture
def rng(request):
    """Random numbers that are the same at every run, and others for every test."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def state():
    """An empty heap with Go 1.19's parameters."""
    from mheaplab.params import HeapParams
    from mheaplab.runtime.state import HeapState

    return HeapState(HeapParams.go119().to_record())


ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "data" / "cases"


def golden_cases():
    """Names of the recorded cases that come with the project."""
    return sorted(p.name.removesuffix(".events.npz") for p in CASES.glob("*.events.npz"))


@pytest.fixture
def cases_dir():
    """The folder of the recorded cases."""
    return CASES
