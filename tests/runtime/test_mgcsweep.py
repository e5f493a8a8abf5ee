"""mgcsweep: in which order spans are swept, what a sweep leaves behind, and reclaiming pages before the heap grows."""

import pytest
from runtime.test_run import MIB, PAGE, Heap, page_at, pages_of

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import RECLAIM_DONE

QUARTER = 2048
"""An object of which a span of one page holds four."""
WHOLE = 8192
"""An object that fills a span of one page."""


def class_of(heap, address):
    return int(heap.span(address)["spanclass"])


# -------------------------------------------------------------------------------------------------------- order


def test_order_class_by_class_full_before_partial():
    heap = Heap()
    # Allocated from the largest class down, so that addresses do not tell the order.
    large = heap.mallocs(2, 40000)
    whole = heap.mallocs(2, WHOLE)
    scan = heap.mallocs(6, QUARTER, noscan=False)
    noscan = heap.mallocs(9, QUARTER)
    large_scan = heap.malloc(40000, noscan=False)
    heap.collect()
    # The spans that the mcache held were swept when it gave them back: the last of each class.
    order = [large_scan, *large, scan[0], noscan[0], noscan[4], whole[0]]
    assert heap.sweep() == order
    assert int(heap.h.sweep_drained) == 1
    heap.check()


def test_order_of_the_second_sweep():
    """Full before partial within a class, each in the order in which the first sweep left them."""
    heap = Heap()
    objects = heap.mallocs(17, QUARTER)
    a, b, c, d, e = objects[::4]
    heap.flush()  # e goes to the partial set, the others went to the full one
    heap.collect(dead=[objects[1], objects[10]])
    assert heap.sweep() == [a, b, c, d, e]
    spc = class_of(heap, b)
    assert heap.queue("full", True, spc) == [b, d]
    assert heap.queue("partial", True, spc) == [a, c, e]
    heap.collect()
    assert heap.sweep() == [b, d, a, c, e]


def test_sweepone_is_zero_when_all_is_swept():
    heap = Heap()
    assert heap.sweepone() == 0
    objects = heap.mallocs(4, WHOLE)
    heap.flush()
    heap.collect()
    assert int(heap.h.sweep_drained) == 0
    assert [heap.sweepone() for _ in range(4)] == objects
    assert int(heap.h.sweep_drained) == 0, "only the next call sees that nothing is left"
    assert [heap.sweepone(), heap.sweepone()] == [0, 0]
    assert int(heap.h.sweep_drained) == 1 and int(heap.h.pages_swept) == 4


def test_sweepone_passes_over_spans_already_swept():
    heap = Heap()
    objects = heap.mallocs(4, WHOLE)
    heap.flush()
    heap.collect(dead=[objects[1]])
    heap.ensure_swept(objects[0])
    heap.ensure_swept(objects[1])
    heap.ensure_swept(objects[0])
    assert heap.sweep() == objects[2:]
    heap.check()


# ---------------------------------------------------------------------------------------------- what a sweep does

# which of four objects die, whether the span is freed, and what it then is: set, objects, needzero
SWEEPS = [
    pytest.param([], "full", 4, 0, id="all live: nothing to zero"),
    pytest.param([0], "partial", 3, 1, id="first dies"),
    pytest.param([3], "partial", 3, 1, id="last dies"),
    pytest.param([0, 1, 2], "partial", 1, 1, id="one lives"),
    pytest.param([0, 1, 2, 3], None, 0, 1, id="none lives: freed"),
]


@pytest.mark.parametrize("dead, where, left, dirty", SWEEPS)
def test_sweep_of_a_small_span(dead, where, left, dirty):
    heap = Heap()
    objects = heap.mallocs(4, QUARTER)
    heap.flush()
    spc = class_of(heap, objects[0])
    pages = heap.accounts()
    index = heap.span_index(objects[0])
    heap.collect(dead=[objects[k] for k in dead])
    assert heap.sweep() == [objects[0]]
    s = heap.state.tables["spans"][index]
    assert (int(s["alloc_count"]), int(s["freeindex"]), int(s["needzero"])) == (left, 0, dirty)
    assert heap.queue("full", True, spc) == ([objects[0]] if where == "full" else [])
    assert heap.queue("partial", True, spc) == ([objects[0]] if where == "partial" else [])
    freed = int(where is None)
    assert int(s["state"]) == 1 - freed
    assert heap.accounts() == (1 - freed, 0, 0, freed, pages[4], 512)
    assert int(heap.h.stats.small_free_count[spc >> 1]) == len(dead)
    assert int(heap.h.stats.total_free) == len(dead) * QUARTER
    # The next objects take the places of the dead, in order.
    again = heap.mallocs(len(dead), QUARTER) if not freed else []
    assert again == [objects[k] for k in dead[: len(again)]]
    heap.check()


def test_sweep_of_a_partial_span_frees_only_what_was_allocated():
    heap = Heap()
    objects = heap.mallocs(3, QUARTER)
    heap.collect(dead=[objects[1]])
    assert heap.mallocs(3, QUARTER)[:2] == [objects[1], objects[2] + QUARTER]
    heap.check()


def test_sweep_of_large_spans():
    heap = Heap()
    dead, live = heap.malloc(40000), heap.malloc(100000)
    heap.collect(dead=[dead])
    assert heap.queue("full", False, 1) == [dead, live]
    assert heap.sweep() == [dead, live]
    assert heap.queue("full", True, 1) == [live] and heap.queue("partial", True, 1) == []
    st = heap.h.stats
    assert (int(st.large_free_count), int(st.large_free), int(st.total_free)) == (1, 5 * PAGE, 5 * PAGE)
    assert heap.accounts()[0] == 13 and int(heap.h.reclaim_credit) == 5
    again = heap.malloc(40000, p=255)
    assert again == dead and heap.span(again)["needzero"] == 1
    heap.check()


# ------------------------------------------------------------------------------------------------------ reclaim


def reclaim_heap(n=8, survivors=(3,), **changes):
    """Return (heap, objects) with ``n`` spans of a page each, of which ``survivors`` are marked, before sweeping."""
    heap = Heap(**changes)
    objects = heap.mallocs(n, WHOLE)
    heap.flush()
    heap.collect(dead=[o for k, o in enumerate(objects) if k not in survivors])
    return heap, objects


def test_reclaim_frees_exactly_the_unmarked_spans():
    heap, objects = reclaim_heap()
    large = heap.malloc(5 * PAGE)
    # All seven dead spans of the chunk are swept, though five pages would do: two remain as credit.
    assert int(heap.h.reclaim_credit) == 2 and int(heap.h.reclaim_index) == 512
    assert heap.accounts()[0] == 1 + 5
    assert heap.page_bit("page_in_use", objects[3])
    assert int(heap.span(objects[3])["sweepgen"]) == int(heap.h.sweepgen) - 2, "the survivor was not looked at"
    assert pages_of([large]) == [8], "the freed pages are apart: four and three"
    assert heap.sweep() == [objects[3]], "the entries of freed spans are stale"
    heap.check()


def test_credit_pays_for_the_next_spans():
    heap, objects = reclaim_heap()
    heap.malloc(5 * PAGE)
    heap.malloc(40000, noscan=False)  # five pages: the credit of two, then the other chunks
    assert int(heap.h.reclaim_credit) == 0 and int(heap.h.reclaim_index) == int(RECLAIM_DONE)
    assert heap.sweep() == [objects[3]]


def test_reclaim_index_goes_by_chunks_of_512_pages():
    heap = Heap(arena_bytes=4 * MIB)
    low = heap.malloc(WHOLE, p=255)
    heap.span_alloc(511)
    middle = heap.malloc(WHOLE, p=255)
    heap.span_alloc(511)
    high = heap.malloc(WHOLE, p=255)
    heap.flush()
    assert pages_of([low, middle, high]) == [0, 512, 1024]
    heap.collect(dead=[low, middle, high])
    assert int(heap.h.reclaim_index) == 0 and int(heap.h.sweep_arenas) == 3
    heap.malloc(QUARTER, p=255)
    assert int(heap.h.reclaim_index) == 512 and heap.accounts()[0] == 3
    heap.malloc(40000, p=255)
    assert int(heap.h.reclaim_index) == int(RECLAIM_DONE) and heap.accounts()[0] == 1 + 5
    assert heap.sweep() == []
    heap.check()


def test_reclaim_looks_only_at_arenas_of_the_start_of_the_sweep():
    heap = Heap(arena_bytes=4 * MIB)
    heap.mallocs(3, WHOLE)
    heap.collect()
    heap.malloc(5 * MIB)
    assert int(heap.h.sweep_arenas) == 1 and int(heap.h.reclaim_index) == int(RECLAIM_DONE)
    heap.check()


def test_no_reclaim_once_swept():
    heap, objects = reclaim_heap()
    heap.sweep()
    credit = int(heap.h.reclaim_credit)
    assert credit == 7, "pages that sweepone freed"
    heap.malloc(40000)
    assert (int(heap.h.reclaim_credit), int(heap.h.reclaim_index)) == (credit, 0)


def test_allocation_pays_its_sweep_credit():
    """deductSweepCredit: as many sweepone calls as the event says."""
    heap, objects = reclaim_heap(survivors=range(8))
    heap.malloc(40000, credit=3)
    now = int(heap.h.sweepgen)
    assert [int(heap.span(o)["sweepgen"]) for o in objects] == [now] * 3 + [now - 2] * 5
    heap.malloc(40000, credit=100)
    assert heap.sweepone() == 0


# ------------------------------------------------------------------------------------------------------- throws


def unswept_heap():
    """Return (heap, span record) with a span of three objects, one of them dead, that waits to be swept."""
    heap = Heap()
    objects = heap.mallocs(3, QUARTER)
    heap.flush()
    heap.collect(dead=objects[:1])
    return heap, heap.span(objects[0])


def test_zombie():
    heap, s = unswept_heap()
    heap.state.tables["gc_bits"][int(s["gcmark_bits"])] |= 1 << 3
    with pytest.raises(Throw, match="found pointer to free object") as found:
        heap.sweepone()
    assert found.value.args[1:] == (page_at(0), 3)


def test_dead_object_below_freeindex_is_no_zombie():
    heap, s = unswept_heap()
    heap.state.tables["gc_bits"][int(s["gcmark_bits"])] |= 1
    assert heap.sweepone() == page_at(0) and int(s["alloc_count"]) == 3


def test_sweep_increased_allocation_count():
    heap, s = unswept_heap()
    s["alloc_count"] = 1
    with pytest.raises(Throw, match="sweep increased allocation count"):
        heap.sweepone()


def test_dead_span_in_the_unswept_list():
    heap, s = unswept_heap()
    s["state"] = 0
    with pytest.raises(Throw, match="non in-use span in unswept list"):
        heap.sweepone()
