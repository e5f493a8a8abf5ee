"""dense: ids of any kind become dense ones, against a dict; tables grow and keep what they hold."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.traces.dense import DenseTable, HashTable


def naive_dense(kinds, ids):
    """Dense ids by a dict and a list of free ones."""
    alive, free, found = {}, [], []
    for kind, name in zip(kinds, ids, strict=True):
        if kind == 0:
            alive[name] = free.pop() if free else len(alive)
            found.append(alive[name])
        else:
            found.append(alive.pop(name))
            free.append(found[-1])
    return found


def random_events(rng, n, most, make_id):
    """Return kinds and ids of ``n`` events with at most ``most`` objects alive."""
    alive, kinds, ids = [], [], []
    names = set()
    for _ in range(n):
        if alive and (len(alive) >= most or rng.random() < 0.45):
            at = int(rng.integers(len(alive)))
            alive[at], alive[-1] = alive[-1], alive[at]
            kinds.append(1)
            ids.append(alive.pop())
            names.discard(ids[-1])
        else:
            name = make_id(rng)
            while name in names:
                name = make_id(rng)
            names.add(name)
            alive.append(name)
            kinds.append(0)
            ids.append(name)
    return kinds, ids


@pytest.mark.parametrize("most", [1, 5, 300, 100_000])
@pytest.mark.parametrize(
    "make_id",
    [
        lambda rng: int(rng.integers(0, 1 << 63)) * 2,
        lambda rng: 0xC000000000 + 16 * int(rng.integers(0, 1 << 20)),
        lambda rng: int(rng.integers(0, 200_000)),
    ],
    ids=["any", "addresses", "small"],
)
def test_as_the_twin(rng, most, make_id):
    kinds, ids = random_events(rng, 40_000, most, make_id)
    trace = mh.Trace.from_arrays(kinds, 0, [8 * (k == 0) for k in kinds], 0, np.array(ids, np.uint64))
    for rows in (997, 1 << 20):
        found = np.concatenate([b.id for b in trace.dense_batches(rows)]).tolist()
        assert found == naive_dense(kinds, ids)
    peak = int(np.cumsum(1 - 2 * np.array(kinds)).max())
    assert max(found) == peak - 1


@pytest.mark.parametrize("table", [DenseTable, HashTable])
def test_tables_grow_with_what_lives_only(table):
    live = table("t")
    n = 20_000
    births = mh.Trace.from_arrays([0] * n, 0, 8, 0, np.arange(n), ids="any")
    events = next(births.batches())
    live.process(events)
    assert live.peak == n
    size = sum(a.nbytes for a in live.tables.values())
    for _ in range(3):
        live.process(events._replace(kind=np.ones(n, np.uint8)))
        live.process(events)
    assert live.peak == n and sum(a.nbytes for a in live.tables.values()) == size < 200 * n
    assert live.seen == 7 * n


def test_ids_that_meet_in_the_table_are_found_after_deletions(rng):
    """Keys chosen so that all fall into one run of slots, deleted in every order."""
    table = HashTable("t")
    from mheaplab.runtime.splitmix import GOLDEN

    def mix(x):
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
        return x ^ (x >> 31)

    assert int(GOLDEN) == 0x9E3779B97F4A7C15
    mask = len(table.tables["slots"]) - 1
    last = [k for k in range(200_000) if mix(k) & mask in (mask, mask - 1, 0)][:24]
    assert len(last) == 24
    for _ in range(20):
        order = rng.permutation(last).tolist()
        kinds = [0] * len(last) + [1] * len(last)
        trace = mh.Trace.from_arrays(kinds, 0, [8] * len(last) + [0] * len(last), 0, last + order)
        found = next(trace.dense_batches()).id.tolist()
        assert found == naive_dense(kinds, last + order)
