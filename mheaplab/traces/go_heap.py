"""go_heap: the heap of a program as its execution trace tells it, event by event.

``read_go_heap`` goes through a trace once.  The kernel (``runtime/gotrace_heap.py``) does what is to be done for each
event; here are the tables, which grow as the program's heap does, and the types of each generation.
"""

import re
from pathlib import Path

import numpy as np

from ..errors import FormatError
from ..runtime import gotrace_structs as g
from ..runtime.exectrace_maps import map_fill
from ..runtime.exectrace_structs import MAP_SLOT, MARK_NAMES, MEMORY_NAMES
from ..runtime.gotrace_heap import list_living, set_types, take_events
from ..runtime.mksizeclasses import div_magic
from ..size_tables import go_classes
from .go_trace import HEADER, ROWS, GoTraceReader

NO_EXPERIMENT = (
    "no memory events in it, expected those that a program writes with GODEBUG=traceallocfree=1 (Go 1.23 on)"
)
OLD = "offset 0: a trace of Go 1.{minor}, expected one of Go 1.23 or later: older ones have no memory events"
FIRST_MINOR = 23
FIRST_ROOM = 1 << 12
MOST_TYPES = 1 << 32
MARKS = 1 << 12
"""Collections that one call may tell of."""


def go_version(path):
    """Return the Go version in the header of a trace with memory events, such as "go1.26".

    Raises
    ------
    FormatError
        If there is no such file, or it is of a version that has no memory events.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(HEADER)
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
    found = re.match(rb"go 1\.(\d{1,2}) trace\0", head)
    if not found:
        raise FormatError(f"{path}: offset 0: begins with {head!r}, expected 'go 1.23 trace' or a later one")
    if int(found[1]) < FIRST_MINOR:
        raise FormatError(f"{path}: {OLD.format(minor=int(found[1]))}")
    return f"go1.{int(found[1])}"


class GoHeap:
    """What is there of a program at some moment of its trace.

    Parameters
    ----------
    name : str
        Of the trace, for messages.
    rarer : int
        Follow the objects of one in ``2**rarer`` pages only; of all others only bytes are counted.

    Attributes
    ----------
    events : int
        Memory events taken in so far.
    state : numpy.record
        ``GO_HEAP`` of ``runtime/gotrace_structs.py``.
    type_names : dict of int to str
        Types by the ``kind`` of :meth:`objects`.
    """

    def __init__(self, name, rarer=0):
        self.name = name
        self.events = 0
        self.type_names = {}
        self.state = np.zeros(1, g.GO_HEAP)[0]
        self.state["rarer"] = rarer
        self._tables = {}
        sizes, npages = np.array(((0, 0), *go_classes()), np.int64).T
        self.state["class_to_size"][: len(sizes)] = sizes
        self.state["class_to_allocnpages"][: len(sizes)] = npages
        self.state["class_to_divmagic"][: len(sizes)] = div_magic(sizes)
        self.state["n_classes"] = len(sizes)
        for table in g.MAPS:
            self._set_map(table, np.zeros(FIRST_ROOM, MAP_SLOT))
        room = {"rows": 2 * ROWS, "found": ROWS, "marks": MARKS}
        for table, dtype in g.TABLES.items():
            self._set_table(table, np.zeros(room.get(table, FIRST_ROOM), dtype))

    def _set_table(self, name, array):
        self._tables[name] = array
        self.state[f"{name}_at"] = array.ctypes.data
        self.state[f"{name}_cap"] = self.state[f"{name}_len"] = len(array)

    def _set_map(self, name, slots):
        self._tables[name] = slots
        found = self.state[name]
        found["slots_at"] = slots.ctypes.data
        found["slots_cap"] = found["slots_len"] = len(slots)

    def _grow(self):
        """Make room wherever there is little."""
        numbers = int(self.state["numbers"])
        for name in ("living", "free"):
            old = self._tables[name]
            if numbers + 2 > len(old):
                new = np.zeros(len(old) + len(old) // 2, old.dtype)
                new[: len(old)] = old
                self._set_table(name, new)
        for name, more in (("spans", 128), ("objects", 2), ("stacks", 2)):
            self._grow_map(name, more)

    def _grow_map(self, name, more):
        old = self._tables[name]
        size = len(old)
        while 4 * (int(self.state[name]["used"]) + more) > 3 * size:
            size *= 2
        if size > len(old):
            self._set_map(name, np.zeros(size, MAP_SLOT))
            map_fill(self.state[name], old)

    def set_types(self, rows, names=None):
        """Let ``rows`` (``GoTraceReader.type_rows``) be the types that objects' numbers refer to.

        ``names`` is a dict by these numbers, for whoever wants to know the types of objects later.
        """
        self._tables["types"][:] = 0
        self.state["types"]["used"] = 0
        self._grow_map("types", len(rows) + 1)
        set_types(self.state, rows)
        base = int(self.state["type_base"]) + int(self.state["type_most"])
        names = {number: name for number, name in (names or {}).items() if 0 < number < MOST_TYPES - base}
        self.state["type_base"], self.state["type_most"] = base, max(names, default=0)
        self.type_names |= {base + number: name for number, name in names.items()}

    def take(self, events):
        """Take in memory events; yield (rows, found, marks) of them, which are the caller's to keep.

        Raises
        ------
        FormatError
            If an event contradicts those before it.
        """
        at, n, state, before = 0, len(events.name), self.state, self.events
        while at < n:
            at, status = take_events(state, events, at)
            self.events = before + at
            yield tuple(self._tables[name][: int(state[f"n_{name}"])].copy() for name in ("rows", "found", "marks"))
            if status == g.BROKEN:
                self._refuse(int(events.name[at]))
            if status == g.NEEDS_ROOM:
                self._grow()

    def _refuse(self, what):
        a, b = (int(self.state[name]) & (1 << 64) - 1 for name in ("fault_a", "fault_b"))
        reason = g.FAULTS[int(self.state["fault"])].format(a=a, b=b)
        name = (*MEMORY_NAMES, *MARK_NAMES)[what]
        raise FormatError(f"{self.name}: memory event {self.events} ({name}): {reason}")

    def living(self):
        """Return (number, clock at birth, span class) of the objects that are there and were born in the trace."""
        n = int(self.state["objects_in"]) + 1
        number, born, spc = np.empty(n, np.uint32), np.empty(n, np.int64), np.empty(n, np.uint8)
        n = list_living(self.state, number, born, spc)
        return number[:n], born[:n], spc[:n]

    def objects(self):
        """Return (slot, clock at birth, kind) of all slots that are taken, by rising slot.

        ``slot`` is in units of 8 bytes from the heap's first address, the clock ``UNKNOWN_AGE`` for what was there when
        the trace began, ``kind`` a key of ``type_names`` or 0.
        """
        slots = self._taken("objects")
        living = self._tables["living"][slots["word"].astype(np.int64) - 1]
        return slots["key"], living["born"], living["kind"].astype(np.int64)

    def spans(self):
        """Return (page, pages, span class) of all spans, by rising page; the class is MANUAL for the runtime's own."""
        slots = self._taken("spans")
        word = slots["word"]
        first = (word >> g.OFFSET_BITS) & g.BYTE == 0
        page, word = slots["key"][first], word[first]
        code = word & g.BYTE
        return page, (word >> g.PAGES_BITS).astype(np.int64), np.where(code == g.MANUAL, code, code - g.ONE)

    def _taken(self, name):
        """Return the entries of a map by rising key."""
        slots = self._tables[name]
        slots = slots[slots["word"] != 0]
        return slots[np.argsort(slots["key"], kind="stable")]


def read_go_heap(path, rows=ROWS, rarer=0, types=False):
    """Go through a trace once; yield (GoHeap, GoTraceReader, rows, found, marks) after every few events.

    Parameters
    ----------
    path : str or os.PathLike
    rows : int
        Memory events that are taken in at a time, at most 65,536.
    rarer : int
        See :class:`GoHeap`.
    types : bool
        Whether the heap shall know the names of its objects' types.

    Raises
    ------
    FormatError
        If the file is not what it claims to be, has no memory events, or these contradict each other.
    """
    go_version(path)
    reader, heap = GoTraceReader(path, marks=True), GoHeap(str(path), rarer)
    generation = None
    for events in reader.batches(rows):
        if reader.generation != generation:
            generation = reader.generation
            if reader.info is None:
                break
            heap.set_types(reader.type_rows(), {t.id: t.name for t in reader.types()} if types else None)
        for rows_found_marks in heap.take(events):
            yield heap, reader, *rows_found_marks
    if heap.events == 0:
        raise FormatError(f"{path}: {NO_EXPERIMENT}")
