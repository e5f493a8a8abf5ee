"""A table of sizes and counts as CSV: what one writes by hand, or gets from any other tool.

One row for each size, bytes and objects, commas between; the same size may come again and is added.  The first row may
name the columns: ``size`` (bytes requested), ``slot`` or ``average`` (see ``histogram``), then ``count``, and if known
``noscan`` (how many of them hold no pointers) and ``lower`` (fewest bytes that may have been requested), in any order.
Without names the columns are size and count.  Empty lines and lines that begin with ``#`` say nothing.
"""

import re
from array import array

import numpy as np

from ..errors import FormatError
from ..runtime.trace_events import MAX_OBJECT
from ..traces.sizes import MAX_COUNT, SizeCounts
from .histogram import UNKNOWN_WHAT, Histogram, Meta

KIND = "table of sizes (CSV)"
MAX_LINE = 4096
PIECE = 1 << 16
"""Rows that are added up at a time."""
FIRST = {"size": "requested", "slot": "slot", "average": "average"}
COLUMNS = (*FIRST, "count", "noscan", "lower")
BOM = b"\xef\xbb\xbf"
HEAD = re.compile(rb"\s*(#|\"?\d+\"?\s*,|\"?(size|slot|average|count|noscan|lower)\"?\s*,)", re.IGNORECASE)


def is_csv(path, head):
    """Return whether a file begins with a comment, a number or the name of a column, and a comma."""
    return HEAD.match(head.removeprefix(BOM)) is not None


def open_csv(path, what):
    """Return the histogram of the table at ``path``."""
    if what != "allocated":
        raise ValueError(f"what = {what!r}: a table does not say what its objects are, expected 'allocated'")
    try:
        with path.open("rb") as file:
            return read_csv(file, str(path))
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror or err})") from err


def read_csv(file, name):
    """Return the histogram of the table in ``file``, opened for bytes; messages call it ``name``."""
    columns, table, number = None, None, 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        where = f"{name}: line {number}"
        if len(line) > MAX_LINE:
            raise FormatError(f"{where}: over {MAX_LINE:,} bytes, expected size and count")
        if number == 1:
            line = line.removeprefix(BOM)
        line = line.strip()
        if not line or line.startswith(b"#"):
            continue
        cells = [_cell(cell) for cell in line.split(b",")]
        if columns is None:
            columns = ("size", "count") if cells[0].isdigit() else _names(cells, where)
            table = _Table(name, columns)
            if not cells[0].isdigit():
                continue
        table.add(cells, where)
    if table is None:
        raise FormatError(f"{name}: no rows, expected size and count")
    return table.histogram()


def _cell(cell):
    """Return a cell without spaces and quotes around it."""
    cell = cell.strip()
    return cell[1:-1].strip() if len(cell) > 1 and cell[:1] == cell[-1:] == b'"' else cell


def _names(cells, where):
    """Return the names of the columns."""
    names = tuple(cell.decode("ascii", "replace").lower() for cell in cells)
    for name in names:
        if name not in COLUMNS or names.count(name) > 1:
            raise FormatError(f"{where}: column {name[:40]!r}, expected size and count, and perhaps noscan and lower")
    if "count" not in names or sum(name in FIRST for name in names) != 1:
        raise FormatError(f"{where}: columns {', '.join(names)}, expected size and count")
    return names


class _Table:
    """Rows on their way to a histogram."""

    def __init__(self, name, columns):
        self.name, self.columns = name, columns
        self.first = next(column for column in columns if column in FIRST)
        self.limits = [MAX_OBJECT if c in FIRST or c == "lower" else MAX_COUNT for c in columns]
        self._cells = array("q")
        self._counts = SizeCounts(name)
        self._lower = {}

    def add(self, cells, where):
        """Take one row."""
        if len(cells) != len(self.columns):
            raise FormatError(f"{where}: {len(cells)} cells, expected {', '.join(self.columns)}")
        values = []
        for cell, column, most in zip(cells, self.columns, self.limits, strict=True):
            value = int(cell) if cell.isdigit() and len(cell) <= 20 else -1
            if not (0 if column in ("count", "noscan") else 1) <= value <= most:
                least = 0 if column in ("count", "noscan") else 1
                text = cell[:40].decode("utf-8", "replace")
                raise FormatError(f"{where}: {column} {text!r}, expected a whole number from {least} to {most}")
            values.append(value)
        self._check(dict(zip(self.columns, values, strict=True)), where)
        self._cells.extend(values)
        if len(self._cells) >= PIECE * len(self.columns):
            self._flush()

    def _check(self, row, where):
        size = row[self.first]
        if row.get("noscan", 0) > row["count"]:
            raise FormatError(f"{where}: {row['noscan']} of {row['count']} objects without pointers, expected no more")
        if "lower" in row:
            if row["lower"] > size:
                raise FormatError(f"{where}: lower {row['lower']}, expected at most the size, {size}")
            self._lower[size] = min(self._lower.get(size, size), row["lower"])

    def _flush(self):
        rows = np.array(self._cells, np.int64).reshape(-1, len(self.columns)).T
        row = dict(zip(self.columns, rows, strict=True))
        without = row.get("noscan", np.zeros_like(row["count"]))
        self._counts.add(row[self.first], row["count"] - without, 0)
        self._counts.add(row[self.first], without, 1)
        self._cells = array("q")

    def histogram(self):
        """Return what was added up."""
        self._flush()
        sizes, counts, noscan = self._counts.columns()
        lower = [self._lower[size] for size in sizes.tolist()] if "lower" in self.columns else None
        meta = Meta(self.name, KIND, UNKNOWN_WHAT, FIRST[self.first], rate=0)
        return Histogram(sizes, counts, noscan if "noscan" in self.columns else None, lower, meta)
