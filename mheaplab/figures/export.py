"""export: a figure as files that can be cited: SVG, PDF, PNG, self-contained HTML, and its numbers as CSV.

Every file says where it comes from: the mheaplab version, the parameters and the digest of the data, in full in the
file's metadata (SVG ``metadata``, PNG text chunk, HTML ``meta``, comment lines of a CSV) and in short in a line at the
bottom of the picture.  Files appear whole or not at all: they are written under a temporary name and renamed.

HTML and CSV need nothing.  SVG, PNG and PDF are drawn by kaleido, which drives a Chrome or Chromium of the machine; it
is started once and serves until the process ends.
"""

import atexit
import csv
import dataclasses
import hashlib
import html
import importlib.util
import io
import json
import os
import re
import struct
import zlib
from pathlib import Path, PurePath

import numpy as np
import plotly.graph_objects as go

from ..whole_file import whole_file
from .theme import AXIS_HEIGHT, CONFIG, MUTED, NARROW, PAPER, legend_pixels

FORMATS = ("svg", "pdf", "png", "html", "csv")
DRAWN = ("svg", "pdf", "png")
"""Formats that need a Chrome."""
FOOTER = 18
"""Pixels at the bottom of an exported picture for the line that says where it comes from."""
NO_CHROME = (
    "SVG, PNG and PDF are drawn by a Chrome or Chromium, and none was found: install one (Debian: apt-get install"
    " chromium; elsewhere: plotly_get_chrome) or name it in BROWSER_PATH; HTML and CSV work without"
)
NO_KALEIDO = (
    "SVG, PNG and PDF are drawn by kaleido, which is not installed: pip install 'mheaplab[export]'; HTML and CSV work"
    " without"
)


class NoChromeError(RuntimeError):
    """A picture was asked for that only a Chrome can draw; the message says how to get one."""


# ---------------------------------------------------------------------------------------------- what a figure carries


def digest(*arrays):
    """Return the SHA-256 of arrays (names of columns included), in hexadecimal."""
    total = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        total.update(f"{array.dtype.descr} {array.shape};".encode())
        total.update(array.view(np.uint8).data if array.dtype.names is None else array.tobytes())
    return total.hexdigest()


def attach(figure, table, facts):
    """Return ``figure`` carrying the numbers behind it.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    table : callable
        Returns a dict of columns of equal length; called when the numbers are asked for.
    facts : dict
        What the figure shows, for the stamp.
    """
    figure._mheaplab_table = table
    figure.layout.meta = {"mheaplab": facts}
    return figure


def numbers(figure):
    """Return the numbers behind a figure as a dict of columns of equal length.

    A figure that was not made by mheaplab gives the x and y of its traces.
    """
    table = getattr(figure, "_mheaplab_table", None)
    if table is not None:
        return table()
    columns = {"trace": [], "x": [], "y": []}
    for trace in figure.data:
        x, y = getattr(trace, "x", None), getattr(trace, "y", None)
        if x is None or y is None:
            continue
        for a, b in zip(x, y, strict=False):
            columns["trace"].append(trace.name or "")
            columns["x"].append(a)
            columns["y"].append(b)
    return columns


def stamp_of(result):
    """Return a run's provenance without what it took: a figure of the same run is the same, byte for byte."""
    return {key: value for key, value in result.provenance.items() if key != "wall_seconds"}


def provenance(figure, about=None):
    """Return what a figure comes from, as a dict of texts, numbers and dicts.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    about : Case, Result or dict, optional
        The case that was drawn (its name, Go version, parameters and the digest of its events), the result (its
        provenance), or anything that JSON can hold.
    """
    from .. import __version__

    facts = {"mheaplab": __version__}
    meta = figure.layout.meta
    if isinstance(meta, dict):
        facts |= meta.get("mheaplab", {})
    if about is None:
        return facts
    if hasattr(about, "provenance"):
        return facts | stamp_of(about)
    if isinstance(about, dict):
        return facts | about
    return facts | {
        "case": about.name,
        "go": about.go,
        "events": len(about),
        "data_sha256": digest(*about.events),
        "params": dataclasses.asdict(about.params),
    }


def footer_text(facts):
    """Return the line for the bottom of a picture."""
    parts = [f"mheaplab {facts['mheaplab']}"]
    trace = facts.get("trace", {})
    name = facts.get("case") or trace.get("program") or PurePath(trace.get("name") or "").name
    if name:
        parts.append(f"{name} ({facts.get('go', '')})")
    whole = facts.get("data_sha256") or facts.get("sha256")
    if whole:
        parts.append(f"data {whole[:12]}")
    return " · ".join(parts)


# ---------------------------------------------------------------------------------------------- formats


def write_atomic(path, data):
    """Write bytes to ``path``, all or nothing, in a folder that is made if it is not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as out:
        out.write(data)


def stamped(figure, facts, width=NARROW):
    """Return a copy of ``figure`` with a line at the bottom that says where it comes from, fit for ``width`` pixels.

    The plotting area keeps its height; the legend, which leaves room for a narrow picture, takes only what it needs.
    """
    copy = go.Figure(figure)
    layout = copy.layout
    paper = layout.paper_bgcolor or layout.template.layout.paper_bgcolor
    color = MUTED["dark" if paper == PAPER["dark"] else "light"]
    height = layout.height or 450
    bottom = 80 if layout.margin.b is None else layout.margin.b
    plot_height = height - bottom
    if layout.legend.yref == "container" and layout.legend.entrywidth:
        entries = sum(t.showlegend is not False for t in copy.data if t.type not in ("image", "heatmap"))
        legend = legend_pixels(entries, layout.legend.entrywidth, width - layout.margin.l - layout.margin.r)
        bottom = AXIS_HEIGHT + legend
        layout.legend.y = (legend + FOOTER) / (plot_height + bottom + FOOTER)
    layout.height, layout.margin.b = plot_height + bottom + FOOTER, bottom + FOOTER
    copy.add_annotation(
        text=html.escape(footer_text(facts)),
        xref="paper",
        yref="paper",
        x=1,
        y=0,
        xanchor="right",
        yanchor="bottom",
        yshift=-(bottom + FOOTER - 2),
        showarrow=False,
        font={"size": 9, "color": color},
    )
    return copy


def csv_bytes(figure, facts):
    """Return the numbers behind a figure as CSV, after comment lines that say where they come from."""
    columns = numbers(figure)
    out = io.StringIO()
    for key, value in facts.items():
        out.write(f"# {key}: {json.dumps(value) if isinstance(value, dict) else value}\n")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode()


def html_bytes(figure, facts):
    """Return the figure as one HTML page that needs no network."""
    text = stamped(figure, facts).to_html(include_plotlyjs=True, full_html=True, config=CONFIG, div_id="figure")
    title = html.escape(str(figure.layout.title.text or "mheaplab"))
    content = html.escape(json.dumps(facts), quote=True)
    head = f'<head><title>{title}</title><meta name="mheaplab" content="{content}" />'
    return text.replace("<head>", head, 1).encode()


def _svg_with_metadata(data, facts):
    title = html.escape(facts.get("figure", "mheaplab"))
    words = f"<title>{title}</title><metadata>{html.escape(json.dumps(facts))}</metadata>"
    return re.sub(rb"(<svg[^>]*>)", lambda m: m.group(1) + words.encode(), data, count=1)


def _png_with_metadata(data, facts):
    """Insert a text chunk after the header, which has a fixed length."""
    body = b"tEXtComment\x00" + json.dumps(facts).encode("ascii")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


# ---------------------------------------------------------------------------------------------- Chrome

_renderer = {"started": False}


def chrome():
    """Return the path of the Chrome that would draw, or None."""
    if importlib.util.find_spec("kaleido") is None:
        return None
    from choreographer.browsers.chromium import Chromium

    found = Chromium.find_browser(skip_local=False)
    return found if found and os.access(found, os.X_OK) else None


def _start_renderer():
    """Start the one Chrome of this process, unless it runs."""
    if importlib.util.find_spec("kaleido") is None:
        raise NoChromeError(NO_KALEIDO)
    if chrome() is None:
        raise NoChromeError(NO_CHROME)
    if not _renderer["started"]:
        import kaleido

        page = kaleido.PageGenerator(mathjax=False)  # else each page asks a network for MathJax
        kaleido.start_sync_server(n=1, silence_warnings=True, page_generator=page)
        _renderer["started"] = True
        atexit.register(close_renderer)


def close_renderer():
    """Stop the Chrome that draws, if it runs; the next picture starts another."""
    if _renderer["started"]:
        import kaleido

        _renderer["started"] = False
        kaleido.stop_sync_server(silence_warnings=True)


def draw(figure, kind, width, scale):
    """Return a figure as the bytes of an SVG, PNG or PDF.

    Raises
    ------
    NoChromeError
        If there is no Chrome or what there is does not draw.
    """
    _start_renderer()
    import kaleido

    size = {"width": width, "height": figure.layout.height or 450, "scale": scale if kind == "png" else 1}
    try:
        return kaleido.calc_fig_sync(figure, opts={"format": kind, **size})
    except Exception as err:
        close_renderer()
        reason = str(err).strip().splitlines()[:1] or [type(err).__name__]
        raise NoChromeError(f"{chrome()} was started to draw a {kind.upper()} and did not ({reason[0]})") from err


def export(figure, path, formats=("svg", "html", "csv"), *, about=None, width=960, scale=2):
    """Write a figure, and the numbers behind it, to files.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
    path : str or os.PathLike
        Where to, without the ending: ``figures/heap-map`` gives ``figures/heap-map.svg`` and so on.
    formats : sequence of {"svg", "pdf", "png", "html", "csv"}, or one of them
    about : Case, Result or dict, optional
        What was drawn, for the stamp.
    width : int
        Pixels; the height is the figure's.
    scale : float
        Points of a PNG per pixel.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    ValueError
        If a format is none of these.
    NoChromeError
        If SVG, PNG or PDF was asked for and there is no Chrome.  What needs none is written before.
    """
    formats = (formats,) if isinstance(formats, str) else tuple(formats)
    for kind in formats:
        if kind not in FORMATS:
            raise ValueError(f"formats = {kind!r} is outside its legal range: one of {', '.join(FORMATS)}")
    facts = provenance(figure, about)
    written = []
    for kind in sorted(set(formats), key=lambda k: (k in DRAWN, FORMATS.index(k))):
        target = Path(f"{os.fspath(path)}.{kind}")
        if kind == "csv":
            data = csv_bytes(figure, facts)
        elif kind == "html":
            data = html_bytes(figure, facts)
        else:
            data = draw(stamped(figure, facts, width), kind, width, scale)
            if kind == "svg":
                data = _svg_with_metadata(data, facts)
            elif kind == "png":
                data = _png_with_metadata(data, facts)
        write_atomic(target, data)
        written.append(target)
    return written
