"""arena_bits: the bitmaps that speak of pages, for the 512 pages of one chunk.

Four strips of 128 pages, 1 MiB each, as in the heap map.  The rows, from top to bottom: the page allocator's ``alloc``
and ``scavenged`` bits, the pages that a P keeps in its page cache, and the arena's ``pageInUse``, ``pageMarks`` and
``pageSpecials``, in which a span has only the bit of its first page.
"""

import numpy as np
import plotly.graph_objects as go

from . import theme as look
from .export import attach, digest
from .strips import LEFT, Strips, axes, cells, frames
from .units import address_text, plural

PAGES = 512
PAGE_BYTES = 8192
COLUMNS = 128
ROWS = ("alloc", "scavenged", "pageCache", "pageInUse", "pageMarks", "pageSpecials")
MEANS = ("not free", "returned to the OS", "kept by P", "a heap span begins", "and has a mark", "and has a special")
FIELDS = ("alloc", "scavenged", "cached", "in_use", "marks", "specials")
ZERO, ONE, RETURNED, KEPT = range(4)


def page_table(bits):
    """Return the pages as columns: number in the chunk, address, and a 0 or 1 per bitmap (P or -1 for the cache)."""
    columns = {"page": list(range(PAGES))}
    columns["address"] = [address_text(bits.base + k * PAGE_BYTES) for k in range(PAGES)]
    return columns | {row: getattr(bits, field).astype(int).tolist() for row, field in zip(ROWS, FIELDS, strict=True)}


def _hover(table):
    """Return one hover text per page: where it is, and every bit that is set."""
    texts = []
    for k in range(PAGES):
        lines = [f"page {k} of the chunk, {table['address'][k]}"]
        for row, means in zip(ROWS, MEANS, strict=True):
            value = table[row][k]
            if row == "pageCache":
                lines += [f"{row}: {means} {value}"] if value >= 0 else []
            elif value:
                lines.append(f"{row} 1: {means}")
        texts.append("<br>".join(lines if len(lines) > 1 else [*lines, "all bits 0"]))
    return texts


def _codes(table):
    """Return the codes of the cells, by row."""
    codes = {row: np.array(table[row], object) for row in ROWS}
    codes["scavenged"] = np.where(np.array(table["scavenged"]) > 0, RETURNED, ZERO).astype(object)
    codes["pageCache"] = np.where(np.array(table["pageCache"]) >= 0, KEPT, ZERO).astype(object)
    return codes


def _addresses(bits, strips, theme):
    """Return the address of each strip, above it."""
    labels = []
    for k in range(strips.count):
        x, y = strips.at(k * COLUMNS, "")
        labels.append(
            {
                "x": x - 0.5,
                "y": y + 0.5,
                "text": f"{address_text(bits.base + k * COLUMNS * PAGE_BYTES)}, 1 MiB",
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "borderpad": 0,
                "font": {"size": 11, "color": look.MUTED[theme]},
            }
        )
    return labels


def page_words(bits):
    """Return the subtitle: what is set."""
    if not bits.grown:
        return "the heap has not grown here: all bits are 0"
    cached = int((bits.cached >= 0).sum())
    parts = [f"{plural(int(bits.alloc.sum()), 'page')} not free"]
    parts += [f"{cached} of them in a page cache"] if cached else []
    parts.append(f"{int(bits.scavenged.sum())} scavenged")
    parts.append(f"{plural(int(bits.in_use.sum()), 'heap span')}")
    return ", ".join(parts)


def arena_bits(bits, *, theme=None, focus=(), note=""):
    """Return a picture of the bitmaps of one chunk of 512 pages.

    Parameters
    ----------
    bits : PageBits
        From ``mheaplab.steps.page_bits`` or a story.
    theme : {"light", "dark"}, optional
    focus : sequence of {"alloc", "scavenged", "pageCache", "pageInUse", "pageMarks", "pageSpecials"}
        Rows to frame.
    note : str
        When this is, for the subtitle.

    Returns
    -------
    plotly.graph_objects.Figure

    Raises
    ------
    ValueError
        If ``focus`` names no row, or ``theme`` no theme.
    """
    theme = look.theme_of(theme)
    for row in focus:
        if row not in ROWS:
            raise ValueError(f"focus = {row!r} is outside its legal range: one of {', '.join(ROWS)}")
    strips = Strips(PAGES, COLUMNS, ROWS)
    table = page_table(bits)
    codes = _codes(table)
    free = look.FREE_COLORS[theme]
    colors = (free[0], look.MUTED[theme], free[1], look.USED_COLORS[0])  # scavenged, cached: as in the heap map
    legend = ["bit 0", "bit 1", "scavenged", "in a P's page cache"]
    swatches = [look.swatch(name, color) for name, color in zip(legend, colors, strict=True)]
    words = page_words(bits)
    layout = look.frame_layout(
        theme, f"Pages of the chunk at {address_text(bits.base)}", f"{note}: {words}" if note else words,
        plot_height=strips.pixels, left=LEFT, legend=legend, legend_width=120,
    )  # fmt: skip
    layout |= axes(strips, [ROWS[0]] * strips.count, "page of 8 KiB, in strips of 128")
    layout |= {"annotations": _addresses(bits, strips, theme), "shapes": frames(strips, codes, focus)}
    figure = go.Figure([cells(strips, codes, {}, _hover(table), colors), *swatches], layout)
    facts = {"figure": "arena bits", "chunk": bits.base}
    facts["sha256"] = digest(*(np.array(table[row]) for row in ROWS))
    return attach(figure, lambda: table, facts)
