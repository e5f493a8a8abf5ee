"""sensitivity: which parameter matters: how much of a metric's variance each one explains by itself.

The rows are cut by the parameter's values (or, where it has many, into eight parts of equal size).  What the means of
the parts vary, as a share of all variance, is the parameter's main effect: the correlation ratio, the first-order index
of Sobol' in a grid.  With parts of many values a share of nothing but chance is taken off (Kelley's epsilon squared).
What remains is what parameters do together, and chance.  Traces differ by more than any parameter changes them, so each
run counts as a multiple of the mean of its trace.
"""

import numpy as np

from ..metrics import metric
from . import theme as look
from .runs import Picture, drawn
from .study_axes import FEW, checked_names, knob_title, study_facts, study_words

PARTS = 8
SHOWN = ("collections", "peak_in_use", "mean_backed", "mean_waste", "gc_share", "stall_share", "stall_p99")
REST = "together, and chance"


def parts_of(values):
    """Return (the part of each value, whether these are single values)."""
    different, inverse = np.unique(values, return_inverse=True)
    if len(different) <= FEW or different.dtype == object:
        return inverse, True
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return ranks * PARTS // len(values), False


def main_effect(values, parts, single):
    """Return the share of the variance of ``values`` that lies between ``parts``, 0 to 1."""
    counts = np.bincount(parts)
    kept = counts[counts > 0]
    means = np.bincount(parts, values)[counts > 0] / kept
    total = float(((values - values.mean()) ** 2).sum())
    between = float((kept * (means - values.mean()) ** 2).sum())
    if total <= 0:
        return 0.0
    if not single and len(values) > len(kept):
        between -= (len(kept) - 1) * (total - between) / (len(values) - len(kept))
    return min(max(between / total, 0.0), 1.0)


def relative(study, name):
    """Return a metric of every run as a multiple of the mean of its trace."""
    values = np.asarray(study.column(name), float)
    _, trace = np.unique(study.column("trace"), return_inverse=True)
    means = (np.bincount(trace, values) / np.bincount(trace))[trace]
    return np.divide(values, means, out=np.ones_like(values), where=means != 0)


def effects(study, metrics):
    """Return the main effects as a dict: parameter to a list with one share per metric; and the rest."""
    columns = {knob: parts_of(study.column(knob)) for knob in study.knobs}
    values = [relative(study, name) for name in metrics]
    found = {knob: [main_effect(v, *parts) for v in values] for knob, parts in columns.items()}
    varies = [float(v.std()) > 0 for v in values]
    found[REST] = [max(0.0, 1 - sum(shares)) * vary for *shares, vary in zip(*found.values(), varies, strict=True)]
    return found


def sensitivity_picture(study, metrics=SHOWN, *, theme=None):
    """Return :func:`sensitivity` as a Picture."""
    theme = look.theme_of(theme)
    checked_names(study, metrics, "metric")
    if not study.knobs or len(study.column("trace")) < 2:
        raise ValueError("study: expected two runs without an error or more, and a parameter that was varied")
    found = effects(study, metrics)
    colors = [*look.SWEEPER_COLORS[: len(study.knobs)], look.FREE_COLORS[theme][1]]
    if len(study.knobs) >= len(look.SWEEPER_COLORS):
        colors = [*(look.ramp("occupancy", len(study.knobs))), look.FREE_COLORS[theme][1]]
    names = [knob_title(name) for name in study.knobs] + [REST]
    traces = [
        {
            "type": "bar", "orientation": "h", "name": name, "x": drawn(100 * np.array(shares)),
            "y": drawn(np.arange(len(metrics))), "marker": {"color": color},
            "hovertemplate": f"%{{x:.3g}}% of the variance<extra>{name}</extra>",
        }
        for name, color, shares in zip(names, colors, found.values(), strict=True)
    ]  # fmt: skip
    layout = look.frame_layout(
        theme, "Which parameter matters", study_words(study, "what each explains by itself"),
        plot_height=30 * len(metrics) + 20, left=150, legend=names, legend_width=150,
    )  # fmt: skip
    most = max(100.0, 100 * max(sum(shares) for shares in zip(*found.values(), strict=True)))
    layout["xaxis"] = {"range": [0, most], "title": {"text": "share of the variance between runs, percent"}}
    layout["yaxis"] = {
        "range": [len(metrics) - 0.5, -0.5], "tickvals": list(range(len(metrics))), "ticks": "", "showline": False,
        "ticktext": [metric(name).label for name in metrics], "ticklabelstandoff": 6, "title": {"text": ""},
    }  # fmt: skip
    layout |= {"barmode": "stack", "bargap": 0.35, "hovermode": "closest"}
    layout["legend"]["traceorder"] = "normal"
    return Picture(traces, layout, lambda: {"metric": list(metrics)} | found, lambda: study_facts("sensitivity", study))


def sensitivity(study, metrics=SHOWN, *, theme=None):
    """Return a picture of how much of each metric's variance each parameter explains by itself.

    Parameters
    ----------
    study : Study
        A grid or a sample; what a search has picked leans to one side, and so do its shares.
    metrics : sequence of str
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a metric does not exist, or there are not two runs or no parameter.
    """
    return sensitivity_picture(study, metrics, theme=theme).figure()
