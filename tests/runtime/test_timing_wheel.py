"""timing_wheel: nothing early, nothing later than its precision, in order; whatever the distance."""

import numpy as np
import pytest
from runtime.entry import entry
from runtime.test_chunk_lists import new_generator

from mheaplab.runtime.chunk_lists import list_pop
from mheaplab.runtime.generate_structs import WHEEL_LEVELS, WHEEL_SLOTS, bind
from mheaplab.runtime.timing_wheel import wheel_level, wheel_put, wheel_take


@entry
def drive_wheel(g, puts, until, out):
    """Put each (entry, due) of ``puts``, then turn to ``until``; write (entry, tick) in order and return how many."""
    for i in range(puts.shape[0]):
        wheel_put(g, np.uint64(puts[i, 0]), puts[i, 1])
    n = 0
    while True:
        head = wheel_take(g, until)
        if head == 0:
            return n
        while head != 0:
            head, entry_word = list_pop(g, head)
            out[n, 0] = np.int64(entry_word)
            out[n, 1] = g.tick + 1
            n += 1


@entry
def drive_level(deltas, out):
    """Write the level of each of ``deltas``."""
    for i in range(deltas.shape[0]):
        out[i] = wheel_level(deltas[i])


def turn(puts, until, start=0):
    """Return [(entry, tick)] of ``puts`` on a wheel that stands at tick ``start``, ticks of one byte."""
    g, words = new_generator(2 + len(puts))
    wheel = np.zeros(WHEEL_LEVELS * WHEEL_SLOTS, np.int64)
    bind(g, "wheel", wheel)
    g["tick"] = start
    out = np.zeros((len(puts), 2), np.int64)
    n = drive_wheel(g, np.array(puts, np.int64), until, out)
    assert g["tick"] == until and len(words)
    return [tuple(row) for row in out[:n].tolist()]


def test_levels_reach_their_distance():
    edges = [(WHEEL_SLOTS - 1) << (3 * level) for level in range(WHEEL_LEVELS)]
    deltas = np.array([1, *(d for e in edges for d in (e, e + 1))][:-1], np.int64)
    out = np.zeros(len(deltas), np.int64)
    drive_level(deltas, out)
    assert out.tolist() == [0, *(x for level in range(WHEEL_LEVELS) for x in (level, level + 1))][:-1]


def test_order_at_one_tick():
    """Finer levels first, then the last put in first."""
    assert turn([(1, 5), (2, 5), (3, 4), (4, 0)], 6) == [(4, 1), (3, 4), (2, 5), (1, 5)]
    # 2048 ahead is level 1; put in later, the same tick is near, but here both are put at the start.
    assert turn([(1, 2048), (2, 2047), (3, 2041)], 2048) == [(3, 2041), (2, 2047), (1, 2048)]


@pytest.mark.parametrize("start", [0, 1, 2047, 4095, 16383])
def test_never_early_and_never_late(rng, start):
    ahead = np.unique(np.concatenate([np.arange(1, 40), 2 ** rng.uniform(0, 14.5, 120)]).astype(np.int64))
    puts = [(i + 1, start + int(d)) for i, d in enumerate(ahead)]
    found = turn(puts, start + 24_000, start)
    assert sorted(entry for entry, _ in found) == [entry for entry, _ in puts]
    for number, tick in found:
        due = puts[number - 1][1]
        assert due <= tick <= due + (due - start) * 8 // WHEEL_SLOTS + 1
    assert [tick for _, tick in found] == sorted(tick for _, tick in found)


def test_what_is_not_due_stays():
    assert turn([(1, 100), (2, 101)], 100) == [(1, 100)]
