"""How long objects live, counted in bytes that the program allocates in the meantime.

That is the natural clock of a garbage-collected heap: collections come by allocation volume, so a lifetime in bytes
says how many collections an object sees, whatever the speed of the program.

Some lifetimes are drawn for each object (``Exponential``, ``Between``, ``Pareto``, ``Generational``, ``Blend``).  The
others are decided by what happens: ``UntilPhaseEnds`` and ``Immortal`` objects stay, ``Groups`` die together as the
objects of a request or an arena do, and a ``Held`` stream is a cache that throws out something when it holds too much.

The generator's clock ticks once per allocation or so: a lifetime is rounded up to a tick, and to 0.4% of itself.
"""

from dataclasses import dataclass

import numpy as np

from .cells import bins_of, grid, join_bins, make_bins
from .fields import Choice, Described, Many, Number, One, Whole, described

MAX_LIFETIME = 1 << 46
"""Bytes of the longest lifetime; the generator's wheel reaches a little further."""
VOLUME = Number(1, MAX_LIFETIME)
TAIL = 40.0
"""Means of an exponential lifetime beyond which nothing is drawn: one in 2e17 would live longer."""
FINE = 256.0
"""An exponential lifetime's first bin is its mean divided by this."""


@dataclass(frozen=True)
class Exponential(Described):
    """Objects that are as likely to die at any moment."""

    KIND = "exponential"
    mean: float = described("mean lifetime in bytes allocated", Number(1, MAX_LIFETIME / TAIL))

    def bins(self):
        """Return the distribution as bins."""
        edges = np.unique(np.append(0, grid(max(1, int(self.mean / FINE)), max(2, int(self.mean * TAIL)))))
        return bins_of(lambda x: -np.expm1(-x / self.mean), edges)


@dataclass(frozen=True)
class Between(Described):
    """All lifetimes from ``least`` to ``most`` equally likely."""

    KIND = "between"
    least: int = described("shortest lifetime in bytes allocated", Whole(0, MAX_LIFETIME))
    most: int = described("longest lifetime in bytes allocated", Whole(0, MAX_LIFETIME))

    def check(self):
        """Lifetimes must be in order."""
        if self.least > self.most:
            raise ValueError(f"Between.most = {self.most}: expected at least {self.least}, which is the least")

    def bins(self):
        """Return the distribution as bins."""
        return make_bins(self.least, self.most - self.least + 1, 1.0)


@dataclass(frozen=True)
class Pareto(Described):
    """Most objects die young and a few grow very old: P(lifetime > x) = (least / x) ** alpha, none beyond ``cap``."""

    KIND = "pareto"
    least: int = described("shortest lifetime in bytes allocated", Whole(1, MAX_LIFETIME))
    alpha: float = described("exponent of the tail; below 1 the old ones dominate", Number(0.05, 20))
    cap: int = described("lifetimes beyond this are not drawn, bytes allocated", Whole(1, MAX_LIFETIME))

    def check(self):
        """The cap must lie in the tail."""
        if self.cap <= self.least:
            raise ValueError(f"Pareto.cap = {self.cap}: expected more than {self.least}, which is the least")

    def bins(self):
        """Return the distribution as bins."""
        return bins_of(lambda x: 1 - (self.least / x) ** self.alpha, grid(self.least, self.cap))


@dataclass(frozen=True)
class Generational(Described):
    """Most objects die young, a share survives: two exponential lifetimes."""

    KIND = "generational"
    short: float = described("mean lifetime of the young in bytes allocated", Number(1, MAX_LIFETIME / TAIL))
    long: float = described("mean lifetime of the survivors in bytes allocated", Number(1, MAX_LIFETIME / TAIL))
    survive: float = described("share of survivors", Number(0, 1))

    def check(self):
        """The young must not outlive the survivors."""
        if self.short > self.long:
            raise ValueError(f"Generational.long = {self.long}: expected at least {self.short}, which is the short")

    def bins(self):
        """Return the distribution as bins."""
        parts = [(1 - self.survive, self.short), (self.survive, self.long)]
        return join_bins([(weight, Exponential(mean).bins()) for weight, mean in parts if weight > 0])


DRAWN_ALONE = (Exponential, Between, Pareto, Generational)


@dataclass(frozen=True)
class LifePart(Described):
    """A part of a blend of lifetimes."""

    weight: float = described("how often, beside the other parts", Number(1e-9, 1e9))
    lifetime: object = described("lifetime", One(*DRAWN_ALONE))


@dataclass(frozen=True)
class Blend(Described):
    """Several lifetimes, each as often as its weight says."""

    KIND = "blend"
    parts: tuple = described("the parts", Many(LifePart))

    def bins(self):
        """Return the distribution as bins."""
        return join_bins([(part.weight, part.lifetime.bins()) for part in self.parts])


DRAWN = (*DRAWN_ALONE, Blend)
"""Lifetimes that are drawn for each object."""


@dataclass(frozen=True)
class UntilPhaseEnds(Described):
    """Objects that all die at the end of the phase in which they were allocated."""

    KIND = "phase"


@dataclass(frozen=True)
class Immortal(Described):
    """Objects that live to the end, unless a phase drops them."""

    KIND = "immortal"


@dataclass(frozen=True)
class Groups(Described):
    """Objects that die together: those of a request, of a compiler's pass, of an arena.

    ``open`` groups are being filled at a time and each object joins one of them at random.  A group is full when it has
    so many ``objects``, or ``bytes``; it dies when ``then`` more bytes have been allocated, at once if that is left
    out. A group that is not yet full when a phase ends goes on in the next.
    """

    KIND = "groups"
    objects: int = described("objects in a group; 0 to count bytes", Whole(0, 1 << 40), 0)
    bytes: int = described("bytes in a group; 0 to count objects", Whole(0, 1 << 46), 0)
    open: int = described("groups being filled at the same time", Whole(1, 1 << 20), 1)
    then: object = described("lifetime of a full group", One(*DRAWN), Between(0, 0))

    def check(self):
        """A group must be full at some time."""
        if (self.objects > 0) == (self.bytes > 0):
            raise ValueError(
                f"Groups.objects = {self.objects}, Groups.bytes = {self.bytes}: expected one of them above 0"
            )


@dataclass(frozen=True)
class Held(Described):
    """A cache: objects stay until the stream holds more than ``bytes``; then others are thrown out.

    ``replacement`` says which: the ``oldest``, one at ``random``, or with ``second chance`` the oldest unless it was
    used of late, which happens to a share ``used`` of them and puts them in the place of the youngest.
    """

    KIND = "held"
    bytes: int = described("bytes that the stream may hold; a phase may say otherwise", Whole(0, 1 << 46))
    replacement: str = described("what goes", Choice("oldest", "random", "second chance"), "oldest")
    used: float = described("share that gets a second chance", Number(0, 0.99), 0.5)


LIFETIMES = (*DRAWN, UntilPhaseEnds, Immortal, Groups, Held)
"""All ways to die."""
