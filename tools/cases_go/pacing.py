#!/usr/bin/env python3
"""Take out of a raw log what Go's pacer decided, collection by collection.

    pacing.py LOG.bin EVENTS.npz OUT.npz

LOG.bin is a recording of the oracle's overlay, EVENTS.npz the case that was made of it.  OUT.npz gets one row for each
collection of the case, in its order:

    gc_percent       i8  GOGC
    live_start       i8  heapLive when marking began, bytes
    live_end         i8  heapLive when marking ended
    marked           i8  heapMarked, bytes
    last_goal        i8  heap goal that the collection ended with, bytes
    stack_scan       i8  lastStackScan: bytes of stacks scanned
    globals_scan     i8  globalsScan: bytes of globals
    heap_scan        i8  lastHeapScan: bytes of the heap scanned
    percent_goal     i8  gcPercentHeapGoal for the next collection
    runway           i8  bytes that the next one expects to be allocated while it marks
    trigger          i8  where the next one is to begin, bytes of heapLive
    pages_in_use, pages_swept  i8  as sweeping begins

Nothing here is an address, and nothing is guessed: a log in which a record is missing is refused.
"""

import sys
from pathlib import Path

import numpy as np

RECORD = np.dtype(
    [("op", "u1"), ("p", "u1"), ("flags", "u2"), ("aux", "u4"), ("a", "u8"), ("b", "u8"), ("c", "u8")]
)
SWEEPGEN, GCPHASE, HEAPGOAL, PACE_SWEEPER, SCAN_BASIS = 11, 17, 20, 24, 25
MARKING = 1
SWEEP_START = 3


def first_after(rows, op, start, flags=None):
    """Return the first record of kind ``op`` from row ``start`` on; SystemExit if there is none."""
    found = rows["op"][start:] == op
    if flags is not None:
        found &= rows["flags"][start:] == flags
    if not found.any():
        raise SystemExit(f"pacing: no record {op} after row {start}: the log is not whole")
    return rows[start + int(found.argmax())]


def collection(rows, begin, end):
    """Return the numbers of one collection: marking began at row ``begin``, sweepgen rose at ``end``."""
    swept, goal = rows[end], first_after(rows, HEAPGOAL, end)
    scan, pace = first_after(rows, SCAN_BASIS, end), first_after(rows, PACE_SWEEPER, end, 1)
    return {
        "gc_percent": np.int64(np.int32(goal["aux"])),
        "live_start": rows["a"][begin],
        "live_end": swept["a"],
        "marked": goal["a"],
        "last_goal": swept["c"],
        "stack_scan": scan["a"],
        "globals_scan": scan["b"],
        "heap_scan": scan["c"],
        "percent_goal": goal["b"],
        "runway": goal["c"],
        "trigger": pace["a"],
        "pages_in_use": pace["c"] >> np.uint64(32),
        "pages_swept": pace["c"] & np.uint64(0xFFFFFFFF),
    }


def main(log, events, out):
    """Write the table of one log."""
    rows = np.fromfile(log, RECORD)
    begins = np.flatnonzero((rows["op"] == GCPHASE) & (rows["flags"] == MARKING))
    ends = np.flatnonzero(rows["op"] == SWEEPGEN)
    with np.load(events) as case:
        expected = int((case["kind"] == SWEEP_START).sum())
    # The program may end while one more marks.
    if expected and len(begins) == expected + 1 and begins[-1] > ends[-1]:
        begins = begins[:-1]
    if len(begins) != expected or len(ends) != expected or (ends < begins).any():
        raise SystemExit(f"pacing: {len(begins)} collections begin and {len(ends)} end; the case has {expected}")
    table = [collection(rows, b, e) for b, e in zip(begins, ends, strict=True)]
    columns = {name: np.array([row[name] for row in table], np.uint64).view(np.int64) for name in table[0]}
    temporary = Path(f"{out}.tmp.npz")
    np.savez_compressed(temporary, **columns)
    temporary.rename(out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
