"""ClassHandles: the boundaries of size classes as triangles on a plot, to be dragged or moved by the keyboard.

The browser's part is ``class_handles.js``.  It uses where plotly has put the plot's axis, which is in no documentation;
a browser test holds it to that.
"""

from pathlib import Path

import anywidget
import traitlets


class ClassHandles(anywidget.AnyWidget):
    """A line that says how to use the handles; the handles themselves lie on the figure.

    Attributes
    ----------
    value : list of int
        Bytes of each class, ascending.
    selected : int
        The class whose handle was last touched, by its bytes.
    legal : list of int
        Sizes to which a boundary may be moved.
    fixed : list of int
        Sizes that stay.
    figure : str
        ``layout.meta.export_id`` of the plot, whose first x axis is log2 of sizes.
    """

    _esm = Path(__file__).with_name("class_handles.js")
    value = traitlets.List(traitlets.Int()).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    legal = traitlets.List(traitlets.Int()).tag(sync=True)
    fixed = traitlets.List(traitlets.Int()).tag(sync=True)
    figure = traitlets.Unicode().tag(sync=True)
