// Program heaps allocates objects of the sizes in a file, keeps them, and prints what they added to the heap.
//
// A size below 0 is that of an object without pointers.  It is built by tools/classes_go/questions.py, with one table
// of size classes after the other.
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
		if size < 0 {
			plain[i] = make([]byte, -size)
		} else {
			pointers[i] = make([]*int, size/8)
		}
	}
	runtime.ReadMemStats(&after)
	fmt.Println(after.HeapAlloc-before.HeapAlloc, after.HeapInuse-before.HeapInuse)
}
