"""How every figure looks: two plotly templates, fixed colours, and where title and legend stand.

A page state has the same colour in every figure, a size class too.  The colours of page states were searched for: any
two of them, also in their fainter form, stay apart on white and on black paper for normal sight and for the three kinds
of colour blindness (Machado and others 2009); ``tests/test_figures.py`` holds them to it, and so it does the accounts
of memory and the sweepers of a run.  The lightness of a ramp changes in one direction only, so it survives a
black-and-white print.
"""

import functools

import numpy as np
import plotly.graph_objects as go

CONFIG = {
    "displaylogo": False,
    "showSendToCloud": False,
    "responsive": True,
    "toImageButtonOptions": {"format": "svg", "filename": "mheaplab", "scale": 1},
}
"""Options of plotly.js.  Without them plotly 7 shows a button that uploads the figure."""

THEMES = ("light", "dark")
FONT = "Helvetica Neue, Arial, Liberation Sans, sans-serif"
MONO = "Menlo, Consolas, DejaVu Sans Mono, monospace"

PAPER = {"light": "#ffffff", "dark": "#15181c"}
TEXT = {"light": "#1f2430", "dark": "#e3e6ea"}
MUTED = {"light": "#5b6472", "dark": "#a0a8b3"}
GRID = {"light": "#e3e6ea", "dark": "#31363e"}

FREE_COLORS = {
    "light": ("#eef0f3", "#ccd3db", "#98a3ae"),
    "dark": ("#24282e", "#414a54", "#76828e"),
}
"""Pages that hold nothing (reserved, returned to the OS, backed): greys that step away from the paper."""
USED_COLORS = ("#ddcc77", "#1b4f9c", "#e7a40d", "#ee6677", "#117733", "#56b4e9")
"""Pages in use, both themes: page cache, with pointers, noscan (light enough for letters), large, stacks, runtime."""
SCAN, NOSCAN = USED_COLORS[1], USED_COLORS[2]
OTHER_USE = "#7d6b91"
"""Pages without size class, where colour stands for the class or the occupancy."""
WASTE = {"light": "#5b6472", "dark": "#c3c9d1"}
GOOD, BAD = "#1b4f9c", "#d55e00"

ACCOUNTS = ("live", "garbage", "free_slots", "tail", "stacks", "other_spans", "free", "released")
"""The accounts of all mapped memory, in the order in which they are stacked."""
SWEEPER_COLORS = ("#56b4e9", "#e69f00", "#117733", "#1b4f9c", "#ee6677", "#ddcc77", "#7d6b91", "#882255")
"""Who swept a span, in the order of ``SWEEPERS``."""
RUN_COLORS = ("#1b4f9c", "#e69f00", "#117733", "#ee6677", "#56b4e9", "#7d6b91")
RUN_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x", "star")
"""Runs that are compared, by number: colour and mark, so that neither speaks alone."""

RAMPS = {
    "scan": ("#a6cff0", "#4b8fd1", "#1b4f9c", "#12306b"),
    "noscan": ("#fbd77c", "#e7a40d", "#b05e00", "#66320b"),
    "occupancy": ("#fde725", "#7ad151", "#22a884", "#2a788e", "#414487"),
    "age": ("#fff2a0", "#f5b93a", "#d9822b", "#9c5510", "#5e3000"),
}
"""Ramps by their colours at equal steps: size classes from small to large, slots in use from none to all, objects
from new to old."""
TYPE_COLORS = USED_COLORS[1:] + ("#ddcc77",)
"""The types with the most bytes, by rank."""
OTHER_TYPES = "#882255"
RAMP_STEPS = 100
LETTERS = ("#ffffff", "#444444")
"""In which plotly.js writes in dark and in light cells."""
READABLE = 4.5
"""The contrast that text needs, whatever its size (WCAG 2.2, 1.4.3)."""
TAIL_SHARE = 0.25
"""How much of the paper's colour is in the pages of a span after its first."""


_chosen = ["light"]


def check_theme(theme):
    """Raise ValueError unless ``theme`` exists."""
    if theme not in THEMES:
        raise ValueError(f"theme = {theme!r} is outside its legal range: one of {', '.join(THEMES)}")


def set_theme(theme):
    """Let figures and widgets that are made from now on have this theme, unless they are told another.

    Parameters
    ----------
    theme : {"light", "dark"}

    Raises
    ------
    ValueError
        If there is no such theme.
    """
    check_theme(theme)
    _chosen[0] = theme


def theme_of(theme):
    """Return ``theme``, or for None the one that was chosen; ValueError if it does not exist."""
    theme = _chosen[0] if theme is None else theme
    check_theme(theme)
    return theme


def rgb(color):
    """Return a "#rrggbb" colour as three numbers from 0 to 255."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], float)


def hex_color(numbers):
    """Return three numbers from 0 to 255 as a "#rrggbb" colour."""
    return "#" + "".join(f"{round(float(v)):02x}" for v in numbers)


def mix(color, other, share):
    """Return ``color`` with ``share`` of ``other`` in it."""
    return hex_color((1 - share) * rgb(color) + share * rgb(other))


def light(color):
    """Return how light a colour is, 0 to 1: the relative luminance of WCAG 2."""
    part = rgb(color) / 255
    part = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    return float(part @ (0.2126, 0.7152, 0.0722))


def contrast(color, other):
    """Return the contrast of two colours, 1 to 21, by the rule of WCAG 2; text needs ``READABLE``."""
    low, high = sorted((light(color), light(other)))
    return (high + 0.05) / (low + 0.05)


def on_bar(color):
    """Return the colour for text on a bar of a colour: black or white."""
    return max("#ffffff", "#000000", key=lambda ink: contrast(ink, color))


def letter_color(color):
    """Return the colour in which plotly.js writes in a heatmap's cell of a colour: it cannot be told another."""
    return LETTERS[0] if rgb(color) @ (0.299, 0.587, 0.114) < 128 else LETTERS[1]


@functools.cache
def under_letters(color):
    """Return ``color`` with as much white in it as what plotly writes upon it needs to be read."""
    return next(
        lighter
        for share in np.linspace(0, 1, 101)
        for lighter in [mix(color, "#ffffff", share)]
        if contrast(lighter, letter_color(lighter)) >= READABLE
    )


@functools.cache
def ramp(name, steps=RAMP_STEPS):
    """Return ``steps`` colours of a ramp as a tuple of "#rrggbb"."""
    anchors = np.array([rgb(c) for c in RAMPS[name]])
    at = np.linspace(0, len(anchors) - 1, steps)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    return tuple(hex_color(c) for c in zip(*channels, strict=True))


def state_colors(theme):
    """Return the colour of each page state, in the order of ``PAGE_STATE_NAMES``."""
    return FREE_COLORS[theme] + USED_COLORS


def tail_colors(theme):
    """Return the colour of each page state for the pages of a span after its first."""
    return tuple(mix(c, PAPER[theme], TAIL_SHARE) for c in state_colors(theme))


def account_colors(theme):
    """Return the colour of each of ``ACCOUNTS``; pages have those of the heap map."""
    free, other = FREE_COLORS[theme], USED_COLORS
    return (SCAN, BAD, RAMPS["scan"][0], WASTE[theme], other[4], other[5], free[2], free[1])


def class_step(size_class, n_classes):
    """Return the place of a size class (1 to n_classes - 1) on its ramp, 0 to RAMP_STEPS - 1."""
    return np.rint((np.asarray(size_class) - 1) * (RAMP_STEPS - 1) / max(n_classes - 2, 1)).astype(int)


def class_color(size_class, noscan, n_classes=68):
    """Return the colour of a span class: blue with pointers, orange without, the darker the larger."""
    return ramp("noscan" if noscan else "scan")[int(class_step(size_class, n_classes))]


@functools.cache
def template(theme):
    """Return the plotly template of a theme."""
    check_theme(theme)
    axis = {
        "gridcolor": GRID[theme],
        "linecolor": MUTED[theme],
        "tickcolor": MUTED[theme],
        "zeroline": False,
        "showline": True,
        "ticks": "outside",
        "ticklen": 4,
        "tickfont": {"size": 11},
        "title": {"font": {"size": 12}, "standoff": 8},
        "automargin": False,
    }
    layout = {
        "paper_bgcolor": PAPER[theme],
        "plot_bgcolor": PAPER[theme],
        "font": {"family": FONT, "size": 12, "color": TEXT[theme]},
        "colorway": list(USED_COLORS),
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {
            "align": "left",
            "bgcolor": PAPER[theme],
            "bordercolor": MUTED[theme],
            "font": {"family": FONT, "size": 12, "color": TEXT[theme]},
        },
        "legend": {"font": {"size": 11}, "itemsizing": "trace", "tracegroupgap": 0, "bgcolor": "rgba(0,0,0,0)"},
        "separators": ".,",
    }
    return go.layout.Template(layout=layout)


TITLE_HEIGHT = 62
SUBTITLE_LINE = 16
"""Pixels that a second line under the title takes."""
AXIS_HEIGHT = 52
LEGEND_LINE = 20
LEGEND_MARK = 45
"""Pixels that plotly adds to the text of a legend entry, for its mark and the space around."""
NARROW = 640
"""Width in pixels of a text column, at which everything must be readable."""


def legend_pixels(entries, entry_width, room):
    """Return the height of a legend of ``entries`` entries under a plot that is ``room`` pixels wide."""
    columns = max(1, int(room // (entry_width + LEGEND_MARK)))
    return -(-entries // columns) * LEGEND_LINE + 8 if entries else 0


def frame_layout(theme, title, subtitle, *, plot_height, left, legend=(), legend_width=0, right=20):
    """Return the layout that all figures share: title on top, then the plot, then the legend in columns.

    Everything has a fixed place in pixels, so that nothing moves when texts change.

    Parameters
    ----------
    theme : {"light", "dark"}
    title, subtitle : str
        The subtitle may have more lines, with ``<br>`` between.
    plot_height, left, right : int
        Height of the plotting area and the margins beside it, in pixels.
    legend : sequence of str
        Texts of the legend, for its number of lines.
    legend_width : int
        Width of its widest text, in pixels.
    """
    legend_height = legend_pixels(len(legend), legend_width, NARROW - left - right)
    bottom = AXIS_HEIGHT + legend_height
    top = TITLE_HEIGHT + SUBTITLE_LINE * subtitle.count("<br>")
    height = top + plot_height + bottom
    layout = {
        "template": template(theme),
        "height": height,
        "margin": {"l": left, "r": right, "t": top, "b": bottom},
        "title": {
            "text": title,
            "font": {"size": 16},
            "subtitle": {"text": subtitle, "font": {"size": 12, "color": MUTED[theme]}},
            "xref": "container",
            "x": 0,
            "xanchor": "left",
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 12, "l": 12},
        },
        "uirevision": "keep",
    }
    if legend:
        layout["legend"] = {
            "orientation": "h",
            "xref": "container",
            "x": 0,
            "yref": "container",
            "y": legend_height / height,
            "yanchor": "top",
            "entrywidth": legend_width,
            "entrywidthmode": "pixels",
        }
    return layout


def swatch(name, color, **more):
    """Return a trace without points that puts a coloured square into the legend."""
    marker = {"symbol": "square", "size": 11, "color": color, "line": {"width": 0.5, "color": "#888888"}}
    point = {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "hoverinfo": "skip"}
    return point | {"marker": marker, "name": name} | more


def quiet_renderers():
    """Give plotly's own renderers CONFIG, so that a plain figure in a notebook has no upload button either."""
    import plotly.io as pio

    for name in ("plotly_mimetype", "jupyterlab", "vscode", "notebook", "browser"):
        renderer = pio.renderers[name]
        renderer.config = {**(renderer.config or {}), **CONFIG}
