"""page_hover: the texts of a heap map, as the cells of a heatmap that nobody sees.

A cell per page as long as there are few, else one per 4 MiB or more; whoever zooms in may ask for the finer cells of a
window.
"""

import html

import numpy as np

from ..snapshot import PAGE_LARGE, PAGE_STATE_NAMES
from .page_colors import type_text
from .page_frame import BAND_GAP, CHUNK_ROWS, PAGE_BYTES, ROW_BYTES, ROW_PAGES, place
from .units import address_text, bytes_text, count_text, plural, slot_text

HOVER_PAGES = 8192
"""Pages up to which each has a hover text of its own."""
HOVER_CELLS = 4096


def _span_text(snapshot, k):
    """Return the lines of a hover text that tell about span ``k``."""
    span = snapshot.spans[k]
    text = f"span of {plural(span['npages'], 'page')} at {address_text(span['base'])}"
    if span["elemsize"] == 0:
        return text
    if span["state"] == PAGE_LARGE:
        text += f"<br>one object in {bytes_text(int(span['elemsize']))}"
    else:
        use = f"{count_text(span['alloc_count'])} of {plural(span['nelems'], 'slot')}"
        text += f"<br>size class {int(span['span_class']) >> 1}: {use} of {slot_text(int(span['elemsize']))} in use"
    return text if snapshot.residents is None else f"{text}<br>{_resident_text(snapshot.residents, k)}"


def _resident_text(lives, k):
    """Return the lines of a hover text that tell who lives in span ``k``."""
    row = lives.spans[k]
    if not row["objects"]:
        return "no object alive"
    ages = {}
    for which in ("oldest", "middle"):
        least = "at least " if row[which] < 0 else ""
        ages[which] = f"{least}{bytes_text(lives.clock - max(int(row[which]), 0))} ago"
    text = f"alive {count_text(row['objects'])}: oldest born {ages['oldest']}"
    if row["objects"] > 1:
        text += f", middle {ages['middle']}"
    if row["kind"] >= 0:
        text += f"<br>{count_text(row['of_kind'])} of them: {html.escape(type_text(lives.types[row['kind']], 60))}"
    return text


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
        lines = [f"page {address_text(address)}", snapshot.state_names[state[page]]]
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
            block = pages[(frame.skipped + first) * ROW_PAGES : (frame.skipped + first + step) * ROW_PAGES]
            address = base + (frame.skipped + first) * ROW_BYTES
            lines = [f"{bytes_text(len(block) * PAGE_BYTES)} from {address_text(address)}"]
            counts = np.bincount(block, minlength=len(PAGE_STATE_NAMES))
            for state in np.argsort(-counts, kind="stable")[:5].tolist():
                if counts[state]:
                    lines.append(f"{snapshot.state_names[state]}: {bytes_text(int(counts[state]) * PAGE_BYTES)}")
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
