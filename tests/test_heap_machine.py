"""A ``Heap`` poked at random and recounted after every call, beside a model of what is alive.

Hypothesis chooses the calls and shrinks a failing sequence.  The model says which slots are allocated, which finalizers
must be queued and which profile records counted; nothing that lives may overlap, move or vanish, whether memory runs
out, a limit forces scavenging, or a collection is half swept.
"""

import numpy as np
from heaps import BASE, KIB, MIB, TOP, count_objects, unswept
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import mheaplab as mh
from mheaplab.pacer_params import NO_LIMIT
from mheaplab.runtime.state import HeapState

TINY_ROOM = {"spans": 2, "heap_arenas": 2, "gc_bits": 8192, "in_use": 4, "span_log": 2, "specials": 2, "stack_slots": 2}
OS_TOP = 0x7FFF_F7FF_F000
OCCUPIED = {
    "nothing": (),
    "behind the second arena": ((BASE + 8 * MIB, BASE + 8 * MIB + 4096),),
    "all but 140 MiB at the top": ((4096, OS_TOP - 140 * MIB), (OS_TOP, TOP)),
}
SIZES = st.one_of(
    st.integers(1, 15),
    st.integers(1, 1024),
    st.integers(1, 32768),
    st.sampled_from([8, 16, 512, 513, 1024, 32760, 32768]),
    st.integers(32769, 6 * MIB),
)
PS = st.sampled_from([0, 0, 0, 1, None])


class PokeMachine(RuleBasedStateMachine):
    """One heap, and the model: objects, manual spans and stacks by address, slots, finalizers, profile records."""

    @initialize(
        go=st.sampled_from(["go1.19", "go1.27"]),
        arena=st.sampled_from([4 * MIB, 64 * MIB]),
        occupied=st.sampled_from(sorted(OCCUPIED)),
        limit=st.sampled_from([NO_LIMIT, 3 * MIB]),
    )
    def start(self, go, arena, occupied, limit):
        params = mh.HeapParams.of_version(go, arena_bytes=arena, occupied=OCCUPIED[occupied], memory_limit=limit)
        self.heap = mh.Heap(params)
        self.heap.state = HeapState(params.to_record(), TINY_ROOM, params.occupied)
        self.objects = {}  # address -> (its end, address of its slot)
        self.manual = {}  # address -> end
        self.stacks = {}  # address -> end
        self.slots = set()  # allocated once everything is swept
        self.black = set()
        self.marking = False
        self.finalizers = {}  # address -> (number, slot)
        self.queued = {}  # the same, of objects found dead, until they are taken
        self.profiled = {}  # address -> slot
        self.profile_frees = 0
        self.next_fn = 1

    def obtain(self, call):
        """Return what ``call`` allocates, None where memory is out."""
        try:
            return call()
        except mh.GoThrow as err:
            assert str(err) == "out of memory" and err.usable
            assert self.heap.params.occupied, "there is room enough"
            return None

    # ------------------------------------------------------------------------------------------------ memory

    def new_object(self, size, noscan, p):
        """Allocate and enter an object in the model; False where memory is out."""
        addr = self.obtain(lambda: self.heap.malloc(size, noscan, p))
        if addr is None:
            return False
        span = self.heap.span_of_heap(addr)
        slot = span.base + span.slot(addr) * span.elemsize
        assert addr + size <= slot + span.elemsize and addr not in self.objects
        self.objects[addr] = (addr + size, slot)
        self.slots.add(slot)
        if self.marking:
            self.black.add(addr)
        return True

    @rule(size=SIZES, noscan=st.booleans(), p=PS, times=st.integers(1, 20))
    def malloc(self, size, noscan, p, times):
        while times and self.new_object(size, noscan, p):
            times -= 1

    @rule(seed=st.integers(0, 2**16), most=st.sampled_from([16, 500, 4000, 100_000]), times=st.integers(10, 60))
    def fill(self, seed, most, times):
        rng = np.random.default_rng(seed)
        for size in rng.integers(1, most, times).tolist():
            self.new_object(size, bool(rng.integers(2)), int(rng.integers(2)))

    @precondition(lambda self: len(self.objects) < 100)
    @rule(seed=st.integers(0, 2**16))
    def fill_up(self, seed):
        self.fill(seed, 2000, 60)

    @rule(npages=st.integers(1, 700), kind=st.sampled_from(["stack", "pointer and scalar bits", "work buffer"]), p=PS)
    def alloc_manual(self, npages, kind, p):
        addr = self.obtain(lambda: self.heap.alloc_manual(npages, kind, p))
        if addr is not None:
            self.manual[addr] = addr + npages * 8192

    @precondition(lambda self: self.manual)
    @rule(data=st.data())
    def free_manual(self, data):
        addr = data.draw(st.sampled_from(sorted(self.manual)))
        del self.manual[addr]
        self.heap.free_manual(addr)

    @rule(size=st.sampled_from([2 * KIB, 4 * KIB, 16 * KIB, 32 * KIB, 256 * KIB]), p=PS, times=st.integers(1, 4))
    def stack_alloc(self, size, p, times):
        for _ in range(times):
            addr = self.obtain(lambda: self.heap.stack_alloc(size, p))
            if addr is not None:
                assert addr not in self.stacks
                self.stacks[addr] = addr + size

    @precondition(lambda self: self.stacks)
    @rule(data=st.data(), p=PS, times=st.integers(1, 4))
    def stack_free(self, data, p, times):
        for _ in range(min(times, len(self.stacks))):
            addr = data.draw(st.sampled_from(sorted(self.stacks)))
            del self.stacks[addr]
            self.heap.stack_free(addr, p)

    # ------------------------------------------------------------------------------------------------ collection

    @precondition(lambda self: not self.marking)
    @rule()
    def gc_start(self):
        self.heap.gc_start()
        self.marking = True
        self.all_swept()

    @rule(share=st.sampled_from([0.0, 0.3, 0.9, 1.0]), seed=st.integers(0, 2**16), sweep=st.booleans())
    def collect(self, share, seed, sweep):
        rng = np.random.default_rng(seed)
        live = [a for a in sorted(self.objects) if a in self.black or rng.random() >= share]
        named = [a for a in live if a not in self.black]
        self.objects = {a: self.objects[a] for a in live}
        roots = {slot for _, slot in (*self.objects.values(), *self.queued.values())}
        # What hangs on a dead tiny object stays as long as anything in its block lives.
        for addr in [a for a, (_, slot) in self.finalizers.items() if slot not in roots]:
            self.queued[addr] = self.finalizers.pop(addr)
        self.slots = roots | {slot for _, slot in self.queued.values()}
        for addr in [a for a, slot in self.profiled.items() if slot not in self.slots]:
            del self.profiled[addr]
            self.profile_frees += 1
        self.black, self.marking = set(), False
        self.heap.collect(named, sweep)
        if sweep:
            self.all_swept()

    @rule(times=st.integers(0, 5), p=PS)
    def sweep(self, times, p):
        for _ in range(times):
            waiting = unswept(self.heap)
            swept = self.heap.sweep_one(p)
            assert swept in waiting if waiting else swept is None
        if times == 0:
            waiting = len(unswept(self.heap))  # counted before: a span without objects is freed
            assert self.heap.sweep_all(p) == waiting
            self.all_swept()

    def all_swept(self):
        """Compare with the model what is only certain when nothing waits for its sweep."""
        assert unswept(self.heap) == []
        assert count_objects(self.heap)[0] == len(self.slots)
        assert int(self.heap.state.h.stats.prof_frees) == self.profile_frees
        in_queue = self.heap.state.tables["finalizers"][: int(self.heap.state.h.finalizers_len)]
        assert dict(in_queue[["arg", "fn"]].tolist()) == {a: fn for a, (fn, _) in self.queued.items()}

    @rule(p=st.sampled_from([0, 1]))
    def flush(self, p):
        self.heap.flush_mcache(p)
        self.heap.flush_page_cache(p)

    # ------------------------------------------------------------------------------------------------ specials

    @precondition(lambda self: self.objects)
    @rule(seed=st.integers(0, 2**16), share=st.sampled_from([0.05, 0.5]))
    def specials(self, seed, share):
        """Give some objects a finalizer, or take theirs off, and let the profiler sample others."""
        rng = np.random.default_rng(seed)
        for addr in [a for a in sorted(self.objects) if rng.random() < share]:
            if addr in self.finalizers:
                assert self.heap.remove_finalizer(addr)
                del self.finalizers[addr]
            elif addr % 3:
                self.heap.add_finalizer(addr, self.next_fn)
                self.finalizers[addr] = (self.next_fn, self.objects[addr][1])
                self.next_fn += 1
            elif addr not in self.profiled:
                self.heap.set_profile_bucket(addr, addr % 7)
                self.profiled[addr] = self.objects[addr][1]

    @precondition(lambda self: self.queued)
    @rule()
    def take_finalizers(self):
        for addr, fn in self.heap.take_finalizers():
            assert self.queued.pop(addr)[0] == fn

    # ------------------------------------------------------------------------------------------------ scavenging

    @rule(nbytes=st.sampled_from([0, 1, 100 * KIB, 5 * MIB]), goal=st.sampled_from([None, 0, 2 * MIB]))
    def scavenge(self, nbytes, goal):
        self.heap.gc_percent_goal = goal
        before = self.heap.memstats()
        got = self.heap.scavenge(nbytes) if nbytes else self.heap.scavenge_all()
        after = self.heap.memstats()
        assert after["HeapReleased"] - before["HeapReleased"] == got
        assert after["HeapSys"] == before["HeapSys"] and got <= before["HeapIdle"] - before["HeapReleased"]

    # ------------------------------------------------------------------------------------------------ invariants

    @invariant()
    def recount(self):
        if hasattr(self, "heap"):
            self.heap.verify()

    @invariant()
    def what_lives_is_apart_and_where_it_was(self):
        if not hasattr(self, "heap"):
            return
        ends = {a: end for a, (end, _) in self.objects.items()} | self.manual | self.stacks
        assert len(ends) == len(self.objects) + len(self.manual) + len(self.stacks)
        order = sorted(ends)
        assert all(ends[low] <= high for low, high in zip(order, order[1:], strict=False))
        assert self.heap._allocated(self.objects).tolist() == sorted(self.objects)
        for addr in [*self.manual, *self.stacks][:8]:
            assert self.heap.in_heap_or_stack(addr) and not self.heap.in_heap(addr)


TestPokeMachine = PokeMachine.TestCase
TestPokeMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
