#!/usr/bin/env python3
"""Add to a case which objects waited for their finalizer, as far as it mattered: read from the raw log of the run.

Usage: add_revived.py RAW.bin CASE            (CASE is DIR/NAME; CASE.events.npz is rewritten)

A collection that finds an object with a finalizer unreachable does not mark it; sweeping its span does, and keeps it.
If the page reclaimer comes first, it takes the span for one without a live object, sweeps it, and finds that it must
stay.  In the raw log that is a SWEEP record between a RECLAIM record and the next ALLOC_SPAN, with no FREE_SPAN of the
same span between.  All objects in the span that the collection did not free were then unmarked: they are what this
script writes as ``revived``/``revived_offsets``, lists in the manner of ``dead``/``dead_offsets``.
"""

import os
import sys

import numpy as np

from mheaplab.runtime.mksizeclasses import make_classes

RECORD = np.dtype({"names": ["op", "p", "flags", "aux", "a", "b", "c"], "formats": "u1 u1 <u2 <u4 <u8 <u8 <u8".split()})
ALLOC_SPAN, FREE_SPAN, SWEEP, SWEEPGEN, RECLAIM = 1, 2, 10, 11, 22
MALLOC, SWEEP_START = 0, 3
PAGE = 8192


def spans_kept_by_reclaim(raw):
    """Return (collection, base address) of every span that reclaim swept and that was not freed by it."""
    kept, swept = [], {}
    collection, reclaiming = -1, False
    for op, base in zip(raw["op"].tolist(), raw["a"].tolist(), strict=True):
        if op == SWEEPGEN:
            collection += 1
        elif op == RECLAIM:
            reclaiming, swept = True, {}
        elif op == SWEEP and reclaiming:
            swept[base] = collection
        elif op == FREE_SPAN and reclaiming:
            swept.pop(base, None)
        elif op == ALLOC_SPAN and reclaiming:
            kept += [(k, b) for b, k in swept.items()]
            reclaiming = False
    return kept


def classes_with_inline_marks(go):
    """Return the size classes whose page marks a case of Go version ``go`` gives anyway (``page_marked``)."""
    if go == "go1.19":
        return frozenset()
    sizes, _ = make_classes()
    return frozenset(np.flatnonzero((sizes >= 16) & (sizes <= 512)).tolist())


def survivors(events, truth, kept):
    """Return (collection, MALLOC event) of every object that such a span still held."""
    starts = np.flatnonzero(events["kind"] == SWEEP_START)
    freed = np.full(len(events["kind"]), len(starts))
    freed[events["dead"]] = np.repeat(np.arange(len(starts)), np.diff(events["dead_offsets"]))
    mallocs = np.flatnonzero(events["kind"] == MALLOC)
    found = set()
    inline = classes_with_inline_marks(str(events["go"]))
    for collection, base in kept:
        before = starts[collection]
        span = np.flatnonzero((truth["span_base"] == base) & (truth["span_event"] < before))[-1]
        if truth["span_class"][span] >> 1 in inline:
            continue
        end = base + int(truth["span_npages"][span]) * PAGE
        low, high = np.searchsorted(mallocs, [truth["span_event"][span], before])
        some = mallocs[low:high]
        inside = some[(truth["addr"][some] >= base) & (truth["addr"][some] < end) & (freed[some] > collection)]
        # Tiny objects share a block of 16 bytes, which is named by the event that opened it.
        tiny = (events["size"][inside] < 16) & (events["flags"][inside] & 1 == 1)
        opens = ~tiny | (truth["addr"][inside] % 16 == 0)
        found |= {(collection, event) for event in inside[opens].tolist()}
    return sorted(found), len(starts)


def main(raw_path, case):
    """Rewrite ``case``.events.npz with the two lists added."""
    path = case + ".events.npz"
    with np.load(path) as archive:
        events = {name: archive[name] for name in archive.files}
    with np.load(case + ".truth.npz") as archive:
        truth = {name: archive[name] for name in archive.files}
    pairs, collections = survivors(events, truth, spans_kept_by_reclaim(np.fromfile(raw_path, RECORD)))
    table = np.array(pairs, np.int64).reshape(-1, 2)
    events["revived"] = table[:, 1].copy()
    events["revived_offsets"] = np.searchsorted(table[:, 0], np.arange(collections + 1)).astype(np.int64)
    with open(path + ".tmp", "wb") as out:
        np.savez_compressed(out, **events)
    os.replace(path + ".tmp", path)
    print(f"{os.path.basename(case)}: {len(table)} objects in {len(set(map(int, table[:, 0])))} collections")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
