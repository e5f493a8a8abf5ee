"""The best table: beside all tables there are, on small instances; never worse than Go's, on real programs."""

import itertools
import time

import numpy as np
import pytest
from conftest import ROOT

import mheaplab as mh
from mheaplab.runtime.structs import MALLOC
from mheaplab.runtime.trace_events import ALLOC
from mheaplab.sizeclasses import (
    OTHERS,
    SizeClassTable,
    count_sizes,
    evaluate,
    go_table,
    optimal,
    optimal_mixture,
    optimal_near,
)
from mheaplab.sizeclasses.demand import demand_of
from mheaplab.sizeclasses.evaluate import evaluate_demand
from mheaplab.sizeclasses.optimal import candidates
from mheaplab.sizeclasses.partition import Items, chain_to, chains, costs

VERSIONS = ("go1.19", "go1.27")
CASES = (
    "go119-json", "go119-gzip", "go119-parse", "go119-trees", "go119-gofmt", "go119-final-full",
    "go119-service-gogc50-full", "go119-compiler-gogc50-full", "go119-cache-gogc200-full",
)  # fmt: skip
PROGRAMS = (*CASES, *mh.workloads.names())


def program(name):
    """Return (counts, noscan counts) of a recorded case or a scenario."""
    if name in CASES:
        events = np.load(ROOT / f"data/cases/{name}.events.npz")
        rows = events["kind"] == MALLOC
        return count_sizes(events["size"][rows], events["flags"][rows] & 1)
    events = next(mh.workloads.load(name, scale=0.02).batches())
    rows = events.kind == ALLOC
    return count_sizes(events.size[rows], events.noscan[rows])


# ---------------------------------------------------------------------------------------------------- all chains


def all_chains(items, cost):
    """Yield (chain, its cost) of every legal chain of items that ends at the largest size."""
    m = len(items.sizes)
    for k in range(1, m + 1):
        for chain in itertools.combinations(range(m), k):
            if items.sizes[chain[-1]] == items.sizes[-1]:
                total = cost[0, chain[0]] + sum(cost[i + 1, j] for i, j in itertools.pairwise(chain))
                if np.isfinite(total):
                    yield chain, total


def random_items(rng):
    """Return small items with whole numbers as costs, so that sums are exact, and what they hold."""
    m = int(rng.integers(2, 10))
    sizes = np.sort(rng.integers(1, 9, m)) * 8
    least = np.where(rng.random(m) < 0.3, rng.choice(sizes, m), 0)
    least = np.where(least < sizes, least, 0)
    slot = rng.integers(1, 30, (2, m)).astype(float)
    items = Items(sizes, np.ones(m, int), slot, least, rng.integers(0, 2, m))
    weights = rng.integers(0, 3, (2, 65)) * (rng.random((2, 65)) < 0.15)
    return items, np.cumsum(weights, axis=1)[:, sizes].astype(float)


def test_chains_are_the_least_of_all_chains(rng):
    """1,500 random instances: cost, tie-breaker and chain of every number of classes and changes."""
    reached = 0
    for _ in range(1500):
        items, fitting = random_items(rng)
        cost = costs(items, fitting)
        second = costs(items._replace(slot=rng.integers(1, 9, items.slot.shape).astype(float)), fitting + items.sizes)
        m, changes = len(items.sizes), int(rng.integers(0, 4))
        best, other, back = chains(items, cost, second, m, changes)
        slow = {}
        for chain, total in all_chains(items, cost):
            key = (len(chain), sum(items.change[list(chain)]), chain[-1])
            tie = second[0, chain[0]] + sum(second[i + 1, j] for i, j in itertools.pairwise(chain))
            slow[key] = min(slow.get(key, (np.inf, np.inf)), (total, tie))
        for k, c, last in itertools.product(range(1, m + 1), range(changes + 1), range(m)):
            if items.sizes[last] != items.sizes[-1]:
                continue
            found = (best[k - 1, c, last], other[k - 1, c, last])
            assert found == slow.get((k, c, last), (np.inf, np.inf))
            if np.isfinite(found[0]):
                chain = chain_to(items, back, k - 1, c, last)
                total = cost[0, chain[0]] + sum(cost[i + 1, j] for i, j in itertools.pairwise(chain))
                assert len(chain) == k and total == found[0] and items.change[chain].sum() == c
                reached += 1
    assert reached > 3000


# ---------------------------------------------------------------------------------------------------- all tables


def all_tables(go, sizes, pages, classes):
    """Yield every table of these sizes and page counts that a Go can run with."""
    legal = [[(s, p) for p in range(1, pages + 1) if p * 8192 >= s] for s in sizes]
    for k in range(2, classes + 1):
        for some in itertools.combinations(legal, k):
            for pairs in itertools.product(*some):
                if pairs[-1][0] == 32768 and SizeClassTable(pairs).why_not(go) == "":
                    yield SizeClassTable(pairs)


def wastes_of(tables, demand, go):
    return [evaluate_demand(table, demand, go).waste for table in tables]


@pytest.mark.parametrize("go", VERSIONS)
def test_no_table_of_all_is_better(go, rng):
    """Sizes and pages together, beside each table that passes ``why_not``, with costs from ``evaluate``."""
    steps = ((17, 512), (513, 8192)) if go == "go1.27" else ((17, 8192),)
    sizes = [8, 16, *([512] if go == "go1.27" else []), 8192, 16384, 24576, 32768]
    tables = list(all_tables(go, sizes, 4, 7))
    assert len(tables) > 50
    for _ in range(4):
        counts = rng.integers(0, 50, 32769) * (rng.random(32769) < 0.002)
        noscan = rng.integers(0, counts + 1)
        wastes = wastes_of(tables, demand_of(counts, noscan, go), go)
        for classes in (4, 5, 7):
            least = min(w for w, t in zip(wastes, tables, strict=True) if len(t.pairs) <= classes)
            found = optimal(counts, classes, noscan=noscan, go=go, align=steps, pages=4)
            assert found.why_not(go) == "" and len(found.pairs) <= classes
            assert evaluate(found, counts, go, noscan).waste == pytest.approx(least, rel=1e-12, abs=1e-6)


def test_no_near_table_of_all_is_better(rng):
    """One change of a small table: beside every table that differs from it in one class."""
    base = SizeClassTable(((8, 1), (16, 1), (1024, 1), (8192, 2), (32768, 4)), "base")
    items = candidates("go1.19")
    new = [pair for pair in zip(items.sizes.tolist(), items.pages.tolist(), strict=True) if pair not in base.pairs]
    tables = [base]
    for gone, pair in itertools.product(base.pairs, new):
        pairs = sorted({*base.pairs, pair} - {gone})
        if len({size for size, _ in pairs}) == 5 and pairs[-1][0] == 32768:
            tables.append(SizeClassTable(pairs))
    tables = [t for t in tables if t.why_not("go1.19") == ""]
    assert len(tables) > 500
    counts = rng.integers(0, 50, 32769) * (rng.random(32769) < 0.002)
    least = min(wastes_of(tables, demand_of(counts), "go1.19"))
    found = optimal_near(counts, 1, base)
    assert evaluate(found, counts).waste == pytest.approx(least, rel=1e-12)
    assert len(set(found.pairs) - set(base.pairs)) == 1 and found.name == "base, 1 changed"


# ---------------------------------------------------------------------------------------------------- real programs


@pytest.mark.slow
@pytest.mark.parametrize("go", VERSIONS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_never_worse_than_gos_or_any_other_table(name, go):
    counts, noscan = program(name)
    assert counts.sum() > 500
    found = optimal(counts, noscan=noscan, go=go)
    least = evaluate(found, counts, go, noscan).waste
    assert found.why_not(go) == "" and len(found) <= 68
    wastes = [evaluate(table, counts, go, noscan).waste for table in (go_table(go), OTHERS["powers of two"](go))]
    assert least <= min(wastes) * (1 + 1e-12)
    before = wastes[0]
    for changes in (0, 1, 3):
        near = optimal_near(counts, changes, noscan=noscan, go=go)
        waste = evaluate(near, counts, go, noscan).waste
        assert least <= waste * (1 + 1e-12) and waste <= before * (1 + 1e-12)
        assert len(near) == 68 and near.why_not(go) == ""
        assert len(set(near.pairs) - set(go_table(go).pairs)) <= changes
        before = waste


def test_there_are_twenty_programs():
    assert len(PROGRAMS) == 20


def test_every_class_changed_is_the_best_table_of_all():
    counts, noscan = program("go119-json")
    near = optimal_near(counts, 67, noscan=noscan)
    best = optimal(counts, noscan=noscan)
    assert evaluate(near, counts).waste == pytest.approx(evaluate(best, counts).waste)


def test_the_best_table_takes_less_than_two_seconds(rng):
    counts = rng.integers(0, 1000, 32769)
    took = []
    for go in VERSIONS:
        start = time.perf_counter()
        optimal(counts, noscan=rng.integers(0, counts + 1), go=go)
        took.append(time.perf_counter() - start)
    assert min(took) < 2


def test_the_table_of_a_few_sizes_is_of_use_for_others():
    """Where many tables are best, the one that is taken has classes for sizes that the program does not have."""
    counts = np.bincount([100, 1000, 5000])
    found = optimal(counts)
    assert len(found) == 68
    everything = np.ones(32769)
    assert evaluate(found, everything).share < 1.2 * evaluate(go_table(), everything).share


# ---------------------------------------------------------------------------------------------------- mixtures, errors


def test_a_mixture_is_the_best_of_the_weighted_waste():
    small, large = program("go119-json")[0], program("go119-gzip")[0]

    def score(table, weights):
        return sum(w * evaluate(table, h).share for w, h in zip(weights, (small, large), strict=True))

    best = {w: optimal_mixture([(small, w[0]), (large, w[1])], 20) for w in ((1, 0), (0, 1), (1, 1), (3, 1))}
    for weights, found in best.items():
        scores = [score(table, weights) for table in best.values()]
        assert score(found, weights) == pytest.approx(min(scores))
    assert evaluate(best[1, 0], small).waste == pytest.approx(evaluate(optimal(small, 20), small).waste)
    # A run of the same program that is ten times as long counts no more.
    assert optimal_mixture([(small * 10, 1), (large, 1)], 20).pairs == best[1, 1].pairs


def test_noscan_of_a_mixture():
    counts, noscan = program("go119-json")
    both = optimal_mixture([(counts, 1), (counts, 1)], noscan=[noscan, noscan], go="go1.27")
    assert both.pairs == optimal(counts, noscan=noscan, go="go1.27").pairs


def test_align_and_pages_are_kept():
    counts = program("go119-json")[0]
    found = optimal(counts, align=((128, 64), (4096, 1024)), pages=4)
    sizes = found.sizes
    assert np.all(sizes[sizes >= 128] % 64 == 0) and np.all(sizes[sizes >= 4096] % 1024 == 0)
    assert found.npages.max() == 4 and optimal(counts).npages.max() > 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"classes": 1}, "classes = 1"),
        ({"classes": 128}, "from 2 to 127"),
        ({"classes": 2.0}, "classes = 2.0"),
        ({"classes": 3, "go": "go1.27"}, "too few for go1.27: 4 sizes"),
        ({"pages": 0}, "pages = 0"),
        ({"pages": 3}, "needs a class of 32,768"),
        ({"align": ((9, 24),)}, "needs a class of 16"),
        ({"align": ((8,),)}, "align"),
        ({"go": "go1.2"}, "go = 'go1.2'"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        optimal([0, 1], **arguments)


def test_bad_mixtures_and_tables_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        optimal_mixture([])
    with pytest.raises(ValueError, match="weight = -1"):
        optimal_mixture([([0, 1], -1)])
    with pytest.raises(ValueError, match="changes = 68"):
        optimal_near([0, 1], 68)
    with pytest.raises(ValueError, match="table = table: no class of 16"):
        optimal_near([0, 1], 1, SizeClassTable(((32, 1), (32768, 4))))
