package main

import (
	"math/rand"
	"strconv"
)

// tiny makes objects of less than 16 bytes without pointers: the allocator packs them into
// blocks of 16 bytes, which die only when all their parts are dead. Objects of exactly 16 bytes,
// with and without pointers, live in other spans of the same size and are made in between.
func tiny() {
	rng := rand.New(rand.NewSource(17))
	keep := make([]any, 20000)
	texts := make([]string, 5000)
	for i := 0; i < 520000; i++ {
		var x any
		switch i % 20 {
		case 0:
			x = new([1]byte)
		case 1:
			x = new([2]byte)
		case 2:
			x = new([3]byte)
		case 3:
			x = new(int32)
		case 4:
			x = new([5]byte)
		case 5:
			x = new([3]int16) // aligned to 2, 6 bytes
		case 6:
			x = new([7]byte)
		case 7:
			x = new(float64)
		case 8:
			x = new([9]byte)
		case 9:
			x = new([5]int16)
		case 10:
			x = new([11]byte)
		case 11:
			x = new([3]int32) // aligned to 4, 12 bytes
		case 12:
			x = new([13]byte)
		case 13:
			x = new([7]int16)
		case 14:
			x = new([15]byte)
		case 15:
			x = new([2]int64) // 16 bytes: a block of its own
		case 16:
			x = new([2]*byte) // 16 bytes, to be scanned
		case 17:
			x = make([]byte, 1+rng.Intn(15))
		case 18:
			texts[rng.Intn(len(texts))] = strconv.Itoa(rng.Intn(1 << 40))
			continue
		case 19:
			texts[rng.Intn(len(texts))] += "abcdefghijklmno"[:rng.Intn(15)]
			if i%2000 == 19 {
				texts[rng.Intn(len(texts))] = ""
			}
			continue
		}
		if rng.Intn(3) == 0 {
			keep[rng.Intn(len(keep))] = x
		} else {
			sink = x
		}
	}
	sinks[0], sinks[1] = keep, texts
}
