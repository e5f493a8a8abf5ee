"""The pages of questions: their code prints what they say and draws the figure they show; the index has them all."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import question_pages as tool


@pytest.mark.slow
def test_pages_are_current():
    command = [sys.executable, ROOT / "tools" / "question_pages.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"run tools/question_pages.py: {done.stderr}"


def test_the_index_has_every_page_by_its_question():
    index = (tool.PAGES / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\* \[(.*?)\]\(([\w-]+)\.md\)$", index, re.M))
    first = {(tool.PAGES / f"{name}.md").read_text(encoding="utf-8").split("\n", 1)[0]: name for name in tool.names()}
    assert {f"# {question}": name for question, name in listed.items()} == first and len(first) >= 8


@pytest.mark.parametrize("name", tool.names())
def test_links_of_a_page_lead_somewhere(name):
    text = (tool.PAGES / f"{name}.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (tool.PAGES / link).exists(), link


def test_a_page_whose_numbers_are_not_those_of_its_code_is_found(tmp_path, monkeypatch):
    name = "is-it-right"
    text = (tool.PAGES / f"{name}.md").read_text(encoding="utf-8")
    code = "figure = __import__('plotly.graph_objects').graph_objects.Figure()\nprint(1)\n"
    (tmp_path / f"{name}.md").write_text(tool.BLOCKS.sub(lambda _: f"```python\n{code}```\n\n```text\n2\n```", text))
    monkeypatch.setattr(tool, "PAGES", tmp_path)
    assert tool.wrong(name) == [f"{name}.md", f"{name}.svg"]
    tool.write(name, draw=False)
    assert tool.wrong(name) == [f"{name}.svg"] and "```text\n1\n```" in (tmp_path / f"{name}.md").read_text()
