"""class_waste: what a program asks for, the size classes that it is rounded up to, and what each class wastes.

Above, the bytes requested by objects of every size; a vertical line is the boundary of a class, the largest size that
it holds.  Below, the waste of each class by cause, as wide as the class.  Sizes are on a log2 axis, cut where classes
may end (multiples of 8, above 1,024 of 128), so a bar never lies on both sides of a boundary.

Everything is made of lines and areas, not of plotly's bars: a live figure can then paint what a dragged boundary
changes (``widgets/brush.js``) instead of drawing it all again.  Areas are stacked here, by running sums, since plotly's
own stacking does not take two values at one place, which a step is.
"""

import numpy as np

from ..sizeclasses import CAUSES, go_table
from ..sizeclasses.demand import demand_of
from ..sizeclasses.evaluate import evaluate_demand
from ..sizeclasses.rules import MAX_SIZE
from . import theme as look
from .export import digest
from .runs import Picture, drawn
from .units import bytes_axis, bytes_text, plural, slot_text

EDGES = np.concatenate((np.arange(0, 1025, 8), np.arange(1152, MAX_SIZE + 1, 128)))
"""Where a class may end, and 0."""
FIRST = 4.0
"""Where the first class begins on the axis, bytes: a log axis has no 0."""
WORDS = {
    "rounding": "rounding up",
    "tail": "tail of the span",
    "header": "header",
    "bitmap": "pointer bitmap",
    "marks": "inline marks",
}
PATTERNS = {"rounding": "", "tail": "/", "header": "x", "bitmap": ".", "marks": "\\"}
"""So that no cause is told by its colour alone."""
PARTS = {"with pointers": look.SCAN, "noscan": look.NOSCAN}
TABLE = "class boundaries"
FAINT = 0.4
"""Part of the paper's colour in the boundaries, of which there are many."""


def places(sizes):
    """Return sizes in bytes on the log2 axis."""
    return np.log2(np.maximum(sizes, FIRST))


def cause_colors(theme):
    """Return the colour of each of ``CAUSES``."""
    return dict(zip(CAUSES, (look.BAD, look.WASTE[theme], "#56b4e9", "#ddcc77", "#7d6b91"), strict=True))


def _steps(edges):
    """Return where steps with these edges have their two ends, on the axis."""
    at = places(edges)
    return drawn(np.stack((at[:-1], at[1:]), axis=1).ravel())


def _area(x, low, high, name, color, **more):
    """Return the trace of an area between two step curves, the lower one drawn before (None: the axis)."""
    return {
        "type": "scatter", "mode": "lines", "x": x, "y": high, "name": name, "legendgroup": name,
        "line": {"width": 0, "color": color}, "fill": "tozeroy" if low is None else "tonexty", "fillcolor": color,
        "hovertemplate": "%{text}<extra></extra>",
    } | more  # fmt: skip


def requested_bytes(demand):
    """Return the bytes requested between two of ``EDGES``: two rows, objects with pointers and without."""
    weights = np.arange(demand.counts.shape[1], dtype=np.float64)
    sums = np.cumsum(demand.counts * weights, axis=1)
    return np.diff(sums[:, EDGES], axis=1)


def requested_traces(demand):
    """Return (traces, top, unit) of the upper panel: they depend on the program alone.

    ``top`` is the highest value, in units of which ``unit`` is the name.
    """
    rows = requested_bytes(demand)
    divisor, unit = bytes_axis(int(rows.sum(axis=0).max(initial=0)))
    x, traces, low = _steps(EDGES), [], None
    counts = np.diff(np.cumsum(demand.counts, axis=1)[:, EDGES], axis=1)
    for name, row, objects in zip(PARTS, rows, counts, strict=True):
        high = row if low is None else low + row
        text = [
            f"{slot_text(a + 1)} to {slot_text(b)}<br>{plural(n, 'object')} {name}, {bytes_text(v)}"
            for a, b, n, v in zip(EDGES[:-1].tolist(), EDGES[1:].tolist(), objects.tolist(), row.tolist(), strict=True)
        ]
        y = drawn(np.repeat(high, 2) / divisor)
        more = {"text": [t for t in text for _ in "ab"], "showlegend": bool(row.any())}
        traces.append(_area(x, low, y, name, PARTS[name], **more))
        low = high
    return traces, float(low.max(initial=0)) / divisor or 1.0, unit


def _boundary_trace(sizes, name, top, style):
    """Return boundaries as vertical lines of the upper panel, one trace with gaps."""
    at = places(sizes)
    x = np.stack((at, at, np.full(len(at), np.nan)), axis=1).ravel()
    y = np.tile([0.0, top, np.nan], len(at))
    return {
        "type": "scatter", "mode": "lines", "x": drawn(x), "y": drawn(y), "name": name,
        "hoverinfo": "skip", "connectgaps": False, "line": style,
    }  # fmt: skip


def _waste_traces(found, divisor, theme):
    """Return the lower panel's areas."""
    x, low, traces, colors = _steps(found.table.sizes), None, [], cause_colors(theme)
    total = sum(found.by_class[cause] for cause in CAUSES)[1:]
    names = [
        f"class {k}: {slot_text(size)}, {plural(pages, 'page')}<br>waste {bytes_text(waste)}"
        for k, (size, pages), waste in zip(range(1, len(total) + 1), found.table.pairs, total.tolist(), strict=True)
    ]
    for cause in CAUSES:
        row = found.by_class[cause][1:]
        high = row if low is None else low + row
        text = [f"{a}<br>{WORDS[cause]} {bytes_text(v)}" for a, v in zip(names, row.tolist(), strict=True)]
        more = {"text": [t for t in text for _ in "ab"], "xaxis": "x2", "yaxis": "y2", "showlegend": bool(row.any())}
        if PATTERNS[cause]:
            more["fillpattern"] = {
                "shape": PATTERNS[cause],
                "size": 6,
                "fgcolor": look.PAPER[theme],
                "fillmode": "overlay",
            }
        y = drawn(np.repeat(high, 2) / divisor)
        traces.append(_area(x, low, y, WORDS[cause], colors[cause], **more))
        low = high
    return traces, float(low.max(initial=0))


def percent(share):
    """Return a share as percent with three figures."""
    return f"{100 * share:.3g}%"


def table_words(found):
    """Return what a table is called, and for which Go version."""
    return found.table.name if found.table.name.startswith(found.go) else f"{found.table.name}, {found.go}"


def waste_words(found):
    """Return the waste of a table in words."""
    causes = [f"{cause} {percent(v / found.requested)}" for cause, v in found.causes.items() if v > 0]
    share = percent(found.share)
    return f"waste {bytes_text(found.waste)}, {share} of it" + (f": {', '.join(causes)}" if len(causes) > 1 else "")


def waste_columns(found):
    """Return the numbers by class as a dict of columns, bytes and objects."""
    table = found.table
    columns = {
        "class": list(range(1, len(table))),
        "size": table.sizes[1:].tolist(),
        "pages": table.npages[1:].tolist(),
    }
    for name in ("objects", "requested", *CAUSES, "spans", "whole_spans"):
        columns[name] = found.by_class[name][1:].tolist()
    return columns


def _axes(tops, units):
    ticks = list(range(3, 16))
    x = {"range": [2.0, 15.05], "tickvals": ticks, "tickangle": 0}
    y = [{"range": [0, 1.05 * top or 1], "nticks": 5} for top in tops]
    return {
        "xaxis": x | {"anchor": "y", "matches": "x2", "showticklabels": False, "ticks": ""},
        "xaxis2": x
        | {"anchor": "x2", "ticktext": [bytes_text(2.0**k) for k in ticks], "title": {"text": "size of objects"}}
        | {"anchor": "y2"},
        "yaxis": y[0] | {"anchor": "x", "domain": [0.56, 1], "title": {"text": f"requested, {units[0]}"}},
        "yaxis2": y[1] | {"anchor": "x2", "domain": [0, 0.48], "title": {"text": f"waste, {units[1]}"}},
    }


def class_waste_picture(demand, found, reference, *, theme=None, name="", upper=None):
    """Return :func:`class_waste` as a Picture, of a demand and evaluations of it that were made before.

    ``upper`` is what :func:`requested_traces` gave, for whoever draws the same program many times.
    """
    theme = look.theme_of(theme)
    traces, top, unit = requested_traces(demand) if upper is None else upper
    most = max(float(sum(e.by_class[c] for c in CAUSES).max(initial=0)) for e in (found, reference))
    by, waste_name = bytes_axis(int(most))
    more, highest = _waste_traces(found, by, theme)
    gone = np.setdiff1d(reference.table.sizes[1:], found.table.sizes)
    dashed = {"width": 1, "color": look.MUTED[theme], "dash": "dash"}
    solid = {"width": 1, "color": look.mix(look.TEXT[theme], look.PAPER[theme], FAINT)}
    lines = [
        _boundary_trace(gone, f"only in {reference.table.name}", 1.05 * top, dashed),
        _boundary_trace(found.table.sizes[1:], TABLE, 1.05 * top, solid),
    ]
    traces = [*traces, *lines, *more]
    layout = look.frame_layout(
        theme, f"Size classes{' for ' + name if name else ''}: {table_words(found)}",
        f"{plural(found.objects, 'object')} of up to 32 KiB request {bytes_text(found.requested)}"
        f"<br>{waste_words(found)}",
        plot_height=360, left=66, legend=[t["name"] for t in traces], legend_width=150,
    )  # fmt: skip
    layout |= _axes((top, highest / by), (unit, waste_name))

    def facts():
        table = {"table": found.table.name, "go": found.go, "classes": [list(pair) for pair in found.table.pairs]}
        return {"figure": "waste by size class", "sha256": digest(demand.counts, demand.tiny), **table}

    return Picture(traces, layout, lambda: waste_columns(found), facts)


def class_waste(histogram, table=None, *, go="go1.19", noscan=None, reference=None, theme=None, name=""):
    """Return what a program requests by size, the boundaries of size classes, and the waste of each class by cause.

    Parameters
    ----------
    histogram : array_like or mheaplab.Histogram
        Objects by requested size in bytes.
    table : SizeClassTable, optional
        Default: Go's.
    go : str
        Whose headers, bitmaps and marks: "go1.19" or "go1.27".
    noscan : array_like, optional
        How many of the objects have no pointers, by size; by default what the histogram itself knows.
    reference : SizeClassTable, optional
        Whose boundaries are dashed where ``table`` has none; by default Go's.
    theme : {"light", "dark"}, optional
    name : str
        What the program is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure
        Its numbers have a row for each class.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range.
    """
    demand = demand_of(histogram, noscan, go)
    own = go_table(go)
    found = [evaluate_demand(own if t is None else t, demand, go) for t in (table, reference)]
    return class_waste_picture(demand, *found, theme=theme, name=name).figure()
