"""prove: the closed loop of the size-class laboratory: a table's predicted effect on a program beside the measured one.

A program is built three times, from its unchanged source: with Go's table and a runtime that records; with Go's table;
and with another table.  The first runs once, or as often as asked.  From a recording alone follows what the heap will
be (``prove_predict``); of several predictions the median counts, as of several measurements.  The other two run several
times each and say MemStats at their exit (``recorder.memstats``).  All are built alike otherwise, and run with one P.

The prediction sees nothing of the program with the table.  Beside the recording it has one number, the program's speed
with Go's table: how much a program allocates while the collector marks depends on it (``docs/time-model.md``).
"""

import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import NamedTuple

from .errors import FormatError, GoError
from .params import HeapParams
from .prove_predict import FIELDS, OFF, Predictor
from .prove_tables import check_word, table_named
from .recorder import MEMSTATS_VARIABLE, MOMENTS, VARIABLE, build_program, find_go, read_exit_memstats
from .recording import Recording
from .sizeclasses import go_table, overlay
from .whole_file import whole_file

RUN_SECONDS = 600
"""A program that runs longer is stopped."""
MOST_RUNS = 1000
BYTE_NS = HeapParams.go119().byte_ns
LEAST_ALLOC_NS = 1.0
SHOWN_LINES = 3


class Numbers(NamedTuple):
    """One number in bytes: as predicted from each recording, and as each run had it."""

    predictions: tuple
    runs: tuple

    @property
    def predicted(self):
        """The median of the predictions."""
        return median(self.predictions)

    @property
    def measured(self):
        """The median of the runs."""
        return median(self.runs)


class Proof(NamedTuple):
    """What a table was predicted to do, and did.

    Attributes
    ----------
    word : str
        What was asked for.
    table : SizeClassTable
        The table.
    stock, other : dict of str to dict of str to Numbers
        By moment ("exit", "collected") and field (HeapAlloc, HeapInuse, HeapSys): with Go's table and with this one.
    """

    word: str
    table: object
    stock: dict
    other: dict

    def change(self, moment, field):
        """Return (predicted, measured) change in bytes, of medians."""
        stock, other = self.stock[moment][field], self.other[moment][field]
        return other.predicted - stock.predicted, other.measured - stock.measured

    def off(self, moment, field):
        """Return how far predictions are from what was measured, two shares: the number's, and the change's.

        The number with the table is compared with its own median, the change with the median with Go's table.
        """
        predicted, measured = self.change(moment, field)
        other, stock = self.other[moment][field], self.stock[moment][field].measured
        return other.predicted / other.measured - 1, (predicted - measured) / stock


class Plan(NamedTuple):
    """How a program is run.

    Attributes
    ----------
    arguments : tuple of str
        The program's own.
    runs, recordings : int
        How often each build is measured, and how often the program is recorded: 1 to 1,000.
    gogc : int
        GOGC of all runs; -1: off.
    round_as_go : bool
        Whether ``append`` rounds by Go's table in the programs with another (``recorder.rounding``).
    """

    arguments: tuple = ()
    runs: int = 3
    recordings: int = 1
    gogc: int = 100
    round_as_go: bool = False


class Prover:
    """A program to prove tables with.

    Parameters
    ----------
    program : path
        A Go file, or the folder of a package.
    folder : path
        An empty folder: what is built, recorded and measured goes there.
    go : str
        The go command.
    plan : Plan, optional
        How it is run.
    tell : callable, optional
        Called with a word for each step, before it.

    Raises
    ------
    FormatError
        If there is no such program.
    GoError
        If there is no Go that is known, the program does not build, or it ends with another status than 0.
    ValueError
        If a number of the plan is outside its legal range.
    """

    def __init__(self, program, folder, go="go", plan=None, tell=None):
        plan = plan or Plan()
        for name in ("runs", "recordings"):
            value = getattr(plan, name)
            if not 1 <= value <= MOST_RUNS:
                raise ValueError(f"{name} = {value!r} is outside its legal range: 1 to {MOST_RUNS:,}")
        if not Path(program).exists():
            raise FormatError(f"{program}: no such file; expected a Go program")
        self.program, self.folder, self.plan = Path(program), Path(folder).absolute(), plan
        self.tell = tell or (lambda step: None)
        self.go = find_go(go)
        self.predictors, self.recorded, self.stock = [], [], None

    def record(self):
        """Record and replay the program, and measure it with Go's table: the base of all predictions."""
        self.tell("build with the recorder")
        self._build(self.folder / "recorder", record=True)
        self.tell("build with Go's table")
        self._build(self.folder / "stock")
        runs = self._measure(self.folder / "stock", "Go's table")
        speed = min(map(_alloc_ns, runs))
        for k in range(self.plan.recordings):
            self.tell(f"recording {k + 1} of {self.plan.recordings}")
            path = self.folder / f"stock-{k}.mhrec"
            self.recorded.append(self._run(self.folder / "recorder", {VARIABLE: str(path)})[0])
            self.predictors.append(Predictor(Recording(path), self.plan.gogc, alloc_ns=speed))
        self.stock = self._beside(go_table(self.go.version), runs)

    def exact(self):
        """Whether the twin repeats each recorded run: all of its MemStats that both have, at both moments."""
        twins = [predictor.recorded() for predictor in self.predictors]
        pairs = zip(twins, self.recorded, strict=True)
        fields = [(moment, field) for moment in MOMENTS for field in (*FIELDS[moment], "HeapObjects")]
        return all(twin[moment][field] == said[moment][field] for twin, said in pairs for moment, field in fields)

    def _beside(self, table, runs):
        """Return what is predicted of a table beside what runs said, :class:`Numbers` by moment and field."""
        predicted = [predictor.predict(table) for predictor in self.predictors]
        said = [stats for stats, _ in runs]
        return {
            moment: {
                field: Numbers(*(tuple(one[moment][field] for one in found) for found in (predicted, said)))
                for field in FIELDS[moment]
            }
            for moment in MOMENTS
        }

    def prove(self, word):
        """Predict and measure a table; return the :class:`Proof`.

        Raises
        ------
        FormatError, GoError, ValueError
            If the table is none, is not legal in this Go, or building or running a program fails.
        """
        if self.stock is None:
            self.record()
        table = table_named(word, self.predictors[0].case)
        self.tell(f"build with {word}")
        place = self.folder / f"table-{len(list(self.folder.glob('table-*')))}"
        laid = overlay(table, self.go.goroot, place)
        replace = json.loads(laid.path.read_text(encoding="utf-8"))["Replace"]
        self._build(
            place / "program", laid_over=replace, environment=laid.environment, round_as_go=self.plan.round_as_go
        )
        runs = self._measure(place / "program", word)
        self.tell(f"predict {word}")
        return Proof(word, table, self.stock, self._beside(table, runs))

    def _build(self, binary, **more):
        build_program(self.go, [str(self.program)], str(binary), memstats=True, **more)

    def _measure(self, binary, word):
        """Return what each run of a program said of its heap, and its time."""
        said = []
        for k in range(self.plan.runs):
            self.tell(f"run {k + 1} of {self.plan.runs} with {word}")
            said.append(self._run(binary, {}))
        return said

    def _run(self, binary, more):
        """Run a program; return what it said of its heap as it ended, and the CPU time that it took, seconds."""
        stats = self.folder / "memstats"
        env = {name: value for name, value in os.environ.items() if name != VARIABLE}
        env |= {
            "GOMAXPROCS": "1",
            "GOGC": "off" if self.plan.gogc == OFF else str(self.plan.gogc),
            MEMSTATS_VARIABLE: str(stats),
        }
        before = os.times()
        pid = _run_to_its_end([binary, *self.plan.arguments], env | more, self.program)
        after = os.times()
        path = stats.with_name(f"{stats.name}.{pid}")
        found = read_exit_memstats(path)
        path.unlink()
        seconds = after.children_user + after.children_system - before.children_user - before.children_system
        return found, seconds


def _run_to_its_end(command, env, name):
    """Run a program without input and return its process number; messages call it ``name``."""
    command = [str(word) for word in command]
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, said = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired as err:
        raise GoError(f"{name}: the program ran for more than {RUN_SECONDS} s and was stopped") from err
    finally:
        if process.returncode is None:
            process.kill()
            process.communicate()
    if process.returncode:
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit status {process.returncode}"
        last = " / ".join(said.decode("utf-8", "replace").strip().splitlines()[-SHOWN_LINES:])
        raise GoError(f"{name}: the program ended with {how}, expected 0: {last or 'it said nothing'}")
    return process.pid


def _alloc_ns(run):
    """Return the program time from one allocation to the next that a run with Go's table had, ns."""
    said, seconds = run
    stats = said["exit"]
    own = seconds * (1e9 - stats["GCCPUNanos"]) - BYTE_NS * stats["TotalAlloc"]
    return max(own / max(stats["Mallocs"], 1), LEAST_ALLOC_NS)


def check_words(words):
    """Raise ``ValueError`` if one of ``words`` names no table; said before anything is built."""
    for word in words:
        check_word(word)


def as_json(prover, proofs):
    """Return all numbers of proofs as plain lists and dicts, bytes."""
    tables = [
        {
            "table": proof.word,
            "pairs": [list(pair) for pair in proof.table.pairs],
            "numbers": {
                name: {m: {f: side[m][f]._asdict() for f in FIELDS[m]} for m in MOMENTS}
                for name, side in (("stock", proof.stock), ("with_table", proof.other))
            },
        }
        for proof in proofs
    ]
    head = {"program": prover.program.name, "arguments": list(prover.plan.arguments), "go": prover.go.release}
    head |= {
        "gogc": prover.plan.gogc,
        "append": "go" if prover.plan.round_as_go else "table",
        "events": [len(p.case) for p in prover.predictors],
        "exact": prover.exact(),
    }
    return head | {"alloc_ns": prover.predictors[0].alloc_ns, "tables": tables}


def save(prover, proofs, path):
    """Write all numbers of proofs as JSON."""
    with whole_file(path) as out:
        out.write((json.dumps(as_json(prover, proofs)) + "\n").encode())
