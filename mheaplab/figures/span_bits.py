"""span_bits: one span, slot by slot, with the bits by which Go knows what is free.

Sixty-four slots make a strip, as many as a word of the bitmaps has bits.  The rows of a strip, from top to bottom: what
the slots hold, ``allocBits``, ``gcmarkBits``, and ``allocCache``, which stands below the slots it speaks of: the window
from ``freeindex`` to the end of its word.  Of two colours of the slots one is that of the span in the heap map, blue
with pointers, orange without; pale is the same for the dead.
"""

import numpy as np
import plotly.graph_objects as go

from . import theme as look
from .export import attach, digest
from .strips import LEFT, Strips, axes, cells, frames
from .units import address_text, count_text, plural, slot_text

WORD = 64
FEWEST = 16
"""Columns that a picture has at least."""
ROWS = ("slots", "allocBits", "gcmarkBits", "allocCache")
FREE, ALLOCATED, ALIVE, DEAD = range(4)
STATES = ("free", "allocated", "marked: lives", "not marked: dead until swept")
LETTERS = np.array(["", "A", "M", "D"], object)
BIT = len(STATES)  # codes of a bit: 0 and 1
IN_CACHE = BIT + 2  # codes of a bit of allocCache: 0 and 1
LEGEND_WIDTH = 172
"""Pixels of the longest text of the legend; two columns fit under a plot of 600 pixels."""
DEAD_SHARE = 0.5
"""How much of the paper's colour is in a dead slot."""


def slot_states(span):
    """Return what each slot of a span holds: an index into ``STATES``.

    Marks count only while the span has not been swept since the last collection; before and after, all that can be said
    is that a slot is allocated.
    """
    unswept = span.sweepgen in (span.heap_sweepgen - 2, span.heap_sweepgen + 1)
    states = np.where(span.allocated, ALLOCATED, FREE)
    if unswept:
        states[span.allocated] = np.where(span.gcmark_bits[span.allocated], ALIVE, DEAD)
    return states


def cache_window(span):
    """Return the bits of allocCache by slot: 1 free, 0 taken, None outside its window."""
    bits = np.full(span.nelems, None, object)
    first = span.freeindex
    for slot in range(first, min((first | (WORD - 1)) + 1, span.nelems)):
        bits[slot] = span.alloc_cache >> (slot - first) & 1
    return bits


def next_free(span):
    """Return the slot that allocCache would give next, None if it knows of none."""
    free = np.flatnonzero(np.equal(cache_window(span), 1))
    return int(free[0]) if len(free) else None


def slot_colors(span, theme):
    """Return the colours of all codes, light or dark enough for the letters in the cells."""
    kind = look.NOSCAN if span is not None and span.noscan else look.SCAN
    slots = (look.FREE_COLORS[theme][1], kind, kind, look.mix(kind, look.PAPER[theme], DEAD_SHARE))
    bits = (look.FREE_COLORS[theme][0], look.MUTED[theme])
    colors = (*slots, *bits, look.FREE_COLORS[theme][0], look.USED_COLORS[0])
    return tuple(look.under_letters(color) for color in colors)


def slot_table(span):
    """Return the slots as columns: number, address, state, bits, and the kinds of specials on it."""
    names = ("slot", "address", "state", "alloc_bit", "gcmark_bit", "alloc_cache", "specials")
    if span is None:
        return {name: [] for name in names}
    hung = [[] for _ in range(span.nelems)]
    for special in span.specials:
        hung[span.slot(special.addr)].append(special.kind)
    columns = (
        list(range(span.nelems)),
        [address_text(span.base + k * span.elemsize) for k in range(span.nelems)],
        [STATES[s] for s in slot_states(span)],
        span.alloc_bits.astype(int).tolist(),
        span.gcmark_bits.astype(int).tolist(),
        ["" if bit is None else bit for bit in cache_window(span)],
        [", ".join(kinds) for kinds in hung],
    )
    return dict(zip(names, columns, strict=True))


def _hover(span, table):
    """Return one hover text per slot."""
    texts = []
    for slot, address, state, alloc, mark, cache, hung in zip(*table.values(), strict=True):
        lines = [f"slot {count_text(slot)} at {address}", state, f"allocBits {alloc}, gcmarkBits {mark}"]
        if cache != "":
            lines.append(f"bit {slot - span.freeindex} of allocCache: {cache}, {'free' if cache else 'taken'}")
        if hung:
            lines.append(f"special: {hung}")
        texts.append("<br>".join(lines))
    return texts


def _codes(span):
    """Return codes and letters of the cells, by row."""
    states = slot_states(span)
    bits = {"allocBits": span.alloc_bits.astype(int), "gcmarkBits": span.gcmark_bits.astype(int)}
    window = cache_window(span)
    codes = {"slots": states.astype(object)} | {name: (BIT + b).astype(object) for name, b in bits.items()}
    codes["allocCache"] = np.array([None if b is None else IN_CACHE + b for b in window], object)
    letters = {"slots": LETTERS[states]} | {name: b.astype(str).astype(object) for name, b in bits.items()}
    letters["allocCache"] = np.array(["" if b is None else str(b) for b in window], object)
    return codes, letters


def _freeindex_place(span, strips):
    """Return where the mark of freeindex stands: over its slot, or behind the last slot of a span that has no more."""
    if span.freeindex < span.nelems:
        return strips.at(span.freeindex, "")
    x, y = strips.at(span.nelems - 1, "")
    return x + 1, y


def _marks(span, strips, theme):
    """Return the traces of freeindex, the next free slot, and the slots with specials."""
    freeindex, following, hung = [], [], []
    if span is not None and span.nelems:
        slot = next_free(span)
        freeindex = [_freeindex_place(span, strips)]
        following = [] if slot is None else [strips.at(slot, "slots")]
        hung = [strips.at(slot, "") for slot in sorted({span.slot(s.addr) for s in span.specials})]
    # A line around the filled triangle would blunt its corners.
    for name, points, symbol, color, width in (
        ("freeindex", freeindex, "triangle-down", look.BAD, 0),
        ("the next free slot", following, "circle-open", look.TEXT[theme], 1.5),
        ("with a special (finalizer, ...)", hung, "diamond-open", look.BAD, 1.5),
    ):
        x, y = zip(*points, strict=True) if points else ([None], [None])
        size = 10 if strips.named else 8
        marker = {"symbol": symbol, "size": size, "color": color, "line": {"width": width, "color": color}}
        yield {
            "type": "scatter", "mode": "markers", "x": list(x), "y": list(y), "name": name, "marker": marker,
            "hoverinfo": "skip", "cliponaxis": False,
        }  # fmt: skip


def _legend(span, theme):
    """Return the swatches of the colours."""
    colors = slot_colors(span, theme)
    letter = [f"{LETTERS[k]} {name}" for k, name in enumerate(STATES)]
    # Allocated slots of a swept and of an unswept span have one colour: the letter tells whether marks count.
    names = [STATES[FREE], f"{letter[ALLOCATED]}, {letter[ALIVE]}", letter[DEAD]]
    used = (colors[FREE], colors[ALLOCATED], colors[DEAD], colors[BIT + 1], colors[IN_CACHE + 1])
    names += ["a bit that is 1", "1 in allocCache: free"]
    return [look.swatch(name, color) for name, color in zip(names, used, strict=True)]


def span_words(span):
    """Return title and subtitle for a span."""
    if span is None:
        return "No span", "no heap span is in use here"
    if not span.nelems:
        return f"Span {address_text(span.base)}: {span.state}", f"{plural(span.npages, 'page')}, no slots"
    kind = "noscan" if span.noscan else "with pointers"
    title = f"Span {address_text(span.base)}: {plural(span.nelems, 'slot')} of {slot_text(span.elemsize)}, {kind}"
    ages = {0: "swept", -2: "needs sweeping", 3: "swept, in an mcache", 1: "in an mcache, needs sweeping"}
    age = ages.get(span.sweepgen - span.heap_sweepgen, "being swept")
    return title, f"{count_text(span.alloc_count)} allocated, freeindex {count_text(span.freeindex)}, {age}"


def span_bits(span, *, theme=None, focus=(), note=""):
    """Return a picture of one span: its slots, allocBits, gcmarkBits, freeindex and the window of allocCache.

    Parameters
    ----------
    span : Span or None
        From ``Heap.span_of`` or a step of ``mheaplab.steps``; None draws an empty picture.
    theme : {"light", "dark"}, optional
    focus : sequence of {"slots", "allocBits", "gcmarkBits", "allocCache"}
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
    items = 0 if span is None else span.nelems
    strips = Strips(items, min(WORD, max(items, FEWEST)), ROWS)
    table = slot_table(span)
    codes, letters = _codes(span) if items else ({name: np.array([], object) for name in ROWS}, {})
    bits = cells(strips, codes, letters, _hover(span, table), slot_colors(span, theme))
    traces = [bits, *_marks(span, strips, theme), *_legend(span, theme)]
    title, subtitle = span_words(span)
    names = [trace["name"] for trace in traces[1:]]
    layout = look.frame_layout(
        theme, title, f"{note}: {subtitle}" if note else subtitle, plot_height=strips.pixels, left=LEFT, legend=names,
        legend_width=LEGEND_WIDTH,
    )  # fmt: skip
    ends = [(k * WORD, min((k + 1) * WORD, items) - 1) for k in range(strips.count)]
    first = ["slots"] if not items else [f"slots {a}\N{EN DASH}{b}" if b > a else f"slot {a}" for a, b in ends]
    words = f", in strips of {WORD}{': one word of each bitmap' if strips.named else '; rows: ' + ', '.join(ROWS)}"
    layout |= axes(strips, first, f"slot{words if strips.count > 1 else ''}")
    figure = go.Figure(traces, layout | {"shapes": frames(strips, codes, focus)})
    facts = {"figure": "span bits", "span": 0 if span is None else span.base}
    facts["sha256"] = digest(*(np.array(column, str) for column in table.values()))
    return attach(figure, lambda: table, facts)
