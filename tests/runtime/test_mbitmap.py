"""mbitmap: the next free object of a span, and counting marks, against lists of booleans."""

import naive
import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime.mbitmap import (
    mspan_allocated_word,
    mspan_count_alloc,
    mspan_is_allocated,
    mspan_next_free_index,
    mspan_obj_index,
    mspan_refill_alloc_cache,
)
from mheaplab.runtime.mheap_gcbits import new_mark_bits
from mheaplab.runtime.mksizeclasses import div_magic, make_classes
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import MAX_OBJECTS_PER_SPAN
from mheaplab.runtime.tables import span

SPANS = 1000 if COMPILED else 40
"""Random spans."""

NEXT, REFILL, IS_ALLOCATED, ALLOCATED_WORD, COUNT_ALLOC, OBJ_INDEX, NEW_BITS = range(7)
FULL = 2**64 - 1


@entry
def drive_span(h, ops, answers, words):
    """Apply ``ops``, rows (kind, a), to span 1. Words: what is asked for as such, else the allocCache afterwards."""
    s = span(h, 1)
    for k in range(len(ops)):
        kind = ops[k, 0]
        a = ops[k, 1]
        if kind == NEXT:
            answers[k] = mspan_next_free_index(h, s)
        elif kind == REFILL:
            mspan_refill_alloc_cache(h, s, a)
        elif kind == IS_ALLOCATED:
            answers[k] = 1 if mspan_is_allocated(h, s, a) else 0
        elif kind == COUNT_ALLOC:
            answers[k] = mspan_count_alloc(h, s)
        elif kind == OBJ_INDEX:
            answers[k] = mspan_obj_index(s, a)
        elif kind == NEW_BITS:
            s.alloc_bits = np.uint32(new_mark_bits(h, a))
            s.gcmark_bits = np.uint32(new_mark_bits(h, a))
        if kind == ALLOCATED_WORD:
            words[k] = mspan_allocated_word(h, s, a)
        else:
            words[k] = s.alloc_cache


def drive(state, *ops):
    """Run ``ops`` on span 1 of ``state``; return the answers and the words."""
    table = np.array([list(op) + [0] * (2 - len(op)) for op in ops], np.int64).reshape(-1, 2)
    answers = np.zeros(len(ops), np.int64)
    words = np.zeros(len(ops), np.uint64)
    drive_span(state.h, table, answers, words)
    return answers.tolist(), words.tolist()


@pytest.fixture
def heap():
    """A heap with one span record and bitmaps for as many objects as a span can have."""
    state = new_state()
    state.h.spans_len = 2
    drive(state, (NEW_BITS, MAX_OBJECTS_PER_SPAN))
    return state


def put_span(state, allocated, freeindex=0):
    """Make span 1 one that was just swept: ``allocated`` are its objects, and allocation begins at ``freeindex``."""
    s = state.tables["spans"][1]
    s["nelems"] = len(allocated)
    s["freeindex"] = freeindex
    put_bits(state, "alloc_bits", allocated)
    if freeindex < len(allocated):
        drive(state, (REFILL, freeindex // 64))
        s["alloc_cache"] >>= np.uint64(freeindex % 64)


def put_bits(state, field, objects):
    """Write a bitmap of span 1."""
    first = int(state.tables["spans"][1][field])
    bits = np.zeros(MAX_OBJECTS_PER_SPAN, bool)
    bits[: len(objects)] = objects
    state.tables["gc_bits"][first : first + MAX_OBJECTS_PER_SPAN // 64] = naive.to_words(bits)


def alloc_cache(allocated, freeindex):
    """Return what allocCache must be: the complement of the bits from freeindex to the end of its word."""
    word = [bool(bit) for bit in allocated[freeindex // 64 * 64 :][:64]]
    word += [False] * (64 - len(word))
    return sum(1 << i for i, bit in enumerate(word[freeindex % 64 :]) if not bit)


def check_next_free(state, allocated, freeindex=0):
    """Take every free object of the span, comparing index, freeindex and allocCache at every step."""
    put_span(state, allocated, freeindex)
    want, steps = [], []
    while True:
        index, freeindex = naive.next_free_index(allocated, freeindex)
        want.append(index)
        steps.append(freeindex)
        if index == len(allocated):
            break
    answers, caches = drive(state, *[(NEXT,)] * len(want))
    assert answers == want
    assert int(state.tables["spans"][1]["freeindex"]) == len(allocated)
    for cache, step in zip(caches, steps, strict=True):
        if step < len(allocated):
            assert cache == alloc_cache(allocated, step), f"allocCache at freeindex {step}"
    # A span that is used up says so again and again.
    assert drive(state, (NEXT,), (NEXT,))[0] == [len(allocated)] * 2


def bits_of(n, *ones):
    """Return a list of ``n`` booleans of which those numbered ``ones`` are true."""
    return [i in ones for i in range(n)]


@pytest.mark.parametrize(
    "allocated",
    [
        bits_of(1),
        bits_of(1, 0),
        bits_of(3, 1),
        bits_of(63, 62),
        bits_of(64),
        bits_of(64, 63),
        bits_of(64, *range(64)),
        bits_of(64, *range(63)),
        bits_of(65),
        bits_of(65, *range(64)),
        bits_of(65, 64),
        bits_of(128, *range(64)),
        bits_of(128, *range(64, 128)),
        bits_of(129, 0, 63, 64, 127),
        bits_of(200, *range(63, 199)),
        bits_of(341, *range(0, 341, 2)),
        bits_of(1024),
        bits_of(1024, *range(1023)),
        bits_of(1024, *range(1024)),
        bits_of(1023, *range(64, 1000)),
    ],
    ids=lambda bits: f"{sum(bits)} of {len(bits)}",
)
def test_next_free_index_by_hand(heap, allocated):
    """Spans around the size of a word, with the free objects at its borders."""
    check_next_free(heap, allocated)


def test_next_free_index_from_anywhere(heap):
    """Allocation may begin at any object."""
    allocated = bits_of(150, *range(20, 40), 63, 64, *range(100, 130))
    for freeindex in range(151):
        check_next_free(heap, allocated, freeindex)


def random_objects(rng):
    """Return random booleans for the objects of a span, of any number and density, single ones or in runs."""
    n = int(rng.choice([rng.integers(1, 130), rng.integers(1, MAX_OBJECTS_PER_SPAN + 1)]))
    if rng.random() < 0.5:
        return (rng.random(n) < rng.choice([0.02, 0.5, 0.98])).tolist()
    borders = np.sort(rng.integers(0, n, int(rng.integers(1, 8))))
    return (np.searchsorted(borders, np.arange(n)) % 2 == 0).tolist()


def test_next_free_index_random(heap, rng):
    """Random spans, from the first object on or from any."""
    for _ in range(SPANS):
        allocated = random_objects(rng)
        check_next_free(heap, allocated, int(rng.integers(len(allocated) + 1)) if rng.random() < 0.3 else 0)


def test_freeindex_beyond_the_end(heap):
    """A freeindex above nelems is an impossible state of the heap."""
    put_span(heap, bits_of(10), 10)
    heap.tables["spans"][1]["freeindex"] = 11
    with pytest.raises(Throw, match="s.freeindex > s.nelems"):
        drive(heap, (NEXT,))


def test_is_allocated(heap, rng):
    """Below freeindex every object is allocated, from there on the bits say which."""
    for _ in range(SPANS // 5):
        allocated = random_objects(rng)
        freeindex = int(rng.integers(len(allocated) + 1))
        put_span(heap, allocated, freeindex)
        want = naive.is_allocated(allocated, freeindex)
        assert drive(heap, *((IS_ALLOCATED, i) for i in range(len(want))))[0] == want
        words = -(-len(want) // 64)
        want += [False] * (64 * words - len(want))
        _, got = drive(heap, *((ALLOCATED_WORD, w) for w in range(words)))
        assert got == naive.to_words(want).tolist()


def test_refill_alloc_cache(heap, rng):
    """The cache is the complement of one word of the bits."""
    allocated = (rng.random(MAX_OBJECTS_PER_SPAN) < 0.5).tolist()
    put_span(heap, allocated)
    _, words = drive(heap, *((REFILL, w) for w in range(MAX_OBJECTS_PER_SPAN // 64)))
    assert words == [FULL - w for w in naive.to_words(allocated).tolist()]


def test_count_alloc(heap, rng):
    """The marks of a span's objects are counted, those of the words behind are not."""
    for _ in range(SPANS // 5):
        marked = random_objects(rng)
        put_span(heap, bits_of(len(marked)))
        put_bits(heap, "gcmark_bits", marked + beyond(marked))
        assert drive(heap, (COUNT_ALLOC,))[0] == [sum(marked)]


def beyond(objects):
    """Return what follows ``objects`` in a bitmap: zeros to the end of the word, ones to the end of the bitmap."""
    zeros = -len(objects) % 64
    return [False] * zeros + [True] * (MAX_OBJECTS_PER_SPAN - len(objects) - zeros)


def test_obj_index(heap, rng):
    """Multiplication by div_mul is division by the size, for every class and both ends of its objects."""
    sizes, npages = make_classes()
    base = 0xC000123 << 13
    heap.tables["spans"][1]["start_addr"] = base
    for size, pages, magic in zip(sizes.tolist(), npages.tolist(), div_magic(sizes).tolist(), strict=True):
        if size == 0:
            continue
        heap.tables["spans"][1]["div_mul"] = magic
        offsets = np.arange(0, pages * 8192, size)
        offsets = np.unique(np.concatenate((offsets, offsets[1:] - 1, rng.integers(0, pages * 8192, 50))))
        if not COMPILED:
            offsets = rng.choice(offsets, 20)
        assert drive(heap, *((OBJ_INDEX, base + o) for o in offsets.tolist()))[0] == (offsets // size).tolist()


def test_obj_index_of_a_large_span(heap):
    """A large span has one object, number 0."""
    heap.tables["spans"][1]["start_addr"] = 1 << 30
    heap.tables["spans"][1]["div_mul"] = 0
    assert drive(heap, (OBJ_INDEX, 1 << 30), (OBJ_INDEX, (1 << 30) + (1 << 35)))[0] == [0, 0]
