"""LiveFigure: a figure widget that is redrawn in place; ExportButtons: its pictures, saved by the browser.

One figure widget per view, changed by ``redraw``: what is sent is what differs.  plotly.js comes once for all of them
(``plotly_code``).
"""

import dataclasses
from copy import deepcopy

import anywidget
import ipywidgets as ipw
import numpy as np
import plotly.graph_objects as go
import traitlets
from plotly.basedatatypes import Undefined
from plotly.serializers import custom_serializers

from ..figures.runs import Picture
from ..figures.theme import CONFIG
from .brush import LATER
from .plotly_code import LOADER, PlotlyCode, plotly_code

RANGES = tuple(f"{axis}axis{k or ''}" for k in (0, 2, 3, 4) for axis in "xy")
"""Axes that a figure may have."""
AXIS_KEYS = ("tickvals", "ticktext", "dtick")
"""What an axis takes over from another figure, beside title and range."""
TITLE, CAPTION = "title.text", "title.subtitle.text"
MARKS = ("annotations", "shapes")
ROOM = 0.3
"""Part of a range that a draft leaves free above what it shows, for the drafts that follow."""


def same(a, b):
    """Return whether two values of a figure are equal, arrays included."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == np.asarray(b).dtype.kind == "f")
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def plain(value):
    """Return a tuple as the list that it is in JSON."""
    return list(value) if isinstance(value, tuple) else value


def get(props, path):
    """Return the property at a path like ``title.text``; None if there is none."""
    for key in path.split("."):
        props = (props or {}).get(key)
    return props


def put(props, path, value):
    """Set the property at a path."""
    *way, last = path.split(".")
    for key in way:
        props = props.setdefault(key, {})
    props[last] = value


def parts(figure):
    """Return (traces, layout, table) of a plotly figure or a Picture, as plain dicts."""
    if isinstance(figure, Picture):
        return figure.traces, figure.layout, figure.table
    # The properties as they are: to_plotly_json would pack arrays into a form that a widget sends back and forth.
    traces = [trace._props for trace in figure.data]
    return traces, figure.layout._props, getattr(figure, "_mheaplab_table", None)


def with_room(layout, ranges):
    """Return ``layout`` for a draft: axes keep their range while it serves, or get one with room upwards.

    Between two moves of a slider the scale had better not change, and ticks take the browser long to redraw.
    """
    layout = dict(layout)
    for name in set(ranges) & layout.keys():
        if layout[name].get("range"):
            (low, high), (least, most) = layout[name]["range"], ranges[name]
            serves = least <= low and high <= most and high - low >= (most - least) / 2
            serves |= (low, high) == (least, most)  # also where the axis is upside down
            room = 0 if name.startswith("x") else ROOM * (high - low)
            layout[name] = layout[name] | {"range": [least, most] if serves else [low, high + room]}
    return layout


class LiveFigure(go.FigureWidget):
    """A figure widget whose current state survives a page reload, a second tab and voila.

    A plain FigureWidget gives a browser that comes later the figure it was made with, not the one it has become.

    After each change the browser sends all values back that it has chosen by itself, and gets them once more as an
    echo.  Our figures leave nothing to it that anybody asks for, so these are neither read nor echoed: they would keep
    the kernel busy when the next move of a slider waits.
    """

    _esm = LOADER
    _code = traitlets.Instance(PlotlyCode).tag(sync=True, **ipw.widget_serialization)
    _js2py_traceDeltas = traitlets.Dict(allow_none=True).tag(sync=True, echo_update=False, **custom_serializers)
    _js2py_layoutDelta = traitlets.Dict(allow_none=True).tag(sync=True, echo_update=False, **custom_serializers)

    def __init__(self, figure, name="mheaplab"):
        """Show a plotly figure; ``name`` is what the browser calls a saved picture."""
        figure = figure.figure() if isinstance(figure, Picture) else figure
        super().__init__(figure)
        buttons = {**CONFIG["toImageButtonOptions"], "filename": name}
        self._config = {**self._config, **CONFIG, "toImageButtonOptions": buttons}
        self._default_ranges = self._ranges(figure.layout)
        self._mheaplab_table = getattr(figure, "_mheaplab_table", None)
        self._sketched = {}

    @traitlets.default("_code")
    def _default_code(self):
        return plotly_code()

    @traitlets.observe("_js2py_traceDeltas")
    def _handler_js2py_traceDeltas(self, _change):
        """The browser has drawn a change of traces."""
        self._trace_edit_in_process = False
        self._edits_are_done()

    @traitlets.observe("_js2py_layoutDelta")
    def _handler_js2py_layoutDelta(self, _change):
        """The browser has drawn a change of the layout."""
        self._layout_edit_in_process = False
        self._edits_are_done()

    def _edits_are_done(self):
        """Call what waits for the browser."""
        while self._waiting_edit_callbacks and not (self._trace_edit_in_process or self._layout_edit_in_process):
            self._waiting_edit_callbacks.pop()()

    def get_state(self, key=None, drop_defaults=False):
        """Return the state for a browser, with traces and layout as they are now."""
        if key is None and hasattr(self, "_layout_obj"):
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
            self._trait_values["_widget_data"] = deepcopy(self._data)
            self._trait_values |= {"_js2py_traceDeltas": None, "_js2py_layoutDelta": None}
        return super().get_state(key=key, drop_defaults=drop_defaults)

    @staticmethod
    def _ranges(layout):
        return {name: tuple(layout[name]["range"]) for name in RANGES if name in layout and layout[name]["range"]}

    @property
    def zoomed(self):
        """Names of the axes that somebody has zoomed or moved."""
        now = self._ranges(self.layout)
        return {name for name, given in self._default_ranges.items() if now.get(name, given) != given}

    def zoom_like(self, figure):
        """Give ``figure`` the ranges to which somebody has zoomed here, and return it."""
        for name in self.zoomed:
            figure.layout[name].range = self.layout[name].range
        return figure

    def redraw(self, figure, facts=None):
        """Become ``figure`` without losing zoom, hidden legend entries or the browser's view.

        Axes that nobody has moved take the ranges of ``figure``; the others keep theirs.

        Parameters
        ----------
        figure : plotly.graph_objects.Figure or Picture
            A Picture is quicker.
        facts : dict, optional
            What a Picture shows, for exports of the live figure itself; without, the stamp stays as it was.
        """
        traces, layout, table = parts(figure)
        moved = self.zoomed
        self._send_changes(self._changes_of_traces(traces), self._changes_of_layout(layout, moved, facts))
        if len(traces) > len(self.data):
            self.add_traces(traces[len(self.data) :])
        for key in MARKS:
            if not same(self.layout._props.get(key, []), layout.get(key, [])):
                self.layout[key] = layout.get(key, [])
        self._default_ranges |= self._ranges(layout)
        self._mheaplab_table = table
        self._sketched = {}

    def sketch(self, picture, brush):
        """Show a draft: by ``brush`` if only what that can paint is other, else as ``redraw`` does.

        What a brush paints is on the screen only.  The state of the figure stays what it was, until ``redraw``.

        Parameters
        ----------
        picture : Picture
        brush : Brush
        """
        layout = with_room(picture.layout, self._default_ranges)
        changes = self._changes_of_traces(picture.traces)
        others = self._changes_of_layout(layout, self.zoomed, None)
        caption = others.pop(CAPTION, layout["title"]["subtitle"]["text"])
        title = others.pop(TITLE, layout["title"]["text"] if self._sketched else None)
        if others or len(picture.traces) > len(self._data) or not brush.can_paint(self._data, changes):
            self.redraw(dataclasses.replace(picture, layout=layout))
            return
        seen = {
            k: {key: v for key, v in found.items() if (self._data[k]["type"], key) not in LATER}
            for k, found in changes.items()
        }
        brush.paint(self._layout["meta"]["export_id"], caption, {k: v for k, v in seen.items() if v}, title)
        for trace, found in changes.items():
            self._sketched.setdefault(trace, set()).update(found)

    def same_marks(self, layout):
        """Return whether annotations and shapes are those that are there."""
        return all(same(self.layout._props.get(key, []), layout.get(key, [])) for key in MARKS)

    def _send_changes(self, traces, layout):
        """Apply changes here and in the browser.

        Plotly's own way to do so, ``batch_update``, looks at every property as if a person had written it, which costs
        five times what the run does; what comes here is from figures that have been looked at.
        """
        for trace, changes in traces.items():
            self._data[trace] |= changes
        for path, value in layout.items():
            put(self._layout, path, value)
        if traces or layout:
            keys = sorted({key for changes in traces.values() for key in changes})
            style = {key: [changes.get(key, Undefined) for changes in traces.values()] for key in keys}
            self._send_update_msg(style, layout, list(traces))

    def _changes_of_traces(self, traces):
        """Return what differs of the traces by their number, or was sketched; those that are too many are hidden."""
        changes = {}
        for k, old in enumerate(self._data):
            if k < len(traces):
                new = traces[k] | ({"visible": True} if old.get("visible") is False else {})
                stale = self._sketched.get(k, ())
                found = {key: v for key, v in new.items() if key in stale or key not in old or not same(old[key], v)}
            else:
                found = {} if old.get("visible") is False else {"visible": False}
            if found:
                changes[k] = found
        return changes

    def _changes_of_layout(self, layout, moved, facts):
        """Return what differs of the layout by path: titles, labels, height, stamp, ranges that nobody has moved."""
        stamp = {} if facts is None else {"mheaplab": facts}
        wanted = {"meta": (self._layout.get("meta") or {}) | layout.get("meta", {}) | stamp}
        wanted |= {TITLE: layout["title"]["text"], CAPTION: layout["title"]["subtitle"]["text"]}
        for name in set(RANGES) & layout.keys():
            axis = layout[name]
            if axis.get("title"):
                wanted[f"{name}.title.text"] = axis["title"]["text"]
            if name not in moved and axis.get("range"):
                wanted[f"{name}.range"] = list(axis["range"])
            wanted |= {f"{name}.{key}": plain(axis[key]) for key in AXIS_KEYS if key in axis}
        if self._layout.get("height") != layout["height"]:
            wanted |= {"height": layout["height"], "margin.b": layout["margin"]["b"]}
            wanted |= {"legend.y": layout["legend"]["y"]} if "legend" in layout else {}
        stale = (TITLE, CAPTION) if self._sketched else ()
        return {k: v for k, v in wanted.items() if k in stale or not same(plain(get(self._layout, k)), v)}


class ExportButtons(anywidget.AnyWidget):
    """Buttons with which the browser saves the picture of one figure as it is on the screen, zoom included.

    Nothing is needed on the server.  The figure is found by ``layout.meta.export_id``.  Since figures in a box neither
    know its width when they are first drawn nor hear when it changes, the buttons also tell those that are ``fitted``.

    They also keep the keys that are pressed in the box (``mheaplab-explorer``) from JupyterLab, which takes arrows,
    Enter and letters for itself while a notebook is not edited: lists and buttons would not get them.
    """

    _esm = """
    export default {
      render({ model, el }) {
        const find = (id) =>
          [...document.querySelectorAll(".js-plotly-plot")].find((p) => p.layout?.meta?.export_id === id);
        const observer = new ResizeObserver(() =>
          requestAnimationFrame(() => window.dispatchEvent(new Event("resize")))
        );
        const watch = (id, tries) => {
          const plot = find(id);
          if (plot?.parentElement) observer.observe(plot.parentElement);
          else if (tries) setTimeout(() => watch(id, tries - 1), 100);
        };
        for (const id of model.get("fitted")) watch(id, 300);
        const keepKeys = (tries) => {
          const box = el.closest(".mheaplab-explorer");
          if (box) box.addEventListener("focusin", (event) => (event.target.dataset.lmSuppressShortcuts = "true"));
          else if (tries) setTimeout(() => keepKeys(tries - 1), 100);
        };
        keepKeys(100);
        for (const format of ["svg", "png"]) {
          const button = document.createElement("button");
          button.textContent = "Download " + format.toUpperCase();
          button.className = "jupyter-widgets jupyter-button";
          button.style.width = "auto";
          button.title = "Save the picture as it is on the screen, by the browser";
          button.onclick = () => {
            const plot = find(model.get("export_id"));
            const camera = plot?.querySelector('.modebar-btn[data-title^="Download plot"]');
            if (!camera) return;
            const before = plot._context.toImageButtonOptions;
            plot._context.toImageButtonOptions = { ...before, format, filename: model.get("filename") };
            camera.click();
            plot._context.toImageButtonOptions = before;
          };
          el.appendChild(button);
        }
        return () => observer.disconnect();
      },
    };
    """
    export_id = traitlets.Unicode().tag(sync=True)
    fitted = traitlets.List(traitlets.Unicode()).tag(sync=True)
    filename = traitlets.Unicode("figure").tag(sync=True)
