// Command readtrace reads a Go execution trace with Go's own parser and prints how many events it had, how many of them
// were of experiments, and the nanoseconds that took.  It stands in Go's own tree, by an overlay: the parser is internal.
package main

import (
	"bufio"
	"fmt"
	"internal/trace"
	"io"
	"log"
	"os"
	"time"
)

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Now()
	reader, err := trace.NewReader(bufio.NewReaderSize(file, 1<<20))
	if err != nil {
		log.Fatal(err)
	}
	events, memory := 0, 0
	for {
		event, err := reader.ReadEvent()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		events++
		if event.Kind() == trace.EventExperimental {
			memory++
		}
	}
	fmt.Println(events, memory, time.Since(begin).Nanoseconds())
}
