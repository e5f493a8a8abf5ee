#!/usr/bin/env python3
"""Run the programs of the recorded cases again and again with an unchanged Go 1.19, to see how far Go repeats itself.

    repeat.py --go GOROOT --oracle DIR --out repeats.json [--runs N]

A recording is one run.  When a collection starts depends on the clock, so another run of the same program collects at
other places, and ends with another heap.  For each program this keeps, run by run, NumGC, HeapInuse, HeapSys and NextGC
when it reads its own statistics, as a recording does, and the CPU time that is not the collector's per allocation.

The programs are built as tools/cases_go/record_cases.py builds them, but for the recording: plain.go and
plain_oracle.go take its place.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cases_go"))

import record_cases  # noqa: E402

PROGRAMS = (
    "arenas", "cache-gogc200", "compiler-gogc50", "finalizers", "finalizers-forced", "finalizers-profiled", "gofmt",
    "limit", "service-gogc200", "service-gogc50", "stacks", "final", "gzip", "json",
)  # fmt: skip
OF_ORACLE = ("final", "gzip", "json")
KEPT = ("NumGC", "HeapInuse", "HeapSys", "NextGC")


class Repeater(record_cases.Recorder):
    """Builds the programs without the recording, and runs them."""

    def make_overlay(self):
        """Return an overlay that leaves the runtime alone."""
        replaced = {
            record_cases.HERE / "oplog.go": HERE / "plain.go",
            self.oracle / "prog" / "oplog.go": HERE / "plain_oracle.go",
        }
        path = self.work / "overlay.json"
        path.write_text(json.dumps({"Replace": {str(old): str(new) for old, new in replaced.items()}}))
        # gofmt gets the file itself laid beside it.
        record_cases.OPLOG = HERE / "plain.go"
        return path

    def repeat(self, name, runs):
        """Run one program several times; return its row."""
        stats_path = self.work / "stats.bin"
        if name == "gofmt":
            command = [self.build_gofmt(), "-l", self.goroot / "src" / record_cases.GOFMT_TREE]
        else:
            folder = self.oracle / "prog" if name in OF_ORACLE else record_cases.HERE
            tags = "memprofile" if name == record_cases.PROFILED else ""
            command = [self.build(".", folder, self.overlay, tags), name, stats_path]
        more = record_cases.WORKLOADS.get(name, {})
        env = self.environment(GOMAXPROCS="1", CASES_OPLOG=str(stats_path), **more)
        row = {key: [] for key in KEPT} | {"program_ns": []}
        for _ in range(runs):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([str(c) for c in command], env=env, check=True, capture_output=True, cwd=self.work)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            stats = self.read_stats(stats_path)
            for key in KEPT:
                row[key].append(stats[key])
            row["program_ns"].append(round(cpu * 1e9 * (1 - stats["GCCPUFraction"])))
        return row | {"Mallocs": stats["Mallocs"], "TotalAlloc": stats["TotalAlloc"]}

    @staticmethod
    def read_stats(path):
        """Return the statistics that a program left; the oracle's put them beside the log's name."""
        beside = path.with_suffix(".memstats.json")
        found = beside if beside.exists() else path
        stats = json.loads(found.read_text())
        found.unlink()
        return stats


def main():
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--go", required=True, type=Path, metavar="GOROOT", help="a Go 1.19")
    parser.add_argument("--oracle", required=True, type=Path, help="the folder of the oracle")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args()
    repeater = Repeater(args.go, args.oracle, args.out.parent, None, False)
    with tempfile.TemporaryDirectory(prefix="repeat.") as folder:
        repeater.work = Path(folder)
        repeater.overlay = repeater.make_overlay()
        rows = {name: repeater.repeat(name, args.runs) for name in PROGRAMS}
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    args.out.write_text("{\n" + lines + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
