"""Named workloads: the scenarios under data/scenarios, and workloads in files of one's own."""

import os
from pathlib import Path

from ..data import data_folder, data_path
from ..errors import FormatError
from .workload import Workload

FOLDER = "scenarios"
ENDING = ".json"


def names():
    """Return the names of the scenarios that come with the project, in order of the alphabet."""
    return sorted(path.name.removesuffix(ENDING) for path in (data_folder() / FOLDER).glob("*" + ENDING))


def read(name_or_path):
    """Return a scenario, or the workload that a JSON file describes.

    Parameters
    ----------
    name_or_path : str or os.PathLike
        A name of ``names()``, or a path: whatever has a separator or ends in ``.json``.

    Returns
    -------
    Workload

    Raises
    ------
    FormatError
        If there is no such scenario or file, or it describes no workload.
    """
    text = os.fspath(name_or_path)
    if text.endswith(ENDING) or os.sep in text:
        return Workload.read(Path(text))
    if text not in names():
        raise FormatError(f"{text}: no such scenario, expected one of {', '.join(names())}, or a path")
    return Workload.read(data_path(f"{FOLDER}/{text}{ENDING}"))


def load(name_or_path, seed=0, scale=1.0):
    """Return the events of a scenario or of a workload in a file.

    Parameters
    ----------
    name_or_path : str or os.PathLike
        See :func:`read`.
    seed : int
        The same seed gives the same events.
    scale : float
        Factor on the length of every phase; 1 is half a million to two million events.

    Returns
    -------
    Trace
        A stream: memory is bounded by what is alive, whatever the scale.
    """
    return read(name_or_path).trace(seed, scale)
