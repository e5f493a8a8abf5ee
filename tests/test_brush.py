"""The brush without a browser: what it is told, when plotly draws instead, and that nothing painted is left behind."""

import numpy as np
import pytest

from mheaplab.figures.runs import Picture
from mheaplab.widgets.brush import Brush
from mheaplab.widgets.live import LiveFigure, with_room
from mheaplab.widgets.map_figure import MapFigure


def picture(ys, *, top=10.0, name="a", kind="scatter", caption="x<br>y", **more):
    """Return a picture of lines over one axis."""
    x = np.arange(len(ys[0]), dtype="i4")
    traces = [{"type": kind, "x": x, "y": np.asarray(y, "f4"), "name": name, **more} for y in ys]
    layout = {"title": {"text": "t", "subtitle": {"text": caption}}, "height": 300}
    layout |= {"xaxis": {"range": [0, len(ys[0])]}, "yaxis": {"range": [0, top], "title": {"text": "MiB"}}}
    return Picture(traces, layout, dict, dict)


class Told(Brush):
    """A brush that keeps what it sends to the browser."""

    def send(self, content, buffers=None):
        """Keep it."""
        self.sent = [*getattr(self, "sent", []), (content, buffers)]


@pytest.fixture
def live():
    """A figure of two lines; ``_updates`` keeps what plotly is told."""
    live = LiveFigure(picture([[1, 2, 3], [4, 5, 6]]))
    live.layout.meta = {**live.layout.meta, "export_id": "me"}
    live._updates = []
    live._send_update_msg = lambda *told: live._updates.append(told)
    return live


def test_only_lines_and_caption_are_painted(live):
    brush = Told()
    live.sketch(picture([[1, 2, 4], [4, 5, 7]], caption="x<br>z"), brush)
    ((content, buffers),) = brush.sent
    assert content["figure"] == "me" and content["caption"] == "x<br>z" and not live._updates
    assert content["traces"] == [[k, {"y": {"buffer": k, "type": "f4"}}] for k in (0, 1)]
    assert [np.frombuffer(b, "f4").tolist() for b in buffers] == [[1, 2, 4], [4, 5, 7]]
    assert live.data[0].y.tolist() == [1, 2, 3], "the state is what it was"


def test_an_axis_that_lines_share_travels_once(live):
    brush = Told()
    live.sketch(picture([[1, 2, 4, 5], [4, 5, 7, 8]]), brush)
    assert not hasattr(brush, "sent") and len(live._updates) == 1, "the axis has another range: plotly's to draw"
    live.sketch(picture([[1, 2, 4, 6], [4, 5, 7, 9]]), brush)
    live.redraw(picture([[1, 2, 3], [4, 5, 6]]))
    now = picture([[1, 2], [4, 5]])
    now.layout["xaxis"]["range"] = [0, 3]
    live.sketch(now, brush)
    content, buffers = brush.sent[-1]
    assert len(buffers) == 3 and [t["x"]["buffer"] for _, t in content["traces"]] == [0, 0]


def test_texts_are_sent_as_lists(live):
    live.redraw(picture([[1, 2, 3]] * 2, text=["a", "b", "c"]))
    brush = Told()
    live.sketch(picture([[1, 2, 3]] * 2, text=["a", "b", "d"]), brush)
    ((content, buffers),) = brush.sent
    assert content["traces"][1] == [1, {"text": {"list": ["a", "b", "d"]}}] and not buffers


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"top": 11.0}, "more than there is room for"),
        ({"top": 4.9}, "less than half of the axis"),
        ({"line": {"color": "#ff0000"}}, "another colour"),
        ({"hovertemplate": "%{y} KiB"}, "another unit"),
    ],
)
def test_plotly_draws_what_a_brush_cannot(live, change, words):
    brush = Told()
    live.sketch(picture([[1, 2, 4], [4, 5, 7]], **change), brush)
    assert len(live._updates) == 1 and not hasattr(brush, "sent"), words
    assert live.data[0].y.tolist() == [1, 2, 4]


def test_bars_are_not_painted():
    live = LiveFigure(picture([[1, 2, 3]], kind="bar"))
    brush = Told()
    live.sketch(picture([[1, 2, 4]], kind="bar"), brush)
    assert not hasattr(brush, "sent") and live.data[0].y.tolist() == [1, 2, 4]


def test_more_lines_than_before_are_not_painted(live):
    brush = Told()
    live.sketch(picture([[1, 2, 3]] * 3), brush)
    assert not hasattr(brush, "sent") and len(live.data) == 3


def test_what_was_painted_is_sent_again(live):
    """The browser's plot has what was painted, its model has not: both must get what comes next, even if it is old."""
    live.sketch(picture([[1, 2, 4], [4, 5, 6]], caption="x<br>z"), Told())
    live.redraw(picture([[1, 2, 3], [4, 5, 6]]))
    ((style, layout, traces),) = live._updates
    assert traces == [0] and style["y"][0].tolist() == [1, 2, 3]
    assert layout == {"title.text": "t", "title.subtitle.text": "x<br>y"}
    live._updates.clear()
    live.redraw(picture([[1, 2, 3], [4, 5, 6]]))
    assert not live._updates


def test_a_second_draft_takes_back_what_the_first_painted(live):
    brush = Told()
    live.sketch(picture([[1, 2, 4], [4, 5, 6]]), brush)
    live.sketch(picture([[1, 2, 3], [4, 5, 7]]), brush)
    content, buffers = brush.sent[1]
    assert [k for k, _ in content["traces"]] == [0, 1]
    assert [np.frombuffer(b, "f4").tolist() for b in buffers] == [[1, 2, 3], [4, 5, 7]]


def test_a_brush_that_failed_is_not_asked_again(live):
    brush = Told()
    brush._handle_custom_msg({"failed": "TypeError: no scatter"}, [])
    assert brush.failed == "TypeError: no scatter"
    live.sketch(picture([[1, 2, 4], [4, 5, 7]]), brush)
    assert not hasattr(brush, "sent") and len(live._updates) == 1


def test_room():
    """An axis keeps its range while it serves; a new one has room above, along the run it has none."""
    layout = {"xaxis": {"range": [0, 9]}, "yaxis": {"range": [0, 20.0], "title": 1}, "height": 3}
    kept = with_room(layout, {"xaxis": (0, 10), "yaxis": (0, 30.0), "yaxis2": (0, 1)})
    assert kept["xaxis"]["range"] == [0, 10] and kept["yaxis"] == {"range": [0, 30.0], "title": 1}
    new = with_room(layout, {"xaxis": (0, 8), "yaxis": (0, 19.0)})
    assert new["xaxis"]["range"] == [0, 9] and new["yaxis"]["range"] == pytest.approx([0, 26.0])
    low = with_room({"yaxis": {"range": [-3.0, 1.0]}}, {"yaxis": (-2.0, 1.0)})
    assert low["yaxis"]["range"] == pytest.approx([-3.0, 2.2])
    assert layout["yaxis"]["range"] == [0, 20.0], "what was given is as it was"


def heap_map_like(source, text, name="free (1 KiB)", title="t"):
    """Return a picture as a heap map is: an image, hover texts over it, an entry of the legend, an axis upside down."""
    traces = [
        {"type": "image", "source": source},
        {"type": "heatmap", "x": np.arange(2, dtype="f4"), "z": [[0]], "text": [[text]]},
        {"type": "scatter", "x": [None], "y": [None], "name": name},
    ]
    layout = {"title": {"text": title, "subtitle": {"text": "s"}}, "height": 300}
    layout |= {"xaxis": {"range": [-0.5, 127.5]}, "yaxis": {"range": [7.5, -0.5]}}
    return Picture(traces, layout, dict, dict)


def test_an_image_is_painted_and_its_hover_texts_wait():
    """Image, title and legend at once; hover texts, and all of it in the state, when the slider rests."""
    live, brush = LiveFigure(heap_map_like("data:a", "one")), Told()
    live.layout.meta = {**live.layout.meta, "export_id": "map"}
    live._updates = []
    live._send_update_msg = lambda *told: live._updates.append(told)
    live.sketch(heap_map_like("data:b", "two", "a &lt;- b (2 KiB)", "after 2 &amp; 3"), brush)
    ((content, buffers),) = brush.sent
    assert content["traces"] == [[0, {"source": {"text": "data:b"}}], [2, {"name": {"text": "a <- b (2 KiB)"}}]]
    assert content["title"] == "after 2 & 3" and not buffers and not live._updates
    live.sketch(heap_map_like("data:a", "one"), brush)
    back = brush.sent[-1][0]
    assert back["title"] == "t" and [k for k, _ in back["traces"]] == [0, 2], "painted over, though the state has it"
    live.redraw(heap_map_like("data:a", "one"))
    (style, layout, traces), *_ = live._updates
    assert layout["title.text"] == "t" and traces == [0, 1, 2]
    assert style["source"][0] == "data:a" and style["text"][1] == [["one"]] and style["name"][2] == "free (1 KiB)"


def test_other_marks_are_plotlys():
    """A label that changes is not painted."""
    live, brush = MapFigure(heap_map_like("data:a", "one"), "map", None, None), Told()
    now = heap_map_like("data:b", "one")
    now.layout["annotations"] = [{"text": "64 MiB", "x": 0, "y": 0}]
    live.draft(now, None, brush)
    assert not hasattr(brush, "sent") and live.layout.annotations[0].text == "64 MiB"
    assert live.data[0].source == "data:b"
