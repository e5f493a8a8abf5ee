"""Huge pages in full use: cases by hand, and random heaps against a recount page by page."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry
from runtime.spans import BASE, FLUSH_PAGES, MIB, PAGE, STACK, WITHOUT_P, Spans

from mheaplab.runtime.mhuge import heap_huge_bytes
from mheaplab.snapshot import take_snapshot

HUGE = 256
"""Pages of a huge page."""
SEQUENCES, OPERATIONS = (6, 150) if COMPILED else (2, 60)


@entry
def drive_huge(h):
    """The kernel's answer."""
    return heap_huge_bytes(h)


def huge_pages(heap):
    """Return how many huge pages the kernel counts."""
    nbytes = int(drive_huge(heap.h))
    assert take_snapshot(heap.state, 0, {}).huge_bytes == nbytes
    assert nbytes % (2 * MIB) == 0
    return nbytes // (2 * MIB)


def recount(heap):
    """Return how many huge pages have all their pages in spans, by a list of the pages of all spans."""
    table = heap.state.tables["spans"][1 : int(heap.h.spans_len)]
    used = set()
    for s in table[table["state"] != 0]:
        first = int(s["start_addr"]) // PAGE
        used |= set(range(first, first + int(s["npages"])))
    counts = np.unique([page // HUGE for page in used], return_counts=True)[1] if used else np.zeros(0, int)
    return int((counts == HUGE).sum())


def test_an_empty_heap_has_none():
    assert huge_pages(Spans()) == 0


@pytest.mark.parametrize(("npages", "want"), [(255, 0), (256, 1), (257, 1), (511, 1), (512, 2), (1024 + 255, 4)])
def test_of_one_span(npages, want):
    heap = Spans()
    heap.manual(npages)
    assert huge_pages(heap) == recount(heap) == want


def test_one_free_page_breaks_it():
    heap = Spans()
    spans = [heap.manual(n) for n in (255, 1, 256)]
    assert huge_pages(heap) == 2
    heap.free_manual(spans[1])
    assert huge_pages(heap) == recount(heap) == 1
    heap.manual(1)
    assert huge_pages(heap) == 2


def test_pages_of_caches_are_not_in_use():
    """Two Ps have caches of the same huge page, which the bitmap has as wholly taken; both must be given back."""
    heap = Spans()
    heap.manual(128)
    for p in (0, 1):
        heap.manual(1, STACK, p)
    heap.manual(256)
    assert huge_pages(heap) == recount(heap) == 1
    for p in (0, 1):
        heap.call(FLUSH_PAGES, p)
        assert huge_pages(heap) == 1
    for _ in range(126):
        heap.manual(1)
    assert huge_pages(heap) == recount(heap) == 2


def test_far_apart_arenas():
    """Two ranges of the address space, terabytes apart."""
    heap = Spans(arena_bytes=4 * MIB, occupied=((BASE + 4 * MIB, BASE + 8 * MIB),))
    heap.manual(512)
    heap.manual(300)
    assert int(heap.h.in_use_len) == 2
    assert huge_pages(heap) == recount(heap) == 3


@pytest.mark.parametrize("cache_pages", [0, 8, 64])
def test_random_heaps(rng, cache_pages):
    for _ in range(SEQUENCES):
        heap = Spans(page_cache_pages=cache_pages, room={"spans": 1 << 11})
        live = []
        for k in range(OPERATIONS):
            if live and rng.random() < 0.3:
                heap.free_manual(live.pop(int(rng.integers(len(live)))), STACK, int(rng.integers(2)))
            else:
                npages = int(rng.choice([1, rng.integers(1, 16), rng.integers(1, 200), 256 - rng.integers(3)]))
                live.append(heap.manual(npages, STACK, int(rng.choice([0, 1, WITHOUT_P]))))
            if k % 10 == 9:
                assert huge_pages(heap) == recount(heap)
