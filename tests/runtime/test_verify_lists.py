"""verify_lists: every invariant of bitmap arenas, stacks, specials and the simulated OS fails when it is broken."""

import pytest
from runtime.test_run import MIB, PAGE, Heap

from mheaplab.runtime.structs import (
    ADD_SPECIAL,
    NUM_STACK_ORDERS,
    SPECIAL_FINALIZER,
    SPECIAL_PROFILE,
    STACK_ALLOC,
    STACK_FREE,
)
from mheaplab.runtime.verify import INVARIANTS, Violation

BITS = 8192
"""Words of a bitmap arena; the first of the table is not used."""


class Healthy(Heap):
    """A heap with specials, stacks in pools and caches, and bitmap arenas in three lists.

    Attributes
    ----------
    small, plain : int
        Address of an object with a finalizer and a profile record, and of a span without specials.
    stack, pool : int
        Address of a stack, and of the span in the pool that it is from.
    """

    def __init__(self):
        super().__init__(arena_bytes=4 * MIB)
        objects = self.mallocs(1200, 1024)
        self.collect(dead=objects[1100:])
        self.small, self.plain = objects[0], objects[8]
        for kind in (SPECIAL_PROFILE, SPECIAL_FINALIZER):
            self.apply(ADD_SPECIAL, ref=self.event_of[self.small], flags=int(kind), p=0)
        taken = [self.apply(STACK_ALLOC, size=4096, p=0) for _ in range(3)]
        self.apply(STACK_ALLOC, size=16384, p=255)
        self.stack = taken[0]
        self.apply(STACK_FREE, ref=self.n - 2, size=4096, p=0)
        self.pool = int(self.state.tables["spans"][int(self.h.span_lists[1].first)]["start_addr"])

    def row(self, address):
        """The record of the span at ``address``."""
        return self.state.tables["spans"][self.span_index(address)]

    def special(self, k):
        """The ``k``th special of the span of ``small``."""
        rows = self.state.tables["specials"]
        at = int(self.row(self.small)["specials"])
        for _ in range(k):
            at = int(rows[at]["next"])
        return rows[at]


def _word(index, value):
    """Return a corruption that stores ``value`` in the header word ``index`` of the first bitmap arena."""
    return lambda heap: heap.state.tables["gc_bits"].__setitem__(BITS + index, value)


def _field(owner, name, change):
    """Return a corruption that adds ``change`` to field ``name`` of the record that ``owner`` gives."""

    def corrupt(heap):
        record = owner(heap)
        record[name] = int(record[name]) + change

    return corrupt


def _forget_arenas(heap):
    heap.h.bits_current = heap.h.bits_previous = heap.h.bits_next = heap.h.bits_free = 0


def _bitmaps_in_a_free_arena(heap):
    heap.h.bits_free, heap.h.bits_next = heap.h.bits_next, heap.h.bits_free


def _page_specials(address):
    def corrupt(heap):
        page = heap.page_in_arena(getattr(heap, address))
        heap.arena(getattr(heap, address))["page_specials"][page >> 6] ^= 1 << (page & 63)

    return corrupt


def _swap_kinds(heap):
    first, second = heap.special(0), heap.special(1)
    first["kind"], second["kind"] = int(second["kind"]), int(first["kind"])


def _special_of_a_free_slot(heap):
    heap.special(1)["offset"] = 7 * 1024
    heap.row(heap.small)["freeindex"] = 7
    heap.row(heap.small)["alloc_count"] = 7
    heap.state.tables["gc_bits"][int(heap.row(heap.small)["alloc_bits"])] &= 0x7F


def _waiting_large_stack(heap):
    index = heap.span_index(heap.span_alloc(8))
    heap.h.span_lists[NUM_STACK_ORDERS + 3] = (index, index)
    heap.state.tables["spans"][index]["list"] = NUM_STACK_ORDERS + 4


def _forget_pool(heap):
    heap.h.span_lists[1] = (0, 0)


def _empty_os(heap):
    heap.h.os_ranges_len = 0


def _cut_os(heap):
    heap.state.tables["os_ranges"][0]["limit"] -= PAGE


def _no_second_level(heap):
    heap.h.arena_l1[0] = 0


def _cache(heap):
    return heap.h.allp[0].mcache.stackcache[1]


CORRUPTIONS = {
    "G1": [_forget_arenas, _word(1, BITS), _field(lambda heap: heap.h.stats, "gc_bits_sys", 65536)],
    "G2": [_bitmaps_in_a_free_arena],
    "O3": [_empty_os, _cut_os],
    "O4": [_no_second_level],
    "T1": [_page_specials("small"), _page_specials("plain"), _swap_kinds, _special_of_a_free_slot],
    "T2": [
        _field(lambda heap: heap.h.specialalloc[SPECIAL_FINALIZER], "in_use", 48),
        _field(lambda heap: heap.h.specialalloc[SPECIAL_PROFILE], "in_use", -24),
    ],
    "L1": [
        _field(lambda heap: heap.h.span_lists[1], "last", 1),
        _field(lambda heap: heap.row(heap.pool), "list", 1),
        _field(lambda heap: heap.row(heap.pool), "prev", 1),
        _forget_pool,
        _waiting_large_stack,
    ],
    "K1": [
        _field(lambda heap: heap.row(heap.pool), "alloc_count", 1),
        _field(lambda heap: heap.row(heap.pool), "manual_free_list", 32768),
    ],
    "K2": [_field(_cache, "held", 4096), _field(_cache, "held", -4096)],
}
CASES = [
    pytest.param(which, corrupt, id=f"{which}-{k}")
    for which, corruptions in CORRUPTIONS.items()
    for k, corrupt in enumerate(corruptions)
]


def test_healthy_heap_passes():
    heap = Healthy()
    heap.check()
    assert int(heap.h.bits_next) and int(heap.h.bits_current) and int(heap.h.span_lists[1].first)
    assert int(_cache(heap).held) == 8192 and int(heap.row(heap.pool)["alloc_count"])
    assert [int(heap.special(k)["kind"]) for k in range(2)] == [SPECIAL_FINALIZER, SPECIAL_PROFILE]


@pytest.mark.parametrize("which, corrupt", CASES)
def test_corruption_is_found(which, corrupt):
    heap = Healthy()
    corrupt(heap)
    with pytest.raises(Violation) as found:
        heap.check()
    assert found.value.args[0] == which, f"{INVARIANTS[found.value.args[0]]}: {found.value.args[1:]}"
