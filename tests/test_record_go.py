"""The recorder's tool: what it says when something is missing; and where there is a Go, that a program records."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mheaplab as mh
from mheaplab.errors import GoError
from mheaplab.recorder import find_go, patches

TOOL = Path(__file__).resolve().parent.parent / "tools" / "record_go"
sys.path.insert(0, str(TOOL))
import record  # noqa: E402


def fake_go(folder, version="go1.19.8"):
    """Make a folder with a command `go` that says it is ``version``, and a runtime without any text."""
    runtime = folder / "src" / "runtime"
    runtime.mkdir(parents=True)
    for patch in patches.GO119:
        (runtime / patch.file).write_text("package runtime\n")
    go = folder / "go"
    go.write_text(f'#!/bin/sh\nprintf "{version}\\n{folder}\\nlinux\\namd64\\n"\n')
    go.chmod(0o755)
    return go


def test_no_go(capsys):
    assert record.main(["build", "--go", "no-such-go", "."]) == 1
    assert "no command 'no-such-go'; put Go on the PATH" in capsys.readouterr().err


def test_another_go(tmp_path, capsys):
    assert record.main(["build", "--go", str(fake_go(tmp_path, "go1.22.1")), "."]) == 1
    assert "is go1.22.1; the recorder knows go1.19 and go1.27" in capsys.readouterr().err


def test_a_runtime_without_the_expected_text(tmp_path, capsys):
    assert record.main(["build", "--go", str(fake_go(tmp_path)), "."]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "src" / "runtime" / "mheap.go") in said
    assert "h.setSpans(s.base(), npages, s)" in said
    assert "expected it once, found it 0 times" in said


def test_a_runtime_without_a_file(tmp_path, capsys):
    go = fake_go(tmp_path)
    (tmp_path / "src" / "runtime" / "mheap.go").unlink()
    assert record.main(["build", "--go", str(go), "."]) == 1
    assert "mheap.go: cannot be read" in capsys.readouterr().err


def test_a_text_that_is_there_twice():
    patch = patches.Patch("x.go", patches.AFTER, "\ta()\n", "\tb()\n", "func f() {\n")
    source = "func e() {\n\ta()\n}\n\nfunc f() {\n\ta()\n}\n"
    assert patches.apply_patch(patch, source, "x.go") == source[:-2] + "\tb()\n}\n"
    with pytest.raises(GoError, match="found it 2 times"):
        patches.apply_patch(patch._replace(function=""), source, "x.go")


def test_run_keeps_what_is_no_recording(tmp_path, capsys):
    path = tmp_path / "notes.mhrec"
    path.write_text("dear diary")
    assert record.main(["run", str(path), sys.executable]) == 1
    assert "is no recording; it stays" in capsys.readouterr().err
    assert path.read_text() == "dear diary"


def real_go():
    """Return the Go to test with, from the environment or the PATH, or None if it cannot record."""
    try:
        return find_go(os.environ.get("MHEAPLAB_TEST_GO", "go")).command
    except GoError:
        return None


@pytest.mark.skipif(real_go() is None, reason="there is no Go 1.19 or 1.27 on the PATH or in MHEAPLAB_TEST_GO")
def test_a_program_records_itself_and_replays_exactly(tmp_path):
    program, path = tmp_path / "json", tmp_path / "json.mhrec"
    assert record.main(["build", "--go", real_go(), "-o", str(program), str(TOOL / "programs" / "json.go")]) == 0
    env = os.environ | {"GOMAXPROCS": "1"}
    plain = subprocess.run([program, "300"], check=True, env=env, capture_output=True)
    assert plain.stderr == b""
    recorded = subprocess.run(
        [program, "300"], check=True, env=env | {"MHEAPLAB_RECORD": str(path)}, capture_output=True
    )
    assert recorded.stdout == plain.stdout
    case = mh.load_case(path)
    agreement = mh.compare(mh.replay(case), case.truth)
    assert agreement.exact, str(agreement)
    before = path.read_bytes()
    again = subprocess.run([program, "300"], check=True, env=env | {"MHEAPLAB_RECORD": str(path)}, capture_output=True)
    assert b"is there already" in again.stderr
    assert path.read_bytes() == before
