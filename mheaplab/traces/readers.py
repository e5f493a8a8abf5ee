"""read_trace: whatever holds a trace, opened by what it is.

A *reader* knows one kind of file.  ``register_reader`` adds one: a name for messages, a function that tells from path
and first bytes whether a file is of this kind, and one that opens it as a :class:`mheaplab.Trace`.  The first that
recognises a file has it.
"""

from pathlib import Path
from typing import NamedTuple

from ..errors import FormatError
from .store import is_parquet, open_parquet

HEAD = 64
"""Bytes from the start of a file that readers are shown."""


class Reader(NamedTuple):
    """One kind of file."""

    name: str
    recognises: object
    open: object


_readers = [Reader("a trace in Parquet", is_parquet, open_parquet)]


def register_reader(name, recognises, open):
    """Let ``read_trace`` open another kind of file.

    Parameters
    ----------
    name : str
        What messages call it, with its article.
    recognises : callable
        Called with the path (pathlib.Path) and the file's first 64 bytes (empty if it is no regular file).
    open : callable
        Called with the path and a seed; returns a Trace.
    """
    _readers.append(Reader(name, recognises, open))


def read_trace(path, *, seed=0):
    """Open a trace.

    Parameters
    ----------
    path : str or os.PathLike
    seed : int
        Where random numbers begin, for files that do not tell when objects died, 0 or more.

    Returns
    -------
    Trace
        Its events are read when they are asked for, and anew each time.

    Raises
    ------
    FormatError
        If there is no such file, it is of no known kind, or it is not what it claims to be.

    Examples
    --------
    >>> trace = mh.read_trace("prog.parquet")               # doctest: +SKIP
    """
    return open_first(_readers, path, seed)


def first_bytes(path):
    """Return the first ``HEAD`` bytes of ``path``, none if it is no regular file."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(HEAD)
    except (OSError, ValueError) as err:
        raise FormatError(f"{path}: cannot be read ({getattr(err, 'strerror', None) or err})") from err
    return b""


def open_first(readers, path, *options):
    """Open ``path`` by the first of ``readers`` that recognises it; ``options`` go to its ``open``."""
    path = Path(path)
    head = first_bytes(path)
    for reader in readers:
        if reader.recognises(path, head):
            return reader.open(path, *options)
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    kinds = ", ".join(reader.name for reader in readers)
    raise FormatError(f"{path}: begins with {head[:8]!r}, expected one of: {kinds}")


def trace_readers():
    """Return the readers that ``read_trace`` knows, in the order in which they are asked."""
    return tuple(_readers)
