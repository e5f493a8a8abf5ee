"""Two kinds of chart that the figures of mheaplab do not have: bars of several programs, and curves of several tables.

They have the look of the others (``mheaplab/figures/theme.py``) and carry their numbers and a digest of these, which
the check of the page compares with what is in the file.
"""

import numpy as np

from mheaplab.figures import theme as look
from mheaplab.figures.export import digest
from mheaplab.figures.runs import Picture, drawn

THEME = "light"
BAR_PIXELS = 20
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "solid")
DIGITS = 6
"""Of the numbers in a digest, after the point: the last bits of a sum are the machine's."""


def _picture(traces, layout, kind, columns):
    numbers = [np.round(np.asarray(v, np.float64), DIGITS) for v in columns.values() if not isinstance(v[0], str)]
    return Picture(traces, layout, lambda: columns, lambda: {"figure": kind, "sha256": digest(*numbers)}).figure()


def bars(title, words, labels, parts, unit):
    """Return bars for ``labels``, with ``parts`` ({name: values}) beside each other."""
    y = np.arange(len(labels))
    traces = [
        {
            "type": "bar", "orientation": "h", "x": drawn(values), "y": drawn(y), "name": name,
            "marker": {"color": color, "line": {"width": 0},
                       "pattern": {"shape": shape, "size": 5, "fgcolor": look.PAPER[THEME], "fillmode": "overlay"}},
        }
        for (name, values), color, shape in zip(parts.items(), look.RUN_COLORS, ("", "/", "x"), strict=False)
    ]  # fmt: skip
    layout = look.frame_layout(
        THEME, title, words, plot_height=BAR_PIXELS * len(labels) * max(len(parts), 1.2), left=130, legend=list(parts),
        legend_width=170,
    )  # fmt: skip
    layout |= {"barmode": "group", "bargap": 0.3, "showlegend": True}
    layout["legend"]["traceorder"] = "normal"
    layout["xaxis"] = {"title": {"text": unit}, "rangemode": "tozero"}
    layout["yaxis"] = {
        "range": [len(labels) - 0.5, -0.5], "tickvals": y.tolist(), "ticktext": list(labels), "ticks": "",
        "ticklabelstandoff": 6,
    }  # fmt: skip
    return _picture(
        traces, layout, "bars", {"label": list(labels)} | {k: list(map(float, v)) for k, v in parts.items()}
    )


def curves(title, words, x, lines, axes, ticks=None):
    """Return curves over ``x``: ``lines`` is {name: values}, ``axes`` the two titles.

    ``ticks`` ({place: text}) makes the x axis one of logarithms.
    """
    traces = [
        {
            "type": "scatter", "mode": "lines+markers", "x": drawn(x), "y": drawn(values), "name": name,
            "line": {"width": 1.6, "color": color, "dash": dash}, "marker": {"size": 6, "symbol": symbol},
        }
        for (name, values), color, dash, symbol in zip(
            lines.items(), look.RUN_COLORS, DASHES, look.RUN_SYMBOLS, strict=False
        )
    ]  # fmt: skip
    layout = look.frame_layout(
        THEME, title, words, plot_height=250, left=66, legend=list(lines), legend_width=200
    )  # fmt: skip
    layout["legend"]["traceorder"] = "normal"
    layout["showlegend"] = True
    layout["xaxis"] = {"title": {"text": axes[0]}}
    if ticks:
        layout["xaxis"] |= {"type": "log", "tickvals": list(ticks), "ticktext": list(ticks.values())}
    highest = max(float(np.nanmax(values)) for values in lines.values())
    layout["yaxis"] = {"title": {"text": axes[1]}, "range": [0, 1.06 * highest], "nticks": 6}
    columns = {axes[0]: list(map(float, x))} | {name: list(map(float, values)) for name, values in lines.items()}
    return _picture(traces, layout, "curves", columns)
