"""splitmix64: random numbers, and hashes of ids, by mixing a counter.

The n-th number of a stream is ``mix(seed + n * GOLDEN)`` (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
number generators", 2014; the constants are those of Java's SplittableRandom).  ``mix`` is a bijection on 64 bits in
which every bit of the argument changes half of the bits of the result, so it also spreads ids over a hash table.
"""

import numpy as np

from ._jit import kinline

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX1 = np.uint64(0xBF58476D1CE4E5B9)
MIX2 = np.uint64(0x94D049BB133111EB)
S27, S30, S31 = np.uint64(27), np.uint64(30), np.uint64(31)


@kinline
def mix(x):
    """Return the 64 bits that ``x`` is mixed into."""
    x = (x ^ (x >> S30)) * MIX1
    x = (x ^ (x >> S27)) * MIX2
    return x ^ (x >> S31)
