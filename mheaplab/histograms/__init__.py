"""Size histograms: how many objects of which size, from what Go users have.

Reading order: ``histogram`` (the type), ``readers`` (what opens), ``pprof`` on ``protobuf``, ``metrics_json`` and
``memstats_json`` on ``strict_json``, ``csv_table``; ``demand`` (a program from a histogram), ``facts`` (in words).
"""

from .facts import describe
from .histogram import Histogram, Meta
from .readers import read_histogram
