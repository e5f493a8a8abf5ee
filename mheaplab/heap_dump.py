"""The state of a heap as text, in the words of Go's own debug prints (freeSpanLocked, find, gctrace, scavtrace)."""

from .runtime.structs import ARENA_BASE_OFFSET, SPAN_IN_USE
from .spans import span_indexes, take_span

KIB = 1024


def _heap_lines(h):
    st = h.stats
    yield (
        f"mheap sweepgen {int(h.sweepgen)} sweepDrained {int(h.sweep_drained)} gcphase {int(h.gcphase)} "
        f"pagesInUse {int(h.pages_in_use)} pagesSwept {int(h.pages_swept)} reclaimCredit {int(h.reclaim_credit)}"
    )
    yield (
        f"curArena [{int(h.cur_arena_base):#x}, {int(h.cur_arena_end):#x}) searchAddr {int(h.search_addr):#x} "
        f"arenaHints {int(h.n_hints)} allspans {int(h.allspans)}"
    )
    yield (
        f"heapInUse {int(st.heap_in_use) // KIB} KiB heapFree {int(st.heap_free) // KIB} KiB "
        f"heapReleased {int(st.heap_released) // KIB} KiB inStacks {int(st.in_stacks) // KIB} KiB"
    )
    yield (
        f"os Reserved {int(st.reserved) // KIB} KiB Prepared {int(st.prepared) // KIB} KiB "
        f"Ready {int(st.ready) // KIB} KiB"
    )


def _arena_lines(state):
    h = state.h
    log_bytes = int(h.params.log_arena_bytes)
    for row in state.tables["heap_arenas"][1 : int(h.heap_arenas_len)]:
        index, zeroed = int(row["arena_idx"]), int(row["zeroed_base"])
        at = (index << log_bytes) - int(ARENA_BASE_OFFSET)
        yield f"arena {index} [{at:#x}, {at + (1 << log_bytes):#x}) zeroedBase {zeroed:#x}"
    for row in state.tables["in_use"][: int(h.in_use_len)]:
        yield f"inUse [{int(row['base_addr']):#x}, {int(row['limit']):#x})"


def _p_lines(h):
    for p, pp in enumerate(h.allp):
        c = pp.pcache
        if c.cache:
            yield f"P{p} pageCache base {int(c.base_addr):#x} cache {int(c.cache):#018x} scav {int(c.scav):#018x}"
        if pp.mspancache.n:
            yield f"P{p} mspancache {int(pp.mspancache.n)}"
        if pp.mcache.tiny:
            yield f"P{p} tiny {int(pp.mcache.tiny):#x} tinyoffset {int(pp.mcache.tinyoffset)}"


def dump(state):
    """Return the state of a ``HeapState`` as text: heap, arenas, Ps, then one line per span and per special."""
    lines = [*_heap_lines(state.h), *_arena_lines(state), *_p_lines(state.h)]
    for index in span_indexes(state):
        one = take_span(state, index)
        lines.append(str(one))
        if state.tables["spans"][index]["state"] == SPAN_IN_USE:
            lines += [f"  special {s.kind} {s.addr:#x} value {s.value}" for s in one.specials]
    return "\n".join(lines)
