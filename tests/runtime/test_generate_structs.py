"""generate_structs: what the generator's arithmetic relies on."""

import numpy as np

from mheaplab.runtime import generate_structs as gs


def test_sizes():
    assert gs.CHUNK_ENTRIES == gs.CHUNK_WORDS - 1
    assert gs.STREAM_BITS + 16 == gs.STACK_BITS
    # The longest lifetime in the shortest ticks is within reach of the last level.
    assert (gs.WHEEL_SLOTS - 1) << (gs.WHEEL_STEP * (gs.WHEEL_LEVELS - 1)) > (1 << 46 >> 4) + 1
    assert gs.OLDEST_FIRST < gs.AT_RANDOM < gs.SECOND_CHANCE and gs.OLDEST_FIRST > gs.IN_GROUPS > gs.STAYS


def test_bind():
    g = np.zeros(1, gs.GENERATOR)[0]
    words = np.zeros(9, np.int64)
    gs.bind(g, "wheel", words)
    assert (g["wheel_at"], g["wheel_len"], g["wheel_cap"]) == (words.ctypes.data, 9, 9)
    assert all(f"{name}_at" in gs.GENERATOR.names for name in gs.TABLE_NAMES + gs.COLUMN_NAMES)
