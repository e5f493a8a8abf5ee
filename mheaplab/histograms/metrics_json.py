"""The size histograms of Go's runtime/metrics, written as JSON.

``/gc/heap/allocs-by-size:bytes`` counts what was allocated by size, ``/gc/heap/frees-by-size:bytes`` what was freed;
the difference is in use.  Both are a Float64Histogram: n counts between n + 1 rising bounds, each bucket from its lower
bound to below the upper one.  Go's bounds are 1 and each size class plus 1, so a bucket is a size class, and its
objects stand at the class's size.  The last bucket has all objects above 32 KiB; their sizes are not known, and they
become ``meta.uncounted``.  Small objects without pointers share blocks of 16 bytes; Go counts the blocks.

JSON has no infinity, so people write it as text or as null; all of ``"+Inf"``, ``"-Inf"``, ``null`` at an end, and
Python's ``Infinity`` are read.  Keys may be Go's field names ``Counts`` and ``Buckets`` or lower case.  A histogram may
stand alone, without a metric's name; nobody says then what it counts.
"""

from ..errors import FormatError
from ..runtime.trace_events import MAX_OBJECT
from ..traces.sizes import MAX_COUNT
from .histogram import UNKNOWN_WHAT, Histogram, Meta
from .strict_json import whole

ALLOCS, FREES = "/gc/heap/allocs-by-size:bytes", "/gc/heap/frees-by-size:bytes"
KIND = "runtime/metrics"
MAX_BUCKETS = 1 << 16
ENDS = {"-Inf": -1, "-Infinity": -1, "+Inf": 1, "Inf": 1, "Infinity": 1, "+Infinity": 1}
INFINITE = float("inf")


def is_metrics(found):
    """Return whether parsed JSON holds these metrics, or a Float64Histogram."""
    return isinstance(found, dict) and (
        ALLOCS in found or FREES in found or {key.lower() for key in found} >= {"counts", "buckets"}
    )


def histogram_of_metrics(found, name, what):
    """Return the histogram of parsed JSON."""
    if ALLOCS not in found and FREES not in found:
        if what != "allocated":
            raise FormatError(f"{name}: a histogram alone, expected {ALLOCS} and {FREES} to tell what is in use")
        return _made(*_buckets(found, name), Meta(name, KIND, UNKNOWN_WHAT, "slot", rate=0))
    bounds, counts = _of_metric(found, ALLOCS, name)
    if what == "in use":
        freed_bounds, freed = _of_metric(found, FREES, name)
        if freed_bounds != bounds:
            raise FormatError(f"{name}: {FREES} has other buckets than {ALLOCS}, expected the same")
        for i, (a, b) in enumerate(zip(counts, freed, strict=True)):
            if b > a:
                raise FormatError(f"{name}: bucket {i}: {b} objects freed of {a}, expected metrics of one moment")
        counts = [a - b for a, b in zip(counts, freed, strict=True)]
    return _made(bounds, counts, Meta(name, KIND, what, "slot"))


def _of_metric(found, metric, name):
    if metric not in found:
        raise FormatError(f"{name}: no {metric}")
    return _buckets(found[metric], f"{name}: {metric}")


def _buckets(found, where):
    """Return (bounds, counts) of a Float64Histogram: bounds as ints or infinities, one more than counts."""
    if not isinstance(found, dict):
        raise FormatError(f"{where}: a {type(found).__name__}, expected an object with counts and buckets")
    columns = {}
    for key, value in found.items():
        if key.lower() in ("counts", "buckets"):
            if key.lower() in columns:
                raise FormatError(f"{where}: {key} for the second time")
            if not isinstance(value, list) or len(value) > MAX_BUCKETS + 1:
                raise FormatError(f"{where}: {key} is no list of at most {MAX_BUCKETS + 1:,}")
            columns[key.lower()] = value
    if len(columns) != 2 or len(columns["buckets"]) != len(columns["counts"]) + 1 or not columns["counts"]:
        sizes = ", ".join(f"{len(v)} {k}" for k, v in columns.items())
        raise FormatError(f"{where}: {sizes or 'neither'}, expected counts, and one more of buckets")
    last = len(columns["counts"])
    bounds = [_bound(v, i, last, f"{where}: buckets[{i}]") for i, v in enumerate(columns["buckets"])]
    for i in range(last):
        if not bounds[i] < bounds[i + 1]:
            raise FormatError(f"{where}: buckets[{i + 1}] = {bounds[i + 1]}, expected more than {bounds[i]}")
    return bounds, [whole(v, MAX_COUNT, f"{where}: counts[{i}]") for i, v in enumerate(columns["counts"])]


def _bound(value, i, last, where):
    """Return one bound: an int of bytes, or an infinity at an end."""
    if isinstance(value, str) and value in ENDS:
        value = ENDS[value] * INFINITE
    elif value is None and i in (0, last):
        value = INFINITE if i else -INFINITE
    if value == INFINITE and i == last:
        return INFINITE
    if value == -INFINITE and i == 0:
        return -INFINITE
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole(value, MAX_OBJECT + 1, where)


def _made(bounds, counts, meta):
    """Return the histogram of counts between ``bounds``."""
    sizes, kept, lower, uncounted = [], [], [], 0
    for least, above, count in zip(bounds, bounds[1:], counts, strict=False):
        if not count:
            continue
        if above == INFINITE:
            uncounted = count
        elif above <= 1:
            raise FormatError(f"{meta.origin}: {count} objects of less than 1 byte, expected none")
        else:
            sizes.append(above - 1)
            kept.append(count)
            lower.append(max(least, 1))
    if sum(kept) + uncounted > MAX_COUNT:
        raise FormatError(f"{meta.origin}: more than 2**53 objects, expected what a program can allocate")
    meta = meta._replace(uncounted=uncounted, uncounted_bytes=None if uncounted else 0)
    return Histogram(sizes, kept, lower=[int(v) for v in lower], meta=meta)
