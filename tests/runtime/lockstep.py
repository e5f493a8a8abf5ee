"""A run of the twin's own, written down as a recording would have it, and replayed by the kernel that Go's runs prove.

``Lockstep`` drives two heaps.  The first runs a program by itself, an event at a time with a sample before each, so
that samples and counters tell in which order it swept, scavenged and collected, and how much.  The second gets that as
the events of a recorded case: sweeps by credit with their allocation, all others one by one, collections with their
dead objects.  What it answers must be what the first heap did, address by address, and so must all accounts.

Who is dead is not asked of the first heap: a naive model of the rules says it.  A collection frees what was dead when
it began to mark or, if the parameters have it so, what is dead when that ends and was not born meanwhile.  Tiny objects
die with the last of their block, and a block that an mcache fills when marking begins stays.
"""

import numpy as np

from mheaplab.case_writer import CaseWriter
from mheaplab.runtime import sim_structs as sims
from mheaplab.runtime.sim_objects import ADDR_MASK
from mheaplab.runtime.simulate import run_trace, sim_init
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import (
    GC_START,
    MALLOC,
    STACK_ALLOC,
    STACK_FREE,
    SWEEPONE,
)
from mheaplab.runtime.trace_events import ALLOC, DEATH, FORCED_GC
from mheaplab.runtime.trace_events import STACK_ALLOC as PROGRAM_STACK_ALLOC
from mheaplab.runtime.trace_events import STACK_FREE as PROGRAM_STACK_FREE

ROOM = {"spans": 1 << 12, "gc_bits": 1 << 18, "heap_arenas": 16, "objects": 1 << 10, "deaths": 1 << 10}
ROOM |= {"samples": 64, "cycles": 8, "tiny_counts": 64, "span_log": 64}
BACKGROUND, START, FORCE = 2, 3, 4
"""Who called sweepone, as a recording's flags have it."""
TINY = 16
SCALARS = (
    "sweepgen pages_in_use pages_swept reclaim_index reclaim_credit sweep_arenas central_index sweep_drained"
    " heap_marked search_addr heap_arenas_len spans_len gcphase bits_words allspans n_hints cur_arena_base"
).split()
"""Fields of the heap that must agree after every event."""
APART = ("scavenged_background", "scavenged_allocation", "scavenged_all")
"""Statistics that a replay does not tell apart."""
OF_TRACE = ("tiny", "event", "seen")
"""Fields of a span that are not Go's."""


def new_heaps(params):
    """Return two empty heaps: one that runs by itself, sampling at every event, and one for a replay."""
    sim = HeapState(params.to_record(), ROOM, params.occupied)
    sim.h.log_spans = 1
    sim.h.sim.params = params.sim_record()
    sim.h.controller.params = params.pacer_record()
    with np.errstate(all="ignore"):
        sim_init(sim.h, np.int64(params.memory_limit), np.int64(1))
    return sim, HeapState(params.to_record(), ROOM, params.occupied)


class Reachable:
    """Which slots the program can reach, and which a collection frees: naive, by address.

    Parameters
    ----------
    keeps_dying : bool
        Whether a collection keeps what dies while it marks, or of that only what is black.
    """

    def __init__(self, keeps_dying):
        self.keeps_dying = keeps_dying
        self.slots = {}  # address -> [objects in it that live, event that took it]
        self.slot_of = {}  # number of an object -> address of its slot
        self.doomed, self.black, self.marking = [], set(), False

    def born(self, number, address, nbytes, noscan, event):
        """An object was allocated."""
        tiny = noscan and nbytes < TINY
        slot = address & -TINY if tiny else address
        if slot not in self.slots:
            assert slot == address, "an object begins inside a slot that is not there"
            self.slots[slot] = [0, event]
            if self.marking:
                self.black.add(slot)
        else:
            assert tiny and self.slots[slot][0] < TINY, "a slot was handed out twice"
        self.slots[slot][0] += 1
        self.slot_of[number] = slot

    def dies(self, number):
        """An object can no longer be reached."""
        self.slots[self.slot_of.pop(number)][0] -= 1

    def dead(self):
        """Return the slots in which nothing lives."""
        return [slot for slot, (count, _) in self.slots.items() if count == 0]

    def marking_begins(self, blocks):
        """Note what this collection frees: what is dead, but for the tiny ``blocks`` that mcaches fill."""
        self.marking, self.black = True, set(blocks)
        self.doomed = [slot for slot in self.dead() if slot not in self.black]

    def marking_ends(self):
        """Return the events that allocated what is freed, and forget it."""
        self.marking = False
        if not self.keeps_dying:
            self.doomed = [slot for slot in self.dead() if slot not in self.black]
        return sorted(self.slots.pop(slot)[1] for slot in self.doomed)


class Lockstep:
    """A program that one heap runs by itself and another repeats.

    Attributes
    ----------
    h : numpy.record
        The heap that decides by itself.
    go : Replayed
        The heap that gets its decisions.
    collections, kept : int
        Collections, and slots that one of them kept although their objects were dead.
    addresses : list of (int, int)
        Event of the replay and address, of every object and stack.
    rows : list of numpy.ndarray
        The span log of the first heap.
    """

    def __init__(self, params):
        self.params = params
        self.sim, go = new_heaps(params)
        self.go = CaseWriter(go)
        self.h = self.sim.h
        self.reachable = Reachable(params.keeps_dying)
        self.births = {}  # number -> event of the replay
        self.addresses, self.rows = [], []
        self.collections = self.kept = 0
        self._now = self._state()
        self._tell_goal()

    # ------------------------------------------------------------------------------------------------ the program

    def run(self, events):
        """Run a program, columns of ``TraceEvents``."""
        rows = zip(*(column.tolist() for column in events[:5]), strict=True)
        for i, (kind, p, nbytes, noscan, number) in enumerate(rows):
            self.p = p % self.params.procs
            self.kind = kind
            self.todo = (nbytes, noscan != 0, number)
            self.before_event = True
            self.blocks = self._tiny_blocks()
            self.paced = self._pace() != 0
            self.given_back = int(self.h.stats.scavenged_all)
            self._run_one(events, i)
            self._follow()
            self._agree(f"event {i}")
        self._same_spans()

    def _run_one(self, events, i):
        with np.errstate(all="ignore"):
            while run_trace(self.h, events, i, i + 1) == i:
                self.rows.append(self.sim.take_rows())
                self.sim.take_rows("cycles", keep=min(1, int(self.h.cycles_len)))
                self.sim.grow(int(self.h.need_arenas))

    def _pace(self):
        """Pages to sweep for a byte; 0 once an allocation has found that nothing is left."""
        return float(self.h.controller.sweep_pages_per_byte)

    def _tiny_blocks(self):
        """The blocks that mcaches fill."""
        blocks = [int(self.h.allp[p]["mcache"]["tiny"]) for p in range(self.params.procs)]
        return [b for b in blocks if b]

    def _state(self, row=None):
        """What there is to follow, now or where sample ``row`` was taken: spans swept by whom, all swept, scavenged."""
        if row is None:
            stats = self.h.stats
            return stats.swept_spans.copy(), int(self.h.sweep_drained), int(stats.scavenged_background)
        # While the collector marks, all is swept.
        drained = row["gc_phase"] != sims.PHASE_SWEEPING
        return row["swept_spans"].copy(), int(drained), int(row["scavenged_background"])

    # ------------------------------------------------------------------------------------------------ the replay

    def _follow(self):
        """Let the other heap do what the first has done for one event, sample by sample."""
        limited = int(self.h.sim.limited)
        assert self.go.state.h.sim.limited == limited or self.kind != ALLOC, "not known when the limiter changed"
        self.go.state.h.sim.limited = limited
        for row in self.sim.take_rows("samples"):
            after, why = self._state(row), int(row["why"])
            self._step(after, why)
            if why == sims.WHY_STRIDE:
                self.before_event = False
            elif why == sims.WHY_MARK_START:
                self.go.apply(GC_START, p=self.p)
                self.reachable.marking_begins(self.blocks)
            elif why == sims.WHY_MARK_END:
                self._collect()
            self._now = after
        after = self._state()
        self._step(after, None)
        self._now = after
        self.go.scavenge_all(int(self.h.stats.scavenged_all) - self.given_back, self.p)

    def _step(self, after, why):
        """What happened until ``after``, where a sample for ``why`` was taken (None: the event is over)."""
        swept = after[0] - self._now[0]
        drained = after[1] - self._now[1] == 1
        if self.before_event:
            by_other = why == sims.WHY_MARK_START
            self._sweep(int(swept[sims.SWEPT_IN_BACKGROUND]) + (drained and not by_other), BACKGROUND)
            self.go.scavenge(after[2] - self._now[2], self.p)
        elif self.kind == FORCED_GC:
            self._sweep(int(swept[sims.SWEPT_BY_FORCE]) + (why == sims.WHY_SWEEP_END), FORCE)
        elif self.todo is not None and why != sims.WHY_MARK_END:
            # A sweepone that finds nothing makes the sweep end, and that is one more call.
            by_other = why == sims.WHY_MARK_START and not (self.paced and self._pace() == 0)
            self._event(int(swept[sims.SWEPT_BY_CREDIT]) + (drained and not by_other))
            self.blocks = self._tiny_blocks()
        if why == sims.WHY_MARK_START:
            self._sweep(int(swept[sims.SWEPT_BY_START]) + 1, START)

    def _sweep(self, times, who):
        for _ in range(times):
            self.go.apply(SWEEPONE, flags=who, p=self.p)

    def _collect(self):
        """End marking in the replay, as in the first heap."""
        waiting = len(self.reachable.dead())
        dead = self.reachable.marking_ends()
        self.kept += waiting - len(dead)
        self.collections += 1
        self.go.collect(dead, self.p)
        self._tell_goal()
        self.paced = True
        self.go.flush(int(self.h.sim.ps_used))
        self.blocks = []

    def _tell_goal(self):
        """Down to where a growing heap is scavenged is the pacer's decision, which a replay does not make."""
        self.go.state.h.gc_percent_goal = self.h.gc_percent_goal

    def _event(self, credit):
        """The program's own event, with the ``credit`` of sweeps that an allocation made first."""
        nbytes, noscan, number = self.todo
        self.todo = None
        if self.kind == ALLOC:
            address = self._address(number)
            self._pair(number, self.go.apply(MALLOC, size=nbytes, flags=int(noscan), p=self.p, credit=credit), address)
            self.reachable.born(number, address, nbytes, noscan, self.go.n - 1)
        elif self.kind == DEATH:
            self.reachable.dies(number)
        elif self.kind == PROGRAM_STACK_ALLOC:
            self._pair(number, self.go.apply(STACK_ALLOC, size=nbytes, p=self.p), self._address(number))
        elif self.kind == PROGRAM_STACK_FREE:
            self.go.apply(STACK_FREE, size=nbytes, ref=self.births[number], p=self.p)

    def _address(self, number):
        return int(self.sim.tables["objects"][number] & ADDR_MASK)

    def _pair(self, number, found, address):
        assert found == address, f"{address:#x}, but the replay has {found:#x}"
        self.births[number] = self.go.n - 1
        self.addresses.append((self.go.n - 1, address))

    # ------------------------------------------------------------------------------------------------ agreement

    def _agree(self, where):
        """Check that all accounts of the two heaps agree."""
        a, b = self.h, self.go.state.h
        for name in SCALARS:
            assert int(a[name]) == int(b[name]), f"{where}: {name} is {a[name]}, but in the replay {b[name]}"
        for name in a.stats.dtype.names:
            if name not in APART:
                same = np.array_equal(a.stats[name], b.stats[name])
                assert same, f"{where}: {name} is {a.stats[name]}, but in the replay {b.stats[name]}"

    def _same_spans(self):
        """Check that every span record of the two heaps is the same, and the logs of spans."""
        n = int(self.h.spans_len)
        a, b = self.sim.tables["spans"][:n], self.go.state.tables["spans"][:n]
        for name in a.dtype.names:
            if name not in OF_TRACE:
                wrong = np.flatnonzero(a[name] != b[name]).tolist()
                pair = wrong and (a[name][wrong[0]], b[name][wrong[0]])
                assert not wrong, f"{name} of span {wrong[0]} is {pair[0]}, but in the replay {pair[1]}"
        self.rows.append(self.sim.take_rows())
        self.go.rows.append(self.go.state.take_rows())
        mine, its = np.concatenate(self.rows), np.concatenate(self.go.rows)
        assert len(mine) == len(its)
        for name in ("span_base", "span_npages", "span_class", "span_scav", "span_needzero"):
            assert np.array_equal(mine[name], its[name]), name
