// Command benchgo times Go's own allocator on the mix of `mheaplab bench`: sizes 70% of 8 to 256 B, 25% up to 8 KiB,
// 4% up to 32 KiB, 1% up to 1 MiB, half of them without pointers, a collection every 64 MiB at which about 90% of
// everything dies. It prints Go's version and nanoseconds per allocation, collections included, of the mix and of its
// small part.
package main

import (
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const collectEvery = 64 << 20

// survivors keeps a tenth of what was allocated since the last collection, and a tenth of what was there before.
var survivors [][]byte
var pointers [][]*byte

func sizeOf(rng *rand.Rand, small bool) int {
	u := rng.Float64()
	switch {
	case small || u < 0.70:
		return 8 + rng.Intn(249)
	case u < 0.95:
		return 257 + rng.Intn(7936)
	case u < 0.99:
		return 8193 + rng.Intn(24576)
	}
	return 32769 + rng.Intn(1015808)
}

func thin() {
	survivors = append([][]byte(nil), survivors[:len(survivors)/10]...)
	pointers = append([][]*byte(nil), pointers[:len(pointers)/10]...)
}

func run(n int, small bool) float64 {
	rng := rand.New(rand.NewSource(1))
	sizes := make([]int32, n)
	for i := range sizes {
		sizes[i] = int32(sizeOf(rng, small))
	}
	survivors, pointers = nil, nil
	debug.SetGCPercent(-1)
	runtime.GC()
	allocated := 0
	start := time.Now()
	for i, s := range sizes {
		if i&1 == 0 {
			b := make([]byte, s)
			if i%10 == 0 {
				survivors = append(survivors, b)
			}
			sink = b
		} else {
			b := make([]*byte, (s+7)/8)
			if i%10 == 5 {
				pointers = append(pointers, b)
			}
			sinkPointers = b
		}
		allocated += int(s)
		if allocated >= collectEvery {
			allocated = 0
			thin()
			runtime.GC()
		}
	}
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

var sink []byte
var sinkPointers []*byte

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "usage: benchgo ALLOCATIONS")
		os.Exit(2)
	}
	fmt.Println(runtime.Version(), run(n, false), run(n, true))
}
