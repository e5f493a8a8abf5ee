// Command maps fills, thins and refills maps of several kinds: an ordinary program, to be recorded.
package main

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
)

type point struct{ x, y int }

func main() {
	n := 40000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	byName := map[string]*point{}
	byPoint := map[point][]byte{}
	counts := map[int]int{}
	for round := 0; round < 3; round++ {
		for i := 0; i < n; i++ {
			name := strconv.Itoa(i * (round + 1))
			byName[name] = &point{i, round}
			byPoint[point{i, round}] = make([]byte, i%700)
			counts[i%1000]++
			if i%3 != 0 {
				delete(byName, strconv.Itoa(i/2))
				delete(byPoint, point{i / 2, round})
			}
		}
		if round == 1 {
			byPoint = map[point][]byte{}
			debug.FreeOSMemory()
		}
	}
	fmt.Println(len(byName), len(byPoint), len(counts))
}
