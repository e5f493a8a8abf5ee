"""trace_agreement: Go's own heap along an execution trace, and that of a run which simulates it."""

from pathlib import Path

import numpy as np

from ..span_history import COMPARED, beside, differences
from . import theme as look
from .runs import Along, Picture, caption, frame, line, run_facts
from .units import bytes_axis

WORDS = {"heap_alloc": "slots taken", "heap_in_use": "spans in use"}


def _percent(value):
    """Return a difference in words."""
    return f"{value:+.1f}%".replace("-", "\N{MINUS SIGN}")


def _verdict(found):
    """Return the differences, with their sign, in one line."""
    parts = [f"{WORDS[name]} {_percent(d.mean)}, at the end {_percent(d.final)}" for name, d in found.items()]
    return "the twin's mean: " + "; ".join(parts)


def trace_agreement(history, result, *, theme=None):
    """Return Go's heap along a trace, from its own events, and the twin's, as lines over bytes allocated.

    Parameters
    ----------
    history : History
        From ``mheaplab.span_history``.
    result : Result
        Of a simulation of the same trace.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
        Bytes of the slots that are taken, garbage that is not yet swept among them, and of the spans that these are
        in.  What was there when the trace began is left out, since the twin places it anew.
    """
    theme = look.theme_of(theme)
    clock, go, twin = beside(history, result)
    top = max(float(series.max(initial=0)) for side in (go, twin) for series in side.values())
    divisor, unit = bytes_axis(int(top))
    x_divisor, x_unit = bytes_axis(int(clock[-1]))
    x = (clock / x_divisor).astype("f4")
    colors = {"heap_in_use": look.SCAN, "heap_alloc": look.TEXT[theme]}
    traces = []
    for name in reversed(COMPARED):
        style = {"color": colors[name], "width": 1.5}
        traces.append(line(x, go[name] / divisor, f"Go: {WORDS[name]}", unit, **style))
        traces.append(line(x, twin[name] / divisor, f"twin: {WORDS[name]}", unit, dash="dot", **style))
    found = differences(history, result)
    axis = Along(x, f"allocated since the start, {x_unit}", ",.4~g", float(x[-1]))
    layout = look.frame_layout(
        theme, f"Go and the twin: {Path(history.name).name}", f"{caption(result)}<br>{_verdict(found)}",
        plot_height=280, left=66, legend=[t["name"] for t in traces], legend_width=138,
    )  # fmt: skip
    more = {
        "xaxis": axis.axis(),
        "yaxis": {"range": [0, 1.05 * top / divisor or 1], "title": {"text": f"heap, {unit}"}, "nticks": 6},
    }
    table = {"total_alloc": clock.tolist()}
    table |= {
        f"{side}_{n}": np.rint(of[n]).astype(np.int64).tolist() for n in COMPARED for side, of in _sides(go, twin)
    }
    facts = {"differences": {name: vars(d) for name, d in found.items()}}
    return Picture(
        traces, frame(layout, more), lambda: table, lambda: run_facts("trace agreement", result, **facts)
    ).figure()


def _sides(go, twin):
    return ("go", go), ("twin", twin)
