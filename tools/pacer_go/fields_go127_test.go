// Fields that are atomic in Go 1.27, and its last measurements of cons/mark.

package runtime

func setCounts(c *gcControllerState, live, scan, stack, globals uint64) {
	c.heapLive.Store(live)
	c.heapScan.Add(int64(scan))
	c.maxStackScan.Store(stack)
	c.globalsScan.Store(globals)
}

func swapPagesInUse(n uint64) uint64 {
	old := mheap_.pagesInUse.Load()
	mheap_.pagesInUse.Store(uintptr(n))
	return uint64(old)
}

func (c *Pacer) DedicatedNeeded() int64 { return c.dedicatedMarkWorkersNeeded.Load() }

// versionWords has what both versions have, zeros for the PI controller of Go 1.19, and the last measurements.
func versionWords(c *gcControllerState) []uint64 {
	last := &c.lastConsMark
	return []uint64{
		c.heapLive.Load(), c.heapScan.Load(), c.lastStackScan.Load(), c.maxStackScan.Load(), c.globalsScan.Load(),
		uint64(c.dedicatedMarkTime.Load()), uint64(c.fractionalMarkTime.Load()), uint64(c.idleMarkTime.Load()),
		uint64(c.dedicatedMarkWorkersNeeded.Load()), 0, 0,
		float64bits(last[0]), float64bits(last[1]), float64bits(last[2]), float64bits(last[3]),
	}
}
