"""mheap_grow: arena hints, sysAlloc and grow: where the heap lies, and what the OS and the page allocator have."""

import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.spans import ALLOC_MANUAL, ARENA, BASE, FREE_MANUAL, GROW, MIB, PAGE, STACK, SYS_ALLOC, WITHOUT_P, Spans

from mheaplab.runtime.mheap_grow import arena_hints_init
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.verify import verify_heap

END = 1 << 47
"""End of user address space."""
HINTS = [0x00C0 << 32 | i << 40 for i in range(128)]
"""The hints of mallocinit on linux/amd64, in the order in which they are tried."""
NO_HINT = (HINTS[0], HINTS[-1] + 4096)
"""A range with which every hint fails."""
OS_TOP = 0x7FFF_F7FF_F000
SEQUENCES = 40 if COMPILED else 10


def hints(heap):
    """Return the hints as (address, whether downward), in the order in which they are tried."""
    rows = [heap.h.hints[k] for k in range(int(heap.h.n_hints))]
    return [(int(hint.addr), int(hint.down)) for hint in reversed(rows)]


def rows_of(heap, name):
    """Return the address ranges in table ``name``."""
    return [(int(r["base_addr"]), int(r["limit"])) for r in heap.state.tables[name][: int(heap.h[f"{name}_len"])]]


def arenas(heap):
    """Return the addresses of all arenas, in the order in which they were made."""
    size = 1 << int(heap.h.params.log_arena_bytes)
    return [int(ai) * size - END for ai in heap.state.tables["heap_arenas"]["arena_idx"][1 : heap.h.heap_arenas_len]]


def states(heap):
    """Return MiB that are (Reserved, Prepared, Ready), after making sure that what is Prepared is released."""
    s = heap.h.stats
    assert int(s.prepared) == int(s.heap_released)
    return int(s.reserved) / MIB, int(s.prepared) / MIB, int(s.ready) / MIB


def current(heap):
    """Return curArena: the range that is reserved and not yet given to the page allocator."""
    return int(heap.h.cur_arena_base), int(heap.h.cur_arena_end)


def sys_alloc(heap, nbytes):
    """Call mheap.sysAlloc; return (address, bytes)."""
    return tuple(heap.pairs((SYS_ALLOC, nbytes))[0].tolist())


def taken_hints(*numbers):
    """Return a page taken at each of these hints."""
    return tuple((HINTS[k], HINTS[k] + 4096) for k in numbers)


# -------------------------------------------------------------------------------------------------------- hints


def test_arena_hints_init():
    """mallocinit: 0x00c0 << 32 | i << 40 for i from 0x7f down to 0, each put before the others; all go up."""
    heap = Spans()
    assert hints(heap) == [(addr, 0) for addr in HINTS]
    assert HINTS[:2] == [0xC000000000, 0x1C000000000] and HINTS[-1] == 0x7FC000000000
    heap.h.n_hints = 3
    heap.h.hints[5].down = 1
    arena_hints_init(heap.h)
    assert hints(heap) == [(addr, 0) for addr in HINTS]


@pytest.mark.parametrize("mib", [4, 8, 16, 32, 64])
def test_growth_upward(mib):
    """Each region begins where the last one ended; sizes are rounded up to whole arenas."""
    heap, size = Spans(arena_bytes=mib * MIB), mib * MIB
    asked = [(1, 1), (size, 1), (size + 1, 2), (3 * size - 4096, 3)]
    end = BASE
    for nbytes, n in asked:
        assert sys_alloc(heap, nbytes) == (end, n * size)
        end += n * size
        assert hints(heap)[0] == (end, 0) and len(hints(heap)) == 128
    assert arenas(heap) == list(range(BASE, end, size))
    assert rows_of(heap, "os_ranges") == [(BASE, end)]
    assert states(heap) == (7 * mib, 0, 0)


# occupied ranges, sizes asked for in MiB, where they are got, hints left
OCCUPIED = [
    pytest.param(taken_hints(0), [1], [HINTS[1]], 127, id="the first hint is taken"),
    pytest.param(taken_hints(0, 1, 2), [1, 1], [HINTS[3], HINTS[3] + ARENA], 125, id="three are"),
    pytest.param(taken_hints(1), [1, 1], [BASE, BASE + ARENA], 128, id="one that is not needed"),
    pytest.param(taken_hints(1) + ((BASE + ARENA, BASE + 2 * ARENA),), [1, 1], [BASE, HINTS[2]], 126,
                 id="the next one is met later"),
    pytest.param(((BASE + ARENA - 4096, BASE + ARENA),), [1], [HINTS[1]], 127, id="the end of the arena is taken"),
    pytest.param(((BASE - 4096, BASE),), [1], [BASE], 128, id="up to the hint"),
    pytest.param(((BASE + ARENA, BASE + 2 * ARENA),), [64], [BASE], 128, id="from the end of the arena on"),
    pytest.param(((BASE + ARENA, BASE + 2 * ARENA),), [65, 1], [HINTS[1], HINTS[1] + 2 * ARENA], 127,
                 id="two arenas do not fit where one would"),
    pytest.param(((BASE - 4096, HINTS[40] + 1 * MIB),), [1], [HINTS[41]], 87, id="a range over many hints"),
]


@pytest.mark.parametrize("occupied, sizes, got, left", OCCUPIED)
def test_hints_that_fail(occupied, sizes, got, left):
    """A hint where something lies is dropped for good; what the OS offers in its place is given back."""
    heap = Spans(occupied=occupied)
    assert [sys_alloc(heap, size * MIB)[0] for size in sizes] == got
    assert len(hints(heap)) == left
    total = sum(-(-size // 64) for size in sizes)
    assert states(heap) == (64 * total, 0, 0) and len(arenas(heap)) == total
    ours = [(a, a + -(-size // 64) * ARENA) for a, size in zip(got, sizes, strict=True)]
    merged = []
    for start, limit in sorted([*occupied, *ours]):
        if merged and merged[-1][1] == start:
            start = merged.pop()[0]
        merged.append((start, limit))
    assert rows_of(heap, "os_ranges") == merged


# address of a hint, whether it goes down, MiB asked for, where that is got (None: the hint is dropped)
EDGES = [
    pytest.param(END - ARENA, 0, 64, END - ARENA, id="the last arena of user address space"),
    pytest.param(END - ARENA, 0, 65, None, id="over the end"),
    pytest.param(END, 0, 1, None, id="at the end"),
    pytest.param(2 * ARENA, 1, 64, ARENA, id="downward to the second arena"),
    pytest.param(2 * ARENA, 1, 128, None, id="downward to address 0"),
    pytest.param(2 * ARENA, 1, 129, None, id="downward below address 0"),
]


@pytest.mark.parametrize("addr, down, mib, got", EDGES)
def test_hints_at_the_edges(addr, down, mib, got):
    heap = Spans()
    hint = heap.h.hints[int(heap.h.n_hints) - 1]
    hint.addr, hint.down = addr, down
    size = -(-mib // 64) * ARENA
    assert sys_alloc(heap, mib * MIB) == (HINTS[1] if got is None else got, size)
    after = (HINTS[1] + size, 0) if got is None else (got + (0 if down else size), down)
    assert hints(heap)[0] == after and len(hints(heap)) == (127 if got is None else 128)


def test_no_hint_left_upward():
    """Then the OS chooses, below its top; Go aligns that and makes two hints, of which the upward one is first."""
    heap = Spans(occupied=(NO_HINT,))
    v = -(-(OS_TOP - 2 * ARENA) // ARENA) * ARENA
    assert sys_alloc(heap, 1) == (v, ARENA) and v + ARENA <= OS_TOP
    assert hints(heap) == [(v + ARENA, 0), (v, 1)]
    assert rows_of(heap, "os_ranges") == [NO_HINT, (v, v + ARENA)] and states(heap) == (64, 0, 0)
    assert sys_alloc(heap, 1) == (v + ARENA, ARENA), "nothing is in the way above"
    assert hints(heap) == [(v + 2 * ARENA, 0), (v, 1)] and states(heap) == (128, 0, 0)
    assert arenas(heap) == [v, v + ARENA]


def test_no_hint_left_downward():
    """With something above, the upward hint fails, and the downward one ends where the last region began."""
    top = END - 1000 * ARENA - 5 * MIB
    heap = Spans(occupied=(NO_HINT, (top, END)))
    v = END - 1002 * ARENA
    assert sys_alloc(heap, 1) == (v, ARENA) and hints(heap) == [(v + ARENA, 0), (v, 1)]
    assert sys_alloc(heap, 1) == (v - ARENA, ARENA) and hints(heap) == [(v - ARENA, 1)]
    assert sys_alloc(heap, 65 * MIB) == (v - 3 * ARENA, 2 * ARENA) and hints(heap) == [(v - 3 * ARENA, 1)]
    assert arenas(heap) == [v + k * ARENA for k in (0, -1, -3, -2)]
    assert rows_of(heap, "os_ranges") == [NO_HINT, (v - 3 * ARENA, v + ARENA), (top, END)]
    assert states(heap) == (256, 0, 0)


def test_aligned_by_luck():
    """If what the OS chose is aligned, Go keeps the arena more that it asked for."""
    top = END - 1000 * ARENA
    heap = Spans(occupied=(NO_HINT, (top, END)))
    v = top - 2 * ARENA
    assert sys_alloc(heap, 1) == (v, 2 * ARENA)
    assert hints(heap) == [(top, 0), (v, 1)] and states(heap) == (128, 0, 0) and arenas(heap) == [v, v + ARENA]
    assert heap.call(GROW, 1) == 4 * MIB and current(heap) == (v - ARENA + 4 * MIB, v)
    heap = Spans(occupied=(NO_HINT, (top, END)))
    assert heap.call(GROW, 1) == 4 * MIB and current(heap) == (v + 4 * MIB, top), "and grows into it"


def test_both_new_hints_fail():
    """Then the OS chooses again, and there are two new hints."""
    top, wall = END - 1000 * ARENA - 5 * MIB, END - 1003 * ARENA
    heap = Spans(occupied=(NO_HINT, (wall - MIB, wall + MIB), (top, END)))
    assert sys_alloc(heap, 1) == (wall + ARENA, ARENA)
    v = wall - 2 * ARENA
    assert sys_alloc(heap, 1) == (v, ARENA)
    assert hints(heap) == [(v + ARENA, 0), (v, 1)]
    assert states(heap) == (128, 0, 0)


def full_address_space(gap):
    """Return ranges that leave only ``gap`` bytes free, from the first hint on."""
    return ((0, BASE), (BASE + gap, END))


def whole(heap):
    """Return all of a heap that must not change where memory runs out."""
    s = heap.h.stats
    account = [int(s[name]) for name in s.dtype.names if s[name].ndim == 0]
    counters = [int(heap.h[name]) for name in ("heap_arenas_len", "spans_len", "chunk_end", "pages_in_use", "allspans")]
    return account, counters, current(heap), rows_of(heap, "os_ranges"), rows_of(heap, "in_use")


def test_out_of_address_space():
    """sysAlloc, grow and allocSpan return nil, and but for the hints nothing has changed."""
    heap = Spans(occupied=full_address_space(ARENA - 4096))
    before = whole(heap)
    assert sys_alloc(heap, 1) == (0, 0)
    assert hints(heap) == [] and arenas(heap) == []
    assert heap.calls((GROW, 1), (ALLOC_MANUAL, 1, STACK, WITHOUT_P), (ALLOC_MANUAL, 1, STACK, 0)) == [0, 0, 0]
    assert whole(heap) == before


def test_out_of_address_space_later():
    heap = Spans(arena_bytes=8 * MIB, occupied=full_address_space(8 * MIB))
    span = heap.call(ALLOC_MANUAL, 1000, STACK, WITHOUT_P)
    before = whole(heap)
    assert heap.call(ALLOC_MANUAL, 100, STACK, WITHOUT_P) == 0 and whole(heap) == before
    assert heap.call(ALLOC_MANUAL, 24, STACK, WITHOUT_P) != 0, "what is there can still be had"
    heap.call(FREE_MANUAL, span, STACK)
    assert heap.call(ALLOC_MANUAL, 900, STACK, WITHOUT_P) != 0
    verify_heap(heap.h)


# ------------------------------------------------------------------------------------------------------- arenas


def test_records_of_arenas():
    """heapArena: a fresh record for each arena, and where it lies."""
    heap = Spans()
    sys_alloc(heap, 2 * ARENA)
    for record, address in ((1, BASE), (2, BASE + ARENA)):
        ai = (address + END) // ARENA
        assert int(heap.state.tables["arena_map"][ai]) == record
        row = heap.state.tables["heap_arenas"][record]
        assert int(row["arena_idx"]) == ai and int(row["zeroed_base"]) == 0
        assert not any(row[name].any() for name in ("spans", "page_in_use", "page_marks", "page_specials"))
    assert np.count_nonzero(heap.state.tables["arena_map"][(BASE + END) // ARENA - 9 :][:20]) == 2


def test_second_levels_of_the_arenas_map():
    """A flat map has its one second level from the start; of 64 each is made when it first gets an arena."""
    assert np.flatnonzero(Spans().h.arena_l1).tolist() == [0]
    heap = Spans(arena_l1_bits=6, occupied=((HINTS[0], HINTS[3]),))
    assert not heap.h.arena_l1.any()
    sys_alloc(heap, 1)
    assert np.flatnonzero(heap.h.arena_l1).tolist() == [32], "bytes from 3 TiB on, of 4 TiB in each"
    heap.h.hints[int(heap.h.n_hints) - 1].addr = (4 << 40) - ARENA
    sys_alloc(heap, 2 * ARENA)
    assert np.flatnonzero(heap.h.arena_l1).tolist() == [32, 33]


def test_misrounded():
    heap = Spans()
    heap.h.hints[int(heap.h.n_hints) - 1].addr = BASE + 4096
    with pytest.raises(Throw, match="misrounded allocation in sysAlloc"):
        sys_alloc(heap, 1)


def test_arena_already_initialized():
    heap = Spans()
    heap.state.tables["arena_map"][(BASE + END) // ARENA + 1] = 1
    sys_alloc(heap, 1)
    with pytest.raises(Throw, match="arena already initialized"):
        sys_alloc(heap, 1)


# --------------------------------------------------------------------------------------------------------- grow

# pages asked for in turn, MiB grown by each, MiB Prepared and Reserved after them, curArena in MiB from the base
GROWTH = [
    pytest.param([1], [4], (4, 60), (4, 64), id="a page takes a chunk of a new arena"),
    pytest.param([512], [4], (4, 60), (4, 64), id="a whole chunk"),
    pytest.param([513], [8], (8, 56), (8, 64), id="a page more is a chunk more"),
    pytest.param([1, 512, 1], [4, 4, 4], (12, 52), (12, 64), id="within the arena"),
    pytest.param([8192], [64], (64, 0), (64, 64), id="a whole arena"),
    pytest.param([8192, 1], [64, 4], (68, 60), (68, 128), id="the next arena, when the first is used up"),
    pytest.param([1, 8192], [4, 64], (68, 60), (68, 128), id="the next arena extends the first"),
    pytest.param([8320], [68], (68, 60), (68, 128), id="65 MiB take two arenas"),
    pytest.param([1, 8320], [4, 68], (72, 120), (72, 192), id="65 MiB behind a chunk: rounded up alone, two arenas"),
]


@pytest.mark.parametrize("asked, grown, memory, cur", GROWTH)
def test_grow(asked, grown, memory, cur):
    """Whole chunks, contiguous; what an arena has left is not enough for a chunk that does not fit."""
    heap = Spans()
    assert heap.calls(*[(GROW, npages) for npages in asked]) == [mib * MIB for mib in grown]
    assert states(heap) == (memory[1], memory[0], 0)
    assert current(heap) == (BASE + cur[0] * MIB, BASE + cur[1] * MIB)
    assert rows_of(heap, "in_use") == [(BASE, BASE + memory[0] * MIB)]
    assert int(heap.h.chunk_end) - int(heap.h.chunk_start) == memory[0] // 4
    if COMPILED:  # a page at a time
        verify_heap(heap.h)


FAR = HINTS[1]


def test_grow_elsewhere():
    """Where the new arena does not follow, the rest of the old one goes to the page allocator first."""
    heap = Spans(occupied=((BASE + ARENA, BASE + ARENA + 4096),))
    assert heap.calls((GROW, 1), (GROW, 8192)) == [4 * MIB, 60 * MIB + 64 * MIB]
    assert rows_of(heap, "in_use") == [(BASE, BASE + ARENA), (FAR, FAR + ARENA)]
    assert current(heap) == (FAR + ARENA, FAR + ARENA) and states(heap) == (0, 128, 0)
    assert heap.call(GROW, 1) == 4 * MIB and current(heap) == (FAR + ARENA + 4 * MIB, FAR + 2 * ARENA)
    assert states(heap) == (60, 132, 0)


def test_grow_elsewhere_when_nothing_is_left():
    heap = Spans(occupied=((BASE + ARENA, BASE + ARENA + 4096),))
    assert heap.calls((GROW, 8192), (GROW, 1)) == [64 * MIB, 4 * MIB]
    assert rows_of(heap, "in_use") == [(BASE, BASE + ARENA), (FAR, FAR + 4 * MIB)]
    assert current(heap) == (FAR + 4 * MIB, FAR + ARENA)


def test_spans_in_what_was_left():
    """Go asks for whole arenas as soon as a chunk does not fit, and then fills what it has below."""
    heap = Spans(occupied=((BASE + ARENA, BASE + ARENA + 4096),))
    spans = heap.calls(*[(ALLOC_MANUAL, npages, STACK, WITHOUT_P) for npages in (1, 8192, 8191)])
    assert [int(heap.span(i)["start_addr"]) for i in spans] == [BASE, FAR, BASE + PAGE]
    assert states(heap) == (0, 0, 128)


def test_grow_downward():
    """Each arena lies below the last, so each time the rest of it is given away; the ranges in use are one."""
    top = END - 2000 * MIB - 1 * MIB
    heap = Spans(arena_bytes=8 * MIB, occupied=(NO_HINT, (top, END)))
    v = END - 2016 * MIB
    spans = heap.calls(*[(ALLOC_MANUAL, npages, STACK, WITHOUT_P) for npages in (1, 1024, 1024, 1023, 512)])
    assert [int(heap.span(i)["start_addr"]) - v for i in spans] == [0, -8 * MIB, -16 * MIB, PAGE, -24 * MIB]
    assert rows_of(heap, "in_use") == [(v - 24 * MIB, v - 20 * MIB), (v - 16 * MIB, v + 8 * MIB)]
    assert current(heap) == (v - 20 * MIB, v - 16 * MIB) and hints(heap) == [(v - 24 * MIB, 1)]
    assert (int(heap.h.chunk_start), int(heap.h.chunk_end)) == ((v - 24 * MIB + END) >> 22, (v + 8 * MIB + END) >> 22)
    assert states(heap) == (4, 0, 28)
    verify_heap(heap.h)


# --------------------------------------------------------------------------------------------------------- twin


class NaiveSpace:
    """sysAlloc and grow on lists of ranges, in units of 4 MiB."""

    def __init__(self, occupied, top, size):
        self.taken, self.top, self.size = list(occupied), top, size
        self.hints = [(addr // (4 * MIB), 0) for addr in HINTS]
        self.cur = (0, 0)
        self.given = []

    def is_free(self, at, n):
        return at > 0 and at + n <= END // (4 * MIB) and all(at + n <= a or b <= at for a, b in self.taken)

    def place(self, n):
        tops = [self.top, *(a for a, _ in self.taken if a < self.top)]
        return max([t - n for t in tops if self.is_free(t - n, n)], default=0)

    def sys_alloc(self, n):
        n = -(-n // self.size) * self.size
        while self.hints:
            addr, down = self.hints[0]
            at = addr - n if down else addr
            if self.is_free(at, n):
                self.hints[0] = (at if down else at + n, down)
                self.taken.append((at, at + n))
                return at, n
            del self.hints[0]
        at = self.place(n + self.size)
        if at == 0:
            return 0, 0
        n += self.size if at % self.size == 0 else 0
        at = -(-at // self.size) * self.size
        self.hints = [(at + n, 0), (at, 1)]
        self.taken.append((at, at + n))
        return at, n

    def grow(self, n):
        before = sum(b - a for a, b in self.given)
        if self.cur[0] + n > self.cur[1]:
            at, size = self.sys_alloc(n)
            if at == 0:
                return 0
            if at == self.cur[1]:
                self.cur = (self.cur[0], at + size)
            else:
                self.given.append(self.cur)
                self.cur = (at, at + size)
        self.given.append((self.cur[0], self.cur[0] + n))
        self.cur = (self.cur[0] + n, self.cur[1])
        return sum(b - a for a, b in self.given) - before


def merged(ranges):
    """Return ranges in units of 4 MiB as sorted byte ranges, joined where they touch."""
    out = []
    for a, b in sorted(r for r in ranges if r[0] < r[1]):
        if out and out[-1][1] >= a:
            out[-1] = (out[-1][0], max(b, out[-1][1]))
        else:
            out.append((a, b))
    return [(a * 4 * MIB, b * 4 * MIB) for a, b in out]


def test_against_lists_of_ranges(rng):
    """Random growth where random ranges are taken: near the first hints, over all hints, near the top."""
    unit = 4 * MIB
    for _ in range(SEQUENCES):
        size, top = int(rng.choice([1, 4, 16])), END // unit - int(rng.integers(20, 200))
        at = [BASE // unit + int(k) for k in rng.integers(0, 60, 2)]
        at += [top - int(k) for k in rng.integers(-20, 150, 3)]
        occupied = [(a, a + int(rng.integers(1, 10))) for a in at] + [(END // unit - 9, END // unit)]
        if rng.random() < 0.6:
            occupied.append((HINTS[0] // unit, HINTS[-1] // unit + 1))
        ranges = tuple((a * unit, b * unit) for a, b in occupied)
        room = {"heap_arenas": 200, "in_use": 64}
        heap = Spans(room=room, arena_bytes=size * unit, os_top=top * unit, occupied=ranges)
        twin = NaiveSpace(occupied, top, size)
        for chunks in rng.integers(1, 3 * size, 20).tolist():
            assert heap.call(GROW, chunks * 512 - 3) == twin.grow(chunks) * unit
            assert hints(heap) == [(a * unit, down) for a, down in twin.hints]
            assert current(heap) == tuple(a * unit for a in twin.cur)
            assert rows_of(heap, "in_use") == merged(twin.given)
            assert rows_of(heap, "os_ranges") == merged(twin.taken)
            grown = sum(b - a for a, b in twin.given)
            assert states(heap) == (4 * (twin.cur[1] - twin.cur[0]), 4 * grown, 0)


def test_growing_early():
    """At 80%: 410 of 512 pages would be more, 409 are not; a longer span brings its own chunks. At 100: as Go."""
    heap = Spans(grow_early_percent=80)
    mapped = [heap.accounts()[-1] for npages in (400, 9, 1, 400, 1000) if heap.manual(npages)]
    assert mapped == [512, 512, 1024, 1024, 2048]
    heap = Spans()
    assert [heap.accounts()[-1] for npages in (400, 112, 1) if heap.manual(npages)] == [512, 512, 1024]


def test_growing_early_when_the_os_refuses():
    """What cannot grow goes on with the pages that it has."""
    heap = Spans(grow_early_percent=50, arena_bytes=4 * MIB)
    assert heap.manual(200) and heap.accounts()[-1] == 512
    heap.h.n_hints = 0
    heap.h.params.os_top = BASE
    heap.state.tables["os_ranges"][0] = (0, 1 << 47)
    heap.h.os_ranges_len = 1
    assert heap.manual(300) and heap.accounts()[-1] == 512
    assert heap.manual(13) == 0
