"""Slow twin of stacks: stackalloc and stackfree with lists of Python objects, written from Go's runtime/stack.go.

Where spans come from is not its business: ``allocate`` is asked for a span and told its address, ``release`` is told
that a span goes back to the heap.
"""

PAGE = 8192
FIXED_STACK = 2048
ORDERS = 4
CACHE_BYTES = 32768
"""Bytes of a pool's span, and from how many on a cache gives half back."""
POOL_SPAN_PAGES = CACHE_BYTES // PAGE


class Span:
    """A span for stacks.

    Attributes
    ----------
    base, npages : int
    free : list of int
        Addresses of its free stacks, the next to be taken last; only of a pool's span.
    taken : int
        Stacks of it that the pool has handed out, to caches or to goroutines.
    """

    def __init__(self, base, npages):
        self.base, self.npages = base, npages
        self.free = []
        self.taken = 0


class NaiveStacks:
    """All stacks of a heap.

    Parameters
    ----------
    allocate : callable
        ``allocate(npages)`` returns the address of a fresh span.
    release : callable
        ``release(base)`` hears of a span that is freed.

    Attributes
    ----------
    pool : list of list of Span
        By order: the spans that have a free stack, the one to be used first in front.
    cache : dict of (int, int) to list of int
        Free stacks by P and order, the next to be taken last.
    large : dict of int to list of Span
        Large stacks that wait for the end of marking, by size in pages, the next to be taken in front.
    marking : bool
    spans : dict of int to Span
        All spans, by their address.
    """

    def __init__(self, allocate, release):
        self.allocate, self.release = allocate, release
        self.pool = [[] for _ in range(ORDERS)]
        self.cache = {}
        self.large = {}
        self.marking = False
        self.spans = {}

    def _new_span(self, npages):
        base = self.allocate(npages)
        self.spans[base] = Span(base, npages)
        return self.spans[base]

    def _free_span(self, span):
        del self.spans[span.base]
        self.release(span.base)

    def _span_of(self, stack):
        return next(s for s in self.spans.values() if s.base <= stack < s.base + s.npages * PAGE)

    # Pools

    def pool_alloc(self, order):
        """Take a stack from the first span of the pool, which leaves the pool once it has no other."""
        if not self.pool[order]:
            fresh = self._new_span(POOL_SPAN_PAGES)
            fresh.free = list(range(fresh.base, fresh.base + CACHE_BYTES, FIXED_STACK << order))
            self.pool[order].insert(0, fresh)
        span = self.pool[order][0]
        stack = span.free.pop()
        span.taken += 1
        if not span.free:
            self.pool[order].remove(span)
        return stack

    def pool_free(self, stack, order):
        """Give a stack back to its span. An empty span goes back to the heap, unless the collector marks."""
        span = self._span_of(stack)
        if not span.free:
            self.pool[order].insert(0, span)
        span.free.append(stack)
        span.taken -= 1
        if not self.marking and span.taken == 0:
            self.pool[order].remove(span)
            self._free_span(span)

    # Caches

    def _cache(self, p, order):
        return self.cache.setdefault((p, order), [])

    def release_to(self, p, order, keep):
        """Give stacks back to the pool until at most ``keep`` bytes are in the cache."""
        cache = self._cache(p, order)
        while len(cache) * (FIXED_STACK << order) > keep:
            self.pool_free(cache.pop(), order)

    def clear(self, p):
        """stackcache_clear."""
        for order in range(ORDERS):
            self.release_to(p, order, 0)

    # What goroutines ask for

    def alloc(self, nbytes, p):
        """stackalloc, for P ``p`` or None; return the address."""
        if nbytes < CACHE_BYTES:
            order = (nbytes // FIXED_STACK).bit_length() - 1
            if p is None:
                return self.pool_alloc(order)
            cache = self._cache(p, order)
            if not cache:
                while len(cache) * nbytes < CACHE_BYTES // 2:
                    cache.append(self.pool_alloc(order))
            return cache.pop()
        npages = nbytes // PAGE
        waiting = self.large.get(npages)
        return waiting.pop(0).base if waiting else self._new_span(npages).base

    def free(self, stack, nbytes, p):
        """stackfree."""
        if nbytes < CACHE_BYTES:
            order = (nbytes // FIXED_STACK).bit_length() - 1
            if p is None:
                self.pool_free(stack, order)
                return
            cache = self._cache(p, order)
            if len(cache) * nbytes >= CACHE_BYTES:
                self.release_to(p, order, CACHE_BYTES // 2)
            cache.append(stack)
            return
        span = self.spans[stack]
        if self.marking:
            self.large.setdefault(span.npages, []).insert(0, span)
        else:
            self._free_span(span)

    def free_spans(self):
        """freeStackSpans: what waited for the end of marking goes back to the heap."""
        for pool in self.pool:
            for span in [s for s in pool if s.taken == 0]:
                pool.remove(span)
                self._free_span(span)
        for npages in sorted(self.large):
            for span in self.large.pop(npages):
                self._free_span(span)
