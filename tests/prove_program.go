// Command prove_program keeps objects of 2,600 bytes and lists, between others that die, in package variables.
package main

import (
	"fmt"
	"os"
	"strconv"
)

type node struct {
	next *node
	rest [3]uint64
}

var (
	kept [][]byte
	list *node
	sink []byte
)

func main() {
	n := 800
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	kept = make([][]byte, n)
	for i := range kept {
		kept[i] = make([]byte, 2600)
		for k := 0; k < 10; k++ {
			sink = make([]byte, 100*k+20)
			list = &node{next: list}
		}
		if i%50 == 0 {
			list = nil
		}
	}
	fmt.Println(len(kept))
}
