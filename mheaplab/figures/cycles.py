"""cycles_figure: each collection, where it began and ended, what it marked, and what it cost."""

import numpy as np

from . import theme as look
from .runs import Picture, caption, drawn, frame, line, panel, run_facts, shown_points, thin, titled
from .units import bytes_axis, plural, time_axis

BARS = 240
"""Bars side by side that can still be told apart; more collections than that share bars."""
SIZES = (
    ("live_start", "counted when marking began", 1, "dot"),
    ("live_end", "counted when marking ended", 1, "solid"),
    ("goal", "heap goal", None, "dash"),
    ("marked", "marked", 0, "solid"),
    ("reachable", "reachable then", 2, "dot"),
)
"""Column, name, colour among ``theme.RUN_COLORS`` (None: of text), dash."""
TIMES = (("mark_ns", "background workers", 4), ("assist_ns", "assists of allocations", 3))


def groups(count, limit=BARS):
    """Return (first row of each bar, collections that share a bar) for ``count`` collections."""
    each = max(1, -(-count // limit))
    return np.arange(0, count, each), each


def grouped(values, limit=BARS):
    """Return the sums of ``values`` by bar, along the first axis."""
    first, _ = groups(len(values), limit)
    return np.add.reduceat(values, first, axis=0) if len(values) else values


def number_axis(cycles, **more):
    """Return the layout of an axis that numbers the collections."""
    last = int(cycles["cycle"][-1]) if len(cycles) else 1
    return {"range": [0.5, last + 0.5], "tickformat": ",d", "tick0": 0, "dtick": whole_step(last)} | more


def whole_step(last, ticks=10):
    """Return the step of 1, 2 or 5 times a power of ten with at most so many ticks up to ``last``."""
    step = 10 ** max(len(str(int(last))) - 2, 0)
    return next(s * step for s in (1, 2, 5, 10, 20, 50) if last / (s * step) <= ticks)


def bar_width(each):
    """Return the words of an axis on which every bar is so many collections."""
    return "collection" if each == 1 else f"collection, {each} to a bar"


def _sizes(cycles, divisor, unit, top, theme):
    """Yield the lines of the upper panel."""
    values = [cycles[name].astype(np.float64) for name, *_ in SIZES]
    for v in values:
        v[(v < 0) | (v > 4 * top)] = np.nan  # a goal that is off
    kept = thin(*values)
    number = cycles["cycle"][kept].astype("i4")
    mode = "lines+markers" if len(kept) <= 60 else "lines"
    for (_, name, color, dash), v in zip(SIZES, values, strict=True):
        ink = look.TEXT[theme] if color is None else look.RUN_COLORS[color]
        style = {"color": ink, "width": 1.5, "dash": dash}
        x, y = shown_points(number, v[kept] / divisor)
        yield line(x, y, name, unit, mode=mode, marker={"size": 5}, **style)


def cycles_picture(result, *, theme=None):
    """Return :func:`cycles_figure` as a Picture."""
    theme = look.theme_of(theme)
    cycles = result.cycles
    top = max(int(cycles[name].max(initial=1)) for name in ("live_start", "live_end", "marked", "reachable"))
    divisor, unit = bytes_axis(top)
    traces = list(_sizes(cycles, divisor, unit, top, theme))
    first, each = groups(len(cycles))
    times = [grouped(cycles[name]) for name, *_ in TIMES]
    longest = float(sum(times).max(initial=1.0))
    ns, time_unit = time_axis(longest)
    for (_, name, color), values in zip(TIMES, times, strict=True):
        x, y = shown_points((cycles["cycle"][first] + (each - 1) / 2).astype("f4"), drawn(values / ns))
        traces.append(
            {
                "type": "bar", "x": x, "y": y,
                "name": name, "xaxis": "x2", "yaxis": "y2", "width": each, "hovertemplate": f"%{{y:.4~g}} {time_unit}",
                "marker": {"color": look.RUN_COLORS[color], "line": {"width": 0},
                           "pattern": {"shape": "/" if color == 3 else "", "fillmode": "overlay", "solidity": 0.25}},
            }
        )  # fmt: skip
    high = max([float(np.fmax.reduce(t["y"], initial=0.0)) for t in traces[: len(SIZES)]])
    layout = look.frame_layout(
        theme, titled("Collections", result), caption(result, plural(len(cycles), "collection")),
        plot_height=330, left=66, legend=[t["name"] for t in traces], legend_width=190,
    )  # fmt: skip
    more = {
        "barmode": "stack", "bargap": 0,
        "xaxis": number_axis(cycles, anchor="y", matches="x2", showticklabels=False, ticks=""),
        "xaxis2": number_axis(cycles, anchor="y2", title={"text": bar_width(each)}),
        "yaxis": panel(0.42, 1, range=[0, 1.05 * high or 1], title={"text": f"heap, {unit}"}, anchor="x"),
        "yaxis2": panel(0, 0.34, range=[0, 1.05 * longest / ns], title={"text": f"marking, {time_unit} of a P"},
                        anchor="x2"),
    }  # fmt: skip
    names = [name for name in cycles.dtype.names if not cycles.dtype[name].shape]
    table = {name: cycles[name] for name in names}
    return Picture(
        traces,
        frame(layout, more),
        lambda: {k: v.tolist() for k, v in table.items()},
        lambda: run_facts("collections", result),
    )


def cycles_figure(result, *, theme=None):
    """Return one point per collection: sizes when marking began and ended, goal, and what was marked; and mark time.

    Parameters
    ----------
    result : Result
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
        Above, sizes as the pacer counts them.  Below, the time of one P that marking took, by who did it.
    """
    return cycles_picture(result, theme=theme).figure()
