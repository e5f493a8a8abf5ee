"""gofloat: Go's conversions of floats to integers on amd64, at every border: what Go 1.19 and Go 1.27 both print."""

import math

import numpy as np
import pytest
from runtime.entry import entry

from mheaplab.runtime.gofloat import go_int64, go_uint64

MIN = -(1 << 63)
TOP = 1 << 63
BELOW_TOP = math.nextafter(2.0**63, 0.0)
BELOW_64 = math.nextafter(2.0**64, 0.0)


@entry
def convert(x):
    """Return both conversions of a float."""
    return go_int64(x), go_uint64(x)


@pytest.mark.parametrize(
    ("x", "signed", "unsigned"),
    [
        (0.0, 0, 0),
        (-0.0, 0, 0),
        (0.999, 0, 0),
        (-0.999, 0, 0),
        (1.5, 1, 1),
        (-1.5, -1, (1 << 64) - 1),
        (2.0**53 + 2, (1 << 53) + 2, (1 << 53) + 2),
        (BELOW_TOP, TOP - 1024, TOP - 1024),
        (2.0**63, MIN, TOP),
        (2.0**63 + 2048, MIN, TOP + 2048),
        (BELOW_64, MIN, (1 << 64) - 2048),
        (2.0**64, MIN, TOP),
        (1e300, MIN, TOP),
        (-(2.0**63), MIN, TOP),
        (-(2.0**63) - 2048, MIN, TOP),
        (-1e300, MIN, TOP),
        (math.inf, MIN, TOP),
        (-math.inf, MIN, TOP),
        (math.nan, MIN, TOP),
    ],
)
def test_conversions(x, signed, unsigned):
    assert tuple(int(n) for n in convert(np.float64(x))) == (signed, unsigned)
