"""Brush: puts a draft into a plot that the browser has drawn, in a fraction of the time that plotly takes to redraw.

The browser's part is ``brush.js``.  It uses what plotly keeps inside a plot, so it may find that a plotly of another
version has that elsewhere; then it says so, and drafts are drawn the usual way.
"""

import html
from pathlib import Path

import anywidget
import numpy as np

PAINTED = {
    "scatter": frozenset({"x", "y", "text", "customdata", "name"}),
    "image": frozenset({"source"}),
    "heatmap": frozenset({"text"}),
}
"""What it can change of a trace, by type."""
LATER = frozenset({("heatmap", "text")})
"""What nobody sees but on hover: it waits for plotly's turn."""
TYPES = {np.dtype(np.float32): "f4", np.dtype(np.int32): "i4"}


class Brush(anywidget.AnyWidget):
    """What paints into the plots of one explorer; it has no view of its own.

    Attributes
    ----------
    failed : str
        Why the browser could not paint; empty as long as it could.
    """

    _esm = Path(__file__).with_name("brush.js")

    def __init__(self):
        super().__init__()
        self.failed = ""
        self.on_msg(self._heard)

    def _heard(self, _widget, content, _buffers):
        self.failed = content["failed"]

    def can_paint(self, traces, changes):
        """Return whether ``changes`` of ``traces``, a dict by number, are all of what it can change."""
        return not self.failed and all(
            found.keys() <= PAINTED.get(traces[k]["type"], frozenset()) for k, found in changes.items()
        )

    def paint(self, figure, caption, changes, title=None):
        """Paint.

        Parameters
        ----------
        figure : str
            ``layout.meta.export_id`` of the plot.
        caption : str
            With ``<br>`` between lines.
        changes : dict of int to dict
            By trace, its new ``x``, ``y``, ``text`` or ``customdata``, where arrays are float32 or int32; its ``name``
            in the legend; the ``source`` of an image.
        title : str, optional
            The new title, if it is another.
        """
        buffers, places, traces = [], {}, []
        for k, found in changes.items():
            values = {}
            for key, value in found.items():
                if isinstance(value, str):
                    # What stands in the plot is the text itself, not plotly's HTML of it.
                    values[key] = {"text": html.unescape(value)}
                    continue
                if not isinstance(value, np.ndarray):
                    values[key] = {"list": list(value)}
                    continue
                # Lines that share an axis share the array, which then travels once.
                if id(value) not in places:
                    places[id(value)] = len(buffers)
                    buffers.append(np.ascontiguousarray(value).data)
                values[key] = {"buffer": places[id(value)], "type": TYPES[value.dtype]}
            traces.append([k, values])
        words = {"figure": figure, "caption": caption, "title": None if title is None else html.unescape(title)}
        self.send({**words, "traces": traces}, buffers)
