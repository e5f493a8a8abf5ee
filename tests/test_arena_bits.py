"""arena_bits: the bitmaps of 512 pages, each cell against what the heap answers about the page."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.figures.arena_bits import COLUMNS, ROWS
from mheaplab.figures.export import numbers

BASE, PAGE, CHUNK = 0xC000000000, 8192, 4 << 20


@pytest.fixture
def heap():
    """A heap with small and large spans, a manual one, pages in a cache, and a finalizer in a marked span."""
    heap = mh.Heap()
    heap.small = [heap.malloc(48) for _ in range(400)]
    heap.large = heap.malloc(5 * PAGE + 1)
    heap.stack = heap.alloc_manual(4)
    heap.add_finalizer(heap.small[0], 1)
    heap.flush_mcache()
    heap.collect([heap.large], sweep=False)
    return heap


def test_bits_are_what_the_heap_says(heap):
    bits = mh.steps.page_bits(heap, heap.small[0])
    shot = heap.snapshot()
    assert (bits.base, bits.grown) == (BASE, True)
    for k in range(512):
        addr = BASE + k * PAGE
        span = heap.span_of(addr)
        live = span is not None and span.state != "mSpanDead"
        assert bits.alloc[k] == (live or bits.cached[k] >= 0)
        assert not (live and bits.cached[k] >= 0)
        assert bits.in_use[k] == (live and span.base == addr and span.state == "mSpanInUse")
        assert bits.marks[k] == (live and addr == heap.large)
        assert bits.specials[k] == (live and span.base == addr and bool(span.specials))
    # Of pages in a page cache the P knows whether they are scavenged.
    cached = sum(int(pp.pcache.scav).bit_count() for pp in heap.state.h.allp)
    assert (int(bits.scavenged.sum()) + cached) * PAGE == shot.memstats["HeapReleased"]
    assert (bits.cached >= 0).sum() > 40 and bits.in_use.sum() >= 3 and bits.specials.sum() == 1


def test_second_chunk_of_the_arena(heap):
    first = heap.malloc(6 << 20)
    last = first + (6 << 20) - 1
    assert last - BASE > CHUNK
    bits = mh.steps.page_bits(heap, last)
    pages = [BASE + CHUNK + k * PAGE for k in range(512)]
    spans = [heap.span_of(page) for page in pages]
    heads = [s is not None and (s.state, s.base) == ("mSpanInUse", page) for s, page in zip(spans, pages, strict=True)]
    assert bits.base == BASE + CHUNK and bits.in_use.tolist() == heads
    assert bits.alloc.tolist() == [s is not None and s.state != "mSpanDead" for s in spans]


def test_cells_and_table_are_the_bits(heap):
    bits = mh.steps.page_bits(heap, heap.small[0])
    figure = mh.figures.arena_bits(bits)
    z = np.array(figure.data[0].z, object)
    table = numbers(figure)
    fields = dict(zip(ROWS, ("alloc", "scavenged", "cached", "in_use", "marks", "specials"), strict=True))
    for k, row in enumerate(ROWS):
        cells = z[1 + k :: len(ROWS) + 1].ravel()
        values = getattr(bits, fields[row])
        set_ = values >= 0 if row == "pageCache" else values
        assert (cells.astype(int) > 0).tolist() == set_.tolist(), row
        assert table[row] == values.astype(int).tolist()
    assert table["address"][:2] == [hex(BASE), hex(BASE + PAGE)]


def test_texts(heap):
    bits = mh.steps.page_bits(heap, heap.small[0])
    figure = mh.figures.arena_bits(bits, note="now", focus=("pageMarks",))
    title = figure.layout.title.text + str(figure.layout.title.subtitle.text)
    cached = int((bits.cached >= 0).sum())
    assert f"now: {int(bits.alloc.sum())} pages not free, {cached} of them in a page cache" in title
    assert figure.layout.xaxis.title.text == "page of 8 KiB, in strips of 128"
    starts = [a.text for a in figure.layout.annotations[:2]]
    assert starts == [f"{hex(BASE)}, 1 MiB", f"{hex(BASE + COLUMNS * PAGE)}, 1 MiB"]
    at = heap.large - BASE >> 13
    hover = figure.data[0].hovertext[1 + at // COLUMNS * 7][at % COLUMNS]
    assert hover.startswith(f"page {at} of the chunk, {hex(heap.large)}<br>alloc 1:") and "pageMarks 1:" in hover
    assert "pageInUse 1:" in hover and "pageSpecials" not in hover
    assert [s.y0 for s in figure.layout.shapes] == [4.5, 11.5, 18.5, 25.5]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colors_are_those_of_the_heap_map(heap, theme):
    bits = mh.steps.page_bits(heap, heap.small[0])
    figure = mh.figures.arena_bits(bits, theme=theme)
    cells = np.array(figure.data[0].z, object)
    names = mh.snapshot.PAGE_STATE_NAMES
    by_state = dict(zip(names, mh.figures.theme.state_colors(theme), strict=True))
    for row, values, state in (
        ("scavenged", bits.scavenged, "free, returned to the OS"),
        ("pageCache", bits.cached >= 0, "in a P's page cache"),
    ):
        k = int(np.flatnonzero(values)[0])
        code = int(cells[1 + ROWS.index(row) + k // COLUMNS * (len(ROWS) + 1), k % COLUMNS])
        assert figure.data[0].colorscale[2 * code][1] == by_state[state]


def test_where_the_heap_has_not_grown():
    bits = mh.steps.page_bits(mh.Heap(), 0x1234567)
    assert (bits.grown, bits.base, bits.alloc.any()) == (False, 0x1234567 & -CHUNK, False)
    assert "has not grown here" in str(mh.figures.arena_bits(bits).layout.title)


def test_refuses():
    bits = mh.steps.page_bits(mh.Heap(), BASE)
    with pytest.raises(ValueError, match="focus = 'pages' is outside its legal range"):
        mh.figures.arena_bits(bits, focus=("pages",))
