"""Snapshot: the heap at one moment, as plain arrays for figures and questions.

A snapshot copies what it needs out of the kernel's state, so it stays valid while the heap goes on.
"""

from dataclasses import dataclass

import numpy as np

from .residents import Residents
from .runtime.structs import ARENA_BASE_OFFSET, MANUAL_CLASS, PAGE_SIZE, SPAN_DEAD, SPAN_MANUAL

HUGE_PAGE_BYTES = 2 << 20
PAGE_RESERVED = 0
PAGE_SCAVENGED = 1
PAGE_FREE = 2
PAGE_CACHED = 3
PAGE_SCAN = 4
PAGE_NOSCAN = 5
PAGE_LARGE = 6
PAGE_STACK = 7
PAGE_OTHER = 8
PAGE_STATE_NAMES = (
    "reserved, not yet mapped",
    "free, returned to the OS",
    "free, backed by memory",
    "in a P's page cache",
    "small objects with pointers",
    "small objects, noscan",
    "large object",
    "goroutine stacks",
    "runtime (bitmaps, work buffers)",
)
"""What a page is used for, by code; the codes are the values of ``Snapshot.pages``."""

SPAN_COLUMNS = np.dtype(
    [
        ("base", "u8"),  # address
        ("npages", "i8"),
        ("span_class", "u4"),  # size class * 2 + noscan; 0xffff manual
        ("state", "u1"),  # PAGE_SCAN .. PAGE_OTHER
        ("needzero", "u1"),
        ("elemsize", "i8"),  # bytes of a slot; 0 manual
        ("nelems", "i4"),
        ("alloc_count", "i4"),  # objects allocated and not yet swept away
        ("event", "i8"),  # the event that allocated the span (low 32 bits)
    ]
)


@dataclass(frozen=True)
class Snapshot:
    """The heap after ``event`` events.

    Attributes
    ----------
    event : int
        Events applied so far.
    arena_bytes : int
        Bytes of an arena.
    arenas : numpy.ndarray of uint64, shape (n,)
        Base addresses, rising.
    pages : numpy.ndarray of uint8, shape (n, pages per arena)
        What each page is used for: an index into ``PAGE_STATE_NAMES``.
    page_span : numpy.ndarray of int32, shape (n, pages per arena)
        Row of ``spans`` that holds the page, -1 for none.
    spans : numpy.ndarray, structured
        Spans in use (heap and manual) by rising address; columns ``SPAN_COLUMNS``.
    class_sizes : numpy.ndarray of int64
        Slot size in bytes of each size class, class 0 (large) 0.
    huge_bytes : int
        Bytes of huge pages in full use.
    memstats : dict
        MemStats at this moment without a flush (mcaches hold objects not yet counted).
    residents : Residents or None
        Who lives in each span, where that was asked for.
    state_names : tuple of str or None
        Names of page states; None where this heap cannot tell a state.
    """

    event: int
    arena_bytes: int
    arenas: np.ndarray
    pages: np.ndarray
    page_span: np.ndarray
    spans: np.ndarray
    class_sizes: np.ndarray
    memstats: dict
    residents: Residents | None = None
    state_names: tuple = PAGE_STATE_NAMES

    @property
    def huge_bytes(self):
        """Bytes of aligned 2 MiB huge pages of which every page is in a span (``runtime.mhuge``)."""
        whole = (self.pages >= PAGE_SCAN).reshape(-1, HUGE_PAGE_BYTES // int(PAGE_SIZE)).all(axis=1)
        return int(whole.sum()) * HUGE_PAGE_BYTES


def _take_spans(state):
    """Return the spans in use by rising address, with their page state."""
    h = state.h
    table = state.tables["spans"][1 : int(h.spans_len)]
    table = table[(table["state"] != SPAN_DEAD) & (table["unused"] == 0)]
    table = table[np.argsort(table["start_addr"], kind="stable")]
    spans = np.zeros(len(table), SPAN_COLUMNS)
    for name in ("npages", "needzero", "elemsize", "nelems", "alloc_count", "event"):
        spans[name] = table[name]
    spans["base"] = table["start_addr"]
    manual = table["state"] == SPAN_MANUAL
    spans["elemsize"][manual] = 0  # of a stack span Go keeps the bytes of a stack there
    spans["span_class"] = np.where(manual, MANUAL_CLASS, table["spanclass"])
    small = np.where(table["spanclass"] & 1, PAGE_NOSCAN, PAGE_SCAN)
    heap = np.where(table["spanclass"] >> 1 == 0, PAGE_LARGE, small)
    spans["state"] = np.where(manual, np.where(table["alloc_type"] == 1, PAGE_STACK, PAGE_OTHER), heap)
    return spans


def _chunk_bits(state, first_chunk, count, which):
    """Return bitmap ``which`` of ``count`` chunks from ``first_chunk`` on, as bools, one per page."""
    h = state.h
    bits = np.zeros((count, 64), np.uint8)
    for k in range(count):
        ci = first_chunk + k
        l2 = int(h.chunks_l1[ci >> 13])
        if l2:
            data = state.tables["pallocs"][l2 + (ci & 8191)]
            bits[k] = np.frombuffer(data[which]["w"].tobytes(), np.uint8)
    return np.unpackbits(bits, axis=1, bitorder="little").reshape(-1).astype(bool)


def _page_states(state, arena, arena_bytes):
    """Return the state of each page of one arena as far as spans do not say: reserved, free, scavenged, cached."""
    n = arena_bytes // int(PAGE_SIZE)
    first = (arena + int(ARENA_BASE_OFFSET)) >> 22
    scavenged = _chunk_bits(state, first, arena_bytes >> 22, "scavenged")
    known = np.zeros(n, bool)
    for low, high in state.tables["in_use"][: int(state.h.in_use_len)][["base_addr", "limit"]].tolist():
        known[max(low - arena, 0) >> 13 : max(min(high - arena, arena_bytes), 0) >> 13] = True
    pages = np.where(known, np.where(scavenged, PAGE_SCAVENGED, PAGE_FREE), PAGE_RESERVED).astype(np.uint8)
    caches = state.h.allp["pcache"]
    for k in np.flatnonzero(caches["cache"]).tolist():
        offset = int(caches["base_addr"][k]) - arena
        if 0 <= offset < arena_bytes:
            word = np.array([caches["cache"][k]], "<u8").view(np.uint8)
            owned = np.unpackbits(word, bitorder="little").astype(bool)
            pages[(offset >> 13) + np.flatnonzero(owned)] = PAGE_CACHED
    return pages


def enter_spans(arenas, spans, pages):
    """Enter the states of ``spans`` into ``pages``, a row per arena; return the row of each page's span, or -1."""
    owner = np.full(pages.shape, -1, np.int32)
    # Each page of each span, as position in the flattened arenas; a span may cross into the next arena.
    row = np.repeat(np.arange(len(spans)), spans["npages"])
    within = np.arange(len(row)) - np.repeat(np.cumsum(spans["npages"]) - spans["npages"], spans["npages"])
    address = spans["base"].astype(np.int64)[row] + within * int(PAGE_SIZE)
    arena = np.searchsorted(arenas, address, side="right") - 1
    page = (address - arenas[arena]) >> 13
    owner[arena, page] = row
    pages[arena, page] = spans["state"][row]
    return owner


def take_snapshot(state, event, memstats):
    """Copy the heap of ``state`` (a ``HeapState``) into a :class:`Snapshot`."""
    h = state.h
    arena_bytes = 1 << int(h.params.log_arena_bytes)
    used = state.tables["heap_arenas"][1 : int(h.heap_arenas_len)]["arena_idx"]
    arenas = np.sort(used * arena_bytes - int(ARENA_BASE_OFFSET)).astype(np.int64)
    per_arena = arena_bytes // int(PAGE_SIZE)
    pages = np.zeros((len(arenas), per_arena), np.uint8)
    for k, arena in enumerate(arenas.tolist()):
        pages[k] = _page_states(state, arena, arena_bytes)
    spans = _take_spans(state)
    owner = enter_spans(arenas, spans, pages)
    sizes = h.params.class_to_size[: int(h.params.n_classes)].astype(np.int64)
    return Snapshot(int(event), arena_bytes, arenas.astype(np.uint64), pages, owner, spans, sizes, memstats)
