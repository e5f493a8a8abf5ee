"""Studies: thousands of runs, by the processes of one machine or by a Dask cluster, none of them lost or done twice.

>>> study = mh.studies.grid(["json-service"], {"gogc": [50, 100, 200]}, out="results/gogc")      # doctest: +SKIP
>>> study.table.to_pandas()                                                                      # doctest: +SKIP

Reading order: ``space`` (sets of parameters), ``keys`` (what makes a run the same run), ``locks``, ``inputs`` (what is
simulated), ``run_one`` (one run becomes one row), ``store`` (rows on disk), ``execute`` (runs to workers, rows back),
``session`` (both together), ``study`` (what one calls), ``search`` (Optuna), ``study_file`` (a study in TOML).
"""

from .search import search
from .space import Interval, grid_sets, latin_sets
from .store import DamagedFile
from .study import Plan, Study, grid, load, sample
from .study_file import run_file

__all__ = [
    "DamagedFile", "Interval", "Plan", "Study", "grid", "grid_sets", "latin_sets", "load", "run_file", "sample",
    "search",
]  # fmt: skip
