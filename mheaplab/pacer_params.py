"""PacerParams: what the pacer does differently in Go 1.19 and 1.27, and what a user may change about it.

What pacing needs of the heap's other parameters (physical pages, memory beside the heap) is taken from these when the
record is made, so it is said in one place.  GOGC and the memory limit are not in the record: they are what a program
starts with, and may change.

``read_gogc`` and ``read_gomemlimit`` understand what Go does of the two environment variables.
"""

import numbers
import re
from dataclasses import dataclass

import numpy as np

from .param_fields import MIB, Between, Checked, parameter
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


@dataclass(frozen=True)
class PacerParams(Checked):
    """What decides when a collection begins, as a group of ``HeapParams``."""

    gogc: int = parameter(
        100,
        "percent",
        Between(-1, MAX_GC_PERCENT, numbers.Integral),
        "GOGC: growth over the live heap, stacks and globals until the next collection ends; -1 for off",
        "runtime/mgcpacer.go gcPercent",
    )
    memory_limit: int = parameter(
        NO_LIMIT,
        "bytes",
        range(1, NO_LIMIT + 1),
        "GOMEMLIMIT: what all memory should stay below; above it an allocation returns as much free memory to the OS",
        "runtime/mgcpacer.go memoryLimit",
    )
    heap_minimum_bytes: int = parameter(
        4 * MIB,
        "bytes",
        (MIB // 2, 4 * MIB),
        "smallest heap goal at GOGC=100",
        "runtime/mgcpacer.go defaultHeapMinimum",
    )
    live_is_trigger: bool = parameter(
        False,
        "",
        (False, True),
        "whether a cycle counts as triggered where the heap is when it starts, not where that was planned",
        "runtime/mgcpacer.go startCycle",
    )
    cons_mark_window: int = parameter(
        0,
        "cycles",
        range(MAX_CONS_MARK_WINDOW + 1),
        "past measurements of cons/mark; the largest of these and the new one is taken; 0 for a PI controller instead",
        "runtime/mgcpacer.go lastConsMark",
    )
    limit_headroom_percent: int = parameter(
        0,
        "percent",
        range(51),
        "part of the heap goal from the memory limit that is left free, beyond the least of 1 MiB",
        "runtime/mgcpacer.go memoryLimitHeapGoalHeadroomPercent",
    )
    scavenge_limit_factor: float = parameter(
        95.0,
        "",
        Between(0.0, 100.0),
        "times the memory limit: what the background scavenger wants all memory to shrink to",
        "runtime/mgcscavenge.go gcPaceScavenger",
    )

    def pacer_record(self):
        """Return what the pacer needs as the kernel's PACER_PARAMS record."""
        record = np.zeros((), dtype=PACER_PARAMS)
        record["default_heap_minimum"] = self.heap_minimum_bytes
        record["live_is_trigger"] = self.live_is_trigger
        record["cons_mark_window"] = self.cons_mark_window
        record["limit_headroom_percent"] = self.limit_headroom_percent
        record["scavenge_limit_factor"] = self.scavenge_limit_factor
        record["phys_page_size"] = self.phys_page_bytes
        record["other_ready"] = self.other_ready_bytes
        return record[()]
