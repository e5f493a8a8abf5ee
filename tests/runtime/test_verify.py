"""verify: every invariant fails when the one thing it speaks of is broken, and only then."""

import re
from pathlib import Path

import pytest
from runtime import test_verify_lists
from runtime.test_run import MIB, PAGE, Heap

from mheaplab.runtime import verify, verify_lists
from mheaplab.runtime.structs import SPAN_ALLOC_PTR_SCALAR_BITS, SPAN_ALLOC_WORK_BUF
from mheaplab.runtime.verify import INVARIANTS, Violation

SIZE = 2048
"""Bytes of the small objects: class 31 of Go, four to a span of one page."""
OBJECTS = 4


class Healthy(Heap):
    """A heap with something of everything, in the middle of sweeping.

    Attributes
    ----------
    partial, full, swept_at_flush, cached, unswept : int
        Address of a span with a free object, of two without, of one in P 0's mcache, and of one not yet swept.
    stack, large, dead : int
        Address of a manual span, of a large object, and of pages that are free again.
    """

    def __init__(self):
        super().__init__(arena_bytes=4 * MIB)
        self.stack = self.span_alloc(3)
        self.span_alloc(2, kind=int(SPAN_ALLOC_PTR_SCALAR_BITS), p=1)
        self.span_alloc(2, kind=int(SPAN_ALLOC_WORK_BUF))
        self.large = self.malloc(40000)
        objects = self.mallocs(6 * OBJECTS, SIZE)
        self.span_alloc(600)
        self.dead = self.free_pages(20)
        heads = objects[::OBJECTS]
        self.collect(dead=[heads[0], heads[1]] + objects[2 * OBJECTS : 3 * OBJECTS])
        self.ensure_swept(objects[1])  # of heads[0], which then has a free object
        self.ensure_swept(heads[3])
        self.mallocs(3, SIZE, noscan=False)
        self.free_pages(1)
        self.scavenge(4)
        self.partial, self.full, self.unswept, self.swept_at_flush = heads[0], heads[3], heads[4], heads[5]
        self.cached = int(self.state.tables["spans"][self.h.allp[0].mcache.alloc[self.spc - 1]]["start_addr"])

    @property
    def spc(self):
        """Span class of the small objects without pointers."""
        return int(self.span(self.partial)["spanclass"])

    def now(self):
        """Which of each pair of sets is the swept one."""
        return int(self.h.sweepgen) // 2 % 2

    def chunk(self, address):
        """Return (pallocData of the chunk of ``address``, page in the chunk)."""
        ci = (address + (1 << 47)) >> 22
        return self.state.tables["pallocs"][int(self.h.chunks_l1[ci >> 13]) + (ci & 8191)], address // PAGE % 512

    def flip_page(self, name, address):
        """Flip the bit of a page in bitmap ``name`` of its chunk."""
        data, page = self.chunk(address)
        data[name]["w"][page >> 6] ^= 1 << (page & 63)

    def flip_arena_bit(self, name, address):
        """Flip the bit of a page in bitmap ``name`` of its arena."""
        page = self.page_in_arena(address)
        self.arena(address)[name][page >> 6] ^= 1 << (page & 63)

    def flip_object(self, name, address, index):
        """Flip a bit of bitmap ``name`` of the span at ``address``."""
        self.state.tables["gc_bits"][int(self.span(address)[name]) + (index >> 6)] ^= 1 << (index & 63)


def _add(path, amount=1):
    """Return a corruption that adds ``amount`` to a field of the heap record."""

    def corrupt(heap):
        record = heap.h
        *outer, last = path.split(".")
        for name in outer:
            record = record[name]
        record[last] += amount

    return corrupt


def _set_span(which, **values):
    """Return a corruption that adds to fields of the span ``which`` of a ``Healthy`` heap."""

    def corrupt(heap):
        s = heap.span(getattr(heap, which))
        for name, value in values.items():
            s[name] = int(s[name]) + value

    return corrupt


def _free_to_released(heap):
    heap.h.stats.heap_free -= PAGE
    heap.h.stats.heap_released += PAGE
    heap.h.stats.prepared += PAGE
    heap.h.stats.ready -= PAGE


def _page_of_span_elsewhere(heap):
    heap.arena(heap.stack)["spans"][heap.page_in_arena(heap.stack + PAGE)] = heap.span_index(heap.large)


def _second_range_touches_first(heap):
    ranges = heap.state.tables["in_use"]
    last = int(heap.h.in_use_len)
    ranges[last]["base_addr"] = ranges[last - 1]["limit"]
    ranges[last]["limit"] = ranges[last - 1]["limit"] + 4 * MIB
    heap.h.in_use_len += 1


def _empty_range(heap):
    ranges = heap.state.tables["in_use"]
    last = int(heap.h.in_use_len)
    ranges[last]["base_addr"] = ranges[last]["limit"] = ranges[last - 1]["limit"] + 8 * MIB
    heap.h.in_use_len += 1


def _summary(level):
    def corrupt(heap):
        at = int(heap.h.level_offset[level]) + ((heap.stack + (1 << 47)) >> int(heap.h.level_shift[level]))
        heap.state.tables["summary"][at] += 1

    return corrupt


def _free_page_below_search(heap):
    heap.h.search_addr = heap.dead + 19 * PAGE


def _zeroed_base_too_low(heap):
    heap.arena(heap.stack)["zeroed_base"] -= PAGE


def _lost_from_set(heap):
    heap.h.central[heap.spc].partial[heap.now()].head += 1


def _lost_from_unswept_set(heap):
    # The sets of spans that wait: forget all entries of the full one.
    q = heap.h.central[heap.spc].full[1 - heap.now()]
    q.head = q.tail


def _twice_in_set(heap):
    q = heap.h.central[heap.spc].partial[heap.now()]
    block = heap.state.tables["set_blocks"][int(q.head_block)]
    block["spans"][int(q.tail)] = block["spans"][int(q.head)]
    q.tail += 1


def _cached_by_two(heap):
    heap.h.allp[7].mcache.alloc[heap.spc - 1] = heap.h.allp[0].mcache.alloc[heap.spc - 1]


def _swept_span_in_mcache(heap):
    heap.h.allp[7].mcache.alloc[heap.spc] = heap.span_index(heap.full)


def _partial_set_holds_a_full_span(heap):
    c = heap.h.central[heap.spc]
    now = heap.now()
    c.partial[now], c.full[now] = c.full[now].copy(), c.partial[now].copy()


def _stale_entry_in_swept_set(heap):
    q = heap.h.central[heap.spc].full[heap.now()]
    heap.state.tables["set_blocks"][int(q.head_block)]["spans"][int(q.head)] = heap.span_index(heap.unswept)


def _sweepgen_of_unswept_when_drained(heap):
    heap.h.sweep_drained = 1


def _off_the_free_list(heap):
    heap.state.tables["spans"][int(heap.h.allp[0].mspancache.buf[0])]["unused"] = 0


def _prepared_to_ready(heap):
    heap.h.stats.prepared -= PAGE
    heap.h.stats.ready += PAGE


CORRUPTIONS = {
    "H1": [_add("pages_in_use"), _add("pages_in_use", -1)],
    "H2": [_page_of_span_elsewhere],
    "H3": [
        _add("stats.heap_in_use", PAGE),
        _add("stats.in_stacks", PAGE),
        _add("stats.in_ptr_scalar_bits", -PAGE),
        _add("stats.in_work_bufs", PAGE),
    ],
    "H4": [_add("stats.ready", PAGE), _add("stats.heap_free", PAGE)],
    "H5": [_free_to_released],
    "H6": [
        lambda heap: heap.flip_arena_bit("page_in_use", heap.large),
        lambda heap: heap.flip_arena_bit("page_in_use", heap.stack),
        lambda heap: heap.flip_arena_bit("page_in_use", heap.dead),
    ],
    "P1": [
        lambda heap: heap.flip_page("alloc", heap.stack),
        lambda heap: heap.flip_page("alloc", heap.dead),
    ],
    "P2": [lambda heap: heap.flip_page("scavenged", heap.stack)],
    "P3": [_summary(level) for level in range(5)],
    "P4": [_free_page_below_search],
    "S1": [_set_span("partial", alloc_count=1), lambda heap: heap.flip_object("alloc_bits", heap.partial, 0)],
    "S2": [_set_span("cached", alloc_cache=1), _set_span("partial", alloc_cache=1)],
    "S3": [lambda heap: heap.flip_object("gcmark_bits", heap.partial, 0)],
    "S4": [_set_span("full", sweepgen=-1), _set_span("full", sweepgen=2), _sweepgen_of_unswept_when_drained],
    "S5": [_lost_from_set, _lost_from_unswept_set, _twice_in_set, _cached_by_two, _swept_span_in_mcache],
    "S6": [_partial_set_holds_a_full_span, _stale_entry_in_swept_set],
    "A1": [_zeroed_base_too_low],
    "B1": [_add("bits_words"), _add("bits_words", -1)],
    "C1": [
        _add("stats.large_alloc_count"),
        _add("stats.large_free_count"),
        lambda heap: heap.h.stats.small_alloc_count.__setitem__(heap.spc >> 1, 0),
        lambda heap: heap.h.stats.small_free_count.__setitem__(7, 1),
    ],
    "F1": [
        _add("spanalloc.in_use", 144),
        _add("spanalloc.sys"),
        _add("allspans"),
        lambda heap: heap.h.allp[0].mspancache.__setitem__("n", 1),
        _off_the_free_list,
    ],
    "O1": [_prepared_to_ready],
    "O2": [_add("stats.reserved", PAGE)],
    "U1": [_second_range_touches_first, _empty_range],
}
CASES = [
    pytest.param(which, corrupt, id=f"{which}-{k}")
    for which, corruptions in CORRUPTIONS.items()
    for k, corrupt in enumerate(corruptions)
]


def test_every_invariant_is_broken_here_or_in_test_verify_lists():
    assert CORRUPTIONS.keys() | test_verify_lists.CORRUPTIONS.keys() == INVARIANTS.keys()


@pytest.mark.parametrize("module, broken", [(verify, CORRUPTIONS), (verify_lists, test_verify_lists.CORRUPTIONS)])
def test_every_invariant_is_checked_in_the_source(module, broken):
    source = Path(module.__file__).read_text()
    assert set(re.findall(r'raise Violation\("(\w+)"', source)) == broken.keys()


def test_healthy_heap_passes():
    heap = Healthy()
    heap.check()
    assert heap.queue("partial", True, heap.spc) == [heap.partial]
    assert heap.queue("full", True, heap.spc) == [heap.swept_at_flush, heap.full]
    assert heap.unswept in heap.queue("full", False, heap.spc)
    in_use, stacks, other, free, released, mapped = heap.accounts()
    assert min(in_use, stacks, other, free, released) > 0
    assert in_use + stacks + other + free + released == mapped
    assert heap.h.allp[0].mspancache.n > 0 and int(heap.h.sweep_drained) == 0
    assert heap.h.allp[0].pcache.cache != 0
    heap.sweep()
    heap.check()


@pytest.mark.parametrize("which, corrupt", CASES)
def test_corruption_is_found(which, corrupt):
    heap = Healthy()
    corrupt(heap)
    with pytest.raises(Violation) as found:
        heap.check()
    assert found.value.args[0] == which, f"{INVARIANTS[found.value.args[0]]}: {found.value.args[1:]}"


def test_page_cached_and_in_a_span():
    """A page of a span that a page cache owns too is counted as free once more."""
    heap = Heap()
    heap.malloc(100)
    heap.malloc(1000)
    heap.check()
    heap.h.allp[0].pcache.cache |= 1
    with pytest.raises(Violation, match="H5"):
        heap.check()
