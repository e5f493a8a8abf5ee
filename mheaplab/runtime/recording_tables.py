"""recording_tables: what reading a recording works on: one record, and the tables whose addresses it holds.

The tables are the file's bytes; the columns of the case that is made, and of its truth; and what is kept meanwhile:
for each P what it is in the middle of, for each span what is still asked about it, and a hash table from addresses to
events and spans.  ``RecordingState`` holds the arrays themselves.

The hash table (linear probing) is made once, for as many objects as are alive at once; scanning has counted them.  A
record of a file may have no more than 6 bytes, so an entry has 8 and not its key beside its value: 32 bits of the key's
hash, which say where it belongs, and the number of the event or span plus 1.  The key stands where that number leads: a
span's base in the truth, an object's slot in ``ref``, which an allocation has no other use for; whoever dies gets its
-1 back, and at the end so does everybody else.
"""

import numpy as np

from ._jit import kentry, kinline, kjit
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
WORDS = {"data": "u1", "last": "u8", "elem_size": "i8", "entries": "u8"} | COLUMNS

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
    ("use", "i4"),  # 0: objects; FREED; else manual
    ("swept", "i4"),  # the collection after which it was allocated or last swept
)
FREED = 255
MOST_EVENTS = (1 << 32) - 2
"""Events and spans that an entry of the hash table can name."""
ONE, HALF_WORD, LOW_HALF = np.uint64(1), np.uint64(32), np.uint64(0xFFFFFFFF)

RECORDING = struct(
    ("fault", "i8"),  # why the last call stopped
    ("records", "i8"),  # scanned
    ("most_procs", "i8"),  # the most Ps that there were
    ("live", "i8"),  # slots taken, if every record is right,
    ("most_live", "i8"),  # and the most at once
    ("dead_counted", "i8"),  # slots that sweeps say are dead
    ("event", "i8"),  # rows made so far: events,
    ("span", "i8"),  # spans,
    ("died", "i8"),  # and of the lists
    ("marked", "i8"),
    ("kept", "i8"),
    ("collection", "i8"),  # collections whose sweep has begun
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
    *((f"{name}{end}", "i8") for name in (*WORDS, "procs", "rows") for end in ("_at", "_cap", "_len")),
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
slot_of, set_ref = _words("ref")
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
entry_at, set_entry = _words("entries")


@kinline
def hash_of(key):
    """Return what an entry keeps of ``key``: 31 bits of its hash, and its lowest bit, which spans have set."""
    return ((mix(key) >> HALF_WORD) & ~ONE) | (key & ONE)


@kinline
def home_of(s, hashed):
    """Return where an entry with this hash belongs."""
    return np.int64((hashed * np.uint64(s.entries_len)) >> HALF_WORD)


@kinline
def value_of(entry):
    """Return the event or span of an entry, or -1 of a free one."""
    return np.int64(entry & LOW_HALF) - 1


@kjit
def key_of(s, entry):
    """Return the key of an entry that is not free."""
    if (entry >> HALF_WORD) & ONE != 0:
        return span_base(s, value_of(entry)) | ONE
    return np.uint64(slot_of(s, value_of(entry)))


@kinline
def next_entry(s, at):
    """Return the number of the entry after ``at``."""
    return np.int64(0) if at + 1 == s.entries_len else at + 1


@kjit
def find_entry(s, key):
    """Return the number of the entry of ``key``, or of the free one where it would be put."""
    hashed = hash_of(key)
    at = home_of(s, hashed)
    while True:
        entry = entry_at(s, at)
        if entry == 0 or (entry >> HALF_WORD == hashed and key_of(s, entry) == key):
            return at
        at = next_entry(s, at)


@kjit
def look_up(s, key):
    """Return what ``key`` stands for, or -1."""
    return value_of(entry_at(s, find_entry(s, key)))


@kjit
def put_entry(s, at, key, value):
    """Let ``key``, whose entry is ``at``, stand for ``value``. Modifies entries; the key is the caller's to keep."""
    set_entry(s, at, (hash_of(key) << HALF_WORD) | np.uint64(value + 1))


@kjit
def remove_entry(s, at):
    """Free entry ``at`` and move back what would no longer be found. Modifies entries."""
    hole = at
    while True:
        at = next_entry(s, at)
        moved = entry_at(s, at)
        if moved == 0:
            break
        # It may move if its own place is not between the hole and where it stands.
        from_home, from_hole = at - home_of(s, moved >> HALF_WORD), at - hole
        if from_home < 0:
            from_home += s.entries_len
        if from_hole < 0:
            from_hole += s.entries_len
        if from_home >= from_hole:
            set_entry(s, hole, moved)
            hole = at
    set_entry(s, hole, 0)


@kentry
def forget_slots(s):
    """Let all that still live refer to nothing. Modifies ref; nothing can be looked up after that."""
    for at in range(s.entries_len):
        entry = entry_at(s, at)
        if entry != 0 and (entry >> HALF_WORD) & ONE == 0:
            set_ref(s, value_of(entry), -1)


def entries_for(n):
    """Return how many entries the hash table has for ``n`` keys: a third is always free."""
    return n + n // 2 + 2


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

    def make_tables(self, rows, spans, live):
        """Make the columns, ``rows[name]`` of each, and what is kept of ``spans`` spans and ``live`` objects."""
        for name, dtype in COLUMNS.items():
            self.set_table(name, np.zeros(rows[name], dtype))
        procs = np.zeros(ALL_PS, PROC)
        for name in ("begun", "sweepone", "taken", "refilled"):
            procs[name] = -1
        self.set_table("procs", procs)
        self.set_table("elem_size", make_classes()[0])
        self.set_table("rows", np.zeros(spans, ROW))
        self.set_table("entries", np.zeros(entries_for(spans + live), np.uint64))

    def forget_entries(self):
        """Have no hash table any more, and its memory back."""
        forget_slots(self.record)
        self.set_table("entries", np.zeros(0, np.uint64))

    def grow_column(self, name):
        """Make a column twice as long."""
        old = self.tables[name]
        self.set_table(name, np.zeros(2 * len(old), old.dtype))
        self.tables[name][: len(old)] = old
