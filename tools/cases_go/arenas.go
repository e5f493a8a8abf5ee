package main

import "math/rand"

const (
	kib = 1 << 10
	mib = 1 << 20
)

// arenas builds a heap of more than 200 MiB, so that pages come from several arenas of 64 MiB,
// and spans, free runs and page searches cross from one arena into the next. Each phase drops
// most of what there is and fills the holes with objects of other sizes. The objects are big
// for the sake of a short log.
func arenas() {
	rng := rand.New(rand.NewSource(12))
	var live [][]byte

	live = fill(live, 150*mib, rng, []int{8 * kib, 9472, 16 * kib, 20 * kib, 32 * kib})
	live = fill(live, 60*mib, rng, []int{mib, 3*mib + 8192, 7 * mib, 40 * mib})
	live = drop(live, 0.85, rng)

	live = fill(live, 160*mib, rng, []int{48 * kib, 100 * kib, 300 * kib, 5 * kib})
	live = drop(live, 0.90, rng)

	live = fill(live, 180*mib, rng, []int{4 * kib, 6 * kib, 2 * mib, 12 * mib, 25 * mib})
	live = drop(live, 0.70, rng)

	// Runs of one and two pages in the holes that the large objects left.
	live = fill(live, 120*mib, rng, []int{8 * kib, 10 * kib, 16 * kib, 33 * kib, 64 * kib})
	live = drop(live, 0.95, rng)

	live = fill(live, 90*mib, rng, []int{64 * kib, 640 * kib, 4 * mib, 18 * mib, 33 * mib})
	sink = live
}

// fill appends objects of the given sizes to live until they amount to total bytes. Every size
// gets about the same number of bytes, not of objects; a quarter of the objects is garbage from
// the start.
func fill(live [][]byte, total int, rng *rand.Rand, sizes []int) [][]byte {
	share := make([]int, len(sizes))
	for total > 0 {
		i := leastOf(share)
		n := sizes[i] - rng.Intn(sizes[i]/16)
		share[i] += n
		b := make([]byte, n)
		if rng.Intn(4) == 0 {
			sink = b
			continue
		}
		live = append(live, b)
		total -= n
	}
	return live
}

func leastOf(a []int) int {
	min := 0
	for i := range a {
		if a[i] < a[min] {
			min = i
		}
	}
	return min
}

// drop forgets the given part of live. What stays is half scattered, half in one piece.
func drop(live [][]byte, part float64, rng *rand.Rand) [][]byte {
	n := int(float64(len(live)) * (1 - part))
	rng.Shuffle(len(live)/2, func(i, j int) { live[i], live[j] = live[j], live[i] })
	kept := append([][]byte(nil), live[:n/2]...)
	return append(kept, live[len(live)-(n-n/2):]...)
}
