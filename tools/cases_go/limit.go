package main

import (
	"math"
	"math/rand"
	"runtime/debug"
)

// limit makes allocations scavenge. There are two reasons for which a span allocation gives
// pages back to the operating system before it returns, and both occur here:
//
//   - the heap had to grow although it keeps more memory than the scavenger's goal says, as
//     after a drop that left only holes too small for what is asked next;
//   - the span consists of pages given back earlier, and with them the memory limit would be
//     passed.
func limit() {
	rng := rand.New(rand.NewSource(13))
	growAfterDrop(rng)
	underLimit(rng)
	debug.SetMemoryLimit(math.MaxInt64)
	growAfterDrop(rng)
}

// growAfterDrop leaves a heap full of holes with a low goal, and then asks for runs of pages
// that fit into none of them.
func growAfterDrop(rng *rand.Rand) {
	defer debug.SetGCPercent(debug.SetGCPercent(25))
	for _, size := range []int{24 * kib, 56 * kib, 120 * kib} {
		blocks := make([][]byte, 30*mib/size)
		for i := range blocks {
			blocks[i] = make([]byte, size)
		}
		// Two neighbours of three go: holes of twice the size.
		for i := range blocks {
			if i%3 != 0 {
				blocks[i] = nil
			}
		}
		var large [][]byte
		for total := 0; total < 24*mib; {
			n := 2*size + 64*kib + rng.Intn(mib)
			large = append(large, make([]byte, n))
			total += n
			for i := 0; i < 20; i++ {
				sink = make([]byte, 32+rng.Intn(2*kib))
			}
		}
		sinks[0], sinks[1] = blocks, large
	}
	sinks[0], sinks[1] = nil, nil
}

// underLimit works close to a memory limit with a live heap of changing shape.
func underLimit(rng *rand.Rand) {
	debug.SetMemoryLimit(48 * mib)
	live := make([][]byte, 3000)
	for wave := 0; wave < 8; wave++ {
		size := []int{600, 3 * kib, 9 * kib, 1200, 20 * kib, 5 * kib, 300, 14 * kib}[wave]
		for i := range live {
			live[i] = nil
		}
		room := 24 * mib
		for i := 0; i < 9000 && room > 0; i++ {
			n := size/2 + rng.Intn(size)
			b := make([]byte, n)
			if i%3 == 0 {
				live[rng.Intn(len(live))] = b
				room -= n
			}
			if i%400 == 0 {
				sink = make([]byte, 100*kib+rng.Intn(mib))
			}
		}
	}
	sinks[2] = live
	for i := 0; i < 40; i++ {
		sinks[3+i%10] = make([]byte, 200*kib+rng.Intn(mib))
	}
	for i := range sinks {
		sinks[i] = nil
	}
}
