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
from typing import NamedTuple

import numpy as np

from .errors import FormatError
from .params import HeapParams
from .runtime.run import Events
from .runtime.structs import (
    ADD_SPECIAL,
    ENSURE_SWEPT,
    FIXED_STACK,
    GC_START,
    KIND_NAMES,
    MALLOC,
    MAX_TINY_SIZE,
    PAGE_SIZE,
    RECORDED_KINDS,
    REMOVE_SPECIAL,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_FREE,
    SPECIAL_FINALIZER,
    SPECIAL_NAMES,
    STACK_ALLOC,
    STACK_FREE,
    SWEEP_START,
)
from .whole_file import whole_file

COLUMNS = {"kind": "u1", "p": "u1", "flags": "u1", "size": "u8", "ref": "i8", "credit": "u4"}
"""Columns with one row per event, and their types."""
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
MAX_SIZE = 1 << 47
MAX_PAGES = MAX_SIZE // int(PAGE_SIZE)
MAX_STACK = 1 << 31
"""Bytes of the largest stack: stackalloc's argument has 32 bits, and it is a power of two."""
MAX_VALUE = 1 << 63
TARGETS = {
    SPAN_FREE: SPAN_ALLOC,
    ENSURE_SWEPT: MALLOC,
    ADD_SPECIAL: MALLOC,
    REMOVE_SPECIAL: MALLOC,
    STACK_FREE: STACK_ALLOC,
}
"""Kinds that refer to another event, and of what kind that is."""
PART = 1 << 18
"""Events that are checked at a time."""
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


def _previous(values):
    """For each of ``values`` the index at which it stands before, or -1."""
    order = np.argsort(values, kind="stable")
    before = np.full(len(values), -1, np.int64)
    same = values[order[1:]] == values[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before


class _Part(NamedTuple):
    """Columns of some events, the number of the first, and how many there are."""

    kind: np.ndarray
    flags: np.ndarray
    size: np.ndarray
    ref: np.ndarray
    given_addr: np.ndarray
    given_pages: np.ndarray
    first: int

    @property
    def index(self):
        """The numbers of the events."""
        return np.arange(self.first, self.first + len(self.kind))


class _Checker:
    """Checks columns and raises one FormatError that names the first event at fault.

    It looks at ``PART`` events or rows at a time, so that what it needs beside the columns is small.
    """

    def __init__(self, path, events):
        self.path = path
        self.e = events
        self.n = len(events.kind)

    def parts(self):
        """Yield all events, part by part."""
        for first in range(0, self.n, PART):
            yield _Part(*(getattr(self.e, name)[first : first + PART] for name in _Part._fields[:-1]), first)

    def none(self, bad, reason):
        """Raise for the first event for which ``bad``, called with a part, is set; ``reason`` may name its columns."""
        for part in self.parts():
            found = bad(part)
            if found.any():
                self.refuse(part.first + int(found.argmax()), reason)

    def refuse(self, i, reason):
        """Raise for event ``i``."""
        row = {name: int(c[i]) for name, c in self.e._asdict().items() if len(c) == self.n}
        name = KIND_NAMES[row["kind"]] if row["kind"] < len(KIND_NAMES) else "?"
        raise FormatError(f"{self.path}: event {i} ({name}): {reason.format(**row)}")

    def rows(self, bad, name, reason):
        """Raise for the first row of list ``name`` for which ``bad``, called with a part and its start, is set."""
        values = getattr(self.e, name)
        for first in range(0, len(values), PART):
            found = bad(values[first : first + PART], first)
            if found.any():
                k = first + int(found.argmax())
                raise FormatError(f"{self.path}: {name}[{k}] = {int(values[k])}: {reason}")

    def where(self, chosen):
        """Return the numbers of the events for which ``chosen``, called with a part, is set."""
        found = [np.flatnonzero(chosen(part)) + part.first for part in self.parts()]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def columns(self):
        """Check kinds, sizes and references of all events."""
        self.none(lambda e: e.kind >= RECORDED_KINDS, f"unknown kind {{kind}}, expected 0 to {RECORDED_KINDS - 1}")
        self.none(lambda e: (e.kind == MALLOC) & (e.size == 0), "size 0, expected 1 to 2**47 bytes")
        self.none(lambda e: (e.kind == MALLOC) & (e.size > MAX_SIZE), "size {size} is over 2**47 bytes")
        self.none(
            lambda e: (e.kind == SPAN_ALLOC) & ((e.size == 0) | (e.size > MAX_PAGES)),
            "{size} pages, expected 1 to 2**34",
        )
        self.none(
            lambda e: (e.kind == SPAN_ALLOC) & ((e.flags < 1) | (e.flags > 3)), "span type {flags}, expected 1 to 3"
        )
        self.none(lambda e: (e.kind == SCAVENGE) & (e.size > MAX_PAGES), "page limit {size}, expected 0 to 2**34")
        self.references()
        self.freed_once(SPAN_FREE, "span")
        self.freed_once(STACK_FREE, "stack")

    def references(self):
        """Check that each event refers to an event of the kind that it needs, or to none."""
        is_source, target = np.zeros(256, bool), np.zeros(256, np.uint8)
        for source, wanted in TARGETS.items():
            is_source[source], target[source] = True, wanted

        def wrong(e):
            least = -(e.kind == ENSURE_SWEPT).astype(np.int8)
            return is_source[e.kind] & ((e.ref >= e.index) | (e.ref < least))

        self.none(wrong, "ref {ref} is not an earlier event")
        self.none(lambda e: ~is_source[e.kind] & (e.kind != SWEEP_START) & (e.ref != -1), "ref {ref}, expected -1")
        for source, wanted in TARGETS.items():

            def bad(e, source=source, wanted=wanted):
                found = (e.kind == source) & (e.ref >= 0)
                found[found] = self.e.kind[e.ref[found]] != wanted
                return found

            self.none(bad, "ref {ref} is not a " + KIND_NAMES[wanted] + " event")

    def freed_once(self, free, what):
        """Check that no two events of kind ``free`` name the same event."""
        once, frees = np.zeros(self.n, bool), 0
        for e in self.parts():
            freed = e.ref[e.kind == free]
            once[freed] = True
            frees += len(freed)
        if np.count_nonzero(once) < frees:
            freed = self.where(lambda e: e.kind == free)
            self.refuse(
                int(freed[(_previous(self.e.ref[freed]) >= 0).argmax()]), what + " of event {ref} is freed twice"
            )

    def stacks(self):
        """Check the sizes of stacks; references have been checked."""

        def bad(e):
            stack = (e.kind == STACK_ALLOC) | (e.kind == STACK_FREE)
            wrong = (e.size < int(FIXED_STACK)) | (e.size > MAX_STACK) | (e.size & (e.size - np.uint64(1)) != 0)
            return stack & wrong

        def other(e):
            freed = e.kind == STACK_FREE
            freed[freed] = e.size[freed] != self.e.size[e.ref[freed]]
            return freed

        self.none(bad, "{size} bytes, expected a power of two from 2048 to 2**31")
        self.none(other, "{size} bytes, but the stack of event {ref} has another size")

    def specials(self):
        """Check kinds and values of specials; which kinds a Go version has, the kernel knows."""

        def special(e):
            return (e.kind == ADD_SPECIAL) | (e.kind == REMOVE_SPECIAL)

        self.none(
            lambda e: special(e) & ((e.flags < 1) | (e.flags >= len(SPECIAL_NAMES))),
            f"special of kind {{flags}}, expected 1 to {len(SPECIAL_NAMES) - 1}",
        )
        self.none(lambda e: special(e) & (e.size >= MAX_VALUE), "value {size} is over 2**63")

    def phases(self):
        """Check that marking begins once before each collection ends, if at all."""
        gc = self.where(lambda e: (e.kind == GC_START) | (e.kind == SWEEP_START))
        start = self.e.kind[gc] == GC_START
        twice = start[1:] & start[:-1]
        if twice.any():
            self.refuse(int(gc[1 + twice.argmax()]), "marking has begun already")

    def starts(self):
        """Return the SWEEP_START events."""
        return self.where(lambda e: e.kind == SWEEP_START)

    def per_collection(self, name, offsets_name):
        """Check a list that belongs to collections: offsets, events that exist, earlier than the collection."""
        e = self.e
        values, offsets = getattr(e, name), getattr(e, offsets_name)
        starts = self.starts()
        if len(offsets) != len(starts) + 1:
            raise FormatError(
                f"{self.path}: {offsets_name} has {len(offsets)} rows, expected {len(starts) + 1}"
                f" (one more than SWEEP_START events)"
            )
        if offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
            raise FormatError(f"{self.path}: {offsets_name} does not rise from 0 to {len(values)}")
        self.rows(lambda part, _: (part < 0) | (part >= self.n), name, "no such event")
        self.rows(lambda part, _: e.kind[part] != MALLOC, name, "not a MALLOC event")

        def later(part, first):
            row = np.arange(first, first + len(part))
            return part >= starts[np.searchsorted(offsets, row, side="right") - 1]

        self.rows(later, name, "later than the collection that lists it")

    def dead_once(self):
        """Check that no object dies twice, unless a finalizer may have kept it the first time."""
        e = self.e
        values = e.dead
        once = np.zeros(self.n, bool)
        once[values] = True
        if np.count_nonzero(once) == len(values):
            return
        collection = np.repeat(np.arange(len(e.dead_offsets) - 1), np.diff(e.dead_offsets))
        before = self.starts()[collection]
        earlier = _previous(values)
        kept = self.had_finalizer(values, before[earlier])
        bad = (earlier >= 0) & (~kept | (collection[earlier] == collection))
        self.rows(lambda part, first: bad[first : first + len(part)], "dead", "dead already")

    def had_finalizer(self, objects, before):
        """Which of ``objects`` got a finalizer before the event beside it; of a tiny block any part may have had it."""
        e = self.e
        armed = np.flatnonzero((e.kind == ADD_SPECIAL) & (e.flags == SPECIAL_FINALIZER))
        first = np.full(len(e.kind), len(e.kind))
        np.minimum.at(first, e.ref[armed], armed)
        tiny = (e.size < int(MAX_TINY_SIZE)) & (e.flags & 1 == 1)
        first_tiny = first[tiny & (e.kind == MALLOC)].min(initial=len(e.kind))
        return np.where(tiny[objects], first_tiny, first[objects]) < before

    def collections(self):
        """Check that SWEEP_START events name the rows of dead_offsets in order."""
        starts = self.starts()
        wrong = self.e.ref[starts] != np.arange(len(starts))
        if wrong.any():
            self.refuse(int(starts[wrong.argmax()]), "ref {ref} is not the number of this collection")

    def given(self):
        """Check where scavenges are said to have happened."""
        for name in ("given_addr", "given_pages"):
            if len(getattr(self.e, name)) != self.n:
                raise FormatError(f"{self.path}: {name} has {len(getattr(self.e, name))} rows, expected {self.n}")

        def misplaced(e):
            bad = (e.given_addr % int(PAGE_SIZE) != 0) | (e.given_addr == 0) | (e.given_addr >= MAX_SIZE)
            return (e.kind == SCAVENGE) & bad

        def of_no_size(e):
            return (e.kind == SCAVENGE) & ((e.given_pages == 0) | (e.given_pages > MAX_PAGES))

        self.none(misplaced, "given_addr {given_addr:#x} is not the address of a page")
        self.none(of_no_size, "given_pages {given_pages}, expected 1 to 2**34")


def check_events(events, path, go):
    """Check the columns of a case against each other.

    Raises
    ------
    FormatError
        Naming ``path``, the event index or list row, and the reason.
    """
    n = len(events.kind)
    for name in COLUMNS:
        if len(getattr(events, name)) != n:
            raise FormatError(f"{path}: {name} has {len(getattr(events, name))} rows, kind has {n}")
    checker = _Checker(path, events)
    checker.columns()
    checker.stacks()
    checker.specials()
    checker.phases()
    checker.collections()
    checker.per_collection("dead", "dead_offsets")
    checker.dead_once()
    checker.per_collection("revived", "revived_offsets")
    if go != "go1.19":
        checker.per_collection("page_marked", "page_marked_offsets")
        checker.given()


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
