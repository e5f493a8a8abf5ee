"""Heap and allocs profiles of Go, as ``/debug/pprof/heap`` and ``pprof.WriteHeapProfile`` write them.

A profile is one protobuf message (profile.proto of google/pprof), packed by gzip.  It has the types of its values (for
Go's heap ``alloc_objects``, ``alloc_space``, ``inuse_objects``, ``inuse_space``), samples, and a table of all texts,
which others refer to by number.  A sample stands for a place in the program and a size: Go counts each pair apart, and
writes the size as the label ``bytes``.  It is the size of the slot, since that is what the runtime samples by.

Small objects without pointers share blocks of 16 bytes; the profile has the blocks.  Its numbers are as of the last
completed collection.  If the program sampled (by default an object every 512 KiB), Go has scaled the counts up before
writing, so they are estimates: ``meta.rate`` has the rate.

The file is unpacked in pieces, and refused as soon as it gives more than a profile can: see ``unpacked_bound``.  Two
passes over the top level need no memory of their own: texts of interest and types, then samples.  What says where in
the program a sample belongs is stepped over unread.

Simplified: a sample without the label stands at its bytes divided by its objects (``meta.sizes`` is then "average").
"""

import gzip
import os
import zlib
from array import array
from bisect import bisect_left

import numpy as np

from ..errors import FormatError
from ..runtime.trace_events import MAX_OBJECT
from ..size_tables import go_classes
from ..traces.sizes import MAX_COUNT, SizeCounts
from .histogram import Histogram, Meta
from .protobuf import BYTES, VARINT, WireError, add_numbers, expect, fields, signed

KIND = "pprof heap profile"
PIECE = 1 << 18
PAGE_BYTES = 8192
MAX_TYPES = 64
"""Types of values that a sample may have: Go writes four."""
SAMPLE_TYPE, SAMPLE, STRING_TABLE, PERIOD_TYPE, PERIOD = 1, 2, 6, 11, 12
SAMPLE_VALUE, SAMPLE_LABEL = 2, 3
LABEL_KEY, LABEL_NUM, LABEL_UNIT = 1, 3, 4
SIZE_LABEL = b"bytes"
VALUES = {"allocated": (b"alloc_objects", b"alloc_space"), "in use": (b"inuse_objects", b"inuse_space")}
TEXTS = {text for pair in VALUES.values() for text in pair} | {SIZE_LABEL, b"count", b"space"}
SHORTEST, LONGEST = min(map(len, TEXTS)), max(map(len, TEXTS))


def is_pprof(path, head):
    """Return whether a file is packed, or begins as a profile does: with the type of a value or of the period."""
    return head[:2] == b"\x1f\x8b" or (head[:1] in (b"\x0a", b"\x5a") and head[2:3] == b"\x08")


def open_pprof(path, what):
    """Return the histogram of the profile at ``path``."""
    try:
        with path.open("rb") as file:
            return read_pprof(file, os.fstat(file.fileno()).st_size, str(path), what)
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror or err})") from err


def unpacked_bound(size):
    """Return how many bytes a packed profile of ``size`` bytes may unpack to.

    Go's profiles unpack to two to ten times their size.  Both terms keep all memory under ten times the file's size
    plus 100 MB.
    """
    return min(32 * size + (1 << 20), 8 * size + (64 << 20))


def read_pprof(file, size, name, what):
    """Return the histogram of the profile in ``file``, ``size`` bytes long; messages call it ``name``."""
    data = file.read(2)
    file.seek(0)
    if data == b"\x1f\x8b":
        data = _unpacked(file, unpacked_bound(size), name)
    else:
        data = file.read()
    try:
        return _histogram(data, name, what)
    except WireError as err:
        raise FormatError(f"{name}: {err}") from err


def _unpacked(file, most, name):
    """Return what gzip packed, at most ``most`` bytes."""
    data = bytearray()
    try:
        with gzip.GzipFile(fileobj=file) as unpacking:
            while piece := unpacking.read(PIECE):
                data += piece
                if len(data) > most:
                    raise FormatError(f"{name}: unpacks to more than {most:,} bytes, which no profile of its size does")
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise FormatError(f"{name}: not a whole gzip file ({err}), expected a profile") from err
    return data


def _histogram(data, name, what):
    texts, types, period_type, period, n_texts = _top_level(data)
    titles = [texts.get(number, b"?") for number, _ in types]
    wanted = [titles.index(text) if titles.count(text) == 1 else -1 for text in VALUES[what]]
    if wanted[0] < 0:
        raise FormatError(f"{name}: no value of type {VALUES[what][0].decode()}, expected a heap profile of Go")
    for i, unit in zip(wanted, (b"count", SIZE_LABEL), strict=True):
        if i >= 0 and texts.get(types[i][1]) != unit:
            raise FormatError(f"{name}: {titles[i].decode()} is not counted in {unit.decode()}, as Go counts it")
    rate = period if [texts.get(n) for n in period_type] == [b"space", SIZE_LABEL] else 0
    if not 0 <= rate <= MAX_OBJECT:
        raise FormatError(f"{name}: a sample every {rate} bytes, expected 0 to 2**47")
    label = next((number for number, text in texts.items() if text == SIZE_LABEL), 0)
    reading = _Samples(name, len(types), wanted, rate, (label, n_texts))
    for item in fields(data, 0, len(data)):
        if item[0] == SAMPLE:
            reading.add(data, item)
    sizes, counts, _ = reading.counts()
    meta = Meta(name, KIND, what, "average" if reading.averaged else "slot", rate=rate)
    return Histogram(sizes, counts, lower=None if reading.averaged else slot_lower(sizes), meta=meta)


def _top_level(data):
    """Return ({number: text} of ``TEXTS``, [(type, unit)], (type, unit) of the period, period, number of texts).

    Types and units are numbers of texts.
    """
    texts, types, period_type, period, numbers = {}, [], (0, 0), 0, 0
    for item in fields(data, 0, len(data)):
        field, _, value, stop, at = item
        if field == STRING_TABLE:
            expect(item, BYTES)
            if numbers == 0 and value != stop:
                raise WireError(at, "the first text is not empty, expected a table of texts")
            if SHORTEST <= stop - value <= LONGEST and (text := bytes(data[value:stop])) in TEXTS:
                if text in texts.values():
                    raise WireError(at, f"the text {text.decode()!r} for the second time, expected each once")
                texts[numbers] = text
            numbers += 1
        elif field == SAMPLE_TYPE:
            expect(item, BYTES)
            types.append(_value_type(data, value, stop))
            if len(types) > MAX_TYPES:
                raise WireError(at, f"more than {MAX_TYPES} types of values")
        elif field == PERIOD_TYPE:
            expect(item, BYTES)
            period_type = _value_type(data, value, stop)
        elif field == PERIOD:
            expect(item, VARINT)
            period = signed(value)
        elif field == SAMPLE:
            expect(item, BYTES)
    for number in [n for pair in (*types, period_type) for n in pair]:
        if number >= max(numbers, 1):
            raise WireError(len(data), f"text {number} is named, but the table has {numbers}")
    return texts, types, period_type, period, numbers


def _value_type(data, at, end):
    """Return the numbers of the texts of a type and its unit."""
    found = [0, 0]
    for item in fields(data, at, end):
        if item[0] in (1, 2):
            expect(item, VARINT)
            found[item[0] - 1] = item[2]
    return tuple(found)


class _Samples:
    """Samples on their way to counts by size."""

    def __init__(self, name, n_values, wanted, rate, label):
        self.name, self.n_values, self.rate = name, n_values, rate
        self.objects_at, self.space_at = wanted
        self.label, self.n_texts = label
        self.averaged = False
        self._rows = array("q")
        self._counts = SizeCounts(name)

    def add(self, data, item):
        """Count one sample."""
        _, _, at, end, start = item
        values, size = [], 0
        for inner in fields(data, at, end):
            if inner[0] == SAMPLE_VALUE:
                add_numbers(values, data, inner, self.n_values)
            elif inner[0] == SAMPLE_LABEL:
                expect(inner, BYTES)
                found = self._size_label(data, inner)
                if found and size and found != size:
                    raise WireError(inner[4], f"a sample of {size} and of {found} bytes, expected one size")
                size = found or size
        if len(values) != self.n_values:
            raise WireError(start, f"a sample of {len(values)} values, expected {self.n_values}")
        count = signed(values[self.objects_at])
        space = signed(values[self.space_at]) if self.space_at >= 0 else None
        if count:
            self._keep(start, count, size, space)

    def _size_label(self, data, item):
        """Return the size that a label gives, 0 if it is another label."""
        found = {LABEL_KEY: 0, LABEL_NUM: 0, LABEL_UNIT: 0}
        for inner in fields(data, item[2], item[3]):
            if inner[0] in found:
                expect(inner, VARINT)
                found[inner[0]] = inner[2]
        if max(found[LABEL_KEY], found[LABEL_UNIT]) >= self.n_texts:
            raise WireError(item[4], f"a label names a text that is not in the table of {self.n_texts}")
        if not self.label or found[LABEL_KEY] != self.label:
            return 0
        if found[LABEL_UNIT] not in (0, self.label):
            raise WireError(item[4], "the label bytes has another unit than bytes")
        if not 1 <= found[LABEL_NUM] <= MAX_OBJECT:
            raise WireError(item[4], f"objects of {signed(found[LABEL_NUM])} bytes, expected 1 to 2**47")
        return found[LABEL_NUM]

    def _keep(self, at, count, size, space):
        if not 0 < count <= MAX_COUNT:
            reason = "the difference of two profiles" if count < 0 else "no program's"
            raise WireError(at, f"a sample of {count} objects, expected 0 to 2**53: this is {reason}")
        if size and self.rate == 1 and space is not None and space != size * count:
            raise WireError(at, f"{count} objects of {size} bytes in {space} bytes, expected {size * count}")
        if not size:
            size = (2 * (space or 0) + count) // (2 * count)
            self.averaged = True
            if not 1 <= size <= MAX_OBJECT:
                raise WireError(at, f"{count} objects without a size, expected the label bytes or their bytes")
        self._rows.extend((size, count))
        if len(self._rows) >= PIECE:
            self._flush()

    def _flush(self):
        rows = np.array(self._rows, np.int64).reshape(-1, 2)
        self._counts.add(rows[:, 0], rows[:, 1])
        self._rows = array("q")

    def counts(self):
        """Return sizes, counts and zeros."""
        self._flush()
        return self._counts.columns()


def slot_lower(sizes):
    """Return the fewest bytes that get a slot of each of ``sizes``, or None if these are not Go's slots.

    The classes are those of Go 1.16 and later; larger slots are whole pages.
    """
    classes = [0, *(size for size, _ in go_classes())]
    lower = np.empty(len(sizes), np.int64)
    for i, size in enumerate(np.asarray(sizes).tolist()):
        k = bisect_left(classes, size)
        if k < len(classes) and classes[k] == size:
            lower[i] = classes[k - 1] + 1
        elif size > classes[-1] and size % PAGE_BYTES == 0:
            lower[i] = max(size - PAGE_BYTES, classes[-1]) + 1
        else:
            return None
    return lower
