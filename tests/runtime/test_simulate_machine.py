"""A run of the twin's own driven at random, recounted after every step: no program may break an invariant.

Hypothesis chooses parameters and events, and shrinks a program that fails.  Beside the kernel's recounts a model keeps
the objects that live: they never overlap, never move, and their slots add up to what the run thinks is live.
"""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numba import config
from runtime.programs import random_program
from runtime.sims import MIB, Sim
from runtime.test_simulate import TINY_ROOM, check

PLAIN = bool(config.DISABLE_JIT)
SIZES = st.one_of(
    st.integers(1, 15),
    st.integers(1, 1024),
    st.integers(1, 32768),
    st.sampled_from([16, 512, 513, 1024, 32760, 32768, 32769]),
    st.integers(32769, 3 << 20),
)
PARAMETERS = {
    "go": st.sampled_from(["go1.19", "go1.27"]),
    "procs": st.integers(1, 4),
    "gogc": st.sampled_from([-1, 0, 1, 20, 100, 1000]),
    "memory_limit": st.sampled_from([(1 << 63) - 1, MIB // 2, 4 * MIB, 16 * MIB]),
    "arena_bytes": st.sampled_from([4 * MIB, 64 * MIB]),
    "keeps_dying": st.booleans(),
    "globals_bytes": st.sampled_from([0, 1000, 10**6]),
    "scan_byte_ns": st.sampled_from([0.01, 1.0, 100.0]),
    "mark_wait_us": st.sampled_from([0.0, 0.0, 3.0, 1e4]),
    "alloc_ns": st.sampled_from([0.0, 300.0, 1e6]),
    "idle_share": st.sampled_from([0.0, 0.5, 1.0]),
    "background_sweep_per_ms": st.sampled_from([0.0, 1.0, 1e5]),
    "sweep_span_ns": st.sampled_from([0.0, 400.0]),
    "scavenge_limit_factor": st.sampled_from([0.5, 95.0]),
    "force_gc_s": st.sampled_from([0.05, 120.0]),
    "page_cache_pages": st.sampled_from([0, 64]),
}
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class RunMachine(RuleBasedStateMachine):
    """Events a few at a time into a run whose tables start with almost no room."""

    @initialize(parameters=st.fixed_dictionaries(PARAMETERS))
    def start(self, parameters):
        self.run = Sim(room=TINY_ROOM, **parameters)
        self.slots = {}  # number -> (address, bytes asked for)
        self.stacks = {}

    @rule(size=SIZES, noscan=st.booleans(), p=st.integers(0, 5), times=st.integers(1, 8))
    def alloc(self, size, noscan, p, times):
        for _ in range(times):
            number = self.run.alloc(size, noscan, p)
            self.slots[number] = (self.run.address(number), size)

    @precondition(lambda self: self.slots)
    @rule(share=st.sampled_from([0.1, 0.5, 1.0]), seed=st.integers(0, 1 << 16))
    def die(self, share, seed):
        rng = np.random.default_rng(seed)
        dying = [n for n in self.slots if rng.random() < share]
        self.run.die(*dying)
        for number in dying:
            del self.slots[number]

    @rule(order=st.integers(0, 8), p=st.integers(0, 3))
    def stack(self, order, p):
        self.stacks[self.run.stack(2048 << order, p)] = 2048 << order

    @precondition(lambda self: self.stacks)
    @rule(data=st.data(), p=st.integers(0, 3))
    def unstack(self, data, p):
        number = data.draw(st.sampled_from(sorted(self.stacks)))
        self.run.unstack(number, self.stacks.pop(number), p)

    @rule(give_back=st.integers(0, 1))
    def collect(self, give_back):
        self.run.collect(give_back)

    @rule(ms=st.floats(0.001, 1e3))
    def wait(self, ms):
        """Let time pass until the next event."""
        self.run.sim.now += ms * 1e6

    @invariant()
    def recount(self):
        if hasattr(self, "run"):
            check(self.run)
            assert self.run.sim.live_objects == len(self.slots)
            assert self.run.sim.stack_live == sum(self.stacks.values())
            self.run.take_rows()

    @invariant()
    def live_objects_are_apart_and_do_not_move(self):
        if hasattr(self, "run"):
            assert all(self.run.address(number) == address for number, (address, _) in self.slots.items())
            found = sorted(self.slots.values())
            for (low, size), (high, _) in zip(found, found[1:], strict=False):
                assert low + size <= high


TestRunMachine = RunMachine.TestCase
TestRunMachine.settings = settings(
    SETTINGS, max_examples=4 if PLAIN else 40, stateful_step_count=10 if PLAIN else 40
)


@settings(SETTINGS, max_examples=3 if PLAIN else 15)
@given(
    parameters=st.fixed_dictionaries(PARAMETERS),
    seed=st.integers(0, 1 << 32),
    forced=st.sampled_from([0.0, 0.02]),
    large=st.sampled_from([0.0, 1.0, 5.0]),
)
def test_a_program_in_one_batch(parameters, seed, forced, large):
    """Long batches, in which the kernel itself must see when a table is full."""
    n = 30 if PLAIN else 1000
    program = random_program(np.random.default_rng(seed), n, parameters["procs"], 300, forced, 0.1, large)
    run = Sim(room=TINY_ROOM, stride=3, **parameters)
    run.run(program)
    check(run)
    run.end()
    rows = run.samples()
    accounts = sum(rows[name] for name in ("live", "garbage", "free_slots", "tail", "stacks", "free", "released"))
    assert np.array_equal(accounts, rows["mapped"])
    assert (np.diff(rows["time_ns"]) >= 0).all() and rows["event"][-1] == n
