"""PlotlyCode: plotly.js for all figure widgets of a page, sent once and run once.

plotly's FigureWidget brings its five megabytes of JavaScript along with each figure, and the browser reads and runs
them anew each time, a second for every figure of a notebook in which nothing moves.  Here a figure's own JavaScript is
a few lines which take plotly's from one further widget, made with the first figure, and keep it for the whole page.

The figures name that widget in their state, so that whoever stores widgets (a page made of a notebook) stores it too.
"""

import hashlib
from functools import cache

import anywidget
import plotly.graph_objects as go
import traitlets

LOADER = """
// One module for each version of plotly that the page has met.
const modules = (globalThis.mheaplabPlotly ??= new Map());

const moduleOf = async (model) => {
  const id = model.get("_code").replace("IPY_MODEL_", "");
  const code = await model.widget_manager.get_model(id);
  const digest = code.get("digest");
  if (!modules.has(digest)) {
    const url = URL.createObjectURL(new Blob([code.get("source")], { type: "text/javascript" }));
    modules.set(digest, import(url).finally(() => URL.revokeObjectURL(url)));
  }
  return modules.get(digest);
};

export default () => {
  let figure;
  return {
    async initialize(context) {
      const made = (await moduleOf(context.model)).default;
      figure = typeof made === "function" ? await made() : made;
      await figure.initialize?.(context);
    },
    render: (context) => figure.render(context),
  };
};
"""
"""The JavaScript of a figure widget."""


class PlotlyCode(anywidget.AnyWidget):
    """Holds the JavaScript of plotly's figure widgets; shows nothing.

    Attributes
    ----------
    source : str
        The text of an ES module.
    digest : str
        Its SHA-256.
    """

    _esm = "export default {};"
    source = traitlets.Unicode().tag(sync=True)
    digest = traitlets.Unicode().tag(sync=True)


@cache
def _bundle():
    """Return plotly's own JavaScript for a figure widget, and its digest."""
    source = str(go.FigureWidget._esm)
    return source, hashlib.sha256(source.encode()).hexdigest()


_shared = []
"""The one that figures share; another takes its place when somebody has closed it."""


def plotly_code():
    """Return the PlotlyCode that all figures of this process share."""
    if not _shared or _shared[0].comm is None:
        source, digest = _bundle()
        _shared[:] = [PlotlyCode(source=source, digest=digest)]
    return _shared[0]
