package main

// Laid over oplog.go of tools/cases_go, so that its programs run in an unchanged Go runtime: there is no log to save,
// only the runtime's own statistics.

import (
	"encoding/json"
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
