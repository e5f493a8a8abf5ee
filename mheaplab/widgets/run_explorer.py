"""run_explorer: sliders on the parameters of a heap, and a run that follows them.

While a slider moves, each of its values is answered at once by a *prefix* of the trace, the first part of its events
that can be simulated in a few hundredths of a second; when it comes to rest, by the whole.  A prefix is shown by the
line of numbers and by the first figure, since drawing takes the browser longer than the twin needs for the run; the
other figures and the code follow at rest.  The caption of every figure and the line of numbers say which run they show.
A value that comes while another is being drawn replaces it.

Pinning keeps the present run.  From then on the figures show it as lines beside what follows, and another figure says
how far every number is from the pinned one; a prefix is compared with the same prefix.
"""

import html
from pathlib import Path

import ipywidgets as ipw

from ..figures.comparison import comparison_picture, metric_text
from ..figures.runs import ALONG, extent_words, parameter_words
from ..figures.theme import theme_of
from ..figures.views import VIEWS
from ..metrics import metric
from ..params import HeapParams
from ..previews import Preview, trace_code
from .brush import Brush
from .code_box import CodeBox
from .explorer import SLOW, Explorer
from .live import LiveFigure
from .param_controls import ParamRow
from .save_row import SaveRow
from .settle import Settle

NUMBERS = ("collections", "peak_in_use", "peak_backed", "mean_waste", "assist_share", "swept_p99")
CONTROLS = ("gogc", "memory_limit")
PINNED, CHANGED = "pinned", "now"
NOWRAP = "<span style='white-space:nowrap'>"


class RunExplorer(Explorer):
    """A run of a trace under parameters that can be changed; made by :func:`run_explorer`.

    Attributes
    ----------
    rows : dict of str to ParamRow
        The controls of parameters; ``rows["gogc"].control.value`` is GOGC.
    along : ipywidgets.Dropdown
        What the axis along the run counts.
    pin : ipywidgets.ToggleButton
    code_box : CodeBox
    live : dict of str to LiveFigure
        The figures by name of their view, and "compare".
    result : Result
        What is shown.
    pinned : Result or None
        The run that was pinned, as far as what is shown.
    brush : Brush
        Paints drafts.
    settle : Settle
        Asks for the exact run.
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, preview, params, controls, views, look):
        self.preview, self.params, self.views = preview, params, list(views)
        self.theme, self.folder = theme_of(look[0]), look[1]
        self.pinned_params, self.pinned = None, None
        self.exact_seconds = 0.0
        self._exactly = False
        self.settle = Settle(self._settled)
        self.brush = Brush()
        self.rows = {name: ParamRow(name, params) for name in controls}
        self._make_buttons()
        self.result = preview.exact(params)
        self._make_figures()
        self.save_row = SaveRow(self)
        inputs = {name: row.control for name, row in self.rows.items()} | {"along": self.along}
        wrap = ipw.Layout(flex_flow="row wrap", width="100%")
        top = [ipw.HBox(list(self.rows.values()), layout=wrap), ipw.HBox([self.along, self.pin, self.code_box])]
        shown = [self.live[view] for view in self.views]
        super().__init__(inputs, self._show, [*shown, self.comparison, self.save_row], top)
        self._say()
        self.code_box.code = self.code()

    def _make_buttons(self):
        self.along = ipw.Dropdown(
            options=[("events", "events"), ("bytes allocated", "allocated"), ("simulated time", "time")],
            description="along", layout=ipw.Layout(width="260px"), tooltip="what the axis along the run counts",
        )  # fmt: skip
        assert {value for _, value in self.along.options} == set(ALONG)
        self.pin = ipw.ToggleButton(
            description="Pin this run", icon="thumb-tack", layout=ipw.Layout(width="auto"),
            tooltip="keep the run that is shown, to compare with what follows",
        )  # fmt: skip
        self.pin.observe(self._pin, "value")
        self.code_box = CodeBox()

    def _make_figures(self):
        stem = self.result.name or "run"
        self.live = {view: LiveFigure(self._picture(view), f"{stem}-{view}") for view in self.views}
        self.live["compare"] = LiveFigure(self._comparison(), f"{stem}-compare")
        self.comparison = ipw.VBox([self.live["compare"]], layout=ipw.Layout(display="none"))

    # ------------------------------------------------------------------------------------------ what is shown

    def _picture(self, view):
        options = {"x": self.along.value, "theme": self.theme, "pinned": self.pinned}
        return VIEWS[view].draw(self.result, **options)

    def _comparison(self):
        if self.pinned is None:
            return comparison_picture([self.result], [CHANGED], theme=self.theme)
        return comparison_picture([self.pinned, self.result], [PINNED, CHANGED], theme=self.theme)

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        for view in self.views:
            yield view, self.live[view], self._picture(view).figure()
        if self.pinned is not None:
            yield "compare", self.live["compare"], self._comparison().figure()

    def stem(self):
        """Return the name of what is shown, for files."""
        changed = [f"{name}-{getattr(self.result.params, name)}" for name in self.rows]
        words = "-".join([self.result.name or "run", *changed])
        return "".join(c if c.isalnum() or c in "-.µ" else "-" for c in words)

    @property
    def about(self):
        """Where what is shown comes from, for the stamp."""
        return self.result.provenance

    def code(self):
        """Return the lines of Python that make what is shown."""
        lines = ["import mheaplab as mh", "", f"trace = {trace_code(self.preview.trace)}"]
        more = f"samples={self.preview.samples}, seed={self.preview.seed}"
        lines.append(f"result = mh.simulate(trace, {self.result.params.to_code()}, {more})")
        options = {"x": repr(self.along.value), "theme": repr(self.theme)}
        if self.pinned is not None:
            lines.append(f"pinned = mh.simulate(trace, {self.pinned_params.to_code()}, {more})")
            options["pinned"] = "pinned"
        lines += [VIEWS[view].code(**options) for view in self.views]
        if self.pinned is not None:
            lines.append(f"mh.figures.compare([pinned, result], [{PINNED!r}, {CHANGED!r}], theme={self.theme!r})")
        return "\n".join(lines)

    # ------------------------------------------------------------------------------------------ following

    def _show(self, along, **values):
        """Simulate and draw: a draft, and ask for the exact run; or that."""
        exactly, self._exactly = self._exactly, False
        self.settle.cancel()
        params = changed(self.params, values)
        self.result = self.preview.exact(params) if exactly else self.preview.draft(params)
        if self.pinned_params is not None:
            self.pinned = self.preview.run(self.pinned_params, self.result.provenance["events_done"])
        if exactly or self.result.complete:
            self._draw_all()
        else:
            self.live[self.views[0]].sketch(self._picture(self.views[0]), self.brush)
            self._say()
            self.settle.ask()

    def _settled(self):
        """Draw the exact run, as no control has moved for a while."""
        self._exactly = True
        self._changed(None)
        self.exact_seconds = self.seconds

    def _will_be_slow(self):
        return (self.exact_seconds if self._exactly else self.seconds) > SLOW

    def _draw_all(self):
        """Redraw every figure in place, and all that is said of the run."""
        self.save_row.rename()
        for view in self.views:
            self._redraw(self.live[view], self._picture(view))
        if self.pinned is not None:
            self._redraw(self.live["compare"], self._comparison())
        self._say()
        self.code_box.code = self.code()

    def _redraw(self, live, picture):
        live.redraw(picture, picture.facts() if self.result.complete else None)

    def _say(self):
        """Fill the line of numbers."""
        numbers = [(metric(name), metric(name).of(self.result)) for name in NUMBERS]
        parts = [f"{NOWRAP}<b>{m.label}</b>&nbsp;{html.escape(metric_text(m, value))}</span>" for m, value in numbers]
        extent = html.escape(extent_words(self.result))
        self.status.value = (
            f"<span style='font-variant-numeric:tabular-nums'>{extent} &ensp; {' &ensp; '.join(parts)}</span>"
        )

    def _pin(self, change):
        """Keep the run that is shown, or let it go."""
        self.pinned_params = self.result.params if change["new"] else None
        self.pinned = None
        self.pin.description = f"Pinned: {parameter_words(self.result.params)}" if change["new"] else "Pin this run"
        self.comparison.layout.display = "" if change["new"] else "none"
        self._changed(change)


def changed(params, values):
    """Return ``params`` with other values; another Go version brings its profile along."""
    if values.get("go", params.go) == params.go:
        return params.replace(**values)
    return HeapParams.of_version(**(params.changes() | values))


def run_explorer(trace, params=None, *, controls=CONTROLS, views=("memory",), theme=None, folder="exports"):
    """Return a widget that simulates a trace under parameters that sliders change.

    Parameters
    ----------
    trace : Trace or Preview
    params : HeapParams, optional
        Where to begin.  Default: ``HeapParams.go119()``.
    controls : sequence of str
        Names of the parameters that get a control.
    views : sequence of {"memory", "cycles", "sweep", "fragmentation", "arenas"}
        Figures to show.
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    RunExplorer
        An ipywidgets box.

    Raises
    ------
    ValueError
        If there is no such parameter or view.
    """
    for view in views:
        if view not in VIEWS:
            raise ValueError(f"views = {view!r} is outside its legal range: one of {', '.join(VIEWS)}")
    preview = trace if isinstance(trace, Preview) else Preview(trace)
    return RunExplorer(preview, params or HeapParams.go119(), controls, views, (theme, Path(folder)))
