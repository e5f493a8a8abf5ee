"""Figures by what is in them: names, texts, units, colours, and the picture point by point."""

import base64
import itertools
import json
import re
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures import heapmap, page_colors, theme
from mheaplab.figures.export import attach, numbers
from mheaplab.snapshot import (
    MANUAL_CLASS,
    PAGE_CACHED,
    PAGE_FREE,
    PAGE_LARGE,
    PAGE_NOSCAN,
    PAGE_RESERVED,
    PAGE_SCAN,
    PAGE_SCAVENGED,
    PAGE_STACK,
    PAGE_STATE_NAMES,
    SPAN_COLUMNS,
    Snapshot,
)

PAGE = 8192
MIB = 1 << 20
BASE = 0xC000000000
CLASS_SIZES = mh.HeapParams.go119().to_record()["class_to_size"][:68].astype(np.int64)
STATS = {"HeapInuse": 0, "HeapIdle": 0, "HeapReleased": 0, "StackInuse": 0}


def make_snapshot(runs, arena_mib=4, arenas=2, event=7, stats=STATS):
    """Return a snapshot from runs (state, pages, size class, slots in use) that fill the arenas from their start.

    Class None means no span.  What the runs leave over is reserved.
    """
    total = arenas * arena_mib * MIB // PAGE
    pages, owner = np.zeros(total, np.uint8), np.full(total, -1, np.int32)
    spans, at = [], 0
    for state, count, size_class, used in runs:
        pages[at : at + count] = state
        if size_class is not None:
            owner[at : at + count] = len(spans)
            manual = size_class == "manual"
            size = 0 if manual else count * PAGE if size_class == 0 else int(CLASS_SIZES[size_class])
            span_class = MANUAL_CLASS if manual else 2 * size_class + (state == PAGE_NOSCAN)
            slots = count * PAGE // size if size else 0
            spans.append((BASE + at * PAGE, count, span_class, state, 0, size, slots, used, 0))
        at += count
    bases = (BASE + np.arange(arenas) * arena_mib * MIB).astype(np.uint64)
    table = np.array(spans, SPAN_COLUMNS)
    shape = (arenas, arena_mib * MIB // PAGE)
    pages, owner = pages.reshape(shape), owner.reshape(shape)
    return Snapshot(event, arena_mib * MIB, bases, pages, owner, table, CLASS_SIZES, stats)


RUNS = [
    (PAGE_SCAN, 1, 5, 17),  # 48 B slots
    (PAGE_NOSCAN, 3, 61, 1),  # 24 KiB slots
    (PAGE_FREE, 2, None, 0),
    (PAGE_STACK, 4, "manual", 0),
    (PAGE_CACHED, 1, None, 0),
    (PAGE_SCAVENGED, 499, None, 0),
    (PAGE_LARGE, 5, 0, 1),  # from the last two pages of the first arena into the second
    (PAGE_FREE, 253, None, 0),
]


@pytest.fixture(scope="module")
def small():
    """Two arenas of 4 MiB with one span of each kind; half of the second is reserved."""
    return make_snapshot(RUNS)


@pytest.fixture(scope="module")
def real():
    """A real case and its heap at two moments."""
    case = mh.load_case(mh.data_path("cases/go119-json"))
    return case, mh.snapshots(case, [150_000, len(case)])


def big_snapshot(arenas, seed=1):
    """Return a heap of many full arenas of 64 MiB with random spans."""
    rng = np.random.default_rng(seed)
    kinds = [(PAGE_SCAN, 1, 5, 100), (PAGE_NOSCAN, 2, 40, 3), (PAGE_LARGE, 37, 0, 1), (PAGE_FREE, 11, None, 0)]
    left, runs = arenas * 8192, []
    while left > 64:
        runs.append(kinds[rng.integers(len(kinds))])
        left -= runs[-1][1]
    return make_snapshot(runs, 64, arenas)


def decode(source):
    """Return (codes, palette) of a PNG with a palette, read without the code that wrote it."""
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, parts = 8, {}
    while at < len(data):
        length, tag = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(tag + body)
        parts[tag] = body
        at += 12 + length
    width, height = struct.unpack(">II", parts[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(parts[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    assert parts[b"tRNS"][-1] == 0 and set(parts[b"tRNS"][:-1]) == {255}
    return rows[:, 1:], np.frombuffer(parts[b"PLTE"], np.uint8).reshape(256, 3)


def color_at(figure, row, column):
    """Return the colour of a point of a heap map, None where it is transparent."""
    codes, palette = decode(figure.data[0].source)
    code = codes[row, column]
    return None if code == 255 else "#" + bytes(palette[code]).hex()


def legend(figure):
    """Return the legend as {text: colour}."""
    return {t.name: t.marker.color for t in figure.data if t.type == "scatter"}


# ---------------------------------------------------------------------------------------------- heap map


def test_heap_map_traces(small):
    """A heap map is an image, its hover cells, and one legend entry per state with its bytes."""
    figure = figures.heap_map(small)
    assert [t.type for t in figure.data[:2]] == ["image", "heatmap"]
    names = [t.name for t in figure.data[2:]]
    assert [re.sub(r" \([^(]*\)$", "", n) for n in names] == list(PAGE_STATE_NAMES)
    assert names[PAGE_STACK] == "goroutine stacks (32 KiB)"
    assert names[PAGE_LARGE] == "large object (40 KiB)"
    assert names[PAGE_RESERVED] == "reserved, not yet mapped (2 MiB)"
    assert tuple(legend(figure).values()) == theme.state_colors("light")


@pytest.mark.parametrize("look", theme.THEMES)
def test_heap_map_points(small, look):
    """Each point has the colour of its page's state, fainter after the first page of a span."""
    figure = figures.heap_map(small, theme=look)
    frame = heapmap.map_frame(small)
    flat, owner = small.pages.reshape(-1), small.page_span.reshape(-1)
    solid, faint = theme.state_colors(look), theme.tail_colors(look)
    for page in [*range(0, 20), *range(505, 520), 760, 800, 1023]:
        arena, within = divmod(page, 512)
        y, x = frame.origin(arena)
        tail = page > 0 and owner[page] >= 0 and owner[page] == owner[page - 1]
        wanted = (faint if tail else solid)[flat[page]]
        assert color_at(figure, y + within // 128, x + within % 128) == wanted, page


def test_heap_map_axes(small):
    """Axes say pages, KiB and addresses; the title says when."""
    layout = figures.heap_map(small, name="it").layout
    assert layout.title.text == "Heap map of it after 7 events"
    assert "128 pages of 8 KiB" in layout.xaxis.title.text
    assert layout.yaxis.scaleanchor is False
    one = make_snapshot(RUNS[:4], 64, 1)
    layout = figures.heap_map(one).layout
    assert layout.yaxis.ticktext[0] == "0xc000000000"
    assert list(layout.xaxis.ticktext) == ["0", "256 KiB", "512 KiB", "768 KiB", "1 MiB"]


def test_young_heap_is_cropped():
    """A single arena is drawn as far as it was ever grown, and the title says what is not drawn."""
    one = make_snapshot(RUNS[:4], 64, 1)
    frame = heapmap.map_frame(one)
    assert frame.rows == 4 and frame.shape == (4, 128)
    assert figures.heap_map(one).layout.title.subtitle.text == (
        "80 KiB mapped in 1 arena of 64 MiB; the last 60 MiB, only reserved, are not drawn"
    )


def test_empty_heap():
    """A heap without arenas has a picture too."""
    empty = make_snapshot([], 64, 0)
    figure = figures.heap_map(empty)
    assert figure.layout.title.subtitle.text == "the heap is empty: no arena yet"
    assert set(map(len, numbers(figure).values())) == {0}
    assert sum(numbers(figures.occupancy(empty))["spans"]) == 0


def test_frame_of_the_last_holds_the_first(real):
    """Drawn in one frame, pictures of one run have the same axes; arenas that are not there yet are transparent."""
    case, (_, last) = real
    (first,) = mh.snapshots(case, [0])
    frame = figures.map_frame(last)
    a, b = (figures.heap_map(s, frame=frame) for s in (first, last))
    assert a.layout.yaxis == b.layout.yaxis and a.layout.height == b.layout.height
    assert color_at(a, 0, 0) is None
    assert color_at(b, 0, 0) == theme.state_colors("light")[last.pages[0, 0]]


def test_bands_are_labelled(small):
    """Each arena has its address and what of it the heap has grown into."""
    labels = [a.text for a in figures.heap_map(small).layout.annotations]
    assert labels == ["0xc000000000 · 4 MiB", "0xc000400000 · 2/4 MiB"]


@pytest.mark.parametrize("arenas", [1, 2, 3, 4, 7, 16, 40, 160])
def test_bands_do_not_overlap(arenas):
    """Every page of every arena has its own place on the grid."""
    bases = tuple(BASE + k * 64 * MIB for k in range(arenas))
    one = make_snapshot([(PAGE_FREE, arenas * 8192, None, 0)], 64, arenas)
    frame = heapmap.map_frame(one)
    grid = heapmap.place(frame, one, np.arange(arenas * 8192).reshape(arenas, 8192), -1)
    assert frame.arenas == bases
    assert np.array_equal(np.sort(grid[grid >= 0]), np.arange(arenas * 8192))
    assert 100 <= frame.shape[0] * frame.row_pixels <= 950


def test_class_colors(small):
    """By class, spans have the colour of their class, and the legend's colours are those of the map."""
    figure = figures.heap_map(small, "class")
    y, x = heapmap.map_frame(small).origin(0)
    assert color_at(figure, y, x) == theme.class_color(5, False)
    assert color_at(figure, y, x + 1) == theme.class_color(61, True)
    assert color_at(figure, y, x + 6) == theme.OTHER_USE
    assert color_at(figure, y + 3, x + 126) == theme.USED_COLORS[PAGE_LARGE - PAGE_CACHED]
    assert legend(figure)["8 B slots, with pointers"] == theme.class_color(1, False)
    assert legend(figure)["32 KiB slots, noscan"] == theme.class_color(67, True)


def test_occupancy_colors(small):
    """By occupancy, a full span is full, one with a single object in many slots is not quite empty."""
    figure = figures.heap_map(small, "occupancy")
    y, x = heapmap.map_frame(small).origin(0)
    steps = theme.ramp("occupancy", 101)
    assert color_at(figure, y, x) == steps[10]  # 17 of 170
    assert color_at(figure, y, x + 1) == steps[100]  # 1 of 1
    one = make_snapshot([(PAGE_SCAN, 1, 1, 1), (PAGE_SCAN, 1, 1, 1023), (PAGE_SCAN, 1, 1, 0)], 4, 1)
    figure = figures.heap_map(one, "occupancy")
    assert [color_at(figure, 0, k) for k in range(3)] == [steps[1], steps[99], steps[0]]


def test_legend_is_constant(real):
    """Two moments of a run have the same legend, but for the bytes."""
    _, (a, b) = real
    for color in page_colors.COLORS:
        first, second = (legend(figures.heap_map(s, color)) for s in (a, b))
        assert list(first.values()) == list(second.values())
        assert [n.split(" (")[0] for n in first] == [n.split(" (")[0] for n in second]


def test_hover_of_stacks_names_no_size_class(real):
    """A span of stacks has no slots and no size class."""
    _, (heap, _) = real
    texts = [t for line in heapmap.hover_cells(heap, heapmap.map_frame(heap))["text"] for t in line]
    stacks = [t for t in texts if "goroutine stacks" in t]
    assert stacks and not any("size class" in t for t in stacks)


def test_hover_tells_the_page(small):
    """A page's hover text has its address, its state, its span, and the objects in it."""
    cells = figures.heap_map(small).data[1]
    frame = heapmap.map_frame(small)
    y, x = frame.origin(0)
    assert cells.text[y][x] == (
        "page 0xc000000000<br>small objects with pointers<br>span of 1 page at 0xc000000000"
        "<br>size class 5: 17 of 170 slots of 48 B in use"
    )
    assert cells.text[y][x + 7] == "page 0xc00000e000<br>goroutine stacks<br>span of 4 pages at 0xc00000c000"
    assert cells.text[y + 3][x + 127].endswith("span of 5 pages at 0xc0003fc000<br>one object in 40 KiB")
    assert cells.text[y][x + 4] == "page 0xc000008000<br>free, backed by memory"
    assert cells.z[0][0] is None and cells.text[0][0] == ""  # the gap above the band
    assert len(cells.y) == len(cells.z) + 1 and len(cells.x) == len(cells.z[0]) + 1


def test_hover_of_a_large_heap():
    """A large heap has one hover text per 4 MiB, and per page in a window."""
    heap = big_snapshot(4)
    frame = heapmap.map_frame(heap)
    cells = heapmap.hover_cells(heap, frame)
    texts = [t for t in cells["text"].ravel() if t]
    assert len(texts) == 4 * 16
    assert texts[0].startswith("4 MiB from 0xc000000000<br>")
    amounts = re.findall(r": ([\d.]+) (KiB|MiB)", texts[0])
    assert sum(float(a) * {"KiB": 1 / 1024, "MiB": 1}[u] for a, u in amounts) == pytest.approx(4, rel=0.02)
    y, x = frame.origin(3)
    near = heapmap.hover_cells(heap, frame, (y, y + 10, x - 2, x + 30))
    assert near["text"].shape == (10, 32)
    assert near["text"][0, 2].startswith(f"page {BASE + 3 * 64 * MIB:#x}<br>")
    assert near["text"][0, 0] == ""
    assert near["x"][2] == x - 0.5 and near["y"][0] == y - 0.5


def test_ten_gib_are_fluid():
    """Ten GiB of heap take well under a second, and about a megabyte."""
    heap = big_snapshot(160)
    figures.heap_map(heap)
    begin = time.perf_counter()
    figure = figures.heap_map(heap)
    assert time.perf_counter() - begin < 2
    assert len(figure.to_json()) < 3_000_000


def test_heap_map_numbers(real):
    """The numbers behind a map are the pages as runs: they add up, and agree with the spans."""
    _, (snapshot, _) = real
    columns = numbers(figures.heap_map(snapshot))
    assert len({len(c) for c in columns.values()}) == 1
    counts = np.zeros(len(PAGE_STATE_NAMES), int)
    for state, pages in zip(columns["state"], columns["pages"], strict=True):
        counts[PAGE_STATE_NAMES.index(state)] += pages
    assert np.array_equal(counts, np.bincount(snapshot.pages.ravel(), minlength=len(PAGE_STATE_NAMES)))
    rows = zip(columns["address"], columns["pages"], columns["elemsize"], strict=True)
    in_spans = [(address, pages) for address, pages, elemsize in rows if elemsize != ""]
    assert in_spans == [(f"{int(s['base']):#x}", int(s["npages"])) for s in snapshot.spans]


@pytest.mark.parametrize(("color", "look"), [("size", "light"), ("state", "grey")])
def test_heap_map_refuses(small, color, look):
    """A colouring or theme that does not exist is named with those that do."""
    with pytest.raises(ValueError, match="outside its legal range: one of"):
        figures.heap_map(small, color, theme=look)


# ---------------------------------------------------------------------------------------------- occupancy


def test_occupancy_is_the_heap(real):
    """Slots in use, free slots and tails of all classes add up to the spans; those and large objects to HeapInuse."""
    _, snapshots = real
    for snapshot in snapshots:
        table = figures.occupancy_table(snapshot)
        total = sum(sum(table[k]) for k in ("in_use_bytes", "free_bytes", "tail_bytes"))
        large = snapshot.spans[snapshot.spans["state"] == PAGE_LARGE]["npages"].sum() * PAGE
        assert total + large == snapshot.memstats["HeapInuse"]


def test_occupancy_by_hand(small):
    """Of 48 B slots, 17 of 170 are in use, and 32 bytes are left over."""
    table = figures.occupancy_table(small)
    row = next(k for k, c in enumerate(table["size_class"]) if c == 5 and not table["noscan"][k])
    found = {name: column[row] for name, column in table.items()}
    assert found == {
        "size_class": 5,
        "slot_bytes": 48,
        "noscan": False,
        "spans": 1,
        "slots": 170,
        "in_use": 17,
        "in_use_bytes": 17 * 48,
        "free_bytes": 153 * 48,
        "tail_bytes": 8192 - 170 * 48,
    }


def test_occupancy_bars(small):
    """The bars are the table in KiB; colours are those of the page states."""
    figure = figures.occupancy(small)
    table = figures.occupancy_table(small)
    names = ["slots in use, with pointers", "free slots", "tail of the span, in no slot", "slots in use, noscan"]
    assert [t.name for t in figure.data if t.showlegend] == names
    in_use = figure.data[0]
    assert in_use.marker.color == theme.state_colors("light")[PAGE_SCAN]
    assert figure.data[3].marker.color == theme.state_colors("light")[PAGE_NOSCAN]
    expected = [b / 1024 for b, noscan in zip(table["in_use_bytes"], table["noscan"], strict=True) if not noscan]
    assert np.allclose(in_use.y, expected)
    assert figure.layout.yaxis.title.text == "with pointers, KiB"
    assert figure.layout.yaxis2.title.text == "noscan, KiB"
    assert figure.layout.xaxis2.title.text == "slot size of the size class"
    assert "32 KiB" in figure.layout.xaxis2.ticktext
    assert "not drawn: 1 large object, 40 KiB" in figure.layout.title.subtitle.text
    assert figure.layout.yaxis.range[1] >= max(sum(t.y[k] for t in figure.data[3:6]) for k in range(67))


# ---------------------------------------------------------------------------------------------- agreement and time


def test_agreement():
    """A bar per kind with its numbers; what is not exact has another colour and its differences."""
    total = {"objects": 5, "sweeps": 3, "spans": 0}
    found = mh.Agreement(total | {"sweeps": 2}, total, ["sweeps: x"])
    figure = figures.agreement(found, name="c")
    (bar,) = figure.data
    assert list(bar.y) == ["objects", "sweeps", "spans"]
    assert list(bar.text) == ["5 of 5  (100%)", "2 of 3  (67%)", "none in this case"]
    assert list(bar.marker.color) == [theme.GOOD, theme.BAD, theme.GOOD]
    assert bar.hovertext[1] == "sweeps: 2 of 3  (67%)<br>sweeps: x"
    assert figure.layout.title.text == "Agreement with Go: c"
    assert figure.layout.title.subtitle.text == "1 prediction of 8 wrong"
    assert figure.layout.xaxis.ticksuffix == "%"
    assert numbers(figure) == {"kind": list(found.total), "matched": [5, 2, 0], "total": [5, 3, 0]}


def test_heap_over_time(real):
    """The areas add up to HeapSys, in MiB; an event can be marked."""
    case, snapshots = real
    figure = figures.heap_over_time(snapshots, at=200_000)
    *areas, mark = figure.data
    assert [t.name.split(" (")[0] for t in areas] == ["in use", "free, backed", "returned to the OS"]
    total = sum(np.asarray(t.y) for t in areas)
    assert np.allclose(total * MIB, [s.memstats["HeapSys"] for s in snapshots])
    assert figure.layout.yaxis.title.text == "heap, MiB"
    assert figure.layout.xaxis.title.text == "events"
    assert tuple(figure.layout.xaxis.range) == (0, len(case))
    assert set(mark.x) == {200_000} and mark.y[0] == 0 and total.max() < mark.y[1] == figure.layout.yaxis.range[1]
    assert figure.data[0].line.color == theme.state_colors("light")[PAGE_SCAN]
    figures.heap_over_time([])


# ---------------------------------------------------------------------------------------------- theme

SIGHT = {
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""How colours look (Machado, Oliveira, Fernandes 2009, severity 1), on linear RGB."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colors, sight="normal"):
    """Return colours in CIELAB, as they look to a kind of sight."""
    c = np.array([theme.rgb(x) for x in colors]) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(linear @ np.array(SIGHT[sight]).T, 0, 1) @ XYZ.T / [0.9505, 1, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("look", theme.THEMES)
def test_states_can_be_told_apart(look, sight):
    """Any two page states differ visibly, in full colour or fainter, whoever looks."""
    solid, faint = lab(theme.state_colors(look), sight), lab(theme.tail_colors(look), sight)
    for i, j in itertools.combinations(range(len(PAGE_STATE_NAMES)), 2):
        assert np.linalg.norm(solid[i] - solid[j]) > 9, (i, j)
        if i >= PAGE_CACHED:
            assert min(np.linalg.norm(a[i] - b[j]) for a in (solid, faint) for b in (solid, faint)) > 8, (i, j)


@pytest.mark.parametrize("name", theme.RAMPS)
def test_ramps_are_ordered(name):
    """The lightness of a ramp falls from step to step."""
    assert (np.diff(lab(theme.ramp(name))[:, 0]) < 0).all()


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("look", theme.THEMES)
def test_ages_and_types_can_be_told_apart(look, sight):
    """No age looks like memory without objects, and no type like another or like that."""
    others = lab([*theme.FREE_COLORS[look], theme.OTHER_USE, theme.WASTE[look]], sight)
    ages = lab(theme.ramp("age"), sight)
    assert min(np.linalg.norm(a - b) for a in ages for b in others) > 9
    types = [*lab([*theme.TYPE_COLORS, theme.OTHER_TYPES], sight), *others]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(types, 2)) > 8


@pytest.mark.parametrize("sight", ["normal", "protan", "deutan"])
def test_scan_and_noscan_can_be_told_apart(sight):
    """The two ramps of size classes differ at every class."""
    scan, noscan = (lab([theme.class_color(c, n) for c in range(1, 68)], sight) for n in (False, True))
    assert np.linalg.norm(scan - noscan, axis=1).min() > 20


@pytest.mark.parametrize("look", theme.THEMES)
def test_text_is_readable(look):
    """Text has the contrast to its paper that WCAG AA asks for."""

    def luminance(color):
        c = theme.rgb(color) / 255
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ XYZ[1]

    paper = luminance(theme.PAPER[look])
    for color in (theme.TEXT[look], theme.MUTED[look]):
        low, high = sorted([paper, luminance(color)])
        assert (high + 0.05) / (low + 0.05) > 4.5


def test_upload_button_is_off():
    """No figure in a notebook offers to upload itself."""
    import plotly.io as pio

    theme.quiet_renderers()
    assert pio.renderers["plotly_mimetype"].config["showSendToCloud"] is False


def test_attach_stamps():
    """A figure carries what it shows."""
    import plotly.graph_objects as go

    figure = attach(go.Figure(), lambda: {"a": [1]}, {"figure": "x"})
    assert numbers(figure) == {"a": [1]} and figure.layout.meta == {"mheaplab": {"figure": "x"}}


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import mheaplab", ["plotly", "ipywidgets"]),
        ("import mheaplab as mh; mh.figures", ["ipywidgets", "kaleido", "IPython"]),
    ],
)
def test_imports_are_lazy(code, absent):
    """The library does not load plotly, nor do figures load widgets."""
    script = f"import sys; {code}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_a_chosen_theme_is_for_all_that_are_not_told():
    """Figures and widgets take what ``set_theme`` said; who names a theme gets that."""
    counts = [0] * 48 + [100]
    try:
        figures.set_theme("dark")
        paper = [
            figures.class_waste(counts).layout.template.layout.paper_bgcolor,
            mh.widgets.class_explorer({"x": counts}).live["tables"].layout.template.layout.paper_bgcolor,
            mh.widgets.sweep_explorer().theme,
            figures.class_waste(counts, theme="light").layout.template.layout.paper_bgcolor,
        ]
        with pytest.raises(ValueError, match="theme = 'sepia' is outside its legal range: one of light, dark"):
            figures.set_theme("sepia")
        assert figures.class_waste(counts).layout.template.layout.paper_bgcolor == theme.PAPER["dark"]
    finally:
        figures.set_theme("light")
    assert paper == [theme.PAPER["dark"], theme.PAPER["dark"], "dark", theme.PAPER["light"]]
    assert figures.class_waste(counts).layout.template.layout.paper_bgcolor == theme.PAPER["light"]
