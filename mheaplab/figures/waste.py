"""fragmentation: the part of mapped memory that holds no live object, by cause; and what lies in whole huge pages."""

import numpy as np

from ..metrics import huge_share, mean_over_events, waste_share
from . import theme as look
from .memory import WORDS
from .runs import Picture, along, caption, drawn, frame, line, panel, run_facts, shared_axes, thin, titled

CAUSES = look.ACCOUNTS[1:]
"""Accounts of what is mapped and no live object of the heap."""
HUGE = "in use, in whole huge pages"


def fragmentation_picture(result, *, x="events", theme=None):
    """Return :func:`fragmentation` as a Picture."""
    theme = look.theme_of(theme)
    every = result.samples
    whole = np.maximum(every["mapped"], 1)
    shares = {name: 100.0 * every[name] / whole for name in CAUSES}
    huge = 100.0 * huge_share(every)
    kept = thin(*shares.values(), huge)
    axis = along(result, x, every[kept])
    colors = dict(zip(look.ACCOUNTS, look.account_colors(theme), strict=True))
    traces = []
    for name, values in shares.items():
        style = {"stackgroup": "waste", "fillcolor": colors[name], "color": colors[name], "width": 0.5}
        traces.append(line(axis.values, values[kept], WORDS[name], "%", **style))
    place = {"xaxis": "x2", "yaxis": "y2"}
    traces.append(line(axis.values, huge[kept], HUGE, "%", color=look.TEXT[theme], width=1.5, **place))
    mean = 100 * mean_over_events(result, waste_share(every)) if len(every) else 0.0
    layout = look.frame_layout(
        theme, titled("Mapped and not live", result),
        caption(result, f"mean waste of backed memory {mean:.3g}%"),
        plot_height=330, left=66, legend=[t["name"] for t in traces], legend_width=180,
    )  # fmt: skip
    percent = {"range": [0, 100], "ticksuffix": "%"}
    more = {
        **shared_axes(axis),
        "yaxis": panel(0.4, 1, title={"text": "of mapped memory, %"}, anchor="x", **percent),
        "yaxis2": panel(0, 0.32, title={"text": "of pages in use, %"}, anchor="x2", **percent),
    }
    table = {"event": every["event"], **shares, "huge": huge}
    return Picture(
        traces,
        frame(layout, more),
        lambda: {k: drawn(v).tolist() for k, v in table.items()},
        lambda: run_facts("fragmentation", result),
    )


def fragmentation(result, *, x="events", theme=None):
    """Return the part of mapped memory that is not live over a run, by cause, and the share of whole huge pages.

    Parameters
    ----------
    result : Result
    x : {"events", "allocated", "time"}
        What the axis along the run counts.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
        Above, what is missing to 100% is live objects.  Below, of the pages in use, those in huge pages (2 MiB) of
        which every page is in use: only these can be backed by one entry of the page table.
    """
    return fragmentation_picture(result, x=x, theme=theme).figure()
