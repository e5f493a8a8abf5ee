"""Go's conversions from float64 to integers on amd64, for every float: Go leaves most of them to the machine.

The language says what a conversion gives when the number, cut to a whole one, fits; else anything may come out.  The
pacer does convert numbers that do not fit: a heap goal near 2**63 bytes scaled by GOGC, a negative or infinite ratio
of allocation to marking.  Its results must then be those of the compiled runtime, so this module owns what Go's
compiler makes of the two conversions.

``int64`` is one instruction, CVTTSD2SQ, which gives -2**63 for whatever does not fit, infinities and NaN included.
``uint64`` does the same below 2**63 (so -1.5 becomes 2**64 - 1); from there on it converts what is above 2**63 and sets
the highest bit, so that whatever is not below 2**64 becomes 2**63, NaN too.  numba's own conversion is undefined there
and may change with the optimiser.

Go 1.27's compiler knows conversions that saturate, and does not use them unless told to: both versions are alike.
Other machines differ (arm64 saturates); a recording of the pacer is of amd64.

The other thing that could make floats differ is a multiplication and an addition done in one rounding.  Go does not do
that for amd64 (GOAMD64=v1), and LLVM only where it is told that it may, which the kernel's decorators do not.
"""

import numpy as np

from ._jit import kjit

INT64_MIN = np.int64(-(1 << 63))
TOP_BIT = np.uint64(1 << 63)
TWO_63 = np.float64(1 << 63)


@kjit
def go_int64(x):
    """int64(x): ``x`` without its fraction; -2**63 if that does not fit."""
    if -TWO_63 <= x and x < TWO_63:
        return np.int64(x)
    return INT64_MIN


@kjit
def go_uint64(x):
    """uint64(x): ``x`` without its fraction; modulo 2**64 if it is negative, 2**63 if it does not fit."""
    if x < TWO_63:
        return np.uint64(go_int64(x))
    return np.uint64(go_int64(x - TWO_63)) | TOP_BIT
