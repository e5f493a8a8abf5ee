"""PacerParams: what the pacer does differently in Go 1.19 and 1.27, and what a user may change about it.

A frozen dataclass like ``HeapParams``, with the same metadata on each field.  What pacing needs of the heap's own
parameters (physical pages, memory beside the heap) is taken from these when the record is made, so it is said in one
place.  GOGC and the memory limit are not in the record: they are what a program starts with, and may change.

``read_gogc`` and ``read_gomemlimit`` understand what Go does of the two environment variables.
"""

import dataclasses
import numbers
import re
from dataclasses import dataclass

import numpy as np

from .params import MIB, HeapParams, _field, shown
from .runtime.mgcpacer_structs import MAX_CONS_MARK_WINDOW, PACER_PARAMS

MAX_GC_PERCENT = (1 << 31) - 1
NO_LIMIT = (1 << 63) - 1
"""What GOMEMLIMIT is when it is off."""

_NUMBER = {"go1.19": re.compile("-?[0-9]*", re.ASCII), "go1.27": re.compile("[+-]?[0-9]+", re.ASCII)}
"""Numbers in the environment, nothing left out: Go 1.19 (atoi) takes a lone minus for 0, Go 1.27 (ParseInt) a plus."""
_UNIT = {"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def _read_number(text, go):
    """Return the integer of 64 bits that ``text`` is to Go version ``go``, or None."""
    if text == "" or not _NUMBER[go].fullmatch(text):
        return None
    number = int(text) if text != "-" else 0
    return number if -NO_LIMIT - 1 <= number <= NO_LIMIT else None


def read_gogc(text, go="go1.19"):
    """readGOGC: return the percentage that the environment variable GOGC sets, -1 for off; 100 if it is no number."""
    if text == "off":
        return -1
    percent = _read_number(text, go)
    if percent is None or not -MAX_GC_PERCENT - 1 <= percent <= MAX_GC_PERCENT:
        return 100
    return max(percent, -1)


def read_gomemlimit(text, go="go1.19"):
    """readGOMEMLIMIT: return the bytes that the environment variable GOMEMLIMIT sets, NO_LIMIT if empty or off.

    Raises
    ------
    ValueError
        If it is no byte count, at which a Go program stops.
    """
    if text in ("", "off"):
        return NO_LIMIT
    count, unit = re.fullmatch("(.*?)((?:[KMGT]i)?B)?", text, re.DOTALL).groups(default="")
    number = _read_number(count, go) if count[-1:].isdigit() or len(unit) > 1 else None
    if number is None or number < 0 or number << _UNIT[unit] > NO_LIMIT:
        raise ValueError(f"GOMEMLIMIT = {text!r} is malformed: a number of bytes, or one with KiB, MiB, GiB or TiB")
    return number << _UNIT[unit]


class Between:
    """The legal values of a number of a kind: from ``low`` to ``high``. A range would try all values on a fraction."""

    def __init__(self, low, high, kind=numbers.Real):
        self.low, self.high, self.kind = low, high, kind

    def __contains__(self, value):
        return isinstance(value, self.kind) and self.low <= value <= self.high

    def __str__(self):
        return f"{self.low:,} to {self.high:,}"


@dataclass(frozen=True)
class PacerParams:
    """Parameters of a simulated pacer.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range; the message names parameter, value and range.

    Examples
    --------
    >>> PacerParams.go127().cons_mark_window
    4
    """

    go: str = _field("go1.19", "", ("go1.19", "go1.27"), "Go version of the profile", "internal/goversion")
    gc_percent: int = _field(
        100,
        "percent",
        Between(-1, MAX_GC_PERCENT, numbers.Integral),
        "GOGC: growth over the live heap, stacks and globals until the next collection ends; -1 for off",
        "runtime/mgcpacer.go gcPercent",
    )
    heap_minimum_bytes: int = _field(
        4 * MIB,
        "bytes",
        (MIB // 2, 4 * MIB),
        "smallest heap goal at GOGC=100",
        "runtime/mgcpacer.go defaultHeapMinimum",
    )
    live_is_trigger: bool = _field(
        False,
        "",
        (False, True),
        "whether a cycle counts as triggered where the heap is when it starts, not where that was planned",
        "runtime/mgcpacer.go startCycle",
    )
    cons_mark_window: int = _field(
        0,
        "cycles",
        range(MAX_CONS_MARK_WINDOW + 1),
        "past measurements of cons/mark; the largest of these and the new one is taken; 0 for a PI controller instead",
        "runtime/mgcpacer.go lastConsMark",
    )
    limit_headroom_percent: int = _field(
        0,
        "percent",
        range(51),
        "part of the heap goal from the memory limit that is left free, beyond the least of 1 MiB",
        "runtime/mgcpacer.go memoryLimitHeapGoalHeadroomPercent",
    )
    scavenge_limit_factor: float = _field(
        95.0,
        "",
        Between(0.0, 100.0),
        "times the memory limit: what the background scavenger wants all memory to shrink to",
        "runtime/mgcscavenge.go gcPaceScavenger",
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            legal = field.metadata["legal"]
            if value not in legal:
                raise ValueError(f"{field.name} = {value!r} is outside its legal range: {shown(legal)}")

    @classmethod
    def go119(cls, **changes):
        """Return the profile of Go 1.19, with ``changes`` to single parameters."""
        return cls(**changes)

    @classmethod
    def go127(cls, **changes):
        """Return the profile of Go 1.27, with ``changes`` to single parameters."""
        profile = {
            "go": "go1.27",
            "live_is_trigger": True,
            "cons_mark_window": 4,
            "limit_headroom_percent": 3,
            "scavenge_limit_factor": 0.95,
        }
        return cls(**(profile | changes))

    @classmethod
    def of_version(cls, go, **changes):
        """Return the profile of Go version ``go`` ("go1.19" or "go1.27")."""
        profiles = {"go1.19": cls.go119, "go1.27": cls.go127}
        if go not in profiles:
            raise ValueError(f"go = {go!r} is outside its legal range: one of {', '.join(profiles)}")
        return profiles[go](**changes)

    def to_record(self, heap=None):
        """Return the parameters as the kernel's PACER_PARAMS record; ``heap`` is the HeapParams beside them."""
        heap = heap or HeapParams.of_version(self.go)
        record = np.zeros((), dtype=PACER_PARAMS)
        record["default_heap_minimum"] = self.heap_minimum_bytes
        record["live_is_trigger"] = self.live_is_trigger
        record["cons_mark_window"] = self.cons_mark_window
        record["limit_headroom_percent"] = self.limit_headroom_percent
        record["scavenge_limit_factor"] = self.scavenge_limit_factor
        record["phys_page_size"] = heap.phys_page_bytes
        record["other_ready"] = heap.other_ready_bytes
        return record[()]
