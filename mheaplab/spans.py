"""Span: one span of a heap at one moment, with its bitmaps and specials, as plain values.

Named as the fields of Go's mspan.  A ``Span`` is a copy: it stays as it was while the heap goes on.
"""

from dataclasses import dataclass

import numpy as np

from .runtime.structs import PAGE_SIZE, SPAN_IN_USE, SPAN_MANUAL, SPAN_STATE_NAMES, SPECIAL_NAMES

SPAN_TYPE_NAMES = ("heap", "stack", "pointer and scalar bits", "work buffer")
"""What a span is allocated for (spanAllocType), by number."""


@dataclass(frozen=True)
class Special:
    """A record hung on an object.

    Attributes
    ----------
    addr : int
        Address of the object, or of the byte within a tiny block.
    kind : str
        "finalizer", "profile", "reachable", and in Go 1.27 "weak handle", "pin counter", "cleanup", "tiny block".
    value : int
        What it carries: the function's number, the profile's bucket, the count of pins.
    """

    addr: int
    kind: str
    value: int


@dataclass(frozen=True)
class Span:
    """A run of pages.

    Attributes
    ----------
    base, limit : int
        First address, and the end of the data in it.
    npages : int
        Pages of 8 KiB.
    state : str
        "mSpanDead", "mSpanInUse" or "mSpanManual".
    type : str
        What it is allocated for: "heap", "stack", ...
    span_class, sizeclass : int
    noscan : bool
        Whether its objects have no pointers.
    elemsize, nelems : int
        Bytes of a slot, and slots.
    freeindex : int
        Slots below it are taken; from it on the alloc bits tell.
    alloc_count : int
        Slots allocated.
    alloc_cache : int
        Complement of the alloc bits from freeindex on (64 bits).
    sweepgen, heap_sweepgen : int
        Two less: needs sweeping; equal: swept; three more: swept and in an mcache.
    needzero : bool
        Whether the memory may hold old contents.
    scav : int
        Bytes of it that were scavenged when it was allocated.
    in_list : bool
        Whether it is in an mSpanList.
    alloc_bits, gcmark_bits : numpy.ndarray of bool, shape (nelems,)
    specials : tuple of Special
        By offset and kind.
    """

    base: int
    limit: int
    npages: int
    state: str
    type: str
    span_class: int
    elemsize: int
    nelems: int
    freeindex: int
    alloc_count: int
    alloc_cache: int
    sweepgen: int
    heap_sweepgen: int
    needzero: bool
    scav: int
    in_list: bool
    alloc_bits: np.ndarray
    gcmark_bits: np.ndarray
    specials: tuple

    @property
    def sizeclass(self):
        """The size class: half of the span class."""
        return self.span_class >> 1

    @property
    def noscan(self):
        """Whether the objects have no pointers."""
        return bool(self.span_class & 1)

    @property
    def allocated(self):
        """Which slots are allocated: those below freeindex and those of the alloc bits (bool array)."""
        return self.alloc_bits | (np.arange(self.nelems) < self.freeindex)

    def layout(self):
        """mspan.layout: bytes of a slot, slots that fit into the span, bytes of the span."""
        total = self.npages * int(PAGE_SIZE)
        return self.elemsize, total // self.elemsize if self.elemsize else 0, total

    def slot(self, addr):
        """mspan.objIndex: index of the slot that holds ``addr``."""
        if not self.base <= addr < self.limit or not self.elemsize:
            raise ValueError(f"addr = {addr:#x} is outside its legal range: {self.base:#x} to {self.limit - 1:#x}")
        return (addr - self.base) // self.elemsize

    def __str__(self):
        what = f"spanclass {self.span_class} elemsize {self.elemsize}" if self.state == "mSpanInUse" else self.type
        return (
            f"span {self.base:#x} npages {self.npages} {self.state} {what} allocCount {self.alloc_count}/{self.nelems} "
            f"freeindex {self.freeindex} sweepgen {self.sweepgen}/{self.heap_sweepgen} needzero {int(self.needzero)}"
        )


def _bits(words, first, count):
    """Return ``count`` bits from word ``first`` of a table of words, as bools."""
    raw = np.ascontiguousarray(words[first : first + (count + 63) // 64]).view(np.uint8)
    return np.unpackbits(raw, bitorder="little")[:count].astype(bool)


def take_specials(state, head, base):
    """Return the list of specials that begins at record ``head`` of a ``HeapState``."""
    rows = state.tables["specials"]
    found = []
    while head:
        row = rows[head]
        found.append(Special(base + int(row["offset"]), SPECIAL_NAMES[int(row["kind"])], int(row["value"])))
        head = int(row["next"])
    return tuple(found)


def take_span(state, index):
    """Copy span ``index`` of a ``HeapState`` into a :class:`Span`."""
    row = state.tables["spans"][index]
    words = state.tables["gc_bits"]
    in_use = row["state"] == SPAN_IN_USE
    n = int(row["nelems"]) if in_use else 0
    base = int(row["start_addr"])
    return Span(
        base=base,
        limit=int(row["limit"]),
        npages=int(row["npages"]),
        state=SPAN_STATE_NAMES[int(row["state"])],
        type=SPAN_TYPE_NAMES[int(row["alloc_type"])],
        span_class=int(row["spanclass"]),
        elemsize=int(row["elemsize"]),
        nelems=n,
        freeindex=int(row["freeindex"]),
        alloc_count=int(row["alloc_count"]),
        alloc_cache=int(row["alloc_cache"]),
        sweepgen=int(row["sweepgen"]),
        heap_sweepgen=int(state.h.sweepgen),
        needzero=bool(row["needzero"]),
        scav=int(row["scav"]),
        in_list=bool(row["list"]),
        alloc_bits=_bits(words, int(row["alloc_bits"]), n),
        gcmark_bits=_bits(words, int(row["gcmark_bits"]), n),
        specials=take_specials(state, int(row["specials"]), base) if in_use else (),
    )


def span_indexes(state):
    """Return the indexes of all spans in use of a ``HeapState``, by rising address."""
    rows = state.tables["spans"][: int(state.h.spans_len)]
    used = np.flatnonzero(((rows["state"] == SPAN_IN_USE) | (rows["state"] == SPAN_MANUAL)) & (rows["unused"] == 0))
    return used[np.argsort(rows["start_addr"][used], kind="stable")].tolist()
