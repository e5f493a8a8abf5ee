"""The command line: the same functions as in a notebook, for scripts and for a first look.

Exit status: 0 done (and in agreement, where there is a truth to compare with), 1 the data disagree or are bad, 2 usage.
Messages go to stderr, one line each; results to stdout.
"""

import argparse
import sys
from pathlib import Path

from . import __version__, workloads
from .case import load_case
from .cli_prove import add_prove
from .cli_simulate import add_simulate
from .cli_study import add_study
from .cli_traces import add_traces, no_folder
from .compare import compare
from .data import data_path
from .errors import FormatError, GoError, InvariantError
from .histograms import read_histogram
from .params import HeapParams
from .progress import ProgressBar
from .replay import replay, snapshots
from .simulate import simulate

DONE, BAD, USAGE = 0, 1, 2
SHOWN_CASES = ("go119-json", "go119-arenas")
SHOWN_RUNS = ("json-service", "cache-fill-empty")
COMPARED = (100, 50, 200)
"""GOGC of the runs that are compared."""
CHANGES, MOST_CHANGES = 3, 20
"""Classes changed in the figures of size classes."""
WARMUP_SCENARIO = "tree-builder"
MOMENTS = 300
"""Snapshots behind a figure of the heap over time."""


def say(text):
    """Print one line to stderr."""
    print("mheaplab: " + " ".join(str(text).split()), file=sys.stderr)


def replay_command(args):
    """Replay a case, save the prediction, and compare it with the truth if there is one."""
    if no_folder(args.output):
        return USAGE
    case = load_case(args.case)
    bar = ProgressBar(case.name)
    try:
        prediction = replay(case, check=args.check, progress=bar)
    finally:
        bar.close()
    if args.output:
        prediction.save(args.output)
    print(f"{case.name}: {len(case):,} events replayed in {prediction.seconds:.2f} s")
    if case.truth is None:
        print("no truth file, nothing to compare with")
        return DONE
    agreement = compare(prediction, case.truth)
    print(agreement)
    return DONE if agreement.exact else BAD


def figures_of(name, case):
    """Yield (file name, figure) for the figures of a case."""
    from . import figures

    n = len(case)
    prediction = replay(case)
    moments = snapshots(case, sorted({n * k // MOMENTS for k in range(MOMENTS + 1)}))
    last = moments[-1]
    for color in ("state", "class", "occupancy"):
        yield f"{name}-heap-map-{color}", figures.heap_map(last, color, name=name)
    yield f"{name}-occupancy", figures.occupancy(last, name=name)
    yield f"{name}-heap-over-time", figures.heap_over_time(moments, name=name)
    if case.truth is not None:
        yield f"{name}-agreement", figures.agreement(compare(prediction, case.truth), name=name)


def figures_of_runs(name):
    """Yield (file name, figure, what it is about) for the figures of a scenario that the twin runs by itself."""
    from . import figures
    from .figures.views import VIEWS

    trace = workloads.load(name).loaded()
    runs = [simulate(trace, HeapParams.go119(gogc=gogc)) for gogc in COMPARED]
    for kind, view in VIEWS.items():
        yield f"{name}-{kind}", view.draw(runs[0]).figure(), runs[0]
    yield f"{name}-compare", figures.compare(runs, [f"GOGC={gogc}" for gogc in COMPARED]), None


def figures_by_hand():
    """Yield (file name, figure) for a heap driven by hand: a span, marked but not swept, and the pages around."""
    from . import figures, steps
    from .heap import Heap

    heap = Heap()
    objects = [heap.malloc(48) for _ in range(40)]
    heap.malloc(64)
    heap.flush_mcache()
    heap.collect(objects[::3], sweep=False)
    yield "by-hand-span-bits", figures.span_bits(heap.span_of(objects[0]), focus=("gcmarkBits",), note="marked")
    yield "by-hand-arena-bits", figures.arena_bits(steps.page_bits(heap, objects[0]), note="marked")


def figures_of_classes(name):
    """Yield (file name, figure, what it is about) for the size classes of a recorded program."""
    from . import figures, sizeclasses

    case = load_case(data_path(f"cases/{name}"), truth=False)
    sizes = read_histogram(data_path(f"cases/{name}"))
    near = sizeclasses.optimal_near_each(sizes, MOST_CHANGES)
    tables = {"Go": near[0], f"Go, {CHANGES} changed": near[CHANGES], "best 67": sizeclasses.optimal(sizes)}
    tables |= {other: make("go1.19") for other, make in sizeclasses.OTHERS.items()}
    found = {label: sizeclasses.evaluate(table, sizes) for label, table in tables.items()}
    yield f"{name}-class-waste", figures.class_waste(sizes, near[CHANGES], name=name), case
    yield f"{name}-table-waste", figures.table_waste(list(found.values()), list(found), name=name), case
    by_changes = [sizeclasses.evaluate(table, sizes) for table in near]
    yield f"{name}-waste-by-changes", figures.waste_by_changes(by_changes, CHANGES, name=name), case


def all_figures():
    """Yield (file name, figure, what it is about) for every figure of the command."""
    for name in SHOWN_CASES:
        case = load_case(data_path(f"cases/{name}"))
        yield from ((stem, figure, case) for stem, figure in figures_of(name, case))
    for name in SHOWN_RUNS:
        yield from figures_of_runs(name)
    yield from figures_of_classes(SHOWN_CASES[0])
    about = {"heap": "40 objects of 48 B, every third alive, and one dead object of 64 B"}
    yield from ((stem, figure, about) for stem, figure in figures_by_hand())


def figures_command(args):
    """Draw what README and docs show."""
    from . import figures

    formats = tuple(args.formats.split(","))
    unknown = [f for f in formats if f not in figures.FORMATS]
    if unknown:
        say(f"--formats: {unknown[0]!r} is none of {', '.join(figures.FORMATS)}")
        return USAGE
    done, missing = 0, None
    bar = ProgressBar("figures")
    try:
        for stem, figure, about in all_figures():
            try:
                figures.export(figure, args.output / stem, formats, about=about, width=args.width)
            except figures.NoChromeError as err:
                missing = err
                formats = tuple(f for f in formats if f not in figures.DRAWN)
            done += 1
            bar(done, 6 * len(SHOWN_CASES) + 6 * len(SHOWN_RUNS) + 5)
    finally:
        bar.close()
        figures.close_renderer()
    print(f"{done} figures in {args.output}, as {', '.join(formats) or 'nothing'}")
    if missing is not None:
        say(missing)
        return BAD
    return DONE


def warmup_command(args):
    """Compile the kernel if this version of it has not been compiled yet, so that the first replay or run need not."""
    replay(load_case(data_path(f"cases/{SHOWN_CASES[0]}"), truth=False))
    simulate(workloads.load(WARMUP_SCENARIO, scale=0.001))
    return DONE


def bench_command(args):
    """Measure the kernel."""
    from .bench import main as bench_main

    return bench_main(args.rest) or DONE


def parse(argv):
    """Return the parsed command line; ``bench`` gets what is left in ``rest``, ``prove`` what is behind "--"."""
    parser = make_parser()
    argv, own = list(sys.argv[1:] if argv is None else argv), []
    if argv[:1] == ["prove"] and "--" in argv:
        argv, own = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    args, rest = parser.parse_known_args(argv)
    args.arguments = own
    if rest and args.run is not bench_command:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.rest = rest
    return args


def make_parser():
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="mheaplab", description="A twin of the Go heap that one can put questions to.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"mheaplab {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    command = commands.add_parser("replay", help="replay a recorded case and compare with what Go did")
    command.add_argument("case", metavar="CASE", help="DIR/NAME of NAME.events.npz, or a recording, X.mhrec")
    command.add_argument("-o", "--output", type=Path, metavar="PRED.npz", help="where to save the prediction")
    command.add_argument(
        "--check", type=int, choices=(0, 1, 2), default=0,
        help="recount the heap: 0 never, 1 after every batch of events, 2 after every event (slow)",
    )  # fmt: skip
    command.set_defaults(run=replay_command)

    add_simulate(commands)

    add_traces(commands)

    add_study(commands)

    add_prove(commands)

    command = commands.add_parser("figures", help="draw the figures of README and docs")
    command.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="DIR", help="default: figures")
    command.add_argument("--formats", default="svg,png,html,csv", help="comma-separated; default: svg,png,html,csv")
    command.add_argument("--width", type=int, default=960, help="pixels; default: 960")
    command.set_defaults(run=figures_command)

    command = commands.add_parser("warmup", help="compile the kernel now, once per version, instead of at first use")
    command.set_defaults(run=warmup_command)

    command = commands.add_parser("bench", help="measure the kernel", add_help=False, allow_abbrev=False)
    command.set_defaults(run=bench_command)
    return parser


def main(argv=None):
    """Run the command line and return its exit status."""
    try:
        args = parse(argv)
    except SystemExit as err:  # argparse has said why
        return err.code or DONE
    try:
        return args.run(args)
    except (FormatError, GoError, MemoryError) as err:
        say(err or "out of memory")
    except InvariantError as err:
        say(f"a recount of the heap failed, which is a bug in mheaplab: {err}")
    except BrokenPipeError:
        sys.stderr.close()  # whoever read has gone; nobody wants to hear of it
    except OSError as err:
        say(err)
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    return BAD


if __name__ == "__main__":
    sys.exit(main())
