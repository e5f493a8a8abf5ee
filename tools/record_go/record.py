#!/usr/bin/env python3
"""Build a Go program that records its own heap operations, and run it.

    record.py build [--go GO] [-o PROG] [PACKAGE or FILES] [-- FLAGS OF go build]
    record.py run X.mhrec PROG [ARGUMENTS]
    record.py close X.mhrec -o Y.mhrec

`build` is `go build` with an overlay: the runtime's own files with lines of ours (mheaplab/recorder).  The program's
source is not touched, and nothing is written into GOROOT.  The program is an ordinary one; it records if the
environment variable MHEAPLAB_RECORD names a file that does not exist yet (%p in the name becomes the process number).
`run` sets the variable, and removes a recording of that name first.  `close` copies a recording of a program that was
killed, up to its last whole block, and ends it properly.

Exit status: that of the program for `run`; else 0 done, 1 something is missing or failed, 2 usage.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mheaplab.errors import GoError
from mheaplab.recorder import VARIABLE, build_program, find_go

MAGIC = b"mheaplab record\0"


def build(args):
    """Build a program that records."""
    go = find_go(args.go)
    print(build_program(go, args.package, args.output, record=True, flags=args.flags), end="")
    print(f"built with {go.version}; record with: {VARIABLE}=x.mhrec {args.output or './PROGRAM'}", file=sys.stderr)
    return 0


def run_program(args):
    """Run a program that records, in this process's place."""
    program = shutil.which(args.program)
    if program is None:
        raise GoError(f"there is no program {args.program!r}")
    path = Path(args.recording)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(MAGIC)) not in (MAGIC, b""):
                raise GoError(f"{path}: is there already and is no recording; it stays")
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
    except GoError as err:
        print(f"record_go: {err}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
