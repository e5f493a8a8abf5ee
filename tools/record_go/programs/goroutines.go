// Command goroutines lets many goroutines recurse, allocate and talk to each other: an ordinary program, to be recorded.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

func depth(n int) int {
	var pad [200]byte
	pad[n%200] = byte(n)
	if n == 0 {
		return int(pad[0])
	}
	return depth(n-1) + int(pad[n%200])
}

func main() {
	n := 400
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	words := make(chan string, 64)
	var workers sync.WaitGroup
	for g := 0; g < n; g++ {
		workers.Add(1)
		go func(g int) {
			defer workers.Done()
			var parts []string
			for i := 0; i < 60; i++ {
				parts = append(parts, strings.Repeat("x", (g*i)%300+1))
				depth((g + i) % 150)
			}
			words <- strings.Join(parts, " ")
		}(g)
	}
	go func() {
		workers.Wait()
		close(words)
	}()
	total := 0
	seen := map[int]string{}
	for word := range words {
		total += len(word)
		seen[len(word)%37] = word
	}
	fmt.Println(n, "goroutines wrote", total, "bytes;", len(seen), "kept")
}
