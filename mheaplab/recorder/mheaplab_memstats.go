// MemStats of a program as it ends: laid beside the runtime's own files, never copied into GOROOT.
//
// If MHEAPLAB_MEMSTATS names a file, memstatsAtExit, which is called before a program exits, writes MemStats twice to
// that file with a dot and the process number behind its name: as the program leaves its heap ("exit"), and after a last
// collection and its sweep ("collected").  A line is moment, field and value.
//
// Nothing here allocates, so that the heap is the program's: the statistics and the text are static.

package runtime

import "unsafe"

const memstatsOpenFlags = 0x1 | 0x40 | 0x80 | 0x80000 // O_WRONLY, O_CREAT, O_EXCL, O_CLOEXEC

var (
	memstatsRead [2]MemStats
	memstatsPath [4096]byte
	memstatsText [1 << 15]byte
	memstatsLen  int
	memstatsDone bool
)

// memstatsAtExit writes the statistics.
func memstatsAtExit() {
	path := gogetenv("MHEAPLAB_MEMSTATS")
	if path == "" || len(path) > len(memstatsPath)-32 || memstatsDone {
		return
	}
	memstatsDone = true
	ReadMemStats(&memstatsRead[0])
	GC()
	ReadMemStats(&memstatsRead[1])
	memstatsPut(path)
	memstatsPut(".")
	memstatsNumber(uint64(getpid()))
	copy(memstatsPath[:], memstatsText[:memstatsLen])
	memstatsLen = 0
	memstatsSay("exit ", &memstatsRead[0])
	memstatsSay("collected ", &memstatsRead[1])
	memstatsPut("end\n")
	memstatsWrite()
}

// memstatsSay appends the lines of one moment.
func memstatsSay(moment string, m *MemStats) {
	memstatsLine(moment, "HeapAlloc", m.HeapAlloc)
	memstatsLine(moment, "HeapInuse", m.HeapInuse)
	memstatsLine(moment, "HeapSys", m.HeapSys)
	memstatsLine(moment, "HeapReleased", m.HeapReleased)
	memstatsLine(moment, "HeapObjects", m.HeapObjects)
	memstatsLine(moment, "StackInuse", m.StackInuse)
	memstatsLine(moment, "TotalAlloc", m.TotalAlloc)
	memstatsLine(moment, "Mallocs", m.Mallocs)
	memstatsLine(moment, "NumGC", uint64(m.NumGC))
	memstatsLine(moment, "NextGC", m.NextGC)
	memstatsLine(moment, "GCCPUNanos", uint64(m.GCCPUFraction*1e9)) // ns of a second
	for i := range m.BySize {
		c := &m.BySize[i]
		memstatsPut(moment)
		memstatsPut("BySize ")
		memstatsNumber(uint64(c.Size))
		memstatsPut(" ")
		memstatsNumber(c.Mallocs)
		memstatsPut(" ")
		memstatsNumber(c.Frees)
		memstatsPut("\n")
	}
}

func memstatsLine(moment, field string, value uint64) {
	memstatsPut(moment)
	memstatsPut(field)
	memstatsPut(" ")
	memstatsNumber(value)
	memstatsPut("\n")
}

func memstatsPut(s string) {
	memstatsLen += copy(memstatsText[memstatsLen:], s)
}

func memstatsNumber(v uint64) {
	if v >= 10 {
		memstatsNumber(v / 10)
	}
	memstatsText[memstatsLen] = byte('0' + v%10)
	memstatsLen++
}

// memstatsWrite creates the file, never over one that is there, and writes the text.
func memstatsWrite() {
	fd := open(&memstatsPath[0], memstatsOpenFlags, 0o644)
	if fd < 0 {
		return
	}
	for at := 0; at < memstatsLen; {
		n := write1(uintptr(fd), unsafe.Pointer(&memstatsText[at]), int32(memstatsLen-at))
		if n > 0 {
			at += int(n)
		} else if n != -_EINTR {
			break // what is there has no end, which its reader notices
		}
	}
	closefd(fd)
}
