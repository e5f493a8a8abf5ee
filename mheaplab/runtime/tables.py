"""Access to the kernel's growable tables, and to the words of the flat ones.

``span(h, i)`` is the record of span ``i``, ``heap_arena(h, i)`` that of arena ``i`` (1 is the first), and so on: the
counterparts of following a pointer in Go.  An index that is not below the table's length raises ``IndexError``.

``gc_bits(h, w)`` is the bitmap that starts at word ``w``, as sixteen words of which the caller uses as many as the
span has objects for: Go's ``*gcBits``.  ``chunk_of`` in ``mpagealloc`` goes to ``palloc_data`` by chunk index.
"""

import numpy as np

from ._jit import kinline
from .intrinsics import make_record_table, make_word_table
from .records import struct
from .sim_structs import CYCLE, SAMPLE
from .structs import (
    ADDR_RANGE,
    FINALIZER,
    HEAP,
    HEAP_ARENA,
    MAX_OBJECTS_PER_SPAN,
    MSPAN,
    PALLOC_DATA,
    SPAN_ROW,
    SPAN_SET_BLOCK,
    SPECIAL,
    STACK_SLOTS,
    TINY_COUNTS,
)

GC_BITS = struct(("word", "u8", (MAX_OBJECTS_PER_SPAN // 64,)))
_U8 = np.dtype("u8")

span = make_record_table(HEAP, "spans", MSPAN)
heap_arena = make_record_table(HEAP, "heap_arenas", HEAP_ARENA)
palloc_data = make_record_table(HEAP, "pallocs", PALLOC_DATA)
set_block = make_record_table(HEAP, "set_blocks", SPAN_SET_BLOCK)
in_use_range = make_record_table(HEAP, "in_use", ADDR_RANGE)
os_range = make_record_table(HEAP, "os_ranges", ADDR_RANGE)
special = make_record_table(HEAP, "specials", SPECIAL)
finalizer = make_record_table(HEAP, "finalizers", FINALIZER)
tiny_counts = make_record_table(HEAP, "tiny_counts", TINY_COUNTS)
sample_row = make_record_table(HEAP, "samples", SAMPLE)
cycle_row = make_record_table(HEAP, "cycles", CYCLE)
stack_slots = make_record_table(HEAP, "stack_slots", STACK_SLOTS)
span_row = make_record_table(HEAP, "span_log", SPAN_ROW)
gc_bits = make_record_table(HEAP, "gc_bits", GC_BITS, stride=8)
objects, objects_set = make_word_table(HEAP, "objects", _U8)
deaths, deaths_set = make_word_table(HEAP, "deaths", _U8)
gc_bits_word, gc_bits_set_word = make_word_table(HEAP, "gc_bits", _U8)
arena_map, arena_map_set = make_word_table(HEAP, "arena_map", np.dtype("u4"))
scav_chunks, scav_chunks_set = make_word_table(HEAP, "scav_chunks", _U8)
_summary_word, _summary_set_word = make_word_table(HEAP, "summary", _U8)


@kinline
def summary(h, level, i):
    """Return the packed pallocSum ``i`` of ``level`` (0 is the root)."""
    return _summary_word(h, np.int64(h.level_offset[level]) + np.int64(i))


@kinline
def summary_set(h, level, i, packed):
    """Store the packed pallocSum ``i`` of ``level``."""
    _summary_set_word(h, np.int64(h.level_offset[level]) + np.int64(i), packed)
