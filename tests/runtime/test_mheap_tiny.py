"""mheap_tiny: how many tiny objects of a block the program can reach; the record lives and dies with its span."""

from runtime.sims import TINY_ADD, TINY_COUNT, TINY_REMOVE, Sim


def tiny_span(heap):
    """Return (index, address) of a span of tiny blocks; its one object is dead to the program but fills a block."""
    number = heap.alloc(1)
    address = heap.address(number)
    heap.die(number)
    rows = heap.state.tables["spans"]
    index = next(i for i in range(1, int(heap.h.spans_len)) if rows[i]["state"] == 1)
    return index, address


def test_objects_are_counted_by_block():
    heap = Sim()
    _, block = tiny_span(heap)
    for offset in (0, 7, 15, 16, 8176, 8191):
        heap.do(TINY_ADD, block + offset)
    counts = [heap.do(TINY_COUNT, block + offset) for offset in (0, 3, 16, 32, 8160, 8180)]
    assert counts == [3, 3, 1, 0, 0, 2]
    assert [heap.do(TINY_REMOVE, block + offset) for offset in (15, 0, 1, 16)] == [2, 1, 0, 0]
    assert [heap.do(TINY_COUNT, block + offset) for offset in (0, 16, 8190)] == [0, 0, 2]


def test_a_span_without_a_record_has_no_objects():
    heap = Sim()
    number = heap.alloc(16)
    assert heap.do(TINY_COUNT, heap.address(number)) == 0
    assert heap.span_of(heap.address(number))["tiny"] == 0 and heap.h.tiny_counts_len == 1


def test_the_record_is_given_back_with_the_span_and_begins_anew():
    heap = Sim()
    index, block = tiny_span(heap)
    for _ in range(3):
        heap.do(TINY_ADD, block)
    rows = heap.state.tables["spans"]
    assert (int(rows[index]["tiny"]), int(heap.h.tiny_counts_len), int(heap.h.tiny_free)) == (1, 2, 0)
    for _ in range(3):
        heap.do(TINY_REMOVE, block)
    # The mcache still fills the block at the first collection; the second frees the span.
    heap.collect()
    assert rows[index]["state"] == 1 and heap.deaths() == [(block, False)]
    heap.collect()
    assert rows[index]["state"] == 0 and rows[index]["tiny"] == 0 and heap.h.tiny_free == 1
    heap.state.tables["tiny_counts"][1]["count"][:] = 9
    _, block = tiny_span(heap)
    assert int(heap.h.tiny_free) == 0 and int(heap.h.tiny_counts_len) == 2
    assert [heap.do(TINY_COUNT, block + k) for k in (0, 16, 8176)] == [0, 0, 0]


def test_records_of_several_spans_are_used_again_last_first():
    heap = Sim()
    # A class of 8-byte objects packs two to a block: 1,024 fill a span.
    numbers = heap.allocs(3 * 1024, 8)
    spans = {int(heap.span_of(heap.address(n))["tiny"]) for n in numbers[::512]}
    assert spans == {1, 2, 3}
    heap.die(*numbers)
    heap.collect()
    heap.collect()
    assert heap.h.tiny_free != 0 and heap.sim.live == 0
    heap.allocs(3 * 1024, 8)
    assert heap.h.tiny_counts_len == 4 and heap.h.tiny_free == 0
