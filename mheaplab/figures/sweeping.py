"""sweep_figure: who swept, what was left to sweep, and how long allocations were held up by it.

The two panels at the bottom show tails: of all allocations, how many swept at least so many pages, and how many were
held up for at least so long.  Both axes are logarithmic, since one allocation in a million may sweep a thousand pages.
"""

import numpy as np

from ..metrics import percentile, tail_counts
from ..results import SWEEPERS
from . import theme as look
from .cycles import bar_width, grouped, groups, number_axis
from .runs import Picture, along, caption, drawn, frame, line, panel, run_facts, shown_points, thin, titled
from .units import count_text, plural, time_text

WORDS = {
    "allocation": "an allocation, for its class",
    "credit": "an allocation, in proportion",
    "reclaim": "an allocation, for pages",
    "background": "background sweeper",
    "start": "start of the next collection",
    "flush": "flush of an mcache",
    "force": "runtime.GC",
    "object": "for a finalizer or profile",
}
PATTERNS = ("", "/", "x", "", "\\", "", "/", "")
PAGES, DEBT = "pages not yet swept", "pages behind the pace"
MILLION = 1e6
SIDE = 0.56
"""Where the right of the two lower panels begins."""
WIDE = 4
"""Powers of ten on an axis from which not each has a place for its words."""
FEW_PAGES = 4
"""Pages that an axis has at least, or its ticks would be fractions."""


def allocations(result):
    """Return how many objects were allocated: what a tail is a part of."""
    counted = int(sum(int(h.sum()) for h in result.histograms.values()) > 0)
    return max(int(result.memstats.get("Mallocs", 0)), counted, 1)


def _bars(result):
    """Return one bar trace per sweeper: pages of each collection."""
    cycles = result.cycles
    first, each = groups(len(cycles))
    pages = grouped(cycles["swept_pages"])
    middle = (cycles["cycle"][first] + (each - 1) / 2).astype("f4")
    traces = []
    for k, who in enumerate(SWEEPERS):
        pattern = {"shape": PATTERNS[k], "fillmode": "overlay", "solidity": 0.25}
        marker = {"color": look.SWEEPER_COLORS[k], "line": {"width": 0}, "pattern": pattern}
        x, y = shown_points(middle, pages[:, k].astype("f4"))
        traces.append(
            {
                "type": "bar", "x": x, "y": y, "name": WORDS[who], "width": each,
                "marker": marker, "hovertemplate": "%{y:,.0f} pages",
            }
        )  # fmt: skip
    return traces, each, float(pages.sum(1).max(initial=FEW_PAGES)) if len(cycles) else FEW_PAGES


def _waiting(result, by, theme):
    """Return the lines of the middle panel, its axis along the run, and its highest value."""
    every = result.samples
    kept = thin(every["pages_unswept"], every["sweep_debt"])
    axis = along(result, by, every[kept])
    place = {"xaxis": "x2", "yaxis": "y2"}
    debt = np.where(every["sweep_debt"][kept] > 0, every["sweep_debt"][kept], np.nan)
    left = every["pages_unswept"][kept]
    lines = [
        line(axis.values, left, PAGES, "pages", color=look.TEXT[theme], width=1.2, fill="tozeroy",
             fillcolor=look.FREE_COLORS[theme][1], **place),
        line(axis.values, debt, DEBT, "pages", color=look.BAD, width=1.5, dash="dash",
             showlegend=bool(np.isfinite(debt).any()), **place),
    ]  # fmt: skip
    return lines, axis, float(np.nanmax([left.max(initial=FEW_PAGES), *debt]))


def tail_points(histogram):
    """Return (values, counts) of a tail, from the largest value that all members reach down to the last member."""
    values, counts = tail_counts(histogram)
    there = (counts > 0) & (np.append(counts[1:], 0) < counts[:1])
    return values[there], counts[there]


def _tail(histogram, whole, name, place, theme, hover):
    """Return the trace of one tail, in allocations per million."""
    values, counts = tail_points(histogram)
    return {
        "type": "scatter", "x": drawn(values), "y": drawn(counts / whole * MILLION), "name": name, "showlegend": False,
        "mode": "lines+markers", "line": {"color": look.TEXT[theme], "width": 1.5}, "marker": {"size": 5},
        "customdata": counts.astype("f8").tolist(), "hovertemplate": hover, **place,
    }  # fmt: skip


def _tail_words(histogram):
    """Return what a caption says of the pages that allocations swept."""
    if not histogram.any():
        return "no allocation had to sweep"
    return f"of allocations that sweep, 99% sweep at most {plural(percentile(histogram), 'page')}"


def _log_axis(values, **more):
    """Return the layout of a logarithmic axis that shows ``values`` with room around."""
    low, high = (np.log10(values.min()), np.log10(values.max())) if len(values) else (0.0, 1.0)
    room = {"range": [float(np.floor(low * 10 - 1) / 10), float(np.ceil(high * 10 + 1) / 10)], "type": "log"}
    return room | {"dtick": 1 if high - low < 6 else 2, "tickformat": ",~r"} | more


def _axes(result, bars, middle, tails):
    """Return the layout of the four panels."""
    each, pages, (axis, waiting) = *bars, middle
    swept, stalled = tails
    per = {"title": {"text": "allocations in a million"}}
    decades = np.log10(max(stalled["x"], default=1)) - np.log10(min(stalled["x"], default=1))
    time_ticks = [10.0**k for k in range(0, 12, 1 if decades < WIDE else 3)]
    return {
        "xaxis": number_axis(result.cycles, anchor="y", title={"text": bar_width(each), "standoff": 4}),
        "yaxis": panel(0.72, 1, range=[0, 1.1 * pages], tickformat=",d", title={"text": "pages swept"}, anchor="x"),
        "xaxis2": axis.axis() | {"anchor": "y2", "title": {"text": axis.title, "standoff": 4}},
        "yaxis2": panel(0.40, 0.60, range=[0, 1.1 * waiting], tickformat=",d", title={"text": "pages"}, anchor="x2"),
        "xaxis3": _log_axis(swept["x"], domain=[0, SIDE - 0.14], anchor="y3",
                            title={"text": "pages swept by it, or more", "standoff": 4}),
        "yaxis3": panel(0, 0.26, **_log_axis(swept["y"], anchor="x3", **per)),
        "xaxis4": _log_axis(stalled["x"], domain=[SIDE, 1], anchor="y4", tickvals=time_ticks,
                            ticktext=[time_text(t) for t in time_ticks],
                            title={"text": "held up for so long, or longer", "standoff": 4}),
        "yaxis4": panel(0, 0.26, **_log_axis(stalled["y"], anchor="x4")),
    }  # fmt: skip


def sweep_picture(result, *, x="events", theme=None):
    """Return :func:`sweep_figure` as a Picture."""
    theme = look.theme_of(theme)
    whole = allocations(result)
    bars, each, pages = _bars(result)
    lines, axis, waiting = _waiting(result, x, theme)
    per = "%{customdata:,.0f} of " + count_text(whole) + " allocations<br>"
    swept = _tail(result.histograms["swept_pages"], whole, "pages swept", {"xaxis": "x3", "yaxis": "y3"}, theme,
                  per + "swept %{x:,.0f} pages or more<extra></extra>")  # fmt: skip
    stalled = _tail(result.histograms["stall_ns"], whole, "held up", {"xaxis": "x4", "yaxis": "y4"}, theme,
                    per + "were held up for %{x:,.0f} ns or more<extra></extra>")  # fmt: skip
    traces = [*bars, *lines, swept, stalled]
    layout = look.frame_layout(
        theme, titled("Sweeping", result),
        caption(result, _tail_words(result.histograms["swept_pages"])),
        plot_height=520, left=66, legend=[t["name"] for t in traces[:-2]], legend_width=180,
    )  # fmt: skip
    more = {"barmode": "stack", "bargap": 0} | _axes(result, (each, pages), (axis, waiting), (swept, stalled))
    return Picture(traces, frame(layout, more), lambda: _table(result), lambda: run_facts("sweeping", result))


def sweep_figure(result, *, x="events", theme=None):
    """Return who swept each collection's spans, what was left to sweep over time, and the tails of latency.

    Parameters
    ----------
    result : Result
    x : {"events", "allocated", "time"}
        What the axis of the middle panel counts.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
    """
    return sweep_picture(result, x=x, theme=theme).figure()


def _table(result):
    """Return pages swept by collection and sweeper."""
    cycles = result.cycles
    columns = {"cycle": cycles["cycle"].tolist(), "pages": cycles["pages"].tolist()}
    for k, who in enumerate(SWEEPERS):
        columns[f"swept_pages_{who}"] = cycles["swept_pages"][:, k].tolist()
    return columns
