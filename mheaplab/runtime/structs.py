"""All record types of the kernel, one commented line per field: what Go keeps in structs, in Go's words.

The heap is one record, ``HEAP``.  What has a fixed size stands in it by value (the Ps with their caches, the centrals,
the page allocator's roots, the accounts, the parameters).  What grows with the heap stands in *tables* beside it
(``TABLES``): arrays of ``MSPAN``, ``HEAP_ARENA``, ``PALLOC_DATA``, ... whose address, capacity and length the record
holds (``tables.py``).  Compiled functions get the heap as one pointer ``h`` and a span as a record ``s = span(h, i)``.

Rules.
* Index 0 of every table of records is nil, as Go's nil pointer; it is never handed out.  Span 0 is ``emptymspan``.
* Addresses, sizes and counts are int64; bitmaps are uint64; narrower unsigned types are for storage only and are read
  through ``np.int64(...)``.
* No field may have the name of a NumPy attribute (``base``, ``size``, ...): plain Python mode would find that first.

Simplified against Go: locks, lists of waiting goroutines and everything about types and stacks' contents is left out;
one heap is a value, so many may exist.  Follows runtime/mheap.go, mpagealloc.go, mcache.go, mcentral.go, mspanset.go
of Go 1.19, with the fields that 1.27 adds to the parameters.
"""

import numpy as np

from .mgcpacer_structs import GC_CONTROLLER
from .records import struct
from .sim_structs import CYCLE, SAMPLE, SIM, SWEEPERS

PAGE_SHIFT = np.int64(13)
PAGE_SIZE = np.int64(1 << 13)
"""Bytes of a runtime page."""
PALLOC_CHUNK_PAGES = np.int64(512)
LOG_PALLOC_CHUNK_BYTES = np.int64(22)
PALLOC_CHUNK_BYTES = np.int64(1 << 22)
PAGE_CACHE_PAGES = np.int64(64)
HEAP_ADDR_BITS = np.int64(48)
ARENA_BASE_OFFSET = np.int64(1 << 47)
"""Added to an address to order it (Go subtracts 0xffff800000000000, which is the same modulo 2**64)."""
MAX_ADDRESS = np.int64((1 << 47) - 1)
"""The highest address of a user process on linux/amd64."""
SUMMARY_LEVELS = 5
SUMMARY_L0_BITS = 14
SUMMARY_LEVEL_BITS = 3
PALLOC_CHUNKS_L2 = 1 << 13
"""Chunks in one second-level block of the chunk map (32 GiB of address space)."""
LOG_MAX_ARENA_BYTES = 26
MAX_PAGES_PER_ARENA = 1 << (LOG_MAX_ARENA_BYTES - 13)
MIN_LOG_ARENA_BYTES = 22
PAGES_PER_RECLAIMER_CHUNK = np.int64(512)
SPAN_SET_BLOCK_ENTRIES = np.int64(512)
GC_BITS_CHUNK_WORDS = np.int64(64 * 1024 // 8)
GC_BITS_HEADER_WORDS = np.int64(2)
MAX_OBJECTS_PER_SPAN = 1024
MAX_CLASSES = 128
"""Room for size classes (Go has 68), so that other tables can be tried."""
MAX_SPAN_CLASSES = 2 * MAX_CLASSES
MAX_PS = 256
NO_P = np.int64(255)
"""The P id of an event that ran without a P."""
MAX_SMALL_SIZE = 32768
MAX_TINY_SIZE = np.int64(16)
ARENA_HINTS = 128
MAX_HINTS = ARENA_HINTS + 4
MAX_ARENA_L1 = 64
"""Entries of the arena map's first level, where it has two levels (6 bits on windows/amd64; flat on linux)."""
MSPAN_CACHE_LEN = 128
"""Span records that a P keeps (pp.mspancache); it is refilled by half."""
FIX_ALLOC_CHUNK = np.int64(16 << 10)
"""Bytes that a fixalloc takes at a time."""
NUM_STACK_ORDERS = 4
"""Sizes of small stacks: 2, 4, 8 and 16 KiB."""
FIXED_STACK = np.int64(2048)
STACK_CACHE_SIZE = np.int64(32 << 10)
STACK_SLOTS_PER_SPAN = 16
STACK_LARGE_ORDERS = 35
"""Lists of large stacks, by log2 of their pages (heapAddrBits - pageShift)."""
ALLSPANS_FIRST_CAP = np.int64(64 * 1024 // 8)

# mspan states (mSpanState). Go has three since 1.12.
SPAN_DEAD = np.int64(0)
SPAN_IN_USE = np.int64(1)
SPAN_MANUAL = np.int64(2)
SPAN_STATE_NAMES = ("mSpanDead", "mSpanInUse", "mSpanManual")

# spanAllocType
SPAN_ALLOC_HEAP = np.int64(0)
SPAN_ALLOC_STACK = np.int64(1)
SPAN_ALLOC_PTR_SCALAR_BITS = np.int64(2)
SPAN_ALLOC_WORK_BUF = np.int64(3)

MANUAL_CLASS = np.int64(0xFFFF)
"""span_class of a manual span in the span log, as in the truth files."""

# gcphase
GC_OFF = np.int64(0)
GC_MARK = np.int64(1)

# Kinds of special, as Go 1.27 numbers them. Go 1.19 has three of them, in the same order.
SPECIAL_TINY_BLOCK = np.int64(1)
SPECIAL_FINALIZER = np.int64(2)
SPECIAL_WEAK_HANDLE = np.int64(3)
SPECIAL_PROFILE = np.int64(4)
SPECIAL_REACHABLE = np.int64(5)
SPECIAL_PIN_COUNTER = np.int64(6)
SPECIAL_CLEANUP = np.int64(7)
SPECIAL_NAMES = ("", "tiny block", "finalizer", "weak handle", "profile", "reachable", "pin counter", "cleanup")
SPECIAL_KINDS = len(SPECIAL_NAMES)

# Event kinds of a case
MALLOC = 0
SPAN_ALLOC = 1
SPAN_FREE = 2
SWEEP_START = 3
MCACHE_FLUSH = 4
SWEEPONE = 5
ENSURE_SWEPT = 6
SCAVENGE = 7
PCACHE_FLUSH = 8
ADD_SPECIAL = 9
REMOVE_SPECIAL = 10
STACK_ALLOC = 11
STACK_FREE = 12
GC_START = 13
# Event kinds that recorded cases do not have; a workload may.
SCAVENGE_ALL = 14
KIND_NAMES = (
    "MALLOC",
    "SPAN_ALLOC",
    "SPAN_FREE",
    "SWEEP_START",
    "MCACHE_FLUSH",
    "SWEEPONE",
    "ENSURE_SWEPT",
    "SCAVENGE",
    "PCACHE_FLUSH",
    "ADD_SPECIAL",
    "REMOVE_SPECIAL",
    "STACK_ALLOC",
    "STACK_FREE",
    "GC_START",
    "SCAVENGE_ALL",
)
RECORDED_KINDS = 14
"""Kinds below this one are what a recorded case may hold."""


# mspan: a run of pages. The first 64 bytes hold what malloc and sweep touch.
# Equations while in use: alloc_count = freeindex + ones of alloc_bits from freeindex on (for a span no longer being
# allocated from); alloc_cache = ~alloc_bits shifted right to freeindex.
MSPAN = struct(
    ("start_addr", "i8"),  # address of the first byte; 0 for nil
    ("alloc_cache", "u8"),  # complement of alloc_bits from freeindex on: ctz is the next free object
    ("elemsize", "i8"),  # bytes of an object slot; of a large span npages * page size
    ("npages", "i8"),  # pages
    ("div_mul", "u4"),  # ceil(2**32 / elemsize): division by multiplication; 0 for a large span
    ("sweepgen", "u4"),  # h-2 needs sweeping, h-1 being swept, h swept, h+1 cached before sweep, h+3 swept and cached
    ("alloc_bits", "u4"),  # word index in gc_bits of the bitmap of allocated objects; 0 none
    ("gcmark_bits", "u4"),  # word index in gc_bits of the bitmap of marked objects; 0 none
    ("freeindex", "u2"),  # objects below it are taken; from it on alloc_bits says
    ("nelems", "u2"),  # objects in the span
    ("alloc_count", "u2"),  # objects allocated
    ("alloc_count_before_cache", "u2"),  # alloc_count when the mcache took the span
    ("spanclass", "u1"),  # size class * 2 + noscan
    ("state", "u1"),  # SPAN_DEAD, SPAN_IN_USE, SPAN_MANUAL
    ("needzero", "u1"),  # 1: the memory may hold old contents
    ("alloc_type", "u1"),  # spanAllocType of the span: heap, stack, pointer/scalar bits, work buffer
    ("event", "u4"),  # low 32 bits of the event that allocated the span (for pictures only)
    ("limit", "i8"),  # end of the data: base + nelems * elemsize; of a large span base + the size asked for
    ("scav", "i8"),  # bytes that were scavenged when the span was allocated
    ("seen", "u4"),  # scratch of verify.py
    ("free_link", "u4"),  # next record of fixalloc's free list
    ("unused", "u4"),  # 1 while the record is in fixalloc's free list or in a P's cache
    ("next", "u4"),  # neighbours in the mSpanList that the span is in; 0 none
    ("prev", "u4"),
    ("list", "u4"),  # that list: 1 + its index in span_lists; 0 none
    ("specials", "u4"),  # first special of the span's list, sorted by offset and kind; 0 none
    ("slots", "u4"),  # stack pool's span: record of the links between its free stacks; 0 none
    ("manual_free_list", "i8"),  # address of the first free stack of a stack pool's span; 0 none
    ("tiny", "u4"),  # span of tiny blocks in a run of the twin's own: record of TINY_COUNTS; 0 none
    ("_pad", "u4"),
)
assert MSPAN.itemsize == 128

# heapArena: metadata of one arena; index in the table is the order of allocation (allArenas), from 1.
HEAP_ARENA = struct(
    ("spans", "u4", (MAX_PAGES_PER_ARENA,)),  # span of each page; stale for pages of no span
    ("page_in_use", "u8", (MAX_PAGES_PER_ARENA // 64,)),  # bit of the first page of each heap span in use
    ("page_marks", "u8", (MAX_PAGES_PER_ARENA // 64,)),  # bit of the first page of each span with a marked object
    ("page_specials", "u8", (MAX_PAGES_PER_ARENA // 64,)),  # bit of the first page of each span with specials
    ("zeroed_base", "i8"),  # first byte of the arena never used, as an offset; never decreases
    ("arena_idx", "i8"),  # arenaIdx: (address + ARENA_BASE_OFFSET) / arena bytes
)

# pageBits: one bit for each of the 512 pages of a chunk.
PAGE_BITS = struct(("w", "u8", (8,)))

# pallocData: one chunk of 512 pages.
PALLOC_DATA = struct(
    ("alloc", PAGE_BITS),  # pallocBits: 1 is allocated (in a span or in a page cache)
    ("scavenged", PAGE_BITS),  # 1 is free and returned to the OS
)

# special: a record hung on an object. Go's specialfinalizer, specialprofile, ... are the same with their payloads.
SPECIAL = struct(
    ("next", "u4"),  # next special of the span, or next free record
    ("kind", "u1"),  # SPECIAL_FINALIZER, ...; 0 while unused
    ("done", "u1"),  # specialReachable: sweeping has decided
    ("reachable", "u1"),  # specialReachable: and the object was reachable
    ("_pad", "u1", (1,)),
    ("offset", "i8"),  # bytes from the span's base to the object
    ("value", "i8"),  # what it carries: the function of a finalizer or cleanup, the bucket of a profile, ...
)

# Objects of the tiny allocator that the program can reach, by block of 16 bytes (512 in a span of Go's). In Go
# the collector knows which blocks are reachable; a run of the twin's own has to count.
TINY_COUNTS = struct(
    ("count", "u1", (MAX_OBJECTS_PER_SPAN,)),
    ("link", "u4"),  # next unused record
    ("_pad", "u4", (15,)),
)

# One row of the finalizer queue (finalizer of finblock), in the order in which sweeping found them.
FINALIZER = struct(
    ("arg", "i8"),  # address of the object, 0 for a cleanup
    ("fn", "i8"),  # the function
)

# The gclinkptrs between free stacks of one stack pool span. In Go they stand in the stacks themselves.
STACK_SLOTS = struct(
    ("next", "i8", (STACK_SLOTS_PER_SPAN,)),  # by slot: address of the next free stack, in the span or in a cache
    ("link", "u4"),  # next unused record
    ("_pad", "u4", (1,)),
)

# fixalloc: records of one size. in_use and sys are bytes, as MemStats has them.
FIXALLOC = struct(
    ("item_bytes", "i8"),  # bytes of a record in Go
    ("free", "u4"),  # free list: index of its first record
    ("_pad", "u4", (1,)),
    ("chunk_left", "i8"),  # records left in the current chunk
    ("in_use", "i8"),  # bytes handed out
    ("sys", "i8"),  # bytes taken from the OS
)

# mSpanList: first and last span.
SPAN_LIST = struct(("first", "u4"), ("last", "u4"))

# spanSetBlock. Go finds blocks by a spine array; here each block names the next, which keeps the same order.
SPAN_SET_BLOCK = struct(
    ("spans", "u4", (int(SPAN_SET_BLOCK_ENTRIES),)),
    ("next", "u4"),  # next block of the set, or of the pool of free blocks
    ("_pad", "u4", (15,)),
)

# spanSet: a FIFO queue of spans. head <= tail; entry k stands in the (k / 512)th block from the start.
SPAN_SET = struct(
    ("head", "i8"),  # entries popped since reset
    ("tail", "i8"),  # entries pushed since reset
    ("head_block", "u4"),  # block of entry head; 0 when it does not exist yet
    ("tail_block", "u4"),  # block of entry tail - 1
)

# mcentral: the spans of one span class; which of each pair is swept alternates with sweepgen / 2.
MCENTRAL = struct(
    ("partial", SPAN_SET, (2,)),  # spans with a free object
    ("full", SPAN_SET, (2,)),  # spans without
)

# pageCache: 64 aligned pages owned by a P (fewer as a what-if: then in the low bits).
PAGE_CACHE = struct(
    ("base_addr", "i8"),  # address of the first page; 0 none
    ("cache", "u8"),  # 1: free and owned by the cache
    ("scav", "u8"),  # 1: free, owned and scavenged
)

# stackfreelist of an mcache: free stacks of one order.
STACK_FREE_LIST = struct(
    ("list", "i8"),  # address of the first stack; 0 none
    ("held", "i8"),  # bytes of the stacks in the list
)

# mcache: what a P allocates from without asking anybody.
MCACHE = struct(
    ("alloc", "u4", (MAX_SPAN_CLASSES,)),  # span of each span class; 0 is emptymspan
    ("tiny", "i8"),  # address of the current tiny block; 0 none
    ("tinyoffset", "i8"),  # bytes of it in use
    ("tiny_allocs", "i8"),  # tiny allocations since the last flush
    ("stackcache", STACK_FREE_LIST, (NUM_STACK_ORDERS,)),
)

# pp.mspancache: span records that P may use without the heap's lock.
MSPAN_CACHE = struct(("n", "i8"), ("buf", "u4", (MSPAN_CACHE_LEN,)))

P = struct(("pcache", PAGE_CACHE), ("mcache", MCACHE), ("mspancache", MSPAN_CACHE), ("_pad", "i8", (1,)))

ARENA_HINT = struct(
    ("addr", "i8"),  # where to try to put the next arena
    ("down", "i8"),  # 1: the arena ends at addr
)

ADDR_RANGE = struct(("base_addr", "i8"), ("limit", "i8"))  # [base, limit), byte addresses

# One row per span in allocation order; the column names are those of a truth file.
SPAN_ROW = struct(
    ("span_base", "u8"),
    ("span_npages", "u8"),
    ("span_scav", "u8"),
    ("span_event", "i8"),
    ("span_class", "u4"),
    ("span_needzero", "u1"),
    ("_pad", "u1", (3,)),
)

# What HeapParams tells the kernel. Every field is data: no function asks for a Go version.
HEAP_PARAMS = struct(
    ("class_to_size", "u4", (MAX_CLASSES,)),  # bytes; class 0 (large) is 0
    ("class_to_allocnpages", "u4", (MAX_CLASSES,)),  # pages of a span
    ("class_to_divmagic", "u4", (MAX_CLASSES,)),
    ("tiny_class", "i8"),  # size class of the tiny allocator's 16-byte blocks
    ("n_classes", "i8"),  # size classes, class 0 included
    ("malloc_header", "i8"),  # bytes of the header before an object with pointers: 8 since Go 1.22, else 0
    ("heap_bits_in_span", "i8"),  # largest size whose pointer bitmap is at the span's end; -1 before Go 1.22
    ("inline_mark_bytes", "i8"),  # bytes reserved for inline marks (Go 1.26 Green Tea), else 0
    ("inline_mark_min", "i8"),  # smallest slot size with inline marks, bytes
    ("scans_noscan_finalized", "i8"),  # 1: marking counts an object with a finalizer twice even without pointers
    ("scavenged_is_zero", "i8"),  # 1: a span all of whose pages were scavenged needs no zeroing
    ("log_arena_bytes", "i8"),
    ("phys_page_size", "i8"),
    ("phys_huge_page_size", "i8"),  # 0: no huge pages
    ("page_cache_pages", "i8"),  # pages of a P's page cache, a power of two up to 64; 0: none
    ("placement", "i8"),  # 0 first fit, 1 best fit, 2 next fit
    ("grow_early_percent", "i8"),  # the heap grows when this part of it is in use; 100: when it must
    ("arena_l1_bits", "i8"),  # address bits of the arena map's first level; 0: the map is flat
    ("mspan_bytes", "i8"),  # size of Go's mspan record
    ("memory_limit", "i8"),  # GOMEMLIMIT, bytes
    ("other_ready", "i8"),  # bytes of memory beside the heap that count against the limit
    ("special_bytes", "i8", (SPECIAL_KINDS,)),  # size of Go's record of each kind of special; 0: it has no such kind
    ("os_top", "i8"),  # the simulated OS places what may lie anywhere below this address
    ("profiled_before_noted", "i8"),  # 1: recordings note an object after the heap profiler looked at it
    ("size_to_class8", "u1", (129,)),  # class of sizes up to 1024, by (size + 7) / 8
    ("size_to_class128", "u1", (249,)),  # class of sizes above, by (size - 1024 + 127) / 128
    ("_pad", "u1", (6,)),
)

STATS = struct(
    ("heap_in_use", "i8"),  # bytes in heap spans
    ("heap_free", "i8"),  # bytes free and backed by memory
    ("heap_released", "i8"),  # bytes free and returned to the OS
    ("in_stacks", "i8"),  # bytes in manual spans, by use
    ("in_ptr_scalar_bits", "i8"),
    ("in_work_bufs", "i8"),
    ("total_alloc", "i8"),  # bytes allocated, by slot size; counted when an mcache gives a span back
    ("total_free", "i8"),
    ("heap_live", "i8"),  # bytes that the pacer thinks are live: marked, and allocated or cached since
    ("large_alloc", "i8"),
    ("large_alloc_count", "i8"),
    ("large_free", "i8"),
    ("large_free_count", "i8"),
    ("tiny_alloc_count", "i8"),
    ("small_alloc_count", "i8", (MAX_CLASSES,)),
    ("small_free_count", "i8", (MAX_CLASSES,)),
    # Bytes of the heap's address space by the state that the OS has it in; see mem.py.
    ("reserved", "i8"),  # Reserved: address space only
    ("prepared", "i8"),  # Prepared: mapped, not backed (released)
    ("ready", "i8"),  # Ready: mapped and backed
    # Bytes of the runtime's own tables.
    ("gc_bits_sys", "i8"),  # bitmap arenas (part of GCSys)
    ("other_sys", "i8"),  # the array behind allspans (part of OtherSys)
    # Profile records of dead objects (mProf_Free).
    ("prof_frees", "i8"),
    ("prof_free_bytes", "i8"),
    ("slot_bytes", "i8"),  # bytes of all slots of heap spans in use
    # Sweeping and scavenging, by who did it (SWEEPERS).
    ("swept_spans", "i8", (len(SWEEPERS),)),
    ("swept_pages", "i8", (len(SWEEPERS),)),
    ("scavenged_background", "i8"),  # bytes
    ("scavenged_allocation", "i8"),
    ("scavenged_all", "i8"),
)

TABLES = {
    "spans": MSPAN,
    "heap_arenas": HEAP_ARENA,
    "pallocs": PALLOC_DATA,
    "set_blocks": SPAN_SET_BLOCK,
    "gc_bits": np.dtype("u8"),
    "in_use": ADDR_RANGE,
    "os_ranges": ADDR_RANGE,
    "specials": SPECIAL,
    "finalizers": FINALIZER,
    "stack_slots": STACK_SLOTS,
    "span_log": SPAN_ROW,
    "objects": np.dtype("u8"),
    "deaths": np.dtype("u8"),
    "tiny_counts": TINY_COUNTS,
    "samples": SAMPLE,
    "cycles": CYCLE,
    "arena_map": np.dtype("u4"),
    "summary": np.dtype("u8"),
    "scav_chunks": np.dtype("u8"),
}
"""Tables beside the record: item types. ``len`` counts the items ever used, nil included."""

FIXED_TABLES = ("arena_map", "summary", "scav_chunks")
"""Tables that cover the whole 48-bit address space, as Go's do: reserved once, never grown."""
WHOLE_TABLES = (*FIXED_TABLES, "objects")
"""Tables of which any item may be used at any time: their length is their capacity."""

_HEAP_FIELDS = [
    *[(f"{name}_{what}", "i8") for name in TABLES for what in ("at", "cap", "len")],
    ("params", HEAP_PARAMS),
    ("stats", STATS),
    # pageAlloc
    ("search_addr", "i8"),  # no free page below it; MAX_SEARCH_ADDR when the heap is full
    ("chunk_start", "i8"),  # chunks [start, end) may exist
    ("chunk_end", "i8"),
    ("chunks_l1", "u4", (1 << 13,)),  # second-level block of each 32 GiB: index of its first chunk in pallocs
    ("level_shift", "i8", (SUMMARY_LEVELS,)),  # address bits below one entry of a level
    ("level_offset", "i8", (SUMMARY_LEVELS,)),  # where a level starts in the summary table
    ("level_log_pages", "i8", (SUMMARY_LEVELS,)),  # log2 of the pages under one entry
    # scavengeIndex
    ("scav_search", "i8"),  # no marked chunk above it; -1: none is marked
    ("scav_min_chunk", "i8"),  # lowest chunk of the heap; 0 none
    ("scav_index_min", "i8"),  # bytes [min, max) of the index are what Go thinks it has mapped (8 chunks a byte)
    ("scav_index_max", "i8"),
    # second results (numba cannot return a pair beside a record cheaply)
    ("out_search", "i8"),  # page_alloc_find: the new searchAddr
    ("out_scav", "i8"),  # page_alloc_alloc, page_cache_alloc: bytes of the result that were scavenged
    ("out_growth", "i8"),  # _alloc_pages: bytes by which the heap grew
    ("out_pages", "i8"),  # find_scavenge_candidate, page_alloc_scavenge_one: pages of the result
    # mheap
    ("sweepgen", "i8"),  # += 2 at each collection
    ("pages_in_use", "i8"),  # pages in heap spans
    ("pages_swept", "i8"),  # pages swept since the sweep began
    ("reclaim_index", "i8"),  # next page (over all arenas in order) that reclaim looks at; RECLAIM_DONE when through
    ("reclaim_credit", "i8"),  # pages freed by sweeping and not yet charged to an allocation
    ("heap_marked", "i8"),  # bytes that the last collection marked
    ("finalizer_bytes_scanned", "i8"),  # bytes of objects scanned for their finalizer since marking began
    ("sweep_arenas", "i8"),  # arenas that existed when the sweep began
    ("central_index", "i8"),  # sweepClass: where nextSpanForSweep goes on
    ("sweep_drained", "i8"),  # 1: no span is left in the unswept sets (sweepDrainedMask)
    ("cur_arena_base", "i8"),  # [base, end): reserved address space not yet given to the page allocator
    ("cur_arena_end", "i8"),
    ("hints", ARENA_HINT, (MAX_HINTS,)),  # stack of arena hints, the next to try on top
    ("n_hints", "i8"),
    ("arena_l1", "u1", (MAX_ARENA_L1,)),  # 1: the second-level map of this entry exists
    ("block_free", "u4"),  # free list of span set blocks
    ("slots_free", "u4"),  # free list of stack_slots
    ("tiny_free", "u4"),  # free list of tiny_counts
    ("_pad_free", "u4"),
    ("spanalloc", FIXALLOC),
    ("specialalloc", FIXALLOC, (SPECIAL_KINDS,)),  # one for each kind of special
    ("allspans", "i8"),  # entries of allspans; entry k is record k + 1 of the table
    ("allspans_cap", "i8"),  # entries that the array behind it has room for
    ("gcphase", "i8"),  # GC_OFF or GC_MARK
    ("gc_percent_goal", "i8"),  # heap growth scavenges down to this many bytes retained; -1: never
    ("current_p", "i8"),  # the P that runs: getg().m.p
    # stackpool[order] in the first entries, stackLarge.free[log2 of pages] in the others
    ("span_lists", SPAN_LIST, (NUM_STACK_ORDERS + STACK_LARGE_ORDERS,)),
    # gcBitsArenas: lists of 64 KiB bitmap arenas, as word index of their header
    ("bits_free", "i8"),
    ("bits_next", "i8"),
    ("bits_current", "i8"),
    ("bits_previous", "i8"),
    ("bits_words", "i8"),  # words of one bitmap each, over all heap spans in use: what one sweep of all takes
    ("class_nelems", "u2", (MAX_SPAN_CLASSES,)),  # objects in a span of each span class
    # what is going on
    ("event", "i8"),  # index of the event being applied
    ("waiting_first", "i8"),  # events [first, stop) wait for the allocation at stop; stop 0: none do
    ("waiting_stop", "i8"),
    ("background_left", "i8"),  # pages that the background scavenger still wants of its 64 KiB
    ("need_objects", "i8"),  # entries of objects that the event asks room for, likewise
    ("need_arenas", "i8"),  # arenas that the event asks room for when the kernel returns NEED_ROOM
    ("log_spans", "i8"),  # 1: a row per allocated span is written to span_log
    ("unrecorded_sweeps", "i8"),  # spans that finishsweep_m found unswept
    ("credits_used", "i8"),  # sweepone calls made for MALLOC events that gave a credit
    ("sweeper", "i8"),  # who sweeps just now (SWEPT_BY_ALLOCATION, ...)
    ("next_fit", "i8"),  # next-fit placement: address after the last run of pages taken
    ("controller", GC_CONTROLLER),  # gcController
    ("sim", SIM),  # a run of the twin's own
]
_PAD = 64 - struct(*_HEAP_FIELDS).itemsize % 64
"""Bytes up to the next cache line, on which what the hot path reads begins."""
HEAP = struct(
    *_HEAP_FIELDS,
    ("_pad", "u1", (_PAD,)),
    ("central", MCENTRAL, (MAX_SPAN_CLASSES,)),
    ("allp", P, (MAX_PS,)),
)

YES = np.bool_(True)
NO = np.bool_(False)
"""Arguments of compiled functions: a plain True would be a type of its own and compile all callees again."""
MAX_SEARCH_ADDR = np.int64((1 << 47) - 1)
"""searchAddr of a heap without a free page: the highest address."""
RECLAIM_DONE = np.int64(1 << 62)
