"""mspan: states, span classes, one span's record, and mSpanList against a Python list."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.mspan import (
    make_span_class,
    mspan_base,
    mspan_in_list,
    mspan_init,
    mspan_layout,
    mspan_list_init,
    mspan_list_insert,
    mspan_list_insert_back,
    mspan_list_is_empty,
    mspan_list_remove,
    mspan_list_take_all,
    mspan_state_box_get,
    mspan_state_box_set,
    span_alloc_type_manual,
    span_class_noscan,
    span_class_sizeclass,
)
from mheaplab.runtime.structs import (
    MSPAN,
    SPAN_ALLOC_HEAP,
    SPAN_ALLOC_PTR_SCALAR_BITS,
    SPAN_ALLOC_STACK,
    SPAN_ALLOC_WORK_BUF,
    SPAN_DEAD,
    SPAN_IN_USE,
    SPAN_MANUAL,
    SPAN_STATE_NAMES,
)
from mheaplab.runtime.tables import span

MAKE_CLASS, SIZECLASS, NOSCAN, MANUAL, GET, SET, BASE, LAYOUT, INIT, IN_LIST = range(10)
LIST_INIT, IS_EMPTY, INSERT, INSERT_BACK, REMOVE, TAKE_ALL = range(10, 16)
PAGE = 8192
SPANS = 12
LISTS = 4
SEQUENCES = 300 if COMPILED else 30


@entry
def drive_span(h, ops, got):
    """Apply ``ops``, rows (kind, a, b, c), of which ``a`` is a span, if it is about one."""
    for k in range(len(ops)):
        kind, a, b, c = ops[k, 0], ops[k, 1], ops[k, 2], ops[k, 3]
        if kind == MAKE_CLASS:
            got[k, 0] = make_span_class(a, b != 0)
        elif kind == SIZECLASS:
            got[k, 0] = span_class_sizeclass(a)
        elif kind == NOSCAN:
            got[k, 0] = np.int64(span_class_noscan(a))
        elif kind == MANUAL:
            got[k, 0] = np.int64(span_alloc_type_manual(a))
        elif kind == GET:
            got[k, 0] = mspan_state_box_get(span(h, a))
        elif kind == SET:
            mspan_state_box_set(span(h, a), b)
        elif kind == BASE:
            got[k, 0] = mspan_base(span(h, a))
        elif kind == LAYOUT:
            got[k, 0], got[k, 1], got[k, 2] = mspan_layout(span(h, a))
        elif kind == INIT:
            mspan_init(span(h, a), b, c)
        elif kind == IN_LIST:
            got[k, 0] = np.int64(mspan_in_list(span(h, a)))


@entry
def drive_lists(h, ops, got):
    """Apply ``ops``, rows (kind, list, span or other list)."""
    for k in range(len(ops)):
        kind, a, b = ops[k, 0], ops[k, 1], ops[k, 2]
        if kind == LIST_INIT:
            mspan_list_init(h, a)
        elif kind == IS_EMPTY:
            got[k, 0] = np.int64(mspan_list_is_empty(h, a))
        elif kind == INSERT:
            mspan_list_insert(h, a, b)
        elif kind == INSERT_BACK:
            mspan_list_insert_back(h, a, b)
        elif kind == REMOVE:
            mspan_list_remove(h, a, b)
        elif kind == TAKE_ALL:
            mspan_list_take_all(h, a, b)


def drive(state, *ops):
    """Run ``ops``, all of lists or none, and return the rows of answers."""
    table = np.array([list(op) + [0] * (4 - len(op)) for op in ops], np.int64)
    got = np.zeros((len(ops), 3), np.int64)
    (drive_lists if table[0, 0] >= LIST_INIT else drive_span)(state.h, table, got)
    return got.tolist()


def answers(state, *ops):
    """Run ``ops`` and return the first part of each answer."""
    return [row[0] for row in drive(state, *ops)]


@pytest.fixture
def heap():
    """A heap with ``SPANS`` zeroed records of spans."""
    state = new_state()
    state.h.spans_len = SPANS + 1
    return state


# ------------------------------------------------------------------------------------------------ one function each


def test_state_names():
    """mSpanStateNames: the names of mSpanDead, mSpanInUse and mSpanManual, in the order of their numbers."""
    assert SPAN_STATE_NAMES == ("mSpanDead", "mSpanInUse", "mSpanManual")
    assert [SPAN_STATE_NAMES[s] for s in (SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL)] == list(SPAN_STATE_NAMES)


def test_state_box(heap):
    """mSpanStateBox: get returns what set has set, of that span alone."""
    for value in (SPAN_MANUAL, SPAN_IN_USE, SPAN_DEAD):
        drive(heap, (SET, 3, value))
        assert answers(heap, (GET, 3), (GET, 2), (GET, 4)) == [value, 0, 0]
        assert int(heap.tables["spans"][3]["state"]) == value


@pytest.mark.parametrize("value", [-1, 3, 256, 1 << 40])
def test_state_box_refuses_other_values(heap, value):
    drive(heap, (SET, 3, SPAN_MANUAL))
    with pytest.raises(Throw, match="bad span state"):
        drive(heap, (SET, 3, value))
    assert answers(heap, (GET, 3)) == [SPAN_MANUAL]


def test_span_class(heap):
    """makeSpanClass, sizeclass, noscan: a span class for each size class, with pointers and without."""
    pairs = [(c, noscan) for c in range(68) for noscan in (0, 1)]
    classes = answers(heap, *[(MAKE_CLASS, c, noscan) for c, noscan in pairs])
    assert classes == list(range(136))
    assert answers(heap, *[(SIZECLASS, spc) for spc in classes]) == [c for c, _ in pairs]
    assert answers(heap, *[(NOSCAN, spc) for spc in classes]) == [noscan for _, noscan in pairs]


def test_span_alloc_type_manual(heap):
    """spanAllocType.manual: all but heap spans."""
    types = (SPAN_ALLOC_HEAP, SPAN_ALLOC_STACK, SPAN_ALLOC_PTR_SCALAR_BITS, SPAN_ALLOC_WORK_BUF)
    assert answers(heap, *[(MANUAL, typ) for typ in types]) == [0, 1, 1, 1]


def test_base(heap):
    heap.tables["spans"]["start_addr"][2:4] = 0xC000000000, (1 << 47) - PAGE
    assert answers(heap, (BASE, 2), (BASE, 3), (BASE, 4)) == [0xC000000000, (1 << 47) - PAGE, 0]


# pages, bytes of a slot; slots that fit
LAYOUTS = [(1, 8, 1024), (1, 48, 170), (4, 28672, 1), (13, 13 * PAGE, 1), (3, 0, 0), (1 << 30, PAGE, 1 << 30)]


@pytest.mark.parametrize("npages, elemsize, slots", LAYOUTS)
def test_layout(heap, npages, elemsize, slots):
    s = heap.tables["spans"][5]
    s["npages"], s["elemsize"] = npages, elemsize
    assert drive(heap, (LAYOUT, 5)) == [[elemsize, slots, npages * PAGE]]


SURVIVES_INIT = {"sweepgen", "seen", "unused", "free_link", "limit", "nelems", "div_mul", "alloc_cache"}
SURVIVES_INIT |= {"scav", "event", "alloc_type", "slots", "manual_free_list", "tiny", "_pad"}
"""Fields of which mspan.init says nothing: they are set by allocSpan, mean nothing in a dead span, or outlive it."""


def test_init(heap):
    """mspan.init: a dead span of these pages. Its sweepgen survives, since a sweeper may look at the dead record."""
    table = heap.tables["spans"]
    table[4:7].view("u1")[:] = 0xFF
    before = table[4].copy()
    drive(heap, (INIT, 5, 0xC000004000, 7))
    s = table[5]
    assert {name for name in MSPAN.names if np.array_equal(s[name], before[name])} == SURVIVES_INIT
    assert (int(s["start_addr"]), int(s["npages"]), int(s["state"])) == (0xC000004000, 7, SPAN_DEAD)
    zeroed = set(MSPAN.names) - SURVIVES_INIT - {"start_addr", "npages"}
    assert not any(int(s[name]) for name in zeroed)
    assert table[4] == before and table[6] == before, "the neighbours"


def test_in_list(heap):
    drive(heap, (INSERT, 0, 1), (INSERT, 3, 2))
    assert answers(heap, (IN_LIST, 1), (IN_LIST, 2), (IN_LIST, 3)) == [1, 1, 0]
    drive(heap, (REMOVE, 0, 1))
    assert answers(heap, (IN_LIST, 1), (IN_LIST, 2)) == [0, 1]


# -------------------------------------------------------------------------------------------------------- lists


def links(state):
    """Return each list as (forwards, backwards), following the links until they end or have gone too far."""
    found = []
    for which in range(LISTS):
        q = state.h.span_lists[which]
        ends = []
        for start, link in (("first", "next"), ("last", "prev")):
            index, spans = int(q[start]), []
            while index and len(spans) <= SPANS:
                spans.append(index)
                index = int(state.tables["spans"][index][link])
            ends.append(spans)
        found.append((ends[0], ends[1][::-1]))
    return found


def check_lists(state, want):
    """Check the lists both ways, and for each span whether it is in a list, in which, and that it links to nothing."""
    assert links(state) == [(spans, spans) for spans in want]
    for index in range(1, SPANS + 1):
        s = state.tables["spans"][index]
        owner = next((which + 1 for which, spans in enumerate(want) if index in spans), 0)
        assert int(s["list"]) == owner
        if owner == 0:
            assert (int(s["next"]), int(s["prev"])) == (0, 0)


# operations, the first two lists afterwards
LIST_OPS = [
    pytest.param([(INSERT, 0, 1), (INSERT, 0, 2), (INSERT, 0, 3)], [3, 2, 1], [], id="insert: in front"),
    pytest.param([(INSERT_BACK, 0, 1), (INSERT_BACK, 0, 2)], [1, 2], [], id="insertBack: at the end"),
    pytest.param([(INSERT, 0, 1), (INSERT_BACK, 0, 2), (INSERT, 0, 3)], [3, 1, 2], [], id="both"),
    pytest.param([(INSERT, 0, 1), (REMOVE, 0, 1)], [], [], id="remove: the only one"),
    pytest.param([*((INSERT_BACK, 0, k) for k in (1, 2, 3)), (REMOVE, 0, 1)], [2, 3], [], id="remove: the first"),
    pytest.param([*((INSERT_BACK, 0, k) for k in (1, 2, 3)), (REMOVE, 0, 2)], [1, 3], [], id="remove: the middle"),
    pytest.param([*((INSERT_BACK, 0, k) for k in (1, 2, 3)), (REMOVE, 0, 3)], [1, 2], [], id="remove: the last"),
    pytest.param([(INSERT, 0, 1), (TAKE_ALL, 0, 1)], [1], [], id="takeAll: of nothing"),
    pytest.param([(INSERT, 1, 1), (INSERT, 1, 2), (TAKE_ALL, 0, 1)], [2, 1], [], id="takeAll: into an empty list"),
    pytest.param([*((INSERT_BACK, k > 2, k) for k in (1, 2, 3, 4)), (TAKE_ALL, 0, 1)], [3, 4, 1, 2], [],
                 id="takeAll: in front"),
    pytest.param([(INSERT, 0, 1), (TAKE_ALL, 1, 0), (INSERT, 0, 2), (INSERT_BACK, 1, 3)], [2], [1, 3],
                 id="both are used on"),
]


@pytest.mark.parametrize("ops, first, second", LIST_OPS)
def test_lists(heap, ops, first, second):
    drive(heap, *ops)
    check_lists(heap, [first, second, [], []])


def test_list_init_and_is_empty(heap):
    """mSpanList.init forgets the spans without touching them; isEmpty looks at the list alone."""
    drive(heap, (INSERT, 0, 1), (INSERT, 2, 2), (INSERT, 2, 3))
    assert answers(heap, *[(IS_EMPTY, which) for which in range(LISTS)]) == [0, 1, 0, 1]
    drive(heap, (LIST_INIT, 2))
    assert answers(heap, *[(IS_EMPTY, which) for which in range(LISTS)]) == [0, 1, 1, 1]
    assert (int(heap.h.span_lists[2].first), int(heap.h.span_lists[2].last)) == (0, 0)
    assert int(heap.tables["spans"][2]["list"]) == 3 and links(heap)[0] == ([1], [1])


# operation on list 0, which has span 1 (list 1 has spans 2 and 3), Go's words
WRONG = [
    ((INSERT, 0, 1), r"mSpanList\.insert\b"),
    ((INSERT, 0, 2), r"mSpanList\.insert\b"),
    ((INSERT_BACK, 0, 1), r"mSpanList\.insertBack\b"),
    ((INSERT_BACK, 0, 3), r"mSpanList\.insertBack\b"),
    ((REMOVE, 0, 2), r"mSpanList\.remove\b"),
    ((REMOVE, 0, 4), r"mSpanList\.remove\b"),
]


@pytest.mark.parametrize("op, words", WRONG)
def test_list_throws(heap, op, words):
    """A span that is in a list cannot be put into one, and one that is not in this list cannot be taken out."""
    drive(heap, (INSERT, 0, 1), (INSERT, 1, 3), (INSERT, 1, 2))
    with pytest.raises(Throw, match=words):
        drive(heap, op)
    check_lists(heap, [[1], [2, 3], [], []])


@pytest.mark.parametrize("kind", [INSERT, INSERT_BACK])
@pytest.mark.parametrize("field", ["next", "prev", "list"])
def test_insert_of_a_span_with_any_link(heap, kind, field):
    heap.tables["spans"][4][field] = 2
    with pytest.raises(Throw, match="mSpanList.insert"):
        drive(heap, (kind, 0, 4))


def random_step(rng, lists):
    """Do a random legal step on Python lists; return it as an operation."""
    which = int(rng.integers(LISTS))
    outside = sorted(set(range(1, SPANS + 1)) - {k for spans in lists for k in spans})
    kind = int(rng.choice([INSERT, INSERT_BACK, REMOVE, TAKE_ALL], p=[0.35, 0.35, 0.2, 0.1]))
    if kind == TAKE_ALL:
        other = (which + int(rng.integers(1, LISTS))) % LISTS
        lists[which][:0] = lists[other]
        lists[other] = []
        return kind, which, other
    if kind == REMOVE or not outside:
        if not lists[which]:
            return IS_EMPTY, which, 0
        index = int(rng.choice(lists[which]))
        lists[which].remove(index)
        return REMOVE, which, index
    index = int(rng.choice(outside))
    lists[which].insert(0 if kind == INSERT else len(lists[which]), index)
    return kind, which, index


def test_lists_against_python_lists(rng):
    """Random sequences on four lists; the links are looked at after every few steps."""
    state = new_state()
    state.h.spans_len = SPANS + 1
    lists = [[] for _ in range(LISTS)]
    for _ in range(SEQUENCES):
        drive(state, *[random_step(rng, lists) for _ in range(rng.integers(1, 6))])
        check_lists(state, lists)
        assert answers(state, *[(IS_EMPTY, k) for k in range(LISTS)]) == [int(not spans) for spans in lists]
