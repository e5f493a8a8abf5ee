"""Recounts: the heap's invariants, each with a number, a sentence and a function that checks it from the ground up.

Nothing here trusts a counter: pages are counted in the bitmaps, spans in their table, set entries in the sets.  A
failed recount raises ``Violation(id, numbers...)``; the sentence for the id stands in ``INVARIANTS``.  ``verify_heap``
checks all of them; it is run after every batch of events at check level 1 and after every event at level 2.

Where Go says so: pagesInUse in export_test.go CountPagesInUse; accounts in allocSpan, freeSpanLocked, grow;
pageAlloc.searchAddr, SummarizeSlow; the comments of mspan.freeindex, allocCache, sweepgen; mcentral.cacheSpan.
"""

import numpy as np

from ._jit import kentry, kjit
from .intrinsics import popcount64
from .mbitmap import mspan_allocated_word
from .mheap_arena import arena_of, arena_page, span_of
from .mheap_gcbits import bitmap_words
from .mpagealloc import LEAF, chunk_base, chunk_of, level_index, merge_summaries
from .mpallocbits import FULL, U0, U1, low_mask, pack_palloc_sum
from .mranges import addr_ranges_contains
from .mspanset import (
    mcentral_full_swept,
    mcentral_full_unswept,
    mcentral_partial_swept,
    mcentral_partial_unswept,
)
from .structs import (
    MAX_PS,
    PAGE_SHIFT,
    PAGE_SIZE,
    SPAN_ALLOC_PTR_SCALAR_BITS,
    SPAN_ALLOC_STACK,
    SPAN_DEAD,
    SPAN_IN_USE,
    SPAN_SET_BLOCK_ENTRIES,
    SUMMARY_LEVEL_BITS,
)
from .tables import gc_bits, in_use_range, set_block, span, summary
from .verify_lists import Violation, verify_bitmap_arenas, verify_os, verify_specials, verify_stacks

INVARIANTS = {
    "H1": "pages_in_use is the sum of npages over heap spans in use",
    "H2": "every page of a span maps to that span in its arena",
    "H3": "heap, stack and other manual spans' bytes are what the accounts say",
    "H4": "the accounts of in-use, free, released and manual bytes sum to the bytes mapped",
    "H5": "released bytes are the scavenged pages, free bytes the other free pages",
    "H6": "the page_in_use bit is set for the first page of heap spans in use, and only for those",
    "P1": "a page's alloc bit is set exactly when it is in a span or in a page cache",
    "P2": "a scavenged page is not allocated",
    "P3": "a leaf summary is that of its bitmap, an inner one the merge of its children",
    "P4": "no page below search_addr is free",
    "S1": "alloc_count is freeindex plus the alloc bits from freeindex on",
    "S2": "alloc_cache is the complement of alloc_bits, shifted to freeindex",
    "S3": "a marked object is allocated",
    "S4": "sweepgen of a heap span is h-2, h, h+1 or h+3, and h-2 only while spans are left to sweep",
    "S5": "a swept span is in exactly one swept set or one mcache, an unswept one in one unswept set",
    "S6": "a span in a swept partial set has a free object, one in a full set none",
    "A1": "every page of a span lies below its arena's zeroed_base",
    "B1": "bits_words counts the words of one bitmap per heap span",
    "C1": "per class, objects allocated minus freed are the objects in spans",
    "F1": "span records are in use, in a P's cache or on the free list, and allspans and fixalloc count them so",
    "O1": "the OS backs what is not released, and nothing else of the heap",
    "G1": "a bitmap arena is in exactly one of the lists free, next, current, previous, and gc_bits_sys counts them",
    "G2": "no span has a bitmap in a free bitmap arena",
    "K1": "the stacks of a pool's span are its alloc_count and those in its free list",
    "K2": "a stack cache holds stacks of its size, and as many bytes as it says",
    "L1": "a span list is linked both ways, its spans know it, and large free stacks wait only while marking",
    "O2": "Reserved, Prepared and Ready bytes sum to the arenas",
    "O3": "the simulated OS has sorted, separate ranges, and every arena is in one",
    "O4": "the arenas map leads to every arena, and its first level says that the second is there",
    "T1": "specials are sorted by offset and kind, on allocated objects; the page_specials bit says if there are any",
    "T2": "per kind, special records in use are those in the lists of spans",
    "U1": "address ranges in use are sorted and apart",
}


@kjit
def _verify_span_counts(h):
    """H1, H3, B1, F1: sums over the table of spans."""
    in_use, words, records, free = 0, 0, 0, 0
    heap, stacks, ptr_scalar, work = 0, 0, 0, 0
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.unused != 0:
            free += 1
        if s.state == SPAN_DEAD:
            continue
        records += 1
        nbytes = np.int64(s.npages) * PAGE_SIZE
        if s.state == SPAN_IN_USE:
            in_use += np.int64(s.npages)
            words += bitmap_words(s.nelems)
            heap += nbytes
        elif s.alloc_type == SPAN_ALLOC_STACK:
            stacks += nbytes
        elif s.alloc_type == SPAN_ALLOC_PTR_SCALAR_BITS:
            ptr_scalar += nbytes
        else:
            work += nbytes
    if in_use != h.pages_in_use:
        raise Violation("H1", in_use, h.pages_in_use)
    if heap != h.stats.heap_in_use or stacks != h.stats.in_stacks:
        raise Violation("H3", heap, h.stats.heap_in_use, stacks, h.stats.in_stacks)
    if ptr_scalar != h.stats.in_ptr_scalar_bits or work != h.stats.in_work_bufs:
        raise Violation("H3", ptr_scalar, h.stats.in_ptr_scalar_bits, work, h.stats.in_work_bufs)
    if words != h.bits_words:
        raise Violation("B1", words, h.bits_words)
    _verify_span_records(h, records, free)


@kjit
def _verify_span_records(h, records, unused):
    """F1: every span record is in use, in a P's cache, or on the free list, and the accounts know how many."""
    f = h.spanalloc
    item = np.int64(f.item_bytes)
    cached, listed = 0, 0
    for p in range(MAX_PS):
        cached += np.int64(h.allp[p].mspancache.n)
    at = np.int64(f.free)
    while at != 0 and listed <= unused:
        listed += 1
        at = np.int64(span(h, at).free_link)
    made = np.int64(h.spans_len) - 1
    if cached + listed != unused or records + unused != made or made != h.allspans:
        raise Violation("F1", records, unused, cached, listed, made, h.allspans)
    if (records + cached) * item != f.in_use or (made + np.int64(f.chunk_left)) * item != f.sys:
        raise Violation("F1", records, cached, f.in_use, made, f.chunk_left, f.sys)


@kjit
def _verify_span_pages(h):
    """H2, H6, A1: what arenas know of each span."""
    arena_mask = (np.int64(1) << np.int64(h.params.log_arena_bytes)) - 1
    marks = 0
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state == SPAN_DEAD:
            continue
        start = np.int64(s.start_addr)
        for k in range(np.int64(s.npages)):
            at = start + k * PAGE_SIZE
            if span_of(h, at) != i:
                raise Violation("H2", i, at, span_of(h, at))
            if (at & arena_mask) + PAGE_SIZE > np.int64(arena_of(h, at).zeroed_base):
                raise Violation("A1", i, at, arena_of(h, at).zeroed_base)
        page = arena_page(h, start)
        bit = (arena_of(h, start).page_in_use[page >> 6] >> np.uint64(page & 63)) & U1
        if s.state == SPAN_IN_USE:
            marks += 1
            if bit == U0:
                raise Violation("H6", i, start)
    for c in range(h.chunk_start, h.chunk_end):
        at = chunk_base(c)
        if not addr_ranges_contains(h, at):
            continue
        first = arena_page(h, at) >> 6
        for word in range(first, first + 8):
            marks -= popcount64(arena_of(h, at).page_in_use[word])
    if marks != 0:
        raise Violation("H6", marks)


@kjit
def _cached_word(h, addr):
    """The pages of the 64-page block at ``addr`` that page caches own."""
    owned = U0
    for p in range(MAX_PS):
        c = h.allp[p].pcache
        offset = (np.int64(c.base_addr) - addr) >> PAGE_SHIFT
        if c.cache != U0 and 0 <= offset and offset < 64:
            owned |= c.cache << np.uint64(offset)
    return owned


@kjit
def _spanned_word(h, addr):
    """The pages of the 64-page block at ``addr`` that are in a span."""
    pages = U0
    for k in range(64):
        at = addr + k * PAGE_SIZE
        index = span_of(h, at)
        if index != 0 and span(h, index).state != SPAN_DEAD:
            s = span(h, index)
            start = np.int64(s.start_addr)
            if start <= at and at < start + np.int64(s.npages) * PAGE_SIZE:
                pages |= U1 << np.uint64(k)
    return pages


@kjit
def _verify_chunks(h):
    """P1, P2, P4 and the page counts of H5, chunk by chunk."""
    released, free = 0, 0
    for c in range(h.chunk_start, h.chunk_end):
        if not addr_ranges_contains(h, chunk_base(c)):
            continue
        data = chunk_of(h, c)
        for word in range(8):
            addr = chunk_base(c) + word * 64 * PAGE_SIZE
            alloc = data.alloc.w[word]
            if alloc != _spanned_word(h, addr) | _cached_word(h, addr):
                raise Violation("P1", addr, alloc, _spanned_word(h, addr), _cached_word(h, addr))
            if alloc & data.scavenged.w[word] != U0:
                raise Violation("P2", addr, alloc, data.scavenged.w[word])
            below = min(max((np.int64(h.search_addr) - addr) >> PAGE_SHIFT, np.int64(0)), np.int64(64))
            if ~alloc & low_mask(below) != U0:
                raise Violation("P4", addr, h.search_addr)
            released += popcount64(data.scavenged.w[word])
            free += popcount64(~alloc & ~data.scavenged.w[word])
    for p in range(MAX_PS):
        cache = h.allp[p].pcache
        released += popcount64(cache.cache & cache.scav)
        free += popcount64(cache.cache & ~cache.scav)
    if released * PAGE_SIZE != h.stats.heap_released or free * PAGE_SIZE != h.stats.heap_free:
        raise Violation("H5", released * PAGE_SIZE, h.stats.heap_released, free * PAGE_SIZE, h.stats.heap_free)


@kjit
def _verify_accounts(h):
    """H4 and U1."""
    st = h.stats
    total = np.int64(st.heap_in_use) + np.int64(st.heap_free) + np.int64(st.heap_released)
    total += np.int64(st.in_stacks) + np.int64(st.in_ptr_scalar_bits) + np.int64(st.in_work_bufs)
    if total != np.int64(st.prepared) + np.int64(st.ready):
        raise Violation("H4", total, st.prepared, st.ready)
    if st.prepared != st.heap_released:
        raise Violation("O1", st.prepared, st.heap_released)
    owned = (np.int64(h.heap_arenas_len) - 1) << np.int64(h.params.log_arena_bytes)
    if owned != np.int64(st.reserved) + np.int64(st.prepared) + np.int64(st.ready):
        raise Violation("O2", owned, st.reserved, st.prepared, st.ready)
    for k in range(np.int64(h.in_use_len)):
        r = in_use_range(h, k)
        if r.base_addr >= r.limit:
            raise Violation("U1", r.base_addr, r.limit)
        if k > 0 and np.int64(in_use_range(h, k - 1).limit) >= np.int64(r.base_addr):
            raise Violation("U1", in_use_range(h, k - 1).limit, r.base_addr)


@kjit
def summarize_slow(h, c):
    """The summary of chunk ``c``, page by page (SummarizeSlow of Go's export_test.go)."""
    bits = chunk_of(h, c).alloc
    start, most, run = 0, 0, 0
    touched = False
    for i in range(512):
        if (bits.w[i >> 6] >> np.uint64(i & 63)) & U1 == U0:
            run += 1
            most = max(most, run)
        else:
            if not touched:
                start = run
            touched = True
            run = 0
    if not touched:
        start = run
    return pack_palloc_sum(start, most, run)


@kjit
def _verify_summaries(h):
    """P3: the tree, level by level over the part in use."""
    if h.chunk_end == 0:
        return
    for c in range(h.chunk_start, h.chunk_end):
        want = summarize_slow(h, c) if addr_ranges_contains(h, chunk_base(c)) else U0
        if summary(h, LEAF, c) != want:
            raise Violation("P3", LEAF, c, summary(h, LEAF, c), want)
    low = chunk_base(h.chunk_start)
    high = chunk_base(h.chunk_end) - 1
    for level in range(LEAF):
        for i in range(level_index(h, level, low), level_index(h, level, high) + 1):
            want = merge_summaries(h, np.int64(level + 1), np.int64(i) << SUMMARY_LEVEL_BITS)
            if summary(h, level, i) != want:
                raise Violation("P3", level, i, summary(h, level, i), want)


@kjit
def _verify_span_objects(h):
    """S1, S2, S3, S4: the objects of each heap span."""
    gen = np.int64(h.sweepgen)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state != SPAN_IN_USE:
            continue
        nelems = np.int64(s.nelems)
        freeindex = np.int64(s.freeindex)
        marks = gc_bits(h, s.gcmark_bits)
        count = 0
        for word in range(bitmap_words(nelems)):
            exist = low_mask(min(nelems - word * 64, np.int64(64)))
            allocated = mspan_allocated_word(h, s, np.int64(word)) & exist
            count += popcount64(allocated)
            if marks.word[word] & ~allocated != U0:
                raise Violation("S3", s.start_addr, word, marks.word[word], allocated)
        if count != np.int64(s.alloc_count):
            raise Violation("S1", s.start_addr, count, s.alloc_count, freeindex, nelems)
        if freeindex < nelems and s.spanclass >> 1 != 0:
            taken = gc_bits(h, s.alloc_bits).word[freeindex >> 6]
            if s.alloc_cache != (taken ^ FULL) >> np.uint64(freeindex & 63):
                raise Violation("S2", s.start_addr, s.alloc_cache, taken, freeindex)
        sg = np.int64(s.sweepgen)
        if sg != gen and sg != gen + 3 and sg != gen + 1 and (sg != gen - 2 or h.sweep_drained != 0):
            raise Violation("S4", s.start_addr, sg, gen, h.sweep_drained)


@kjit
def _count_set(h, q, swept, full):
    """Add one to ``seen`` of every span in set ``q`` that belongs there, stale entries left out; S6 for swept sets."""
    gen = np.int64(h.sweepgen)
    b = np.int64(q.head_block)
    for k in range(q.head, q.tail):
        index = np.int64(set_block(h, b).spans[np.int64(k) & (SPAN_SET_BLOCK_ENTRIES - 1)])
        s = span(h, index)
        current = s.state == SPAN_IN_USE and np.int64(s.sweepgen) == (gen if swept else gen - 2)
        if current:
            s.seen += np.uint32(1)
        if swept and (not current or full != (s.alloc_count == s.nelems)):
            raise Violation("S6", s.start_addr, s.alloc_count, s.nelems, s.sweepgen, gen)
        if (np.int64(k) + 1) & (SPAN_SET_BLOCK_ENTRIES - 1) == 0:
            b = np.int64(set_block(h, b).next)


@kjit
def _verify_sets(h):
    """S5, S6: every heap span stands where its sweepgen says."""
    gen = np.int64(h.sweepgen)
    for i in range(1, np.int64(h.spans_len)):
        span(h, i).seen = np.uint32(0)
    for spc in range(2 * np.int64(h.params.n_classes)):
        _count_set(h, mcentral_partial_swept(h, spc), np.bool_(True), np.bool_(False))
        _count_set(h, mcentral_full_swept(h, spc), np.bool_(True), np.bool_(True))
        _count_set(h, mcentral_partial_unswept(h, spc), np.bool_(False), np.bool_(False))
        _count_set(h, mcentral_full_unswept(h, spc), np.bool_(False), np.bool_(True))
    for p in range(MAX_PS):
        c = h.allp[p].mcache
        for spc in range(2 * np.int64(h.params.n_classes)):
            if c.alloc[spc] != 0:
                s = span(h, c.alloc[spc])
                s.seen += np.uint32(1)
                sg = np.int64(s.sweepgen)
                if sg != gen + 3 and sg != gen + 1:
                    raise Violation("S5", s.start_addr, p, spc, sg, gen)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state == SPAN_IN_USE and s.seen != 1:
            raise Violation("S5", s.start_addr, s.spanclass, s.sweepgen, gen, s.seen)


@kjit
def _verify_object_counts(h):
    """C1: objects in spans are those allocated and not freed, per size class."""
    n = np.int64(h.params.n_classes)
    live = np.zeros(n, np.int64)
    for i in range(1, np.int64(h.spans_len)):
        s = span(h, i)
        if s.state == SPAN_IN_USE:
            # What the mcache has handed out since it took the span is counted when it gives the span back.
            uncounted = np.int64(0)
            if np.int64(s.sweepgen) == np.int64(h.sweepgen) + 3 or np.int64(s.sweepgen) == np.int64(h.sweepgen) + 1:
                uncounted = np.int64(s.alloc_count) - np.int64(s.alloc_count_before_cache)
            live[np.int64(s.spanclass) >> 1] += np.int64(s.alloc_count) - uncounted
    st = h.stats
    if live[0] != np.int64(st.large_alloc_count) - np.int64(st.large_free_count):
        raise Violation("C1", 0, live[0], st.large_alloc_count, st.large_free_count)
    for c in range(1, n):
        if live[c] != np.int64(st.small_alloc_count[c]) - np.int64(st.small_free_count[c]):
            raise Violation("C1", c, live[c], st.small_alloc_count[c], st.small_free_count[c])


@kentry
def verify_heap(h):
    """Check every invariant of ``INVARIANTS``; raises ``Violation`` at the first that does not hold."""
    _verify_span_counts(h)
    _verify_span_pages(h)
    _verify_accounts(h)
    verify_os(h)
    verify_bitmap_arenas(h)
    verify_specials(h)
    verify_stacks(h)
    _verify_chunks(h)
    _verify_summaries(h)
    _verify_span_objects(h)
    _verify_sets(h)
    _verify_object_counts(h)
