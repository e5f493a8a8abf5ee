"""strips: rows of bits, one column per item, folded so that they fit on a page.

Bitmaps are long and low: 1,024 slots, or 512 pages, with a handful of bits each.  So they are cut into strips that lie
under each other; every strip has the same rows, and an empty row above it for marks and addresses.  The cells are one
heatmap, whose codes index a list of colours; a cell may hold a letter, so that nothing is said by colour alone.
"""

from dataclasses import dataclass

import numpy as np

from . import theme as look

TICK_FONT = 12
ROW_PIXELS = 17
"""Height of a row in which a letter and the name of the row can be read."""
LOW_ROW_PIXELS = 9
NAMED_STRIPS = 6
"""Strips up to which every row has its name on the axis and its letters in the cells."""
LEFT = 118


@dataclass(frozen=True)
class Strips:
    """How the items are folded.

    Attributes
    ----------
    items : int
        How many there are.
    columns : int
        Items in one strip.
    rows : tuple of str
        Names of the rows of each strip.
    """

    items: int
    columns: int
    rows: tuple

    @property
    def count(self):
        """Number of strips, at least one."""
        return max(1, -(-self.items // self.columns))

    @property
    def height(self):
        """Rows of all strips, with the empty one above each."""
        return self.count * (len(self.rows) + 1)

    @property
    def named(self):
        """Whether rows are high enough for names and letters."""
        return self.count <= NAMED_STRIPS

    @property
    def pixels(self):
        """Height of the plotting area."""
        return self.height * (ROW_PIXELS if self.named else LOW_ROW_PIXELS)

    def at(self, item, row):
        """Return x and y of an item in the row of that name; "" is the empty row."""
        down = 1 + self.rows.index(row) if row else 0
        return item % self.columns, item // self.columns * (len(self.rows) + 1) + down

    def grid(self, values, nothing):
        """Return rows of values (a dict by row name, each as long as the items) as the grid of the heatmap."""
        found = np.full((self.height, self.columns), nothing, object)
        for k, name in enumerate(self.rows):
            padded = np.full(self.count * self.columns, nothing, object)
            padded[: self.items] = values[name]
            found[1 + k :: len(self.rows) + 1] = padded.reshape(self.count, self.columns)
        return found


def cells(strips, codes, letters, hover, colors):
    """Return the heatmap of the cells.

    Parameters
    ----------
    strips : Strips
    codes, letters : dict of str to sequence
        By row: which colour each item has (None for none) and the letter in its cell.
    hover : sequence of str
        One text per item, the same in all its rows.
    colors : sequence of str
        The colours that the codes stand for.
    """
    n = len(colors)
    scale = [[edge / n, color] for k, color in enumerate(colors) for edge in (k, k + 1)]
    texts = np.array(hover, object)
    empty = {name: np.full(strips.items, "", object) for name in strips.rows}
    shown = {name: np.where(np.equal(codes[name], None), "", texts) for name in strips.rows}
    return {
        "type": "heatmap",
        "name": "bits",
        "z": strips.grid(codes, None),
        "zmin": -0.5,
        "zmax": n - 0.5,
        "colorscale": scale,
        "showscale": False,
        "xgap": 1,
        "ygap": 1,
        "text": strips.grid(empty | letters if strips.named else empty, ""),
        "texttemplate": "%{text}",
        "textfont": {"family": look.MONO, "size": 10},
        "hovertext": strips.grid(shown, ""),
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hoverongaps": False,
    }


def axes(strips, first_row, x_title):
    """Return the layout of the axes.

    Parameters
    ----------
    strips : Strips
    first_row : sequence of str
        What the axis calls the first row of each strip: which items these are.
    x_title : str
        The unit of the x axis.
    """
    ticks, words = [], []
    for k in range(strips.count):
        for j, name in enumerate(strips.rows if strips.named else strips.rows[:1]):
            ticks.append(k * (len(strips.rows) + 1) + 1 + j)
            words.append(name if j else first_row[k])
    font = {"size": TICK_FONT}
    shown = min(strips.items, strips.columns)
    every = max(1, shown // 8)
    # Half a column more on either side: for the lines of frames, and for a mark behind the last item.
    x = {"range": [-1, strips.columns], "tickvals": list(range(0, shown, every)), "showgrid": False}
    y = {"range": [strips.height - 0.5, -0.5], "tickvals": ticks, "ticktext": words, "showgrid": False, "ticks": ""}
    y |= {"showline": False, "ticklabelstandoff": 4}
    return {"xaxis": x | {"tickfont": font, "title": {"text": x_title}}, "yaxis": y | {"tickfont": font}}


def frames(strips, codes, names):
    """Return shapes that frame the rows of these names, in every strip from their first cell to the last."""
    found = []
    for name in names:
        for k in range(strips.count):
            there = np.not_equal(codes[name][k * strips.columns : (k + 1) * strips.columns], None)
            if not there.any():
                continue
            first, last = np.flatnonzero(there)[[0, -1]].tolist()
            _, y = strips.at(k * strips.columns, name)
            box = {"x0": first - 0.5, "x1": last + 0.5, "y0": y - 0.5, "y1": y + 0.5}
            found.append({"type": "rect", "line": {"color": look.BAD, "width": 1.5}, **box})
    return found
