// What the recording needs of Go's pacer and the GCController of Go's own export_test.go does not show. Nothing in this
// file computes anything that is recorded: it sets, reads and calls.
//
// A test copy of the controller does not reach what the runtime's only controller does with the rest of the runtime:
// update, gcControllerCommit and what that sets for the sweeper and the scavenger. For these the copy takes the real
// controller's place, on the system stack under the heap's lock, and everything is put back before anyone can look.

package runtime

// Pacer is a test copy of Go's controller with what pacing keeps in other files.
type Pacer struct {
	*GCController
	pp            *p
	perByte       float64 // mheap_.sweepPagesPerByte
	liveBasis     uint64  // mheap_.sweepHeapLiveBasis
	sweptBasis    uint64  // mheap_.pagesSweptBasis
	percentGoal   uint64  // scavenge.gcPercentGoal
	limitGoal     uint64  // scavenge.memoryLimitGoal
	lastHeapInUse uint64  // memstats.lastHeapInUse
}

func NewPacer(gcPercent int, memoryLimit int64) *Pacer {
	return &Pacer{GCController: NewGCController(gcPercent, memoryLimit), pp: new(p)}
}

// SetMemory sets the statistics that a memory limit is about, in bytes.
func (c *Pacer) SetMemory(heapInUse, heapFree, totalAlloc, totalFree, mappedReady uint64) {
	c.heapInUse, c.heapFree = sysMemStat(heapInUse), sysMemStat(heapFree)
	c.totalAlloc.Store(totalAlloc)
	c.totalFree.Store(totalFree)
	c.mappedReady.Store(mappedReady)
}

// StartAt is StartCycle for a cycle that may start late (over bytes past the trigger), or where the heap is instead of
// at the trigger (stay), or because of the time (periodic), at a time other than 0.
func (c *Pacer) StartAt(now int64, over, stack, globals uint64, frac float64, procs int, stay, periodic bool) {
	kind := gcTriggerHeap
	if periodic {
		kind = gcTriggerTime
	}
	live, scan := c.HeapLive()+over, uint64(0)
	if !stay {
		live, _ = c.trigger()
		if c.heapMarked > live {
			live = c.heapMarked
		}
		live += over
		scan = uint64(float64(live-c.heapMarked) * frac)
	}
	setCounts(&c.gcControllerState, live, scan, stack, globals)
	c.startCycle(now, procs, gcTrigger{kind: kind})
}

// End is EndCycle; that leaves lastHeapGoal in the runtime's own controller.
func (c *Pacer) End(bytesMarked uint64, assistTime, now int64, procs int) {
	c.EndCycle(bytesMarked, assistTime, now, procs)
	c.lastHeapGoal = gcController.lastHeapGoal
}

// SetPercent, SetLimit, AddStack, AddGlobals and WorkerStop pass their arguments on.
func (c *Pacer) SetPercent(in int32) int32 { return c.setGCPercent(in) }

func (c *Pacer) SetLimit(in int64) int64 { return c.setMemoryLimit(in) }

func (c *Pacer) AddStack(amount int64) { c.addScannableStack(c.pp, amount) }

func (c *Pacer) AddGlobals(amount int64) { c.addGlobals(amount) }

func (c *Pacer) WorkerStop(mode int, duration int64) {
	c.markWorkerStop(gcMarkWorkerMode(mode), duration)
}

// inPlace runs f with the copy in the place of the runtime's controller.
func (c *Pacer) inPlace(f func()) {
	systemstack(func() {
		lock(&mheap_.lock)
		saved := gcController
		gcController = c.gcControllerState
		f()
		c.gcControllerState = gcController
		gcController = saved
		unlock(&mheap_.lock)
	})
}

// Update is gcController.update, while marking or not.
func (c *Pacer) Update(dHeapLive, dHeapScan int64, marking bool) {
	c.inPlace(func() {
		saved := gcBlackenEnabled
		gcBlackenEnabled = 0
		if marking {
			gcBlackenEnabled = 1
		}
		gcController.update(dHeapLive, dHeapScan)
		gcBlackenEnabled = saved
	})
}

// CommitAll is gcControllerCommit with the sweeper and the last heap in the given state.
func (c *Pacer) CommitAll(marking, sweepDone bool, pagesSwept, pagesInUse, lastHeapInUse uint64) {
	phase, state := uint32(_GCoff), uint32(0)
	if marking {
		phase = _GCmark
	}
	if sweepDone {
		state = sweepDrainedMask
	}
	c.lastHeapInUse = lastHeapInUse
	c.inPlace(func() {
		h := &mheap_
		c.swapPace()
		savedPhase, savedState := gcphase, sweep.active.state.Load()
		swept, inUse := h.pagesSwept.Load(), swapPagesInUse(pagesInUse)
		gcphase = phase
		sweep.active.state.Store(state)
		h.pagesSwept.Store(pagesSwept)
		gcControllerCommit()
		gcphase = savedPhase
		sweep.active.state.Store(savedState)
		h.pagesSwept.Store(swept)
		swapPagesInUse(inUse)
		c.swapPace()
	})
}

// swapPace exchanges what pacing keeps in other files between the copy and the runtime.
func (c *Pacer) swapPace() {
	h := &mheap_
	c.perByte, h.sweepPagesPerByte = h.sweepPagesPerByte, c.perByte
	c.liveBasis, h.sweepHeapLiveBasis = h.sweepHeapLiveBasis, c.liveBasis
	c.lastHeapInUse, memstats.lastHeapInUse = memstats.lastHeapInUse, c.lastHeapInUse
	swept, percent, limit := h.pagesSweptBasis.Load(), scavenge.gcPercentGoal.Load(), scavenge.memoryLimitGoal.Load()
	h.pagesSweptBasis.Store(c.sweptBasis)
	scavenge.gcPercentGoal.Store(c.percentGoal)
	scavenge.memoryLimitGoal.Store(c.limitGoal)
	c.sweptBasis, c.percentGoal, c.limitGoal = swept, percent, limit
}

func (c *Pacer) Trigger() uint64 {
	trigger, _ := c.trigger()
	return trigger
}

func (c *Pacer) AssistBytesPerWork() float64 { return c.assistBytesPerWork.Load() }

func (c *Pacer) Runway() uint64 { return c.runway.Load() }

func (c *Pacer) ConsMark() float64 { return c.consMark }

func (c *Pacer) FractionalGoal() float64 { return c.fractionalUtilizationGoal }

func (c *Pacer) MaxIdle() int32 { return int32(c.idleMarkWorkers.Load() >> 32) }

func (c *Pacer) LimitHeapGoal() uint64 { return c.memoryLimitHeapGoal() }

func (c *Pacer) SweepPagesPerByte() float64 { return c.perByte }

func (c *Pacer) ScavengeGoals() (percent, limit uint64) { return c.percentGoal, c.limitGoal }

// bounds are the triggers for the longest and for no runway: the least and the highest that trigger allows.
func (c *Pacer) bounds() (low, high uint64) {
	runway := c.runway.Load()
	c.runway.Store(^uint64(0))
	low, _ = c.trigger()
	c.runway.Store(0)
	high, _ = c.trigger()
	c.runway.Store(runway)
	return low, high
}

// Words are all numbers of the controller and what follows from them, floats as their bits.
func (c *Pacer) Words() []uint64 {
	goal, minTrigger := c.heapGoalInternal()
	low, high := c.bounds()
	idle := c.idleMarkWorkers.Load()
	return append([]uint64{
		goal, minTrigger, c.Trigger(), low, high, c.memoryLimitHeapGoal(),
		uint64(c.gcPercent.Load()), uint64(c.memoryLimit.Load()), c.heapMinimum, c.runway.Load(), float64bits(c.consMark),
		c.gcPercentHeapGoal.Load(), c.sweepDistMinTrigger.Load(), c.triggered, c.lastHeapGoal,
		c.lastHeapScan, c.heapMarked,
		uint64(c.heapScanWork.Load()), uint64(c.stackScanWork.Load()), uint64(c.globalsScanWork.Load()),
		uint64(c.assistTime.Load()), uint64(c.markStartTime), uint64(uint32(idle)), uint64(int32(idle >> 32)),
		float64bits(c.fractionalUtilizationGoal),
		float64bits(c.assistWorkPerByte.Load()), float64bits(c.assistBytesPerWork.Load()),
		float64bits(c.perByte), c.liveBasis, c.sweptBasis, c.percentGoal, c.limitGoal, uint64(c.pp.maxStackScanDelta),
	}, versionWords(&c.gcControllerState)...)
}
