"""A Go with another table: an overlay for ``go build``, and what else has to be said to the build.

``go build -overlay overlay.json`` reads our sizeclasses.go in place of Go's; nothing is written into GOROOT.  In Go
1.19 that is all: everything else follows from the table.  Go 1.27 has two things that were generated from Go's table
and do not follow:

* **Size-specialized mallocs.**  The compiler calls one function per class for objects up to 80 bytes, with numbers of
  classes and sizes that are written into them, and the compiler itself was built with Go's table.  If the classes up to
  80 bytes are not Go's, the build needs ``GOEXPERIMENT=nosizespecializedmalloc``.
* **Expanders.**  On processors with AVX-512 the collector finds the pointers of a span with a function per class,
  expand_amd64.s.  If the classes up to 512 bytes are not Go's, or there are more or fewer classes in all, they must be
  generated anew: by Go's own mkasm.go, itself built with the overlay.

``overlay`` sees to both and says in ``environment`` what the build needs.
"""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..go_command import run_command
from .go_source import to_go
from .table import go_table

SOURCE = {"go1.19": "src/runtime/sizeclasses.go", "go1.27": "src/internal/runtime/gc/sizeclasses.go"}
EXPANDERS, MKASM = "src/internal/runtime/gc/scan/expand_amd64.s", "src/internal/runtime/gc/scan/mkasm.go"
SPECIALIZED_TO = 80
"""Bytes of the largest objects with mallocs of their own (specializedMallocMax of runtime/_mkmalloc)."""
PACKED_TO = 512
SAFE_BUILD = {"GOEXPERIMENT": "nosizespecializedmalloc"}


class Overlay(NamedTuple):
    """An overlay on disk.

    Attributes
    ----------
    path : Path
        overlay.json, for ``go build -overlay``.
    go : str
        The Go version that it is for.
    environment : dict of str to str
        What must be in the environment of the build.
    """

    path: Path
    go: str
    environment: dict


def version_of(goroot):
    """Return the profile, "go1.19" or "go1.27", of a Go that is installed in ``goroot``.

    Raises
    ------
    ValueError
        If there is no Go, or one whose table has another form.
    """
    version = Path(goroot) / "VERSION"
    said = version.read_text(encoding="utf-8", errors="replace")[:200] if version.is_file() else ""
    found = re.match(r"(go1\.\d+)", said)
    if not found or found[1] not in SOURCE or not (Path(goroot) / SOURCE[found[1]]).is_file():
        what = found[1] if found else "no Go"
        raise ValueError(f"goroot = {str(goroot)!r} has {what}, expected the sources of {' or '.join(SOURCE)}")
    return found[1]


def _below(table, limit):
    return [pair for pair in table.pairs if pair[0] <= limit]


def _write(path, text):
    """Write a file that is either whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _expanders(goroot, overlay, folder):
    """Have Go's mkasm.go, built with the overlay, write the expanders into ``folder``; return their path."""
    go = Path(goroot) / "bin" / "go"
    if not go.is_file():
        raise ValueError(f"goroot = {str(goroot)!r} has no bin/go, which must generate expanders for this table")
    with tempfile.TemporaryDirectory() as work:
        # A cache of our own: programs with another runtime are of no use to anyone's cache.
        env = os.environ | {"GOTOOLCHAIN": "local", "GOFLAGS": "", "GOENV": "off", "GOWORK": "off"}
        env = env | {"GOCACHE": str(Path(work) / "cache"), "GOROOT": str(goroot)}
        # mkasm is itself a program with the new table and the old expanders: it must not collect.
        env |= SAFE_BUILD | {"GOGC": "off"}
        binary = Path(work) / "mkasm"
        run_command([go, "build", "-overlay", overlay, "-o", binary, Path(goroot) / MKASM], work, env)
        said = run_command([binary], work, env)[1]
        failed = re.search(r"failed to generate expander for size class (\d+)", said)
        if failed:
            raise ValueError(
                f"Go's mkasm.go has no way to expand the bits of class {failed[1]}: not a table for Go 1.27"
            )
        made = folder / "expand_amd64.s"
        shutil.move(Path(work) / "expand_amd64.s", made)
    return made


def overlay(table, goroot, folder):
    """Write the overlay with which a Go builds programs that have another table.

    Parameters
    ----------
    table : SizeClassTable
        The table; it must be legal in that Go.
    goroot : path
        Where the Go is installed, as ``go env GOROOT`` says it: "go1.19" or "go1.27".
    folder : path
        Where sizeclasses.go and overlay.json are written; made if it is not there.

    Returns
    -------
    Overlay
        Path of overlay.json, Go version, and what must be in the environment of the build.

    Raises
    ------
    ValueError
        If there is no such Go, the table is not legal in it, or generating expanders failed.
    """
    # Not resolved: the overlay must name files by the paths under which go sees them.
    goroot, folder = Path(os.path.abspath(goroot)), Path(os.path.abspath(folder))
    go = version_of(goroot)
    text = to_go(table, go)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "sizeclasses.go", text)
    replace, environment = {str(goroot / SOURCE[go]): str(folder / "sizeclasses.go")}, {}
    path, own = folder / "overlay.json", go_table(go)
    _write(path, json.dumps({"Replace": replace}, indent=2) + "\n")
    if go == "go1.27":
        if _below(table, SPECIALIZED_TO) != _below(own, SPECIALIZED_TO):
            environment |= SAFE_BUILD
        if _below(table, PACKED_TO) != _below(own, PACKED_TO) or len(table) != len(own):
            replace[str(goroot / EXPANDERS)] = str(_expanders(goroot, path, folder))
            _write(path, json.dumps({"Replace": replace}, indent=2) + "\n")
    return Overlay(path, go, environment)
