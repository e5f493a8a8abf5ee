"""mheaplab: a twin of the Go heap that one can put questions to.

>>> import mheaplab as mh
>>> case = mh.load_case("data/cases/go119-gzip")        # doctest: +SKIP
>>> pred = mh.replay(case)                               # doctest: +SKIP
>>> print(mh.compare(pred, case.truth))                  # doctest: +SKIP
"""

import importlib

from . import sizeclasses, steps, workloads
from .case import Case, load_case
from .compare import Agreement, compare
from .data import data_path
from .errors import FormatError, GoError, GoThrow, InvariantError
from .go_snapshots import go_snapshots
from .heap import Heap
from .histograms import Histogram, read_histogram
from .metrics import METRICS, summary
from .params import HeapParams
from .programs import read_program
from .recording import Recording, close_recording
from .recording_case import recording_case, recording_trace
from .replay import Prediction, replay, snapshots
from .results import Result, load_result
from .simulate import simulate
from .snapshot import Snapshot
from .spans import Span
from .table_runs import TableRun, simulate_table
from .traces import Trace, read_trace, write_trace

__version__ = "0.1.0"

__all__ = [
    "Agreement",
    "Case",
    "FormatError",
    "GoError",
    "GoThrow",
    "Heap",
    "HeapParams",
    "Histogram",
    "InvariantError",
    "METRICS",
    "Prediction",
    "Recording",
    "Result",
    "Snapshot",
    "Span",
    "TableRun",
    "Trace",
    "close_recording",
    "compare",
    "data_path",
    "figures",
    "go_snapshots",
    "load_case",
    "load_result",
    "read_histogram",
    "read_program",
    "read_trace",
    "recording_case",
    "recording_trace",
    "replay",
    "simulate",
    "simulate_table",
    "sizeclasses",
    "snapshots",
    "steps",
    "studies",
    "summary",
    "widgets",
    "workloads",
    "write_trace",
]


def __getattr__(name):
    """Import ``figures``, ``studies`` and ``widgets`` when first used: without them ``import mheaplab`` is quicker."""
    if name in ("figures", "studies", "widgets"):
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
