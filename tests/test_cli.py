"""The command line: what it prints, what it writes, and its exit status."""

import io
import shutil
import subprocess
import sys

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import cli


@pytest.fixture
def case_path(tmp_path, cases_dir):
    """A copy of a short case in a folder of its own, without its ending."""
    for ending in (".events.npz", ".truth.npz"):
        shutil.copy(cases_dir / f"go119-gzip{ending}", tmp_path)
    return tmp_path / "go119-gzip"


def change(path, name, row, value):
    """Set one value of an array in an npz file."""
    arrays = dict(np.load(path))
    arrays[name][row] = value
    np.savez_compressed(path, **arrays)


def test_replay_agrees(case_path, capsys):
    """A case that agrees gives status 0, the agreement on stdout, and the prediction in a truth file's names."""
    output = case_path.parent / "pred.npz"
    assert cli.main(["replay", str(case_path), "-o", str(output)]) == 0
    out, err = capsys.readouterr()
    assert "go119-gzip: 1,009 events replayed in" in out and "objects:        943 of        943   100.000%" in out
    assert err == ""
    found, truth = np.load(output), np.load(f"{case_path}.truth.npz")
    assert set(found.files) == set(truth.files)
    assert np.array_equal(found["addr"], truth["addr"])


def test_replay_without_truth(case_path, capsys):
    """Without a truth file the case is replayed all the same."""
    truth = case_path.with_name("go119-gzip.truth.npz")
    truth.unlink()
    assert cli.main(["replay", f"{case_path}.events.npz", "--check", "1"]) == 0
    assert "nothing to compare with" in capsys.readouterr().out


def test_replay_disagrees(case_path, capsys):
    """A truth that says otherwise gives status 1 and the difference."""
    change(f"{case_path}.truth.npz", "addr", 0, 12345)
    assert cli.main(["replay", str(case_path)]) == 1
    out = capsys.readouterr().out
    assert "942 of        943" in out and "instead of 0x3039" in out


def test_replay_of_bad_data(case_path, capsys):
    """A file that is no case gives status 1 and one line, without a traceback."""
    path = case_path.with_name("go119-gzip.events.npz")
    path.write_bytes(path.read_bytes()[:1000])
    assert cli.main(["replay", str(case_path)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("mheaplab: ") and err.count("\n") == 1 and "go119-gzip.events.npz" in err


def test_replay_of_bad_events(case_path, capsys):
    """An event that cannot be gives status 1 and names the event."""
    change(f"{case_path}.events.npz", "kind", 5, 77)
    assert cli.main(["replay", str(case_path)]) == 1
    assert "event 5" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["replay"], ["replay", "x", "--check", "3"], ["replay", "x", "-o", "no/such/folder/p.npz"],
     ["figures", "--formats", "svg,gif"]],
)  # fmt: skip
def test_usage(arguments, capsys):
    """A wrong command line gives status 2 and says what is wrong."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err


def test_help_and_version(capsys):
    """Help and version are no errors."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"mheaplab {mh.__version__}\n"
    assert cli.main(["replay", "--help"]) == 0
    assert "PRED.npz" in capsys.readouterr().out


def test_interrupt(monkeypatch, capsys):
    """Ctrl-C ends it without a traceback."""

    def interrupt(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_case", interrupt)
    assert cli.main(["replay", "x"]) == 130
    assert capsys.readouterr().err == "mheaplab: interrupted\n"


def test_bench_gets_its_arguments(monkeypatch):
    """``bench`` hands everything on."""
    from mheaplab import bench

    seen = []
    monkeypatch.setattr(bench, "main", seen.append)
    assert cli.main(["bench", "--events", "10", "-q"]) == 0
    assert seen == [["--events", "10", "-q"]]


def test_figures_without_chrome(tmp_path, monkeypatch, capsys):
    """HTML and CSV of every figure are written; the missing Chrome is one line and status 1."""
    export_module = sys.modules[mh.figures.export.__module__]
    export_module.close_renderer()
    monkeypatch.setattr(export_module, "chrome", lambda: None)
    monkeypatch.setattr(cli, "SHOWN_CASES", ("go119-gzip",))
    monkeypatch.setattr(cli, "SHOWN_RUNS", ("tree-builder",))
    assert cli.main(["figures", "-o", str(tmp_path / "out"), "--formats", "svg,csv,html"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("17 figures in ") and "as csv, html" in out
    assert err.count("\n") == 1 and "BROWSER_PATH" in err
    kinds = ["agreement", "heap-map-class", "heap-map-occupancy", "heap-map-state", "heap-over-time", "occupancy"]
    kinds = sorted([*kinds, "class-waste", "table-waste", "waste-by-changes"])
    stems = ["by-hand-arena-bits", "by-hand-span-bits", *(f"go119-gzip-{k}" for k in kinds)]
    views = ["arenas", "compare", "cycles", "fragmentation", "memory", "sweep"]
    stems += [f"tree-builder-{view}" for view in views]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.html")) == [f"{stem}.html" for stem in stems]
    assert cli.main(["figures", "-o", str(tmp_path / "csv"), "--formats", "csv"]) == 0


def test_module_runs():
    """``python -m mheaplab`` is the same."""
    done = subprocess.run([sys.executable, "-m", "mheaplab", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"mheaplab {mh.__version__}\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_progress_bar():
    """The bar shows on a terminal, after its patience, and ends its line."""
    for stream, patience, shown in ((Terminal(), 0, True), (Terminal(), 60, False), (io.StringIO(), 0, False)):
        bar = cli.ProgressBar("x", stream, patience)
        bar(1, 4)
        bar(4, 4)
        bar.close()
        assert ("4 of 4" in stream.getvalue()) is shown
        assert stream.getvalue().endswith("\n") is shown
