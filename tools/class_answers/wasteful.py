"""Issue 17619: which classes of Go's table waste, and which could be larger at no cost.

The issue's test is whether a span holds as many objects of a larger size.  ``raised`` makes it of every class: with the
largest legal size of which a span holds as many, an object costs its span the same, and some objects that were in the
next class cost less.  No program can lose by that.
"""

import numpy as np

import mheaplab as mh
from mheaplab.sizeclasses import CAUSES
from mheaplab.sizeclasses.demand import slots

from . import charts
from .programs import octaves, paragraph, programs, share_text, table_text

sc = mh.sizeclasses
CHANGES = 10
WORST = 8
"""Classes in the table."""
SHOWN = "cache-fill-empty"
"""The program of the figure: more than half of its bytes are in objects of 500 bytes to 2 KiB."""


def raised(go):
    """Return the table of a Go version with each class as large as it can be at no cost."""
    pairs, legal = sc.go_table(go).pairs, sc.legal_sizes(go)
    found = []
    for k, (size, pages) in enumerate(pairs):
        end = pairs[k + 1][0] if k + 1 < len(pairs) else size + 1
        sizes = legal[(legal >= size) & (legal < end)] if size not in sc.fixed_sizes(go) else np.array([size])
        held = slots(sizes, np.full(len(sizes), pages), go)
        found.append((int(sizes[(held == held[:, :1]).all(axis=0)].max()), pages))
    return sc.SizeClassTable(tuple(found), f"{go}, raised")


def raises(go):
    """Return what ``raised`` changes: pairs of sizes."""
    pairs = zip(sc.go_table(go).pairs, raised(go).pairs, strict=True)
    return [(a, b) for (a, _), (b, _) in pairs if a != b]


def mean_waste(make, go):
    """Return the mean waste of the 20 programs in percent; ``make`` gives a table for (counts, noscan)."""
    shares = [sc.evaluate(make(c, n), c, go, n).share for c, n in programs().values()]
    return 100 * float(np.mean(shares))


def by_changes():
    """Return {what: waste in percent with 0, 1, ... CHANGES changed and with the best table}."""
    found = {}
    for name, (counts, noscan) in {**programs(), "octaves": (octaves(), None)}.items():
        tables = [*sc.optimal_near_each(counts, CHANGES, noscan=noscan), sc.optimal(counts, noscan=noscan)]
        found[name] = np.array([100 * sc.evaluate(t, counts, noscan=noscan).share for t in tables])
    mean = np.mean([values for name, values in found.items() if name != "octaves"], axis=0)
    return {"mean of 20 programs": mean, **found}


def _worst_rows():
    """Return a row for each of the classes that waste most: in octaves, and of all that the programs waste."""
    go = sc.go_table()
    made = sc.evaluate(go, octaves()).by_class
    shares = np.zeros(len(go))
    for counts, noscan in programs().values():
        found = sc.evaluate(go, counts, noscan=noscan)
        shares += sum(found.by_class[c] for c in CAUSES) / found.requested
    shares *= 100 / len(programs())
    asked = np.maximum(made["requested"], 1)
    for k in np.argsort(-shares, kind="stable")[:WORST].tolist():
        percents = [100 * made[cause][k] / asked[k] for cause in ("rounding", "tail")]
        yield f"{go.sizes[k]:,}", int(go.npages[k]), *(share_text(p, 1) for p in percents), share_text(shares[k])


def _words(pairs):
    return ", ".join(f"{a:,} to {b:,}" for a, b in pairs)


def answer():
    """Return (text, figures)."""
    tables = {go: raised(go) for go in ("go1.19", "go1.27")}
    own = {go: mean_waste(lambda *_, g=go: sc.go_table(g), go) for go in tables}
    now = {go: mean_waste(lambda *_, t=table: t, go) for go, table in tables.items()}
    lines = by_changes()
    mean = lines["mean of 20 programs"]
    pairs = {go: raises(go) for go in tables}
    text = (
        f"**Answer.** Go's generator raises sizes, but in steps of 128 bytes only; {len(pairs['go1.19'])} of 67 classes"
        f" could still be larger at no cost, none above {max(a for a, _ in pairs['go1.19'])} bytes: "
        f"{_words(pairs['go1.19'])}. That alone takes the mean waste of the 20 programs from {own['go1.19']:.2f}% to "
        f"{now['go1.19']:.2f}%, and none can lose. In Go 1.27 it is {len(pairs['go1.27'])} classes "
        f"({_words(pairs['go1.27'])}), {own['go1.27']:.2f}% to {now['go1.27']:.2f}%. Changes chosen for each program "
        f"save more: {mean[1]:.2f}% with one, {mean[3]:.2f}% with three, {mean[10]:.2f}% with ten, {mean[-1]:.2f}% "
        f"with the best table."
    )
    head = ("class, bytes", "pages", "rounding, %", "tail, %", "waste of the programs, % of requested")
    text = paragraph(text) + "\n\n" + table_text(head, _worst_rows())
    kept = ("mean of 20 programs", "json", "service-gogc50", "issue-18896", "octaves")
    chart = charts.curves(
        "Waste that is left when classes of Go's table change", "expected, Go 1.19; the best changes for each",
        np.arange(CHANGES + 1), {name: 100 * lines[name][:-1] / lines[name][0] for name in kept},
        ("classes changed", "% of the waste of Go's table"),
    )  # fmt: skip
    counts, noscan = programs()[SHOWN]
    areas = mh.figures.class_waste(counts, tables["go1.19"], noscan=noscan, name=SHOWN)
    return text, {"size-classes-raised": areas, "size-classes-changed": chart}
