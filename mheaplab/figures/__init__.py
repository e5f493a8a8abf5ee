"""Figures: pure functions from a Snapshot or an Agreement to a plotly figure, and their export.

Nothing here runs a replay or knows widgets.  Reading order: ``units`` (numbers as text), ``theme`` (colours and
layout), ``heapmap``, ``occupancy``, ``agreement``, ``strips`` (rows of bits), ``span_bits``,
``arena_bits``, ``export``.
"""

import sys

from .agreement import agreement, heap_over_time
from .arena_bits import arena_bits
from .export import DRAWN, FORMATS, NoChromeError, close_renderer, export, numbers, provenance
from .heapmap import MapFrame, heap_map, map_frame
from .occupancy import occupancy, occupancy_table
from .span_bits import span_bits
from .theme import quiet_renderers

if "IPython" in sys.modules:  # plain figures can only be displayed there, and plotly's renderers are slow to import
    quiet_renderers()

__all__ = [
    "DRAWN",
    "FORMATS",
    "MapFrame",
    "NoChromeError",
    "agreement",
    "arena_bits",
    "close_renderer",
    "export",
    "heap_map",
    "heap_over_time",
    "map_frame",
    "numbers",
    "occupancy",
    "occupancy_table",
    "provenance",
    "span_bits",
]
