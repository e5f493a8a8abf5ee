"""Exports: whole or not at all, stamped, and with or without a Chrome on the machine."""

import csv
import html
import importlib
import json
import os
import re
import struct
import xml.etree.ElementTree as ET

import plotly.graph_objects as go
import pytest

import mheaplab as mh
from mheaplab import figures

export_module = importlib.import_module("mheaplab.figures.export")

needs_chrome = pytest.mark.skipif(export_module.chrome() is None, reason="no Chrome or Chromium here")


@pytest.fixture(scope="module")
def case():
    """A short real case."""
    return mh.load_case(mh.data_path("cases/go119-gzip"))


@pytest.fixture(scope="module")
def figure(case):
    """Its occupancy at the end."""
    (snapshot,) = mh.snapshots(case, [len(case)])
    return figures.occupancy(snapshot, name=case.name)


@pytest.fixture(scope="module", autouse=True)
def chrome_goes_away():
    """No Chrome outlives these tests."""
    yield
    export_module.close_renderer()


@pytest.fixture
def no_chrome(monkeypatch):
    """A machine without Chrome."""
    export_module.close_renderer()
    monkeypatch.setattr(export_module, "chrome", lambda: None)


def read_csv(path):
    """Return (comment lines as a dict, columns) of an exported CSV."""
    lines = path.read_text(encoding="utf-8").splitlines()
    facts = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    rows = list(csv.reader(line for line in lines if not line.startswith("# ")))
    return facts, dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))


def test_csv_has_the_numbers(figure, case, tmp_path):
    """The CSV is the figure's numbers, after what they come from."""
    (path,) = figures.export(figure, tmp_path / "occ", "csv", about=case)
    facts, columns = read_csv(path)
    for name, values in figures.numbers(figure).items():
        assert list(columns[name]) == [str(v) for v in values]
    shown = {t.name: t for t in figure.data if t.showlegend}
    in_use = [int(b) for b, n in zip(columns["in_use_bytes"], columns["noscan"], strict=True) if n == "False"]
    assert [round(y * 1024) for y in shown["slots in use, with pointers"].y] == in_use
    assert facts["mheaplab"] == mh.__version__ and facts["case"] == case.name and facts["go"] == "go1.19"
    assert facts["data_sha256"] == export_module.digest(*case.events)
    assert json.loads(facts["params"])["arena_bytes"] == 64 << 20


def test_html_is_self_contained(figure, case, tmp_path):
    """The page has plotly.js inside, asks nothing of a network, and says where it comes from."""
    (path,) = figures.export(figure, tmp_path / "occ", ["html"], about=case)
    text = path.read_text(encoding="utf-8")
    assert len(text) > 3_000_000 and "plotly.js v" in text
    assert not re.search(r"<(script|link|img|iframe)[^>]*\s(src|href)\s*=", text)
    content = html.unescape(re.search(r'<meta name="mheaplab" content="([^"]*)"', text).group(1))
    facts = json.loads(content)
    assert facts["case"] == case.name and facts["figure"] == "occupancy by size class"
    assert f"mheaplab {mh.__version__}" in text.split("Plotly.newPlot(")[-1]
    assert '"showSendToCloud": false' in text
    assert "<title>Occupancy by size class of go119-gzip after 1,009 events</title>" in text


def test_same_figure_same_bytes(figure, case, tmp_path):
    """What needs no Chrome comes out the same each time."""
    first = [p.read_bytes() for p in figures.export(figure, tmp_path / "a", ["csv", "html"], about=case)]
    second = [p.read_bytes() for p in figures.export(figure, tmp_path / "b", ["csv", "html"], about=case)]
    assert first == second


@needs_chrome
def test_drawn_formats(figure, case, tmp_path):
    """SVG, PNG and PDF are what they say, have the size asked for, and carry their stamp."""
    pages = figures.export(figure, tmp_path / "occ", ["svg", "png", "pdf"], about=case, width=700, scale=1.5)
    svg, pdf, png = (p.read_bytes() for p in sorted(pages, key=lambda p: ".svg .pdf .png".index(p.suffix)))
    root = ET.fromstring(svg)
    facts = json.loads(root.find("{http://www.w3.org/2000/svg}metadata").text)
    assert facts["case"] == case.name and root.get("width") == "700"
    assert f"mheaplab {mh.__version__} · {case.name} (go1.19) · data".encode() in svg
    assert b"slot size of the size class" in svg
    assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    width, height = struct.unpack(">II", png[16:24])
    assert width == 1050 and height > 600
    length, tag = struct.unpack(">I4s", png[33:41])
    assert tag == b"tEXt" and json.loads(png[49 : 41 + length])["case"] == case.name


@needs_chrome
def test_one_chrome_serves(figure, tmp_path):
    """The second picture needs no second Chrome."""
    figures.export(figure, tmp_path / "a", "svg")
    assert export_module._renderer["started"]
    figures.export(figure, tmp_path / "b", "svg")
    figures.close_renderer()
    assert not export_module._renderer["started"]


def test_without_chrome(figure, tmp_path, no_chrome):
    """HTML and CSV are written; the rest is refused in one sentence that says what to do."""
    with pytest.raises(figures.NoChromeError) as caught:
        figures.export(figure, tmp_path / "occ", ["svg", "html", "png", "csv"])
    message = str(caught.value)
    assert "\n" not in message and "chromium" in message and "BROWSER_PATH" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["occ.csv", "occ.html"]


def test_without_kaleido(figure, tmp_path, monkeypatch):
    """A missing kaleido is named, with the way to get it."""
    export_module.close_renderer()
    monkeypatch.setattr(export_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(figures.NoChromeError, match=r"pip install 'mheaplab\[export\]'"):
        figures.export(figure, tmp_path / "occ", "pdf")


def test_browser_that_is_none(figure, tmp_path, monkeypatch):
    """A BROWSER_PATH that leads nowhere is no Chrome."""
    export_module.close_renderer()
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "nothing"))
    with pytest.raises(figures.NoChromeError, match="none was found"):
        figures.export(figure, tmp_path / "occ", "png")


def test_nothing_half_written(figure, tmp_path, monkeypatch):
    """If the last step fails, the old file stands and no other is left."""
    (path,) = figures.export(figure, tmp_path / "occ", "csv")
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        figures.export(figure, tmp_path / "occ", "csv")
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before


def test_unknown_format(figure, tmp_path):
    """A format that does not exist is named before anything is written."""
    with pytest.raises(ValueError, match="'gif' is outside its legal range"):
        figures.export(figure, tmp_path / "occ", ["csv", "gif"])
    assert not list(tmp_path.iterdir())


def test_folder_is_made(figure, tmp_path):
    """The folder need not exist."""
    (path,) = figures.export(figure, tmp_path / "a" / "b" / "occ.v1", "csv")
    assert path == tmp_path / "a" / "b" / "occ.v1.csv" and path.is_file()


def test_stamp_leaves_the_figure_alone(figure):
    """The line at the bottom is on the exported copy only; the plotting area keeps its size."""
    before = figure.to_json()
    copy = export_module.stamped(figure, {"mheaplab": "1"}, 960)
    assert figure.to_json() == before
    inner = [f.layout.height - f.layout.margin.t - f.layout.margin.b for f in (figure, copy)]
    assert inner[0] == inner[1]


def test_foreign_figure(tmp_path):
    """A figure that was not made here exports its traces."""
    foreign = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="s"))
    (path,) = figures.export(foreign, tmp_path / "f", "csv", about={"note": "mine"})
    facts, columns = read_csv(path)
    assert facts["note"] == "mine"
    assert columns == {"trace": ("s", "s"), "x": ("1", "2"), "y": ("3", "4")}
