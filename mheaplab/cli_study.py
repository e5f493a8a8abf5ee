"""The command ``mheaplab study``: a study in TOML done, or gone on with, by this machine or by a Dask cluster."""

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

from .errors import FormatError

DONE, BAD, USAGE, INTERRUPTED = 0, 1, 2, 130


@contextmanager
def _cluster(address):
    """Yield a client of the Dask scheduler at ``address``, which may be a scheduler file; None without an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as err:
        raise ValueError("--dask: Dask is not installed: pip install 'mheaplab[dask]'") from err
    how = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    with Client(**how, set_as_default=False) as client:
        yield client


def _show_warning(message, *_about, **_more):
    print(f"mheaplab: {message}", file=sys.stderr)


def study_command(args):
    """Do a study and say what came of it."""
    from .studies import DamagedFile, run_file

    try:
        with warnings.catch_warnings(), _cluster(args.dask) as client:
            warnings.showwarning = _show_warning
            warnings.simplefilter("always", DamagedFile)
            study = run_file(
                args.study, out=args.output, workers=args.workers, client=client, threads=args.threads, progress=True
            )
    except FormatError:
        raise
    except (ImportError, ValueError) as err:
        print(f"mheaplab: {err}", file=sys.stderr)
        return USAGE
    except RuntimeError as err:
        print(f"mheaplab: {err}", file=sys.stderr)
        return BAD
    print(study)
    for best in study.about.get("best", ()):
        values = ", ".join(f"{v:.4g}" for v in best["values"])
        changes = " ".join(f"--set {name}={value}" for name, value in best["changes"].items())
        print(f"best: {changes}: {values} of what it was")
    return DONE if study.complete else INTERRUPTED


def add_study(commands):
    """Add the command to the parser's ``commands``."""
    command = commands.add_parser("study", help="do many runs: a grid, a sample or a search; again: go on where it was")
    command.add_argument("study", type=Path, metavar="STUDY.toml", help="what to run: see docs/studies.md")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for results; default: the file's out")
    command.add_argument("--workers", type=int, metavar="N", help="processes; default: one for each processor")
    command.add_argument("--threads", action="store_true", help="threads instead of processes")
    command.add_argument("--dask", metavar="ADDRESS", help="a Dask scheduler, tcp://HOST:PORT or its scheduler file")
    command.set_defaults(run=study_command)
