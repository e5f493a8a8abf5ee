"""Studies as TOML files, and the command that does them."""

import pytest

import mheaplab as mh
from mheaplab import cli
from mheaplab.studies.study_file import read_file

GRID = """
traces = ["json-service", "*.parquet"]
out = "results"
scale = 0.002
samples = 50
[space]
gogc = [50, "off"]
memory_limit = ["64MiB"]
[params]
go = "go1.27"
arena_bytes = "4MiB"
"""


@pytest.fixture
def grid_file(tmp_path):
    """A study of two traces, one of them a file."""
    mh.write_trace(mh.workloads.load("tree-builder", scale=0.001), tmp_path / "tree.parquet")
    path = tmp_path / "study.toml"
    path.write_text(GRID)
    return path


def test_the_command_does_a_study_once(grid_file, capsys):
    assert cli.main(["study", str(grid_file), "--threads", "--workers", "1"]) == 0
    out = grid_file.parent / "results"
    assert capsys.readouterr().out == f"{out}: 4 of 4 runs\n"
    study = mh.studies.load(out)
    assert study.column("trace").tolist() == ["json-service"] * 2 + ["tree"] * 2
    assert study.column("gogc").tolist() == [50, -1] * 2 and set(study.column("arena_bytes")) == {4 << 20}
    assert set(study.column("go")) == {"go1.27"} and set(study.column("memory_limit")) == {64 << 20}
    (part,) = (out / "results").iterdir()
    before = part.stat().st_mtime_ns
    assert cli.main(["study", str(grid_file), "--threads"]) == 0
    assert [p.stat().st_mtime_ns for p in (out / "results").iterdir()] == [before]
    part.write_bytes(part.read_bytes()[:-1])
    assert cli.main(["study", str(grid_file), "--threads"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("mheaplab: ") and "its checksum is wrong; put into" in line


def test_a_sample_in_a_file(grid_file):
    grid_file.write_text(
        'traces = ["json-service"]\nmethod = "sample"\nn = 5\n'
        '[space]\nmemory_limit = { low = "64MiB", high = "1GiB", log = true }'
    )
    call, arguments, out = read_file(grid_file)
    assert call is mh.studies.sample and out is None and arguments["n"] == 5
    assert arguments["space"] == {"memory_limit": mh.studies.Interval(64 << 20, 1 << 30, True)}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("traces", "trace", "unknown key 'trace'"),
        ('traces = ["json-service", "*.parquet"]', "", "'traces' is missing"),
        ('"*.parquet"', '"*.trace"', r"traces: nothing fits '\*.trace'"),
        ('["json-service", "*.parquet"]', '"json-service"', "expected a list of names"),
        ('out = "results"', "out = 3", "out = 3, expected the name of a folder"),
        ('out = "results"', "", "'out' is missing"),
        ('out = "results"', 'method = "best"', "method = 'best', expected one of grid, sample, search"),
        ('out = "results"', 'method = "sample"', "'n' is missing"),
        ('out = "results"', "out = ", "not TOML"),
        ("[50, ", "{ lo = 5 }#", "gogc = .*expected a list, or low, high and log"),
        ('arena_bytes = "4MiB"', "arena = 4", "unknown parameter 'arena'"),
        ('arena_bytes = "4MiB"', "arena_bytes = 4", "arena_bytes = 4 is outside its legal range"),
        ("gogc = [50", "gogc = [0.5", "gogc = 0.5 is outside its legal range"),
    ],
)
def test_a_file_that_is_none_of_a_study(grid_file, capsys, old, new, words):
    grid_file.write_text(GRID.replace(old, new))
    with pytest.raises(ValueError, match=words):
        mh.studies.run_file(grid_file, threads=True)
    assert cli.main(["study", str(grid_file), "--threads"]) in (1, 2)
    assert capsys.readouterr().err.startswith("mheaplab: ")
    assert not (grid_file.parent / "results").exists()


def test_no_file_and_a_huge_one(tmp_path, capsys):
    assert cli.main(["study", str(tmp_path / "none.toml")]) == 1
    assert "none.toml: cannot be read" in capsys.readouterr().err
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (2 << 20))
    with pytest.raises(mh.FormatError, match="over 1048576 bytes"):
        read_file(huge)
