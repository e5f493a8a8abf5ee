// The recorder of heap operations: laid beside the runtime's own files by record.py, never copied into GOROOT.
//
// The lines that patches.py inserts into the runtime call recPut and its relatives, one call per heap operation.  A
// record is encoded into a static buffer under a spin lock, so that there is one order for all Ps; a full buffer is
// written to the file as a block.  docs/recording.md describes the file.
//
// Recording begins with the first operation, before the environment is known: recDecide, called as soon as it is,
// opens the file that MHEAPLAB_RECORD names, or drops what was buffered and switches the recorder off.
//
// Rules for what runs under the lock.  It must not allocate, from the heap or a stack: the operation that is being
// recorded may hold the heap's locks, and a stack that grows is recorded itself.  So all of it is nosplit, which also
// keeps the scheduler from taking the thread away.  The frames are small enough for the linker's nosplit limit.

package runtime

import (
	"MHEAPLAB_ATOMIC"
	"unsafe"
)

const (
	recGoMinor     = MHEAPLAB_MINOR // of go1.MINOR
	recFormat      = 1
	recHeaderBytes = 128
	recBlockHeader = 32
	recBufBytes    = 1 << 18
	recLargest     = 512 // bytes of the largest record: a sweep with the bitmap of 1,024 objects
	recNoP         = 255
	recBackground  = 2       // who asks for a sweepone
	recPatience    = 1 << 22 // turns of the lock that a dying process waits for another thread

	recOpenFlags = 0x1 | 0x40 | 0x80 | 0x80000 // O_WRONLY, O_CREAT, O_EXCL, O_CLOEXEC

	recBlockMagic = 0x4252484d // "MHRB"
	recEndMagic   = 0x4552484d // "MHRE"

	recUndecided = 0
	recOn        = 1
	recOff       = 2
)

// Kinds of records; 0x80 marks those with a third number.
const (
	recSpanAlloc   = 1 | 0x80
	recSpanFree    = 2
	recPcacheFlush = 3
	recScavenge    = 4 | 0x80
	recMalloc      = 5
	recSweepSpan   = 6 | 0x80
	recSweepgen    = 7
	recPageMarked  = 8
	recMcacheFlush = 9
	recRefill      = 10
	recSweepone    = 11
	recEnsureSwept = 12
	recPhase       = 13
	recReclaim     = 14
	recProcs       = 15
)

var (
	recState   uint32
	recLocked  uint32
	recFd      int32
	recBlocks  uint32
	recCount   uint32 // records in the buffer
	recDrained uint32 // the sweepgen in which the background sweeper found nothing left
	recBefore  uint64 // records in blocks already written
	recN       uintptr
	recLast    [256]uint64 // last object by span class; at 255 the last address of anything else
	recBuf     [recBufBytes + 8]byte
	recHead    [recHeaderBytes]byte
	recPath    [4096]byte
)

// recB2i returns 1 for true.
//
//go:nosplit
func recB2i(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// recPut records an operation that two numbers describe: an address, and something else.
//
//go:nosplit
func recPut(op, flags, aux uint8, a, b uint64) {
	if recState == recOff {
		return
	}
	recPutFor(recP(), op, flags, aux, a, b)
}

// recPutFor records what concerns P p, whoever does it.
//
//go:nosplit
func recPutFor(p, op, flags, aux uint8, a, b uint64) {
	recAcquire()
	if recState != recOff {
		recEncode(p, op, flags, aux, a, b)
		recEndRecord()
	}
	recRelease()
}

// recPut3 records an operation that three numbers describe.
//
//go:nosplit
func recPut3(op, flags, aux uint8, a, b, c uint64) {
	if recState == recOff {
		return
	}
	recAcquire()
	if recState != recOff {
		recEncode(recP(), op, flags, aux, a, b)
		recUvarint(c)
		recEndRecord()
	}
	recRelease()
}

// recSwept records what a span holds as it is swept: of the objects allocated, those that nalloc does not count are
// dead. Which ones is said as briefly as possible: none, all, or by a bitmap.
//
//go:nosplit
func recSwept(s *mspan, preserve bool, nalloc uint16) {
	if recState == recOff {
		return
	}
	form, dead := uint8(2), uint64(s.allocCount)-uint64(nalloc)
	if dead == 0 {
		form = 0
	} else if nalloc == 0 {
		form = 1
	}
	recAcquire()
	if recState != recOff {
		recEncode(recP(), recSweepSpan, recB2i(preserve)|form<<1, uint8(s.spanclass), uint64(s.base()), uint64(s.nelems))
		recUvarint(dead)
		if form == 2 {
			recDeadBits(s)
		}
		recEndRecord()
	}
	recRelease()
}

// recDeadBits appends a bit for each slot of s: allocated and not marked.
//
//go:nosplit
func recDeadBits(s *mspan) {
	nelems, free := uintptr(s.nelems), uintptr(s.freeindex)
	for first := uintptr(0); first < nelems; first += 8 {
		allocated := *s.allocBits.bytep(first / 8)
		if free >= first+8 {
			allocated = 0xff
		} else if free > first {
			allocated |= 1<<(free-first) - 1
		}
		if nelems < first+8 {
			allocated &= 1<<(nelems-first) - 1
		}
		recBuf[recN] = allocated &^ *s.gcmarkBits.bytep(first / 8)
		recN++
	}
}

// recSpanSort returns a span's class, or 255 if only the runtime itself allocates in it.
//
//go:nosplit
func recSpanSort(typ spanAllocType, class spanClass) uint8 {
	if typ.manual() {
		return 255
	}
	return uint8(class)
}

// recSweeponeFor records who asks for a sweepone, and does it. The background sweeper asks again and again while other
// Ps still sweep what they have taken; once there was nothing left for it, that is left out.
func recSweeponeFor(who uint8) uintptr {
	background := who == recBackground
	if !background || recDrained != mheap_.sweepgen {
		recPut(recSweepone, who, 0, 0, 0)
	}
	gen := mheap_.sweepgen
	npages := sweepone()
	if background && npages == ^uintptr(0) {
		recDrained = gen
	}
	return npages
}

// recMcacheFlushed records that c gives its spans back. A P that does nothing has that done by another.
func recMcacheFlushed(c *mcache) {
	if recState == recOff {
		return
	}
	p := recP()
	for _, other := range allp {
		if other != nil && other.mcache == c {
			p = uint8(other.id)
		}
	}
	recPutFor(p, recMcacheFlush, 0, 0, 0, 0)
}

// recPcacheFlushed records that c gives its pages back, c as for recMcacheFlushed.
func recPcacheFlushed(c *pageCache) {
	if recState == recOff {
		return
	}
	p := recP()
	for _, other := range allp {
		if other != nil && &other.pcache == c {
			p = uint8(other.id)
		}
	}
	recPutFor(p, recPcacheFlush, 0, 0, uint64(c.base), 0)
}

//go:nosplit
func recAcquire() {
	for turns := 0; !atomic.Cas(&recLocked, 0, 1); turns++ {
		if turns&31 == 31 {
			osyield()
		} else {
			procyield(10)
		}
	}
}

//go:nosplit
func recRelease() {
	atomic.Store(&recLocked, 0)
}

// recP returns the P that runs this.
//
//go:nosplit
func recP() uint8 {
	gp := getg()
	if gp == nil || gp.m == nil || gp.m.p == 0 {
		return recNoP
	}
	id := gp.m.p.ptr().id
	if id >= recNoP {
		recFail("more than 255 Ps")
	}
	return uint8(id)
}

// recEncode appends kind, P, flags, aux and two numbers: the address as the distance to the last one of its sort.
//
//go:nosplit
func recEncode(p, op, flags, aux uint8, a, b uint64) {
	sort := 255
	if op == recMalloc {
		sort = int(aux)
	}
	*(*uint32)(unsafe.Pointer(&recBuf[recN])) = uint32(op) | uint32(p)<<8 | uint32(flags)<<16 | uint32(aux)<<24
	recN += 4
	if a == 0 {
		recUvarint(0)
	} else {
		d := a - recLast[sort]
		recLast[sort] = a
		recUvarint((d<<1 ^ uint64(int64(d)>>63)) + 1)
	}
	recUvarint(b)
}

//go:nosplit
func recUvarint(v uint64) {
	n := recN
	for v >= 0x80 {
		recBuf[n] = byte(v) | 0x80
		v >>= 7
		n++
	}
	recBuf[n] = byte(v)
	recN = n + 1
}

// recEndRecord counts a record and makes room for the next.
//
//go:nosplit
func recEndRecord() {
	recCount++
	if recN+recLargest <= recBufBytes {
		return
	}
	if recState == recUndecided {
		recFail("too much happened before the environment was known")
		return
	}
	recFlush(recBlockMagic)
}

// recFlush writes the buffer as a block.
//
//go:nosplit
func recFlush(magic uint32) {
	if recN == 0 || recState != recOn {
		return
	}
	for i := uintptr(0); i < 8; i++ {
		recBuf[recN+i] = 0 // the sum is over whole words
	}
	var head [recBlockHeader / 8]uint64
	head[0] = uint64(magic) | uint64(recN)<<32
	head[1] = recBefore
	head[2] = uint64(recCount) | uint64(recBlocks)<<32
	sum := recSum(recSum(0, unsafe.Pointer(&head), 24), unsafe.Pointer(&recBuf), recN)
	head[3] = sum
	recWrite(unsafe.Pointer(&head), recBlockHeader)
	recWrite(unsafe.Pointer(&recBuf), recN)
	recBefore += uint64(recCount)
	recBlocks++
	recN, recCount = 0, 0
}

// recSum returns a sum that depends on every bit of n bytes at p, taken as words.
//
//go:nosplit
func recSum(sum uint64, p unsafe.Pointer, n uintptr) uint64 {
	for i := uintptr(0); i < n; i += 8 {
		sum = (sum ^ *(*uint64)(unsafe.Pointer(uintptr(p) + i))) * 0x9e3779b97f4a7c15
		sum ^= sum >> 32
	}
	return sum
}

// recWrite writes n bytes at p, in as many calls as the system wants.
//
//go:nosplit
func recWrite(p unsafe.Pointer, n uintptr) {
	for n > 0 && recState == recOn {
		done := write1(uintptr(recFd), p, int32(n))
		if done == -_EINTR {
			continue
		}
		if done <= 0 {
			recFail("the file cannot be written")
			return
		}
		p = unsafe.Pointer(uintptr(p) + uintptr(done))
		n -= uintptr(done)
	}
}

// recFail ends recording for good and says why. The file has no end mark then, which its reader notices.
//
//go:nosplit
func recFail(why string) {
	if recState == recOff {
		return
	}
	recState = recOff
	recSay("mheaplab: recording stopped: ")
	recSay(why)
	recSay("\n")
}

//go:nosplit
func recSay(s string) {
	write1(2, stringStructOf(&s).str, int32(len(s)))
}

// recDecide opens the file if the environment asks for a recording, and switches the recorder off if not.
func recDecide() {
	path := gogetenv("MHEAPLAB_RECORD")
	if path == "" {
		recState = recOff
		return
	}
	n := 0
	for i := 0; i < len(path) && n < len(recPath)-16; i++ {
		if path[i] == '%' && i+1 < len(path) && path[i+1] == 'p' {
			n = recDecimal(n, uint64(getpid()))
			i++
			continue
		}
		recPath[n] = path[i]
		n++
	}
	// Never over a file that is there: a program that starts itself again would write into its parent's recording.
	recFd = open(&recPath[0], recOpenFlags, 0o644)
	if recFd < 0 {
		recFail("the file that MHEAPLAB_RECORD names cannot be created, or is there already")
		return
	}
	if recState != recOff {
		recState = recOn
		recWriteHeader()
	}
}

// recDecimal puts v into the path at n and returns where it ends.
func recDecimal(n int, v uint64) int {
	if v >= 10 {
		n = recDecimal(n, v/10)
	}
	recPath[n] = byte('0' + v%10)
	return n + 1
}

// recWriteHeader writes the file's first bytes.
func recWriteHeader() {
	copy(recHead[:16], "mheaplab record\x00")
	words := (*[recHeaderBytes / 8]uint64)(unsafe.Pointer(&recHead))
	words[2] = recFormat | recGoMinor<<32
	words[3] = pageSize
	words[4] = heapArenaBytes
	copy(recHead[40:104], buildVersion)
	words[15] = recSum(0, unsafe.Pointer(&recHead), recHeaderBytes-8)
	recWrite(unsafe.Pointer(&recHead), recHeaderBytes)
}

// recEnd writes what is buffered and the end mark: why is 1 for an exit with a code, 2 for a fatal error, 3 for a
// signal and its number.  The process may die while another thread records, or this one: then it waits, but not long.
//
//go:nosplit
func recEnd(why uint32, code int32) {
	if recState != recOn {
		return
	}
	for turns := 0; !atomic.Cas(&recLocked, 0, 1); turns++ {
		if turns == recPatience {
			return
		}
		procyield(10)
	}
	recFlush(recBlockMagic)
	*(*uint64)(unsafe.Pointer(&recBuf)) = uint64(why) | uint64(uint32(code))<<32
	recN = 8
	recFlush(recEndMagic)
	if recState == recOn {
		recState = recOff
		closefd(recFd)
	}
	recRelease()
}
