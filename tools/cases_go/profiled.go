//go:build memprofile

package main

import "runtime"

// With the tag memprofile the heap profiler is on and samples about every fourth KiB: objects
// get a profile record, which is a special as a finalizer is, and objects with both are common.
// It is a tag and no workload alone, because the linker turns the profiler off for good in a
// program that never asks for a profile, and that is what all the other cases are.
func init() {
	sinks[0] = runtime.MemProfile
	runtime.MemProfileRate = 4096
	workloads["finalizers-profiled"] = func() {
		finalizersForced()
		stacks()
	}
}
