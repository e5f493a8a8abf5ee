// TestRecordPacer drives Go's pacer through made-up cycles and writes down what it answers.
//
// This file owns the log and the operations; scenarios_test.go owns the programs whose cycles these are. record_pacer.py
// lays both over the runtime's tests, runs them and packs the log; what the columns mean stands there.
//
// The log is text. A row is the name of a table and its numbers, floats as the integer with their bits. Each operation
// has a row in the table of its kind, with what it was given and what the pacer answered, and one in "ops": its kind and
// a digest of the whole controller after this and all earlier operations of the scenario. Each scenario has its own random numbers from a fixed seed, so that the
// same Go writes the same log, and a change to one scenario leaves the others as they were.

package runtime_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand"
	"os"
	. "runtime"
	"runtime/debug"
	"testing"
)

// Kinds of operations, in the order of KINDS of record_pacer.py.
const (
	opInit = iota
	opMemory
	opStart
	opRevise
	opWorker
	opEnd
	opCommit
	opPercent
	opLimit
	opUpdate
	opStack
	opGlobals
	opIdle
)

var kinds = []string{
	"init", "memory", "start", "revise", "worker", "end", "commit", "percent", "limit", "update", "stack", "globals",
	"idle",
}

// What opIdle asks.
const (
	idleAdd = iota
	idleNeed
	idleRemove
	idleMost
)

const idleMode = 3 // gcMarkWorkerIdleMode

type recorder struct {
	out    *bufio.Writer
	rng    *rand.Rand
	c      *Pacer
	digest uint64
}

func TestRecordPacer(t *testing.T) {
	file, err := os.Create(os.Getenv("RECORD_LOG"))
	if err != nil {
		t.Fatal("RECORD_LOG: ", err)
	}
	// No collection of this program's own: it would write into the runtime's controller while the copy is in its place.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	out := bufio.NewWriter(file)
	for k, s := range scenarios() {
		r := &recorder{out: out, rng: rand.New(rand.NewSource(int64(1 + k)))}
		r.run(s)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func bitsOf(x float64) int64 { return int64(math.Float64bits(x)) }

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// op writes an operation of a kind and the state after it.
func (r *recorder) op(kind int, values ...any) {
	fmt.Fprintln(r.out, append([]any{kinds[kind]}, values...)...)
	for _, word := range r.c.Words() {
		r.digest = (r.digest ^ word) * 0x9e3779b97f4a7c15
		r.digest ^= r.digest >> 32
	}
	fmt.Fprintln(r.out, "ops", kind, r.digest>>48)
}

func (r *recorder) start0(shape, percent int, limit int64) {
	r.c = NewPacer(percent, limit)
	r.op(opInit, shape, percent, limit)
}

func (r *recorder) memory(heapInUse, heapFree, totalAlloc, totalFree, mappedReady uint64) {
	r.c.SetMemory(heapInUse, heapFree, totalAlloc, totalFree, mappedReady)
	r.op(opMemory, heapInUse, heapFree, totalAlloc, totalFree, mappedReady, r.c.LimitHeapGoal(), r.c.HeapGoal())
}

// begin is how a cycle starts; frac is in 64ths.
type begin struct {
	now                  int64
	over, stack, globals uint64
	frac, procs          int
	stay, periodic       bool
}

func (r *recorder) start(b begin) {
	c, frac := r.c, float64(b.frac)/64
	if b.now == 0 && b.over == 0 && !b.stay && !b.periodic {
		c.StartCycle(b.stack, b.globals, frac, b.procs)
	} else {
		c.StartAt(b.now, b.over, b.stack, b.globals, frac, b.procs, b.stay, b.periodic)
	}
	flags := number(b.stay) + 2*number(b.periodic)
	r.op(opStart, b.now, b.over, b.stack, b.globals, b.frac, b.procs, flags, c.Triggered(), c.HeapGoal(),
		bitsOf(c.AssistWorkPerByte()), c.DedicatedNeeded(), bitsOf(c.FractionalGoal()), c.MaxIdle())
}

func (r *recorder) revise(d GCControllerReviseDelta) {
	r.c.Revise(d)
	r.op(opRevise, d.HeapLive, d.HeapScan, d.HeapScanWork, d.StackScanWork, d.GlobalsScanWork, r.c.HeapGoal(),
		bitsOf(r.c.AssistWorkPerByte()))
}

func (r *recorder) worker(mode int, duration int64) {
	if mode == idleMode && !r.idle(idleAdd, 0) {
		return
	}
	r.c.WorkerStop(mode, duration)
	r.op(opWorker, mode, duration)
}

func (r *recorder) end(marked uint64, assist, now int64, procs int) {
	r.c.End(marked, assist, now, procs)
	r.op(opEnd, marked, assist, now, procs, r.c.HeapGoal(), r.c.Trigger(), bitsOf(r.c.ConsMark()), r.c.Runway())
}

func (r *recorder) commit(marking, sweepDone bool, swept, inUse, lastHeapInUse uint64) {
	c := r.c
	c.CommitAll(marking, sweepDone, swept, inUse, lastHeapInUse)
	percent, limit := c.ScavengeGoals()
	r.op(opCommit, number(marking)+2*number(sweepDone), swept, inUse, lastHeapInUse, c.HeapGoal(), c.Trigger(),
		bitsOf(c.SweepPagesPerByte()), percent, limit)
}

func (r *recorder) percent(in int32) { r.op(opPercent, in, r.c.SetPercent(in)) }

func (r *recorder) limit(in int64) { r.op(opLimit, in, r.c.SetLimit(in)) }

func (r *recorder) update(dLive, dScan int64, marking bool) {
	r.c.Update(dLive, dScan, marking)
	r.op(opUpdate, dLive, dScan, number(marking), r.c.HeapLive())
}

func (r *recorder) stack(amount int64) {
	r.c.AddStack(amount)
	r.op(opStack, amount)
}

func (r *recorder) globals(amount int64) {
	r.c.AddGlobals(amount)
	r.op(opGlobals, amount)
}

func (r *recorder) idle(what int, most int32) (answer bool) {
	switch what {
	case idleAdd:
		answer = r.c.AddIdleMarkWorker()
	case idleNeed:
		answer = r.c.NeedIdleMarkWorker()
	case idleRemove:
		r.c.RemoveIdleMarkWorker()
	case idleMost:
		r.c.SetMaxIdleMarkWorkers(most)
	}
	r.op(opIdle, what, most, number(answer))
	return answer
}
