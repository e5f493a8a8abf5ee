"""memory_over_time: every byte of mapped memory by account, stacked, with the heap goal and the collections."""

import numpy as np

from . import theme as look
from .runs import Picture, along, caption, drawn, frame, line, run_facts, shown_points, thin, titled
from .units import bytes_axis, bytes_text, plural

WORDS = {
    "live": "live objects",
    "garbage": "garbage, not yet swept",
    "free_slots": "free slots",
    "tail": "tails of spans",
    "stacks": "goroutine stacks",
    "other_spans": "runtime's own spans",
    "free": "free pages, backed",
    "released": "free pages, not backed",
}
MARKS = 400
"""Collections that get a mark of their own; of more, every second, third, and so on."""
HEADROOM = 1.5
"""A goal this many times above all mapped memory is out of the picture."""


def _reachable_goal(values, top):
    """Return a goal or trigger in bytes as a line: nothing where it is off or far above the picture."""
    line = values.astype(np.float64)
    line[(line < 0) | (line > HEADROOM * max(top, 1))] = np.nan
    return line


def _areas(samples, x, divisor, unit, theme):
    """Yield one trace per account."""
    for name, color in zip(look.ACCOUNTS, look.account_colors(theme), strict=True):
        yield {
            "type": "scatter",
            "x": x,
            "y": drawn(samples[name] / divisor),
            "name": WORDS[name],
            "mode": "lines",
            "stackgroup": "memory",
            "line": {"width": 0.5, "color": color},
            "fillcolor": color,
            "hovertemplate": f"%{{y:.4~g}} {unit}",
        }


def cycle_rows(result, limit=MARKS):
    """Return (cycles to mark, every how many that is)."""
    every = max(1, -(-len(result.cycles) // limit))
    return result.cycles[::every], every


def _collections(result, by, divisor, theme):
    """Return the marks where collections ended marking: at the size that the pacer saw."""
    rows, every = cycle_rows(result)
    samples = result.samples
    at = np.searchsorted(samples["event"], rows["end_event"]).clip(0, max(len(samples) - 1, 0))
    shown = along(result, by, samples[at]) if len(samples) else along(result, by)
    x, y = shown_points(shown.values if len(samples) else shown.values[:0], drawn(rows["live_end"] / divisor))
    words = [
        f"collection {c['cycle']} ends: {bytes_text(int(c['live_end']))} counted, {bytes_text(int(c['marked']))} marked"
        for c in rows
    ]
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "name": "end of a collection" if every == 1 else f"end of a collection, 1 of {every}",
        "mode": "markers",
        "marker": {
            "symbol": "triangle-down", "size": 8, "color": look.TEXT[theme],
            "line": {"width": 1, "color": look.PAPER[theme]},
        },
        "text": words,
        "hovertemplate": "%{text}",
    }  # fmt: skip


def _pinned(pinned, by, divisor, unit, theme):
    """Yield lines of another run to compare with."""
    if pinned is None:
        return
    samples = pinned.samples
    backed = samples["mapped"] - samples["released"]
    kept = thin(samples["heap_in_use"], backed)
    x = along(pinned, by, samples[kept]).values
    style = {"width": 1.5, "color": look.TEXT[theme]}
    yield line(x, samples["heap_in_use"][kept] / divisor, "pinned: in use", unit, dash="dashdot", **style)
    yield line(x, backed[kept] / divisor, "pinned: backed", unit, dash="longdash", **style)


def memory_picture(result, *, x="events", theme=None, pinned=None):
    """Return :func:`memory_over_time` as a Picture."""
    theme = look.theme_of(theme)
    every = result.samples
    top = max(int(r.samples["mapped"].max(initial=0)) for r in (result, pinned) if r is not None)
    goal, trigger = (_reachable_goal(every[name], top) for name in ("goal", "trigger"))
    kept = thin(*(every[name] for name in look.ACCOUNTS), goal, trigger)
    samples = every[kept]
    if np.isfinite(goal).any():
        top = max(top, float(np.nanmax(goal)))
    divisor, unit = bytes_axis(top)
    axis = along(result, x, samples)
    traces = list(_areas(samples, axis.values, divisor, unit, theme))
    ink = look.TEXT[theme]
    traces.append(line(axis.values, goal[kept] / divisor, "heap goal", unit, width=1.5, color=ink))
    traces.append(line(axis.values, trigger[kept] / divisor, "trigger", unit, width=1.5, color=ink, dash="dot"))
    traces.append(_collections(result, x, divisor, theme))
    traces += _pinned(pinned, x, divisor, unit, theme)
    number = plural(len(result.cycles), "collection")
    layout = look.frame_layout(
        theme, titled("Memory over time", result), caption(result, number),
        plot_height=280, left=66, legend=[t["name"] for t in traces], legend_width=138,
    )  # fmt: skip
    more = {
        "xaxis": axis.axis(),
        "yaxis": {"range": [0, 1.05 * top / divisor or 1], "title": {"text": f"memory, {unit}"}, "nticks": 6},
    }
    names = ("event", "time_ns", *look.ACCOUNTS, "mapped", "goal", "trigger")
    return Picture(
        traces,
        frame(layout, more),
        lambda: {name: every[name].tolist() for name in names},
        lambda: run_facts("memory over time", result),
    )


def memory_over_time(result, *, x="events", theme=None, pinned=None):
    """Return the accounts of all mapped memory over a run, stacked, with goal, trigger and collections.

    Parameters
    ----------
    result : Result
    x : {"events", "allocated", "time"}
        What the axis along the run counts.
    theme : {"light", "dark"}, optional
    pinned : Result, optional
        Another run, for comparison: its memory in use and its backed memory as lines.

    Returns
    -------
    plotly.graph_objects.Figure
        The areas add up to what the simulated OS has mapped.  The goal and the trigger speak of live objects and
        garbage, the two lowest areas; they are not drawn where collecting is off or they lie far above.
    """
    return memory_picture(result, x=x, theme=theme, pinned=pinned).figure()
