"""mem: the simulated OS against a set of free pages, and the accounts of Reserved, Prepared and Ready."""

import numpy as np
import pytest
from runtime.entry import COMPILED, SMALL_ROOM, entry

from mheaplab.params import HeapParams
from mheaplab.runtime.mem import (
    os_is_free,
    os_place,
    os_ranges_find,
    os_take,
    sys_free_os,
    sys_map,
    sys_reserve,
    sys_reserve_aligned,
    sys_unused,
    sys_used,
)
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.state import HeapState

FIND, IS_FREE, TAKE, PLACE, RESERVE, FREE, RESERVE_ALIGNED, MAP, USED, UNUSED = range(10)
PAGE = 4096
TOP = 1 << 32
"""Below this address the OS places what may lie anywhere."""
END = 1 << 47
"""End of user address space."""
SEQUENCES = 150 if COMPILED else 8
OPERATIONS = 60


@entry
def drive_os(h, ops, got):
    """Apply ``ops``, rows (kind, a, b). A row of ``got``: the answer and its second part, ranges, Reserved bytes."""
    for k in range(len(ops)):
        kind, a, b = ops[k, 0], ops[k, 1], ops[k, 2]
        if kind == FIND:
            got[k, 0] = os_ranges_find(h, a)
        elif kind == IS_FREE:
            got[k, 0] = np.int64(os_is_free(h, a, b))
        elif kind == TAKE:
            os_take(h, a, b)
        elif kind == PLACE:
            got[k, 0] = os_place(h, a)
        elif kind == RESERVE:
            got[k, 0] = sys_reserve(h, a, b)
        elif kind == FREE:
            sys_free_os(h, a, b)
        elif kind == RESERVE_ALIGNED:
            got[k, 0], got[k, 1] = sys_reserve_aligned(h, a, b)
        elif kind == MAP:
            sys_map(h, a)
        elif kind == USED:
            sys_used(h, a)
        elif kind == UNUSED:
            sys_unused(h, a)
        got[k, 2] = h.os_ranges_len
        got[k, 3] = h.stats.reserved


def drive(state, *ops):
    """Run ``ops`` on ``state`` and return the rows."""
    got = np.zeros((len(ops), 4), np.int64)
    drive_os(state.h, np.array([list(op) + [0] * (3 - len(op)) for op in ops], np.int64), got)
    return got


def answers(state, *ops):
    """Run ``ops`` on ``state`` and return the first part of each answer."""
    return drive(state, *ops)[:, 0].tolist()


def new_os(*occupied, os_top=TOP):
    """Return a heap whose OS has given the ranges ``occupied``, in bytes, to something else."""
    params = HeapParams.go119(os_top=os_top, occupied=tuple(occupied))
    return HeapState(params.to_record(), SMALL_ROOM | {"os_ranges": 1 << 10}, params.occupied)


def ranges(state):
    """Return the taken ranges."""
    return [(int(r["base_addr"]), int(r["limit"])) for r in state.tables["os_ranges"][: int(state.h.os_ranges_len)]]


class NaiveOs:
    """An address space as a set of free pages: those of [low, high), of which [low, top) are for the OS to place in."""

    def __init__(self, low, top, high):
        self.low, self.top = low, top
        self.free = set(range(low, high))
        self.all = range(low, high)

    def fits(self, page, n):
        return n > 0 and all(p in self.free for p in range(page, page + n))

    def place(self, n):
        return next((page for page in range(self.top - n, self.low - 1, -1) if self.fits(page, n)), 0)

    def reserve(self, page, n):
        at = page if self.fits(page, n) else self.place(n)
        if at:
            self.free -= set(range(at, at + n))
        return at

    def give_back(self, page, n):
        self.free |= set(range(page, page + n))

    def reserve_aligned(self, n, align):
        at = self.reserve(0, n + align)
        if at == 0:
            return 0, 0
        if at % align == 0:
            return at, n + align
        aligned = -(-at // align) * align
        self.give_back(at, n + align)
        self.free -= set(range(aligned, aligned + n))
        return aligned, n

    def ranges(self):
        """Return the taken ranges in bytes, with all that lies outside the pages."""
        edges = [0]
        for page in [*self.all, self.all.stop]:
            taken = page not in self.free
            if taken != (len(edges) % 2 == 1):
                edges.append(page * PAGE)
        edges.append(END)
        return list(zip(edges[::2], edges[1::2], strict=True))


# ------------------------------------------------------------------------------------------------ one function each


def test_os_ranges_find():
    state = new_os((8 * PAGE, 10 * PAGE), (12 * PAGE, 13 * PAGE))
    asked = (0, 8 * PAGE - 1, 8 * PAGE, 10 * PAGE - 1, 10 * PAGE, 12 * PAGE, 13 * PAGE - 1, 13 * PAGE, END)
    assert answers(state, *[(FIND, a) for a in asked]) == [0, 0, 0, 0, 1, 1, 1, 2, 2]


# address and bytes asked for, whether they are free where [8, 10) and [12, 13) pages are taken
FREE_RANGES = [
    *(((7, 1), 1), ((7, 2), 0), ((9, 1), 0), ((10, 2), 1), ((10, 3), 0), ((11, 5), 0), ((13, 9), 1), ((1, 30), 0)),
    *(((0, 1), 0), ((-1, 1), 0), ((1, 0), 0), ((1, -1), 0)),
    *(((END // PAGE - 4, 4), 1), ((END // PAGE - 4, 5), 0), ((END // PAGE, 1), 0), ((13, END // PAGE), 0)),
]


def test_os_is_free():
    """Free is what no taken range overlaps, from above address 0 to the end of user address space."""
    state = new_os((8 * PAGE, 10 * PAGE), (12 * PAGE, 13 * PAGE))
    got = answers(state, *[(IS_FREE, page * PAGE, n * PAGE) for (page, n), _ in FREE_RANGES])
    assert got == [free for _, free in FREE_RANGES]
    assert answers(new_os(), (IS_FREE, PAGE, END - PAGE), (IS_FREE, PAGE, END)) == [1, 0]


# page and pages taken beside [8, 10) and [12, 13), the ranges afterwards
TAKES = [
    ((2, 3), [(2, 5), (8, 10), (12, 13)]),
    ((5, 3), [(5, 10), (12, 13)]),
    ((10, 1), [(8, 11), (12, 13)]),
    ((11, 1), [(8, 10), (11, 13)]),
    ((10, 2), [(8, 13)]),
    ((13, 1), [(8, 10), (12, 14)]),
    ((20, 1), [(8, 10), (12, 13), (20, 21)]),
]


@pytest.mark.parametrize("taken, after", TAKES)
def test_os_take(taken, after):
    state = new_os((8 * PAGE, 10 * PAGE), (12 * PAGE, 13 * PAGE))
    drive(state, (TAKE, taken[0] * PAGE, taken[1] * PAGE))
    assert ranges(state) == [(start * PAGE, limit * PAGE) for start, limit in after]


# occupied pages below the top (negative) and above it, pages asked for, page got from the top; None: nothing
PLACES = [
    pytest.param([], 5, -5, id="the top of an empty address space"),
    pytest.param([(-3, 9)], 5, -8, id="below a range over the top"),
    pytest.param([(2, 9)], 5, -5, id="a range above the top does not matter"),
    pytest.param([(-9, -5)], 5, -5, id="a gap that just fits"),
    pytest.param([(-9, -4)], 5, -14, id="a gap a page too small"),
    pytest.param([(-20, -12), (-9, -4)], 5, -25, id="two gaps too small"),
    pytest.param([(-20, -12), (-9, -4)], 3, -3, id="the highest gap of several"),
    pytest.param([(-TOP // PAGE, -4)], 5, None, id="nothing"),
    pytest.param([(-TOP // PAGE + 6, -4)], 5, 1 - TOP // PAGE, id="the page above address 0"),
    pytest.param([(-TOP // PAGE + 5, -4)], 5, None, id="address 0 is none"),
]


@pytest.mark.parametrize("occupied, n, at", PLACES)
def test_os_place(occupied, n, at):
    state = new_os(*[(TOP + start * PAGE, TOP + limit * PAGE) for start, limit in occupied])
    want = 0 if at is None else TOP + at * PAGE
    assert answers(state, (PLACE, n * PAGE)) == [want]
    assert int(state.h.stats.reserved) == 0, "placing takes nothing"


def test_sys_reserve():
    """The wish if it is free, else the highest gap; counted as Reserved."""
    state = new_os((8 * PAGE, 10 * PAGE))
    wish, taken = 10 * PAGE, 9 * PAGE
    rows = drive(state, (RESERVE, wish, 3 * PAGE), (RESERVE, taken, 2 * PAGE), (RESERVE, 0, PAGE))
    assert rows[:, 0].tolist() == [wish, TOP - 2 * PAGE, TOP - 3 * PAGE]
    assert rows[:, 3].tolist() == [3 * PAGE, 5 * PAGE, 6 * PAGE]
    assert ranges(state) == [(8 * PAGE, 13 * PAGE), (TOP - 3 * PAGE, TOP)]
    full = new_os((0, END - PAGE))
    assert drive(full, (RESERVE, 0, PAGE)).tolist() == [[0, 0, 1, 0]], "only above the top is anything free"
    assert answers(full, (RESERVE, END - PAGE, PAGE)) == [END - PAGE]


# pages given back of the reserved [-10, -2) below the top, what is left of it
GIVEN_BACK = [
    ((-10, 8), []),
    ((-10, 3), [(-7, -2)]),
    ((-4, 2), [(-10, -4)]),
    ((-6, 1), [(-10, -6), (-5, -2)]),
]


@pytest.mark.parametrize("given, left", GIVEN_BACK)
def test_sys_free_os(given, left):
    state = new_os()
    drive(state, (RESERVE, 40 * PAGE, PAGE), (RESERVE, TOP - 10 * PAGE, 8 * PAGE))
    rows = drive(state, (FREE, TOP + given[0] * PAGE, given[1] * PAGE))
    assert ranges(state) == [(40 * PAGE, 41 * PAGE), *((TOP + a * PAGE, TOP + b * PAGE) for a, b in left)]
    assert rows[0, 3] == (9 - given[1]) * PAGE


@pytest.mark.parametrize("page, n", [(1, 1), (-11, 1), (-11, 2), (-10, 9), (-3, 2), (-12, 20)])
def test_sys_free_os_of_what_is_not_reserved(page, n):
    state = new_os()
    drive(state, (RESERVE, TOP - 10 * PAGE, 8 * PAGE))
    with pytest.raises(Throw, match="sysFreeOS of memory that is not reserved"):
        drive(state, (FREE, TOP + page * PAGE, n * PAGE))


# pages that end the free space, counted from a multiple of the alignment of 16; pages asked for; pages from there to
# the address got, and pages got
ALIGNED = [
    pytest.param(5, 16, (-16, 16), id="both ends given back"),
    pytest.param(1, 16, (-16, 16), id="a long unaligned start"),
    pytest.param(15, 16, (-16, 16), id="a short one"),
    pytest.param(0, 16, (-32, 32), id="aligned by luck: all of it is kept"),
    pytest.param(5, 48, (-48, 48), id="several units"),
    pytest.param(0, 32, (-48, 48), id="several units by luck"),
]


@pytest.mark.parametrize("end, n, got", ALIGNED)
def test_sys_reserve_aligned(end, n, got):
    base = TOP - 160 * PAGE
    state = new_os((base + end * PAGE, TOP))
    rows = drive(state, (RESERVE_ALIGNED, n * PAGE, 16 * PAGE))
    at, pages = base + got[0] * PAGE, got[1]
    assert rows[0, :2].tolist() == [at, pages * PAGE]
    assert rows[0, 3] == pages * PAGE, "what is given back is not Reserved"
    if end == 0:
        assert ranges(state) == [(at, TOP)]
    else:
        assert ranges(state) == [(at, at + pages * PAGE), (base + end * PAGE, TOP)]


def test_sys_reserve_aligned_needs_room_for_the_ends():
    """The space asked for at first is larger by the alignment, so a gap that would do may not be enough."""
    room = 64 * PAGE
    state = new_os((0, TOP - room), (TOP, END))
    assert drive(state, (RESERVE_ALIGNED, room - 15 * PAGE, 16 * PAGE)).tolist() == [[0, 0, 2, 0]]
    assert drive(state, (RESERVE_ALIGNED, room - 16 * PAGE, 16 * PAGE))[0, :2].tolist() == [TOP - room, room]


def test_states_of_memory():
    """sysMap: Reserved to Prepared; sysUsed: Prepared to Ready; sysUnused: back."""
    state = new_os()
    accounts = []
    for op in ((RESERVE, PAGE, 9 * PAGE), (MAP, 5 * PAGE), (USED, 3 * PAGE), (UNUSED, 2 * PAGE)):
        drive(state, op)
        s = state.h.stats
        accounts.append((int(s.reserved) // PAGE, int(s.prepared) // PAGE, int(s.ready) // PAGE))
    assert accounts == [(9, 0, 0), (4, 5, 0), (4, 2, 3), (4, 4, 1)]


# --------------------------------------------------------------------------------------------------------- twin


def random_step(rng, twin, held):
    """Return (operation in pages, its answer in pages) of a random step; ``held`` are the pages the heap has."""
    kind = rng.random()
    if kind < 0.4 and held:
        first = page = int(rng.choice(sorted(held)))
        n = int(rng.integers(1, 20))
        while page in held and page < first + n:
            page += 1
        twin.give_back(first, page - first)
        held -= set(range(first, page))
        return (FREE, first, page - first), (0, 0)
    if kind < 0.8:
        page, n = int(rng.choice([0, rng.integers(twin.low - 3, twin.all.stop + 3)])), int(rng.integers(1, 30))
        at = twin.reserve(page, n)
        held |= set(range(at, at + n)) if at else set()
        return (RESERVE, page, n), (at, 0)
    if kind < 0.9:
        n, align = int(rng.integers(1, 3)) * 8, int(rng.choice([8, 4]))
        at, got = twin.reserve_aligned(n, align)
        held |= set(range(at, at + got))
        return (RESERVE_ALIGNED, n, align), (at, got)
    page, n = int(rng.integers(twin.low - 3, twin.all.stop + 3)), int(rng.integers(1, 9))
    return (IS_FREE, page, n), (int(twin.fits(page, n)), 0)


def random_sequence(rng):
    """Check one sequence of steps on a small window of address space, around the top, between occupied ranges."""
    top = TOP // PAGE
    low, high = top - int(rng.integers(40, 200)), top + int(rng.integers(0, 40))
    twin = NaiveOs(low, top, high)
    state = new_os((high * PAGE, END), (0, low * PAGE))
    held, ops, want = set(), [], []
    for _ in range(OPERATIONS):
        (kind, a, b), (first, second) = random_step(rng, twin, held)
        ops.append((kind, a * PAGE, b * PAGE))
        want.append((first if kind == IS_FREE else first * PAGE, second * PAGE, len(twin.ranges()), len(held) * PAGE))
    got = drive(state, *ops).tolist()
    for k, (row, wanted) in enumerate(zip(got, want, strict=True)):
        assert row == list(wanted), f"operation {k}: {ops[k]}"
    assert ranges(state) == twin.ranges()


def test_against_a_set_of_pages(rng):
    """Random reservations, with a wish, without and aligned, and parts given back: answers, ranges and accounts."""
    for _ in range(SEQUENCES):
        random_sequence(rng)
