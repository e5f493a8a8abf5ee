"""mspanset: the queues of spans and their pool of blocks, against deques."""

import naive
import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.mspanset import (
    mcentral_full_swept,
    mcentral_full_unswept,
    mcentral_partial_swept,
    mcentral_partial_unswept,
    span_set_pop,
    span_set_push,
    span_set_reset,
)
from mheaplab.runtime.structs import MAX_SPAN_CLASSES, SPAN_SET_BLOCK_ENTRIES

SEQUENCES = 40 if COMPILED else 4
BLOCK = int(SPAN_SET_BLOCK_ENTRIES)

PUSH, POP, RESET, SWEEPGEN = range(4)
SETS = PARTIAL_SWEPT, PARTIAL_UNSWEPT, FULL_SWEPT, FULL_UNSWEPT = range(4)


@entry
def drive_sets(h, ops, answers):
    """Apply ``ops``, rows (kind, set, span class, span)."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        spc = ops[k, 2]
        if kind == SWEEPGEN:
            h.sweepgen = ops[k, 3]
            continue
        if ops[k, 1] == PARTIAL_SWEPT:
            q = mcentral_partial_swept(h, spc)
        elif ops[k, 1] == PARTIAL_UNSWEPT:
            q = mcentral_partial_unswept(h, spc)
        elif ops[k, 1] == FULL_SWEPT:
            q = mcentral_full_swept(h, spc)
        else:
            q = mcentral_full_unswept(h, spc)
        if kind == PUSH:
            span_set_push(h, q, ops[k, 3])
        elif kind == POP:
            answers[k] = span_set_pop(h, q)
        else:
            span_set_reset(h, q)


def drive(state, *ops):
    """Run ``ops`` on the sets of ``state`` and return the answers."""
    table = np.array([list(op) + [0] * (4 - len(op)) for op in ops], np.int64).reshape(-1, 4)
    answers = np.zeros(len(ops), np.int64)
    drive_sets(state.h, table, answers)
    return answers.tolist()


def all_sets(state):
    """Yield (set record, name) of every set of every central that is not as it was when the heap was new."""
    for kind in ("partial", "full"):
        sets = state.h["central"][kind]
        for spc, i in np.argwhere(sets != np.zeros((), sets.dtype)).tolist():
            yield sets[spc, i], f"central {spc}, {kind} {i}"


def chain(state, block):
    """Return the blocks from ``block`` on, as their next fields link them."""
    found = []
    while block:
        assert block not in found, "blocks linked in a circle"
        found.append(block)
        block = int(state.tables["set_blocks"]["next"][block])
    return found


def check_blocks(state):
    """Check that each block ever made is in one set or free, and that a set has the blocks that its entries take."""
    used = chain(state, int(state.h.block_free))
    for q, name in all_sets(state):
        head, tail = int(q["head"]), int(q["tail"])
        blocks = chain(state, int(q["head_block"]))
        # Blocks that hold an entry of [head, tail); the block of the next entry stays, unless it is still to come.
        needed = set(range(head // BLOCK, -(-tail // BLOCK)))
        assert len(blocks) == len(needed), name
        assert (blocks[-1] if blocks else 0) == int(q["tail_block"]), name
        used += blocks
    assert sorted(used) == list(range(1, int(state.h.set_blocks_len)))


def test_first_in_first_out():
    """Spans come out in the order in which they went in; an empty set gives 0."""
    state = new_state()
    ops = [(POP, 0, 5), (PUSH, 0, 5, 7), (PUSH, 0, 5, 3), (PUSH, 0, 5, 7), (POP, 0, 5), (PUSH, 0, 5, 9)]
    assert drive(state, *ops, *[(POP, 0, 5)] * 4) == [0, 0, 0, 0, 7, 0, 3, 7, 9, 0]
    check_blocks(state)


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 5])
def test_blocks(n):
    """Around the size of a block, and over several: what went in comes out, and every block comes back."""
    state = new_state()
    assert drive(state, *((PUSH, 0, 0, s) for s in range(1, n + 1))) == [0] * n
    check_blocks(state)
    made = int(state.h.set_blocks_len)
    assert made == 1 - n // -BLOCK
    assert drive(state, *[(POP, 0, 0)] * (n + 1)) == [*range(1, n + 1), 0]
    check_blocks(state)
    drive(state, (RESET, 0, 0))
    check_blocks(state)
    assert len(chain(state, int(state.h.block_free))) == made - 1
    # A second round takes the blocks of the first.
    assert drive(state, *((PUSH, 0, 1, s) for s in range(1, n + 1)), *[(POP, 0, 1)] * n)[n:] == [*range(1, n + 1)]
    assert int(state.h.set_blocks_len) == made
    check_blocks(state)


def test_reset():
    """A set that was emptied begins anew; one that is not empty cannot."""
    state = new_state()
    drive(state, (RESET, 0, 9), (PUSH, 0, 9, 4), (POP, 0, 9), (RESET, 0, 9), (RESET, 0, 9), (PUSH, 0, 9, 5))
    check_blocks(state)
    assert drive(state, (POP, 0, 9)) == [5]
    drive(state, (PUSH, 0, 9, 6))
    with pytest.raises(Throw, match="attempt to clear non-empty span set"):
        drive(state, (RESET, 0, 9))


def test_blocks_exhausted():
    """A pool without a block left is an impossible state of the heap: room was to be made before."""
    state = new_state()
    state.h.set_blocks_cap = 3
    drive(state, (PUSH, 0, 0, 1), (PUSH, 1, 0, 1))
    with pytest.raises(Throw, match="span set blocks exhausted"):
        drive(state, (PUSH, 2, 0, 1))


def test_sets_trade_places_with_sweepgen():
    """Each collection makes the swept sets unswept ones and the other way round, partial and full apart."""
    state = new_state()
    drive(state, *((PUSH, q, 2, 10 + q) for q in SETS))
    assert [int(q["tail"]) for q, _ in all_sets(state)].count(1) == 4
    drive(state, (SWEEPGEN, 0, 0, 2))
    order = [PARTIAL_UNSWEPT, PARTIAL_SWEPT, FULL_UNSWEPT, FULL_SWEPT]
    assert drive(state, *((POP, q, 2) for q in order)) == [10, 11, 12, 13]
    drive(state, *((PUSH, q, 2, 20 + q) for q in SETS), (SWEEPGEN, 0, 0, 6))
    assert drive(state, *((POP, q, 2) for q in SETS)) == [20, 21, 22, 23]
    drive(state, (PUSH, PARTIAL_SWEPT, 2, 5), (SWEEPGEN, 0, 0, 7))
    assert drive(state, (POP, PARTIAL_SWEPT, 2)) == [5]  # odd values do not occur; halving rounds down


def test_random_sequences(rng):
    """Pushes and pops of many lengths on several sets, which share the pool."""
    for _ in range(SEQUENCES):
        state = new_state()
        names = [(q, spc) for q in SETS for spc in (0, 3, MAX_SPAN_CLASSES - 1)]
        twins = {name: naive.NaiveSpanSet() for name in names}
        ops, want = [], []
        for _ in range(60):
            name = names[int(rng.integers(len(names)))]
            twin = twins[name]
            n = int(rng.choice([1, 5, rng.integers(1, 3 * BLOCK)]))
            if rng.random() < 0.5:
                for s in rng.integers(1, 1 << 32, n).tolist():
                    ops.append((PUSH, *name, s))
                    want.append(0)
                    twin.push(s)
            else:
                for _ in range(n):
                    ops.append((POP, *name))
                    want.append(twin.pop())
                if not twin.queue and rng.random() < 0.5:
                    ops.append((RESET, *name))
                    want.append(0)
                    twin.reset()
        assert drive(state, *ops) == want
        check_blocks(state)
        left = [len(twins[name].queue) for name in names]
        assert drive(state, *[(POP, *name) for name, n in zip(names, left, strict=True) for _ in range(n)]) == [
            s for name in names for s in twins[name].queue
        ]
        check_blocks(state)
