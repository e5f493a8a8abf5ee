"""trace_ids: small traces event by event, compiled and as plain Python; more in test_trace and test_dense."""

import pytest

from mheaplab.errors import FormatError
from mheaplab.runtime.trace_events import TRACE_TYPES, TraceEvents, new_trace_events
from mheaplab.runtime.trace_ids import fingerprint
from mheaplab.traces.dense import DenseTable, HashTable


def events(kinds, ids, sizes=None):
    """Return columns of objects of 8 bytes and stacks of 2 KiB."""
    found = new_trace_events(len(kinds))
    found.kind[:] = kinds
    found.id[:] = ids
    found.size[:] = sizes or [{0: 8, 2: 2048, 3: 2048}.get(kind, 0) for kind in kinds]
    return found


def test_ids_of_both_kinds():
    kinds, ids = [0, 2, 0, 3, 5, 0, 1, 1, 4], [0, 1, 2, 1, 9, 1, 0, 2, 9]
    table = DenseTable("t")
    table.process(events(kinds, ids))
    assert table.peak == 3 and table.state["live"] == 1
    hashed = HashTable("t")
    big = [(7 << 60) + 5 * i for i in ids]
    assert hashed.process(events(kinds, big)).id.tolist() == [0, 1, 2, 1, 0, 1, 0, 2, 0]
    assert hashed.peak == 3 and hashed.state["live"] == 1


def test_state_goes_on_from_batch_to_batch():
    table = HashTable("t")
    table.process(events([0, 0], [50, 60]))
    assert table.process(events([1, 0, 1], [50, 70, 60])).id.tolist() == [0, 0, 1]
    with pytest.raises(FormatError, match=r"t: event 5 \(DEATH\): death of object 60, which was not born"):
        table.process(events([1], [60]))


@pytest.mark.parametrize("table", [DenseTable, HashTable])
def test_tables_grow(table, monkeypatch):
    from mheaplab.traces import dense

    monkeypatch.setattr(dense, "FIRST_ROOM", 2)
    live = table("t")
    n = 30
    live.process(events([0] * n, range(n)))
    live.process(events([1] * n, range(n)))
    assert live.peak == n and live.state["live"] == 0


def test_the_input_is_left_alone():
    given = events([0, 0], [50, 60])
    HashTable("t").process(given)
    assert given.id.tolist() == [50, 60]


def test_fingerprint_sees_every_column_and_the_order(rng):
    first = TraceEvents(*(rng.integers(0, 2, 20).astype(t) for t in TRACE_TYPES))
    wanted = fingerprint(first)
    assert fingerprint(TraceEvents(*(c.copy() for c in first))) == wanted
    for name in TraceEvents._fields:
        for row in (0, 7, 19):
            column = getattr(first, name).copy()
            column[row] ^= 1
            assert fingerprint(first._replace(**{name: column})) != wanted
    assert fingerprint(TraceEvents(*(c[::-1].copy() for c in first))) != wanted
    assert fingerprint(TraceEvents(*(c[:-1].copy() for c in first))) != wanted
