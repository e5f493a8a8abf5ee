"""Issues 8885 and 17633: what a class of 24 bytes saves.  Go 1.19 has it, so it is taken out.

Expected waste is compared for the 20 programs.  A simulation adds what the expectation leaves out, but its peak moves
with the moment at which a collection happens to begin; so every program is run with SEEDS draws, and the median and the
range of the change are told.
"""

import numpy as np

import mheaplab as mh

from . import charts
from .programs import GO119, paragraph, programs, share_text, signed, table_text, traces

sc = mh.sizeclasses
SIZE = 24
SEEDS = 5
MENTIONED = 0.05
"""Percent of the bytes of a program that the class must save for a row of its own."""


def expected(go):
    """Return {program: (percent of objects in the class, waste with it, waste without it, saved)}; saved in percent
    of the spans that the program would need without the class."""
    table = sc.go_table(go)
    without, found = sc.without_class(table, SIZE, go), {}
    for name, (counts, noscan) in programs().items():
        has, lacks = (sc.evaluate(t, counts, go, noscan) for t in (table, without))
        share = has.by_class["objects"][table.class_of(SIZE)] / has.objects
        saved = (lacks.waste - has.waste) / (lacks.requested + lacks.waste)
        found[name] = tuple(100 * float(v) for v in (share, has.share, lacks.share, saved))
    return found


def nodes(go):
    """Return percent saved where all objects are nodes of 24 bytes with pointers."""
    counts = np.zeros(SIZE + 1)
    counts[SIZE] = 1000
    table = sc.go_table(go)
    has, lacks = (sc.evaluate(t, counts, go, np.zeros(SIZE + 1)) for t in (table, sc.without_class(table, SIZE, go)))
    return 100 * (1 - (has.requested + has.waste) / (lacks.requested + lacks.waste))


def _run(trace, table):
    """Return (most live bytes, most bytes in use) of a run."""
    samples = mh.simulate(trace, GO119(size_classes=table.classes())).samples
    return np.array([samples["live"].max(), samples["heap_in_use"].max()], np.float64)


def simulated(names):
    """Return {program: changes in percent without the class, a row per seed: live at most, in use at most}."""
    table = sc.go_table()
    without, found = sc.without_class(table, SIZE), {name: [] for name in names}
    for seed in range(SEEDS):
        made = traces(seed)
        for name in names:
            trace = made[name]()
            has, lacks = (_run(trace, t) for t in (table, without))
            found[name].append(100 * (lacks / has - 1))
    return {name: np.array(rows) for name, rows in found.items()}


def row(name, waste, runs):
    """Return the cells of a program."""
    share, has, lacks, saved = waste
    live, use = np.median(runs, axis=0)
    low, high = runs[:, 1].min(), runs[:, 1].max()
    between = f"{signed(use)} ({signed(low)} to {signed(high)})"
    return name, share_text(share, 1), share_text(has), share_text(lacks), share_text(saved), signed(live), between


def said(waste, newer, names):
    """Return the answer in words; ``waste`` and ``newer`` are what is expected of Go 1.19 and 1.27."""
    mean, mean27 = (np.mean([row[3] for row in found.values()]) for found in (waste, newer))
    first = names[0]
    return paragraph(
        f"**Answer.** A heap of nothing but 24-byte nodes is {nodes('go1.19'):.1f}% smaller with the class, as the "
        f"issue says; of the 20 programs `{first}` gains most, {waste[first][3]:.1f}% of its spans, {len(names)} gain "
        f"{MENTIONED}% or more, and the mean is {mean:.2f}% (with Go 1.27's layout {nodes('go1.27'):.1f}%, "
        f"{newer[first][3]:.1f}% and {mean27:.2f}%). A table without the class is legal in both versions."
    )


def mentioned(waste):
    """Return the programs that have a row, in its order."""
    return sorted((name for name in waste if waste[name][3] >= MENTIONED), key=lambda name: -waste[name][3])


def picture(waste, newer, names):
    """Return the figure."""
    return charts.bars(
        "What the class of 24 bytes saves", "expected, % of the spans that the program would need without it",
        names, {"Go 1.19": [waste[n][3] for n in names], "Go 1.27": [newer[n][3] for n in names]}, "saved, %",
    )  # fmt: skip


def answer():
    """Return (text, figures)."""
    waste, newer = expected("go1.19"), expected("go1.27")
    names = mentioned(waste)
    runs = simulated(names)
    head = ("go1.19, in %", "objects in it", "waste with", "waste without", "saved", "live without", "peak without")
    text = f"{said(waste, newer, names)}\n\n{table_text(head, [row(n, waste[n], runs[n]) for n in names])}"
    return text, {"size-classes-24": picture(waste, newer, names)}
