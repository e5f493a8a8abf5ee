"""recording_tables: what reading a recording works on: one record, and the tables whose addresses it holds.

The tables are the file's bytes; the columns of the case that is made, and of its truth; and what is kept meanwhile:
for each P what it is in the middle of, for each span what is still asked about it, and a hash table from addresses to
events and spans.  ``RecordingState`` holds the arrays themselves, and makes them larger.
"""

import numpy as np

from ._jit import kentry, kjit
from .intrinsics import make_record_table, make_word_table
from .mksizeclasses import make_classes
from .records import struct
from .splitmix import mix

SPAN_CLASSES = 2 * 68
"""Go has 68 size classes, with pointers and without."""
ALL_PS = 256
SORTS = 256
"""Sorts of addresses: span classes, and at the end all others."""

COLUMNS = {
    "kind": "u1", "p": "u1", "flags": "u1", "size": "u8", "ref": "i8", "credit": "u4",
    "addr": "u8", "scav": "u8", "needzero": "u1",
    "dead": "i8", "dead_offsets": "i8", "page_marked": "i8", "page_marked_offsets": "i8",
    "revived": "i8", "revived_offsets": "i8",
    "span_base": "u8", "span_npages": "u8", "span_class": "u4", "span_scav": "u8", "span_needzero": "u1",
    "span_event": "i8",
}  # fmt: skip
"""What is made: columns and lists of a case (``mheaplab/case.py``) and of its truth."""
WORDS = {"data": "u1", "last": "u8", "elem_size": "i8"} | COLUMNS

PROC = struct(
    ("begun", "i8"),  # the event of an allocation that has got its span and is not recorded yet, or -1
    ("credit", "i8"),  # sweepone calls that its next allocation owed
    ("sweepone", "i8"),  # the event, if the record before is one; else -1
    ("reclaiming", "i8"),  # 1: it reclaims pages before it takes a span
    ("taken", "i8"),  # the last span taken for that allocation, or -1
    ("refilled", "i8", (SPAN_CLASSES,)),  # spans in its mcache, or -1
)
ROW = struct(
    ("last_object", "i8"),  # the last allocation that opened a slot in it, or -1
    ("use", "i8"),  # 0: objects; FREED; else manual
    ("swept", "i8"),  # the collection after which it was allocated or last swept
)
FREED = 255
ENTRY = struct(("key", "u8"), ("value", "i8"))  # value: event or span, plus 1; 0: free

RECORDING = struct(
    ("fault", "i8"),  # why the last call stopped
    ("records", "i8"),  # scanned
    ("most_procs", "i8"),  # the most Ps that there were
    ("event", "i8"),  # rows made so far: events,
    ("span", "i8"),  # spans,
    ("died", "i8"),  # and of the lists
    ("marked", "i8"),
    ("kept", "i8"),
    ("collection", "i8"),  # collections whose sweep has begun
    ("used", "i8"),  # entries of the hash table
    ("inline_low", "i8"),  # bytes of an object whose span keeps its marks inline, from
    ("inline_high", "i8"),  # to; 0: none does
    ("op", "i8"),  # the last record read: its kind
    ("on_p", "i8"),
    ("op_flags", "i8"),
    ("spanclass", "i8"),
    ("first", "u8"),  # the address
    ("second", "u8"),
    ("third", "u8"),
    ("bits_at", "i8"),  # where its bitmap begins
    ("next_at", "i8"),  # where the next record begins, or 0: it is not whole
    *((f"{name}{end}", "i8") for name in (*WORDS, "procs", "rows", "entries") for end in ("_at", "_cap", "_len")),
)


def _words(name):
    return make_word_table(RECORDING, name, np.dtype(WORDS[name]))


data_byte, _ = _words("data")
last_address, set_last_address = _words("last")
elem_size, _ = _words("elem_size")
_, set_kind = _words("kind")
_, set_p = _words("p")
_, set_flags = _words("flags")
_, set_size = _words("size")
_, set_ref = _words("ref")
_, set_credit = _words("credit")
_, set_addr = _words("addr")
_, set_scav = _words("scav")
_, set_needzero = _words("needzero")
_, set_dead = _words("dead")
_, set_dead_offset = _words("dead_offsets")
_, set_page_marked = _words("page_marked")
_, set_page_marked_offset = _words("page_marked_offsets")
_, set_revived = _words("revived")
_, set_revived_offset = _words("revived_offsets")
span_base, set_span_base = _words("span_base")
span_npages, set_span_npages = _words("span_npages")
span_class, set_span_class = _words("span_class")
span_scav, set_span_scav = _words("span_scav")
span_needzero, set_span_needzero = _words("span_needzero")
span_event, set_span_event = _words("span_event")
proc = make_record_table(RECORDING, "procs", PROC)
row_at = make_record_table(RECORDING, "rows", ROW)
entry_at = make_record_table(RECORDING, "entries", ENTRY)


@kjit
def find_entry(s, key):
    """Return the number of the entry of ``key``, or of the free one where it would be put."""
    mask = np.uint64(s.entries_len - 1)
    at = mix(key) & mask
    while entry_at(s, at).value != 0 and entry_at(s, at).key != key:
        at = (at + np.uint64(1)) & mask
    return at


@kjit
def look_up(s, key):
    """Return what ``key`` stands for, or -1."""
    return entry_at(s, find_entry(s, key)).value - 1


@kjit
def put_entry(s, key, value):
    """Let ``key`` stand for ``value``. Modifies s, entries."""
    entry = entry_at(s, find_entry(s, key))
    if entry.value == 0:
        s.used += 1
    entry.key = key
    entry.value = value + 1


@kjit
def remove_entry(s, at):
    """Free entry ``at`` and move back what would no longer be found. Modifies s, entries."""
    mask = np.uint64(s.entries_len - 1)
    hole = at
    while True:
        at = (at + np.uint64(1)) & mask
        moved = entry_at(s, at)
        if moved.value == 0:
            break
        # It may move if its own place is not between the hole and where it stands.
        if ((at - mix(moved.key)) & mask) >= ((at - hole) & mask):
            entry_at(s, hole).key = moved.key
            entry_at(s, hole).value = moved.value
            hole = at
    entry_at(s, hole).value = 0
    s.used -= 1


@kentry
def rehash_entries(s, old):
    """Put all that the array ``old`` of entries holds into the entries, which are free. Modifies entries."""
    for i in range(old.shape[0]):
        if old[np.uint64(i)].value != 0:
            entry = entry_at(s, find_entry(s, old[np.uint64(i)].key))
            entry.key = old[np.uint64(i)].key
            entry.value = old[np.uint64(i)].value


class RecordingState:
    """The record and the arrays of its tables.

    Parameters
    ----------
    data : numpy.ndarray of uint8
        The file's bytes.
    """

    def __init__(self, data):
        self.record = np.zeros(1, RECORDING)[0]
        self.tables = {}
        self.set_table("data", data)
        self.rewind()

    def set_table(self, name, array):
        """Let table ``name`` be ``array``."""
        self.tables[name] = array
        self.record[f"{name}_at"] = array.ctypes.data
        self.record[f"{name}_cap"] = self.record[f"{name}_len"] = len(array)

    def rewind(self):
        """Forget all addresses: records are read from the first one on."""
        self.set_table("last", np.zeros(SORTS, np.uint64))

    def make_tables(self, rows, spans, entries):
        """Make the columns, ``rows[name]`` of each, and what is kept meanwhile of ``spans`` spans."""
        for name, dtype in COLUMNS.items():
            self.set_table(name, np.zeros(rows[name], dtype))
        procs = np.zeros(ALL_PS, PROC)
        for name in ("begun", "sweepone", "taken", "refilled"):
            procs[name] = -1
        self.set_table("procs", procs)
        self.set_table("elem_size", make_classes()[0])
        self.set_table("rows", np.zeros(spans, ROW))
        self.set_table("entries", np.zeros(entries, ENTRY))

    def grow_column(self, name):
        """Make a column twice as long."""
        old = self.tables[name]
        self.set_table(name, np.append(old, np.zeros_like(old)))

    def grow_entries(self):
        """Make the hash table twice as large."""
        old = self.tables["entries"]
        self.set_table("entries", np.zeros(2 * len(old), ENTRY))
        with np.errstate(over="ignore"):
            rehash_entries(self.record, old)
