// Command casesgo runs one named workload under a Go runtime that logs its heap operations,
// and saves the log at the end. record_cases.py builds it, runs it and turns its logs into
// cases that the twin must replay.
//
// Usage: casesgo WORKLOAD LOG.bin
//
// Every workload is one file here and aims at one part of the heap. They use a fixed random
// seed, but a run is not repeatable to the byte: when a collection starts, and how far the
// background sweeper and scavenger get, depends on the clock.
package main

import (
	"fmt"
	"os"
	"sort"
)

// workloads maps the name of a case to the function that makes it.
var workloads = map[string]func(){
	"finalizers":        finalizers,
	"finalizers-forced": finalizersForced,
	"arenas":            arenas,
	"limit":             limit,
	"scav":              scav,
	"stacks":            stacks,
	"maps-strings":      service,
	"tiny":              tiny,
	"reflect-closures":  closures,
	"service-gogc50":    service,
	"service-gogc200":   service,
	"cache-gogc200":     cache,
	"compiler-gogc50":   compiler,
}

// sink and sinks keep results reachable, so that the compiler must put them on the heap.
var (
	sink  any
	sinks [64]any
)

func main() {
	if len(os.Args) != 3 || workloads[os.Args[1]] == nil {
		usage()
		os.Exit(2)
	}
	workloads[os.Args[1]]()
	if err := saveRecording(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "casesgo:", err)
		os.Exit(1)
	}
}

func usage() {
	names := make([]string, 0, len(workloads))
	for name := range workloads {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: casesgo WORKLOAD LOG.bin, where WORKLOAD is one of:")
	for _, name := range names {
		fmt.Fprintln(os.Stderr, "\t"+name)
	}
}
