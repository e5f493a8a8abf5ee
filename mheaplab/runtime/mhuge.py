"""heap_huge_bytes: placeholder until merged."""
import numpy as np

from ._jit import kjit


@kjit
def heap_huge_bytes(h):
    """x"""
    return np.int64(0)
