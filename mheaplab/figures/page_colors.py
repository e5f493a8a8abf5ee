"""page_colors: what colour stands for in a heap map: a code of one byte for each page, the palette, and the legend.

Every colouring gives each page a code; the palette says which colour that is in which theme.  Pages in no span are
grey in every colouring, by their state.
"""

import functools

import numpy as np

from ..snapshot import PAGE_FREE, PAGE_LARGE, PAGE_NOSCAN, PAGE_RESERVED, PAGE_SCAN, PAGE_STATE_NAMES
from . import theme as look
from .page_frame import PAGE_BYTES
from .units import bytes_text, slot_text

COLORS = ("state", "class", "occupancy")

# What each of the 256 codes means.
TAIL = len(PAGE_STATE_NAMES)  # TAIL + state: a page of a span after its first
SCAN_RAMP = 20
NOSCAN_RAMP = SCAN_RAMP + look.RAMP_STEPS
OTHER_USE = NOSCAN_RAMP + look.RAMP_STEPS
NOTHING = 255


@functools.cache
def palette(color, theme):
    """Return the 256 colours that the codes of a heap map stand for."""
    colors = np.zeros((256, 3), np.uint8)
    colors[:TAIL] = [look.rgb(c) for c in look.state_colors(theme)]
    colors[TAIL : 2 * TAIL] = [look.rgb(c) for c in look.tail_colors(theme)]
    if color == "class":
        colors[SCAN_RAMP:NOSCAN_RAMP] = [look.rgb(c) for c in look.ramp("scan")]
        colors[NOSCAN_RAMP:OTHER_USE] = [look.rgb(c) for c in look.ramp("noscan")]
    elif color == "occupancy":
        colors[SCAN_RAMP : NOSCAN_RAMP + 1] = [look.rgb(c) for c in look.ramp("occupancy", look.RAMP_STEPS + 1)]
    colors[OTHER_USE] = look.rgb(look.OTHER_USE)
    return colors


def _state_codes(snapshot):
    """Return the code of each page by state; the pages of a span after its first are fainter."""
    codes = snapshot.pages.copy()
    owner = snapshot.page_span.reshape(-1)
    tail = np.zeros(owner.shape, bool)
    tail[1:] = (owner[1:] >= 0) & (owner[1:] == owner[:-1])
    codes.reshape(-1)[tail] += TAIL
    return codes


def _by_span(snapshot, span_codes):
    """Return page codes where each span has one code and pages in no span keep their state (page cache: other use)."""
    codes = np.where(snapshot.pages > PAGE_FREE, OTHER_USE, snapshot.pages).astype(np.uint8)
    owned = snapshot.page_span >= 0
    codes[owned] = span_codes[snapshot.page_span[owned]]
    return codes


def _class_codes(snapshot):
    """Return the code of each page by the span class of its span."""
    spans = snapshot.spans
    step = look.class_step(np.clip(spans["span_class"] >> 1, 1, None), len(snapshot.class_sizes))
    step = np.clip(step, 0, look.RAMP_STEPS - 1)
    codes = np.full(len(spans), OTHER_USE, np.uint8)
    for state, first in ((PAGE_SCAN, SCAN_RAMP), (PAGE_NOSCAN, NOSCAN_RAMP)):
        mine = spans["state"] == state
        codes[mine] = first + step[mine]
    codes[spans["state"] == PAGE_LARGE] = PAGE_LARGE
    return _by_span(snapshot, codes)


def _occupancy_codes(snapshot):
    """Return the code of each page by the share of its span's slots in use."""
    spans = snapshot.spans
    share = spans["alloc_count"] / np.maximum(spans["nelems"], 1)
    step = np.rint(np.clip(share, 0, 1) * look.RAMP_STEPS).astype(int)
    # Only a full span is full, and only an empty one empty.
    step = np.where((step == look.RAMP_STEPS) & (share < 1), look.RAMP_STEPS - 1, step)
    step = np.where((step == 0) & (share > 0), 1, step)
    slots = (spans["state"] >= PAGE_SCAN) & (spans["state"] <= PAGE_LARGE)
    return _by_span(snapshot, np.where(slots, SCAN_RAMP + step, OTHER_USE).astype(np.uint8))


CODES = {"state": _state_codes, "class": _class_codes, "occupancy": _occupancy_codes}


def _bytes_by_state(snapshot):
    return np.bincount(snapshot.pages.reshape(-1), minlength=TAIL).astype(np.int64) * PAGE_BYTES


def legend_entries(snapshot, color, theme):
    """Return the legend as (text, colour) pairs: always the same entries for a colouring, with their bytes."""
    amount = _bytes_by_state(snapshot)
    states = look.state_colors(theme)
    by_state = [(f"{name} ({bytes_text(int(amount[k]))})", states[k]) for k, name in enumerate(PAGE_STATE_NAMES)]
    if color == "state":
        return by_state
    free = by_state[PAGE_RESERVED : PAGE_FREE + 1]
    rest = int(amount[PAGE_FREE + 1] + amount[PAGE_LARGE + 1 :].sum())
    other = (f"stacks, runtime, page cache ({bytes_text(rest)})", look.OTHER_USE)
    if color == "occupancy":
        steps = look.ramp("occupancy", look.RAMP_STEPS + 1)
        return [*((f"{k}% of slots in use", steps[k]) for k in (0, 25, 50, 75, 100)), *free, other]
    sizes = snapshot.class_sizes
    n = len(sizes)
    shown = sorted({int(np.searchsorted(sizes[1:], s)) + 1 for s in (8, 64, 512, 4096, 32768) if s <= sizes[-1]})
    entries = []
    for noscan, words in ((False, "with pointers"), (True, "noscan")):
        entries += [(f"{slot_text(int(sizes[c]))} slots, {words}", look.class_color(c, noscan, n)) for c in shown]
    return [*entries, by_state[PAGE_LARGE], *free, other]
