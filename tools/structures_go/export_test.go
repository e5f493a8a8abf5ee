// What the recording needs of the runtime and Go's own export_test.go does not show. Each function but AddChunk only
// passes its arguments on, on the system stack and under the lock where the runtime's own wrappers do so: nothing in
// this file computes anything that is recorded.

package runtime

// AddChunk does for one chunk what NewPageAlloc does for each. That goes over a map, so in any order, and for Go 1.19
// the order makes a difference: a growth below a heap that spans more than 128 GiB clears marks of the scavenger's index.
func (p *PageAlloc) AddChunk(ci ChunkIdx, taken, scavenged []BitRange) {
	pp := (*pageAlloc)(p)
	addr := chunkBase(chunkIdx(ci))
	p.Grow(addr, pallocChunkBytes)
	chunk := pp.chunkOf(chunkIdx(ci))
	chunk.scavenged.clearRange(0, pallocChunkPages)
	for _, s := range scavenged {
		chunk.scavenged.setRange(s.I, s.N)
	}
	for _, t := range taken {
		chunk.allocRange(t.I, t.N)
	}
	if _, npages := chunk.findScavengeCandidate(pallocChunkPages-1, 1, 1); npages != 0 {
		pp.scav.index.mark(addr, addr+pallocChunkBytes)
	}
	systemstack(func() {
		lock(pp.mheapLock)
		pp.update(addr, pallocChunkPages, false, false)
		unlock(pp.mheapLock)
	})
}

// FreeAs is pageAlloc.free. Free of export_test.go always says that the pages are scavenged, the heap never does.
func (p *PageAlloc) FreeAs(base, npages uintptr, scavenged bool) {
	pp := (*pageAlloc)(p)
	systemstack(func() {
		lock(pp.mheapLock)
		pp.free(base, npages, scavenged)
		unlock(pp.mheapLock)
	})
}

func (p *PageAlloc) Grow(base, size uintptr) {
	pp := (*pageAlloc)(p)
	systemstack(func() {
		lock(pp.mheapLock)
		pp.grow(base, size)
		unlock(pp.mheapLock)
	})
}

func (p *PageAlloc) AllocRange(base, npages uintptr) (scav uintptr) {
	pp := (*pageAlloc)(p)
	systemstack(func() {
		lock(pp.mheapLock)
		scav = pp.allocRange(base, npages)
		unlock(pp.mheapLock)
	})
	return scav
}

// FindRun is pageAlloc.find, which changes nothing.
func (p *PageAlloc) FindRun(npages uintptr) (addr, searchAddr uintptr) {
	pp := (*pageAlloc)(p)
	systemstack(func() {
		lock(pp.mheapLock)
		var found offAddr
		addr, found = pp.find(npages)
		searchAddr = found.addr()
		unlock(pp.mheapLock)
	})
	return addr, searchAddr
}

func (p *PageAlloc) ScavengeOne(ci ChunkIdx, max uintptr) (released uintptr) {
	pp := (*pageAlloc)(p)
	systemstack(func() {
		released = pp.scavengeOne(chunkIdx(ci), pallocChunkPages-1, max)
	})
	return released
}

// ScavengeFind is scavengeIndex.find without the page, which Go 1.19 does not use.
func (p *PageAlloc) ScavengeFind() ChunkIdx {
	ci, _ := (*pageAlloc)(p).scav.index.find()
	return ChunkIdx(ci)
}

func (p *PageAlloc) SearchAddr() uintptr { return (*pageAlloc)(p).searchAddr.addr() }

// Summary is the summary of the entry of level that covers chunk ci.
func (p *PageAlloc) Summary(level int, ci ChunkIdx) PallocSum {
	i := offAddrToLevelIndex(level, offAddr{chunkBase(chunkIdx(ci))})
	return PallocSum((*pageAlloc)(p).summary[level][i])
}

// Marked tells whether the scavenger's index has chunk ci.
func (p *PageAlloc) Marked(ci ChunkIdx) bool {
	return (*pageAlloc)(p).scav.index.chunks[ci/8].Load()>>(ci%8)&1 != 0
}

func ChunkIndex(addr uintptr) ChunkIdx { return ChunkIdx(chunkIndex(addr)) }

func (d *PallocData) AllocAll() { (*pallocData)(d).allocAll() }

func (b *PallocBits) FreeAll() { (*pallocBits)(b).freeAll() }

func (a *AddrRanges) FindAddrGreaterEqual(addr uintptr) (uintptr, bool) {
	return a.findAddrGreaterEqual(addr)
}

func (a *AddrRanges) Contains(addr uintptr) bool { return a.contains(addr) }

// SetPhysHugePageSize sets what the scavenger takes for the size of a huge page, and returns what it was.
func SetPhysHugePageSize(size uintptr) uintptr {
	was := physHugePageSize
	physHugePageSize = size
	return was
}
