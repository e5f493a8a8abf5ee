"""agreement: how far a prediction agrees with what Go did; heap_over_time: the heap's accounts from event to event."""

import dataclasses

import numpy as np
import plotly.graph_objects as go

from . import theme as look
from .export import attach, digest
from .runs import Picture, small
from .units import bytes_axis, bytes_text, count_text, percent_text, plural

SHOWN = 3
"""Differences of a kind listed in a hover text."""


def agreement(found, *, theme=None, name=""):
    """Return one bar per kind of prediction: the share that is as Go did it, with the numbers.

    Parameters
    ----------
    found : Agreement
        From ``mheaplab.compare``.
    theme : {"light", "dark"}, optional
    name : str
        What was predicted, for the title.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    theme = look.theme_of(theme)
    kinds = list(found.total)
    matched = [found.matched[k] for k in kinds]
    total = [found.total[k] for k in kinds]
    share = [100.0 * m / t if t else 0.0 for m, t in zip(matched, total, strict=True)]
    texts, hovers = [], []
    for kind, m, t in zip(kinds, matched, total, strict=True):
        texts.append(f"{count_text(m)} of {count_text(t)}  ({percent_text(m, t)})" if t else "none in this case")
        notes = [d for d in found.differences if d.startswith(kind + ":")]
        hovers.append("<br>".join([f"{kind}: {texts[-1]}", *notes[:SHOWN]]))
    # The text stands at the left end of the bar, or on the bare paper where the bar is too short for it.
    inside = [s > 50 for s in share]
    bars = [look.GOOD if m == t else look.BAD for m, t in zip(matched, total, strict=True)]
    inks = [look.on_bar(bar) if i else look.TEXT[theme] for bar, i in zip(bars, inside, strict=True)]
    figure = go.Figure(
        go.Bar(
            x=np.array(share),
            y=kinds,
            orientation="h",
            name="as Go did it",
            marker={"color": bars},
            text=texts,
            textposition=["inside" if i else "outside" for i in inside],
            insidetextanchor="start",
            textangle=0,
            textfont={"size": 12, "color": inks},
            cliponaxis=False,
            hovertext=hovers,
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        )
    )
    wrong = sum(total) - sum(matched)
    verdict = "every prediction is what Go did"
    if wrong:
        verdict = f"{plural(wrong, 'prediction')} of {count_text(sum(total))} wrong"
    figure.update_layout(
        look.frame_layout(
            theme,
            f"Agreement with Go{': ' + name if name else ''}",
            verdict,
            plot_height=34 * len(kinds),
            left=104,
            right=28,
        ),
        bargap=0.25,
    )
    figure.update_xaxes(range=[0, 100], ticksuffix="%", title={"text": "predictions that are exactly what Go did"})
    figure.update_yaxes(autorange="reversed", ticks="", showline=False, ticklabelstandoff=6)
    columns = {"kind": kinds, "matched": matched, "total": total}
    facts = {"figure": "agreement", "sha256": digest(np.array(matched), np.array(total))}
    return attach(figure, lambda: columns, facts)


AREAS = (
    ("in use (HeapInuse)", look.SCAN, lambda m: m["HeapInuse"]),
    ("free, backed (HeapIdle - HeapReleased)", None, lambda m: m["HeapIdle"] - m["HeapReleased"]),
    ("returned to the OS (HeapReleased)", None, lambda m: m["HeapReleased"]),
)
GO_AREAS = (
    ("slots taken (HeapAlloc)", look.SCAN, lambda m: m["HeapAlloc"]),
    ("rest of the spans (HeapInuse - HeapAlloc)", look.RAMPS["scan"][0], lambda m: m["HeapInuse"] - m["HeapAlloc"]),
)
"""Of Go's own heap in an execution trace, which does not tell what is free."""
MARK = "the moment shown"


def heap_over_time(snapshots, *, theme=None, name="", at=None):
    """Return the heap's accounts over the events of a run, stacked: in use, free, returned to the OS.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        Moments of one run, by rising event.
    theme : {"light", "dark"}, optional
    name : str
        What the heap is called in the title.
    at : int, optional
        An event to mark.

    Returns
    -------
    plotly.graph_objects.Figure
        The three areas add up to HeapSys.  Stacks are not in it, as in Go's MemStats.  Of Go's own heap in an execution
        trace there are two areas, slots and the rest of the spans.
    """
    return heap_over_time_picture(snapshots, theme=theme, name=name, at=at).figure()


def heap_over_time_picture(snapshots, *, theme=None, name="", at=None):
    """Return the same as a Picture, for a live figure."""
    theme = look.theme_of(theme)
    events = np.array([s.event for s in snapshots], np.int64)
    told = all("HeapIdle" in s.memstats for s in snapshots)
    areas = AREAS if told else GO_AREAS
    values = {text: np.array([part(s.memstats) for s in snapshots], np.int64) for text, _, part in areas}
    highest = int(sum(values.values()).max(initial=0))
    divisor, unit = bytes_axis(highest)
    last = int(events[-1]) if len(events) else 1
    free = look.FREE_COLORS[theme]
    traces = []
    for (text, series), (_, color, _), grey in zip(values.items(), areas, (None, free[2], free[1]), strict=False):
        traces.append(
            {
                "type": "scatter",
                "x": small(events, last),
                "y": (series / divisor).astype("f4"),
                "name": text,
                "mode": "lines",
                "stackgroup": "heap",
                "line": {"width": 1, "color": color or grey, "shape": "hv"},
                "fillcolor": color or grey,
                "text": [bytes_text(v) for v in series.tolist()],
                "hovertemplate": "%{text}",
            }
        )
    top = 1.06 * max(highest, 1) / divisor
    if at is not None:
        traces.append(_mark(at, top))
    in_use = np.array([s.memstats["HeapInuse"] for s in snapshots], np.int64)
    most = f"at most {bytes_text(int(in_use.max(initial=0)))} in use"
    left_out = "goroutine stacks are not counted" if told else "free pages and goroutine stacks are not counted"
    layout = look.frame_layout(
        theme,
        f"The heap over time{': ' + name if name else ''}",
        f"{most}; {left_out}; {plural(len(events), 'moment')}",
        plot_height=260,
        left=66,
        legend=[trace["name"] for trace in traces],
        legend_width=225,
    )
    x = {"range": [0, last], "title": {"text": "events"}, "tickformat": ",d", "nticks": 8, "hoverformat": ",d"}
    y = {"range": [0, top], "title": {"text": f"heap, {unit}"}, "nticks": 6}
    layout |= {"hovermode": "x unified", "xaxis": x, "yaxis": y}
    table = {"event": events.tolist(), **{text: v.tolist() for text, v in values.items()}}
    facts = {"figure": "heap over time", "sha256": digest(events, *values.values())}
    return Picture(traces, layout, lambda: table, lambda: facts)


def with_mark(picture, at):
    """Return the Picture of a heap over time with the line at another event."""
    *areas, old = picture.traces
    return dataclasses.replace(picture, traces=[*areas, _mark(at, old["y"][1])])


def _mark(at, top):
    """Return the line that marks an event."""
    return {
        "type": "scatter",
        "x": np.array([at, at], "f4" if at >= 1 << 31 else "i4"),
        "y": np.array([0, top], "f4"),
        "name": MARK,
        "mode": "lines",
        "line": {"width": 2, "color": look.BAD, "dash": "dot"},
        "hoverinfo": "skip",
    }
