"""Explorer: controls above, figures below, and between them one function that draws.

What every view of this project needs, once: the latest value wins, a mark while it computes, and an error as a line in
place, with the figures as they were.
"""

import html
import time

import ipywidgets as ipw

SLOW = 0.25
"""Seconds of the last drawing from which the next one is announced."""
IDLE, BUSY = "<span style='opacity:0'>●</span>", "<span style='color:#d55e00' title='computing'>●</span>"


def line(text="", color=None):
    """Return an HTML widget for one line of text."""
    widget = ipw.HTML(layout=ipw.Layout(margin="0 2px", min_width="0"))
    widget.value = text if color is None else f"<span style='color:{color}'>{text}</span>"
    return widget


def alert(words):
    """Return HTML for an error: one line in the page's own colour, which is readable in every theme, with a red bar."""
    words = html.escape(" ".join(words.split()))
    return f"<span role='alert' style='border-left:4px solid #d55e00;padding-left:6px'>{words}</span>"


class Explorer(ipw.VBox):
    """Controls and what they draw.

    Parameters
    ----------
    controls : dict of str to ipywidgets.Widget
        Controls with a ``value``; each change draws.
    draw : callable
        Called as ``draw(**values)`` with the value of every control; redraws the figures in place.
    rows : list of ipywidgets.Widget
        What stands below the lines of status and error.
    top : list of ipywidgets.Widget, optional
        What stands above it.  Default: the controls in one row.

    Attributes
    ----------
    status : ipywidgets.HTML
        A line for the subclass to fill.
    error : ipywidgets.HTML
        The last error, empty and without room if there was none.
    seconds : float
        What the last drawing took.
    """

    def __init__(self, controls, draw, rows, top=None):
        self.controls = dict(controls)
        self._draw = draw
        self._drawing = False
        self._again = False
        self._asked = self._undrawn = False
        self.seconds = 0.0
        self.busy = ipw.HTML(IDLE, layout=ipw.Layout(width="16px", margin="0"))
        self.status = line()
        self.error = line()
        self.error.layout.display = "none"
        head = top or [ipw.HBox(list(self.controls.values()), layout=ipw.Layout(flex_flow="row wrap"))]
        lines = [ipw.HBox([self.busy, self.status]), self.error]
        super().__init__([*head, *lines, *rows], layout=ipw.Layout(width="100%"))
        self.add_class("mheaplab-explorer")
        for control in self.controls.values():
            control.observe(self._changed, "value")

    @property
    def values(self):
        """The values of all controls by name."""
        return {name: control.value for name, control in self.controls.items()}

    def _changed(self, change):
        """Draw for the present values; once more if a value changes meanwhile.

        Without a ``change``, which is when controls have come to rest, an error that came from elsewhere since they
        last moved is still to be read.
        """
        self._asked = self._asked or change is not None
        if self._drawing:
            self._again = True
            return
        self._drawing = True
        try:
            while True:
                self._again = False
                self._draw_once()
                if not self._again:
                    break
        finally:
            self._drawing = False

    def _draw_once(self):
        announced = self._will_be_slow()
        if announced:
            self.busy.value = BUSY
        begin = time.perf_counter()
        try:
            self._draw(**self.values)
        except Exception as err:  # whatever it is, it belongs in front of the user and must not end the explorer
            self.show_error(err)
            self._undrawn = True
        else:
            if self._asked or self._undrawn:
                self.clear_error()
            self._asked = self._undrawn = False
        self.seconds = time.perf_counter() - begin
        if announced:
            self.busy.value = IDLE

    def _will_be_slow(self):
        """Return whether the next drawing is to be announced."""
        return self.seconds > SLOW

    def show_error(self, err):
        """Show an exception as one line."""
        self.error.value = alert(f"{type(err).__name__}: {err}")
        self.error.layout.display = ""

    def clear_error(self):
        """Forget the last error."""
        if self.error.value:
            self.error.value = ""
            self.error.layout.display = "none"
