"""Helpers for the tests of ``Heap``: what a throw must say, and recounts that trust nothing but the spans."""

import contextlib

import pytest

import mheaplab as mh
from mheaplab.runtime.structs import SPAN_IN_USE

KIB, MIB, PAGE = 1 << 10, 1 << 20, 8192
BASE = 0xC000000000
"""Where Go's heap begins on linux/amd64."""
TOP = 1 << 47
"""The end of user address space."""
ARENA_4 = 4 * MIB
NO_SPACE = ((4096, TOP),)
"""Nothing but the page of address 0, which mmap never gives, is free."""


@contextlib.contextmanager
def throws(heap, text, usable=True):
    """Expect Go's throw with ``text`` at the beginning of its message; a usable heap must bear a recount after it."""
    with pytest.raises(mh.GoThrow) as caught:
        yield caught
    assert str(caught.value).startswith(text)
    assert caught.value.usable is usable
    if usable:
        heap.verify()


def one_arena(arena_bytes=64 * MIB, **changes):
    """Return a heap whose OS has a single arena to give."""
    occupied = ((4096, BASE), (BASE + arena_bytes, TOP))
    return mh.Heap(mh.HeapParams.go119(arena_bytes=arena_bytes, occupied=occupied, **changes))


def heap_spans(heap):
    """Return the heap spans in use by base."""
    return {s.base: s for s in heap.spans() if s.state == "mSpanInUse"}


def is_swept(span):
    """Return whether a heap span needs no more sweeping, in an mcache or not."""
    return span.sweepgen in (span.heap_sweepgen, span.heap_sweepgen + 3)


def unswept(heap):
    """Return the bases of the heap spans that still need sweeping, by rising address."""
    rows = heap.state.tables["spans"][: int(heap.state.h.spans_len)]
    waiting = (rows["state"] == SPAN_IN_USE) & (rows["sweepgen"] == int(heap.state.h.sweepgen) - 2)
    return sorted(rows["start_addr"][waiting].tolist())


def count_objects(heap):
    """Return (objects, bytes of their slots) over all heap spans, from the bitmaps; dead ones until they are swept."""
    spans = heap_spans(heap).values()
    return sum(int(s.allocated.sum()) for s in spans), sum(int(s.allocated.sum()) * s.elemsize for s in spans)


def row_of(heap, addr):
    """Return the kernel's record of the span that holds ``addr``, to break it."""
    rows = heap.state.tables["spans"]
    return rows[next(i for i in range(1, len(rows)) if rows[i]["start_addr"] == heap.span_of(addr).base)]
