"""mfixalloc: records of spans and specials, from the free list first and then from a chunk; allspans; the accounts."""

import numpy as np
import pytest
from runtime.entry import entry, new_state

from mheaplab.params import HeapParams
from mheaplab.runtime.mfixalloc import (
    fixalloc_init,
    recordspan,
    spanalloc_alloc,
    spanalloc_free,
    specialalloc_alloc,
    specialalloc_free,
)
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import FIXALLOC, SPECIAL_FINALIZER, SPECIAL_PROFILE, SPECIAL_REACHABLE

ALLOC, FREE, RECORD, SPECIAL_ALLOC, SPECIAL_FREE = range(5)
CHUNK = 16 << 10
"""Bytes that a fixalloc takes at a time."""
FIRST_CAP = 8192
"""Entries that the array behind allspans has room for at first: 64 KiB of pointers."""


@entry
def drive_records(h, ops, got):
    """Apply ``ops``, rows (kind, record or kind of special, how often: once if left out); ``got``: the last answers."""
    for k in range(len(ops)):
        kind, a = ops[k, 0], ops[k, 1]
        for i in range(ops[k, 2]):
            if kind == ALLOC:
                got[k] = spanalloc_alloc(h)
            elif kind == FREE:
                spanalloc_free(h, a)
            elif kind == RECORD:
                recordspan(h, a + i)
            elif kind == SPECIAL_ALLOC:
                got[k] = specialalloc_alloc(h, a)
            elif kind == SPECIAL_FREE:
                specialalloc_free(h, a)


def drive(state, *ops):
    """Run ``ops``; return the answers of those that took a record."""
    got = np.zeros(len(ops), np.int64)
    drive_records(state.h, np.array([op + (0, 1)[len(op) - 1 :] for op in ops], np.int64), got)
    return [a for a, op in zip(got.tolist(), ops, strict=True) if op[0] in (ALLOC, SPECIAL_ALLOC)]


def accounts(f):
    """Return (bytes in use, bytes taken from the OS, records left of the chunk) of a fixalloc."""
    return int(f["in_use"]), int(f["sys"]), int(f["chunk_left"])


# ------------------------------------------------------------------------------------------------- span records

TAKE = (ALLOC,)
# records taken and freed, and those handed out
SEQUENCES = [
    pytest.param([TAKE] * 3, [1, 2, 3], id="from the table's end; 0 is nil"),
    pytest.param([TAKE, TAKE, (FREE, 1), TAKE, TAKE], [1, 2, 1, 3], id="a freed one first"),
    pytest.param([TAKE] * 3 + [(FREE, 1), (FREE, 3), (FREE, 2)] + [TAKE] * 4, [1, 2, 3, 2, 3, 1, 4],
                 id="the last freed first"),
]


@pytest.mark.parametrize("ops, taken", SEQUENCES)
def test_records(ops, taken):
    """fixalloc.alloc, fixalloc.free: the free list is a stack, and only when it is empty is a record new."""
    state = new_state()
    assert drive(state, *ops) == taken
    in_use = ops.count(TAKE) - sum(op != TAKE for op in ops)
    assert accounts(state.h.spanalloc) == (in_use * 144, CHUNK // 144 * 144, CHUNK // 144 - max(taken))
    assert int(state.h.spans_len) == max(taken) + 1
    assert int(state.h.allspans) == max(taken), "a record enters allspans when it is first used"


def test_free_list():
    state = new_state()
    drive(state, *[TAKE] * 4, (FREE, 3), (FREE, 1))
    links = state.tables["spans"]["free_link"]
    assert (int(state.h.spanalloc.free), int(links[1]), int(links[3])) == (1, 3, 0)
    drive(state, TAKE)
    assert int(state.h.spanalloc.free) == 3


def test_a_freed_span_keeps_its_sweepgen():
    """spanalloc does not zero records: a sweeper may still look at one, and must not take it for unswept."""
    state = new_state()
    drive(state, TAKE, TAKE)
    state.tables["spans"]["sweepgen"][1:3] = 8, 10
    assert drive(state, (FREE, 1), (FREE, 2), TAKE, TAKE) == [2, 1]
    assert state.tables["spans"]["sweepgen"][1:3].tolist() == [8, 10]


# Go version, bytes of its record of a span, records in a chunk of 16 KiB
@pytest.mark.parametrize("go, nbytes, each", [("go1.19", 144, 113), ("go1.27", 160, 102)])
def test_chunks(go, nbytes, each):
    """A chunk is taken when the last is used up; what is left behind its last record is not taken at all."""
    state = HeapState(HeapParams.of_version(go).to_record(), {"spans": 1 << 10})
    f = state.h.spanalloc
    assert accounts(f) == (0, 0, 0)
    drive(state, TAKE)
    assert accounts(f) == (nbytes, each * nbytes, each - 1)
    drive(state, (ALLOC, 0, each - 1))
    assert accounts(f) == (each * nbytes, each * nbytes, 0)
    drive(state, (FREE, 7), TAKE)
    assert accounts(f) == (each * nbytes, each * nbytes, 0), "a freed record needs no chunk"
    drive(state, TAKE)
    assert accounts(f) == ((each + 1) * nbytes, 2 * each * nbytes, each - 1)


def test_out_of_records():
    state = HeapState(new_state().h.params, {"spans": 3})
    assert drive(state, TAKE, TAKE) == [1, 2]
    with pytest.raises(Throw, match="runtime: out of span records"):
        drive(state, TAKE)
    state.grow()
    assert drive(state, TAKE) == [3]


# spans, entries of the array behind allspans: 8192 at first, then half as much again each time it is full
ALLSPANS = [(0, 0), (1, 8192), (8192, 8192), (8193, 12288), (12288, 12288), (12289, 18432), (18433, 27648)]


def test_recordspan():
    """recordspan: allspans has every record in order; its array grows by half, and what is replaced is freed."""
    state = new_state()
    n = 0
    for spans, cap in ALLSPANS:
        drive(state, (RECORD, n + 1, spans - n))
        n = spans
        assert (int(state.h.allspans), int(state.h.allspans_cap)) == (spans, cap)
        assert int(state.h.stats.other_sys) == 8 * cap


@pytest.mark.parametrize("first", [0, 2, 9])
def test_recordspan_out_of_order(first):
    state = new_state()
    with pytest.raises(Throw, match="recordspan out of order"):
        drive(state, (RECORD, first))
    assert int(state.h.allspans) == 0


def test_allspans_of_a_used_record():
    """A record that is used again is in allspans already."""
    state = new_state()
    drive(state, *[TAKE, (FREE, 1)] * 5)
    assert int(state.h.allspans) == 1 and int(state.h.stats.other_sys) == 8 * FIRST_CAP


def test_fixalloc_init():
    """fixalloc.init: no record, no chunk, no account."""
    f = np.full(FIXALLOC.itemsize, 9, "u1").view(FIXALLOC).view(np.recarray)[0]
    fixalloc_init(f, 144)
    assert accounts(f) == (0, 0, 0) and (int(f["item_bytes"]), int(f["free"])) == (144, 0)


# ----------------------------------------------------------------------------------------------------- specials

KINDS = (int(SPECIAL_FINALIZER), int(SPECIAL_PROFILE), int(SPECIAL_REACHABLE))


def test_special_records():
    """Each kind has a fixalloc of its own, over one table; a record that is used again is cleared."""
    state = new_state()
    fin, prof, reach = KINDS
    taken = drive(state, *[(SPECIAL_ALLOC, kind) for kind in (fin, prof, fin, reach)])
    assert taken == [1, 2, 3, 4]
    table = state.tables["specials"]
    assert table["kind"][1:5].tolist() == [fin, prof, fin, reach]
    for field in ("done", "reachable", "next", "offset", "value"):
        table[field][1:5] = 9
    drive(state, (SPECIAL_FREE, 1), (SPECIAL_FREE, 2), (SPECIAL_FREE, 3))
    assert table["kind"][1:5].tolist() == [0, 0, 0, reach], "an unused record is of no kind"
    assert drive(state, *[(SPECIAL_ALLOC, kind) for kind in (fin, prof, fin, prof, reach)]) == [3, 2, 1, 5, 6]
    assert not any(table[field][[1, 2, 3, 5, 6]].any() for field in ("done", "reachable", "next", "offset", "value"))
    assert table["kind"][1:7].tolist() == [fin, prof, fin, reach, prof, reach]


def test_special_accounts():
    """Sizes of Go 1.19's records: 48 bytes of a finalizer, 24 of a profile record; chunks of 16 KiB for each kind."""
    state = new_state()
    fin, prof, reach = KINDS
    each = CHUNK // 48
    drive(state, (SPECIAL_ALLOC, fin, each), (SPECIAL_ALLOC, prof), (SPECIAL_ALLOC, prof))
    f = state.h.specialalloc
    assert accounts(f[fin]) == (48 * each, 48 * each, 0)
    assert accounts(f[prof]) == (48, CHUNK // 24 * 24, CHUNK // 24 - 2)
    assert accounts(f[reach]) == (0, 0, 0)
    drive(state, (SPECIAL_FREE, 5), (SPECIAL_ALLOC, fin), (SPECIAL_ALLOC, fin))
    assert accounts(f[fin]) == (48 * (each + 1), 2 * 48 * each, each - 1)


@pytest.mark.parametrize("kind", [-1, 0, 8, 200])
def test_special_of_no_kind(kind):
    with pytest.raises(Throw, match="bad special kind"):
        drive(new_state(), (SPECIAL_ALLOC, kind))


def test_out_of_special_records():
    state = HeapState(new_state().h.params, {"specials": 2})
    assert drive(state, (SPECIAL_ALLOC, KINDS[0])) == [1]
    with pytest.raises(Throw, match="runtime: out of special records"):
        drive(state, (SPECIAL_ALLOC, KINDS[1]))
