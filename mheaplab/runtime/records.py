"""struct: how a record type of the kernel is made.

Every struct of Go's that the twin has is a NumPy record type.  Compiled functions see a pointer with fields at constant
offsets; in plain Python the same text works because a scalar of the type answers to attributes (``np.record``).
"""

import numpy as np


def struct(*fields):
    """Return a record dtype whose scalars answer to attributes, compiled and in plain Python."""
    for field in fields:
        # NumPy's own attribute would be found first in plain Python.
        assert not hasattr(np.record, field[0]), field[0]
    return np.dtype((np.record, list(fields)))
