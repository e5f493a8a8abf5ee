"""What the text of notebook 07 says of its study is so."""

import ast

import numpy as np
import pytest
from test_notebook_numbers import text_of
from test_notebooks import FOLDER, code

import mheaplab as mh
from mheaplab.figures.sensitivity import effects

NAME = "07_studies.ipynb"
pytestmark = pytest.mark.slow


def assigned(name):
    """Return the value that a cell of the notebook gives a name, where it is plain."""
    for node in ast.walk(ast.parse("\n".join(c.source for c in code(FOLDER / NAME)))):
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def test_studies_are_as_the_text_says(tmp_path):
    text, traces, space = text_of(NAME), assigned("traces"), assigned("space")
    study = mh.studies.grid(traces, space, out=tmp_path / "s", scale=0.25, threads=True, workers=2)
    assert len(study) == 72 and not study.failures and "36 sets of parameters, so 72 runs" in text
    larger = space | {"gogc": [25, 50, 75, 100, 150, 200, 400, "off"]}
    assert (
        len(mh.studies.Plan(traces, scale=0.25).runs(mh.studies.grid_sets(larger))) == 72 + 24 and "so 24 runs" in text
    )
    front = mh.figures.numbers(mh.figures.pareto(study, "mean_backed", "gc_share", by="gogc"))
    wide = [
        t for t, g, f in zip(front["size_classes"], front["gogc"], front["front"], strict=True) if f and not 0 < g < 100
    ]
    assert len(wide) >= 4 and set(wide) == {"go"}
    assert "the sets on the front at GOGC 100 and above all have Go's own table" in text
    memory = study.column("mean_backed")
    for trace in traces:
        for gogc in set(study.column("gogc")):
            rows = (study.column("trace") == trace) & (study.column("gogc") == gogc)
            table = study.column("size_classes")
            assert memory[rows & (table == "pow2")].min() > memory[rows & (table != "pow2")].max()
    assert "with powers of two, both programs need more memory at every GOGC" in text
    shares = effects(study, assigned("shown"))
    arena = dict(zip(assigned("shown"), shares["arena_bytes"], strict=True))
    assert np.allclose(list(arena.values()), 0) and "The size of arenas decides nothing" in text
    assert np.median(shares["gogc"]) > 0.85 and "GOGC decides nearly everything here" in text
