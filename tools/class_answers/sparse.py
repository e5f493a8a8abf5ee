"""Issue 18896: which class holds the free slots of a fragmented heap, and what would help.

The scenario issue-18896 has the issue's heap at 1/300 of its size.  It is simulated with several tables, twice each:
once to find when most slots are free, once for a snapshot there.  That nine of ten nodes die, here and there, is the
scenario's; a span with n slots is free if all n have died, which happens with probability d**n where a share d dies.
"""

import dataclasses

import numpy as np
import size_class_table

import mheaplab as mh
from mheaplab.figures import occupancy_table
from mheaplab.runtime.trace_events import ALLOC

from .programs import GO119, MIB, paragraph, signed, table_text

sc = mh.sizeclasses
NAME, OTHER, NODE = "issue-18896", "issue-21695", 96
DIES = (0.9, 0.99, 0.999)
SPANS = ((2048, None), (8192, 1), (81920, 10))
"""Bytes of a span of nodes, and its pages; no pages: smaller than any that Go has."""


def worst(trace, params):
    """Return (result, row of samples, snapshot) at the moment with most free slots; ``trace`` makes a trace."""
    samples = mh.simulate(trace(), params).samples
    k = int(samples["free_slots"].argmax())
    event = int(samples["event"][k])
    result = mh.simulate(trace(), params, snapshots=[event])
    return result, samples[k], result.snapshot(event)


def free_by_class(snapshot):
    """Return the classes by free bytes, most first: (free bytes, slot size, sums of spans, slots and slots in use)."""
    columns = {name: np.array(values) for name, values in occupancy_table(snapshot).items()}
    free, found = np.bincount(columns["size_class"], weights=columns["free_bytes"]), []
    for k in np.argsort(-free, kind="stable").tolist():
        rows = columns["size_class"] == k
        sums = {name: int(columns[name][rows].sum()) for name in ("spans", "slots", "in_use")}
        found.append((int(free[k]), int(snapshot.class_sizes[k]), sums))
    return found


def _with_pages(pages):
    return tuple((size, pages if size == NODE else own) for size, own in sc.go_table().pairs)


def variants():
    """Return {name: parameters} of what might help."""
    counts, noscan = size_class_table.of_scenario(NAME)
    best, few = (sc.optimal(counts, noscan=noscan, pages=pages) for pages in (10, 4))
    return {
        "Go": GO119(),
        "GOGC=50": GO119(gogc=50),
        "memory limit 96 MiB": GO119(memory_limit=96 * MIB),
        "best 67 classes": GO119(size_classes=best.classes()),
        "best 67, spans of 4 pages at most": GO119(size_classes=few.classes()),
        "jemalloc's classes": GO119(size_classes=sc.jemalloc_table().classes()),
        "powers of two": GO119(size_classes=sc.pow2_table().classes()),
        f"{NODE}-byte class in spans of 10 pages": GO119(size_classes=_with_pages(10)),
    }


def dying(dies):
    """Return the scenario as a workload in which a share ``dies`` of the nodes dies, and how many nodes there are."""
    workload = mh.workloads.read(NAME)
    first = dataclasses.replace(workload.phases[0], drop={"node": dies})
    workload, born = dataclasses.replace(workload, phases=(first, *workload.phases[1:]), expectation=()), 0
    for events in workload.trace().batches():
        born += int(((events.kind == ALLOC) & (events.size == NODE) & (events.noscan == 0)).sum())
    return workload, born


def left_at_end(workload, pages):
    """Return (spans of nodes, nodes) at the end of a run with spans of so many pages."""
    params = GO119(size_classes=_with_pages(pages))
    total = int(mh.simulate(workload.trace(), params).samples["event"][-1])
    # Several collections come after the deaths: by the end, the spans of the nodes have been swept.
    snapshot = mh.simulate(workload.trace(), params, snapshots=[total]).snapshot(total)
    columns = {name: np.array(values) for name, values in occupancy_table(snapshot).items()}
    row = np.flatnonzero((columns["slot_bytes"] == NODE) & ~columns["noscan"])[0]
    return int(columns["spans"][row]), int(columns["in_use"][row])


def _survivors():
    """Return the rows of the second table: expected by the share that did die in the runs, and simulated."""
    for dies in DIES:
        workload, born = dying(dies)
        ends = {pages: left_at_end(workload, pages) for _, pages in SPANS if pages}
        died = 1 - ends[1][1] / born
        row = [f"{100 * (1 - died):.2f}%"]
        for nbytes, pages in SPANS:
            held = nbytes // NODE
            simulated = f" / {100 * ends[pages][0] / (born / held):.1f}%" if pages else ""
            row.append(f"{100 * (1 - died**held):.1f}%{simulated}")
        yield row


def _what_helps():
    """Return (rows, sample and snapshot of Go's own parameters)."""
    rows, first = [], None
    for name, params in variants().items():
        result, sample, snapshot = worst(lambda: mh.workloads.load(NAME), params)
        nbytes, size, _ = free_by_class(snapshot)[0]
        peak = int(result.samples["heap_in_use"].max())
        first = first or (peak, sample, snapshot)
        rows.append(
            (
                name, f"{peak / MIB:.1f} ({signed(100 * (peak / first[0] - 1), 0)})",
                f"{sample['free_slots'] / MIB:.1f} of {sample['heap_in_use'] / MIB:.1f}",
                f"{nbytes / MIB:.1f} in {size} bytes", f"{len(result.cycles)}",
            )
        )  # fmt: skip
    return rows, first[1], first[2]


def _said(sample, snapshot):
    """Return the answer in words."""
    nbytes, size, sums = free_by_class(snapshot)[0]
    held = 8192 // size
    return (
        f"**Answer.** In the simulated scenario the class of {size} bytes: at the worst moment (event "
        f"{snapshot.event:,}) {sample['free_slots'] / MIB:.1f} of {sample['heap_in_use'] / MIB:.1f} MiB in use are "
        f"free slots, {100 * nbytes / sample['free_slots']:.0f}% of them in its {sums['spans']:,} spans, of which "
        f"{sums['in_use']:,} of {sums['slots']:,} slots are in use. No table helps, since of spans with {held} slots "
        f"hardly one is empty when one slot in ten is kept; spans of 2 KiB would give back "
        f"{100 * DIES[0] ** (2048 // NODE):.0f}%. What is left of the nodes would fit into "
        f"{-(-sums['in_use'] // held):,} spans, if the program copied them."
    )


def _the_other():
    """Return a sentence on the scenario of issue 21695."""
    _, sample, snapshot = worst(lambda: mh.workloads.load(OTHER), GO119())
    first = free_by_class(snapshot)[:2]
    named = " and ".join(f"{nbytes / MIB:.1f} MiB in the class of {size} bytes" for nbytes, size, _ in first)
    return (
        f"The scenario of issue 21695 (a program that changes what it does, twice), by the same steps: "
        f"{sample['free_slots'] / MIB:.1f} of {sample['heap_in_use'] / MIB:.1f} MiB are free slots, {named}."
    )


def answer():
    """Return (text, figures)."""
    rows, sample, snapshot = _what_helps()
    text = (
        paragraph(_said(sample, snapshot))
        + "\n\n"
        + table_text(
            ("simulated, MiB", "peak in use", "most free slots, of in use then", "most in one class", "collections"),
            rows,
        )
    )
    head = ("nodes that live on", *(f"{nbytes // 1024} KiB spans" for nbytes, _ in SPANS))
    text += "\n\nSpans of the class that cannot be given back, expected / simulated:\n\n"
    text += f"{table_text(head, _survivors())}\n\n{paragraph(_the_other())}"
    return text, {"size-classes-sparse": mh.figures.occupancy(snapshot, name=NAME)}
