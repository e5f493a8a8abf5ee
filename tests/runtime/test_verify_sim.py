"""verify_sim: every invariant of a run fails when the one thing it speaks of is broken, and only then."""

import re
from pathlib import Path

import numpy as np
import pytest
from runtime.entry import entry
from runtime.sims import END, START, Sim

from mheaplab.runtime import verify_sim as module
from mheaplab.runtime.verify_lists import Violation
from mheaplab.runtime.verify_sim import SIM_INVARIANTS, _verify_mapped, verify_sim

NATURAL = 0
SLOT = 2048
CLASS_BIT = 1 << 48


class Running(Sim):
    """A heap in the middle of a run: something of everything lives, something of it is dead."""

    def __init__(self, swept):
        super().__init__(procs=2, background_sweep_per_ms=0.0)
        self.tiny = self.alloc(8)
        self.alloc(8)
        self.alloc(8, p=1)
        self.filled = self.address(self.alloc(8))
        self.objects = self.allocs(40, SLOT)
        self.pointers = self.allocs(5, 100, noscan=False)
        self.large = self.alloc(50_000, noscan=False)
        self.goroutine = self.stack(4096)
        self.unstack(self.stack(65536), 65536)
        self.die(*self.objects[::3], self.pointers[0])
        self.do(START, NATURAL)
        self.die(self.objects[1], self.objects[2])
        self.do(END)
        if swept:
            self.collect()
        self.die(self.objects[4], self.objects[5])

    def check(self):
        with np.errstate(all="ignore"):
            verify_sim(self.h)

    def entry(self, number):
        return int(self.state.tables["objects"][number])

    def set_entry(self, number, value):
        self.state.tables["objects"][number] = value


def _add(name, amount=1):
    def corrupt(heap):
        heap.sim[name] += amount

    return corrupt


def _another_class(heap):
    heap.set_entry(heap.objects[7], heap.entry(heap.objects[7]) ^ CLASS_BIT)


def _free_slot(heap):
    # The object after this one was dead, and its span is swept.
    heap.set_entry(heap.objects[38], heap.entry(heap.objects[38]) + SLOT)


def _no_stack(heap):
    heap.set_entry(heap.goroutine, heap.entry(heap.goroutine) + heap.address(heap.large) - heap.address(heap.goroutine))


def _tiny_count(amount, block):
    def corrupt(heap):
        span = heap.span_of(heap.address(heap.tiny))
        at = (heap.address(heap.tiny) - int(span["start_addr"])) // 16 + block
        counts = heap.state.tables["tiny_counts"][int(span["tiny"])]["count"]
        counts[at] = int(counts[at]) + amount

    return corrupt


def _dead_twice(heap):
    deaths = heap.state.tables["deaths"]
    deaths[int(heap.h.deaths_len)] = deaths[0]
    heap.h.deaths_len += 1


def _dead_nowhere(heap):
    heap.state.tables["deaths"][0] += 1 << 40


def _dead_forgotten(heap):
    heap.h.deaths_len -= 1


def _slots(heap):
    heap.h.stats.slot_bytes += 8


CORRUPTIONS = {
    # name: corruptions, and whether each is found in a heap in which sweeping goes on, and in one that is swept
    "R1": [(_another_class, "both"), (_free_slot, "both"), (_no_stack, "both")],
    "R2": [
        (_add("live", 16), "both"),
        (_add("live", -SLOT), "both"),
        (_add("live_scan", 8), "both"),
        (_add("live_objects"), "both"),
        (_add("stack_live", 2048), "both"),
        (_add("stack_count"), "both"),
    ],
    "R3": [(_tiny_count(1, 0), "both"), (_tiny_count(-1, 0), "both"), (_tiny_count(1, 100), "both")],
    "R4": [(_add("slots_taken", 16), "both"), (_slots, "both")],
    "R5": [(_dead_nowhere, "both")],
    "R7": [(_dead_twice, "swept"), (_dead_forgotten, "swept")],
}
CASES = [
    pytest.param(which, corrupt, swept, id=f"{which}-{k}-{'swept' if swept else 'sweeping'}")
    for which, corruptions in CORRUPTIONS.items()
    for k, (corrupt, when) in enumerate(corruptions)
    for swept in ((False, True) if when == "both" else (True,))
]


@pytest.mark.parametrize("swept", [False, True])
def test_a_run_passes(swept):
    heap = Running(swept)
    assert heap.h.sweep_drained == swept and len(heap.deaths()) == (2 if swept else 4)
    assert heap.sim.live_scan and heap.sim.stack_live and heap.h.allp[0].mcache.tiny == 0
    heap.check()
    heap.alloc(8)
    heap.check()


@pytest.mark.parametrize("which, corrupt, swept", CASES)
def test_corruption_is_found(which, corrupt, swept):
    heap = Running(swept)
    corrupt(heap)
    with pytest.raises(Violation) as found:
        heap.check()
    assert found.value.args[0] == which, found.value.args


def test_more_dead_than_there_is():
    """While sweeping goes on garbage may lie about; but no object waits twice."""
    heap = Running(swept=False)
    while True:
        _dead_twice(heap)
        waiting = sum(int(heap.span_of(a)["elemsize"]) for a, _ in heap.deaths())
        if heap.sim.live + waiting > heap.sim.slots_taken - heap.h.stats.total_free:
            break
        heap.check()
    with pytest.raises(Violation, match="R7"):
        heap.check()


@entry
def drive_verify_mapped(h):
    """R6 alone: what the checks before it say leaves nothing that it could find."""
    _verify_mapped(h)


@pytest.mark.parametrize(
    ("record", "name", "amount"),
    [
        ("stats", "in_stacks", 8192),
        ("stats", "heap_free", -8192),
        ("stats", "ready", 8192),
        ("stats", "in_work_bufs", 8192),
        ("sim", "live", 1 << 30),
        ("sim", "slots_taken", 1 << 30),
        ("stats", "slot_bytes", 1 << 30),
    ],
)
def test_every_byte_is_in_one_account(record, name, amount):
    heap = Running(swept=False)
    drive_verify_mapped(heap.h)
    heap.h[record][name] += amount
    with pytest.raises(Violation, match="R6"):
        drive_verify_mapped(heap.h)


def test_every_invariant_is_broken_here():
    source = Path(module.__file__).read_text()
    checked = set(re.findall(r'raise Violation\("(\w+)"', source))
    assert checked == SIM_INVARIANTS.keys() == CORRUPTIONS.keys() | {"R6"}
