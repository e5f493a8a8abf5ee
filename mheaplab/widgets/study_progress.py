"""study_progress: a bar in the notebook for a study under way, with the time that is left."""

import time

import ipywidgets as ipw

from ..progress import done_words
from .explorer import line

EVERY = 0.1
"""Seconds between two changes of the bar: runs may end more often than a browser draws."""


class StudyProgress(ipw.HBox):
    """A bar; call it with (done, total), or hand it to a study as ``progress``.

    Attributes
    ----------
    bar : ipywidgets.IntProgress
    words : ipywidgets.HTML
        How many runs are done, and how long the rest will take.
    """

    def __init__(self):
        self.bar = ipw.IntProgress(0, 0, 1, layout=ipw.Layout(width="300px"))
        self.words = line("nothing to do yet")
        self._begin = self._last = time.monotonic()
        super().__init__([self.bar, self.words])

    def __call__(self, done, total):
        """Show that ``done`` of ``total`` runs are done."""
        now = time.monotonic()
        if done == 0:
            self._begin = now
        if 0 < done < total and now - self._last < EVERY:
            return
        self._last = now
        self.bar.max, self.bar.value = total, done
        self.words.value = f"{done_words(done, total, now - self._begin)}"


def study_progress():
    """Return a bar that is a study's ``progress``: display it, then begin the study.

    Returns
    -------
    StudyProgress
        An ipywidgets box.

    Examples
    --------
    >>> bar = mh.widgets.study_progress()                                              # doctest: +SKIP
    >>> display(bar)                                                                   # doctest: +SKIP
    >>> study = mh.studies.grid(traces, space, out="study", progress=bar)              # doctest: +SKIP
    """
    return StudyProgress()
