"""describe: what a histogram is and says, in words."""

from ..runtime.structs import MAX_SMALL_SIZE

SIZES = {
    "requested": "as requested",
    "slot": "of slots (size classes, whole pages); the request may have been smaller",
    "average": "averages: the file has lost the sizes themselves",
}


def describe(histogram):
    """Return the facts of a histogram as a dict of text to text, str or int, in the order in which to show them.

    Bytes are ints whose names end in ``bytes``; nothing that is not known is in it.
    """
    meta = histogram.meta
    facts = {"kind": meta.kind, "origin": meta.origin, "go": meta.go, "objects are": meta.what}
    facts = {name: text for name, text in facts.items() if text}
    facts |= {"sizes": SIZES[meta.sizes], "counts": counted(meta.rate)}
    facts |= {"objects": histogram.objects, "bytes": histogram.bytes, "different sizes": len(histogram)}
    if len(histogram):
        facts |= {"smallest bytes": int(histogram.sizes[0]), "largest bytes": int(histogram.sizes[-1])}
        facts["objects above 32 KiB"] = int(histogram.counts[histogram.sizes > MAX_SMALL_SIZE].sum())
    if histogram.noscan is not None:
        facts["objects without pointers"] = int(histogram.noscan.sum())
    if meta.uncounted:
        facts["objects of unknown size"] = meta.uncounted
    if meta.uncounted_bytes:
        facts["their bytes"] = meta.uncounted_bytes
    return facts


def counted(rate):
    """Return how objects were counted, for a sample every ``rate`` bytes."""
    if rate == 1:
        return "of every object"
    return f"estimates from a sample every {rate:,} bytes" if rate else "as given; whether of a sample is not known"
