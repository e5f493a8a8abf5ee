"""study_file: a study as a TOML file.

traces = ["json-service", "traces/*.parquet", "s3://bucket/prog.parquet"]    # relative to the file
method = "grid"                      # or "sample" with n, or "search" with n and objective
replications = 3
[space]
gogc = [50, 100, "off"]
arena_bytes = ["4MiB", "64MiB"]
memory_limit = { low = "64MiB", high = "1GiB", log = true }                  # sample and search only
[params]                             # what the other parameters are
go = "go1.27"
"""

import glob
import os
import tomllib
from pathlib import Path

from ..errors import FormatError
from ..params import HeapParams
from .inputs import SEPARATOR
from .search import search
from .space import FIELDS, Interval, plain_value
from .study import grid, sample

MAX_FILE = 1 << 20
METHODS = {"grid": (grid, ()), "sample": (sample, ("n",)), "search": (search, ("objective", "n"))}
OPTIONAL = {"search": ("batch",)}
OPTIONS = ("replications", "seed", "samples", "scale")
ALWAYS = ("traces", "space", "method", "out", "params")


def read_file(path):
    """Return (method, its arguments, folder for results or None) of a study in TOML.

    Raises
    ------
    FormatError
        If it is no such file; the message names file and key.
    """
    path = Path(path)
    found = _parsed(path)
    name = found.get("method", "grid")
    if name not in METHODS:
        raise FormatError(f"{path}: method = {name!r}, expected one of {', '.join(METHODS)}")
    call, needed = METHODS[name]
    known = {*ALWAYS, *OPTIONS, *needed, *OPTIONAL.get(name, ())}
    for key in found:
        if key not in known:
            raise FormatError(f"{path}: unknown key {key!r}, expected one of {', '.join(sorted(known))}")
    for key in ("traces", "space", *needed):
        if key not in found:
            raise FormatError(f"{path}: {key!r} is missing")
    try:
        arguments = {"traces": _traces(found["traces"], path.parent), "space": _space(found["space"])}
        if "params" in found:
            arguments["params"] = _params(found["params"])
    except ValueError as err:
        raise FormatError(f"{path}: {err}") from err
    for key in (*needed, *OPTIONAL.get(name, ()), *OPTIONS):
        if key in found:
            arguments[key] = found[key]
    out = found.get("out")
    if out is not None and not isinstance(out, str):
        raise FormatError(f"{path}: out = {out!r}, expected the name of a folder")
    return call, arguments, None if out is None else path.parent / out


def _parsed(path):
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE + 1)
        if len(text) > MAX_FILE:
            raise FormatError(f"{path}: over {MAX_FILE} bytes, expected a study in TOML")
        return tomllib.loads(text.decode("utf-8"))
    except FormatError:
        raise
    except OSError as err:
        raise FormatError(f"{path}: cannot be read ({err.strerror})") from err
    except (ValueError, RecursionError) as err:
        raise FormatError(f"{path}: not TOML ({err})") from err


def _traces(found, folder):
    """Return the traces: names as they are, paths from the folder of the file, patterns by what fits."""
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ValueError(f"traces = {found!r}, expected a list of names, paths or URLs")
    traces = []
    for text in found:
        path = os.fspath(folder / text)
        if SEPARATOR in text:
            traces.append(text)
        elif glob.has_magic(text):
            fitting = sorted(glob.glob(path))
            if not fitting:
                raise ValueError(f"traces: nothing fits {text!r}")
            traces += fitting
        else:
            there = os.sep in text or os.path.exists(path) or "." in text
            traces.append(path if there else text)
    return traces


def _space(found):
    """Return the space, with intervals made of tables with ``low`` and ``high``."""
    if not isinstance(found, dict):
        raise ValueError(f"space = {found!r}, expected a table of parameters")
    return {name: _interval(name, v) if isinstance(v, dict) else v for name, v in found.items()}


def _interval(name, found):
    if not {"low", "high"} <= set(found) <= {"low", "high", "log"} or name not in FIELDS:
        raise ValueError(f"space: {name} = {found!r}, expected a list, or low, high and log of a parameter")
    ends = (plain_value(name, found["low"]), plain_value(name, found["high"]))
    return Interval(*ends, log=found.get("log", False))


def _params(found):
    """Return the parameters that are not varied."""
    if not isinstance(found, dict):
        raise ValueError(f"params = {found!r}, expected a table of parameters")
    for name in found:
        if name not in FIELDS:
            raise ValueError(f"params: unknown parameter {name!r}")
    changes = {name: plain_value(name, v) for name, v in found.items() if name != "go"}
    return HeapParams.of_version(found.get("go", "go1.19"), **changes)


def run_file(path, *, out=None, **how):
    """Do the study that a TOML file describes.

    Parameters
    ----------
    path : str or os.PathLike
    out : str or os.PathLike, optional
        Default: what the file says.
    **how
        ``workers``, ``client``, ``threads``, ``progress``: see :func:`grid`.

    Returns
    -------
    Study

    Raises
    ------
    FormatError
        If the file is none of a study.
    ValueError, OSError
        See :func:`grid`.
    """
    call, arguments, folder = read_file(path)
    if out is None and folder is None:
        raise FormatError(f"{path}: 'out' is missing, the folder for the results")
    return call(out=out or folder, **arguments, **how)
