"""memstats: what a program said of its heap as it ended.

A program built with ``mheaplab_memstats.go`` reads MemStats twice before it exits: "exit" is the heap as the program
leaves it, "collected" the heap after one more collection and its sweep.  The file has lines of moment, field and value,
and an end, so that one that was cut off is noticed.
"""

from pathlib import Path

from ..errors import FormatError

MEMSTATS_VARIABLE = "MHEAPLAB_MEMSTATS"
MOMENTS = ("exit", "collected")
MOST_BYTES = 1 << 16
"""The program's buffer is half of it."""


def read_exit_memstats(path):
    """Return MemStats by moment ("exit", "collected"), dicts with Go's field names, of a program that has ended.

    Parameters
    ----------
    path : path
        The file that the program wrote.

    Raises
    ------
    FormatError
        If there is no such file, it was cut off, or a line of it is none.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            lines = file.read(MOST_BYTES).decode("ascii", "replace").split("\n")
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror}); the program ended without its MemStats") from err
    if lines[-2:] != ["end", ""]:
        raise FormatError(f"{path}: line {len(lines)}: no end, expected one: the program was stopped as it wrote")
    found = {moment: {"BySize": []} for moment in MOMENTS}
    for number, line in enumerate(lines[:-2], 1):
        moment, field, *values = line.split(" ")
        if (
            moment not in found
            or not all(v.isdigit() for v in values)
            or len(values) != (3 if field == "BySize" else 1)
        ):
            raise FormatError(f"{path}: line {number}: {line[:60]!r}, expected a moment, a field and its value")
        if field == "BySize":
            found[moment][field].append(dict(zip(("Size", "Mallocs", "Frees"), map(int, values), strict=True)))
        else:
            found[moment][field] = int(values[0])
    return found
