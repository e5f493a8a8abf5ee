"""Workload: what a made-up program asks of its heap, as streams of objects and phases in which they flow.

A *stream* is a kind of object: its distribution of sizes and how it dies.  A *phase* says how often each stream
allocates, for how long, on how many Ps, how much time it takes, and what happens at its end.  Objects live on from one
phase into the next unless their stream or the phase says otherwise.

A workload is data: it goes to JSON and back, and with a seed it is a :class:`mheaplab.Trace`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ..errors import FormatError
from ..runtime.trace_events import MAX_STACK, MAX_TRACE_P, MIN_STACK
from .expectation import check_vocabulary
from .fields import ByName, Choice, Described, Flag, Many, Number, One, Statements, Text, Whole, described, from_json
from .lifetimes import LIFETIMES, Groups, Held
from .sizes import SIZES, Fixed, Histogram

MAX_AMOUNT = 1 << 56
MAX_FILE = 16 << 20
"""Bytes of the largest description: the histogram of a real program may have many rows."""


@dataclass(frozen=True)
class Stream(Described):
    """A kind of object, or of goroutine stack."""

    name: str = described("name", Text(60))
    sizes: object = described("distribution of sizes in bytes", One(*SIZES))
    lifetime: object = described("when its objects die", One(*LIFETIMES))
    stack: bool = described("whether these are goroutine stacks", Flag(), False)

    def check(self):
        """Stacks have sizes of their own, and no cache holds them."""
        if self.stack:
            self._check_stack()

    def _check_stack(self):
        if isinstance(self.sizes, Fixed):
            sizes = [self.sizes.bytes]
        elif isinstance(self.sizes, Histogram):
            sizes = [row[0] for row in self.sizes.rows]
        else:
            raise ValueError("Stream.sizes: expected fixed or histogram, as these are stacks")
        for size in sizes:
            if not MIN_STACK <= size <= MAX_STACK or size & (size - 1):
                raise ValueError(f"Stream.sizes: a stack of {size} bytes, expected a power of two from 2048 to 2**31")
        if isinstance(self.lifetime, Held) or (isinstance(self.lifetime, Groups) and self.lifetime.bytes):
            raise ValueError(
                "Stream.lifetime: stacks have no bytes of objects, so they are neither held nor grouped by bytes"
            )


@dataclass(frozen=True)
class Phase(Described):
    """A time in which the program does the same thing."""

    name: str = described("name", Text(60))
    weights: dict = described(
        "how often each stream allocates, beside the others", ByName(Number(0, 1e12), "streams' weights")
    )
    allocs: int = described("length in allocations of objects and stacks; 0 to go by bytes", Whole(0, MAX_AMOUNT), 0)
    bytes: int = described("length in bytes of objects; 0 to go by allocations", Whole(0, MAX_AMOUNT), 0)
    ps: int = described("Ps that allocate", Whole(1, MAX_TRACE_P + 1), 1)
    spread: str = described(
        "how allocations change between Ps: in turn, at random, or each P half as often as the one before",
        Choice("in turn", "random", "skewed"),
        "in turn",
    )
    run: int = described("allocations in a row on one P", Whole(1, 1 << 30), 64)
    ns_per_alloc: float = described("program time per allocation, ns; 0 if it is not known", Number(0, 1e9), 0.0)
    idle_ns: int = described("program time before the first allocation, ns", Whole(0, 10**15), 0)
    collect_every: int = described("bytes between calls of runtime.GC; 0 for none", Whole(0, MAX_AMOUNT), 0)
    collect_end: str = described(
        "collection forced at the end: none, runtime.GC or debug.FreeOSMemory", Choice("", "gc", "free"), ""
    )
    drop: dict = described(
        "share of each stream's objects that die at the end", ByName(Number(0, 1), "streams' shares"), {}
    )
    hold: dict = described(
        "bytes that held streams may hold in this phase", ByName(Whole(0, 1 << 46), "held streams' bytes"), {}
    )

    def check(self):
        """A phase must have a length and something to do."""
        if (self.allocs > 0) == (self.bytes > 0):
            raise ValueError(f"Phase.allocs = {self.allocs}, Phase.bytes = {self.bytes}: expected one of them above 0")
        if not any(weight > 0 for weight in self.weights.values()):
            raise ValueError("Phase.weights: no stream has a weight above 0")


@dataclass(frozen=True)
class Workload(Described):
    """A made-up program.

    Parameters
    ----------
    name : str
    streams : tuple of Stream
    phases : tuple of Phase
    story : str
        What the program does, in words.
    modelled_after : str
        What it is like in the real world.
    expectation : tuple of dict
        What a simulated run must show; see :mod:`mheaplab.workloads.expectation`.

    Raises
    ------
    ValueError
        Naming class, field, value and legal range.

    Examples
    --------
    >>> w = Workload(
    ...     "small",
    ...     streams=[Stream("node", Fixed(48), Exponential(1 << 20))],
    ...     phases=[Phase("all", {"node": 1}, allocs=1000)],
    ... )                                                                  # doctest: +SKIP
    >>> trace = w.trace(seed=1)                                             # doctest: +SKIP
    """

    name: str = described("name", Text(60))
    streams: tuple = described("kinds of objects", Many(Stream))
    phases: tuple = described("what happens, in order", Many(Phase))
    story: str = described("what the program does", Text(), "")
    modelled_after: str = described("what it is like in the real world", Text(), "")
    expectation: tuple = described("what a simulated run must show", Statements(), ())

    def check(self):
        """Phases must speak of streams that exist, and end."""
        streams = {stream.name: stream for stream in self.streams}
        if len(streams) < len(self.streams):
            raise ValueError("Workload.streams: two have the same name")
        if len(self.streams) > 1000 or len(self.phases) > 10000:
            raise ValueError("Workload: expected at most 1,000 streams and 10,000 phases")
        for i, phase in enumerate(self.phases):
            self._check_phase(f"Workload.phases[{i}]", phase, streams)
        for i, statement in enumerate(self.expectation):
            check_vocabulary(statement, f"Workload.expectation[{i}]")

    def _check_phase(self, where, phase, streams):
        for field in ("weights", "drop", "hold"):
            for name in getattr(phase, field):
                if name not in streams:
                    raise ValueError(f"{where}.{field}: no stream {name!r}, expected one of {', '.join(streams)}")
        for name in phase.hold:
            if not isinstance(streams[name].lifetime, Held):
                raise ValueError(f"{where}.hold: stream {name!r} is not held, so it cannot hold more or less")
        if phase.bytes and all(streams[name].stack for name, weight in phase.weights.items() if weight > 0):
            raise ValueError(f"{where}.bytes = {phase.bytes}: only stacks are allocated, which never add up to it")

    def trace(self, seed=0, scale=1.0):
        """Return the workload's events as a :class:`mheaplab.Trace`.

        Parameters
        ----------
        seed : int
            0 or more. The same seed gives the same events.
        scale : float
            Factor on the length of every phase, 1e-6 to 1e9.
        """
        from .stream import make_trace

        return make_trace(self, seed, scale)

    @classmethod
    def from_json(cls, found, path="workload"):
        """Return the workload that parsed JSON describes; a ``FormatError`` names ``path`` and the place in it."""
        return from_json(found, (cls,), path)

    @classmethod
    def read(cls, path):
        """Return the workload that the JSON file ``path`` describes.

        Raises
        ------
        FormatError
            If there is no such file, or it is not JSON, or not a workload.
        """
        try:
            with Path(path).open("rb") as file:
                text = file.read(MAX_FILE + 1)
            if len(text) > MAX_FILE:
                raise FormatError(f"{path}: over {MAX_FILE} bytes, expected the description of a workload")
            found = json.loads(text.decode("utf-8"))
        except FormatError:
            raise
        except OSError as err:
            raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
        except (ValueError, RecursionError) as err:
            raise FormatError(f"{path}: not JSON ({err})") from err
        return cls.from_json(found, str(path))
