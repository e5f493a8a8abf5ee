"""pareto: two metrics against each other, a point per set of parameters, and those that no other set beats in both.

Whoever wants little memory and little collecting has to choose; the front is all that there is to choose from.
"""

import numpy as np

from ..metrics import metric
from . import theme as look
from .comparison import metric_text
from .runs import Picture, drawn
from .study_axes import (
    checked_names,
    first_trace,
    grouped,
    knob_text,
    knob_title,
    knob_values,
    metric_axis,
    sentence,
    study_facts,
    study_words,
)

MOST_COLORS = len(look.RUN_COLORS)
ROOM = 0.04


def front(x, y):
    """Return the indices of the points of which no other is as small in both and smaller in one, by rising x."""
    order = np.lexsort((y, x))
    best = np.minimum.accumulate(y[order])
    first = np.concatenate([[True], best[1:] < best[:-1]])
    return order[first]


def pareto_picture(study, x="mean_backed", y="gc_share", *, by=None, trace=None, theme=None):
    """Return :func:`pareto` as a Picture."""
    theme = look.theme_of(theme)
    checked_names(study, (x, y), "metric")
    if by is not None:
        checked_names(study, (by,), "knob")
    trace = trace or first_trace(study)
    sets = grouped(study, study.knobs, trace)
    values = {name: sets.mean(name) for name in (x, y)}
    axes = {name: metric_axis(name, values[name]) for name in (x, y)}
    on_front = front(values[x], values[y])
    traces = [_line(axes, x, y, on_front, theme)]
    names = ["the front"]
    for name, color, symbol, rows in _groups(study, sets, by):
        hover = [
            f"{sets.words(k)}<br>{metric(x).label}: {metric_text(metric(x), values[x][k])}"
            f"<br>{metric(y).label}: {metric_text(metric(y), values[y][k])}"
            for k in rows
        ]
        traces.append({
            "type": "scatter", "mode": "markers", "name": name, "x": drawn(axes[x].places[rows]),
            "y": drawn(axes[y].places[rows]), "hovertext": hover, "hovertemplate": "%{hovertext}<extra></extra>",
            "marker": {"color": color, "symbol": symbol, "size": 7 if len(sets.rows) < 1000 else 4, "opacity": 0.8},
        })  # fmt: skip
        names.append(name)
    layout = look.frame_layout(
        theme, f"{sentence(metric(y).label)} against {metric(x).label}: {trace}",
        study_words(study, f"{len(on_front):,} of {len(sets.rows):,} sets of parameters on the front"),
        plot_height=340, left=70, legend=names, legend_width=200,
    )  # fmt: skip
    layout["xaxis"], layout["yaxis"] = (axes[name].layout() | {"range": _range(axes[name])} for name in (x, y))
    layout["hovermode"] = "closest"

    def table():
        flags = np.isin(np.arange(len(sets.rows)), on_front).tolist()
        return (
            sets.columns
            | {name: v.tolist() for name, v in values.items()}
            | {"runs": sets.rows.tolist(), "front": flags}
        )

    return Picture(traces, layout, table, lambda: study_facts("pareto", study, x=x, y=y, trace={"name": trace}))


def _range(axis):
    """Return a range that shows all points, with a little room."""
    low, high = float(axis.places.min()), float(axis.places.max())
    room = ROOM * (high - low) or max(ROOM * abs(high), ROOM)
    return [low - room, high + room]


def _line(axes, x, y, on_front, theme):
    """Return the trace of the front: as steps, since between two sets there is none."""
    return {
        "type": "scatter", "mode": "lines", "name": "the front", "x": drawn(axes[x].places[on_front]),
        "y": drawn(axes[y].places[on_front]), "line": {"shape": "hv", "width": 1.5, "color": look.MUTED[theme]},
        "hoverinfo": "skip",
    }  # fmt: skip


def _groups(study, sets, by):
    """Yield (name, colour, mark, rows) of the points, by a parameter's values: at most as many as there are colours."""
    n = len(sets.rows)
    if by is None or by not in sets.columns:
        yield "a set of parameters", look.RUN_COLORS[0], look.RUN_SYMBOLS[0], np.arange(n)
        return
    values, own = knob_values(study, by), np.array(sets.columns[by], object)
    parts = np.array_split(np.arange(len(values)), min(MOST_COLORS, len(values)))
    for k, part in enumerate(parts):
        ends = [knob_text(by, values[part[0]]), knob_text(by, values[part[-1]])]
        rows = np.flatnonzero(np.isin(own, [values[i] for i in part]))
        name = f"{knob_title(by)} {' to '.join(dict.fromkeys(ends))}"
        yield name, look.RUN_COLORS[k], look.RUN_SYMBOLS[k], rows


def pareto(study, x="mean_backed", y="gc_share", *, by=None, trace=None, theme=None):
    """Return a picture of two metrics of a study: a point per set of parameters, and the Pareto front.

    Parameters
    ----------
    study : Study
    x, y : str
        Metrics (``mheaplab.METRICS``) of which less is better.
    by : str, optional
        The parameter that decides the colour of a point.
    trace : str, optional
        Name of the trace; default: the first.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure
        A point is the mean over the replications.

    Raises
    ------
    ValueError
        If a name is none of the study's, or no run has ended without an error.
    """
    return pareto_picture(study, x, y, by=by, trace=trace, theme=theme).figure()
