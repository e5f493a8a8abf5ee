"""mfixalloc: span records, taken from the free list first and from the end of their table."""

import numpy as np
import pytest
from runtime.entry import entry, new_state

from mheaplab.runtime.mfixalloc import spanalloc_alloc, spanalloc_free
from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.state import HeapState


@entry
def drive_records(h, ops, answers):
    """Free the record of each positive number, and take one for each 0."""
    for k in range(len(ops)):
        if ops[k] == 0:
            answers[k] = spanalloc_alloc(h)
        else:
            spanalloc_free(h, ops[k])


def drive(state, *ops):
    """Run ``ops``; return the records taken."""
    answers = np.zeros(len(ops), np.int64)
    drive_records(state.h, np.array(ops, np.int64), answers)
    return [a for a, op in zip(answers.tolist(), ops, strict=True) if op == 0]


TAKE = 0
# records taken (0) and freed, and those handed out
SEQUENCES = [
    pytest.param([TAKE] * 3, [1, 2, 3], id="from the table's end; 0 is nil"),
    pytest.param([TAKE, TAKE, 1, TAKE, TAKE], [1, 2, 1, 3], id="a freed one first"),
    pytest.param([TAKE, TAKE, TAKE, 1, 3, 2, TAKE, TAKE, TAKE, TAKE], [1, 2, 3, 2, 3, 1, 4], id="the last freed first"),
]


@pytest.mark.parametrize("ops, taken", SEQUENCES)
def test_records(ops, taken):
    state = new_state()
    assert drive(state, *ops) == taken
    in_use = ops.count(TAKE) - sum(op != TAKE for op in ops)
    assert int(state.h.spans_in_use) == in_use
    assert int(state.h.spans_len) == max(taken) + 1
    assert not state.tables["spans"]["on_free_list"].any() or in_use < max(taken)


def test_free_list_is_marked():
    state = new_state()
    drive(state, 0, 0, 0, 2, 1)
    assert state.tables["spans"]["on_free_list"][:5].tolist() == [0, 1, 1, 0, 0]
    drive(state, 0)
    assert state.tables["spans"]["on_free_list"][:5].tolist() == [0, 0, 1, 0, 0]


def test_out_of_records():
    state = HeapState(new_state().h.params, {"spans": 3})
    assert drive(state, 0, 0) == [1, 2]
    with pytest.raises(Throw, match="runtime: out of span records"):
        drive(state, 0)
    state.grow()
    assert drive(state, 0) == [3]
