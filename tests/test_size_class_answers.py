"""The page of answers on size classes: its numbers, its pictures, and what its tool reckons for itself."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

import mheaplab as mh

sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tools" / "classes_go"))
import page_pictures
import questions as measured
import size_class_answers as tool
from class_answers import class24, small_heaps, wasteful
from class_answers.programs import table_text

sc = mh.sizeclasses
PAGE = ROOT / "docs" / "size-class-questions.md"
SLOTS_ALIKE = 1024
"""Bytes of HeapAlloc that reading the statistics may take."""


def check(*questions):
    command = [sys.executable, ROOT / "tools" / "size_class_answers.py", "--check", *questions]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"run tools/size_class_answers.py: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("question", ["17619", "18896", "ios"])
def test_answers_are_current(question):
    check(question)


def test_what_the_page_says_of_24_bytes_is_what_is_expected_and_some_is_simulated():
    # All 13 programs with five draws each take 40 s; the tool's --check has them.
    text = PAGE.read_text()
    waste, newer = (class24.expected(go) for go in ("go1.19", "go1.27"))
    names = class24.mentioned(waste)
    assert class24.said(waste, newer, names) in text
    assert tool.in_step("size-classes-24", tool.sha256_of(class24.picture(waste, newer, names)))
    for name in names:
        assert "| ".join(f"{cell} " for cell in class24.row(name, waste[name], np.zeros((1, 2)))[:5]) in text
    for name, runs in class24.simulated(("slow-leak", "web-sessions")).items():
        assert table_text(("",), [class24.row(name, waste[name], runs)]).splitlines()[-1] in text


def test_every_picture_was_drawn_by_the_tool_and_says_from_what():
    named = re.findall(r"\((pictures/[\w.-]+)\)", PAGE.read_text())
    assert len(named) == 6
    for name in named:
        assert re.fullmatch(r"[0-9a-f]{64}", page_pictures.facts_of(ROOT / "docs" / name)["sha256"])


def test_a_number_that_changes_is_found(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    mark = tool.MARK.format("one")
    page.write_text(f"{mark}\n\nwaste 5.66%\n\n<!-- end of table -->\n")
    monkeypatch.setattr(tool, "PAGE", page)

    class One:
        said = "waste 5.66%"

        @classmethod
        def answer(cls):
            return cls.said, {}

    monkeypatch.setattr(tool, "QUESTIONS", {"one": One})
    assert tool.main(["--check"]) == 0
    One.said = "waste 5.67%"
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0 and "5.67%" in page.read_text() and tool.main(["--check"]) == 0


def test_a_question_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit):
        tool.main(["9999"])
    assert "'9999' is none of 24, 17619, 18896, ios" in capsys.readouterr().err


@pytest.mark.parametrize("go", ["go1.19", "go1.27"])
def test_a_raised_table_is_legal_and_costs_no_object_more(go):
    own, raised = sc.go_table(go), wasteful.raised(go)
    assert raised.why_not(go) == "" and raised.npages.tolist() == own.npages.tolist()
    assert (raised.sizes >= own.sizes).all() and (raised.sizes > own.sizes).sum() == len(wasteful.raises(go)) > 0
    for size in range(8, 1200, 8):
        counts = np.zeros(size + 1)
        counts[size] = 1
        for noscan in (counts, np.zeros(size + 1)):
            before, after = (sc.evaluate(table, counts, go, noscan).waste for table in (own, raised))
            assert after <= before + 1e-9, (size, noscan[size])


def test_the_page_s_own_code_runs():
    sizes, noscan, _ = small_heaps.heap(4000)
    counts, without = sc.count_sizes(sizes, noscan)
    known = {"mh": mh, "counts": counts, "noscan": without}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(code.replace(".show()", ""), known)  # a figure is made, and no browser opened
    assert known["raised"].pairs == wasteful.raised("go1.19").pairs
    assert known["few"].pairs == small_heaps.few_classes(sizes, noscan, 14).pairs


def test_a_raised_table_cannot_be_raised_further():
    legal, fixed = sc.legal_sizes("go1.19"), sc.fixed_sizes("go1.19")
    pairs = wasteful.raised("go1.19").pairs
    for (size, pages), (following, _) in zip(pairs, pairs[1:], strict=False):
        larger = int(legal[legal > size][0])
        fewer = pages * 8192 // larger < pages * 8192 // size
        assert fewer or larger == following or size in fixed, size


def test_the_rule_for_other_pages_gives_go_s_table_for_go_s():
    assert tuple(small_heaps.rule_classes(8192, 32768)) == sc.go_table().pairs


def test_tailscale_s_table_is_what_its_file_says():
    classes = small_heaps.rule_classes(2048, 16384)
    assert len(classes) == 49 and classes[-1] == (16384, 8) and [size for size, _ in classes].count(768) == 2
    assert classes[:6] == [(8, 1), (16, 1), (24, 1), (32, 1), (48, 1), (64, 1)] and (4736, 7) in classes


def test_whole_spans_are_those_of_the_laboratory():
    sizes, noscan, _ = small_heaps.heap(4000)
    counts, without = sc.count_sizes(sizes, noscan)
    for table in (sc.go_table(), sc.jemalloc_table(), small_heaps.few_classes(sizes, noscan, 14)):
        assert (
            small_heaps.whole_spans(sizes, noscan, table.pairs)
            == sc.evaluate(table, counts, noscan=without).whole_bytes
        )


def test_a_heap_of_small_nodes_is_a_quarter_smaller_with_their_class():
    assert class24.nodes("go1.19") == pytest.approx(100 * (1 - 256 / 341), abs=1e-9)


def measured_rows():
    text = PAGE.read_text().split("<!-- measured: tools/classes_go/questions.py -->")[1].split("<!-- end")[0]
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if len(row) == 6 and re.fullmatch(r"[\d,]+", row[2])]


def test_what_was_measured_stands_beside_what_is_predicted_now():
    rows = iter(measured_rows())
    for name, (sizes, noscan) in measured.heaps().items():
        for label, table in measured.tables(sizes, noscan).items():
            row = next(rows)
            slots, taken, spans, used = (int(cell.replace(",", "")) for cell in row[2:])
            assert (row[0], row[1], slots, spans) == (name, label, *measured.predicted(table, sizes, noscan))
            assert abs(taken - slots) <= SLOTS_ALIKE and 0.65 * spans <= used <= spans
    assert next(rows, None) is None
