"""One sweep: the steps of sweepone and sweepLocked.sweep (mspan.sweep in Go's throws), by the state before and after.

Each function gets the ``Look`` before, the ``Look`` after and the number of the span's record; it returns a ``Step``,
or None if the state does not show that it happened.
"""

from ..runtime.structs import SPAN_STATE_NAMES
from .look import Step, bits_text, compared, many, read_once, span_name


def next_span(a, b, index):
    """mheap.nextSpanForSweep: the next span of an unswept set, class by class."""
    span = a.span(index)
    spc = span.span_class
    readings = [read_once("spanClass", spc)]
    for which in ("full", "partial"):
        lengths = [look.set_length(spc, which, False) for look in (a, b)]
        readings.append(compared(f"mcentral.{which}Unswept, spans", *lengths))
    text = f"The span at {span.base:#x}, of span class {spc}, is the first in an unswept set of its mcentral."
    return Step("mheap.nextSpanForSweep", "mgcsweep.go", text, tuple(readings), "before")


def try_acquire(a, b, index):
    """sweepLocker.tryAcquire: the span is claimed by its sweepgen."""
    old, new = a.span(index), b.row(index)
    text = (
        f"sweepgen is {old.sweepgen}, the heap's {old.heap_sweepgen} less 2: the span needs sweeping. While somebody"
        f" sweeps it, it is 1 less, so that nobody else does; in the end it is {int(new['sweepgen'])}."
    )
    readings = (
        compared("sweepgen", old.sweepgen, int(new["sweepgen"])),
        read_once("mheap.sweepgen", old.heap_sweepgen),
    )
    return Step("sweepLocker.tryAcquire", "mgcsweep.go", text, readings, "before", ("slots", "gcmarkBits"))


def specials(a, b, index):
    """The first part of sweepLocked.sweep: what hangs on dead objects is acted on."""
    old = a.span(index)
    if not old.specials:
        return None
    new = b.span(index)
    left = new.specials if new else ()
    queued = [int(look.h.finalizers_len) for look in (a, b)]
    dead = [s for s in old.specials if not old.gcmark_bits[old.slot(s.addr)]]
    revived = sorted({old.slot(s.addr) for s in dead if new is not None and new.alloc_bits[old.slot(s.addr)]})
    text = f"{many(len(old.specials), 'special')} on the span's list, {len(dead)} of them on objects without a mark."
    if revived:
        slots = ", ".join(map(str, revived))
        text += f" Slot {slots} has a finalizer: it is marked after all, and the finalizer moves to the queue."
    bits = [look.page_bit(old.base, "page_specials") for look in (a, b)]
    readings = (
        compared("specials of the span", len(old.specials), len(left)),
        compared("finalizers queued", *queued),
        compared("pageSpecials, bit of the first page", *bits),
    )
    rows = ("slots", "gcmarkBits")
    return Step("sweepLocked.sweep", "mgcsweep.go", text, readings, "before", rows, ("pageSpecials",))


def count_alloc(a, b, index):
    """mspan.countAlloc: the marks are counted; what was allocated and has none is free now."""
    old, alive = a.span(index), int(b.row(index)["alloc_count"])
    text = (
        f"{alive:,} of {old.nelems:,} bits are set in gcmarkBits, {many(old.alloc_count, 'slot')} had been allocated:"
        f" {many(old.alloc_count - alive, 'slot')} freed."
    )
    late = alive - int(old.gcmark_bits.sum())
    if late:
        text += f" {many(late, 'mark')} of these came only now, from finalizers."
    stats = [look.h.stats for look in (a, b)]
    if old.sizeclass:
        frees = compared("smallFreeCount of the class", *(int(s.small_free_count[old.sizeclass]) for s in stats))
    else:
        frees = compared("largeFreeCount", *(int(s.large_free_count) for s in stats))
    readings = (compared("allocCount", old.alloc_count, alive), frees)
    return Step("mspan.countAlloc", "mbitmap.go", text, readings, "before", ("gcmarkBits",))


def swap(a, b, index):
    """The heart of sweepLocked.sweep: the mark bits become the alloc bits."""
    old, new = a.row(index), b.row(index)
    words = [(int(row["alloc_bits"]), int(row["gcmark_bits"])) for row in (old, new)]
    text = (
        f"No bit is copied: allocBits now is the bitmap at word {words[1][0]:,} that was gcmarkBits, and gcmarkBits is"
        " a fresh one, all 0. freeindex goes back to 0, so every slot is looked at again."
    )
    readings = (
        compared("allocBits, word", words[0][0], words[1][0]),
        compared("gcmarkBits, word", words[0][1], words[1][1]),
        compared("freeindex", int(old["freeindex"]), int(new["freeindex"])),
    )
    return Step("sweepLocked.sweep", "mgcsweep.go", text, readings, "after", ("allocBits", "gcmarkBits"))


def refill_alloc_cache(a, b, index):
    """mspan.refillAllocCache: the complement of the first word of the alloc bits."""
    words = [int(look.row(index)["alloc_cache"]) for look in (a, b)]
    text = f"allocCache is the complement of the first word of allocBits: {words[1].bit_count()} of its 64 bits are 1."
    return Step(
        "mspan.refillAllocCache", "mbitmap.go", text, (compared("allocCache", *map(bits_text, words)),), "after",
        ("allocBits", "allocCache"),
    )  # fmt: skip


def keep(a, b, index):
    """The end of sweepLocked.sweep for a span with objects in it: to a swept set of its central."""
    new = b.span(index)
    if new is None:
        return None
    spc = new.span_class
    readings = []
    for which in ("partial", "full"):
        lengths = [look.set_length(spc, which, True) for look in (a, b)]
        readings.append(compared(f"mcentral.{which}Swept, spans", *lengths))
    where = "full" if new.alloc_count == new.nelems else "partial"
    text = f"The span stays for {many(new.alloc_count, 'object')}: it goes to {where}Swept, where a refill finds it."
    if where == "full":
        text = "Every slot is still taken: the span goes to fullSwept, where no refill looks until the next collection."
    return Step("sweepLocked.sweep", "mgcsweep.go", text, tuple(readings))


def free_span(a, b, index):
    """The end of sweepLocked.sweep for an empty span: its pages go back to the page allocator."""
    if b.span(index) is not None:
        return None
    old = a.span(index)
    at = old.base
    readings = (
        compared("state", span_state(a, index), span_state(b, index)),
        compared("pagesInUse", int(a.h.pages_in_use), int(b.h.pages_in_use)),
        compared("pageInUse, bit of the first page", *(look.page_bit(at, "page_in_use") for look in (a, b))),
        compared("alloc bits of the chunk, pages", *(look.chunk_count(at, "alloc") for look in (a, b))),
        compared("free and backed, bytes", int(a.h.stats.heap_free), int(b.h.stats.heap_free)),
    )
    pages = many(old.npages, "page")
    text = (
        f"Nothing lives in the span at {span_name(a, index)}: its {pages} may become a span of any class. spanOf still"
        " finds the dead span there."
    )
    return Step("mheap.freeSpan", "mheap.go", text, readings, "after", (), ("alloc", "pageInUse"))


def span_state(look, index):
    """Return Go's name of the state of span ``index``."""
    return SPAN_STATE_NAMES[int(look.row(index)["state"])]
