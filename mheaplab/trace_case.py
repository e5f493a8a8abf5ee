"""case_of_trace: the events of a trace as a case: what its program does to a Go heap that collects only when told to.

A case has what Go's heap was told, collections included; a trace leaves those to the heap.  So there is one case of a
trace that needs no decision of a pacer: the program run with GOGC=off, where nothing is collected but by the program's
own calls of runtime.GC and debug.FreeOSMemory.  These sweep all at once, and find dead what the trace says is dead.

The addresses that the twin gives out are the truth of the case, so ``replay`` can be held to it, and other programs
that read cases have something to read.  Only Go 1.19: later cases also say where Go scavenged and which spans had a
page mark, which is not the trace's to say.
"""

import numpy as np

from .case_writer import CaseWriter
from .params import HeapParams
from .runtime.mstats import read_memstats
from .runtime.state import HeapState
from .runtime.structs import GC_START, MALLOC, MAX_TINY_SIZE, PAGE_SHIFT
from .runtime.structs import STACK_ALLOC as TAKES_STACK
from .runtime.structs import STACK_FREE as RETURNS_STACK
from .runtime.trace_events import ALLOC, DEATH, FORCED_GC, STACK_ALLOC, STACK_FREE

GO = "go1.19"
KIND_OF = {ALLOC: MALLOC, STACK_ALLOC: TAKES_STACK, STACK_FREE: RETURNS_STACK}
FREE_OS_MEMORY = 1
MAX_EVENTS = 1 << 28
"""Events that a case of a trace may have: they are all in memory."""


class _Converter:
    """A trace on its way into a case."""

    def __init__(self, trace):
        state = HeapState(HeapParams.go119().to_record())
        self.heap, self.writer = state.h, CaseWriter(state)
        self.procs = trace.procs
        self.birth = np.zeros(0, np.int64)  # event of the case that allocated, by dense id
        self.objects = np.zeros(0, np.int64)  # events that allocated what no collection has freed
        self.gone = [np.zeros(0, np.int64)]  # events that allocated what is dead by now

    def run(self, events, rows):
        """Write rows of a trace without calls of the collector; ``rows`` are their numbers in ``events``."""
        kind, ids = events.kind[rows], events.id[rows].astype(np.int64)
        most = int(ids.max(initial=-1)) + 1
        if most > len(self.birth):
            self.birth = np.append(self.birth, np.zeros(max(most, 2 * len(self.birth)) - len(self.birth), np.int64))
        kept = np.isin(kind, list(KIND_OF))
        at = self.writer.n + np.cumsum(kept) - 1
        refs = self._references(kind, ids, at)
        self.writer.extend(
            int(kept.sum()), ref=refs[kept],
            kind=[KIND_OF[k] for k in kind[kept].tolist()], p=events.p[rows][kept], size=events.size[rows][kept],
            flags=np.where(kind[kept] == ALLOC, events.noscan[rows][kept], 0),
        )  # fmt: skip
        self.objects = np.append(self.objects, at[kind == ALLOC])

    def _references(self, kind, ids, at):
        """Return the event that each stack's end refers to, -1 elsewhere; note who dies."""
        refs, died = np.full(len(kind), -1, np.int64), []
        birth = self.birth
        for i, (k, name) in enumerate(zip(kind.tolist(), ids.tolist(), strict=True)):
            if k in (ALLOC, STACK_ALLOC):
                birth[name] = at[i]
            elif k == DEATH:
                died.append(birth[name])
            elif k == STACK_FREE:
                refs[i] = birth[name]
        self.gone.append(np.array(died, np.int64))
        return refs

    def collect(self, p, how):
        """The program calls the collector: write what it frees."""
        writer = self.writer
        # A tiny block that an mcache is filling is marked when marking begins (gcMarkTinyAllocs).
        filling = [int(self.heap.allp[q]["mcache"]["tiny"]) for q in range(self.procs)]
        writer.apply(GC_START, p=p)
        gone = np.concatenate(self.gone)
        events = self.objects
        address, size = writer.out.addr[events], writer.columns["size"][events]
        tiny = (size < int(MAX_TINY_SIZE)) & (writer.columns["flags"][events] & 1 == 1)
        slot = np.where(tiny, address & ~np.uint64(int(MAX_TINY_SIZE) - 1), address)
        dead = np.isin(events, gone)
        # A tiny block is dead when all in it are; the first in it stands for it.
        slots, first, of = np.unique(slot, return_index=True, return_inverse=True)
        freed = (np.bincount(of, weights=~dead) == 0) & ~np.isin(slots, np.array(filling, np.uint64))
        writer.collect(np.sort(events[first[freed]]).tolist(), p)
        self.objects = events[~freed[of]]
        self.gone = [np.intersect1d(gone, self.objects)]
        writer.flush(self.procs)
        writer.sweep_all(p)
        if how == FREE_OS_MEMORY:
            writer.scavenge_all(self._backed(), p)

    def _backed(self):
        """Return the bytes of free pages that are backed by memory; those in the Ps' page caches are not free."""
        stats = read_memstats(self.heap)
        caches = [self.heap.allp[q]["pcache"] for q in range(self.procs)]
        held = sum((int(c["cache"]) & ~int(c["scav"])).bit_count() for c in caches)
        return stats["HeapIdle"] - stats["HeapReleased"] - (held << int(PAGE_SHIFT))


def case_of_trace(trace, name=None):
    """Return a trace as a case of Go 1.19 run with GOGC=off, with the addresses that the twin gives as its truth.

    Parameters
    ----------
    trace : Trace
        Of at most 2**28 events.
    name : str, optional
        Of the case; the trace's if left out.

    Returns
    -------
    Case
        Deaths are in it as far as the program calls the collector after them.

    Raises
    ------
    FormatError
        If an event of the trace is wrong.
    ValueError
        If the trace is too long.
    """
    converter, seen = _Converter(trace), 0
    for events in trace.dense_batches():
        seen += len(events.kind)
        if seen > MAX_EVENTS:
            raise ValueError(f"trace of more than {MAX_EVENTS:,} events: too long for a case, which is all in memory")
        start = 0
        for call in [*np.flatnonzero(events.kind == FORCED_GC).tolist(), len(events.kind)]:
            converter.run(events, slice(start, call))
            if call < len(events.kind):
                converter.collect(int(events.p[call]), int(events.size[call]))
            start = call + 1
    return converter.writer.case(name or trace.name, GO)
