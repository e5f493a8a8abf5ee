"""The commands that open what was recorded: ``events``, ``import`` and ``info``."""

import sys
from pathlib import Path

import numpy as np

from .case import EVENTS_SUFFIX, write_npz
from .case_writer import write_case
from .info import info
from .progress import ProgressBar
from .trace_case import case_of_trace
from .traces import read_trace, write_trace

DONE, USAGE = 0, 2


def no_folder(path):
    """Say that there is no folder to write ``path`` into, if so; return whether there is none."""
    missing = path is not None and not path.absolute().parent.is_dir()
    if missing:
        print(f"mheaplab: {path}: there is no folder {path.parent}", file=sys.stderr)
    return missing


def events_command(args):
    """Write the memory events of a Go execution trace as arrays."""
    from .traces.go_trace import read_go_events

    if no_folder(args.output):
        return USAGE
    events = read_go_events(args.trace)
    if args.output:
        write_npz(args.output, events)
    counts = np.bincount(events["name"], minlength=len(events["names"])).tolist()
    listed = ", ".join(f"{n:,} {name}" for name, n in zip(events["names"].tolist(), counts, strict=True))
    print(f"{args.trace}: {len(events['name']):,} memory events{': ' if listed else ''}{listed}")
    return DONE


def import_command(args):
    """Write whatever holds a trace as Parquet, or as a case."""
    if no_folder(args.output):
        return USAGE
    trace = read_trace(args.file)
    if args.output.name.endswith(EVENTS_SUFFIX):
        case = case_of_trace(trace, args.output.name.removesuffix(EVENTS_SUFFIX))
        write_case(case, args.output)
        print(f"{args.output}: {len(case):,} events of a run with GOGC=off, and where the twin puts everything")
        return DONE
    bar = ProgressBar(args.file.name)
    try:
        write_trace(trace, args.output, bar)
    finally:
        bar.close()
    size = args.output.stat().st_size
    print(f"{args.output}: {read_trace(args.output).n_events:,} events in {size / (1 << 20):.3g} MiB")
    return DONE


def info_command(args):
    """Print what a file holds."""
    bar = ProgressBar(args.file.name)
    try:
        lines = info(args.file, bar)
    finally:
        bar.close()
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:<{width}}  {value}")
    return DONE


def add_traces(commands):
    """Add the commands to the parser's ``commands``."""
    command = commands.add_parser("import", help="write a recorded trace, of whatever kind, as Parquet or as a case")
    command.add_argument("file", type=Path, metavar="FILE", help="a Go execution trace, a case, a trace in Parquet")
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="X.parquet",
        help="where to write it; X.events.npz: as a case, run with GOGC=off",
    )  # fmt: skip
    command.set_defaults(run=import_command)

    command = commands.add_parser("info", help="say what a file holds")
    command.add_argument("file", type=Path, metavar="FILE", help="a trace of any kind, a case, the folder of a result")
    command.set_defaults(run=info_command)

    command = commands.add_parser("events", help="list the memory events of a Go execution trace")
    command.add_argument("trace", type=Path, metavar="X.trace", help="taken with GODEBUG=traceallocfree=1, Go 1.23 on")
    command.add_argument("-o", "--output", type=Path, metavar="X.npz", help="where to save them as arrays")
    command.set_defaults(run=events_command)
