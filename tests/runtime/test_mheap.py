"""mheap: where spans come from, what they hold, and where every page is accounted."""

import numpy as np
import pytest
from runtime.entry import COMPILED, entry
from runtime.test_run import BASE, MIB, PAGE, WITHOUT_P, Heap, page_at, pages_of

from mheaplab.params import HeapParams
from mheaplab.runtime.mheap import (
    address_bits_ok,
    arena_base,
    arena_index,
    mheap_alloc_needs_zero,
    mheap_free_span,
    span_of,
)
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import SPAN_ALLOC_HEAP, SPAN_ALLOC_PTR_SCALAR_BITS, SPAN_ALLOC_WORK_BUF

ARENA_INDEX, ARENA_BASE, SPAN_OF, NEEDS_ZERO, FREE_SPAN = range(5)
ARENA = 64 * MIB
FAR = BASE + 1024 * MIB


@entry
def drive_heap(h, ops, answers):
    """Apply ``ops``, rows (kind, a, b)."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        a = ops[k, 1]
        b = ops[k, 2]
        if kind == ARENA_INDEX:
            answers[k] = arena_index(h, a)
        elif kind == ARENA_BASE:
            answers[k] = arena_base(h, a)
        elif kind == SPAN_OF:
            answers[k] = span_of(h, a)
        elif kind == NEEDS_ZERO:
            answers[k] = np.int64(mheap_alloc_needs_zero(h, a, b))
        elif kind == FREE_SPAN:
            mheap_free_span(h, a)


def drive(heap, *ops):
    """Run ``ops`` on ``heap`` and return the answers."""
    answers = np.zeros(len(ops), np.int64)
    drive_heap(heap.h, np.array([list(op) + [0] * (3 - len(op)) for op in ops], np.int64), answers)
    return answers.tolist()


# ---------------------------------------------------------------------------------------------------- addresses


@pytest.mark.parametrize("mib", [4, 64])
def test_arena_index_and_base(mib):
    heap = Heap(arena_bytes=mib * MIB)
    size = mib * MIB
    for address in (0, 1, size - 1, size, BASE, BASE + size - 1, BASE + size, 0x1C000000000, (1 << 47) - 1):
        index = (address + (1 << 47)) // size
        base = address - address % size
        assert drive(heap, (ARENA_INDEX, address), (ARENA_BASE, index)) == [index, base]


def test_legal_addresses():
    assert [address_bits_ok(a) for a in (0, 1, BASE, (1 << 47) - 1, 1 << 47)] == [False, True, True, True, False]


def test_span_of():
    heap = Heap()
    first = heap.span_alloc(3)
    second = heap.span_alloc(2)
    asked = [first, first + 3 * PAGE - 1, second, second + 2 * PAGE - 1]
    outside = [-1, 0, BASE - 1, BASE + ARENA, (1 << 47) - 1, 1 << 47, -(1 << 63)]
    answers = drive(heap, *[(SPAN_OF, a) for a in [*asked, second + 2 * PAGE, *outside]])
    assert answers == [1, 1, 2, 2] + [0] * 8
    # The pages of a dead span still name it; who asks looks at its state.
    heap.span_free(first)
    assert drive(heap, (SPAN_OF, first)) == [1] and heap.span(first)["state"] == 0


# ------------------------------------------------------------------------------------------------------- growth


def mib_accounts(heap):
    """Return MiB (mapped, reserved, released)."""
    s = heap.h.stats
    return tuple(int(x) / MIB for x in (s.mapped, s.reserved, s.heap_released))


def test_first_growth_takes_an_arena_and_maps_one_chunk():
    heap = Heap()
    assert heap.accounts() == (0, 0, 0, 0, 0, 0)
    assert heap.span_alloc(1) == BASE
    assert mib_accounts(heap) == (4, 64, 4 - 1 / 128)
    assert int(heap.h.cur_arena_base) == BASE + 4 * MIB and int(heap.h.cur_arena_end) == BASE + ARENA
    assert int(heap.h.heap_arenas_len) == 2 and int(heap.arena(BASE)["arena_idx"]) == (BASE + (1 << 47)) // ARENA


# spans of pages taken one after another, MiB mapped and reserved after them
GROWTH = [
    pytest.param([512], 4, 64, id="a whole chunk"),
    pytest.param([513], 8, 64, id="a page more is a chunk more"),
    pytest.param([512, 1], 8, 64, id="the next chunk"),
    pytest.param([300, 300], 8, 64, id="the free end of the last chunk counts only for the search"),
    pytest.param([8192], 64, 64, id="a whole arena"),
    pytest.param([8192, 1], 68, 128, id="the next arena"),
    pytest.param([8320], 68, 128, id="65 MiB take two arenas"),
    pytest.param([1, 8320], 72, 192, id="65 MiB behind a page: rounded up alone, to two arenas more"),
    pytest.param([8192, 8320], 132, 192, id="65 MiB behind an arena"),
]


@pytest.mark.parametrize("spans, mapped, reserved", GROWTH)
def test_growth(spans, mapped, reserved):
    heap = Heap()
    end = 0
    for npages in spans:
        # The heap grows without a gap, so spans lie one behind the other.
        assert heap.span_alloc(npages) == page_at(end)
        end += npages
    assert mib_accounts(heap)[:2] == (mapped, reserved)
    assert heap.accounts() == (0, end, 0, 0, mapped * 128 - end, mapped * 128)
    assert int(heap.h.heap_arenas_len) - 1 == reserved // 64
    heap.check()


def test_span_over_two_arenas():
    heap = Heap()
    span = heap.span_alloc(8320)
    assert [heap.span_index(span + k * PAGE) for k in (0, 8191, 8192, 8319)] == [1, 1, 1, 1]
    assert int(heap.arena(BASE)["zeroed_base"]) == ARENA
    assert int(heap.arena(BASE + ARENA)["zeroed_base"]) == 128 * PAGE
    large = heap.malloc(65 * MIB, p=WITHOUT_P)
    assert large == page_at(8320) and heap.span(large)["npages"] == 8320
    assert [heap.page_bit("page_in_use", large + k * PAGE) for k in (0, 1, 8319)] == [True, False, False]
    heap.check()


def test_rest_of_the_arena_is_mapped_when_the_next_lies_elsewhere():
    heap = Heap()
    heap.span_alloc(1)
    heap.h.hints[int(heap.h.n_hints) - 1].addr = FAR
    # What is left of the first arena would do, but Go asks for whole arenas as soon as a chunk does not fit.
    assert heap.span_alloc(8192) == FAR
    assert mib_accounts(heap) == (128, 128, 128 - 64 - 1 / 128)
    assert heap.span_alloc(8191) == BASE + PAGE
    assert mib_accounts(heap)[:2] == (128, 128)
    assert (int(heap.h.cur_arena_base), int(heap.h.cur_arena_end)) == (FAR + ARENA,) * 2
    heap.check()


def test_hints_are_tried_in_turn():
    heap = Heap(arena_bytes=4 * MIB)
    n = int(heap.h.n_hints)
    top, second = heap.h.hints[n - 1], heap.h.hints[n - 2]
    top.addr = (1 << 47) - 4 * MIB  # room for one arena below the end of the address space
    assert heap.span_alloc(512) == (1 << 47) - 4 * MIB
    assert int(top.addr) == 1 << 47 and int(heap.h.n_hints) == n
    second.down = 1
    second.addr = 0x1C000000000
    assert heap.span_alloc(512) == 0x1C000000000 - 4 * MIB
    assert heap.span_alloc(512) == 0x1C000000000 - 8 * MIB, "a hint that goes down"
    assert int(heap.h.n_hints) == n - 1 and int(second.addr) == 0x1C000000000 - 8 * MIB
    if COMPILED:  # walks all chunks between the lowest and the highest
        heap.check()


def test_no_hint_left():
    heap = Heap()
    heap.h.n_hints = 1
    heap.h.hints[0].addr = 1 << 47
    with pytest.raises(Throw, match="out of memory"):
        heap.span_alloc(1)
    assert int(heap.h.n_hints) == 0 and int(heap.h.stats.reserved) == 0


# --------------------------------------------------------------------------------------------- dirty memory

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
    heap = Heap(arena_bytes=4 * MIB)
    heap.span_alloc(1024)
    for k in (1, 2):
        heap.state.tables["heap_arenas"][k]["zeroed_base"] = 0
    assert drive(heap, *[(NEEDS_ZERO, page_at(first), n) for first, n in asked]) == dirty
    assert tuple(int(z) // PAGE for z in heap.state.tables["heap_arenas"]["zeroed_base"][1:3]) == zeroed


def needzero(heap):
    """Return needzero of the last SPAN_ALLOC."""
    return int(heap.out.needzero[heap.n - 1])


def test_freed_memory_is_dirty():
    heap = Heap(arena_bytes=4 * MIB)
    span = heap.span_alloc(520)
    assert needzero(heap) == 0
    heap.span_free(span)
    assert heap.span_alloc(4) == span and needzero(heap) == 1
    heap.span_alloc(516)
    assert needzero(heap) == 1
    assert heap.span_alloc(4) == span + 520 * PAGE and needzero(heap) == 0


# Go version, pages of 64 freed pages that are scavenged, whether the next 64 pages need zeroing
SCAVENGED = [
    ("go1.19", 0, 1),
    ("go1.19", 64, 1),
    ("go1.27", 0, 1),
    ("go1.27", 8, 1),
    ("go1.27", 64, 0),
]


@pytest.mark.parametrize("go, scavenged, dirty", SCAVENGED)
def test_scavenged_memory_is_zero_since_go127(go, scavenged, dirty):
    heap = Heap(go)
    span = heap.free_pages(64)
    if scavenged:
        assert heap.scavenge(8 if scavenged == 8 else 0)[1] == scavenged
    assert heap.span_alloc(64) == span
    assert (needzero(heap), int(heap.out.scav[heap.n - 1])) == (dirty, scavenged * PAGE)
    assert heap.rows()["span_scav"][-1] == scavenged * PAGE and heap.rows()["span_needzero"][-1] == dirty
    heap.check()


# ------------------------------------------------------------------------------------------------ page cache

# whether Ps have page caches, spans as (pages, P), their first pages
PAGE_CACHE = [
    # The heap's first page comes from the page allocator: a cache can only be filled when there is something free.
    pytest.param(True, [(1, 0), (1, 0), (1, WITHOUT_P), (1, 0)], [0, 1, 64, 2], id="one page"),
    pytest.param(True, [(1, 0), (15, 0), (16, 0), (15, 0)], [0, 1, 64, 16], id="15 pages, and 16"),
    pytest.param(True, [(1, 0), (1, 0), (1, 1), (1, 0)], [0, 1, 64, 2], id="each P its own"),
    pytest.param(True, [(1, 0), (15, 0), (15, 0), (15, 0), (15, 0), (15, 0), (3, 0)], [0, 1, 16, 31, 46, 64, 61],
                 id="what does not fit goes past a cache that stays"),
    pytest.param(True, [(1, 0), (15, 0), (15, 0), (15, 0), (15, 0), (3, 0), (1, 0)], [0, 1, 16, 31, 46, 61, 64],
                 id="an empty cache is filled from the next block"),
    pytest.param(True, [(1, WITHOUT_P), (15, WITHOUT_P), (1, WITHOUT_P)], [0, 1, 16], id="no P, no cache"),
    pytest.param(False, [(1, 0), (1, 0), (1, WITHOUT_P), (1, 0)], [0, 1, 2, 3], id="without page caches"),
]


@pytest.mark.parametrize("caches, spans, first", PAGE_CACHE)
def test_page_cache(caches, spans, first):
    heap = Heap(page_cache=caches)
    assert pages_of([heap.span_alloc(npages, p=p) for npages, p in spans]) == first
    total = sum(npages for npages, _ in spans)
    assert heap.accounts() == (0, total, 0, 0, 512 - total, 512), "pages in a cache are free"
    heap.check()


# --------------------------------------------------------------------------------------- spans and their free


def test_accounts_of_every_kind_of_span():
    """Pages (heap, stacks, other manual, free, released, mapped) after each step."""
    heap = Heap()
    stack = heap.span_alloc(3)
    assert heap.accounts() == (0, 3, 0, 0, 509, 512)
    bits = heap.span_alloc(4, kind=int(SPAN_ALLOC_PTR_SCALAR_BITS))
    work = heap.span_alloc(5, kind=int(SPAN_ALLOC_WORK_BUF))
    assert heap.accounts() == (0, 3, 9, 0, 500, 512)
    assert (int(heap.h.stats.in_ptr_scalar_bits), int(heap.h.stats.in_work_bufs)) == (4 * PAGE, 5 * PAGE)
    heap.malloc(8000)
    heap.malloc(100000)
    assert heap.accounts() == (1 + 13, 3, 9, 0, 486, 512) and int(heap.h.pages_in_use) == 14
    heap.span_free(bits)
    assert heap.accounts() == (14, 3, 5, 4, 486, 512)
    heap.span_free(work)
    heap.span_free(stack)
    assert heap.accounts() == (14, 0, 0, 12, 486, 512)
    assert heap.scavenge(8)[1] == 8
    assert heap.accounts() == (14, 0, 0, 4, 494, 512)
    assert heap.span_alloc(12) == stack
    assert heap.accounts() == (14, 12, 0, 0, 486, 512)
    assert int(heap.out.scav[heap.n - 1]) == 8 * PAGE
    heap.check()


def test_row_of_every_span():
    heap = Heap()
    stack = heap.span_alloc(3)
    small = heap.malloc(8000, noscan=False)
    large = heap.malloc(100000)
    rows = [tuple(int(row[name]) for name in ("span_base", "span_npages", "span_class", "span_scav", "span_event"))
            for row in heap.rows()]
    assert rows == [
        (stack, 3, 0xFFFF, 3 * PAGE, 0),
        (small, 1, 2 * 51, PAGE, 1),
        (large, 13, 1, 13 * PAGE, 2),
    ]
    heap.h.log_spans = 0
    heap.span_alloc(1)
    assert len(heap.rows()) == 3


def test_free_of_a_manual_span_twice():
    heap = Heap()
    index = heap.span_index(heap.span_alloc(2))
    assert drive(heap, (FREE_SPAN, index)) == [0]
    with pytest.raises(Throw, match="mheap.freeSpanLocked - invalid span state"):
        drive(heap, (FREE_SPAN, index))


# Go's throws for frees, and what is wrong with the span
WRONG_FREES = [
    ("mheap.freeSpanLocked - invalid stack free", False, {"alloc_count": 1}),
    ("mheap.freeSpanLocked - invalid free", True, {"sweepgen": 0}),
    ("mheap.freeSpanLocked - invalid free", True, {"alloc_count": 0}),
]


@pytest.mark.parametrize("message, is_heap, wrong", WRONG_FREES)
def test_wrong_frees(message, is_heap, wrong):
    heap = Heap()
    index = heap.span_index(heap.malloc(48) if is_heap else heap.span_alloc(1))
    for name, value in wrong.items():
        heap.state.tables["spans"][index][name] = value
    with pytest.raises(Throw, match=message):
        drive(heap, (FREE_SPAN, index))


def test_manual_span_of_the_heap_kind():
    with pytest.raises(Throw, match="manual span allocation called with non-manually-managed type"):
        Heap().span_alloc(1, kind=int(SPAN_ALLOC_HEAP))


def test_heap_span_freed_and_its_record_used_again():
    heap = Heap()
    first, second = heap.malloc(40000), heap.malloc(40000)
    small = heap.malloc(48)
    assert heap.accounts()[0] == 11 and int(heap.h.bits_words) == 1 + 1 + 3, "170 objects of 48 bytes take three words"
    index = heap.span_index(first)
    heap.collect(dead=[first, small])
    assert set(heap.sweep()) == {first, second}
    assert heap.accounts() == (5, 0, 0, 6, 501, 512) and int(heap.h.bits_words) == 1
    assert int(heap.h.spans_in_use) == 1
    manual = heap.span_alloc(5)
    # The record freed last is used first: that of the first large span, which was swept after the mcache's.
    assert manual == first and heap.span_index(manual) == index
    s = heap.span(manual)
    assert [int(s[name]) for name in ("state", "nelems", "elemsize", "spanclass", "alloc_bits", "needzero")] == [
        2, 0, 0, 0, 0, 1
    ]
    heap.check()


# ------------------------------------------------------------------------------------------- objects per span

# size, pages of a span; objects in Go 1.19; in Go 1.27 with pointers (less 1/64 of the span up to 512 bytes) and
# without; from 16 to 512 bytes less 128 bytes of inline marks
OBJECTS = [
    (8, 1, 1024, 1008, 1024),
    (16, 1, 512, 496, 504),
    (24, 1, 341, 330, 336),
    (32, 1, 256, 248, 252),
    (48, 1, 170, 165, 168),
    (512, 1, 16, 15, 15),
    (576, 1, 14, 14, 14),
    (1024, 1, 8, 8, 8),
    (1152, 1, 7, 7, 7),
    (32768, 4, 1, 1, 1),
]


@pytest.mark.parametrize("size, npages, old, scan, noscan", OBJECTS)
def test_objects_per_span(size, npages, old, scan, noscan):
    for go, header, expected in (("go1.19", 0, (old, old)), ("go1.27", 8, (scan, noscan))):
        for is_noscan, count in enumerate(expected):
            heap = Heap(go)
            # Since Go 1.22 an object with pointers of more than 512 bytes has its header in the slot.
            asked = size - (header if size > 512 and not is_noscan else 0)
            address = heap.malloc(max(asked - (size == 32768 and is_noscan and header), 1), noscan=bool(is_noscan))
            if size == 8 and is_noscan:
                continue  # such objects are tiny; test_class_table has the class
            s = heap.span(address)
            assert (int(s["elemsize"]), int(s["npages"]), int(s["nelems"])) == (size, npages, count)
            assert int(s["limit"]) == int(s["start_addr"]) + count * size


def test_class_table():
    """Objects of every span class, from the rule, and that they and what is reserved fit the span."""
    for go in ("go1.19", "go1.27"):
        heap = Heap(go)
        params = HeapParams.of_version(go).to_record()
        for c in range(1, 68):
            size, span = int(params["class_to_size"][c]), int(params["class_to_allocnpages"][c]) * PAGE
            for noscan in (0, 1):
                reserved = 0
                if go == "go1.27" and size <= 512:
                    reserved = (0 if noscan else span // 64) + (128 if size >= 16 else 0)
                count = int(heap.h.class_nelems[2 * c + noscan])
                assert count * size <= span - reserved < (count + 1) * size
    assert [row[2] for row in OBJECTS][:2] == [1024, 512]


def test_large_span():
    heap = Heap("go1.27")
    address = heap.malloc(100000)
    s = heap.span(address)
    assert (int(s["npages"]), int(s["nelems"]), int(s["elemsize"]), int(s["div_mul"])) == (13, 1, 13 * PAGE, 0)
    assert int(s["limit"]) == address + 100000 and int(s["spanclass"]) == 1
    assert heap.span(heap.malloc(100000, noscan=False))["spanclass"] == 0
