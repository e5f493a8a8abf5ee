"""Measure studies: what a second worker brings, what a run costs beyond itself, and 10,000 runs in one table.

    python tools/study_speed.py                    a few minutes
    python tools/study_speed.py --dask             the same study by a Dask cluster of this machine too

Times begin when the first run has ended, so that what it takes to start a worker is not in them; it is printed beside.
"At best" is the quickest stretch of 20 runs.  "By processor time" is what two free processors would give: a run takes
as much of one as was counted, and the driver takes its part of them too.
"""

import argparse
import math
import shutil
import sys
import tempfile
import time
from pathlib import Path

import mheaplab as mh
from mheaplab import figures

TRACE = "tree-builder"
"""A program that waits least for memory, which all processors share."""
STRETCH = 20


class Clock:
    """A study's ``progress`` that notes when runs ended."""

    def __init__(self):
        self.begin, self.told = time.perf_counter(), []

    def __call__(self, done, _total):
        """Note a moment."""
        if done:
            self.told.append((time.perf_counter(), done))

    @property
    def start(self):
        """Seconds until the first runs had ended."""
        return self.told[0][0] - self.begin

    @property
    def per_run(self):
        """Seconds from one run to the next, after the first."""
        (first, before), (last, done) = self.told[0], self.told[-1]
        return (last - first) / (done - before)

    @property
    def best(self):
        """The same in the quickest stretch of ``STRETCH`` runs: on a machine that others use too, the one they left."""
        ends = [(b - a) / (n - m) for k, (a, m) in enumerate(self.told) for b, n in self.told[k:] if n - m >= STRETCH]
        return min(ends, default=self.per_run)


def study(folder, runs, scale, **how):
    """Do a study of so many runs; return (study, clock)."""
    clock = Clock()
    space = {
        "gogc": [20 + k for k in range(100)],
        "scavenge_limit_factor": [0.90 + k / 10_000 for k in range(runs // 100)],
    }
    found = mh.studies.grid([TRACE], space, out=folder / "study", scale=scale, samples=100, progress=clock, **how)
    assert found.complete and not found.failures, found
    shutil.copytree(folder / "study", folder / "kept", dirs_exist_ok=True)
    shutil.rmtree(folder / "study")
    return found, clock


def two_workers(folder, runs, scale, rounds):
    """Print runs per minute of one and two workers, as processes and as threads."""
    for kind, threads in (("processes", False), ("threads", True)):
        best, busy = {1: math.inf, 2: math.inf}, {1: math.inf, 2: math.inf}
        for workers in list(best) * rounds:
            before = time.process_time()
            found, clock = study(folder, runs, scale, workers=workers, threads=threads)
            own = time.process_time() - before
            alone, cpu = (float(found.column(name).mean()) for name in ("seconds", "cpu_seconds"))
            beside = own / runs - cpu * threads
            best[workers], busy[workers] = min(best[workers], clock.best), min(busy[workers], cpu)
            print(
                f"{workers} {kind}: {60 / clock.per_run:,.0f} runs a minute, {60 / clock.best:,.0f} at best;"
                f" a run {1e3 * alone:.1f} ms, {1e3 * cpu:.1f} of a processor; beside it"
                f" {1e3 * (clock.per_run * workers - alone):.2f} ms, {1e3 * beside:.2f} of a processor;"
                f" {clock.start:.1f} s to the first"
            )
        print(
            f"  two {kind} against one: at best {best[1] / best[2]:.2f} times the runs a minute;"
            f" by processor time {2 * busy[1] / (busy[2] + beside):.2f} times"
        )


def ten_thousand(folder):
    """Print how long 10,000 short runs take, and their table and figures afterwards."""
    begin = time.perf_counter()
    found, clock = study(folder, 10_000, 0.002, workers=2)
    print(
        f"{len(found):,} runs in {time.perf_counter() - begin:.0f} s, {1e3 * clock.per_run:.1f} ms from one to the next"
    )
    for name in ("pareto", "sensitivity", "parallel", "multiples"):
        begin = time.perf_counter()
        loaded = mh.studies.load(folder / "kept")
        middle = time.perf_counter()
        options = {"x": "gogc", "by": ""} if name == "multiples" else {}
        figure = getattr(figures, name)(loaded, **options)
        end = time.perf_counter()
        figures.export(figure, folder / name, ["html"])
        print(f"  load {middle - begin:.2f} s, {name} {end - middle:.2f} s, as HTML {time.perf_counter() - end:.2f} s")
    size = sum(path.stat().st_size for path in (folder / "kept" / "results").iterdir())
    print(f"  {size / len(found):.0f} bytes a run in the dataset")


def by_dask(folder, runs, scale):
    """Print the same for a cluster of two workers with one thread each on this machine."""
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        found, clock = study(folder, runs, scale, client=client)
    alone = float(found.column("seconds").mean())
    print(
        f"Dask, 2 workers: {60 / clock.per_run:,.0f} runs a minute, {1e3 * alone:.1f} ms a run,"
        f" {1e3 * (2 * clock.per_run - alone):.2f} ms beside it; {clock.start:.1f} s to the first"
    )


def main(argv=None):
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="of the study that two workers share; default: 200")
    parser.add_argument("--scale", type=float, default=1.4, help="length of such a run; default: 1.4")
    parser.add_argument("--rounds", type=int, default=1, help="of one and two workers in turn; default: 1")
    parser.add_argument("--dask", action="store_true")
    parser.add_argument("--skip-many", action="store_true", help="leave the 10,000 runs out")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        two_workers(folder, args.runs, args.scale, args.rounds)
        if args.dask:
            by_dask(folder, args.runs, args.scale)
        shutil.rmtree(folder / "kept")
        if not args.skip_many:
            ten_thousand(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
