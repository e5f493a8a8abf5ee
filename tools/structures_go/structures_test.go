// TestRecordStructures runs random operations on the data structures of Go's page heap and writes down what they did.
//
// This file owns the log, the random numbers and the random bitmaps; bits_test.go, pages_test.go, caches_test.go and
// ranges_test.go own the operations of one structure each. record_structures.py lays all of them over the runtime's
// tests, runs them and packs the log; what a row of each table means stands there.
//
// The log is text: a row is the name of a table and its numbers. Every structure has its own random numbers from a
// fixed seed, so that the same Go writes the same log, and a change to one structure leaves the others as they were.

package runtime_test

import (
	"bufio"
	"fmt"
	"math/bits"
	"math/rand"
	"os"
	. "runtime"
	"testing"
)

const (
	chunkPages = PallocChunkPages
	chunkBytes = PallocChunkPages * PageSize
	hugePages  = 256
	hugeBytes  = hugePages * PageSize
)

type recorder struct {
	t   *testing.T
	out *bufio.Writer
	rng *rand.Rand
}

func TestRecordStructures(t *testing.T) {
	if PhysPageSize > PageSize || PageAlloc64Bit == 0 {
		t.Fatal("the recording is for 64-bit machines with physical pages of at most 8 KiB")
	}
	file, err := os.Create(os.Getenv("RECORD_LOG"))
	if err != nil {
		t.Fatal("RECORD_LOG: ", err)
	}
	out := bufio.NewWriter(file)
	defer SetPhysHugePageSize(SetPhysHugePageSize(hugeBytes))
	for seed, record := range []func(*recorder){recordBits, recordPages, recordCaches, recordRanges} {
		record(&recorder{t, out, rand.New(rand.NewSource(int64(1 + seed)))})
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func (r *recorder) row(table string, values ...any) {
	fmt.Fprintln(r.out, append([]any{table}, values...)...)
}

// oneOf picks one of the given numbers.
func (r *recorder) oneOf(numbers ...int) int { return numbers[r.rng.Intn(len(numbers))] }

// weighted picks an index into weights, each as often as its weight says.
func (r *recorder) weighted(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	u := r.rng.Intn(sum)
	for i, w := range weights {
		if u < w {
			return i
		}
		u -= w
	}
	panic("unreachable")
}

// pageRange picks pages [i, i+n) of a chunk, n at least 1, now and then up to borders of words.
func (r *recorder) pageRange() (i, n uint) {
	low, high := r.rng.Intn(chunkPages), 1+r.rng.Intn(chunkPages)
	switch r.rng.Intn(6) {
	case 0:
		high = low + 1 + r.rng.Intn(5)
	case 1:
		low, high = low&^63, low&^63+64
	case 2:
		low, high = low&^63, (high+63)&^63
	}
	if high > chunkPages {
		high = chunkPages
	}
	if low >= high {
		low, high = high-1, low+1
	}
	return uint(low), uint(high - low)
}

// bitmap makes a bitmap of one of many shapes: of any density, sparse, dense, of runs, alternating, of words of one
// kind, of a single run, empty or full.
func (r *recorder) bitmap() (b PallocBits) {
	switch r.weighted(1, 1, 3, 2, 2, 3, 2, 2, 2) {
	case 1:
		b.AllocRange(0, chunkPages)
	case 2:
		r.fillDensity(&b, r.rng.Float64())
	case 3:
		r.flip(&b, 1+r.rng.Intn(6))
	case 4:
		b.AllocRange(0, chunkPages)
		r.flip(&b, 1+r.rng.Intn(6))
	case 5:
		r.fillRuns(&b, 1+r.rng.Intn(120))
	case 6:
		period, ones, shift := 2+r.rng.Intn(130), 0, 0
		ones, shift = 1+r.rng.Intn(period-1), r.rng.Intn(period)
		for i := 0; i < chunkPages; i++ {
			if (i+shift)%period < ones {
				b[i/64] |= 1 << (i % 64)
			}
		}
	case 7:
		for i := range b {
			b[i] = []uint64{0, ^uint64(0), 1, 1 << 63, 0x5555555555555555, r.word()}[r.rng.Intn(6)]
		}
	case 8:
		b.AllocRange(r.pageRange())
	}
	return b
}

func (r *recorder) fillDensity(b *PallocBits, density float64) {
	for i := 0; i < chunkPages; i++ {
		if r.rng.Float64() < density {
			b[i/64] |= 1 << (i % 64)
		}
	}
}

func (r *recorder) fillRuns(b *PallocBits, longest int) {
	bit := uint64(r.rng.Intn(2))
	for i := 0; i < chunkPages; bit ^= 1 {
		for n := 1 + r.rng.Intn(longest); n > 0 && i < chunkPages; n-- {
			b[i/64] |= bit << (i % 64)
			i++
		}
	}
}

func (r *recorder) flip(b *PallocBits, times int) {
	for ; times > 0; times-- {
		i := r.rng.Intn(chunkPages)
		b[i/64] ^= 1 << (i % 64)
	}
}

// word makes 64 bits: random ones, one run, two runs, or few.
func (r *recorder) word() uint64 {
	run := ^uint64(0) >> r.rng.Intn(64) << r.rng.Intn(64)
	switch r.rng.Intn(4) {
	case 0:
		return r.rng.Uint64()
	case 1:
		return run
	case 2:
		return run ^ bits.RotateLeft64(^uint64(0)>>r.rng.Intn(64), r.rng.Intn(64))
	}
	return 1<<r.rng.Intn(64) | 1<<r.rng.Intn(64)
}

// digest is a running hash of words.
type digest uint64

func (d *digest) add(words ...uint64) {
	for _, w := range words {
		x := (uint64(*d) ^ w) * 0x9E3779B97F4A7C15
		*d = digest(x ^ x>>32)
	}
}

func (d digest) sum() uint32 { return uint32(d) }

// rangesOf lists the runs of ones of a bitmap.
func rangesOf(b *PallocBits) (found []BitRange) {
	for i := uint(0); i < chunkPages; i++ {
		if b[i/64]>>(i%64)&1 == 0 {
			continue
		}
		if k := len(found) - 1; k >= 0 && found[k].I+found[k].N == i {
			found[k].N++
		} else {
			found = append(found, BitRange{i, 1})
		}
	}
	return found
}

// words lists the words of bitmaps for a row.
func words(bitmaps ...*PallocBits) (list []any) {
	for _, b := range bitmaps {
		for _, w := range b {
			list = append(list, w)
		}
	}
	return list
}
