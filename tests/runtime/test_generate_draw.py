"""generate_draw: every draw against its definition in whole numbers."""

import numpy as np
from runtime.entry import entry

from mheaplab.runtime.generate_draw import below, pick_cell, value_in_cell
from mheaplab.runtime.generate_structs import CELL, GENERATOR, bind

EDGES = [0, 1, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - (1 << 32), (1 << 64) - 1]


@entry
def drive_draws(g, numbers, counts, out):
    """Write below, the least value of the picked cell and the value in it for each of ``numbers``."""
    for i in range(numbers.shape[0]):
        cell = pick_cell(g, np.int64(1), g.cells_len - 1, numbers[i])
        out[i, 0] = below(numbers[i], counts[i])
        out[i, 1] = cell.least
        out[i, 2] = value_in_cell(cell, numbers[i])


def test_draws(rng):
    cells = np.zeros(4, CELL)
    cells["least"] = [-1, 10, 2000, 300_000]
    cells["width"] = [1, 1, 50, 2.0**40]
    cells["keep"] = [0, 1 << 32, 1 << 31, 0]
    cells["other"] = [0, 0, 2, 1]
    g = np.zeros(1, GENERATOR)[0]
    bind(g, "cells", cells)
    numbers = np.array(EDGES + rng.integers(0, 1 << 64, 200, dtype=np.uint64).tolist(), np.uint64)
    counts = rng.integers(1, 1 << 31, len(numbers))
    out = np.zeros((len(numbers), 3), np.int64)
    drive_draws(g, numbers, counts, out)
    for r, count, (low, least, value) in zip(numbers.tolist(), counts.tolist(), out.tolist(), strict=True):
        assert low == (r >> 32) * count >> 32
        at = 1 + ((r >> 32) * 3 >> 32)
        if (r & 0xFFFFFFFF) >= cells["keep"][at]:
            at = 1 + cells["other"][at]
        assert least == cells["least"][at]
        assert value == least + int(float(cells["width"][at]) * ((r >> 11) / 2.0**53))
        assert least <= value < least + cells["width"][at]
