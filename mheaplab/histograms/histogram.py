"""Histogram: how many objects of which size, and how far that is known.

What Go users have at hand tells sizes in three ways, and ``meta.sizes`` says which it was:

``requested``
    bytes that the program asked for, as traces and recordings have them;
``slot``
    bytes of the slot that the object got: its size class, whole pages for objects above 32 KiB.  The request is from
    ``lower`` to the slot's size; objects stand at the slot's size.  Since Go 1.22 the slot of an object with pointers
    above 512 bytes also holds a header of 8 bytes;
``average``
    bytes divided by objects, where a profile has lost the sizes themselves.

A source may know of objects without knowing their sizes: those are ``meta.uncounted``, and appear nowhere else.
"""

import csv
import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..runtime.structs import MAX_SMALL_SIZE
from ..runtime.trace_events import MAX_OBJECT
from ..traces.sizes import MAX_COUNT, MAX_SIZES, count_alive, count_sizes, too_many
from ..whole_file import whole_file

WHAT = ("allocated", "in use")
SIZES = ("requested", "slot", "average")
UNKNOWN_WHAT = ""


class Meta(NamedTuple):
    """What is known of a histogram beside its numbers.

    ``origin`` is the file, ``kind`` what it is, ``what`` "allocated", "in use" or "" where nobody said, ``sizes`` one
    of the words at the top of this file, ``go`` the version if known.  ``rate`` is the bytes between two samples: 1 if
    every object was counted, more if counts are estimates, 0 if that is not known.  ``uncounted`` are objects whose
    sizes are not known and ``uncounted_bytes`` their bytes, None where the source does not say.
    """

    origin: str = ""
    kind: str = ""
    what: str = "allocated"
    sizes: str = "requested"
    go: str = ""
    rate: int = 1
    uncounted: int | None = 0
    uncounted_bytes: int | None = 0


@dataclass(frozen=True, eq=False, repr=False)
class Histogram:
    """Counts of objects by size in bytes; nothing in it can be changed.

    Parameters
    ----------
    sizes : array_like of int
        Bytes, rising, 1 to 2**47.
    counts : array_like of int
        Objects of each size, above 0, together at most 2**53.
    noscan : array_like of int, optional
        How many of them hold no pointers; left out where that is not known.
    lower : array_like of int, optional
        The fewest bytes that may have been requested; left out where sizes are as requested, or nothing is known.
    meta : Meta, optional

    Raises
    ------
    ValueError
        Naming the column and what is legal.

    Examples
    --------
    >>> h = Histogram([16, 48], [3, 1])
    >>> h.objects, h.bytes, h.by_size(limit=48)[16]
    (4, 96, np.int64(3))
    """

    sizes: np.ndarray
    counts: np.ndarray
    noscan: np.ndarray | None = None
    lower: np.ndarray | None = None
    meta: Meta = Meta()

    def __post_init__(self):
        sizes = _column("sizes", self.sizes, 1, MAX_OBJECT)
        columns = {"sizes": sizes, "counts": _column("counts", self.counts, 1, MAX_COUNT, len(sizes))}
        for name, least, most, above in (("noscan", 0, MAX_COUNT, "counts"), ("lower", 1, MAX_OBJECT, "sizes")):
            if getattr(self, name) is not None:
                columns[name] = _column(name, getattr(self, name), least, most, len(sizes))
                if np.any(columns[name] > columns[above]):
                    raise ValueError(f"{name}: expected no more than {above}")
        if len(sizes) > MAX_SIZES:
            raise ValueError(f"sizes: {len(sizes):,} of them, expected at most {MAX_SIZES:,}")
        if np.any(np.diff(sizes) <= 0):
            raise ValueError("sizes: expected each above the one before")
        if too_many(columns["counts"]):
            raise ValueError("counts: more than 2**53 together, expected what a program can allocate")
        _check_meta(self.meta)
        for name, column in columns.items():
            object.__setattr__(self, name, column)

    def __reduce__(self):
        return Histogram, (self.sizes, self.counts, self.noscan, self.lower, self.meta)

    @classmethod
    def of_trace(cls, trace, what="allocated"):
        """Return the histogram of a :class:`mheaplab.Trace`, reading it once.

        Parameters
        ----------
        trace : Trace
        what : {"allocated", "in use"}
            All objects, or those that are alive after the last event.
        """
        check_what(what)
        sizes, counts, noscan = (count_sizes if what == "allocated" else count_alive)(trace)
        meta = Meta(trace.meta["origin"] or trace.name, "trace", what, trace.meta["sizes"], trace.meta["go"])
        return cls(sizes, counts, noscan, meta=meta)

    def __len__(self):
        return len(self.sizes)

    def __eq__(self, other):
        if not isinstance(other, Histogram):
            return NotImplemented
        columns = ("sizes", "counts", "noscan", "lower")
        return self.meta == other.meta and all(_same(getattr(self, c), getattr(other, c)) for c in columns)

    __hash__ = None

    def __repr__(self):
        return f"<Histogram of {self.objects:,} objects of {len(self):,} sizes, {self.meta.kind or 'no source'}>"

    @property
    def objects(self):
        """Number of objects whose size is known."""
        return int(self.counts.sum())

    @property
    def bytes(self):
        """Bytes of these objects, as an int of any length."""
        return int(np.dot(self.sizes.astype(object), self.counts.astype(object))) if len(self) else 0

    @property
    def exact(self):
        """Whether these are all objects at the sizes that were requested: nothing rounded, sampled or left out."""
        return self.meta.sizes == "requested" and self.meta.rate == 1 and self.meta.uncounted == 0

    def by_size(self, limit=int(MAX_SMALL_SIZE)):
        """Return the counts of objects of 0, 1, ... ``limit`` bytes as an int64 array; larger ones are left out.

        Parameters
        ----------
        limit : int
            Bytes, 0 to 2**26; 32,768 is the largest small object.
        """
        return self._by_size(self.counts, limit)

    def noscan_by_size(self, limit=int(MAX_SMALL_SIZE)):
        """Return how many of the objects of 0, 1, ... ``limit`` bytes have no pointers, None if that is not known."""
        return None if self.noscan is None else self._by_size(self.noscan, limit)

    def _by_size(self, counts, limit):
        if not isinstance(limit, int | np.integer) or isinstance(limit, bool) or not 0 <= limit <= 1 << 26:
            raise ValueError(f"limit = {limit!r}: expected a whole number of bytes from 0 to {1 << 26}")
        table = np.zeros(limit + 1, np.int64)
        small = self.sizes <= limit
        table[self.sizes[small]] = counts[small]
        return table

    def __add__(self, other):
        """Return both together; what is known of one only is not known of the sum."""
        if not isinstance(other, Histogram):
            return NotImplemented
        meta = _joined_meta(self.meta, other.meta)
        sizes, place = np.unique(np.concatenate((self.sizes, other.sizes)), return_inverse=True)

        def total(a, b):
            found = np.zeros(len(sizes), np.int64)
            np.add.at(found, place, np.concatenate((a, b)))
            return found

        noscan = lower = None
        if self.noscan is not None and other.noscan is not None:
            noscan = total(self.noscan, other.noscan)
        if self.lower is not None and other.lower is not None:
            lower = sizes.copy()
            np.minimum.at(lower, place, np.concatenate((self.lower, other.lower)))
        return Histogram(sizes, total(self.counts, other.counts), noscan, lower, meta)

    def workload(self, lifetime, **options):
        """Return a :class:`mheaplab.workloads.Workload` that allocates such objects; see :func:`workload_of`."""
        from .demand import workload_of

        return workload_of(self, lifetime, **options)

    def to_csv(self, path):
        """Write size and count, and what else is known of them, as CSV; ``mh.read_histogram`` reads it again.

        The first column is called ``size``, ``slot`` or ``average``, by ``meta.sizes``.  Comment lines say the rest.
        """
        columns = {"size" if self.meta.sizes == "requested" else self.meta.sizes: self.sizes, "count": self.counts}
        columns |= {n: v for n, v in (("noscan", self.noscan), ("lower", self.lower)) if v is not None}
        out = io.StringIO()
        for name, value in self.meta._asdict().items():
            out.write(f"# {name}: {' '.join(str(value).split())}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        with whole_file(path) as file:
            file.write(out.getvalue().encode())


def check_what(what):
    """Refuse a word that is not in ``WHAT``."""
    if what not in WHAT:
        raise ValueError(f"what = {what!r}: expected one of {', '.join(map(repr, WHAT))}")


def _column(name, values, least, most, length=None):
    """Return ``values`` as an int64 column that cannot be written to."""
    found = np.asarray(values)
    if found.size == 0:
        found = found.astype(np.int64).reshape(-1)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        raise ValueError(f"{name}: {found.ndim} dimensions of {found.dtype}, expected a list of whole numbers")
    if length is not None and len(found) != length:
        raise ValueError(f"{name}: {len(found)} of them, expected {length} as of sizes")
    if len(found) and not (least <= int(found.min()) and int(found.max()) <= most):
        raise ValueError(f"{name}: {int(found.min())} to {int(found.max())}, expected {least} to {most}")
    found = found.astype(np.int64)
    found.flags.writeable = False
    return found


def _check_meta(meta):
    """Refuse a ``meta`` whose words or numbers are not legal."""
    if not isinstance(meta, Meta):
        raise ValueError(f"meta: a {type(meta).__name__}, expected a Meta")
    if meta.what not in (*WHAT, UNKNOWN_WHAT) or meta.sizes not in SIZES:
        raise ValueError(f"meta: what = {meta.what!r}, sizes = {meta.sizes!r}: expected {WHAT} and {SIZES}")
    for name in ("rate", "uncounted", "uncounted_bytes"):
        value = getattr(meta, name)
        if value is None and name != "rate":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"meta: {name} = {value!r}, expected a whole number, 0 or more")


def _joined_meta(a, b):
    """Return what is known of the sum of two histograms."""
    if (a.what, a.sizes) != (b.what, b.sizes):
        raise ValueError(
            f"cannot add objects {a.what or 'of a table'} by {a.sizes} size and objects {b.what or 'of a table'} by"
            f" {b.sizes} size"
        )

    def either(name):
        x, y = getattr(a, name), getattr(b, name)
        return x if x == y else ", ".join(filter(None, (x, y)))

    def total(name):
        x, y = getattr(a, name), getattr(b, name)
        return None if x is None or y is None else x + y

    rate = max(a.rate, b.rate) if a.rate and b.rate else 0
    return Meta(
        either("origin"), either("kind"), a.what, a.sizes, either("go"), rate,
        total("uncounted"), total("uncounted_bytes"),
    )  # fmt: skip


def _same(a, b):
    return a is b if a is None or b is None else np.array_equal(a, b)
