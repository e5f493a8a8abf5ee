"""The wire format of protocol buffers, as far as a profile needs it: fields one after the other, and whole numbers.

A message is a row of fields, each a number that says field and wire type, and a value: a varint (0), 8 bytes (1), so
many bytes as a varint says (2), 4 bytes (5).  Groups (3 and 4) are long out of use and are refused.  Everything that is
read lies between ``at`` and ``end``, so a length that is too large is found before anything is taken for what it is
not.  Offsets in messages are those in the file, once it is unpacked.

Source: https://protobuf.dev/programming-guides/encoding/
"""

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


class WireError(Exception):
    """What is wrong, and at which byte."""

    def __init__(self, at, reason):
        super().__init__(f"byte {at}: {reason}")


def varint(data, at, end):
    """Return (value, offset after it) of the varint at ``at``: 7 bits a byte, the low ones first, up to 64 bits."""
    if at < end and data[at] < 0x80:
        return data[at], at + 1
    value = shift = 0
    start = at
    while True:
        if at >= end:
            raise WireError(start, "the file or message ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            raise WireError(start, "a number of more than 10 bytes")
    if value >> 64:
        raise WireError(start, "a number of more than 64 bits")
    return value, at


def fields(data, at, end):
    """Yield (field, wire type, value, stop, offset) of each field between ``at`` and ``end``.

    For a varint ``value`` is the number; for the other types the value lies from ``value`` to ``stop``.
    """
    while at < end:
        start = at
        # Most keys and lengths are one byte; a call for each would take most of the time.
        key = data[at]
        if key < 0x80:
            at += 1
        else:
            key, at = varint(data, at, end)
        field, wire = key >> 3, key & 7
        if not 0 < field < 1 << 29:
            raise WireError(start, f"field {field}, expected 1 to 536870911")
        if wire == VARINT:
            value, at = varint(data, at, end)
            yield field, wire, value, at, start
            continue
        if wire == BYTES:
            if at < end and data[at] < 0x80:
                length = data[at]
                at += 1
            else:
                length, at = varint(data, at, end)
        elif wire == EIGHT_BYTES:
            length = 8
        elif wire == FOUR_BYTES:
            length = 4
        else:
            raise WireError(start, f"wire type {wire}, expected 0, 1, 2 or 5")
        stop = at + length
        if stop > end:
            raise WireError(start, f"field {field} of {length} bytes, but only {end - at} are left")
        yield field, wire, at, stop, start
        at = stop


def signed(value):
    """Return an int64 that was written as a varint of 64 bits."""
    return value - (1 << 64) if value >> 63 else value


def add_numbers(numbers, data, item, most):
    """Append the numbers of one field of a repeated integer, packed or alone, to the list ``numbers``.

    No more than ``most`` of them: what is larger is not kept, but refused.
    """
    _, wire, value, stop, start = item
    if wire == VARINT:
        numbers.append(value)
    elif wire == BYTES:
        while value < stop and len(numbers) <= most:
            number, value = varint(data, value, stop)
            numbers.append(number)
    else:
        raise WireError(start, f"wire type {wire}, expected whole numbers")
    if len(numbers) > most:
        raise WireError(start, f"more than {most} numbers, expected no more")


def expect(item, wire):
    """Refuse a field of another wire type than ``wire``."""
    if item[1] != wire:
        raise WireError(item[4], f"field {item[0]} has wire type {item[1]}, expected {wire}")
