"""PageBits: what the heap knows of each page of one chunk, bit by bit.

A chunk is 512 pages, 4 MiB, the unit of the page allocator.  Two bitmaps belong to the allocator (mpallocbits.go),
three to the arena that the chunk is in (heapArena, mheap.go), and each P may keep some free pages in its page cache.
"""

from dataclasses import dataclass

import numpy as np

from ..runtime.structs import ARENA_BASE_OFFSET, PAGE_SHIFT, PALLOC_CHUNK_BYTES, PALLOC_CHUNKS_L2
from ..runtime.structs import PALLOC_CHUNK_PAGES as PAGES

NO_OWNER = -1


@dataclass(frozen=True)
class PageBits:
    """The bitmaps of one chunk.

    Attributes
    ----------
    base : int
        Address of the first page.
    grown : bool
        Whether the heap has grown into the chunk; if not, all bits are 0.
    alloc : numpy.ndarray of bool, shape (512,)
        Not free for the page allocator: in a span, or in a P's page cache.
    scavenged : numpy.ndarray of bool
        Free, and returned to the OS (or never touched).
    cached : numpy.ndarray of int
        Number of the P whose page cache has the page, -1 for none.
    in_use, marks, specials : numpy.ndarray of bool
        The arena's pageInUse, pageMarks and pageSpecials: of a span only the bit of its first page is used.
    """

    base: int
    grown: bool
    alloc: np.ndarray
    scavenged: np.ndarray
    cached: np.ndarray
    in_use: np.ndarray
    marks: np.ndarray
    specials: np.ndarray


def unpack(words):
    """Return 64-bit words as bools, the lowest bit first."""
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").astype(bool)


def _cached(h, base):
    """Return the P that keeps each page of the chunk at ``base``, -1 for none."""
    owner = np.full(int(PAGES), NO_OWNER, np.int16)
    for p, pp in enumerate(h.allp):
        first = (int(pp.pcache.base_addr) - base) >> int(PAGE_SHIFT)
        if pp.pcache.cache and 0 <= first < int(PAGES):
            owner[first + np.flatnonzero(unpack(np.array([pp.pcache.cache], "<u8")))] = p
    return owner


def take_page_bits(state, addr):
    """Return the :class:`PageBits` of the chunk that holds ``addr``, of a ``HeapState`` or a ``Look``."""
    h = state.h
    base = addr & -int(PALLOC_CHUNK_BYTES)
    chunk = (base + int(ARENA_BASE_OFFSET)) // int(PALLOC_CHUNK_BYTES)
    block = int(h.chunks_l1[chunk // int(PALLOC_CHUNKS_L2)])
    ranges = state.tables["in_use"][: int(h.in_use_len)]
    grown = bool(((ranges["base_addr"] <= base) & (base < ranges["limit"])).any())
    none = np.zeros(int(PAGES), bool)
    bits = {"alloc": none, "scavenged": none, "in_use": none, "marks": none, "specials": none}
    if grown:
        data = state.tables["pallocs"][block + chunk % int(PALLOC_CHUNKS_L2)]
        bits |= {name: unpack(data[name]["w"]) for name in ("alloc", "scavenged")}
    arena_bytes = 1 << int(h.params.log_arena_bytes)
    rows = state.tables["heap_arenas"][: int(h.heap_arenas_len)]
    for row in rows[1:][rows["arena_idx"][1:] == (base + int(ARENA_BASE_OFFSET)) // arena_bytes]:
        first = base % arena_bytes >> int(PAGE_SHIFT)
        words = slice(first >> 6, (first + int(PAGES)) >> 6)
        bits |= {name: unpack(row[f"page_{name}"][words]) for name in ("in_use", "marks", "specials")}
    return PageBits(base, grown, cached=_cached(h, base), **bits)


def page_bits(heap, addr):
    """Return the bits of the 512 pages around ``addr`` of a heap, as they are now.

    Parameters
    ----------
    heap : Heap
    addr : int
        Any address; where the heap has not grown to, all bits are 0.

    Returns
    -------
    PageBits
    """
    return take_page_bits(heap.state, int(addr))
