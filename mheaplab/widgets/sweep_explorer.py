"""sweep_explorer: how large the objects are, and how many live; what marking leaves and what sweeping frees."""

import html
from pathlib import Path

import ipywidgets as ipw

from ..figures import span_bits
from ..figures.theme import theme_of
from ..params import HeapParams
from ..steps import filled, sweep_one
from .explorer import Explorer
from .live import LiveFigure
from .save_row import SaveRow

LARGEST = 4096
VERSIONS = {"Go 1.19": "go1.19", "Go 1.27": "go1.27"}


class SweepExplorer(Explorer):
    """A span full of objects, marked and then swept; made by :func:`sweep_explorer`.

    Attributes
    ----------
    size, alive, go : ipywidgets.Widget
        The controls.
    marked, swept : LiveFigure
        The span before the sweep and after it.
    story : Story
        The sweep that is shown.
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, size=48, alive=30, theme=None, folder="exports"):
        self.theme, self.folder = theme_of(theme), Path(folder)
        self._make_controls(size, alive)
        self._sweep()
        self.marked, self.swept = (LiveFigure(figure, f"span-{kind}") for kind, figure in self._figures())
        self.save_row = SaveRow(self)
        controls = {"size": self.size, "alive": self.alive, "go": self.go}
        super().__init__(controls, self._show, [self.marked, self.swept, self.save_row])
        self.status.value = html.escape(self.story.outcome)

    def _make_controls(self, size, alive):
        wide = ipw.Layout(width="auto", flex="1 1 auto", min_width="260px")
        self.size = ipw.IntSlider(
            size, 8, LARGEST, 8, description="object, B", layout=wide,
            tooltip="bytes of each object: arrow keys move by 8, the number can be typed",
        )  # fmt: skip
        self.alive = ipw.IntSlider(
            alive, 0, 100, 5, description="alive, %", layout=wide,
            tooltip="share of the objects that the collection finds alive",
        )  # fmt: skip
        self.go = ipw.Dropdown(
            options=list(VERSIONS.items()), description="runtime", layout=ipw.Layout(width="190px"),
            tooltip="Go 1.27 keeps pointer bitmaps and mark bits at the end of a span of small objects",
        )  # fmt: skip

    @property
    def about(self):
        """What is shown, for the stamp."""
        return {"object_bytes": self.size.value, "alive_percent": self.alive.value, "go": self.go.value}

    def _sweep(self):
        heap, _ = filled(self.size.value, self.alive.value / 100, params=HeapParams.of_version(self.go.value))
        self.story = sweep_one(heap)

    def stem(self):
        """Return the name of what is shown, for files."""
        return f"sweep-{self.size.value}-B-{self.alive.value}-percent-{self.go.value}"

    def _figures(self):
        """Yield the two figures with their names."""
        before, after = self.story.before, self.story.after
        yield "marked", span_bits(before, theme=self.theme, focus=("gcmarkBits",), note="before the sweep")
        yield "swept", span_bits(after, theme=self.theme, focus=("allocBits",), note="after the sweep")

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        for live, (kind, figure) in zip((self.marked, self.swept), self._figures(), strict=True):
            yield kind, live, figure

    def _show(self, **_values):
        """Fill, mark and sweep another span, and show it."""
        self._sweep()
        self.status.value = html.escape(self.story.outcome)
        self.save_row.rename()
        for _, live, figure in self.pictures():
            live.redraw(figure)


def sweep_explorer(*, size=48, alive=30, theme=None, folder="exports"):
    """Return a widget that fills a span with objects, marks some of them and sweeps it.

    Parameters
    ----------
    size : int
        Bytes of an object at first, 8 to 4,096.
    alive : int
        Percent of the objects that live, at first.
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    SweepExplorer
        An ipywidgets box.
    """
    return SweepExplorer(size, alive, theme, folder)
