"""Workloads: made-up programs as seeded streams of events.

>>> mh.workloads.names()                                     # doctest: +SKIP
['batch-job', 'cache-fill-empty', ...]
>>> trace = mh.workloads.load("json-service", seed=1)       # doctest: +SKIP
"""

from .expectation import check_expectation
from .lifetimes import (
    Between,
    Blend,
    Exponential,
    Generational,
    Groups,
    Held,
    Immortal,
    LifePart,
    Pareto,
    UntilPhaseEnds,
)
from .scenarios import load, names, read
from .sizes import Fixed, Histogram, LogNormal, Mixture, SizePart, Uniform
from .workload import Phase, Stream, Workload
