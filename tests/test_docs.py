"""What the docs say is what the code does."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT

from mheaplab.runtime.verify import INVARIANTS


def test_agreement_table_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "agreement_table.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, "run tools/agreement_table.py"


def test_asking_a_tool_for_help_writes_nothing():
    page = ROOT / "docs" / "pacing.md"
    before = (page.read_bytes(), page.stat().st_mtime_ns)
    command = [sys.executable, ROOT / "tools" / "reality_table.py", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    assert "--check" in done.stdout and (page.read_bytes(), page.stat().st_mtime_ns) == before


def test_table_of_policies_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "policy_table.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout in (ROOT / "docs" / "policies.md").read_text()


@pytest.mark.slow
def test_tables_of_size_classes_are_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "size_class_table.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, "run tools/size_class_table.py"


def test_tables_of_what_was_proved_are_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "prove_table.py", "--check"], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, "run tools/prove_table.py"


def test_coverage_of_mheap_go_is_current():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "coverage_table.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_coverage_names_what_the_surface_has():
    page = (ROOT / "docs" / "coverage.md").read_text()
    counts = [int(n) for n in re.findall(r"^## \w+ \((\d+)\)", page, re.M)]
    names = re.findall(r"^\| `([\w.]+)` \|", page, re.M)
    assert counts == [3, 18, 64]
    assert len(names) == len(set(names)) == 85


def test_every_invariant_has_a_sentence_and_a_check():
    package = ROOT / "mheaplab" / "runtime"
    source = (package / "verify.py").read_text() + (package / "verify_lists.py").read_text()
    raised = set(re.findall(r'Violation\("(\w+)"', source))
    assert raised == set(INVARIANTS)


@pytest.mark.parametrize(
    "page",
    [
        "README.md", "ARCHITECTURE.md", "docs/cases.md", "docs/speed.md", "docs/coverage.md", "docs/policies.md",
        "docs/time-model.md", "docs/pacing.md", "docs/histograms.md", "docs/size-classes.md",
        "docs/size-class-questions.md", "docs/studies.md", "data/README.md",
    ],
)  # fmt: skip
def test_files_named_in_prose_exist(page):
    text = (ROOT / page).read_text()
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#h][^)#]*)\)", text):
        assert (folder / target).exists(), f"{page} links to {target}"
    for name in re.findall(r"`((?:mheaplab|docs|data|tools|tests|notebooks)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"{page} names {name}"


def test_kernel_reading_order_names_every_module():
    package = ROOT / "mheaplab" / "runtime"
    listed = set(re.findall(r"^``(\w+)``", (package / "__init__.py").read_text(), re.M))
    assert listed == {p.stem for p in package.glob("*.py")} - {"__init__"}
