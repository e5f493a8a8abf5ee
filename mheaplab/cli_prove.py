"""The command ``mheaplab prove``: what another table of size classes does to a program, predicted and measured."""

import contextlib
import sys
import tempfile
from pathlib import Path
from statistics import median

from .errors import FormatError, GoError
from .params import HeapParams
from .progress import ProgressBar
from .prove import Plan, Prover, check_words, save
from .prove_predict import FIELDS, OFF
from .prove_tables import WORDS
from .recorder import MOMENTS

DONE, BAD, USAGE = 0, 1, 2
MIB = 1 << 20
STEPS_BEFORE = 2
"""Steps before the first run: a build with the recorder, and one with Go's table."""
HEAD = "| table | moment | MiB | Go's | measured | with the table | measured | off | change | measured | off |"


class _Steps:
    """Shows which step is being taken, and how many are left."""

    def __init__(self, label, total):
        # The first step, a build, takes long enough: there is nothing to wait for.
        self.bar = ProgressBar(label, patience=0.0)
        self.label, self.total, self.done = label, total, 0

    def __call__(self, step):
        self.bar.label = f"{self.label}: {step}"
        self.bar(self.done, self.total)
        self.done += 1


def _gogc(text):
    """Return GOGC of the command line, -1 for off; ``ValueError`` if it is none."""
    if text == "off":
        return OFF
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(f"--gogc {text!r}: expected a whole number of percent, or off")
    return HeapParams.go119(gogc=int(text)).gogc


def _range(values):
    """Return the median of numbers, and between which they lie if they differ, in MiB."""
    low, middle, high = (f"{n / MIB:.3f}" for n in (min(values), median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def rows_of(proof):
    """Yield the lines of a table in Markdown, one for each moment and field."""
    for moment in MOMENTS:
        for field in FIELDS[moment]:
            cells = [proof.word, moment, field]
            for side in (proof.stock, proof.other):
                cells += [_range(side[moment][field].predictions), _range(side[moment][field].runs)]
            off, change_off = (f"{100 * share:+.2f}%" for share in proof.off(moment, field))
            cells += [off, *(f"{nbytes / MIB:+.3f}" for nbytes in proof.change(moment, field)), change_off]
            yield "| " + " | ".join(cells) + " |"


def _prove(args, folder, gogc):
    """Prove all tables, and print them; the exit status says only whether that could be done."""
    total = STEPS_BEFORE + args.recordings + args.runs + len(args.table) * (2 + args.runs)
    steps, proofs = _Steps(Path(args.program).name, total), []
    with contextlib.closing(steps.bar):
        plan = Plan(tuple(args.arguments), args.runs, args.recordings, gogc, args.append == "go")
        prover = Prover(args.program, folder, args.go, plan, steps)
        prover.record()
        exact = prover.exact()
        proofs += [prover.prove(word) for word in args.table]
    given = " ".join([prover.program.name, *args.arguments])
    off = "off" if gogc == OFF else gogc
    print(f"{given}: {prover.go.release}, GOGC={off}, one P, {args.runs} runs of each build")
    repeats = "repeats" if exact else "does not repeat"
    events = sum(len(predictor.case) for predictor in prover.predictors)
    print(f"recorded {args.recordings} times, {events:,} events; the twin {repeats} their MemStats")
    print("\n" + HEAD + "\n| --- | --- | --- |" + " ---: |" * 8)
    for proof in proofs:
        print("\n".join(rows_of(proof)))
    if args.output:
        save(prover, proofs, folder / "proof.json")
    return DONE if exact else BAD


def prove_command(args):
    """Build, record, predict, measure."""
    try:
        gogc = _gogc(args.gogc)
        check_words(args.table)
        with contextlib.ExitStack() as stack:
            if args.output is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mheaplab-prove.")))
            elif args.output.exists() and (not args.output.is_dir() or any(args.output.iterdir())):
                raise ValueError(f"--output: {args.output} is there already and not an empty folder; name another")
            else:
                folder = args.output
                folder.mkdir(parents=True, exist_ok=True)
            return _prove(args, folder, gogc)
    except (FormatError, GoError):
        raise
    except ValueError as err:
        print(f"mheaplab: {err}", file=sys.stderr)
        return USAGE


def add_prove(commands):
    """Add the command to the parser's ``commands``."""
    command = commands.add_parser(
        "prove", help="predict what another table of size classes does to a Go program, and measure it",
        epilog="What is behind -- goes to the program. Needs Go 1.19 or 1.27, linux/amd64. See docs/size-classes.md.",
    )  # fmt: skip
    command.add_argument("program", metavar="PROGRAM.go", help="a Go file, or the folder of a package")
    command.add_argument("--table", action="append", required=True, metavar="T", help=f"{WORDS}; may be repeated")
    command.add_argument("--go", default="go", help="the command of a Go 1.19 or 1.27; default: go")
    command.add_argument("--runs", type=int, default=3, help="how often each build is measured; default: 3")
    command.add_argument(
        "--recordings", type=int, default=1, metavar="N",
        help="how often Go's is recorded; predictions are medians; default: 1",
    )  # fmt: skip
    command.add_argument(
        "--append", choices=("table", "go"), default="table",
        help="what append rounds slices up by: the table, as a Go with it would, or Go's, so that the program asks for"
        " the sizes that were recorded; default: table",
    )  # fmt: skip
    command.add_argument("--gogc", default="100", help="GOGC of all runs, a number or off; default: 100")
    command.add_argument("-o", "--output", type=Path, metavar="DIR", help="keep recording, tables, programs, numbers")
    command.set_defaults(run=prove_command)
