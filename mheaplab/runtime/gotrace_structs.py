"""gotrace_structs: what is known of a program's heap while its execution trace is read, as records.

Spans and slots are named as the trace names them: a page, or an address in units of 8 bytes, from the heap's first.
Time is counted in bytes of slots that were taken since the trace began (``clock``), as collectors count age.
"""

import numpy as np

from .exectrace_structs import MAP
from .intrinsics import make_record_table, make_word_table
from .records import struct
from .structs import MAX_CLASSES

FINE = 0
NEEDS_ROOM = 1
FULL = 2
BROKEN = 3
"""How a call ended."""

MANUAL = np.uint64(0xFF)
"""In place of 1 + span class: a span of the runtime's own."""
ONE, BYTE, PAGES_BITS, OFFSET_BITS = np.uint64(1), np.uint64(0xFF), np.uint64(16), np.uint64(8)
"""A word of the map of spans: pages, then eight bits of the page's place in its span, then MANUAL or 1 + class."""
MAX_PAGES = np.uint64(1 << 34)
"""Pages of the largest span: all of the address space."""
UNKNOWN_AGE = np.int64(-1)
"""In place of the clock at birth: the object was there when the trace began."""

LIVING = struct(
    ("born", "i8"),  # objects: clock at birth, which names them, or UNKNOWN_AGE; stacks: their bytes
    ("spc", "u1"),  # span class of an object
    ("lives", "u1"),
    ("kind", "u4"),  # type of an object: its number in its generation plus that one's ``type_base``, 0 if not known
)
"""An object or a stack, by its number in the trace to be; of a free number, the last one that had it."""

GO_ROW = struct(
    ("kind", "u1"),
    ("p", "u1"),
    ("spc", "u1"),  # span class of an object
    ("_pad", "u1"),
    ("id", "u4"),
    ("amount", "u8"),  # bytes; as ``size`` of a trace
    ("time", "u8"),
    ("clock", "i8"),  # after it
)
"""A row of a trace to which only deaths are missing."""
FOUND = struct(
    ("id", "u4"),
    ("collection", "i4"),  # whose sweep found it, from 1; 0 for none of those in the trace
    ("born", "i8"),
    ("low", "i8"),
    ("high", "i8"),
    ("cap", "i8"),
    ("spc", "i8"),
)
"""An object that was found dead: it died when the clock was between ``low`` and ``high``, before row ``cap``."""
MARK = struct(("row", "i8"), ("clock", "i8"), ("end_clock", "i8"), ("begun", "i8"), ("ended", "i8"))
"""A collection that ended: where and when (ns; -1: before the trace) it began to mark, and when it had marked."""

TABLES = {"living": LIVING, "free": np.dtype("u4"), "rows": GO_ROW, "found": FOUND, "marks": MARK}

GO_HEAP = struct(
    ("clock", "i8"),
    ("rows", "i8"),  # rows handed out so far
    ("first_time", "i8"),  # ns, of the first event
    ("latest_time", "i8"),
    ("started", "u1"),
    ("rarer", "u8"),  # only slots on every 2**rarer-th page, by a hash, are followed; of others bytes are counted
    ("in_prologue", "u1"),  # nothing but what existed has come so far
    ("prologue", "i8"),  # rows of what existed
    ("prologue_clock", "i8"),
    # Collections: where the last two that ended began to mark, and where one that runs did.
    ("collections", "i8"),  # that ended
    ("marking", "u1"),
    ("begun_time", "i8"),
    ("begun_clock", "i8"),
    ("begun_row", "i8"),
    ("last_clock", "i8"),
    ("last_row", "i8"),
    ("before_clock", "i8"),
    ("before_row", "i8"),
    # Numbers of objects and stacks.
    ("numbers", "i8"),  # given out so far
    ("free_len_used", "i8"),  # of these, free again
    # Accounts of Go's own heap.
    ("heap_spans", "i8"),
    ("heap_pages", "i8"),
    ("manual_pages", "i8"),
    ("slots_bytes", "i8"),  # slots taken
    ("objects_in", "i8"),
    # What became of the events.
    ("n_objects", "i8"),  # that were there at first
    ("n_stacks", "i8"),
    ("n_tiny", "i8"),  # allocations in a tiny block that was open
    ("n_reused", "i8"),  # slots taken again that nobody had freed
    ("n_dead_at_start", "i8"),  # found dead by a collection from before the trace
    ("n_unknown", "i8"),  # ends of what is not there
    # How the last call ended.
    ("n_rows", "i8"),  # rows filled of each table
    ("n_found", "i8"),
    ("n_marks", "i8"),
    ("fault", "i8"),
    ("fault_a", "i8"),
    ("fault_b", "i8"),
    # Size classes, and what a span class needs.
    ("class_to_size", "i8", (MAX_CLASSES,)),
    ("class_to_allocnpages", "i8", (MAX_CLASSES,)),
    ("class_to_divmagic", "u8", (MAX_CLASSES,)),
    ("n_classes", "i8"),
    # Numbers of types mean something within a generation only.
    ("type_base", "u8"),
    ("type_most", "u8"),  # the highest number of the generation at hand
    ("spans", MAP),
    ("objects", MAP),
    ("stacks", MAP),
    ("types", MAP),
    *((f"{name}{end}", "i8") for name in TABLES for end in ("_at", "_cap", "_len")),
)
MAPS = ("spans", "objects", "stacks", "types")

living_at = make_record_table(GO_HEAP, "living", LIVING)
free_at, free_set = make_word_table(GO_HEAP, "free", TABLES["free"])
row_at = make_record_table(GO_HEAP, "rows", GO_ROW)
found_at = make_record_table(GO_HEAP, "found", FOUND)
mark_at = make_record_table(GO_HEAP, "marks", MARK)


MAX_CLOCK = np.int64(1 << 60)
NO_CAP = np.int64(1 << 62)

FAULTS = (
    "fine",
    "a span of {a} pages and class {b}, which no span of Go has",
    "a span at page {a}, where there is one already",
    "an object at {a} * 8 bytes from the heap's start, where there is no span",
    "an object at {a} * 8 bytes from the heap's start, in a span of the runtime's own",
    "a stack of 2**{a} bytes, expected 2**11 to 2**31",
    "an object at {a} * 8 bytes from the heap's start, which is beyond the slots of its span",
    "more than 2**60 bytes in all",
)
"""Messages by fault; {a} and {b} are ``fault_a`` and ``fault_b``."""
OK, BAD_SPAN, SPAN_TWICE, NO_SPAN, MANUAL_SPAN, BAD_STACK, NO_SLOT, TOO_MUCH = map(np.int64, range(len(FAULTS)))
