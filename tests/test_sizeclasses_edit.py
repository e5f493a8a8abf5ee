"""Tables made by hand, and what a histogram knows of pointers."""

import numpy as np
import pytest

import mheaplab as mh

sc = mh.sizeclasses
VERSIONS = ("go1.19", "go1.27")


def best_pages(size, go):
    """Return the page count of 1 to 10 at which an object costs the least, by trying them all."""
    found = []
    for pages in range(-(-size // 8192), 11):
        table = sc.SizeClassTable(sorted({(8, 1), (16, 1), (512, 1), (2048, 1), (32768, 4), (size, pages)}))
        if table.why_not(go) == "":
            counts = np.zeros(size + 1)
            counts[size] = 1
            found.append((sc.evaluate(table, counts, go).waste, pages))
    return min(found)[1]


@pytest.mark.parametrize("go", VERSIONS)
def test_legal_sizes_are_those_with_which_a_table_can_be_built(go):
    legal = sc.legal_sizes(go).tolist()
    assert len(legal) == {"go1.19": 314, "go1.27": 376}[go] and set(sc.fixed_sizes(go)) <= set(legal)
    for size in range(8, 2100, 8):
        pages = {size: 1} | dict(sc.go_table(go).pairs)
        wrong = sc.SizeClassTable(sorted(pages.items())).why_not(go)
        assert (size in legal) == ("must be a positive multiple" not in wrong and "mark pointers" not in wrong)


@pytest.mark.parametrize("go", VERSIONS)
def test_own_tables_keep_pages_or_take_the_best(go):
    own = sc.go_table(go)
    assert sc.table_of(own.sizes[1:], go) == sc.SizeClassTable(own.pairs, "own table")
    for size in (848, 1664, 2944, 9088, 20608):
        table = sc.with_class(own, size, go)
        assert set(table.pairs) - set(own.pairs) == {(size, best_pages(size, go))}
        assert sc.without_class(table, size, go).pairs == own.pairs
    table = sc.SizeClassTable([(8, 1), (16, 1), (96, 3), (512, 1), (32768, 4)])
    assert dict(sc.with_class(table, 64, go).pairs)[96] == 3  # its own, neither Go's nor the best
    assert sc.table_of([], go).sizes[1:].tolist() == sorted(sc.fixed_sizes(go))


def test_a_class_may_be_moved_past_others():
    own = sc.go_table()
    table = sc.moved(own, 48, 1664)
    assert set(table.sizes) ^ set(own.sizes) == {48, 1664} and len(table) == 68 and table.why_not() == ""


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda own: sc.table_of([40]), "40 bytes cannot be a class in go1.19, nearest are 32 and 48"),
        (lambda own: sc.table_of([2]), "2 bytes cannot be a class in go1.19, nearest are 8"),
        (lambda own: sc.table_of([40000]), "40,000 bytes cannot be a class in go1.19, the largest is 32,768"),
        (lambda own: sc.table_of(sc.legal_sizes()[:130]), "classes are too many, expected at most 127"),
        (lambda own: sc.moved(own, 16, 64), "size = 16: go1.19 needs this class"),
        (lambda own: sc.moved(own, 50, 64), "size = 50: go1.19 has no such class"),
        (lambda own: sc.moved(own, 48, 64), "to = 64: go1.19 has such a class"),
        (lambda own: sc.without_class(own, 32768), "needs this class"),
        (lambda own: sc.legal_sizes("go1.4"), "go = 'go1.4' is outside"),
    ],
)
def test_what_cannot_be_is_refused(do, words):
    with pytest.raises(ValueError, match=words):
        do(sc.go_table())


def test_each_number_of_changes_at_once():
    counts = np.zeros(400)
    counts[[40, 100, 130, 270, 300]] = [5, 50, 20, 30, 9]
    each = sc.optimal_near_each(counts, 6)
    assert each[0] == sc.go_table()
    for changes, table in enumerate(each):
        alone = sc.optimal_near(counts, changes)
        assert alone.pairs == table.pairs and alone.name == table.name
    wastes = [sc.evaluate(table, counts).waste for table in each]
    assert wastes == sorted(wastes, reverse=True) and wastes[-1] < wastes[0]


@pytest.mark.parametrize("go", VERSIONS)
def test_a_histogram_that_knows_of_pointers_is_asked(go):
    h = mh.Histogram([4, 24, 600], [10, 20, 30], [10, 5, 0])
    counts, noscan = h.by_size(700), h.noscan_by_size(700)
    assert noscan[[4, 24, 600]].tolist() == [10, 5, 0] and noscan.sum() == 15
    asked, told = sc.evaluate(sc.go_table(go), h, go), sc.evaluate(sc.go_table(go), counts, go, noscan)
    assert asked.waste == told.waste and asked.tiny_objects == told.tiny_objects == 10
    plain = sc.evaluate(sc.go_table(go), counts, go)
    assert plain.tiny_objects == 0 and plain.waste != asked.waste
    silent = mh.Histogram([24], [20])
    assert silent.noscan_by_size() is None and sc.evaluate(sc.go_table(go), silent, go).objects == 20
