// Operations on the bitmaps of one chunk: pallocBits, pallocData, findBitRange64 and pallocSum.

package runtime_test

import . "runtime"

const (
	bitsChunks    = 400
	bitsPerChunk  = 20
	logMaxPages   = 21 // of a pallocSum
	maxPages      = 1 << logMaxPages
	everythingMax = 1 << 51 // pages in 2^64 bytes
)

// Kinds of rows of bits_ops, in the order of BITS of record_structures.py.
const (
	bitsSummarize = iota
	bitsFind
	bitsPopcnt
	bitsAllocRange
	bitsFree
	bitsAllocAll
	bitsFreeAll
	bitsSetScavenged
	bitsCandidate
	bitsFindBitRange
	bitsPack
	bitsUnpack
)

func recordBits(r *recorder) {
	for chunk := 0; chunk < bitsChunks; chunk++ {
		taken, scavenged := r.bitmap(), r.bitmap()
		d := new(PallocData)
		for i := range taken {
			d.PallocBits()[i] = taken[i]
			d.Scavenged()[i] = scavenged[i] &^ taken[i]
		}
		r.row("bits_chunks", words(d.PallocBits(), d.Scavenged())...)
		for k := 0; k < bitsPerChunk; k++ {
			r.bitsOp(chunk, d, r.weighted(3, 6, 2, 2, 2, 1, 1, 1, 6, 3, 1, 1))
		}
	}
}

// bitsOp makes one operation on the chunk and writes its row.
func (r *recorder) bitsOp(chunk int, d *PallocData, kind int) {
	var args, answers [3]int64
	i, n := r.pageRange()
	switch kind {
	case bitsSummarize, bitsFind, bitsPopcnt, bitsCandidate:
		args, answers = r.askChunk(d, kind, i, n)
	case bitsAllocAll, bitsFreeAll:
		i, n = 0, chunkPages
		fallthrough
	case bitsAllocRange, bitsFree, bitsSetScavenged:
		changeChunk(d, kind, i, n)
		args, answers = [3]int64{int64(i), int64(n)}, [3]int64{int64(digestOf(d))}
	default:
		args, answers = r.askWord(kind)
	}
	r.row("bits_ops", kind, chunk, args[0], args[1], args[2], answers[0], answers[1], answers[2])
}

// askChunk asks something of the chunk's bitmaps, of pages [i, i+n) if of a range.
func (r *recorder) askChunk(d *PallocData, kind int, i, n uint) (args, answers [3]int64) {
	b := d.PallocBits()
	switch kind {
	case bitsSummarize:
		answers[0] = int64(b.Summarize())
	case bitsFind:
		npages := r.npagesInChunk(b)
		search := r.rng.Intn(chunkPages) * r.rng.Intn(2)
		j, first := b.Find(uintptr(npages), uint(search))
		args, answers = [3]int64{int64(npages), int64(search)}, [3]int64{int64(j), int64(first)}
	case bitsPopcnt:
		scavenged := r.rng.Intn(2)
		if scavenged != 0 {
			b = d.Scavenged()
		}
		args, answers = [3]int64{int64(i), int64(n), int64(scavenged)}, [3]int64{int64(b.PopcntRange(i, n))}
	case bitsCandidate:
		max := r.oneOf(1, 2, 1+r.rng.Intn(16), 1+r.rng.Intn(chunkPages), chunkPages, hugePages, everythingMax)
		huge := r.oneOf(0, hugeBytes)
		SetPhysHugePageSize(uintptr(huge))
		start, pages := d.FindScavengeCandidate(chunkPages-1, 1, uintptr(max))
		SetPhysHugePageSize(hugeBytes)
		args, answers = [3]int64{int64(max), int64(huge)}, [3]int64{int64(start), int64(pages)}
	}
	return args, answers
}

// askWord asks something that needs no chunk.
func (r *recorder) askWord(kind int) (args, answers [3]int64) {
	switch kind {
	case bitsFindBitRange:
		word, npages := r.word(), uint(r.oneOf(1, 2, 1+r.rng.Intn(16), 1+r.rng.Intn(64), 64))
		args, answers = [3]int64{int64(word), int64(npages)}, [3]int64{int64(FindBitRange64(word, npages))}
	case bitsPack:
		start, max, end := r.sum()
		args = [3]int64{int64(start), int64(max), int64(end)}
		answers[0] = int64(PackPallocSum(start, max, end))
	case bitsUnpack:
		packed := PackPallocSum(r.sum())
		args[0] = int64(packed)
		answers = [3]int64{int64(packed.Start()), int64(packed.Max()), int64(packed.End())}
	}
	return args, answers
}

func changeChunk(d *PallocData, kind int, i, n uint) {
	switch kind {
	case bitsAllocRange:
		d.AllocRange(i, n)
	case bitsFree:
		d.PallocBits().Free(i, n)
	case bitsAllocAll:
		d.AllocAll()
	case bitsFreeAll:
		d.PallocBits().FreeAll()
	case bitsSetScavenged:
		d.ScavengedSetRange(i, n)
	}
}

func digestOf(d *PallocData) uint32 {
	var sum digest
	sum.add(d.PallocBits()[:]...)
	sum.add(d.Scavenged()[:]...)
	return sum.sum()
}

// npagesInChunk picks a number of pages to look for in a bitmap: for each of Go's three ways to search, and what fits
// exactly or by a page not.
func (r *recorder) npagesInChunk(b *PallocBits) int {
	sum := b.Summarize()
	exact := r.oneOf(int(sum.Start()), int(sum.Max()), int(sum.End())) + r.oneOf(0, 0, 1)
	if exact != 0 && r.rng.Intn(3) == 0 {
		return exact
	}
	return r.oneOf(1, 2, 2+r.rng.Intn(15), 2+r.rng.Intn(63), 64, 65, 65+r.rng.Intn(64), 65+r.rng.Intn(448))
}

// sum picks three page counts as summaries have them: 2^21 stands for all three or for none.
func (r *recorder) sum() (start, max, end uint) {
	limit := r.oneOf(2, chunkPages+1, 8*chunkPages+1, maxPages)
	max = uint(r.oneOf(r.rng.Intn(limit), limit-1, limit))
	if max == maxPages {
		return max, max, max
	}
	return uint(r.rng.Intn(int(max) + 1)), max, uint(r.rng.Intn(int(max) + 1))
}
