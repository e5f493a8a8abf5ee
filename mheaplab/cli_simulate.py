"""The command ``mheaplab simulate``: a trace and parameters in, a result folder and a summary out."""

import dataclasses
import sys
from pathlib import Path

from .errors import FormatError
from .param_fields import read_value
from .params import HeapParams
from .simulate import simulate

DONE, BAD, USAGE = 0, 1, 2
INTERRUPTED = 130


def read_setting(text):
    """Return (name, value) of ``text``, NAME=VALUE with the name of a field of ``HeapParams``.

    Raises
    ------
    ValueError
        If there is no such parameter, or the value is none for it.
    """
    name, equals, value = text.partition("=")
    fields = {field.name: field for field in dataclasses.fields(HeapParams)}
    if not equals or name not in fields or name in ("go", "occupied"):
        known = ", ".join(sorted(set(fields) - {"go", "occupied"}))
        raise ValueError(f"--set {text!r}: expected NAME=VALUE with one of {known}")
    try:
        return name, read_value(fields[name], value)
    except ValueError as err:
        raise ValueError(f"--set {text!r}: {err}") from err


def _summary(result):
    """Yield the lines that say what came out."""
    last, cycles = result.samples[-1], result.cycles
    mib = 1 << 20
    yield f"{len(cycles)} collections, {int((cycles['forced'] == 1).sum())} of them forced"
    for words, column in (("heap in use", "heap_in_use"), ("mapped", "mapped")):
        most, end = result.samples[column].max() / mib, last[column] / mib
        yield f"{words}: {most:.1f} MiB at most, {end:.1f} at the end"
    yield f"simulated time: {last['time_ns'] / 1e9:.3f} s"


def simulate_command(args):
    """Run the twin by itself on a trace, and save what came of it."""
    try:
        settings = dict(read_setting(text) for text in args.set)
        params = HeapParams.of_version(args.go, **settings) if settings or args.go != "go1.19" else None
        result = simulate(
            args.trace, params, samples=args.samples, seed=args.seed, check=args.check, progress=True, out=args.output
        )
    except FormatError:
        raise
    except ValueError as err:
        print(f"mheaplab: {err}", file=sys.stderr)
        return USAGE
    done, total = result.provenance["events_done"], result.provenance["events_total"]
    wall = result.provenance["wall_seconds"]
    print(f"{result.name}: {done:,} of {total:,} events simulated in {wall:.2f} s")
    for line in _summary(result):
        print(line)
    return DONE if result.complete else INTERRUPTED


def add_simulate(commands):
    """Add the command to the parser's ``commands``."""
    command = commands.add_parser("simulate", help="let the twin run by itself on a trace or a scenario")
    command.add_argument("trace", metavar="TRACE", help="a trace, a case, or the name of a scenario")
    command.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of HeapParams, such as gogc=50, gogc=off or memory_limit=64MiB; may be repeated",
    )  # fmt: skip
    command.add_argument("--go", choices=("go1.19", "go1.27"), default="go1.19", help="profile; default: go1.19")
    command.add_argument("-o", "--output", type=Path, metavar="RESULT", help="folder to save the result in")
    command.add_argument("--samples", type=int, default=2000, help="samples to take, about; default: 2000")
    command.add_argument("--seed", type=int, default=0, help="for a scenario or a case; default: 0")
    command.add_argument("--check", type=int, choices=(0, 1, 2), default=0, help="recount the heap, as for replay")
    command.set_defaults(run=simulate_command)
