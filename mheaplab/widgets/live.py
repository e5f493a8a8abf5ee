"""LiveFigure: a figure widget that is redrawn in place; ExportButtons: its pictures, saved by the browser.

One figure widget per view, changed by ``redraw``: a new one for every change would send plotly.js, five megabytes, each
time.  What is sent is what differs.
"""

from copy import deepcopy

import anywidget
import numpy as np
import plotly.graph_objects as go
import traitlets

from ..figures.runs import Picture
from ..figures.theme import CONFIG

RANGES = tuple(f"{axis}axis{k or ''}" for k in (0, 2, 3, 4) for axis in "xy")
"""Axes that a figure may have."""
AXIS_KEYS = ("tickvals", "ticktext", "dtick")
"""What an axis takes over from another figure, beside title and range."""


def same(a, b):
    """Return whether two values of a figure are equal, arrays included."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def plain(value):
    """Return a tuple as the list that it is in JSON."""
    return list(value) if isinstance(value, tuple) else value


def parts(figure):
    """Return (traces, layout, table) of a plotly figure or a Picture, as plain dicts."""
    if isinstance(figure, Picture):
        return figure.traces, figure.layout, figure.table
    # The properties as they are: to_plotly_json would pack arrays into a form that a widget sends back and forth.
    traces = [trace._props for trace in figure.data]
    return traces, figure.layout._props, getattr(figure, "_mheaplab_table", None)


class LiveFigure(go.FigureWidget):
    """A figure widget whose current state survives a page reload, a second tab and voila.

    A plain FigureWidget gives a browser that comes later the figure it was made with, not the one it has become.
    """

    def __init__(self, figure, name="mheaplab"):
        """Show a plotly figure; ``name`` is what the browser calls a saved picture."""
        figure = figure.figure() if isinstance(figure, Picture) else figure
        super().__init__(figure)
        buttons = {**CONFIG["toImageButtonOptions"], "filename": name}
        self._config = {**self._config, **CONFIG, "toImageButtonOptions": buttons}
        self._default_ranges = self._ranges(figure.layout)
        self._mheaplab_table = getattr(figure, "_mheaplab_table", None)

    def get_state(self, key=None, drop_defaults=False):
        """Return the state for a browser, with traces and layout as they are now."""
        if key is None and hasattr(self, "_layout_obj"):
            self._trait_values["_widget_layout"] = deepcopy(self._layout_obj._props)
            self._trait_values["_widget_data"] = deepcopy(self._data)
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

    def redraw(self, figure):
        """Become ``figure`` without losing zoom, hidden legend entries or the browser's view.

        Axes that nobody has moved take the ranges of ``figure``; the others keep theirs.

        Parameters
        ----------
        figure : plotly.graph_objects.Figure or Picture
            A Picture is quicker; the stamp stays that of the last figure, until ``stamp`` gives it another.
        """
        moved = self.zoomed
        traces, layout, table = parts(figure)
        with self.batch_update():
            for old, new in zip(self.data, traces, strict=False):
                self._redraw_trace(old, new)
            for old in self.data[len(traces) :]:
                if old.visible is not False:
                    old.visible = False
            self._redraw_layout(layout, moved)
        if len(traces) > len(self.data):
            self.add_traces(traces[len(self.data) :])
        self._default_ranges |= self._ranges(layout)
        self._mheaplab_table = table

    def stamp(self, facts):
        """Say what is shown, for exports of the live figure itself."""
        self.layout.meta = {**(self.layout.meta or {}), "mheaplab": facts}

    @staticmethod
    def _redraw_trace(old, new):
        """Set what differs of a trace; part of a batch."""
        now = old._props  # as it is, without a copy
        for key, value in new.items():
            if key != "type" and not (key in now and same(now[key], value)):
                old[key] = value
        if now.get("visible") is False:
            old.visible = True

    def _redraw_layout(self, layout, moved):
        """Set what may differ of the layout: titles, labels, height, and ranges that nobody has moved."""
        meta = {**(self.layout.meta or {}), **layout.get("meta", {})}
        if meta != self.layout.meta:
            self.layout.meta = meta
        title = self.layout.title
        title.text, title.subtitle.text = layout["title"]["text"], layout["title"]["subtitle"]["text"]
        for name in RANGES:
            axis = layout.get(name, {})
            if axis.get("title") and self.layout[name].title.text != axis["title"]["text"]:
                self.layout[name].title.text = axis["title"]["text"]
            if name not in moved and axis.get("range") and tuple(self.layout[name].range) != tuple(axis["range"]):
                self.layout[name].range = axis["range"]
            for key in AXIS_KEYS:
                if key in axis and not same(plain(self.layout[name][key]), plain(axis[key])):
                    self.layout[name][key] = axis[key]
        for key in ("annotations", "shapes"):
            if not same(self.layout._props.get(key, []), layout.get(key, [])):
                self.layout[key] = layout.get(key, [])
        if self.layout.height != layout["height"]:
            self.layout.height, self.layout.margin.b = layout["height"], layout["margin"]["b"]
            if "legend" in layout:
                self.layout.legend.y = layout["legend"]["y"]


class ExportButtons(anywidget.AnyWidget):
    """Buttons with which the browser saves the picture of one figure as it is on the screen, zoom included.

    Nothing is needed on the server.  The figure is found by ``layout.meta.export_id``.  Since figures in a box neither
    know its width when they are first drawn nor hear when it changes, the buttons also tell those that are ``fitted``.
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
