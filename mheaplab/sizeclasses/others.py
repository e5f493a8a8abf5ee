"""Other allocators' tables, made by the rules that they publish, for comparison: jemalloc, TCMalloc, mimalloc.

What an allocator's classes cost depends on its spans too, and these are not Go's: another page size, other headers, and
more objects to a span than Go can number.  So each table here has the allocator's *sizes* as they are, and *spans* by
its rule in Go's pages of 8 KiB, with at most 1,024 objects, and so few pages that Go's division by multiplication is
exact; where Go 1.27 wants one page (up to 512 bytes), they get one.  All end at 32 KiB, Go's limit, though the
allocators' own go on.  So adjusted, each is legal in both Go versions.

jemalloc
    Size classes: ``include/jemalloc/internal/sc.h`` and ``src/sc.c`` of jemalloc 5: quantum 16, SC_LG_NGROUP 2 (four
    classes to a doubling), 8 as the one tiny class.  Spans (slabs): as many pages as are full to the last byte.  From
    16 KiB on jemalloc gives each object an extent of its own; here the same rule for slabs goes on.
TCMalloc
    ``SizeMap::Init`` in ``src/common.cc`` of gperftools, the TCMalloc whose table follows from a rule: Go's generator
    came from it.  (Google's own TCMalloc has tables written by hand from what its fleet allocates.) Alignment 16, an
    eighth of the size from 128 bytes on; an eighth of waste; enough pages for a quarter of a transfer between caches
    (64 KiB, 2 to 512 objects).
mimalloc
    ``mi_bin`` in ``src/page-queue.c``: four bins to a doubling; up to 8 words each word is a bin, but on amd64, where
    blocks are aligned to 16 bytes, every second.  These are jemalloc's sizes.  Spans are mimalloc's "pages", 64 KiB for
    objects up to 8 KiB and 512 KiB above, within the limits said; its page headers are left out.
"""

from ..runtime.mksizeclasses import PAGE_BYTES
from ..runtime.structs import MAX_OBJECTS_PER_SPAN
from ..size_tables import MAX_SPAN_PAGES, divides_exactly, pow2_classes
from .rules import MAX_SIZE, rules_of
from .table import SizeClassTable

QUANTUM = 16
TRANSFER_BYTES, TRANSFER_MOST = 64 << 10, 512
SMALL_PAGE, MEDIUM_PAGE, SMALL_BLOCK = 64 << 10, 512 << 10, 8 << 10


def _four_to_a_doubling():
    """Return sizes: 8, multiples of 16 up to 64, then four to each doubling."""
    sizes = [8, *range(QUANTUM, 4 * QUANTUM + 1, QUANTUM)]
    while sizes[-1] < MAX_SIZE:
        base = sizes[-1]
        sizes += [base + base // 4 * k for k in range(1, 5)]
    return sizes


def _table(name, go, sizes, pages_of):
    """Return the table of ``sizes`` with spans by ``pages_of``, within what a Go version's runtime can hold."""
    one_page_to = rules_of(go).one_page_to
    pairs = []
    for size in sizes:
        most = MAX_OBJECTS_PER_SPAN * size // PAGE_BYTES
        pages = 1 if size <= one_page_to else min(pages_of(size), max(1, most), MAX_SPAN_PAGES)
        while not divides_exactly(size, pages):
            pages -= 1
        pairs.append((size, pages))
    return SizeClassTable(pairs, name)


def _full_pages(size):
    pages = 1
    while pages * PAGE_BYTES % size:
        pages += 1
    return pages


def jemalloc_table(go="go1.19"):
    """Return jemalloc's classes up to 32 KiB."""
    return _table("jemalloc", go, _four_to_a_doubling(), _full_pages)


def mimalloc_table(go="go1.19"):
    """Return mimalloc's classes up to 32 KiB."""
    return _table(
        "mimalloc", go, _four_to_a_doubling(), lambda s: (SMALL_PAGE if s <= SMALL_BLOCK else MEDIUM_PAGE) // PAGE_BYTES
    )


def _tcmalloc_pages(size):
    transfer = min(max(TRANSFER_BYTES // size, 2), TRANSFER_MOST) // 4
    pages = 1
    while pages * PAGE_BYTES % size > pages * PAGE_BYTES >> 3 or pages * PAGE_BYTES // size < transfer:
        pages += 1
    return pages


def _tcmalloc_sizes():
    """Return gperftools' sizes: steps of an eighth, and of sizes with equal spans and objects the largest."""
    sizes, size, before = [], 8, None
    while size <= MAX_SIZE:
        pages = _tcmalloc_pages(size)
        spans = (pages, pages * PAGE_BYTES // size)
        sizes[len(sizes) - (spans == before) :] = [size]
        before = spans
        size += (1 << size.bit_length() - 1) // 8 if size >= 128 else 16 if size >= 16 else 8
    return sizes


def tcmalloc_table(go="go1.19"):
    """Return gperftools' (TCMalloc's) classes up to 32 KiB."""
    return _table("TCMalloc", go, _tcmalloc_sizes(), _tcmalloc_pages)


def pow2_table(go="go1.19"):
    """Return powers of two from 8 bytes to 32 KiB in spans of at least 8 objects."""
    pages = dict(pow2_classes())
    return _table("powers of two", go, pages, pages.get)


OTHERS = {
    "jemalloc": jemalloc_table,
    "TCMalloc": tcmalloc_table,
    "mimalloc": mimalloc_table,
    "powers of two": pow2_table,
}
"""Other allocators' tables by name: functions of the Go version."""
