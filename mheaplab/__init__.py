"""mheaplab: a twin of the Go heap that one can put questions to.

>>> import mheaplab as mh
>>> case = mh.load_case("data/cases/go119-gzip")        # doctest: +SKIP
>>> pred = mh.replay(case)                               # doctest: +SKIP
>>> print(mh.compare(pred, case.truth))                  # doctest: +SKIP
"""

from .case import Case, load_case
from .compare import Agreement, compare
from .errors import FormatError, GoThrow, InvariantError
from .params import HeapParams
from .replay import Prediction, replay, snapshots
from .snapshot import Snapshot

__version__ = "0.1.0"

__all__ = [
    "Agreement",
    "Case",
    "FormatError",
    "GoThrow",
    "HeapParams",
    "InvariantError",
    "Prediction",
    "Snapshot",
    "compare",
    "load_case",
    "replay",
    "snapshots",
]
