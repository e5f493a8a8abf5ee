// Command timego takes Go's own times for what the twin's time model has constants for. It prints one line per
// measurement, of a name, parameters and nanoseconds; measure.py runs it, reads what the runtime's gctrace says beside
// that, and makes the summary.
//
//	timego malloc         allocations of many sizes, no collection among them
//	timego mark MIB       collections of a live heap of trees, their nodes in random order
//	timego sweep          collections of many spans with little to mark: what is left after marking is sweeping
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

const mib = 1 << 20

var (
	bytesSink []byte
	wordsSink []*byte
	kept      [][]byte
	root      *node
)

func main() {
	debug.SetGCPercent(-1)
	switch {
	case len(os.Args) == 2 && os.Args[1] == "malloc":
		malloc()
	case len(os.Args) == 3 && os.Args[1] == "mark":
		size, err := strconv.Atoi(os.Args[2])
		if err != nil {
			fmt.Fprintln(os.Stderr, "timego: mark wants a number of MiB:", err)
			os.Exit(2)
		}
		mark(size * mib)
	case len(os.Args) == 2 && os.Args[1] == "sweep":
		sweep()
	default:
		fmt.Fprintln(os.Stderr, "usage: timego malloc | mark MIB | sweep")
		os.Exit(2)
	}
}

// malloc times allocations into spans that were used before, as they are in a program that runs for a while.
func malloc() {
	for _, size := range []int{8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768} {
		n := 64 * mib / size
		if n > 1<<20 {
			n = 1 << 20
		}
		for round := 0; round < 4; round++ {
			runtime.GC()
			start := time.Now()
			for i := 0; i < n; i++ {
				bytesSink = make([]byte, size)
			}
			noscan := time.Since(start)
			runtime.GC()
			start = time.Now()
			for i := 0; i < n; i++ {
				wordsSink = make([]*byte, size/8)
			}
			scan := time.Since(start)
			if round > 0 {
				fmt.Println("malloc", size, "noscan", float64(noscan.Nanoseconds())/float64(n))
				fmt.Println("malloc", size, "scan", float64(scan.Nanoseconds())/float64(n))
			}
		}
	}
}

// node is an object of 64 bytes whose pointers end at its last word but one.
type node struct {
	key         int
	value       [4]int
	left, right *node
	tail        int
}

// mark builds a search tree of total bytes by inserting random keys, so that neighbours in the tree are none in memory,
// and collects.
func mark(total int) {
	rng := rand.New(rand.NewSource(1))
	for n := total / 64; n > 0; n-- {
		at, key := &root, rng.Int()
		for *at != nil {
			if key < (*at).key {
				at = &(*at).left
			} else {
				at = &(*at).right
			}
		}
		*at = &node{key: key}
	}
	for round := 0; round < 6; round++ {
		start := time.Now()
		runtime.GC()
		fmt.Println("mark", total/64, "nodes", time.Since(start).Nanoseconds())
	}
}

// sweep times collections of 16,384 spans whose objects are all alive, all dead, or every other one dead.
func sweep() {
	for _, size := range []int{64, 512, 1024, 8192} {
		for _, keep := range []string{"all", "half", "none"} {
			for round := 0; round < 4; round++ {
				kept = make([][]byte, 16384*8192/size)
				for i := range kept {
					kept[i] = make([]byte, size)
				}
				for i := range kept {
					if keep == "none" || keep == "half" && i%2 == 0 {
						kept[i] = nil
					}
				}
				start := time.Now()
				runtime.GC()
				fmt.Println("sweep", size, keep, time.Since(start).Nanoseconds())
				kept = nil
				runtime.GC()
			}
		}
	}
}
