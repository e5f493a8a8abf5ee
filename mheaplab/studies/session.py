"""Session: a study under way: its folder, its workers, and the runs that are not there yet.

A grid does its runs in one go.  A search asks for a few, looks, and asks for more; the session stays open meanwhile.
"""

import errno
import os
from contextlib import ExitStack, contextmanager

from ..interrupts import Interrupts
from ..progress import ProgressBar
from .execute import execute, workers_of
from .store import Store

FULL = (errno.ENOSPC, errno.EDQUOT)


class Session:
    """A study under way, as a context.

    Parameters
    ----------
    out : str or os.PathLike
        Its folder.
    about : dict
        What ``study.json`` is to say.
    workers, client, threads
        See :func:`mheaplab.studies.grid`.
    progress : bool or callable
        See there.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C came.
    """

    def __init__(self, out, about, workers=None, client=None, threads=False, progress=None):
        self.out, self.about = os.fspath(out), about
        self._workers = workers_of(workers, client, threads)
        self._progress = progress
        self._plan, self._stack = {}, ExitStack()
        self._begun = False

    def __enter__(self):
        try:
            with self._disk():
                self.store = self._stack.enter_context(Store(self.out))
            self._interrupts = self._stack.enter_context(Interrupts())
            self._bar = ProgressBar("study")
            self._stack.callback(self._bar.close)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception):
        with self._stack:
            if exception[0] is None:
                with self._disk():
                    self.store.compact()

    @property
    def interrupted(self):
        """Whether Ctrl-C came."""
        return self._interrupts.asked

    @contextmanager
    def _disk(self):
        """Say of what cannot be written that nothing is lost by it."""
        try:
            yield
        except OSError as err:
            kept = f"{self._count():,} of {len(self._plan):,} runs are kept; " if self._plan else ""
            what = "the disk is full" if err.errno in FULL else str(err)
            raise OSError(f"{self.out}: {what}; {kept}start the study again to go on") from err

    def _count(self):
        return sum(key in self.store.done for key in self._plan)

    def run(self, runs):
        """Do those of ``runs`` that are not there, and add all to the plan; return their rows by key, as far as got."""
        wanted = {run.key: run for run in runs}
        self._plan |= wanted
        todo = [run for key, run in wanted.items() if key not in self.store.done]
        with self._disk():
            self.store.describe(self.about, list(self._plan.values()))
        if todo:
            self._do(todo)
        return {key: self.store.row(key) for key in wanted if key in self.store.done}

    def _do(self, todo):
        if not self._begun:
            self._stack.enter_context(self._workers)
            self._begun = True
        tell = self._progress if callable(self._progress) else self._bar if self._progress else _silent
        done = 0
        tell(0, len(todo))
        for rows in execute(todo, self._workers, lambda: self.interrupted):
            with self._disk():
                self.store.put(rows)
            done += len(rows)
            tell(done, len(todo))


def _silent(_done, _total):
    """Tell nobody."""
