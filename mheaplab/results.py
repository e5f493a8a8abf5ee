"""Result: what a run of the twin's own leaves: samples, collections, histograms, snapshots, and where it comes from.

A result is plain arrays and dicts, so it outlives the heap that made it, travels between processes, and is saved as a
folder that other tools read too (Parquet, npz, JSON).  Figures are drawn from it; ``metrics`` sums it up.

The columns of ``samples`` and ``cycles`` are described in ``runtime/sim_structs.py``.
"""

import dataclasses
import platform
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import numba
import numpy as np

from . import result_files as files
from .errors import FormatError
from .params import HeapParams
from .result_files import CYCLE_TYPE, SAMPLE_TYPE
from .runtime.sim_structs import GC_PHASE_NAMES, HISTOGRAM, SWEEPERS, WHY_NAMES
from .runtime.structs import PAGE_SIZE

__all__ = [
    "CYCLE_TYPE", "GC_PHASE_NAMES", "HISTOGRAMS", "SAMPLE_TYPE", "SWEEPERS", "WHY_NAMES", "Result", "load_result",
    "provenance_of",
]  # fmt: skip

FORMAT = "mheaplab result 1"
HISTOGRAMS = ("swept_pages", "stall_ns")
"""What is counted in histograms by powers of two: pages an allocation swept, ns an allocation was held up."""
RUN_KEYS = {"format": str, "provenance": dict, "params": dict, "memstats": dict, "histograms": dict, "snapshots": list}
FACTS = {"trace": dict, "events_done": int, "events_total": int, "complete": bool}
"""What every provenance has, with its types, because figures say it."""


def provenance_of(params, seed, trace, run):
    """Return where a result comes from.

    Parameters
    ----------
    params : HeapParams
    seed : int
    trace : dict
        What the trace is: ``name``, ``sha256``, and what else it says of itself.
    run : dict
        How it went: ``events_done``, ``events_total``, ``complete``, ``simulated_seconds``, ``wall_seconds``.

    Returns
    -------
    dict
        Plain numbers, texts and dicts: JSON can hold it.
    """
    from . import __version__

    versions = {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
    facts = {"mheaplab": __version__, "go": params.go, "seed": int(seed), "trace": dict(trace)}
    return facts | run | {"versions": versions, "params": dataclasses.asdict(params)}


@dataclass(frozen=True)
class Result:
    """What a run left.

    Attributes
    ----------
    samples : numpy.ndarray, structured
        One row per sample, by rising ``event``; columns ``SAMPLE`` of ``runtime/sim_structs.py``.
    cycles : numpy.ndarray, structured
        One row per collection; columns ``CYCLE`` there.
    memstats : dict
        MemStats at the end.
    params : HeapParams
    provenance : dict
        Where it comes from: see :func:`provenance_of`.  Of a run that was interrupted, ``complete`` is False.
    snapshots : dict of int to Snapshot
        The heap after so many events, where that was asked for.
    histograms : dict of str to numpy.ndarray of int64
        ``swept_pages`` and ``stall_ns``: allocations by the pages they swept, by the ns they were held up.  Bin 0
        counts values of 0, bin k values from 2**(k-1) up to 2**k.
    """

    samples: np.ndarray = field(repr=False)
    cycles: np.ndarray = field(repr=False)
    memstats: dict = field(repr=False)
    params: HeapParams
    provenance: dict = field(repr=False)
    snapshots: dict = field(default_factory=dict, repr=False)
    histograms: dict = field(default_factory=dict, repr=False)

    @property
    def name(self):
        """What was simulated: the program, or else what the trace is called, without the folders of a path."""
        trace = self.provenance["trace"]
        return str(trace.get("program") or PurePath(trace.get("name") or "").name)

    @property
    def complete(self):
        """Whether the whole trace was simulated."""
        return self.provenance["complete"]

    def snapshot(self, at):
        """Return the heap after ``at`` events.

        Raises
        ------
        ValueError
            If no snapshot was taken there; the message names those there are.
        """
        if at not in self.snapshots:
            there = ", ".join(str(event) for event in sorted(self.snapshots)) or "none"
            raise ValueError(f"at = {at!r} is outside its legal range: one of the snapshots taken ({there})")
        return self.snapshots[at]

    def save(self, folder, *, overwrite=False):
        """Write the result as a folder: ``samples.parquet``, ``cycles.parquet``, ``snapshots.npz``, ``run.json``.

        The folder appears whole or not at all.

        Parameters
        ----------
        folder : str or os.PathLike
        overwrite : bool
            Whether a result that is there may be replaced.  It is deleted only when the new one is in its place.

        Returns
        -------
        pathlib.Path
            The folder.

        Raises
        ------
        ValueError
            If the folder exists, and ``overwrite`` is not set or it is no result.
        """
        folder = Path(folder)
        files.put_folder(folder, self._fill, overwrite)
        return folder

    def _fill(self, folder):
        files.write_table(folder / files.SAMPLES, self.samples)
        files.write_table(folder / files.CYCLES, self.cycles)
        files.write_snapshots(folder / files.SNAPSHOTS, self.snapshots)
        known = [
            {"event": int(event), "arena_bytes": int(s.arena_bytes), "memstats": s.memstats}
            for event, s in sorted(self.snapshots.items())
        ]
        run = {
            "format": FORMAT,
            "provenance": {key: value for key, value in self.provenance.items() if key != "params"},
            "params": dataclasses.asdict(self.params),
            "memstats": self.memstats,
            "histograms": {name: np.asarray(values).tolist() for name, values in self.histograms.items()},
            "snapshots": known,
        }
        files.write_run(folder / files.RUN, run)

    @classmethod
    def load(cls, folder):
        """Read a result that :meth:`save` wrote.

        Raises
        ------
        FormatError
            If a file is missing, truncated or not what it claims to be; the message names the file and the column.
        """
        folder = Path(folder)
        path = folder / files.RUN
        run = files.read_run(path, RUN_KEYS)
        if run["format"] != FORMAT:
            raise FormatError(f"{path}: 'format' is {run['format']!r}, expected {FORMAT!r}")
        params = _read_params(path, run["params"])
        facts = run["provenance"]
        for key, kind in FACTS.items():
            if not isinstance(facts.get(key), kind):
                raise FormatError(f"{path}: 'provenance' has no {key!r} of type {kind.__name__}")
        return cls(
            files.read_table(folder / files.SAMPLES, SAMPLE_TYPE),
            files.read_table(folder / files.CYCLES, CYCLE_TYPE),
            _read_memstats(path, run["memstats"]),
            params,
            facts | {"params": dataclasses.asdict(params)},
            files.read_snapshots(folder / files.SNAPSHOTS, _read_known(path, run["snapshots"])),
            _read_histograms(path, run["histograms"]),
        )


def load_result(folder):
    """Read a result from the folder that ``Result.save`` wrote.

    Parameters
    ----------
    folder : str or os.PathLike

    Returns
    -------
    Result

    Raises
    ------
    FormatError
        If a file is missing, truncated or not what it claims to be; the message names the file and the column.
    """
    return Result.load(folder)


def _read_params(path, values):
    """Return the parameters of a run, from what JSON made of them."""

    def tuples(value):
        return tuple(tuples(v) for v in value) if isinstance(value, list) else value

    try:
        return HeapParams(**{name: tuples(value) for name, value in values.items()})
    except (TypeError, ValueError, RecursionError) as err:
        raise FormatError(f"{path}: 'params': {err}") from err


def _read_memstats(path, values):
    """Return MemStats of a run: counts and bytes, and the list by size class."""
    for name, value in values.items():
        if name != "BySize" and not (type(value) is int and value >= 0):
            raise FormatError(f"{path}: 'memstats', {name!r}: {value!r} is no count")
    return values


def _read_known(path, snapshots):
    """Return what ``run.json`` says of the snapshots, checked."""
    page = int(PAGE_SIZE)
    for k, about in enumerate(snapshots):
        good = isinstance(about, dict) and set(about) == {"event", "arena_bytes", "memstats"}
        good = (
            good and isinstance(about["memstats"], dict) and type(about["event"]) is type(about["arena_bytes"]) is int
        )
        if not good or about["event"] < 0 or about["arena_bytes"] <= 0 or about["arena_bytes"] % page:
            raise FormatError(f"{path}: 'snapshots', entry {k}: expected event, arena_bytes and memstats")
    return snapshots


def _read_histograms(path, found):
    """Return the histograms of a run, from what JSON made of them."""
    for name in HISTOGRAMS:
        values = found.get(name)
        counts = isinstance(values, list) and len(values) <= HISTOGRAM
        if not counts or not all(type(v) is int and 0 <= v < 1 << 63 for v in values):
            raise FormatError(f"{path}: 'histograms', {name!r}: expected at most {HISTOGRAM} counts")
    return {name: np.array(found[name], np.int64) for name in HISTOGRAMS}
