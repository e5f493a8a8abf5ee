package main

import (
	"math/rand"
	"time"
)

// scav allocates in waves and sleeps in between. After a wave most of the heap is free and kept,
// the next collection lowers the goal, and the background scavenger, which may use about one
// part in a hundred of the time, hands pages back while the program sleeps. The next wave takes
// some of them again.
func scav() {
	rng := rand.New(rand.NewSource(14))
	waves := []struct {
		total int
		sizes []int
	}{
		{30 * mib, []int{32 * kib, 100 * kib, 500 * kib}},
		{3 * mib, []int{100, 700, 2 * kib}},
		{25 * mib, []int{4 * kib, 9 * kib, 24 * kib}},
		{2 * mib, []int{64, 300, 8 * kib}},
		{40 * mib, []int{mib, 3 * mib, 16 * kib}},
		{6 * mib, []int{500, 3 * kib, 40 * kib}},
		{20 * mib, []int{6 * kib, 70 * kib}},
		{5 * mib, []int{1 * kib, 5 * kib}},
	}
	var base [][]byte
	for _, w := range waves {
		base = drop(base, 0.6, rng)
		wave := fill(nil, w.total, rng, w.sizes)
		base = append(base, wave[:len(wave)/10]...)
		wave = nil
		// Enough garbage for a collection after the wave is gone, then peace for the scavenger.
		for i := 0; i < 12; i++ {
			wave = fill(nil, 512*kib, rng, w.sizes[:1])
			sink = wave
			time.Sleep(60 * time.Millisecond)
		}
		sink = nil
	}
	sink = base
}
