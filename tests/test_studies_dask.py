"""Studies on a Dask cluster: the same results as by local workers, workers that are lost, and real commands."""

import os
import subprocess
import sys
import threading
import time

import psutil
import pytest
from conftest import ROOT
from distributed import Client, LocalCluster

import mheaplab as mh
from mheaplab.studies import keys
from mheaplab.studies.execute import LEAST_WINDOW, DaskWorkers, execute, workers_of
from mheaplab.studies.space import grid_sets
from mheaplab.studies.study import Plan

pytestmark = pytest.mark.slow

SPACE = {"gogc": [25, 50, 100, 200], "arena_bytes": ["4MiB", "64MiB"], "memory_limit": ["1MiB", "1GiB"]}
SHORT = {"scale": 0.005, "samples": 50, "replications": 2}
PATIENCE = 60


@pytest.fixture(scope="module")
def cluster():
    """Two workers with one thread each, as processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """A client of it."""
    with Client(cluster, set_as_default=False) as client:
        yield client


def results(study):
    """Return the rows of a study but for what time they took."""
    return study.table.drop_columns(["seconds", "cpu_seconds"]).to_pylist()


def test_a_cluster_finds_what_local_workers_find(client, tmp_path):
    """Failures too."""
    by_dask = mh.studies.grid(["json-service"], SPACE, out=tmp_path / "dask", client=client, **SHORT)
    here = mh.studies.grid(["json-service"], SPACE, out=tmp_path / "here", threads=True, workers=2, **SHORT)
    assert by_dask.complete and len(by_dask) == 32 and len(by_dask.failures) == 16
    assert results(by_dask) == results(here)


def test_a_lost_worker_loses_no_run(client):
    """One of two workers is killed; its runs are done by the other, or by the one that Dask puts in its place."""
    runs = Plan(["json-service"], scale=0.05).runs(grid_sets({"gogc": range(20, 80)}))
    pids = list(client.run(os.getpid).values())
    rows = []
    with DaskWorkers(client) as workers:
        assert workers.count == 2 and workers.window == LEAST_WINDOW
        for some in execute(runs, workers, lambda: False):
            if not rows:
                psutil.Process(pids[0]).kill()
            rows += some
    assert sorted(row["gogc"] for row in rows) == list(range(20, 80)) and not any(row["error"] for row in rows)


def test_stopping_takes_back_what_the_cluster_has(client, tmp_path):
    """After Ctrl-C nothing is left on the scheduler."""
    stop = threading.Event()
    runs = Plan(["json-service"], scale=0.02).runs(grid_sets({"gogc": range(20, 500)}))
    with DaskWorkers(client) as workers:
        for _ in execute(runs, workers, stop.is_set):
            stop.set()
    deadline = time.monotonic() + PATIENCE
    while any(client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(client.processing().values())


def test_a_client_is_a_client(client):
    with pytest.raises(ValueError, match="expected a dask.distributed.Client"):
        workers_of(None, "tcp://127.0.0.1:8786", False)
    with pytest.raises(ValueError, match="workers and threads are those of this machine"):
        workers_of(2, client, False)


def by_command(folder, out, env, *options):
    """Run the command on the study of a folder."""
    command = [sys.executable, "-m", "mheaplab", "study", str(folder / "study.toml"), "-o", str(folder / out), *options]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)


def test_a_scheduler_and_a_worker_as_commands(tmp_path):
    """``dask scheduler``, ``dask worker`` and ``mheaplab study --dask``: three processes that share only a disk."""
    mh.write_trace(mh.workloads.load("tree-builder", scale=0.002), tmp_path / "tree.parquet")
    (tmp_path / "study.toml").write_text('traces = ["tree.parquet"]\n[space]\ngogc = [25, 50, 100]\n')
    where, env = tmp_path / "scheduler.json", dict(os.environ, PYTHONPATH=str(ROOT))
    begun = []
    for name, *options in (("scheduler", "--port", "0", "--no-dashboard"), ("worker", "--nthreads", "1", "--no-nanny")):
        command = [sys.executable, "-m", "dask", name, "--scheduler-file", str(where), *options]
        with open(tmp_path / f"{name}.log", "wb") as log:
            begun.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log))
    try:
        deadline = time.monotonic() + PATIENCE
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        done = by_command(tmp_path, "out", env, "--dask", str(where))
    finally:
        for process in begun:
            process.terminate()
            process.wait()
    assert done.returncode == 0, done.stderr + (tmp_path / "worker.log").read_text()
    study = mh.studies.load(tmp_path / "out")
    assert study.column("gogc").tolist() == [25, 50, 100] and set(study.column("code")) == {keys.code_stamp()}
    here = by_command(tmp_path, "here", env, "--workers", "1")
    assert here.returncode == 0, here.stderr
    assert results(study) == results(mh.studies.load(tmp_path / "here"))
