"""heap_explorer: one malloc or one sweep, step by step: Go's words, span and pages, and questions to the heap."""

import html
from pathlib import Path

import ipywidgets as ipw

from ..figures import arena_bits, span_bits
from ..figures.theme import theme_of
from .address_box import CELL, AddressBox
from .explorer import Explorer
from .live import LiveFigure
from .save_row import SaveRow

LINE_PIXELS = 21
"""Height of a line of text, to keep room for the longest step: the figures below must not jump."""


def step_html(k, story):
    """Return step ``k`` (from 0) of a story as HTML: Go's function, the text, and what was read."""
    step = story.steps[k]
    rows = "".join(
        f"<tr><th scope='row' style='{CELL}'>{html.escape(r.name)}</th><td style='{CELL}'>{html.escape(r.before)}</td>"
        f"<td style='{CELL}'>{'' if r.before == r.after else '→ ' + html.escape(r.after)}</td></tr>"
        for r in step.readings
    )
    head = f"<b>Step {k + 1} of {len(story)}: {html.escape(step.go)}</b> ({html.escape(step.file)})"
    table = f"<table style='line-height:1.5;font-variant-numeric:tabular-nums'>{rows}</table>" if rows else ""
    return f"<div aria-live='polite' style='line-height:1.5'>{head}<br>{html.escape(step.text)}{table}</div>"


class HeapExplorer(Explorer):
    """A story, one step at a time; made by :func:`heap_explorer`.

    Attributes
    ----------
    step, back, next : ipywidgets.Widget
        The controls.
    box : AddressBox
    span, pages : LiveFigure
        The span and the 512 pages around it, before or after the call, whichever the step is about.
    save_row : SaveRow
    name : str
        The call, as a part of file names.
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, story, heap, theme=None, folder="exports"):
        self.story, self.theme, self.folder = story, theme_of(theme), Path(folder)
        self.name = "".join(c if c.isalnum() else "-" for c in story.call).strip("-")
        self.about = {"call": story.call, "params": str(heap.params)}
        self._make_controls(len(story))
        self.span, self.pages = (LiveFigure(figure, f"{self.name}-{kind}") for kind, figure in self._figures(0))
        self.box = AddressBox(heap, story.addr)
        self.save_row = SaveRow(self)
        top = [ipw.HBox([self.back, self.step, self.next], layout=ipw.Layout(width="100%"))]
        super().__init__({"step": self.step}, self._show, [self.span, self.pages, self.box, self.save_row], top)
        lines = 4 + max(len(step.readings) for step in story.steps)
        self.status.layout.min_height = f"{LINE_PIXELS * lines}px"
        self.status.value = step_html(0, story)

    def _make_controls(self, n):
        self.step = ipw.IntSlider(
            1, 1, max(n, 1), description="step", layout=ipw.Layout(width="auto", flex="1 1 auto", min_width="200px"),
            tooltip="step of Go's: arrow keys move by one, the number can be typed",
        )  # fmt: skip
        self.back = ipw.Button(description="Back", icon="arrow-left", layout=ipw.Layout(width="auto"), disabled=True)
        self.next = ipw.Button(description="Next", icon="arrow-right", layout=ipw.Layout(width="auto"), disabled=n < 2)
        self.back.tooltip, self.next.tooltip = "the step before", "the next step"
        self.back.on_click(lambda _: self._move(-1))
        self.next.on_click(lambda _: self._move(1))

    def _move(self, by):
        self.step.value += by

    def stem(self):
        """Return the name of what is shown, for files."""
        return f"{self.name}-step-{self.step.value}"

    def _figures(self, k):
        """Yield the two figures of step ``k`` with their names."""
        step = self.story.steps[k]
        span, pages = self.story.pictures(k)
        note = f"{step.moment} {self.story.call}"
        yield "span-bits", span_bits(span, theme=self.theme, focus=step.span_rows, note=note)
        yield "arena-bits", arena_bits(pages, theme=self.theme, focus=step.page_rows, note=note)

    def pictures(self):
        """Yield (kind, live figure, figure) of the present step."""
        for live, (kind, figure) in zip((self.span, self.pages), self._figures(self.step.value - 1), strict=True):
            yield kind, live, figure

    def _show(self, step):
        """Show a step."""
        self.status.value = step_html(step - 1, self.story)
        self.back.disabled, self.next.disabled = step <= 1, step >= len(self.story)
        self.save_row.rename()
        for _, live, figure in self.pictures():
            live.redraw(figure)


def heap_explorer(story, heap, *, theme=None, folder="exports"):
    """Return a widget that goes through the steps of one malloc or one sweep.

    Buttons or a slider choose the step: its text names Go's function and the values read, the figures show span and
    pages, with the rows that the step is about in a frame.  Below, an address can be typed, and the heap answers.

    Parameters
    ----------
    story : Story
        From ``mheaplab.steps.malloc`` or ``sweep_one``.
    heap : Heap
        The heap that it happened in, for the questions.
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    HeapExplorer
        An ipywidgets box.

    Raises
    ------
    ValueError
        If the story is one of a call that found nothing to do.
    """
    if story.pages_after is None:
        raise ValueError(f"story = {story.call} is outside its legal range: a call that did something")
    return HeapExplorer(story, heap, theme, folder)
