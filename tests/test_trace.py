"""Trace: columns in, the same columns out in any batches; wrong events are named."""

import pickle

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.runtime.trace_events import TraceEvents
from mheaplab.traces.trace import ArraySource

KIB = 1 << 10


def small(**change):
    """Return a trace of six events: two objects, a stack, one death."""
    columns = {
        "kind": [5, 0, 0, 2, 1, 3],
        "p": [0, 1, 2, 0, 0, 4],
        "size": [0, 48, 100, 8 * KIB, 0, 8 * KIB],
        "noscan": [0, 1, 0, 0, 0, 0],
        "id": [0, 700, 5, 9, 700, 9],
        "time": [0, 10, 0, 12, 12, 30],
    }
    return mh.Trace.from_arrays(**(columns | change))


def joined(batches):
    """Return all batches as one dict of lists."""
    batches = list(batches)
    return {name: [v for b in batches for v in getattr(b, name).tolist()] for name in TraceEvents._fields}


def refusal(trace, dense=False):
    """Return the message with which ``trace`` is refused."""
    with pytest.raises(mh.FormatError) as err:
        list(trace.dense_batches() if dense else trace.batches())
    return str(err.value)


@pytest.mark.parametrize("rows", [1, 2, 4, 5, 6, 100])
def test_batches_have_the_length_asked_for(rows):
    trace = small()
    batches = list(trace.batches(rows))
    assert [len(b.kind) for b in batches] == [rows] * (6 // rows) + ([6 % rows] if 6 % rows else [])
    assert joined(batches)["id"] == [0, 700, 5, 9, 700, 9]
    assert [c.dtype.str for c in batches[0]] == ["|u1", "|u1", "<u8", "|u1", "<u8", "<u8"]


def test_events_can_be_read_again():
    trace = small()
    assert joined(trace.batches(2)) == joined(trace.batches(3)) == joined(trace.batches())


def test_dense_ids_start_at_0_and_are_used_again():
    assert joined(small().dense_batches(2))["id"] == [0, 0, 1, 2, 0, 2]
    again = mh.Trace.from_arrays([0, 1, 0, 0], 0, [8, 0, 8, 8], 0, [50, 50, 60, 70])
    assert joined(again.dense_batches())["id"] == [0, 0, 0, 1]


def test_columns_are_copied():
    ids = np.array([1, 2], np.uint64)
    trace = mh.Trace.from_arrays([0, 0], 0, [8, 8], 0, ids)
    ids[:] = 3
    assert joined(trace.batches())["id"] == [1, 2]


def test_length_and_count():
    trace = small()
    assert len(trace) == trace.n_events == 6
    assert trace.count().tolist() == [2, 1, 1, 1, 0, 1]
    unknown = mh.workloads.load("tree-builder", scale=0.001)
    assert unknown.n_events is None
    with pytest.raises(TypeError, match="not known"):
        len(unknown)
    assert bool(unknown) and "unknown length" in repr(unknown)


def test_digest_is_of_the_contents():
    assert small().digest == small().digest
    assert len(small().digest) == 64
    assert small().digest != small(time=[0, 10, 0, 12, 12, 31]).digest
    assert small().digest == small(p=np.array([0, 1, 2, 0, 0, 4], np.int64)).digest
    w = mh.workloads
    assert w.load("compiler", 1).digest == w.load("compiler", 1).digest
    assert len({w.load("compiler", 1).digest, w.load("compiler", 2).digest, w.load("compiler", 1, 2.0).digest}) == 3


@pytest.mark.parametrize("n", [0, 1, 3, 6, 9])
def test_prefix(n):
    part = small().prefix(n)
    assert len(part) == min(n, 6)
    assert joined(part.batches(2))["id"] == [0, 700, 5, 9, 700, 9][:n]
    assert part.digest != small().prefix(n + 1).digest != small().digest


def test_prefix_of_a_stream():
    whole = mh.workloads.load("json-service", seed=3)
    assert joined(whole.prefix(1000).batches(300)) == joined([next(whole.batches(1000))])
    assert whole.prefix(1000).n_events is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": [5, 0, 0, 2, 7, 3]}, r"event 4 \(\?\): unknown kind 7, expected 0 to 5"),
        ({"p": [0, 255, 0, 0, 0, 0]}, r"event 1 \(ALLOC\): P 255, expected 0 to 254"),
        ({"noscan": [0, 0, 2, 0, 0, 0]}, r"event 2 .*noscan 2, expected 0 or 1"),
        ({"size": [0, 0, 1, 8192, 0, 8192]}, r"event 1 .*size 0, expected 1 to 2\*\*47"),
        ({"size": [0, (1 << 47) + 1, 1, 8192, 0, 8192]}, r"event 1 .*expected 1 to 2\*\*47"),
        ({"size": [0, 1, 1, 1024, 0, 8192]}, r"event 3 \(STACK_ALLOC\): stack of 1024 bytes, expected a power"),
        ({"size": [0, 1, 1, 8193, 0, 8192]}, "event 3 .*expected a power of two"),
        ({"size": [0, 1, 1, 1 << 32, 0, 8192]}, "event 3 .*expected a power of two"),
        ({"size": [0, 1, 1, 8192, 0, 4096]}, r"event 5 \(STACK_FREE\): stack 9 of 4096 bytes has another size"),
        ({"size": [65536, 1, 1, 8192, 0, 8192]}, r"event 0 \(PHASE\): phase 65536, expected 0 to 65535"),
        ({"kind": [4, 0, 0, 2, 1, 3], "size": [2, 1, 1, 8192, 0, 8192]}, r"event 0 \(FORCED_GC\): size 2"),
        ({"time": [0, 10, 0, 9, 12, 30]}, "event 3 .*time 9 ns is before 10 ns"),
        ({"id": [0, 5, 5, 9, 5, 9]}, r"event 2 \(ALLOC\): object 5 is alive already"),
        ({"id": [0, 5, 6, 5, 5, 5]}, r"event 3 \(STACK_ALLOC\): 5 is alive already"),
        ({"id": [0, 5, 6, 9, 7, 9]}, r"event 4 \(DEATH\): death of object 7, which was not born"),
        ({"id": [0, 5, 6, 9, 9, 9]}, r"event 4 \(DEATH\): 9 is a stack, expected an object"),
        ({"id": [0, 5, 6, 9, 5, 6]}, r"event 5 \(STACK_FREE\): 6 is an object, expected a stack"),
        ({"id": [0, 5, 6, 9, 5, 5]}, r"event 5 \(STACK_FREE\): end of stack 5, which was not born"),
    ],
)
@pytest.mark.parametrize("ids", ["any", "dense"])
def test_wrong_events_are_named(change, message, ids):
    if ids == "dense" and "id" not in change:
        change = change | {"id": [0, 0, 1, 2, 0, 2 if "stack 9" not in message else 2]}
        message = message.replace("stack 9", "stack 2")
    for rows in (1, 4, 100):
        trace = small(**change, ids=ids)
        with pytest.raises(mh.FormatError, match=message):
            list(trace.batches(rows))
        with pytest.raises(mh.FormatError, match="trace: " + message):
            list(trace.dense_batches(rows))


def test_a_death_twice():
    trace = mh.Trace.from_arrays([0, 1, 1], 0, [8, 0, 0], 0, [17, 17, 17], program="prog")
    assert refusal(trace) == "prog: event 2 (DEATH): death of object 17, which was not born"


def test_ids_that_are_not_dense():
    trace = mh.Trace.from_arrays([0, 0], 0, 8, 0, [0, 1026], ids="dense")
    assert "event 1 (ALLOC): id 1026 though no more than 1 were alive at once" in refusal(trace, dense=True)
    assert joined(mh.Trace.from_arrays([0, 0], 0, 8, 0, [0, 1025], ids="dense").batches())["id"] == [0, 1025]
    trace = mh.Trace.from_arrays([1], 0, 8, 0, [(1 << 64) - 1], ids="dense")
    assert "which was not born" in refusal(trace)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": [0, 1]}, r"p: shape \(2,\), expected \(6,\)"),
        ({"size": [0.5] * 6}, "size: float64 values, expected whole numbers"),
        ({"id": [-1] * 6}, "id: -1 to -1, expected 0 to 18446744073709551615"),
        ({"kind": [256] * 6}, "kind: 256 to 256, expected 0 to 255"),
        ({"colour": "red"}, "meta: unknown key 'colour'"),
        ({"ids": "none"}, "meta: ids = 'none', expected one of dense, any"),
        ({"phases": [1]}, "meta: phases = "),
        ({"program": 3}, "meta: program = 3, expected text"),
    ],
)
def test_wrong_arguments(change, message):
    with pytest.raises(ValueError, match=message):
        small(**change)


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, 1 << 40])
def test_wrong_rows(rows):
    with pytest.raises(ValueError, match="rows = .*expected a whole number"):
        list(small().batches(rows))


def test_wrong_prefix():
    with pytest.raises(ValueError, match="n = -1"):
        small().prefix(-1)


def test_traces_go_to_other_processes():
    """Studies send them to workers."""
    for trace in (small(), mh.workloads.load("slow-leak", seed=2, scale=0.001), small().prefix(3)):
        again = pickle.loads(pickle.dumps(trace))
        assert joined(again.batches()) == joined(trace.batches())
        assert again.digest == trace.digest and again.meta == trace.meta


def test_an_empty_trace():
    trace = mh.Trace.from_arrays([], [], [], [], [])
    assert list(trace.batches()) == [] and len(trace) == 0 and trace.n_events == 0


def test_a_source_with_uneven_batches():
    class Uneven(ArraySource):
        def batches(self, rows):
            for start, stop in ((0, 1), (1, 1), (1, 5), (5, 6)):
                yield TraceEvents(*(c[start:stop] for c in self.events))

    events = next(small().batches())
    trace = mh.Trace(Uneven(events), {})
    assert [len(b.kind) for b in trace.batches(4)] == [4, 2]
    assert joined(trace.batches(4)) == joined(small().batches())
