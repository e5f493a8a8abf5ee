// Command tiny makes the smallest trace that has everything to read: a seed for tools/fuzz.py.
//
//	GODEBUG=traceallocfree=1 GOMAXPROCS=2 tiny OUT.trace
package main

import (
	"log"
	"os"
	"runtime/trace"
)

var kept [8][]byte

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := trace.Start(file); err != nil {
		log.Fatal(err)
	}
	done := make(chan bool)
	go func() {
		for i := range 40 {
			kept[i%8] = make([]byte, 100*i)
		}
		done <- true
	}()
	<-done
	trace.Stop()
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
