"""Who lives in which span: against slow recounts in plain Python, for cases, simulated runs, and Go's traces."""

import collections
import sys

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.errors import FormatError
from mheaplab.figures import page_colors, page_frame, theme
from mheaplab.residents import RESIDENTS, UNKNOWN, Residents, span_residents
from mheaplab.runtime.structs import MALLOC, SWEEP_START
from mheaplab.runtime.trace_events import ALLOC, DEATH
from mheaplab.snapshot import PAGE_FREE, PAGE_LARGE, SPAN_COLUMNS
from mheaplab.traces.go_trace import read_go_events

PAGE = 8192
album = sys.modules["mheaplab.go_snapshots"]  # the function of the same name hides it
TRACE = mh.data_path("traces/go127-mixed.trace")


def recount(spans, objects):
    """Return rows of RESIDENTS from (address, born, kind), by walking over every span."""
    found = np.zeros(len(spans), RESIDENTS)
    for k, span in enumerate(spans):
        low, high = int(span["base"]), int(span["base"]) + int(span["npages"]) * PAGE
        inside = [o for o in objects if low <= o[0] < high] if span["elemsize"] else []
        kinds = collections.Counter(kind for _, _, kind in inside if kind is not None)
        born = sorted(o[1] for o in inside)
        best = min(kinds, key=lambda kind: (-kinds[kind], kind)) if kinds else UNKNOWN
        middle = born[(len(born) - 1) // 2] if born else 0
        found[k] = (len(born), born[0] if born else 0, middle, best, kinds.get(best, 0))
    return found


def random_spans(rng, n):
    """Return ``n`` spans with gaps between, every fourth without objects."""
    spans = np.zeros(n, SPAN_COLUMNS)
    spans["npages"] = rng.integers(1, 5, n)
    spans["base"] = 0xC000000000 + PAGE * np.cumsum(spans["npages"] + rng.integers(0, 3, n))
    spans["base"] -= (PAGE * spans["npages"]).astype(np.uint64)
    spans["elemsize"] = np.where(rng.random(n) < 0.25, 0, 64)
    return spans


def test_span_residents_as_recounted(rng):
    """Random objects in random spans, some in none, some of unknown age and type."""
    for _ in range(60):
        spans = random_spans(rng, int(rng.integers(0, 9)))
        n = int(rng.integers(0, 60))
        address = 0xC000000000 + rng.integers(-2 * PAGE, 30 * PAGE, n)
        born, kind = rng.integers(-1, 9, n), rng.integers(0, 4, n)
        objects = list(zip(address.tolist(), born.tolist(), kind.tolist(), strict=True))
        assert np.array_equal(span_residents(spans, address, born, kind), recount(spans, objects))
        nameless = [(a, b, None) for a, b, _ in objects]
        assert np.array_equal(span_residents(spans, address, born), recount(spans, nameless))


def lives_of_case(case, addr, event):
    """Return (address, clock at birth, None) of what no collection has found dead, event by event."""
    e, clock, there = case.events, 0, {}
    last = {}
    for k in range(len(case)):
        if e.kind[k] == SWEEP_START:
            for dead in e.dead[e.dead_offsets[e.ref[k]] : e.dead_offsets[e.ref[k] + 1]].tolist():
                last[dead] = k
    for k in range(event):
        if e.kind[k] == MALLOC:
            clock += int(e.size[k])
            tiny = e.size[k] < 16 and e.flags[k] & 1
            if not (tiny and addr[k] % 16):
                there[k] = (int(addr[k]), clock, None)
        elif e.kind[k] == SWEEP_START:
            for dead in e.dead[e.dead_offsets[e.ref[k]] : e.dead_offsets[e.ref[k] + 1]].tolist():
                if last[dead] == k:
                    there.pop(dead, None)
    return list(there.values()), clock


@pytest.mark.parametrize("name", ["go119-gzip", "go127-finalizers", "go119-finalizers-full"])
def test_case_as_recounted(name):
    """The residents of a real case at three of its moments are what its events say."""
    case = mh.load_case(mh.data_path(f"cases/{name}"))
    addr = mh.replay(case).addr
    total = int(case.events.size[case.events.kind == MALLOC].sum())
    wanted = [0, len(case) // 3, len(case)]
    for snapshot in mh.snapshots(case, wanted, residents=True):
        objects, clock = lives_of_case(case, addr, snapshot.event)
        assert (snapshot.residents.clock, snapshot.residents.longest) == (clock, total)
        assert np.array_equal(snapshot.residents.spans, recount(snapshot.spans, objects))
        assert (snapshot.residents.spans["objects"] <= np.maximum(snapshot.spans["alloc_count"], 0)).all()
    assert mh.snapshots(case, [5])[0].residents is None


def test_slots_after_a_full_sweep_are_the_residents():
    """At the end of a case that ended with runtime.GC every slot in use has an object that is alive."""
    case = mh.load_case(mh.data_path("cases/go119-json"))
    (end,) = mh.snapshots(case, [len(case)], residents=True)
    objects = end.spans["elemsize"] > 0
    assert np.array_equal(objects, end.spans["state"] <= PAGE_LARGE) and not objects.all()
    assert np.array_equal(end.residents.spans["objects"][objects], end.spans["alloc_count"][objects])


def test_simulation_as_recounted():
    """The residents of a simulated run are the objects of the trace that are not dead, as old as the trace says."""
    trace = mh.read_trace(mh.data_path("cases/go119-gzip")).loaded()
    marks = [0, len(trace) // 2, len(trace)]
    result = mh.simulate(trace, snapshots=marks, residents=True)
    events = next(iter(trace.dense_batches(1 << 24)))
    clock, born, at = 0, {}, 0
    for mark in marks:
        for k in range(at, mark):
            if events.kind[k] == ALLOC:
                clock += int(events.size[k])
                born[int(events.id[k])] = (clock, bool(events.size[k] < 16 and events.noscan[k]))
            elif events.kind[k] == DEATH:
                born.pop(int(events.id[k]))
        at, lives = mark, result.snapshot(mark).residents
        whole = [b for b, tiny in born.values() if not tiny]
        assert lives.clock == clock and len(whole) <= lives.spans["objects"].sum() <= len(born)
        assert lives.spans["oldest"][lives.spans["objects"] > 0].min(initial=clock) == min(
            (b for b, _ in born.values()), default=clock
        )
    assert lives.longest == clock and result.snapshot(0).residents.longest == clock
    plain = mh.simulate(trace, snapshots=marks)
    assert plain.snapshot(len(trace)).residents is None and np.array_equal(plain.samples, result.samples)


def types_of_trace(path):
    """Return {slot: (type)} of what is there at the end of a trace, by its own events, and its spans by page."""
    events = read_go_events(path)
    names = events["names"][events["name"]]
    there, spans = {}, {}
    for name, key, arg, arg2 in zip(
        names.tolist(), events["id"].tolist(), events["arg"].tolist(), events["arg2"].tolist(), strict=True
    ):
        if name in ("Span", "SpanAlloc"):
            spans[key] = (arg, arg2)
        elif name == "SpanFree":
            spans.pop(key, None)
        elif name in ("HeapObject", "HeapObjectAlloc"):
            there[key] = arg
        elif name == "HeapObjectFree":
            # What is freed is named by its slot, which may begin 8 bytes (or, in a tiny block, less than 16) before.
            for unit in (key, key + 1):
                there.pop(unit, None)
    return there, spans


def test_go_snapshots_are_the_trace():
    """The last picture has the spans that the trace leaves, its bytes, and the types by name."""
    shots = mh.go_snapshots(TRACE, 20)
    there, spans = types_of_trace(TRACE)
    last = shots[-1]
    heap = {page: n for page, (n, what) in spans.items() if not what & 1}
    assert len(last.spans) == len(spans) and (last.spans["elemsize"] > 0).sum() == len(heap)
    assert last.spans["npages"].sum() == sum(n for n, _ in spans.values())
    assert last.memstats["HeapInuse"] == PAGE * sum(heap.values())
    base = int(min(last.spans["base"]))
    assert {int(b - np.uint64(base)) // PAGE for b in last.spans["base"]} == {p - min(spans) for p in spans}
    small = last.spans["state"] != PAGE_LARGE
    assert (last.spans["alloc_count"] <= last.spans["nelems"])[last.spans["elemsize"] > 0].all() and small.any()
    taken = (last.spans["alloc_count"] * last.spans["elemsize"]).sum()
    assert taken == last.memstats["HeapAlloc"]
    # A tiny block counts once here, and once for each object in it there.
    assert 0.9 * len(there) < last.residents.spans["objects"].sum() <= len(there)
    assert [s.event for s in shots] == sorted({s.event for s in shots}) and 20 <= len(shots) <= 22
    assert {s.residents.longest for s in shots} == {last.residents.clock} and len(
        {s.residents.types for s in shots}
    ) == 1


def test_go_snapshots_know_types():
    """A program that keeps a list of its own nodes: their spans say so, in every generation of the trace."""
    last = mh.go_snapshots(TRACE, 5)[-1]
    types = last.residents.types
    assert len(set(types)) == len(types) and album.NO_TYPE in types[:3] and "main.node" in types
    rows = last.residents.spans
    nodes = rows["kind"] == types.index("main.node")
    assert nodes.any() and (last.spans["elemsize"][nodes] == 16).all()  # two pointers: its only size class
    assert (rows["of_kind"] <= rows["objects"]).all()


def test_go_snapshots_refuse(tmp_path, monkeypatch):
    """Wrong numbers, wrong files, and heaps that would not fit."""
    for wrong in (0, 1001, 2.5):
        with pytest.raises(ValueError, match="moments = "):
            mh.go_snapshots(TRACE, wrong)
    with pytest.raises(FormatError, match="expected 'go 1.23 trace'"):
        (tmp_path / "x.trace").write_bytes(b"hello")
        mh.go_snapshots(tmp_path / "x.trace")
    (tmp_path / "y.trace").write_bytes(TRACE.read_bytes()[:100_000])
    with pytest.raises(FormatError, match="y.trace: offset "):
        mh.go_snapshots(tmp_path / "y.trace")
    monkeypatch.setattr(album, "MAX_ALL_PAGES", 20_000)
    with pytest.raises(ValueError, match="ask for fewer moments"):
        mh.go_snapshots(TRACE, 30)
    assert len(mh.go_snapshots(TRACE, 1)) == 1


# ---------------------------------------------------------------------------------------------- colours


@pytest.fixture(scope="module")
def aged():
    """A real case at a moment between two collections."""
    case = mh.load_case(mh.data_path("cases/go119-gzip"))
    return mh.snapshots(case, [len(case) // 2], residents=True)[0]


@pytest.mark.parametrize("color", ["age", "oldest"])
def test_age_codes_as_recounted(aged, color):
    """Each page has the code of its span's age on a scale of twelve doublings."""
    codes = page_colors.CODES[color](aged).reshape(-1)
    top = 2
    while top < max(aged.residents.longest, 1 << 12):
        top *= 2
    assert page_colors.oldest_shown(aged) == top
    which = {"age": "middle", "oldest": "oldest"}[color]
    seen = set()
    for page, owner in enumerate(aged.page_span.reshape(-1).tolist()):
        if owner < 0 or aged.spans["elemsize"][owner] == 0:
            state = int(aged.pages.reshape(-1)[page])
            assert codes[page] == (state if state <= PAGE_FREE else page_colors.OTHER_USE)
            continue
        row = aged.residents.spans[owner]
        if not row["objects"]:
            assert codes[page] == page_colors.DESERTED
            continue
        age = max(aged.residents.clock - int(row[which]), 1)
        place = 99 * (np.log2(age / top) + 12) / 12
        assert abs(codes[page] - page_colors.SCAN_RAMP - np.clip(place, 0, 99)) <= 0.5001
        seen.add(int(codes[page]))
    assert len(seen) > 5


def test_type_codes(rng):
    """The first types have a colour each, all others share one; the legend counts their pages."""
    shots = mh.go_snapshots(TRACE, 4)
    last = shots[-1]
    codes = page_colors.CODES["type"](last)
    amount = collections.Counter()
    for page, owner in zip(codes.reshape(-1).tolist(), last.page_span.reshape(-1).tolist(), strict=True):
        if owner < 0 or last.spans["elemsize"][owner] == 0:
            continue
        row = last.residents.spans[owner]
        wanted = page_colors.DESERTED
        if row["objects"]:
            wanted = page_colors.SCAN_RAMP + min(int(row["kind"]), page_colors.TYPES)
        assert page == wanted
        amount[page] += PAGE
    figure = mh.figures.heap_map(last, "type")
    legend = {t.name: t.marker.color for t in figure.data if t.type == "scatter"}
    for k, color in enumerate(theme.TYPE_COLORS):
        size = mh.figures.units.bytes_text(amount[page_colors.SCAN_RAMP + k])
        (words,) = [w for w, c in legend.items() if c == color]
        assert words.endswith(f" ({size})")
    firsts = [mh.figures.heap_map(s, "type").data[2].name.rsplit(" (", 1)[0] for s in shots]
    assert len(set(firsts)) == 1


def test_hover_and_table_tell_the_residents(aged):
    """Hover texts and the CSV say ages and, where known, types."""
    table = mh.figures.numbers(mh.figures.heap_map(aged, "age"))
    k = next(k for k, n in enumerate(table["alive"]) if n)
    address = int(table["address"][k], 16)
    (row,) = np.flatnonzero(aged.spans["base"] == address)
    lives = aged.residents
    assert table["oldest_age"][k] == lives.clock - lives.spans["oldest"][row] and "type" not in table
    texts = " ".join(t for line in mh.figures.heap_map(aged).data[1].text for t in line)
    assert f"oldest born {mh.figures.units.bytes_text(table['oldest_age'][k])} ago" in texts
    go = mh.go_snapshots(TRACE, 2)[-1]
    table = mh.figures.numbers(mh.figures.heap_map(go, "type"))
    assert "main.node" in table["type"]
    texts = " ".join(t for line in mh.figures.heap_map(go).data[1].text for t in line)
    assert "of them: main.node" in texts and "born at least " in texts


def test_heap_begins_where_go_began():
    """Go 1.26 and later begin somewhere in an arena: what lies before is not drawn, and addresses are right."""
    last = mh.go_snapshots(TRACE, 2)[-1]
    frame = page_frame.map_frame(last)
    assert frame.skipped and frame.skipped % page_frame.CHUNK_ROWS == 0
    figure = mh.figures.heap_map(last)
    first = int(figure.layout.yaxis.ticktext[0], 16)
    assert first <= int(last.spans["base"][0]) < first + (4 << 20)
    texts = [t for line in figure.data[1].text for t in line]
    assert f"page {hex(int(last.spans['base'][0]))}" in " ".join(texts)
    assert "is not drawn" in figure.layout.title.subtitle.text


def test_colors_that_need_residents():
    """A heap without residents or types says what is missing."""
    case = mh.load_case(mh.data_path("cases/go119-gzip"))
    (plain,) = mh.snapshots(case, [100])
    with pytest.raises(ValueError, match="residents=True"):
        mh.figures.heap_map(plain, "age")
    (aged,) = mh.snapshots(case, [100], residents=True)
    with pytest.raises(ValueError, match="go_snapshots"):
        mh.figures.heap_map(aged, "type")


def test_ages_of_made_up_rows():
    """An unknown birth is at least as old as all that was seen; no objects have no age."""
    rows = np.array([(2, 10, 30, 0, 1), (1, UNKNOWN, UNKNOWN, 0, 1), (0, 0, 0, UNKNOWN, 0)], RESIDENTS)
    lives = Residents(100, 200, rows)
    assert lives.age("oldest").tolist() == [90, 100, 0] and lives.age("middle").tolist() == [70, 100, 0]
