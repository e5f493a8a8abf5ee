"""JSON from outside: a bounded file, each key once, and numbers that are looked at before they are believed."""

import json
import os

from ..errors import FormatError

MAX_JSON = 4 << 20
"""Bytes of the largest file: what Go writes has a few thousand.  Parsed JSON may take thirty times its text."""


def read_json(path):
    """Return what the JSON file at ``path`` holds.

    Raises
    ------
    FormatError
        If it cannot be read, is larger than ``MAX_JSON``, is no JSON, or has a key twice.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_JSON:
                raise FormatError(f"{path}: over {MAX_JSON:,} bytes, expected the metrics or MemStats of one moment")
            data = file.read(MAX_JSON + 1)
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror or err})") from err
    return parse_json(data, str(path))


def parse_json(data, name):
    """Return what ``data``, bytes of JSON, holds; messages call it ``name``."""

    def once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise FormatError(f"{name}: the key {twice[:60]!r} stands twice in one object, expected once")
        return found

    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=once)
    except FormatError:
        raise
    except (ValueError, RecursionError) as err:
        raise FormatError(f"{name}: not JSON ({err})") from err


def whole(value, most, where):
    """Return ``value``, a whole number as JSON has it or as text, if it is 0 to ``most``."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise FormatError(f"{where}: {str(value)[:40]!r}, expected a whole number from 0 to {most}")
    return value
