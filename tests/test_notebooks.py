"""Notebooks: their budget, what they may import, that they run, and that their text is true."""

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import mheaplab as mh
from mheaplab.snapshot import PAGE_FREE, PAGE_LARGE, PAGE_RESERVED, PAGE_SCAVENGED

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
ALL_LINES, CELL_LINES = 120, 12
NETWORK = re.compile(r"https?:|ftp:|urllib|requests\b|httpx|aiohttp|socket|wget|curl|pip install|^\s*[!%]", re.M)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path):
    """Return a notebook."""
    return nbformat.read(path, as_version=4)


def code(path):
    """Return the code cells of a notebook."""
    return [c for c in read(path).cells if c.cell_type == "code"]


def lines(source):
    """Return the lines of code, without blank lines and comments."""
    return [x for x in source.splitlines() if x.strip() and not x.strip().startswith("#")]


def test_there_are_notebooks():
    """The pattern finds what it is for."""
    assert FOLDER / "00_start_here.ipynb" in NOTEBOOKS


@every_notebook
def test_budget(path):
    """A notebook is thin: few lines, no class, at most one function, no loop of computations."""
    counts = [len(lines(c.source)) for c in code(path)]
    assert sum(counts) <= ALL_LINES and max(counts) <= CELL_LINES
    tree = ast.parse("\n".join(c.source for c in code(path)))
    kinds = [type(node) for node in ast.walk(tree)]
    assert ast.ClassDef not in kinds and kinds.count(ast.FunctionDef) <= 1


@every_notebook
def test_imports(path):
    """The first cell of code has the imports and nothing else; only mheaplab, as mh, and the standard library."""
    first, *rest = code(path)
    for node in ast.parse(first.source).body:
        assert isinstance(node, ast.Import | ast.ImportFrom)
    names = [a.name for node in ast.walk(ast.parse(first.source)) if isinstance(node, ast.Import) for a in node.names]
    assert names == ["mheaplab"] and "as mh" in first.source
    for cell in rest:
        assert not any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(ast.parse(cell.source)))


@every_notebook
def test_clean(path):
    """Nothing of a run is stored, and nothing of the machine."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    assert set(raw["metadata"]) <= {"kernelspec", "language_info"}
    assert set(raw["metadata"]["language_info"]) == {"name"}
    for cell in raw["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    nbformat.validate(read(path))


@every_notebook
def test_no_network(path):
    """No cell of code asks a network or a shell for anything."""
    for cell in code(path):
        assert not NETWORK.search(cell.source), cell.source


@every_notebook
def test_paths_are_relative(path):
    """No absolute path is in a notebook."""
    assert not re.search(r"""["'(](/|~|[A-Z]:\\)""", "\n".join(c.source for c in code(path)))


@every_notebook
@pytest.mark.slow
def test_runs(path, tmp_path):
    """The notebook runs from a folder of its own, and every figure and widget is there."""
    notebook = read(path)
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", store_widget_state=False, resources=place).execute()
    kinds = [kind for c in notebook.cells for out in c.get("outputs", []) for kind in out.get("data", {})]
    assert "application/vnd.plotly.v1+json" in kinds
    assert "application/vnd.jupyter.widget-view+json" in kinds
    assert not any(out.output_type == "error" for c in notebook.cells for out in c.get("outputs", []))
    assert {p.suffix for p in (tmp_path / "exports").iterdir()} >= {".html", ".csv"}


def test_start_here_is_true():
    """What the text of the first notebook says of its case is so."""
    text = " ".join("\n".join(c.source for c in read(FOLDER / "00_start_here.ipynb").cells).split())
    case = mh.load_case(mh.data_path("cases/go119-json"))
    e = case.events
    starts = [k for k in range(len(case)) if e.kind[k] == 3]
    before, after, grown = mh.snapshots(case, [79_921, 79_922, 71_900])

    def count(snapshot, state):
        return int((snapshot.pages == state).sum())

    # Section 3: one arena, the first 8 MiB of it, no large objects.
    assert before.arenas.tolist() == [0xC000000000] and "at `0xc000000000`" in text
    assert count(before, PAGE_RESERVED) == (64 - 8) * 128 and "its first 8 MiB" in text
    assert int(e.size[e.kind == 0].max()) <= 32768 and count(before, PAGE_LARGE) == 0
    assert len(before.class_sizes) == 68 and "67 of them, from 8 bytes to 32 KiB" in text
    # Section 4: the collection, and one allocation.
    assert starts[0] == 75_875 and "about 4,000 events ago" in text
    assert e.dead_offsets[1] == 62_862 and "62,862 dead objects" in text
    assert count(before, PAGE_FREE) == 10 and "ten free pages" in text
    assert case.describe(79_921) == "event 79921: MALLOC of 6144 B, with pointers"
    assert not (before.spans["elemsize"] == 6144).any()
    old, new = set(before.spans["base"].tolist()), set(after.spans["base"].tolist())
    gone = before.spans[[b in old - new for b in before.spans["base"].tolist()]]
    assert len(gone) == 341 and set(gone["npages"]) == {1} and text.count("341") >= 3
    assert new - old == {0xC00042A000} and "`0xc00042a000`, in the fifth row" in text
    assert after.spans[after.spans["base"] == 0xC00042A000]["npages"] == 3
    # Never scavenged: what counts as returned has not been touched.
    assert not (e.kind == 7).any() and (before.pages[0, 576:1024] == PAGE_SCAVENGED).all()
    assert count(before, PAGE_SCAVENGED) == 448
    # Section 5: a third in free slots.
    table = mh.figures.occupancy_table(after)
    parts = [sum(table[k]) for k in ("in_use_bytes", "free_bytes", "tail_bytes")]
    assert 0.30 < parts[1] / sum(parts) < 0.36
    # Section 7: who made the heap grow.
    assert case.describe(71_899) == "event 71899: SPAN_ALLOC of 4 pages, type 3"
    assert count(mh.snapshots(case, [71_899])[0], PAGE_RESERVED) - count(grown, PAGE_RESERVED) == 512
