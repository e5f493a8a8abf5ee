"""Cases: the recorded heap operations of real Go programs, and what Go did.

A case is a pair of files, ``NAME.events.npz`` (inputs: nothing in it is an address) and ``NAME.truth.npz`` (outputs).
``load_case`` reads them as hostile input: every array is checked against the size its header promises before it is
read, and every event against what may come before it, so that the kernel meets only columns of the right type with
references that exist.  What only the heap itself can tell (a dead object that is not there) is found during replay.

The columns are described in ``data/README.md``.
"""

import os
import tokenize
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .case_checks import COLUMNS, check_events
from .errors import FormatError
from .params import HeapParams
from .runtime.run import Events
from .runtime.structs import (
    ADD_SPECIAL,
    ENSURE_SWEPT,
    KIND_NAMES,
    MALLOC,
    REMOVE_SPECIAL,
    SPAN_ALLOC,
    SPAN_FREE,
    SPECIAL_NAMES,
    STACK_ALLOC,
    STACK_FREE,
)
from .whole_file import whole_file

LISTS = {"dead": "i8", "dead_offsets": "i8"}
REVIVED_LISTS = {"revived": "i8", "revived_offsets": "i8"}
LATER_LISTS = {"page_marked": "i8", "page_marked_offsets": "i8", "given_addr": "u8", "given_pages": "u8"}
TRUTH = {
    "addr": "u8",
    "scav": "u8",
    "needzero": "u1",
    "span_base": "u8",
    "span_npages": "u8",
    "span_class": "u4",
    "span_scav": "u8",
    "span_needzero": "u1",
    "span_event": "i8",
}
UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, OSError, RuntimeError, SyntaxError,
    tokenize.TokenError,
)  # fmt: skip
"""What the standard library and NumPy raise on archives that are not what they claim to be."""
EVENTS_SUFFIX = ".events.npz"
TRUTH_SUFFIX = ".truth.npz"


@dataclass(frozen=True)
class Case:
    """A recorded run.

    Attributes
    ----------
    name : str
        File name without its endings.
    go : str
        Go version of the recording, "go1.19" or "go1.27".
    events : Events
        The input columns (read-only arrays).
    truth : dict of str to numpy.ndarray, or None
        What Go did: ``addr``, ``scav``, ``needzero`` per event and ``span_*`` per span; None if there is no truth file.
    """

    name: str
    go: str
    events: Events
    truth: dict | None = field(default=None, repr=False)

    def __len__(self):
        return len(self.events.kind)

    @property
    def params(self):
        """The profile of the recording's Go version."""
        return HeapParams.of_version(self.go)

    def describe(self, event):
        """Return event ``event`` in words, for messages and hovers."""
        e = self.events
        kind = int(e.kind[event])
        words = f"event {event}: {KIND_NAMES[kind]}"
        if kind == MALLOC:
            words += f" of {int(e.size[event])} B, {'noscan' if e.flags[event] & 1 else 'with pointers'}"
        elif kind == SPAN_ALLOC:
            words += f" of {int(e.size[event])} pages, type {int(e.flags[event])}"
        elif kind == STACK_ALLOC:
            words += f" of {int(e.size[event])} B"
        elif kind in (ADD_SPECIAL, REMOVE_SPECIAL):
            words += f" ({SPECIAL_NAMES[int(e.flags[event])]}) of event {int(e.ref[event])}"
        elif kind in (SPAN_FREE, STACK_FREE, ENSURE_SWEPT):
            words += f" of event {int(e.ref[event])}"
        return words


def _case_paths(path):
    """Return (name, events path, truth path) for a case given with or without its ending."""
    text = os.fspath(path)
    for ending in (EVENTS_SUFFIX, TRUTH_SUFFIX):
        text = text.removesuffix(ending)
    return Path(text).name, Path(text + EVENTS_SUFFIX), Path(text + TRUTH_SUFFIX)


def read_member(archive, path, name):
    """Read one array of an npz archive after checking its header against the bytes that are there."""
    info = archive.getinfo(name + ".npy")
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        if version not in ((1, 0), (2, 0)):
            raise FormatError(f"{path}: array {name!r} has npy version {version}, expected 1.0 or 2.0")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise FormatError(f"{path}: array {name!r} holds Python objects, expected numbers")
        promised = int(np.prod(shape, dtype=object)) * dtype.itemsize
        if promised > info.file_size:
            raise FormatError(
                f"{path}: array {name!r} promises {promised} bytes, but only {info.file_size} are there (truncated?)"
            )
    with archive.open(info) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _read_npz(path, wanted, optional):
    """Return the arrays ``wanted`` and those of ``optional`` that exist, each one-dimensional and of its type."""
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = {n.removesuffix(".npy") for n in archive.namelist()}
            missing = sorted(set(wanted) - names)
            if missing:
                raise FormatError(f"{path}: array {missing[0]!r} is missing")
            for name in [*wanted, *(n for n in optional if n in names)]:
                arrays[name] = read_member(archive, path, name)
    except FormatError:
        raise
    except FileNotFoundError as err:
        raise FormatError(f"{path}: no such file") from err
    except UNREADABLE as err:
        raise FormatError(f"{path}: not a readable npz archive ({' '.join(str(err).split())})") from err
    for name, dtype in (wanted | optional).items():
        if name in arrays and dtype is not None:
            found = arrays[name]
            if found.ndim != 1 or found.dtype != np.dtype(dtype):
                raise FormatError(
                    f"{path}: array {name!r} is {found.dtype} with {found.ndim} dimensions,"
                    f" expected one dimension of {np.dtype(dtype)}"
                )
            arrays[name] = np.ascontiguousarray(found)
            arrays[name].flags.writeable = False
    return arrays


def make_events(arrays):
    """Return ``Events`` from a dict of columns; absent lists are empty, an absent ``revived`` list has no objects.

    All arrays are read-only, so that there is one compiled version of the kernel.
    """
    empty = {k: np.zeros(0, dtype) for k, dtype in (LATER_LISTS | REVIVED_LISTS).items()}
    empty["revived_offsets"] = np.zeros(len(arrays["dead_offsets"]), np.int64)
    columns = {}
    for name, array in (empty | arrays).items():
        columns[name] = np.ascontiguousarray(array).view()
        columns[name].flags.writeable = False
    return Events(**columns)


_readers = []


def register_reader(recognises, open):
    """Let ``load_case`` open another kind of file.

    Parameters
    ----------
    recognises : callable
        Called with the file's first 16 bytes.
    open : callable
        Called with the path, and with whether the truth is wanted; returns a Case.
    """
    _readers.append((recognises, open))


def reader_of(path):
    """Return the registered function that opens the file ``path``, or None if it is none of these kinds."""
    path = Path(path)
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
    return next((open for recognises, open in _readers if recognises(head)), None)


def load_case(path, truth=True):
    """Read a recorded case.

    Parameters
    ----------
    path : str or os.PathLike
        ``DIR/NAME``, with or without ``.events.npz``; or a recording, ``X.mhrec``.
    truth : bool
        Whether to read ``NAME.truth.npz`` too, if it exists.

    Returns
    -------
    Case

    Raises
    ------
    FormatError
        If a file is missing, truncated or inconsistent; the message names the file, the event and the reason.

    Examples
    --------
    >>> case = load_case("data/cases/go119-gzip")           # doctest: +SKIP
    >>> len(case), case.go                                   # doctest: +SKIP
    (1009, 'go1.19')
    """
    reader = reader_of(path)
    if reader is not None:
        return reader(path, truth)
    name, events_path, truth_path = _case_paths(path)
    arrays = _read_npz(events_path, COLUMNS | LISTS | {"go": None}, LATER_LISTS | REVIVED_LISTS)
    go = str(arrays.pop("go"))
    if go not in ("go1.19", "go1.27"):
        raise FormatError(f"{events_path}: recorded with {go!r}, expected go1.19 or go1.27")
    if go == "go1.19":
        arrays = {k: v for k, v in arrays.items() if k not in LATER_LISTS}
    else:
        missing = [k for k in LATER_LISTS if k not in arrays]
        if missing:
            raise FormatError(f"{events_path}: array {missing[0]!r} is missing ({go} cases have it)")
    events = make_events(arrays)
    check_events(events, events_path, go)
    found = None
    if truth and truth_path.exists():
        found = _read_npz(truth_path, TRUTH, {})
        if len(found["addr"]) != len(events.kind):
            raise FormatError(f"{truth_path}: addr has {len(found['addr'])} rows, the case {len(events.kind)} events")
    return Case(name, go, events, found)


def write_npz(path, arrays):
    """Write ``arrays`` to an npz file, all or nothing: to a temporary name in the same folder, then renamed.

    The same arrays give the same bytes.
    """
    with whole_file(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(name + ".npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
