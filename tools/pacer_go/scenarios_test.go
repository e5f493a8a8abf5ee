// The programs whose collections are paced: what lives, how fast they allocate and are scanned, from cycle to cycle.
//
// A cycle is a small simulation with the pacer in the loop: the assist ratio that it gives decides how much CPU time
// assists take, hence how long marking takes and how much is allocated meanwhile, which is what the pacer hears at the
// next revision and at the end. Most amounts are rounded to pages, KiB or microseconds, which keeps the log small.
//
// "raw" has no program behind it: any operation with any numbers, so that every branch and every overflow is met.

package runtime_test

import (
	"math"
	. "runtime"
)

const (
	kib, mib = 1 << 10, 1 << 20
	noLimit  = math.MaxInt64
	cycles   = 44
)

// Shapes of a program over time, in the order of SHAPES of record_pacer.py.
const (
	shapeSteady = iota
	shapeStep
	shapeRamp
	shapeJitter
	shapeNoisy
	shapeRaw
)

type scenario struct {
	shape, percent int
	limit          int64
	live           float64 // bytes that live
	frac           int     // 64ths of the heap that may hold pointers
	stack, globals float64 // bytes
	overhead       float64 // bytes of memory beside the heap
	alloc, scan    float64 // bytes per ns of CPU time
	procs          int
	change         func(r *recorder, s *scenario, n int)

	total uint64 // bytes allocated since the start
	now   int64
}

// scenarios are all, in a fixed order.
func scenarios() (all []*scenario) {
	add := func(s scenario) { all = append(all, &s) }
	sizes := []float64{1 * mib, 6 * mib, 40 * mib, 300 * mib, 5000 * mib}
	rates := [][2]float64{{0.1, 1}, {1, 1}, {0.02, 0.6}, {2, 0.8}, {0.5, 2}}
	for i, percent := range []int{25, 50, 100, 200, 800} {
		for shape := shapeSteady; shape <= shapeNoisy; shape++ {
			k := (i + 2*shape) % len(sizes)
			add(scenario{shape: shape, percent: percent, limit: noLimit, live: sizes[k], frac: 13 * (shape + 1),
				stack: 8 * kib, globals: 64 * kib, alloc: rates[(i+shape)%5][0], scan: rates[(i+shape)%5][1],
				procs: 1 + (7*i+3*shape)%20})
		}
	}
	base := scenario{percent: 100, limit: noLimit, live: 40 * mib, frac: 50, stack: 64 * kib, globals: 128 * kib,
		overhead: 6 * mib, alloc: 0.3, scan: 1, procs: 4}
	with := func(change func(s *scenario)) {
		s := base
		change(&s)
		add(s)
	}
	// Memory limits: far, near, binding, below what is in use, below what the runtime itself takes.
	for _, percent := range []int{100, -1} {
		for k, limit := range []float64{2000, 110, 64, 44, 20, 5, 1.5} {
			with(func(s *scenario) {
				s.percent, s.limit, s.shape = percent, int64(limit*mib), []int{shapeSteady, shapeJitter, shapeRamp}[k%3]
			})
		}
	}
	for k, limit := range []float64{900, 300} {
		with(func(s *scenario) { s.percent, s.limit, s.live, s.shape = 800, int64(limit*mib), 200*mib, k+1 })
	}
	// Little heap and much else to scan.
	for k, percent := range []int{50, 100, 400} {
		with(func(s *scenario) { s.percent, s.live, s.stack, s.shape = percent, 10*mib, 128*mib, k })
		with(func(s *scenario) { s.percent, s.live, s.globals, s.shape = percent, 3*mib, 60*mib, k+1 })
		with(func(s *scenario) { s.percent, s.live, s.shape, s.procs = percent, float64(k+1)*0.7*mib, k+2, 6 })
	}
	for _, percent := range []int{0, 1, 100000} {
		with(func(s *scenario) { s.percent, s.live, s.shape = percent, 20*mib, shapeJitter })
	}
	// Collections that are asked for while GOGC is off: the only ones.
	with(func(s *scenario) { s.percent, s.shape = -1, shapeRamp })
	for shape := shapeSteady; shape <= shapeJitter; shape++ {
		with(func(s *scenario) { s.shape, s.change = shape, changePercent })
		with(func(s *scenario) { s.shape, s.change = shape, changeLimit })
	}
	for k, percent := range []int{100, -1, 50, 25, 800, 0} {
		with(func(s *scenario) {
			if s.shape, s.percent = shapeRaw, percent; k >= 3 {
				s.limit = 8000 * mib
			}
		})
	}
	return all
}

func changePercent(r *recorder, s *scenario, n int) {
	if n%7 == 3 {
		s.percent = []int{25, 400, -1, 100, 50, 800}[n/7%6]
		r.percent(int32(s.percent))
		r.commit(n%2 == 0, n%3 == 0, 100, 4000, r.c.HeapLive())
	}
}

func changeLimit(r *recorder, s *scenario, n int) {
	if n%5 == 2 {
		limit := []int64{60 * mib, 100 * mib, -1, 48 * mib, 30 * mib, noLimit, 64 * mib}[n/5%7]
		r.limit(limit)
		if limit >= 0 {
			s.limit = limit
		}
		r.commit(n%2 == 0, n%3 == 0, uint64(n), 5000, r.c.HeapLive())
	}
}

// wave is what the shape makes of an amount in cycle n.
func (s *scenario) wave(r *recorder, n int, amount float64) float64 {
	switch s.shape {
	case shapeStep:
		return amount * []float64{1, 3, 0.5}[n*3/cycles]
	case shapeRamp: // up, then down
		return amount * (1.75 - 1.5*math.Abs(1-2*float64(n)/cycles))
	case shapeJitter:
		return amount * (0.8 + 0.4*r.rng.Float64())
	}
	return amount
}

// rate is the program's speed of allocation in cycle n.
func (s *scenario) rate(r *recorder, n int) float64 {
	if s.shape == shapeNoisy {
		return s.alloc * math.Exp(3*r.rng.Float64()-1.5)
	}
	return s.wave(r, n, s.alloc)
}

func pages(bytes float64) uint64 { return uint64(bytes) &^ (8*kib - 1) }

func (r *recorder) run(s *scenario) {
	r.start0(s.shape, s.percent, s.limit)
	if s.shape == shapeRaw {
		r.rawOperations(s.limit != noLimit)
		return
	}
	for n := 0; n < cycles; n++ {
		if s.limit != noLimit {
			r.memoryOf(s)
		}
		if n%9 == 4 {
			r.stack(int64(r.rng.Intn(9)-4) * 1500)
			r.globals(int64(r.rng.Intn(3)) * 512)
			r.update(int64(r.rng.Intn(20))*8*kib, int64(r.rng.Intn(8))*kib, false)
		}
		r.begin(s, n)
		r.cycle(s, n)
	}
}

// memoryOf reports the memory of a program whose heap is where the pacer has it.
func (r *recorder) memoryOf(s *scenario) {
	live := r.c.HeapLive()
	inUse := pages(float64(live)*1.07) + 8*kib
	free := pages(float64(live) * 0.125 * float64(r.rng.Intn(3)))
	r.memory(inUse, free, s.total+live, s.total, inUse+free+pages(s.overhead))
	s.total += pages(float64(live))
}

// begin starts cycle n: where the trigger is, or late, or because of the time, or because it was asked for.
func (r *recorder) begin(s *scenario, n int) {
	b := begin{stack: uint64(s.stack), globals: uint64(s.globals), frac: s.frac, procs: s.procs}
	if s.change == nil && n%11 == 10 {
		b.procs = 1 + r.rng.Intn(64)
	}
	switch {
	case s.percent < 0 && s.limit == noLimit:
		b.stay, b.over = true, pages(s.live*0.3)
	case n%6 == 3:
		b.over = uint64(r.rng.Intn(40)) * 8 * kib
	case n%13 == 7:
		b.stay, b.periodic = true, true
	}
	if n%2 == 1 {
		s.now += int64(r.rng.Intn(5000)) * 1000
		b.now = s.now
	}
	r.start(b)
	s.procs, s.now = b.procs, b.now
}

// cycle marks and ends cycle n.
func (r *recorder) cycle(s *scenario, n int) {
	live := s.wave(r, n, s.live)
	alloc, idle := s.rate(r, n), 0.05*float64(n%4)
	work := [3]float64{live * float64(s.frac) / 64, s.stack * 0.75, s.globals}
	procs, assisted, elapsed := float64(s.procs), 0.0, 0.0
	steps := 1 + n%3
	for k := 0; k < steps; k++ {
		ratio := r.c.AssistWorkPerByte()
		assist := (ratio*alloc*0.75 - s.scan*(0.25+idle)) / (s.scan + ratio*alloc)
		assist = math.Min(math.Max(assist, 0), 0.7)
		part := (work[0] + work[1] + work[2]) / float64(steps)
		ns := part / (s.scan * procs * (0.25 + idle + assist))
		allocated := pages(alloc * procs * (0.75 - assist) * ns)
		r.revise(GCControllerReviseDelta{
			HeapLive: int64(allocated), HeapScan: int64(allocated) * int64(s.frac) / 64,
			HeapScanWork:    int64(work[0]) / int64(steps) &^ (kib - 1),
			StackScanWork:   int64(work[1]) / int64(steps) &^ (kib - 1),
			GlobalsScanWork: int64(work[2]) / int64(steps),
		})
		assisted += assist * procs * ns
		elapsed += ns
		if s.change != nil {
			s.change(r, s, n)
		}
	}
	if n%4 != 0 {
		r.worker(n%4, int64(idle*procs*elapsed)/1000*1000)
	}
	now := s.now + int64(elapsed)/1000*1000
	r.end(pages(live), int64(assisted)/1000*1000, now, s.procs)
	s.now = now
	inUse := uint64(live) >> 12
	r.commit(false, n%5 == 4, inUse*uint64(n%3)/4, inUse, pages(live*1.07))
}

// size is a number of any magnitude below 1<<most.
func (r *recorder) size(most int) int64 { return r.rng.Int63n(1 << (1 + r.rng.Intn(most))) }

// rawOperations does operations of all kinds with numbers of any size.
func (r *recorder) rawOperations(limited bool) {
	marking, idle := false, 0
	for k := 0; k < 4*cycles; k++ {
		switch what := r.rng.Intn(13); {
		case what < 2 && limited:
			r.rawLimit(marking)
		case what == 2:
			r.update(r.size(26), r.size(24), marking)
		case what == 3:
			r.stack(r.size(15) - r.size(15))
			r.globals(r.size(20))
		case what == 4:
			r.percent([]int32{-7, 0, 1, 33, 100, 1000, math.MaxInt32}[r.rng.Intn(7)])
			r.rawCommit(marking)
		case what == 5:
			r.idle(idleMost, int32(r.rng.Intn(5)))
			idle += number(r.idle(idleAdd, 0))
			if r.idle(idleNeed, 0); idle > 0 {
				r.idle(idleRemove, 0)
				idle--
			}
		default:
			r.rawCycle(&marking)
		}
	}
}

// rawLimit sets memory and its limit; the pacer waits forever where heap and free memory are more than all memory.
func (r *recorder) rawLimit(marking bool) {
	free, alloc, over := r.size(34), r.size(36), r.size(32)
	r.memory(uint64(r.size(36)), uint64(free), uint64(alloc+7), 7, uint64(free+alloc+over))
	r.limit([]int64{-1, 0, alloc + over, noLimit >> 1}[r.rng.Intn(4)] + r.size(37) - 1)
	r.rawCommit(marking)
}

func (r *recorder) rawCommit(marking bool) {
	r.commit(marking, r.rng.Intn(2) == 0, uint64(r.size(20)), uint64(r.size(20)), uint64(r.size(36)))
}

// rawCycle starts, revises or ends a cycle.
func (r *recorder) rawCycle(marking *bool) {
	procs := 1 + r.rng.Intn(9)
	if !*marking {
		r.start(begin{now: r.size(30), over: uint64(r.size(30)), stack: uint64(r.size(26)), globals: uint64(r.size(26)),
			frac: r.rng.Intn(65), procs: procs, stay: true, periodic: r.rng.Intn(4) == 0})
	}
	*marking = true
	for k := r.rng.Intn(3); k > 0; k-- {
		d := GCControllerReviseDelta{HeapLive: r.size(30), HeapScan: r.size(30)}
		if r.rng.Intn(3) != 0 {
			d.HeapScanWork, d.StackScanWork, d.GlobalsScanWork = r.size(32), r.size(24), r.size(24)
		}
		r.revise(d)
	}
	if mode := r.rng.Intn(6); 0 < mode && mode <= idleMode {
		r.worker(mode, r.size(34))
	}
	if r.rng.Intn(4) != 0 {
		r.end(uint64(r.size(36)), r.size(33), r.size(33), procs)
		*marking = false
	}
}
