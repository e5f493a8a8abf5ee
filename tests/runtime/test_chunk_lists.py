"""chunk_lists against Python's lists."""

import numpy as np
import pytest
from runtime.entry import entry

from mheaplab.runtime.chunk_lists import chunk_shorten, has_chunks, list_join, list_last, list_pop, list_push
from mheaplab.runtime.generate_structs import CHUNK_WORDS, GENERATOR, bind

PUSH, POP, JOIN, SHORTEN = range(4)


@entry
def drive_lists(g, lists, ops, out):
    """Do each row (what, list, value) of ``ops`` to ``lists``; write what is popped."""
    for i in range(ops.shape[0]):
        what, at, value = ops[i, 0], ops[i, 1], ops[i, 2]
        if what == PUSH:
            lists[at] = list_push(g, lists[at], np.uint64(value))
        elif what == POP:
            lists[at], out[i] = list_pop(g, lists[at])
        elif what == JOIN:
            lists[at] = list_join(g, lists[at], list_last(g, lists[at]), lists[value])
            lists[value] = 0
        else:
            chunk_shorten(g, lists[at], value)
        out[i] = out[i] if has_chunks(g, 1) else np.uint64(999)


def new_generator(chunks):
    """Return a record with room for ``chunks`` chunks, and the arrays it points to."""
    g = np.zeros(1, GENERATOR)[0]
    words = np.zeros(chunks * CHUNK_WORDS, np.uint64)
    bind(g, "chunks", words)
    g["chunks_used"] = 1
    return g, words


def apply(ops, chunks=200):
    """Return what each of ``ops`` pops."""
    g, words = new_generator(chunks)
    lists, out = np.zeros(4, np.int64), np.zeros(len(ops), np.uint64)
    drive_lists(g, lists, np.array(ops, np.int64), out)
    return out.tolist(), g, lists


@pytest.mark.parametrize("n", [1, 14, 15, 16, 30, 31, 100])
def test_last_in_first_out(n):
    out, g, lists = apply([(PUSH, 0, i + 1) for i in range(n)] + [(POP, 0, 0)] * n)
    assert out[n:] == list(range(n, 0, -1))
    assert lists[0] == 0
    assert g["chunks_used"] == 1 + -(-n // 15)


def test_random_operations(rng):
    ops, naive, expected = [], [[] for _ in range(4)], []
    for i in range(600):
        at, other = (int(v) for v in rng.integers(0, 4, 2))
        what = int(rng.choice([PUSH, PUSH, PUSH, POP, POP, JOIN], p=[0.2, 0.2, 0.15, 0.2, 0.2, 0.05]))
        popped = 0
        if what == POP and naive[at]:
            popped = naive[at].pop()
        elif what == JOIN and at != other and naive[at]:
            naive[at] = naive[other] + naive[at]
            naive[other] = []
        else:
            what, other = PUSH, i + 1
            naive[at].append(other)
        ops.append((what, at, other))
        expected.append(popped)
    for at, items in enumerate(naive):
        ops += [(POP, at, 0)] * len(items)
        expected += reversed(items)
    assert apply(ops, 700)[0] == expected


def test_chunks_are_used_again_and_room_is_told():
    pushes, pops = [(PUSH, 0, i + 1) for i in range(30)], [(POP, 0, 0)] * 30
    out, g, _ = apply((pushes + pops) * 5, chunks=4)
    assert g["chunks_used"] == 3
    assert 999 not in out
    out, _, _ = apply(pushes, chunks=3)
    assert out.index(999) == 15


def test_shorten_drops_the_latest():
    out, _, _ = apply([(PUSH, 0, i + 1) for i in range(10)] + [(SHORTEN, 0, 4)] + [(POP, 0, 0)] * 4)
    assert out[-4:] == [4, 3, 2, 1]
