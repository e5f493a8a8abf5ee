"""One malloc, the part that deals in slots: size to class, the mcache's span, refill, the central, the next free slot.

What deals in pages, from mheap.alloc down, is in ``span_steps``.  Each function below is one step: it gets the ``Look``
before the call and the one after it, and returns a ``Step``, or None if the state does not show that it happened.
"""

from dataclasses import dataclass

from ..runtime.structs import MAX_SMALL_SIZE, MAX_TINY_SIZE, NO_P
from .look import Step, bits_text, compared, many, read_once, span_before, span_name, trailing_zeros

SMALL_SIZE_MAX = 1024
"""smallSizeMax: sizes up to 8 bytes below it are looked up in steps of 8, larger ones in steps of 128."""


@dataclass(frozen=True)
class Malloc:
    """One call of malloc.

    Attributes
    ----------
    size : int
        Bytes asked for.
    noscan : bool
    p : int
        P that it ran on, ``NO_P`` for none.
    addr : int
        What it returned.
    header : int
        Bytes before the object in its slot.
    sizeclass : int
        0 for an object that gets a span of its own.
    table : str
        The lookup that gave the size class, in Go's words.
    """

    size: int
    noscan: bool
    p: int
    addr: int
    header: int
    sizeclass: int
    table: str

    @property
    def spc(self):
        """The span class."""
        return 2 * self.sizeclass + self.noscan

    @property
    def owner(self):
        """The P whose mcache is used."""
        return 0 if self.p == NO_P else self.p


def make_call(look, size, noscan, p, addr):
    """Return the call with the class that the parameters' tables give, read from ``look``."""
    params = look.h.params
    if size > MAX_SMALL_SIZE - int(params.malloc_header):
        return Malloc(size, noscan, p, addr, 0, 0, "")
    if noscan and size < MAX_TINY_SIZE:
        return Malloc(size, noscan, p, addr, 0, int(params.tiny_class), "tinySizeClass")
    header = int(params.malloc_header) if not noscan and size > int(params.heap_bits_in_span) else 0
    whole = size + header
    if whole <= SMALL_SIZE_MAX - 8:
        at = (whole + 7) >> 3
        return Malloc(size, noscan, p, addr, header, int(params.size_to_class8[at]), f"size_to_class8[{at}]")
    at = (whole - SMALL_SIZE_MAX + 127) >> 7
    return Malloc(size, noscan, p, addr, header, int(params.size_to_class128[at]), f"size_to_class128[{at}]")


def size_class(a, _b, call):
    """The first lines of mallocgc: from size to span class."""
    kind = "without pointers (noscan)" if call.noscan else "with pointers"
    if not call.sizeclass:
        text = f"{call.size:,} bytes {kind} are more than a size class holds: the object gets a span of its own."
        return Step("mallocgc", "malloc.go", text, (read_once("spanClass", call.spc),), "before")
    slot = int(a.h.params.class_to_size[call.sizeclass])
    header = f" and {call.header} bytes of malloc header" if call.header else ""
    text = (
        f"{call.size:,} bytes {kind}{header}: {call.table} is size class {call.sizeclass}, slots of {slot:,} bytes;"
        f" span class 2 * {call.sizeclass} + {int(call.noscan)} = {call.spc}."
    )
    readings = (read_once("sizeclass", call.sizeclass), read_once("elemsize", slot), read_once("spanClass", call.spc))
    return Step("mallocgc", "malloc.go", text, readings, "before")


def tiny(a, b, call):
    """The tiny allocator of mallocgc: several small objects without pointers in one block of 16 bytes."""
    if not call.noscan or call.size >= MAX_TINY_SIZE:
        return None
    old, new = a.h.allp[call.owner].mcache, b.h.allp[call.owner].mcache
    readings = (
        compared("mcache.tiny", *(f"{int(c.tiny):#x}" for c in (old, new))),
        compared("mcache.tinyoffset", int(old.tinyoffset), int(new.tinyoffset)),
        compared("mcache.tinyAllocs", int(old.tiny_allocs), int(new.tiny_allocs)),
    )
    if packed(a, b, call):
        at = call.addr - int(old.tiny)
        text = f"The current block at {int(old.tiny):#x} has room from byte {at} on: no slot is taken."
    elif int(old.tiny):
        text = f"{call.size} bytes do not fit behind byte {int(old.tinyoffset)} of the current block: a slot is needed."
    else:
        text = "There is no current block: a slot of 16 bytes becomes one."
    return Step("mallocgc", "malloc.go", text, readings, "before")


def packed(a, b, call):
    """Return whether a tiny object went into the block that was there."""
    if not call.noscan or call.size >= MAX_TINY_SIZE:
        return False
    old, new = a.h.allp[call.owner].mcache, b.h.allp[call.owner].mcache
    return 0 < int(old.tiny) <= call.addr < int(old.tiny) + MAX_TINY_SIZE and int(new.tiny) == int(old.tiny)


def next_free_fast(a, b, call):
    """nextFreeFast: one count of trailing zeros in the allocCache of the mcache's span."""
    if not call.sizeclass or packed(a, b, call):
        return None
    index = a.cached(call.spc, call.owner)
    name = f"mcache.alloc[{call.spc}]"
    if index == 0:
        text = f"{name} is emptymspan, which stands for no span: its allocCache is 0, so no slot is free."
        return Step("nextFreeFast", "malloc.go", text, (read_once(name, "emptymspan"),), "before")
    old = a.span(index)
    zeros = trailing_zeros(old.alloc_cache)
    slot = old.freeindex + zeros
    text = f"Ctz64(allocCache) is {zeros}"
    fast = zeros < 64 and slot < old.nelems and ((slot + 1) % 64 != 0 or slot + 1 == old.nelems)
    if fast:
        text += f": slot freeindex {old.freeindex} + {zeros} = {slot} is free, taken, and nothing else is read."
    elif zeros < 64 and slot < old.nelems:
        text += f": slot {slot}, the last of its word. Another word must be loaded, which is left to nextFree."
    else:
        text += f": no free slot among those that allocCache knows, from freeindex {old.freeindex} on."
    readings = _slot_readings(old, b.span(index)) if fast else (read_once("allocCache", bits_text(old.alloc_cache)),)
    return Step("nextFreeFast", "malloc.go", text, readings, "after" if fast else "before", ("slots", "allocCache"))


def _slot_readings(old, new):
    """Return what taking a slot changes in its span; ``old`` None for a span that was not there."""
    rows = (("allocCache", "alloc_cache"), ("freeindex", "freeindex"), ("allocCount", "alloc_count"))
    found = []
    for name, field in rows:
        values = [getattr(s, field) for s in (old or new, new)]
        found.append(compared(name, *(map(bits_text, values) if field == "alloc_cache" else values)))
    return tuple(found)


def refill(a, b, call):
    """mcache.refill: give the full span back and take another."""
    old, new = a.cached(call.spc, call.owner), b.cached(call.spc, call.owner)
    if old == new or not call.sizeclass:
        return None
    name = f"mcache.alloc[{call.spc}]"
    readings = [compared(name, span_name(a, old), span_name(b, new))]
    if old:
        was = a.span(old)
        text = f"The span at {was.base:#x} has no free slot: back to its mcentral with it, and another is asked for."
        full = [look.set_length(call.spc, "full", True) for look in (a, b)]
        readings += [compared(f"sweepgen of {was.base:#x}", was.sweepgen, b.span(old).sweepgen)]
        readings += [compared("mcentral.fullSwept, spans", *full)]
    else:
        text = "There is no span to give back; one is asked for."
    return Step("mcache.refill", "mcache.go", text, tuple(readings), "before")


def central(a, b, call):
    """mcentral.cacheSpan: a swept span with a free slot, or an unswept one, or a new one."""
    new = b.cached(call.spc, call.owner)
    if a.cached(call.spc, call.owner) == new or not call.sizeclass:
        return None
    readings = []
    for which, swept, name in (
        ("partial", True, "partialSwept"), ("partial", False, "partialUnswept"), ("full", False, "fullUnswept"),
    ):  # fmt: skip
        lengths = [look.set_length(call.spc, which, swept) for look in (a, b)]
        readings.append(compared(f"mcentral.{name}, spans", *lengths))
    old = span_before(a, b, new)
    if old is None:
        text = f"No set of class {call.spc} gives a span with a free slot: a new one is asked of the heap."
    elif old.sweepgen == old.heap_sweepgen:
        text = f"The swept span at {old.base:#x} has {many(old.nelems - old.alloc_count, 'free slot')}: it is taken."
    else:
        freed = old.alloc_count - old_marks(old)
        text = f"The span at {old.base:#x} was not swept yet: now it is, {many(freed, 'slot')} freed, and taken."
        readings.append(compared("pagesSwept", int(a.h.pages_swept), int(b.h.pages_swept)))
    return Step("mcentral.cacheSpan", "mcentral.go", text, tuple(readings), "before")


def old_marks(span):
    """Return how many slots of a span are marked."""
    return int(span.gcmark_bits.sum())


def cached(a, b, call):
    """The end of mcache.refill: the span belongs to the mcache, so its sweepgen says that sweeping leaves it alone."""
    index = b.cached(call.spc, call.owner)
    if a.cached(call.spc, call.owner) == index or not call.sizeclass:
        return None
    span = b.span(index)
    text = (
        f"The mcache has the span at {span.base:#x}. Its sweepgen is the heap's plus 3: swept, and cached."
        " For the pacer its free slots count as live from now on."
    )
    before = span_before(a, b, index)
    readings = (
        compared("sweepgen", "no span" if before is None else before.sweepgen, span.sweepgen),
        compared("mheap.sweepgen", int(a.h.sweepgen), int(b.h.sweepgen)),
        compared("heapLive, bytes", int(a.h.stats.heap_live), int(b.h.stats.heap_live)),
    )
    return Step("mcache.refill", "mcache.go", text, readings)


def next_free_index(a, b, call):
    """mspan.nextFreeIndex, in nextFree: the first free slot of a span that is new here or moves on to its next word."""
    index = b.cached(call.spc, call.owner)
    if not call.sizeclass or packed(a, b, call):
        return None
    before = span_before(a, b, index)
    slot = b.span(index).slot(call.addr)
    if index == a.cached(call.spc, call.owner) and before.freeindex + trailing_zeros(before.alloc_cache) == slot:
        if (slot + 1) % 64 != 0 or slot + 1 == before.nelems:
            return None  # nextFreeFast has found it
    span = b.span(index)
    text = f"Slot {slot} is the first that is free; freeindex moves behind it, to {span.freeindex}."
    if span.freeindex % 64 == 0 and span.freeindex < span.nelems:
        text += " That is the start of a word of allocBits, so refillAllocCache loads its complement."
    rows = ("slots", "allocCache")
    return Step("mspan.nextFreeIndex", "mbitmap.go", text, _slot_readings(before, span), "after", rows)


def result(_a, b, call):
    """The address that mallocgc returns."""
    span = b.span(b.span_index(call.addr))
    if not call.sizeclass:
        text = f"The object is the whole span, from {call.addr:#x} to its limit {span.limit:#x}."
        return Step("mcache.allocLarge", "mcache.go", text)
    slot = span.slot(call.addr)
    text = f"{span.base:#x} + {slot} * {span.elemsize:,} = {span.base + slot * span.elemsize:#x}"
    within = call.addr - span.base - slot * span.elemsize
    if within:
        what = "malloc header" if call.header else "offset in the tiny block"
        text += f", and {what}: + {within} = {call.addr:#x}"
    return Step("mallocgc", "malloc.go", text + ".", (), "after", ("slots",))
