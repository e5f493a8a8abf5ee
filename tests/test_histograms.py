"""Size histograms: the type, and every other file that one opens as one."""

import functools
import io
import json
import pickle
import tracemalloc

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.histograms import Meta, describe
from mheaplab.histograms.csv_table import read_csv
from mheaplab.traces import sizes as trace_sizes

FILES = mh.data_path("histograms")
ALLOCS, FREES = "/gc/heap/allocs-by-size:bytes", "/gc/heap/frees-by-size:bytes"


def refusal(path, what="allocated"):
    """Return the message with which a file is refused."""
    with pytest.raises(mh.FormatError) as err:
        mh.read_histogram(path, what)
    assert str(path) in str(err.value) and "\n" not in str(err.value)
    return str(err.value)


def written(tmp_path, content, name="given"):
    """Return the path of a file with text, bytes, or JSON in it."""
    path = tmp_path / name
    if not isinstance(content, str | bytes):
        content = json.dumps(content)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---------------------------------------------------------------------------------------------- the type


def test_totals_and_counts_by_size():
    h = mh.Histogram([1, 16, 32768, 40960], [5, 3, 2, 1])
    assert (h.objects, h.bytes, len(h), h.exact) == (11, 5 + 48 + 65536 + 40960, 4, True)
    table = h.by_size()
    assert table.dtype == np.int64 and len(table) == 32769
    assert (table[1], table[16], table[32768], table.sum()) == (5, 3, 2, 10)
    assert h.by_size(16).sum() == 8 and h.by_size(0).tolist() == [0]


def test_bytes_do_not_wrap():
    h = mh.Histogram([1 << 47], [1 << 53])
    assert h.bytes == 1 << 100


def test_nothing_can_be_changed():
    given = np.array([8, 16])
    h = mh.Histogram(given, [1, 2])
    given[0] = 9
    assert h.sizes.tolist() == [8, 16]
    with pytest.raises(ValueError):
        h.counts[0] = 3
    with pytest.raises(AttributeError):
        h.counts = [3, 4]
    again = pickle.loads(pickle.dumps(h))
    assert again == h and not again.sizes.flags.writeable and h != mh.Histogram([8, 16], [1, 3])


@pytest.mark.parametrize(
    "columns, words",
    [
        ({"sizes": [16, 8]}, "sizes: expected each above the one before"),
        ({"sizes": [8, 8]}, "sizes: expected each above"),
        ({"sizes": [0, 8]}, "sizes: 0 to 8, expected 1 to"),
        ({"sizes": [8.0, 16.0]}, "sizes: 1 dimensions of float64"),
        ({"counts": [1]}, "counts: 1 of them, expected 2"),
        ({"counts": [0, 1]}, "counts: 0 to 1, expected 1 to"),
        ({"counts": [1 << 53, 1]}, "counts: more than 2**53 together"),
        ({"noscan": [2, 0]}, "noscan: expected no more than counts"),
        ({"lower": [9, 9]}, "lower: expected no more than sizes"),
        ({"lower": [-1, 9]}, "lower: -1 to 9"),
        ({"meta": Meta(sizes="guessed")}, "meta: what = 'allocated', sizes = 'guessed'"),
        ({"meta": Meta(uncounted=-1)}, "meta: uncounted = -1"),
        ({"meta": Meta(rate=None)}, "meta: rate = None"),
        ({"meta": {}}, "meta: a dict"),
    ],
)
def test_wrong_columns_are_refused(columns, words):
    with pytest.raises(ValueError, match=".*") as err:
        mh.Histogram(**({"sizes": [8, 16], "counts": [1, 2]} | columns))
    assert words in str(err.value)


@pytest.mark.parametrize("limit", [-1, 1.5, True, (1 << 26) + 1])
def test_the_limit_must_be_bytes(limit):
    with pytest.raises(ValueError, match="limit = "):
        mh.Histogram([8], [1]).by_size(limit)


def test_adding():
    a = mh.Histogram([8, 16], [1, 2], [1, 0], [1, 9], Meta("a", "x", rate=1, uncounted=3, uncounted_bytes=9))
    b = mh.Histogram([16, 48], [5, 1], [2, 1], [15, 33], Meta("b", "x", rate=512, uncounted=1, uncounted_bytes=None))
    both = a + b
    assert (both.sizes.tolist(), both.counts.tolist()) == ([8, 16, 48], [1, 7, 1])
    assert (both.noscan.tolist(), both.lower.tolist()) == ([1, 2, 1], [1, 9, 33])
    assert both.meta == Meta("a, b", "x", rate=512, uncounted=4, uncounted_bytes=None)
    assert (a + mh.Histogram([8], [1])).noscan is None
    assert a + mh.Histogram([], []) == (a + mh.Histogram([], []))
    with pytest.raises(ValueError, match="cannot add"):
        a + mh.Histogram([8], [1], meta=Meta(what="in use"))
    with pytest.raises(TypeError):
        a + 1


# ---------------------------------------------------------------------------------------------- metrics


def metrics(name):
    """Return a real file of metrics as parsed JSON."""
    return json.loads((FILES / f"{name}.metrics.json").read_bytes())


@pytest.mark.parametrize(
    "name, objects, large, some",
    [
        ("go123-tmpl", 51918, 10, {8: 19, 16: 26900, 24: 10828, 8192: 1, 9472: 3}),
        ("go127-buffers", 18138, 2937, {8: 29, 48: 956, 32768: 384, 28672: 144}),
    ],
)
def test_real_metrics(name, objects, large, some):
    h = mh.read_histogram(FILES / f"{name}.metrics.json")
    assert (h.objects, h.meta.uncounted, h.meta.uncounted_bytes, h.meta.sizes) == (objects, large, None, "slot")
    assert {size: int(h.by_size()[size]) for size in some} == some
    classes = mh.read_histogram(FILES / f"{name}.heap.pb.gz")
    bounds = dict(zip(h.sizes.tolist(), h.lower.tolist(), strict=True))
    for size, lower in zip(classes.sizes.tolist(), classes.lower.tolist(), strict=True):
        assert bounds.get(size, lower) == lower


def test_metrics_in_use_are_what_was_not_freed():
    h, every = (mh.read_histogram(FILES / "go127-buffers.metrics.json", what) for what in ("in use", "allocated"))
    freed = metrics("go127-buffers")[FREES]["counts"]
    assert h.objects == every.objects - sum(freed[:-1]) == 1543
    assert h.meta.uncounted == 2937 - freed[-1] == 93 and h.meta.what == "in use"


@pytest.mark.parametrize("first, last", [("-Inf", "+Inf"), (None, None), (0, "Inf"), (1.0, 32769), (float("-inf"), 49)])
def test_histograms_of_go_in_any_spelling(tmp_path, first, last):
    h = mh.read_histogram(written(tmp_path, {"Counts": [0, 3, "4"], "Buckets": [first, 9, "17", last]}))
    large = last not in (32769, 49)
    assert h.sizes.tolist() == [16] if large else [16, int(last) - 1]
    assert h.meta.uncounted == (4 if large else 0) and h.meta.what == "" and h.lower[0] == 9


@pytest.mark.parametrize(
    "change, words",
    [
        ({"counts": [1]}, "1 counts, 4 buckets, expected counts, and one more of buckets"),
        ({"counts": None}, "counts is no list"),
        ({"buckets": [1, 9, 9, "+Inf"]}, "buckets[2] = 9, expected more than 9"),
        ({"buckets": [1, "+Inf", 17, 33]}, "buckets[1]: 'inf', expected a whole number"),
        ({"buckets": [1, None, 17, 33]}, "buckets[1]: 'None'"),
        ({"buckets": [1, 9.5, 17, 33]}, "buckets[1]: '9.5'"),
        ({"buckets": [1, -9, 17, 33]}, "buckets[1]: '-9'"),
        ({"buckets": [1, True, 17, 33]}, "buckets[1]: 'True'"),
        ({"buckets": [float("nan"), 9, 17, 33]}, "buckets[0]: 'nan'"),
        ({"buckets": ["-Inf", 1, 17, 33]}, "1 objects of less than 1 byte"),
        ({"counts": [1, -2, 3]}, "counts[1]: '-2'"),
        ({"counts": [1, 2.5, 3]}, "counts[1]: '2.5'"),
        ({"counts": [1, "٣", 3]}, "counts[1]"),
        ({"counts": [1 << 53, 1, 3]}, "more than 2**53"),
        ({"counts": [1 << 54, 1, 3]}, "counts[0]"),
        ({"Counts": [1, 2, 3]}, "for the second time"),
    ],
)
def test_wrong_metrics_are_refused(tmp_path, change, words):
    found = {"counts": [1, 2, 3], "buckets": [1, 9, 17, 33]} | change
    assert words in refusal(written(tmp_path, {ALLOCS: found}))


def test_metrics_that_do_not_belong_together_are_refused(tmp_path):
    a = {"counts": [1, 2], "buckets": [1, 9, 17]}
    for freed, words in [
        ({"counts": [2, 1], "buckets": [1, 9, 17]}, "bucket 0: 2 objects freed of 1"),
        ({"counts": [1, 1], "buckets": [1, 9, 25]}, "has other buckets"),
        ([], "a list, expected an object"),
    ]:
        assert words in refusal(written(tmp_path, {ALLOCS: a, FREES: freed}), "in use")
    assert f"no {FREES}" in refusal(written(tmp_path, {ALLOCS: a}), "in use")
    assert f"no {ALLOCS}" in refusal(written(tmp_path, {FREES: a}))
    assert "a histogram alone" in refusal(written(tmp_path, a), "in use")


# ---------------------------------------------------------------------------------------------- MemStats


@pytest.mark.parametrize(
    "name, what, objects, uncounted, uncounted_bytes, tens",
    [
        ("go123-tmpl", "allocated", 52883, 14116, 3616768, 27465),
        ("go123-tmpl", "in use", 2440, 11, 3616768, 615),
        ("go127-tmpl", "allocated", 41388, 6925, 3209856, 20289),
        ("go127-buffers", "in use", 2402, 128, 10781568, 451),
    ],
)
def test_real_memstats(name, what, objects, uncounted, uncounted_bytes, tens):
    h = mh.read_histogram(FILES / f"{name}.memstats.json", what)
    assert (h.objects, h.meta.uncounted, h.meta.uncounted_bytes) == (objects, uncounted, uncounted_bytes)
    assert h.by_size()[16] == tens and h.lower[1] == 9 and h.sizes.max() <= 18432
    stats = json.loads((FILES / f"{name}.memstats.json").read_bytes())
    assert h.bytes + uncounted_bytes == stats["TotalAlloc" if what == "allocated" else "HeapAlloc"]


def test_memstats_of_debug_vars(tmp_path):
    stats = json.loads((FILES / "go127-tmpl.memstats.json").read_bytes())
    inside = mh.read_histogram(written(tmp_path, b"\xef\xbb\xbf" + json.dumps({"memstats": stats}).encode()))
    assert inside.counts.tolist() == mh.read_histogram(FILES / "go127-tmpl.memstats.json").counts.tolist()


def test_memstats_without_totals(tmp_path):
    h = mh.read_histogram(written(tmp_path, {"BySize": [{"Size": 8, "Mallocs": 3, "Frees": 1}]}), "in use")
    assert h.counts.tolist() == [2] and h.meta.uncounted is None and h.meta.uncounted_bytes is None and not h.exact


@pytest.mark.parametrize(
    "stats, words",
    [
        ({"BySize": 1}, "BySize is no list"),
        ({"BySize": [1]}, "BySize[0]: expected an object with Size, Mallocs, Frees"),
        ({"BySize": [{"Size": 8, "Mallocs": 1}]}, "BySize[0]: expected an object with"),
        ({"BySize": [{"Size": 8, "Mallocs": 1, "Frees": 2}]}, "BySize[0]: 2 objects freed of 1"),
        ({"BySize": [{"Size": 0, "Mallocs": 1, "Frees": 0}]}, "1 objects of 0 bytes"),
        ({"BySize": [{"Size": 8, "Mallocs": 1, "Frees": 0}] * 2}, "BySize[1].Size = 8, expected more than 8"),
        ({"BySize": [{"Size": 8, "Mallocs": -1, "Frees": 0}]}, "BySize[0].Mallocs: '-1'"),
        ({"BySize": [{"Size": 8, "Mallocs": 2, "Frees": 0}], "Mallocs": 1}, "2 objects by size, but 1 in all"),
        ({"BySize": [{"Size": 8, "Mallocs": 2, "Frees": 0}], "TotalAlloc": 9}, "16 bytes by size, but 9 in all"),
        ({"BySize": [{"Size": 8, "Mallocs": 2, "Frees": 0}], "Mallocs": "x"}, "Mallocs: 'x'"),
    ],
)
def test_wrong_memstats_are_refused(tmp_path, stats, words):
    assert words in refusal(written(tmp_path, stats))


# ---------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    "text, words",
    [
        (b"{", "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"{} {}", "not JSON"),
        (b'{"BySize": ' + b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"BySize": [], "BySize": []}', "the key 'BySize' stands twice"),
        (b"{}", "neither MemStats with BySize nor"),
        (b'{"memstats": 3}', "neither MemStats"),
        (b"{" + b" " * (4 << 20) + b"}", "over 4,194,304 bytes"),
    ],
)
def test_wrong_json_is_refused(tmp_path, text, words):
    assert words in refusal(written(tmp_path, text))


@pytest.mark.slow
@pytest.mark.parametrize("item", [b"{},", b'{"a":{}},'])
def test_json_keeps_to_ten_times_its_size_and_a_bit(tmp_path, item):
    path = written(tmp_path, b'{"BySize": [' + item * ((4 << 20) // len(item) - 10) + b"0]}")
    tracemalloc.start()
    try:
        assert "BySize is no list of at most" in refusal(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * path.stat().st_size + 100e6


# ---------------------------------------------------------------------------------------------- CSV


@pytest.mark.parametrize(
    "text",
    [
        "16,3\n48,1\n",
        "size,count\n48,1\n16,2\n16,1\n",
        "\ufeffCount, Size\r\n 3, 16\r\n\r\n# a word\r\n1,48",
        '"size","count"\n"16","3"\n"48","1"\n8,0\n',
    ],
)
def test_tables(tmp_path, text):
    h = mh.read_histogram(written(tmp_path, text))
    assert (h.sizes.tolist(), h.counts.tolist(), h.meta.sizes, h.meta.what) == ([16, 48], [3, 1], "requested", "")


@pytest.mark.parametrize(
    "text, words",
    [
        ("16,3\n48\n", "line 2: 1 cells, expected size, count"),
        ("16,3\n\n48,1,2\n", "line 3: 3 cells"),
        ("16,3\n48,-1\n", "line 2: count '-1', expected a whole number from 0"),
        ("16,3\n0,1\n", "line 2: size '0', expected a whole number from 1 to"),
        ("16,3\n4.8,1\n", "line 2: size '4.8'"),
        ("16,3\n48,99999999999999999999999\n", "line 2: count"),
        ("16,3\n140737488355329,1\n", "line 2: size"),
        ("size,count,colour\n", "line 1: column 'colour'"),
        ("size,size\n", "line 1: column 'size'"),
        ("size,slot\n", "line 1: columns size, slot"),
        ("size,slot,count\n", "line 1: columns size, slot, count"),
        ("count,noscan\n", "line 1: columns count, noscan"),
        ("size,count,noscan\n8,1,2\n", "line 2: 2 of 1 objects without pointers"),
        ("slot,count,lower\n8,1,9\n", "line 2: lower 9, expected at most the size"),
        ("# nothing\n", "no rows"),
        ("16,3\n" + "1" * 5000 + ",1\n", "line 2: over 4,096 bytes"),
        ("16,9007199254740992\n8,1\n", "more than 2**53 objects"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, text, words):
    assert words in refusal(written(tmp_path, text))


def test_a_table_does_not_say_what_is_in_use(tmp_path):
    with pytest.raises(ValueError, match="a table does not say"):
        mh.read_histogram(written(tmp_path, "16,3\n"), "in use")


@pytest.mark.parametrize(
    "given",
    [
        mh.Histogram([8, 16], [1, 2], [0, 1]),
        mh.Histogram([8, 16], [1, 2], None, [1, 9], Meta("a\nb", "x", sizes="slot", uncounted=4)),
        mh.Histogram([9], [1], meta=Meta(sizes="average")),
        mh.Histogram([], []),
    ],
)
def test_written_tables_are_read_again(tmp_path, given):
    path = tmp_path / "sizes.csv"
    given.to_csv(path)
    h = mh.read_histogram(path)
    assert h == mh.Histogram(given.sizes, given.counts, given.noscan, given.lower, h.meta)
    assert h.meta.sizes == given.meta.sizes and list(tmp_path.iterdir()) == [path]


def test_too_many_sizes_are_refused(monkeypatch):
    monkeypatch.setattr(trace_sizes, "MAX_SIZES", 1000)
    text = "\n".join(f"{k},1" for k in range(1, 1002)).encode()
    with pytest.raises(mh.FormatError, match="more than 1,000 different sizes"):
        read_csv(io.BytesIO(text), "table")


# ---------------------------------------------------------------------------------------------- traces


def test_a_trace_in_any_batches(monkeypatch):
    kind = [0, 0, 1, 0, 2, 0, 1, 3, 0]
    size = [16, 48, 0, 16, 2048, 7, 0, 2048, 16]
    ids = [5, 6, 5, 5, 9, 70, 6, 9, 9]
    trace = mh.Trace.from_arrays(kind, 0, size, [0, 1, 0, 1, 0, 1, 0, 0, 1], ids, go="go1.27", origin="made up")
    h = mh.Histogram.of_trace(trace)
    assert (h.sizes.tolist(), h.counts.tolist(), h.noscan.tolist()) == ([7, 16, 48], [1, 3, 1], [1, 2, 1])
    assert h.exact and (h.meta.origin, h.meta.go) == ("made up", "go1.27")
    alive = mh.Histogram.of_trace(trace, "in use")
    assert (alive.sizes.tolist(), alive.counts.tolist(), alive.noscan.tolist()) == ([7, 16], [1, 2], [1, 2])
    for rows in (1, 2, 4):
        cut = mh.Trace.from_arrays(kind, 0, size, [0, 1, 0, 1, 0, 1, 0, 0, 1], ids)
        monkeypatch.setattr(cut, "batches", functools.partial(cut.batches, rows))
        monkeypatch.setattr(cut, "dense_batches", functools.partial(cut.dense_batches, rows))
        assert mh.Histogram.of_trace(cut).counts.tolist() == [1, 3, 1]
        assert mh.Histogram.of_trace(cut, "in use").counts.tolist() == [1, 2]


def test_alive_as_a_dict_has_it(rng):
    alive, rows = {}, []
    for k in range(3000):
        if alive and rng.random() < 0.5:
            victim = list(alive)[rng.integers(len(alive))]
            rows.append((1, 0, victim))
            del alive[victim]
        else:
            alive[k] = int(rng.integers(1, 60))
            rows.append((0, alive[k], k))
    kind, size, ids = np.array(rows).T
    h = mh.Histogram.of_trace(mh.Trace.from_arrays(kind, 0, size, 0, ids), "in use")
    sizes, counts = np.unique(list(alive.values()), return_counts=True)
    assert (h.sizes.tolist(), h.counts.tolist()) == (sizes.tolist(), counts.tolist())


def test_a_recorded_case_and_its_trace(tmp_path, cases_dir):
    h = mh.read_histogram(cases_dir / "go119-gzip")
    case = mh.load_case(cases_dir / "go119-gzip", truth=False)
    assert h.meta.sizes == "requested" and h.meta.go == case.go and h.exact and h.noscan is not None
    assert h.objects == mh.read_trace(cases_dir / "go119-gzip").count()[0] == 943
    path = tmp_path / "gzip.parquet"
    mh.write_trace(mh.read_trace(cases_dir / "go119-gzip"), path)
    assert mh.read_histogram(path).counts.tolist() == h.counts.tolist()


def test_the_distribution_of_a_workload_counts_the_same():
    trace = mh.Trace.from_arrays(0, 0, 8, 0, 0)
    assert mh.workloads.Histogram.of_trace(trace).rows == ((8, 1, 0.0),)
    trace = mh.Trace.from_arrays([0, 0, 0], 0, [8, 8, 24], [1, 0, 1], [0, 1, 2])
    assert mh.workloads.Histogram.of_trace(trace).rows == ((8, 2, 0.5), (24, 1, 1.0))


# ---------------------------------------------------------------------------------------------- any file


def test_what_is_no_file_or_of_no_kind(tmp_path):
    assert "no such file" in refusal(tmp_path / "nothing")
    words = refusal(written(tmp_path, b"\x7fELF...."))
    assert "begins with b'\\x7fELF...." in words and "a pprof heap profile" in words and "a trace" in words
    with pytest.raises(ValueError, match="what = 'used'"):
        mh.read_histogram(tmp_path / "nothing", "used")
    assert "expected one of" in refusal(written(tmp_path, b""))


def test_the_facts_in_words():
    facts = describe(mh.read_histogram(FILES / "go127-tmpl.memstats.json"))
    assert facts["objects"] == 41388 and facts["objects of unknown size"] == 6925 and facts["their bytes"] == 3209856
    assert facts["kind"] == "runtime.MemStats" and facts["sizes"].startswith("of slots") and "go" not in facts
    assert describe(mh.Histogram([], []))["objects"] == 0
    sampled = describe(mh.Histogram([40000], [1], [1], meta=Meta(rate=524288, go="go1.27")))
    assert sampled["counts"] == "estimates from a sample every 524,288 bytes" and sampled["objects above 32 KiB"] == 1
    assert sampled["objects without pointers"] == 1 and sampled["go"] == "go1.27"
