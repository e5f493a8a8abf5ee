"""What a Go version stands on: the rules that a table must keep if a Go built with it is to run.

``size_tables`` has the rules that the twin shares with both versions (steps of 8 and of 128 bytes, a class of 16 for
tiny objects, at most 1,024 objects to a span, division by multiplication).  A real Go asks for more:

* **Go 1.19**: from 32 bytes on, sizes are multiples of 16.  The heap bitmap has four words to a byte, and
  heapBitsSetType takes objects of four words or more to begin at a byte or at its middle; objects of 16 and 24 bytes
  are cases of their own.  A class of 40 bytes would write over the pointer bits of its neighbours.
* **Both**: class 1 is that of 8 bytes.  Go 1.19 takes tiny objects from class 2 by number and throws "bad
TinySizeClass"
  if that is not the one of 16 bytes; in Go 1.27 mallocgcSmallScanNoHeader asks for class 1, not for 8 bytes, to find
  that all words are pointers already.
* **Go 1.27**: 512 is a class, and classes up to it have spans of one page, for the pointer bitmap at the end of the
  span and the inline marks (``size_tables.needs_of_headers``).
* **Go 1.27**: the class of 2,048 bytes is a multiple of 1,024.  An m is an object of that size, and runtime mutexes
  keep ten flags in the low bits of an m's address; lockVerifyMSize throws otherwise.

Types ask for no more: no Go type on amd64 is aligned to more than 8 bytes, which 64-bit atomics need, so every multiple
of 8 will do.  That a size with a large power of two in it gives objects of that alignment, as Go's table lists, is a
promise to nobody; only the m above has come to rely on it.  Everything here is about linux/amd64.
"""

from dataclasses import dataclass

import numpy as np

from ..params import HeapParams
from ..size_tables import LARGE_STEP, SMALL_STEP, STEP_ABOVE, TINY, SizeTables, needs_of_headers

MAX_SIZE = 32768
"""Bytes of the last class."""
GO_VERSIONS = ("go1.19", "go1.27")


@dataclass(frozen=True)
class Rules:
    """The rules of one Go version beside those of ``size_tables``.

    Attributes
    ----------
    steps : tuple of (int, int)
        From the first number of bytes on, sizes are multiples of the second.
    forced : tuple of int
        Sizes that must be classes.
    thread_bytes, thread_step : int
        The class that holds an object of ``thread_bytes`` (an m) is a multiple of ``thread_step``; 0 for no rule.
    one_page_to : int
        Classes up to this size have spans of one page; -1 for none.
    """

    steps: tuple
    forced: tuple
    thread_bytes: int = 0
    thread_step: int = 1
    one_page_to: int = -1


_COMMON = ((SMALL_STEP, SMALL_STEP), (STEP_ABOVE + 1, LARGE_STEP))
RULES = {
    "go1.19": Rules((*_COMMON, (32, 16)), (8, TINY, MAX_SIZE)),
    "go1.27": Rules(_COMMON, (8, TINY, 512, MAX_SIZE), 2048, 1024, 512),
}


def rules_of(go):
    """Return the rules of a Go version; ``ValueError`` if there is no such profile."""
    if go not in RULES:
        raise ValueError(f"go = {go!r} is outside its legal range: one of {', '.join(RULES)}")
    return RULES[go]


def steps_kept(sizes, steps):
    """Return of each size whether it is a multiple of every step that begins at or below it."""
    sizes = np.asarray(sizes)
    kept = np.ones(len(sizes), bool)
    for start, step in steps:
        kept &= (sizes < start) | (sizes % step == 0)
    return kept


def least_before(sizes, rules):
    """Return of each size the least size that the class before it may have, 0 if it may be the first.

    All rules on neighbours are of this form: a forced size may not be passed over, and the class of an m may not be one
    that is no multiple of ``thread_step``.
    """
    sizes = np.asarray(sizes)
    least = np.zeros(len(sizes), np.int64)
    for forced in rules.forced:
        least[sizes > forced] = np.maximum(least[sizes > forced], forced)
    if rules.thread_bytes:
        wrong = (sizes >= rules.thread_bytes) & (sizes % rules.thread_step != 0)
        least[wrong] = np.maximum(least[wrong], rules.thread_bytes)
    return least


def why_not(classes, go):
    """Return why Go version ``go`` cannot be built with ``classes``, pairs (bytes, pages); "" if it can."""
    rules = rules_of(go)
    wrong = SizeTables().reason(tuple(classes))
    if wrong:
        return wrong
    sizes = np.array([size for size, _ in classes])
    kept = steps_kept(sizes, rules.steps)
    if not kept.all():
        return f"{go} cannot mark pointers in objects of {sizes[~kept][0]} bytes: from 32 on, multiples of 16"
    missing = [size for size in rules.forced if size not in sizes]
    if missing:
        return f"{go} needs a class of {missing[0]} bytes"
    profile = HeapParams.of_version(go)
    wrong = needs_of_headers(classes, profile.heap_bits_in_span_bytes, profile.inline_mark_bytes)
    if wrong:
        return wrong
    before = np.concatenate(([0], sizes[:-1]))
    passed = before < least_before(sizes, rules)
    if passed.any():
        holder = sizes[passed][0]
        return (
            f"the class of {rules.thread_bytes:,} bytes, which the runtime's threads are in, is {holder:,} bytes: "
            f"{go} needs a multiple of {rules.thread_step:,}"
        )
    return ""
