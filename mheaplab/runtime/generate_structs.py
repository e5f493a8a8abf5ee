"""Record types of the workload generator: its place in the stream, its plan, and what is alive.

The record holds the address and length of every table and output column (see ``intrinsics``), so that compiled
functions take one pointer.  The plan is made once by ``mheaplab.workloads`` and tells everything in whole numbers and
uniform cells, so that the generator needs no logarithm and gives the same events on every machine.

*Cells* hold every distribution, of sizes and of lifetimes alike.  A cell is a range of ``width`` values from ``least``
on, all equally likely; which cell a draw falls into is decided by an alias table (A. J. Walker, 1977; M. D. Vose,
1991): take a cell at random, stay with probability ``keep``, else go to ``other``.  One look-up per draw, however many
cells. The cells of a phase's sizes are those of all its streams together, so that the same draw picks stream and size.

What is alive is not kept in a table by id: it would be the largest thing in memory, and every death would be a cache
miss.  An object is one *entry*, a word with its id, its stream and, for a stack, its size; and the entry is in exactly
one place, from which it is read in order: a list of the wheel, of an open group or of what stays, or a ring.

Lists are made of *chunks* of 16 words (``chunks``).  Ids that are free stand in a stack of their own.  Probabilities
are counted in 2**-32.
"""



import numpy as np

from .intrinsics import make_record_table, make_word_table
from .records import struct

WHEEL_BITS = 11
"""log2 of the slots in a level: an object lives at most 8 / 2**11 (0.4%) longer than was drawn for it."""
WHEEL_SLOTS = 1 << WHEEL_BITS
WHEEL_LEVELS = 12
WHEEL_STEP = 3
"""log2 of how much coarser each level is than the one before."""
CERTAIN = 1 << 32
"""Probability 1."""
TIME_SHIFT = 10
"""Time is counted in ns / 2**10, so that a phase may take a fraction of a ns per event on the average."""

# How a stream's objects die.
BY_LIFETIME = 0  # each on its own, when so many bytes have been allocated since
NEVER = 1
STAYS = 2  # at the end of a phase, if its drop says so
IN_GROUPS = 3  # all of a group together
OLDEST_FIRST = 4  # the rest: when the stream holds more than it may
AT_RANDOM = 5
SECOND_CHANCE = 6

# How allocations are spread over Ps.
IN_TURN = 0
BY_CHANCE = 1
SKEWED = 2

# What the generator is at.
STARTING = 0  # a phase
RUNNING = 1
ENDING = 2
CLOSING = 3
DONE = 4

# What it needs to go on.
NEEDS_NOTHING = 0
NEEDS_IDS = 1
NEEDS_RINGS = 2
NEEDS_CHUNKS = 3

CHUNK_WORDS = 16
CHUNK_ENTRIES = 15
STREAM_BITS = 32
"""Where an entry has its stream; the id is below."""
STACK_BITS = 48
"""Where an entry has log2 of its bytes, if it is a stack."""

TABLE_NAMES = ("phases", "streams", "cells", "drops", "holds", "groups", "ring_ends", "rings", "wheel", "chunks", "ids")
COLUMN_NAMES = ("kind_out", "p_out", "size_out", "noscan_out", "id_out", "time_out")

GENERATOR = struct(
    ("rng", "u8"),  # state of the random numbers
    ("clock", "i8"),  # bytes of objects allocated so far
    ("tick", "i8"),  # the wheel is done with this tick and all before
    ("level", "i8"),  # next level of the wheel to look at in tick + 1
    ("shift", "i8"),  # log2 of bytes in a tick
    ("due", "i8"),  # list of what must die before anything else happens
    ("stay", "i8"),  # list of objects of streams that stay
    ("ids_used", "i8"),  # ids ever used: 0 to ids_used - 1
    ("ids_free", "i8"),  # how many of these are free; the last freed is used first
    ("chunks_used", "i8"),  # chunks ever used, chunk 0 (nil) included
    ("chunk_free", "i8"),  # list of chunks that are free
    ("stage", "i8"),
    ("needs", "i8"),
    ("phase", "i8"),  # index
    ("allocs", "i8"),  # in this phase
    ("phase_clock", "i8"),  # clock at its start
    ("collect_at", "i8"),  # clock of the next forced collection
    ("evict", "i8"),  # streams from here to evict_end may hold more than they may
    ("evict_end", "i8"),
    ("time", "i8"),  # ns / 2**10
    ("on_p", "i8"),  # the P of the last allocation
    ("run_left", "i8"),  # allocations before the next change of P
    ("places", "i8"),  # in each ring, a power of two
    *((f"{name}{end}", "i8") for name in TABLE_NAMES + COLUMN_NAMES for end in ("_at", "_cap", "_len")),
)

PHASE_PLAN = struct(
    ("by_bytes", "i8"),  # whether amount is in bytes; else in allocations
    ("amount", "i8"),
    ("first", "i8"),  # its cells of sizes
    ("cells", "i8"),
    ("ps", "i8"),
    ("spread", "i8"),
    ("run", "i8"),  # allocations in a row on one P
    ("alloc_time", "i8"),  # ns / 2**10 per allocation
    ("idle_time", "i8"),  # ns / 2**10 before the first one
    ("collect_every", "i8"),  # bytes; 0 never
    ("collect_end", "i8"),  # 0 no, 1 runtime.GC, 2 debug.FreeOSMemory
)

STREAM_PLAN = struct(
    ("dies", "i8"),
    ("stack", "i8"),  # whether these are stacks
    ("first", "i8"),  # its cells of lifetimes
    ("cells", "i8"),
    ("groups", "i8"),  # its first open group
    ("open_groups", "i8"),
    ("by_bytes", "i8"),  # whether a group is full by bytes; else by objects
    ("group_amount", "i8"),
    ("row", "i8"),  # its ring
    ("again", "i8"),  # chance that the oldest is kept for another round
    ("live", "i8"),  # bytes held; modified while running
    ("may_hold", "i8"),  # bytes; set at the start of each phase
)

CELL = struct(
    ("keep", "i8"),
    ("other", "i8"),  # relative to the first cell of the table
    ("stream", "i8"),  # sizes only
    ("noscan", "i8"),  # sizes only: probability
    ("least", "i8"),
    ("width", "f8"),  # number of values, a whole number
)

OPEN_GROUP = struct(("head", "i8"), ("tail", "i8"), ("filled", "i8"))  # its list of chunks

HELD_OBJECT = struct(("entry", "u8"), ("amount", "i8"))

RING = struct(("head", "i8"), ("count", "i8"))


# Access to the tables, whose address and length the GENERATOR record holds: item i as a pointer, or a word.
phase_plan = make_record_table(GENERATOR, "phases", PHASE_PLAN)
stream_plan = make_record_table(GENERATOR, "streams", STREAM_PLAN)
cell_at = make_record_table(GENERATOR, "cells", CELL)
open_group = make_record_table(GENERATOR, "groups", OPEN_GROUP)
ring_at = make_record_table(GENERATOR, "ring_ends", RING)
held_at = make_record_table(GENERATOR, "rings", HELD_OBJECT)
drop_share, _ = make_word_table(GENERATOR, "drops", np.dtype("i8"))
may_hold, _ = make_word_table(GENERATOR, "holds", np.dtype("i8"))
slot_head, slot_set = make_word_table(GENERATOR, "wheel", np.dtype("i8"))
chunk_word, chunk_set_word = make_word_table(GENERATOR, "chunks", np.dtype("u8"))
free_id, free_id_set = make_word_table(GENERATOR, "ids", np.dtype("u4"))
_, kind_set = make_word_table(GENERATOR, "kind_out", np.dtype("u1"))
_, p_set = make_word_table(GENERATOR, "p_out", np.dtype("u1"))
_, size_set = make_word_table(GENERATOR, "size_out", np.dtype("u8"))
_, noscan_set = make_word_table(GENERATOR, "noscan_out", np.dtype("u1"))
_, id_set = make_word_table(GENERATOR, "id_out", np.dtype("u8"))
_, time_set = make_word_table(GENERATOR, "time_out", np.dtype("u8"))


def bind(g, name, array):
    """Let table ``name`` of a GENERATOR record be ``array``, which the caller keeps alive."""
    g[f"{name}_at"] = array.ctypes.data
    g[f"{name}_cap"] = g[f"{name}_len"] = len(array)
