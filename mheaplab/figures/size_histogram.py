"""size_histogram: which sizes the objects have, by number and by bytes.

The axis of sizes is log2, as sizes reach from 1 byte to megabytes.  Bars are Go's size classes, a bar as wide as its
class, so that what falls together in the heap stands together here; above 32 KiB, where there are no classes, a bar is
half an octave.  The two panels belong together: the most common sizes are rarely those that hold the most bytes.
"""

import numpy as np
import plotly.graph_objects as go

from ..size_tables import go_classes
from . import theme as look
from .export import attach, digest
from .units import bytes_axis, bytes_text, count_text, plural

AXES = (("x", "y"), ("x2", "y2"))
SIZES = {"requested": "size requested", "slot": "size of the slot", "average": "average size at a place in the program"}
FIRST_WIDTH = 0.5
"""The bar of the first class begins at this part of its size: a log axis has no 0."""
MOST_TICKS = 9
FEWEST_OCTAVES = 6
COUNT_UNITS = ("objects", "thousand objects", "million objects", "billion objects")


def size_edges(largest):
    """Return the edges of the bars, ``largest`` bytes included: a bar holds sizes above one edge and up to the next."""
    edges = [0, *(size for size, _ in go_classes())]
    while edges[-1] < largest:
        edges.append(2 * edges[-2] if edges[-1] & (edges[-1] - 1) else edges[-1] * 3 // 2)
    return np.array(edges, np.int64)


def size_table(histogram):
    """Return the bars that hold objects as a dict of columns.

    Returns
    -------
    dict of str to list
        ``above_bytes`` and ``to_bytes`` (sizes from above the one, up to the other), ``objects``, ``bytes``, and where
        it is known ``noscan_objects`` and ``noscan_bytes``, those without pointers.
    """
    edges = size_edges(int(histogram.sizes[-1]) if len(histogram) else 0)
    place = np.searchsorted(edges, histogram.sizes) - 1
    groups = {"": histogram.counts}
    if histogram.noscan is not None:
        groups["noscan_"] = histogram.noscan
    kept = np.unique(place)
    columns = {"above_bytes": edges[kept].tolist(), "to_bytes": edges[kept + 1].tolist()}
    for prefix, counts in groups.items():
        totals = {"objects": counts, "bytes": histogram.sizes.astype(np.float64) * counts}
        for name, values in totals.items():
            sums = np.bincount(place, weights=values, minlength=len(edges))[kept]
            columns[prefix + name] = [int(v) for v in sums]
    return columns


def half_of_bytes(histogram):
    """Return the size such that objects of it and larger ones have half of all bytes."""
    share = np.cumsum((histogram.sizes * histogram.counts.astype(np.float64))[::-1])
    return int(histogram.sizes[::-1][np.searchsorted(share, share[-1] / 2)])


def _count_axis(largest):
    """Return (divisor, unit) for an axis that reaches ``largest`` objects."""
    k = 0
    while largest >= 5000 and k < len(COUNT_UNITS) - 1:
        largest, k = largest / 1000, k + 1
    return 1000**k, COUNT_UNITS[k]


def _left_edges(columns):
    return np.log2(np.maximum(columns["above_bytes"], FIRST_WIDTH * np.array(columns["to_bytes"][:1] or [1])[0]))


def _hover(columns):
    rows = zip(*(columns[c] for c in ("above_bytes", "to_bytes", "objects", "bytes")), strict=True)
    return [
        f"{count_text(above + 1)} to {count_text(to)} bytes<br>{plural(n, 'object')}, {bytes_text(b)}"
        for above, to, n, b in rows
    ]


def _bars(columns, parts, divisors):
    """Yield a trace for the bars of each panel and part."""
    left = _left_edges(columns)
    right = np.log2(np.array(columns["to_bytes"], np.float64))
    hover = _hover(columns)
    for panel, (value, divisor) in enumerate(zip(("objects", "bytes"), divisors, strict=True)):
        for name, (prefix, color) in parts.items():
            height = np.array(columns[prefix + value], np.float64)
            if prefix == "" and len(parts) > 1:
                height = height - np.array(columns["noscan_" + value], np.float64)
            yield {
                "type": "bar",
                "x": (left + right) / 2,
                "width": right - left,
                "y": height / divisor,
                "xaxis": AXES[panel][0],
                "yaxis": AXES[panel][1],
                "name": name,
                "legendgroup": name,
                "showlegend": len(parts) > 1 and panel == 0,
                "marker": {"color": color, "line": {"width": 0}},
                "text": hover,
                "textposition": "none",
                "hovertemplate": "%{text}<extra></extra>",
            }


def _axes(columns, title, units, tops):
    """Return the layout of the axes: two panels, one above the other, over the same sizes."""
    ends = (_left_edges(columns)[0], np.log2(columns["to_bytes"][-1])) if columns["to_bytes"] else (3.0, 15.0)
    spare = max(0.0, FEWEST_OCTAVES - (ends[1] - ends[0])) / 2
    low, high = max(ends[0] - spare, 0) - 0.1, ends[1] + spare + 0.1
    step = max(1, int(np.ceil((high - low) / MOST_TICKS)))
    ticks = list(range(int(np.ceil(low / step)) * step, int(high) + 1, step))
    x = {"range": [float(low), float(high)], "tickvals": ticks, "tickangle": 0}
    words = [bytes_text(2.0**k) for k in ticks]
    y = [
        {"range": [0, 1.05 * top], "nticks": 5, "title": {"text": unit}} for unit, top in zip(units, tops, strict=True)
    ]
    return {
        "xaxis": x | {"anchor": "y", "matches": "x2", "showticklabels": False, "ticks": ""},
        "xaxis2": x | {"anchor": "y2", "ticktext": words, "title": {"text": title}},
        "yaxis": y[0] | {"anchor": "x", "domain": [0.53, 1]},
        "yaxis2": y[1] | {"anchor": "x2", "domain": [0, 0.47]},
    }


def _caption(histogram):
    text = f"{plural(histogram.objects, 'object')}, {bytes_text(histogram.bytes)}"
    if len(histogram):
        text += f"; half of the bytes in objects of {bytes_text(half_of_bytes(histogram))} or more"
    meta = histogram.meta
    if meta.rate > 1:
        text += f"<br>estimates from a sample every {bytes_text(meta.rate)}"
    if meta.uncounted:
        text += f"<br>not drawn: {plural(meta.uncounted, 'object')} of unknown size"
        if meta.uncounted_bytes:
            text += f", {bytes_text(meta.uncounted_bytes)}"
    return text


def size_histogram(histogram, *, theme=None, name=""):
    """Return bars of objects and of their bytes by size, on a log2 axis.

    Parameters
    ----------
    histogram : mheaplab.Histogram
    theme : {"light", "dark"}, optional
    name : str
        What the program is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    theme = look.theme_of(theme)
    columns = size_table(histogram)
    parts = {"objects": ("", look.OTHER_USE)}
    if histogram.noscan is not None:
        parts = {"with pointers": ("", look.SCAN), "noscan": ("noscan_", look.NOSCAN)}
    tops = [max(columns["objects"], default=1), max(columns["bytes"], default=1)]
    (by, objects_unit), (bytes_by, bytes_unit) = _count_axis(tops[0]), bytes_axis(tops[1])
    bars = list(_bars(columns, parts, (by, bytes_by)))
    meta = histogram.meta
    what = f" {meta.what}" if meta.what else ""
    layout = look.frame_layout(
        theme,
        f"Sizes of objects{what}{' by ' + name if name else ''}",
        _caption(histogram),
        plot_height=320,
        left=66,
        legend=[bar["name"] for bar in bars if bar["showlegend"]],
        legend_width=110,
    )
    layout |= _axes(columns, SIZES[meta.sizes], (objects_unit, bytes_unit), (tops[0] / by, tops[1] / bytes_by))
    figure = go.Figure(bars, layout | {"barmode": "stack", "bargap": 0})
    facts = {"figure": "sizes of objects", "sha256": digest(histogram.sizes, histogram.counts)}
    facts |= {key: value for key, value in meta._asdict().items() if value not in ("", None)}
    return attach(figure, lambda: columns, facts)
