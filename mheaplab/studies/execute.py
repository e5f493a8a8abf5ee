"""execute: runs to workers, rows back.

Workers are an executor as the standard library has them: processes, threads, or those of a Dask cluster, whose client
gives such an executor too.  Scheduling is theirs.  What is done here is to keep them supplied, and to go on when one is
lost.

Processes are the default.  They are forked from a server that has the kernel loaded (``preload``), so a new one is
there in some milliseconds and nothing is compiled twice; where there is no such server (Windows) they start from
nothing.  If one dies, the standard library gives up the whole pool; a new pool gets the runs that were under way.  A
run that was under way three times when a worker died is done alone from then on, and if it takes its worker with it
three times more it is a row that says so.

A worker ends when the one who started it does: it watches a pipe that nobody else holds, and Ctrl-C, which a terminal
sends to all, is left to the one who started it.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor, wait

from .run_one import failed_row, run_one, warm

POLL = 0.2
"""Seconds after which it is looked whether Ctrl-C came."""
DEPTH = 2
"""Runs for each worker that wait or are under way: the next one is there when one ends."""
DASK_DEPTH = 4
LEAST_WINDOW = 64
"""Runs that a cluster is given at least, so that it sees that there is work to grow for."""
DEATHS = 3
STARTS = 10
"""Pools that may break before any run has ended."""
MOST_WORKERS = 1024


def cores():
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def checked_workers(workers):
    """Return the number of local workers: ``workers``, or one for each processor if that is None."""
    if workers is None:
        return min(cores(), MOST_WORKERS)
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers = {workers!r} is outside its legal range: 1 to {MOST_WORKERS:,}, or None")
    return workers


# ------------------------------------------------------------------------------------------------- processes


def _begin_worker(pipe):
    """What a process does first: leave Ctrl-C to others, and end when the pipe does."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    else:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()


def _end_with(pipe):
    with contextlib.suppress(EOFError, OSError):  # both mean that the other end is gone
        pipe.recv()
    os._exit(1)


class Processes:
    """Processes of this machine, as a context.

    Parameters
    ----------
    count : int
    """

    lost = (BrokenExecutor,)
    restarts = True

    def __init__(self, count):
        self.count, self.window = count, DEPTH * count
        served = "forkserver" in multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if served else "spawn")
        if served:
            self._context.set_forkserver_preload([f"{__package__}.preload"])
        else:
            warm()
        self._pool = self._pipe = None

    def __enter__(self):
        self.restart()
        return self

    def __exit__(self, *exception):
        self._stop()

    def restart(self):
        """Begin with new processes."""
        self._stop()
        reader, self._pipe = self._context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(self.count, self._context, _begin_worker, (reader,))
        self._reader = reader

    def _stop(self):
        if self._pool is not None:
            self._pipe.close()  # ends the processes, in the middle of a run if need be
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._reader.close()
            self._pool = None

    def submit(self, run):
        """Return the future of a run's row."""
        return self._pool.submit(run_one, run)


class Threads:
    """Threads of this process, as a context: the kernel does not hold the interpreter's lock."""

    lost = ()
    restarts = False

    def __init__(self, count):
        self.count, self.window = count, DEPTH * count
        warm()

    def __enter__(self):
        self._pool = ThreadPoolExecutor(self.count)
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, run):
        """Return the future of a run's row."""
        return self._pool.submit(run_one, run)


class DaskWorkers:
    """The workers of a Dask cluster, as a context.

    Parameters
    ----------
    client : dask.distributed.Client
        Stays open.
    """

    restarts = False

    def __init__(self, client):
        from distributed.scheduler import KilledWorker

        self.client, self.lost = client, (KilledWorker,)

    @property
    def count(self):
        """Threads of all workers now: a cluster may grow and shrink."""
        return sum(self.client.nthreads().values())

    @property
    def window(self):
        """Runs that the scheduler may have at once."""
        return max(DASK_DEPTH * self.count, LEAST_WINDOW)

    def __enter__(self):
        self._pool = self.client.get_executor(pure=False, retries=0)
        return self

    def __exit__(self, *exception):
        self._pool.shutdown(wait=False)  # takes back what has not ended

    def submit(self, run):
        """Return the future of a run's row; Dask itself gives it to another worker if one is lost."""
        return self._pool.submit(run_one, run)


def workers_of(workers, client, threads):
    """Return the workers that are asked for, as a context."""
    if client is not None:
        if workers is not None or threads:
            raise ValueError("client: workers and threads are those of this machine, leave them out")
        if not hasattr(client, "get_executor"):
            raise ValueError(f"client = {type(client).__name__}: expected a dask.distributed.Client")
        return DaskWorkers(client)
    return (Threads if threads else Processes)(checked_workers(workers))


# ------------------------------------------------------------------------------------------------- the loop


class _Deaths:
    """Which runs were under way when workers died, and what that means."""

    def __init__(self):
        self.seen, self.alone, self.starts = Counter(), Counter(), 0

    def suspect(self, run):
        """Whether a run has to be done alone."""
        return self.seen[run.key] >= DEATHS

    def note(self, lost):
        """Count the deaths in the runs ``lost``; return the rows of those that are given up."""
        rows = []
        for run in lost:
            self.seen[run.key] += 1
            if len(lost) == 1 and self.seen[run.key] > DEATHS:
                self.alone[run.key] += 1
                if self.alone[run.key] >= DEATHS:
                    rows.append(failed_row(run, f"WorkerLost: its worker died {self.seen[run.key]} times", False))
        return rows


def execute(runs, workers, stop):
    """Yield lists of rows as the runs end, in whatever order.

    Parameters
    ----------
    runs : iterable of Run
    workers : Processes, Threads or DaskWorkers
        Entered.
    stop : callable
        Asked now and then; when it returns True no more runs are begun, and what is under way is left.

    Raises
    ------
    OtherCodeError
        If a worker has other code.
    RuntimeError
        If processes die again and again before any run has ended, or a cluster gives up.
    """
    waiting, flying, deaths = deque(runs), {}, _Deaths()
    ended = False
    while (waiting or flying) and not stop():
        lost = _supply(waiting, flying, workers, deaths)
        finished, _ = wait(flying, timeout=0 if lost else POLL, return_when=FIRST_COMPLETED)
        rows = []
        for future in finished:
            if future.cancelled():
                raise RuntimeError("the cluster has given up a run: is its scheduler gone?")
            run, err = flying.pop(future), future.exception()
            if err is None:
                rows.append(future.result())
            elif isinstance(err, workers.lost):
                lost.append(run)
            else:
                raise err
        ended = ended or bool(rows)
        if lost and workers.restarts:
            lost += _rest(flying, rows)
            deaths.starts += 1
            if not ended and deaths.starts >= STARTS:
                raise RuntimeError(
                    f"{STARTS} times all workers died before a run had ended; a script that begins a study must do so "
                    "under if __name__ == '__main__'"
                )
            workers.restart()
            given_up = deaths.note(lost)
        else:
            given_up = [failed_row(run, "WorkerLost: its worker died, elsewhere too", False) for run in lost]
        gone = {row["key"] for row in given_up}
        if workers.restarts:
            waiting.extendleft(run for run in reversed(lost) if run.key not in gone)
        if rows or given_up:
            yield rows + given_up


def _supply(waiting, flying, workers, deaths):
    """Give workers runs until they have enough; return those that could not be given, as the pool is broken."""
    while waiting and len(flying) < workers.window:
        alone = deaths.suspect(waiting[0]) or any(deaths.suspect(run) for run in flying.values())
        if alone and flying:
            break
        run = waiting.popleft()
        try:
            flying[workers.submit(run)] = run
        except workers.lost:
            return [run]
    return []


def _rest(flying, rows):
    """Wait for what a broken pool still had: add rows that ended in time to ``rows``, return the other runs."""
    lost = []
    for future, run in list(flying.items()):
        if future.exception() is None:
            rows.append(future.result())
        else:
            lost.append(run)
    flying.clear()
    return lost
