"""mheap_specials: records of specials, the iterator over a span's list, and what a sweep does to each kind.

Most tests hang specials on the objects of one span, end a collection that found some objects dead, and sweep the span.
Object k of a span of 48-byte slots begins at offset 48 k.
"""

import numpy as np
import pytest
from naive_specials import CLEANUP, FINALIZER, PIN_COUNTER, PROFILE, REACHABLE, TINY_BLOCK, WEAK_HANDLE
from runtime.specials import (
    ADDSPECIAL,
    ALL,
    ASK,
    BIT,
    END,
    FREE,
    GIVE,
    ITERATE,
    MAKE,
    QUEUE,
    REMOVE,
    RESULT,
    SPLICE,
    SWEEP,
    Specials,
)

from mheaplab.params import SPECIAL_BYTES
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import SPAN_DEAD, SPECIAL_NAMES

PAGE = 8192
SLOT = 48
SPC = 10
"""Span class of slots of 48 bytes with pointers."""
TINY = 5
"""Span class of the tiny allocator's blocks of 16 bytes."""
LARGE = 1
FN = 7
"""What a finalizer or cleanup of a test would run."""
OTHER = 8
KINDS = {"go1.19": (FINALIZER, PROFILE, REACHABLE), "go1.27": tuple(range(1, 8))}
EACH_KIND = [pytest.param(go, kind, id=f"{go} {SPECIAL_NAMES[kind]}") for go in KINDS for kind in KINDS[go]]


def with_span(go="go1.19", spc=SPC, npages=1):
    """Return a heap whose current span is not the first of its arena."""
    now = Specials(go)
    now.new(TINY)
    now.new(spc, npages)
    return now


# -------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize("go, kind", EACH_KIND)
def test_records_of_a_kind(go, kind):
    """special, specialfinalizer, specialprofile, specialReachable: one fixalloc each, of Go's size."""
    now = Specials(go)
    nbytes = SPECIAL_BYTES[go][SPECIAL_NAMES[kind]]
    first, second = now.make(kind, 5), now.make(kind)
    assert (first, second) == (1, 2) and now.in_use(kind) == 2 * nbytes
    assert int(now.h.specialalloc[kind]["sys"]) == 16384 // nbytes * nbytes
    now.record(first)["offset"], now.record(first)["next"] = 99, second
    now.record(first)["done"], now.record(first)["reachable"] = 1, 1
    now.do(GIVE, first)
    assert now.in_use(kind) == nbytes and int(now.record(first)["kind"]) == 0
    other = next(k for k in KINDS[go] if k != kind)
    assert now.make(other) == 3, "another kind has records of its own"
    assert now.do(MAKE, kind) == [first]
    assert now.record(first).tolist() == (0, kind, 0, 0, now.record(first)["_pad"].tolist(), 0, 0)
    assert sum(now.in_use(k) for k in KINDS[go] if k not in (kind, other)) == 0


def test_records_are_taken_in_chunks():
    now = Specials()
    f = now.h.specialalloc[FINALIZER]
    per_chunk = 16384 // 48
    for _ in range(per_chunk):
        last = now.make(FINALIZER)
    assert (int(f["sys"]), int(f["chunk_left"])) == (per_chunk * 48, 0)
    now.do(GIVE, last)
    assert now.make(FINALIZER) == last and int(f["sys"]) == per_chunk * 48
    now.make(FINALIZER)
    assert (int(f["sys"]), int(f["chunk_left"])) == (2 * per_chunk * 48, per_chunk - 1)


@pytest.mark.parametrize("kind", [-1, 0, 8])
def test_records_of_no_kind(kind):
    with pytest.raises(Throw, match="bad special kind"):
        Specials("go1.27").do(MAKE, kind)


def test_out_of_records():
    now = Specials(specials=3)
    now.make(PROFILE), now.make(FINALIZER)
    with pytest.raises(Throw, match="out of special records"):
        now.do(MAKE, PROFILE)


# ------------------------------------------------------------------------------------------------- iterator


def three(now):
    """Hang three specials on the current span; return their indexes in the order of the list."""
    now.add(96, PROFILE, 3)
    now.add(0, PROFILE, 1)
    now.add(0, REACHABLE, 2)
    return now.listed()


def test_iterator_of_an_empty_list():
    now = with_span()
    assert now.do(ITERATE, 0) == [0, 0, 0, END]


@pytest.mark.parametrize("steps", range(4))
def test_iterator_next(steps):
    """newSpecialsIter, valid and next: (valid, prev, current) after so many steps."""
    now = with_span()
    a, b, c = three(now)
    listed = [0, PROFILE, 1, 0, REACHABLE, 2, 96, PROFILE, 3, END]
    assert now.do(ITERATE, steps) == [steps < 3, (0, a, b, c)[steps], (a, b, c, 0)[steps], *listed]


@pytest.mark.parametrize("steps", range(3))
def test_iterator_unlink_and_next(steps):
    """unlinkAndNext: the special is off the list, the next one is current, and prev stays."""
    now = with_span()
    a, b, c = three(now)
    rows = [[0, PROFILE, 1], [0, REACHABLE, 2], [96, PROFILE, 3]]
    told = now.do(ITERATE, steps, 1)
    assert told[:4] == [1, (0, a, b)[steps], (a, b, c)[steps], (b, c, 0)[steps]]
    del rows[steps]
    assert told[4:] == [*rows[0], *rows[1], END]
    assert int(now.span()["specials"]) == (b if steps == 0 else a)


# offset and kind looked for; where they belong: behind which of the three, before which (counted from 1), found or not
SPLICES = [
    (0, FINALIZER, 0, 1, 0),
    (0, PROFILE, 0, 1, 1),
    (0, REACHABLE, 1, 2, 1),
    (0, CLEANUP, 2, 3, 0),
    (48, PROFILE, 2, 3, 0),
    (96, FINALIZER, 2, 3, 0),
    (96, PROFILE, 2, 3, 1),
    (96, REACHABLE, 3, 0, 0),
    (97, FINALIZER, 3, 0, 0),
]


@pytest.mark.parametrize("offset, kind, behind, before, found", SPLICES)
def test_splice_point(offset, kind, behind, before, found):
    now = with_span()
    places = [0, *three(now)]
    assert now.do(SPLICE, offset, kind) == [places[behind], places[before], found]


def test_splice_point_in_an_empty_list():
    assert with_span().do(SPLICE, 0, FINALIZER) == [0, 0, 0]


# ------------------------------------------------------------------------------------------------ page bits


def test_span_has_specials():
    """spanHasSpecials and spanHasNoSpecials: the bit of the span's first page, and no other."""
    now = Specials()
    pages = []
    for _ in range(70):
        now.new(2 * 44, 2)
        pages.append((now.base % (64 << 20)) // PAGE)
        now.do(BIT, 1)
    words = now.state.tables["heap_arenas"][1]["page_specials"]
    assert np.flatnonzero(np.unpackbits(words.view("u1"), bitorder="little")).tolist() == pages == [*range(0, 140, 2)]
    now.do(BIT, 0)
    assert np.flatnonzero(np.unpackbits(words.view("u1"), bitorder="little")).tolist() == pages[:-1]


def test_page_bit_follows_the_list():
    now = with_span()
    assert not now.page_bit()
    now.add(0, FINALIZER), now.add(48, PROFILE)
    assert now.page_bit()
    assert now.do(REMOVE, 0, FINALIZER) == [1] and now.page_bit()
    assert now.do(REMOVE, 48, PROFILE) == [1] and not now.page_bit()


def test_page_bit_after_a_sweep():
    now = with_span()
    now.add(0, PROFILE), now.add(48, PROFILE)
    now.collect([0])
    assert now.page_bit(), "one is left"
    now.collect([1])
    assert not now.page_bit()


# -------------------------------------------------------------------------------------------- freeing a special


def test_queue_is_in_order():
    now = Specials()
    now.do(QUEUE, 100, 1), now.do(QUEUE, 50, 2), now.do(QUEUE, 0, 1)
    assert now.queue() == [(100, 1), (50, 2), (0, 1)]


@pytest.mark.parametrize("go, kind", EACH_KIND)
def test_free_special(go, kind):
    """freeSpecial on the object at 1000, in a slot of 48 bytes."""
    now = Specials(go)
    index = now.make(kind, FN)
    nbytes = now.in_use(kind)
    now.do(FREE, index, 1000, SLOT)
    assert now.queue() == {FINALIZER: [(1000, FN)], CLEANUP: [(0, FN)]}.get(kind, [])
    profile = (int(now.h.stats.prof_frees), int(now.h.stats.prof_free_bytes))
    assert profile == ((1, SLOT) if kind == PROFILE else (0, 0))
    if kind == REACHABLE:
        assert now.in_use(kind) == nbytes and now.do(RESULT, index) == [0], "whoever made it frees it"
    else:
        assert now.in_use(kind) == 0 and now.make(kind) == index


@pytest.mark.parametrize("kind", [0, 8, 255])
def test_free_special_of_a_bad_kind(kind):
    now = Specials("go1.27")
    index = now.make(FINALIZER)
    now.record(index)["kind"] = kind
    with pytest.raises(Throw, match="bad special kind"):
        now.do(FREE, index, 1000, SLOT)


# ------------------------------------------------------------------------------------------------- sweeping

# Go version, the kinds that hang on an object, and of two collections that find it dead: what is queued (an object's
# finalizer "obj", or 0 for a cleanup), what still hangs, whether the object survived, and profile records counted
CYCLES = [
    pytest.param("go1.19", [FINALIZER], (["obj"], [], True, 0), ([], [], False, 0), id="finalizer"),
    pytest.param("go1.19", [PROFILE], ([], [], False, 1), ([], [], False, 1), id="profile"),
    pytest.param(
        "go1.19", [FINALIZER, PROFILE], (["obj"], [PROFILE], True, 0), ([], [], False, 1), id="finalizer and profile"
    ),
    pytest.param("go1.27", [WEAK_HANDLE], ([], [], False, 0), ([], [], False, 0), id="weak handle"),
    pytest.param(
        "go1.27", [FINALIZER, WEAK_HANDLE], (["obj"], [], True, 0), ([], [], False, 0), id="weak handle at revival"
    ),
    pytest.param("go1.27", [CLEANUP], ([0], [], False, 0), ([], [], False, 0), id="a cleanup revives nothing"),
    pytest.param(
        "go1.27", [CLEANUP, CLEANUP, CLEANUP], ([0, 0, 0], [], False, 0), ([], [], False, 0), id="several cleanups"
    ),
    pytest.param(
        "go1.27", [FINALIZER, CLEANUP], (["obj"], [CLEANUP], True, 0), ([0], [], False, 0), id="finalizer and cleanup"
    ),
    pytest.param("go1.27", [TINY_BLOCK, PIN_COUNTER], ([], [], False, 0), ([], [], False, 0), id="pin counter"),
    pytest.param(
        "go1.27",
        [TINY_BLOCK, FINALIZER, WEAK_HANDLE, PROFILE, PIN_COUNTER, CLEANUP],
        (["obj"], [TINY_BLOCK, PROFILE, PIN_COUNTER, CLEANUP], True, 0),
        ([0], [], False, 1),
        id="all kinds",
    ),
]


@pytest.mark.parametrize("go, kinds, first, second", CYCLES)
@pytest.mark.parametrize("noise", [False, True], ids=["alone", "with neighbours"])
def test_two_collections(go, kinds, first, second, noise):
    now = with_span(go)
    others = [(0, PROFILE, 1), (2 * SLOT - 1, FINALIZER, OTHER), (3 * SLOT, FINALIZER, OTHER)] * noise
    for special in others:
        now.add(*special)
    for kind in kinds:
        now.add(2 * SLOT, kind, FN)
    queued = []
    for gets, left, survives, profiled in (first, second):
        now.collect([2])
        queued += [(now.base + 2 * SLOT if what == "obj" else 0, FN) for what in gets]
        assert now.queue() == queued
        assert now.hung() == sorted(others + [(2 * SLOT, k, 1 if k == PIN_COUNTER else FN) for k in left])
        assert now.marked(2) == survives
        assert (int(now.h.stats.prof_frees), int(now.h.stats.prof_free_bytes)) == (profiled, profiled * SLOT)
        assert now.page_bit() == bool(others or left)
        assert int(now.span()["alloc_count"]) == int(now.span()["nelems"]) - (not survives)
    assert {kind: now.in_use(kind) for kind in KINDS[go]} == {
        kind: sum(k == kind for _, k, _ in others) * SPECIAL_BYTES[go][SPECIAL_NAMES[kind]] for kind in KINDS[go]
    }


def test_cleanups_are_queued_newest_first():
    """addCleanup puts each before those that are there."""
    now = with_span("go1.27")
    for fn in (1, 2, 3):
        now.add(0, CLEANUP, fn)
    now.add(SLOT, CLEANUP, 4)
    now.collect([0, 1])
    assert now.queue() == [(0, 3), (0, 2), (0, 1), (0, 4)]


def test_finalizers_in_one_tiny_block():
    """All are queued at once, with the very bytes they were set for, and the block stays for one cycle."""
    now = with_span(spc=TINY)
    for offset in (28, 16, 21, 32):
        now.add(offset, FINALIZER, offset)
    now.add(17, PROFILE, 5)
    now.collect([1])
    assert now.queue() == [(now.base + k, k) for k in (16, 21, 28)]
    assert now.hung() == [(17, PROFILE, 5), (32, FINALIZER, 32)]
    assert now.marked(1)
    now.collect([1])
    assert len(now.queue()) == 3 and now.hung() == [(32, FINALIZER, 32)] and not now.marked(1)
    assert int(now.h.stats.prof_free_bytes) == 16


def test_a_finalizer_saves_its_own_object_only():
    now = with_span()
    now.add(SLOT - 1, PROFILE)
    now.add(SLOT, FINALIZER, FN)
    now.add(2 * SLOT, PROFILE)
    now.collect([0, 1, 2])
    assert [now.marked(k) for k in (0, 1, 2)] == [False, True, False]
    assert now.queue() == [(now.base + SLOT, FN)] and now.hung() == [] and int(now.h.stats.prof_frees) == 2


def test_specials_of_a_marked_object_stay():
    now = with_span("go1.27")
    hung = [(SLOT, k, 1) for k in (TINY_BLOCK, FINALIZER, WEAK_HANDLE, PROFILE, PIN_COUNTER, CLEANUP)]
    for special in hung:
        now.add(*special)
    now.collect([0, 2])
    assert now.hung() == hung and now.queue() == [] and int(now.h.stats.prof_frees) == 0


# objects found dead, and what the reachable specials of objects 0 and 1 learn: -1 nothing, 0 unreachable, 1 reachable
LEARNT = [([], [1, 1]), ([0], [0, 1]), ([0, 1], [0, 0])]


@pytest.mark.parametrize("dead, learnt", LEARNT)
def test_reachable(dead, learnt):
    now = with_span()
    now.add(0, REACHABLE, 1), now.add(SLOT, REACHABLE, 2)
    assert now.do(ASK, 1) + now.do(ASK, 2) == [-1, -1]
    now.collect(dead)
    assert now.hung() == [] and not now.page_bit()
    assert now.in_use(REACHABLE) == 2 * 24
    assert now.do(ASK, 1) + now.do(ASK, 2) == learnt
    assert now.in_use(REACHABLE) == 0


def test_reachable_waits_while_a_finalizer_keeps_the_object():
    now = with_span()
    now.add(0, REACHABLE, 1), now.add(0, FINALIZER, FN)
    now.collect([0])
    assert now.do(ASK, 1) == [-1] and now.hung() == [(0, REACHABLE, 1)]
    now.collect([0])
    assert now.do(ASK, 1) == [0]


def test_result_of_another_kind():
    now = Specials()
    with pytest.raises(Throw, match="bad special kind"):
        now.do(RESULT, now.make(PROFILE))


@pytest.mark.parametrize("go", KINDS)
@pytest.mark.parametrize("spc, npages", [(LARGE, 5), (0, 30), (SPC, 1)], ids=["large", "larger", "small"])
def test_span_whose_only_object_has_a_finalizer(go, spc, npages):
    """It is not freed in the first cycle, and freed in the second."""
    now = with_span(go, spc, npages)
    now.collect([k for k in range(int(now.span()["nelems"])) if k])
    now.add(0, FINALIZER, FN), now.add(0, PROFILE, 1)
    before = int(now.h.stats.heap_in_use)
    now.collect(ALL)
    assert now.queue() == [(now.base, FN)] and now.hung() == [(0, PROFILE, 1)]
    assert int(now.span()["alloc_count"]) == 1 and int(now.h.stats.heap_in_use) == before
    slot = int(now.span()["elemsize"])
    now.collect(ALL)
    assert int(now.span()["state"]) == SPAN_DEAD and int(now.h.stats.heap_in_use) == before - npages * PAGE
    assert int(now.h.stats.prof_free_bytes) == slot and not now.page_bit()
    assert int(now.span()["specials"]) == 0


def test_a_swept_span_is_not_swept_again():
    """The marks of the last collection say nothing about what was hung since."""
    now = with_span()
    now.collect([0, 1])
    now.add(2 * SLOT, REACHABLE, 1)
    now.do(SWEEP)
    assert now.do(ASK, 1) == [-1] and now.do(ADDSPECIAL, now.base + 3 * SLOT, now.make(PROFILE)) == [1]
    assert now.do(RESULT, now.listed()[0]) == [-1]
