"""mheap_arena: arenas by address, the spans and bits they keep for each page, on arenas and spans made by hand."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime._jit import kjit
from mheaplab.runtime.mheap_arena import (
    arena_base,
    arena_idx_l1,
    arena_idx_l2,
    arena_index,
    arena_l2_bits,
    arena_of,
    arena_page,
    arenas_lookup,
    in_heap,
    in_heap_or_stack,
    mheap_alloc_needs_zero,
    mheap_set_spans,
    page_bit,
    page_bit_clear,
    page_bit_set,
    page_index_of,
    span_has_no_specials,
    span_has_specials,
    span_of,
    span_of_heap,
    span_of_unchecked,
)
from mheaplab.runtime.structs import HEAP_ARENA, SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL
from mheaplab.runtime.tables import heap_arena, span

INDEX, ARENA_BASE, L2_BITS, L1, L2, LOOKUP, ARENA_OF, ARENA_PAGE = range(8)
UNCHECKED, SPAN_OF, SPAN_OF_HEAP, IN_HEAP, IN_HEAP_OR_STACK, PAGE_INDEX = range(8, 14)
SET_BIT, CLEAR_BIT, GET_BIT, HAS_SPECIALS, HAS_NO_SPECIALS, NEEDS_ZERO, SET_SPANS = range(14, 21)
PAGE = 8192
MIB = 1 << 20
BASE = 0xC000000000
FAR = 0x1C000000000
END = 1 << 47
"""End of user address space: 47 bits, half of the 48 that arenas cover."""
SIZES = (4, 8, 16, 32, 64)
"""Legal sizes of an arena, MiB."""
SEQUENCES = 200 if COMPILED else 20


@kjit
def look(h, kind, a):
    """Return what a function says of address (or arena index) ``a``."""
    found = np.int64(0)
    if kind == INDEX:
        found = arena_index(h, a)
    elif kind == ARENA_BASE:
        found = arena_base(h, a)
    elif kind == L2_BITS:
        found = arena_l2_bits(h)
    elif kind == L1:
        found = arena_idx_l1(h, a)
    elif kind == L2:
        found = arena_idx_l2(h, a)
    elif kind == LOOKUP:
        found = arenas_lookup(h, a)
    elif kind == ARENA_OF:
        found = np.int64(arena_of(h, a).arena_idx)
    elif kind == ARENA_PAGE:
        found = arena_page(h, a)
    elif kind == UNCHECKED:
        found = span_of_unchecked(h, a)
    elif kind == SPAN_OF:
        found = span_of(h, a)
    elif kind == SPAN_OF_HEAP:
        found = span_of_heap(h, a)
    elif kind == IN_HEAP:
        found = np.int64(in_heap(h, a))
    elif kind == IN_HEAP_OR_STACK:
        found = np.int64(in_heap_or_stack(h, a))
    return found


@entry
def drive_arenas(h, ops, got):
    """Apply ``ops``, rows (kind, a, b, c)."""
    for k in range(len(ops)):
        kind, a, b = ops[k, 0], ops[k, 1], ops[k, 2]
        if kind == PAGE_INDEX:
            got[k, 0], got[k, 1], got[k, 2] = page_index_of(h, a)
        elif kind == SET_BIT:
            page_bit_set(heap_arena(h, 1).page_marks, a, b)
        elif kind == CLEAR_BIT:
            page_bit_clear(heap_arena(h, 1).page_marks, a, b)
        elif kind == GET_BIT:
            got[k, 0] = np.int64(page_bit(heap_arena(h, 1).page_marks, a))
        elif kind == HAS_SPECIALS:
            span_has_specials(h, span(h, a))
        elif kind == HAS_NO_SPECIALS:
            span_has_no_specials(h, span(h, a))
        elif kind == NEEDS_ZERO:
            got[k, 0] = np.int64(mheap_alloc_needs_zero(h, a, b))
        elif kind == SET_SPANS:
            mheap_set_spans(h, a, b, ops[k, 3])
        else:
            got[k, 0] = look(h, kind, a)


def drive(state, *ops):
    """Run ``ops`` and return the rows of answers."""
    got = np.zeros((len(ops), 3), np.int64)
    drive_arenas(state.h, np.array([list(op) + [0] * (4 - len(op)) for op in ops], np.int64), got)
    return got.tolist()


def answers(state, *ops):
    """Run ``ops`` and return the first part of each answer."""
    return [row[0] for row in drive(state, *ops)]


def new_arenas(*addresses, mib=4, l1_bits=0):
    """Return a heap with arenas of ``mib`` MiB at ``addresses``: records 1, 2, ..."""
    state = new_state(arena_bytes=mib * MIB, arena_l1_bits=l1_bits)
    for record, address in enumerate(addresses, 1):
        index = (address + END) // (mib * MIB)
        state.tables["heap_arenas"][record]["arena_idx"] = index
        state.tables["arena_map"][index] = record
        state.h.arena_l1[index >> (48 - l1_bits - (mib * MIB).bit_length() + 1) if l1_bits else 0] = 1
    state.h.heap_arenas_len = 1 + len(addresses)
    return state


def add_span(state, index, page, npages, kind, limit=None):
    """Make record ``index`` the span of these pages from ``BASE``, and let their arenas of 512 pages know it."""
    state.h.spans_len = max(int(state.h.spans_len), index + 1)
    s = state.tables["spans"][index]
    s["start_addr"], s["npages"], s["state"] = BASE + page * PAGE, npages, kind
    s["limit"] = s["start_addr"] + (npages * PAGE if limit is None else limit)
    for k in range(page, page + npages):
        state.tables["heap_arenas"][1 + k // 512]["spans"][k % 512] = index


# ------------------------------------------------------------------------------------------------------- indexes


def addresses_of_interest(size):
    """Return addresses at the edges of arenas of ``size`` bytes, from the lowest of 48 bits to the highest."""
    return [-END, -END + size - 1, -1, 0, 1, size - 1, size, BASE, BASE + size - 1, BASE + size, END - size, END - 1]


@pytest.mark.parametrize("l1_bits", [0, 6])
@pytest.mark.parametrize("mib", SIZES)
def test_arena_index_and_base(mib, l1_bits):
    """arenaIndex, arenaBase: arenas counted from the lowest address of 48 bits, -2**47."""
    state, size = new_arenas(mib=mib, l1_bits=l1_bits), mib * MIB
    asked = addresses_of_interest(size)
    index = answers(state, *[(INDEX, a) for a in asked])
    assert index == [(a + END) // size for a in asked]
    assert answers(state, *[(ARENA_BASE, ai) for ai in index]) == [a - a % size for a in asked]
    assert index[0] == 0 and index[-1] == 2 * END // size - 1


@pytest.mark.parametrize("mib", SIZES)
def test_arena_idx_in_one_level(mib, rng):
    """arenaIdx.l1, l2 where the map is flat, as on linux/amd64: all bits are the second level's."""
    state = new_arenas(mib=mib)
    every = 2 * END // (mib * MIB)
    indexes = [0, 1, every // 2, every - 1, *rng.integers(0, every, 20).tolist()]
    assert answers(state, (L2_BITS,)) == [every.bit_length() - 1]
    assert answers(state, *[(L1, ai) for ai in indexes]) == [0] * len(indexes)
    assert answers(state, *[(L2, ai) for ai in indexes]) == indexes


@pytest.mark.parametrize("mib", SIZES)
def test_arena_idx_in_two_levels(mib, rng):
    """arenaIdx.l1, l2 with 64 entries in the first level, as on windows/amd64."""
    state = new_arenas(mib=mib, l1_bits=6)
    every = 2 * END // (mib * MIB)
    each = every // 64
    indexes = [0, 1, each - 1, each, every // 2, every - 1, *rng.integers(0, every, 20).tolist()]
    assert answers(state, (L2_BITS,)) == [each.bit_length() - 1]
    assert answers(state, *[(L1, ai) for ai in indexes]) == [ai // each for ai in indexes]
    assert answers(state, *[(L2, ai) for ai in indexes]) == [ai % each for ai in indexes]


@pytest.mark.parametrize("l1_bits", [0, 6])
def test_arenas_lookup(l1_bits):
    """mheap.arenas: the record of a known arena, nil for others."""
    state = new_arenas(BASE, FAR, END - 4 * MIB, l1_bits=l1_bits)
    index = [(a + END) // (4 * MIB) for a in (BASE, FAR, END - 4 * MIB)]
    assert answers(state, *[(LOOKUP, ai) for ai in index]) == [1, 2, 3]
    assert answers(state, *[(LOOKUP, ai + d) for ai in index for d in (-1, 1)][:-1]) == [0] * 5
    assert answers(state, *[(ARENA_OF, a + 5) for a in (BASE, FAR, END - 4 * MIB)]) == index


def test_heap_arena():
    """heapArena: for each of the 8192 pages of the largest arena a span and a bit in each of three bitmaps."""
    shapes = {name: HEAP_ARENA[name].shape for name in HEAP_ARENA.names}
    pages = 64 * MIB // PAGE
    assert shapes["spans"] == (pages,)
    assert {shapes[name] for name in ("page_in_use", "page_marks", "page_specials")} == {(pages // 64,)}
    assert shapes["zeroed_base"] == shapes["arena_idx"] == ()


# --------------------------------------------------------------------------------------------------------- pages


@pytest.mark.parametrize("mib", SIZES)
def test_page_index_of(mib):
    """pageIndexOf: arena, byte and mask of a page in the bitmaps of its arena."""
    state, size = new_arenas(BASE, BASE + mib * MIB, FAR, mib=mib), mib * MIB
    for record, start in ((1, BASE), (2, BASE + size), (3, FAR)):
        for page in (0, 1, 7, 8, 63, 64, 300, size // PAGE - 1):
            want = [record, page // 8, 1 << page % 8]
            asked = [start + page * PAGE + rest for rest in (0, 1, PAGE - 1)]
            assert drive(state, *[(PAGE_INDEX, a) for a in asked]) == [want] * 3
            assert answers(state, *[(ARENA_PAGE, a) for a in asked]) == [page] * 3


def test_page_bits(rng):
    """The bits that pageIndexOf names, against the bytes of the bitmap as Go has them."""
    state = new_arenas(BASE, BASE + 4 * MIB)
    want = np.zeros(HEAP_ARENA["page_marks"].shape[0] * 8, "u1")
    for _ in range(100):
        page, on = int(rng.integers(512)), bool(rng.integers(2))
        drive(state, (SET_BIT if on else CLEAR_BIT, page // 8, 1 << page % 8))
        want[page // 8] = (int(want[page // 8]) & ~(1 << page % 8)) | on << page % 8
        assert np.array_equal(state.tables["heap_arenas"][1]["page_marks"].view("u1"), want)
        assert answers(state, (GET_BIT, page)) == [on]
    assert answers(state, *[(GET_BIT, p) for p in range(512)]) == [int(want[p // 8]) >> p % 8 & 1 for p in range(512)]


def test_span_has_specials():
    """spanHasSpecials, spanHasNoSpecials: the bit of the span's first page, in its own arena."""
    state = new_arenas(BASE, BASE + 4 * MIB)
    add_span(state, 1, 510, 4, SPAN_IN_USE)
    add_span(state, 2, 520, 1, SPAN_IN_USE)

    def bits():
        words = state.tables["heap_arenas"]["page_specials"][1:3, :8].ravel()
        return np.flatnonzero(np.unpackbits(words.view("u1"), bitorder="little")).tolist()

    for op, want in (((HAS_SPECIALS, 1), [510]), ((HAS_SPECIALS, 2), [510, 520]), ((HAS_NO_SPECIALS, 1), [520])):
        drive(state, op)
        assert bits() == want
    drive(state, (HAS_SPECIALS, 2), (HAS_NO_SPECIALS, 2))
    assert bits() == []


# --------------------------------------------------------------------------------------------------------- spans

KINDS = (SPAN_OF, SPAN_OF_HEAP, IN_HEAP, IN_HEAP_OR_STACK)
# address from BASE; what spanOf, spanOfHeap, inheap and inHeapOrStack say of the spans of ``spans_of_each_kind``
ASKED = [
    pytest.param(10 * PAGE, (1, 1, 1, 1), id="first byte of a heap span"),
    pytest.param(10 * PAGE + 8159, (1, 1, 1, 1), id="last byte of its last object"),
    pytest.param(10 * PAGE + 8160, (1, 0, 0, 0), id="at the limit: what no object fits into"),
    pytest.param(11 * PAGE - 1, (1, 0, 0, 0), id="last byte of the waste"),
    pytest.param(11 * PAGE, (2, 2, 1, 1), id="a second heap span"),
    pytest.param(13 * PAGE - 1, (2, 2, 1, 1), id="last byte of its second page"),
    pytest.param(13 * PAGE, (0, 0, 0, 0), id="a page that was never in a span"),
    pytest.param(20 * PAGE + 1, (3, 0, 0, 1), id="a stack"),
    pytest.param(22 * PAGE - 1, (3, 0, 0, 1), id="last byte of a stack"),
    pytest.param(30 * PAGE, (4, 0, 0, 0), id="a dead span"),
    pytest.param(40 * PAGE, (5, 0, 0, 0), id="below the base of a heap span that moved up"),
    pytest.param(41 * PAGE, (5, 5, 1, 1), id="its base"),
    pytest.param(44 * PAGE, (6, 0, 0, 0), id="below the base of a stack that moved up"),
    pytest.param(45 * PAGE, (6, 0, 0, 1), id="its base, of a stack"),
    pytest.param(46 * PAGE, (6, 0, 0, 0), id="above a stack that became shorter"),
    pytest.param(510 * PAGE, (7, 7, 1, 1), id="a span over two arenas"),
    pytest.param(514 * PAGE - 1, (7, 7, 1, 1), id="its end in the second"),
    pytest.param(1024 * PAGE, (0, 0, 0, 0), id="behind the arenas"),
    pytest.param(-1, (0, 0, 0, 0), id="before them"),
    pytest.param(FAR - BASE, (0, 0, 0, 0), id="an arena that does not exist"),
    pytest.param(-BASE, (0, 0, 0, 0), id="nil"),
    pytest.param(-BASE - 1, (0, 0, 0, 0), id="negative"),
    pytest.param(-BASE - END, (0, 0, 0, 0), id="the lowest address of 48 bits"),
    pytest.param(END - 1 - BASE, (0, 0, 0, 0), id="the highest address of 47 bits"),
    pytest.param(END - BASE, (0, 0, 0, 0), id="over 47 bits"),
    pytest.param((1 << 63) - 1 - BASE, (0, 0, 0, 0), id="far over 47 bits"),
]


def spans_of_each_kind(l1_bits):
    """Return a heap with dead, heap and manual spans, and pages that name a record which is now elsewhere."""
    state = new_arenas(BASE, BASE + 4 * MIB, l1_bits=l1_bits)
    add_span(state, 1, 10, 1, SPAN_IN_USE, limit=170 * 48)
    add_span(state, 2, 11, 2, SPAN_IN_USE)
    add_span(state, 3, 20, 2, SPAN_MANUAL)
    add_span(state, 4, 30, 2, SPAN_DEAD)
    add_span(state, 5, 40, 1, SPAN_DEAD)
    add_span(state, 5, 41, 1, SPAN_IN_USE)
    add_span(state, 6, 44, 3, SPAN_MANUAL)
    add_span(state, 6, 45, 1, SPAN_MANUAL)
    add_span(state, 7, 510, 4, SPAN_IN_USE)
    return state


@pytest.mark.parametrize("l1_bits", [0, 6])
@pytest.mark.parametrize("offset, want", ASKED)
def test_what_an_address_tells(offset, want, l1_bits):
    """spanOf, spanOfHeap, inheap, inHeapOrStack."""
    state = spans_of_each_kind(l1_bits)
    assert answers(state, *[(kind, BASE + offset) for kind in KINDS]) == list(want)
    if 0 <= offset < 1024 * PAGE:
        assert answers(state, (UNCHECKED, BASE + offset)) == [want[0]], "spanOfUnchecked"


def test_span_of_at_the_end_of_address_space():
    """The last page below 2**47 may be the heap's."""
    state = new_arenas(END - 4 * MIB)
    state.tables["heap_arenas"][1]["spans"][511] = 1
    state.h.spans_len = 2
    s = state.tables["spans"][1]
    s["start_addr"], s["limit"], s["state"] = END - PAGE, END, SPAN_IN_USE
    for kind in (SPAN_OF, SPAN_OF_HEAP, IN_HEAP, IN_HEAP_OR_STACK, UNCHECKED):
        assert answers(state, (kind, END - 1)) == [1]
    assert answers(state, *[(kind, END) for kind in KINDS]) == [0] * 4


# first page, pages of the spans 1, 2, ... set in turn
SET = [
    pytest.param([(5, 3)], id="inside an arena"),
    pytest.param([(0, 512)], id="a whole arena"),
    pytest.param([(508, 8)], id="over the border of two"),
    pytest.param([(100, 1200)], id="over a whole arena between two"),
    pytest.param([(512, 512), (511, 2), (1023, 1)], id="over what was there"),
]


@pytest.mark.parametrize("spans", SET)
def test_set_spans(spans):
    """mheap.setSpans: every page of the span and no other, in all arenas it reaches."""
    state = new_arenas(*(BASE + k * 4 * MIB for k in range(3)))
    want = np.zeros(3 * 512, np.int64)
    for index, (page, n) in enumerate(spans, 1):
        drive(state, (SET_SPANS, BASE + page * PAGE, n, index))
        want[page : page + n] = index
    assert np.array_equal(state.tables["heap_arenas"]["spans"][1:4, :512].ravel(), want)
    assert not state.tables["heap_arenas"]["spans"][1:4, 512:].any(), "an arena of 4 MiB has 512 pages"


# (first page, pages) asked one after another with arenas of 512 pages, whether they need zeroing, zeroedBase in pages
NEEDS_ZEROING = [
    pytest.param([(0, 10)], [0], (10, 0), id="fresh"),
    pytest.param([(0, 10), (0, 10)], [0, 1], (10, 0), id="used"),
    pytest.param([(0, 10), (9, 2)], [0, 1], (11, 0), id="its first page is used"),
    pytest.param([(0, 10), (10, 2)], [0, 0], (12, 0), id="just behind what is used"),
    pytest.param([(20, 1), (0, 5)], [0, 1], (21, 0), id="below what is used: only an upper bound is kept"),
    pytest.param([(500, 20)], [0], (512, 8), id="over the boundary"),
    pytest.param([(500, 20), (512, 4)], [0, 1], (512, 8), id="its second arena was used"),
    pytest.param([(512, 4), (500, 20)], [0, 1], (512, 8), id="its second arena alone was used"),
    pytest.param([(0, 512), (512, 10)], [0, 0], (512, 10), id="arenas do not know of each other"),
    pytest.param([(100, 1), (512, 4), (200, 320)], [0, 0, 1], (512, 8), id="the first arena fresh, the second not"),
]


@pytest.mark.parametrize("asked, dirty, zeroed", NEEDS_ZEROING)
def test_alloc_needs_zero(asked, dirty, zeroed):
    state = new_arenas(BASE, BASE + 4 * MIB)
    assert answers(state, *[(NEEDS_ZERO, BASE + page * PAGE, n) for page, n in asked]) == dirty
    assert tuple(int(z) // PAGE for z in state.tables["heap_arenas"]["zeroed_base"][1:3]) == zeroed


def test_alloc_needs_zero_against_its_definition(rng):
    """Random ranges over three arenas: dirty if one begins below where its arena was ever used."""
    state = new_arenas(*(BASE + k * 4 * MIB for k in range(3)))
    used = [0, 0, 0]
    for _ in range(SEQUENCES):
        page, n = int(rng.integers(1536)), int(rng.choice([1, rng.integers(1, 40), rng.integers(1, 900)]))
        n = min(n, 1536 - page)
        parts = [(a, max(page, a * 512), min(page + n, a * 512 + 512)) for a in range(3)]
        parts = [(a, low - a * 512, high - a * 512) for a, low, high in parts if low < high]
        dirty = any(low < used[a] for a, low, _ in parts)
        for a, _, high in parts:
            used[a] = max(used[a], high)
        assert answers(state, (NEEDS_ZERO, BASE + page * PAGE, n)) == [dirty]
        assert (state.tables["heap_arenas"]["zeroed_base"][1:4] // PAGE).tolist() == used
        if min(used) == 512:
            used = [int(rng.integers(512)) for _ in range(3)]
            state.tables["heap_arenas"]["zeroed_base"][1:4] = np.array(used) * PAGE
