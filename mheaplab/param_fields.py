"""How a parameter is declared: a dataclass field with unit, legal values, help and source; and the check of all.

Widgets make their controls from this metadata, errors their text, and documentation its tables.  ``Checked`` is the
base of the groups of parameters that ``HeapParams`` is made of.
"""

import dataclasses
import numbers

from .runtime.structs import MAX_ADDRESS

MIB = 1 << 20
SUFFIXES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


class AddressRanges:
    """The legal values of a list of address ranges: pairs (start, limit), whole pages, within user address space."""

    page = 4096

    def __contains__(self, value):
        return isinstance(value, tuple) and all(self._is_range(item) for item in value)

    def _is_range(self, item):
        if not isinstance(item, tuple) or len(item) != 2 or not all(isinstance(a, int) for a in item):
            return False
        start, limit = item
        return 0 <= start < limit <= int(MAX_ADDRESS) + 1 and start % self.page == 0 and limit % self.page == 0

    def __str__(self):
        return f"a tuple of (start, limit), multiples of {self.page}, 0 <= start < limit <= 2**47"


class Between:
    """The legal values of a number of a kind: from ``low`` to ``high``. A range would try all values on a fraction."""

    def __init__(self, low, high, kind=numbers.Real):
        self.low, self.high, self.kind = low, high, kind

    def __contains__(self, value):
        return isinstance(value, self.kind) and self.low <= value <= self.high

    def __str__(self):
        return f"{self.low:,} to {self.high:,}"


def shown(legal):
    """Return a sentence part that says which values ``legal`` allows."""
    if isinstance(legal, range):
        return f"{legal.start:,} to {legal.stop - 1:,}"
    return f"one of {', '.join(str(v) for v in legal)}" if isinstance(legal, tuple) else str(legal)


def parameter(default, unit, legal, text, source):
    """Make a dataclass field with the metadata every parameter has."""
    meta = {"unit": unit, "legal": legal, "help": text, "source": source}
    return dataclasses.field(default=default, metadata=meta)


def _number(text):
    """Return the number that ``text`` is, with KiB, MiB, GiB or TiB after it for bytes; None if it is none."""
    for suffix, factor in SUFFIXES.items():
        if text.endswith(suffix):
            number = _number(text.removesuffix(suffix))
            return None if number is None else number * factor
    for kind in (int, float):
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            continue
    return None


def read_value(field, text):
    """Return the value that ``text`` is for a parameter, given as its dataclass field.

    Raises
    ------
    ValueError
        If it is none of the parameter's type; whether it is legal is not looked at.
    """
    default = field.default
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise ValueError("expected true or false")
        return text == "true"
    if isinstance(default, str):
        return text
    off = {"gogc": -1, "memory_limit": default}  # as Go reads GOGC and GOMEMLIMIT
    if text == "off" and field.name in off:
        return off[field.name]
    number = _number(text)
    if number is None:
        raise ValueError(f"{text!r} is no number{', nor off' if field.name in off else ''}")
    if isinstance(default, int) and number % 1 == 0:
        number = int(number)
    return number


class Checked:
    """Parameters that are held to their legal values when they are made."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            legal = field.metadata["legal"]
            if value not in legal:
                why = legal.reason(value) if hasattr(legal, "reason") else ""
                text = f"{field.name} = {value!r} is outside its legal range: {shown(legal)}"
                raise ValueError(f"{text}; {why}" if why else text)

    def replace(self, **changes):
        """Return a copy with ``changes`` to single parameters."""
        return dataclasses.replace(self, **changes)
