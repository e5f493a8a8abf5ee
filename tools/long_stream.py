#!/usr/bin/env python
"""Write a long stream of events to Parquet and read it back, and say what memory that took.

    python tools/long_stream.py [--events 1e9] [--folder DIR]

The stream is the scenario json-service, made as it is written; it is made a second time to compare every batch that is
read with it.
"""

import argparse
import resource
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path

import numpy as np

import mheaplab as mh

SCENARIO = "json-service"


def peak_mib():
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stream(events):
    """Return a trace of that many events."""
    one = mh.workloads.load(SCENARIO)
    scale = 1.1 * events / len(one.prefix(1 << 24).loaded())
    return mh.workloads.load(SCENARIO, scale=scale).prefix(events)


def compare(path, trace, tell):
    """Read a file and compare it with the trace, batch by batch; the number of events."""
    read = 0
    for found, made in zip_longest(mh.read_trace(path).batches(), trace.batches()):
        if found is None or made is None or not all(map(np.array_equal, found, made)):
            sys.exit(f"the batch after {read:,} events is not what was written")
        read += len(found.kind)
        tell(read)
    return read


def main():
    """Write, read, compare, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--events", type=float, default=1e9)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    trace = stream(int(args.events))
    before = peak_mib()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "long.parquet"
        begin = time.perf_counter()
        mh.write_trace(trace, path, lambda done, _: print(f"\r{done:,} written", end="", file=sys.stderr))
        written, size = time.perf_counter() - begin, path.stat().st_size
        after = peak_mib()
        begin = time.perf_counter()
        n = compare(path, trace, lambda done: print(f"\r{done:,} read", end="", file=sys.stderr))
        read = time.perf_counter() - begin
    print(f"\n{n:,} events in {size / (1 << 30):.2f} GiB, {size / n:.2f} bytes an event")
    print(f"made and written in {written:.0f} s, read and compared with what is made again in {read:.0f} s")
    print(f"memory at most: {before:.0f} MiB before, {after:.0f} MiB after writing, {peak_mib():.0f} MiB after reading")


if __name__ == "__main__":
    main()
