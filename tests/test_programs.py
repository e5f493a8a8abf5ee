"""read_program: every kind of file that there is in data becomes something that the twin can run."""

import pytest

import mheaplab as mh
from mheaplab.programs import LEAST_HEAP, has_headers, in_use_bytes

PROFILE = mh.data_path("histograms/go127-tmpl.heap.pb.gz")
METRICS = mh.data_path("histograms/go127-tmpl.metrics.json")


@pytest.mark.parametrize("path", [PROFILE, METRICS, mh.data_path("histograms/go127-tmpl.memstats.json")], ids=str)
def test_a_table_of_sizes_becomes_a_program(path):
    histogram, trace = mh.read_histogram(path), mh.read_program(path)
    counts = trace.count()
    assert counts[0] == histogram.objects and trace.name == path.name and trace.meta["origin"] == str(path)
    assert "assumed: exponential lifetimes" in trace.meta["deaths"]
    result = mh.simulate(trace, mh.HeapParams.go127(gogc=25))
    last = result.samples[-1]
    assert last["total_alloc"] > 0.5 * histogram.bytes and last["live"] > 0 and result.provenance["complete"]


def test_slots_leave_room_for_headers():
    """Objects with pointers above 512 B are asked for without the header that Go 1.27 puts into their slot."""
    slots = set(mh.read_histogram(PROFILE).sizes.tolist())
    events = next(mh.read_program(PROFILE).dense_batches())
    born = events.kind == 0
    sizes, noscan = events.size[born], events.noscan[born] == 1
    small = (sizes <= 512) | noscan
    assert set(sizes[small].tolist()) <= slots and set((sizes[~small] + 8).tolist()) <= slots and (~small).any()


def test_lifetimes_are_those_of_the_file():
    """What lives in a long run is about what the profile has in use."""
    in_use = in_use_bytes(PROFILE)
    result = mh.simulate(mh.read_program(PROFILE, objects=400_000), mh.HeapParams.go127())
    live = result.samples["live"][len(result.samples) // 2 :]
    assert 0.8 < live.mean() / in_use < 1.25


def test_without_bytes_in_use(tmp_path):
    (tmp_path / "t.csv").write_text("size,count\n64,1000\n")
    assert in_use_bytes(tmp_path / "t.csv") is None
    assert mh.read_program(tmp_path / "t.csv").count()[0] == 1000
    assert LEAST_HEAP == mh.HeapParams.go119().heap_minimum_bytes


def test_lifetime_objects_and_seed_are_options():
    given = mh.read_program(PROFILE, lifetime=mh.workloads.Immortal(), objects=500, seed=3)
    assert given.count()[:2].tolist() == [500, 0]
    assert given.digest != mh.read_program(PROFILE, lifetime=mh.workloads.Immortal(), objects=500, seed=4).digest
    with pytest.raises(ValueError, match="objects = 0"):
        mh.read_program(PROFILE, objects=0)


def test_a_trace_is_a_program():
    case = mh.data_path("cases/go119-gzip")
    assert mh.read_program(case).digest == mh.read_trace(case).digest


def test_what_is_neither(tmp_path):
    (tmp_path / "x").write_bytes(b"\x00\x01 nothing")
    with pytest.raises(mh.FormatError, match="expected one of"):
        mh.read_program(tmp_path / "x")
    with pytest.raises(mh.FormatError, match="no such file"):
        mh.read_program(tmp_path / "y")


@pytest.mark.parametrize(
    ("go", "headers"), [("go1.19", False), ("go1.21.3", False), ("go1.22", True), ("go1.27", True), ("", True)]
)
def test_headers(go, headers):
    assert has_headers(go) == headers
