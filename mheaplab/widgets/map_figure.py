"""MapFigure: a heap map that is redrawn in place, with hover texts of single pages where somebody has zoomed in."""

from ..figures import page_hover
from .live import LiveFigure


class MapFigure(LiveFigure):
    """The heap map of one run.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure or Picture
        The map of ``snapshot``.
    name : str
        What the browser calls a saved picture.
    snapshot : Snapshot
    frame : MapFrame
        In which all moments of the run are drawn.
    """

    def __init__(self, figure, name, snapshot, frame):
        super().__init__(figure, name)
        self._shown, self._frame = snapshot, frame
        self.layout.on_change(self._look_closer, "xaxis.range", "yaxis.range")

    def show(self, figure, snapshot):
        """Become the map ``figure`` of another moment."""
        self._shown = snapshot
        self.redraw(figure)
        self._look_closer()

    def draft(self, picture, snapshot, brush):
        """Show the map of another moment as ``sketch`` does; its hover texts come with ``show``.

        The label of an arena changes when the heap grows, and is plotly's to draw.
        """
        self._shown = snapshot
        if self.same_marks(picture.layout):
            self.sketch(picture, brush)
        else:
            self.redraw(picture)

    def _look_closer(self, *_ranges):
        """Give the part of a large heap that is zoomed into hover texts of single pages."""
        height, width = self._frame.shape
        if height * width <= page_hover.HOVER_PAGES or not self.zoomed:
            return
        x, y = self.layout.xaxis.range, self.layout.yaxis.range
        window = (int(min(y)), int(max(y)) + 2, int(min(x)), int(max(x)) + 2)
        with self.batch_update():
            self.data[1].update(page_hover.hover_cells(self._shown, self._frame, window))
