#!/usr/bin/env python3
"""Build a Go program that records its own heap operations, and run it.

    record.py build [--go GO] [-o PROG] [PACKAGE or FILES] [-- FLAGS OF go build]
    record.py run X.mhrec PROG [ARGUMENTS]
    record.py close X.mhrec -o Y.mhrec

`build` is `go build` with an overlay: the runtime's own files with the lines of patches.py, and mheaplab_record.go
beside them.  The program's source is not touched, and nothing is written into GOROOT.  The program is an ordinary one;
it records if the environment variable MHEAPLAB_RECORD names a file that does not exist yet (%p in the name becomes the
process number).  `run` sets the variable, and removes a recording of that name first.  `close` copies a recording of a
program that was killed, up to its last whole block, and ends it properly.

Exit status: that of the program for `run`; else 0 done, 1 something is missing or failed, 2 usage.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from patches import VERSIONS, PatchError, apply_patch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from go_overlay import RecordError, run  # noqa: E402

RECORDER = HERE / "mheaplab_record.go"
VARIABLE = "MHEAPLAB_RECORD"
MAGIC = b"mheaplab record\0"
PLATFORM = "linux/amd64"


def find_go(given):
    """Return (command, version as in VERSIONS, GOROOT) of the Go to use; RecordError if it cannot record."""
    go = shutil.which(given)
    if go is None:
        raise RecordError(f"there is no command {given!r}; put Go on the PATH or name it with --go")
    own = os.environ | {"GOTOOLCHAIN": "local"}
    said = run([go, "env", "GOVERSION", "GOROOT", "GOOS", "GOARCH"], None, own).splitlines()
    version, goroot, system, machine = (*said, "", "", "", "")[:4]
    known = re.match(r"go1\.\d+", version)
    if not known or known[0] not in VERSIONS:
        raise RecordError(f"{go} is {version or 'no Go'}; the recorder knows {' and '.join(VERSIONS)}")
    if f"{system}/{machine}" != PLATFORM:
        raise RecordError(f"{go} builds for {system}/{machine}; the recorder knows {PLATFORM}")
    # Not resolved: the overlay must name files by the path under which go sees them.
    return go, known[0], Path(goroot)


def write_overlay(version, goroot, folder):
    """Write the patched runtime into ``folder`` and return the path of its overlay file."""
    known, runtime = VERSIONS[version], goroot / "src" / "runtime"
    texts = {}
    for patch in known.patches:
        path = runtime / patch.file
        if path not in texts:
            try:
                texts[path] = path.read_text(encoding="utf-8")
            except OSError as err:
                raise RecordError(f"{path}: cannot be read ({err.strerror}); the recorder needs Go's source") from err
        texts[path] = apply_patch(patch, texts[path], path)
    text = RECORDER.read_text(encoding="utf-8")
    texts[runtime / RECORDER.name] = text.replace("MHEAPLAB_ATOMIC", known.atomic).replace(
        "MHEAPLAB_MINOR", str(known.minor)
    )
    replace = {}
    for path, text in texts.items():
        replace[str(path)] = str(folder / path.name)
        (folder / path.name).write_text(text, encoding="utf-8")
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replace}, indent=1), encoding="utf-8")
    return overlay


def build(args):
    """Build a program that records."""
    go, version, goroot = find_go(args.go)
    env = dict(os.environ, GOTOOLCHAIN="local")
    experiments = [e for e in (env.get("GOEXPERIMENT", ""), VERSIONS[version].experiments) if e]
    if experiments:
        env["GOEXPERIMENT"] = ",".join(experiments)
    output = ["-o", args.output] if args.output else []
    with tempfile.TemporaryDirectory(prefix="record_go.") as folder:
        overlay = write_overlay(version, goroot, Path(folder))
        command = [go, "build", "-overlay", str(overlay), *output, *args.flags, *args.package]
        said = run(command, None, env)
    print(said, end="")
    print(f"built with {version}; record with: {VARIABLE}=x.mhrec {args.output or './PROGRAM'}", file=sys.stderr)
    return 0


def run_program(args):
    """Run a program that records, in this process's place."""
    program = shutil.which(args.program)
    if program is None:
        raise RecordError(f"there is no program {args.program!r}")
    path = Path(args.recording)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(MAGIC)) not in (MAGIC, b""):
                raise RecordError(f"{path}: is there already and is no recording; it stays")
        path.unlink()
    os.environ[VARIABLE] = str(path.absolute())
    return subprocess.run([program, *args.arguments], check=False).returncode


def close(args):
    """Copy a recording up to its last whole block and end it."""
    from mheaplab.recording import close_recording

    blocks, records, dropped = close_recording(args.recording, args.output)
    print(f"{args.output}: {records:,} records in {blocks} blocks; {dropped:,} bytes after them left out")
    return 0


def parse(argv):
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser("build", help="build a program that records", allow_abbrev=False)
    command.add_argument("--go", default="go", help="the command of a Go 1.19 or 1.27 (default: go)")
    command.add_argument("-o", "--output", metavar="PROG", help="where the program goes; as for go build")
    command.add_argument("package", nargs="*", metavar="PACKAGE", help="a package, or Go files; as for go build")
    command.set_defaults(run=build)
    command = commands.add_parser("run", help="run it and record", allow_abbrev=False)
    command.add_argument("recording", metavar="X.mhrec", help="the recording; an old one of this name is removed")
    command.add_argument("program", metavar="PROG", help="built with `record.py build`")
    command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="the program's own")
    command.set_defaults(run=run_program)
    command = commands.add_parser("close", help="end the recording of a program that was killed")
    command.add_argument("recording", type=Path, metavar="X.mhrec")
    command.add_argument("-o", "--output", type=Path, required=True, metavar="Y.mhrec")
    command.set_defaults(run=close)
    argv, flags = (argv[: argv.index("--")], argv[argv.index("--") + 1 :]) if "--" in argv[:1] + argv else (argv, [])
    args = parser.parse_args(argv)
    args.flags = flags
    return args


def main(argv=None):
    """Run the command line and return its exit status."""
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        return args.run(args)
    except (RecordError, PatchError) as err:
        print(f"record_go: {err}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
