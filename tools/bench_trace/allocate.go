// Command allocate makes a trace of many allocations: trees, slices and strings that are built and dropped by a few
// goroutines, under runtime/trace.
//
//	GODEBUG=traceallocfree=1 GOMAXPROCS=2 allocate OUT.trace ROUNDS
package main

import (
	"fmt"
	"log"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
)

type node struct {
	left, right *node
	name        string
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{name: strconv.Itoa(depth * 1000003)}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

var kept [4][256][]byte
var words [4][64]string

func work(worker, rounds int) {
	for i := range rounds {
		t := tree(6)
		kept[worker][i%256] = make([]byte, 16+(i*7919)%3000)
		if i%16 == 0 {
			words[worker][i/16%64] = fmt.Sprintf("%d of %p", i, t)
		}
	}
}

func main() {
	rounds, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := trace.Start(file); err != nil {
		log.Fatal(err)
	}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() { work(worker, rounds) })
	}
	all.Wait()
	trace.Stop()
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
