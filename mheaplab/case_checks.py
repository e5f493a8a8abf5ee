"""case_checks: whether the columns of a case agree with each other.

Everything is checked that the kernel relies on: kinds, sizes, references to events that exist and are of the right
kind, lists that belong to collections.  A check looks at some events at a time, so that it needs little memory beside
the columns; the checks come one after the other, and the first that fails names the first event at fault.
"""

from typing import NamedTuple

import numpy as np

from .errors import FormatError
from .runtime.structs import (
    ADD_SPECIAL,
    ENSURE_SWEPT,
    FIXED_STACK,
    GC_START,
    KIND_NAMES,
    MALLOC,
    MAX_TINY_SIZE,
    PAGE_SIZE,
    RECORDED_KINDS,
    REMOVE_SPECIAL,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_FREE,
    SPECIAL_FINALIZER,
    SPECIAL_NAMES,
    STACK_ALLOC,
    STACK_FREE,
    SWEEP_START,
)

COLUMNS = {"kind": "u1", "p": "u1", "flags": "u1", "size": "u8", "ref": "i8", "credit": "u4"}
"""Columns with one row per event, and their types."""
MAX_SIZE = 1 << 47
MAX_PAGES = MAX_SIZE // int(PAGE_SIZE)
MAX_STACK = 1 << 31
"""Bytes of the largest stack: stackalloc's argument has 32 bits, and it is a power of two."""
MAX_VALUE = 1 << 63
TARGETS = {
    SPAN_FREE: SPAN_ALLOC,
    ENSURE_SWEPT: MALLOC,
    ADD_SPECIAL: MALLOC,
    REMOVE_SPECIAL: MALLOC,
    STACK_FREE: STACK_ALLOC,
}
"""Kinds that refer to another event, and of what kind that is."""
PART = 1 << 18
"""Events that are checked at a time."""


def _previous(values):
    """For each of ``values`` the index at which it stands before, or -1."""
    order = np.argsort(values, kind="stable")
    before = np.full(len(values), -1, np.int64)
    same = values[order[1:]] == values[order[:-1]]
    before[order[1:][same]] = order[:-1][same]
    return before


class _Part(NamedTuple):
    """Columns of some events, the number of the first, and how many there are."""

    kind: np.ndarray
    flags: np.ndarray
    size: np.ndarray
    ref: np.ndarray
    given_addr: np.ndarray
    given_pages: np.ndarray
    first: int

    @property
    def index(self):
        """The numbers of the events."""
        return np.arange(self.first, self.first + len(self.kind))


class _Checker:
    """Checks columns and raises one FormatError that names the first event at fault.

    It looks at ``PART`` events or rows at a time, so that what it needs beside the columns is small.
    """

    def __init__(self, path, events):
        self.path = path
        self.e = events
        self.n = len(events.kind)

    def parts(self):
        """Yield all events, part by part."""
        for first in range(0, self.n, PART):
            yield _Part(*(getattr(self.e, name)[first : first + PART] for name in _Part._fields[:-1]), first)

    def none(self, bad, reason):
        """Raise for the first event for which ``bad``, called with a part, is set; ``reason`` may name its columns."""
        for part in self.parts():
            found = bad(part)
            if found.any():
                self.refuse(part.first + int(found.argmax()), reason)

    def refuse(self, i, reason):
        """Raise for event ``i``."""
        row = {name: int(c[i]) for name, c in self.e._asdict().items() if len(c) == self.n}
        name = KIND_NAMES[row["kind"]] if row["kind"] < len(KIND_NAMES) else "?"
        raise FormatError(f"{self.path}: event {i} ({name}): {reason.format(**row)}")

    def rows(self, bad, name, reason):
        """Raise for the first row of list ``name`` for which ``bad``, called with a part and its start, is set."""
        values = getattr(self.e, name)
        for first in range(0, len(values), PART):
            found = bad(values[first : first + PART], first)
            if found.any():
                k = first + int(found.argmax())
                raise FormatError(f"{self.path}: {name}[{k}] = {int(values[k])}: {reason}")

    def where(self, chosen):
        """Return the numbers of the events for which ``chosen``, called with a part, is set."""
        found = [np.flatnonzero(chosen(part)) + part.first for part in self.parts()]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def columns(self):
        """Check kinds, sizes and references of all events."""
        self.none(lambda e: e.kind >= RECORDED_KINDS, f"unknown kind {{kind}}, expected 0 to {RECORDED_KINDS - 1}")
        self.none(lambda e: (e.kind == MALLOC) & (e.size == 0), "size 0, expected 1 to 2**47 bytes")
        self.none(lambda e: (e.kind == MALLOC) & (e.size > MAX_SIZE), "size {size} is over 2**47 bytes")
        self.none(
            lambda e: (e.kind == SPAN_ALLOC) & ((e.size == 0) | (e.size > MAX_PAGES)),
            "{size} pages, expected 1 to 2**34",
        )
        self.none(
            lambda e: (e.kind == SPAN_ALLOC) & ((e.flags < 1) | (e.flags > 3)), "span type {flags}, expected 1 to 3"
        )
        self.none(lambda e: (e.kind == SCAVENGE) & (e.size > MAX_PAGES), "page limit {size}, expected 0 to 2**34")
        self.references()
        self.freed_once(SPAN_FREE, "span")
        self.freed_once(STACK_FREE, "stack")

    def references(self):
        """Check that each event refers to an event of the kind that it needs, or to none."""
        is_source, target = np.zeros(256, bool), np.zeros(256, np.uint8)
        for source, wanted in TARGETS.items():
            is_source[source], target[source] = True, wanted

        def wrong(e):
            least = -(e.kind == ENSURE_SWEPT).astype(np.int8)
            return is_source[e.kind] & ((e.ref >= e.index) | (e.ref < least))

        self.none(wrong, "ref {ref} is not an earlier event")
        self.none(lambda e: ~is_source[e.kind] & (e.kind != SWEEP_START) & (e.ref != -1), "ref {ref}, expected -1")
        for source, wanted in TARGETS.items():

            def bad(e, source=source, wanted=wanted):
                found = (e.kind == source) & (e.ref >= 0)
                found[found] = self.e.kind[e.ref[found]] != wanted
                return found

            self.none(bad, "ref {ref} is not a " + KIND_NAMES[wanted] + " event")

    def freed_once(self, free, what):
        """Check that no two events of kind ``free`` name the same event."""
        once, frees = np.zeros(self.n, bool), 0
        for e in self.parts():
            freed = e.ref[e.kind == free]
            once[freed] = True
            frees += len(freed)
        if np.count_nonzero(once) < frees:
            freed = self.where(lambda e: e.kind == free)
            self.refuse(
                int(freed[(_previous(self.e.ref[freed]) >= 0).argmax()]), what + " of event {ref} is freed twice"
            )

    def stacks(self):
        """Check the sizes of stacks; references have been checked."""

        def bad(e):
            stack = (e.kind == STACK_ALLOC) | (e.kind == STACK_FREE)
            wrong = (e.size < int(FIXED_STACK)) | (e.size > MAX_STACK) | (e.size & (e.size - np.uint64(1)) != 0)
            return stack & wrong

        def other(e):
            freed = e.kind == STACK_FREE
            freed[freed] = e.size[freed] != self.e.size[e.ref[freed]]
            return freed

        self.none(bad, "{size} bytes, expected a power of two from 2048 to 2**31")
        self.none(other, "{size} bytes, but the stack of event {ref} has another size")

    def specials(self):
        """Check kinds and values of specials; which kinds a Go version has, the kernel knows."""

        def special(e):
            return (e.kind == ADD_SPECIAL) | (e.kind == REMOVE_SPECIAL)

        self.none(
            lambda e: special(e) & ((e.flags < 1) | (e.flags >= len(SPECIAL_NAMES))),
            f"special of kind {{flags}}, expected 1 to {len(SPECIAL_NAMES) - 1}",
        )
        self.none(lambda e: special(e) & (e.size >= MAX_VALUE), "value {size} is over 2**63")

    def phases(self):
        """Check that marking begins once before each collection ends, if at all."""
        gc = self.where(lambda e: (e.kind == GC_START) | (e.kind == SWEEP_START))
        start = self.e.kind[gc] == GC_START
        twice = start[1:] & start[:-1]
        if twice.any():
            self.refuse(int(gc[1 + twice.argmax()]), "marking has begun already")

    def starts(self):
        """Return the SWEEP_START events."""
        return self.where(lambda e: e.kind == SWEEP_START)

    def per_collection(self, name, offsets_name):
        """Check a list that belongs to collections: offsets, events that exist, earlier than the collection."""
        e = self.e
        values, offsets = getattr(e, name), getattr(e, offsets_name)
        starts = self.starts()
        if len(offsets) != len(starts) + 1:
            raise FormatError(
                f"{self.path}: {offsets_name} has {len(offsets)} rows, expected {len(starts) + 1}"
                f" (one more than SWEEP_START events)"
            )
        if offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
            raise FormatError(f"{self.path}: {offsets_name} does not rise from 0 to {len(values)}")
        self.rows(lambda part, _: (part < 0) | (part >= self.n), name, "no such event")
        self.rows(lambda part, _: e.kind[part] != MALLOC, name, "not a MALLOC event")

        def later(part, first):
            row = np.arange(first, first + len(part))
            return part >= starts[np.searchsorted(offsets, row, side="right") - 1]

        self.rows(later, name, "later than the collection that lists it")

    def dead_once(self):
        """Check that no object dies twice, unless a finalizer may have kept it the first time."""
        e = self.e
        values = e.dead
        once = np.zeros(self.n, bool)
        once[values] = True
        if np.count_nonzero(once) == len(values):
            return
        collection = np.repeat(np.arange(len(e.dead_offsets) - 1), np.diff(e.dead_offsets))
        before = self.starts()[collection]
        earlier = _previous(values)
        kept = self.had_finalizer(values, before[earlier])
        bad = (earlier >= 0) & (~kept | (collection[earlier] == collection))
        self.rows(lambda part, first: bad[first : first + len(part)], "dead", "dead already")

    def had_finalizer(self, objects, before):
        """Which of ``objects`` got a finalizer before the event beside it; of a tiny block any part may have had it."""
        e = self.e
        armed = np.flatnonzero((e.kind == ADD_SPECIAL) & (e.flags == SPECIAL_FINALIZER))
        first = np.full(len(e.kind), len(e.kind))
        np.minimum.at(first, e.ref[armed], armed)
        tiny = (e.size < int(MAX_TINY_SIZE)) & (e.flags & 1 == 1)
        first_tiny = first[tiny & (e.kind == MALLOC)].min(initial=len(e.kind))
        return np.where(tiny[objects], first_tiny, first[objects]) < before

    def collections(self):
        """Check that SWEEP_START events name the rows of dead_offsets in order."""
        starts = self.starts()
        wrong = self.e.ref[starts] != np.arange(len(starts))
        if wrong.any():
            self.refuse(int(starts[wrong.argmax()]), "ref {ref} is not the number of this collection")

    def given(self):
        """Check where scavenges are said to have happened."""
        for name in ("given_addr", "given_pages"):
            if len(getattr(self.e, name)) != self.n:
                raise FormatError(f"{self.path}: {name} has {len(getattr(self.e, name))} rows, expected {self.n}")

        def misplaced(e):
            bad = (e.given_addr % int(PAGE_SIZE) != 0) | (e.given_addr == 0) | (e.given_addr >= MAX_SIZE)
            return (e.kind == SCAVENGE) & bad

        def of_no_size(e):
            return (e.kind == SCAVENGE) & ((e.given_pages == 0) | (e.given_pages > MAX_PAGES))

        self.none(misplaced, "given_addr {given_addr:#x} is not the address of a page")
        self.none(of_no_size, "given_pages {given_pages}, expected 1 to 2**34")


def check_events(events, path, go):
    """Check the columns of a case against each other.

    Raises
    ------
    FormatError
        Naming ``path``, the event index or list row, and the reason.
    """
    n = len(events.kind)
    for name in COLUMNS:
        if len(getattr(events, name)) != n:
            raise FormatError(f"{path}: {name} has {len(getattr(events, name))} rows, kind has {n}")
    checker = _Checker(path, events)
    checker.columns()
    checker.stacks()
    checker.specials()
    checker.phases()
    checker.collections()
    checker.per_collection("dead", "dead_offsets")
    checker.dead_once()
    checker.per_collection("revived", "revived_offsets")
    if go != "go1.19":
        checker.per_collection("page_marked", "page_marked_offsets")
        checker.given()
