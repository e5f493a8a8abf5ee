"""The closed loop: tables by name, predictions from a recording, what is said when something is missing."""

import json
import os
import shutil
from pathlib import Path

import pytest

import mheaplab as mh
from mheaplab import cli
from mheaplab.errors import FormatError, GoError
from mheaplab.prove import Numbers, Proof, Prover
from mheaplab.prove_predict import FIELDS, Predictor
from mheaplab.prove_tables import RULES, asked_sizes, check_word, read_table, table_named
from mheaplab.recorder import find_go, patches, read_exit_memstats, rounding, runtime_overlay
from mheaplab.recorder.build import Go
from mheaplab.replay import memstats_points
from mheaplab.sizeclasses import go_table, optimal, optimal_near, pow2_table, to_go

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "data" / "recordings" / "go119-exits.mhrec"
"""tests/prove_program.go with 800 objects, as `mheaplab prove` records it."""
PROGRAM = ROOT / "tests" / "prove_program.go"


@pytest.fixture(scope="module")
def predictor():
    return Predictor(mh.Recording(RECORDED))


@pytest.mark.parametrize("word", RULES)
def test_tables_by_rule(word, predictor):
    assert table_named(word, predictor.case).pairs == RULES[word]("go1.19").pairs


def test_tables_from_what_was_recorded(predictor):
    counts, noscan = asked_sizes(predictor.case)
    assert counts[2600] >= 800 and noscan[2600] >= 800
    assert table_named("best", predictor.case).pairs == optimal(counts, noscan=noscan).pairs
    near = table_named("near:2", predictor.case)
    assert near.pairs == optimal_near(counts, 2, noscan=noscan).pairs
    assert len(set(near.pairs) - set(go_table().pairs)) in (1, 2)


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_a_table_in_a_file(go, tmp_path):
    table = pow2_table(go)
    (tmp_path / "a.json").write_text(json.dumps(table.pairs))
    (tmp_path / "sizeclasses.go").write_text(to_go(table, go))
    for name in ("a.json", "sizeclasses.go"):
        assert read_table(tmp_path / name).pairs == table.pairs


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.json", "[[8, 1", "not JSON"),
        ("a.json", '{"8": 1}', "expected a list of pairs"),
        ("a.json", "[[8, 1, 2]]", "expected a list of pairs"),
        ("a.json", "[[8, true]]", "expected a list of pairs"),
        ("a.json", '[[8, 1], ["16", 1]]', "expected a list of pairs"),
        ("a.json", "[[16, 1], [8, 1]]", "8 after 16, expected sizes that rise"),
        ("a.json", "[[8, 1], [16, 1]]", "the last size is 16, expected 32768"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "[" + " " * (4 << 20) + "]", "bytes, expected a table"),
        ("a.go", "package runtime", "has no arrays class_to_size or SizeClassToSize"),
        (
            "a.go",
            "var class_to_size = [3]uint16{0, 8, 16}\nvar class_to_allocnpages = [2]uint8{0, 1}",
            "3 sizes and 2 page counts",
        ),
    ],
)  # fmt: skip
def test_files_that_are_no_table(name, text, reason, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(FormatError, match=reason) as err:
        read_table(path)
    assert str(path) in str(err.value)


@pytest.mark.parametrize("word", ["near:", "near:x", "near:-1", "near:99999", "sbrk", "no/such/file.json", ""])
def test_words_that_name_no_table(word):
    with pytest.raises(ValueError, match="expected"):
        check_word(word)


def test_a_table_that_go_cannot_run_with_says_why(predictor, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps([pair for pair in go_table().pairs if pair[0] != 16]))
    with pytest.raises(ValueError, match="16"):
        table_named(str(path), predictor.case)


def test_gos_own_table_is_predicted_as_the_replay_has_it(predictor):
    """The moments are those of the recording, and the recorder's build said the same of itself (data/README.md)."""
    replayed = mh.replay(predictor.case).memstats
    found = predictor.predict(go_table())["collected"]
    assert found == {field: replayed[field] for field in FIELDS["collected"]}
    assert found == predictor_said("collected")
    assert {f: predictor.recorded()["exit"][f] for f in FIELDS["exit"]} == predictor_said("exit")
    assert predictor.exit < predictor.collected == memstats_points(predictor.case.events)[-1]


def predictor_said(moment):
    """Return what Go itself said of the recorded run."""
    said = json.loads(RECORDED.with_suffix(".memstats.json").read_text())[moment]
    return {field: said[field] for field in FIELDS[moment]}


def test_another_table_moves_what_it_must(predictor):
    """800 objects of 2,600 bytes live to the end: each is 2,688 with Go's table and 4,096 with powers of two."""
    go, pow2 = (predictor.predict(table)["collected"] for table in (go_table(), pow2_table()))
    assert pow2["HeapAlloc"] - go["HeapAlloc"] > 800 * (4096 - 2688)
    assert pow2["HeapAlloc"] - go["HeapAlloc"] < 800 * (4096 - 2688) + 60_000
    assert pow2["HeapInuse"] >= pow2["HeapAlloc"] and pow2["HeapSys"] >= pow2["HeapInuse"]


def test_with_the_collector_off_exit_follows_from_the_events_alone():
    without = Predictor(mh.Recording(RECORDED), gogc=-1)
    exit_ = without.predict(go_table())["exit"]
    assert exit_ == predictor_said("exit")


def test_a_recording_without_the_two_readings_is_refused():
    with pytest.raises(FormatError, match="0 readings of MemStats and 2 Ps|readings of MemStats"):
        Predictor(mh.Recording(ROOT / "data" / "recordings" / "go119-goroutines.mhrec"))


def test_changes_and_how_far_off_they_are():
    side = {"exit": {"HeapAlloc": Numbers((100,), (99, 100, 103))}}
    proof = Proof("x", None, side, {"exit": {"HeapAlloc": Numbers((112, 90, 115), (110, 111, 110))}})
    assert proof.change("exit", "HeapAlloc") == (12, 10)
    assert proof.off("exit", "HeapAlloc") == (112 / 110 - 1, 0.02)


def memstats_text(lines=("exit HeapAlloc 5", "collected BySize 8 3 1", "end", "")):
    return "\n".join(lines)


def test_memstats_at_exit(tmp_path):
    path = tmp_path / "m"
    path.write_text(memstats_text())
    found = read_exit_memstats(path)
    assert found["exit"] == {"BySize": [], "HeapAlloc": 5}
    assert found["collected"] == {"BySize": [{"Size": 8, "Mallocs": 3, "Frees": 1}]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (memstats_text()[:-5], "no end"),
        ("", "no end"),
        ("exit HeapAlloc x\nend\n", "line 1"),
        ("later HeapAlloc 1\nend\n", "line 1"),
        ("exit BySize 1 2\nend\n", "line 1"),
    ],
)
def test_memstats_that_are_not_whole(text, reason, tmp_path):
    path = tmp_path / "m"
    path.write_text(text)
    with pytest.raises(FormatError, match=reason):
        read_exit_memstats(path)
    path.unlink()
    with pytest.raises(FormatError, match="ended without its MemStats"):
        read_exit_memstats(path)


def test_the_end_mark_of_a_recording_follows_on_memstats(tmp_path):
    """Both have a line before the exit of `main`; the recording must still be open when MemStats are read."""
    runtime = tmp_path / "go" / "src" / "runtime"
    runtime.mkdir(parents=True)
    ends = [patch for patch in patches.COMMON if patch.ours.startswith("\trecEnd") and patch.file == "proc.go"]
    source = "\nfunc main() {\n\texit(0)\n}\n"
    for patch in (*patches.MEMSTATS[:1], *ends):
        source = patches.apply_patch(patch, source, "proc.go")
    assert source.index("memstatsAtExit") < source.index("recEnd") < source.index("exit(0)")
    with pytest.raises(GoError, match=r"proc\.go: cannot be read"):
        runtime_overlay(Go("go", "go1.19", "go1.19.8", tmp_path / "go"), tmp_path, record=False, memstats=True)


@pytest.mark.parametrize("go", rounding.NAMES)
def test_append_can_round_as_go_does(go):
    """Each array of msize.go is replaced, by one with the numbers of Go's own file."""
    sizes, eighths, steps = rounding.NAMES[go]
    source = f"if small {{ return {sizes}[{eighths}[n/8]] }}\nreturn {sizes}[{steps}[n/128]]\n"
    for patch in rounding.rounding_patches(go):
        source = patches.apply_patch(patch, source, "msize.go")
    assert (
        source
        == "if small { return goClassToSize[goSizeToClass8[n/8]] }\nreturn goClassToSize[goSizeToClass128[n/128]]\n"
    )
    text = rounding.rounding_file(go)
    numbers = [array.split("}")[0] for array in to_go(go_table(go), go).split("{")[1:]]
    assert all(f"{{{numbers[k]}}}" in text for k in (0, 3, 4)) and text.startswith("package runtime\n")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["--table", "go", "--go", "no-such-go"], 1, "there is no command 'no-such-go'"),
        (["--table", "nonsense"], 2, "no such table and no such file"),
        (["--table", "go", "--gogc", "often"], 2, "--gogc 'often': expected a whole number"),
        (["--table", "go", "--runs", "0"], 2, "runs = 0 is outside its legal range"),
        ([], 2, "--table"),
    ],
)
def test_what_the_command_says(arguments, status, reason, capsys):
    assert cli.main(["prove", str(PROGRAM), *arguments]) == status
    assert reason in capsys.readouterr().err


def test_no_program_and_another_go(tmp_path, capsys):
    assert cli.main(["prove", str(tmp_path / "none.go"), "--table", "go"]) == 1
    assert "no such file; expected a Go program" in capsys.readouterr().err
    go = tmp_path / "go"
    go.write_text(f'#!/bin/sh\nprintf "go1.22.1\\n{tmp_path}\\nlinux\\namd64\\n"\n')
    go.chmod(0o755)
    assert cli.main(["prove", str(PROGRAM), "--table", "go", "--go", str(go)]) == 1
    assert "is go1.22.1; the recorder knows go1.19 and go1.27" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    assert cli.main(["prove", str(PROGRAM), "--table", "go", "-o", str(tmp_path)]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def real_go():
    """Return the Go to test with, from the environment or the PATH, or None."""
    try:
        found = find_go(os.environ.get("MHEAPLAB_TEST_GO", "go"))
    except GoError:
        return None
    return found.command


needs_go = pytest.mark.skipif(
    real_go() is None, reason="there is no Go 1.19 or 1.27 on the PATH or in MHEAPLAB_TEST_GO"
)


@needs_go
@pytest.mark.slow
@pytest.mark.parametrize("append", ["table", "go"])
def test_predicted_and_measured(append, tmp_path, capsys):
    """The whole loop with the collector on: HeapAlloc within 1%, HeapInuse within 3%, in every run."""
    output = tmp_path / "out"
    words = ["--table", "pow2", "--append", append, "--go", real_go(), "--runs", "2", "-o", str(output)]
    assert cli.main(["prove", str(PROGRAM), *words, "--", "3000"]) == 0
    assert "the twin repeats their MemStats" in capsys.readouterr().out
    numbers = json.loads((output / "proof.json").read_text())
    assert numbers["exact"] and numbers["arguments"] == ["3000"] and numbers["append"] == append
    found = numbers["tables"][0]["numbers"]
    stock, other = (found[side]["collected"] for side in ("stock", "with_table"))
    for run in range(2):
        change = other["HeapAlloc"]["runs"][run] - stock["HeapAlloc"]["runs"][run]
        predicted = other["HeapAlloc"]["predictions"][0] - stock["HeapAlloc"]["predictions"][0]
        assert abs(change - predicted) < 0.01 * stock["HeapAlloc"]["runs"][run]
        assert abs(other["HeapInuse"]["predictions"][0] / other["HeapInuse"]["runs"][run] - 1) < 0.03
    with_recorder = mh.load_case(output / "stock-0.mhrec")
    assert mh.compare(mh.replay(with_recorder), with_recorder.truth).exact


@needs_go
@pytest.mark.slow
def test_programs_that_fail(tmp_path):
    bad = tmp_path / "bad.go"
    for text, reason in (
        ("package main\nfunc main() { undefined() }\n", "undefined"),
        ('package main\nimport "os"\nfunc main() { println("no luck"); os.Exit(3) }\n', "exit status 3.*no luck"),
    ):
        bad.write_text(text)
        folder = tmp_path / str(len(text))
        folder.mkdir()
        with pytest.raises(GoError, match=reason):
            Prover(bad, folder, real_go()).record()
        shutil.rmtree(folder)
