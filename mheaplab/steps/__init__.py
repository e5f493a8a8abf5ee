"""Steps: one malloc or one sweep of a heap, told step by step in Go's words from what it changed.

>>> import mheaplab as mh
>>> heap = mh.Heap()
>>> story = mh.steps.malloc(heap, 48)
>>> story.steps[0].go, len(story), hex(story.addr)
('mallocgc', 14, '0xc000000000')
>>> print(mh.steps.malloc(heap, 48).steps[1])
nextFreeFast (malloc.go): Ctz64(allocCache) is 0: slot freeindex 1 + 0 = 1 is free, taken, and nothing else is read.
      allocCache 0x7fffffffffffffff -> 0x3fffffffffffffff
      freeindex 1 -> 2
      allocCount 1 -> 2

Reading order: ``page_bits`` (the bitmaps of 512 pages), ``look`` (the state kept, and what a story is),
``object_steps`` and ``span_steps`` (one malloc), ``sweep_steps`` (one sweep), ``stories`` (what runs them), ``answers``
(what an address tells).
"""

from .answers import Answer, answers, parse_address
from .look import Reading, Step, Story
from .page_bits import PageBits, page_bits
from .stories import filled, malloc, sweep_one

__all__ = [
    "Answer", "PageBits", "Reading", "Step", "Story", "answers", "filled", "malloc", "page_bits",
    "parse_address", "sweep_one",
]  # fmt: skip
