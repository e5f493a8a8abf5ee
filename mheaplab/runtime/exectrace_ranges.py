"""exectrace_ranges: events of an execution trace that begin or end something that takes time.

The world is stopped, a goroutine assists, the collector marks; a program's own regions and tasks.  Each function looks
at the event at a cursor: it comes now (ADVANCED), has to wait for other threads (WAITS), or contradicts what has come
before (a fault).
"""

import numpy as np

from ._jit import kjit
from .exectrace_maps import map_get, map_put, map_remove
from .exectrace_structs import (
    BAD_GC_STATE,
    EV_ASSIST_BEGIN,
    EV_GC_ACTIVE,
    EV_GC_BEGIN,
    EV_GC_END,
    EV_REGION_BEGIN,
    EV_STW_BEGIN,
    EV_STW_END,
    EV_TASK_BEGIN,
    GC_NOT_RUNNING,
    GC_RUNNING,
    GC_UNDETERMINED,
    MUST,
    NO_RANGE,
    OTHER_REGION,
    RANGE_TWICE,
    TASK_TWICE,
    UNKNOWN_GOROUTINE,
    data_byte,
    g_at,
    m_at,
    region_at,
)
from .exectrace_tables import LEN_BITS, LEN_MASK
from .exectrace_world import ADVANCED, ANY, ONE, WAITS, ZERO, goroutine_of, needs, pop_region, running, wrong
from .splitmix import GOLDEN, mix


@kjit
def stw_or_assist(t, c, row):
    """EvSTWBegin, EvSTWEnd, EvGCMarkAssistBegin, EvGCMarkAssistEnd: what a goroutine does for some time."""
    place = running(t, c, row, ANY, MUST)
    if place < 0:
        return -1 - place
    g = g_at(t, place)
    begins = c.kind == EV_STW_BEGIN or c.kind == EV_ASSIST_BEGIN
    stw = c.kind == EV_STW_BEGIN or c.kind == EV_STW_END
    if ((g.stw if stw else g.assist) != 0) == begins:
        return wrong(t, c, RANGE_TWICE if begins else NO_RANGE, c.kind, 0)
    if stw:
        g.stw = 1 if begins else 0
    else:
        g.assist = 1 if begins else 0
    return ADVANCED


@kjit
def assist_active(t, c):
    """EvGCMarkAssistActive: a goroutine assists as the generation begins."""
    place = goroutine_of(t, np.int64(c.args[0]))
    if place == 0:
        return wrong(t, c, UNKNOWN_GOROUTINE, c.kind, c.args[0])
    g = g_at(t, place)
    if (g.assist != 0) == (t.gen == t.initial_gen):
        return wrong(t, c, RANGE_TWICE if g.assist != 0 else NO_RANGE, c.kind, 0)
    g.assist = 1
    return ADVANCED


@kjit
def gc_event(t, c, row):
    """EvGCActive, EvGCBegin, EvGCEnd: the mark phase, whose ends are numbered one after the other."""
    seq = np.uint64(c.args[0])
    first = c.kind == EV_GC_ACTIVE and t.gen == t.initial_gen
    if first and t.gc_state != GC_UNDETERMINED:
        return wrong(t, c, BAD_GC_STATE, c.kind, 0)
    if first or (c.kind == EV_GC_BEGIN and t.gc_state == GC_UNDETERMINED):
        t.gc_seq = seq
        t.gc_state = GC_RUNNING
        return ADVANCED
    if seq != t.gc_seq + ONE:
        return WAITS
    if (t.gc_state == GC_RUNNING) == (c.kind == EV_GC_BEGIN):
        return wrong(t, c, BAD_GC_STATE, c.kind, 0)
    t.gc_seq = seq
    t.gc_state = GC_NOT_RUNNING if c.kind == EV_GC_END else GC_RUNNING
    return needs(t, c, row, MUST, MUST)


@kjit
def string_hash(t, key):
    """Return 64 bits that depend on all of a string of this generation; 0 is the empty one."""
    word = np.uint64(map_get(t.strings, key)) if key != ZERO else ZERO
    if word & LEN_MASK <= ONE:
        return ZERO
    at = np.int64(word >> LEN_BITS)
    found = GOLDEN
    for i in range(np.int64((word & LEN_MASK) - ONE)):
        found = mix(found ^ np.uint64(data_byte(t, at + i)))
    return found | ONE


@kjit
def region_event(t, c, row):
    """EvUserRegionBegin, EvUserRegionEnd: regions are ended in the reverse order; those of before are not known."""
    place = running(t, c, row, ANY, MUST)
    if place < 0:
        return -1 - place
    g = g_at(t, place)
    name = string_hash(t, np.uint64(c.args[1]))
    if c.kind == EV_REGION_BEGIN:
        new = np.int64(t.free_regions)
        if new != 0:
            t.free_regions = np.int64(region_at(t, new).following)
        else:
            new = np.int64(t.n_regions)
            t.n_regions += 1
        region = region_at(t, new)
        region.task = c.args[0]
        region.name = name
        region.following = g.region
        g.region = new
    elif g.region != 0:
        region = region_at(t, g.region)
        if region.task != c.args[0] or region.name != name:
            return wrong(t, c, OTHER_REGION, 0, m_at(t, row).g)
        pop_region(t, g)
    return ADVANCED


@kjit
def task_event(t, c, row):
    """EvUserTaskBegin, EvUserTaskEnd: a task begins once, and may end again and again."""
    key = np.uint64(c.args[0])
    if c.kind == EV_TASK_BEGIN:
        if map_get(t.tasks, key) != ZERO:
            return wrong(t, c, TASK_TWICE, key, 0)
        map_put(t.tasks, key, ONE)
    else:
        map_remove(t.tasks, key)
    return needs(t, c, row, MUST, MUST)
