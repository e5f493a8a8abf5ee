"""Tailscale's table for iOS: what classes cost a heap that is small, what pages of 2 KiB or fewer classes save.

Tailscale's fork of Go has a second table, made by Go's own generator with three numbers changed: pages of 2 KiB instead
of 8, small objects up to 16 KiB instead of 32, and no check on the number of classes.  ``rule_classes`` is that
generator (``mheaplab.sizeclasses.rule_table`` has Go's pages).  mheaplab's kernel has pages of 8 KiB, so this table is
counted in whole spans here, and measured in a real Go by tools/classes_go/small_heaps.py, but not simulated.

A small heap here is the first objects that the recorded JSON program allocates, all of them alive.
"""

import functools

import numpy as np

import mheaplab as mh
from mheaplab.figures.units import bytes_text
from mheaplab.runtime.mksizeclasses import PAGE_BYTES
from mheaplab.sizeclasses.table import GO_STEPS

from . import charts
from .programs import GO119, ROOT, objects_of, paragraph, share_text, signed, table_text

sc = mh.sizeclasses
SMALL_PAGE, SMALL_MOST = 2048, 16384
OBJECTS = (500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 128_000)
SHOWN = (1000, 4000, 16_000, 64_000)
CLASSES = (5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 49, 67)
GOGC = 10
"""Of the simulation: Go's least heap is 4 MiB times GOGC / 100."""
SIMULATED = (8, 12, 16, 24, 32, 67)
SEEDS = 3
"""Draws of the deaths; the median is told."""


def rule_classes(page, most):
    """Return the pairs (bytes, pages) that Go's generator makes for another size of pages, up to ``most`` bytes.

    For pages of 2 KiB two classes come out with 768 bytes, as in Tailscale's file: the second is never used.
    """
    starts, pairs, size, step = dict(GO_STEPS), [], 8, 8
    while size <= most:
        step, pages = starts.get(size, step), 1
        while pages * page < size or pages * page % size > pages * page // 8:
            pages += 1
        same = bool(pairs) and (pages, pages * page // size) == (pairs[-1][1], pages * page // pairs[-1][0])
        pairs[len(pairs) - same :] = [(size, pages)]
        size += step
    return [(max(size, pages * page // (pages * page // size) // 128 * 128), pages) for size, pages in pairs]


def whole_spans(sizes, noscan, pairs, page=PAGE_BYTES):
    """Return the bytes of the whole spans that hold objects of ``sizes``, those with pointers apart (Go 1.19)."""
    slot, pages = np.array(pairs).T
    held, total = pages * page // slot, 0
    for part in (sizes[noscan], sizes[~noscan]):
        small = part[part <= slot[-1]]
        spans = -(-np.bincount(np.searchsorted(slot, small), minlength=len(slot)) // held)
        total += int(spans @ pages) * page + int((-(-part[part > slot[-1]] // page)).sum()) * page
    return total


def few_classes(sizes, noscan, classes):
    """Return the table of the best ``classes`` sizes for objects, in spans of as few pages as can be."""
    counts, without = sc.count_sizes(sizes, noscan)
    best = sc.optimal(counts, classes, noscan=without, pages=4)
    return sc.SizeClassTable([(s, -(-s // PAGE_BYTES)) for s, _ in best.pairs], f"best {classes}")


@functools.cache
def heap(objects):
    """Return (sizes, noscan, bytes requested) of a small heap."""
    sizes, noscan = (column[:objects] for column in objects_of())
    return sizes, noscan, int(sizes.sum())


@functools.cache
def by_classes(objects):
    """Return whole spans over bytes requested with the best 5, 6, ... classes."""
    sizes, noscan, requested = heap(objects)
    tables = [few_classes(sizes, noscan, k) for k in CLASSES]
    return np.array([whole_spans(sizes, noscan, table.pairs) / requested for table in tables])


def ratios(objects):
    """Return (Go, pages of 2 KiB, best number of classes, with these): bytes of whole spans over bytes requested."""
    sizes, noscan, requested = heap(objects)
    go = whole_spans(sizes, noscan, sc.go_table().pairs) / requested
    small = whole_spans(sizes, noscan, rule_classes(SMALL_PAGE, SMALL_MOST), SMALL_PAGE) / requested
    found = by_classes(objects)
    return go, small, CLASSES[int(found.argmin())], float(found.min())


def _runs(table):
    """Return medians over the draws: live and in use and backed at most, free slots on average, collections."""
    trace, rows = ROOT / "data" / "cases" / "go119-json.events.npz", []
    for seed in range(SEEDS):
        result = mh.simulate(mh.read_trace(trace, seed=seed), GO119(gogc=GOGC, size_classes=table.classes()))
        s = result.samples
        most = [int(column.max()) for column in (s["live"], s["heap_in_use"], s["mapped"] - s["released"])]
        rows.append([*most, float(s["free_slots"].mean()), len(result.cycles)])
    return np.median(rows, axis=0)


def _simulated():
    """Return rows of the JSON program left to the twin with GOGC=10 and tables of fewer classes."""
    sizes, noscan = objects_of()
    counts, without = sc.count_sizes(sizes, noscan)
    tables = {"Go's 67": sc.go_table()} | {f"best {k}": few_classes(sizes, noscan, k) for k in SIMULATED}
    tables["best 67, spans of up to 10 pages"] = sc.optimal(counts, noscan=without)
    first = None
    for name, table in tables.items():
        live, peak, backed, free, cycles = _runs(table)
        first = first or peak
        used = f"{bytes_text(peak)} ({signed(100 * (peak / first - 1))})"
        yield name, bytes_text(live), bytes_text(free), used, bytes_text(backed), f"{cycles:g}"


def _figures():
    found = [ratios(n) for n in OBJECTS]
    x = [heap(n)[2] for n in OBJECTS]
    ticks = {2.0**k: bytes_text(2.0**k) for k in range(15, 24)}
    lines = {
        "Go's table, pages of 8 KiB": [row[0] for row in found],
        "pages of 2 KiB (Tailscale)": [row[1] for row in found],
        "best number of classes, 8 KiB": [row[3] for row in found],
    }
    axes = ("bytes requested by what is alive", "whole spans / requested")
    words = "counted in whole spans, Go 1.19; the first objects of the recorded JSON program"
    first = charts.curves("What a small heap takes", words, x, lines, axes, ticks)
    over = {bytes_text(heap(n)[2]): by_classes(n) for n in SHOWN}
    second = charts.curves(
        "Small heaps want few classes", f"{words}<br>the best sizes for each heap, in spans of as few pages as can be",
        CLASSES, over, ("classes", "whole spans / requested"), {k: str(k) for k in CLASSES if k not in (7, 14, 28)},
    )  # fmt: skip
    return {"size-classes-small": first, "size-classes-few": second}


def answer():
    """Return (text, figures)."""
    rows = [(bytes_text(heap(n)[2]), *ratios(n)) for n in SHOWN]
    count, least, small, few, best = rows[1]
    classes = rule_classes(SMALL_PAGE, SMALL_MOST)
    as_many = by_classes(SHOWN[1])[CLASSES.index(len(classes))]
    text = (
        f"**Answer.** A heap of {count} takes {least:.2f} times what it asked for with Go's table and {small:.2f} "
        f"times with the {len(classes)} classes in pages of 2 KiB; that is the pages' doing, since the best "
        f"{len(classes)} classes in Go's own pages take {as_many:.2f}. Only {few} classes, chosen for this heap, come "
        f"near: {best:.2f}. At {rows[-1][0]} little is left to gain: {rows[-1][1]:.2f}, {rows[-1][2]:.2f}, and "
        f"{rows[-1][4]:.2f} with {rows[-1][3]} classes."
    )
    head = ("alive, requested", "Go's table", "pages of 2 KiB", "best number of classes", "with these")
    cells = [(a, share_text(b), share_text(c), d, share_text(e)) for a, b, c, d, e in rows]
    text = paragraph(text) + "\n\nWhole spans over bytes requested, counted:\n\n" + table_text(head, cells)
    text += f"\n\nThe whole JSON program with GOGC={GOGC}, simulated:\n\n"
    head = ("classes", "live at most", "free slots, mean", "peak in use", "peak backed by memory", "collections")
    return text + table_text(head, _simulated()), _figures()
