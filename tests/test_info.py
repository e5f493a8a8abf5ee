"""info, and the commands that open recorded traces."""

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import cli
from mheaplab.info import info, size_words
from mheaplab.traces.summary import summarise

CASE = "cases/go119-trees"


@pytest.fixture
def parquet(tmp_path):
    """A trace of three objects, one stack and a phase."""
    kinds, sizes, ids = [0, 0, 2, 5, 1, 0, 4], [48, 5000, 4096, 0, 0, 100, 0], [7, 8, 9, 0, 7, 10, 0]
    times = [1, 2, 3, 4, 5, 6, 2_500_000_000]
    trace = mh.Trace.from_arrays(kinds, [0, 3, 0, 0, 0, 1, 0], sizes, [0, 1, 0, 0, 0, 0, 0], ids, times, go="go1.27")
    mh.write_trace(trace, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_a_trace(parquet):
    lines = info(parquet)
    assert lines["trace"] == str(parquet) and lines["go"] == "go1.27" and lines["events"] == "7"
    assert lines["objects allocated"] == "3" and lines["objects that die"] == "1" and lines["stacks"] == "1"
    assert lines["phases"] == "1" and lines["calls of the collector"] == "1" and "stacks freed" not in lines
    assert lines["bytes allocated"] == "5.027 KiB, 97.1% without pointers"
    assert lines["largest object"] == "4.883 KiB"
    assert lines["reachable at most"] == "4.98 KiB at once, 2 objects at once"
    assert lines["reachable at the end"] == "4.98 KiB in 2 objects"
    assert lines["stacks at most"] == "4 KiB" and lines["Ps"] == "4" and lines["time"] == "2.5 s"


def test_a_case():
    lines = info(mh.data_path(CASE))
    assert lines == info(str(mh.data_path(CASE)) + ".events.npz")
    assert lines["MALLOC"] == "115,093" and lines["bytes allocated"] == "4.466 MiB" and "683 spans" in lines["truth"]


def test_a_result(parquet, tmp_path):
    result = mh.simulate(mh.read_trace(parquet), mh.HeapParams.go119(gogc=50))
    result.save(tmp_path / "run")
    lines = info(tmp_path / "run")
    assert lines["changed parameters"] == "gogc=50, procs=4" and lines["events"] == "7 of 7"
    assert lines["mapped"] == "4 MiB at the end"


def test_what_it_is_not(tmp_path):
    (tmp_path / "x").write_bytes(b"nothing that is known")
    with pytest.raises(mh.FormatError, match="begins with b'nothing '"):
        info(tmp_path / "x")
    with pytest.raises(mh.FormatError, match="no such file"):
        info(tmp_path / "y")


@pytest.mark.parametrize(
    ("nbytes", "words"), [(0, "0 B"), (1023, "1,023 B"), (1024, "1 KiB"), (3 << 30, "3 GiB"), (5 << 61, "10 EiB")]
)
def test_sizes(nbytes, words):
    assert size_words(nbytes) == words


def test_many_ids_at_once():
    n = 200_000
    trace = mh.Trace.from_arrays(np.zeros(n, "u1"), 0, 16, 1, np.arange(n) * 3)
    found = summarise(trace)
    assert found.objects == found.objects_peak == n and found.live == 16 * n == found.noscan and found.procs == 1


# ---------------------------------------------------------------------------------------------- commands


def test_import(tmp_path, capsys):
    output = tmp_path / "trees.parquet"
    assert cli.main(["import", str(mh.data_path(CASE)), "-o", str(output)]) == 0
    assert "199,061 events in" in capsys.readouterr().out
    first = output.read_bytes()
    a, b = mh.read_trace(output), mh.read_trace(mh.data_path(CASE))
    assert a.meta == b.meta and summarise(a) == summarise(b)
    assert cli.main(["import", str(mh.data_path(CASE)), "-o", str(output)]) == 0
    assert output.read_bytes() == first, "the same file gives the same bytes"


def test_import_as_a_case(parquet, tmp_path, capsys):
    output = tmp_path / "c.events.npz"
    assert cli.main(["import", str(parquet), "-o", str(output)]) == 0
    assert cli.main(["replay", str(output)]) == 0
    assert "of a run with GOGC=off" in capsys.readouterr().out
    assert info(output)["MALLOC"] == "3"


def test_import_of_a_file_that_is_cut(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"PAR1 and no more")
    assert cli.main(["import", str(tmp_path / "x"), "-o", str(tmp_path / "x.parquet")]) == 1
    assert not (tmp_path / "x.parquet").exists() and "not a readable Parquet file" in capsys.readouterr().err


def test_import_into_no_folder(tmp_path, capsys):
    assert cli.main(["import", str(mh.data_path(CASE)), "-o", str(tmp_path / "no" / "x.parquet")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_info_prints_columns(parquet, capsys):
    assert cli.main(["info", str(parquet)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["trace", str(parquet)] and len({line.rindex("  ") for line in lines[1:4]}) == 1
