"""Profiles made up for tests, written by a protobuf encoder that shares nothing with the reader."""

HEAP_TYPES = (
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
)


def varint(number):
    """Return a whole number as 64 bits in groups of 7."""
    number %= 1 << 64
    found = b""
    while number > 127:
        found += bytes([number % 128 + 128])
        number //= 128
    return found + bytes([number])


def field(number, value):
    """Return a field: a varint for an int, else bytes with their length."""
    if isinstance(value, int):
        return varint(8 * number) + varint(value)
    return varint(8 * number + 2) + varint(len(value)) + value


def profile(samples, rate=1, types=HEAP_TYPES, packed=True, unit=""):
    """Return a profile, not packed by gzip.

    Parameters
    ----------
    samples : list of (values, size)
        Size None: without the label.
    rate : int
    types : sequence of (type, unit)
    packed : bool
        Whether values stand in one field each sample, as Go writes them.
    unit : str
        Of the label.
    """
    texts = ["", "space", "bytes", "request"]
    texts += sorted({text for pair in (*types, (unit,)) for text in pair} - set(texts))
    text = texts.index
    out = b"".join(field(1, field(1, text(kind)) + field(2, text(per))) for kind, per in types)
    for values, size in samples:
        body = field(1, varint(7) + varint(300))
        body += field(2, b"".join(map(varint, values))) if packed else b"".join(field(2, v) for v in values)
        body += field(3, field(1, text("request")) + field(3, 99))
        if size is not None:
            body += field(3, field(1, text("bytes")) + field(3, size) + (field(4, text(unit)) if unit else b""))
        out += field(2, body)
    out += field(5, field(1, 1) + field(2, 3)) + field(9, 1700000000)
    out += b"".join(field(6, t.encode()) for t in texts)
    return out + field(11, field(1, text("space")) + field(2, text("bytes"))) + field(12, rate)
