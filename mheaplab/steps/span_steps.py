"""One malloc, the part that deals in pages: what happens from mheap.alloc down when a new span is needed.

In Go's order: make room by sweeping (reclaim), take the pages from the P's page cache or from the page allocator, grow
the heap if it has none, get a record for the span, give it its bitmaps, and make the pages point at it.  The functions
are of the same kind as those of ``object_steps``; each is told only if the state shows that it happened.
"""

from ..runtime.structs import NO_P, PAGE_SIZE, RECLAIM_DONE
from .look import Step, compared, many, read_once, span_name

PAGE = int(PAGE_SIZE)
NOWHERE = (1 << 47) - 1
"""searchAddr of a heap without a free page (maxSearchAddr)."""


def new_span(b, call):
    """Return the number of the span that the call has allocated, 0 if none was."""
    index = b.span_index(call.addr)
    return index if b.allocated_now(index) else 0


def reclaim(a, b, call):
    """mheap.reclaim: as long as sweeping goes on, free as many pages as will be taken."""
    if not new_span(b, call) or int(a.h.sweep_drained):
        return None
    at = [int(look.h.reclaim_index) for look in (a, b)]
    readings = (
        compared("reclaimIndex", *("done" if v >= int(RECLAIM_DONE) else v for v in at)),
        compared("reclaimCredit, pages", int(a.h.reclaim_credit), int(b.h.reclaim_credit)),
        compared("pagesSwept", int(a.h.pages_swept), int(b.h.pages_swept)),
    )
    text = "Sweeping is not done, so pages are freed before any are taken: from spans without a mark, or on credit."
    if at[0] >= int(RECLAIM_DONE):
        text = "Sweeping is not done, but reclaim has gone through all arenas: nothing to do."
    return Step("mheap.reclaim", "mheap.go", text, readings, "before", (), ("pageInUse", "pageMarks"))


PREFERRED = ("The lowest", "Best fit: the lowest of the smallest that are long enough, a", "Next fit: the next")
"""How a placement policy chooses, by its number: the beginning of a sentence."""


def asks_cache(a, b, call):
    """Return whether mheap.allocSpan asked the page cache of a P for the new span's pages."""
    npages = int(b.row(new_span(b, call))["npages"])
    return call.p != NO_P and npages < int(a.h.params.page_cache_pages) // 4


def from_cache(a, b, call):
    """Return the look in whose page cache the new span's pages were: ``b`` if the call filled it; None for neither."""
    if not asks_cache(a, b, call):
        return None
    look = a if int(a.h.allp[call.p].pcache.cache) else b
    c = look.h.allp[call.p].pcache
    at = (int(b.row(new_span(b, call))["start_addr"]) - int(c.base_addr)) // PAGE
    if not int(c.base_addr) or not 0 <= at < int(a.h.params.page_cache_pages):
        return None
    # Filling takes all free pages of the block, so a span that is in it must have come out of the cache.
    return look if look is b or int(c.cache) >> at & 1 else None


def page_cache(a, b, call):
    """The first part of mheap.allocSpan: pages from the P's page cache, which allocToCache fills if it is empty."""
    index = new_span(b, call)
    if not index or call.p == NO_P or not a.h.params.page_cache_pages:
        return None
    npages = int(b.row(index)["npages"])
    if not asks_cache(a, b, call):
        text = f"{npages} pages are {int(a.h.params.page_cache_pages) // 4} or more: the P's page cache is not asked."
        return Step("mheap.allocSpan", "mheap.go", text, (), "before", (), ("pageCache",))
    old, new = (look.h.allp[call.p].pcache for look in (a, b))
    ones = [int(c.cache).bit_count() for c in (old, new)]
    readings = (
        compared("pageCache.base", *(f"{int(c.base_addr):#x}" for c in (old, new))),
        compared("pageCache.cache, pages", *ones),
        compared("pageCache.scav, pages", *(int(c.scav).bit_count() for c in (old, new))),
    )
    filled = not ones[0] and bool(new.base_addr)
    found = from_cache(a, b, call) is not None
    block = f"{int(a.h.params.page_cache_pages)} at {int(new.base_addr):#x}" if filled else ""
    text = _page_cache_text(npages, ones, block, found)
    go, file = ("pageAlloc.allocToCache", "mpagecache.go") if filled else ("mheap.allocSpan", "mheap.go")
    return Step(go, file, text, readings, "after" if filled or found else "before", (), ("pageCache", "alloc"))


def _page_cache_text(npages, ones, block, found):
    """Return how a page cache served that had ``ones`` pages before and after; ``block``: what it was filled from."""
    row = "" if npages == 1 else " in a row"
    if block:
        free = ones[1] + (npages if found else 0)
        text = "The page cache is empty, so allocToCache fills it with the free pages of the block of"
        text += f" {block}: {free}."
        if found:
            return f"{text} The span takes {npages}, {ones[1]} stay for the next."
        return f"{text} These are not {npages} in a row: they stay for the next, and the page allocator is asked."
    if found:
        return f"The P's page cache has {many(npages, 'free page')}{row}: taken without the heap's lock."
    if ones[0]:
        return f"The P's page cache has {many(ones[0], 'page')}, but not {npages} in a row: it stays as it is."
    return "The page cache is empty, and allocToCache finds no free page in the whole heap to fill it with."


def sys_alloc(a, b, call):
    """mheap.sysAlloc: a new arena, at the address of the first hint that works."""
    arenas = [int(look.h.heap_arenas_len) - 1 for look in (a, b)]
    if not new_span(b, call) or arenas[0] == arenas[1]:
        return None
    rows = b.tables["heap_arenas"][-1]
    index = int(rows["arena_idx"])
    readings = [compared("allArenas", *arenas)]
    n = int(a.h.n_hints)
    if n:
        hints = [int(look.h.hints[n - 1].addr) for look in (a, b)]
        readings.append(compared("arenaHints, first", *(f"{v:#x}" for v in hints)))
        readings.append(compared("arenaHints", n, int(b.h.n_hints)))
    readings.append(compared("Reserved, bytes", int(a.h.stats.reserved), int(b.h.stats.reserved)))
    mib = b.arena_bytes >> 20
    text = (
        f"No arena has room for more: {arenas[1] - arenas[0]} of {mib} MiB is reserved, the last with number {index:,}."
        " Reserved is address space, no memory yet. The hint moves on to where the next arena should go."
    )
    return Step("mheap.sysAlloc", "malloc.go", text, tuple(readings))


def grow(a, b, call):
    """mheap.grow: whole chunks of 4 MiB of the current arena go to the page allocator."""
    ends = [int(look.h.cur_arena_base) for look in (a, b)]
    if not new_span(b, call) or ends[0] == ends[1]:
        return None
    grown = [_mapped(look) for look in (a, b)]
    text = (
        f"The page allocator gets {grown[1] - grown[0]:,} pages more, all free and all marked scavenged:"
        " mapped by now, but no page is touched yet."
    )
    readings = (
        compared("curArena.base", *(f"{v:#x}" for v in ends)),
        compared("pages of the page allocator", *grown),
        compared("Prepared, bytes", int(a.h.stats.prepared), int(b.h.stats.prepared)),
        compared("HeapReleased, bytes", int(a.h.stats.heap_released), int(b.h.stats.heap_released)),
    )
    return Step("mheap.grow", "mheap.go", text, readings, "after", (), ("scavenged",))


def _mapped(look):
    ranges = look.tables["in_use"]
    return int((ranges["limit"] - ranges["base_addr"]).sum()) // PAGE


def page_alloc(a, b, call):
    """pageAlloc.alloc: the lowest free run of pages that is long enough, or the one that the policy prefers."""
    index = new_span(b, call)
    if not index or from_cache(a, b, call) is not None:
        return None
    row = b.row(index)
    start, npages = int(row["start_addr"]), int(row["npages"])
    search = [int(look.h.search_addr) for look in (a, b)]
    bits = {name: [look.chunk_count(start, name) for look in (a, b)] for name in ("alloc", "scavenged")}
    what = f"run of {npages:,} free pages begins at" if npages > 1 else "free page is"
    text = f"{PREFERRED[int(a.h.params.placement)]} {what} {start:#x}."
    if int(row["scav"]):
        text += f" {int(row['scav']):,} bytes of it were scavenged: sysUsed tells the OS that they are needed."
    readings = (
        compared("searchAddr", *("maxSearchAddr" if v >= NOWHERE else f"{v:#x}" for v in search)),
        compared("alloc bits of the chunk, pages", *bits["alloc"]),
        compared("scavenged bits of the chunk, pages", *bits["scavenged"]),
    )
    return Step("pageAlloc.alloc", "mpagealloc.go", text, readings, "after", (), ("alloc", "scavenged"))


def span_record(a, b, call):
    """mheap.tryAllocMSpan and allocMSpanLocked: a record for the span, from the P's cache of records."""
    index = new_span(b, call)
    if not index:
        return None
    readings = [compared("allspans", int(a.h.allspans), int(b.h.allspans))]
    made = int(b.h.allspans) - int(a.h.allspans)
    # Without the heap's lock only if the pages came so too, and the P has a record left.
    unlocked = from_cache(a, b, call) is not None and not made
    go = "mheap.tryAllocMSpan" if unlocked else "mheap.allocMSpanLocked"
    text = "A record for the span comes from the P's mspancache."
    if call.p != NO_P:
        readings.insert(0, compared("mspancache.len", *(int(look.h.allp[call.p].mspancache.n) for look in (a, b))))
    if call.p == NO_P:
        text = "Without a P, the span's record comes from fixalloc."
    elif made:
        text = f"The P's mspancache is empty: {made} records come from fixalloc, all into allspans, and one is taken."
    readings.append(compared("MSpanInuse, bytes", int(a.h.spanalloc.in_use), int(b.h.spanalloc.in_use)))
    return Step(go, "mheap.go", text, tuple(readings))


def init_span(a, b, call):
    """The middle of mheap.allocSpan, later Go's initSpan: what the span is, its bitmaps, whether it must be zeroed."""
    index = new_span(b, call)
    if not index:
        return None
    span, row = b.span(index), b.row(index)
    pages = "1 page holds" if span.npages == 1 else f"{span.npages:,} pages hold"
    if span.sizeclass:
        text = f"{pages} {many(span.nelems, 'slot')} of {span.elemsize:,} bytes."
    else:
        text = f"{pages} one object, of {span.limit - span.base:,} bytes."
    zeroed = [0 if look.arena(span.base) is None else int(look.arena(span.base)["zeroed_base"]) for look in (a, b)]
    dirty = "may hold old contents" if span.needzero else "was never used, so it is zero"
    text += f" Two bitmaps with a bit per slot come from gcBitsArenas, both all 0. The memory {dirty}."
    readings = (
        read_once("nelems", span.nelems),
        read_once("allocBits, word", int(row["alloc_bits"])),
        read_once("gcmarkBits, word", int(row["gcmark_bits"])),
        compared("heapArena.zeroedBase", *(f"{v:#x}" for v in zeroed)),
        read_once("needzero", int(span.needzero)),
    )
    return Step("mheap.allocSpan", "mheap.go", text, readings, "after", ("allocBits", "gcmarkBits"))


def set_spans(a, b, call):
    """The end of mheap.allocSpan: the pages point at the span, and the accounts know of it."""
    index = new_span(b, call)
    if not index:
        return None
    base = int(b.row(index)["start_addr"])
    stats = [look.h.stats for look in (a, b)]
    owner = [(look, look.span_index(base)) for look in (a, b)]
    readings = (
        compared("spanOf", *(span_name(look, k) if k else "nil" for look, k in owner)),
        compared("pageInUse, bit of the first page", *(look.page_bit(base, "page_in_use") for look in (a, b))),
        compared("pagesInUse", int(a.h.pages_in_use), int(b.h.pages_in_use)),
        compared("HeapInuse, bytes", *(int(s.heap_in_use) for s in stats)),
        compared("free and backed, bytes", *(int(s.heap_free) for s in stats)),
        compared("HeapReleased, bytes", *(int(s.heap_released) for s in stats)),
    )
    text = f"Every page of the span points at its record, so that from now on {base:#x} leads to it."
    return Step("mheap.setSpans", "mheap.go", text, readings, "after", (), ("pageInUse",))
