"""HeapParams: everything about the heap that differs between Go versions or that a user may change.

One frozen dataclass; each field carries its unit, legal range, help text and place in Go's source as metadata, from
which widgets make their controls and errors their text.  Beside the layout of the heap, which stands here, it takes in
three groups: what decides when to collect (``pacer_params``), the time model (``time_params``), and what is not Go's
(``policy_params``).  ``HeapParams.go119()`` and ``HeapParams.go127()`` are the two profiles.  The kernel gets records,
so it never asks for a version.
"""

import dataclasses
import re
from dataclasses import dataclass

import numpy as np

from .pacer_params import PacerParams
from .param_fields import MIB, AddressRanges, parameter
from .policy_params import PLACEMENTS, PolicyParams
from .runtime.mksizeclasses import div_magic, size_to_class_tables
from .runtime.structs import HEAP_PARAMS, MAX_ADDRESS, SPECIAL_NAMES
from .size_tables import TINY, classes_of, needs_of_headers
from .time_params import TimeParams

SPECIAL_BYTES = {
    "go1.19": {"finalizer": 48, "profile": 24, "reachable": 24},
    "go1.27": {
        "tiny block": 24,
        "finalizer": 56,
        "weak handle": 32,
        "profile": 32,
        "reachable": 32,
        "pin counter": 32,
        "cleanup": 56,
    },
}
"""Sizes of Go's records of specials, by profile, in bytes; what is not there that version does not have."""

FIRST_WITH_HEADERS, FIRST_WITH_INLINE_MARKS = 22, 26
"""Minor versions of Go that brought malloc headers, and mark bits in the spans of small objects."""


@dataclass(frozen=True)
class HeapParams(PolicyParams, TimeParams, PacerParams):
    """Parameters of a simulated Go heap.

    Raises
    ------
    ValueError
        If a parameter is outside its legal range; the message names parameter, value and range.

    Examples
    --------
    >>> HeapParams.go119(arena_bytes=4 << 20).arena_bytes
    4194304
    """

    go: str = parameter("go1.19", "", ("go1.19", "go1.27"), "Go version of the profile", "internal/goversion")
    arena_bytes: int = parameter(
        64 * MIB,
        "bytes",
        tuple(m * MIB for m in (4, 8, 16, 32, 64)),
        "size of a heap arena, the unit in which address space is taken from the OS",
        "runtime/malloc.go heapArenaBytes",
    )
    phys_page_bytes: int = parameter(
        4096, "bytes", (4096, 8192), "size of a physical page", "runtime/malloc.go physPageSize"
    )
    huge_page_bytes: int = parameter(
        2 * MIB,
        "bytes",
        (0, 2 * MIB),
        "size of a transparent huge page that the scavenger keeps whole; 0 for none",
        "runtime/malloc.go physHugePageSize",
    )
    malloc_header_bytes: int = parameter(
        0, "bytes", (0, 8), "header before an object with pointers that is too large for the span's bitmap",
        "runtime/mbitmap.go mallocHeaderSize",
    )
    heap_bits_in_span_bytes: int = parameter(
        -1, "bytes", (-1, 512), "largest object whose pointer bitmap is kept at the end of its span; -1 for none",
        "runtime/mbitmap.go heapBitsInSpan",
    )
    inline_mark_bytes: int = parameter(
        0, "bytes", (0, 128), "bytes of a span of small objects reserved for inline marks (Green Tea)",
        "runtime/mgcmark_greenteagc.go spanInlineMarkBits",
    )
    inline_mark_min_bytes: int = parameter(
        16, "bytes", (16,), "smallest object with inline marks", "runtime/mgcmark_greenteagc.go"
    )
    arena_l1_bits: int = parameter(
        0,
        "bits",
        (0, 6),
        "address bits of the first level of the arenas map: 0 (flat) on linux/amd64, 6 on windows/amd64",
        "runtime/malloc.go arenaL1Bits",
    )
    mspan_bytes: int = parameter(
        144, "bytes", range(64, 513), "size of Go's record of a span", "runtime/mheap.go mspan"
    )
    other_ready_bytes: int = parameter(
        0,
        "bytes",
        range(0, 1 << 46),
        "memory of the runtime beside the heap that counts against the memory limit",
        "runtime/mgcpacer.go mappedReady",
    )
    occupied: tuple = parameter(
        (),
        "addresses",
        AddressRanges(),
        "address space that something else has, where an arena hint fails",
        "runtime/malloc.go sysReserve",
    )
    os_top: int = parameter(
        0x7FFF_F7FF_F000,
        "address",
        range(1 << 32, int(MAX_ADDRESS) + 2, 4096),
        "the OS places what may lie anywhere at the highest gap below this address",
        "mmap_base of Linux",
    )
    profiled_before_noted: bool = parameter(
        False, "", (False, True), "whether a recording notes an object after the heap profiler looked at it",
        "runtime/malloc.go profilealloc",
    )
    scans_noscan_finalized: bool = parameter(
        True, "", (False, True), "whether marking counts objects with a finalizer once more even without pointers",
        "runtime/mgcmark.go markrootSpans",
    )
    scavenged_is_zero: bool = parameter(
        False, "", (False, True), "whether a span all of whose pages were scavenged needs no zeroing",
        "runtime/mheap.go initSpan",
    )

    def __post_init__(self):
        super().__post_init__()
        limit, inline = self.heap_bits_in_span_bytes, self.inline_mark_bytes
        wrong = needs_of_headers(classes_of(self.size_classes), limit, inline)
        if wrong:
            raise ValueError(
                f"size_classes = {self.size_classes!r} contradicts heap_bits_in_span_bytes = {limit} and "
                f"inline_mark_bytes = {inline}: {wrong}"
            )

    @classmethod
    def go119(cls, **changes):
        """Return the profile of Go 1.19 on linux/amd64, with ``changes`` to single parameters."""
        return cls(**changes)

    @classmethod
    def go127(cls, **changes):
        """Return the profile of Go 1.27 on linux/amd64, with ``changes`` to single parameters."""
        profile = {
            "go": "go1.27",
            "malloc_header_bytes": 8,
            "heap_bits_in_span_bytes": 512,
            "inline_mark_bytes": 128,
            "scavenged_is_zero": True,
            "scans_noscan_finalized": False,
            "profiled_before_noted": True,
            "mspan_bytes": 160,
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

    @classmethod
    def of_program(cls, go, **changes):
        """Return the profile for programs of any Go version from 1.19 on, such as "go1.23" or "go1.26".

        Up to 1.21 the heap's layout is that of 1.19; since 1.22 that of 1.27, but that no mark bits stood in spans
        before 1.26 (Green Tea).

        Raises
        ------
        ValueError
            If ``go`` is no version of Go.
        """
        found = re.fullmatch(r"go1\.(\d{1,3})(\..*)?", go)
        if not found:
            raise ValueError(f"go = {go!r} is outside its legal range: a version such as 'go1.23'")
        minor = int(found[1])
        if minor < FIRST_WITH_HEADERS:
            return cls.go119(**changes)
        return cls.go127(**({"inline_mark_bytes": 0} if minor < FIRST_WITH_INLINE_MARKS else {}) | changes)

    def changes(self):
        """Return what differs from the profile of the Go version, as a dict by name."""
        profile = HeapParams.of_version(self.go)
        names = [field.name for field in dataclasses.fields(self)]
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(profile, name)}

    def to_code(self):
        """Return the call that makes these parameters.

        Examples
        --------
        >>> HeapParams.go119(gogc=50).to_code()
        'mh.HeapParams.go119(gogc=50)'
        """
        changed = ", ".join(f"{name}={value!r}" for name, value in self.changes().items())
        return f"mh.HeapParams.{self.go.replace('.', '')}({changed})"

    def to_record(self):
        """Return the parameters as the kernel's HEAP_PARAMS record."""
        record = np.zeros((), dtype=HEAP_PARAMS)
        sizes, npages = np.array(((0, 0), *classes_of(self.size_classes)), np.int64).T
        n = len(sizes)
        record["class_to_size"][:n] = sizes
        record["class_to_allocnpages"][:n] = npages
        record["class_to_divmagic"][:n] = div_magic(sizes)
        record["size_to_class8"], record["size_to_class128"] = size_to_class_tables(sizes)
        record["tiny_class"] = int(np.searchsorted(sizes, TINY))
        record["n_classes"] = n
        record["malloc_header"] = self.malloc_header_bytes
        record["heap_bits_in_span"] = self.heap_bits_in_span_bytes
        record["inline_mark_bytes"] = self.inline_mark_bytes
        record["inline_mark_min"] = self.inline_mark_min_bytes
        record["scavenged_is_zero"] = self.scavenged_is_zero
        record["scans_noscan_finalized"] = self.scans_noscan_finalized
        record["log_arena_bytes"] = self.arena_bytes.bit_length() - 1
        record["phys_page_size"] = self.phys_page_bytes
        record["phys_huge_page_size"] = self.huge_page_bytes
        record["page_cache_pages"] = self.page_cache_pages
        record["placement"] = PLACEMENTS.index(self.page_placement)
        record["grow_early_percent"] = self.grow_early_percent
        record["profiled_before_noted"] = self.profiled_before_noted
        record["arena_l1_bits"] = self.arena_l1_bits
        record["mspan_bytes"] = self.mspan_bytes
        record["memory_limit"] = self.memory_limit
        record["other_ready"] = self.other_ready_bytes
        record["os_top"] = self.os_top
        for name, nbytes in SPECIAL_BYTES[self.go].items():
            record["special_bytes"][SPECIAL_NAMES.index(name)] = nbytes
        return record[()]
