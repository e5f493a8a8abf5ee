"""A changed kernel source never runs stale code; starting warm is quick, starting cold bearable."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

from mheaplab.runtime import _jit

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
import numpy as np
from mheaplab.runtime._jit import CACHE_DIR, kentry
from mheaplab.runtime.mksizeclasses import make_classes
from mheaplab.runtime.mpallocbits import low_mask
@kentry
def probe(n):
    return low_mask(n)
print(int(probe(np.int64(3))), CACHE_DIR.name)
"""


def test_stamp_sees_every_source(tmp_path):
    here = Path(_jit.__file__).parent
    copy = tmp_path / "runtime"
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = _jit.source_stamp(copy)
    assert before == _jit.source_stamp(here)
    for name in ("structs.py", "mpagealloc.py", "malloc.py"):
        with open(copy / name, "a") as source:
            source.write("\n# changed\n")
        after = _jit.source_stamp(copy)
        assert after != before
        before = after


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled in plain Python mode")
def test_an_edited_callee_is_compiled_again(tmp_path):
    root = tmp_path / "src"
    shutil.copytree(Path(_jit.__file__).parents[1], root / "mheaplab", ignore=shutil.ignore_patterns("__pycache__"))
    script = tmp_path / "probe.py"
    script.write_text(PROGRAM.format(root=str(root)))
    env = dict(os.environ, MHEAPLAB_CACHE_DIR=str(tmp_path / "cache"))

    def run():
        command = [sys.executable, script]
        return subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout.split()

    first = run()
    assert first[0] == "7" and run() == first
    leaf = root / "mheaplab" / "runtime" / "mpallocbits.py"
    text = leaf.read_text()
    assert "return FULL if n >= 64" in text
    leaf.write_text(text.replace("return FULL if n >= 64", "return U1 if n >= 0"))
    changed = run()
    assert changed[0] == "1" and changed[1] != first[1]


def test_only_a_few_old_caches_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MHEAPLAB_CACHE_DIR", str(tmp_path))
    for k in range(_jit.KEEP + 5):
        folder = tmp_path / f"kernel-{k:016x}"
        folder.mkdir()
        os.utime(folder, (k, k))
    kept = _jit._open_cache()
    assert kept.exists() and len(list(tmp_path.iterdir())) == _jit.KEEP


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled in plain Python mode")
def test_inner_functions_are_not_emitted_by_themselves():
    from mheaplab.runtime import _inner

    @_jit.kjit
    def leaf(n):
        return n + 1

    @_jit.kentry
    def top(n):
        return leaf(n) * 2

    assert top(3) == 8
    libraries = [inner.library for inner in leaf.overloads.values()]
    assert libraries and all(isinstance(library, _inner.InnerLibrary) for library in libraries)
    entry = next(iter(top.overloads.values())).library
    assert not isinstance(entry, _inner.InnerLibrary)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled in plain Python mode")
def test_an_exception_from_an_inner_function_brings_its_numbers():
    from mheaplab.runtime.mpagealloc import Throw

    @_jit.kjit
    def leaf(n):
        if n > 2:
            raise Throw("too much", n, 2 * n)
        return n

    @_jit.kjit
    def middle(n):
        return leaf(n) + 1

    @_jit.kentry
    def first(n):
        return middle(n)

    @_jit.kentry
    def second(n):
        return middle(n) + 1

    for top in (first, second):
        with pytest.raises(Throw) as caught:
            top(5)
        assert caught.value.args == ("too much", 5, 10)
