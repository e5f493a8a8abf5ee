"""Go's own pacer as oracle: what the controllers of Go 1.19 and 1.27 answered in made-up collections, exactly.

``data/go/pacer-VERSION.npz`` holds more than 3,000 cycles that ran in the real controller of that version's runtime
(``tools/pacer_go`` records them; ``data/README.md`` names the columns): programs of several shapes, GOGC from 25 to
off, memory limits from far away to hopeless, either changed under way, and operations with numbers of any size.  Here
the kernel's functions do the same from the same start, with nothing but the version's parameters.

Everything must be equal to the bit: goal, trigger, runway, cons/mark, assist ratio, numbers of workers, the pace of
sweeping, the scavenger's goals; and all the rest by a digest of every field of the controller, and the bounds of the
trigger, after every operation.  The digest stands in 16 bits, but goes on from operation to operation, so that what one
of them misses the next one tells.  The driver stops at the first operation that differs, and the message tells it with
those before it.
"""

import pathlib

import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.pacer import (
    ANSWERED,
    DIGEST,
    GIVEN,
    INIT,
    KINDS,
    MOST_ANSWERED,
    MOST_GIVEN,
    RECORDED_KINDS,
    answers,
    drive_pacer,
    new_pacer,
)

VERSIONS = ("go1.19", "go1.27")
STRIDE = 1 if COMPILED else 6
"""Every which scenario is done again: as plain Python, one in six."""
BEFORE = 4
"""Operations before the first wrong one that a message shows."""


def load(version):
    """Return a recording as (kinds, given, want): a row per operation, floats as their bits."""
    with np.load(pathlib.Path(__file__).parents[2] / f"data/go/pacer-{version}.npz") as archive:
        go = {name: archive[name] for name in archive.files}
    assert str(go["go"]) == version and go["ops.kinds"].tolist() == RECORDED_KINDS
    kinds = go["ops.kind"].astype(np.int64)
    given = np.zeros((len(kinds), MOST_GIVEN), np.int64)
    want = np.zeros((len(kinds), MOST_ANSWERED + 1), np.uint64)
    want[:, DIGEST] = go["ops.digest"]
    for kind, name in enumerate(RECORDED_KINDS):
        rows = np.flatnonzero(kinds == kind)
        for j, column in enumerate(GIVEN[name].split()):
            given[rows, j] = go[f"{name}.{column}"]
        for j, column in enumerate(ANSWERED[name].split()):
            values = go[f"{name}.{column}"]
            want[rows, j] = values.view(np.uint64) if values.dtype.kind == "f" else values.astype(np.uint64)
    return kinds, given, want


RECORDED = {version: load(version) for version in VERSIONS}


def starts_of(kinds):
    """Return where each scenario begins, and the end of the last."""
    return [*np.flatnonzero(kinds == INIT).tolist(), len(kinds)]


def in_words(kind, given, want):
    """Return one operation in words, with what Go answered."""
    name = KINDS[kind]
    told = " ".join(f"{n}={v}" for n, v in zip(GIVEN[name].split(), given.tolist(), strict=False))
    return f"{name} {told}\n    Go: {answered(name, want)}"


def answered(name, row):
    """Return an operation's answers in words."""
    words = [f"{column}={value!r}" for column, value in answers(name, row).items()]
    return " ".join([*words, f"digest={int(row[DIGEST]):#x}"])


@pytest.mark.parametrize("version", VERSIONS)
def test_cycles(version):
    """Every scenario of a version's recording."""
    kinds, given, want = RECORDED[version]
    starts = starts_of(kinds)
    for s in range(0, len(starts) - 1, STRIDE):
        rows = slice(starts[s], starts[s + 1])
        got = np.zeros_like(want[rows])
        with np.errstate(all="ignore"):
            k = drive_pacer(new_pacer(version), kinds[rows], given[rows], want[rows], got)
        if k < len(got):
            at = starts[s] + k
            lines = [in_words(kinds[i], given[i], want[i]) for i in range(max(at - BEFORE, starts[s]), at + 1)]
            ours = answered(KINDS[kinds[at]], got[k])
            pytest.fail(f"{version}, scenario {s}, operation {k}:\n" + "\n".join(lines) + f"\nkernel: {ours}")
