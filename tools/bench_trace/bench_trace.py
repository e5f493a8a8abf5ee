#!/usr/bin/env python
"""Measure the parser of Go's execution traces against Go's own, on the same file in the same minute.

    python tools/bench_trace/bench_trace.py [--go GO] [--rounds N]

Needs Go 1.25 or newer with its source.  ``allocate.go`` makes the trace; ``read.go`` reads it with Go's parser, which
is internal to Go, so an overlay puts the program into Go's own tree.  Both sides read the file a few times, by turns,
and the best time counts.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from go_overlay import RecordError, environment, run  # noqa: E402

from mheaplab.traces.go_trace import GoTraceReader  # noqa: E402

TIMES = 3
READER = "cmd/mheaplab_readtrace"


def build(go, work, env):
    """Build both programs; return their paths."""
    goroot = Path(run([go, "env", "GOROOT"], work, env).strip())
    overlay = work / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(goroot / "src" / READER / "main.go"): str(HERE / "read.go")}}))
    run([go, "build", "-overlay", overlay, "-o", work / "read", READER], work, env)
    run([go, "build", "-o", work / "allocate", HERE / "allocate.go"], HERE, env)
    return work / "read", work / "allocate"


def ours(path):
    """Return (memory events, seconds) of one pass of our parser."""
    begin = time.perf_counter()
    n = sum(len(batch.name) for batch in GoTraceReader(path).batches())
    return n, time.perf_counter() - begin


def measure(go, rounds):
    """Print what both parsers take."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        env = environment(work)
        reader, allocate = build(go, work, env)
        path = work / "bench.trace"
        run([allocate, path, rounds], work, env | {"GODEBUG": "traceallocfree=1", "GOMAXPROCS": "2"})
        ours(path)  # compiles
        go_times, our_times = [], []
        for _ in range(TIMES):
            events, memory, ns = map(int, run([reader, path], work, env).split())
            n, seconds = ours(path)
            if n != memory:
                raise RecordError(f"Go's parser found {memory:,} memory events, ours {n:,}")
            go_times.append(ns / 1e9)
            our_times.append(seconds)
        size = path.stat().st_size
    best, other = min(our_times), min(go_times)
    print(f"{events:,} events, {memory:,} of them of memory, in {size / (1 << 20):.0f} MiB")
    print(f"ours:        {memory / best / 1e6:5.1f} M memory events/s, {size / best / (1 << 20):.0f} MiB/s")
    print(f"Go's parser: {memory / other / 1e6:5.1f} M memory events/s; ours takes {best / other:.2f} of its time")


def main():
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--go", default="go", help="Go's command; default: go")
    parser.add_argument("--rounds", default="20000", help="rounds of allocate.go, about 1,000 events each")
    args = parser.parse_args()
    try:
        go = shutil.which(args.go)
        if go is None:
            raise RecordError(f"there is no command {args.go!r}; name a Go with --go")
        measure(go, args.rounds)
    except RecordError as err:
        sys.exit(f"bench_trace: {err}")


if __name__ == "__main__":
    main()
