// Fields that are plain numbers in Go 1.19, and the state of its PI controller.

package runtime

func setCounts(c *gcControllerState, live, scan, stack, globals uint64) {
	c.heapLive = live
	c.heapScan += scan
	c.maxStackScan = stack
	c.globalsScan = globals
}

func swapPagesInUse(n uint64) uint64 {
	old := mheap_.pagesInUse.Load()
	mheap_.pagesInUse.Store(n)
	return old
}

func (c *Pacer) DedicatedNeeded() int64 { return c.dedicatedMarkWorkersNeeded }

// versionWords has what both versions have, the PI controller, and zeros for the last measurements of Go 1.27.
func versionWords(c *gcControllerState) []uint64 {
	pi := &c.consMarkController
	flags := uint64(0)
	if pi.errOverflow {
		flags |= 1
	}
	if pi.inputOverflow {
		flags |= 2
	}
	return []uint64{
		c.heapLive, c.heapScan, c.lastStackScan, c.maxStackScan, c.globalsScan,
		uint64(c.dedicatedMarkTime), uint64(c.fractionalMarkTime), uint64(c.idleMarkTime),
		uint64(c.dedicatedMarkWorkersNeeded), float64bits(pi.errIntegral), flags, 0, 0, 0, 0,
	}
}
