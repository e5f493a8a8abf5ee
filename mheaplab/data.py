"""data_path: where the project's recorded data lies, from wherever a notebook or a command runs."""

import glob
import os
from pathlib import Path

from .errors import FormatError

VARIABLE = "MHEAPLAB_DATA"


def data_folder():
    """Return the folder of the data: ``$MHEAPLAB_DATA`` if set, else ``data`` beside the package."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parent.parent / "data"


def data_path(name):
    """Return the path of a file of the project's data, or of a case, which is several files of one name.

    Parameters
    ----------
    name : str
        Such as ``"cases/go119-json"``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    FormatError
        If there is nothing of that name.

    Examples
    --------
    >>> mh.load_case(mh.data_path("cases/go119-json"))       # doctest: +SKIP
    """
    path = data_folder() / name
    if path.exists() or any(path.parent.glob(glob.escape(path.name) + ".*")):
        return path
    raise FormatError(f"{path}: no such data; ${VARIABLE} may name the folder it is in")
