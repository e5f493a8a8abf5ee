"""gotrace_weave: deaths put between the rows of a trace, and the random numbers that they are drawn with."""

import numpy as np

from ._jit import kentry
from .splitmix import GOLDEN, mix
from .trace_events import DEATH


@kentry
def uniform_of(born, seed, out):
    """Fill ``out`` with a random number from 0 to 1 for each clock at birth, the same for the same seed."""
    for i in range(born.shape[0]):
        bits = mix(mix(np.uint64(born[i]) * GOLDEN) ^ np.uint64(seed))
        out[i] = np.float64(bits >> np.uint64(11)) * 2.0**-53


@kentry
def weave(rows, base, targets, dead, start, at, last, out):
    """Put deaths between rows: object ``dead[i]`` dies before row ``targets[i]``, in order of
    ``targets``.

    ``rows`` begin with row ``base``; rows from ``start`` on and deaths from ``at`` on go into the columns ``out`` until
    these are full or no row is left; if these are the ``last`` rows, all deaths do.  Returns (next row, next death,
    rows filled). Modifies out.
    """
    n, total, deaths = 0, out.kind.shape[0], dead.shape[0]
    row, rows_here = start, rows.shape[0]
    while n < total and (row < rows_here or (last and at < deaths)):
        # What dies after the last row has its time.
        i, k = np.uint64(min(row, rows_here - 1)), np.uint64(n)
        out.time[k] = rows[i].time
        if at < deaths and (row == rows_here or targets[np.uint64(at)] <= base + row):
            out.kind[k] = DEATH
            out.p[k] = rows[i].p
            out.size[k] = 0
            out.noscan[k] = 0
            out.id[k] = dead[np.uint64(at)]
            at += 1
        else:
            out.kind[k] = rows[i].kind
            out.p[k] = rows[i].p
            out.size[k] = rows[i].amount
            out.noscan[k] = rows[i].spc & 1
            out.id[k] = rows[i].id
            row += 1
        n += 1
    return row, at, n
