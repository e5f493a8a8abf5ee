"""Expectations: what a simulated run of a scenario must show, as data.

A statement is a dict.  It takes one number from the run and says in which range it must lie:

=================  ================================================================================================
``column``         a column of the run's samples, or of its cycles with ``"of": "cycles"``
``at``             which rows: "start", "end", "max", "min", "mean", "rise" (last less first), or
                   ``{"phase": n}``, the last sample before phase n ends
``over``           another column: the number is divided by that one, row by row
``than``           another ``at``: the number is divided by the one found there
``least, most``    the range, at least one of them
``why``            words for the reader
=================  ================================================================================================

and ``{"cycles_least": n}`` or ``{"cycles_most": n}`` bound the number of collections.

Statements about phases need a column ``phase`` in the samples; the sample at a phase's mark still belongs to the phase
that ends there, after whatever died with it.

``{"column": "free_slots", "over": "in_use", "at": "end", "least": 0.5}`` says that in the end at least half of the
bytes in use are free slots.
"""

import math

import numpy as np

KEYS = {"column", "of", "at", "over", "than", "least", "most", "why"}
COUNTS = {"cycles_least", "cycles_most"}
PLACES = ("start", "end", "max", "min", "mean", "rise")
TABLES = ("samples", "cycles")


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_place(value):
    if isinstance(value, dict):
        return set(value) == {"phase"} and isinstance(value["phase"], int) and 0 <= value["phase"] < 1 << 16
    return isinstance(value, str) and value in PLACES


def check_vocabulary(statement, where="expectation"):
    """Raise ``ValueError`` unless ``statement`` is one of the kinds above; ``where`` is what messages call it."""
    if COUNTS & set(statement):
        unknown = set(statement) - COUNTS - {"why"}
        for key in COUNTS & set(statement):
            if not isinstance(statement[key], int) or isinstance(statement[key], bool) or statement[key] < 0:
                raise ValueError(f"{where}.{key} = {statement[key]!r}: expected a whole number, 0 or more")
    else:
        unknown = set(statement) - KEYS
        _check_range(statement, where)
    if unknown:
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]!r}, expected {', '.join(sorted(KEYS | COUNTS))}")


def _check_range(statement, where):
    """Check the keys of a statement about a column."""
    for key in ("column", "over"):
        if (key == "column" or key in statement) and not isinstance(statement.get(key), str):
            raise ValueError(f"{where}.{key} = {statement.get(key)!r}: expected the name of a column")
    if statement.get("of", "samples") not in TABLES:
        raise ValueError(f"{where}.of = {statement['of']!r}: expected one of {', '.join(TABLES)}")
    for key in ("at", "than"):
        if (key == "at" or key in statement) and not _is_place(statement.get(key)):
            raise ValueError(
                f"{where}.{key} = {statement.get(key)!r}: expected one of {', '.join(PLACES)}, or {{'phase': n}}"
            )
    if not {"least", "most"} & set(statement):
        raise ValueError(f"{where}: neither least nor most, expected at least one of them")
    for key in ("least", "most"):
        if key in statement and not _is_number(statement[key]):
            raise ValueError(f"{where}.{key} = {statement[key]!r}: expected a number")


def _column(table, name):
    """Return column ``name`` of a structured array as floats."""
    if name not in (table.dtype.names or ()):
        raise ValueError(f"column {name!r}: not in the run, expected one of {', '.join(table.dtype.names or ())}")
    return table[name].astype(np.float64)


def _rows_of_phase(table, phase):
    """Return the rows of phase ``phase``."""
    rows = np.flatnonzero(_column(table, "phase") == phase)
    if not len(rows):
        raise ValueError(f"phase {phase}: no sample of the run lies in it")
    return rows


def _at(values, place, table):
    """Return the one number that ``place`` picks from ``values``, a column of ``table``."""
    if not len(values):
        raise ValueError(f"{place!r}: the run has no rows")
    if isinstance(place, dict):
        return values[_rows_of_phase(table, place["phase"])[-1]]
    if place in ("max", "min", "mean") and not np.isnan(values).all():
        # Before the first allocation a share of the heap is a share of nothing.
        values = values[~np.isnan(values)]
    picks = {
        "start": lambda v: v[0],
        "end": lambda v: v[-1],
        "max": np.max,
        "min": np.min,
        "mean": np.mean,
        "rise": lambda v: v[-1] - v[0],
    }
    return picks[place](values)


def measure(statement, samples, cycles):
    """Return the number that a statement about a column speaks of; nan where it divides 0 by 0.

    Raises
    ------
    ValueError
        If the run has no such column or rows.
    """
    table = cycles if statement.get("of") == "cycles" else samples
    values = _column(table, statement["column"])
    with np.errstate(divide="ignore", invalid="ignore"):
        if "over" in statement:
            values = values / _column(table, statement["over"])
        found = _at(values, statement["at"], table)
        if "than" in statement:
            found = np.float64(found) / _at(values, statement["than"], table)
    return float(found)


def check_expectation(expectation, samples, cycles):
    """Return what a run does not show that it must, one sentence each; nothing if it shows all.

    Parameters
    ----------
    expectation : sequence of dict
        Statements; see the top of this file.
    samples, cycles : numpy.ndarray
        Structured arrays of a run: a row per sample, a row per collection.

    Returns
    -------
    list of str
    """
    failed = []
    for i, statement in enumerate(expectation):
        check_vocabulary(statement, f"expectation[{i}]")
        if COUNTS & set(statement):
            found, name = len(cycles), "number of collections"
            bounds = (statement.get("cycles_least", 0), statement.get("cycles_most", math.inf))
        else:
            found, name = measure(statement, samples, cycles), _named(statement)
            bounds = (statement.get("least", -math.inf), statement.get("most", math.inf))
        if not bounds[0] <= found <= bounds[1]:
            why = f" ({statement['why']})" if "why" in statement else ""
            failed.append(f"expectation[{i}]: {name} is {found:.6g}, expected {bounds[0]:g} to {bounds[1]:g}{why}")
    return failed


def _named(statement):
    """Return in words what a statement measures."""
    words = statement["column"]
    if "over" in statement:
        words += f" / {statement['over']}"
    words += f" at {statement['at']}"
    return words + (f" beside {statement['than']}" if "than" in statement else "")
