"""Steps: what a story tells of a malloc or a sweep is what happened, value by value, against the heap itself."""

import re

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.steps import answers, filled, malloc, parse_address, sweep_one

BASE, PAGE, ARENA = 0xC000000000, 8192, 64 << 20


def names(story):
    """Return Go's functions of the steps."""
    return [step.go for step in story.steps]


def reading(story, name, nth=0):
    """Return (before, after) of the ``nth`` reading of that name."""
    found = [(r.before, r.after) for step in story.steps for r in step.readings if r.name == name]
    return found[nth]


def test_first_malloc_goes_all_the_way_down():
    heap = mh.Heap()
    story = malloc(heap, 48)
    assert names(story) == [
        "mallocgc", "nextFreeFast", "mcache.refill", "mcentral.cacheSpan", "mheap.allocSpan", "mheap.sysAlloc",
        "mheap.grow", "pageAlloc.alloc", "mheap.allocMSpanLocked", "mheap.allocSpan", "mheap.setSpans", "mcache.refill",
        "mspan.nextFreeIndex", "mallocgc",
    ]  # fmt: skip
    assert story.before is None and story.after.base == story.addr == BASE
    assert (story.pages_before.grown, story.pages_after.grown) == (False, True)
    assert story.pages_after.alloc.sum() == 1
    assert "size_to_class8[6] is size class 5" in story.steps[0].text


def test_second_malloc_takes_the_fast_path():
    heap = mh.Heap()
    malloc(heap, 48)
    story = malloc(heap, 48)
    assert names(story) == ["mallocgc", "nextFreeFast", "mallocgc"] and story.addr == BASE + 48
    assert reading(story, "freeindex") == ("1", "2") == (str(story.before.freeindex), str(story.after.freeindex))
    words = reading(story, "allocCache")
    assert [int(w, 16) for w in words] == [story.before.alloc_cache, story.after.alloc_cache]


@pytest.mark.parametrize(
    ("placement", "words"), [("best-fit", "Best fit: the lowest of the smallest"), ("next-fit", "Next fit: the next")]
)
def test_a_story_names_the_policy(placement, words):
    """A cache of 8 pages has spans of one page only; the others are placed by the policy."""
    heap = mh.Heap(mh.HeapParams.go119(page_placement=placement, page_cache_pages=8, size_classes="pow2"))
    one, two = malloc(heap, 48), malloc(heap, 2048)
    assert "the block of 8 at" in str(malloc(heap, 128)) and one.addr == BASE
    assert any(words in step.text for step in two.steps) and two.addr == BASE + PAGE
    assert heap.span_of(two.addr).npages == 2
    heap.verify()
    assert "pageCache" in heap.dump()


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_a_story_does_what_the_heap_does(go):
    """The same calls with and without stories: same addresses, same heap."""
    rng = np.random.default_rng(3)
    told, plain = (mh.Heap(mh.HeapParams.of_version(go)) for _ in range(2))
    live = []
    for turn in range(120):
        size, noscan = int(rng.choice([5, 16, 48, 600, 9000, 40_000])), bool(rng.integers(2))
        story = malloc(told, size, noscan)
        assert story.addr == plain.malloc(size, noscan)
        assert story.steps and str(story).startswith(f"malloc({size:,}")
        assert f"{story.addr:#x}" in story.steps[-1].text
        live.append(story.addr)
        if turn % 40 == 39:
            live = live[::2]
            for heap in (told, plain):
                heap.collect(live, sweep=False)
            while True:
                swept = sweep_one(told)
                assert swept.addr == (plain.sweep_one() or 0)
                if not swept.addr:
                    break
    assert told.memstats() == plain.memstats()
    told.verify()


def test_fast_path_is_told_exactly_when_it_is_taken():
    """Every 64th slot needs another word of the bitmap, which nextFreeFast leaves to nextFree."""
    heap = mh.Heap()
    slow = []
    for k in range(170):
        story = malloc(heap, 48)
        fast = "nothing else is read" in story.steps[1].text
        assert fast == ("mspan.nextFreeIndex" not in names(story))
        slow += [] if fast else [k]
    assert slow == [0, 63, 127]
    heap = mh.Heap()
    slow = [k for k in range(128) if "mspan.nextFreeIndex" in names(malloc(heap, 64))]
    assert slow == [0, 63], "after slot 127, the last of the span, there is no word to load"


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
@pytest.mark.parametrize("noscan", [False, True])
def test_size_class_is_that_of_the_span(go, noscan):
    """The class that step 1 looks up is the one that the heap has chosen, at both edges of both tables."""
    heap = mh.Heap(mh.HeapParams.of_version(go))
    for size in (1, 7, 8, 9, 16, 17, 505, 512, 513, 1009, 1016, 1017, 1024, 1025, 1152, 1153, 20_481, 32_760):
        story = malloc(heap, size, noscan)
        span = heap.span_of(story.addr)
        assert reading(story, "elemsize")[0] == f"{span.elemsize:,}", size
        assert reading(story, "spanClass")[0] == f"{span.span_class}", size


def test_refill_takes_an_unswept_span():
    """A malloc right after a collection sweeps the span that it takes, and says how much that freed."""
    heap, found = filled(48, 0.3)
    span = heap.span_of(found[0])
    story = malloc(heap, 48)
    dead = span.alloc_count - int(span.gcmark_bits.sum())
    step = story.steps[names(story).index("mcentral.cacheSpan")]
    assert f"{hex(span.base)} was not swept yet: now it is, {dead} slots freed, and taken" in step.text
    assert reading(story, "mcentral.fullUnswept, spans") == ("1", "0")
    assert reading(story, "pagesSwept") == ("0", "1")
    assert story.addr == found[int(np.flatnonzero(~span.gcmark_bits)[0])], "the first slot without a mark"


def test_span_records_come_by_64():
    heap = mh.Heap()
    first, second = malloc(heap, 48), malloc(heap, 64)
    assert "64 records come from fixalloc" in str(first) and reading(first, "mspancache.len") == ("0", "63")
    assert "comes from the P's mspancache" in str(second) and reading(second, "mspancache.len") == ("63", "62")


@pytest.mark.parametrize(("calls", "has", "lacks"), [
    ([(5, True), (5, True)], {"mallocgc"}, {"nextFreeFast", "mcache.refill"}),
    ([(100_000, False)], {"mheap.allocSpan", "mheap.grow"}, {"nextFreeFast", "mcache.refill"}),
    ([(48, False), (64, False)], {"mcache.refill", "mheap.allocSpan"}, {"mheap.grow", "mheap.sysAlloc"}),
])  # fmt: skip
def test_other_ways(calls, has, lacks):
    heap = mh.Heap()
    for size, noscan in calls:
        story = malloc(heap, size, noscan)
    assert has <= set(names(story)) and not lacks & set(names(story))


@pytest.mark.parametrize(("pages", "asked"), [(15, True), (16, False), (20, False)])
def test_large_spans_pass_the_page_cache_by(pages, asked):
    heap = mh.Heap()
    malloc(heap, 48)
    story = malloc(heap, pages * PAGE)
    assert ("pages are 16 or more" in str(story)) != asked
    assert bool((story.pages_after.cached >= 0).any()) == asked


def test_page_cache_step():
    heap = mh.Heap()
    malloc(heap, 48)
    story = malloc(heap, 64)
    kept = int((story.pages_after.cached == 0).sum())
    assert kept == 62 and not (story.pages_before.cached >= 0).any()
    step = next(s for s in story.steps if "pageCache" in s.page_rows)
    assert "63. The span takes 1, 62 stay for the next." in step.text


@pytest.fixture
def crowded():
    """A heap whose first block of 64 pages is full and whose page cache is empty; pages 1 to 24, spans of their own."""
    heap = mh.Heap()
    heap.malloc(48)
    pages = {k: heap.alloc_manual(1, p=0) for k in range(1, 25)}
    assert pages == {k: BASE + k * PAGE for k in pages}
    for npages in (15, 15, 9):
        heap.alloc_manual(npages, p=0)
    assert not (mh.steps.page_bits(heap, BASE).cached >= 0).any()
    return heap, pages


@pytest.mark.parametrize(
    ("free", "size", "cached", "words"),
    [
        ((5, 6), 64, True, "at 0xc000000000: 2. The span takes 1, 1 stay for the next."),
        ((5,), 64, True, "at 0xc000000000: 1. The span takes 1, 0 stay for the next."),
        ((5, 7), 1408, False, "at 0xc000000000: 2. These are not 2 in a row: they stay for the next,"),
        (range(5, 25), 20 * PAGE, False, "20 pages are 16 or more"),
    ],
)
def test_where_the_pages_come_from(crowded, free, size, cached, words):
    """A cache may be filled from the block that it had before, or in vain, and large spans pass it by."""
    heap, pages = crowded
    for k in free:
        heap.free_manual(pages[k])
    story = malloc(heap, size)
    assert (story.addr == pages[5]) == (cached or size > PAGE)
    assert words in str(story)
    assert ("pageAlloc.alloc" in names(story)) == (not cached)
    assert ("mheap.tryAllocMSpan" in names(story)) == cached, "with the heap's lock exactly if the pages needed it"
    filled_ = "pageAlloc.allocToCache" in names(story)
    left = (story.pages_after.cached == 0).sum()
    assert left == (len(free) - cached if filled_ else 0) and filled_ == (size < 16 * PAGE)


def test_page_cache_without_a_row(crowded):
    """Pages in the cache that are not in a row stay there; one page is taken from it."""
    heap, pages = crowded
    for k in (5, 7):
        heap.free_manual(pages[k])
    malloc(heap, 1408)
    in_vain = malloc(heap, 1792)
    assert "has 2 pages, but not 2 in a row: it stays as it is" in str(in_vain) and "pageAlloc.alloc" in names(in_vain)
    taken = malloc(heap, 64)
    assert taken.addr == pages[5] and "has 1 free page: taken without the heap's lock" in str(taken)


def test_readings_are_those_of_the_heap():
    """Accounts that steps name, before and after, are those of ReadMemStats; others are what the heap answers."""
    heap = mh.Heap()
    for size, noscan in [(48, False), (64, False), (1408, True), (200_000, False), (6 << 20, True), (48, False)] * 2:
        before, hints = heap.memstats(), heap.arena_hints()
        story = malloc(heap, size, noscan)
        after = heap.memstats()
        if "mheap.setSpans" not in names(story):
            continue
        for name in ("HeapInuse", "HeapReleased", "MSpanInuse"):
            assert reading(story, f"{name}, bytes") == (f"{before[name]:,}", f"{after[name]:,}"), (size, name)
        free = [f"{m['HeapIdle'] - m['HeapReleased']:,}" for m in (before, after)]
        assert reading(story, "free and backed, bytes") == tuple(free)
        pages = [f"{m['HeapInuse'] // PAGE:,}" for m in (before, after)]
        assert reading(story, "pagesInUse") == tuple(pages)
        span = heap.span_of(story.addr)
        assert reading(story, "spanOf")[1] == hex(span.base) and reading(story, "nelems")[1] == f"{span.nelems:,}"
        assert reading(story, "pageInUse, bit of the first page") == ("0", "1")
        if "mheap.sysAlloc" in names(story):
            firsts = (hex(hints[0].addr), hex(heap.arena_hints()[0].addr))
            assert reading(story, "arenaHints, first") == firsts
        if "mheap.grow" in names(story):
            grown = [f"{m['HeapSys'] // PAGE:,}" for m in (before, after)]
            assert reading(story, "pages of the page allocator") == tuple(grown)
        if "pageAlloc.alloc" in names(story):
            for name in ("alloc", "scavenged"):
                bits = [f"{getattr(b, name).sum()}" for b in (story.pages_before, story.pages_after)]
                assert reading(story, f"{name} bits of the chunk, pages") == tuple(bits)


def test_sweep_numbers():
    heap, found = filled(48, 0.3)
    span = heap.span_of(found[0])
    story = sweep_one(heap)
    assert names(story) == [
        "mheap.nextSpanForSweep", "sweepLocker.tryAcquire", "mspan.countAlloc", "sweepLocked.sweep",
        "mspan.refillAllocCache", "sweepLocked.sweep",
    ]  # fmt: skip
    assert "51 of 170 bits are set in gcmarkBits, 170 slots had been allocated: 119 slots freed." in story.outcome
    assert reading(story, "allocCount") == ("170", "51") and reading(story, "freeindex") == ("170", "0")
    assert np.array_equal(story.after.alloc_bits, span.gcmark_bits) and not story.after.gcmark_bits.any()
    assert reading(story, "smallFreeCount of the class") == ("0", "119")
    assert reading(story, "mcentral.fullUnswept, spans") == ("1", "0")
    assert reading(story, "mcentral.partialSwept, spans") == ("0", "1")
    assert reading(story, "sweepgen") == (str(span.sweepgen), str(heap.span_of(found[0]).sweepgen))
    word = int(reading(story, "allocCache")[1], 16)
    assert word == ~sum(int(b) << k for k, b in enumerate(span.gcmark_bits[:64])) & (1 << 64) - 1


def test_sweep_that_frees_the_span():
    heap, found = filled(48, 0)
    story = sweep_one(heap)
    assert names(story)[-1] == "mheap.freeSpan" and story.after is None
    assert reading(story, "pagesInUse") == ("1", "0") and reading(story, "state") == ("mSpanInUse", "mSpanDead")
    assert story.pages_before.in_use.sum() == 1 and not story.pages_after.in_use.any()
    assert reading(story, "pageInUse, bit of the first page") == ("1", "0")
    assert sweep_one(heap).addr == 0 and str(sweep_one(heap)).startswith("sweepone() = nothing")


def test_sweep_of_large_objects():
    heap = mh.Heap()
    found = [heap.malloc(100_000) for _ in range(2)]
    heap.collect([], sweep=False)
    for freed, addr in enumerate(found):
        story = sweep_one(heap)
        assert story.addr == addr and reading(story, "largeFreeCount") == (f"{freed}", f"{freed + 1}")
        assert "its 13 pages may become a span of any class" in story.outcome
        assert heap.memstats()["Frees"] == freed + 1


def test_sweep_that_frees_the_second_page():
    heap = mh.Heap()
    kept, lost = heap.malloc(48), heap.malloc(64)
    heap.flush_mcache()
    heap.collect([kept], sweep=False)
    stories = {story.addr: story for story in (sweep_one(heap), sweep_one(heap))}
    assert reading(stories[lost], "pageInUse, bit of the first page") == ("1", "0")
    assert reading(stories[lost], "alloc bits of the chunk, pages") == ("64", "63"), "62 of them in the page cache"
    assert stories[kept].after.alloc_count == 1


def test_sweep_of_a_full_span():
    heap, _ = filled(1024, 1)
    assert "fullSwept" in sweep_one(heap).steps[-1].text


def test_sweep_with_a_finalizer():
    heap = mh.Heap()
    found = [heap.malloc(48) for _ in range(5)]
    heap.add_finalizer(found[2], 7)
    heap.flush_mcache()
    heap.collect([], sweep=False)
    story = sweep_one(heap)
    assert reading(story, "finalizers queued") == ("0", "1")
    assert "Slot 2 has a finalizer" in str(story) and "1 mark of these came only now" in story.outcome
    assert story.after.alloc_count == 1
    assert heap.take_finalizers() == [(found[2], 7)]


def test_filled():
    """With the same seed who survives a smaller share survives a larger one."""
    marks = []
    for alive in (0.1, 0.5, 1.0):
        heap, found = filled(64, alive)
        span = heap.span_of(found[0])
        assert span.gcmark_bits.sum() == round(alive * len(found)) and span.sweepgen == span.heap_sweepgen - 2
        marks.append(span.gcmark_bits)
    assert not (marks[0] & ~marks[1]).any()
    other = filled(64, 0.5, seed=2)
    assert not np.array_equal(other[0].span_of(other[1][0]).gcmark_bits, marks[1])
    assert len(filled(64, 1, filled=0.5)[1]) == 64
    with pytest.raises(ValueError, match=r"alive = 2 is outside its legal range: 0 to 1"):
        filled(64, 2)


def as_dict(heap, addr):
    return {a.question: a.answer for a in answers(heap, addr)}


def test_answers_are_those_of_the_heap():
    heap = mh.Heap()
    addr = heap.malloc(48)
    told = as_dict(heap, addr + 49)
    assert told["arenaIndex"].startswith(f"{heap.arena_index(addr):,}, from {BASE:#x}")
    assert told["mspan.objIndex"] == f"slot 1 of 170, {addr + 48:#x} + 1, free"
    assert (told["inheap"], told["inHeapOrStack"]) == ("true", "true")
    assert as_dict(heap, addr)["mspan.objIndex"] == f"slot 0 of 170, {addr:#x}, allocated"
    tail = as_dict(heap, addr + 170 * 48)
    assert (tail["inheap"], tail["mspan.objIndex"]) == ("false", "none: not in the slots of a heap span")
    stack = heap.alloc_manual(4)
    told = as_dict(heap, stack)
    assert (told["inheap"], told["inHeapOrStack"], told["spanOfHeap"]) == ("false", "true", "nil")
    assert "mSpanManual" in told["spanOf"]
    assert as_dict(heap, BASE + 4 * PAGE * 100)["spanOf"] == "nil"
    told = as_dict(heap, BASE - ARENA)
    assert told["spanOf"] == "nil" and "panics" in told["pageIndexOf"]


def test_page_index_answer_matches_the_bitmap():
    heap = mh.Heap()
    for size in (48, 64, 80):
        addr = heap.malloc(size)
    at = heap.page_index_of(addr)
    said = re.fullmatch(r"arena ([\d,]+), byte ([\d,]+), mask (0x..)", as_dict(heap, addr)["pageIndexOf"]).groups()
    assert tuple(int(v.replace(",", ""), 0) for v in said) == tuple(at)
    assert (addr - BASE) // PAGE == 8 * at.byte + at.mask.bit_length() - 1


@pytest.mark.parametrize(("text", "value"), [("0xc000", 0xC000), (" 49152 ", 49152), ("0b11", 3)])
def test_parse_address(text, value):
    assert parse_address(text) == value


@pytest.mark.parametrize("text", ["", "c000", "0x", "1.5"])
def test_parse_address_refuses(text):
    with pytest.raises(ValueError, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize("addr", [-1, 1 << 64])
def test_answers_refuse(addr):
    with pytest.raises(ValueError, match="outside its legal range"):
        answers(mh.Heap(), addr)
