"""run_one: one run, from a few hundred bytes that say what to do to one flat row of numbers.

The row has what the run was (input, seed, every parameter), what came out (``metrics.summary``), and how long it took.
All but these ``TIMES`` are the same wherever and whenever it runs.  A run that fails is a row too: the reason stands in
``error``, and ``lasting`` says whether it would fail again.
"""

import dataclasses
import json
import time
from dataclasses import dataclass

from .. import workloads
from ..errors import GoThrow, InvariantError
from ..metrics import METRICS, summary
from ..params import HeapParams
from ..simulate import simulate
from .inputs import Input, open_input
from .keys import code_stamp

PARAMETERS = tuple(field.name for field in dataclasses.fields(HeapParams))
MEASURED = tuple(metric.name for metric in METRICS)
TIMES = ("seconds", "cpu_seconds")
"""What a run took, by the clock and of a processor."""
LASTING = (ValueError, GoThrow, InvariantError)
"""Errors that the run itself is the reason of."""
MOST_LETTERS = 500
WARM_SCENARIO = "tree-builder"


class OtherCodeError(RuntimeError):
    """A worker has another mheaplab, kernel or numpy than the one who asks: its numbers could differ."""


@dataclass(frozen=True)
class Run:
    """One run of a study, as workers get it.

    Attributes
    ----------
    key : str
        See ``keys.run_key``.
    source : Input
    params : HeapParams
    replication, seed, samples : int
    scale : float
    code : str
        ``keys.code_stamp()`` of who asks.
    """

    key: str
    source: Input
    params: HeapParams
    replication: int
    seed: int
    samples: int
    scale: float
    code: str


def run_one(run):
    """Do a run and return its row.

    Raises
    ------
    OtherCodeError
        If this process has other code than who asked.
    """
    if run.code != code_stamp():
        raise OtherCodeError(f"a worker has code {code_stamp()}, the study {run.code}: install the same everywhere")
    begin, busy = time.perf_counter(), time.thread_time()
    try:
        result = simulate(open_input(run.source, run.seed, run.scale), run.params, samples=run.samples, seed=run.seed)
        if not result.complete:
            raise InterruptedError("was interrupted")
    except Exception as err:  # whatever it is, it is this run's and must not stop the others
        took = {"seconds": time.perf_counter() - begin, "cpu_seconds": time.thread_time() - busy}
        return failed_row(run, f"{type(err).__name__}: {err}", isinstance(err, LASTING)) | took
    facts = {
        "events": result.provenance["events_done"],
        "simulated_seconds": result.provenance["simulated_seconds"],
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.thread_time() - busy,
        "error": "",
        "lasting": True,
    }
    return _about(run, result.params) | {name: float(v) for name, v in summary(result).items()} | facts


def failed_row(run, reason, lasting):
    """Return the row of a run that failed."""
    reason = " ".join(reason.split())[:MOST_LETTERS]
    facts = {"events": 0, "simulated_seconds": 0.0} | dict.fromkeys(TIMES, 0.0) | {"error": reason, "lasting": lasting}
    return _about(run, run.params) | dict.fromkeys(MEASURED) | facts


def _about(run, params):
    """Return what a row says of the run itself."""
    values = {name: getattr(params, name) for name in PARAMETERS}
    texts = {name: json.dumps(v) for name, v in values.items() if isinstance(v, tuple)}
    return {
        "key": run.key,
        "trace": run.source.name,
        "address": run.source.address,
        "fingerprint": run.source.fingerprint,
        "replication": run.replication,
        "seed": run.seed,
        "scale": run.scale,
        "samples": run.samples,
        "code": run.code,
    } | (values | texts)


def warm():
    """Have the kernel's code ready: compiled, if it is not in the cache yet, and loaded."""
    simulate(workloads.load(WARM_SCENARIO, scale=0.001))
