"""What the answers are about: recorded programs and scenarios, made-up mixtures of sizes, and the objects of a case."""

import functools
import textwrap
from pathlib import Path

import numpy as np
import size_class_table

import mheaplab as mh
from mheaplab.runtime.structs import MALLOC
from mheaplab.runtime.trace_events import ALLOC

ROOT = Path(__file__).resolve().parent.parent.parent
GO119 = mh.HeapParams.go119
MAX_SIZE = 32768
MIB = 1 << 20
SCALE = 0.1
"""Of scenarios that are simulated beside the recorded programs."""

programs = functools.cache(size_class_table.programs)
"""The 20 programs of docs/size-classes.md: {name: (counts by size, of these without pointers)}."""


def traces(seed):
    """Return the same 20 programs as something to simulate: {name: function that makes a trace}."""
    recorded = {
        name.removeprefix("go119-").removesuffix("-full"): functools.partial(
            mh.read_trace, ROOT / "data" / "cases" / f"{name}.events.npz", seed=seed
        )
        for name in size_class_table.CASES
    }
    made = {name: functools.partial(mh.workloads.load, name, seed, SCALE) for name in mh.workloads.names()}
    return recorded | made


def octaves():
    """Return counts by size in which every doubling of the size has as many bytes, from 8 bytes on."""
    sizes = np.arange(MAX_SIZE + 1, dtype=np.float64)
    return np.where(sizes >= 8, 1e9 / np.maximum(sizes, 8) ** 2, 0)


def objects_of(case="go119-json"):
    """Return (sizes, whether without pointers) of the objects of a case that have slots of their own, in order."""
    events = np.load(ROOT / "data" / "cases" / f"{case}.events.npz")
    rows = events["kind"] == MALLOC
    sizes, noscan = events["size"][rows].astype(np.int64), (events["flags"][rows] & 1) != 0
    own = (sizes > 0) & ~((sizes < 16) & noscan)
    return sizes[own], noscan[own]


def made_objects(name, objects):
    """Return (sizes, whether without pointers) of the first so many objects of a scenario, tiny ones left out."""
    found = []
    for events in mh.workloads.load(name).batches():
        rows = (events.kind == ALLOC) & ((events.size >= 16) | (events.noscan == 0)) & (events.size > 0)
        found.append((events.size[rows].astype(np.int64), events.noscan[rows] != 0))
        if sum(len(sizes) for sizes, _ in found) >= objects:
            break
    return tuple(np.concatenate(part)[:objects] for part in zip(*found, strict=True))


def paragraph(text):
    """Return text in lines of at most 120 letters."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def share_text(value, digits=2):
    """Return a number of percent, with a sign of its own."""
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value, digits=1):
    """Return a change in percent with its sign; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}%"
    return "0%" if float(text[:-1]) == 0 else text.replace("-", "\N{MINUS SIGN}")


def table_text(head, rows):
    """Return a table of Markdown; all columns but the first are numbers."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(str(cell) for cell in row)} |" for row in rows)])
