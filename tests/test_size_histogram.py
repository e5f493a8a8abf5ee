"""The figure of a size histogram: its bars, texts and numbers."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import figures
from mheaplab.figures import theme
from mheaplab.figures.size_histogram import half_of_bytes, size_edges
from mheaplab.histograms import Meta


def test_the_numbers_are_sums_by_size_class():
    h = mh.Histogram([1, 8, 9, 33, 48, 32768, 32769, 49152, 49153], [1, 2, 3, 4, 5, 6, 7, 8, 9])
    table = figures.numbers(figures.size_histogram(h))
    assert table == figures.size_table(h)
    assert table["above_bytes"] == [0, 8, 32, 28672, 32768, 49152]
    assert table["to_bytes"] == [8, 16, 48, 32768, 49152, 65536]
    assert table["objects"] == [3, 3, 9, 6, 15, 9]
    assert table["bytes"] == [17, 27, 4 * 33 + 5 * 48, 6 * 32768, 7 * 32769 + 8 * 49152, 9 * 49153]
    assert sum(table["bytes"]) == h.bytes and "noscan_objects" not in table


def test_large_bars_are_half_an_octave():
    edges = size_edges(1 << 20)
    assert edges[:4].tolist() == [0, 8, 16, 24] and edges[67] == 32768
    assert edges[67:].tolist() == [32768, 49152, 65536, 98304, 131072, 196608, 262144, 393216, 524288, 786432, 1048576]
    assert size_edges(1 << 47)[-1] == 1 << 47


def test_bars_span_their_classes_and_stack_by_pointers():
    h = mh.Histogram([16, 48], [10, 4], [3, 4])
    bars = figures.size_histogram(h).data
    assert [bar.name for bar in bars] == ["with pointers", "noscan"] * 2
    assert [bar.marker.color for bar in bars[:2]] == [theme.SCAN, theme.NOSCAN]
    assert [list(bar.y) for bar in bars] == [[7, 0], [3, 4], [112, 0], [48, 192]]
    left, right = bars[0].x - bars[0].width / 2, bars[0].x + bars[0].width / 2
    assert np.allclose(2**left, [8, 32]) and np.allclose(2**right, [16, 48])
    assert bars[2].text[1] == "33 to 48 bytes<br>4 objects, 192 B"


def test_texts_and_units():
    meta = Meta(
        "heap.pb.gz", "pprof heap profile", "in use", "slot", rate=524288, uncounted=10, uncounted_bytes=3 << 20
    )
    figure = figures.size_histogram(mh.Histogram([16, 1 << 20], [1_000_000, 30], meta=meta), name="prog")
    assert figure.layout.title.text == "Sizes of objects in use by prog"
    assert figure.layout.title.subtitle.text == (
        "1,000,030 objects, 45.3 MiB; half of the bytes in objects of 1 MiB or more"
        "<br>estimates from a sample every 512 KiB<br>not drawn: 10 objects of unknown size, 3 MiB"
    )
    assert figure.layout.xaxis2.title.text == "size of the slot"
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == ["thousand objects", "MiB"]
    assert "16 B" in figure.layout.xaxis2.ticktext and len(figure.layout.xaxis2.ticktext) <= 10
    assert not any(bar.showlegend for bar in figure.data)
    assert figures.provenance(figure)["origin"] == "heap.pb.gz"


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("sizes, counts", [([], []), ([1], [1]), ([1 << 47], [1 << 53]), ([8, 1 << 40], [1, 1])])
def test_any_histogram_can_be_drawn(tmp_path, name, sizes, counts):
    figure = figures.size_histogram(mh.Histogram(sizes, counts), theme=name)
    low, high = figure.layout.xaxis2.range
    assert 0 < high - low < 50 and all(low <= tick <= high for tick in figure.layout.xaxis2.tickvals)
    assert figure.layout.template.layout.paper_bgcolor == theme.PAPER[name]
    figures.export(figure, tmp_path / "sizes", ("csv", "html"))
    assert (tmp_path / "sizes.csv").read_text().count("\n") == len(sizes) + 1 + sum(
        line.startswith("#") for line in (tmp_path / "sizes.csv").read_text().splitlines()
    )


def test_half_of_the_bytes():
    assert half_of_bytes(mh.Histogram([10, 20, 30], [3, 1, 1])) == 20
    assert half_of_bytes(mh.Histogram([10], [1])) == 10
    with pytest.raises(ValueError, match="theme"):
        figures.size_histogram(mh.Histogram([10], [1]), theme="blue")
