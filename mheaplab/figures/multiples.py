"""multiples: one metric against one parameter, a line for each value of another, a panel for each value of a third.

All panels have the same axes, so a line that lies higher is higher.  What is in none of the three is averaged over.
"""

import numpy as np

from ..metrics import metric
from . import theme as look
from .runs import Picture, drawn
from .study_axes import (
    FEW,
    checked_names,
    grouped,
    knob_axis,
    knob_text,
    knob_title,
    knob_values,
    metric_axis,
    sentence,
    study_facts,
    study_words,
)

MOST_PANELS, COLUMNS = 12, 3
PANEL_HEIGHT, GAP = 190, 46
MOST_LINES = len(look.RUN_COLORS)


def _roles(study, x, by, panels):
    """Return (x, by, panels), each a parameter or None.

    What is not given is the first parameter that is free, and has few enough values; "" is none.
    """
    free = [name for name in (*study.knobs, "trace") if name not in (x, by, panels)]
    if x is None:
        x = free.pop(0)
    given = [by, panels]
    for k, most in enumerate((MOST_LINES, MOST_PANELS)):
        if given[k] is None:
            given[k] = next((name for name in free if 1 < len(knob_values(study, name)) <= most), None)
            free = [name for name in free if name != given[k]]
    return x, given[0] or None, given[1] or None


def _checked(study, name, most):
    """Return the values of a parameter; ``[None]`` for none."""
    if name is None:
        return [None]
    values = knob_values(study, name)
    if len(values) > most:
        raise ValueError(f"{name} has {len(values)} values, expected at most {most} to tell apart")
    return values


def multiples_picture(study, y="mean_backed", *, x=None, by=None, panels=None, theme=None):
    """Return :func:`multiples` as a Picture."""
    theme = look.theme_of(theme)
    checked_names(study, (y,), "metric")
    checked_names(study, [name for name in (x, by, panels) if name], "knob")
    x, by, panels = _roles(study, x, by, panels)
    names = list(dict.fromkeys(name for name in (panels, by, x) if name is not None))
    sets = grouped(study, names)
    means = sets.mean(y)
    down, across = metric_axis(y, means), knob_axis(study, x, sets.columns[x])
    of_panels, of_lines = _checked(study, panels, MOST_PANELS), _checked(study, by, MOST_LINES)
    few = len(np.unique(across.places)) <= FEW
    traces = []
    for p, panel in enumerate(of_panels):
        for k, value in enumerate(of_lines):
            rows = _rows(sets, {panels: panel, by: value})
            rows = rows[np.argsort(across.places[rows], kind="stable")]
            label = y_name = metric(y).label if by is None else f"{knob_title(by)} {knob_text(by, value)}"
            traces.append({
                "type": "scatter", "mode": "lines+markers", "name": label, "legendgroup": y_name,
                "showlegend": p == 0, "x": drawn(across.places[rows]), "y": drawn(down.places[rows]),
                "xaxis": f"x{p + 1 if p else ''}", "yaxis": f"y{p + 1 if p else ''}",
                "line": {"color": look.RUN_COLORS[k], "width": 1.5},
                "marker": {"symbol": look.RUN_SYMBOLS[k], "size": 6 if few else 3},
                "hovertemplate": f"%{{y:.4~g}}<br>{knob_title(x)} %{{x}}<extra>{label}</extra>",
            })  # fmt: skip
    legend = [t["name"] for t in traces if t["showlegend"]]
    layout = _layout(study, (y, x, panels), of_panels, legend, theme)
    _axes(layout, of_panels, panels, across, down, theme)

    def table():
        return sets.columns | {y: means.tolist(), "runs": sets.rows.tolist()}

    return Picture(traces, layout, table, lambda: study_facts("small multiples", study, y=y, x=x, by=by, panels=panels))


def _rows(sets, wanted):
    """Return the groups whose columns have the wanted values."""
    keep = np.ones(len(sets.rows), bool)
    for name, value in wanted.items():
        if name is not None:
            keep &= np.array([v == value for v in sets.columns[name]])
    return np.flatnonzero(keep)


def _layout(study, roles, of_panels, legend, theme):
    """Return the layout but for the axes of the panels."""
    y, x, panels = roles
    lines = -(-len(of_panels) // COLUMNS)
    each = f", a panel per {knob_title(panels)}" if panels else ""
    layout = look.frame_layout(
        theme, f"{sentence(metric(y).label)} by {knob_title(x)}{each}",
        study_words(study, "means over all else"), plot_height=PANEL_HEIGHT * lines + GAP * (lines - 1) + GAP // 2,
        left=70, legend=legend, legend_width=150,
    )  # fmt: skip
    return layout | {"hovermode": "closest", "annotations": []}


def _axes(layout, of_panels, panels, across, down, theme):
    """Give the layout the axes and the words of all panels."""
    lines, columns = -(-len(of_panels) // COLUMNS), min(len(of_panels), COLUMNS)
    height = PANEL_HEIGHT * lines + GAP * (lines - 1) + GAP // 2
    top = float(np.nanmax(down.places)) * 1.06 or 1
    for p, panel in enumerate(of_panels):
        line, column = divmod(p, COLUMNS)
        name = str(p + 1) if p else ""
        left = column * (1 + 0.06) / (columns * 1.06 - 0.06) if columns > 1 else 0
        width = 1 / (columns * 1.06 - 0.06)
        ceiling = 1 - (line * (PANEL_HEIGHT + GAP) + GAP // 2) / height
        lowest = p + COLUMNS >= len(of_panels)
        layout[f"xaxis{name}"] = across.layout() | {
            "anchor": f"y{name}", "domain": [left, min(left + width, 1)], "showticklabels": lowest,
            "title": {"text": across.title if lowest else ""},
        }  # fmt: skip
        layout[f"yaxis{name}"] = {
            "anchor": f"x{name}", "domain": [ceiling - PANEL_HEIGHT / height, ceiling], "range": [0, top],
            "showticklabels": column == 0, "title": {"text": down.title if column == 0 else ""}, "nticks": 5,
        }  # fmt: skip
        if panels is not None:
            layout["annotations"].append({
                "text": f"{knob_title(panels)} {knob_text(panels, panel)}", "showarrow": False, "xref": "paper",
                "yref": "paper", "x": left + width / 2, "y": ceiling, "yanchor": "bottom", "xanchor": "center",
                "font": {"size": 12, "color": look.TEXT[theme]},
            })  # fmt: skip


def multiples(study, y="mean_backed", *, x=None, by=None, panels=None, theme=None):
    """Return a picture of a metric against a parameter, with lines and panels for the values of others.

    Parameters
    ----------
    study : Study
    y : str
        A metric.
    x, by, panels : str, optional
        Parameters that were varied, or "trace": along the axis, a line each, a panel each.  Default: the first ones;
        "": none.
    theme : {"light", "dark"}, optional

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If a name is none of the study's, or has too many values for lines (6) or panels (12).
    """
    return multiples_picture(study, y, x=x, by=by, panels=panels, theme=theme).figure()
