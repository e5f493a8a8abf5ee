"""span_bits: every cell, mark and hover text of the picture is what the heap says of the slot."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.figures.export import numbers
from mheaplab.figures.span_bits import ALIVE, ALLOCATED, BIT, DEAD, FREE, IN_CACHE, ROWS, cache_window, slot_states

VERSIONS = pytest.mark.parametrize("go", ["go1.19", "go1.27"])


def marked(go="go1.19", size=48, objects=40, keep=3, finalizers=()):
    """Return a heap whose span of ``objects`` objects was marked, every ``keep``-th, and not swept; and the objects."""
    heap = mh.Heap(mh.HeapParams.of_version(go))
    found = [heap.malloc(size) for _ in range(objects)]
    for k in finalizers:
        heap.add_finalizer(found[k], 1)
    heap.flush_mcache()
    heap.collect(found[::keep], sweep=False)
    return heap, found


def cell_codes(figure, span):
    """Return the codes of the cells by row, unfolded."""
    z, rows = figure.data[0].z, len(ROWS) + 1
    return {
        name: [None if v is None or np.isnan(v) else int(v) for v in z[1 + k :: rows].ravel()[: span.nelems]]
        for k, name in enumerate(ROWS)
    }


@VERSIONS
@pytest.mark.parametrize("size", [8, 48, 1024])
def test_cells_are_the_bits(go, size):
    heap, found = marked(go, size, objects=5 if size == 1024 else 100)
    for stage in ("marked", "swept", "used"):
        if stage == "swept":
            heap.sweep_all()
        if stage == "used":
            heap.malloc(size)
        span = heap.span_of(found[0])
        codes = cell_codes(mh.figures.span_bits(span), span)
        assert codes["allocBits"] == [BIT + int(b) for b in span.alloc_bits]
        assert codes["gcmarkBits"] == [BIT + int(b) for b in span.gcmark_bits]
        assert codes["slots"] == slot_states(span).tolist()
        window = [None if b is None else IN_CACHE + b for b in cache_window(span)]
        assert codes["allocCache"] == window
        # Within its window allocCache says of every slot whether it is free, without looking at anything else.
        assert all((b == IN_CACHE + 1) == (not a) for b, a in zip(window, span.allocated, strict=True) if b is not None)


def test_states_of_an_object():
    heap, found = marked()
    span = heap.span_of(found[0])
    assert slot_states(span)[:4].tolist() == [ALIVE, DEAD, DEAD, ALIVE] and set(slot_states(span)[40:]) == {FREE}
    heap.sweep_all()
    span = heap.span_of(found[0])
    assert slot_states(span)[:4].tolist() == [ALLOCATED, FREE, FREE, ALLOCATED]
    assert set(slot_states(span).tolist()) == {ALLOCATED, FREE}, "after the sweep marks mean nothing"
    heap.malloc(48)
    span = heap.span_of(found[0])
    assert span.sweepgen == span.heap_sweepgen + 3, "in an mcache"
    assert set(slot_states(span).tolist()) == {ALLOCATED, FREE}


@VERSIONS
def test_marks_over_the_slots(go):
    heap, found = marked(go)
    heap.add_finalizer(found[6], 1)
    heap.sweep_all()
    heap.malloc(48)
    span = heap.span_of(found[0])
    by_name = {t.name: list(zip(t.x, t.y, strict=True)) for t in mh.figures.span_bits(span).data[1:4]}
    assert by_name["freeindex"] == [(span.freeindex, 0)]
    slot = span.slot(heap.malloc(48))
    assert by_name["the next free slot"] == [(slot, 1)], "what malloc took next"
    assert by_name["with a special (finalizer, ...)"] == [(6, 0)]


def test_full_span_has_no_next_slot():
    heap = mh.Heap()
    first = heap.malloc(1024)
    for _ in range(7):
        heap.malloc(1024)
    span = heap.span_of(first)
    figure = mh.figures.span_bits(span)
    assert span.freeindex == span.nelems == 8
    assert list(figure.data[2].x) == [None] and list(figure.data[1].x) == [8], "freeindex behind the last slot"


@pytest.mark.parametrize(("objects", "place"), [(63, (63, 0)), (64, (0, 5)), (65, (1, 5)), (170, (42, 10))])
def test_freeindex_at_the_edge_of_a_strip(objects, place):
    """The mark is over the slot; behind the last slot it stands after it, not in a strip that is not there."""
    heap = mh.Heap()
    found = [heap.malloc(48) for _ in range(objects)]
    span = heap.span_of(found[0])
    mark = mh.figures.span_bits(span).data[1]
    assert span.freeindex == objects and [(*mark.x, *mark.y)] == [place]


def test_hover_and_table():
    heap, found = marked(finalizers=[3])
    span = heap.span_of(found[0])
    figure = mh.figures.span_bits(span, note="now")
    table = numbers(figure)
    assert table["address"][:2] == [hex(found[0]), hex(found[1])]
    assert table["gcmark_bit"] == span.gcmark_bits.astype(int).tolist()
    assert table["specials"][2:5] == ["", "finalizer", ""]
    text = figure.data[0].hovertext[1][3]
    assert text.startswith(f"slot 3 at {hex(found[3])}<br>marked: lives") and text.endswith("special: finalizer")
    assert figure.layout.title.text.startswith(f"Span {hex(span.base)}: 170 slots of 48 B, with pointers")
    assert figure.layout.xaxis.title.text == "slot, in strips of 64: one word of each bitmap"


def test_focus_frames_rows():
    heap, found = marked()
    span = heap.span_of(found[0])
    framed = [s.y0 for s in mh.figures.span_bits(span, focus=("gcmarkBits",)).layout.shapes]
    assert framed == [2.5, 7.5, 12.5], "the third row of each of three strips"
    with pytest.raises(ValueError, match="focus = 'marks' is outside its legal range"):
        mh.figures.span_bits(span, focus=("marks",))
    with pytest.raises(ValueError, match="theme"):
        mh.figures.span_bits(span, theme="blue")


def test_color_is_that_of_the_heap_map():
    heap = mh.Heap()
    spans = [heap.span_of(heap.malloc(48, noscan)) for noscan in (False, True)]
    colors = [mh.figures.span_bits(span).data[0].colorscale for span in spans]
    look = mh.figures.theme
    used = [scale[2 * ALLOCATED][1] for scale in colors]
    assert used == [look.SCAN, look.NOSCAN]


def test_no_span_and_manual_span():
    nothing = mh.figures.span_bits(None)
    assert nothing.layout.title.text.startswith("No span") and numbers(nothing)["slot"] == []
    assert nothing.layout.title.subtitle.text == "no heap span is in use here"
    assert nothing.layout.xaxis.title.text == "slot", "no strips to speak of"
    heap = mh.Heap()
    stack = heap.span_of(heap.alloc_manual(4))
    assert "mSpanManual" in mh.figures.span_bits(stack).layout.title.text


def test_thousand_slots_fit():
    heap = mh.Heap()
    figure = mh.figures.span_bits(heap.span_of(heap.malloc(8)))
    assert figure.layout.height < 1200
    # Rows too low for their names are named under the axis.
    assert figure.layout.xaxis.title.text.endswith("rows: slots, allocBits, gcmarkBits, allocCache")
    assert not np.any(np.array(figure.data[0].text, object) != "")
