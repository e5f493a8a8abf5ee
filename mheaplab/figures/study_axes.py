"""What figures of a study share: rows grouped into sets of parameters, and the axes of parameters and metrics.

A parameter with few values has one place per value, all equally far apart, so that "off" and "64 MiB" stand beside
numbers, and a line through GOGC 25, 50, ..., 800 is not squeezed to the left.  With more values it is a number, and on
a logarithmic axis if the study drew it so.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..metrics import METRICS, metric
from ..params import HeapParams
from .export import digest
from .runs import gogc_text, value_text
from .units import bytes_axis, count_text, plural, time_axis

FEW = 12
"""Values up to which each has a place of its own."""
NICE_TICKS = 7
FIELDS = {field.name: field for field in dataclasses.fields(HeapParams)}
UNITS = ("_bytes", "_percent", "_pages", "_ns")
"""Ends of names that say the unit, which an axis says itself."""


@dataclass(frozen=True)
class Axis:
    """A parameter or a metric along an axis.

    Attributes
    ----------
    title : str
        With the unit.
    places : numpy.ndarray
        Where each row stands.
    ticks, texts : list
        Where there are words, and which; empty for a plain number.
    """

    title: str
    places: np.ndarray
    ticks: list
    texts: list

    def layout(self):
        """Return the layout of the axis."""
        found = {"title": {"text": self.title}}
        if self.ticks:
            room = 0.06 * max(self.ticks[-1] - self.ticks[0], 1)
            found |= {"tickvals": self.ticks, "ticktext": self.texts}
            found["range"] = [self.ticks[0] - room, self.ticks[-1] + room]
        return found


def knob_title(name):
    """Return what a parameter is called."""
    if name == "gogc":
        return "GOGC"
    for unit in UNITS:
        name = name.removesuffix(unit)
    return name.replace("_", " ")


def knob_text(name, value):
    """Return a value of a parameter in words."""
    if name == "gogc":
        return gogc_text(value)
    return (
        count_text(value)
        if isinstance(value, int) and value >= 10_000 and not _bytes(name)
        else value_text(name, value)
    )


def sentence(words):
    """Return words with a capital at the beginning, as a title has."""
    return words[:1].upper() + words[1:]


def _bytes(name):
    return name.endswith("_bytes") or name == "memory_limit"


def _order(name, values):
    """Return different values in the order of an axis: numbers by size, GOGC off last."""
    return sorted(values, key=lambda v: (v == -1 and name == "gogc", v))


def knob_values(study, name):
    """Return a parameter's different values, in order."""
    return _order(name, set(study.column(name).tolist()))


def knob_axis(study, name, values):
    """Return the axis of a parameter for rows that have ``values``."""
    different = knob_values(study, name)
    unit = FIELDS[name].metadata["unit"] if name in FIELDS and not _bytes(name) else ""
    title = f"{knob_title(name)}, {unit}" if unit else knob_title(name)
    if len(different) <= FEW or isinstance(different[0], str):
        place = {value: k for k, value in enumerate(different)}
        places = np.array([place[v] for v in values], float)
        step = max(1, -(-len(different) // FEW))
        shown = different[::step]
        return Axis(title, places, [place[v] for v in shown], [knob_text(name, v) for v in shown])
    space = study.about["space"].get(name)
    log = isinstance(space, dict) and space.get("log")
    to = np.log2 if log else np.asarray
    low, high = float(different[0]), float(different[-1])
    even = np.linspace(to(low), to(high), NICE_TICKS)
    texts = [knob_text(name, _rounded(2**v if log else v, type(different[0]))) for v in even]
    return Axis(title, to(np.asarray(values, float)), even.tolist(), texts)


def _rounded(value, kind):
    """Return a number with three figures, as a parameter of that kind has it."""
    return round(float(f"{value:.3g}")) if kind is int else float(f"{value:.3g}")


def metric_axis(name, values):
    """Return the axis of a metric for rows that have ``values``."""
    found = metric(name)
    values = np.asarray(values, float)
    largest = float(np.nanmax(values, initial=0))
    if found.unit == "bytes":
        divisor, unit = bytes_axis(largest)
    elif found.unit == "ns":
        divisor, unit = time_axis(largest)
    elif found.unit == "share":
        divisor, unit = 0.01, "percent"
    else:
        divisor, unit = 1, found.unit
    return Axis(f"{found.label}, {unit}" if unit else found.label, values / divisor, [], [])


def traces_of(study):
    """Return the names of the traces, in the order of the plan."""
    return list(dict.fromkeys(study.column("trace").tolist()))


def first_trace(study):
    """Return the name of the first trace; a ``ValueError`` says so if there is no row to draw."""
    names = traces_of(study)
    if not names:
        raise ValueError("study: no run has ended without an error, so there is nothing to draw")
    return names[0]


@dataclass(frozen=True)
class Sets:
    """Rows of a study grouped by some columns, each metric being the mean of its rows.

    Attributes
    ----------
    columns : dict of str to list
        The columns that a group shares.
    rows : numpy.ndarray of int64
        Rows in each group.
    """

    columns: dict
    rows: np.ndarray
    _inverse: np.ndarray
    _study: object

    def mean(self, name):
        """Return the mean of a metric in each group."""
        return np.bincount(self._inverse, self._study.column(name), len(self.rows)) / self.rows

    def words(self, k, names=None):
        """Return what the rows of group ``k`` share, in words."""
        chosen = names or [name for name in self.columns if name != "trace"]
        return ", ".join(f"{knob_title(n)} {knob_text(n, self.columns[n][k])}" for n in chosen)


def grouped(study, names, trace=None):
    """Return the rows of a study grouped by ``names``; of one trace only, if it is given.

    Raises
    ------
    ValueError
        If there are no rows, or there is no such trace.
    """
    first_trace(study)
    if trace is not None:
        study = OfTrace(study, trace)
    n = len(study.column("trace"))
    code = np.zeros(n, np.int64)
    for name in names:
        values, inverse = np.unique(study.column(name), return_inverse=True)
        code = code * len(values) + inverse
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    columns = {name: study.column(name)[first].tolist() for name in names}
    return Sets(columns, np.bincount(inverse), inverse, study)


class OfTrace:
    """The rows of a study that are of one trace."""

    def __init__(self, study, trace):
        if trace not in traces_of(study):
            raise ValueError(f"trace = {trace!r} is outside its legal range: one of {', '.join(traces_of(study))}")
        self._study, self._rows = study, study.column("trace") == trace
        self.about, self.knobs, self.planned = study.about, study.knobs, study.planned

    def column(self, name):
        """Return a column of the rows that did not fail."""
        return self._study.column(name)[self._rows]


def checked_names(study, names, what):
    """Return ``names`` if each is a parameter that was varied, a metric, or "trace", as ``what`` allows."""
    legal = {"knob": [*study.knobs, "trace"], "metric": [m.name for m in METRICS]}[what]
    for name in names:
        if name not in legal:
            raise ValueError(f"{what} = {name!r} is outside its legal range: one of {', '.join(legal)}")
    return names


def study_words(study, *more):
    """Return the line under a title: how runs were chosen, how many of how many, and what else there is to say."""
    done, failed = len(study), len(study.failures)
    all_of = f"exact: all {plural(done, 'run')}"
    so_far = f"so far: {count_text(done)} of {plural(study.planned, 'run')}"
    words = [f"{study.about['method']}, {all_of if study.complete else so_far}"]
    return " · ".join([*words, *([f"{count_text(failed)} failed"] if failed else []), *more])


def study_facts(figure, study, **more):
    """Return what a figure of a study is stamped with."""
    kept = {name: study.about[name] for name in ("code", "method", "space", "seed", "replications", "params")}
    kept["go"] = ", ".join(sorted(set(study.column("go").tolist())))
    kept["traces"] = [{"name": t["name"], "fingerprint": t["fingerprint"]} for t in study.about["traces"]]
    keys = np.sort(np.array(study.table.column("key").to_pylist(), "S64"))
    return {"figure": figure, **more, **kept, "runs": len(study), "sha256": digest(keys)}
