#!/usr/bin/env python3
"""Record the Go programs of this folder as replay cases.

    record_cases.py --go GOROOT --oracle DIR --out DIR [--full] [NAME ...]

For each NAME (all of them by default) this leaves goXYZ-NAME.events.npz, .truth.npz and
.memstats.json in the --out folder, where XYZ is the version of the Go installed in GOROOT:
1.19 or 1.27, whatever the patch release. Where Go 1.19 collected at all there is also
goXYZ-NAME.pacing.npz: what its pacer decided, collection by collection (pacing.py).

The programs are built with a `go build -overlay` that makes the runtime log its heap operations.
The overlay comes from the oracle's oplog_goXYZ.py and the case from its convert.py; --oracle
names the folder that holds them. The case `gofmt` is the real command, built from GOROOT's
source with oplog.go laid over it, and `final` and `goroutines` are the oracle's own, below its
folder prog. Nothing is ever written into GOROOT.

With --full, for Go 1.19, the runtime also logs finalizers, goroutine stacks and when marking
begins (oplog_specials.py), and the case goXYZ-NAME-full holds these as events
(convert_specials.py), from which the twin must find out the rest: who waited for a finalizer,
and where stacks lie.

Exit status: 0 all recorded, 1 some case failed, 2 wrong usage or something is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What is laid over a foreign command that is to be recorded.
OPLOG = HERE / "oplog.go"


class RecordError(Exception):
    """Something outside this script is missing or failed; the message says what."""


@dataclass(frozen=True)
class GoVersion:
    """What has to be different for one Go release."""

    name: str  # as convert.py wants it
    prefix: str  # of the case files
    oplog: str  # the oracle script that makes the overlay
    build_flags: tuple[str, ...] = ()
    build_env: dict[str, str] = field(default_factory=dict)


VERSIONS = {
    "1.19": GoVersion("go1.19", "go119", "oplog_go119.py"),
    "1.27": GoVersion(
        "go1.27",
        "go127",
        "oplog_go127.py",
        build_flags=("-ldflags=-checklinkname=0",),
        build_env={"GOEXPERIMENT": "nosizespecializedmalloc,norandomizedheapbase64"},
    ),
}

# The workloads of casesgo, with what each wants in its environment.
WORKLOADS: dict[str, dict[str, str]] = {
    "finalizers": {},
    "finalizers-forced": {},
    "arenas": {},
    "limit": {},
    "scav": {},
    "stacks": {},
    "maps-strings": {},
    "tiny": {"GOGC": "10"},  # or the few megabytes it makes would hardly ever be collected
    "reflect-closures": {},
    "service-gogc50": {"GOGC": "50"},
    "service-gogc200": {"GOGC": "200"},
    "cache-gogc200": {"GOGC": "200"},
    "compiler-gogc50": {"GOGC": "50"},
}

# The folder, below GOROOT/src, that the recorded gofmt reads.
GOFMT_TREE = "text"

# gofmt leaves through the first of these lines, and with the recording through the second.
# GetExitCode comes first because it waits for the files that are still being worked on.
GOFMT_EXIT = "\tos.Exit(s.GetExitCode())\n"
GOFMT_SAVE_AND_EXIT = "\tcode := s.GetExitCode()\n\tsaveRecordingFromEnv()\n\tos.Exit(code)\n"

# The workload that wants the heap profiler, which profiled.go links in.
PROFILED = "finalizers-profiled"

# Programs of the oracle.
ORACLE_NAMES = ("final", "goroutines")

NAMES = (*WORKLOADS, PROFILED, "gofmt")


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        recorder = Recorder(args.go, args.oracle, args.out, args.keep_raw, args.full)
        return recorder.record_all(args.names or NAMES)
    except RecordError as e:
        print(f"record_cases: {e}", file=sys.stderr)
        return 2


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    ap = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="names: " + " ".join(NAMES + ORACLE_NAMES)
    )
    ap.add_argument("--go", required=True, type=Path, metavar="GOROOT", help="a Go 1.19 or 1.27")
    ap.add_argument(
        "--oracle", required=True, type=Path, help="the folder of oplog_go*.py and convert.py"
    )
    ap.add_argument("--out", required=True, type=Path, help="where the cases go")
    ap.add_argument("--keep-raw", type=Path, metavar="DIR", help="also keep the raw logs, here")
    ap.add_argument("--full", action="store_true", help="with finalizers and stacks as events (Go 1.19)")
    ap.add_argument(
        "names", nargs="*", metavar="NAME", help="cases to record (default: all but the oracle's own)"
    )
    args = ap.parse_args(argv)
    unknown = [n for n in args.names if n not in NAMES + ORACLE_NAMES]
    if unknown:
        ap.error(f"unknown case {', '.join(unknown)}; there are: {' '.join(NAMES + ORACLE_NAMES)}")
    return args


class Recorder:
    """Builds and runs the programs with one Go."""

    def __init__(self, goroot: Path, oracle: Path, out: Path, keep_raw: Path | None, full: bool):
        # Not resolved: the overlay must name files by the path under which go build sees them.
        self.goroot = Path(os.path.abspath(goroot))
        self.oracle = oracle.resolve()
        self.out = out.resolve()
        self.keep_raw = keep_raw.resolve() if keep_raw else None
        self.full = full
        self.version = version_of(self.goroot)
        if full and self.version.name != "go1.19":
            raise RecordError(f"--full is for go1.19; the Go in {goroot} is {self.version.name}")
        for script in (self.version.oplog, "convert.py"):
            if not (self.oracle / script).is_file():
                raise RecordError(f"there is no {script} in --oracle {oracle}")

    def record_all(self, names) -> int:
        self.out.mkdir(parents=True, exist_ok=True)
        if self.keep_raw:
            self.keep_raw.mkdir(parents=True, exist_ok=True)
        failed = 0
        with tempfile.TemporaryDirectory(prefix="record_cases.") as tmp:
            self.work = Path(tmp)
            self.overlay = self.make_overlay()
            for name in names:
                try:
                    self.record(name)
                except RecordError as e:
                    print(f"record_cases: {self.version.prefix}-{name}: {e}", file=sys.stderr)
                    failed += 1
        return 1 if failed else 0

    # Building.

    def make_overlay(self) -> Path:
        """Let the oracle write the overlay that patches the runtime."""
        folder = self.work / "overlay"
        run([sys.executable, self.oracle / self.version.oplog, self.goroot, folder])
        if self.full:
            run([sys.executable, HERE / "oplog_specials.py", self.goroot, folder])
        return folder / "overlay.json"

    def build(self, package: str, folder: Path, overlay: Path, tags: str = "") -> Path:
        """Build package, seen from folder, unless that has been done already."""
        binary = self.work / "bin" / (Path(folder if package == "." else package).name + tags)
        if not binary.exists():
            binary.parent.mkdir(exist_ok=True)
            run(
                [self.go, "build", "-overlay", overlay, "-tags", tags, *self.version.build_flags]
                + ["-o", binary, package],
                cwd=folder,
                env=self.environment(**self.version.build_env),
            )
        return binary

    def build_gofmt(self) -> Path:
        """The gofmt of this Go, which saves the recording when it is done."""
        source = self.goroot / "src" / "cmd" / "gofmt"
        if not (source / "gofmt.go").is_file():
            raise RecordError(f"{self.goroot} has no source of gofmt (src/cmd/gofmt/gofmt.go)")
        text = (source / "gofmt.go").read_text()
        if text.count(GOFMT_EXIT) != 1:
            raise RecordError(f"{source}/gofmt.go does not end as expected: {GOFMT_EXIT.strip()}")
        patched = self.work / "gofmt.go"
        patched.write_text(text.replace(GOFMT_EXIT, GOFMT_SAVE_AND_EXIT))

        overlay = json.loads(self.overlay.read_text())
        overlay["Replace"] |= {
            str(source / "gofmt.go"): str(patched),
            str(source / "zz_oplog.go"): str(OPLOG),
            str(source / "zz_linkname.s"): str(HERE / "linkname.s"),
        }
        path = self.work / "gofmt-overlay.json"
        path.write_text(json.dumps(overlay, indent=1))
        return self.build("cmd/gofmt", self.work, path)

    # Running.

    def record(self, name: str) -> None:
        """Run one program and convert its log."""
        log = self.work / f"{self.version.prefix}-{name}.bin"
        if name == "gofmt":
            command = [self.build_gofmt(), "-l", self.goroot / "src" / GOFMT_TREE]
            env = self.environment(GOMAXPROCS="1", CASES_OPLOG=str(log))
        else:
            folder = self.oracle / "prog" if name in ORACLE_NAMES else HERE
            tags = "memprofile" if name == PROFILED else ""
            command = [self.build(".", folder, self.overlay, tags), name, log]
            env = self.environment(GOMAXPROCS="1", **WORKLOADS.get(name, {}))
        run(command, cwd=self.work, env=env)

        case = self.out / f"{self.version.prefix}-{name}{'-full' if self.full else ''}"
        convert = HERE / "convert_specials.py" if self.full else self.oracle / "convert.py"
        said = run([sys.executable, convert, log, case, self.version.name])
        if self.version.name == "go1.19":
            run([sys.executable, HERE / "pacing.py", log, f"{case}.events.npz", f"{case}.pacing.npz"])
        shutil.copyfile(log.with_suffix(".memstats.json"), f"{case}.memstats.json")
        print(said.strip())
        if self.keep_raw:
            shutil.copyfile(log, self.keep_raw / log.name)
        log.unlink()

    @property
    def go(self) -> Path:
        return self.goroot / "bin" / "go"

    def environment(self, **more: str) -> dict[str, str]:
        """An environment in which Go uses this GOROOT only, and writes to our own folder only."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("GO")}
        home = self.work / "home"
        home.mkdir(exist_ok=True)
        return env | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GOROOT": str(self.goroot),
            "GOPATH": str(self.work / "gopath"),
            "GOCACHE": str(self.work / "cache"),
            "GOENV": "off",
            "GOFLAGS": "",
            "GOPROXY": "off",
            "GOTOOLCHAIN": "local",
            "GOTELEMETRY": "off",
            **more,
        }


def version_of(goroot: Path) -> GoVersion:
    """Which of VERSIONS is installed in goroot."""
    if not (goroot / "bin" / "go").exists():
        raise RecordError(f"there is no Go in {goroot} (no bin/go)")
    if not (goroot / "src" / "runtime" / "mheap.go").exists():
        raise RecordError(f"the Go in {goroot} has no source of its runtime (src/runtime)")
    try:
        text = (goroot / "VERSION").read_text()
    except OSError as e:
        raise RecordError(f"cannot tell the version of the Go in {goroot}: {e}") from e
    m = re.match(r"go(\d+\.\d+)", text)
    if not m or m.group(1) not in VERSIONS:
        raise RecordError(
            f"the Go in {goroot} is {text.split()[0] if text.split() else 'of no known version'};"
            f" this can record {' and '.join(VERSIONS)}"
        )
    return VERSIONS[m.group(1)]


def run(command, cwd=None, env=None) -> str:
    """Run command and return what it wrote; RecordError with its last words if it failed."""
    command = [str(c) for c in command]
    try:
        done = subprocess.run(command, check=False, cwd=cwd, env=env, capture_output=True, text=True)
    except OSError as e:
        raise RecordError(f"cannot run {command[0]}: {e}") from e
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise RecordError(
            f"{' '.join(command[:3])} ... exit status {done.returncode}\n  " + "\n  ".join(words)
        )
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
