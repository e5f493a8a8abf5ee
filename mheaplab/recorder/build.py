"""build: programs whose runtime has lines of ours, and if asked another table of size classes too.

``runtime_overlay`` reads Go's files from GOROOT, applies patches in their order and writes the results, with the files
that are new, to a folder of the caller's; what comes back is a map of files for ``go build -overlay``.
``build_program`` joins such a map with that of a table and builds.
"""

import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from ..errors import GoError
from ..go_command import run_command
from .patches import MEMSTATS, VERSIONS, apply_patch
from .rounding import rounding_file, rounding_patches

HERE = Path(__file__).resolve().parent
RECORDER, EXIT_MEMSTATS = HERE / "mheaplab_record.go", HERE / "mheaplab_memstats.go"
VARIABLE = "MHEAPLAB_RECORD"
PLATFORM = "linux/amd64"


class Go(NamedTuple):
    """A Go that is installed.

    Attributes
    ----------
    command : str
        The go command.
    version : str
        "go1.19" or "go1.27".
    release : str
        The whole version, such as "go1.19.8".
    goroot : Path
        Not resolved: an overlay must name files by the path under which go sees them.
    """

    command: str
    version: str
    release: str
    goroot: Path


def find_go(given="go"):
    """Return the :class:`Go` of a command's name or path.

    Raises
    ------
    GoError
        If there is no such command, or it is a Go of which the runtime is not known here.
    """
    command = shutil.which(given)
    if command is None:
        raise GoError(f"there is no command {given!r}; put Go on the PATH or name it with --go")
    own = os.environ | {"GOTOOLCHAIN": "local"}
    said = run_command([command, "env", "GOVERSION", "GOROOT", "GOOS", "GOARCH"], None, own)[0].splitlines()
    release, goroot, system, machine = (*said, "", "", "", "")[:4]
    known = re.match(r"go1\.\d+", release)
    if not known or known[0] not in VERSIONS:
        raise GoError(f"{command} is {release or 'no Go'}; the recorder knows {' and '.join(VERSIONS)}")
    if f"{system}/{machine}" != PLATFORM:
        raise GoError(f"{command} builds for {system}/{machine}; the recorder knows {PLATFORM}")
    return Go(command, known[0], release, Path(goroot))


def _patched(runtime, patches):
    """Return the texts of the runtime's files with all patches applied, by path."""
    texts = {}
    for patch in patches:
        path = runtime / patch.file
        if path not in texts:
            try:
                texts[path] = path.read_text(encoding="utf-8")
            except OSError as err:
                raise GoError(f"{path}: cannot be read ({err.strerror}); the recorder needs Go's source") from err
        texts[path] = apply_patch(patch, texts[path], path)
    return texts


def runtime_overlay(go, folder, record=False, memstats=False, round_as_go=False):
    """Write the runtime's files with lines of ours.

    Parameters
    ----------
    go : Go
    folder : Path
        Where they are written to.
    record, memstats : bool
        Whether programs can record, and whether they can say their MemStats at exit.
    round_as_go : bool
        Whether ``append`` rounds by Go's own table, whatever the table is (``rounding``).

    Returns
    -------
    dict of str to str
        Paths of Go's files and of those that take their place.

    Raises
    ------
    GoError
        If the runtime's source is not there, or is not what the patches expect.
    """
    known, runtime = VERSIONS[go.version], go.goroot / "src" / "runtime"
    # MemStats first: the end mark of a recording then follows on them.
    rounding = rounding_patches(go.version) if round_as_go else []
    texts = _patched(runtime, [*(MEMSTATS if memstats else []), *(known.patches if record else []), *rounding])
    if round_as_go:
        texts[runtime / "mheaplab_rounding.go"] = rounding_file(go.version)
    minor = go.version.removeprefix("go1.")
    for path, wanted in ((RECORDER, record), (EXIT_MEMSTATS, memstats)):
        if wanted:
            text = path.read_text(encoding="utf-8").replace("MHEAPLAB_ATOMIC", known.atomic)
            texts[runtime / path.name] = text.replace("MHEAPLAB_MINOR", minor)
    for path, text in texts.items():
        (folder / path.name).write_text(text, encoding="utf-8")
    return {str(path): str(folder / path.name) for path in texts}


def build_program(go, package, output, *, laid_over=None, flags=(), environment=None, **lines):
    """Build a program whose runtime has lines of ours.

    Parameters
    ----------
    go : Go
    package : sequence of str
        A package, or Go files; as for ``go build``.
    output : path or None
        Where the program goes; None as ``go build`` chooses.
    laid_over : dict of str to str, optional
        Further files of Go's and what takes their place, as a table's overlay has them.
    flags : sequence of str
        Further flags of ``go build``.
    environment : dict of str to str, optional
        Further variables of the build; of GOEXPERIMENT all are kept.
    lines : bool
        ``record``, ``memstats`` and ``round_as_go`` of :func:`runtime_overlay`.

    Returns
    -------
    str
        What the build wrote.

    Raises
    ------
    GoError
        If Go's source is not what is expected, or the build fails.
    """
    env = os.environ | {"GOTOOLCHAIN": "local"} | (environment or {})
    # All programs of a version are built alike, recorded or not, so that they differ in nothing else.
    wanted = [os.environ.get("GOEXPERIMENT", ""), env.get("GOEXPERIMENT", ""), VERSIONS[go.version].experiments]
    experiments = dict.fromkeys(word for text in wanted for word in text.split(",") if word)
    if experiments:
        env["GOEXPERIMENT"] = ",".join(experiments)
    target = ["-o", output] if output else []
    with tempfile.TemporaryDirectory(prefix="record_go.") as folder:
        replace = runtime_overlay(go, Path(folder), **lines) | (laid_over or {})
        overlay = Path(folder) / "overlay.json"
        overlay.write_text(json.dumps({"Replace": replace}, indent=1), encoding="utf-8")
        return "".join(run_command([go.command, "build", "-overlay", overlay, *target, *flags, *package], None, env))
