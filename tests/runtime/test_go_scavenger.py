"""Go's own background scavenger as oracle: how long that of Go 1.19 slept after made-up work, exactly.

``data/go/scavenger-go1.19.npz`` holds the turns of the real scavenger's loop in several scenarios (recorded by
``tools/scavenger_go``, whose ``record_scavenger.py`` names the columns): steady work on 1 to 16 Ps, bursts, long work,
a clock that is too coarse, sleeps that last longer than asked, a controller that fails and cools down, nothing to do,
and anything.  Here ``scavenger_wake`` takes the same turns in a heap that has as much to give back, at the same speed.
Everything must be equal to the bit: bytes given back, work, sleep, ratio, the controller's integral, and the cooldown.
"""

import pathlib

import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.sims import FREE_MANUAL, MANUAL, PAGE, READY, SCAVENGER_WAKE, Sim

NEVER = (1 << 64) - 1
QUANTUM = 64 << 10
with np.load(pathlib.Path(__file__).parents[2] / "data/go/scavenger-go1.19.npz") as archive:
    GO = {name: archive[name] for name in archive.files}
SCENARIOS = GO["scenario.names"].tolist()
STARTS = np.concatenate([[0], np.cumsum(GO["scenario.steps"])]).tolist()
MOST = None if COMPILED else 20
"""Turns of a scenario that are taken."""


def turns(name):
    """Return the recorded turns of a scenario, as dicts."""
    k = SCENARIOS.index(name)
    names = [key for key in GO if key.startswith("step.")]
    rows = zip(*(GO[key][STARTS[k] : STARTS[k + 1]].tolist() for key in names), strict=True)
    return [dict(zip((key.removeprefix("step.") for key in names), row, strict=True)) for row in rows][:MOST]


class Scavenger(Sim):
    """A heap of which only the background scavenger runs."""

    def __init__(self):
        super().__init__(huge_page_bytes=0, page_cache_pages=0)
        self.do(FREE_MANUAL, self.do(MANUAL, 1))
        self.h.controller.scavenge_memory_limit_goal = NEVER

    def give(self, nbytes):
        """Let exactly ``nbytes`` be free and backed by memory."""
        self.h.controller.scavenge_gc_percent_goal = 0
        self.sim.params.scavenge_kib_ns = 0.0
        while self.h.stats.heap_free:
            self.do(SCAVENGER_WAKE)
        if nbytes:
            self.do(FREE_MANUAL, self.do(MANUAL, nbytes // PAGE))
        assert self.h.stats.heap_free == nbytes

    def turn(self, given, procs):
        """Take one turn, with what a recorded turn was given, after a sleep on ``procs`` Ps; return bytes released."""
        saved = self.sim.scavenger.copy()
        self.give(given["available"])
        self.h.sim.scavenger = saved
        self.sim.params.procs = procs
        self.sim.params.scavenge_kib_ns = given["quantum_ns"] / 64
        retained = int(self.h.stats.heap_in_use + self.h.stats.heap_free)
        self.h.controller.scavenge_gc_percent_goal = max(retained - given["stop"], 0) if given["stop"] else 0
        if self.sim.scavenger.parked:
            self.do(READY)
        before = int(self.h.stats.scavenged_background)
        self.sim.now = float(self.sim.scavenger.wake)
        self.do(SCAVENGER_WAKE)
        return int(self.h.stats.scavenged_background) - before


def expected(turn):
    """Return (released, work, sleep asked for) of a recorded turn; the work as the scavenger counts it."""
    worked = turn["worked"] or turn["released"] // 4096 * 10_000
    return turn["released"], max(worked, 10**6), turn["asked"]


def test_the_recording_is_of_go119_and_has_every_kind_of_turn():
    assert str(GO["go"]) == "go1.19" and len(SCENARIOS) == 10 and STARTS[-1] == len(GO["step.procs"]) > 600
    assert (GO["step.cooldown"] > 0).sum() > 10 and (GO["step.asked"] == 0).sum() > 5
    assert len(np.unique(GO["step.ratio"])) > 300


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scavenger_sleeps_as_go_does(name):
    scavenger = Scavenger()
    s = scavenger.sim.scavenger
    before = {"procs": 1, "ratio": 0.001, "err_integral": 0.0, "cooldown": 0}
    for k, turn in enumerate(turns(name)):
        released = scavenger.turn(turn, before["procs"])
        # The controller has been asked about the last sleep by now.
        pace = (float(s.sleep_ratio), float(s.err_integral), float(s.cooldown))
        assert pace == (before["ratio"], before["err_integral"], before["cooldown"]), f"turn {k}"
        if turn["released"] == 0:
            assert released == turn["asked"] == 0 and s.parked and np.isinf(s.wake), f"turn {k}"
        else:
            assert not s.parked and s.wake == scavenger.sim.now + s.worked + s.slept
            assert (released, float(s.worked), float(s.slept)) == expected(turn), f"turn {k}"
            s.slept = turn["slept"]
        before = turn
