"""Keys: what makes a run the same run.

A run's key is the SHA-256 of everything its numbers depend on: the input's fingerprint, seed and scale, all parameters,
the number of samples, and the code.  So a result is found again by what it is the result of, and never by its place in
a study; a study that grows keeps what it has, and one whose code has changed keeps nothing.

The code is the version of mheaplab, the kernel's sources (``runtime/_jit.py`` has that hash for the compile cache), all
other sources that a run's numbers pass through, and the version of numpy, which does the last sums.

Seeds follow from the study's seed and the number of the replication, never from who runs when.
"""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import numpy as np

from ..runtime._jit import source_stamp

PACKAGE = Path(__file__).parent.parent
BESIDE = ("runtime", "figures", "widgets", "studies", "recorder")
"""Folders without a say in a run's numbers; ``runtime`` has a hash of its own."""
OF_STUDIES = ("inputs.py", "keys.py", "run_one.py")


def sources(package=PACKAGE):
    """Yield the files that a run's numbers depend on, the kernel's aside."""
    for path in sorted(package.rglob("*.py")):
        top = path.relative_to(package).parts[0]
        if top not in BESIDE and not top.startswith(("cli", "bench", "prove_", "__main__")):
            yield path
    yield from (package / "studies" / name for name in OF_STUDIES)


@functools.cache
def code_stamp(package=PACKAGE):
    """Return text (16 hex digits) that is another for every code that might give other numbers."""
    from .. import __version__

    found = hashlib.sha256(repr((__version__, np.__version__, source_stamp(package / "runtime"))).encode())
    for path in sources(package):
        found.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def digest(what):
    """Return the SHA-256 (hex) of anything JSON can hold; equal values give equal digests."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@functools.lru_cache(maxsize=4096)
def _params_digest(params):
    return digest({field.name: getattr(params, field.name) for field in dataclasses.fields(params)})


def run_key(fingerprint, seed, scale, params, samples, code):
    """Return the key of a run, 64 hex digits."""
    return digest([fingerprint, seed, float(scale), _params_digest(params), samples, code])


def derived_seed(seed, replication):
    """Return the seed of a replication, 0 to 2**63 - 1."""
    found = hashlib.sha256(f"mheaplab study, seed {seed}, replication {replication}".encode()).digest()
    return int.from_bytes(found[:8], "big") >> 1
