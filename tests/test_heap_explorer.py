"""The widgets of notebook 05 without a browser: every control against the story and the heap that it shows."""

import html

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures import arena_bits, span_bits
from mheaplab.figures.export import NoChromeError
from mheaplab.widgets import AddressBox, address_box, heap_explorer, sweep_explorer

BASE = 0xC000000000


@pytest.fixture
def heap():
    """An empty heap."""
    return mh.Heap()


@pytest.fixture
def explorer(heap, tmp_path):
    """An explorer of a first malloc."""
    return heap_explorer(mh.steps.malloc(heap, 48), heap, folder=tmp_path / "exports")


def flat(values):
    """Return an array of any shape as a list: texts as they are, numbers as floats, nothing as None."""
    plain = np.array(values, object).ravel().tolist()
    return [v if isinstance(v, str) else None if v is None or np.isnan(v) else float(v) for v in plain]


def assert_same_picture(live, wanted):
    """Check that a live figure shows a figure: cells, texts, marks, axes, frames, title."""
    for shown, trace in zip(live.data, wanted.data, strict=True):
        for key in ("z", "text", "hovertext", "x", "y"):
            if getattr(trace, key, None) is not None:
                assert flat(getattr(shown, key)) == flat(getattr(trace, key)), (trace.name, key)
    assert live.layout.title == wanted.layout.title
    for axis in ("xaxis", "yaxis"):
        assert list(live.layout[axis].tickvals) == list(wanted.layout[axis].tickvals)
        assert live.layout[axis].range == wanted.layout[axis].range
    assert list(live.layout.yaxis.ticktext) == list(wanted.layout.yaxis.ticktext)
    assert [s.y0 for s in live.layout.shapes] == [s.y0 for s in wanted.layout.shapes]


def assert_shows(explorer, k):
    """Check text and figures of step ``k``, from 1."""
    story, step = explorer.story, explorer.story.steps[k - 1]
    span, pages = story.pictures(k - 1)
    note = f"{step.moment} {story.call}"
    assert f"Step {k} of {len(story)}: {step.go}" in explorer.status.value
    assert html.escape(step.text) in explorer.status.value
    for reading in step.readings:
        assert reading.name in explorer.status.value
    assert_same_picture(explorer.span, span_bits(span, focus=step.span_rows, note=note))
    assert_same_picture(explorer.pages, arena_bits(pages, focus=step.page_rows, note=note))
    assert (explorer.back.disabled, explorer.next.disabled) == (k == 1, k == len(story))
    assert not explorer.error.value


def test_every_step_is_shown(explorer):
    assert_shows(explorer, 1)
    for k in [*range(1, 15), 3, 14, 1]:
        explorer.step.value = k
        assert_shows(explorer, k)


def test_buttons_move_by_one(explorer):
    explorer.next.click()
    explorer.next.click()
    assert_shows(explorer, 3)
    explorer.back.click()
    assert_shows(explorer, 2)


def test_a_story_without_pictures_is_refused(heap):
    with pytest.raises(ValueError, match=r"story = sweepone\(\) is outside its legal range"):
        heap_explorer(mh.steps.sweep_one(heap), heap)


def test_status_is_escaped(heap):
    explorer = heap_explorer(mh.steps.malloc(heap, 100_000), heap)
    assert "<b>Step 1" in explorer.status.value and "->" not in explorer.status.value


# ---------------------------------------------------------------------------------------------------- addresses


def test_address_box_answers(heap):
    addr = heap.malloc(48)
    box = address_box(heap, addr)
    assert isinstance(box, AddressBox) and box.address.value == hex(addr)
    box.address.value = hex(addr + 49)
    for answer in mh.steps.answers(heap, addr + 49):
        assert answer.question in box.table.value and answer.answer in box.table.value
    assert "slot 1 of 170, 0xc000000030 + 1, free" in box.table.value
    heap.malloc(48)
    assert "allocated" not in box.table.value, "the heap as it was"
    box.again.click()
    assert "slot 1 of 170, 0xc000000030 + 1, allocated" in box.table.value


@pytest.mark.parametrize(("text", "words"), [("what", "is no address"), ("-1", "outside its legal range")])
def test_address_box_says_what_is_wrong(heap, text, words):
    box = address_box(heap)
    before = box.table.value
    box.address.value = text
    assert words in box.error.value and box.table.value == before
    box.address.value = "0xc000000000"
    assert not box.error.value


def test_address_box_of_a_broken_heap(heap):
    box = address_box(heap)
    heap.malloc(48)
    heap._broken = "out of memory"
    box.again.click()
    assert "not usable any more" in box.error.value


# ---------------------------------------------------------------------------------------------------- sweeping


@pytest.mark.parametrize(
    "values", [{"size": 8}, {"alive": 0}, {"alive": 100}, {"size": 2048, "alive": 50}, {"go": "go1.27"}]
)
def test_sweep_explorer_sweeps(values):
    explorer = sweep_explorer(size=64, alive=30)
    for name, value in values.items():
        getattr(explorer, name).value = value
    heap, found = mh.steps.filled(
        explorer.size.value, explorer.alive.value / 100, params=mh.HeapParams.of_version(explorer.go.value)
    )
    before = heap.span_of(found[0])
    assert_same_picture(explorer.marked, span_bits(before, focus=("gcmarkBits",), note="before the sweep"))
    heap.sweep_all()
    after = heap.span_of(found[0])
    after = after if after.state == "mSpanInUse" else None
    assert_same_picture(explorer.swept, span_bits(after, focus=("allocBits",), note="after the sweep"))
    freed = before.alloc_count - int(before.gcmark_bits.sum())
    assert f"{freed:,} slots freed" in explorer.status.value and not explorer.error.value
    shown = (explorer.size.value, explorer.alive.value, explorer.go.value)
    assert explorer.about == dict(zip(("object_bytes", "alive_percent", "go"), shown, strict=True))


# ---------------------------------------------------------------------------------------------------- saving


def test_save_writes_what_is_shown(explorer, heap, tmp_path):
    explorer.step.value = 14
    explorer.save_row.format.value = ("csv",)
    explorer.save_row.save.click()
    span, pages = (tmp_path / "exports" / f"malloc-48-step-14-{kind}.csv" for kind in ("span-bits", "arena-bits"))
    assert span.name in explorer.save_row.saved.value and pages.name in explorer.save_row.saved.value
    rows = [r for r in span.read_text().splitlines() if not r.startswith("#")]
    assert rows[0].startswith("slot,address,state") and len(rows) == 1 + 170
    assert rows[1].startswith(f"0,{BASE:#x},allocated")
    assert len([r for r in pages.read_text().splitlines() if not r.startswith("#")]) == 1 + 512
    assert "malloc(48)" in span.read_text(), "the stamp says what was called"


def test_what_is_zoomed_is_saved_zoomed(explorer, monkeypatch):
    saved = []
    monkeypatch.setattr("mheaplab.widgets.save_row.export", lambda figure, *_a, **_k: saved.append(figure) or [])
    explorer.span.layout.xaxis.range = (3, 9)
    explorer.save_row.save.click()
    assert [tuple(f.layout.xaxis.range) == (3, 9) for f in saved] == [True, False]


def test_save_row_says_what_went_wrong(explorer, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise NoChromeError("no Chrome here")

    monkeypatch.setattr("mheaplab.widgets.save_row.export", refuse)
    explorer.save_row.save.click()
    assert "no Chrome here" in explorer.error.value and not explorer.save_row.saved.value
    assert not explorer.save_row.save.disabled


def test_browser_names_its_picture_for_what_is_shown(explorer):
    assert explorer.save_row.download.filename == "malloc-48-step-1-span-bits"
    explorer.step.value = 13
    assert explorer.save_row.download.filename == "malloc-48-step-13-span-bits"
    sweep = sweep_explorer(size=64, alive=30)
    sweep.alive.value = 45
    assert sweep.save_row.download.filename == "sweep-64-B-45-percent-go1.19-marked"


def test_browser_export_ids_are_its_own(heap):
    ids = []
    for size in (48, 48):
        explorer = heap_explorer(mh.steps.malloc(heap, size), heap)
        ids += [explorer.span.layout.meta["export_id"], explorer.pages.layout.meta["export_id"]]
    assert len(set(ids)) == 4


def test_live_figure_follows_ticks(heap):
    """Another span has another number of strips: the names on the axis follow."""
    explorer = sweep_explorer(size=64)
    explorer.size.value = 2048
    wanted = figures.span_bits(explorer.story.after)
    assert list(explorer.swept.layout.yaxis.ticktext) == list(wanted.layout.yaxis.ticktext)
