"""class_explorer: the size-class laboratory as a widget: boundaries to drag, and what each table costs a program.

While a boundary is dragged the first figure follows, painted by the brush: what is evaluated is the whole histogram,
which takes a millisecond.  When it comes to rest the other figures follow, the comparison with other tables and the
file for ``go build``.  A table that the chosen Go could not run with is evaluated all the same, and the reason is said.
"""

import html
from dataclasses import dataclass, field
from pathlib import Path

import ipywidgets as ipw

from .. import sizeclasses as sc
from ..figures.class_waste import class_waste_picture, percent, requested_traces
from ..figures.table_waste import changes_picture, table_waste_picture
from ..figures.theme import theme_of
from ..figures.units import bytes_text, plural, slot_text
from ..histograms import read_histogram
from ..sizeclasses.demand import demand_of
from ..sizeclasses.evaluate import evaluate_demand
from ..sizeclasses.rules import GO_VERSIONS
from .brush import Brush
from .class_handles import ClassHandles
from .code_box import CodeBox
from .explorer import Explorer
from .live import LiveFigure
from .save_row import SaveRow
from .settle import Settle
from .text_download import TextDownload

MOST_CHANGES = 20
OWN, GO, NEAR, BEST = "own", "go", "near", "best"
TABLES = {"Go's table": GO, "Go's, best few changes": NEAR, "best 67 classes": BEST} | {n: n for n in sc.OTHERS}
FIRST_SELECTED = 48


@dataclass
class Program:
    """A program's demand, and the tables and evaluations that depend on it alone."""

    name: str
    source: object
    histogram: object
    go: str
    demand: object = field(repr=False)
    tables: dict = field(repr=False)
    near: list = field(repr=False)
    near_found: list = field(repr=False)
    upper: tuple = field(repr=False)

    @classmethod
    def of(cls, name, source, go):
        """Work out what is needed of a program: about a second, most of it the tables with 0 to 20 changes."""
        histogram = read_histogram(source) if isinstance(source, str | Path) else source
        demand = demand_of(histogram, go=go)
        near = sc.optimal_near_each(histogram, MOST_CHANGES, go=go)
        tables = {GO: sc.go_table(go), BEST: sc.optimal(histogram, go=go)}
        tables |= {other: make(go) for other, make in sc.OTHERS.items()}
        found = [evaluate_demand(table, demand, go) for table in near]
        return cls(name, source, histogram, go, demand, tables, near, found, requested_traces(demand))


class ClassExplorer(Explorer):
    """Tables of size classes for programs; made by :func:`class_explorer`.

    Attributes
    ----------
    program, go, start, changes, size : ipywidgets.Widget
        The controls: which program, which Go, which table to begin with, at how many changes, and the bytes of the
        class that is selected.
    handles : ClassHandles
        The boundaries; ``handles.value`` are the bytes of all classes.
    add, remove : ipywidgets.Button
    live : dict of str to LiveFigure
        "classes", "tables", "changes".
    table : SizeClassTable
        What is shown.
    found : Evaluation
        What it costs.
    source : TextDownload
        Go's file with this table.
    save_row : SaveRow
    folder : pathlib.Path
        Where the export button writes.
    """

    def __init__(self, programs, go, look):
        self.programs = dict(programs)
        self.theme, self.folder = theme_of(look[0]), look[1]
        self._known, self._chosen, self._exactly = {}, None, False
        self.settle, self.brush = Settle(self._settled), Brush()
        self._make_controls(go)
        self._drawn_changes = self.changes.value
        self._choose((self.program.value, go, GO, None))
        self.handles = ClassHandles(value=self._sizes(), selected=FIRST_SELECTED)
        self._make_figures()
        self._tell_handles()
        inputs = {name: getattr(self, name) for name in ("program", "go", "start", "changes")}
        super().__init__(inputs | {"sizes": self.handles}, self._show, self._rows(), self._top())
        self.handles.observe(self._selected, "selected")
        self.size.observe(self._typed, "value")
        self._say()
        self._offer()

    def _make_controls(self, go):
        def drop(options, value, name, width, tip):
            return ipw.Dropdown(
                options=options, value=value, description=name, layout=ipw.Layout(width=width), tooltip=tip
            )

        names = list(self.programs)
        self.program = drop(names, names[0], "program", "280px", "whose objects")
        self.go = drop([(g.replace("go", "Go "), g) for g in GO_VERSIONS], go, "Go", "190px", "whose rules and spans")
        options = [*TABLES.items(), ("my own", OWN)]
        self.start = drop(options, GO, "table", "300px", "what is shown; a boundary that moves makes it yours")
        self.changes = ipw.IntSlider(
            3, 0, MOST_CHANGES, 1, description="changes", layout=ipw.Layout(width="360px"),
            tooltip="at most so many classes that Go's table does not have, chosen for this program",
        )  # fmt: skip
        self.size = ipw.BoundedIntText(
            FIRST_SELECTED, 8, 32768, 8, description="class of", layout=ipw.Layout(width="190px"),
            tooltip="bytes of the class that is selected: type to move its boundary, in bytes",
        )  # fmt: skip
        auto = ipw.Layout(width="auto")
        self.add = ipw.Button(description="Add a class", icon="plus", layout=auto, tooltip="one below the selected one")
        self.remove = ipw.Button(description="Remove it", icon="minus", layout=auto, tooltip="the selected one")
        self.add.on_click(self._add)
        self.remove.on_click(self._remove)
        self.chosen = ipw.HTML(layout=ipw.Layout(margin="0 2px", min_width="0"))
        self.code_box = CodeBox()
        self.source = TextDownload(
            label="Download sizeclasses.go", filename="sizeclasses.go",
            hint="Go's file with this table, for go build -overlay and mheaplab prove --table",
        )  # fmt: skip

    def _top(self):
        wrap = ipw.Layout(flex_flow="row wrap", width="100%")
        first = [self.program, self.go] if len(self.programs) > 1 else [self.go]
        return [
            ipw.HBox([*first, self.start, self.changes], layout=wrap),
            ipw.HBox([self.size, self.add, self.remove, self.chosen], layout=wrap),
        ]

    def _rows(self):
        self.save_row = SaveRow(self)
        self.handles.figure = self.live["classes"].layout.meta["export_id"]
        files = ipw.HBox([self.source, self.code_box], layout=ipw.Layout(flex_flow="row wrap"))
        lower = [self.live["tables"], self.live["changes"], self.save_row, files]
        return [self.live["classes"], self.handles, *lower]

    def _make_figures(self):
        stem = f"size-classes-{self.program.value}"
        self.live = {kind: LiveFigure(p, f"{stem}-{kind}") for kind, p in self._pictures()}

    # ------------------------------------------------------------------------------------------ what is shown

    @property
    def known(self):
        """What is known of the program under the chosen Go; worked out once."""
        key = (self.program.value, self.go.value)
        if key not in self._known:
            self._known[key] = Program.of(key[0], self.programs[key[0]], key[1])
        return self._known[key]

    def _choose(self, chosen):
        """Take the table that the controls mean: ``chosen`` is (program, go, start, changes if that is what it has)."""
        known, (_, go, start, changes) = self.known, chosen
        if start == OWN:
            # Another Go may not have these sizes: what it cannot have moves up to what it can.
            self.table = sc.table_of(_legal_up(self.table.sizes[1:].tolist(), go), go, self.table)
        else:
            self.table = known.near[changes] if start == NEAR else known.tables[start]
        self._chosen = chosen
        self.found = evaluate_demand(self.table, known.demand, go)

    def _sizes(self):
        return self.table.sizes[1:].tolist()

    def _tell_handles(self):
        go = self.known.go
        self.handles.legal, self.handles.fixed = sc.legal_sizes(go).tolist(), list(sc.fixed_sizes(go))
        self.handles.value = self._sizes()
        if self.handles.selected not in self.handles.value:
            self.handles.selected = min(self.handles.value, key=lambda size: abs(size - self.handles.selected))

    def _classes_picture(self):
        known = self.known
        more = {"theme": self.theme, "name": known.name, "upper": known.upper}
        return class_waste_picture(known.demand, self.found, known.near_found[0], **more)

    def _pictures(self):
        """Yield (kind, Picture) of what is shown."""
        known, more = self.known, {"theme": self.theme, "name": self.known.name}
        yield "classes", self._classes_picture()
        found = [known.near_found[0], self.found, known.near_found[self.changes.value]]
        labels = ["Go", "shown above", f"best, {plural(self.changes.value, 'change')}", "best 67", *sc.OTHERS]
        found += [evaluate_demand(known.tables[t], known.demand, known.go) for t in (BEST, *sc.OTHERS)]
        yield "tables", table_waste_picture(found, labels, **more)
        yield "changes", changes_picture(known.near_found, self.changes.value, **more)

    def pictures(self):
        """Yield (kind, live figure, figure) of what is shown."""
        for kind, picture in self._pictures():
            yield kind, self.live[kind], picture.figure()

    def stem(self):
        """Return the name of what is shown, for files."""
        words = f"{self.known.name}-{self.known.go}-{self.start.value}"
        words += f"-{self.changes.value}" if self.start.value == NEAR else ""
        return "".join(c if c.isalnum() or c in "-." else "-" for c in words)

    @property
    def about(self):
        """Where what is shown comes from, for the stamp."""
        meta = self.known.histogram.meta if hasattr(self.known.histogram, "meta") else None
        return {"program": self.known.name} | ({} if meta is None else {"file": meta.origin})

    def code(self):
        """Return the lines of Python that make what is shown."""
        known, start = self.known, self.start.value
        given = isinstance(known.source, str | Path)
        made = {
            GO: f"sc.go_table({known.go!r})",
            BEST: f"sc.optimal(histogram, go={known.go!r})",
            NEAR: f"sc.optimal_near(histogram, {self.changes.value}, go={known.go!r})",
            OWN: f"sc.SizeClassTable({self.table.pairs!r}, 'own table')",
        }
        return "\n".join(
            [
                "import mheaplab as mh", "", "sc = mh.sizeclasses",
                f"histogram = mh.read_histogram({str(known.source)!r})" if given else "histogram = ...  # yours",
                f"table = {made.get(start) or f'sc.OTHERS[{start!r}]({known.go!r})'}",
                f"print(sc.evaluate(table, histogram, {known.go!r}).causes)",
                f"mh.figures.class_waste(histogram, table, go={known.go!r}, theme={self.theme!r}, name={known.name!r})",
            ]
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ following

    def _show(self, program, go, start, changes, sizes):
        """Draw what the controls mean: a draft if a boundary has moved, else all of it."""
        exactly, self._exactly = self._exactly, False
        chosen = (program, go, start, changes if start == NEAR else None)
        if chosen != self._chosen:
            self._choose(chosen)
            self._tell_handles()
            self._draw_all()
        elif list(sizes) != self._sizes():
            self._take_own(sizes)
            self.live["classes"].sketch(self._classes_picture(), self.brush)
            self._say()
            self.settle.ask()
        elif exactly or changes != self._drawn_changes:
            # Else it is the controls' own echo: what they were set to here.
            self._draw_all()

    def _take_own(self, sizes):
        """Make the table that the handles mean."""
        go = self.go.value
        self.table = sc.table_of(sizes, go, self.table)
        self.found = evaluate_demand(self.table, self.known.demand, go)
        self._chosen = (self.program.value, go, OWN, None)
        self.start.value = OWN
        if list(sizes) != self._sizes():
            self._tell_handles()

    def _settled(self):
        """Draw everything, as no boundary has moved for a while."""
        self._exactly = True
        self._changed(None)

    def _draw_all(self):
        """Redraw every figure in place, and all that is said."""
        self.settle.cancel()
        self.save_row.rename()
        self._drawn_changes = self.changes.value
        for kind, picture in self._pictures():
            self.live[kind].redraw(picture, picture.facts())
        self._say()
        self._offer()

    def _selected(self, _change):
        """Show the class whose handle was touched."""
        self.size.value = self.handles.selected
        self._say_class()

    def _typed(self, change):
        """Move the selected boundary to the size that was typed."""
        if change["new"] == self.handles.selected:
            return
        try:
            sizes = sc.moved(self.table, self.handles.selected, change["new"], self.go.value).sizes[1:].tolist()
        except ValueError as err:
            self.show_error(err)
            return
        self.handles.selected, self.handles.value = change["new"], sizes

    def _add(self, _button):
        """Add a class halfway between the selected one and the one before."""
        sizes = self._sizes()
        at = sizes.index(self.handles.selected)
        between = [s for s in self.handles.legal if (sizes[at - 1] if at else 0) < s < sizes[at]]
        if not between:
            above = slot_text(sizes[at - 1]) if at else "nothing"
            words = f"no class fits below {slot_text(sizes[at])}: above {above} there is no other size that"
            self.show_error(ValueError(f"{words} {self.go.value} can have; select another class"))
            return
        size = between[len(between) // 2]
        self.handles.value = sorted([*sizes, size])
        self.handles.selected = size

    def _remove(self, _button):
        """Take the selected class out."""
        try:
            table = sc.without_class(self.table, self.handles.selected, self.go.value)
        except ValueError as err:
            self.show_error(err)
            return
        before = max(s for s in self._sizes() if s < self.handles.selected)
        self.handles.value = table.sizes[1:].tolist()
        self.handles.selected = before

    # ------------------------------------------------------------------------------------------ what is said

    def _say(self):
        """Fill the lines of numbers."""
        go, base = self.known.near_found[0], self.found.requested
        wrong = self.table.why_not(self.go.value)
        saved, go_words = go.waste - self.found.waste, self.go.value.replace("go", "Go ")
        parts = [
            f"<b>waste</b> {percent(self.found.share)}, {bytes_text(self.found.waste)}",
            f"<b>Go's table</b> {percent(go.share)}",
            f"<b>{'saved' if saved >= 0 else 'lost'}</b> {bytes_text(abs(saved))}, {percent(abs(saved) / base)}",
            f"<b>classes</b> {len(self.table) - 1}",
            html.escape(f"{go_words} cannot run with it: {wrong}" if wrong else f"{go_words} can run with it"),
        ]
        self.status.value = f"<span style='font-variant-numeric:tabular-nums'>{' &ensp; '.join(parts)}</span>"
        self._say_class()

    def _offer(self):
        """Make the file and the code of what is shown."""
        self.source.reason = self.table.why_not(self.go.value)
        self.source.text = "" if self.source.reason else sc.to_go(self.table, self.go.value)
        self.code_box.code = self.code()

    def _say_class(self):
        """Say what the selected class holds."""
        k = self.table.class_of(self.handles.selected)
        if not k or self.table.sizes[k] != self.handles.selected:
            return
        row = {name: float(column[k]) for name, column in self.found.by_class.items()}
        waste = sum(row[cause] for cause in sc.CAUSES)
        self.chosen.value = (
            f"class {k}: {plural(int(self.table.npages[k]), 'page')}, {plural(int(self.table.objects[k]), 'object')}"
            f" to a span; holds {plural(row['objects'], 'object')} of this program, waste {bytes_text(waste)}"
        )


def _legal_up(sizes, go):
    """Return sizes with those that a Go version cannot have moved up to ones that it can."""
    legal = sc.legal_sizes(go)
    return sorted({int(legal[legal.searchsorted(size)]) for size in sizes})


def class_explorer(programs, go="go1.19", *, theme=None, folder="exports"):
    """Return a widget that shows what tables of size classes cost programs, with boundaries that can be dragged.

    Parameters
    ----------
    programs : dict of str to Histogram or path
        Programs by name: what ``mheaplab.read_histogram`` opens, or a histogram.
    go : str
        Where to begin: "go1.19" or "go1.27".
    theme : {"light", "dark"}, optional
    folder : str or os.PathLike
        Where the export button writes.

    Returns
    -------
    ClassExplorer
        An ipywidgets box.

    Raises
    ------
    FormatError
        If a file cannot be read.
    ValueError
        If there is no program, or no such Go version.
    """
    if not programs:
        raise ValueError("programs: expected at least one, by name")
    if go not in GO_VERSIONS:
        raise ValueError(f"go = {go!r} is outside its legal range: one of {', '.join(GO_VERSIONS)}")
    return ClassExplorer(programs, go, (theme, Path(folder)))
