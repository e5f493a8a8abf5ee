"""study: what one calls: a grid or a sample of runs, and the table of what came of them.

Every trace runs with every set of parameters, and as often as there are replications where its events depend on a seed.
What is in the folder already is not done again: so the call that began a study is the call that goes on with it, after
whatever has ended it, and a larger one keeps what a smaller one has found.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..metrics import METRICS
from .inputs import look_at
from .keys import code_stamp, derived_seed, run_key
from .run_one import Run
from .session import Session
from .space import Interval, checked_seed, grid_sets, latin_sets, params_of, plain_value, table_name
from .store import read_study, table_of

MOST_REPLICATIONS = 10_000
MOST_SAMPLES = 1_000_000
SAMPLES = 500


@dataclass(frozen=True)
class Study:
    """What a study has found so far.

    Attributes
    ----------
    out : pathlib.Path
        Its folder.
    table : pyarrow.Table
        A row per run that has ended, in the order of the plan: what it was (``trace``, ``replication``, ``seed``, every
        parameter), every metric (``mheaplab.METRICS``; empty if it failed), ``seconds``, ``cpu_seconds``, and
        ``error``, the reason if it failed.  ``table.to_pandas()`` and ``polars.from_arrow(table)`` have it elsewhere.
    knobs : tuple of str
        The parameters that were varied.
    planned : int
        Runs that there will be.
    about : dict
        What ``study.json`` says: method, space, seed.
    """

    out: Path
    table: object = field(repr=False)
    knobs: tuple
    planned: int
    about: dict = field(repr=False)

    def __len__(self):
        return self.table.num_rows

    def __str__(self):
        words = [f"{len(self):,} of {self.planned:,} runs"]
        failed = len(self.failures)
        if failed:
            words.append(f"{failed:,} failed: {self.failures[0]['error']}")
        return f"{self.out}: {', '.join(words)}"

    @property
    def complete(self):
        """Whether all runs have ended."""
        return len(self) == self.planned

    @property
    def failures(self):
        """The rows of the runs that failed, as a list of dicts: ``trace``, the knobs, ``error``."""
        import pyarrow.compute as pc

        failed = self.table.filter(pc.not_equal(self.table.column("error"), ""))
        return failed.select(["trace", "replication", *self.knobs, "error"]).to_pylist()

    def column(self, name):
        """Return a column of the runs that did not fail, as an array.

        A table of size classes has the name that it had in the space.

        Raises
        ------
        ValueError
            If there is no such column.
        """
        import pyarrow.compute as pc

        if name not in self.table.column_names:
            known = ", ".join(self.table.column_names)
            raise ValueError(f"column = {name!r} is outside its legal range: one of {known}")
        good = self.table.filter(pc.equal(self.table.column("error"), ""))
        values = good.column(name).to_numpy()
        if name == "size_classes":
            names = self.about.get("tables", {})
            values = np.array([names.get(v, v) for v in values.tolist()], object)
        return values


def load(out):
    """Read a study from its folder, also while it is going on.

    Parameters
    ----------
    out : str or os.PathLike

    Returns
    -------
    Study

    Raises
    ------
    FormatError
        If there is no study.
    """
    import pyarrow as pa

    about, keys = read_study(out)
    table = table_of(out)
    place = {key: k for k, key in enumerate(keys)}
    found = table.column("key").to_pylist()
    rows = sorted((place[key], k) for k, key in enumerate(found) if key in place)
    table = table.take(pa.array([k for _, k in rows], pa.int64()))
    return Study(Path(out), table, tuple(about["space"]), len(keys), about)


@dataclass(frozen=True)
class Plan:
    """How runs are made of sets of parameters.

    Parameters
    ----------
    traces : sequence of str or os.PathLike
    params : HeapParams or None
    replications, seed, samples : int
    scale : float
    """

    traces: object
    params: object = None
    replications: int = 1
    seed: int = 0
    samples: int = SAMPLES
    scale: float = 1.0

    def __post_init__(self):
        traces = [self.traces] if isinstance(self.traces, str | Path) else list(self.traces)
        if not traces:
            raise ValueError("traces = []: expected at least one")
        for name, most in (("replications", MOST_REPLICATIONS), ("samples", MOST_SAMPLES)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
                raise ValueError(f"{name} = {value!r} is outside its legal range: 1 to {most:,}")
        scale = self.scale
        if not isinstance(scale, int | float) or isinstance(scale, bool) or not 1e-6 <= scale <= 1e9:
            raise ValueError(f"scale = {scale!r} is outside its legal range: 1e-06 to 1e+09")
        checked_seed(self.seed)
        object.__setattr__(self, "inputs", _distinct([look_at(trace) for trace in traces]))

    def runs(self, sets):
        """Return the runs of the sets of parameters, trace by trace, each run once."""
        found, code = {}, code_stamp()
        for source in self.inputs:
            scale = float(self.scale) if source.scaled else 1.0
            replications = self.replications if source.seeded else 1
            seeds = [derived_seed(self.seed, r) if source.seeded else 0 for r in range(replications)]
            for changes in sets:
                params = params_of(changes, self.params, source.go)
                for r, seed in enumerate(seeds):
                    key = run_key(source.fingerprint, seed, scale, params, self.samples, code)
                    found.setdefault(key, Run(key, source, params, r, seed, self.samples, scale, code))
        return list(found.values())

    def about(self, method, space, **more):
        """Return what ``study.json`` is to say."""
        tables = space.get("size_classes", ())
        names = {} if isinstance(tables, Interval) else {
            json.dumps(plain_value("size_classes", v)): table_name(v) or f"table {k + 1}"
            for k, v in enumerate(tables) if not isinstance(plain_value("size_classes", v), str)
        }  # fmt: skip
        return {
            "method": method,
            "space": {name: _space_words(name, values) for name, values in space.items()},
            "traces": [dataclasses.asdict(source) for source in self.inputs],
            "params": None if self.params is None else self.params.to_code(),
            "replications": self.replications,
            "seed": self.seed,
            "samples": self.samples,
            "scale": self.scale,
            "metrics": {m.name: m.unit for m in METRICS},
            "tables": names,
        } | more


def _distinct(inputs):
    """Return inputs with different names: those that share one get their address."""
    names = [source.name for source in inputs]
    return [dataclasses.replace(s, name=s.address) if names.count(s.name) > 1 else s for s in inputs]


def _space_words(name, values):
    """Return the values of a parameter as JSON can hold them."""
    if isinstance(values, Interval):
        return dataclasses.asdict(values)
    return [plain_value(name, value) for value in values]


def grid(traces, space, *, out, workers=None, client=None, threads=False, progress=None, **options):
    """Run every trace with every combination of parameters.

    Parameters
    ----------
    traces : sequence of str or os.PathLike
        Names of scenarios, paths or URLs of workloads and of traces.
    space : dict of str to sequence
        The values of each parameter of ``HeapParams``: ``{"gogc": [50, 100], "arena_bytes": ["4MiB", "64MiB"]}``.
    out : str or os.PathLike
        The study's folder.  What it has already is not done again.
    workers : int, optional
        Processes of this machine.  Default: one for each processor.
    client : dask.distributed.Client, optional
        Have the workers of a Dask cluster do the runs.
    threads : bool
        Use threads of this process instead of processes.
    progress : bool or callable, optional
        True: a bar on the terminal; or called as ``progress(done, total)``.
    **options
        ``params``: what the other parameters are, a ``HeapParams``; default: the profile of the trace's Go version, or
        of Go 1.19.  ``replications`` (1): runs with different seeds, where a trace depends on one.  ``seed`` (0): what
        these follow from.  ``samples`` (500): of each run.  ``scale`` (1.0): factor on the length of scenarios.

    Returns
    -------
    Study
        Not ``complete`` if Ctrl-C came; the same call goes on.

    Raises
    ------
    ValueError
        If an argument or a value is not legal, before any run.
    FormatError
        If a trace is not there or not what it claims to be, before any run.
    OSError
        If the folder cannot be written, as when the disk is full.  What is there stays.

    Examples
    --------
    >>> study = grid(["json-service"], {"gogc": [50, 100, 200]}, out="results/gogc")     # doctest: +SKIP
    """
    plan = Plan(traces, **options)
    runs, about = plan.runs(grid_sets(space)), plan.about("grid", space)
    return _done(out, about, runs, {"workers": workers, "client": client, "threads": threads, "progress": progress})


def sample(traces, space, n, *, out, workers=None, client=None, threads=False, progress=None, **options):
    """Run every trace with ``n`` sets of parameters that are spread evenly over ``space`` (a Latin hypercube).

    Parameters
    ----------
    traces
        See :func:`grid`.
    space : dict of str to sequence or Interval
    n : int
        Sets of parameters.
    out, workers, client, threads, progress, **options
        See :func:`grid`; the sets, too, follow from ``seed``.

    Returns
    -------
    Study
    """
    plan = Plan(traces, **options)
    runs = plan.runs(latin_sets(space, n, plan.seed))
    about = plan.about("latin hypercube", space, n=n)
    return _done(out, about, runs, {"workers": workers, "client": client, "threads": threads, "progress": progress})


def _done(out, about, runs, how):
    """Do the runs that are not there and return the study."""
    with Session(out, about, **how) as session:
        session.run(runs)
    return load(out)
