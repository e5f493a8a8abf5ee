"""Lists of entries in chunks: last in, first out, read without a cache miss per entry.

A chunk is 16 words: the next chunk of the list in the lower half of word 0, the number of entries in its upper half,
and up to 15 entries.  A list is the number of its first chunk, 0 if it is empty; it has no empty chunks.  Lists can be
joined, so chunks in the middle may be part full.
"""

import numpy as np

from ._jit import kinline, kjit
from .generate_structs import CHUNK_ENTRIES, CHUNK_WORDS, chunk_set_word, chunk_word

LOW = np.uint64(0xFFFFFFFF)
S32 = np.uint64(32)
ONE_ENTRY = np.uint64(1 << 32)
WORDS = np.int64(CHUNK_WORDS)


@kinline
def chunk_next(head):
    """Return the chunk after the one with word 0 ``head``."""
    return np.int64(head & LOW)


@kinline
def chunk_count(head):
    """Return how many entries there are in the chunk with word 0 ``head``."""
    return np.int64(head >> S32)


@kinline
def chunk_free_put(g, chunk):
    """Free ``chunk``. Modifies g, chunks."""
    chunk_set_word(g, chunk * WORDS, np.uint64(g.chunk_free))
    g.chunk_free = chunk


@kjit
def chunk_shorten(g, chunk, count):
    """Let ``chunk`` keep its last ``count`` entries. Modifies chunks."""
    chunk_set_word(g, chunk * WORDS, (chunk_word(g, chunk * WORDS) & LOW) | (np.uint64(count) << S32))


@kinline
def chunk_take(g):
    """Return a free chunk; there is one. Modifies g."""
    chunk = g.chunk_free
    if chunk != 0:
        g.chunk_free = chunk_next(chunk_word(g, chunk * WORDS))
        return chunk
    chunk = g.chunks_used
    g.chunks_used += 1
    return chunk


@kinline
def has_chunks(g, count):
    """Whether ``count`` chunks can be taken; it may say no when they can, if ``count`` is above 1."""
    return (g.chunks_used + count) * WORDS <= g.chunks_len or (count == 1 and g.chunk_free != 0)


@kjit
def list_push(g, chunk, entry):
    """Put ``entry`` in front of the list ``chunk`` and return the list. Modifies g, chunks."""
    head = chunk_word(g, chunk * WORDS)
    if chunk == 0 or chunk_count(head) == CHUNK_ENTRIES:
        head = np.uint64(chunk)
        chunk = chunk_take(g)
    head += ONE_ENTRY
    chunk_set_word(g, chunk * WORDS, head)
    chunk_set_word(g, chunk * WORDS + chunk_count(head), entry)
    return chunk


@kjit
def list_pop(g, chunk):
    """Return (list, entry): the list ``chunk``, which is not empty, without its first entry. Modifies g, chunks."""
    head = chunk_word(g, chunk * WORDS)
    entry = chunk_word(g, chunk * WORDS + chunk_count(head))
    head -= ONE_ENTRY
    if chunk_count(head) == 0:
        following = chunk_next(head)
        chunk_free_put(g, chunk)
        return following, entry
    chunk_set_word(g, chunk * WORDS, head)
    return chunk, entry


@kjit
def list_last(g, chunk):
    """Return the last chunk of the list ``chunk``, 0 if it is empty."""
    last = chunk
    while chunk != 0:
        last = chunk
        chunk = chunk_next(chunk_word(g, chunk * WORDS))
    return last


@kjit
def list_join(g, chunk, last, other):
    """Let the list ``other`` follow ``last``, the last chunk of the list ``chunk``; return it. Modifies chunks."""
    head = chunk_word(g, last * WORDS)
    chunk_set_word(g, last * WORDS, (head >> S32 << S32) | np.uint64(other))
    return chunk
