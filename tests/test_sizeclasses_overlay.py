"""A Go with another table: what is written where, and what the build is told; with a stand-in for a GOROOT."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from mheaplab.sizeclasses import SizeClassTable, go_table, jemalloc_table, overlay, pow2_table, to_go
from mheaplab.sizeclasses.overlay import EXPANDERS, MKASM, SAFE_BUILD, SOURCE

PROGRAM = """package main

import "runtime"

var kept [][]byte

func main() {
	for i := 0; i < 1000; i++ {
		kept = append(kept, make([]byte, 36))
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	for _, class := range stats.BySize {
		if class.Size >= 36 {
			println(class.Size, class.Mallocs >= 1000)
			return
		}
	}
}
"""
GO_COMMAND = """#!/bin/sh
# The build: leaves a generator that does what the test wants.
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\n%s\\n' "echo made > expand_amd64.s; {then}" > "$2"
chmod +x "$2"
test "$GOEXPERIMENT $GOGC" = "nosizespecializedmalloc off"
"""


def goroot_of(folder, version, then="true"):
    """Make what ``overlay`` looks at in a GOROOT."""
    root = folder / "go"
    for name in (SOURCE.get(version, "src/none"), MKASM):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("package gc\n")
    (root / "VERSION").write_text(f"{version}.3\ntime 2026-10-19T22:20:36Z\n")
    (root / "bin").mkdir()
    (root / "bin" / "go").write_text(GO_COMMAND.replace("{then}", then))
    (root / "bin" / "go").chmod(0o755)
    return root


def changed(old, new):
    """Return Go's table with another class in place of one."""
    return SizeClassTable(sorted({*go_table().pairs, new} - {old}))


@pytest.mark.parametrize("go", SOURCE)
def test_gos_own_table_replaces_one_file(go, tmp_path):
    root = goroot_of(tmp_path, go)
    made = overlay(go_table(go), root, tmp_path / "new" / "out")
    assert made == (tmp_path / "new/out/overlay.json", go, {})
    replaced = json.loads(made.path.read_text())["Replace"]
    assert list(replaced) == [str(root / SOURCE[go])]
    assert Path(replaced[str(root / SOURCE[go])]).read_text() == to_go(go_table(go), go)
    assert sorted(p.name for p in made.path.parent.iterdir()) == ["overlay.json", "sizeclasses.go"]


def test_go119_needs_no_more_for_any_table(tmp_path):
    assert overlay(jemalloc_table(), goroot_of(tmp_path, "go1.19"), tmp_path / "out").environment == {}


def test_go127_is_told_about_small_classes_and_gets_expanders(tmp_path):
    root = goroot_of(tmp_path, "go1.27")
    made = overlay(jemalloc_table("go1.27"), root, tmp_path / "out")
    replaced = json.loads(made.path.read_text())["Replace"]
    assert made.environment == SAFE_BUILD
    assert Path(replaced[str(root / EXPANDERS)]).read_text() == "made\n"


def test_go127_with_gos_small_classes_needs_neither(tmp_path):
    made = overlay(changed((4864, 3), (5120, 5)), goroot_of(tmp_path, "go1.27"), tmp_path / "out")
    assert made.environment == {} and len(json.loads(made.path.read_text())["Replace"]) == 1


def test_expanders_that_mkasm_cannot_make_are_an_error(tmp_path):
    root = goroot_of(tmp_path, "go1.27", "echo failed to generate expander for size class 5 >&2")
    with pytest.raises(ValueError, match="class 5"):
        overlay(pow2_table("go1.27"), root, tmp_path / "out")


def test_a_build_that_fails_is_an_error(tmp_path):
    root = goroot_of(tmp_path, "go1.27", "echo broken >&2; exit 3")
    with pytest.raises(ValueError, match="failed with exit status 3: broken"):
        overlay(pow2_table("go1.27"), root, tmp_path / "out")
    (root / "bin" / "go").unlink()
    with pytest.raises(ValueError, match="has no bin/go"):
        overlay(pow2_table("go1.27"), root, tmp_path / "out")


@pytest.mark.parametrize("version", ["go1.21", "devel", ""])
def test_another_go_is_refused(version, tmp_path):
    root = goroot_of(tmp_path, "go1.19")
    (root / "VERSION").write_text(version)
    with pytest.raises(ValueError, match="expected the sources of go1.19 or go1.27"):
        overlay(go_table(), root, tmp_path / "out")


def test_no_go_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no Go"):
        overlay(go_table(), tmp_path, tmp_path / "out")


def test_a_table_that_is_not_legal_writes_nothing(tmp_path):
    root = goroot_of(tmp_path, "go1.27")
    (root / "VERSION").write_text("go1.27")
    table = changed((2048, 1), (2176, 3))  # an m's class that no m's address fits
    assert table.why_not("go1.19") == ""
    with pytest.raises(ValueError, match="go1.27 needs"):
        overlay(table, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_program_built_with_it_has_the_classes(tmp_path):
    """Where a Go is installed: 36 bytes are in the class of 48 in Go's table and of 64 in that of powers of two."""
    command = shutil.which("go")
    if command is None:
        pytest.skip("no Go on this machine")
    root = subprocess.run([command, "env", "GOROOT"], capture_output=True, text=True, check=True).stdout.strip()
    if not any((Path(root) / "VERSION").read_text().startswith(go) for go in SOURCE):
        pytest.skip("another Go")
    program = tmp_path / "main.go"
    program.write_text(PROGRAM)
    said = []
    for table in (go_table, pow2_table):
        go = "go1.19" if (Path(root) / SOURCE["go1.19"]).is_file() else "go1.27"
        made = overlay(table(go), root, tmp_path / table.__name__)
        env = os.environ | {"GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "", "HOME": str(tmp_path)} | made.environment
        binary = tmp_path / table.__name__ / "program"
        build = [command, "build", "-overlay", made.path, "-o", binary, program]
        subprocess.run(build, check=True, env=env, cwd=tmp_path, capture_output=True, timeout=600)
        said.append(subprocess.run([binary], capture_output=True, text=True, check=True, timeout=60).stderr.split())
    assert said == [["48", "true"], ["64", "true"]]
