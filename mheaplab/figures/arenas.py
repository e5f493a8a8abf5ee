"""arenas_figure: how the heap takes address space: arenas, what is mapped of them, and what of that is in use."""

import numpy as np

from . import theme as look
from .runs import Picture, along, caption, drawn, frame, line, panel, run_facts, shared_axes, thin, titled
from .units import bytes_axis, bytes_text, plural

MARKS = 400
"""Growth steps that get a mark of their own; of more, the largest."""


def growth(samples):
    """Return (rows, bytes): the samples before which the heap grew, and by how much."""
    by = np.diff(samples["mapped"], prepend=samples["mapped"][:1] * 0)
    rows = np.flatnonzero(by > 0)
    return rows, by[rows]


def _steps(result, by, divisor, theme):
    """Return the marks where the heap grew."""
    rows, grown = growth(result.samples)
    if len(rows) > MARKS:
        kept = np.sort(np.argsort(-grown, kind="stable")[:MARKS])
        rows, grown = rows[kept], grown[kept]
    samples = result.samples[rows]
    return {
        "type": "scatter", "x": along(result, by, samples).values, "y": drawn(samples["mapped"] / divisor),
        "name": "the heap has grown", "mode": "markers", "text": [f"by {bytes_text(n)}" for n in grown.tolist()],
        "marker": {"symbol": "triangle-up", "size": 8, "color": look.BAD,
                   "line": {"width": 1, "color": look.PAPER[theme]}},
        "hovertemplate": "%{text}",
    }  # fmt: skip


def arenas_picture(result, *, x="events", theme=None):
    """Return :func:`arenas_figure` as a Picture."""
    theme = look.theme_of(theme)
    every = result.samples
    backed = every["mapped"] - every["released"]
    kept = thin(every["mapped"], backed, every["heap_in_use"], every["live"], every["arenas"])
    samples = every[kept]
    top = int(every["mapped"].max(initial=0))
    divisor, unit = bytes_axis(top)
    axis = along(result, x, samples)
    colors = dict(zip(look.ACCOUNTS, look.account_colors(theme), strict=True))
    shown = (
        ("mapped", samples["mapped"], {"color": look.TEXT[theme], "width": 1.5, "shape": "hv"}),
        ("backed by memory", backed[kept], {"color": look.MUTED[theme], "width": 1.5, "dash": "dash"}),
        ("in use", samples["heap_in_use"], {"color": colors["other_spans"], "width": 1.5}),
        ("live objects", samples["live"], {"color": colors["live"], "width": 1.5, "dash": "dot"}),
    )
    traces = [line(axis.values, y / divisor, name, unit, **style) for name, y, style in shown]
    traces.append(_steps(result, x, divisor, theme))
    most = int(every["arenas"].max(initial=0))
    place = {"xaxis": "x2", "yaxis": "y2", "shape": "hv", "hovertemplate": "%{y:d}"}
    traces.append(line(axis.values, samples["arenas"], "arenas", "", color=look.RUN_COLORS[2], width=1.5, **place))
    arena = bytes_text(result.params.arena_bytes)
    layout = look.frame_layout(
        theme, titled("Growth of the heap", result),
        caption(result, f"{plural(most, 'arena')} of {arena}"),
        plot_height=330, left=66, legend=[t["name"] for t in traces], legend_width=138,
    )  # fmt: skip
    whole = {"range": [0, 1.1 * most or 1], "tickformat": ",d", "tick0": 0, "dtick": max(1, -(-most // 4))}
    more = {
        **shared_axes(axis),
        "yaxis": panel(0.35, 1, range=[0, 1.05 * top / divisor or 1], title={"text": f"heap, {unit}"}, anchor="x"),
        "yaxis2": panel(0, 0.26, title={"text": "arenas"}, anchor="x2", **whole),
    }
    names = ("event", "mapped", "released", "reserved", "heap_in_use", "live", "arenas", "spans")
    return Picture(
        traces,
        frame(layout, more),
        lambda: {name: every[name].tolist() for name in names},
        lambda: run_facts("growth of the heap", result),
    )


def arenas_figure(result, *, x="events", theme=None):
    """Return what is mapped, backed, in use and live over a run, where the heap grew, and the number of arenas.

    Parameters
    ----------
    result : Result
    x : {"events", "allocated", "time"}
        What the axis along the run counts.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
    """
    return arenas_picture(result, x=x, theme=theme).figure()
