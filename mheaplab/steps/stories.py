"""The calls that are told: they do what ``Heap.malloc`` and ``Heap.sweep_one`` do, and return the story of it."""

import numpy as np

from ..heap import Heap
from ..runtime.structs import NO_P
from . import object_steps as objects
from . import span_steps as spans
from . import sweep_steps as sweeps
from .look import Look, Step, Story, read_once, span_before

MALLOC_STEPS = (
    objects.size_class,
    objects.tiny,
    objects.next_free_fast,
    objects.refill,
    objects.central,
    spans.reclaim,
    spans.page_cache,
    spans.sys_alloc,
    spans.grow,
    spans.page_alloc,
    spans.span_record,
    spans.init_span,
    spans.set_spans,
    objects.cached,
    objects.next_free_index,
    objects.result,
)
SWEEP_STEPS = (
    sweeps.next_span,
    sweeps.try_acquire,
    sweeps.specials,
    sweeps.count_alloc,
    sweeps.swap,
    sweeps.refill_alloc_cache,
    sweeps.keep,
    sweeps.free_span,
)


def malloc(heap, size, noscan=False, p=0):
    """Allocate an object, as :meth:`Heap.malloc` does, and tell how.

    Parameters
    ----------
    heap : Heap
        It is changed: the object is allocated in it.
    size : int
        Bytes.
    noscan : bool
        Whether the object has no pointers.
    p : int or None
        The P, or none.

    Returns
    -------
    Story
        Its ``addr`` is the object's address.
    """
    a = Look(heap.state)
    addr = heap.malloc(size, noscan, p)
    b = Look(heap.state)
    call = objects.make_call(a, int(size), bool(noscan), NO_P if p is None else p, addr)
    steps = [step for step in (tell(a, b, call) for tell in MALLOC_STEPS) if step is not None]
    index = b.span_index(addr)
    name = f"malloc({size:,}{', noscan' if noscan else ''})"
    return Story(name, addr, tuple(steps), span_before(a, b, index), b.span(index), a.pages(addr), b.pages(addr))


def sweep_one(heap, p=0):
    """Sweep the next span, as :meth:`Heap.sweep_one` does, and tell how.

    Returns
    -------
    Story
        Its ``addr`` is the base of the span; 0 with a single step if all spans were swept already.
    """
    a = Look(heap.state)
    base = heap.sweep_one(p)
    b = Look(heap.state)
    if base is None:
        done = read_once("sweepDrained", int(b.h.sweep_drained))
        step = Step("sweepone", "mgcsweep.go", "No span is left that needs sweeping.", (done,))
        return Story("sweepone()", 0, (step,), None, None, None, None)
    index = a.span_index(base)
    steps = [step for step in (tell(a, b, index) for tell in SWEEP_STEPS) if step is not None]
    return Story("sweepone()", base, tuple(steps), a.span(index), b.span(index), a.pages(base), b.pages(base))


def filled(size, alive, *, filled=1.0, noscan=False, params=None, seed=1):
    """Return a new heap with one span of objects, collected and not swept yet.

    Parameters
    ----------
    size : int
        Bytes of each object.
    alive : float
        Share of the objects that the collection finds alive, 0 to 1.
    filled : float
        Share of the span's slots that are allocated, at least one.
    noscan : bool
    params : HeapParams, optional
        Default: Go 1.19.
    seed : int
        Which objects live: with the same seed, those of a smaller share are among those of a larger one.

    Returns
    -------
    heap : Heap
    addresses : list of int
        The objects, by rising address.

    Raises
    ------
    ValueError
        If a share is not from 0 to 1, or ``size`` is no size of an object.
    """
    for name, share in (("alive", alive), ("filled", filled)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} = {share!r} is outside its legal range: 0 to 1")
    heap = Heap(params)
    addresses = [heap.malloc(size, noscan)]
    slots = heap.span_of(addresses[0]).nelems
    count = max(1, round(filled * slots))
    addresses += [heap.malloc(size, noscan) for _ in range(count - 1)]
    order = np.random.default_rng(seed).permutation(count)
    live = [addresses[k] for k in order[: round(alive * count)]]
    # A span in an mcache would be swept as the collection flushes it, before anybody could look.
    heap.flush_mcache()
    heap.collect(live, sweep=False)
    return heap, addresses
