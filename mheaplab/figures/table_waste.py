"""table_waste, waste_by_changes: tables of size classes beside each other, and what changes of Go's would save."""

import numpy as np

from ..sizeclasses import CAUSES
from . import theme as look
from .class_waste import PATTERNS, WORDS, cause_colors, percent
from .export import digest
from .runs import Picture, drawn
from .units import bytes_text, count_text, plural

BAR_PIXELS = 28
LEFT = 150
NUMBER_ROOM = 1.28
"""Times the longest bar: what stands at the end of a bar needs room."""


def _facts(kind, found):
    """Return what a figure of evaluations shows, for the stamp."""
    sums = digest(*(np.array(e.table.pairs, np.int64) for e in found), *(e.by_class["objects"] for e in found))
    return {"figure": kind, "go": found[0].go, "tables": [e.table.name for e in found], "sha256": sums}


def table_columns(found, labels):
    """Return the numbers of evaluations as a dict of columns, a row for each."""
    columns = {"table": list(labels), "classes": [len(e.table) - 1 for e in found]}
    columns |= {"requested": [e.requested for e in found], "waste": [e.waste for e in found]}
    columns |= {"share": [e.share for e in found]} | {c: [e.causes[c] for e in found] for c in CAUSES}
    return columns | {"spans": [e.spans for e in found], "whole_bytes": [e.whole_bytes for e in found]}


def _beside(total, base, number):
    """Return what stands at the end of a bar."""
    if number == 0 or base == 0 or total == base:
        return f"{total:.3g}%"
    return f"{total:.3g}% ({100 * (total / base - 1):+.0f}%)".replace("-", "\N{MINUS SIGN}")


def table_waste_picture(found, labels, *, theme=None, name=""):
    """Return :func:`table_waste` as a Picture."""
    theme = look.theme_of(theme)
    found, labels = list(found), [str(label) for label in labels]
    if not found or len(found) != len(labels):
        raise ValueError(f"found, labels: {len(found)} and {len(labels)}, expected as many of both, and at least one")
    y, totals, colors = np.arange(len(found)), np.array([100 * e.share for e in found]), cause_colors(theme)
    traces = []
    for cause in CAUSES:
        values = np.array([100 * e.causes[cause] / max(e.requested, 1.0) for e in found])
        traces.append(
            {
                "type": "bar", "orientation": "h", "x": drawn(values), "y": drawn(y), "name": WORDS[cause],
                "showlegend": bool(values.any()),
                "marker": {"color": colors[cause], "line": {"width": 0},
                           "pattern": {"shape": PATTERNS[cause], "size": 6, "fgcolor": look.PAPER[theme],
                                       "fillmode": "overlay"}},
                "text": [f"{label}<br>{WORDS[cause]} {bytes_text(e.causes[cause])}, {v:.3g}%"
                         for label, e, v in zip(labels, found, values.tolist(), strict=True)],
                "textposition": "none", "hovertemplate": "%{text}<extra></extra>",
            }
        )  # fmt: skip
    layout = look.frame_layout(
        theme, f"Waste of {plural(len(found), 'table')} of size classes{', ' + name if name else ''}",
        f"of the {bytes_text(found[0].requested)} requested; {found[0].go}; in brackets, against {labels[0]}",
        plot_height=BAR_PIXELS * len(found), left=LEFT, legend=[t["name"] for t in traces], legend_width=150,
    )  # fmt: skip
    layout |= {"barmode": "stack", "bargap": 0.3}
    layout["legend"]["traceorder"] = "normal"
    layout["xaxis"] = {"range": [0, NUMBER_ROOM * totals.max() or 1], "title": {"text": "waste, % of bytes requested"}}
    layout["yaxis"] = {
        "range": [len(found) - 0.5, -0.5], "tickvals": y.tolist(), "ticktext": labels, "ticks": "", "showline": False,
        "ticklabelstandoff": 6,
    }  # fmt: skip
    layout["annotations"] = [
        {"x": float(total), "y": k, "xanchor": "left", "showarrow": False, "xshift": 4, "font": {"size": 11},
         "text": _beside(total, totals[0], k)}
        for k, total in enumerate(totals.tolist())
    ]  # fmt: skip
    return Picture(
        traces, layout, lambda: table_columns(found, labels), lambda: _facts("waste of tables of size classes", found)
    )


def table_waste(found, labels, *, theme=None, name=""):
    """Return the waste of several tables of size classes for the same program, as bars by cause.

    Parameters
    ----------
    found : sequence of Evaluation
        From ``mheaplab.sizeclasses.evaluate``; the first is what the others are compared with.
    labels : sequence of str
        What the tables are called.
    theme : {"light", "dark"}, optional
    name : str
        What the program is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If there are no tables, or labels do not fit.
    """
    return table_waste_picture(found, labels, theme=theme, name=name).figure()


def changes_picture(found, chosen=None, *, theme=None, name=""):
    """Return :func:`waste_by_changes` as a Picture; the table number ``chosen`` is marked."""
    theme = look.theme_of(theme)
    found = list(found)
    if not found:
        raise ValueError("found: expected evaluations of at least one table")
    x, y = np.arange(len(found)), np.array([100 * e.share for e in found])
    base = {"type": "scatter", "hovertemplate": "%{text}<extra></extra>"}
    text = [f"{e.table.name}<br>waste {percent(e.share)}, {bytes_text(e.waste)}" for e in found]
    traces = [
        base | {
            "mode": "lines+markers", "x": drawn(x), "y": drawn(y), "name": "best with so many changes", "text": text,
            "line": {"width": 1.5, "color": look.SCAN, "shape": "hv"}, "marker": {"size": 5},
        }
    ]  # fmt: skip
    at = [] if chosen is None else [int(chosen)]
    traces.append(
        base | {
            "mode": "markers", "x": drawn(x[at]), "y": drawn(y[at]), "name": "chosen", "text": [text[k] for k in at],
            "marker": {"size": 12, "symbol": "circle-open", "color": look.BAD, "line": {"width": 2.5}},
        }
    )  # fmt: skip
    words = f"{count_text(len(found) - 1)} changes save at most {percent((y[0] - y.min()) / 100)} of what is requested"
    layout = look.frame_layout(
        theme, f"What changes of {found[0].go}'s table save{', ' + name if name else ''}", words,
        plot_height=180, left=66, legend=[t["name"] for t in traces], legend_width=180,
    )  # fmt: skip
    room = 0.06 * max(float(y.max()), 0.1)
    layout["xaxis"] = {
        "range": [-0.4, len(found) - 0.6], "title": {"text": "classes changed"}, "tickformat": "d", "nticks": 12,
    }  # fmt: skip
    layout["yaxis"] = {"range": [0, float(y.max()) + room], "title": {"text": "waste, % of requested"}, "nticks": 5}
    columns = {"changes": x.tolist(), "share": (y / 100).tolist(), "waste": [e.waste for e in found]}
    return Picture(traces, layout, lambda: columns, lambda: _facts("waste by changes of the table", found))


def waste_by_changes(found, chosen=None, *, theme=None, name=""):
    """Return the waste of the best tables that differ from Go's in 0, 1, 2 ... classes, as a line.

    Parameters
    ----------
    found : sequence of Evaluation
        Of the tables that ``mheaplab.sizeclasses.optimal_near_each`` returns, in their order.
    chosen : int, optional
        The number of changes that is marked.
    theme : {"light", "dark"}, optional
    name : str
        What the program is called in the title.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If there are no tables.
    """
    return changes_picture(found, chosen, theme=theme, name=name).figure()
