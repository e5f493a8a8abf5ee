"""A heap driven at random, recounted after every step: no sequence of legal events may break an invariant.

Hypothesis chooses the events and shrinks a failing sequence.  Beside the kernel's own recounts a model keeps the live
objects: they never overlap, never move, and lie in the heap.
"""

import numpy as np
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numba import config

from mheaplab.case import COLUMNS, make_events
from mheaplab.params import HeapParams
from mheaplab.runtime.run import BadEvent, Results, run_events
from mheaplab.runtime.state import HeapState
from mheaplab.runtime.structs import (
    ENSURE_SWEPT,
    MALLOC,
    MCACHE_FLUSH,
    PCACHE_FLUSH,
    SCAVENGE,
    SPAN_ALLOC,
    SPAN_FREE,
    SWEEP_START,
    SWEEPONE,
)
from mheaplab.runtime.verify import verify_heap

PLAIN = bool(config.DISABLE_JIT)
MAX_EVENTS = 4000
TINY_ROOM = {"spans": 2, "heap_arenas": 2, "gc_bits": 8192, "in_use": 4, "span_log": 2}
SIZES = st.one_of(
    st.integers(1, 15),
    st.integers(1, 1024),
    st.integers(1, 32768),
    st.sampled_from([16, 512, 513, 1024, 32760, 32768]),
    st.integers(32769, 6 << 20),
)


class HeapMachine(RuleBasedStateMachine):
    """Events one at a time into a heap whose tables start with almost no room."""

    @initialize(go=st.sampled_from(["go1.19", "go1.27"]), arena=st.sampled_from([4 << 20, 64 << 20]))
    def start(self, go, arena):
        self.begin(HeapParams.of_version(go, arena_bytes=arena))

    def begin(self, params):
        """Make the heap and what the model keeps of it."""
        self.state = HeapState(params.to_record(), TINY_ROOM)
        self.columns = {name: np.zeros(MAX_EVENTS, dtype) for name, dtype in COLUMNS.items()}
        self.columns["ref"][:] = -1
        self.dead, self.offsets = [], [0]
        self.out = Results(np.zeros(MAX_EVENTS, "u8"), np.zeros(MAX_EVENTS, "u8"), np.zeros(MAX_EVENTS, "u1"))
        self.n = 0
        self.live = {}  # address of a slot -> (MALLOC event, bytes asked for)
        self.manual = []

    def apply(self, kind, **values):
        """Append one event, run it, and return its index."""
        assume(self.n < MAX_EVENTS)
        at = self.n
        self.columns["kind"][at] = kind
        for name, value in values.items():
            self.columns[name][at] = value
        events = make_events(
            self.columns | {"dead": np.array(self.dead, np.int64), "dead_offsets": np.array(self.offsets, np.int64)}
        )
        with np.errstate(over="ignore"):
            while run_events(self.state.h, events, self.out, at, at + 1) == at:
                self.state.take_rows()
                self.state.grow(int(self.state.h.need_arenas))
        self.state.take_rows()
        self.n += 1
        return at

    @rule(size=SIZES, noscan=st.booleans(), p=st.sampled_from([0, 0, 0, 1, 255]), times=st.integers(1, 6))
    def malloc(self, size, noscan, p, times):
        for _ in range(times):
            event = self.apply(MALLOC, size=size, flags=int(noscan), p=p)
            addr = int(self.out.addr[event])
            tiny = noscan and size < 16
            assert addr >= 0xC000000000 and addr % (1 if tiny else 8) == 0
            if not tiny or addr % 16 == 0:
                assert addr not in self.live
                self.live[addr] = (event, 16 if tiny else size)

    @rule(npages=st.integers(1, 700), kind=st.integers(1, 3), p=st.sampled_from([0, 1, 255]))
    def span_alloc(self, npages, kind, p):
        self.manual.append(self.apply(SPAN_ALLOC, size=npages, flags=kind, p=p))

    @precondition(lambda self: self.manual)
    @rule(data=st.data())
    def span_free(self, data):
        event = self.manual.pop(data.draw(st.integers(0, len(self.manual) - 1)))
        self.apply(SPAN_FREE, ref=event)

    @rule(share=st.sampled_from([0.0, 0.3, 0.9, 1.0]), seed=st.integers(0, 2**16))
    def collect(self, share, seed):
        rng = np.random.default_rng(seed)
        dying = [a for a in sorted(self.live) if rng.random() < share]
        self.dead += sorted(self.live.pop(a)[0] for a in dying)
        self.offsets.append(len(self.dead))
        self.apply(SWEEP_START, ref=len(self.offsets) - 2)
        for p in (0, 1):
            self.apply(MCACHE_FLUSH, p=p)

    @rule(times=st.integers(1, 5))
    def sweep(self, times):
        for _ in range(times):
            self.apply(SWEEPONE, flags=2)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def ensure_swept(self, data):
        addr = data.draw(st.sampled_from(sorted(self.live)))
        self.apply(ENSURE_SWEPT, ref=self.live[addr][0])

    @rule(limit=st.sampled_from([0, 8]))
    def scavenge(self, limit):
        try:
            self.apply(SCAVENGE, size=limit)
        except BadEvent:
            self.columns["kind"][self.n] = 0
            self.columns["size"][self.n] = 0

    @rule(p=st.sampled_from([0, 1]))
    def flush_page_cache(self, p):
        self.apply(PCACHE_FLUSH, p=p)

    @invariant()
    def recount(self):
        if hasattr(self, "state"):
            with np.errstate(over="ignore"):
                verify_heap(self.state.h)

    @invariant()
    def live_objects_are_apart(self):
        if hasattr(self, "state"):
            addrs = sorted(self.live)
            for low, high in zip(addrs, addrs[1:], strict=False):
                assert low + self.live[low][1] <= high


TABLES = (
    "go",
    "pow2",
    ((16, 1), (512, 1), (32768, 4)),
    ((8, 1), (16, 1), (512, 1), (520, 64), (4096, 64), (32768, 64)),
    (*((8 * k, 1) for k in range(1, 65)), *((1024 + 128 * k, 3) for k in range(62)), (32768, 7)),
)
"""Size classes: Go's, few, in spans of many pages, and as many as there may be."""


class PolicyMachine(HeapMachine):
    """The same under what-if policies, alone and together, with the parameters of both versions."""

    @initialize(
        go=st.sampled_from(["go1.19", "go1.27"]),
        size_classes=st.sampled_from(TABLES),
        page_placement=st.sampled_from(["first-fit", "best-fit", "next-fit"]),
        page_cache_pages=st.sampled_from([0, 8, 16, 32, 64]),
        grow_early_percent=st.sampled_from([50, 80, 99, 100]),
    )
    def start(self, go, **policy):
        self.begin(HeapParams.of_version(go, arena_bytes=4 << 20, **policy))


SETTINGS = settings(
    max_examples=6 if PLAIN else 150,
    stateful_step_count=12 if PLAIN else 60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestHeapMachine = HeapMachine.TestCase
TestHeapMachine.settings = SETTINGS
TestPolicyMachine = PolicyMachine.TestCase
TestPolicyMachine.settings = SETTINGS
