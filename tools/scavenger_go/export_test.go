// What the recording needs of Go's background scavenger and the Scavenger of Go's own export_test.go does not show. It
// reads only, and is called on the scavenger's goroutine.

package runtime

// Pace is the ratio of work to sleep, the integral of its controller, and the time until that is asked again.
func (s *Scavenger) Pace() (ratio, errIntegral float64, cooldown int64) {
	return s.scavenger.sleepRatio, s.scavenger.sleepController.errIntegral, s.scavenger.controllerCooldown
}
