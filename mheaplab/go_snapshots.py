"""go_snapshots: Go's own heap at moments of an execution trace, page by page, with the types of its objects.

An execution trace with memory events names every span and object by its address, and every object's type.  So these
snapshots are no answer of the twin's: they are what was there.  They are drawn and asked like those of a run, but for
what the trace does not tell:

* whether a page that is in no span is backed by memory, was given back, or waits in a P's page cache;
* whether a span of the runtime's own holds stacks or something else;
* which objects are dead before the sweeper frees them: garbage that is not yet swept counts as an object here.

Types cannot be tied to a simulation of the same trace: a trace of events has no column for them, and the objects of a
simulation lie elsewhere.

Arenas have 64 MiB, as on every 64-bit system but Windows; the trace does not say.
"""

import dataclasses

import numpy as np

from .errors import FormatError
from .params import HeapParams
from .residents import UNKNOWN, Residents, span_residents
from .runtime.gotrace_structs import MANUAL
from .runtime.mksizeclasses import class_objects
from .runtime.structs import MANUAL_CLASS, PAGE_SIZE
from .snapshot import (
    PAGE_FREE,
    PAGE_LARGE,
    PAGE_NOSCAN,
    PAGE_OTHER,
    PAGE_SCAN,
    PAGE_STATE_NAMES,
    SPAN_COLUMNS,
    Snapshot,
    enter_spans,
)
from .traces.go_heap import go_version, read_go_heap
from .traces.go_trace import ROWS, GoTraceReader

ARENA_BYTES = 64 << 20
ARENA_PAGES = ARENA_BYTES // int(PAGE_SIZE)
MAX_MOMENTS = 1000
MAX_ALL_PAGES = 1 << 22
"""Pages of all snapshots together: some 300 MB."""
NO_TYPE = "no type (raw bytes)"
"""What the runtime allocates without a type: the bytes of strings, and buffers that hold no pointers."""
STATE_NAMES = (
    "outside of all spans so far", None, "in no span", None, *PAGE_STATE_NAMES[PAGE_SCAN : PAGE_LARGE + 1], None,
    "stacks and the runtime's own",
)  # fmt: skip


def go_snapshots(path, moments=60):
    """Return Go's own heap at moments of an execution trace, evenly spaced by memory events, the last at its end.

    Parameters
    ----------
    path : str or os.PathLike
        A trace of Go 1.23 or later, written with ``GODEBUG=traceallocfree=1``.
    moments : int
        About how many, 1 to 1,000.

    Returns
    -------
    list of Snapshot
        ``event`` counts memory events of the trace.  ``residents`` has the types of objects; their clock counts bytes
        of slots that were taken since the trace began.  ``memstats`` has ``HeapInuse`` and ``HeapAlloc`` only.

    Raises
    ------
    FormatError
        If the file is not what it claims to be, has no memory events, or these contradict each other.
    ValueError
        If ``moments`` is illegal, or so many pictures of this heap would take too much memory.
    """
    if not isinstance(moments, int | np.integer) or not 1 <= moments <= MAX_MOMENTS:
        raise ValueError(f"moments = {moments!r} is outside its legal range: 1 to {MAX_MOMENTS:,}")
    go = go_version(path)
    total = sum(len(events.name) for events in GoTraceReader(path, marks=True).batches())
    album = _Album(path, go)
    wanted = [total * k // moments for k in range(1, moments + 1)]
    for heap, reader, *_ in read_go_heap(path, max(1, min(ROWS, total // moments)), types=True):
        while wanted and heap.events >= wanted[0]:
            if wanted.pop(0) > album.last:
                album.add(heap, reader.info)
    return album.finished()


class _Album:
    """The snapshots taken so far."""

    def __init__(self, path, go):
        self.path = path
        record = HeapParams.of_program(go).to_record()
        classes = int(record["n_classes"])
        self.sizes = record["class_to_size"][:classes].astype(np.int64)
        self.nelems = class_objects(self.sizes, record["class_to_allocnpages"][:classes], record).astype(np.int64)
        self.arenas = np.zeros(0, np.int64)  # numbers of the arenas in which there was a span
        self.first, self.grown = 1 << 60, {}  # the first page that was in a span; by arena, the pages up to the last
        self.pages, self.last = 0, -1
        self.taken, self.kinds = [], []

    def add(self, heap, info):
        """Take a picture of ``heap``."""
        spans = self._spans(*heap.spans(), info)
        pages = self._pages(spans)
        owner = enter_spans(self.arenas * ARENA_BYTES, spans, pages)
        slot, born, kind = heap.objects()
        address = info.min_page_addr + slot.astype(np.int64) * 8
        residents = span_residents(spans, address, born, self._numbers(heap, kind))
        spans["alloc_count"] = residents["objects"]
        self.last, clock = heap.events, int(heap.state["clock"])
        stats = {
            "HeapInuse": int(heap.state["heap_pages"]) * int(PAGE_SIZE), "HeapAlloc": int(heap.state["slots_bytes"]),
        }  # fmt: skip
        arenas = (self.arenas * ARENA_BYTES).astype(np.uint64)
        snapshot = Snapshot(heap.events, ARENA_BYTES, arenas, pages, owner, spans, self.sizes, stats)
        self.taken.append(
            dataclasses.replace(snapshot, residents=Residents(clock, clock, residents), state_names=STATE_NAMES)
        )

    def _spans(self, page, npages, span_class, info):
        """Return the rows of a snapshot's spans."""
        if npages.sum() > MAX_ALL_PAGES:
            self._refuse()
        spans = np.zeros(len(page), SPAN_COLUMNS)
        spans["base"] = np.uint64(info.min_page_addr) + page * np.uint64(PAGE_SIZE)
        spans["npages"] = npages
        manual = span_class == MANUAL
        large = ~manual & (span_class >> np.uint64(1) == 0)
        spans["span_class"] = np.where(manual, MANUAL_CLASS, span_class)
        small = np.where(span_class & np.uint64(1), PAGE_NOSCAN, PAGE_SCAN)
        spans["state"] = np.where(manual, PAGE_OTHER, np.where(large, PAGE_LARGE, small))
        row = np.where(manual, 0, span_class).astype(np.int64)
        slots = np.where(large, npages * int(PAGE_SIZE), self.sizes[row >> 1])
        spans["elemsize"] = np.where(manual, 0, slots)
        spans["nelems"] = np.where(manual, 0, np.where(large, 1, self.nelems[row]))
        return spans

    def _pages(self, spans):
        """Return the states of all arenas' pages in no span: free between the first and the last ever in one."""
        first = spans["base"].astype(np.int64) // int(PAGE_SIZE)
        end = first + spans["npages"]
        last = (end - 1) // ARENA_PAGES
        crossing = [np.arange(a, b + 1) for a, b in zip(first // ARENA_PAGES, last, strict=True) if b > a]
        self.arenas = np.unique(np.concatenate([self.arenas, first // ARENA_PAGES, *crossing]))
        self.pages += len(self.arenas) * ARENA_PAGES
        if self.pages > MAX_ALL_PAGES:
            self._refuse()
        self.first = min(self.first, int(first.min(initial=self.first)))
        pages = np.zeros((len(self.arenas), ARENA_PAGES), np.uint8)
        for k, arena in enumerate(self.arenas.tolist()):
            below = end[(first < (arena + 1) * ARENA_PAGES) & (end > arena * ARENA_PAGES)]
            grown = max(self.grown.get(arena, 0), min(int(below.max(initial=0)) - arena * ARENA_PAGES, ARENA_PAGES))
            self.grown[arena] = grown
            pages[k, max(self.first - arena * ARENA_PAGES, 0) : grown] = PAGE_FREE
        return pages

    def _refuse(self):
        raise ValueError(
            f"{self.path}: pictures of its heap have more than {MAX_ALL_PAGES:,} pages together: ask for fewer moments"
        )

    def _numbers(self, heap, kind):
        """Return the numbers of types as indices into ``self.kinds``; the names differ by generation only in number."""
        known, which = np.unique(kind, return_inverse=True)
        place = {name: k for k, name in enumerate(self.kinds)}
        for number in known.tolist():
            place.setdefault(heap.type_names.get(number, NO_TYPE), len(place))
        self.kinds = list(place)
        numbers = [place[heap.type_names.get(number, NO_TYPE)] for number in known.tolist()]
        return np.array(numbers, np.int64)[which] if len(known) else kind

    def finished(self):
        """Return the snapshots, with types by their bytes in all of them, and the clock of the last as the longest."""
        if not self.taken:
            raise FormatError(f"{self.path}: no memory events in it")
        total = np.zeros(len(self.kinds), np.int64)
        for s in self.taken:
            there = s.residents.spans["kind"] >= 0
            np.add.at(
                total, s.residents.spans["kind"][there],
                s.residents.spans["of_kind"][there] * s.spans["elemsize"][there],
            )  # fmt: skip
        order = np.argsort(-total, kind="stable")
        place = np.append(np.argsort(order), UNKNOWN)
        types, longest = tuple(self.kinds[k] for k in order.tolist()), self.taken[-1].residents.clock
        done = []
        for s in self.taken:
            rows = s.residents.spans
            rows["kind"] = place[rows["kind"]]
            lives = dataclasses.replace(s.residents, longest=longest, types=types)
            done.append(dataclasses.replace(s, residents=lives))
        return done
