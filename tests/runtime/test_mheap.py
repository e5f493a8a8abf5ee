"""mheap: where spans come from, what allocSpan makes of them, where every page is accounted, and how they are freed."""

import pytest
from runtime.spans import (
    ALLOC_MANUAL,
    BASE,
    FREE_MANUAL,
    FREE_SPAN,
    FREE_SPAN_LOCKED,
    HAS_ROOM,
    HEAP,
    MIB,
    PAGE,
    STACK,
    WITHOUT_P,
    Spans,
)

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import SPAN_ALLOC_PTR_SCALAR_BITS, SPAN_ALLOC_WORK_BUF, SPAN_DEAD, SPAN_MANUAL, TABLES
from mheaplab.runtime.verify import verify_heap

BITS = int(SPAN_ALLOC_PTR_SCALAR_BITS)
WORK = int(SPAN_ALLOC_WORK_BUF)


def fields(s, *names):
    """Return fields of a span."""
    return [int(s[name]) for name in names]


# ---------------------------------------------------------------------------------------------------- allocation

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
    """allocSpan: under 16 pages from the P's page cache, all else from the page allocator."""
    heap = Spans(page_cache_pages=64 if caches else 0)
    assert [heap.page(heap.manual(npages, p=p)) for npages, p in spans] == first
    total = sum(npages for npages, _ in spans)
    assert heap.accounts() == (0, total, 0, 0, 512 - total, 512), "pages in a cache are free"
    verify_heap(heap.h)


def test_heap_grows_when_nothing_fits():
    """A run that does not fit makes the heap grow by whole chunks; a run that fits does not."""
    heap = Spans()
    assert heap.accounts() == (0,) * 6
    for npages, page, mapped in ((500, 0, 512), (12, 500, 512), (1, 512, 1024), (600, 513, 2048), (935, 1113, 2048)):
        assert (heap.page(heap.manual(npages)), heap.accounts()[5]) == (page, mapped)
    assert heap.accounts() == (0, 2048, 0, 0, 0, 2048)


def test_manual_span():
    """allocSpan of a manual span: no objects and no bitmaps; its pages name it, but no bit of pageInUse is set."""
    heap = Spans()
    heap.manual(5)
    index = heap.manual(3, BITS)
    s = heap.span(index)
    assert fields(s, "start_addr", "npages", "limit", "state", "alloc_type") == [
        BASE + 5 * PAGE, 3, BASE + 8 * PAGE, SPAN_MANUAL, BITS,
    ]
    empty = ("spanclass", "elemsize", "nelems", "div_mul", "alloc_bits", "gcmark_bits", "manual_free_list", "slots")
    assert fields(s, *empty, "alloc_count", "freeindex", "list", "needzero") == [0] * 12
    spans = heap.state.tables["heap_arenas"][1]["spans"]
    assert spans[:9].tolist() == [1] * 5 + [index] * 3 + [0]
    assert not heap.page_bit("page_in_use", 5)
    assert (int(heap.h.pages_in_use), int(heap.h.bits_words), int(heap.h.gc_bits_len)) == (0, 0, 8192)


def test_heap_span():
    """allocSpan of a heap span: its pages name it, and its first page has its bit in pageInUse."""
    heap = Spans()
    heap.h.sweepgen = 6
    heap.manual(5)
    index = heap.heap_span(4, spc=2 * 67 + 1)
    s = heap.span(index)
    assert fields(s, "start_addr", "npages", "state", "alloc_type", "spanclass") == [BASE + 5 * PAGE, 4, 1, HEAP, 135]
    assert fields(s, "sweepgen", "alloc_count", "freeindex", "unused") == [6, 0, 0, 0]
    assert [heap.page_bit("page_in_use", page) for page in range(4, 10)] == [False, True] + [False] * 4
    assert heap.state.tables["heap_arenas"][1]["spans"][4:10].tolist() == [1] + [index] * 4 + [0]
    assert int(heap.h.pages_in_use) == 4


@pytest.mark.parametrize("field", ["manual_free_list", "slots", "nelems", "div_mul", "limit", "scav", "elemsize"])
def test_record_used_again(field):
    """What a record had been is forgotten when it becomes another span."""
    heap = Spans()
    index = heap.heap_span(1, spc=10)
    heap.call(FREE_SPAN, index)
    heap.span(index)[field] = 7
    assert heap.manual(2) == index
    want = {"limit": BASE + 2 * PAGE, "scav": PAGE}
    assert int(heap.span(index)[field]) == want.get(field, 0)


def test_span_over_two_arenas():
    """Both arenas know the span; the page bits are those of its first page alone."""
    heap = Spans(room={"pallocs": 24 << 10})
    heap.manual(8000)
    index = heap.heap_span(400)
    arenas = heap.state.tables["heap_arenas"]
    assert arenas[1]["spans"][7999:8192].tolist() == [1] + [index] * 192
    assert arenas[2]["spans"][:209].tolist() == [index] * 208 + [0]
    assert fields(arenas[1], "zeroed_base") + fields(arenas[2], "zeroed_base") == [64 * MIB, 208 * PAGE]
    assert [heap.page_bit("page_in_use", page) for page in (7999, 8000, 8001, 8192)] == [False, True, False, False]
    heap.call(FREE_SPAN, index)
    assert not heap.page_bit("page_in_use", 8000)


@pytest.mark.parametrize("npages, fresh", [(4, True), (600, True), (4, False), (600, False)])
def test_needzero(npages, fresh):
    """needzero: whether any of the span's memory was used before."""
    heap = Spans()
    if not fresh:
        heap.free_pages(1)
    index = heap.manual(npages)
    assert fields(heap.span(index), "needzero", "scav") == [0 if fresh else 1, (npages - (not fresh)) * PAGE]


# Go version, pages of 64 freed ones that are scavenged, whether the next 64 pages need zeroing
SCAVENGED = [("go1.19", 0, 1), ("go1.19", 64, 1), ("go1.27", 0, 1), ("go1.27", 8, 1), ("go1.27", 64, 0)]


@pytest.mark.parametrize("go, scavenged, dirty", SCAVENGED)
def test_scavenged_memory_is_zero_since_go127(go, scavenged, dirty):
    heap = Spans(go, huge_page_bytes=0)
    heap.free_pages(64)
    heap.scavenge(scavenged)
    index = heap.manual(64)
    assert fields(heap.span(index), "needzero", "scav") == [dirty, scavenged * PAGE] and heap.page(index) == 0
    assert int(heap.state.tables["heap_arenas"][1]["zeroed_base"]) == 64 * PAGE


@pytest.mark.parametrize("typ", [STACK, BITS, WORK])
def test_alloc_manual(typ):
    """allocManual: any type but that of the heap."""
    heap = Spans()
    assert fields(heap.span(heap.manual(2, typ)), "alloc_type", "state") == [typ, SPAN_MANUAL]


def test_alloc_manual_of_the_heap_type():
    heap = Spans()
    with pytest.raises(Throw, match="manual span allocation called with non-manually-managed type"):
        heap.call(ALLOC_MANUAL, 1, HEAP, WITHOUT_P)
    assert heap.accounts() == (0,) * 6


def test_span_log():
    """A row for each span where they are logged: address, pages, class, scavenged bytes, event, needzero."""
    heap = Spans()
    heap.h.log_spans = 1
    heap.h.event = 7
    heap.manual(3)
    heap.h.event = 8
    heap.heap_span(1, spc=103)
    heap.free_manual(1)
    heap.h.event = 1 << 40
    heap.manual(2)
    rows = heap.state.take_rows()
    names = ("span_base", "span_npages", "span_class", "span_scav", "span_event", "span_needzero")
    assert [tuple(int(row[name]) for name in names) for row in rows] == [
        (BASE, 3, 0xFFFF, 3 * PAGE, 7, 0),
        (BASE + 3 * PAGE, 1, 103, PAGE, 8, 0),
        (BASE, 2, 0xFFFF, 0, 1 << 40, 1),
    ]
    assert [fields(heap.span(i), "event")[0] for i in (1, 2)] == [0, 8], "a span keeps the low 32 bits"
    heap.h.log_spans = 0
    heap.manual(1)
    assert len(heap.state.take_rows()) == 0


# -------------------------------------------------------------------------------------------------------- accounts


def test_accounts_of_every_kind_of_span():
    """Pages (heap, stacks, other manual, free, released, mapped) after each step."""
    heap = Spans(huge_page_bytes=0)
    stack = heap.manual(3)
    assert heap.accounts() == (0, 3, 0, 0, 509, 512)
    bits, work = heap.manual(4, BITS), heap.manual(5, WORK)
    assert heap.accounts() == (0, 3, 9, 0, 500, 512)
    assert fields(heap.h.stats, "in_ptr_scalar_bits", "in_work_bufs") == [4 * PAGE, 5 * PAGE]
    heap.heap_span(1, spc=103)
    large = heap.heap_span(13)
    assert heap.accounts() == (14, 3, 9, 0, 486, 512) and int(heap.h.pages_in_use) == 14
    heap.free_manual(bits, BITS)
    assert heap.accounts() == (14, 3, 5, 4, 486, 512)
    assert fields(heap.h.stats, "in_ptr_scalar_bits", "in_work_bufs") == [0, 5 * PAGE]
    heap.free_manual(work, WORK)
    heap.free_manual(stack)
    assert heap.accounts() == (14, 0, 0, 12, 486, 512)
    heap.scavenge(8)
    assert heap.accounts() == (14, 0, 0, 4, 494, 512)
    again = heap.manual(12)
    assert heap.page(again) == 0 and int(heap.span(again)["scav"]) == 8 * PAGE
    assert heap.accounts() == (14, 12, 0, 0, 486, 512)
    heap.call(FREE_SPAN, large)
    assert heap.accounts() == (1, 12, 0, 13, 486, 512) and int(heap.h.pages_in_use) == 1


# ------------------------------------------------------------------------------------------------------------ free


def test_free_span():
    """freeSpan: pages free and not released, bits and records given back, the chunk marked for the scavenger."""
    heap = Spans()
    first, index = heap.manual(5), heap.heap_span(4, spc=2 * 67)
    assert int(heap.h.bits_words) == 1
    heap.call(FREE_SPAN, index)
    assert fields(heap.span(index), "state", "unused") == [SPAN_DEAD, 1]
    assert not heap.page_bit("page_in_use", 5) and fields(heap.h, "pages_in_use", "bits_words") == [0, 0]
    assert heap.accounts() == (0, 5, 0, 4, 503, 512)
    assert int(heap.h.scav_search) == int(heap.h.chunk_start), "the chunk is marked"
    assert heap.state.tables["heap_arenas"][1]["spans"][5] == index, "pages go on naming a dead span"
    assert heap.manual(4) == index and heap.page(index) == 5
    heap.free_manual(index)
    heap.free_manual(first)
    assert heap.manual(509) == first and heap.page(first) == 0, "joined to their neighbours"
    verify_heap(heap.h)


def test_free_manual():
    """freeManual: the same, and the record says that the memory needs zeroing."""
    heap = Spans()
    index = heap.manual(3, WORK)
    assert int(heap.span(index)["needzero"]) == 0
    heap.free_manual(index, WORK)
    assert fields(heap.span(index), "state", "needzero", "unused") == [SPAN_DEAD, 1, 1]
    assert heap.accounts() == (0, 0, 0, 3, 509, 512)
    verify_heap(heap.h)


# Go's throws for frees, the kind of span, and what is wrong with it
WRONG_FREES = [
    ("mheap.freeSpanLocked - invalid stack free", False, {"alloc_count": 1}),
    ("mheap.freeSpanLocked - invalid free", True, {"sweepgen": 0}),
    ("mheap.freeSpanLocked - invalid free", True, {"sweepgen": 4}),
    ("mheap.freeSpanLocked - invalid free", True, {"alloc_count": 1}),
    ("mheap.freeSpanLocked - invalid span state", True, {"state": 0}),
    ("mheap.freeSpanLocked - invalid span state", False, {"state": 0}),
    ("mheap.freeSpanLocked - invalid span state", False, {"state": 3}),
]


@pytest.mark.parametrize("message, is_heap, wrong", WRONG_FREES)
def test_wrong_frees(message, is_heap, wrong):
    """freeSpanLocked throws before anything has changed."""
    heap = Spans()
    heap.h.sweepgen = 2
    index = heap.heap_span(1, spc=10) if is_heap else heap.manual(1)
    for name, value in wrong.items():
        heap.span(index)[name] = value
    before = heap.accounts(), int(heap.h.pages_in_use), int(heap.h.bits_words)
    with pytest.raises(Throw, match=message):
        heap.call(FREE_SPAN_LOCKED, index, HEAP if is_heap else STACK)
    assert (heap.accounts(), int(heap.h.pages_in_use), int(heap.h.bits_words)) == before
    assert int(heap.span(index)["unused"]) == 0


def test_free_twice():
    heap = Spans()
    heap.manual(1)
    index = heap.manual(2)
    heap.free_manual(index)
    for op in ((FREE_MANUAL, index, STACK), (FREE_SPAN, index)):
        with pytest.raises(Throw, match="mheap.freeSpanLocked - invalid span state"):
            heap.call(*op)


def test_free_manual_as_another_type():
    """The accounts would be wrong; Go leaves that to its callers."""
    heap = Spans()
    index = heap.manual(2, WORK)
    with pytest.raises(Throw, match="manual span freed as another type"):
        heap.free_manual(index, STACK)


# ------------------------------------------------------------------------------------------------------------ room

SPARE = {
    "spans": 64,  # a P's cache is refilled
    "span_log": 1,
    "heap_arenas": 2,  # one for the span, one more if the OS gives an aligned address by chance
    "pallocs": 2 * 8192,
    "in_use": 2,
    "os_ranges": 3,
    "stack_slots": 1,
    "gc_bits": 2 * 8192,
}
"""Items that must be left for one allocation of a page. Sets of spans need room for every span twice."""


def tighten(heap):
    """Leave every table with just the room that one allocation may need."""
    for name, spare in SPARE.items():
        heap.h[f"{name}_cap"] = heap.h[f"{name}_len"] + spare
    heap.h.set_blocks_cap = 2 * (int(heap.h.spans_len) // 512 + 1) + 4 * 256 + 2


@pytest.mark.parametrize("table", [*SPARE, "set_blocks"])
def test_has_room(table):
    """mheap_has_room: false as soon as one table has one item less; need_arenas says what the growth asks for."""
    heap = Spans()
    heap.h.log_spans = 1
    tighten(heap)
    assert heap.call(HAS_ROOM, 1) == 1
    if table == "span_log":
        heap.h.span_log_len += 1
    else:
        heap.h[f"{table}_cap"] -= 1
    assert heap.call(HAS_ROOM, 1) == 0 and int(heap.h.need_arenas) == 2
    heap.state.take_rows()
    heap.state.grow(2)
    assert heap.call(HAS_ROOM, 1) == 1


def test_has_room_for_many_pages():
    heap = Spans()
    tighten(heap)
    assert heap.calls((HAS_ROOM, 8191), (HAS_ROOM, 8192)) == [1, 0] and int(heap.h.need_arenas) == 3
    heap.h.heap_arenas_cap += 1
    assert heap.call(HAS_ROOM, 8192) == 1


def test_has_room_without_log_and_with_free_slots():
    """A table of which nothing is needed may be full."""
    heap = Spans()
    tighten(heap)
    heap.h.span_log_cap = heap.h.span_log_len
    heap.h.stack_slots_cap = heap.h.stack_slots_len
    assert heap.call(HAS_ROOM, 1) == 0
    heap.h.slots_free = 1
    assert heap.call(HAS_ROOM, 1) == 1


# occupied address space, with which the heap must do something rare, and the pages of the span
RARE = [
    pytest.param((), 8191, id="a fresh heap"),
    pytest.param(((BASE + 64 * MIB, BASE + 64 * MIB + 4096),), 8192, id="the next arena lies elsewhere"),
    pytest.param(((BASE + 64 * MIB, (1 << 47) - 64 * MIB * 100),), 1, id="the OS gives an aligned address by chance"),
]


@pytest.mark.parametrize("occupied, npages", RARE)
def test_that_room_is_enough(occupied, npages):
    heap = Spans(occupied=occupied, room={"heap_arenas": 64})
    heap.h.log_spans = 1
    if occupied:
        heap.manual(8192 - (npages == 8192))
        heap.state.take_rows()
    tighten(heap)
    heap.h.heap_arenas_cap += npages // 8192
    assert heap.call(HAS_ROOM, npages) == 1
    assert heap.heap_span(npages, p=0) != 0
    over = [name for name in TABLES if heap.h[f"{name}_len"] > heap.h[f"{name}_cap"]]
    assert over == []
