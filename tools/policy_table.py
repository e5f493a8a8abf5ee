#!/usr/bin/env python3
"""Print what the what-if policies change on one recorded case, as the table of docs/policies.md.

    policy_table.py [CASE]

CASE is a path without ending, by default data/cases/go119-parse.  The same events are replayed under each policy; the
numbers are those of the heap after the last event.
"""

import sys
from pathlib import Path

import numpy as np

import mheaplab as mh
from mheaplab.snapshot import PAGE_CACHED, PAGE_FREE, PAGE_RESERVED, PAGE_SCAVENGED

ROOT = Path(__file__).resolve().parent.parent
KIB = 1024
COARSE = ((16, 1), (64, 1), (256, 1), (512, 1), (2048, 2), (8192, 4), (32768, 4))
POLICIES = {
    "Go": {},
    "powers of two": {"size_classes": "pow2"},
    "seven classes": {"size_classes": COARSE},
    "best fit": {"page_placement": "best-fit"},
    "next fit": {"page_placement": "next-fit"},
    "no page cache": {"page_cache_pages": 0},
    "page cache of 8": {"page_cache_pages": 8},
    "grow at 80%": {"grow_early_percent": 80},
    "grow at 50%": {"grow_early_percent": 50},
    "arenas of 4 MiB": {"arena_bytes": 4 << 20},
}


def largest_free_run(snap):
    """Return the pages of the longest run of free pages of a snapshot; neighbouring arenas are one piece."""
    most = run = 0
    follows = np.diff(snap.arenas.astype(np.int64), prepend=-1) == snap.arena_bytes
    for pages, joined in zip(snap.pages, follows, strict=True):
        run = run if joined else 0
        for free in np.isin(pages, (PAGE_FREE, PAGE_SCAVENGED)).tolist():
            run = run + 1 if free else 0
            most = max(most, run)
    return most


def numbers(case, policy):
    """Return the row of one policy: KiB of what lies where, and the number of spans."""
    params = case.params.replace(**policy)
    (snap,) = mh.snapshots(case, [len(case)], params=params)
    stats = snap.memstats
    mapped, cached = (int(pages.sum()) * 8 for pages in (snap.pages != PAGE_RESERVED, snap.pages == PAGE_CACHED))
    nbytes = (stats["HeapInuse"], stats["HeapAlloc"], stats["HeapReleased"], snap.huge_bytes)
    return [mapped, *(n // KIB for n in nbytes), largest_free_run(snap) * 8, cached, len(snap.spans)]


def main(path=ROOT / "data/cases/go119-parse"):
    """Print the table of the case at ``path``."""
    case = mh.load_case(path)
    names = ("mapped", "in use", "allocated", "released", "in whole huge pages", "largest free run", "in page caches")
    print(f"| {case.name}, KiB | {' | '.join(names)} | spans |")
    print(f"| --- |{' ---: |' * (len(names) + 1)}")
    for name, policy in POLICIES.items():
        print(f"| {name} | {' | '.join(f'{n:,}' for n in numbers(case, policy))} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
