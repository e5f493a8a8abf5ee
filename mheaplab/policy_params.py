"""PolicyParams: what Go does not do, or does no longer, but people ask about.

Other size classes, other ways to place pages, page caches of another size or none, growing early.  Each is a number or
a name that the kernel follows, beside Go's own as the default.
"""

from dataclasses import dataclass

from .param_fields import Checked, parameter
from .size_tables import SizeTables

PLACEMENTS = ("first-fit", "best-fit", "next-fit")
"""Where page_alloc_alloc looks; the kernel gets the index."""


@dataclass(frozen=True)
class PolicyParams(Checked):
    """What-if policies, as a group of ``HeapParams``."""

    size_classes: str | tuple = parameter(
        "go", "", SizeTables(),
        "size classes: Go's, powers of two, or a table of (bytes, pages of a span)", "runtime/sizeclasses.go",
    )  # fmt: skip
    page_placement: str = parameter(
        "first-fit", "", PLACEMENTS,
        "which free run of pages is taken: the lowest, the smallest (as Go until 1.12), or the next after the last",
        "runtime/mpagealloc.go pageAlloc.find",
    )  # fmt: skip
    page_cache_pages: int = parameter(
        64, "pages", (0, 8, 16, 32, 64),
        "size of each P's cache of pages, from which spans of under a quarter of it are cut; 0: none",
        "runtime/mpagecache.go pageCachePages",
    )  # fmt: skip
    grow_early_percent: int = parameter(
        100, "percent", range(50, 101),
        "the heap grows when this part of what is mapped is in use; 100: only when it must, as Go",
        "runtime/mheap.go mheap.grow",
    )  # fmt: skip
