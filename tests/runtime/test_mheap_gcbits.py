"""mheap_gcbits: bitmaps of spans and their generations, against the rule that none lies over one that still lives."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime.mheap_gcbits import (
    bitmap_words,
    gc_bits_arena_try_alloc,
    gc_bits_bitp,
    gc_bits_bytep,
    gc_bits_is_set,
    gc_bits_set,
    new_alloc_bits,
    new_arena_may_unlock,
    new_mark_bits,
    next_mark_bit_arena_epoch,
)
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import GC_BITS_CHUNK_WORDS, GC_BITS_HEADER_WORDS, MAX_OBJECTS_PER_SPAN
from mheaplab.runtime.tables import gc_bits_set_word, gc_bits_word

EPOCHS = 120 if COMPILED else 14
ARENA = int(GC_BITS_CHUNK_WORDS)
HEADER = int(GC_BITS_HEADER_WORDS)
LIVES = 3
"""Generations that are alive: next, current and previous."""

ARENA_BYTES = 64 << 10
ALL_ONES = (1 << 64) - 1

NEW, EPOCH, SET, IS_SET, WORDS, NEW_ALLOC, NEW_ARENA, TRY_ALLOC, BYTE, BIT_BYTE, BIT_MASK = range(11)


@entry
def drive_bits(h, ops, answers):
    """Apply ``ops``, rows (kind, a, b). A new bitmap is read, must be all 0, and is filled with ones."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        a = ops[k, 1]
        if kind == NEW or kind == NEW_ALLOC:
            bits = new_mark_bits(h, a) if kind == NEW else new_alloc_bits(h, a)
            for w in range(bits, bits + bitmap_words(a)):
                if gc_bits_word(h, w) != np.uint64(0):
                    answers[k] = -1
                    return
                gc_bits_set_word(h, w, np.uint64(0xFFFFFFFFFFFFFFFF))
            answers[k] = bits
        elif kind == EPOCH:
            next_mark_bit_arena_epoch(h)
        elif kind == SET:
            gc_bits_set(h, a, ops[k, 2])
        elif kind == IS_SET:
            answers[k] = 1 if gc_bits_is_set(h, a, ops[k, 2]) else 0
        elif kind == NEW_ARENA:
            answers[k] = new_arena_may_unlock(h)
        elif kind == TRY_ALLOC:
            answers[k] = gc_bits_arena_try_alloc(h, a, ops[k, 2])
        elif kind == BYTE:
            answers[k] = np.int64(gc_bits_bytep(h, a, ops[k, 2]))
        elif kind == BIT_BYTE:
            answers[k] = np.int64(gc_bits_bitp(h, a, ops[k, 2])[0])
        elif kind == BIT_MASK:
            answers[k] = np.int64(gc_bits_bitp(h, a, ops[k, 2])[1])
        else:
            answers[k] = bitmap_words(a)


def drive(state, *ops):
    """Run ``ops`` on the bitmaps of ``state`` and return the answers."""
    table = np.array([list(op) + [0] * (3 - len(op)) for op in ops], np.int64).reshape(-1, 3)
    answers = np.zeros(len(ops), np.int64)
    drive_bits(state.h, table, answers)
    return answers.tolist()


class Owners:
    """Which generation each word of the table was last given to, to see an overlap or a bitmap across a border."""

    def __init__(self, words):
        self.generation = 0
        self.owner = np.full(words, -LIVES)

    def give(self, bits, words):
        """Check that [bits, bits + words) is legal to hand out in this generation, and hand it out."""
        assert bits >= ARENA, "the table's first arena is nil"
        assert bits // ARENA == (bits + words - 1) // ARENA, "bitmap over the border of an arena"
        assert bits % ARENA >= HEADER, "bitmap over the header of an arena"
        assert (self.owner[bits : bits + words] <= self.generation - LIVES).all(), "bitmap over one that lives"
        self.owner[bits : bits + words] = self.generation


def lists(state):
    """Return the arenas of the four lists, each as a list of word indexes."""
    found = {}
    for name in ("free", "next", "current", "previous"):
        a = int(state.h[f"bits_{name}"])
        found[name] = []
        while a:
            assert a not in found[name], "arenas linked in a circle"
            found[name].append(a)
            a = int(state.tables["gc_bits"][a + 1])
    return found


def check_lists(state):
    """Check that each arena ever made is in exactly one list, and counted."""
    arenas = sorted(a for each in lists(state).values() for a in each)
    assert arenas == list(range(ARENA, int(state.h.gc_bits_len), ARENA))
    assert int(state.h.stats.gc_bits_sys) == len(arenas) * ARENA_BYTES


def test_bitmap_words():
    """A bitmap has a bit for each object, in whole words."""
    assert drive(new_state(), *((WORDS, n) for n in (1, 63, 64, 65, 128, 1023, 1024))) == [1, 1, 1, 2, 2, 16, 16]


def words(state, arena):
    """Return the 8192 words of an arena."""
    return state.tables["gc_bits"][arena : arena + ARENA]


def test_gc_bits_header():
    """gcBitsHeader: two words, how many of the arena's words are used and the next arena; 64 KiB with it."""
    assert (HEADER, 8 * ARENA) == (2, ARENA_BYTES)
    state = new_state()
    drive(state, (NEW, 64), (NEW, 65), *[(NEW, 1024)] * 600)
    assert words(state, ARENA)[:2].tolist() == [2 + 1 + 2 + 16 * (ARENA - 5 >> 4), 0]
    assert words(state, 2 * ARENA)[1] == ARENA


def test_new_arena_from_the_os():
    """newArenaMayUnlock without a free arena: 64 KiB from the OS, all 0 but the header, and counted."""
    state = new_state()
    assert drive(state, (NEW_ARENA,), (NEW_ARENA,)) == [ARENA, 2 * ARENA]
    for arena in (ARENA, 2 * ARENA):
        assert words(state, arena)[:2].tolist() == [HEADER, 0] and not words(state, arena)[2:].any()
    assert int(state.h.stats.gc_bits_sys) == 2 * ARENA_BYTES
    assert lists(state) == {"free": [], "next": [], "current": [], "previous": []}, "whoever asked links it"


def test_new_arena_from_the_free_list():
    """newArenaMayUnlock takes the first free arena and zeroes it; the OS is not asked."""
    state = new_state()
    drive(state, *[(NEW, 1024)] * 600, *[(EPOCH,)] * 3)
    assert lists(state)["free"] == [2 * ARENA, ARENA]
    assert drive(state, (NEW_ARENA,)) == [2 * ARENA]
    assert words(state, 2 * ARENA)[:2].tolist() == [HEADER, 0] and not words(state, 2 * ARENA)[2:].any()
    assert lists(state)["free"] == [ARENA] and words(state, ARENA)[2] == ALL_ONES, "the other one is as it was"
    assert drive(state, (NEW_ARENA,), (NEW_ARENA,)) == [ARENA, 3 * ARENA]
    assert int(state.h.stats.gc_bits_sys) == 3 * ARENA_BYTES


def test_try_alloc():
    """gcBitsArena.tryAlloc: bitmaps one behind the other, to the last word and no further; nil has no room."""
    state = new_state()
    (arena,) = drive(state, (NEW_ARENA,))
    room = ARENA - HEADER
    asked = [(3, arena + 2), (room - 4, arena + 5), (2, 0), (1, arena + ARENA - 1), (1, 0)]
    assert drive(state, *[(TRY_ALLOC, arena, n) for n, _ in asked]) == [bits for _, bits in asked]
    assert words(state, arena)[0] == ARENA
    assert drive(state, (TRY_ALLOC, 0, 1)) == [0]
    (other,) = drive(state, (NEW_ARENA,))
    assert drive(state, (TRY_ALLOC, other, room + 1), (TRY_ALLOC, other, room)) == [0, other + 2]


def test_bytes_and_bits(rng):
    """gcBits.bytep, gcBits.bitp: byte n of a bitmap, and the byte and mask of bit n, as in memory."""
    state = new_state()
    first, bits = drive(state, (NEW, 64), (NEW, 1024))
    state.tables["gc_bits"][bits : bits + 16] = rng.integers(0, 1 << 64, 16, np.uint64)
    memory = state.tables["gc_bits"][bits : bits + 16].view("u1").tolist()
    assert drive(state, *[(BYTE, bits, n) for n in range(128)]) == memory
    assert drive(state, *[(BIT_BYTE, bits, n) for n in range(1024)]) == [memory[n // 8] for n in range(1024)]
    assert drive(state, *[(BIT_MASK, bits, n) for n in range(1024)]) == [1 << n % 8 for n in range(1024)]
    assert drive(state, (BYTE, first, 7), (BYTE, first, 8)) == [0xFF, memory[0]]


def test_new_alloc_bits():
    """newAllocBits: a zeroed bitmap of its own, from the same arenas."""
    assert drive(new_state(), (NEW, 64), (NEW_ALLOC, 65), (NEW, 1)) == [ARENA + 2, ARENA + 3, ARENA + 5]


def test_bitmap_larger_than_an_arena():
    """newMarkBits of more objects than a whole arena has bits."""
    room = 64 * (ARENA - HEADER)
    with pytest.raises(Throw, match="markBits overflow"):
        drive(new_state(), (NEW, room + 1))


def test_first_bitmaps_lie_one_behind_the_other():
    """Bitmaps are taken from an arena in order, behind its header."""
    first = ARENA + HEADER
    assert drive(new_state(), (NEW, 64), (NEW, 65), (NEW, 1), (NEW, 1024), (NEW, 8)) == [
        first,
        first + 1,
        first + 3,
        first + 4,
        first + 20,
    ]


def test_arena_is_filled_to_the_last_word():
    """An arena of which exactly the bitmap's words are left is used; one word less, and there is a new one."""
    state = new_state()
    room = ARENA - HEADER
    many = room // 16 - 1
    drive(state, *[(NEW, 1024)] * many)
    left = room - 16 * many
    assert drive(state, (NEW, 64 * (left - 16)), (NEW, 1024)) == [2 * ARENA - left, 2 * ARENA - 16]
    assert drive(state, (NEW, 1)) == [2 * ARENA + HEADER]
    assert lists(state) == {"free": [], "next": [2 * ARENA, ARENA], "current": [], "previous": []}


def test_epochs():
    """An arena goes from next to current to previous to free, and from there to next again, zeroed."""
    state = new_state()
    (bits,) = drive(state, (NEW, 1024))
    order = []
    for _ in range(4):
        order.append(next(name for name, arenas in lists(state).items() if arenas))
        drive(state, (EPOCH,))
    assert order == ["next", "current", "previous", "free"]
    assert drive(state, (NEW, 1024)) == [bits]
    check_lists(state)
    assert int(state.h.stats.gc_bits_sys) == ARENA_BYTES, "one arena for all of them"


def test_epochs_of_several_arenas():
    """Lists of several arenas move as a whole, and are added to the free ones."""
    state = new_state()
    per_arena = (ARENA - HEADER) // 16
    for _ in range(4):
        drive(state, *[(NEW, 1024)] * (2 * per_arena + 1), (EPOCH,))
        check_lists(state)
    found = lists(state)
    assert [len(found[name]) for name in ("free", "next", "current", "previous")] == [3, 0, 3, 3]
    assert int(state.h.stats.gc_bits_sys) == 9 * ARENA_BYTES, "the fourth generation has the arenas of the first"
    drive(state, (EPOCH,), (EPOCH,), (EPOCH,))
    check_lists(state)
    assert len(lists(state)["free"]) == 9


def test_empty_epochs():
    """Collections without a new bitmap are no trouble."""
    state = new_state()
    drive(state, *[(EPOCH,)] * 5)
    assert lists(state) == {"free": [], "next": [], "current": [], "previous": []}


def test_bits():
    """Reading and setting single bits, at the borders of words."""
    state = new_state()
    bits, other = drive(state, (NEW, 1024), (NEW, 1024))
    state.tables["gc_bits"][bits : other + 16] = 0
    for index in (0, 1, 63, 64, 65, 1023):
        assert drive(state, (IS_SET, bits, index), (SET, bits, index), (IS_SET, bits, index)) == [0, 0, 1]
    got = drive(state, *((IS_SET, bits, i) for i in range(MAX_OBJECTS_PER_SPAN)))
    assert [i for i, bit in enumerate(got) if bit] == [0, 1, 63, 64, 65, 1023]
    assert not state.tables["gc_bits"][other : other + 16].any()


def test_out_of_memory():
    """A table without room for an arena is an impossible state of the heap: room was to be made before."""
    state = new_state()
    state.h.gc_bits_cap = 2 * ARENA + ARENA // 2
    drive(state, (NEW, 5), (EPOCH,))
    with pytest.raises(Throw, match="cannot allocate memory"):
        drive(state, (NEW, 5))


def test_random_epochs(rng):
    """Random numbers of bitmaps in each generation: zeroed, and never over one of the last three generations."""
    state = new_state()
    owners = Owners(len(state.tables["gc_bits"]))
    most = 0
    for epoch in range(EPOCHS):
        per_arena = (ARENA - HEADER) // 8
        count = int(rng.choice([0, 1, rng.integers(1, per_arena), rng.integers(1, 3 * per_arena)]))
        sizes = rng.integers(1, MAX_OBJECTS_PER_SPAN + 1, count).tolist()
        for size, bits in zip(sizes, drive(state, *((NEW, size) for size in sizes)), strict=True):
            assert bits >= 0, "a new bitmap is not zeroed"
            owners.give(bits, -(-size // 64))
        check_lists(state)
        most = max(most, len(lists(state)["next"]))
        drive(state, (EPOCH,))
        owners.generation += 1
        if epoch > EPOCHS // 2:
            # No generation takes more than the largest so far, so arenas are used again, not made.
            assert (int(state.h.gc_bits_len) - ARENA) // ARENA <= (LIVES + 1) * most
