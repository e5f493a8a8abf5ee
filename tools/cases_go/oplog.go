package main

// The runtime these programs are built with keeps a log of its heap operations (see the
// oplog_go*.py scripts of the oracle). This file is all that a program has to know of it.
// It depends on nothing else here, so that it can also be laid over a foreign command.

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"
)

// runtimeOplogMark puts a marker record that carries a and b into the log.
//
//go:linkname runtimeOplogMark runtime.oplogMark
func runtimeOplogMark(a, b uint64)

// runtimeOplogStop ends the recording. It returns the address of the first record, the number
// of records, and whether there were more than the buffer holds.
//
//go:linkname runtimeOplogStop runtime.oplogStop
func runtimeOplogStop() (base uintptr, n uint32, over bool)

// oplogRecordSize is the size of one record in bytes.
const oplogRecordSize = 32

// Markers around the call of runtime.ReadMemStats: the statistics are those of that moment,
// not those of the end of the log.
const (
	markBeforeMemStats = 1
	markAfterMemStats  = 2
)

// saveRecording writes what the runtime has recorded so far to logPath, and next to it, with
// the ending .memstats.json, the runtime's own statistics. Nothing is recorded afterwards.
func saveRecording(logPath string) error {
	ms := new(runtime.MemStats)
	runtimeOplogMark(markBeforeMemStats, 0)
	runtime.ReadMemStats(ms)
	runtimeOplogMark(markAfterMemStats, 0)
	text, err := json.MarshalIndent(ms, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(strings.TrimSuffix(logPath, ".bin")+".memstats.json", text, 0o644); err != nil {
		return err
	}

	base, n, over := runtimeOplogStop()
	if over {
		return fmt.Errorf("the program did more than the log can hold: %d records", n)
	}
	log := unsafe.Slice((*byte)(unsafe.Pointer(base)), int(n)*oplogRecordSize)
	return os.WriteFile(logPath, log, 0o644)
}

// saveRecordingFromEnv is saveRecording for a command whose arguments are its own: the path
// comes from the environment variable CASES_OPLOG. It is called just before the command exits.
func saveRecordingFromEnv() {
	path := os.Getenv("CASES_OPLOG")
	if path == "" {
		return
	}
	if err := saveRecording(path); err != nil {
		fmt.Fprintln(os.Stderr, "oplog:", err)
		os.Exit(3)
	}
}
