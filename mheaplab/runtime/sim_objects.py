"""What the program of a run can reach: where each of its objects lies, and which have died since the last collection.

A trace names objects by dense numbers, which are used again after a death.  ``objects`` holds, for each number, the
object's address (48 bits, never 0), its span class and what kind of thing it is; so a death needs no look at the heap.
The dead stand in the list ``deaths`` until a collection unmarks them: between two collections nobody in Go knows
either.

A collection frees what was dead when it began to mark.  What is allocated while it marks is black, as in Go
(gcmarknewobject), and what dies while it marks is kept as well: the write barrier shades a pointer that is about to be
lost (mbarrier.go), and stacks are scanned first of all.  The list says so with a bit, and the next collection gets it.
With ``keeps_dying`` off, what is dead when marking ends is freed, but for what was born since it began; this takes a
mark on each newborn, as Go sets it.

The accounts ``live``, ``live_scan`` and ``live_objects`` follow births and deaths.  ``slots_taken`` counts slots as
they are handed out; with what sweeping freed it gives garbage and free slots without a walk over the spans.

A tiny object is part of a block (``mheap_tiny``).  The block counts as live while an object in it lives, or while an
mcache still fills it, because marking always keeps that one (gcMarkTinyAllocs).
"""

import numpy as np

from ._jit import kinline, kjit
from .malloc import mallocgc_span_class
from .mbitmap import mspan_obj_index
from .mcache import mcache_release_all, p_or_p0
from .mheap_arena import span_of_unchecked
from .mheap_gcbits import gc_bits_is_set, gc_bits_set
from .mheap_tiny import tiny_count, tiny_count_add, tiny_count_remove
from .stack import stackcache_clear
from .structs import GC_MARK, MAX_TINY_SIZE, PAGE_SHIFT
from .tables import deaths_set, objects_set, span

ADDR_BITS = np.uint64(48)
ADDR_MASK = np.uint64((1 << 48) - 1)
CLASS_MASK = np.uint64(0xFF)
IS_STACK = np.uint64(1 << 58)
IS_TINY = np.uint64(1 << 56)
DIED_MARKING = np.uint64(1 << 63)
"""Beside an address in the list of deaths: it died while the collector marked, so this collection keeps it."""
_U0 = np.uint64(0)


@kinline
def slot_bytes(h, spc, addr):
    """Bytes of the slot of an object of span class ``spc`` at ``addr``."""
    if spc >> 1 != 0:
        nbytes = np.int64(h.params.class_to_size[np.uint32(spc >> 1)])
    else:
        nbytes = np.int64(span(h, span_of_unchecked(h, addr)).npages) << PAGE_SHIFT
    return nbytes


@kjit
def blacken(h, addr):
    """gcmarknewobject: mark the object at ``addr``, which has just been allocated while the collector marks."""
    s = span(h, span_of_unchecked(h, addr))
    gc_bits_set(h, s.gcmark_bits, mspan_obj_index(s, addr))


@kjit
def _is_black(h, addr):
    """Whether the object at ``addr`` was born since marking began: nothing else has a mark yet."""
    s = span(h, span_of_unchecked(h, addr))
    return gc_bits_is_set(h, s.gcmark_bits, mspan_obj_index(s, addr))


@kjit
def blacken_tiny_blocks(h):
    """gcMarkTinyAllocs: the blocks that mcaches fill are black when marking begins."""
    for p in range(np.int64(h.sim.ps_used)):
        block = np.int64(h.allp[p].mcache.tiny)
        if block != 0:
            blacken(h, block)


@kinline
def note_death(h, addr):
    """Append ``addr``, an object that has just died, to the list that the next collection goes through."""
    n = np.int64(h.deaths_len)
    h.deaths_len = n + 1
    entry = np.uint64(addr)
    if h.gcphase == GC_MARK and (h.sim.params.keeps_dying != 0 or _is_black(h, addr)):
        entry |= DIED_MARKING
    deaths_set(h, n, entry)


@kjit
def tiny_block_left(h, block):
    """The mcache no longer fills the tiny block at ``block``: it is dead if nothing in it lives."""
    if block != 0 and tiny_count(h, block) == 0:
        h.sim.live -= MAX_TINY_SIZE
        note_death(h, block)


@kjit
def _tiny_born(h, addr, old_block, p):
    """Account for the tiny object at ``addr``; ``old_block`` is what the mcache filled before."""
    tiny_count_add(h, addr)
    if addr & (MAX_TINY_SIZE - 1) == 0:
        h.sim.live += MAX_TINY_SIZE
        h.sim.slots_taken += MAX_TINY_SIZE
        if np.int64(h.allp[p_or_p0(p)].mcache.tiny) != old_block:
            tiny_block_left(h, old_block)


@kinline
def object_born(h, number, addr, nbytes, noscan, p, old_block):
    """Object ``number`` was allocated at ``addr`` for ``nbytes``."""
    sim = h.sim
    sim.live_objects += 1
    if h.gcphase == GC_MARK and sim.params.keeps_dying == 0:
        blacken(h, addr)
    spc = mallocgc_span_class(h, nbytes, noscan)
    entry = np.uint64(addr) | np.uint64(spc) << ADDR_BITS
    if noscan and nbytes < MAX_TINY_SIZE:
        objects_set(h, number, entry | IS_TINY)
        _tiny_born(h, addr, old_block, p)
    else:
        objects_set(h, number, entry)
        slot = slot_bytes(h, spc, addr)
        sim.slots_taken += slot
        sim.live += slot
        if not noscan:
            sim.live_scan += slot


@kjit
def _tiny_dies(h, addr):
    """One object of a tiny block dies, and the block with its last."""
    if tiny_count_remove(h, addr) != 0:
        return
    block = addr & -MAX_TINY_SIZE
    for p in range(np.int64(h.sim.ps_used)):
        if np.int64(h.allp[p].mcache.tiny) == block:
            return
    h.sim.live -= MAX_TINY_SIZE
    note_death(h, block)


@kinline
def object_dies(h, number, entry):
    """The program can no longer reach object ``number``, whose ``entry`` in objects is given."""
    sim = h.sim
    objects_set(h, number, _U0)
    sim.live_objects -= 1
    addr = np.int64(entry & ADDR_MASK)
    if entry & IS_TINY != _U0:
        _tiny_dies(h, addr)
    else:
        spc = np.int64((entry >> ADDR_BITS) & CLASS_MASK)
        slot = slot_bytes(h, spc, addr)
        sim.live -= slot
        if spc & 1 == 0:
            sim.live_scan -= slot
        note_death(h, addr)


@kjit
def flush_mcaches(h):
    """mcache.prepareForSweep, which every P that has run does for itself: spans and stacks go back.

    Its tiny block is no longer filled.
    """
    running = np.int64(h.current_p)
    for p in range(np.int64(h.sim.ps_used)):
        block = np.int64(h.allp[p].mcache.tiny)
        h.current_p = np.int64(p)
        mcache_release_all(h, np.int64(p))
        stackcache_clear(h, np.int64(p))
        tiny_block_left(h, block)
    h.current_p = running
