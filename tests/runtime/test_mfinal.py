"""mfinal: specials added to an object and taken off again, one function of Go's after the other."""

import itertools

import pytest
from naive_specials import CLEANUP, FINALIZER, PIN_COUNTER, PROFILE, REACHABLE, TINY_BLOCK, WEAK_HANDLE
from runtime.specials import (
    ADDFINALIZER,
    ADDSPECIAL,
    FIND,
    GIVE,
    KNOWN,
    QUEUE,
    REMOVE,
    REMOVEFINALIZER,
    REMOVESPECIAL,
    ROOM,
    SETPROFILE,
    Specials,
)

from mheaplab.params import SPECIAL_BYTES
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import SPAN_MANUAL, SPECIAL_NAMES

SLOT = 48
SPC = 10
"""Span class of slots of 48 bytes with pointers."""
TINY = 5
LARGE = 1
YES, NO = [1], [0]
"""What the driver tells of what was done and what was not."""
FN = 7
KINDS = {"go1.19": (FINALIZER, PROFILE, REACHABLE), "go1.27": tuple(range(1, 8))}
EACH_KIND = [pytest.param(go, kind, id=f"{go} {SPECIAL_NAMES[kind]}") for go in KINDS for kind in KINDS[go]]


def with_span(go="go1.19", spc=SPC, npages=1, **room):
    """Return a heap whose current span is not the first of its arena."""
    now = Specials(go, **room)
    now.new(TINY)
    now.new(spc, npages)
    return now


def add(now, offset, kind, value=0, force=False):
    """Make a special and hang it by ``addspecial``; return its index, 0 if it was refused."""
    index = now.make(kind, value)
    return index if now.do(ADDSPECIAL, now.base + offset, index, force) == YES else 0


# ------------------------------------------------------------------------------------------- addspecial


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_add_keeps_the_list_sorted(order):
    """By offset, and by kind at the same offset."""
    now = with_span()
    specials = [(0, PROFILE, 1), (0, REACHABLE, 2), (5, FINALIZER, 3), (SLOT, FINALIZER, 4)]
    indexes = {k: add(now, *specials[k]) for k in order}
    assert now.hung() == specials
    assert now.listed() == [indexes[k] for k in range(4)] and now.page_bit()


@pytest.mark.parametrize("place", range(3))
def test_add_refuses_a_second_of_its_kind(place):
    now = with_span()
    specials = [(0, FINALIZER, 1), (0, PROFILE, 2), (SLOT, FINALIZER, 3)]
    for special in specials:
        assert add(now, *special)
    offset, kind, _ = specials[place]
    before = now.listed()
    assert not add(now, offset, kind, 9)
    assert now.listed() == before and now.hung() == specials
    assert add(now, offset + 1, kind, 9), "one byte further is another place"


def test_add_by_force():
    """A forced special stands before those of its kind that are there."""
    now = with_span("go1.27")
    first, second = add(now, 0, CLEANUP, 1), add(now, 0, CLEANUP, 2, force=True)
    finalizer = add(now, 0, FINALIZER, 3, force=True)
    assert now.listed() == [finalizer, second, first]


@pytest.mark.parametrize("act", ["add", "remove", "find"])
def test_the_span_is_swept_first(act):
    now = with_span("go1.27")
    add(now, 0, FINALIZER, FN), add(now, SLOT, PROFILE, 1), add(now, 2 * SLOT, PROFILE, 1)
    now.collect([0, 1], sweep=False)
    assert int(now.span()["sweepgen"]) == int(now.h.sweepgen) - 2 and now.queue() == []
    if act == "add":
        assert add(now, 3 * SLOT, FINALIZER, 1)
    elif act == "remove":
        assert now.do(REMOVESPECIAL, now.base + 3 * SLOT, FINALIZER) == [0]
    else:
        assert now.do(FIND, now.base + 3 * SLOT, FINALIZER) == [0]
    assert int(now.span()["sweepgen"]) == int(now.h.sweepgen)
    assert now.queue() == [(now.base, FN)] and int(now.h.stats.prof_frees) == 1
    assert now.hung()[0] == (2 * SLOT, PROFILE, 1) and len(now.hung()) == 1 + (act == "add")


def test_add_to_a_large_object():
    now = with_span(spc=LARGE, npages=20)
    assert add(now, 0, FINALIZER, 1) and add(now, 19 * 8192 + 8191, PROFILE, 2) and add(now, 70000, PROFILE, 3)
    assert now.hung() == [(0, FINALIZER, 1), (70000, PROFILE, 3), (19 * 8192 + 8191, PROFILE, 2)]


# what is wrong with the address: where it lies from the span's base, and a state that the span is given
INVALID = [
    pytest.param(-0x4000000000, None, id="in no arena"),
    pytest.param(1 << 20, None, id="in no span"),
    pytest.param(170 * SLOT, None, id="behind the last slot"),
    pytest.param(0, int(SPAN_MANUAL), id="in a manual span"),
]
ON_POINTERS = [
    (ADDSPECIAL, "addspecial on invalid pointer"),
    (REMOVESPECIAL, "removespecial on invalid pointer"),
    (FIND, "getWeakHandle on invalid pointer"),
]


@pytest.mark.parametrize("where, state", INVALID)
@pytest.mark.parametrize("function, message", ON_POINTERS)
def test_invalid_pointers(where, state, function, message):
    now = with_span()
    index = now.make(FINALIZER)
    if state is not None:
        now.span()["state"] = state
    with pytest.raises(Throw, match=message):
        now.do(function, now.base + where, index if function == ADDSPECIAL else FINALIZER)


@pytest.mark.parametrize("act", ["add", "remove"])
def test_pin_of_an_invalid_pointer(act):
    now = with_span("go1.27")
    with pytest.raises(Throw, match="pin of an invalid pointer"):
        now.add(1 << 20, PIN_COUNTER) if act == "add" else now.do(REMOVE, 1 << 20, PIN_COUNTER)


# ----------------------------------------------------------------------------------------- removespecial


@pytest.mark.parametrize("place", range(3))
def test_remove(place):
    now = with_span()
    specials = [(0, FINALIZER, 1), (0, PROFILE, 2), (SLOT, FINALIZER, 3)]
    indexes = [add(now, *special) for special in specials]
    offset, kind, _ = specials.pop(place)
    in_use = now.in_use(kind)
    assert now.do(REMOVESPECIAL, now.base + offset, kind) == [indexes[place]]
    assert now.hung() == specials and now.page_bit()
    assert now.in_use(kind) == in_use, "the caller frees the record"
    assert now.do(REMOVESPECIAL, now.base + offset, kind) == [0], "it is gone"


@pytest.mark.parametrize("offset, kind", [(0, FINALIZER), (0, REACHABLE), (1, PROFILE), (SLOT, PROFILE)])
def test_remove_what_is_not_there(offset, kind):
    now = with_span()
    add(now, 0, PROFILE, 2)
    assert now.do(REMOVESPECIAL, now.base + offset, kind) == [0]
    assert now.hung() == [(0, PROFILE, 2)] and now.page_bit()


def test_removing_the_last_clears_the_bit():
    now = with_span()
    add(now, 0, PROFILE), add(now, SLOT, PROFILE)
    for offset, left in ((SLOT, True), (0, False)):
        now.do(REMOVESPECIAL, now.base + offset, PROFILE)
        assert now.page_bit() == left


# --------------------------------------------------------------------- finalizers, profiles, and by kind


def test_finalizer():
    """addfinalizer and removefinalizer: one for each object, and no record is lost."""
    now = with_span()
    p = now.base + SLOT
    assert now.do(ADDFINALIZER, p, FN) == YES and now.hung() == [(SLOT, FINALIZER, FN)]
    assert now.do(ADDFINALIZER, p, 8) == NO and now.hung() == [(SLOT, FINALIZER, FN)]
    assert now.in_use(FINALIZER) == 48
    assert now.do(ADDFINALIZER, p + SLOT, 8) == YES and now.in_use(FINALIZER) == 96
    assert now.do(REMOVEFINALIZER, p) == YES and now.in_use(FINALIZER) == 48
    assert now.do(REMOVEFINALIZER, p) == NO and now.in_use(FINALIZER) == 48
    assert now.hung() == [(2 * SLOT, FINALIZER, 8)] and now.queue() == []


def test_removefinalizer_leaves_the_other_kinds():
    now = with_span()
    now.add(0, PROFILE, 1)
    assert now.do(REMOVEFINALIZER, now.base) == NO
    now.do(ADDFINALIZER, now.base, FN)
    assert now.do(REMOVEFINALIZER, now.base) == YES and now.hung() == [(0, PROFILE, 1)]


def test_setprofilebucket():
    now = with_span()
    now.do(SETPROFILE, now.base, 41), now.do(SETPROFILE, now.base + SLOT, 42)
    assert now.hung() == [(0, PROFILE, 41), (SLOT, PROFILE, 42)] and now.in_use(PROFILE) == 48
    with pytest.raises(Throw, match="setprofilebucket: profile already set"):
        now.do(SETPROFILE, now.base, 43)


def test_a_profile_may_be_set_again_once_the_object_died():
    now = with_span()
    now.do(SETPROFILE, now.base, 1)
    now.collect([0])
    now.do(SETPROFILE, now.base, 2)
    assert now.hung() == [(0, PROFILE, 2)]


@pytest.mark.parametrize("go, kind", EACH_KIND)
def test_add_and_remove_by_kind(go, kind):
    """add_special_of and remove_special_of: what a second one does, and that all records come back."""
    now = with_span(go)
    nbytes = SPECIAL_BYTES[go][SPECIAL_NAMES[kind]]
    assert now.do(REMOVE, SLOT, kind) == NO
    assert now.add(SLOT, kind, FN)
    assert now.hung() == [(SLOT, kind, 1 if kind == PIN_COUNTER else FN)] and now.in_use(kind) == nbytes
    if kind == PROFILE:
        with pytest.raises(Throw, match="profile already set"):
            now.add(SLOT, kind, 8)
        return
    assert now.add(SLOT, kind, 8) == (kind in (PIN_COUNTER, CLEANUP))
    assert now.in_use(kind) == (2 if kind == CLEANUP else 1) * nbytes
    if kind in (PIN_COUNTER, CLEANUP):
        assert now.do(REMOVE, SLOT, kind) == YES
    assert now.hung() == [(SLOT, kind, 1 if kind == PIN_COUNTER else FN)]
    assert now.do(REMOVE, SLOT, kind) == YES and now.do(REMOVE, SLOT, kind) == NO
    assert now.hung() == [] and now.in_use(kind) == 0 and not now.page_bit()


def test_pin_counter():
    """incPinCounter and decPinCounter: up from 1, down to nothing; the value given does not matter."""
    now = with_span("go1.27")
    for count in (1, 2, 3):
        assert now.add(0, PIN_COUNTER, 99) and now.hung() == [(0, PIN_COUNTER, count)]
    for count in (2, 1):
        assert now.do(REMOVE, 0, PIN_COUNTER) == YES and now.hung() == [(0, PIN_COUNTER, count)]
    assert now.do(REMOVE, 0, PIN_COUNTER) == YES and now.hung() == []
    assert now.do(REMOVE, 0, PIN_COUNTER) == NO


@pytest.mark.parametrize("spc, npages, slot", [(TINY, 1, 16), (SPC, 1, SLOT), (LARGE, 5, 5 * 8192)])
def test_a_pin_is_of_the_whole_slot(spc, npages, slot):
    """Two objects in one tiny block share its counter."""
    now = with_span("go1.27", spc, npages)
    last = slot * (int(now.span()["nelems"]) - 1)
    assert now.add(last + 4, PIN_COUNTER) and now.add(last + slot - 1, PIN_COUNTER)
    assert now.hung() == [(last, PIN_COUNTER, 2)]
    assert now.do(REMOVE, last + 9, PIN_COUNTER) == YES and now.do(REMOVE, last, PIN_COUNTER) == YES
    assert now.hung() == []


def test_an_object_has_one_weak_handle():
    """Who asks for a second one gets the first, and no record is made, which the end of a chunk would show."""
    now = with_span("go1.27")
    assert now.add(0, WEAK_HANDLE, 1)
    f = now.h.specialalloc[WEAK_HANDLE]
    left = int(f["chunk_left"])
    assert not now.add(0, WEAK_HANDLE, 2) and int(f["chunk_left"]) == left
    assert now.add(1, WEAK_HANDLE, 2) and int(f["chunk_left"]) == left - 1


@pytest.mark.parametrize("kind", [FINALIZER, TINY_BLOCK, REACHABLE])
def test_a_refused_record_is_freed(kind):
    now = with_span("go1.27")
    now.add(0, kind, 1)
    for _ in range(3):
        assert not now.add(0, kind, 2)
    assert int(now.h.specials_len) == 3 and now.hung() == [(0, kind, 1)]


def test_find_special():
    now = with_span("go1.27")
    index, other = add(now, SLOT, WEAK_HANDLE, 1), add(now, SLOT, CLEANUP, 1)
    assert now.do(FIND, now.base + SLOT, WEAK_HANDLE) == [index]
    assert now.do(FIND, now.base + SLOT, CLEANUP) == [other]
    for offset, kind in ((0, WEAK_HANDLE), (SLOT + 1, WEAK_HANDLE), (SLOT, PROFILE), (2 * SLOT, CLEANUP)):
        assert now.do(FIND, now.base + offset, kind) == [0]
    assert now.listed() == [index, other], "it stays"


# -------------------------------------------------------------------------------------------------- room


@pytest.mark.parametrize("go", KINDS)
def test_known_kinds(go):
    now = Specials(go)
    assert [k for k in range(-1, 12) if now.do(KNOWN, k) == YES] == list(KINDS[go])


def test_room_for_records():
    now = Specials(specials=4)
    for left in (2, 1, 0):
        assert now.do(ROOM) == YES
        now.make(PROFILE), now.do(QUEUE, 0, left)
    assert now.do(ROOM) == NO


@pytest.mark.parametrize("kind", [FINALIZER, CLEANUP])
def test_room_for_the_queue(kind):
    """Each finalizer and cleanup that hangs somewhere will want a row of the queue one day; other kinds do not."""
    now = Specials("go1.27", finalizers=3)
    for other in (PROFILE, PIN_COUNTER, WEAK_HANDLE, REACHABLE):
        now.make(other), now.make(other)
    now.do(QUEUE, 0, 1)
    assert now.do(ROOM) == YES
    index = now.make(kind)
    assert now.do(ROOM) == YES
    now.make(kind)
    assert now.do(ROOM) == NO
    now.do(GIVE, index)
    assert now.do(ROOM) == YES
