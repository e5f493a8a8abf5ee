"""Inputs: what a study simulates, known by its contents, and opened by whoever runs it.

An input is given as the name of a scenario, or as the path or URL of a workload (JSON) or of a trace.  A task names it
and is a few hundred bytes; its events never travel with tasks.  A worker reads them itself from storage that it shares
with the others: a path, or a URL of anything fsspec knows (s3, gs, abfs, http, ...), of which it makes one copy on its
machine, under a name that changes when the object does.

The fingerprint says what the events are.  Of a trace in Parquet that is the digest of its footer, which holds a
fingerprint of every row group that reading compares; so 10 GB are known by some kilobytes.  Of a scenario it is its
description, of any other file its bytes.  Whoever opens an input looks whether it still is what the study began with.

A worker keeps the inputs that it used last, in memory if they are short, since thousands of runs have the same one.
"""

import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from .. import workloads
from ..case import EVENTS_SUFFIX, TRUTH_SUFFIX
from ..errors import FormatError
from ..traces import read_trace
from ..traces.readers import first_bytes
from ..traces.store import ParquetSource, is_parquet
from ..workloads.scenarios import ENDING
from ..workloads.stream import GENERATOR_VERSION
from .keys import digest
from .locks import locked

LOADED = 1 << 21
"""Events of the longest trace that is kept in memory: 57 MB."""
KEPT = 4
"""Inputs that a worker keeps open."""
PIECE = 1 << 20
SEPARATOR = "://"


@dataclass(frozen=True)
class Input:
    """Something to simulate.

    Attributes
    ----------
    name : str
        What tables call it.
    address : str
        Where a worker finds it: the name of a scenario, an absolute path, a URL.
    fingerprint : str
        64 hex digits that say what its events are.
    go : str
        The Go version that it names, "" if none.
    seeded : bool
        Whether its events depend on a seed.
    scaled : bool
        Whether it can be made longer or shorter.
    """

    name: str
    address: str
    fingerprint: str
    go: str
    seeded: bool
    scaled: bool


def look_at(trace):
    """Return the :class:`Input` that ``trace`` is.

    Parameters
    ----------
    trace : str or os.PathLike
        The name of a scenario, a path, or a URL.

    Raises
    ------
    FormatError
        If there is no such thing, or it is not what it claims to be.
    ValueError
        If it is something in memory.
    """
    if not isinstance(trace, str | os.PathLike):
        raise ValueError(
            f"traces: {type(trace).__name__}: expected names of scenarios, paths or URLs, which workers can open; "
            "mh.write_trace makes a file of a trace"
        )
    text = os.fspath(trace)
    if _is_workload(text):
        return Input(_short(text), _absolute(text), _workload_digest(text), "", True, True)
    address = text if SEPARATOR in text else _absolute(_events_file(text))
    path = local_copy(address)
    print_of, parquet = _file_fingerprint(path)
    return Input(_short(text), address, print_of, read_trace(path).meta["go"], not parquet, False)


def _is_workload(text):
    """Whether ``text`` names a scenario or the description of a workload."""
    if SEPARATOR in text:
        return False
    return text.endswith(ENDING) or (os.sep not in text and text in workloads.names() and not os.path.exists(text))


def _absolute(text):
    """Return a path as any process can use it; the name of a scenario stays."""
    return text if _is_workload(text) and not text.endswith(ENDING) else os.path.abspath(text)


def _short(text):
    """Return the name of a path or URL without folders and endings; the address is in the table too."""
    name = text.rstrip("/").rsplit("/", 1)[-1]
    for ending in (EVENTS_SUFFIX, ENDING, ".parquet"):
        name = name.removesuffix(ending)
    return name


def _events_file(text):
    """Return the file with the events of a recorded case, which may be named without its ending."""
    if text.endswith(TRUTH_SUFFIX):
        return text.removesuffix(TRUTH_SUFFIX) + EVENTS_SUFFIX
    return text + EVENTS_SUFFIX if os.path.isfile(text + EVENTS_SUFFIX) else text


def _workload_digest(address):
    return digest([GENERATOR_VERSION, workloads.read(address).to_json()])


def _file_fingerprint(path):
    """Return (fingerprint of a file, whether it is a trace in Parquet)."""
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"{path}: no such file, and no scenario has that name: {', '.join(workloads.names())}")
    if is_parquet(path, first_bytes(path)):
        source = ParquetSource(path)
        return digest(["parquet", source.meta, source.n_events, source.prints]), True
    found = hashlib.sha256(b"mheaplab input")
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest(), False


# ------------------------------------------------------------------------------------------------- shared storage


def copies_folder():
    """Return the folder for copies of objects: ``MHEAPLAB_TRACE_DIR``, or one in the folder for temporary files."""
    return Path(os.environ.get("MHEAPLAB_TRACE_DIR") or Path(tempfile.gettempdir()) / f"mheaplab-traces-{_user()}")


def _user():
    return os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")


def local_copy(address):
    """Return a path on this machine with what is at ``address``: itself, or the one copy of an object.

    Raises
    ------
    FormatError
        If there is nothing there, or no way to it is installed.
    """
    if SEPARATOR not in address:
        return address
    try:
        import fsspec
    except ImportError as err:
        raise FormatError(f"{address}: URLs are read by fsspec, which is not installed: pip install fsspec") from err
    try:
        system, path = fsspec.core.url_to_fs(address)
        target = copies_folder() / f"{digest([address, str(system.ukey(path))])[:32]}-{path.rsplit('/', 1)[-1]}"
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(f"{target}.lock", wait=True):  # the other workers of this machine want it too
                if not target.exists():
                    _fetch(system, path, target)
    except (OSError, ValueError, ImportError) as err:
        raise FormatError(f"{address}: cannot be read ({' '.join(str(err).split()) or type(err).__name__})") from err
    return str(target)


def _fetch(system, path, target):
    """Copy an object to ``target``, whole or not at all."""
    handle, temporary = tempfile.mkstemp(prefix=target.name, suffix=".tmp", dir=target.parent)
    os.close(handle)
    try:
        system.get_file(path, temporary)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


# ------------------------------------------------------------------------------------------------- opening

_kept = OrderedDict()
_lock = threading.Lock()


def open_input(source, seed, scale):
    """Return the trace of an input; the last ones are kept.

    Parameters
    ----------
    source : Input
    seed : int
    scale : float

    Raises
    ------
    FormatError
        If it is not there any more, or no longer what it was when the study began.
    """
    wanted = (source.address, source.fingerprint, seed, scale)
    with _lock:
        if wanted not in _kept:
            _kept[wanted] = _opened(source, seed, scale)
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
        _kept.move_to_end(wanted)
        return _kept[wanted]


def _opened(source, seed, scale):
    if source.scaled:
        if _workload_digest(source.address) != source.fingerprint:
            raise FormatError(f"{source.address}: is another workload than when the study began")
        trace = workloads.load(source.address, seed=seed, scale=scale)
        return trace.loaded(most=LOADED)
    path = local_copy(source.address)
    if _file_fingerprint(path)[0] != source.fingerprint:
        raise FormatError(f"{source.address}: is another file than when the study began")
    trace = read_trace(path, seed=seed)
    return trace.loaded(most=LOADED) if (trace.n_events or 0) <= LOADED else trace
