"""sim_samples: every column of a sample and of a collection's row, from what the heap's own records say."""

import numpy as np
import pytest
from runtime.sims import DEBT, END, LOG2, MIB, PAGE, PHASE_NOW, SAMPLE, START, SWEEPONE, TRIGGER, Sim

from mheaplab.runtime.sim_structs import (
    CYCLE,
    HISTOGRAM,
    PHASE_MARKING,
    PHASE_SWEEPING,
    PHASE_SWEPT,
    WHY_END,
    WHY_MARK_END,
    WHY_MARK_START,
    WHY_PHASE,
    WHY_STRIDE,
    WHY_SWEEP_END,
)
from mheaplab.runtime.sim_structs import (
    SAMPLE as SAMPLE_DTYPE,
)
from mheaplab.runtime.structs import SPAN_IN_USE, SPAN_MANUAL

NATURAL = 0
NEVER = (1 << 63) - 1


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (1 << 37, 38), (1 << 38, 39), (1 << 50, HISTOGRAM - 1)],
)
def test_bins_by_powers_of_two(value, wanted):
    assert Sim().do(LOG2, value) == wanted


def busy():
    """Return a heap that has been through a collection and has everything: garbage, stacks, free and released pages."""
    heap = Sim(procs=2, background_sweep_per_ms=0.0, heap_minimum_bytes=4 * MIB)
    heap.alloc(8)
    heap.phase(7)
    small = heap.allocs(50, 1000)
    heap.allocs(9, 100, noscan=False, p=1)
    large = heap.allocs(3, 700_000)
    heap.stack(8192)
    heap.stack(65536, p=1)
    heap.die(*small[::2], large[1])
    heap.do(START, NATURAL)
    heap.allocs(3, 5000)
    heap.do(END)
    for _ in range(4):
        heap.do(SWEEPONE)
    heap.die(*small[1:9:2], large[2])
    heap.allocs(8, 3000, noscan=False)
    return heap


def spans(heap, state):
    """Return the spans of ``heap`` that are in a state."""
    rows = heap.state.tables["spans"][1 : int(heap.h.spans_len)]
    return rows[rows["state"] == state]


def in_state(heap):
    """Return the number of spans."""
    return len(spans(heap, SPAN_IN_USE)) + len(spans(heap, SPAN_MANUAL))


def slots(heap):
    """Return bytes (in allocated slots, in free slots, in no slot) of heap spans, as far as sweeping has come."""
    rows = spans(heap, SPAN_IN_USE)
    size, elems, taken = (rows[name].astype(np.int64) for name in ("elemsize", "nelems", "alloc_count"))
    pages = rows["npages"].astype(np.int64) * PAGE
    return int((taken * size).sum()), int(((elems - taken) * size).sum()), int((pages - elems * size).sum())


def expected_sample(heap, why):
    """Return what a sample of ``heap`` has to hold, by column."""
    h, sim, stats, c = heap.h, heap.sim, heap.h.stats, heap.h.controller
    taken, free_slots, tail = slots(heap)
    manual = int(spans(heap, SPAN_MANUAL)["npages"].astype(np.int64).sum()) * PAGE
    ranges = heap.state.tables["in_use"][: int(h.in_use_len)]
    mapped = int((ranges["limit"] - ranges["base_addr"]).sum())
    in_use = taken + free_slots + tail
    free = mapped - in_use - manual - int(stats.heap_released)
    pages = int(spans(heap, SPAN_IN_USE)["npages"].astype(np.int64).sum())
    return {
        "event": int(sim.events), "time_ns": float(sim.now), "why": why, "gc_phase": heap.do(PHASE_NOW),
        "phase": 7, "cycles": 1, "heap_live": int(stats.heap_live), "heap_marked": int(c.heap_marked),
        "goal": int(c.gc_percent_heap_goal), "trigger": trigger_of(heap),
        "live": int(sim.live), "garbage": taken - int(sim.live), "free_slots": free_slots, "tail": tail,
        "stacks": manual, "other_spans": 0, "free": free, "released": int(stats.heap_released), "mapped": mapped,
        "reserved": 64 * MIB - mapped, "heap_in_use": in_use, "heap_sys": mapped - manual, "heap_alloc": taken,
        "total_alloc": taken + int(stats.total_free), "objects": int(sim.live_objects),
        "spans": in_state(heap) + sum(int(p["mspancache"]["n"]) for p in h.allp[:2]), "arenas": 1,
        "pages_in_use": pages, "pages_unswept": unswept_pages(heap), "sweep_debt": heap.do(DEBT),
        "swept_spans": stats.swept_spans.tolist(), "swept_pages": stats.swept_pages.tolist(),
        "max_swept": int(sim.max_swept), "assist_ns": float(sim.assist_ns), "mark_ns": float(sim.mark_ns),
        "stall_ns": float(sim.stall_ns), "max_stall_ns": float(sim.max_stall_ns),
        "scavenged_background": 11, "scavenged_allocation": 22, "scavenged_all": 33,
    }  # fmt: skip


def trigger_of(heap):
    """Where the next collection begins, found by trying: the least heap that gcTrigger.test is content with."""
    low, high = 0, 1 << 40
    live = int(heap.h.stats.heap_live)
    while high - low > 1:
        middle = (low + high) // 2
        heap.h.stats.heap_live = middle
        low, high = (low, middle) if heap.do(TRIGGER) else (middle, high)
    heap.h.stats.heap_live = live
    return high


def unswept_pages(heap):
    """Pages of spans that wait to be swept."""
    rows = spans(heap, SPAN_IN_USE)
    waiting = rows["sweepgen"].astype(np.int64) == int(heap.h.sweepgen) - 2
    return int(rows["npages"][waiting].astype(np.int64).sum())



def test_every_column_of_a_sample():
    heap = busy()
    heap.h.stats.scavenged_background, heap.h.stats.scavenged_allocation, heap.h.stats.scavenged_all = 11, 22, 33
    heap.sim.max_swept, heap.sim.max_stall_ns = 5, 123.0
    assert heap.do(PHASE_NOW) == PHASE_SWEEPING
    wanted = expected_sample(heap, int(WHY_END))
    heap.do(SAMPLE, WHY_END)
    row = heap.samples()[-1]
    found = {name: row[name].tolist() for name in wanted}
    assert found == wanted
    # Huge pages are counted in test_mhuge.
    assert wanted.keys() | {"huge"} == set(SAMPLE_DTYPE.names)
    assert min(wanted[k] for k in ("garbage", "free_slots", "tail", "free", "released", "pages_unswept")) > 0
    # What is the most since the last sample begins anew.
    assert heap.sim.max_swept == 0 and heap.sim.max_stall_ns == 0


def test_numbers_that_mean_never():
    heap = Sim(gogc=-1)
    # The goal is what no memory limit leaves for the heap.
    row = heap.samples_now()
    assert NEVER - 16 * MIB < row["trigger"] < row["goal"] < NEVER
    heap.h.controller.heap_marked = (1 << 64) - 1
    row = heap.samples_now()
    assert row["heap_marked"] == row["trigger"] == row["goal"] == NEVER


def test_the_debt_of_sweeping():
    heap = Sim()
    c, h = heap.h.controller, heap.h
    h.sweep_drained = 0
    c.sweep_pages_per_byte, c.sweep_heap_live_basis, h.stats.heap_live = 1 / PAGE, 100 * PAGE, 110 * PAGE
    c.pages_swept_basis, h.pages_swept = 20, 24
    assert heap.do(DEBT) == 10 - 4
    h.pages_swept = 30
    assert heap.do(DEBT) == 0
    h.pages_swept = 35
    assert heap.do(DEBT) == 0
    h.pages_swept, c.sweep_pages_per_byte = 24, 0.0
    assert heap.do(DEBT) == 0
    c.sweep_pages_per_byte, h.sweep_drained = 1 / PAGE, 1
    assert heap.do(DEBT) == 0


def test_samples_come_by_stride_and_at_every_change_of_phase():
    heap = Sim(stride=10, background_sweep_per_ms=0.0)
    heap.allocs(25, 2048)
    heap.phase(3)
    heap.do(START, NATURAL)
    assert heap.do(PHASE_NOW) == PHASE_MARKING
    heap.do(END)
    heap.collect()
    heap.end()
    rows = heap.samples()
    assert rows["why"].tolist() == [
        WHY_STRIDE, WHY_STRIDE, WHY_STRIDE, WHY_PHASE, WHY_MARK_START, WHY_MARK_END, WHY_MARK_START, WHY_MARK_END,
        WHY_SWEEP_END, WHY_END,
    ]  # fmt: skip
    assert rows["event"].tolist() == [0, 10, 20, 25, 26, 26, 26, 26, 26, 27]
    swept, sweeping, marking = int(PHASE_SWEPT), int(PHASE_SWEEPING), int(PHASE_MARKING)
    assert rows["gc_phase"].tolist() == [swept] * 4 + [marking, sweeping, marking, sweeping, swept, swept]
    # The sample at the change of phase is the last of the phase that ends.
    assert rows["phase"].tolist() == [0] * 4 + [3] * 6


def test_every_column_of_a_collection():
    heap = Sim(background_sweep_per_ms=0.0, cycle_us=100.0, stack_bytes=3000, stack_used_bytes=280)
    sim, stats, c = heap.sim, heap.h.stats, heap.h.controller
    objects = heap.allocs(40, 2048, noscan=False)
    heap.stack(32768)
    heap.die(*objects[::2])
    wanted = {"cycle": 1, "forced": 2, "start_event": int(sim.events), "live_start": int(stats.heap_live)}
    wanted |= {"start_ns": float(sim.now) + 50_000}
    sim.assist_ns, sim.mark_ns = 1000.0, 2000.0
    heap.do(START, 2)
    # The goal is at least 64 KiB above the trigger, and then 1 MiB above what is live, so that sweeping has its time.
    wanted |= {"trigger": int(c.triggered), "goal": int(c.triggered) + (64 << 10)}
    heap.allocs(4, 3000)
    sim.now = 5e6
    sim.assist_ns, sim.mark_ns = 1700.0, 2900.0
    sim.mark_done = sim.mark_work
    wanted |= {"end_event": int(sim.events), "live_end": int(stats.heap_live), "reachable": int(sim.live)}
    wanted |= {"assist_ns": 700.0, "mark_ns": 900.0, "end_ns": 5e6 + 50_000}
    stats.scavenged_background, stats.scavenged_allocation, stats.scavenged_all = 1, 20, 300
    heap.do(END)
    marked = 20 * 2048 + 4 * 3072
    # 40 objects with pointers lived but for 20 when marking began, and three quarters of each are scanned.
    wanted |= {"marked": marked, "scanned": 20 * 2048 * 3 // 4, "stack_scanned": 3000 + 280, "globals_scanned": 234_000}
    wanted |= {"next_goal": marked + MIB, "next_trigger": trigger_of(heap), "runway": int(c.runway)}
    wanted |= {"cons_mark": float(c.cons_mark), "pages": 13}
    sampled = heap.samples()[-1]
    wanted |= {"heap_in_use": 13 * PAGE, "heap_sys": int(sampled["mapped"]) - 32768}
    before = stats.swept_spans.copy(), stats.swept_pages.copy()
    # The mcaches' spans were swept when they went back, after marking: that belongs to this collection.
    assert before[0].sum() == 2
    stats.scavenged_background, stats.scavenged_allocation, stats.scavenged_all = 4096, 8192, 1 << 20
    sim.now = 9e6
    heap.collect()
    row = heap.cycles()[0]
    assert heap.cycles()["cycle"].tolist() == [1, 2]
    wanted |= {"swept_event": -1, "swept_ns": 0.0, "scavenged": 4096 + 8192 + (1 << 20) - 321}
    wanted |= {"swept_spans": [0, 0, 0, 0, 9, 2, 0, 0], "swept_pages": [0, 0, 0, 0, 9, 4, 0, 0]}
    assert {name: row[name].tolist() for name in wanted} == wanted
    assert wanted.keys() == set(CYCLE.names)


def test_the_last_collection_gets_what_its_sweeping_did_until_the_run_ends():
    heap = Sim(background_sweep_per_ms=0.0)
    heap.allocs(20, 2048)
    heap.do(START, NATURAL)
    heap.do(END)
    heap.do(SWEEPONE)
    heap.end()
    row = heap.cycles()[0]
    assert row["swept_spans"].tolist() == [1, 0, 0, 0, 0, 1, 0, 0] and row["swept_event"] == -1
    heap = Sim()
    heap.alloc(16)
    heap.end()
    assert len(heap.cycles()) == 0 and heap.samples()["why"].tolist()[-1] == WHY_END


def test_when_the_last_span_is_swept_the_row_says_so():
    heap = Sim()
    heap.allocs(20, 2048)
    heap.collect()
    row = heap.cycles()[0]
    assert (int(row["swept_event"]), float(row["swept_ns"])) == (20, float(heap.sim.now))
    assert heap.samples()["why"].tolist()[-1] == WHY_SWEEP_END
