"""prove_tables: a table of size classes from a word of the command line.

The words: "go", the other allocators', "best" and "near:K", which look at the sizes that the program was recorded to
ask for, or a file: JSON, a list of pairs [bytes of an object, pages of a span], or a Go's sizeclasses.go.
"""

import re
from pathlib import Path

from .errors import FormatError
from .histograms.strict_json import MAX_JSON, parse_json
from .runtime.structs import MALLOC
from .sizeclasses import (
    SizeClassTable,
    count_sizes,
    go_table,
    jemalloc_table,
    mimalloc_table,
    optimal,
    optimal_near,
    pow2_table,
    tcmalloc_table,
)
from .sizeclasses.go_source import DIALECTS

RULES = {
    "go": go_table,
    "jemalloc": jemalloc_table,
    "mimalloc": mimalloc_table,
    "pow2": pow2_table,
    "tcmalloc": tcmalloc_table,
}
NOSCAN = 1
WORDS = f"{', '.join(RULES)}, best, near:K, or a file of pairs (JSON) or of Go (sizeclasses.go)"


def asked_sizes(case):
    """Return (counts, counts without pointers) by size of what a recorded program allocated."""
    e = case.events
    rows = e.kind == MALLOC
    return count_sizes(e.size[rows], e.flags[rows] & NOSCAN)


def changes_of(word):
    """Return K of "near:K"; None if ``word`` is none such.

    Raises
    ------
    ValueError
        If K is no number.
    """
    if not word.startswith("near:"):
        return None
    if not word[5:].isascii() or not word[5:].isdigit() or len(word) > 8:
        raise ValueError(f"--table {word!r}: expected a number of classes after near:, such as near:3")
    return int(word[5:])


def check_word(word):
    """Raise ``ValueError`` if ``word`` names no table, as far as that can be said before there is a recording."""
    if word not in RULES and word != "best" and changes_of(word) is None and not Path(word).is_file():
        raise ValueError(f"--table {word!r}: no such table and no such file; expected {WORDS}")


def table_named(word, case):
    """Return the table that ``word`` names.

    Parameters
    ----------
    word : str
        See the module.
    case : Case
        The recorded program, whose sizes "best" and "near:K" look at, and whose Go version all are made for.

    Raises
    ------
    FormatError
        If the file is none of a table.
    ValueError
        If the word names no table, or the table is not legal in that Go.
    """
    check_word(word)
    counts, noscan = asked_sizes(case)
    changes = changes_of(word)
    if word in RULES:
        table = RULES[word](case.go)
    elif word == "best":
        table = optimal(counts, noscan=noscan, go=case.go)
    elif changes is not None:
        table = optimal_near(counts, changes, noscan=noscan, go=case.go)
    else:
        table = read_table(word)
    wrong = table.why_not(case.go)
    if wrong:
        raise ValueError(f"--table {word!r}: {wrong}")
    return table


def _go_columns(text, path):
    """Return the two columns of a sizeclasses.go."""
    for names in DIALECTS.values():
        found = [re.search(rf"\bvar {name} = \[[^\]]*\]uint\d+\{{([\d, ]+)\}}", text) for name in names.arrays[:2]]
        if all(found):
            return [[int(number[:9]) for number in re.findall(r"\d+", column[1])] for column in found]
    wanted = " or ".join(names.arrays[0] for names in DIALECTS.values())
    raise FormatError(f"{path}: has no arrays {wanted} of numbers, expected a sizeclasses.go")


def read_table(path):
    """Return the table in a file: JSON, a list of pairs [bytes, pages], or a Go's sizeclasses.go.

    Raises
    ------
    FormatError
        If it cannot be read, or is no table.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON + 1)
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
    if len(data) > MAX_JSON:
        raise FormatError(f"{path}: over {MAX_JSON:,} bytes, expected a table of size classes")
    if path.suffix == ".go":
        sizes, pages = _go_columns(data.decode("utf-8", "replace"), path)
        if len(sizes) != len(pages):
            raise FormatError(f"{path}: {len(sizes)} sizes and {len(pages)} page counts, expected as many")
        pairs = list(zip(sizes, pages, strict=True))[1:]
    else:
        pairs = parse_json(data, str(path))
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise FormatError(f"{path}: expected a list of pairs of whole numbers, [[bytes, pages], ...]")
    try:
        return SizeClassTable(tuple(map(tuple, pairs)), path.name)
    except ValueError as err:
        raise FormatError(f"{path}: {err}") from err


def _is_pair(pair):
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(number, int) and not isinstance(number, bool) for number in pair)
    )
