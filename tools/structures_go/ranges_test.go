// Sequences of operations on addrRanges: ranges added in random order, of which many touch, and questions between.

package runtime_test

import (
	. "runtime"
	"sort"
)

const (
	rangesSequences = 70
	rangesMost      = 70 // pieces of address space in a sequence
)

// Kinds of rows of ranges_ops, in the order of RANGES of record_structures.py.
const (
	rangesAdd = iota
	rangesFindSucc
	rangesFindAddrGreaterEqual
	rangesContains
)

func recordRanges(r *recorder) {
	for sequence := 0; sequence < rangesSequences; sequence++ {
		borders := r.borders()
		a := NewAddrRanges()
		for _, k := range r.rng.Perm(len(borders) - 1) {
			r.rangesAsk(sequence, &a, borders)
			if r.rng.Intn(6) != 0 {
				r.rangesAdd(sequence, &a, borders[k], borders[k+1])
			}
		}
	}
}

// borders picks ascending addresses: close together, of pages, or of arenas far apart.
func (r *recorder) borders() (found []uintptr) {
	space, unit := 300, uintptr(1)
	switch r.rng.Intn(3) {
	case 1:
		space, unit = 1<<r.oneOf(8, 12, 30), PageSize
	case 2:
		space, unit = 1<<r.oneOf(7, 14, 20), 64<<20
	}
	chosen := map[uintptr]bool{}
	for k := 2 + r.rng.Intn(rangesMost); k > 0; k-- {
		chosen[uintptr(1+r.rng.Intn(space))*unit] = true
	}
	chosen[uintptr(space)*unit], chosen[unit] = true, true
	for border := range chosen {
		found = append(found, border)
	}
	sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
	return found
}

func (r *recorder) rangesAdd(sequence int, a *AddrRanges, base, limit uintptr) {
	a.Add(MakeAddrRange(base, limit))
	var sum digest
	for _, in := range a.Ranges() {
		sum.add(uint64(in.Base()), uint64(in.Limit()))
	}
	r.row("ranges_ops", sequence, rangesAdd, base, limit, len(a.Ranges()), a.TotalBytes(), sum.sum())
}

// rangesAsk asks the three questions for addresses at, beside and between the borders.
func (r *recorder) rangesAsk(sequence int, a *AddrRanges, borders []uintptr) {
	border := borders[r.rng.Intn(len(borders))]
	ask := border + uintptr(r.oneOf(-1, 0, 0, 1))
	if r.rng.Intn(4) == 0 {
		ask = uintptr(r.rng.Int63n(int64(borders[len(borders)-1]) + 2))
	}
	r.row("ranges_ops", sequence, rangesFindSucc, ask, 0, a.FindSucc(ask), 0, 0)
	contains := 0
	if a.Contains(ask) {
		contains = 1
	}
	r.row("ranges_ops", sequence, rangesContains, ask, 0, contains, 0, 0)
	if len(a.Ranges()) == 0 {
		return // findAddrGreaterEqual wants a range
	}
	found, ok := a.FindAddrGreaterEqual(ask)
	some := 0
	if ok {
		some = 1
	}
	r.row("ranges_ops", sequence, rangesFindAddrGreaterEqual, ask, 0, found, some, 0)
}
