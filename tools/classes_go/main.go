// Program main allocates objects of the sizes in a file, keeps them, and prints what they added to the heap.
//
// Every second object is a slice of pointers, the others are bytes.  It is built by tools/classes_go/prove.py, with one
// table of size classes after the other.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

var (
	plain    [][]byte
	pointers [][]*int
)

func main() {
	var sizes []int
	text, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(text, &sizes)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	plain, pointers = make([][]byte, len(sizes)), make([][]*int, len(sizes))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i, size := range sizes {
		if i%2 == 0 {
			pointers[i] = make([]*int, size/8)
		} else {
			plain[i] = make([]byte, size)
		}
	}
	runtime.ReadMemStats(&after)
	fmt.Println(after.HeapAlloc-before.HeapAlloc, after.HeapInuse-before.HeapInuse)
}
