"""What the text of notebooks 02, 03 and 04 says of the runs in them is so: each sentence beside its numbers."""

import numpy as np
import pytest
from test_notebooks import FOLDER, read

import mheaplab as mh

MIB = 1 << 20


def text_of(name):
    """Return all text of a notebook as one line."""
    return " ".join("\n".join(c.source for c in read(FOLDER / name).cells if c.cell_type == "markdown").split())


def load(name):
    """Return a function that simulates a scenario with changed parameters, each run once."""
    trace, runs = mh.workloads.load(name).loaded(), {}

    def run(**changes):
        key = tuple(changes.items())
        if key not in runs:
            runs[key] = mh.simulate(trace, mh.HeapParams.go119(**changes))
        return runs[key]

    return trace, run


@pytest.fixture(scope="module")
def service():
    """The trace of the JSON service, and its runs."""
    return load("json-service")


@pytest.fixture(scope="module")
def cache():
    """The trace of the cache, and its runs."""
    return load("cache-fill-empty")


def backed(result):
    """Return what is backed at each sample."""
    return result.samples["mapped"] - result.samples["released"]


def values(run, name):
    """Return a metric of a run."""
    return mh.summary(run)[name]


# ---------------------------------------------------------------------------------------------- 02 arena growth


def test_growth(service):
    """Sections 1 and 2: what is live and mapped, how it grew, the hint that fails."""
    text = text_of("02_arena_growth.ipynb")
    trace, run = service
    result, whole = run(), len(trace)
    end = result.samples[-1]
    assert 1.0e6 < whole < 1.3e6 and "About a million events" in text
    assert '"objects": 150' in mh.data_path("scenarios/json-service.json").read_text() and "some 150 objects" in text
    assert round(end["live"] / MIB) == 9 and end["mapped"] == 28 * MIB
    assert "Its live objects are 9 MiB, and 28 MiB are mapped" in text
    accounts = {name: int(end[name]) for name in mh.figures.theme.ACCOUNTS[1:]}
    most = sorted(accounts, key=accounts.get, reverse=True)
    assert most[:2] == ["garbage", "free_slots"] and accounts["garbage"] > (end["mapped"] - end["live"]) / 2
    assert "Most of the difference is garbage, then come free slots" in text
    grown = np.diff(result.samples["mapped"], prepend=0)
    assert (grown > 0).sum() == 7 and set(grown[grown > 0]) == {4 * MIB}
    assert result.samples["event"][grown > 0].max() < whole / 2
    assert "seven, each of 4 MiB, all in the first half of the run" in text
    assert end["arenas"] == 1 and 64 * MIB > 2 * end["mapped"] and "room for more than twice as much" in text
    taken = ((0xC002000000, 0xC004000000),)
    places = [
        mh.simulate(trace, mh.HeapParams.go119(occupied=o), snapshots=[whole]).snapshot(whole).arenas.tolist()
        for o in ((), taken)
    ]
    assert places == [[0xC000000000], [0x1C000000000]] and 0x1C000000000 - 0xC000000000 == 1 << 40
    assert "next hint, 1 TiB higher" in text


def test_fragmentation_and_arenas(service):
    """Sections 3 and 4: huge pages; arenas of 4 MiB."""
    text = text_of("02_arena_growth.ipynb")
    _, run = service
    result, small = run(), run(arena_bytes=4 * MIB)
    share = mh.metrics.huge_share(result.samples)
    assert 28 // 2 == 14 and share.min() == 0 and share.max() > 0.9 and "so the line jumps" in text
    assert 0.28 < values(result, "mean_huge") < 0.39 and "On average a third of the pages in use" in text
    for name in result.samples.dtype.names:
        if name not in ("arenas", "reserved"):
            assert np.array_equal(result.samples[name], small.samples[name]), name
    assert (result.samples["arenas"][-1], small.samples["arenas"][-1]) == (1, 7)
    assert "The same. The heap grows by chunks of 4 MiB" in text and "seven times instead of once" in text


def test_placement(service):
    """Section 5: where spans go, page caches, early growth."""
    text = text_of("02_arena_growth.ipynb")
    _, run = service
    first, best, following = (run(page_placement=name) for name in mh.policy_params.PLACEMENTS)
    for name in ("peak_in_use", "peak_backed", "peak_mapped", "mean_waste", "mean_huge"):
        assert values(best, name) == pytest.approx(values(first, name), rel=0.1)
    assert values(following, "peak_in_use") == pytest.approx(values(first, "peak_in_use"), rel=0.02)
    assert 0.25 < values(following, "mean_huge") / values(first, "mean_huge") < 0.42
    assert values(following, "peak_backed") == 28 * MIB > values(first, "peak_backed")
    assert "falls to a third of what it was, and every page of the 28 MiB has been touched" in text
    none, early = run(page_cache_pages=0), run(grow_early_percent=80)
    assert values(none, "mean_huge") > 1.15 * values(first, "mean_huge")
    assert 0 < values(first, "mean_backed") - values(none, "mean_backed") < 2 * MIB == first.params.procs * 64 * 8192
    assert "four Ps hold up to 64 pages each, 2 MiB in all" in text
    assert 4 * MIB <= values(early, "peak_mapped") - values(first, "peak_mapped") <= 8 * MIB
    for name in ("peak_in_use", "peak_backed", "collections", "mean_waste"):
        assert values(early, name) == pytest.approx(values(first, name), rel=0.01)
    assert "maps a few MiB more, and nothing else changes" in text


def test_giving_back(service, cache):
    """Section 6 and what section 7 asks: a cache that is emptied, and a limit."""
    text = text_of("02_arena_growth.ipynb")
    assert values(service[1](), "scavenged") < MIB and "never has anything to give back" in text
    _, run = cache
    full = run()
    samples = full.samples
    empty = samples[np.searchsorted(samples["event"], 1_100_000)]
    assert empty["live"] < MIB and empty["mapped"] - empty["released"] > 0.9 * backed(full).max()
    assert empty["garbage"] > 0.9 * empty["heap_in_use"]
    assert "After a million events nothing is live any more, and all of it is still there" in text
    waited = int(np.diff(samples["time_ns"]).argmax())
    before, after, end = samples[waited], samples[waited + 1], samples[-1]
    assert after["time_ns"] - before["time_ns"] > 59e9 and "in the minute that the program waits" in text
    assert 5 * MIB < before["scavenged_background"] < 20 * MIB and "a first step down" in text
    assert after["free"] < 0.05 * before["free"] and "nearly all of the rest" in text
    assert end["live"] > 60 * MIB and "have to be backed anew" in text
    limit = int(0.8 * samples["mapped"].max())
    limited = run(memory_limit=limit)
    assert values(limited, "peak_backed") <= limit and values(limited, "mean_backed") < values(full, "mean_backed")
    assert "a limit of four fifths of what was mapped" in text
    low, early = run(memory_limit=48 * MIB), run(grow_early_percent=80)
    assert samples["live"].max() > 48 * MIB < values(low, "peak_backed") and "48 MiB, less than what is live" in text
    assert values(early, "peak_mapped") > values(full, "peak_mapped")
    assert values(early, "peak_backed") == pytest.approx(values(full, "peak_backed"), rel=0.02)


# ---------------------------------------------------------------------------------------------- 03 sweep


def test_collections(service):
    """Section 1: what is marked, and who marks."""
    text = text_of("03_sweep.ipynb")
    _, run = service
    result = run()
    late = result.cycles[len(result.cycles) // 2 :]
    assert 1.3 < late["marked"].sum() / late["reachable"].sum() < 1.5 and "here by two fifths" in text
    end = result.samples[-1]
    assert 0.35 < end["assist_ns"] / (end["assist_ns"] + end["mark_ns"]) < 0.45
    assert "assists do two fifths of all marking" in text
    live = result.samples["live"][len(result.samples) // 2 :]
    assert live.max() < 1.1 * live.min() and "live objects stay about the same" in text


def swept(run):
    """Return the share of the pages that each sweeper has swept."""
    pages = run.cycles["swept_pages"].sum(0)
    return dict(zip(mh.results.SWEEPERS, pages / pages.sum(), strict=True))


def test_sweepers(service):
    """Sections 2 and 4: who sweeps, and the tails."""
    text = text_of("03_sweep.ipynb")
    _, run = service
    result, helped, none = run(), run(background_sweep_per_ms=1000.0), run(background_sweep_per_ms=0.0)
    shares = swept(result)
    assert shares["credit"] > 0.5 and "Most pages are swept *in proportion*" in text
    assert shares["start"] == 0 and shares["background"] < 0.01 and "has done almost nothing" in text
    assert 0.065 < result.samples["time_ns"][-1] / 1e9 < 0.077 and "a fourteenth of a second" in text
    counts = result.histograms["swept_pages"]
    assert 0.015 < counts[1:].sum() / result.memstats["Mallocs"] < 0.025 and "98 of 100 allocations" in text
    assert 0 < counts[5:].sum() < counts[1:5].sum() and "a few sweep ten pages and more" in text
    shares = swept(helped)
    assert 0.58 < shares["background"] < 0.75 and shares["credit"] < 0.06 and "Two thirds are swept" in text
    for other in (helped, none):
        assert values(other, "peak_in_use") == pytest.approx(values(result, "peak_in_use"), rel=0.05)
        assert abs(values(other, "collections") - values(result, "collections")) <= 1
        assert values(other, "stall_p99") == values(result, "stall_p99")
    assert values(helped, "stall_share") < 0.85 * values(result, "stall_share")
    assert "becomes less, but the longest waits do not" in text


def test_gogc_and_limit(service):
    """Sections 3, 5 and 6: GOGC, a limit, the questions at the end."""
    text = text_of("03_sweep.ipynb")
    _, run = service
    half, one, two = (run(gogc=g) for g in (50, 100, 200))
    assert 3 < values(half, "collections") / values(one, "collections") < 4.5
    assert "at 50 there are more than three times as many collections" in text
    assert values(half, "peak_in_use") < values(one, "peak_in_use") < values(two, "peak_in_use")
    assert values(half, "gc_share") > values(one, "gc_share") > values(two, "gc_share")
    late = half.cycles[len(half.cycles) // 2 :]
    assert (late["marked"] - late["reachable"]).sum() > 0.2 * (late["goal"] - late["reachable"]).sum()
    limit = 16 * MIB
    assert limit < 2 * one.samples["live"].max() and "16 MiB, not twice of what is live" in text
    for changes in ({}, {"gogc": -1}):
        limited = run(memory_limit=limit, **changes)
        assert values(limited, "peak_backed") <= limit and 0.4 < values(limited, "gc_share") < 0.6
        assert values(limited, "collections") > 3 * values(one, "collections")
    assert "for the price of half the time of all Ps" in text
    low = run(memory_limit=8 * MIB)
    assert (
        values(low, "peak_in_use") > 8 * MIB and low.samples["time_ns"][-1] < 1e9 and "This run is over before" in text
    )
    shares = [values(run(gogc=-1, memory_limit=m * MIB), "assist_share") for m in (16, 24, 32, 48)]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0.1 > shares[-1]
    assert values(run(procs=8), "assist_share") < values(one, "assist_share")


# ---------------------------------------------------------------------------------------------- 04 heap through time


def test_old_and_new():
    """Sections 1, 2 and 4: what is in spans, what is dead, what an old object pins, when the collection ends."""
    text = text_of("04_heap_through_time.ipynb")
    case = mh.load_case(mh.data_path("cases/go119-cache-gogc200-full"))
    before, moment, later = mh.snapshots(case, [165_908, 170_000, 177_500], residents=True)
    assert len(case) == 206_376 and "after 170,000 of 206,376 events" in text
    lives, spans = moment.residents, moment.spans
    holds = spans["elemsize"] > 0
    nobody = holds & (lives.spans["objects"] == 0)
    pages = spans["npages"]
    assert round(pages[holds].sum() / 128) == 21 and "21 MiB are in spans of objects" in text
    assert 0.45 < pages[nobody].sum() / pages[holds].sum() < 0.55 and "Half of the memory" in text
    old = (spans["nelems"] > 1) & (lives.age("oldest") > 16 * MIB)
    assert old.sum() == 125 and 8 * pages[old].sum() == 1408 and "125 spans" in text and "1,408 KiB" in text
    used = (lives.spans["objects"] * spans["elemsize"])[old].sum()
    assert 0.25 < used / (1408 << 10) < 1 / 3 and "less than a third" in text
    assert (old & (lives.age("middle") <= 16 * MIB)).sum() == 56 and "In 56 of them" in text
    # The collection: its end, and what is swept some ten thousand events later.
    assert case.events.kind[165_908] == 3 and "ends at event 165,908" in text
    (after,) = mh.snapshots(case, [165_909], residents=True)
    for snapshot, least, most in ((before, 0, 0.02), (after, 0.5, 0.9), (later, 0, 0.2)):
        holds = snapshot.spans["elemsize"] > 0
        empty = holds & (snapshot.residents.spans["objects"] == 0)
        share = snapshot.spans["npages"][empty].sum() / snapshot.spans["npages"][holds].sum()
        assert least <= share <= most, snapshot.event


def test_types_of_orders():
    """Section 3: types that are named are among the six with a colour, or are there at all."""
    text = text_of("04_heap_through_time.ipynb")
    last = mh.go_snapshots(mh.data_path("traces/go127-orders.trace"), 60)[-1]
    first = last.residents.types[:6]
    for name in ("main.order", "main.line", "map.group[string]string", "uint8"):
        assert name in first and f"`{name}`" in text
    assert first[0].startswith("no type") and "*No type*" in text
    rows = last.residents.spans
    # "Yet most spans have a type that leads."
    assert np.mean(rows["of_kind"] > rows["objects"] / 2, where=rows["objects"] > 0) > 0.5
    assert int(last.spans["base"][0]) % (64 * MIB) > 0 and "in the middle of an arena" in text
    assert (rows["oldest"][rows["objects"] > 0] < 0).any() and "*at least* as old" in text
