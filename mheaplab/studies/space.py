"""Space: the sets of parameters that a study tries.

A space is a dict: the name of a parameter of ``HeapParams`` and the values it may have, a list or an ``Interval``.
``grid_sets`` makes every combination of lists.  ``latin_sets`` makes as many sets as one asks for, spread evenly: each
parameter's values are cut into as many equal parts as there are sets, and every part is used once (McKay, Beckman and
Conover 1979); a list is such a range of equal parts too.

``HeapParams`` itself says what is legal.  Every set is made once before the first run, so a study does not find out in
its third hour that a value was none.
"""

import dataclasses
import itertools
import math
from dataclasses import dataclass

import numpy as np

from ..param_fields import read_value
from ..params import HeapParams
from ..prove_tables import RULES
from ..sizeclasses import SizeClassTable

FIELDS = {field.name: field for field in dataclasses.fields(HeapParams)}
NOT_VARIED = ("occupied",)
KNOWN = ", ".join(sorted(set(FIELDS) - set(NOT_VARIED)))
MOST_SETS = 1_000_000


@dataclass(frozen=True)
class Interval:
    """All values from ``low`` to ``high``, both included; for a parameter of whole numbers, those between.

    Parameters
    ----------
    low, high : float
    log : bool
        Whether factors count, not differences: 25 is as far from 50 as 200 from 400.

    Raises
    ------
    ValueError
        If there is nothing between, or ``log`` is set and ``low`` is not above 0.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.low, self.high))
        if not numbers or not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"Interval: low = {self.low!r}, high = {self.high!r}: expected numbers, low below high")
        if self.log and self.low <= 0:
            raise ValueError(f"Interval: low = {self.low!r}: expected more than 0, since log is set")

    def at(self, share):
        """Return the value that lies at ``share`` (0 to 1) of the way."""
        if self.log:
            return min(max(self.low * (self.high / self.low) ** share, self.low), self.high)
        return min(max(self.low + (self.high - self.low) * share, self.low), self.high)


def plain_value(name, value):
    """Return ``value`` in the type that parameter ``name`` has: texts read, numpy's numbers and tables made plain.

    Equal values become the same value, so that 50, 50.0 and "50" are one run and not three.
    """
    field = FIELDS[name]
    if name == "size_classes":
        return _table(value)
    if isinstance(value, str):
        try:
            value = read_value(field, value)
        except ValueError as err:
            raise ValueError(f"{name} = {value!r}: {err}") from err
    if isinstance(value, np.generic):
        value = value.item()
    default = field.default
    if isinstance(default, bool) or isinstance(value, bool):
        return bool(value) if isinstance(default, bool) and value in (0, 1) else value
    if isinstance(default, int) and isinstance(value, float) and value % 1 == 0:
        return int(value)
    return float(value) if isinstance(default, float) and isinstance(value, int) else value


def _table(value):
    """Return what ``HeapParams(size_classes=...)`` takes: "go", "pow2" or pairs."""
    if isinstance(value, SizeClassTable):
        return value.classes()
    if isinstance(value, str) and value in RULES and value not in ("go", "pow2"):
        return RULES[value]("go1.19").classes()
    if isinstance(value, list | tuple):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value


def table_name(value):
    """Return what a table of size classes is called: its name or the word for it; None if it has none."""
    if isinstance(value, SizeClassTable):
        return value.name
    return value if isinstance(value, str) else None


def checked_space(space, intervals):
    """Return ``space`` with plain values.

    Parameters
    ----------
    space : dict of str to sequence or Interval
    intervals : bool
        Whether an ``Interval`` is legal.

    Raises
    ------
    ValueError
        If a name is none of a parameter, there are no values, one is there twice, or one is not legal.
    """
    if not isinstance(space, dict):
        raise ValueError(f"space = {type(space).__name__}: expected a dict of parameters and their values")
    found = {}
    for name, values in space.items():
        if name not in FIELDS or name in NOT_VARIED:
            raise ValueError(f"space: {name!r} is no parameter that can be varied, expected one of {KNOWN}")
        if isinstance(values, Interval):
            if not intervals:
                raise ValueError(f"space: {name} = {values}: a grid needs a list of values")
            found[name] = values
            for end in (values.low, values.high):
                _legal(name, plain_value(name, _rounded(name, end)))
            continue
        if isinstance(values, str) or not hasattr(values, "__iter__"):
            raise ValueError(f"space: {name} = {values!r}: expected a list of values")
        found[name] = [_legal(name, plain_value(name, value)) for value in values]
        if not found[name]:
            raise ValueError(f"space: {name} = []: expected at least one value")
        if len({repr(v) for v in found[name]}) < len(found[name]):
            raise ValueError(f"space: {name}: a value is there more than once")
    return found


def _legal(name, value):
    """Return ``value`` if the parameter may have it; the table of a version is looked at with all others' values."""
    legal = FIELDS[name].metadata["legal"]
    if value not in legal:
        HeapParams(**{name: value})  # says what is wrong
    return value


def _rounded(name, value):
    """Return a value of an interval as the parameter has it: whole, if its values are."""
    default = FIELDS[name].default
    return round(value) if isinstance(default, int) and not isinstance(default, bool) else float(value)


def grid_sets(space):
    """Return every combination of the values of ``space`` as a list of dicts, the last parameter changing fastest.

    Raises
    ------
    ValueError
        If the space is not legal, or there are over a million combinations.
    """
    space = checked_space(space, intervals=False)
    count = math.prod(len(values) for values in space.values())
    if count > MOST_SETS:
        raise ValueError(f"space: {count:,} combinations, expected {MOST_SETS:,} at most")
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def latin_sets(space, n, seed=0):
    """Return ``n`` sets of a Latin hypercube over ``space`` as a list of dicts.

    Parameters
    ----------
    space : dict of str to sequence or Interval
    n : int
        1 to 1,000,000.
    seed : int
        The same seed gives the same sets.

    Raises
    ------
    ValueError
        If the space or ``n`` is not legal.
    """
    space = checked_space(space, intervals=True)
    if not isinstance(n, int) or isinstance(n, bool) or not 1 <= n <= MOST_SETS:
        raise ValueError(f"n = {n!r} is outside its legal range: 1 to {MOST_SETS:,}")
    rng = np.random.default_rng(checked_seed(seed))
    columns = {}
    for name, values in space.items():
        shares = (rng.permutation(n) + rng.random(n)) / n
        columns[name] = [value_at(name, values, float(share)) for share in shares]
    return [{name: columns[name][k] for name in columns} for k in range(n)]


def value_at(name, values, share):
    """Return the value at ``share`` (0 to under 1) of a list or an interval."""
    if isinstance(values, Interval):
        return _rounded(name, values.at(share))
    return values[min(int(share * len(values)), len(values) - 1)]


def checked_seed(seed):
    """Return ``seed`` if it is one."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 1 << 63:
        raise ValueError(f"seed = {seed!r} is outside its legal range: 0 to 2**63 - 1")
    return int(seed)


def params_of(changes, base, go):
    """Return ``HeapParams`` with ``changes``, from ``base``, or from the profile of ``changes["go"]`` or of ``go``."""
    if base is not None and "go" in changes and changes["go"] != base.go:
        raise ValueError(f"space: go = {changes['go']!r} beside params of {base.go}: leave params out")
    if base is not None:
        return base.replace(**changes)
    others = {name: value for name, value in changes.items() if name != "go"}
    if "go" in changes:
        return HeapParams.of_version(changes["go"], **others)
    return HeapParams.of_program(go or "go1.19", **others)
