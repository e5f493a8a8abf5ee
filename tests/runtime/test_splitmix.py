"""splitmix against the generator's published numbers."""

import numpy as np
from runtime.entry import entry

from mheaplab.runtime.splitmix import GOLDEN, mix


@entry
def drive_mix(seed, out):
    """Fill ``out`` with the numbers of ``seed``."""
    x = np.uint64(seed[0])
    for i in range(out.shape[0]):
        x = x + GOLDEN
        out[i] = mix(x)


def test_published_numbers():
    """The first numbers of splitmix64 with seed 1234567, which every implementation is checked with."""
    out = np.zeros(5, np.uint64)
    drive_mix(np.array([1234567], np.uint64), out)
    assert out.tolist() == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip
