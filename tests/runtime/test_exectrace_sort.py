"""exectrace_sort: the order of equal elements is that of Go's slices.SortFunc; the heap is one."""

import numpy as np
import pytest
from runtime.entry import entry

from mheaplab.runtime import exectrace_sort as s
from mheaplab.runtime.exectrace_structs import CURSOR, EXECTRACE

GO = {
    3: "9bc22217",
    12: "27e9c395",
    13: "12f922f7",
    20: "cc8ec15d",
    49: "9c288429",
    50: "b70eb9c7",
    51: "66b2a253",
    100: "8ef2e7c3",
    300: "d6af59b5",
    1000: "30811ddb",
}
"""Digests of the permutations that slices.SortFunc of Go 1.27 makes of ``made_up`` times, by their number."""


@entry
def sort(t):
    """Sort the frontier."""
    s.frontier_sort(t)


@entry
def insert(t, cursor):
    """Add a thread."""
    s.frontier_insert(t, cursor)


@entry
def update(t, i):
    """Put a thread into its place."""
    s.frontier_update(t, i)


@entry
def remove(t, i):
    """Take out a thread."""
    s.frontier_remove(t, i)


class Frontier:
    """A frontier of threads with given times."""

    def __init__(self, times):
        self.t = np.zeros(1, EXECTRACE)[0]
        self.cursors = np.zeros(len(times), CURSOR)
        self.cursors["time"] = times
        self.order = np.arange(len(times))
        for name, array in (("cursors", self.cursors), ("frontier", self.order)):
            self.t[f"{name}_at"] = array.ctypes.data
            self.t[f"{name}_cap"] = self.t[f"{name}_len"] = len(array)
        self.t["n_frontier"] = len(times)

    def times(self):
        return self.cursors["time"][self.order[: self.t["n_frontier"]]]


def made_up(n, kinds, shape):
    """Return ``n`` times of at most ``kinds`` values: at random, rising, falling, rising with strays, a hill."""
    word, found = (n * 31 + kinds * 7 + shape) & 0xFFFFFFFF, []
    for i in range(n):
        word = (word * 1664525 + 1013904223) & 0xFFFFFFFF
        stray = (word >> 8) % 10 // 9 * kinds // 2
        rising = i * kinds // n
        found.append(
            ((word >> 8) % kinds, rising, (n - i) * kinds // n, rising + stray, min(i, n - i) * kinds // n)[shape]
        )
    return found


def fnv(numbers):
    """Return the FNV-1a digest of numbers of 32 bits."""
    found = 2166136261
    for number in numbers:
        found = ((found ^ number) * 16777619) & 0xFFFFFFFF
    return found


@pytest.mark.parametrize("n", [pytest.param(n, marks=[pytest.mark.slow] if n > 100 else []) for n in GO])
def test_as_go(n):
    digests = []
    for kinds in (1, 3, 20, 1000000):
        for shape in range(5):
            frontier = Frontier(made_up(n, kinds, shape))
            sort(frontier.t)
            assert (np.diff(frontier.times()) >= 0).all(), (kinds, shape)
            assert sorted(frontier.order.tolist()) == list(range(n))
            digests.append(fnv(frontier.order.tolist()))
    assert f"{fnv(digests):08x}" == GO[n]


def is_heap(times):
    return all(times[(i - 1) // 2] <= times[i] for i in range(1, len(times)))


def test_the_heap(rng):
    times = rng.integers(0, 20, 40)
    frontier = Frontier(times)
    frontier.t["n_frontier"] = 0
    for i in range(40):
        insert(frontier.t, i)
        assert is_heap(frontier.times())
    for _ in range(60):
        i = int(rng.integers(40))
        frontier.cursors["time"][frontier.order[i]] = rng.integers(0, 20)
        update(frontier.t, i)
        assert is_heap(frontier.times())
    left = sorted(frontier.times().tolist())
    while left:
        i = int(rng.integers(len(left)))
        left.remove(frontier.times()[i])
        remove(frontier.t, i)
        assert is_heap(frontier.times()) and sorted(frontier.times().tolist()) == left
