"""Memory events of execution traces: against a slow twin of dicts, and sizes against the table of classes."""

import numpy as np
import pytest

from mheaplab.runtime import gotrace_structs as g
from mheaplab.runtime.exectrace_structs import GC_BEGIN, GC_END
from mheaplab.runtime.gotrace_weave import uniform_of, weave
from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE, TRACE_TYPES, TraceEvents
from mheaplab.size_tables import go_classes
from mheaplab.traces.go_heap import GoHeap
from mheaplab.traces.go_trace import GO_EVENT_TYPES, GoEvents

SPAN, SPAN_ALLOC, SPAN_FREE, OBJECT, OBJECT_ALLOC, OBJECT_FREE, STACK, STACK_ALLOCATED, STACK_FREED = range(9)
CLASSES = ((0, 0), *go_classes())


class Naive:
    """What the events mean, from their definition; objects and stacks are named by what came first."""

    def __init__(self):
        self.spans, self.objects, self.stacks = {}, {}, {}
        self.clock, self.rows, self.found = 0, [], []
        self.begun = self.last = self.before = (0, 0)
        self.collections, self.born = 0, 0

    def slot(self, unit):
        """Return (first unit of the slot, span class, bytes)."""
        page = unit // 1024
        start = max(p for p in self.spans if p <= page)
        npages, spc = self.spans[start]
        nbytes = CLASSES[spc // 2][0] or npages * 8192
        return start * 1024 + (unit - start * 1024) // (nbytes // 8) * (nbytes // 8), spc, nbytes

    def take(self, name, key, arg, arg2):
        if name == SPAN_ALLOC:
            self.spans[key] = (arg, arg2 // 2)
        elif name == SPAN_FREE:
            del self.spans[key]
        elif name == OBJECT_ALLOC:
            slot, spc, nbytes = self.slot(key)
            if slot in self.objects and spc == 5:
                return
            if slot in self.objects:
                self.found.append((self.objects.pop(slot), self.clock, self.clock, len(self.rows), 0))
            self.clock += nbytes
            self.objects[slot] = self.clock
            self.rows.append((ALLOC, spc, self.clock))
        elif name == OBJECT_FREE:
            born = self.objects.pop(key)
            if self.collections == 0:
                self.found.append((born, self.clock, self.clock, len(self.rows), 0))
            elif born > self.last[0]:
                self.found.append((born, born, born, int(g.NO_CAP), self.collections))
            else:
                self.found.append((born, max(born, self.before[0]), *self.last, self.collections))
        elif name == STACK_ALLOCATED:
            self.stacks[key] = arg
            self.rows.append((STACK_ALLOC, 0, self.clock))
        elif name == STACK_FREED:
            del self.stacks[key]
            self.rows.append((STACK_FREE, 0, self.clock))
        elif name == GC_BEGIN:
            self.begun = (self.clock, len(self.rows))
            if arg:
                self.rows.append((FORCED_GC, 0, self.clock))
        elif name == GC_END:
            self.before, self.last = self.last, self.begun
            self.collections += 1


def program(rng, n):
    """Yield legal events (name, id, arg, arg2) of a made-up program, while ``naive`` follows."""
    naive, page, marking = Naive(), 0, False
    for _ in range(n):
        kind = rng.random()
        if kind < 0.1 or not naive.spans:
            spc = int(rng.integers(0, 2 * len(CLASSES)))
            spc += 2 if spc == 3 else 0
            npages = CLASSES[spc // 2][1] or int(rng.integers(1, 40))
            event = (SPAN_ALLOC, page, npages, 2 * spc)
            page += npages + int(rng.integers(0, 3))
        elif kind < 0.6:
            start = int(rng.choice(list(naive.spans)))
            npages, spc = naive.spans[start]
            nbytes = CLASSES[spc // 2][0] or npages * 8192
            unit = start * 1024 + int(rng.integers(0, npages * 8192 // nbytes)) * (nbytes // 8)
            event = (OBJECT_ALLOC, unit + int(nbytes > 8 and rng.random() < 0.3), 0, 0)
        elif kind < 0.8 and naive.objects:
            event = (OBJECT_FREE, int(rng.choice(list(naive.objects))), 0, 0)
        elif kind < 0.9:
            at = int(rng.integers(0, 50))
            event = (STACK_FREED, at, 0, 0) if at in naive.stacks else (STACK_ALLOCATED, at, 12, 0)
        else:
            event = (GC_END, 0, 0, 0) if marking else (GC_BEGIN, 0, int(rng.integers(0, 3)), 0)
            marking = not marking
        naive.take(*event)
        yield event, naive


@pytest.mark.parametrize("seed", range(8))
def test_as_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    events, followers = zip(*program(rng, 1500), strict=True)
    naive = followers[-1]
    columns = GoEvents(*(np.zeros(len(events), dtype) for dtype in GO_EVENT_TYPES))
    columns.name[:], columns.id[:], columns.arg[:], columns.arg2[:] = np.array(events, np.uint64).T
    columns.time[:] = np.arange(len(events)) + 7
    heap = GoHeap("made up")
    parts = []
    for at in range(0, len(events), 137):
        parts += list(heap.take(GoEvents(*(column[at : at + 137] for column in columns))))
    rows, found, marks = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert list(zip(rows["kind"].tolist(), rows["spc"].tolist(), rows["clock"].tolist(), strict=True)) == naive.rows
    names = ("born", "low", "high", "cap", "collection")
    assert list(zip(*(found[n].tolist() for n in names), strict=True)) == naive.found
    assert len(marks) == naive.collections > 20 and len(found) > 200
    number, born, _ = heap.living()
    assert sorted(born.tolist()) == sorted(naive.objects.values()) and len(set(number.tolist())) == len(number)
    assert int(heap.state["slots_bytes"]) == sum(naive.slot(unit)[2] for unit in naive.objects)
    assert int(heap.state["heap_pages"]) == sum(npages for npages, _ in naive.spans.values())


def class_of(nbytes, noscan):
    """Return the size class that malloc of Go 1.22 and later takes, 0 for a large object."""
    header = 8 if nbytes > 512 and not noscan else 0
    if nbytes > 32768 - 8:
        return 0
    return next(c for c, (size, _) in enumerate(CLASSES) if c and size >= nbytes + header)


def test_sizes_have_the_class_of_their_slot():
    """For every span class and types of many sizes: a multiple of the type where one has the class, else the most."""
    class_by_size = [np.array([class_of(n, noscan) for n in range(1, 32769)]) for noscan in (False, True)]
    for spc in range(2, 2 * len(CLASSES)):
        if spc in (3, 5):
            continue
        heap = GoHeap("sizes")
        units = CLASSES[spc // 2][0] // 8
        type_sizes = [0, 1, 3, 8, 24, 40, 100, 513, 1000, 8 * units - 8, 8 * units, 8 * units + 8, 1 << 40]
        heap.set_types(np.array([[i + 1, 0, size, 0, 0, 0] for i, size in enumerate(type_sizes)], np.uint64))
        objects = [(OBJECT_ALLOC, 1024 * 64 * i, i + 1, 0) for i in range(len(type_sizes))]
        spans = [(SPAN_ALLOC, 64 * i, CLASSES[spc // 2][1], 2 * spc) for i in range(len(type_sizes))]
        columns = GoEvents(*(np.zeros(2 * len(spans), dtype) for dtype in GO_EVENT_TYPES))
        columns.name[:], columns.id[:], columns.arg[:], columns.arg2[:] = np.array(spans + objects, np.uint64).T
        rows = np.concatenate([rows for rows, _, _ in heap.take(columns)])
        for size, amount in zip(type_sizes, rows["amount"].tolist(), strict=True):
            assert class_of(amount, spc % 2) == spc // 2
            fits = 1 + np.flatnonzero(class_by_size[spc % 2][: 8 * units] == spc // 2)
            legal = fits[fits % size == 0] if size else fits[:0]
            assert amount == (legal if len(legal) else fits).max()


def test_weave(rng):
    """Deaths come before the row they are due at, in any number of pieces, and what is due later not at all."""
    rows = np.zeros(50, g.GO_ROW)
    rows["id"], rows["kind"], rows["spc"], rows["time"] = np.arange(50), ALLOC, 21, np.arange(50) * 3
    targets = np.sort(rng.integers(100, 153, 30))
    dead = np.arange(1000, 1030, dtype=np.uint32)
    for last in (False, True):
        found, row, at, n = [], 0, 0, 1
        while n:
            out = TraceEvents(*(np.zeros(7, dtype) for dtype in TRACE_TYPES))
            row, at, n = weave(rows, 100, targets, dead, row, at, last, out)
            found += list(zip(out.kind[:n].tolist(), out.id[:n].tolist(), out.time[:n].tolist(), strict=True))
        expected, due = [], list(zip(targets.tolist(), dead.tolist(), strict=True))
        for i in range(50):
            expected += [(DEATH, d, 3 * i) for t, d in due if t == 100 + i]
            expected.append((ALLOC, i, 3 * i))
        late = [(DEATH, d, 147) for t, d in due if t >= 150]
        assert found == expected + (late if last else [])


def test_uniform():
    out = np.empty(20_000)
    uniform_of(np.arange(20_000), np.uint64(1), out)
    again = np.empty(20_000)
    uniform_of(np.arange(20_000), np.uint64(2), again)
    assert 0 <= out.min() < 0.001 and 0.999 < out.max() < 1 and abs(out.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(out, again)[0, 1]) < 0.03
