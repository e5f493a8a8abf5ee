"""compare: two or more runs beside each other, every metric as a multiple of the first run's.

One axis serves them all: 1 is the first run, 2 is twice as much, whatever the unit; the numbers themselves stand at the
points.  ``comparison_table`` has the same as columns.
"""

import numpy as np

from ..metrics import METRICS
from . import theme as look
from .export import digest, stamp_of
from .runs import Picture, drawn, extent_words, parameter_words, titled
from .units import bytes_text, count_text, time_text

SHOWN = (
    "collections", "peak_in_use", "peak_backed", "peak_mapped", "mean_waste", "mean_huge", "gc_share", "assist_share",
    "stall_share", "swept_p99",
)  # fmt: skip
TOLD = 3
"""Runs up to which all numbers stand beside the picture; of more runs only the first one's."""
LIMIT = 3.3
"""Powers of two beyond which a point stands at the edge of the picture."""
STEPS = range(-3, 4)


def metric_text(metric, value):
    """Return a metric's value with its unit."""
    if metric.unit == "bytes":
        return bytes_text(value)
    if metric.unit == "share":
        return f"{100 * value:.3g}%"
    if metric.unit == "ns":
        return time_text(value)
    return f"{count_text(value)} {metric.unit}".strip()


def numbers_text(metric, values):
    """Return the values of several runs with their unit, which is said once if they share it."""
    texts = [metric_text(metric, value) for value in values]
    units = {text.lstrip("0123456789.,") for text in texts}
    if len(units) == 1 and metric.unit:
        texts = [text.removesuffix(*units) for text in texts[:-1]] + texts[-1:]
    return " → ".join(texts)


def difference_text(metric, value, base):
    """Return how a value differs from the first run's."""
    if value == base:
        return "the same"
    if metric.unit == "share":
        return f"{100 * (value - base):+.3g} points"
    return f"{100 * (value / base - 1):+.3g}%" if base else f"+{metric_text(metric, value)}"


def comparison_table(results, labels=None):
    """Return the metrics of several runs as a dict of columns.

    Parameters
    ----------
    results : sequence of Result
    labels : sequence of str, optional
        What the runs are called.  Default: "run 1" and so on.

    Returns
    -------
    dict of str to list
        ``metric``, ``unit``, one column per run, and one ``difference: LABEL`` per run but the first, in words.

    Raises
    ------
    ValueError
        If there are no runs, more than can be told apart, or as many labels as runs are not there.
    """
    results, labels = checked(results, labels)
    values = [[m.of(r) for m in METRICS] for r in results]
    columns = {"metric": [m.label for m in METRICS], "unit": [m.unit for m in METRICS]}
    columns |= dict(zip(labels, values, strict=True))
    for label, found in zip(labels[1:], values[1:], strict=True):
        triples = zip(METRICS, found, values[0], strict=True)
        columns[f"difference: {label}"] = [difference_text(m, v, base) for m, v, base in triples]
    return columns


def checked(results, labels):
    """Return (results, labels) as lists that fit each other."""
    results = list(results)
    labels = [f"run {k + 1}" for k in range(len(results))] if labels is None else [str(text) for text in labels]
    if not 1 <= len(results) <= len(look.RUN_COLORS):
        raise ValueError(f"results = {len(results)} runs is outside the legal range: 1 to {len(look.RUN_COLORS)}")
    if len(labels) != len(results) or len(set(labels)) != len(labels):
        raise ValueError(f"labels = {labels!r} is outside its legal range: {len(results)} different names")
    return results, labels


def _place(value, base):
    """Return where a value stands, in powers of two of the first run's."""
    if value == base:
        return 0.0
    ratio = value / base if base else np.inf
    return float(np.clip(np.log2(ratio) if ratio > 0 else -np.inf, -LIMIT, LIMIT))


def _points(metrics, run, base, number, label):
    """Return the trace of one run."""
    rows = zip(metrics, run, base, strict=True)
    hover = [
        f"{m.label}: {metric_text(m, v)}<br>{difference_text(m, v, b) if number else 'the first run'}<br>{m.text}"
        for m, v, b in rows
    ]
    return {
        "type": "scatter", "mode": "markers", "name": label,
        "x": drawn([_place(v, b) for v, b in zip(run, base, strict=True)]),
        "y": drawn(np.arange(len(metrics))),
        "marker": {"color": look.RUN_COLORS[number], "symbol": look.RUN_SYMBOLS[number], "size": 10,
                   "line": {"width": 1, "color": "#888888"}},
        "hovertext": hover, "hovertemplate": "%{hovertext}<extra></extra>",
    }  # fmt: skip


def _numbers_beside(metrics, values, theme):
    """Return the numbers of every metric at the right of the picture."""
    notes = []
    for k, m in enumerate(metrics):
        text = numbers_text(m, [run[k] for run in values[: 1 if len(values) > TOLD else TOLD]])
        notes.append(
            {
                "x": 1, "xref": "paper", "xanchor": "left", "y": k, "yref": "y", "showarrow": False, "text": text,
                "xshift": 8, "font": {"size": 11, "color": look.TEXT[theme]},
            }
        )  # fmt: skip
    return notes


def comparison_picture(results, labels=None, *, metrics=SHOWN, theme=None):
    """Return :func:`compare` as a Picture."""
    theme = look.theme_of(theme)
    results, labels = checked(results, labels)
    known = {m.name: m for m in METRICS}
    for name in metrics:
        if name not in known:
            raise ValueError(f"metrics = {name!r} is outside its legal range: one of {', '.join(known)}")
    chosen = [known[name] for name in metrics]
    values = [[m.of(r) for m in chosen] for r in results]
    traces = [
        _points(chosen, run, values[0], k, label) for k, (run, label) in enumerate(zip(values, labels, strict=True))
    ]
    extents = sorted({extent_words(r) for r in results})
    names = {r.name for r in results}
    title = " and ".join(labels) if len(labels) == 2 else f"{len(labels)} runs compared"
    layout = look.frame_layout(
        theme, titled(title, results[0]) if len(names) == 1 else title,
        f"1× is {labels[0]}: {parameter_words(results[0].params)}<br>{'; '.join(extents)}",
        plot_height=26 * len(chosen), left=160, right=150, legend=labels, legend_width=220,
    )  # fmt: skip
    words = ["same" if k == 0 else f"{2**k}×" if k > 0 else f"1/{2**-k}" for k in STEPS]
    layout["xaxis"] = {
        "range": [-LIMIT - 0.3, LIMIT + 0.3], "tickvals": list(STEPS), "ticktext": words,
        "title": {"text": f"multiple of {labels[0]}"},
    }  # fmt: skip
    layout["yaxis"] = {
        "range": [len(chosen) - 0.5, -0.5], "tickvals": list(range(len(chosen))), "ticktext": [m.label for m in chosen],
        "ticks": "", "showline": False, "ticklabelstandoff": 6,
    }  # fmt: skip
    layout["shapes"] = [{"type": "line", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "yref": "paper", "layer": "below",
                         "line": {"width": 1, "color": look.MUTED[theme]}}]  # fmt: skip
    layout["annotations"] = _numbers_beside(chosen, values, theme)

    def facts():
        sums = digest(*(r.samples for r in results), *(r.cycles for r in results))
        return {"figure": "comparison", "runs": [stamp_of(r) for r in results], "sha256": sums}

    return Picture(traces, layout, lambda: comparison_table(results, labels), facts)


def compare(results, labels=None, *, metrics=SHOWN, theme=None):
    """Return a picture of several runs: each metric as a multiple of the first run's.

    Parameters
    ----------
    results : sequence of Result
        The first is what the others are compared with.
    labels : sequence of str, optional
        What the runs are called.  Default: "run 1" and so on.
    metrics : sequence of str
        Names of ``mheaplab.metrics.METRICS``, from top to bottom.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
        Its numbers are :func:`comparison_table`.

    Raises
    ------
    ValueError
        If there are no runs or more than can be told apart, labels do not fit, or a metric does not exist.
    """
    return comparison_picture(results, labels, metrics=metrics, theme=theme).figure()
