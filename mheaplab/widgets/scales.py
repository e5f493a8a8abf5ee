"""Which values of a parameter a control offers: all that are legal if they are few, else steps that make sense.

Legal ranges are wide, often a factor of millions; what is worth trying is not.  A slider has some twenty stops then, in
steps of a fifth to a double; a value of somebody's own is put between them.
"""

import numbers

from ..figures.runs import gogc_text, value_text
from ..pacer_params import NO_LIMIT
from ..param_fields import MIB, Between

FEW = 200
"""Whole numbers up to which every value has a place on a slider."""
DECADES = 2
"""Powers of ten on either side of the default that a slider covers."""
STEPS = (1, 2, 5)
STOPS = {
    "gogc": (10, 15, 20, 25, 30, 40, 50, 60, 75, 100, 125, 150, 200, 250, 300, 400, 500, 600, 800, -1),
    "memory_limit": (*(m * MIB for k in range(3, 12) for m in (1 << k, 3 << (k - 1))), NO_LIMIT),
    "background_sweep_per_ms": (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0),
    "procs": (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64),
    "idle_share": tuple(k / 20 for k in range(21)),
    "scan_share": tuple(k / 20 for k in range(21)),
    "grow_early_percent": tuple(range(50, 101, 5)),
}
"""Stops of parameters for which the rule below finds none that are good."""
LABELS = {
    "go": "Go version",
    "gogc": "GOGC",
    "memory_limit": "memory limit",
    "procs": "Ps (GOMAXPROCS)",
    "arena_bytes": "arena",
    "huge_page_bytes": "huge page",
    "page_placement": "placement",
    "page_cache_pages": "page cache",
    "grow_early_percent": "grow early at",
    "size_classes": "size classes",
    "background_sweep_per_ms": "background sweep",
    "sweep_span_ns": "sweep of a span",
    "scan_byte_ns": "scan of a byte",
    "mark_wait_us": "marking waits",
    "idle_share": "idle",
}


def label_of(name):
    """Return what a control of a parameter is called."""
    return LABELS.get(name, name.replace("_", " "))


def words_of(field, value):
    """Return a value of a parameter in words, with its unit."""
    if field.name == "gogc":
        return gogc_text(value) if value < 0 else f"{gogc_text(value)}%"
    if field.name == "memory_limit" and value == NO_LIMIT:
        return "none"
    if field.name == "procs" and value == 0:
        return "as the trace"
    if field.name == "go":
        return value.replace("go", "Go ")
    unit = field.metadata["unit"]
    if value == 0 and unit in ("bytes", "pages"):
        return "none"
    if unit == "percent":
        return f"{value}%"
    words = value_text(field.name, value)
    return words if unit in ("", "bytes") or isinstance(value, bool) else f"{words} {unit}"


def stops_of(field, value):
    """Return the values that a control of a parameter offers, in order, ``value`` among them.

    Parameters
    ----------
    field : dataclasses.Field
        Of ``HeapParams``.
    value : object
        A legal value.

    Raises
    ------
    ValueError
        If the parameter has no values that a control could offer.
    """
    stops = _stops(field)
    if value in stops:
        return stops
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        last = tuple(v for v in stops if field.name == "gogc" and v < 0)
        return tuple(sorted({*stops, value} - set(last))) + last
    return (*stops, value)


def _stops(field):
    """Return the values without somebody's own."""
    legal = field.metadata["legal"]
    if field.name in STOPS:
        return tuple(v for v in STOPS[field.name] if v in legal)
    if field.name == "size_classes":
        return ("go", "pow2")
    if isinstance(legal, tuple):
        return legal
    if isinstance(legal, range) and len(legal) <= FEW:
        return tuple(legal)
    if isinstance(legal, range | Between):
        return _around(field, legal)
    raise ValueError(f"controls = {field.name!r} is outside its legal range: it has no values to choose from")


def _around(field, legal):
    """Return steps of 1, 2, 5 around the default, as far as they are legal, and 0."""
    middle = field.default or 1
    decade = 10.0 ** len(f"{int(middle)}") / 10
    whole = isinstance(legal, range) or legal.kind is numbers.Integral
    found = {step * decade * 10.0**k for k in range(-DECADES, DECADES + 1) for step in STEPS} | {0.0, float(middle)}
    values = {int(v) if whole else float(f"{v:.6g}") for v in found}
    return tuple(sorted(v for v in values if v in legal))
