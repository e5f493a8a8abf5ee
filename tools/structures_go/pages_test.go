// Sequences of operations on the page allocator: pageAlloc with its scavenger, and page caches beside it.
//
// This file owns the allocator under recording and the operations themselves; caches_test.go has sequences of its own,
// made of the same operations. A row has what the operation answered, searchAddr, and three digests of the state: the
// bitmaps (with the chunks and ranges in use and the caches), the summaries of all five levels, the scavenger's index.
// Only what the heap itself would do is done: pages are freed that are taken, and taken that are free.

package runtime_test

import . "runtime"

const (
	pagesSequences  = 220
	pagesOperations = 32
	largeSequences  = 20
	largeOperations = 60
	cacheCount      = 3
	summaryLevels   = 5
	l2Chunks        = 1 << 13           // chunks in a second-level block of the chunk map
	firstChunk      = ChunkIdx(1 << 25) // of address 0
	everything      = 1 << 50           // pages
)

// Kinds of rows of pages_ops and caches_ops, in the order of PAGES of record_structures.py.
const (
	pagesGrow = iota
	pagesAlloc
	pagesAllocRange
	pagesFree
	pagesFreeScavenged
	pagesFind
	pagesScavenge
	pagesScavengeOne
	pagesScavengeFind
	pagesToCache
	pagesCacheAlloc
	pagesFlush
	pagesSetCache
)

// run is a run of taken pages that no cache owns.
type run struct{ base, npages uintptr }

type pageHeap struct {
	*recorder
	table    string
	sequence int
	p        *PageAlloc
	caches   [cacheCount]PageCache
	taken    []run
}

func recordPages(r *recorder) {
	for sequence := 0; sequence < pagesSequences+largeSequences; sequence++ {
		large := sequence >= pagesSequences
		h := r.newPageHeap("pages", sequence, r.chunksOfHeap(large))
		operations := pagesOperations
		if large {
			operations = largeOperations
			_, end := h.p.Bounds()
			h.grow(end, 60+h.rng.Intn(140))
		}
		for k := 0; k < operations; k++ {
			h.randomOp(large)
		}
		FreePageAlloc(h.p)
	}
}

// newPageHeap makes an allocator with random bitmaps in the given chunks, and writes them as Go has them then.
func (r *recorder) newPageHeap(table string, sequence int, chunks []ChunkIdx) *pageHeap {
	huge := r.oneOf(0, hugeBytes, hugeBytes)
	SetPhysHugePageSize(uintptr(huge))
	h := &pageHeap{recorder: r, table: table, sequence: sequence, p: NewPageAlloc(nil, nil)}
	r.row(table+"_sequences", huge, len(chunks))
	for _, ci := range chunks {
		taken, scavenged := r.bitmap(), r.bitmap()
		h.p.AddChunk(ci, rangesOf(&taken), rangesOf(&scavenged))
		d := h.p.PallocData(ci)
		r.row(table+"_chunks", append([]any{ci}, words(d.PallocBits(), d.Scavenged())...)...)
		for _, t := range rangesOf(&taken) {
			h.taken = append(h.taken, run{PageBase(ci, t.I), uintptr(t.N)})
		}
	}
	return h
}

// chunksOfHeap picks chunks: neighbours, chunks with gaps, in other arenas, other blocks of the tree or of the chunk
// map, terabytes away; at the usual place, at any, or about a border of blocks.
func (r *recorder) chunksOfHeap(large bool) (chunks []ChunkIdx) {
	base := BaseChunkIdx
	switch r.rng.Intn(3) {
	case 0:
		base = firstChunk + 1 + ChunkIdx(r.rng.Intn(1<<25-1<<22))
	case 1:
		border := r.oneOf(8, 64, 512, 4096, l2Chunks, 1<<15)
		base = firstChunk + ChunkIdx(border)*ChunkIdx(1+r.rng.Intn(64)) - ChunkIdx(1+r.rng.Intn(3))
	}
	offsets := [][]int{
		{0}, {0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 3, 4, 5}, {0, 2}, {0, 1, 4, 6}, {0, 15, 16, 33}, {0, 7, 8, 9}, {0, 63, 64, 65},
		{0, 1, 600}, {0, l2Chunks - 1, l2Chunks}, {0, 1, 0x10000}, {0, 1, 0x100000}, {0, 0x1000, 0x20000, 0x200000},
	}
	if large {
		offsets = [][]int{{0}, {0, 1}, {0, 70}, {0, 0x10000}}
	}
	for _, offset := range offsets[r.rng.Intn(len(offsets))] {
		chunks = append(chunks, base+ChunkIdx(offset))
	}
	return chunks
}

// write writes the row of an operation of cache c, or of none, with the state that it left.
func (h *pageHeap) write(kind, c int, a, b uintptr, answers ...uint64) {
	var pages, tree, marks digest
	start, end := h.p.Bounds()
	pages.add(uint64(start), uint64(end))
	for _, in := range h.p.InUse() {
		pages.add(uint64(in.Base()), uint64(in.Limit()))
		for ci := ChunkIndex(in.Base()); ci < ChunkIndex(in.Limit()); ci++ {
			d := h.p.PallocData(ci)
			pages.add(d.PallocBits()[:]...)
			pages.add(d.Scavenged()[:]...)
			for level := 0; level < summaryLevels; level++ {
				tree.add(uint64(h.p.Summary(level, ci)))
			}
			if h.p.Marked(ci) {
				marks.add(uint64(ci))
			}
		}
	}
	for k := range h.caches {
		pages.add(uint64(h.caches[k].Base()), h.caches[k].Cache(), h.caches[k].Scav())
	}
	var three [3]int64
	for k, answer := range answers {
		three[k] = int64(answer)
	}
	h.row(h.table+"_ops", h.sequence, kind, c, a, b, three[0], three[1], three[2],
		h.p.SearchAddr(), pages.sum(), tree.sum(), marks.sum())
}

func (h *pageHeap) randomOp(large bool) {
	c := h.rng.Intn(cacheCount)
	weights := []int{12, 10, 4, 3, 6, 3, 1, 3, 5, 1}
	if large {
		// Much is freed and scavenged, so that marks are set over many words of the index while it is searched.
		weights = []int{12, 14, 1, 3, 12, 1, 1, 1, 1, 1}
	}
	switch h.weighted(weights...) {
	case 0:
		h.alloc(h.npages(large))
	case 1:
		h.free(h.rng.Intn(4) == 0)
	case 2:
		h.allocRange()
	case 3:
		h.find(h.npages(large))
	case 4:
		h.scavenge(large)
	case 5:
		ci, pages := h.anyChunk(), uintptr(1+h.rng.Intn(chunkPages))
		h.write(pagesScavengeOne, 0, uintptr(ci), pages, uint64(h.p.ScavengeOne(ci, pages*PageSize)))
	case 6:
		h.write(pagesScavengeFind, 0, 0, 0, uint64(h.p.ScavengeFind()))
	case 7:
		if h.caches[c].Empty() {
			h.toCache(c)
		} else {
			h.flush(c)
		}
	case 8:
		h.cacheAlloc(c, uintptr(1+h.rng.Intn(15)))
	case 9:
		h.growAnywhere()
	}
}

func (h *pageHeap) find(npages uintptr) {
	addr, search := h.p.FindRun(npages)
	if addr == 0 {
		search = 0 // without a meaning then
	}
	h.write(pagesFind, 0, npages, 0, uint64(addr), uint64(search))
}

func (h *pageHeap) scavenge(large bool) {
	pages := uintptr(h.oneOf(1, 8, 8, 1+h.rng.Intn(700), everything))
	if large {
		pages = uintptr(h.oneOf(chunkPages, 1+h.rng.Intn(60*chunkPages), 1+h.rng.Intn(60*chunkPages), everything))
	}
	h.write(pagesScavenge, 0, pages, 0, uint64(h.p.Scavenge(pages*PageSize)))
}

// npages picks how much to allocate: from a page to several chunks, and what fits exactly in a chunk or by a page not.
func (h *pageHeap) npages(large bool) uintptr {
	if h.rng.Intn(5) == 0 {
		return uintptr(h.npagesInChunk(h.p.PallocData(h.anyChunk()).PallocBits()))
	}
	if large && h.rng.Intn(3) != 0 {
		return uintptr(h.oneOf(chunkPages, 1+h.rng.Intn(4*chunkPages), 1+h.rng.Intn(100*chunkPages)))
	}
	return uintptr(h.oneOf(1, 1, 2, 1+h.rng.Intn(15), 1+h.rng.Intn(15), 16+h.rng.Intn(49), 65+h.rng.Intn(200),
		1+h.rng.Intn(chunkPages), chunkPages, 1+h.rng.Intn(3*chunkPages)))
}

func (h *pageHeap) alloc(npages uintptr) {
	addr, scav := h.p.Alloc(npages)
	if addr != 0 {
		h.taken = append(h.taken, run{addr, npages})
	}
	h.write(pagesAlloc, 0, npages, 0, uint64(addr), uint64(scav))
}

// free gives one of the taken runs back, or a part of it; the rest stays taken.
func (h *pageHeap) free(scavenged bool) {
	if len(h.taken) == 0 {
		return
	}
	k := h.rng.Intn(len(h.taken))
	whole := h.taken[k]
	h.taken[k] = h.taken[len(h.taken)-1]
	h.taken = h.taken[:len(h.taken)-1]
	part := whole
	if h.rng.Intn(3) == 0 {
		first := uintptr(h.rng.Intn(int(whole.npages)))
		part = run{whole.base + first*PageSize, 1 + uintptr(h.rng.Intn(int(whole.npages-first)))}
		rest := whole.npages - first - part.npages
		if first != 0 {
			h.taken = append(h.taken, run{whole.base, first})
		}
		if rest != 0 {
			h.taken = append(h.taken, run{part.base + part.npages*PageSize, rest})
		}
	}
	h.p.FreeAs(part.base, part.npages, scavenged)
	kind := pagesFree
	if scavenged {
		kind = pagesFreeScavenged
	}
	h.write(kind, 0, part.base, part.npages)
}

// allocRange takes free pages from a random one on, over borders of chunks too.
func (h *pageHeap) allocRange() {
	ci, page := h.anyChunk(), uint(h.rng.Intn(chunkPages))
	for page < chunkPages && !h.isFree(ci, page) {
		page++
	}
	most := h.oneOf(1, 1+h.rng.Intn(64), 1+h.rng.Intn(3*chunkPages))
	n := 0
	for n < most && h.isFree(ci+ChunkIdx(page+uint(n))/chunkPages, (page+uint(n))%chunkPages) {
		n++
	}
	if page == chunkPages || n == 0 {
		return
	}
	base := PageBase(ci, page)
	h.taken = append(h.taken, run{base, uintptr(n)})
	h.write(pagesAllocRange, 0, base, uintptr(n), uint64(h.p.AllocRange(base, uintptr(n))))
}

func (h *pageHeap) isFree(ci ChunkIdx, page uint) bool {
	for _, in := range h.p.InUse() {
		if addr := PageBase(ci, page); in.Base() <= addr && addr < in.Limit() {
			return h.p.PallocData(ci).PallocBits()[page/64]>>(page%64)&1 == 0
		}
	}
	return false
}

// anyChunk picks a chunk of the heap, each range in use as often as another.
func (h *pageHeap) anyChunk() ChunkIdx {
	ranges := h.p.InUse()
	in := ranges[h.rng.Intn(len(ranges))]
	return ChunkIndex(in.Base()) + ChunkIdx(h.rng.Intn(int(in.Size()/chunkBytes)))
}

// growAnywhere makes the heap larger: above what there is, with or without a gap, or below.
func (h *pageHeap) growAnywhere() {
	start, end := h.p.Bounds()
	n := 1 + h.rng.Intn(3)
	gap := h.oneOf(0, 0, 1, 9, 70, 600, l2Chunks)
	if h.rng.Intn(3) == 0 && start > firstChunk+ChunkIdx(n+gap) {
		h.grow(start-ChunkIdx(n+gap), n)
	} else {
		h.grow(end+ChunkIdx(gap), n)
	}
}

func (h *pageHeap) grow(ci ChunkIdx, chunks int) {
	base, size := PageBase(ci, 0), uintptr(chunks)*chunkBytes
	h.p.Grow(base, size)
	h.write(pagesGrow, 0, base, size)
}

// Operations on page caches.

func (h *pageHeap) toCache(c int) {
	h.caches[c] = h.p.AllocToCache()
	h.writeCache(pagesToCache, c, 0)
}

func (h *pageHeap) flush(c int) {
	h.caches[c].Flush(h.p)
	h.writeCache(pagesFlush, c, 0)
}

// writeCache writes the row of an operation that answers with cache c itself.
func (h *pageHeap) writeCache(kind, c int, a uintptr) {
	cache := &h.caches[c]
	h.write(kind, c, a, 0, uint64(cache.Base()), cache.Cache(), cache.Scav())
}

func (h *pageHeap) cacheAlloc(c int, npages uintptr) {
	addr, scav := h.caches[c].Alloc(npages)
	if addr != 0 {
		h.taken = append(h.taken, run{addr, npages})
	}
	h.write(pagesCacheAlloc, c, npages, 0, uint64(addr), uint64(scav))
}
