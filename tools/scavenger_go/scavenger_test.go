// TestRecordScavenger drives Go's background scavenger through made-up work and writes down how long it sleeps.
//
// The scavenger is the runtime's own, run and sleep of scavengerState, on a goroutine of its own; time and memory are
// made up, by the stubs that Go's tests use. record_scavenger.py lays this over the runtime's tests, runs it and packs
// the log; what the columns mean stands there. The random numbers have a fixed seed: the same Go writes the same log.

package runtime_test

import (
	"bufio"
	"fmt"
	"math"
	"math/rand"
	"os"
	. "runtime"
	"testing"
)

const quantum = 64 << 10 // scavengeQuantum

// turn is one turn of the scavenger: what there is to give back, how fast that goes, and how long the sleep lasts.
type turn struct {
	procs     int
	quantumNs int64 // time to give 64 KiB back
	available int64 // bytes that can be given back
	stop      int64 // bytes after which the goals are met; 0: never
	slept     int64 // ns; -1: as long as was asked
}

type recorder struct {
	out       *bufio.Writer
	s         Scavenger
	steps     []turn
	k         int
	over      bool // step k has slept: the next run is that of step k+1
	released  int64
	worked    int64
	asked     int64
	sleptFor  int64
	scavenges int
}

func (r *recorder) row() {
	ratio, errIntegral, cooldown := r.s.Pace()
	st := r.steps[r.k]
	fmt.Fprintln(r.out, "step", st.procs, st.quantumNs, st.available, st.stop, st.slept, r.scavenges, r.released, r.worked,
		r.asked, r.sleptFor, int64(math.Float64bits(ratio)), int64(math.Float64bits(errIntegral)), cooldown)
	r.k++
	r.over = false
	r.released, r.worked, r.asked, r.sleptFor, r.scavenges = 0, 0, 0, 0, 0
}

func (r *recorder) shouldStop() bool {
	if r.over {
		r.row()
	}
	if r.k == len(r.steps) {
		return true
	}
	stop := r.steps[r.k].stop
	return stop != 0 && r.released >= stop
}

func (r *recorder) scavenge(n uintptr) (uintptr, int64) {
	st := r.steps[r.k]
	got := st.available - r.released
	if got > int64(n) {
		got = int64(n)
	}
	ns := got / 1024 * st.quantumNs / 64
	r.released += got
	r.worked += ns
	r.scavenges++
	return uintptr(got), ns
}

func (r *recorder) sleep(ns int64) int64 {
	r.asked, r.sleptFor, r.over = ns, ns, true
	if slept := r.steps[r.k].slept; slept >= 0 {
		r.sleptFor = slept
	}
	return r.sleptFor
}

func (r *recorder) run(t *testing.T, number int) {
	fmt.Fprintln(r.out, "scenario", number, len(r.steps))
	r.s.Sleep, r.s.Scavenge, r.s.ShouldStop = r.sleep, r.scavenge, r.shouldStop
	r.s.GoMaxProcs = func() int32 { return int32(r.steps[r.k].procs) }
	r.s.Start()
	for r.k < len(r.steps) {
		r.s.Wake()
		if !r.s.BlockUntilParked(10e9) {
			t.Fatal("the scavenger does not park")
		}
		if r.k < len(r.steps) {
			r.row() // A step in which nothing was released: it does not sleep.
		}
	}
	r.s.Stop()
}

func many(n int, one func(k int) turn) []turn {
	steps := make([]turn, n)
	for k := range steps {
		steps[k] = one(k)
	}
	return steps
}

func pick(rng *rand.Rand, from ...int64) int64 { return from[rng.Intn(len(from))] }

// scenarios are in the order of SCENARIOS of record_scavenger.py.
func scenarios() [][]turn {
	rng := rand.New(rand.NewSource(19))
	steady := func(procs int) []turn {
		return many(60, func(int) turn { return turn{procs, 160e3, 4 << 20, 0, -1} })
	}
	return [][]turn{
		steady(1),
		steady(4),
		steady(16),
		many(80, func(k int) turn { // bursts: a little, then as much as a millisecond allows
			return turn{2, 64 * (1 + rng.Int63n(5000)), pick(rng, 8<<10, 40<<10, 64<<10, 8<<20), 0, -1}
		}),
		many(40, func(k int) turn { return turn{4, 64 * 100e3 * (1 + rng.Int63n(10)), 1 << 20, 0, -1} }), // long work
		many(40, func(k int) turn { return turn{4, 0, pick(rng, 4<<20, 24<<10, 4<<20), 0, -1} }),       // a coarse clock
		many(80, func(k int) turn { // sleeps that last longer, and shorter, than they should
			return turn{4, 64 * (1 + rng.Int63n(10e3)), 4 << 20, 0, pick(rng, 0, 1, 1e6, 5e7, 1e9, 3e10)}
		}),
		many(60, func(k int) turn { // the controller fails, and is left alone for five seconds
			return turn{[]int{4, 4, 4, 0}[k/5%4], 160e3, 4 << 20, 0, pick(rng, -1, 7e8, 1e9)}
		}),
		many(60, func(k int) turn { // nothing to do, or not much
			return turn{4, 160e3, pick(rng, 0, 8<<10, 64<<10, 72<<10, 2<<20), pick(rng, 0, 0, 64<<10, 192<<10), -1}
		}),
		many(150, func(k int) turn { // anything
			return turn{1 + rng.Intn(16), 64 * rng.Int63n(200e3), 8 << 10 * rng.Int63n(300), quantum * rng.Int63n(12),
				pick(rng, -1, -1, -1, rng.Int63n(1e10))}
		}),
	}
}

func TestRecordScavenger(t *testing.T) {
	file, err := os.Create(os.Getenv("RECORD_LOG"))
	if err != nil {
		t.Fatal("RECORD_LOG: ", err)
	}
	out := bufio.NewWriter(file)
	for k, steps := range scenarios() {
		(&recorder{out: out, steps: steps}).run(t, k)
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
