"""heap_map: every page of the heap as a point of a picture, arena by arena.

The picture is one image trace: a PNG with a palette, one point per page, which stays small and quick where a heatmap of
numbers would not (2 KB for a young heap, some hundred KB for ten GiB).  A row has 128 pages, 1 MiB; an arena of 64 MiB
has 64 rows and is one band.  Over the image lies a heatmap that nobody sees, whose cells carry the hover texts: a cell
per page as long as there are few, else one per 4 MiB or more; whoever zooms in may ask for the finer cells of a window.

A heap never gives an arena back, so the ``MapFrame`` of a run's last snapshot has room for all earlier ones, and
pictures of one run drawn in one frame can be laid upon each other.
"""

import base64
import functools
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ..snapshot import PAGE_FREE, PAGE_LARGE, PAGE_NOSCAN, PAGE_RESERVED, PAGE_SCAN, PAGE_STATE_NAMES
from . import theme as look
from .export import attach, digest
from .units import address_text, bytes_text, count_text, plural, slot_text

PAGE_BYTES = 8192
ROW_PAGES = 128
ROW_BYTES = ROW_PAGES * PAGE_BYTES
CHUNK_ROWS = 4
"""Rows of 4 MiB, the unit in which the heap grows."""
BAND_GAP = 4
"""Empty columns between bands that stand side by side."""
LABELLED_BANDS = 36
HOVER_PAGES = 8192
"""Pages up to which each has a hover text of its own."""
HOVER_CELLS = 4096
COLORS = ("state", "class", "occupancy")

# The palette of the image, by theme: what each of 256 codes means.
TAIL = len(PAGE_STATE_NAMES)  # TAIL + state: a page of a span after its first
SCAN_RAMP = 20
NOSCAN_RAMP = SCAN_RAMP + look.RAMP_STEPS
OTHER_USE = NOSCAN_RAMP + look.RAMP_STEPS
NOTHING = 255


@dataclass(frozen=True)
class MapFrame:
    """Which arenas a heap map draws, and where.

    Attributes
    ----------
    arena_bytes : int
    arenas : tuple of int
        Base addresses, rising.
    rows : int
        Rows drawn of each arena, from its start.
    columns : int
        Bands side by side.
    gap : int
        Empty rows above each band, room for its label.
    row_pixels : float
        Height of a row in the picture.
    """

    arena_bytes: int
    arenas: tuple
    rows: int
    columns: int
    gap: int
    row_pixels: float

    @property
    def band_rows(self):
        """Number of bands on top of each other."""
        return -(-len(self.arenas) // self.columns)

    @property
    def shape(self):
        """Height and width of the grid in pages."""
        width = self.columns * (ROW_PAGES + BAND_GAP) - BAND_GAP
        return max(self.band_rows * (self.rows + self.gap), 1), width

    @property
    def labelled(self):
        """Whether each band has its own label (else its rows have one on the axis)."""
        return 1 < len(self.arenas) <= LABELLED_BANDS

    @property
    def cropped(self):
        """Bytes of each arena that are not drawn."""
        return self.arena_bytes - self.rows * ROW_BYTES

    def origin(self, k):
        """Return row and column of the first page of arena ``k``."""
        down, across = divmod(k, self.columns)
        return down * (self.rows + self.gap) + self.gap, across * (ROW_PAGES + BAND_GAP)


def map_frame(snapshot):
    """Return the frame in which to draw ``snapshot`` and all earlier ones of its run.

    A single arena is cropped to what the heap has ever grown to, in steps of 4 MiB; several arenas are drawn whole,
    in as many columns as make the picture wider than high.
    """
    count = len(snapshot.arenas)
    rows = snapshot.arena_bytes // ROW_BYTES
    arenas = tuple(int(a) for a in snapshot.arenas)
    if count <= 1:
        grown = np.flatnonzero(snapshot.pages != PAGE_RESERVED)
        chunks = int(grown[-1]) // (CHUNK_ROWS * ROW_PAGES) + 1 if len(grown) else 1
        rows = min(rows, chunks * CHUNK_ROWS)
        return MapFrame(snapshot.arena_bytes, arenas, rows, 1, 0, min(26.0, 420 / rows))
    columns = 1
    while columns < 16 and -(-count // columns) * (rows + 6) > 0.8 * columns * (ROW_PAGES + BAND_GAP) and count > 2:
        columns += 1
    down = -(-count // columns)
    pixels = min(max(520 / (down * rows), 0.5), 8.0)
    gap = int(np.ceil(15 / pixels)) if count <= LABELLED_BANDS else 1 + rows // 16
    return MapFrame(snapshot.arena_bytes, arenas, rows, columns, gap, min(pixels, 900 / (down * (rows + gap))))


def png_indexed(codes, palette):
    """Return a data URI of a PNG with one point per number.

    Parameters
    ----------
    codes : numpy.ndarray of uint8, two-dimensional
    palette : numpy.ndarray of uint8, shape (256, 3)
        Code 255 is transparent whatever its colour.
    """
    height, width = codes.shape
    raw = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, none
    raw[:, 1:] = codes

    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    alpha = b"\xff" * NOTHING + b"\x00"
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", alpha)
    data += chunk(b"IDAT", zlib.compress(raw.tobytes(), 1)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(data).decode()


@functools.cache
def palette(color, theme):
    """Return the 256 colours that the codes of a heap map stand for."""
    colors = np.zeros((256, 3), np.uint8)
    colors[:TAIL] = [look.rgb(c) for c in look.state_colors(theme)]
    colors[TAIL : 2 * TAIL] = [look.rgb(c) for c in look.tail_colors(theme)]
    if color == "class":
        colors[SCAN_RAMP:NOSCAN_RAMP] = [look.rgb(c) for c in look.ramp("scan")]
        colors[NOSCAN_RAMP:OTHER_USE] = [look.rgb(c) for c in look.ramp("noscan")]
    elif color == "occupancy":
        colors[SCAN_RAMP : NOSCAN_RAMP + 1] = [look.rgb(c) for c in look.ramp("occupancy", look.RAMP_STEPS + 1)]
    colors[OTHER_USE] = look.rgb(look.OTHER_USE)
    return colors


def _state_codes(snapshot):
    """Return the code of each page by state; the pages of a span after its first are fainter."""
    codes = snapshot.pages.copy()
    owner = snapshot.page_span.reshape(-1)
    tail = np.zeros(owner.shape, bool)
    tail[1:] = (owner[1:] >= 0) & (owner[1:] == owner[:-1])
    codes.reshape(-1)[tail] += TAIL
    return codes


def _by_span(snapshot, span_codes):
    """Return page codes where each span has one code and pages in no span keep their state (page cache: other use)."""
    codes = np.where(snapshot.pages > PAGE_FREE, OTHER_USE, snapshot.pages).astype(np.uint8)
    owned = snapshot.page_span >= 0
    codes[owned] = span_codes[snapshot.page_span[owned]]
    return codes


def _class_codes(snapshot):
    """Return the code of each page by the span class of its span."""
    spans = snapshot.spans
    step = look.class_step(np.clip(spans["span_class"] >> 1, 1, None), len(snapshot.class_sizes))
    step = np.clip(step, 0, look.RAMP_STEPS - 1)
    codes = np.full(len(spans), OTHER_USE, np.uint8)
    for state, first in ((PAGE_SCAN, SCAN_RAMP), (PAGE_NOSCAN, NOSCAN_RAMP)):
        mine = spans["state"] == state
        codes[mine] = first + step[mine]
    codes[spans["state"] == PAGE_LARGE] = PAGE_LARGE
    return _by_span(snapshot, codes)


def _occupancy_codes(snapshot):
    """Return the code of each page by the share of its span's slots in use."""
    spans = snapshot.spans
    share = spans["alloc_count"] / np.maximum(spans["nelems"], 1)
    step = np.rint(np.clip(share, 0, 1) * look.RAMP_STEPS).astype(int)
    # Only a full span is full, and only an empty one empty.
    step = np.where((step == look.RAMP_STEPS) & (share < 1), look.RAMP_STEPS - 1, step)
    step = np.where((step == 0) & (share > 0), 1, step)
    slots = (spans["state"] >= PAGE_SCAN) & (spans["state"] <= PAGE_LARGE)
    return _by_span(snapshot, np.where(slots, SCAN_RAMP + step, OTHER_USE).astype(np.uint8))


CODES = {"state": _state_codes, "class": _class_codes, "occupancy": _occupancy_codes}


def place(frame, snapshot, values, nothing):
    """Return ``values`` (a row per arena of ``snapshot``) laid out on the grid of ``frame``, elsewhere ``nothing``."""
    grid = np.full(frame.shape, nothing, values.dtype)
    drawn = frame.rows * ROW_PAGES
    row_of = {int(base): k for k, base in enumerate(snapshot.arenas)}
    for k, base in enumerate(frame.arenas):
        if base in row_of:
            y, x = frame.origin(k)
            block = values[row_of[base], :drawn].reshape(frame.rows, ROW_PAGES)
            grid[y : y + frame.rows, x : x + ROW_PAGES] = block
    return grid


# ---------------------------------------------------------------------------------------------- hover texts


def _span_text(snapshot, k):
    """Return the lines of a hover text that tell about span ``k``."""
    span = snapshot.spans[k]
    text = f"span of {plural(span['npages'], 'page')} at {address_text(span['base'])}"
    if span["state"] == PAGE_LARGE:
        return f"{text}<br>one object in {bytes_text(int(span['elemsize']))}"
    if span["elemsize"] == 0:
        return text
    use = f"{count_text(span['alloc_count'])} of {plural(span['nelems'], 'slot')}"
    return f"{text}<br>size class {int(span['span_class']) >> 1}: {use} of {slot_text(int(span['elemsize']))} in use"


def _page_cells(snapshot, frame, window):
    """Return hover cells of single pages, for the rows and columns in ``window``."""
    top, bottom, left, right = window
    per_arena = snapshot.pages.shape[1]
    number = np.arange(snapshot.pages.size, dtype=np.int64).reshape(snapshot.pages.shape)
    grid = place(frame, snapshot, number, -1)[top:bottom, left:right]
    state = snapshot.pages.reshape(-1)
    owner = snapshot.page_span.reshape(-1)
    spans = {k: _span_text(snapshot, k) for k in np.unique(owner[grid[grid >= 0]]).tolist() if k >= 0}
    texts = []
    for page in grid.reshape(-1).tolist():
        if page < 0:
            texts.append("")
            continue
        arena, within = divmod(page, per_arena)
        address = int(snapshot.arenas[arena]) + within * PAGE_BYTES
        lines = [f"page {address_text(address)}", PAGE_STATE_NAMES[state[page]]]
        if owner[page] >= 0:
            lines.append(spans[int(owner[page])])
        texts.append("<br>".join(lines))
    text = np.array(texts, object).reshape(grid.shape)
    edges_x = np.arange(left, right + 1) - 0.5
    edges_y = np.arange(top, bottom + 1) - 0.5
    return _cells(edges_x, edges_y, text)


def _block_cells(snapshot, frame):
    """Return hover cells of several rows each, with what their pages are used for."""
    rows = len(frame.arenas) * frame.rows
    step = next((s for s in (CHUNK_ROWS, 16) if s <= frame.rows and rows <= s * HOVER_CELLS), frame.rows)
    above = [frame.gap] if frame.gap else []
    heights = above + [min(step, frame.rows - r) for r in range(0, frame.rows, step)]
    edges_y = np.cumsum([0] + heights * frame.band_rows) - 0.5
    edges_x = np.cumsum([0] + ([ROW_PAGES, BAND_GAP] * frame.columns)[:-1]) - 0.5
    text = np.full((len(heights) * frame.band_rows, 2 * frame.columns - 1), "", object)
    row_of = {int(base): k for k, base in enumerate(snapshot.arenas)}
    for k, base in enumerate(frame.arenas):
        if base not in row_of:
            continue
        down, across = divmod(k, frame.columns)
        pages = snapshot.pages[row_of[base]]
        for j, first in enumerate(range(0, frame.rows, step)):
            block = pages[first * ROW_PAGES : (first + step) * ROW_PAGES]
            address = base + first * ROW_BYTES
            lines = [f"{bytes_text(len(block) * PAGE_BYTES)} from {address_text(address)}"]
            counts = np.bincount(block, minlength=TAIL)
            for state in np.argsort(-counts, kind="stable")[:5].tolist():
                if counts[state]:
                    lines.append(f"{PAGE_STATE_NAMES[state]}: {bytes_text(int(counts[state]) * PAGE_BYTES)}")
            text[down * len(heights) + len(above) + j, 2 * across] = "<br>".join(lines)
    return _cells(edges_x, edges_y, text)


def _cells(edges_x, edges_y, text):
    """Return the arrays of the hover heatmap; cells without text are holes."""
    z = np.where(text == "", None, 0)
    return {"x": edges_x.astype("f4"), "y": edges_y.astype("f4"), "z": z, "text": text}


def hover_cells(snapshot, frame, window=None):
    """Return ``x``, ``y``, ``z`` and ``text`` of the heatmap that carries the hover texts.

    Parameters
    ----------
    snapshot : Snapshot
    frame : MapFrame
    window : (top, bottom, left, right) of the grid, optional
        Where to look closer: single pages if there are at most ``HOVER_PAGES``.  Default: everything.
    """
    height, width = frame.shape
    top, bottom, left, right = window or (0, height, 0, width)
    top, left = max(0, top), max(0, left)
    bottom, right = min(height, bottom), min(width, right)
    if 0 < (bottom - top) * (right - left) <= HOVER_PAGES:
        return _page_cells(snapshot, frame, (top, bottom, left, right))
    return _block_cells(snapshot, frame)


# ---------------------------------------------------------------------------------------------- legend and labels


def _bytes_by_state(snapshot):
    return np.bincount(snapshot.pages.reshape(-1), minlength=TAIL).astype(np.int64) * PAGE_BYTES


def legend_entries(snapshot, color, theme):
    """Return the legend as (text, colour) pairs: always the same entries for a colouring, with their bytes."""
    amount = _bytes_by_state(snapshot)
    states = look.state_colors(theme)
    by_state = [(f"{name} ({bytes_text(int(amount[k]))})", states[k]) for k, name in enumerate(PAGE_STATE_NAMES)]
    if color == "state":
        return by_state
    free = by_state[PAGE_RESERVED : PAGE_FREE + 1]
    rest = int(amount[PAGE_FREE + 1] + amount[PAGE_LARGE + 1 :].sum())
    other = (f"stacks, runtime, page cache ({bytes_text(rest)})", look.OTHER_USE)
    if color == "occupancy":
        steps = look.ramp("occupancy", look.RAMP_STEPS + 1)
        return [*((f"{k}% of slots in use", steps[k]) for k in (0, 25, 50, 75, 100)), *free, other]
    sizes = snapshot.class_sizes
    n = len(sizes)
    shown = sorted({int(np.searchsorted(sizes[1:], s)) + 1 for s in (8, 64, 512, 4096, 32768) if s <= sizes[-1]})
    entries = []
    for noscan, words in ((False, "with pointers"), (True, "noscan")):
        entries += [(f"{slot_text(int(sizes[c]))} slots, {words}", look.class_color(c, noscan, n)) for c in shown]
    return [*entries, by_state[PAGE_LARGE], *free, other]


def _mapped(snapshot, base):
    """Return the bytes of an arena that are not only reserved, 0 if it does not exist yet."""
    k = np.flatnonzero(snapshot.arenas == base)
    return int((snapshot.pages[k[0]] != PAGE_RESERVED).sum()) * PAGE_BYTES if len(k) else 0


def band_labels(snapshot, frame, theme):
    """Return one annotation per band: the arena's address and how much of it the heap has grown into."""
    if not frame.labelled:
        return []
    mib = 1 << 20
    labels = []
    for k, base in enumerate(frame.arenas):
        y, x = frame.origin(k)
        grown = _mapped(snapshot, base) // mib
        whole = frame.arena_bytes // mib
        part = f"{whole}" if grown == whole else f"{grown}/{whole}"
        text = f"{address_text(base)} · {part} MiB" if base in snapshot.arenas else ""
        labels.append(
            {
                "x": x - 0.5,
                "y": y - 0.5,
                "text": text,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "borderpad": 0,
                "font": {"size": 10, "color": look.MUTED[theme]},
            }
        )
    return labels


def subtitle(snapshot, frame):
    """Return what is drawn and what is not, in words."""
    count = len(snapshot.arenas)
    if count == 0:
        return "the heap is empty: no arena yet"
    mapped = bytes_text(int((snapshot.pages != PAGE_RESERVED).sum()) * PAGE_BYTES)
    text = f"{mapped} mapped in {plural(count, 'arena')} of {bytes_text(frame.arena_bytes)}"
    if frame.cropped:
        text += f"; the last {bytes_text(frame.cropped)}, only reserved, are not drawn"
    return text


def _axes(frame, color):
    """Return the layout of the two axes."""
    height, width = frame.shape
    note = "; fainter: pages of a span after its first" if color == "state" else ""
    x = {"range": [-0.5, width - 0.5], "showgrid": False, "constrain": "domain"}
    y = {"range": [height - 0.5, -0.5], "showgrid": False, "scaleanchor": False}
    y["tickfont"] = {"family": look.MONO, "size": 10}
    if frame.columns == 1:
        quarter = ROW_PAGES // 4
        x["tickvals"] = [k * quarter - 0.5 for k in range(5)]
        x["ticktext"] = ["0"] + [bytes_text(k * quarter * PAGE_BYTES) for k in range(1, 5)]
        x["title"] = {"text": f"offset in a row of 128 pages of 8 KiB{note}"}
    else:
        x |= {"tickvals": [], "title": {"text": f"a row has 128 pages of 8 KiB, 1 MiB{note}"}}
    if frame.labelled:
        y |= {"tickvals": [], "showline": False}
    elif len(frame.arenas) == 1:
        every = max(1, frame.rows // 16)
        y["tickvals"] = list(range(0, frame.rows, every))
        y["ticktext"] = [address_text(frame.arenas[0] + r * ROW_BYTES) for r in y["tickvals"]]
    else:
        every = max(1, -(-frame.band_rows // 16))
        first = range(0, len(frame.arenas), frame.columns * every)
        y["tickvals"] = [frame.origin(k)[0] for k in first]
        y["ticktext"] = [address_text(frame.arenas[k]) for k in first]
    return {"xaxis": x, "yaxis": y}


def run_table(snapshot):
    """Return the pages as runs: a column each for address, pages, state and the span, in the order of addresses."""
    state, owner = snapshot.pages.reshape(-1), snapshot.page_span.reshape(-1)
    per_arena = snapshot.pages.shape[1]
    page = np.arange(len(state))
    new = np.ones(len(state), bool)
    new[1:] = (state[1:] != state[:-1]) | (owner[1:] != owner[:-1]) | ((page[1:] % per_arena == 0) & (owner[1:] < 0))
    first = np.flatnonzero(new)
    length = np.diff(np.append(first, len(state)))
    base = snapshot.arenas.astype(np.int64)[first // per_arena] + first % per_arena * PAGE_BYTES
    columns = {
        "address": [address_text(a) for a in base.tolist()],
        "pages": length.tolist(),
        "state": [PAGE_STATE_NAMES[s] for s in state[first].tolist()],
    }
    row = owner[first]
    for name in ("span_class", "elemsize", "nelems", "alloc_count"):
        values = snapshot.spans[name][np.maximum(row, 0)].tolist() if len(snapshot.spans) else [0] * len(row)
        columns[name] = ["" if r < 0 else v for r, v in zip(row.tolist(), values, strict=True)]
    return columns


def heap_map(snapshot, color="state", *, theme=None, frame=None, name=""):
    """Return a picture of every page of the heap.

    Parameters
    ----------
    snapshot : Snapshot
    color : {"state", "class", "occupancy"}
        What colour stands for: what a page is used for (the first page of a span in full colour, the others fainter);
        the span class, from small to large, blue with pointers and orange without; the share of slots in use.
    theme : {"light", "dark"}, optional
    frame : MapFrame, optional
        Where to draw which arena.  Default: that of this snapshot; give that of the run's last snapshot to draw several
        moments alike.
    name : str
        What the heap is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If ``color`` or ``theme`` is none of these.
    """
    theme = look.theme_of(theme)
    if color not in COLORS:
        raise ValueError(f"color = {color!r} is outside its legal range: one of {', '.join(COLORS)}")
    frame = frame or map_frame(snapshot)
    codes = place(frame, snapshot, CODES[color](snapshot), NOTHING)
    image = {"type": "image", "source": png_indexed(codes, palette(color, theme)), "hoverinfo": "skip", "name": "pages"}
    cells = {
        "type": "heatmap",
        "name": "hover",
        "hovertemplate": "%{text}<extra></extra>",
        "hoverongaps": False,
        "showscale": False,
        "opacity": 0,
    }
    cells |= hover_cells(snapshot, frame)
    entries = legend_entries(snapshot, color, theme)
    title = f"Heap map{' of ' + name if name else ''} after {plural(snapshot.event, 'event')}"
    layout = look.frame_layout(
        theme,
        title,
        subtitle(snapshot, frame),
        plot_height=round(frame.shape[0] * frame.row_pixels),
        left=20 if frame.labelled else 98,
        legend=[text for text, _ in entries],
        legend_width=214,
    )
    layout |= _axes(frame, color) | {"annotations": band_labels(snapshot, frame, theme)}
    figure = go.Figure([image, cells, *(look.swatch(*entry) for entry in entries)], layout)
    facts = {"figure": "heap map", "color": color, "event": snapshot.event}
    facts["sha256"] = digest(snapshot.pages, snapshot.spans)
    return attach(figure, lambda: run_table(snapshot), facts)
