"""Recordings: replayed exactly, opened as traces, and refused when anything about them is wrong."""

import re

import numpy as np
import pytest

import mheaplab as mh
from mheaplab import cli
from mheaplab.case_trace import trace_of_case
from mheaplab.recording import block_total

NAMES = ("go119-goroutines", "go127-finalizers")


def path_of(name):
    """Return the path of a recording that comes with the package."""
    return mh.data_path(f"recordings/{name}.mhrec")


def with_sums(data, first, stop):
    """Return recording ``data`` with the sum of the block at bytes ``first`` to ``stop`` made right."""
    total = block_total(np.frombuffer(bytes(data), np.uint8), first, stop - first - 32)
    return bytes(data[: first + 24]) + total.to_bytes(8, "little") + bytes(data[first + 32 :])


@pytest.mark.parametrize("name", NAMES)
def test_every_address_and_span_is_predicted(name):
    case = mh.load_case(path_of(name))
    prediction = mh.replay(case)
    agreement = mh.compare(prediction, case.truth)
    assert agreement.exact, str(agreement)
    assert agreement.total["objects"] > 10_000
    assert agreement.total["spans"] > 1_000
    assert prediction.unrecorded_sweeps == 0


def test_a_recording_says_what_it_is():
    recording = mh.Recording(path_of("go127-finalizers"))
    assert (recording.go, recording.procs, recording.end) == ("go1.27", 1, "exit 0")
    assert recording.go_version.startswith("go1.27.")
    assert recording.records == recording.counts.sum() > 30_000
    assert mh.recording_case(recording).events.revived.size > 100  # finalizers that the page reclaimer met


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_is_the_one_that_a_replay_gives(name):
    trace = mh.read_trace(path_of(name))
    assert trace.digest == trace_of_case(mh.load_case(path_of(name), truth=False)).digest
    run = mh.simulate(trace)
    assert len(run.cycles) > 0


def test_the_command_replays_a_recording(capsys):
    assert cli.main(["replay", str(path_of("go119-goroutines"))]) == 0
    assert "100.000%" in capsys.readouterr().out


def test_truth_is_left_out_if_nobody_wants_it():
    assert mh.load_case(path_of("go119-goroutines"), truth=False).truth is None


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 100, 128, 129, 150, 160, 5_000, 200_000, -1, -8, -39, -40, -41])
def test_a_recording_that_was_cut_is_refused(tmp_path, cut):
    data = path_of("go119-goroutines").read_bytes()
    path = tmp_path / "cut.mhrec"
    path.write_bytes(data[:cut])
    with pytest.raises(mh.FormatError, match="cut"):
        mh.load_case(path)
    with pytest.raises(mh.FormatError, match="cut"):
        mh.read_trace(path)


def test_a_changed_bit_is_noticed(tmp_path):
    data = path_of("go127-finalizers").read_bytes()
    rng = np.random.default_rng(5)
    path = tmp_path / "changed.mhrec"
    for at in [*range(0, 200, 7), *rng.integers(0, len(data), 60).tolist(), *range(len(data) - 40, len(data))]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)
        with pytest.raises(mh.FormatError):
            mh.Recording(path)
            mh.load_case(path)


def test_changed_records_with_right_sums_are_refused_or_checked(tmp_path):
    """Whoever repairs the sums gets a FormatError or a case that has passed every check, never anything else."""
    name = path_of("go119-goroutines")
    data = name.read_bytes()
    first, stop = mh.Recording(name).blocks[0]
    rng = np.random.default_rng(6)
    path = tmp_path / "forged.mhrec"
    refused = 0
    for _ in range(60):
        changed = bytearray(data)
        for at in rng.integers(first, stop, 1 + int(rng.integers(4))).tolist():
            changed[at] = int(rng.integers(256))
        path.write_bytes(with_sums(changed, first - 32, stop))
        try:
            assert len(mh.load_case(path)) > 0
        except mh.FormatError as err:
            assert "forged.mhrec" in str(err)
            refused += 1
    assert refused > 20


def test_a_recording_may_end_in_the_middle_of_an_allocation(tmp_path):
    """What a program did up to any of its records is a case that replays exactly."""
    data = path_of("go119-goroutines").read_bytes()
    first = mh.Recording(path_of("go119-goroutines")).blocks[0][0]
    path, closed, whole = tmp_path / "part.mhrec", tmp_path / "closed.mhrec", 0
    for length in range(2000, 2120):
        part = bytearray(data[: first + length])
        part[first - 28 : first - 24] = length.to_bytes(4, "little")
        part[first - 16 : first - 12] = bytes(4)
        path.write_bytes(with_sums(part, first - 32, first + length))
        with pytest.raises(mh.FormatError) as refused:
            mh.close_recording(path, closed)
        right = re.search(r"(\d+) records in the block, expected 0", str(refused.value))
        if right is None:
            continue  # cut within a record
        part[first - 16 : first - 12] = int(right[1]).to_bytes(4, "little")
        path.write_bytes(with_sums(part, first - 32, first + length))
        mh.close_recording(path, closed)
        case = mh.load_case(closed)
        assert mh.compare(mh.replay(case), case.truth).exact
        whole += 1
        closed.unlink()
    assert whole > 10


def test_a_killed_recording_is_closed_after_its_last_whole_block(tmp_path):
    data = path_of("go119-goroutines").read_bytes()
    recording = mh.Recording(path_of("go119-goroutines"))
    killed, closed = tmp_path / "killed.mhrec", tmp_path / "closed.mhrec"
    killed.write_bytes(data[: recording.blocks[-1][1] + 5])
    blocks, records, left = mh.close_recording(killed, closed)
    assert (blocks, records, left) == (len(recording.blocks), recording.records, 5)
    again = mh.Recording(closed)
    assert again.end == "killed"
    assert again.records == recording.records
    case = mh.load_case(closed)
    assert mh.compare(mh.replay(case), case.truth).exact
    killed.write_bytes(data[: recording.blocks[0][0] + 1000])
    assert mh.close_recording(killed, closed)[:2] == (0, 0)
    assert len(mh.load_case(closed)) == 0
    with pytest.raises(mh.FormatError, match="nothing to close"):
        mh.close_recording(path_of("go119-goroutines"), closed)


def test_the_same_recording_gives_the_same_case():
    one, two = (mh.load_case(path_of("go127-finalizers")) for _ in range(2))
    for a, b in zip(one.events, two.events, strict=True):
        assert np.array_equal(a, b)
