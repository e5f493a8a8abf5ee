"""The kernel's decorators, and the one rule of its compile cache.

Every compiled function of the kernel is made by one of three decorators:

``kjit``
    an inner function, never called from Python: it gets no wrappers, and no machine code of its own (``_inner``).
``kinline``
    the same, inlined into its caller before type inference: leaves of a few lines and links with one call site.
``kentry``
    an entry point that Python calls. Only entry points are cached on disk; each holds the code of all it calls.

The cache rule.  numba keys a cached function by the text of the file that defines *it*, not of what it calls, so a
changed callee or constant would silently run the old machine code; nor does the key contain the bounds-check switch.
Entry points are therefore cached in a folder named by a hash of every kernel source, numba's version and the options:
a changed kernel source is a new folder, and stale code cannot run.  Folders of older sources are deleted, oldest
first, once there are more than :data:`KEEP` of them.  Processes that need the same entry point at once wait for the
first of them to compile it (``_once``).

Environment: ``MHEAPLAB_CACHE_DIR`` moves the cache, ``MHEAPLAB_BOUNDSCHECK=0`` or ``1`` switches the bounds checks on
every table and sub-array (default 1), ``NUMBA_DISABLE_JIT=1`` runs the same source as plain Python.
"""

import hashlib
import os
import pathlib
import shutil

import numba
from numba import config, njit

from ._inner import EntryCompiler, InnerCompiler
from ._once import compile_once

KEEP = 8
"""Compile-cache folders kept on disk, the one in use included."""

BOUNDSCHECK = os.environ.get("MHEAPLAB_BOUNDSCHECK", "1") not in ("", "0")
"""Whether indexes into the kernel's tables and sub-arrays are checked. Part of the cache key."""

_HERE = pathlib.Path(__file__).parent
_OPTIONS = {"nogil": True, "error_model": "numpy", "boundscheck": BOUNDSCHECK}
_ENTRY = dict(_OPTIONS, pipeline_class=EntryCompiler)
_INNER = dict(_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, pipeline_class=InnerCompiler)


def source_stamp(folder=_HERE):
    """Return the hash (16 hex digits) of all kernel sources and of the options that numba's own key leaves out."""
    digest = hashlib.sha256(repr((numba.__version__, sorted(_OPTIONS.items()), config.OPT)).encode())
    for path in sorted(pathlib.Path(folder).rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root():
    """Return the folder that holds one sub-folder of compiled code per source stamp."""
    moved = os.environ.get("MHEAPLAB_CACHE_DIR")
    if moved:
        return pathlib.Path(moved)
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "mheaplab"


def _open_cache():
    """Make the cache folder of this source and drop the oldest of the others."""
    folder = cache_root() / f"kernel-{source_stamp()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)
        others = sorted(cache_root().glob("kernel-*"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in others[KEEP:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        # A read-only home is no reason to fail: numba then compiles in each process.
        return None
    return folder


CACHE_DIR = None if config.DISABLE_JIT else _open_cache()

kjit = njit(**_INNER)
kinline = njit(inline="always", **_INNER)


def kentry(function):
    """Compile ``function`` as an entry point called from Python, cached on disk under the source stamp."""
    if CACHE_DIR is None:
        return njit(**_ENTRY)(function)
    saved, config.CACHE_DIR = config.CACHE_DIR, str(CACHE_DIR)
    try:
        entry = njit(cache=True, **_ENTRY)(function)
    finally:
        config.CACHE_DIR = saved
    compile_once(entry, CACHE_DIR / f"{function.__module__}.{function.__qualname__}.lock")
    return entry
