"""heap_map: every page of the heap as a point of a picture, arena by arena.

The picture is one image trace: a PNG with a palette, one point per page, which stays small and quick where a heatmap of
numbers would not (2 KB for a young heap, some hundred KB for ten GiB).  Over the image lies a heatmap that nobody sees,
whose cells carry the hover texts.  Where which page is drawn: ``page_frame``; its colour: ``page_colors``; its texts:
``page_hover``.
"""

import base64
import struct
import zlib

import numpy as np

from ..snapshot import PAGE_RESERVED, PAGE_SCAVENGED
from . import theme as look
from .export import digest
from .page_colors import CODES, NOTHING, check_color, legend_entries, palette
from .page_frame import PAGE_BYTES, ROW_BYTES, ROW_PAGES, map_frame, place
from .page_hover import hover_cells
from .runs import Picture
from .units import address_text, bytes_text, plural

NOTES = {
    "state": "; fainter: pages of a span after its first",
    "age": "; colour: age of the middle object of a span",
    "oldest": "; colour: age of the oldest object of a span",
    "type": "; colour: type of most objects of a span",
}
"""What the title of the axis says of a colouring beside the legend."""


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
    words = "mapped" if snapshot.state_names[PAGE_SCAVENGED] else "from the first span to the last,"
    text = f"{mapped} {words} in {plural(count, 'arena')} of {bytes_text(frame.arena_bytes)}"
    if frame.skipped:
        text += "; the rest of it is not drawn"
    elif frame.cropped:
        text += f"; the last {bytes_text(frame.cropped)}, only reserved, are not drawn"
    return text


def _axes(frame, color):
    """Return the layout of the two axes."""
    height, width = frame.shape
    note = NOTES.get(color, "")
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
        y["ticktext"] = [address_text(frame.arenas[0] + (frame.skipped + r) * ROW_BYTES) for r in y["tickvals"]]
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
        "state": [snapshot.state_names[s] for s in state[first].tolist()],
    }
    row = owner[first]
    for name in ("span_class", "elemsize", "nelems", "alloc_count"):
        values = snapshot.spans[name][np.maximum(row, 0)].tolist() if len(snapshot.spans) else [0] * len(row)
        columns[name] = ["" if r < 0 else v for r, v in zip(row.tolist(), values, strict=True)]
    return columns | (_resident_columns(snapshot, row) if snapshot.residents is not None else {})


def _resident_columns(snapshot, row):
    """Return who lives in the spans ``row``, -1 for none: objects, ages in bytes allocated since, type."""
    lives, spans = snapshot.residents, np.maximum(row, 0)
    alive = row >= 0
    alive[alive] = lives.spans["objects"][row[alive]] > 0
    columns = {"alive": np.where(alive, lives.spans["objects"][spans], 0).tolist() if len(lives.spans) else []}
    for which in ("oldest", "middle"):
        age = lives.age(which)[spans].tolist() if len(lives.spans) else []
        columns[f"{which}_age"] = [v if there else "" for v, there in zip(age, alive.tolist(), strict=False)]
    if lives.types:
        kind = lives.spans["kind"][spans].tolist()
        columns["type"] = [lives.types[k] if there else "" for k, there in zip(kind, alive.tolist(), strict=True)]
    return columns


def heap_map(snapshot, color="state", *, theme=None, frame=None, name=""):
    """Return a picture of every page of the heap.

    Parameters
    ----------
    snapshot : Snapshot
    color : {"state", "class", "occupancy", "age", "oldest", "type"}
        What colour stands for: what a page is used for (the first page of a span in full colour, the others fainter);
        the span class, from small to large, blue with pointers and orange without; the share of slots in use.  With
        ``residents`` in the snapshot also: how many bytes have been allocated since the object in the middle of a span
        was born, or the oldest that is alive; the type of most of its objects, where types are known.
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
        If ``color`` or ``theme`` is none of these, or the snapshot cannot be coloured so.
    """
    return heap_map_picture(snapshot, color, theme=theme, frame=frame, name=name).figure()


def heap_map_picture(snapshot, color="state", *, theme=None, frame=None, name="", hover=True):
    """Return the same as a Picture, for a live figure; without ``hover`` its texts are left out, which take longest."""
    theme = look.theme_of(theme)
    check_color(snapshot, color)
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
    cells |= hover_cells(snapshot, frame) if hover else {}
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

    def facts():
        shown = {"figure": "heap map", "color": color, "event": snapshot.event}
        lives = () if snapshot.residents is None else (snapshot.residents.spans,)
        return shown | {"sha256": digest(snapshot.pages, snapshot.spans, *lives)}

    traces = [image, cells, *(look.swatch(*entry) for entry in entries)]
    return Picture(traces, layout, lambda: run_table(snapshot), facts)
