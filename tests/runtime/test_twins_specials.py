"""Specials against their slow twin: random sequences of adding, removing and sweeping, all that can be seen compared.

A sequence has a span of its own, from tiny blocks to a large object.  Compared are every answer, and at every look the
order of the list, the page's bit, the surviving objects, the accounts of each kind of record, and what is queued.
"""

import bisect
import collections
import random

import naive_specials as naive
import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.specials import ADD, ALL, ASK, ASKED, END, LOOK, MARK, NEW, REMOVE, SWEEP, Specials, drive_specials

from mheaplab.params import SPECIAL_BYTES
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import SPECIAL_NAMES

SEQUENCES = 5000 if COMPILED else 600
"""Random sequences for each Go version."""
BATCH = 200
KINDS = {"go1.19": (2, 4, 5), "go1.27": (1, 2, 3, 4, 5, 6, 7)}
SIZES = (8, 16, 16, 48, 512, 1024, 8192, 32768, 5 * 8192, 20 * 8192)
"""Bytes of a slot; those that no size class has are large objects."""
ROOM = {"finalizers": 1 << 18}
SEEN = ("added", "refused", "removed", "not there", "queued", "swept dead", "verdict -1", "verdict 0", "verdict 1")
"""What must have happened often enough for the comparison to mean something."""
NAMES = ("NEW", "ADD", "REMOVE", "MARK", "SWEEP", "ASK", "LOOK")


class Script:
    """A batch of sequences: rows for the driver, and what it should log, as the twin says."""

    def __init__(self, heap, number):
        self.heap = heap
        self.rows, self.lists, self.want, self.starts, self.news = [], [], [], [], []
        self.span = None
        self.number = number
        self.seen = collections.Counter()

    def row(self, kind, a=0, b=0, c=0):
        self.starts.append(len(self.want))
        self.rows.append((kind, a, b, c))

    def new(self, spc, npages, slot, nelems):
        """Begin a sequence on a fresh span."""
        self.news.append(len(self.want))
        self.row(NEW, spc, npages)
        self.want.append(0)
        self.span = naive.NaiveSpan(self.heap, self.number, slot, nelems)
        self.number += 1

    def add(self, offset, kind, value):
        self.row(ADD, offset, kind, value)
        self.want.append(int(self.span.add(offset, kind, value)))
        self.seen["added" if self.want[-1] else "refused"] += 1

    def remove(self, offset, kind):
        self.row(REMOVE, offset, kind)
        self.want.append(int(self.span.remove(offset, kind)))
        self.seen["removed" if self.want[-1] else "not there"] += 1

    def mark(self, dead):
        before = self.span.alive
        self.row(MARK, len(self.lists), len(self.lists) + len(dead))
        self.lists += dead
        self.span.mark(before if dead == [ALL] else dead)

    def sweep(self):
        finalized, dead = len(self.heap.queue), len(self.span.dead or ())
        self.row(SWEEP)
        self.span.sweep()
        self.seen["queued"] += len(self.heap.queue) - finalized
        self.seen["swept dead"] += dead > 0

    def ask(self, value):
        self.row(ASK, value)
        self.want.append(self.span.ask(value))
        self.seen[f"verdict {self.want[-1]}"] += 1

    def look(self):
        """Append a look, and all that it should show."""
        span, heap = self.span, self.heap
        self.row(LOOK)
        self.want += [int(bool(span.alive)), int(bool(span.hung)), len(heap.queue), heap.frees, heap.free_bytes]
        for kind in range(1, len(SPECIAL_NAMES)):
            self.want += [heap.in_use(kind), heap.sys(kind)]
        if span.alive:
            bits = sum(1 << k for k in span.alive)
            words = [bits >> 64 * k & (1 << 64) - 1 for k in range(-(-span.nelems // 64))]
            self.want += [len(span.alive), *(w - (w >> 63 << 64) for w in words)]
        for listed in span.listed():
            self.want += listed
        self.want.append(END)

    def check(self, now):
        """Run the batch on ``now`` and compare; return the addresses of its spans."""
        now.log = np.zeros(len(self.want) + 64, np.int64)
        rows, lists = np.array(self.rows, np.int64), np.array(self.lists, np.int64)
        threw = None
        try:
            drive_specials(now.h, rows, lists, now.now, now.log)
        except (Throw, IndexError) as err:
            threw = err
        got, want = now.log[1 : 1 + now.log[0]], np.array(self.want, np.int64)
        want[self.news] = got[self.news]
        n = min(len(got), len(want))
        different = np.flatnonzero(got[:n] != want[:n])
        if len(different) or len(got) != len(want):
            self._fail(int(different[0]) if len(different) else n, got, want, threw)
        assert threw is None
        return got[self.news].tolist()

    def _fail(self, at, got, want, threw):
        """Fail with the rows of the sequence up to the one that tells number ``at``."""
        row = bisect.bisect_right(self.starts, at) - 1
        first = max(k for k in range(row + 1) if self.rows[k][0] == NEW)
        did = "\n".join(f"{NAMES[kind]} {args}" for kind, *args in self.rows[first : row + 1])
        start = self.starts[row]
        told = f"got {got[start : at + 4].tolist()}, want {want[start : at + 4].tolist()}"
        pytest.fail(f"{did}\nat {at - start}: {told}, {threw or 'no throw'}")


def write_sequence(script, rand, shape, kinds):
    """Write a sequence on a span of the given shape (spc, npages, slot, nelems)."""
    script.new(*shape)
    span, slot = script.span, shape[2]
    objects = rand.sample(range(shape[3]), min(6, shape[3]))
    value = 0
    for _ in range(rand.randrange(6, 22)):
        if not span.alive:
            break
        what = rand.random()
        # Whoever adds or removes has the object, so the collection has not found it dead.
        held = [k for k in objects if k in span.alive and k not in (span.dead or ())]
        if what < 0.7 and held:
            kind = rand.choice(kinds)
            offset = rand.choice(held) * slot + rand.choice((0, 0, 0, min(8, slot - 1), slot - 1, rand.randrange(slot)))
            if rand.random() < 0.2 and span.hung:
                place = rand.choice(list(span.hung))
                offset, kind = place if place[0] // slot in held else (offset, kind)
            twice = kind == naive.PROFILE and (offset, kind) in span.hung
            if what < 0.55 and not twice and value + 1 < ASKED:
                value += 1
                script.add(offset, kind, value)
            else:
                script.remove(*rand.choice(list(span.hung)) if span.hung and rand.random() < 0.7 else (offset, kind))
        elif what < 0.85:
            script.mark([k for k in objects if rand.random() < 0.4] if rand.random() < 0.95 else [ALL])
            if rand.random() < 0.6:
                script.sweep()
                script.look()
        elif what < 0.93 and span.verdict:
            script.ask(rand.choice(list(span.verdict)))
        else:
            script.look()
    end_sequence(script)


def end_sequence(script):
    """Let everything die, which takes two collections where there are finalizers, and ask what nobody asked yet."""
    for _ in range(2):
        script.mark([ALL])
        script.sweep()
        script.look()
    for value in list(script.span.verdict):
        script.ask(value)


def shapes(params):
    """Return (spc, npages, slot, nelems) of spans of each of ``SIZES``, with and without pointers."""
    sizes = params.class_to_size[: int(params.n_classes)].tolist()
    found = []
    for size in SIZES:
        for noscan in (0, 1):
            if size not in sizes:
                found.append((noscan, size >> 13, size, 1))
            else:
                c = sizes.index(size)
                found.append((2 * c + noscan, int(params.class_to_allocnpages[c]), size, 0))
    return found


def span_of_shape(h, shape):
    """Return ``shape`` with the number of its objects filled in."""
    return shape if shape[3] else (*shape[:3], int(h.class_nelems[shape[0]]))


@pytest.mark.parametrize("go", KINDS)
def test_random_sequences(go, rng):
    now = Specials(go, **ROOM)
    rand = random.Random(int(rng.integers(1 << 40)))
    heap = naive.NaiveSpecialHeap({SPECIAL_NAMES.index(k): v for k, v in SPECIAL_BYTES[go].items()})
    spans = [span_of_shape(now.h, shape) for shape in shapes(now.h.params)]
    bases, seen = [], collections.Counter()
    for first in range(0, SEQUENCES, BATCH):
        script = Script(heap, first)
        for _ in range(BATCH):
            write_sequence(script, rand, rand.choice(spans), KINDS[go])
        bases += script.check(now)
        seen += script.seen
    assert now.queue() == [(0 if what is None else bases[what[0]] + what[1], fn) for what, fn in heap.queue]
    assert int(now.h.stats.heap_in_use) == 0
    assert all(heap.in_use(kind) == 0 for kind in KINDS[go])
    assert set(seen) == set(SEEN)
    assert min(seen.values()) > SEQUENCES // 10, seen
