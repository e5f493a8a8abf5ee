package main

// Laid over oplog.go of tools/cases_go, so that its programs run in an unchanged Go runtime: there is no log to save,
// only the runtime's own statistics.

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
)

func saveRecording(path string) error {
	ms := new(runtime.MemStats)
	runtime.ReadMemStats(ms)
	text, err := json.Marshal(ms)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// saveRecordingFromEnv is for gofmt, whose arguments are its own.
func saveRecordingFromEnv() {
	if err := saveRecording(os.Getenv("CASES_OPLOG")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}
