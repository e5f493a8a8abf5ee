"""Look: the kernel's state at one moment, kept; Step and Story: what one call did, told by what differs between two.

Nothing in a story is known beforehand.  A ``Look`` is taken before the call and another after it; every number that a
step names was read from one of the two.  What the kernel did between them cannot be watched, since it runs a malloc in
one go: a step of Go's that left no trace in the state is not told, and a picture shows the state before the call or
after it, never one in between.

A ``Look`` copies what is in use of the tables, a few megabytes: this is for heaps that one drives by hand.
"""

from dataclasses import dataclass

import numpy as np

from ..runtime.structs import ARENA_BASE_OFFSET, PAGE_SHIFT, PALLOC_CHUNK_BYTES, PALLOC_CHUNKS_L2, SPAN_IN_USE
from ..spans import Span, take_span
from .page_bits import PageBits, take_page_bits

COPIED = ("spans", "gc_bits", "specials", "heap_arenas", "pallocs", "in_use", "finalizers")
WORD = 64
FULL_WORD = (1 << WORD) - 1


@dataclass(frozen=True)
class Reading:
    """One value that a step looked at.

    Attributes
    ----------
    name : str
        Go's name of the field.
    before, after : str
        Its value in the state before the call and after it; equal where nothing changed it.
    """

    name: str
    before: str
    after: str

    def __str__(self):
        return f"{self.name} {self.after if self.before == self.after else f'{self.before} -> {self.after}'}"


@dataclass(frozen=True)
class Step:
    """One step of Go's, as far as the state tells of it.

    Attributes
    ----------
    go, file : str
        Go's function, and the file of the runtime that it stands in.
    text : str
        What happened, with the values read.
    readings : tuple of Reading
    moment : {"before", "after"}
        The state that a picture of this step shows.
    span_rows, page_rows : tuple of str
        Rows of the pictures of the span and of the pages that the step is about.
    """

    go: str
    file: str
    text: str
    readings: tuple = ()
    moment: str = "after"
    span_rows: tuple = ()
    page_rows: tuple = ()

    def __str__(self):
        lines = [f"{self.go} ({self.file}): {self.text}"]
        return "\n".join([*lines, *(f"      {reading}" for reading in self.readings)])


@dataclass(frozen=True)
class Story:
    """One call, step by step.

    Attributes
    ----------
    call : str
        What was called, such as "malloc(48)".
    addr : int
        What it returned: the object's address, the base of the span swept, 0 for none.
    steps : tuple of Step
    before, after : Span or None
        The span that the call ended with, as it was before and after; None where it did not exist.
    pages_before, pages_after : PageBits or None
        The 512 pages around it.
    """

    call: str
    addr: int
    steps: tuple
    before: Span | None
    after: Span | None
    pages_before: PageBits | None
    pages_after: PageBits | None

    def __len__(self):
        return len(self.steps)

    def pictures(self, k):
        """Return the span and the pages that step ``k`` (from 0) is drawn with."""
        if self.steps[k].moment == "before":
            return self.before, self.pages_before
        return self.after, self.pages_after

    @property
    def outcome(self):
        """What came of it in one line: the text of the step that counts, if it was a sweep, and that of the last."""
        counted = [step.text for step in self.steps if step.go == "mspan.countAlloc"]
        return " ".join([*counted, self.steps[-1].text])

    def __str__(self):
        head = f"{self.call} = {self.addr:#x}" if self.addr else f"{self.call} = nothing"
        return "\n".join([head, *(f"{k:3}. {step}" for k, step in enumerate(self.steps, 1))])


class Look:
    """A copy of what a ``HeapState`` holds; has its ``h`` and ``tables`` as far as they are in use."""

    def __init__(self, state):
        self.h = state.h.copy()
        self.tables = {name: state.tables[name][: int(self.h[f"{name}_len"])].copy() for name in COPIED}

    @property
    def arena_bytes(self):
        """Bytes of an arena."""
        return 1 << int(self.h.params.log_arena_bytes)

    def row(self, index):
        """Return the record of span ``index``, None where there is none yet."""
        rows = self.tables["spans"]
        return rows[index] if 0 < index < len(rows) else None

    def span(self, index):
        """Return span ``index`` as a :class:`Span`, None unless it is a heap span in use."""
        row = self.row(index)
        return take_span(self, index) if row is not None and row["state"] == SPAN_IN_USE else None

    def allocated_now(self, index):
        """Return whether span ``index`` was allocated by the call before this look."""
        row = self.row(index)
        return row is not None and int(row["event"]) == int(self.h.event) & 0xFFFFFFFF

    def arena(self, addr):
        """Return the heapArena record of ``addr``, None outside known arenas."""
        index = (addr + int(ARENA_BASE_OFFSET)) // self.arena_bytes
        rows = self.tables["heap_arenas"]
        found = np.flatnonzero(rows["arena_idx"][1:] == index)
        return rows[1 + found[0]] if len(found) else None

    def span_index(self, addr):
        """Return what spanOf answers, as the number of the span's record; 0 for nil."""
        arena = self.arena(addr)
        return 0 if arena is None else int(arena["spans"][addr % self.arena_bytes >> int(PAGE_SHIFT)])

    def page_bit(self, addr, name):
        """Return the bit of the page of ``addr`` in bitmap ``name`` of its arena; 0 outside arenas."""
        arena = self.arena(addr)
        page = addr % self.arena_bytes >> int(PAGE_SHIFT)
        return 0 if arena is None else int(arena[name][page >> 6]) >> (page & 63) & 1

    def chunk_count(self, addr, name):
        """Return how many pages of the chunk of ``addr`` have their bit in "alloc" or "scavenged"."""
        chunk = (addr + int(ARENA_BASE_OFFSET)) // int(PALLOC_CHUNK_BYTES)
        block = int(self.h.chunks_l1[chunk // int(PALLOC_CHUNKS_L2)])
        row = self.tables["pallocs"][block + chunk % int(PALLOC_CHUNKS_L2)] if block else None
        return 0 if row is None else int(np.bitwise_count(row[name]["w"]).sum())

    def pages(self, addr):
        """Return the bits of the 512 pages around ``addr``."""
        return take_page_bits(self, addr)

    def set_length(self, spc, which, swept):
        """Return how many spans the central of ``spc`` has in its "partial" or "full" set, swept or unswept."""
        now = int(self.h.sweepgen) // 2 % 2
        one = self.h.central[spc][which][now if swept else 1 - now]
        return int(one["tail"]) - int(one["head"])

    def cached(self, spc, p):
        """Return the number of the span record that the mcache of P ``p`` has for ``spc``; 0 for emptymspan."""
        return int(self.h.allp[p].mcache.alloc[spc])


def span_before(a, b, index):
    """Return span ``index`` of ``b`` as it was at ``a``, None if it was allocated between (a record is used again)."""
    return None if b.allocated_now(index) else a.span(index)


def compared(name, before, after):
    """Return a :class:`Reading`; numbers are written with commas, other values as they are."""
    return Reading(name, *(f"{v:,}" if isinstance(v, int) else str(v) for v in (before, after)))


def read_once(name, value):
    """Return a :class:`Reading` of something that does not change."""
    return compared(name, value, value)


def span_name(look, index):
    """Return how to call span ``index``: by its base, or emptymspan."""
    row = look.row(index)
    return "emptymspan" if row is None else f"{int(row['start_addr']):#x}"


def trailing_zeros(word):
    """Return the number of zero bits below the lowest one of a 64-bit word, 64 if there is none (Ctz64)."""
    return (word & -word).bit_length() - 1 if word else WORD


def many(n, word):
    """Return ``n`` and ``word``, with an s unless n is 1."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def bits_text(word):
    """Return a 64-bit word in hexadecimal, all its digits."""
    return f"{word:#018x}"
