"""study_explorer: what a study has found: two metrics against each other, one of them by each parameter, what matters.

Nothing is run here: the figures are drawn from the study's table, which takes some ten milliseconds.
"""

import html
import re
from pathlib import Path

import ipywidgets as ipw

from ..figures.multiples import MOST_LINES, multiples_picture
from ..figures.pareto import pareto_picture
from ..figures.sensitivity import sensitivity_picture
from ..figures.study_axes import knob_title, knob_values, traces_of
from ..figures.theme import theme_of
from ..metrics import METRICS
from .explorer import Explorer
from .live import LiveFigure
from .save_row import SaveRow

NONE = ""


class StudyExplorer(Explorer):
    """What a study has found; made by :func:`study_explorer`.

    Attributes
    ----------
    study : Study
    trace, x, y, by : ipywidgets.Widget
        The controls: which trace, the two metrics, and the parameter that colours.
    live : dict of str to LiveFigure
        "pareto", "multiples", "sensitivity".
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, study, metrics, look):
        self.study, self.theme, self.folder = study, theme_of(look[0]), look[1]
        self.about = {"study": {key: study.about[key] for key in ("method", "space", "code")}}
        self._make_controls(metrics)
        self.live = {kind: LiveFigure(picture, f"study-{kind}") for kind, picture in self._drawings()}
        self.save_row = SaveRow(self)
        controls = {"trace": self.trace, "x": self.x, "y": self.y, "by": self.by}
        super().__init__(controls, self._show, [*self.live.values(), self.save_row])
        self.status.value = html.escape(str(study))

    def _make_controls(self, metrics):
        def drop(options, value, name, tip):
            layout = ipw.Layout(width="270px")
            return ipw.Dropdown(options=options, value=value, description=name, layout=layout, tooltip=tip)

        names = [(m.label, m.name) for m in METRICS]
        traces, (x, y) = traces_of(self.study), metrics
        few = [name for name in self.study.knobs if len(knob_values(self.study, name)) <= MOST_LINES]
        # What is along the axis of the second figure cannot also be its lines.
        self.along = next((n for n in self.study.knobs if n not in few), self.study.knobs[0])
        by = [(knob_title(n), n) for n in few if n != self.along]
        self.trace = drop(traces, traces[0], "trace", "whose runs the upper figure shows")
        self.x = drop(names, x, "across", "the metric from left to right; less is better")
        self.y = drop(names, y, "upwards", "the metric from bottom to top of both figures; less is better")
        self.by = drop([("nothing", NONE), *by], by[0][1] if by else NONE, "colour", "the parameter that colours")

    def _drawings(self):
        """Yield the pictures with their names, as the controls are now."""
        by, y = self.by.value, self.y.value
        look = {"theme": self.theme}
        yield "pareto", pareto_picture(self.study, self.x.value, y, by=by or None, trace=self.trace.value, **look)
        yield "multiples", multiples_picture(self.study, y, x=self.along, by=by, panels="", **look)
        yield "sensitivity", sensitivity_picture(self.study, **look)

    def stem(self):
        """Return the name of what is shown, for files."""
        words = f"study-{self.trace.value}-{self.y.value}-{self.x.value}-{self.by.value or 'all'}"
        return re.sub(r"[^\w.-]+", "-", words)

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        for kind, picture in self._drawings():
            yield kind, self.live[kind], picture.figure()

    def _show(self, **_values):
        """Draw for other controls."""
        self.save_row.rename()
        for kind, picture in self._drawings():
            if kind != "sensitivity":
                self.live[kind].redraw(picture)


def study_explorer(study, metrics=("mean_backed", "gc_share"), *, theme=None, folder="exports"):
    """Return a widget that shows what a study has found.

    Parameters
    ----------
    study : Study
        With a parameter that was varied, and runs that did not fail.
    metrics : (str, str)
        Across and upwards at first (``mheaplab.METRICS``).
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    StudyExplorer
        An ipywidgets box.

    Raises
    ------
    ValueError
        If no parameter was varied or no run has ended without an error.
    """
    if not study.knobs or len(study) == len(study.failures):
        raise ValueError("study: expected a parameter that was varied, and runs that have ended without an error")
    return StudyExplorer(study, metrics, (theme, Path(folder)))
