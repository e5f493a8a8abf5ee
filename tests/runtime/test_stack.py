"""stack: goroutine stacks against their slow twin at random, and every rule of Go's stack.go by an example.

In the random test the kernel runs first, and the twin is given the addresses of the spans that the kernel logged.  So
compared are: when a span is asked for, of how many pages, which stack of which span is handed out, and when which span
goes back to the heap.
"""

import collections
import random

import naive_stacks as naive
import numpy as np
import pytest
from runtime.entry import COMPILED
from runtime.stacks import (
    ALLOC,
    BASE,
    CLEAR,
    FREE,
    FREE_SPANS,
    LOG2,
    NAMES,
    ORDER,
    PAGE,
    PHASE,
    POOL_ALLOC,
    POOL_FREE,
    REFILL,
    RELEASE,
    WITHOUT_P,
    Stacks,
    drive_stacks,
)

from mheaplab.runtime.mpagealloc import Throw
from mheaplab.runtime.structs import GC_MARK, GC_OFF, SPAN_ALLOC_STACK, SPAN_DEAD, SPAN_IN_USE
from mheaplab.runtime.verify import verify_heap

SEQUENCES = 3000 if COMPILED else 40
BATCH = 250
KIB, MIB = 1 << 10, 1 << 20
SPAN = naive.CACHE_BYTES
LIVING = 60
"""Stacks that a sequence has at a time, at most."""


# -------------------------------------------------------------------------------------------- random sequences


def write_sequence(rand, rows):
    """Append a random sequence to ``rows``, at whose end every stack is freed and every cache empty."""
    sizes = rand.sample([2 * KIB << k for k in range(10)], rand.randint(1, 3)) + [2 * KIB, 16 * KIB]
    living, share = [], rand.uniform(0.45, 0.7)
    for _ in range(rand.randint(20, 110)):
        p = rand.choice((0, 0, 1, 2, WITHOUT_P))
        what = rand.random()
        if what < 0.88:
            if living and (rand.random() > share or len(living) == LIVING):
                rows.append((FREE, *living.pop(rand.choice((-1, 0, rand.randrange(len(living))))), p))
            else:
                size = rand.choice(sizes)
                living.append((len(rows), size))
                rows.append((ALLOC, size, 0, p))
        elif what < 0.92:
            rows.append((CLEAR, 0, 0, p % WITHOUT_P))
        elif what < 0.96:
            rows.append((PHASE, int(GC_MARK), 0, WITHOUT_P))
        else:
            rows += [(PHASE, int(GC_OFF), 0, WITHOUT_P), (FREE_SPANS, 0, 0, WITHOUT_P)][rand.choice((0, 0, 1)) :]
    rand.shuffle(living)
    rows += [(FREE, *stack, rand.choice((0, 1, WITHOUT_P))) for stack in living]
    rows.append((PHASE, int(GC_OFF), 0, WITHOUT_P))
    rows += [(CLEAR, 0, 0, p) for p in range(3)] + [(FREE_SPANS, 0, 0, WITHOUT_P)]


class Oracle:
    """The spans that the kernel logged, which the twin gets when it asks; and what the twin freed."""

    def __init__(self, rows):
        self.rows = rows
        self.asked = self.freed = 0

    def allocate(self, npages):
        row = self.rows[self.asked]
        assert int(row["span_npages"]) == npages, "a span of another size"
        self.asked += 1
        return int(row["span_base"])

    def release(self, base):
        self.freed += 1


def apply_to_twin(twin, row, answers):
    """Apply one row to the twin; return the address of its stack, 0 if the row is no ALLOC."""
    kind, a, b, p = row
    owner = None if p == WITHOUT_P else p
    if kind == ALLOC:
        return twin.alloc(a, owner)
    if kind == FREE:
        twin.free(answers[a][0], b, owner)
    elif kind == CLEAR:
        twin.clear(owner)
    elif kind == PHASE:
        twin.marking = a == int(GC_MARK)
    else:
        twin.free_spans()
    return 0


def check_batch(stacks, rows):
    """Run ``rows`` on the kernel and on the twin and compare after each; return how often what happened."""
    got = np.zeros((len(rows), 4), np.int64)
    drive_stacks(stacks.h, np.array(rows, np.int64), got)
    oracle = Oracle(stacks.state.take_rows())
    twin = naive.NaiveStacks(oracle.allocate, oracle.release)
    seen = collections.Counter()
    got = got.tolist()
    for k, row in enumerate(rows):
        asked, freed = oracle.asked, oracle.freed
        answer = apply_to_twin(twin, row, got)
        living = [(((s.base - BASE) // PAGE + 1), s.npages) for s in twin.spans.values()]
        want = [answer, oracle.asked, sum(n for _, n in living) * PAGE, sum(page * page * n for page, n in living)]
        if got[k] != want:
            did = "\n".join(f"{i}: {NAMES[r[0]]} {r[1:]}" for i, r in enumerate(rows[max(0, k - 40) : k + 1], k - 40))
            pytest.fail(f"{did}\ngot {got[k]}, want {want}")
        large = row[0] == ALLOC and row[1] >= SPAN
        seen[NAMES[row[0]], "span freed" if oracle.freed > freed else "none freed"] += 1
        seen["large", "fresh" if oracle.asked > asked else "used again"] += large
    assert not twin.spans, "the sequence freed everything"
    return seen


def test_random_sequences(rng):
    rand = random.Random(int(rng.integers(1 << 40)))
    stacks = Stacks(span_log=1 << 16)
    seen = collections.Counter()
    for first in range(0, SEQUENCES, BATCH):
        rows = []
        for _ in range(min(BATCH, SEQUENCES - first)):
            write_sequence(rand, rows)
        assert len(rows) < 1 << 16, "each asks for one span at most"
        seen += check_batch(stacks, rows)
    for what in (FREE, CLEAR, FREE_SPANS):
        assert min(seen[NAMES[what], "span freed"], seen[NAMES[what], "none freed"]) > SEQUENCES / 2, seen
    assert min(seen["large", "fresh"], seen["large", "used again"]) > SEQUENCES / 2, seen
    verify_heap(stacks.h)


# -------------------------------------------------------------------------------------------------- sizes


def test_stacklog2():
    stacks = Stacks()
    for n in (*range(1, 40), 127, 128, 129, 1 << 20, (1 << 21) - 1):
        assert stacks.do(LOG2, n) == n.bit_length() - 1


def test_stack_order():
    stacks = Stacks()
    assert [stacks.do(ORDER, n * KIB) for n in (2, 4, 8, 16)] == [0, 1, 2, 3]


@pytest.mark.parametrize("p", [0, WITHOUT_P], ids=["cache", "pool"])
@pytest.mark.parametrize("n", [0, -2048, 1024, 2047, 2049, 3 * KIB, 24 * KIB, 33 * KIB, 3 * MIB])
def test_bad_sizes(n, p):
    with pytest.raises(Throw, match="stack size not a power of 2"):
        Stacks().alloc(n, p)
    stacks = Stacks()
    stack = stacks.alloc(2048, p)
    with pytest.raises(Throw, match="stack not a power of 2"):
        stacks.free(stack, n, p)


@pytest.mark.parametrize("log", range(11, 26))
def test_span_of_a_stack(log):
    """Up to 16 KiB a stack is cut from 32 KiB; from 32 KiB on it is a span."""
    stacks = Stacks()
    stack = stacks.alloc(1 << log)
    npages = max(4, (1 << log) // PAGE)
    assert stacks.spans() == [(BASE, npages)] and stacks.in_stacks() == npages * PAGE
    row = stacks.record(BASE)
    assert int(row["elemsize"]) == 1 << log and int(row["alloc_type"]) == SPAN_ALLOC_STACK
    assert stack == (BASE if log >= 15 else BASE + SPAN - (1 << log))
    stacks.free(stack, 1 << log)
    assert stacks.spans() == [] and stacks.in_stacks() == 0


# -------------------------------------------------------------------------------------------------- pools


@pytest.mark.parametrize("order", range(4))
def test_pool(order):
    """A span's stacks are used from the last to the first; without a free one the span is not in the list."""
    nbytes, n = 2 * KIB << order, 16 >> order
    stacks = Stacks()
    taken = [stacks.do(POOL_ALLOC, order) for _ in range(n - 1)]
    assert taken == [BASE + SPAN - k * nbytes for k in range(1, n)] and stacks.list_of(order) == [BASE]
    assert stacks.do(POOL_ALLOC, order) == BASE and stacks.list_of(order) == []
    assert int(stacks.record(BASE)["alloc_count"]) == n and stacks.do(POOL_ALLOC, order) == BASE + 2 * SPAN - nbytes
    assert stacks.list_of(order) == [BASE + SPAN]
    stacks.do(POOL_FREE, BASE, order)
    assert stacks.list_of(order) == [BASE, BASE + SPAN], "it has a free stack again, and comes first"
    assert stacks.do(POOL_ALLOC, order) == BASE


def test_pool_uses_first_what_was_freed_last():
    stacks = Stacks()
    taken = stacks.allocs(16, 2 * KIB)
    for k in (3, 11, 0):
        stacks.free(taken[k], 2 * KIB)
    assert stacks.allocs(3, 2 * KIB) == [taken[0], taken[11], taken[3]]


def test_pools_do_not_mix():
    stacks = Stacks()
    assert stacks.allocs(4, 2 * KIB)[-1] == BASE + SPAN - 8 * KIB
    assert stacks.alloc(4 * KIB) == BASE + 2 * SPAN - 4 * KIB
    assert [stacks.list_of(k) for k in range(4)] == [[BASE], [BASE + SPAN], [], []]


def test_an_empty_span_goes_back_to_the_heap_at_once():
    stacks = Stacks()
    first, second, other = stacks.allocs(2, 8 * KIB) + [stacks.alloc(16 * KIB)]
    stacks.free(first, 8 * KIB)
    assert stacks.spans() == [(BASE, 4), (BASE + SPAN, 4)]
    stacks.free(second, 8 * KIB)
    assert stacks.spans() == [(BASE + SPAN, 4)] and stacks.list_of(2) == [] and stacks.in_stacks() == SPAN
    stacks.free(other, 16 * KIB)
    assert stacks.spans() == []


def test_links_are_used_again():
    """The records of the links of freed spans, the last freed first; a span in use has its own."""
    stacks = Stacks()
    first, second = stacks.alloc(2 * KIB), stacks.alloc(4 * KIB)
    slots = [int(stacks.record(BASE)["slots"]), int(stacks.record(BASE + SPAN)["slots"])]
    stacks.free(first, 2 * KIB), stacks.free(second, 4 * KIB)
    stacks.alloc(8 * KIB), stacks.alloc(16 * KIB), stacks.alloc(2 * KIB)
    again = [int(stacks.record(BASE + k * SPAN)["slots"]) for k in range(3)]
    assert again == [slots[1], slots[0], 3] and int(stacks.h.stack_slots_len) == 4


def test_span_without_a_free_stack():
    stacks = Stacks()
    stacks.alloc(2 * KIB)
    stacks.record(BASE)["manual_free_list"] = 0
    with pytest.raises(Throw, match="span has no free stacks"):
        stacks.alloc(2 * KIB)


# what is freed as a small stack, by address from that of a 64 KiB stack
NO_STACKS = [pytest.param(0, id="a large stack"), pytest.param(64 * KIB, id="nothing")]


@pytest.mark.parametrize("where", NO_STACKS)
def test_freeing_what_is_in_no_pool(where):
    stacks = Stacks()
    large = stacks.alloc(64 * KIB)
    with pytest.raises(Throw, match="freeing stack not in a stack span"):
        stacks.free(large + where, 2 * KIB)


def test_freeing_an_object_as_a_stack():
    stacks = Stacks()
    small = stacks.alloc(2 * KIB)
    stacks.record(BASE)["state"] = SPAN_IN_USE
    with pytest.raises(Throw, match="freeing stack not in a stack span"):
        stacks.free(small, 2 * KIB)


# -------------------------------------------------------------------------------------------------- caches


@pytest.mark.parametrize("order", range(4))
def test_refill(order):
    """An empty cache takes half its limit from the pool; the stack it got last is used first."""
    nbytes, n = 2 * KIB << order, 8 >> order
    stacks = Stacks()
    assert stacks.do(REFILL, order, p=1) == 1 and stacks.held(1, order) == 16 * KIB
    assert int(stacks.record(BASE)["alloc_count"]) == n
    assert stacks.allocs(n, nbytes, 1) == [BASE + 16 * KIB + k * nbytes for k in range(n)]
    assert stacks.held(1, order) == 0
    assert stacks.alloc(nbytes, 1) == BASE and stacks.held(1, order) == 16 * KIB - nbytes
    assert stacks.spans() == [(BASE, 4)]


def test_caches_are_of_a_p():
    stacks = Stacks()
    assert stacks.alloc(16 * KIB, 0) == BASE + 16 * KIB and stacks.alloc(16 * KIB, 1) == BASE
    stacks.free(BASE, 16 * KIB, 0)
    assert stacks.alloc(16 * KIB, 1) == BASE + 3 * 16 * KIB, "P 0 has the other"
    assert stacks.alloc(16 * KIB, 0) == BASE


@pytest.mark.parametrize("order", range(4))
def test_full_cache_gives_half_back(order):
    """At 32 KiB, before the stack that is freed is put in."""
    nbytes = 2 * KIB << order
    stacks = Stacks()
    taken = stacks.allocs(SPAN // nbytes + 1, nbytes)
    held = []
    for stack in taken:
        stacks.free(stack, nbytes, 0)
        held.append(stacks.held(0, order))
    assert held == [*range(nbytes, SPAN + 1, nbytes), 16 * KIB + nbytes]
    first = taken[: 16 * KIB // nbytes]
    assert stacks.allocs(len(first) + 1, nbytes, 0) == [taken[-1], *reversed(first)], "those freed first are kept"


@pytest.mark.parametrize("keep", [0, 4 * KIB, 16 * KIB, 32 * KIB])
def test_release(keep):
    stacks = Stacks()
    for _ in range(2):
        stacks.do(REFILL, 0, p=0)
    stacks.do(RELEASE, 0, keep, 0)
    assert stacks.held(0, 0) == min(keep, 16 * KIB)


def test_clear():
    """stackcache_clear: all orders of one P; the others keep theirs."""
    stacks = Stacks()
    for order in range(4):
        stacks.do(REFILL, order, p=0)
    stacks.do(REFILL, 3, p=1)
    assert len(stacks.spans()) == 4
    stacks.do(CLEAR, p=0)
    assert [stacks.held(0, order) for order in range(4)] == [0] * 4 and stacks.held(1, 3) == 16 * KIB
    assert stacks.spans() == [(BASE + 3 * SPAN, 4)]
    assert stacks.alloc(16 * KIB, 0) == BASE + 3 * SPAN + 16 * KIB, "from the pool, where P 1 has left one"


# ------------------------------------------------------------------------------------------- while marking


def test_pools_keep_empty_spans_while_marking():
    stacks = Stacks()
    kept, taken = stacks.alloc(2 * KIB), stacks.alloc(4 * KIB)
    stacks.mark()
    stacks.free(taken, 4 * KIB)
    assert stacks.spans() == [(BASE, 4), (BASE + SPAN, 4)] and stacks.list_of(1) == [BASE + SPAN]
    assert stacks.alloc(4 * KIB) == taken, "it is used again"
    stacks.free(taken, 4 * KIB)
    stacks.do(PHASE, int(GC_OFF))
    assert len(stacks.spans()) == 2
    stacks.do(FREE_SPANS)
    assert stacks.spans() == [(BASE, 4)] and stacks.list_of(0) == [BASE] and stacks.list_of(1) == []
    stacks.free(kept, 2 * KIB)
    assert stacks.in_stacks() == 0


def test_large_stacks_wait_while_marking():
    """In lists by size, the last freed is used first."""
    stacks = Stacks()
    small, first, second = stacks.alloc(32 * KIB), stacks.alloc(MIB), stacks.alloc(MIB)
    stacks.mark()
    for stack, nbytes in ((small, 32 * KIB), (first, MIB), (second, MIB)):
        stacks.free(stack, nbytes)
    assert stacks.list_of(4 + 2) == [small] and stacks.list_of(4 + 7) == [second, first]
    assert len(stacks.spans()) == 3
    assert stacks.alloc(64 * KIB) == second + MIB, "no stack of this size waits"
    assert stacks.allocs(2, MIB) == [second, first]
    stacks.free(first, MIB)
    stacks.end_of_marking()
    assert stacks.spans() == [(second, 128), (second + MIB, 8)]
    assert not any(stacks.list_of(k) for k in range(4, 39))
    stacks.free(second, MIB)
    assert stacks.spans() == [(second + MIB, 8)], "at once, as nobody marks"


@pytest.mark.parametrize("state", [SPAN_DEAD, SPAN_IN_USE])
def test_freeing_a_large_stack_in_a_bad_state(state):
    stacks = Stacks()
    stack = stacks.alloc(64 * KIB)
    stacks.record(stack)["state"] = state
    with pytest.raises(Throw, match="bad span state"):
        stacks.free(stack, 64 * KIB)


@pytest.mark.parametrize("nbytes, p", [(2 * KIB, 0), (2 * KIB, WITHOUT_P), (64 * KIB, 0)])
def test_out_of_memory(nbytes, p):
    stacks = Stacks(occupied=[(0, 1 << 47)])
    assert stacks.alloc(nbytes, p) == 0
    assert stacks.do(REFILL, 0, p=0) == 0 and stacks.do(POOL_ALLOC, 0) == 0
