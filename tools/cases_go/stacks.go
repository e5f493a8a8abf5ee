package main

import (
	"math/rand"
	"sync"
)

// stacks keeps many goroutines whose stacks grow by deep recursion, are used for a while, stand
// nearly empty while collections halve them, and grow again. Stack spans of all orders come and
// go; those that are free when a collection ends go back to the page heap, and large stacks
// that were freed while it was running are returned then as well.
func stacks() {
	const workers = 48
	rng := rand.New(rand.NewSource(15))
	depth := make([]chan int, workers)
	var done sync.WaitGroup
	for i := range depth {
		depth[i] = make(chan int)
		go func(in <-chan int) {
			for d := range in {
				sink = climb(d, d)
				done.Done()
			}
		}(depth[i])
	}
	for round := 0; round < 40; round++ {
		// A few go deep, the rest stays shallow and is shrunk by the collector.
		for i := range depth {
			d := 2 + rng.Intn(20)
			switch {
			case i%8 == round%8:
				d = 200 + rng.Intn(1500)
			case i%8 == (round+3)%8 && round%5 == 0:
				d = 4000 + rng.Intn(4000)
			}
			done.Add(1)
			depth[i] <- d
		}
		done.Wait()

		// Short-lived goroutines: their stacks are recycled with them.
		for i := 0; i < 60; i++ {
			done.Add(1)
			go func(d int) {
				sinks[d%len(sinks)] = climb(d, 16)
				done.Done()
			}(5 + rng.Intn(120))
		}
		done.Wait()

		// What makes the collector run.
		for i := 0; i < 400; i++ {
			sink = make([]*int, 64+rng.Intn(256))
		}
	}
	for i := range depth {
		close(depth[i])
	}
}

// climb recurses d times with a frame of about 200 bytes, and allocates every so often on the
// way down, so that collections find deep stacks too.
func climb(d, every int) *[3]int {
	var frame [20]int
	frame[d%len(frame)] = d
	if d == 0 {
		return new([3]int)
	}
	var garbage *[3]int
	if d%every == 0 {
		garbage = climb(0, every)
	}
	r := climb(d-1, every)
	r[0] += frame[(d+7)%len(frame)]
	if garbage != nil {
		r[1] += garbage[2]
	}
	return r
}
