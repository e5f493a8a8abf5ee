// Sequences of operations on page caches: filled by the page allocator or in any state, used, flushed.
//
// The states that are not the page allocator's are pages taken before, given to a cache as free: so a flush gives back
// what the allocator may get back.  A cache that is thrown away instead may be in a state of its own.

package runtime_test

import . "runtime"

const (
	cachesSequences = 130
	cachesRounds    = 5
)

func recordCaches(r *recorder) {
	for sequence := 0; sequence < cachesSequences; sequence++ {
		chunks := []ChunkIdx{BaseChunkIdx + ChunkIdx(r.rng.Intn(4*l2Chunks))}
		if r.rng.Intn(2) == 0 {
			chunks = append(chunks, chunks[0]+ChunkIdx(r.oneOf(1, 1, 40, l2Chunks)))
		}
		h := r.newPageHeap("caches", sequence, chunks)
		h.taken = nil // what is taken from the start is for the caches
		if h.rng.Intn(4) == 0 {
			h.exhaust()
		}
		for round := 0; round < cachesRounds; round++ {
			h.cacheRound(h.rng.Intn(cacheCount))
		}
		FreePageAlloc(h.p)
	}
}

// exhaust takes all that is free, with caches that are forgotten; then a page or a cache is asked for in vain.
func (h *pageHeap) exhaust() {
	for addr, _ := h.p.FindRun(1); addr != 0; addr, _ = h.p.FindRun(1) {
		h.toCache(0)
	}
	if h.rng.Intn(2) == 0 {
		h.alloc(1)
	}
	h.toCache(0)
}

// cacheRound fills a cache in one of three ways, allocates from it, and mostly flushes it.
func (h *pageHeap) cacheRound(c int) {
	keep := false
	switch h.weighted(4, 3, 2) {
	case 0:
		h.toCache(c)
	case 1:
		h.giveTaken(c)
	case 2:
		base := PageBase(h.anyChunk(), 0)
		h.setCache(c, NewPageCache(base, h.word(), h.word()))
		keep = true
	}
	most := h.oneOf(1, 4, 16, 64)
	for k := 2 + h.rng.Intn(14); k > 0; k-- {
		h.cacheAlloc(c, uintptr(1+h.rng.Intn(most)))
	}
	if keep {
		h.forget(c)
		return
	}
	for len(h.taken) != 0 && h.rng.Intn(3) == 0 {
		h.free(false)
	}
	if h.rng.Intn(4) == 0 {
		h.alloc(uintptr(1 + h.rng.Intn(100)))
	}
	h.flush(c)
}

// giveTaken gives cache c pages of one block that are taken and not in use otherwise, some of them as scavenged.
func (h *pageHeap) giveTaken(c int) {
	ci, block := h.anyChunk(), uint(h.rng.Intn(chunkPages/64))
	base := PageBase(ci, 64*block)
	cache := h.p.PallocData(ci).PallocBits()[block] & h.word()
	for _, t := range h.taken {
		for i := uintptr(0); i < t.npages; i++ {
			if page := (t.base + i*PageSize - base) / PageSize; page < 64 {
				cache &^= 1 << page
			}
		}
	}
	h.setCache(c, NewPageCache(base, cache, cache&h.word()))
}

// setCache makes cache c what is given; the row names the block, and answers with the cache.
func (h *pageHeap) setCache(c int, cache PageCache) {
	h.caches[c] = cache
	h.writeCache(pagesSetCache, c, cache.Base())
}

// forget throws away cache c, whose pages were never the allocator's, and what was allocated from it.
func (h *pageHeap) forget(c int) {
	h.setCache(c, PageCache{})
	h.taken = nil
}
