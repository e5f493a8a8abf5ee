"""A histogram as a workload: sizes come as often as they were counted, and a twin runs it."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab.histograms import Meta

FILES = mh.data_path("histograms")
YOUNG = mh.workloads.Exponential(64 << 10)


def chi_square(drawn, counts):
    """Return Pearson's statistic of ``drawn`` against ``counts``, in standard deviations from its mean."""
    expected = counts / counts.sum() * drawn.sum()
    assert expected.min() > 5
    freedom = len(counts) - 1
    return ((((drawn - expected) ** 2) / expected).sum() - freedom) / np.sqrt(2 * freedom)


@pytest.mark.slow
def test_sizes_come_as_often_as_they_were_counted():
    h = mh.read_histogram(FILES / "go127-buffers.heap.pb.gz")
    h = mh.Histogram(h.sizes[h.counts > 20], h.counts[h.counts > 20], meta=h.meta)
    drawn = mh.Histogram.of_trace(h.workload(YOUNG, objects=200_000).trace(seed=3))
    assert drawn.sizes.tolist() == h.sizes.tolist() and drawn.objects == 200_000
    assert abs(chi_square(drawn.counts, h.counts)) < 3
    wrong = mh.Histogram(h.sizes, np.roll(h.counts, 1))
    assert chi_square(drawn.counts, wrong.counts) > 100


@pytest.mark.slow
def test_pointers_go_with_sizes():
    h = mh.Histogram([16, 48, 1024], [500, 300, 200], [500, 0, 100])
    drawn = mh.Histogram.of_trace(h.workload(YOUNG, objects=50_000).trace(seed=1))
    shares = drawn.noscan / drawn.counts
    assert shares[0] == 1 and shares[1] == 0 and abs(shares[2] - 0.5) < 0.02
    plain = mh.Histogram([16, 48], [1, 1]).workload(YOUNG, objects=20_000, noscan=0.25)
    drawn = mh.Histogram.of_trace(plain.trace(seed=1))
    assert abs(drawn.noscan.sum() / drawn.objects - 0.25) < 0.02


@pytest.mark.slow
def test_a_real_profile_runs():
    h = mh.read_histogram(FILES / "go127-tmpl.heap.pb.gz")
    workload = h.workload(YOUNG, noscan=0.5, header=8, phase={"ps": 2, "ns_per_alloc": 50.0})
    trace = workload.trace(seed=1)
    assert trace.count()[0] == h.objects and trace.digest == workload.trace(seed=1).digest
    result = mh.simulate(trace, mh.HeapParams.go127())
    drawn = mh.Histogram.of_trace(trace)
    slots = h.sizes[np.searchsorted(h.sizes, drawn.sizes)]
    assert result.samples["total_alloc"][-1] == (slots * drawn.counts).sum()  # all got the slots they were counted in
    assert mh.workloads.Workload.from_json(workload.to_json()) == workload


@pytest.mark.slow
def test_with_a_header_objects_get_the_slots_they_were_counted_in():
    slots = mh.Histogram([512, 576, 1024, 32768], [50, 60, 70, 80], meta=Meta(sizes="slot"))
    for header, same in ((8, True), (0, False)):
        trace = slots.workload(mh.workloads.Immortal(), objects=2000, noscan=0.5, header=header).trace(seed=2)
        spans = mh.simulate(trace, mh.HeapParams.go127()).memstats
        found = {row["Size"]: row["Mallocs"] for row in spans["BySize"] if row["Mallocs"]}
        assert (set(found) == {512, 576, 1024}) == same


@pytest.mark.parametrize(
    "options, words",
    [
        ({"noscan": 1.5}, "noscan = 1.5"),
        ({"noscan": "half"}, "noscan = 'half'"),
        ({"header": 4}, "header = 4"),
        ({"header": 8}, "header = 8: sizes are requested"),
        ({"objects": 0}, "objects = 0"),
        ({"objects": 2.0}, "objects = 2.0"),
        ({"phase": {"ps": 0}}, "Phase.ps = 0"),
    ],
)
def test_wrong_options_are_refused(options, words):
    with pytest.raises(ValueError) as err:
        mh.Histogram([16], [1]).workload(YOUNG, **options)
    assert words in str(err.value)


def test_no_objects_are_no_program():
    with pytest.raises(ValueError, match="no objects in it"):
        mh.Histogram([], []).workload(YOUNG)
    with pytest.raises(ValueError, match="lifetime"):
        mh.Histogram([16], [1]).workload(1 << 20)
