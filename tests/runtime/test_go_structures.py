"""Go's own tables as oracle: what pallocBits, pageAlloc, pageCache and addrRanges of real Go did, done again exactly.

``data/go/structures-go1.19.npz`` holds random operations that ran in Go 1.19's own code, with every answer and, after
each operation on a page allocator, digests of its whole state (``tools/structures_go`` records it; ``data/README.md``
names the columns).  Here the kernel's compiled functions do the same from the same start.  Everything must be equal:
answers, the search address, every bitmap, the summaries of all five levels, the scavenger's index.  The driver stops at
the first operation that is not, and the message tells it with those before it.

The three digests are: ``bitmaps`` (chunks and ranges in use, alloc and scavenged bitmaps of every chunk, the caches),
``tree`` (per chunk the summaries that cover it, from the root down) and ``marks`` (chunks in the scavenger's index).
"""

import pathlib

import numpy as np
import pytest
from runtime.entry import COMPILED, entry, new_state

from mheaplab.runtime._jit import kjit
from mheaplab.runtime.mgcscavenge import (
    page_alloc_scavenge_next,
    page_alloc_scavenge_one,
    palloc_data_find_scavenge_candidate,
)
from mheaplab.runtime.mgcscavenge_index import scavenge_index_find, scavenge_index_mark
from mheaplab.runtime.mpagealloc import (
    chunk_base,
    chunk_index,
    chunk_of,
    page_alloc_alloc,
    page_alloc_alloc_range,
    page_alloc_find,
    page_alloc_free,
    page_alloc_grow,
    page_alloc_update,
)
from mheaplab.runtime.mpagecache import page_alloc_alloc_to_cache, page_cache_alloc, page_cache_flush
from mheaplab.runtime.mpallocbits import (
    find_bit_range64,
    pack_palloc_sum,
    page_bits_clear_range,
    page_bits_popcnt_range,
    page_bits_set_range,
    palloc_bits_find,
    palloc_bits_find_first,
    palloc_bits_summarize,
    palloc_data_alloc_all,
    palloc_data_alloc_range,
    palloc_sum_end,
    palloc_sum_max,
    palloc_sum_start,
)
from mheaplab.runtime.mranges import (
    addr_ranges_add,
    addr_ranges_contains,
    addr_ranges_find_addr_greater_equal,
    addr_ranges_find_succ,
)
from mheaplab.runtime.structs import (
    NO,
    PAGE_SIZE,
    PALLOC_CHUNK_BYTES,
    PALLOC_CHUNK_PAGES,
    PALLOC_DATA,
    SUMMARY_LEVEL_BITS,
    SUMMARY_LEVELS,
    YES,
)
from mheaplab.runtime.tables import in_use_range, scav_chunks, summary

with np.load(pathlib.Path(__file__).parents[2] / "data/go/structures-go1.19.npz") as _archive:
    GO = {name: _archive[name] for name in _archive.files}

STRIDE = 1 if COMPILED else 4
"""Every which sequence of the page allocator is done again: as plain Python, one in four. The rest is done whole."""
BEFORE = 3
"""Operations before the first wrong one that a message shows."""
LEAST = 5000
"""Operations that the recording has of each structure."""

PAGES = (
    "grow alloc alloc_range free free_scavenged find scavenge scavenge_one scavenge_find to_cache cache_alloc flush"
    " set_cache"
).split()
GROW, ALLOC, ALLOC_RANGE, FREE, FREE_SCAVENGED, FIND, SCAVENGE, SCAVENGE_ONE, SCAVENGE_FIND = range(9)
TO_CACHE, CACHE_ALLOC, FLUSH, SET_CACHE = range(9, 13)
BITS = (
    "summarize find popcnt_range alloc_range free alloc_all free_all set_scavenged find_scavenge_candidate"
    " find_bit_range64 pack unpack"
).split()
SUMMARIZE, BITS_FIND, POPCNT, BITS_ALLOC_RANGE, BITS_FREE, ALLOC_ALL, FREE_ALL, SET_SCAVENGED = range(8)
CANDIDATE, FIND_BITS, PACK, UNPACK = range(8, 12)
RANGES = "add find_succ find_addr_greater_equal contains".split()
ADD, FIND_SUCC, FIND_GREATER_EQUAL, CONTAINS = range(4)

CACHES = 3
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)


# ---------------------------------------------------------------------------------------------------- drivers


@kjit
def mix(digest, word):
    """Return the running digest of words with one more, as the recording makes it."""
    x = (digest ^ np.uint64(word)) * _MULTIPLIER
    return x ^ (x >> _HALF)


@kjit
def low_half(digest):
    """Return the 32 bits of a digest that are recorded."""
    return np.int64(digest & np.uint64(0xFFFFFFFF))


@kjit
def differs(want, got):
    """Return whether two rows differ."""
    for j in range(len(want)):
        if want[j] != got[j]:
            return True
    return False


@kjit
def mix_bitmaps(digest, m):
    """Return the digest with both bitmaps of chunk ``m``."""
    for w in range(8):
        digest = mix(digest, m.alloc.w[w])
    for w in range(8):
        digest = mix(digest, m.scavenged.w[w])
    return digest


@kjit
def put_state(h, answer):
    """Write the search address and the digests of bitmaps, tree and marks behind the answer of an operation."""
    bitmaps = mix(mix(np.uint64(0), h.chunk_start), h.chunk_end)
    tree = np.uint64(0)
    marks = np.uint64(0)
    for i in range(np.int64(h.in_use_len)):
        r = in_use_range(h, np.int64(i))
        bitmaps = mix(mix(bitmaps, r.base_addr), r.limit)
        for c in range(chunk_index(r.base_addr), chunk_index(r.limit)):
            ci = np.int64(c)
            bitmaps = mix_bitmaps(bitmaps, chunk_of(h, ci))
            for level in range(SUMMARY_LEVELS):
                covering = ci >> SUMMARY_LEVEL_BITS * (SUMMARY_LEVELS - 1 - level)
                tree = mix(tree, summary(h, np.int64(level), covering))
            if scav_chunks(h, ci >> 6) >> np.uint64(ci & 63) & np.uint64(1):
                marks = mix(marks, ci)
    for p in range(CACHES):
        c = h.allp[p].pcache
        bitmaps = mix(mix(mix(bitmaps, c.base_addr), c.cache), c.scav)
    answer[3] = np.int64(h.search_addr)
    answer[4] = low_half(bitmaps)
    answer[5] = low_half(tree)
    answer[6] = low_half(marks)


@kjit
def scavenge(h, npages):
    """pageAlloc.scavenge: give ``npages`` back, run by run; return the bytes given back."""
    done = np.int64(0)
    while done < npages:
        if page_alloc_scavenge_next(h, npages - done) == 0:
            break
        done += np.int64(h.out_pages)
    return done * PAGE_SIZE


@kjit
def apply_pages(h, kind, a, b, answer):
    """Do one operation of the page allocator or the scavenger."""
    if kind == GROW:
        page_alloc_grow(h, a, b)
    elif kind == ALLOC:
        answer[0] = page_alloc_alloc(h, a)
        answer[1] = np.int64(h.out_scav)
    elif kind == ALLOC_RANGE:
        answer[0] = page_alloc_alloc_range(h, a, b)
    elif kind == FREE:
        page_alloc_free(h, a, b, NO)
    elif kind == FREE_SCAVENGED:
        page_alloc_free(h, a, b, YES)
    elif kind == FIND:
        answer[0] = page_alloc_find(h, a)
        answer[1] = np.int64(h.out_search) if answer[0] != 0 else np.int64(0)
    elif kind == SCAVENGE:
        answer[0] = scavenge(h, a)
    elif kind == SCAVENGE_ONE:
        page_alloc_scavenge_one(h, a, b)
        answer[0] = np.int64(h.out_pages) * PAGE_SIZE
    elif kind == SCAVENGE_FIND:
        answer[0] = scavenge_index_find(h)


@kjit
def apply_cache(h, c, op, want, answer):
    """Do one operation of page cache ``c``; the state that a cache is given stands where answers do."""
    kind = op[0]
    if kind == CACHE_ALLOC:
        answer[0] = page_cache_alloc(h, c, op[2])
        answer[1] = np.int64(h.out_scav)
        return
    if kind == TO_CACHE:
        page_alloc_alloc_to_cache(h, c)
    elif kind == FLUSH:
        page_cache_flush(h, c)
    elif kind == SET_CACHE:
        c.base_addr = want[0]
        c.cache = np.uint64(want[1])
        c.scav = np.uint64(want[2])
    answer[0] = np.int64(c.base_addr)
    answer[1] = np.int64(c.cache)
    answer[2] = np.int64(c.scav)


@kjit
def add_chunk(h, ci, taken, scavenged):
    """Grow by chunk ``ci`` in the given state, as NewPageAlloc of Go's export_test.go does."""
    page_alloc_grow(h, chunk_base(ci), PALLOC_CHUNK_BYTES)
    m = chunk_of(h, ci)
    to_scavenge = False
    for w in range(8):
        m.alloc.w[w] = taken[w]
        m.scavenged.w[w] = scavenged[w]
        to_scavenge |= ~(taken[w] | scavenged[w]) != np.uint64(0)
    if to_scavenge:
        scavenge_index_mark(h, ci, ci)
    page_alloc_update(h, chunk_base(ci), PALLOC_CHUNK_PAGES, NO)


@entry
def drive_pages(h, chunks, ops, want, got):
    """Make the heap of ``chunks`` (indexes, taken, scavenged) and apply ``ops``, rows (kind, cache, a, b).

    Stops at the first whose answer or state is not that of ``want``, and returns its index; ``got`` has what it was.
    """
    for k in range(len(chunks[0])):
        add_chunk(h, chunks[0][k], chunks[1][k], chunks[2][k])
    for k in range(len(ops)):
        got[k, 7] = 1
        if ops[k, 0] < TO_CACHE:
            apply_pages(h, ops[k, 0], ops[k, 2], ops[k, 3], got[k])
        else:
            apply_cache(h, h.allp[ops[k, 1]].pcache, ops[k], want[k], got[k])
        put_state(h, got[k])
        if differs(want[k], got[k]):
            return k
    return len(ops)


@kjit
def ask_bits(h, m, op, answer):
    """Do one operation that leaves chunk ``m`` as it is."""
    kind, a, b = op[0], op[2], op[3]
    if kind == SUMMARIZE:
        answer[0] = np.int64(palloc_bits_summarize(m.alloc))
    elif kind == BITS_FIND:
        answer[0] = palloc_bits_find(m.alloc, a, b)
        answer[1] = palloc_bits_find_first(m.alloc, b)
    elif kind == POPCNT:
        answer[0] = page_bits_popcnt_range(m.scavenged if op[4] else m.alloc, a, b)
    elif kind == CANDIDATE:
        h.params.phys_huge_page_size = b
        answer[0] = palloc_data_find_scavenge_candidate(h, m, a)
        answer[1] = np.int64(h.out_pages)
    elif kind == FIND_BITS:
        answer[0] = find_bit_range64(np.uint64(a), b)
    elif kind == PACK:
        answer[0] = np.int64(pack_palloc_sum(a, b, op[4]))
    elif kind == UNPACK:
        answer[0] = palloc_sum_start(np.uint64(a))
        answer[1] = palloc_sum_max(np.uint64(a))
        answer[2] = palloc_sum_end(np.uint64(a))


@kjit
def change_bits(m, op, answer):
    """Do one operation that changes chunk ``m``; the answer is the digest of both bitmaps."""
    kind, a, b = op[0], op[2], op[3]
    if kind == BITS_ALLOC_RANGE:
        palloc_data_alloc_range(m, a, b)
    elif kind == ALLOC_ALL:
        palloc_data_alloc_all(m)
    elif kind in (BITS_FREE, FREE_ALL):
        page_bits_clear_range(m.alloc, a, b)
    elif kind == SET_SCAVENGED:
        page_bits_set_range(m.scavenged, a, b)
    answer[0] = low_half(mix_bitmaps(np.uint64(0), m))


@entry
def drive_bits(h, data, ops, want, got):
    """Apply ``ops``, rows (kind, chunk, a, b, c), to the chunks ``data``; return the first that differs."""
    for k in range(len(ops)):
        got[k, 3] = 1
        if BITS_ALLOC_RANGE <= ops[k, 0] <= SET_SCAVENGED:
            change_bits(data[ops[k, 1]], ops[k], got[k])
        else:
            ask_bits(h, data[ops[k, 1]], ops[k], got[k])
        if differs(want[k], got[k]):
            return k
    return len(ops)


@entry
def drive_ranges(h, ops, want, got):
    """Apply ``ops``, rows (kind, a, b), to the ranges in use; return the first whose answer differs."""
    for k in range(len(ops)):
        kind = ops[k, 0]
        a = ops[k, 1]
        got[k, 3] = 1
        if kind == ADD:
            addr_ranges_add(h, a, ops[k, 2])
            got[k, 0] = h.in_use_len
            digest = np.uint64(0)
            for i in range(np.int64(h.in_use_len)):
                r = in_use_range(h, np.int64(i))
                got[k, 1] += np.int64(r.limit) - np.int64(r.base_addr)
                digest = mix(mix(digest, r.base_addr), r.limit)
            got[k, 2] = low_half(digest)
        elif kind == FIND_SUCC:
            got[k, 0] = addr_ranges_find_succ(h, a)
        elif kind == FIND_GREATER_EQUAL:
            found = addr_ranges_find_addr_greater_equal(h, a)
            got[k, 0] = max(found, 0)
            got[k, 1] = 1 if found >= 0 else 0
        elif kind == CONTAINS:
            got[k, 0] = 1 if addr_ranges_contains(h, a) else 0
        if differs(want[k], got[k]):
            return k
    return len(ops)


# ---------------------------------------------------------------------------------------------------- comparing

ANSWERS = ("x", "y", "z")
STATE = ("search_addr", "bitmaps", "tree", "marks")


def columns(table, names, rows=slice(None)):
    """Return columns of a recorded table as int64, one row per operation."""
    return np.stack([GO[f"{table}.{name}"][rows].astype(np.int64) for name in names], axis=1)


def replay(where, table, inputs, outputs, drive, rows=slice(None)):
    """Run ``drive(ops, want, got)`` on recorded operations; fail with the first that differs, in words."""
    ops, want = columns(table, inputs, rows), columns(table, outputs, rows)
    got = np.zeros((len(ops), len(outputs) + 1), np.int64)  # the last column is 1 for operations that were begun
    try:
        k = drive(ops, want, got)
    except Exception as err:
        k = int(got[:, -1].sum()) - 1
        words = describe(table, inputs, outputs, rows, k)
        raise AssertionError(f"{where}: the kernel fails in operation {k}: {err!r}\n{words}") from err
    if k < len(ops):
        answer = zip(outputs, got[k, :-1].tolist(), want[k].tolist(), strict=True)
        wrong = " ".join(f"{name}={ours} ({ours:#x})" for name, ours, gos in answer if ours != gos)
        words = describe(table, inputs, outputs, rows, k)
        pytest.fail(f"{where}: the first difference is in operation {k} of {len(ops)}\n{words}\nkernel: {wrong}")


def describe(table, inputs, outputs, rows, k):
    """Return operation ``k`` and those before it in words, with what Go answered."""
    kinds, ops, want = GO[f"{table}.kinds"], columns(table, inputs, rows), columns(table, outputs, rows)
    lines = []
    for i in range(max(k - BEFORE, 0), k + 1):
        given = " ".join(f"{n}={v} ({v:#x})" for n, v in zip(inputs[1:], ops[i, 1:].tolist(), strict=True))
        answer = " ".join(f"{n}={v} ({v:#x})" for n, v in zip(outputs, want[i].tolist(), strict=True))
        lines.append(f"{i}: {kinds[ops[i, 0]]} {given}\n    Go: {answer}")
    return "\n".join(lines)


def starts(table, column):
    """Return where each sequence of rows begins, and the end of the last."""
    return np.concatenate(([0], np.cumsum(GO[f"{table}.{column}"].astype(np.int64)))).tolist()


@pytest.mark.parametrize("name", ["pages", "caches"])
def test_page_alloc_and_page_cache(name):
    """pageAlloc with its scavenger, and pageCache: hundreds of heaps of one chunk to two hundred."""
    first_chunk = starts(f"{name}_sequences", "chunks")
    huge = GO[f"{name}_sequences.huge_page"].tolist()
    first_op = np.searchsorted(GO[f"{name}_ops.sequence"], np.arange(len(huge) + 1)).tolist()
    for s in range(0, len(huge), STRIDE):
        at = slice(first_chunk[s], first_chunk[s + 1])
        chunks = (
            GO[f"{name}_chunks.chunk"][at].astype(np.int64),
            GO[f"{name}_chunks.taken"][at],
            GO[f"{name}_chunks.scavenged"][at],
        )
        state = new_state(huge_page_bytes=huge[s])
        where = f"{name}, sequence {s} (chunks {chunks[0].tolist()}, huge pages of {huge[s]} B)"
        rows = slice(first_op[s], first_op[s + 1])
        inputs, outputs = ("kind", "cache", "a", "b"), ANSWERS + STATE
        replay(where, f"{name}_ops", inputs, outputs, lambda *a, s=state, c=chunks: drive_pages(s.h, c, *a), rows)


def test_palloc_bits():
    """pallocBits, pallocData, findBitRange64 and pallocSum."""
    data = np.zeros(len(GO["bits_chunks.taken"]), PALLOC_DATA)
    data["alloc"]["w"] = GO["bits_chunks.taken"]
    data["scavenged"]["w"] = GO["bits_chunks.scavenged"]
    h = new_state().h
    replay("bits", "bits_ops", ("kind", "chunk", "a", "b", "c"), ANSWERS, lambda *a: drive_bits(h, data, *a))


def test_addr_ranges():
    """addrRanges; the total is the sum of the ranges here, since the kernel keeps none."""
    sequence = GO["ranges_ops.sequence"]
    first = np.searchsorted(sequence, np.arange(int(sequence[-1]) + 2)).tolist()
    for s in range(len(first) - 1):
        rows, state = slice(first[s], first[s + 1]), new_state()
        inputs = ("kind", "a", "b")
        replay(f"ranges, sequence {s}", "ranges_ops", inputs, ANSWERS, lambda *a, s=state: drive_ranges(s.h, *a), rows)


def test_recording():
    """The recording is of the Go meant, has its operations in the order of the drivers, and enough of each kind."""
    assert str(GO["go"]) == "go1.19"
    kinds = {"bits": BITS, "pages": PAGES, "caches": PAGES, "ranges": RANGES}
    counts = {name: np.bincount(GO[f"{name}_ops.kind"], minlength=len(kinds[name])) for name in kinds}
    for name, names in kinds.items():
        assert GO[f"{name}_ops.kinds"].tolist() == names
        assert counts[name].sum() >= LEAST, name
    assert (counts["bits"] >= 200).all() and (counts["ranges"] >= 2000).all()
    assert (counts["pages"] + counts["caches"] >= 100).all()
    # Of allocations, searches and scavenges there are some that find something and some that find nothing.
    for kind in (ALLOC, FIND, SCAVENGE, SCAVENGE_ONE, SCAVENGE_FIND, TO_CACHE, CACHE_ALLOC):
        both = [GO[f"{name}_ops.x"][GO[f"{name}_ops.kind"] == kind] != 0 for name in ("pages", "caches")]
        found = np.concatenate(both)
        assert min(found.sum(), (~found).sum()) >= 20, PAGES[kind]
