"""Figures: pure functions from a Snapshot, a Result or an Agreement to a plotly figure, and their export.

Nothing here runs a replay or a simulation, or knows widgets.  Reading order: ``units`` (numbers as text), ``theme``
(colours and layout), the heap map's ``page_frame``, ``page_colors``, ``page_hover`` and ``heapmap``, ``occupancy``,
``agreement``, ``size_histogram``, ``class_waste``, ``table_waste``, ``strips`` (rows of bits), ``span_bits``,
``arena_bits``; of a run ``runs`` (axis, caption, thinning), ``memory``, ``cycles``, ``sweeping``, ``waste``,
``arenas``, ``comparison``, ``trace_agreement``; of a
study ``study_axes``, ``multiples``, ``pareto``, ``sensitivity``, ``parallel``; ``export``.

``set_theme("dark")`` is for all figures that are not told a theme.
"""

import sys

from .agreement import agreement, heap_over_time
from .arena_bits import arena_bits
from .arenas import arenas_figure
from .class_waste import class_waste
from .comparison import compare, comparison_table
from .cycles import cycles_figure
from .export import DRAWN, FORMATS, NoChromeError, close_renderer, export, numbers, provenance
from .heapmap import heap_map
from .memory import memory_over_time
from .multiples import multiples
from .occupancy import occupancy, occupancy_table
from .page_frame import MapFrame, map_frame
from .parallel import parallel
from .pareto import pareto
from .sensitivity import sensitivity
from .size_histogram import size_histogram, size_table
from .span_bits import span_bits
from .sweeping import sweep_figure
from .table_waste import table_waste, waste_by_changes
from .theme import quiet_renderers, set_theme
from .trace_agreement import trace_agreement
from .waste import fragmentation

if "IPython" in sys.modules:  # plain figures can only be displayed there, and plotly's renderers are slow to import
    quiet_renderers()

__all__ = [
    "DRAWN",
    "FORMATS",
    "MapFrame",
    "NoChromeError",
    "agreement",
    "arena_bits",
    "arenas_figure",
    "class_waste",
    "close_renderer",
    "compare",
    "comparison_table",
    "cycles_figure",
    "export",
    "fragmentation",
    "heap_map",
    "heap_over_time",
    "map_frame",
    "memory_over_time",
    "multiples",
    "numbers",
    "occupancy",
    "occupancy_table",
    "parallel",
    "pareto",
    "provenance",
    "set_theme",
    "sensitivity",
    "size_histogram",
    "size_table",
    "span_bits",
    "sweep_figure",
    "table_waste",
    "trace_agreement",
    "waste_by_changes",
]
