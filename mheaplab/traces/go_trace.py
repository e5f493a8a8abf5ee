"""Go's execution traces (v2, Go 1.22 to 1.27): the memory events of ``GODEBUG=traceallocfree=1``, in Go's order.

>>> events = read_go_events("prog.trace")                # doctest: +SKIP

The parser is ``mheaplab.runtime.exectrace_*``; here is what reads the file, piece by piece, and makes tables larger.
Memory is bounded by one generation of the trace, about a second of the program, and by what lives in the program;
a length that a file only promises is never reserved.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import FormatError
from ..runtime import exectrace_structs as x
from ..runtime.exectrace_batches import finish_generation, read_types, split_batches
from ..runtime.exectrace_maps import map_fill
from ..runtime.exectrace_merge import begin_generation, merge_events

PIECE = 1 << 20
"""Bytes that are read at a time."""
ROWS = 1 << 16
"""Memory events that are handed out at a time."""
HEADER = 16
FIRST_ROOM = {"data": 1 << 16, "samples": 1 << 15, "ps": x.MAX_PROCS}
FIRST_SLOTS = {"strings": 1 << 16, "stacks": 1 << 16}
NIL_ROWS = {"batches": "n_batches", "ms": "n_ms", "gs": "n_gs", "regions": "n_regions"}
"""Tables whose row 0 is nil, and what counts their rows."""


class GoEvents(NamedTuple):
    """Memory events as columns, in the order and with the numbers of Go's own parser.

    ``name`` indexes ``mheaplab.runtime.exectrace_structs.MEMORY_NAMES``; ``p`` is -1 without a P; ``time`` in ns.
    ``id`` is the address, less the heap's first, in units of ``AllocFreeInfo``: pages for spans, the least alignment
    for objects, the least stack for stacks.  ``arg`` and ``arg2``: a span's pages and twice its span class (1: a span
    of the runtime's own); an object's type; the bits of a stack's size.
    """

    name: np.ndarray
    p: np.ndarray
    time: np.ndarray
    id: np.ndarray
    arg: np.ndarray
    arg2: np.ndarray


GO_EVENT_TYPES = GoEvents("u1", "i2", "i8", "u8", "u8", "u8")


class AllocFreeInfo(NamedTuple):
    """What the numbers of memory events mean."""

    min_page_addr: int
    page_size: int
    min_heap_align: int
    fixed_stack: int


class GoType(NamedTuple):
    """A type of the program; sizes in bytes."""

    id: int
    address: int
    size: int
    ptr_bytes: int
    name: str


def is_go_trace(path, head):
    """Whether a file begins as a Go execution trace of any version."""
    return head.startswith(b"go 1.") and head[6:].lstrip(b"0123456789").startswith(b" trace\0")


def _new_columns(rows):
    return GoEvents(*(np.empty(rows, dtype) for dtype in GO_EVENT_TYPES))


class GoTraceReader:
    """One pass over a Go execution trace.

    Parameters
    ----------
    path : str or os.PathLike
    piece : int, optional
        Bytes to read at a time; makes no difference to what comes out.
    marks : bool, optional
        Whether the begin and end of each mark phase come among the events of memory, under the names that follow
        ``MEMORY_NAMES``: ``id`` is the format's number of it, ``arg`` of a begin who asked for it (``BY_ITSELF``, ...).

    Attributes
    ----------
    version : int
        Of the format: 22, 23, 25 or 26, the minor version of the Go that brought it.
    generation : int
        Number of the generation at hand.
    info : AllocFreeInfo or None
        What the last information of this kind said.
    """

    def __init__(self, path, piece=PIECE, marks=False):
        if piece < 1:
            raise ValueError(f"piece = {piece}: expected 1 byte or more")
        self.path = Path(path)
        self.piece = int(piece)
        self.version = None
        self.info = None
        self._tables = {}
        self._state = np.zeros(1, x.EXECTRACE)[0]
        self._state["marks"] = marks
        self._base = 0  # where in the file the data begin
        self._end = 0  # how many bytes of data there are
        for name, dtype in x.TABLES.items():
            self._set_table(name, np.zeros(FIRST_ROOM.get(name, 64), dtype))
        for name in x.MAPS:
            self._set_map(name, np.zeros(FIRST_SLOTS.get(name, 64), x.MAP_SLOT))
        for count in NIL_ROWS.values():
            self._state[count] = 1

    # ------------------------------------------------------------------------------------------ tables

    def _set_table(self, name, array):
        self._tables[name] = array
        self._state[f"{name}_at"] = array.ctypes.data
        self._state[f"{name}_cap"] = self._state[f"{name}_len"] = len(array)

    def _set_map(self, name, slots):
        self._tables[name] = slots
        found = self._state[name]
        found["slots_at"] = slots.ctypes.data
        found["slots_cap"] = found["slots_len"] = len(slots)

    def _grow_table(self, name, least):
        """Make a table larger by half, and of ``least`` rows at least."""
        old = self._tables[name]
        new = np.zeros(max(least, len(old) + len(old) // 2), old.dtype)
        new[: len(old)] = old
        self._set_table(name, new)

    def _grow_map(self, name, more):
        """Make a map larger until ``more`` ids fit in."""
        old = self._tables[name]
        size = len(old)
        while 4 * (int(self._state[name]["used"]) + more) > 3 * size:
            size *= 2
        if size > len(old):
            self._set_map(name, np.zeros(size, x.MAP_SLOT))
            map_fill(self._state[name], old)

    def _grow(self):
        """Make room wherever there may be too little for the next batch or event."""
        state = self._state
        wanted, threads = int(state["wanted"]), int(state["n_frontier"]) + 2
        rows = {"batches": 2, "cursors": 2, "samples": wanted, "ms": threads, "gs": 2, "regions": 2}
        for name, more in rows.items():
            least = int(state[f"n_{name}"]) + more
            if least > len(self._tables[name]):
                self._grow_table(name, least)
        if len(self._tables["frontier"]) < len(self._tables["cursors"]):
            self._grow_table("frontier", len(self._tables["cursors"]))
        for name in x.MAPS:
            self._grow_map(name, {"strings": wanted, "stacks": wanted, "m_ids": threads}.get(name, 2))

    # ------------------------------------------------------------------------------------------ the file

    def _refuse(self, reason, offset):
        raise FormatError(f"{self.path}: offset {offset}: {reason}")

    def _broken(self):
        state = self._state
        a, b = (int(state[name]) & (1 << 64) - 1 for name in ("fault_a", "fault_b"))
        reason = x.FAULTS[int(state["fault"])].format(a=a, b=b)
        self._refuse(reason, self._base + int(state["fault_at"]))

    def _read_header(self, file):
        head = file.read(HEADER)
        if not is_go_trace(self.path, head) or len(head) < HEADER:
            raise FormatError(f"{self.path}: offset 0: begins with {head!r}, expected 'go 1.22 trace' or a later one")
        number = head[5:7]
        if head[7:] != b" trace\0\0\0" or not number.isdigit() or int(number) not in x.VERSIONS:
            known = ", ".join(f"'go 1.{n} trace'" for n in x.VERSIONS)
            raise FormatError(f"{self.path}: offset 0: begins with {head!r}, expected one of {known}")
        self.version = int(number)
        for name, value in x.VERSIONS[self.version]._asdict().items():
            self._state[name] = value
        self._base = HEADER

    def _read_piece(self, file):
        """Append the next piece of the file to the data; return whether there was any."""
        if self._end + self.piece + x.PADDING > len(self._tables["data"]):
            self._grow_table("data", self._end + self.piece + x.PADDING)
        n = file.readinto(self._tables["data"][self._end : self._end + self.piece].data)
        self._end += n
        return n > 0

    # ------------------------------------------------------------------------------------------ generations

    def _begin(self):
        """Forget the last generation; keep what was read behind it."""
        state = self._state
        keep = self._end - int(state["read_at"])
        data = self._tables["data"]
        data[:keep] = data[int(state["read_at"]) : self._end].copy()
        self._base += int(state["read_at"])
        self._end = keep
        for name in ("gen", "read_at", "min_ts", "freq", "has_clock", "types", "n_cursors", "n_samples"):
            state[name] = 0
        state["n_batches"] = 1
        for name in ("strings", "stacks", "cursor_ids"):
            self._tables[name][:] = 0
            state[name]["used"] = 0

    def _next_generation(self, file):
        """Read a generation; return whether there was one."""
        self._begin()
        state = self._state
        while True:
            status = split_batches(state, self._end)
            if status == x.GENERATION_ENDS:
                break
            if status == x.BROKEN:
                self._broken()
            if status == x.NEEDS_ROOM:
                self._grow()
            elif not self._read_piece(file):
                if int(state["read_at"]) < self._end:
                    self._refuse("the file ends within a batch", self._base + self._end)
                if state["marked_end"] and state["read_at"]:
                    self._refuse("the file ends within a generation", self._base + self._end)
                if not state["read_at"]:
                    return False
                break
        if finish_generation(state) == x.BROKEN:
            self._broken()
        if state["has_info"]:
            self.info = AllocFreeInfo(*(int(n) for n in state["info"]))
        return True

    def _sorted_samples(self):
        n = int(self._state["n_samples"])
        self._tables["samples"][:n].sort()

    def _events(self, rows):
        """Yield the memory events of the generation at hand."""
        state = self._state
        if begin_generation(state) == x.BROKEN:
            self._broken()
        self._sorted_samples()
        out, done = _new_columns(rows), False
        while not done:
            n, status = merge_events(state, out)
            if n == rows:
                yield out
                out = _new_columns(rows)
            elif n:
                yield GoEvents(*(column[:n].copy() for column in out))
            if status == x.BROKEN:
                self._broken()
            if status == x.NEEDS_ROOM:
                state["wanted"] = 0
                self._grow()
            done = status == x.FINE

    def batches(self, rows=ROWS):
        """Yield the memory events as columns (``GoEvents``) of at most ``rows`` rows.

        Raises
        ------
        FormatError
            If the file is not what it claims to be, with the offset.  Events before were right all the same.
        """
        try:
            with self.path.open("rb") as file:
                self._read_header(file)
                empty = True
                while self._next_generation(file):
                    empty = False
                    yield from self._events(rows)
                if empty:
                    self._refuse("the file ends, expected a generation", self._base)
        except OSError as err:
            raise FormatError(f"{self.path}: cannot be read ({err.strerror})") from err

    @property
    def generation(self):
        """Number of the generation at hand."""
        return int(self._state["gen"])

    @property
    def offset(self):
        """Bytes of the file that have been read."""
        return self._base + self._end

    def type_rows(self):
        """Return the types of the generation at hand as numbers.

        Returns
        -------
        numpy.ndarray of uint64, shape (types, 6)
            Number, address, bytes, bytes that hold pointers, and where the name stands in the data.
        """
        rows = np.zeros((int(self._state["types"]), 6), np.uint64)
        read_types(self._state, rows)
        return rows

    def types(self):
        """Return the types (list of GoType) of the generation at hand, to which its objects' numbers refer."""
        rows = self.type_rows()
        data = self._tables["data"]
        found = []
        for number, address, size, ptr_bytes, at, length in rows.tolist():
            name = data[at : at + length].tobytes().decode("utf-8", "replace")
            found.append(GoType(number, address, size, ptr_bytes, name))
        return found


def read_go_events(path, piece=PIECE):
    """Return all memory events of a Go execution trace, as arrays by name.

    Parameters
    ----------
    path : str or os.PathLike
    piece : int, optional
        Bytes to read at a time.

    Returns
    -------
    dict of str to numpy.ndarray
        ``names``, the names of the events that occur, in the order in which they first do; and the columns of
        :class:`GoEvents`, of which ``name`` is an index into ``names``.

    Raises
    ------
    FormatError
        If there is no such file, or it is not what it claims to be.
    """
    parts = [[column] for column in _new_columns(0)]
    for events in GoTraceReader(path, piece).batches():
        for column, more in zip(parts, events, strict=True):
            column.append(more)
    # One column after the other, so that only one is there twice.
    parts.reverse()
    columns = GoEvents(*(np.concatenate(parts.pop()) for _ in GO_EVENT_TYPES))
    kinds, first = np.unique(columns.name, return_index=True)
    order = kinds[np.argsort(first)]
    number = np.zeros(len(x.MEMORY_NAMES), np.uint8)
    number[order] = np.arange(len(order))
    names = np.array([x.MEMORY_NAMES[kind] for kind in order.tolist()], "U19")
    return {"names": names, **columns._replace(name=number[columns.name])._asdict()}
