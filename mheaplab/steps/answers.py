"""What an address tells: every question of mheap.go about an address, asked of a heap at once."""

from typing import NamedTuple

from ..errors import GoThrow

WORD = 1 << 64
"""Addresses that a uintptr can say."""


class Answer(NamedTuple):
    """One question and what the heap says to it.

    Attributes
    ----------
    question : str
        Go's function.
    answer : str
    means : str
        What the question is for.
    """

    question: str
    answer: str
    means: str


def _bool(value):
    return "true" if value else "false"


def _span(span):
    """Return how a span is written here: "nil", or base, state and class."""
    if span is None:
        return "nil"
    what = f"{span.elemsize:,} B slots" if span.state == "mSpanInUse" else span.type
    return f"{span.base:#x}, {span.npages:,} page{'s' * (span.npages != 1)}, {span.state}, {what}"


def _page_index(heap, addr):
    """Return what pageIndexOf says; outside known arenas Go would fault."""
    try:
        at = heap.page_index_of(addr)
    except GoThrow as err:
        return f"panics: {err}"
    return f"arena {at.arena:,}, byte {at.byte:,}, mask {at.mask:#04x}"


def _slot(span, addr):
    """Return which slot of a heap span holds an address, which lies below the span's limit: the end of its slots."""
    if span is None:
        return "none: not in the slots of a heap span"
    slot = span.slot(addr)
    start = span.base + slot * span.elemsize
    within = f" + {addr - start:,}" if addr > start else ""
    return f"slot {slot:,} of {span.nelems:,}, {start:#x}{within}, {'allocated' if span.allocated[slot] else 'free'}"


def parse_address(text):
    """Return the address that a text says: hexadecimal after 0x, else decimal.

    Raises
    ------
    ValueError
        If it says none.
    """
    try:
        return int(text.strip(), 0)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is no address: write 0xc000000030, or a decimal number") from None


def answers(heap, addr):
    """Ask a heap everything about one address.

    Parameters
    ----------
    heap : Heap
    addr : int

    Returns
    -------
    list of Answer

    Raises
    ------
    ValueError
        If ``addr`` is no number of 64 bits.
    """
    if not 0 <= addr < WORD:
        raise ValueError(f"addr = {addr:#x} is outside its legal range: 0x0 to {WORD - 1:#x}")
    arena = heap.arena_index(addr)
    in_heap = heap.span_of_heap(addr)
    return [
        Answer("arenaIndex", f"{arena:,}, from {heap.arena_base(arena):#x}", "its arena's number in the address space"),
        Answer("arenaIdx.l1, l2", f"{heap.arena_l1(arena):,}, {heap.arena_l2(arena):,}", "where mheap.arenas has it"),
        Answer("spanOf", _span(heap.span_of(addr)), "the span last at its page, even a dead one"),
        Answer("spanOfHeap", _span(in_heap), "the heap span in use that holds it"),
        Answer("inheap", _bool(heap.in_heap(addr)), "in a heap span in use?"),
        Answer("inHeapOrStack", _bool(heap.in_heap_or_stack(addr)), "in one, or in a manual span?"),
        Answer("pageIndexOf", _page_index(heap, addr), "its bit in pageInUse, pageMarks, pageSpecials"),
        Answer("mspan.objIndex", _slot(in_heap, addr), "its object"),
    ]
