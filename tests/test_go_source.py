"""Go's execution traces as something to simulate: the same slots, deaths where collections found them, as Go's heap."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from exectraces import batch, event, generation, header, runs, varint

import mheaplab as mh
from mheaplab.errors import FormatError
from mheaplab.figures import trace_agreement
from mheaplab.runtime import exectrace_structs as x
from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE
from mheaplab.span_history import differences, span_history
from mheaplab.traces.dense import HashTable
from mheaplab.traces.go_heap import read_go_heap
from mheaplab.traces.go_source import open_go_trace
from mheaplab.traces.go_trace import read_go_events

TRACES = Path(__file__).resolve().parent.parent / "data" / "traces"
NAMES = ("go123-tmpl", "go125-mixed", "go127-buffers", "go127-mixed", "go127-orders", "go127-tmpl")
SMALL = TRACES / "go127-mixed.trace"
SPAN, SPAN_ALLOC, SPAN_FREE, OBJECT, OBJECT_ALLOC, OBJECT_FREE, STACK, STACK_ALLOCATED, STACK_FREED = (
    x.EV_MEMORY + i for i in range(len(x.MEMORY_NAMES))
)


@cache
def columns(name):
    """Return all events of a trace, by column."""
    return mh.read_trace(TRACES / f"{name}.trace").loaded()._source.events


@cache
def simulated(name, gogc=100):
    trace = mh.read_trace(TRACES / f"{name}.trace")
    return mh.simulate(trace, mh.HeapParams.of_program(trace.meta["go"], gogc=gogc))


def test_what_it_says_of_itself():
    trace = mh.read_trace(SMALL)
    assert trace.meta["go"] == "go1.26" and trace.meta["sizes"] == "slot" and trace.meta["prologue"] == 431
    assert "drawn between the collections" in trace.meta["deaths"] and trace.n_events is None
    first = next(trace.batches(431))
    assert set(first.kind.tolist()) == {ALLOC, STACK_ALLOC} and (first.kind == STACK_ALLOC).sum() == 14
    assert trace.digest == mh.read_trace(SMALL).digest != mh.read_trace(SMALL, seed=1).digest


@pytest.mark.parametrize("name", NAMES)
def test_events_are_legal(name):
    """What another source would have to be checked for: births before deaths, ids in use once, times that rise."""
    table, trace = HashTable(name), mh.read_trace(TRACES / f"{name}.trace")
    for events in trace.batches(5000):
        table.process(events)
    assert table.peak > 200


@pytest.mark.parametrize("name", NAMES)
def test_each_object_gets_the_class_of_its_span(name):
    """Malloc of the emitted size, as the profile does it, gives a slot of the real span's class and kind."""
    trace = mh.read_trace(TRACES / f"{name}.trace")
    heap = mh.Heap(mh.HeapParams.of_program(trace.meta["go"]))
    pairs = set()
    for _, _, rows, _, _ in read_go_heap(TRACES / f"{name}.trace"):
        rows = rows[rows["kind"] == ALLOC]
        pairs |= set(zip(rows["spc"].tolist(), rows["amount"].tolist(), strict=True))
    assert len(pairs) > 20
    for spc, amount in sorted(pairs):
        address = heap.malloc(amount, noscan=bool(spc & 1))
        span = heap.span_of(address)
        assert span.span_class == spc, (spc, amount)


@pytest.mark.parametrize("name", NAMES)
def test_the_twin_takes_as_many_bytes_of_slots(name):
    history = span_history(TRACES / f"{name}.trace")
    gogc = 50 if name == "go127-orders" else 100
    assert simulated(name, gogc).samples["total_alloc"][-1] == history.points["total_alloc"][-1]


@pytest.mark.parametrize("name", ["go123-tmpl", "go125-mixed", "go127-mixed", "go127-tmpl"])
def test_agrees_with_go(name):
    found = differences(span_history(TRACES / f"{name}.trace"), simulated(name))
    for d in found.values():
        assert abs(d.mean) < 3 and abs(d.final) < 5 and d.spread < 3


def test_a_busy_machine_collects_less_often():
    """Each mark phase of this trace waited, 8 ms on average, for a processor; told so, the twin's heap grows too."""
    path = TRACES / "go127-buffers.trace"
    history, trace = span_history(path), mh.read_trace(path)
    waits = history.mark_ms
    assert len(waits) == 13 and 0.3 < waits.min() < 1 and 19 < waits.max() < 20
    allocated = history.marks["end_clock"] - history.marks["clock"]
    assert allocated.max() > 30 << 20 and allocated.min() >= 0
    runs = [
        mh.simulate(trace, mh.HeapParams.of_program(trace.meta["go"], mark_wait_us=1e3 * wait, idle_share=0.5))
        for wait in (0.0, waits.mean(), waits.max())
    ]
    counts = [len(run.cycles) for run in runs]
    assert counts[0] > 25 and 15 <= counts[1] <= 20 and 10 <= counts[2] <= 13
    means = [differences(history, run)["heap_alloc"].mean for run in runs]
    assert means[0] < -55 and -40 < means[1] < -20 and 10 < means[2] < 30


def test_history_is_that_of_the_truth():
    """Spans and objects, counted from Go's own parser's events."""
    truth = dict(np.load(TRACES / "go127-tmpl.truth.npz"))
    names = truth["names"][truth["name"]]
    heap_span = truth["arg2"] != 1
    begun = ((names == "Span") | (names == "SpanAlloc")) & heap_span
    ended = names == "SpanFree"
    pages, live = {}, 0
    for page, n, is_heap, end in zip(
        truth["id"][begun | ended], truth["arg"][begun | ended], begun[begun | ended], ended[begun | ended], strict=True
    ):
        if end:
            live -= pages.pop(int(page), 0)
        elif is_heap:
            pages[int(page)] = int(n)
            live += int(n)
    points = span_history(TRACES / "go127-tmpl.trace").points
    assert points["heap_in_use"][-1] == live * 8192 and points["heap_spans"][-1] == len(pages)
    assert points["collections"][-1] == 2
    tiny = mh.read_trace(TRACES / "go127-tmpl.trace")
    list(tiny.batches())
    counts = tiny._source.counts
    objects = np.isin(names, ["HeapObject", "HeapObjectAlloc"]).sum() - counts["tiny_in_open_block"]
    assert points["objects"][-1] == objects - (names == "HeapObjectFree").sum() + counts["unknown_ends"]


def test_deaths_lie_between_the_collections():
    """Nothing that a collection found dies after it began, nor, if it was there, before the one before did."""
    path = TRACES / "go127-orders.trace"
    trace = mh.read_trace(path)
    begins = np.concatenate([marks["clock"] for *_, marks in read_go_heap(path)])
    found = np.concatenate([f for _, _, _, f, _ in read_go_heap(path)])
    alive, total, dead_by = {}, 0, []
    slots = np.concatenate([r for _, _, r, _, _ in read_go_heap(path)])
    sizes = dict(zip(slots["clock"].tolist(), slots["kind"].tolist(), strict=True))
    assert len(begins) >= 3 and len(sizes) > 1000
    clocks = iter(slots[slots["kind"] == ALLOC]["clock"].tolist())
    for events in trace.batches():
        for kind, number in zip(events.kind.tolist(), events.id.tolist(), strict=True):
            if kind == ALLOC:
                total = next(clocks)
                alive[number] = total
            elif kind == DEATH:
                dead_by.append((alive.pop(number), total))
    limits = {}
    for row in found[found["born"] > 0]:
        limits[int(row["born"])] = (int(row["low"]), int(row["high"]))
    checked = 0
    for born, died in dead_by:
        if born in limits:
            low, high = limits[born]
            assert low <= died <= max(high, born), (born, died, low, high)
            checked += 1
    assert checked == len(limits) > 1000


def test_the_same_each_time_and_as_a_file(tmp_path):
    trace = mh.read_trace(SMALL)
    once, again = trace.loaded()._source.events, trace.loaded()._source.events
    assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))
    other = open_go_trace(SMALL, seed=3).loaded()._source.events
    assert np.array_equal(np.sort(other.kind), np.sort(once.kind)) or (other.kind == DEATH).sum() > 10_000
    mh.write_trace(trace, tmp_path / "t.parquet")
    stored = mh.read_trace(tmp_path / "t.parquet")
    assert stored.meta == trace.meta
    found = [e for e in stored.batches()]
    assert np.array_equal(np.concatenate([e.kind for e in found]), once.kind)
    assert np.array_equal(np.concatenate([e.size for e in found]), once.size)


def test_forced_collections():
    events = columns("go127-tmpl")
    assert (events.kind == FORCED_GC).sum() == 1 and simulated("go127-tmpl").cycles["forced"].sum() == 1


def test_marks_do_not_change_the_memory_events():
    whole = read_go_events(SMALL)
    assert set(whole["names"].tolist()) <= set(x.MEMORY_NAMES)


# ------------------------------------------------------------------------------------------ made-up traces


def info(gen=1):
    """Return the batch that says what numbers mean."""
    data = bytes([x.INFO_BATCH]) + b"".join(varint(n) for n in (0xC000000000, 8192, 8, 2048))
    return batch(gen, 0, 1, data, int(x.ALLOC_FREE))


def types(table, gen=1):
    data = b"".join(varint(n) + varint(1) + varint(size) + varint(0) + varint(1) + b"T" for n, size in table.items())
    return batch(gen, 0, 1, bytes([x.TYPES_BATCH]) + data, int(x.ALLOC_FREE))


def made(folder, *events, table=(), experiment=True):
    """Return the trace of one thread's memory events."""
    path = folder / "made.trace"
    lead = (info(), types(dict(table))) if experiment else ()
    path.write_bytes(header() + generation(1, *lead, batch(1, 5, 1000, runs(5, 3, 7) + b"".join(events))))
    return path


def rows(path):
    events = mh.read_trace(path).loaded()._source.events
    return list(zip(*(column.tolist() for column in (events.kind, events.size, events.noscan, events.id)), strict=True))


def test_sizes_by_type(tmp_path):
    """48-byte slots: of a type of 40 bytes, of two of 20 (noscan), of a type that does not fit, of none."""
    path = made(
        tmp_path,
        event(SPAN_ALLOC, 1, 0, 1, 2 * 10),
        event(OBJECT_ALLOC, 1, 0, 1),
        event(OBJECT_ALLOC, 1, 6, 2),
        event(OBJECT_ALLOC, 1, 12, 3),
        event(OBJECT_ALLOC, 1, 18, 0),
        table={1: 40, 2: 20, 3: 64},
    )
    assert rows(path) == [(ALLOC, 40, 0, 0), (ALLOC, 40, 0, 1), (ALLOC, 48, 0, 2), (ALLOC, 48, 0, 3)]


def test_headers_tiny_and_large(tmp_path):
    path = made(
        tmp_path,
        event(SPAN_ALLOC, 1, 0, 1, 2 * 2 * 36),  # 1024 bytes, with pointers: 8 bytes of header
        event(OBJECT_ALLOC, 1, 128 + 1, 0),
        event(SPAN_ALLOC, 1, 8, 1, 2 * 5),
        event(OBJECT_ALLOC, 1, 8 * 1024, 0),
        event(OBJECT_ALLOC, 1, 8 * 1024 + 1, 0),  # in the same tiny block
        event(OBJECT_FREE, 1, 8 * 1024),
        event(SPAN_ALLOC, 1, 16, 5, 2 * 1),
        event(OBJECT_ALLOC, 1, 16 * 1024, 0),
        event(STACK_ALLOCATED, 1, 400, 13),
        event(STACK_FREED, 1, 400),
    )
    size = mh.HeapParams.go127().to_record()["class_to_size"][36]
    assert rows(path) == [
        (ALLOC, size - 8, 0, 0), (ALLOC, 16, 1, 1), (DEATH, 0, 0, 1), (ALLOC, 5 * 8192, 1, 1),
        (STACK_ALLOC, 4096, 0, 2), (STACK_FREE, 4096, 0, 2),
    ]  # fmt: skip


def test_slot_taken_again(tmp_path):
    """A slot that is taken though nobody freed it: what was in it has died."""
    path = made(tmp_path, event(SPAN_ALLOC, 1, 0, 1, 20), event(OBJECT_ALLOC, 1, 0, 0), event(OBJECT_ALLOC, 1, 0, 0))
    assert [r[0] for r in rows(path)] == [ALLOC, DEATH, ALLOC]


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([event(OBJECT_ALLOC, 1, 0, 0)], r"memory event 0 \(HeapObjectAlloc\): .* no span"),
        ([event(SPAN_ALLOC, 1, 0, 1, 1), event(OBJECT_ALLOC, 1, 0, 0)], "span of the runtime's own"),
        ([event(SPAN_ALLOC, 1, 0, 3, 2 * 4)], "a span of 3 pages and class 4"),
        ([event(SPAN_ALLOC, 1, 0, 1, 2 * 200)], "a span of 1 pages and class 200"),
        ([event(SPAN_ALLOC, 1, 0, 0, 2)], "a span of 0 pages"),
        ([event(SPAN_ALLOC, 1, 0, 1, 2 * 4), event(SPAN_ALLOC, 1, 0, 1, 2 * 4)], "at page 0, where there is one"),
        ([event(STACK_ALLOCATED, 1, 0, 4)], "a stack of 2..3 bytes"),
        ([event(SPAN_ALLOC, 1, 0, 1, 20), event(OBJECT_ALLOC, 1, 1021, 0)], "beyond the slots"),
    ],
)
def test_contradictions(tmp_path, events, message):
    with pytest.raises(FormatError, match=message):
        mh.read_trace(made(tmp_path, *events)).count()


def test_not_this_kind_of_trace(tmp_path):
    with pytest.raises(FormatError, match=r"made.trace: no memory events in it, .*GODEBUG=traceallocfree=1"):
        mh.read_trace(made(tmp_path, experiment=False))
    old = tmp_path / "old.trace"
    for minor in (5, 11, 21, 22):
        old.write_bytes(b"go 1.%d trace\0\0\0\0" % minor + bytes(100))
        with pytest.raises(
            FormatError, match=rf"old.trace: offset 0: a trace of Go 1.{minor}, expected one of Go 1.23"
        ):
            mh.read_trace(old)
    old.write_bytes(b"go 1.x trace\0\0\0\0")
    with pytest.raises(FormatError, match="old.trace"):
        mh.read_trace(old)
    with pytest.raises(FormatError, match="no.trace: no such file"):
        mh.read_trace(tmp_path / "no.trace")


def test_damaged(tmp_path, rng):
    """A changed or missing byte gives a refusal or legal events, never anything else."""
    data, path, refused = SMALL.read_bytes(), tmp_path / "changed.trace", 0
    for turn in range(40):
        changed = bytearray(data)
        for at in rng.integers(0, len(data), int(rng.integers(1, 4))).tolist():
            changed[at] = int(rng.choice([changed[at] ^ 1 << int(rng.integers(8)), int(rng.integers(256)), 255]))
        path.write_bytes(changed if turn % 4 else changed[: int(rng.integers(len(data)))])
        table = HashTable("changed")
        try:
            for events in mh.read_trace(path).batches():
                table.process(events)
        except FormatError as err:
            assert str(err).startswith(f"{path}: ") and "\n" not in str(err)
            refused += 1
    assert refused > 10


def test_figure_and_arguments():
    name = "go127-orders"
    history, result = span_history(TRACES / f"{name}.trace", points=300), simulated(name, 50)
    assert 100 < len(history.points) <= 601
    for theme in ("light", "dark"):
        figure = trace_agreement(history, result, theme=theme)
        assert [t.name for t in figure.data] == [
            f"{side}: {words}" for words in ("spans in use", "slots taken") for side in ("Go", "twin")
        ]
        assert "MiB" in figure.layout.yaxis.title.text and "MiB" in figure.layout.xaxis.title.text
    with pytest.raises(ValueError, match="points = 1"):
        span_history(SMALL, points=1)
    with pytest.raises(ValueError, match="theme"):
        trace_agreement(history, result, theme="blue")
    with pytest.raises(ValueError, match="go = '1.23'"):
        mh.HeapParams.of_program("1.23")
    assert mh.HeapParams.of_program("go1.20") == mh.HeapParams.go119()
    assert mh.HeapParams.of_program("go1.24").inline_mark_bytes == 0
