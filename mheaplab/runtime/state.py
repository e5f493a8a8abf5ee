"""The memory of one heap: the ``HEAP`` record and its tables, as NumPy arrays, and how they grow.

``new_state`` makes an empty heap from a filled ``HEAP_PARAMS`` record.  Tables start small in pages touched, not in
pages reserved: zeroed NumPy arrays of this size come from the OS untouched and cost nothing until written.  When the
kernel reports that a table has no room, ``HeapState.grow`` moves the full ones into arrays of twice the room (or what
one huge allocation needs) and stores their new addresses in the record; compiled code does not change.  So nothing is
limited to a size chosen in advance; a table that would exceed the machine's memory raises ``MemoryError``.

Plain Python (no kernel functions): runs between batches of events.
"""

import os

import numpy as np

from .mfixalloc import fixalloc_init
from .mheap_grow import arena_hints_init
from .mksizeclasses import class_objects
from .mpagealloc import page_alloc_init
from .sim_structs import DEATH_ROOM
from .structs import (
    FIXED_TABLES,
    GC_BITS_CHUNK_WORDS,
    HEAP,
    HEAP_ADDR_BITS,
    MAX_CLASSES,
    MAX_OBJECTS_PER_SPAN,
    MAX_SPAN_CLASSES,
    MSPAN_CACHE_LEN,
    NO_P,
    PALLOC_CHUNKS_L2,
    SPECIAL_KINDS,
    SUMMARY_L0_BITS,
    SUMMARY_LEVEL_BITS,
    SUMMARY_LEVELS,
    TABLES,
    WHOLE_TABLES,
)

FIRST_SWEEPGEN = 0
ROOM = {
    "spans": 1 << 18,
    "heap_arenas": 1 << 9,
    "pallocs": 4 * PALLOC_CHUNKS_L2,
    "gc_bits": 1 << 22,
    "in_use": 64,
    "os_ranges": 64,
    "specials": 1 << 10,
    "finalizers": 1 << 10,
    "stack_slots": 1 << 8,
    "span_log": 1 << 16,
    "objects": 1,
    "deaths": 1,
    "tiny_counts": 2,
    "samples": 1,
    "cycles": 1,
}
"""Items that a table has room for at first (2 GiB of spans of one page, 32 GiB of arenas)."""
SIM_ROOM = {
    "span_log": 1,
    "objects": 1 << 16,
    "deaths": 1 << 16,
    "tiny_counts": 1 << 8,
    "samples": 1 << 10,
    "cycles": 1 << 8,
}
"""The same for a run of the twin's own, which has tables that a replay does not need."""

_SLACK = 64 + MAX_OBJECTS_PER_SPAN // 8
"""Bytes beside a table: to begin on a cache line, and to read a bitmap near the end as sixteen words."""


def _set_blocks_for(spans):
    return 2 * (spans // 512 + 2) + 4 * MAX_SPAN_CLASSES + 8


def _total_memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def mheap_init(h):
    """mheap.init: make the zeroed record ``h``, whose parameters and tables are set, an empty heap."""
    # Index 0 of every table of records is nil; the bitmap table's first arena and the chunk table's first block
    # are left out for the same reason. The pad lets a bitmap near the end be read as sixteen words.
    h.spans_len = h.heap_arenas_len = h.set_blocks_len = h.specials_len = h.stack_slots_len = h.tiny_counts_len = 1
    h.gc_bits_len = GC_BITS_CHUNK_WORDS
    h.pallocs_len = PALLOC_CHUNKS_L2
    h.sweepgen = FIRST_SWEEPGEN
    h.sweep_drained = 1
    h.sweep_arenas = 0
    h.reclaim_index = 1 << 62
    h.log_spans = 1
    h.gc_percent_goal = -1
    h.current_p = NO_P
    page_alloc_init(h)
    arena_hints_init(h)
    # A flat arenas map has a first level of one entry, which is there from the start.
    h.arena_l1[0] = h.params.arena_l1_bits == 0
    fixalloc_init(h.spanalloc, h.params.mspan_bytes)
    for kind in range(SPECIAL_KINDS):
        fixalloc_init(h.specialalloc[kind], h.params.special_bytes[kind])
    sizes = h.params.class_to_size[:MAX_CLASSES].astype(np.int64)
    pages = h.params.class_to_allocnpages[:MAX_CLASSES].astype(np.int64)
    h.class_nelems[:] = class_objects(sizes, pages, h.params)


class HeapState:
    """The arrays of one heap.

    Parameters
    ----------
    params : numpy.void
        A filled ``HEAP_PARAMS`` record.
    room : dict of str to int, optional
        Items that single tables have room for at first, in place of ``ROOM``.
    occupied : sequence of (int, int), optional
        Address ranges [start, limit) that the simulated OS has given to something else.

    Attributes
    ----------
    h : numpy.record
        The ``HEAP`` record; kernel entry points take it.  It holds the tables' addresses but does not keep them alive:
        keep the ``HeapState`` as long as ``h`` is used.
    tables : dict of str to numpy.ndarray
        The arrays behind the record's tables.
    """

    def __init__(self, params, room=None, occupied=()):
        room = dict(ROOM, **(room or {}))
        room["os_ranges"] = max(room["os_ranges"], 2 * len(occupied) + 8)
        block = np.zeros(HEAP.itemsize + 64, "u1")
        skip = -block.ctypes.data % 64
        self.h = block[skip : skip + HEAP.itemsize].view(HEAP)[0]
        self._block = block
        self.tables = {}
        self.h.params = params
        log_arena = int(params["log_arena_bytes"])
        fixed = {
            "arena_map": 1 << (int(HEAP_ADDR_BITS) - log_arena),
            "summary": sum(1 << (SUMMARY_L0_BITS + SUMMARY_LEVEL_BITS * k) for k in range(SUMMARY_LEVELS)),
            "scav_chunks": 1 << (int(HEAP_ADDR_BITS) - 22 - 6),
        }
        room["set_blocks"] = _set_blocks_for(room["spans"])
        for name in TABLES:
            self._place(name, fixed[name] if name in FIXED_TABLES else room[name])
        mheap_init(self.h)
        self._occupy(occupied)

    def _occupy(self, ranges):
        """Enter the address ranges that something else occupies, joined where they touch or overlap."""
        rows = self.tables["os_ranges"]
        n = 0
        for start, limit in sorted(ranges):
            if n and start <= rows[n - 1]["limit"]:
                rows[n - 1]["limit"] = max(limit, int(rows[n - 1]["limit"]))
            else:
                rows[n] = (start, limit)
                n += 1
        self.h.os_ranges_len = n

    def _place(self, name, count):
        """Give table ``name`` a zeroed array for ``count`` items and carry the used ones over."""
        dtype = TABLES[name]
        if count * dtype.itemsize > _total_memory() and name not in FIXED_TABLES:
            raise MemoryError(f"the heap's table {name!r} would need {count * dtype.itemsize >> 20} MiB")
        raw = np.zeros(count * dtype.itemsize + _SLACK, "u1")
        skip = -raw.ctypes.data % 64
        new = raw[skip : skip + count * dtype.itemsize].view(dtype)
        used = int(self.h[f"{name}_len"])
        if name in self.tables:
            new[:used] = self.tables[name][:used]
        self.tables[name] = new
        self.h[f"{name}_at"] = new.ctypes.data
        self.h[f"{name}_cap"] = count
        if name in WHOLE_TABLES:
            self.h[f"{name}_len"] = count

    def grow(self, more_arenas=0):
        """Double every table that is more than half full; make room for ``more_arenas`` arenas.

        Raises
        ------
        MemoryError
            If a table would be larger than the machine's memory.
        """
        h = self.h
        # Every special there is may have to be queued once (specials_have_room).
        queued = 1 + int(h.specials_len)
        if int(h.need_objects) > int(h.objects_cap):
            self._place("objects", 2 * int(h.need_objects))
        more = {"spans": MSPAN_CACHE_LEN, "finalizers": queued, "deaths": int(DEATH_ROOM)}
        for name in ("spans", "specials", "finalizers", "stack_slots", "deaths", "tiny_counts"):
            used = int(h[f"{name}_len"]) + more.get(name, 1)
            if used * 2 > int(h[f"{name}_cap"]):
                self._place(name, 2 * used)
        self._place("set_blocks", max(int(h.set_blocks_cap), _set_blocks_for(int(h.spans_cap))))
        arenas = int(h.heap_arenas_len) + more_arenas
        if arenas * 2 > int(h.heap_arenas_cap):
            self._place("heap_arenas", 2 * arenas)
        chunks = arenas << (int(h.params["log_arena_bytes"]) - 22)
        want = (2 * chunks // PALLOC_CHUNKS_L2 + 4) * PALLOC_CHUNKS_L2 + int(h.pallocs_len)
        if want > int(h.pallocs_cap):
            self._place("pallocs", want)
        words = int(h.gc_bits_len) + 2 * int(h.bits_words) + 4 * int(GC_BITS_CHUNK_WORDS)
        if words * 2 > int(h.gc_bits_cap):
            self._place("gc_bits", 2 * words)
        for name in ("in_use", "os_ranges"):
            if int(h[f"{name}_len"]) * 2 > int(h[f"{name}_cap"]) - 6:
                self._place(name, 2 * int(h[f"{name}_cap"]))

    def take_rows(self, name="span_log", keep=0):
        """Return the rows of log ``name`` (span_log, samples, cycles) since the last call, less the last ``keep``."""
        table, used = self.tables[name], int(self.h[f"{name}_len"])
        rows = table[: used - keep].copy()
        table[:keep] = table[used - keep : used].copy()
        self.h[f"{name}_len"] = keep
        return rows
