"""Kill a study again and again, fill its disk, spoil its files, and see that it ends as if nothing had been.

    python tools/kill_study.py                      100 kills of a study of 200 runs, a full disk, spoilt files
    python tools/kill_study.py --kills 3 --runs 12  a short version

Half of the kills hit the driver (``mheaplab study``), half one of its workers, with SIGKILL, at random moments: some
once one more run has ended, some while the driver is still starting.  At the end there
must be exactly as many rows as runs, each equal to that of a study that nobody disturbed, but for the seconds it took.

The full disk is a small tmpfs, which only root may mount; without that right this part is left out, and said so.
"""

import argparse
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import psutil

import mheaplab as mh
from mheaplab.studies import store

STUDY = """traces = ["json-service"]
scale = {scale}
samples = 100
[space]
gogc = {gogc}
"""
POLL = 0.002
STARTING = 0.15
"""Share of the driver's kills that do not wait for a run."""
MORE = 0.25
"""Share of the other kills that wait for one more run to end."""
PATIENCE = 120.0


def command(study, out, workers):
    """Return the command line of a study."""
    return [sys.executable, "-m", "mheaplab", "study", str(study), "-o", str(out), "--workers", str(workers)]


def count(out):
    """Return the number of files that finished runs have left."""
    return sum(1 for _ in out.glob("runs/*.rows")) + sum(1 for _ in out.glob("results/*.parquet"))


def workers_of(driver):
    """Return the processes that do runs: the children of the server from which they are forked."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [w for child in psutil.Process(driver.pid).children() for w in child.children()]
    return []


class Killer:
    """A study and the one who disturbs it."""

    def __init__(self, study, out, workers, seed):
        self.study, self.out, self.workers = study, out, workers
        self.rng = random.Random(seed)
        self.driver = None
        self.kills = {"driver": 0, "worker": 0}

    def start(self):
        """Start the driver if it does not run."""
        if self.driver is None or self.driver.poll() is not None:
            self.driver = subprocess.Popen(command(self.study, self.out, self.workers), stderr=subprocess.DEVNULL)

    def wait(self, seconds, more=None):
        """Wait so long, or until there are ``more`` files, or the driver has ended."""
        goal = None if more is None else count(self.out) + more
        end = time.monotonic() + (seconds if more is None else PATIENCE)
        while time.monotonic() < end and self.driver.poll() is None:
            if goal is not None and count(self.out) >= goal:
                break
            time.sleep(POLL)

    def kill(self):
        """Kill somebody at a random moment."""
        self.start()
        whom = self.rng.choice(list(self.kills))
        if whom == "driver" and self.rng.random() < STARTING:
            self.wait(self.rng.uniform(0, 4))
        else:
            self.wait(0, int(self.rng.random() < MORE))
            self.wait(self.rng.uniform(0, 0.05))
        if self.driver.poll() is not None:
            return False
        victims = workers_of(self.driver)
        if whom == "worker" and not victims:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            (self.driver if whom == "driver" else self.rng.choice(victims)).kill()
            self.kills[whom] += 1
        if whom == "driver":
            self.driver.wait()
        return True

    def finish(self):
        """Let the study end; return the exit status of the driver."""
        if self.driver is not None:
            self.driver.wait()
        self.driver = None
        self.start()
        return self.driver.wait()


def rows_of(out):
    """Return the rows of a study but for the time they took, and how many there are in all its files."""
    table = mh.studies.load(out).table
    stored = sum(store.read_part(path).num_rows for path in out.glob("results/*.parquet"))
    return table.drop_columns(["seconds", "cpu_seconds"]).to_pylist(), stored


def compare(what, out, wanted):
    """Say how a study compares with the undisturbed one; return whether all is equal."""
    rows, stored = rows_of(out)
    equal = sum(a == b for a, b in zip(rows, wanted, strict=False))
    good = len(rows) == stored == equal == len(wanted)
    print(
        f"{what}: {len(rows)} rows, {stored} in the dataset, {equal} of {len(wanted)} equal: {'ok' if good else 'BAD'}"
    )
    return good


def kills(killer, n, wanted):
    """Kill ``n`` times and compare."""
    begin, tries = time.monotonic(), 0
    while sum(killer.kills.values()) < n and tries < 20 * n:
        killer.kill()
        tries += 1
        if list(killer.out.glob("results/*.parquet")) and killer.driver.poll() == 0:
            print(f"the study ended after {sum(killer.kills.values())} kills")
            break
    status = killer.finish()
    told = ", ".join(f"{count} of a {whom}" for whom, count in killer.kills.items())
    seconds = time.monotonic() - begin
    good = compare(f"{told} killed in {seconds:.0f} s, exit {status}", killer.out, wanted)
    return good and status == 0 and sum(killer.kills.values()) == n


def spoilt(study, out, workers, wanted):
    """Change a byte of every file of rows, and compare after another start."""
    paths = [*out.glob("results/*.parquet")]
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    done = subprocess.run(command(study, out, workers), capture_output=True, text=True, check=False)
    print("  " + done.stderr.strip().replace(str(out), "OUT"))
    return compare(f"{len(paths)} files spoilt", out, wanted) and done.returncode == 0


def full_disk(study, folder, workers, wanted):
    """Run on a tmpfs that is too small, then on one that is not."""
    small = folder / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={4 * len(wanted) // 3}k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        print("full disk: left out, since a tmpfs cannot be mounted here")
        return True
    try:
        done = subprocess.run(command(study, small / "s", workers), capture_output=True, text=True, check=False)
        print(f"  exit {done.returncode}: {done.stderr.strip().splitlines()[-1].replace(str(small), 'OUT')}")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kept = len(mh.studies.load(small / "s"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        again = subprocess.run(command(study, small / "s", workers), capture_output=True, check=False)
        good = done.returncode == 1 and 0 < kept < len(wanted) and again.returncode == 0
        return compare(f"full disk after {kept} runs, then room", small / "s", wanted) and good
    finally:
        subprocess.run(["umount", str(small)], check=True)


def main(argv=None):
    """Return 0 if the study ended as it should after all that."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="length of a run; default: 1, some 200 ms")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault("PYTHONPATH", str(Path(mh.__file__).parent.parent))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        study = folder / "study.toml"
        study.write_text(STUDY.format(scale=args.scale, gogc=[20 + k for k in range(args.runs)]))
        undisturbed = folder / "undisturbed"
        subprocess.run(command(study, undisturbed, args.workers), check=True)
        wanted, stored = rows_of(undisturbed)
        assert len(wanted) == stored == args.runs, "the undisturbed study is whole"
        killer = Killer(study, folder / "killed", args.workers, args.seed)
        good = kills(killer, args.kills, wanted)
        good = spoilt(study, folder / "killed", args.workers, wanted) and good
        good = full_disk(study, folder, args.workers, wanted) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
