"""Traces made of recordings: at the recorded collections they free what Go freed, and between them die by the curve."""

import json

import numpy as np
import pytest
from conftest import CASES

import mheaplab as mh
from mheaplab.case import make_events
from mheaplab.case_lives import Lives
from mheaplab.case_trace import case_trace, trace_of_case
from mheaplab.lifetime_groups import GROUPS, group_name, group_of
from mheaplab.runtime import structs
from mheaplab.runtime.structs import GC_START, MALLOC, MCACHE_FLUSH, SWEEP_START
from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE
from mheaplab.snapshot import PAGE_LARGE, PAGE_NOSCAN, PAGE_SCAN

RECORDED = (
    "go119-final-full",
    "go119-finalizers",
    "go119-finalizers-forced-full",
    "go119-gofmt",
    "go119-service-gogc50-full",
    "go119-stacks",
    "go127-gzip",
)


def made_up(rng, n=120_000, every=5_000):
    """Return a case of objects with exponential lifetimes, and their deaths: mean 20 kB, with pointers 600 kB."""
    kind = np.full(n, MALLOC, np.uint8)
    begins = np.arange(every, n - every, every)
    kind[begins] = GC_START
    ends = begins + rng.integers(1, every // 3, len(begins))
    kind[ends] = SWEEP_START
    kind[ends + 1] = MCACHE_FLUSH
    malloc = kind == MALLOC
    size = np.where(malloc, rng.integers(16, 200, n), 0)
    noscan = rng.random(n) < 0.5
    clock = np.concatenate([[0], np.cumsum(size)])
    death = np.searchsorted(clock, clock[1:] + rng.exponential(np.where(noscan, 2e4, 6e5)))
    death[~malloc] = n + 1
    dead = []
    for begin in begins.tolist():
        dead.append(np.setdiff1d(np.flatnonzero(death[:begin] <= begin), np.concatenate([*dead, []])))
    ref = np.full(n, -1)
    ref[ends] = np.arange(len(ends))
    columns = {"kind": kind, "flags": noscan & malloc, "size": size, "ref": ref}
    columns |= {name: np.zeros(n) for name in ("p", "credit")}
    columns |= {"dead": np.concatenate(dead), "dead_offsets": np.cumsum([0, *map(len, dead)])}
    types = {"kind": "u1", "p": "u1", "flags": "u1", "size": "u8", "credit": "u4"}
    arrays = {name: np.asarray(column).astype(types.get(name, "i8")) for name, column in columns.items()}
    return mh.Case("made up", "go1.19", make_events(arrays)), death


def lifespans(columns):
    """Return for each id the row of its birth and that of its death (the number of rows for none)."""
    kind, ids = columns["kind"], columns["id"].astype(np.int64)
    n = len(kind)
    born = np.flatnonzero((kind == ALLOC) | (kind == STACK_ALLOC))
    assert np.array_equal(ids[born], np.arange(len(born)))
    died = np.flatnonzero((kind == DEATH) | (kind == STACK_FREE))
    assert len(np.unique(ids[died])) == len(died)
    end = np.full(len(born), n)
    end[ids[died]] = died
    assert (end > born).all()
    return born, end


def freed_by(trace, look):
    """Return for each id the recorded collection at which a twin that collects where Go did would free it."""
    born, end = lifespans(trace.columns)
    looked = np.searchsorted(trace.collections["begin_row"], born, side="right")
    return np.maximum(looked, np.searchsorted(trace.collections[look + "_row"], end, side="right"))


def events_of_ids(case, trace):
    """Return the recorded event of each id."""
    stack = trace.columns["kind"][np.isin(trace.columns["kind"], (ALLOC, STACK_ALLOC))] == STACK_ALLOC
    e = case.events
    takes = (e.kind == structs.STACK_ALLOC) | ((e.kind == 1) & (e.flags == 1))
    event = np.flatnonzero((e.kind == MALLOC) | takes)
    assert np.array_equal(takes[event], stack)
    return event


def test_made_up_lifetimes_are_found_again(rng):
    case, death = made_up(rng)
    trace = case_trace(case, seed=3)
    for age in (2e3, 1e4, 5e4, 2e5, 1e6):
        for noscan, mean in ((True, 2e4), (False, 6e5)):
            survival = trace.survival[group_name(int(group_of(100, noscan)))]
            assert survival.at(age) == pytest.approx(np.exp(-age / mean), abs=0.08)
    # Halfway between two recorded collections, where nothing was observed.
    between = trace.collections["begin_event"][2:-1] + 2_500
    malloc = case.events.kind == MALLOC
    size = case.events.size.astype(np.int64)
    alive, drawn = np.zeros((2, len(between)))
    for k, event in enumerate(between.tolist()):
        here = malloc & (np.arange(len(case)) < event)
        alive[k] = size[here & (death > event)].sum()
        drawn[k] = size[here & ((trace.death < 0) | (trace.death > event))].sum()
    assert drawn.sum() == pytest.approx(alive.sum(), rel=0.03)
    assert drawn == pytest.approx(alive, rel=0.1)


def test_made_up_dead_are_those_that_were_dead(rng):
    """The list of a collection and what its interval says of the true deaths, for black objects too."""
    case, death = made_up(rng)
    lives = Lives(case, "begin")
    found = lives.gone < len(lives.end)
    dies = death[lives.born]
    # The made-up collector looks when marking begins, and keeps what dies while it marks.
    begin = np.append(lives.begin, len(case))
    assert (dies <= lives.interval(slice(None))[1])[found].all()
    looked = lives.looked()
    assert (dies > begin[lives.seen])[looked].all()
    assert looked.sum() > 1000 and (~looked & found).sum() > 1000


@pytest.mark.parametrize("look", ["begin", "end"])
@pytest.mark.parametrize("name", RECORDED)
def test_every_death_lies_in_its_interval(name, look):
    case = mh.load_case(CASES / name)
    trace = case_trace(case, seed=1, look=look)
    e = case.events
    event = events_of_ids(case, trace)
    born, end = lifespans(trace.columns)
    row = np.full(len(case), -1)
    row[event] = np.arange(len(event))
    begin, kept_at = trace.collections["begin_row"], trace.collections[look + "_row"]
    last_listed = {}
    for k in range(len(begin)):
        for member in e.dead[e.dead_offsets[k] : e.dead_offsets[k + 1]].tolist():
            last_listed[member] = k
    freed = kept = 0
    for member, k in last_listed.items():
        i = row[member]
        if end[i] == len(trace.columns["kind"]) or end[i] >= trace.collections["end_row"][k]:
            kept += 1  # waits for its finalizer: listed, but not freed
            continue
        freed += 1
        assert end[i] < begin[k]
        if k and born[i] < begin[k - 1]:
            assert end[i] >= kept_at[k - 1]
    assert freed > 200
    assert kept <= trace.counts["kept_by_finalizer"]
    listed = np.zeros(len(case), bool)
    listed[e.dead] = True
    never = ~listed[event] & (e.kind[event] == MALLOC) & (case.truth["addr"][event] % 16 == 0)
    # The last collection may not have been swept to its end; whoever the one before it kept lives until then.
    assert (end[never & (born < begin[-2])] >= kept_at[-2]).all()


@pytest.mark.parametrize(("name", "look"), [*((n, "begin") for n in RECORDED), (RECORDED[-3], "end")])
def test_what_lives_at_each_collection_is_what_go_had(name, look):
    """Slot by slot, against the bitmaps of the replayed heap when the next collection begins."""
    case = mh.load_case(CASES / name)
    trace = case_trace(case, seed=2, look=look)
    event, freed = events_of_ids(case, trace), freed_by(trace, look)
    is_object = case.events.kind[event] == MALLOC
    points = trace.collections["begin_event"][1:]
    for k, snap in enumerate(mh.snapshots(case, points)):
        alive = is_object & (event < points[k]) & (freed > k)
        addr = np.sort(case.truth["addr"][event[alive]])
        spans = snap.spans[np.isin(snap.spans["state"], (PAGE_SCAN, PAGE_NOSCAN, PAGE_LARGE))]
        row = np.searchsorted(spans["base"], addr, side="right") - 1
        slot = (addr - spans["base"][row]) // spans["elemsize"][row].astype(np.uint64)
        assert (slot < spans["nelems"][row]).all()
        found = np.bincount(row[np.append(True, (np.diff(row) != 0) | (np.diff(slot) != 0))], minlength=len(spans))
        assert np.array_equal(found, spans["alloc_count"])
    assert len(points) >= 3


@pytest.mark.parametrize("name", ["go119-final", "go119-final-full", "go119-finalizers-forced-full", "go119-gofmt"])
def test_forced_collections(name):
    case = mh.load_case(CASES / name)
    trace = case_trace(case)
    recorded = json.loads((CASES / f"{name}.memstats.json").read_text())["NumForcedGC"]
    forced = trace.columns["kind"] == FORCED_GC
    assert forced.sum() == trace.counts["forced"] == trace.collections["forced"].sum() == recorded
    assert trace.columns["size"][forced].sum() == trace.counts["free_os_memory"]
    assert np.array_equal(np.flatnonzero(forced), trace.collections["begin_row"][trace.collections["forced"]])
    assert (trace.counts["free_os_memory"] > 0) == ("forced" in name)


@pytest.mark.parametrize("name", ["go119-stacks", "go119-stacks-full"])
def test_stacks(name):
    case = mh.load_case(CASES / name)
    columns = case_trace(case).columns
    e = case.events
    taken = (e.kind == structs.STACK_ALLOC) | ((e.kind == 1) & (e.flags == 1))
    returned = (e.kind == structs.STACK_FREE) | ((e.kind == 2) & (e.flags == 1))
    size = columns["size"][columns["kind"] == STACK_ALLOC]
    assert len(size) == taken.sum() > 100
    assert (columns["kind"] == STACK_FREE).sum() == returned.sum() > 100
    assert (size & (size - np.uint64(1)) == 0).all() and size.min() == (2048 if "full" in name else 32768)
    lifespans(columns)


def test_the_trace_runs():
    """A Trace is checked event by event as it is read."""
    case = mh.load_case(CASES / "go119-stacks-full")
    trace = trace_of_case(case, seed=4)
    made = case_trace(case, seed=4)
    assert trace.count().tolist() == np.bincount(made.columns["kind"], minlength=6).tolist()
    assert (trace.meta["go"], trace.meta["program"]) == ("go1.19", "go119-stacks-full")
    result = mh.simulate(case, seed=4, samples=10, check=1)
    assert result.complete and result.provenance["events_done"] == len(trace)


def test_objects_of_a_tiny_block_die_with_it():
    case = mh.load_case(CASES / "go119-service-gogc50-full")
    trace = case_trace(case)
    event = events_of_ids(case, trace)
    e, addr = case.events, case.truth["addr"]
    tiny = event[(e.kind[event] == MALLOC) & (e.size[event] < 16) & (e.flags[event] & 1 != 0)]
    opener = {}
    shared = 0
    for i in tiny.tolist():
        block = int(addr[i]) // 16
        if addr[i] % 16 == 0:
            opener[block] = i
        else:
            shared += 1
            assert trace.death[i] == trace.death[opener[block]]
            assert trace.death[i] == -1 or trace.death[i] > i
    assert shared > 10_000


def test_finalizers_keep_their_objects_until_they_are_freed():
    trace = case_trace(mh.load_case(CASES / "go119-final-full"))
    assert trace.counts["kept_by_finalizer"] > 1000
    assert case_trace(mh.load_case(CASES / "go119-gofmt")).counts["kept_by_finalizer"] == 0


def test_the_same_seed_gives_the_same_trace():
    case = mh.load_case(CASES / "go119-gzip")
    a, b, c = case_trace(case, seed=5), case_trace(case, seed=5), case_trace(case, seed=6)
    assert all(np.array_equal(a.columns[name], b.columns[name]) for name in a.columns)
    assert a.counts == b.counts
    assert not all(np.array_equal(a.columns[name], c.columns[name]) for name in a.columns)


def test_a_case_without_collections_has_no_deaths():
    trace = case_trace(mh.load_case(CASES / "go119-goroutines-full"))
    assert (trace.columns["kind"] != DEATH).all()
    assert len(trace.collections) == 0 and trace.memstats_row > 0


def test_a_block_found_dead_by_a_collection_that_began_before_it_was_full():
    kind = np.array([MALLOC, GC_START, MALLOC, SWEEP_START], np.uint8)
    columns = {
        "kind": kind,
        "p": np.zeros(4, np.uint8),
        "flags": (kind == MALLOC).astype(np.uint8),
        "size": np.where(kind == MALLOC, 4, 0).astype(np.uint64),
        "ref": np.array([-1, -1, -1, 0]),
        "credit": np.zeros(4, np.uint32),
        "dead": np.array([0]),
        "dead_offsets": np.array([0, 1]),
    }
    with pytest.raises(mh.FormatError, match=r"event 0: MALLOC of 4 B, noscan: dead before a collection looked at it"):
        case_trace(mh.Case("wrong", "go1.19", make_events(columns)))


def test_other_looks_are_refused():
    with pytest.raises(ValueError, match="look = 'middle' is outside its legal range: one of begin, end"):
        case_trace(mh.load_case(CASES / "go127-gzip"), look="middle")


def test_groups_have_names():
    assert len({group_name(g) for g in range(GROUPS)}) == GROUPS
    assert group_name(int(group_of(16, True))) == "16 to 63 B, noscan"
    assert group_name(int(group_of(15, False))) == "1 to 15 B, with pointers"
    assert group_name(int(group_of(1 << 20, False))) == "32768 B and more, with pointers"
