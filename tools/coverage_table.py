#!/usr/bin/env python3
"""Write docs/coverage.md: every named thing of Go's mheap.go, where it is in mheaplab, and the test that holds it.

    coverage_table.py [--check]

The table is made from coverage_entries.py.  Every entry is looked up: the module must define the name, a function's
docstring must begin with the name in Go, and the test must exist.  With --check nothing is written; the exit status is
1 if an entry does not hold or docs/coverage.md is not what would be written.
"""

import argparse
import ast
import functools
import sys
from pathlib import Path

from coverage_entries import ENTRIES, KINDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "coverage.md"
HEAD = """# Coverage of mheap.go

<!-- Written by tools/coverage_table.py; a test holds it to the code. -->

Every named thing of Go's `runtime/mheap.go` (Go 1.19), where it is here, and the test that fails when it is broken.
Modules are those of `mheaplab/runtime/`, tests those of `tests/runtime/` where no folder is named. From Python most of
it is reached through `mh.Heap` (last column; see `mheaplab/heap.py`).
"""


@functools.lru_cache
def parsed(path):
    """Return the syntax tree of a file of the project."""
    return ast.parse((ROOT / path).read_text())


@functools.lru_cache
def definitions(path):
    """Return what a file defines at its top: name to docstring (None for what has none)."""
    found = {}
    for node in parsed(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = ast.get_docstring(node)
            for item in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(item, ast.FunctionDef):
                    found[f"{node.name}.{item.name}"] = ast.get_docstring(item)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = None
    return found


def test_path(test):
    """Return (file, function) of a test written as ``module::function``."""
    module, function = test.split("::")
    folder = "" if "/" in module else "tests/runtime/"
    return f"{folder}{module}.py", function


def problems(entry):
    """Yield what does not hold of one entry."""
    path = entry.module if "/" in entry.module else f"mheaplab/runtime/{entry.module}.py"
    known = definitions(path)
    if entry.name not in known:
        yield f"{entry.go}: {path} does not define {entry.name}"
    elif entry.kind == "function" and not (known[entry.name] or "").startswith(entry.first_words):
        yield f"{entry.go}: the docstring of {entry.name} does not begin with {entry.first_words!r}"
    file, function = test_path(entry.test)
    if not (ROOT / file).exists() or function not in definitions(file):
        yield f"{entry.go}: there is no test {entry.test}"
    of_heap = definitions("mheaplab/heap.py").keys() | definitions("mheaplab/heap_questions.py").keys()
    if entry.heap and not of_heap & {f"Heap.{entry.heap}", f"HeapQuestions.{entry.heap}"}:
        yield f"{entry.go}: mh.Heap has no {entry.heap}"


def table(kind):
    """Return the Markdown table of one kind of entry."""
    lines = ["| Go | here | test | simplified | `mh.Heap` |", "| --- | --- | --- | --- | --- |"]
    for entry in ENTRIES:
        if entry.kind == kind:
            heap = f"`{entry.heap}`" if entry.heap else ""
            here = f"`{entry.module}`, `{entry.name}`" if "/" in entry.module else f"`{entry.module}.{entry.name}`"
            lines.append(f"| `{entry.go}` | {here} | `{entry.test}` | {entry.simplified or 'no'} | {heap} |")
    return "\n".join(lines)


def page():
    """Return the text of docs/coverage.md."""
    parts = [HEAD]
    for kind, title in KINDS.items():
        count = sum(entry.kind == kind for entry in ENTRIES)
        parts.append(f"## {title} ({count})\n\n{table(kind)}\n")
    return "\n".join(parts)


def main(argv=None):
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something does not hold")
    args = parser.parse_args(argv)
    wrong = [problem for entry in ENTRIES for problem in problems(entry)]
    text = page()
    if args.check and (not PAGE.exists() or PAGE.read_text() != text):
        wrong.append("docs/coverage.md is not current: run tools/coverage_table.py")
    if not args.check:
        PAGE.write_text(text)
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
