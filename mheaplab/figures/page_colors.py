"""page_colors: what colour stands for in a heap map: a code of one byte for each page, the palette, and the legend.

Every colouring gives each page a code; the palette says which colour that is in which theme.  Pages in no span are
grey in every colouring, by their state.

Ages stand on a logarithmic scale: from all that the run allocates (rounded up to a power of two) down to one part in
4,096 of it, so that an age has the same colour at every moment of a run.
"""

import functools
import html
import itertools

import numpy as np

from ..snapshot import PAGE_CACHED, PAGE_FREE, PAGE_LARGE, PAGE_NOSCAN, PAGE_SCAN, PAGE_STATE_NAMES
from . import theme as look
from .page_frame import PAGE_BYTES
from .units import bytes_text, slot_text

COLORS = ("state", "class", "occupancy")
RESIDENT_COLORS = ("age", "oldest", "type")
"""Colourings that need to know who lives in each span."""
WHICH = {"age": "middle", "oldest": "oldest"}
DOUBLINGS = 12
"""Doublings of age from one end of the ramp to the other."""
TYPES = len(look.TYPE_COLORS)
TYPE_LETTERS = 22

# What each of the 256 codes means.
TAIL = len(PAGE_STATE_NAMES)  # TAIL + state: a page of a span after its first
SCAN_RAMP = 20
NOSCAN_RAMP = SCAN_RAMP + look.RAMP_STEPS
OTHER_USE = NOSCAN_RAMP + look.RAMP_STEPS
DESERTED = OTHER_USE + 1
"""A span of objects in which none is alive."""
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
    elif color in WHICH:
        colors[SCAN_RAMP:NOSCAN_RAMP] = [look.rgb(c) for c in look.ramp("age")]
    elif color == "type":
        colors[SCAN_RAMP : SCAN_RAMP + TYPES + 1] = [look.rgb(c) for c in (*look.TYPE_COLORS, look.OTHER_TYPES)]
    colors[OTHER_USE] = look.rgb(look.OTHER_USE)
    colors[DESERTED] = look.rgb(look.WASTE[theme])
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
    return _by_span(snapshot, np.where(_of_objects(snapshot), SCAN_RAMP + step, OTHER_USE).astype(np.uint8))


def _of_objects(snapshot):
    """Return which spans hold objects."""
    return (snapshot.spans["state"] >= PAGE_SCAN) & (snapshot.spans["state"] <= PAGE_LARGE)


def oldest_shown(snapshot):
    """Return the age at the old end of the ramp, in bytes: a power of two."""
    return 1 << max(snapshot.residents.longest - 1, 1 << DOUBLINGS).bit_length()


def _age_codes(snapshot, which):
    """Return the code of each page by the age of one object of its span."""
    age = np.maximum(snapshot.residents.age(which), 1)
    doublings = np.log2(age) - np.log2(oldest_shown(snapshot)) + DOUBLINGS
    step = np.clip(np.rint(doublings * (look.RAMP_STEPS - 1) / DOUBLINGS), 0, look.RAMP_STEPS - 1)
    return _resident_codes(snapshot, step)


def _type_codes(snapshot):
    """Return the code of each page by the type of most objects of its span."""
    kind = snapshot.residents.spans["kind"].astype(np.int64)
    return _resident_codes(snapshot, np.where((kind < 0) | (kind > TYPES), TYPES, kind))


def _resident_codes(snapshot, step):
    """Return page codes for a place on the ramp of each span in which objects are alive."""
    alive = np.where(snapshot.residents.spans["objects"] > 0, SCAN_RAMP + step, DESERTED)
    return _by_span(snapshot, np.where(_of_objects(snapshot), alive, OTHER_USE).astype(np.uint8))


CODES = {
    "state": _state_codes,
    "class": _class_codes,
    "occupancy": _occupancy_codes,
    "age": lambda snapshot: _age_codes(snapshot, WHICH["age"]),
    "oldest": lambda snapshot: _age_codes(snapshot, WHICH["oldest"]),
    "type": _type_codes,
}


def check_color(snapshot, color):
    """Raise ValueError unless ``snapshot`` can be coloured so."""
    if color not in CODES:
        raise ValueError(f"color = {color!r} is outside its legal range: one of {', '.join(CODES)}")
    if color in RESIDENT_COLORS and snapshot.residents is None:
        raise ValueError(f"color = {color!r} needs a snapshot that was taken with residents=True")
    if color == "type" and not snapshot.residents.types:
        raise ValueError("color = 'type' needs a heap whose types are known: one of mheaplab.go_snapshots")


def _bytes_by_state(snapshot):
    return np.bincount(snapshot.pages.reshape(-1), minlength=TAIL).astype(np.int64) * PAGE_BYTES


def _deserted(snapshot, theme):
    """Return the legend entry of spans of objects in which none is alive."""
    empty = _of_objects(snapshot) & (snapshot.residents.spans["objects"] == 0)
    amount = int(snapshot.spans["npages"][empty].sum()) * PAGE_BYTES
    return f"no object alive ({bytes_text(amount)})", look.WASTE[theme]


def _age_entries(snapshot, which, theme):
    """Return the legend of a map by age."""
    colors, top = look.ramp("age", DOUBLINGS + 1), oldest_shown(snapshot)
    steps = range(0, DOUBLINGS + 1, 3)
    words = [f"{which} {bytes_text(top >> DOUBLINGS - k)} old" for k in steps]
    words[0] += " or less"
    return [*zip(words, (colors[k] for k in steps), strict=True), _deserted(snapshot, theme)]


def type_text(name, letters=TYPE_LETTERS):
    """Return the name of a type, shortened in the middle."""
    half = letters // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[1 - half :]}"


def _type_entries(snapshot, theme):
    """Return the legend of a map by type: always the same types for a run."""
    lives = snapshot.residents
    kind = np.where(lives.spans["kind"] >= TYPES, TYPES, lives.spans["kind"])
    alive = lives.spans["objects"] > 0
    npages = snapshot.spans["npages"]
    amount = [int(npages[alive & (kind == k)].sum()) * PAGE_BYTES for k in range(TYPES + 1)]
    words = [html.escape(type_text(name)) for name in lives.types[:TYPES]]
    words += ["other types"] if len(lives.types) > TYPES else []
    entries = zip(words, amount, (*look.TYPE_COLORS, look.OTHER_TYPES), strict=False)
    return [*((f"{text} ({bytes_text(n)})", c) for text, n, c in entries), _deserted(snapshot, theme)]


def legend_entries(snapshot, color, theme):
    """Return the legend as (text, colour) pairs: always the same entries for a colouring, with their bytes."""
    amount = _bytes_by_state(snapshot)
    states = look.state_colors(theme)
    by_state = [(f"{name} ({bytes_text(int(amount[k]))})", states[k]) for k, name in enumerate(snapshot.state_names)]
    known = [name is not None for name in snapshot.state_names]
    if color == "state":
        return list(itertools.compress(by_state, known))
    free = list(itertools.compress(by_state[: PAGE_FREE + 1], known))
    rest = int(amount[PAGE_FREE + 1] + amount[PAGE_LARGE + 1 :].sum())
    other = (f"stacks, runtime{', page cache' * known[PAGE_CACHED]} ({bytes_text(rest)})", look.OTHER_USE)
    if color in WHICH:
        return [*_age_entries(snapshot, WHICH[color], theme), *free, other]
    if color == "type":
        return [*_type_entries(snapshot, theme), *free, other]
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
