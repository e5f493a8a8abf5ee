"""How a heap is driven by hand and what it answers: the lower half of ``Heap``.

``HeapQuestions`` holds the kernel's state, calls its entry points, grows its tables, and keeps the rule about throws:
one from within an operation makes the heap unusable.  On top of that stand the questions, none of which changes the
heap; what changes it is in ``heap``.
"""

from typing import NamedTuple

import numpy as np

from .errors import GoThrow, InvariantError
from .heap_dump import dump
from .params import HeapParams
from .runtime import byhand
from .runtime import structs as go
from .runtime.malloc import NEED_ROOM
from .runtime.mpagealloc import Throw
from .runtime.mstats import read_memstats
from .runtime.state import HeapState
from .runtime.verify import INVARIANTS, Violation, verify_heap
from .snapshot import take_snapshot
from .spans import span_indexes, take_span

NO_P = int(go.NO_P)
WORD = 1 << 64
"""Addresses that a uintptr can say."""


class PageIndex(NamedTuple):
    """Where a page stands in the per-page bitmaps of its arena: arena index, byte, mask within the byte."""

    arena: int
    byte: int
    mask: int


class ArenaHint(NamedTuple):
    """Where the heap would try to put its next arena; ``down``: the arena would end there."""

    addr: int
    down: bool


def as_int64(addr):
    """Return an address as the kernel has it: the 64 bits of Go's uintptr, signed."""
    return (int(addr) + WORD // 2) % WORD - WORD // 2


class HeapQuestions:
    """The state of one heap, and the questions that it answers; see :class:`Heap`."""

    def __init__(self, params=None):
        self.params = params or HeapParams.go119()
        self.state = HeapState(self.params.to_record(), None, self.params.occupied)
        self._broken = None
        self._out = np.zeros(4, np.int64)

    # ------------------------------------------------------------------------------------------------ driving

    def _check(self):
        """Refuse any call once Go has thrown from within an operation."""
        if self._broken:
            raise GoThrow(f"the heap is not usable any more since Go threw: {self._broken}", usable=False)

    def _run(self, call, *args):
        """Call a kernel entry, growing tables as asked; a throw from within makes the heap unusable."""
        self._check()
        while True:
            try:
                with np.errstate(over="ignore"):
                    result = int(call(self.state.h, *args))
            except Throw as err:
                self._broken = " ".join(str(a) for a in err.args)
                raise GoThrow(self._broken, usable=False) from err
            self.state.take_rows()
            if result != NEED_ROOM:
                return result
            self.state.grow(int(self.state.h.need_arenas))

    def _do(self, kind, p=NO_P, flags=0, nbytes=0, addr=0):
        self.state.h.event += 1
        return self._run(byhand.do_by_hand, kind, p, flags, nbytes, addr)

    def _throw(self, message):
        """Refuse a call before anything has changed."""
        self._check()
        raise GoThrow(message, usable=True)

    # ------------------------------------------------------------------------------------------------ questions

    def _ask(self, question, addr):
        """Return the first number of an answer; the others are left in ``_out``."""
        self._run(byhand.ask, question, as_int64(addr), self._out)
        return int(self._out[0])

    def _span(self, index):
        return take_span(self.state, index) if index else None

    def arena_index(self, addr):
        """arenaIndex: index of the arena that holds ``addr``, known or not."""
        return self._ask(byhand.ASK_ARENA_INDEX, addr) % (WORD // self.params.arena_bytes)

    def arena_base(self, arena):
        """arenaBase: address of the first byte of arena ``arena``."""
        return self._ask(byhand.ASK_ARENA_BASE, arena) % WORD

    def arena_l1(self, arena):
        """arenaIdx.l1: index of arena ``arena`` in the first level of the arenas map; 0 where the map is flat."""
        return self._ask(byhand.ASK_ARENA_L1, arena)

    def arena_l2(self, arena):
        """arenaIdx.l2: index of arena ``arena`` in the second level."""
        return self._ask(byhand.ASK_ARENA_L2, arena)

    def in_heap(self, addr):
        """inheap: whether ``addr`` lies in a heap span in use."""
        return bool(self._ask(byhand.ASK_IN_HEAP, addr))

    def in_heap_or_stack(self, addr):
        """inHeapOrStack: whether ``addr`` lies in a heap span or in a manual span."""
        return bool(self._ask(byhand.ASK_IN_HEAP_OR_STACK, addr))

    def span_of(self, addr):
        """spanOf: the span last at the page of ``addr``, even a dead one; None outside known arenas.

        As in Go, the record of a dead span may meanwhile be that of a span elsewhere, which does not hold ``addr``.
        """
        return self._span(self._ask(byhand.ASK_SPAN_OF, addr))

    def span_of_heap(self, addr):
        """spanOfHeap: the heap span in use that holds ``addr``, else None."""
        return self._span(self._ask(byhand.ASK_SPAN_OF_HEAP, addr))

    def span_of_unchecked(self, addr):
        """spanOfUnchecked: as :meth:`span_of`, but an address outside known arenas is a fault."""
        self._in_arena(addr)
        return self._span(self._ask(byhand.ASK_SPAN_OF_UNCHECKED, addr))

    def page_index_of(self, addr):
        """pageIndexOf: arena index, byte and mask of the page of ``addr`` in the per-page bitmaps of its arena."""
        self._in_arena(addr)
        self._ask(byhand.ASK_PAGE_INDEX, addr)
        byte, mask = int(self._out[1]), int(self._out[2])
        return PageIndex(self.arena_index(addr), byte, mask)

    def _in_arena(self, addr):
        if not 0 <= addr <= go.MAX_ADDRESS or not self._ask(byhand.ASK_ARENA, addr):
            self._throw("invalid memory address or nil pointer dereference")

    def spans(self):
        """All spans in use, heap and manual, by rising address."""
        self._check()
        return [take_span(self.state, index) for index in span_indexes(self.state)]

    def arena_hints(self):
        """The arena hints, the next to be tried first."""
        self._check()
        n = int(self.state.h.n_hints)
        return [ArenaHint(int(hint.addr), bool(hint.down)) for hint in self.state.h.hints[:n][::-1]]

    def memstats(self):
        """runtime.ReadMemStats, without its flush of the mcaches: a dict with Go's names, in bytes and counts."""
        self._check()
        return read_memstats(self.state.h)

    def snapshot(self):
        """The heap as it is, as plain arrays for figures (:class:`Snapshot`)."""
        self._check()
        return take_snapshot(self.state, int(self.state.h.event), self.memstats())

    def dump(self):
        """The state as text, in the words of Go's debug prints."""
        self._check()
        return dump(self.state)

    def verify(self):
        """Recount everything.

        Raises
        ------
        InvariantError
            If an account is not what the recount says, which is a bug in mheaplab.
        """
        self._check()
        try:
            with np.errstate(over="ignore"):
                verify_heap(self.state.h)
        except Violation as err:
            which, *numbers = err.args
            raise InvariantError(f"{which}: {INVARIANTS[which]} ({' '.join(str(n) for n in numbers)})") from err
