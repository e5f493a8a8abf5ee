package main

// Laid over oplog.go of the oracle's prog, as plain.go is over that of tools/cases_go.

import (
	"encoding/json"
	"os"
	"runtime"
)

func memstats(path string) {
	ms := new(runtime.MemStats)
	runtime.ReadMemStats(ms)
	text, err := json.Marshal(ms)
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		panic(err)
	}
}

func dumpOplog(string) {}
