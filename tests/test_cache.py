"""A changed kernel source never runs stale code; starting warm is quick, starting cold bearable."""

import io
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import config

from mheaplab.runtime import _jit, _once

PROGRAM = """
import sys
import time
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


TOGETHER = """
import sys, time
from pathlib import Path
import numpy as np
from mheaplab.runtime._jit import kentry
from mheaplab.runtime.mpallocbits import low_mask
@kentry
def probe(n):
    return low_mask(n)
here = Path(sys.argv[1])
(here / f"ready-{sys.argv[2]}").touch()
while len(list(here.glob("ready-*"))) < 3:
    time.sleep(0.001)
print(int(probe(np.int64(3))), sum(probe.stats.cache_misses.values()), sum(probe.stats.cache_hits.values()))
"""


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled in plain Python mode")
@pytest.mark.skipif(_once.fcntl is None, reason="no flock here")
def test_of_processes_that_start_together_one_compiles(tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    env = dict(os.environ, MHEAPLAB_CACHE_DIR=str(tmp_path / "cache"), PYTHONPATH=str(Path(_jit.__file__).parents[2]))
    started = [
        subprocess.Popen([sys.executable, script, tmp_path, str(k)], stdout=subprocess.PIPE, text=True, env=env)
        for k in range(3)
    ]
    said = sorted(tuple(process.communicate(timeout=300)[0].split()) for process in started)
    assert said == [("7", "0", "1"), ("7", "0", "1"), ("7", "1", "0")]


class _Kernel(io.StringIO):
    """A notebook's stream."""


_Kernel.__module__ = "ipykernel.iostream"


@pytest.mark.parametrize(("stream", "words"), [(_Kernel(), f"{_once.WORDS}\n"), (io.StringIO(), "")])
def test_compiling_is_announced_where_somebody_looks(stream, words, monkeypatch):
    monkeypatch.setattr(_once, "PATIENCE", 0.0)
    monkeypatch.setattr(sys, "stderr", stream)
    with _once.announced():
        for _ in range(200):
            if stream.getvalue():
                break
            time.sleep(0.001)
    assert stream.getvalue() == words


def test_a_lock_that_cannot_be_had_keeps_nobody_from_compiling(tmp_path):
    with _once.locked(tmp_path / "no such folder" / "x.lock"):
        pass
    with _once.locked(tmp_path / "x.lock"):
        assert (tmp_path / "x.lock").is_file() or _once.fcntl is None


class _Dispatcher:
    """Compiles another entry point while it compiles."""

    def __init__(self, inner=None):
        self.inner, self.compiled = inner, []

    def compile(self, signature):
        """Compile."""
        if self.inner is not None:
            self.inner.compile(signature)
        if signature == "bad":
            raise TypeError(signature)
        self.compiled.append(signature)
        return "entry"


def test_an_entry_point_within_another_waits_for_no_second_lock(tmp_path):
    inner = _Dispatcher()
    outer = _Dispatcher(inner)
    _once.compile_once(inner, tmp_path / "same.lock")
    _once.compile_once(outer, tmp_path / "same.lock")
    assert outer.compile("i8") == "entry" and inner.compiled == outer.compiled == ["i8"]
    with pytest.raises(TypeError, match="bad"):
        outer.compile("bad")
    assert inner.compile("i4") == "entry"


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled in plain Python mode")
@pytest.mark.skipif(not _jit.BOUNDSCHECK, reason="switched off by MHEAPLAB_BOUNDSCHECK=0")
def test_every_index_is_checked():
    @_jit.kjit
    def leaf(words, k):
        return words[k]

    @_jit.kentry
    def entry(words, k):
        return leaf(words, k)

    assert entry(np.arange(3), 2) == 2
    with pytest.raises(IndexError):
        entry(np.arange(3), 3)
