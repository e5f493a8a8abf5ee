"""The layers of the package: the contracts in pyproject.toml, and two rules that a contract cannot say.

import-linter can forbid named packages, but not all except numpy and numba; and its contract against direct
imports fails while the module it speaks of does not exist.
"""

import ast
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mheaplab"
KERNEL_MAY_IMPORT = {"numpy", "numba", "llvmlite"}


def modules(folder=PACKAGE):
    """Return the dotted names of the modules under ``folder`` with their files."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name, source, is_package=False):
    """Return the absolute dotted names that module ``name`` imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = name.split(".")
                base = parts[: len(parts) - node.level + is_package]
                origin = ".".join(base + [origin] * bool(origin))
            # "from .. import x" may name a module or an attribute: both spellings are kept.
            found |= {origin} | {f"{origin}.{alias.name}" for alias in node.names}
    return found


def module_imports(name, path):
    """Return what the module in file ``path`` imports."""
    return imports(name, path.read_text(encoding="utf-8"), path.name == "__init__.py")


def kernel_violations(name, imported):
    """Return the imports that a kernel module may not have."""
    legal = KERNEL_MAY_IMPORT | set(sys.stdlib_module_names)
    inside = {i for i in imported if i == "mheaplab.runtime" or i.startswith("mheaplab.runtime.")}
    return {i for i in imported - inside if i.split(".")[0] not in legal}


def test_contracts():
    """Every contract in pyproject.toml is kept."""
    script = shutil.which("lint-imports", path=str(pathlib.Path(sys.executable).parent))
    assert script, "lint-imports is not installed next to this Python"
    done = subprocess.run([script, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", modules(PACKAGE / "runtime"))
def test_kernel_imports(name):
    """A kernel module imports numpy, numba, llvmlite, the standard library and its neighbours."""
    assert not kernel_violations(name, module_imports(name, modules()[name]))


def test_figures_do_not_reach_into_the_kernel():
    """A figure gets results, never kernel records."""
    for name, path in modules().items():
        if name.startswith("mheaplab.figures"):
            assert not {i for i in module_imports(name, path) if i.startswith("mheaplab.runtime")}, name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import numpy as np\nfrom numba import njit\nimport os.path", set()),
        ("from . import structs\nfrom .structs import HEAP\nimport mheaplab.runtime.mheap", set()),
        ("def f():\n    import pandas", {"pandas"}),
        ("from plotly import io", {"plotly", "plotly.io"}),
        ("from ..params import HeapParams", {"mheaplab.params", "mheaplab.params.HeapParams"}),
        ("from .. import errors", {"mheaplab", "mheaplab.errors"}),
        ("import mheaplab", {"mheaplab"}),
    ],
)
def test_kernel_rule_finds(source, found):
    """The rule for the kernel sees each form of a bad import."""
    assert kernel_violations("mheaplab.runtime.mheap", imports("mheaplab.runtime.mheap", source)) == found
