"""occupancy: how well the spans of each size class are used."""

import numpy as np
import plotly.graph_objects as go

from ..snapshot import PAGE_LARGE, PAGE_NOSCAN, PAGE_SCAN
from . import theme as look
from .export import attach, digest
from .units import bytes_axis, bytes_text, plural, slot_text

PAGE_BYTES = 8192
PARTS = ("in_use_bytes", "free_bytes", "tail_bytes")
PANELS = ((False, "with pointers", look.SCAN), (True, "noscan", look.NOSCAN))
AXES = (("x", "y"), ("x2", "y2"))
TICK_ROOM = 5
"""Size classes that the name of one takes at the width of a text column."""
TICK_SIZES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)


def occupancy_table(snapshot):
    """Return the occupancy of every span class as a dict of columns.

    Returns
    -------
    dict of str to list
        ``size_class``, ``slot_bytes``, ``noscan``, ``spans``, ``slots``, ``in_use`` (slots allocated and not yet
        swept), and the bytes of the spans in three parts: ``in_use_bytes``, ``free_bytes`` (slots not in use),
        ``tail_bytes`` (in no slot: the rest of the span, in Go 1.27 also the pointer bitmap and mark bits kept there).
    """
    spans = snapshot.spans[(snapshot.spans["state"] == PAGE_SCAN) | (snapshot.spans["state"] == PAGE_NOSCAN)]
    n = len(snapshot.class_sizes)
    index = spans["span_class"].astype(np.int64)

    def total(values):
        return np.bincount(index, weights=values, minlength=2 * n)[: 2 * n].astype(np.int64)

    elemsize = spans["elemsize"].astype(np.float64)
    sums = {
        "spans": total(np.ones(len(spans))),
        "slots": total(spans["nelems"]),
        "in_use": total(spans["alloc_count"]),
        "in_use_bytes": total(spans["alloc_count"] * elemsize),
        "free_bytes": total((spans["nelems"] - spans["alloc_count"]) * elemsize),
        "tail_bytes": total(spans["npages"] * float(PAGE_BYTES) - spans["nelems"] * elemsize),
    }
    rows = np.arange(2, 2 * n)
    columns = {
        "size_class": (rows >> 1).tolist(),
        "slot_bytes": snapshot.class_sizes[rows >> 1].tolist(),
        "noscan": [bool(r & 1) for r in rows.tolist()],
    }
    return columns | {name: values[rows].tolist() for name, values in sums.items()}


def _hover(columns, rows):
    """Return one hover text per size class."""
    texts = []
    for r in rows:
        slots, used = columns["slots"][r], columns["in_use"][r]
        texts.append(
            f"size class {columns['size_class'][r]}: slots of {slot_text(columns['slot_bytes'][r])}<br>"
            f"{plural(columns['spans'][r], 'span')}, {used:,} of {plural(slots, 'slot')} in use<br>"
            f"in use {bytes_text(columns['in_use_bytes'][r])}, free {bytes_text(columns['free_bytes'][r])},"
            f" tail {bytes_text(columns['tail_bytes'][r])}"
        )
    return texts


def _bars(columns, divisor, theme):
    """Yield a trace for the bars of each panel and part."""
    colors = {"free_bytes": look.FREE_COLORS[theme][2], "tail_bytes": look.WASTE[theme]}
    words = {"free_bytes": "free slots", "tail_bytes": "tail of the span, in no slot"}
    for panel, (noscan, kind, color) in enumerate(PANELS):
        rows = [r for r, flag in enumerate(columns["noscan"]) if flag == noscan]
        hover = _hover(columns, rows)
        for part in PARTS:
            yield {
                "type": "bar",
                "x": np.array([columns["size_class"][r] for r in rows], "i4"),
                "y": np.array([columns[part][r] for r in rows]) / divisor,
                "xaxis": AXES[panel][0],
                "yaxis": AXES[panel][1],
                "name": words.get(part, f"slots in use, {kind}"),
                "legendrank": PARTS.index(part) + 1,
                "legendgroup": part if part in words else f"{part} {kind}",
                "showlegend": part not in words or panel == 0,
                "marker": {"color": colors.get(part, color), "line": {"width": 0}},
                "text": hover,
                "textposition": "none",
                "hovertemplate": "%{text}<extra></extra>",
            }


def _tick_classes(sizes):
    """Return the size classes to name on the axis: powers of two, as many as do not run into each other."""
    ticks = []
    for size in reversed(TICK_SIZES):
        k = int(np.searchsorted(sizes, size))
        if k < len(sizes) and sizes[k] == size and (not ticks or ticks[-1] - k >= TICK_ROOM):
            ticks.append(k)
    return ticks[::-1]


def _axes(sizes, unit, top):
    """Return the layout of the axes: two panels, one above the other, with the same ranges."""
    ticks = _tick_classes(sizes)
    x = {"range": [0.3, len(sizes) - 0.3], "tickvals": ticks, "tickangle": 0}
    words = [slot_text(int(sizes[k])) for k in ticks]
    # A range of our own: with matching axes and a given x range plotly 7 finds none.
    y = [{"range": [0, top], "nticks": 5, "title": {"text": f"{kind}, {unit}"}} for _, kind, _ in PANELS]
    return {
        "xaxis": x | {"anchor": "y", "matches": "x2", "showticklabels": False, "ticks": ""},
        "xaxis2": x | {"anchor": "y2", "ticktext": words, "title": {"text": "slot size of the size class"}},
        "yaxis": y[0] | {"anchor": "x", "domain": [0.53, 1]},
        "yaxis2": y[1] | {"anchor": "x2", "domain": [0, 0.47]},
    }


def occupancy(snapshot, *, theme=None, name=""):
    """Return bars of the memory in the spans of each size class: slots in use, free slots, and the tail in no slot.

    Parameters
    ----------
    snapshot : Snapshot
    theme : {"light", "dark"}, optional
    name : str
        What the heap is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    theme = look.theme_of(theme)
    columns = occupancy_table(snapshot)
    totals = {part: sum(columns[part]) for part in PARTS}
    highest = max(2048, *(sum(parts) for parts in zip(*(columns[part] for part in PARTS), strict=True)))
    divisor, unit = bytes_axis(highest)
    large = snapshot.spans[snapshot.spans["state"] == PAGE_LARGE]
    share = 100 * totals["in_use_bytes"] / max(sum(totals.values()), 1)
    text = f"{bytes_text(sum(totals.values()))} in spans of size classes, {share:.0f}% of it in slots in use"
    if len(large):
        text += f"; not drawn: {plural(len(large), 'large object')}, {bytes_text(large['npages'].sum() * PAGE_BYTES)}"
    bars = list(_bars(columns, divisor, theme))
    layout = look.frame_layout(
        theme,
        f"Occupancy by size class{' of ' + name if name else ''} after {plural(snapshot.event, 'event')}",
        text,
        plot_height=300,
        left=66,
        legend=[bar["name"] for bar in bars if bar["showlegend"]],
        legend_width=170,
    )
    layout |= _axes(snapshot.class_sizes, unit, 1.05 * highest / divisor)
    figure = go.Figure(bars, layout | {"barmode": "stack", "bargap": 0.15})
    facts = {"figure": "occupancy by size class", "event": snapshot.event, "sha256": digest(snapshot.spans)}
    return attach(figure, lambda: columns, facts)
