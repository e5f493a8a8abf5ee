"""runtime.MemStats, written as JSON, alone or as the ``memstats`` of /debug/vars.

``BySize`` counts allocations and frees by size class, but has only 61 entries, up to 18,432 bytes; its objects stand at
the size of the class.  What is missing to the totals is ``meta.uncounted``: all larger objects, and with "allocated"
also the small objects without pointers that share a block of 16 bytes with others, which ``Mallocs`` counts one by one
and ``BySize`` by block.  Both are allocations whose size nobody noted, so no size is made up for them.  Their bytes are
known, by TotalAlloc or HeapAlloc, and are those of the larger objects alone: blocks are in ``BySize``.
"""

from ..errors import FormatError
from ..runtime.trace_events import MAX_OBJECT
from ..traces.sizes import MAX_COUNT
from .histogram import Histogram, Meta
from .strict_json import whole

KIND = "runtime.MemStats"
MAX_CLASSES = 1 << 12
FIELDS = ("Size", "Mallocs", "Frees")


def memstats_in(found):
    """Return the MemStats in parsed JSON, None if there are none."""
    for place in (found, found.get("memstats") if isinstance(found, dict) else None):
        if isinstance(place, dict) and "BySize" in place:
            return place
    return None


def histogram_of_memstats(stats, name, what):
    """Return the histogram of MemStats."""
    rows = _rows(stats["BySize"], name)
    sizes, counts, lower = [], [], []
    before = 0
    for i, (size, mallocs, frees) in enumerate(rows):
        if frees > mallocs:
            raise FormatError(f"{name}: BySize[{i}]: {frees} objects freed of {mallocs}, expected no more")
        count = mallocs if what == "allocated" else mallocs - frees
        if i and size <= before:
            raise FormatError(f"{name}: BySize[{i}].Size = {size}, expected more than {before}")
        if count and not size:
            raise FormatError(f"{name}: BySize[{i}]: {count} objects of 0 bytes, expected none")
        if count:
            sizes.append(size)
            counts.append(count)
            lower.append(before + 1)
        before = size
    if sum(counts) > MAX_COUNT:
        raise FormatError(f"{name}: more than 2**53 objects, expected what a program can allocate")
    known = sum(s * c for s, c in zip(sizes, counts, strict=True))
    if what == "allocated":
        objects, bytes_ = _total(stats, name, "Mallocs"), _total(stats, name, "TotalAlloc")
    else:
        mallocs, frees = _total(stats, name, "Mallocs"), _total(stats, name, "Frees")
        objects = None if mallocs is None or frees is None else mallocs - frees
        bytes_ = _total(stats, name, "HeapAlloc")
    meta = Meta(
        name, KIND, what, "slot",
        uncounted=_left(objects, sum(counts), "objects", name), uncounted_bytes=_left(bytes_, known, "bytes", name),
    )  # fmt: skip
    return Histogram(sizes, counts, lower=lower, meta=meta)


def _rows(found, name):
    """Return the rows of BySize as tuples of ``FIELDS``."""
    if not isinstance(found, list) or len(found) > MAX_CLASSES:
        raise FormatError(f"{name}: BySize is no list of at most {MAX_CLASSES:,} size classes")
    rows = []
    for i, row in enumerate(found):
        if not isinstance(row, dict) or any(field not in row for field in FIELDS):
            raise FormatError(f"{name}: BySize[{i}]: expected an object with {', '.join(FIELDS)}")
        limits = (MAX_OBJECT, MAX_COUNT, MAX_COUNT)
        rows.append(
            tuple(
                whole(row[field], most, f"{name}: BySize[{i}].{field}")
                for field, most in zip(FIELDS, limits, strict=True)
            )
        )
    return rows


def _total(stats, name, field):
    """Return a total of the program, None if the file does not say."""
    return whole(stats[field], (1 << 64) - 1, f"{name}: {field}") if field in stats else None


def _left(total, known, word, name):
    """Return what is in the total only."""
    if total is None:
        return None
    if total < known:
        raise FormatError(f"{name}: {known} {word} by size, but {total} in all: expected no more by size than in all")
    return total - known
