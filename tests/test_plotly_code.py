"""plotly.js is sent once for all figures that move, and again only when somebody has closed it."""

import hashlib

import plotly.graph_objects as go
import pytest
from ipywidgets import Widget

from mheaplab.widgets import LiveFigure
from mheaplab.widgets.plotly_code import PlotlyCode, plotly_code


@pytest.fixture
def figure():
    """A figure that moves."""
    return LiveFigure(go.Figure(go.Scatter(x=[1, 2], y=[3, 4])))


def test_figures_share_one_plotly(figure):
    other = LiveFigure(go.Figure())
    named = {f.get_state()["_code"] for f in (figure, other)}
    assert named == {f"IPY_MODEL_{plotly_code().model_id}"}
    assert all(len(str(f.get_state()["_esm"])) < 2000 for f in (figure, other))


def test_it_is_plotlys_own_and_named_by_its_digest():
    code = plotly_code()
    assert code.source == str(go.FigureWidget._esm) and len(code.source) > 1_000_000
    assert code.digest == hashlib.sha256(code.source.encode()).hexdigest()


def test_another_one_is_made_when_it_was_closed(figure):
    closed = figure._code
    Widget.close_all()
    later = LiveFigure(go.Figure())._code
    assert later is not closed and later.comm is not None and later is plotly_code()


def test_whoever_stores_a_figure_stores_it_too(figure):
    from ipywidgets.embed import dependency_state

    kept = dependency_state([figure])
    assert figure._code.model_id in kept and isinstance(figure._code, PlotlyCode)
    assert kept[figure._code.model_id]["state"]["source"] == figure._code.source
