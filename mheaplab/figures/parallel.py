"""parallel: parallel coordinates: a line per set of parameters through its values and through what came of them.

Drag along an axis to keep the lines that pass there; drag an axis to put it elsewhere.  The colour is the last metric.
"""

from ..metrics import metric
from . import theme as look
from .runs import Picture, drawn
from .study_axes import checked_names, first_trace, grouped, knob_axis, metric_axis, study_facts, study_words

METRICS_SHOWN = ("mean_backed", "collections", "gc_share")
ROOM = 0.02


def _knob(study, sets, name):
    axis = knob_axis(study, name, sets.columns[name])
    found = {"label": axis.title, "values": drawn(axis.places), "tickvals": axis.ticks, "ticktext": axis.texts}
    low, high = min(axis.ticks), max(axis.ticks)
    return found | {"range": [low - (low == high), high + (low == high)]}


def _metric(sets, name):
    axis = metric_axis(name, sets.mean(name))
    low, high = float(axis.places.min()), float(axis.places.max())
    room = ROOM * (high - low) or 1
    return {"label": axis.title, "values": drawn(axis.places), "range": [low - room, high + room]}


def parallel_picture(study, metrics=METRICS_SHOWN, *, trace=None, theme=None):
    """Return :func:`parallel` as a Picture."""
    theme = look.theme_of(theme)
    checked_names(study, metrics, "metric")
    if not metrics:
        raise ValueError("metrics = (): expected at least one")
    trace = trace or first_trace(study)
    sets = grouped(study, study.knobs, trace)
    dimensions = [_knob(study, sets, name) for name in study.knobs] + [_metric(sets, name) for name in metrics]
    colors = look.ramp("occupancy", 20)
    traces = [{
        "type": "parcoords", "dimensions": dimensions, "labelfont": {"size": 11}, "tickfont": {"size": 10},
        "rangefont": {"size": 1, "color": "rgba(0,0,0,0)"}, "labelside": "top",
        "line": {
            "color": dimensions[-1]["values"],
            "colorscale": [[k / (len(colors) - 1), c] for k, c in enumerate(colors[::-1])],
        },
    }]  # fmt: skip
    layout = look.frame_layout(
        theme, f"Sets of parameters and what comes of them: {trace}",
        study_words(study, f"a line is one of {len(sets.rows):,} sets, its colour {metric(metrics[-1]).label}"),
        plot_height=360, left=60, right=60,
    )  # fmt: skip
    layout["margin"]["t"] += 34

    def table():
        return sets.columns | {name: sets.mean(name).tolist() for name in metrics} | {"runs": sets.rows.tolist()}

    return Picture(traces, layout, table, lambda: study_facts("parallel coordinates", study, trace={"name": trace}))


def parallel(study, metrics=METRICS_SHOWN, *, trace=None, theme=None):
    """Return a picture of all sets of parameters of a study as lines through parallel axes.

    Parameters
    ----------
    study : Study
    metrics : sequence of str
        The axes at the right; the last one is the colour too, dark where it is small.
    trace : str, optional
        Name of the trace; default: the first.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a name is none of the study's, or no run has ended without an error.
    """
    return parallel_picture(study, metrics, trace=trace, theme=theme).figure()
