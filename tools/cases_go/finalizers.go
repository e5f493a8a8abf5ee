package main

import (
	"math/rand"
	"runtime"
	"runtime/debug"
)

// The finalizer workloads are about what a sweep does with an object that nothing refers to
// but that still has a finalizer: it is not freed. The sweep marks it, takes the finalizer off
// and queues it; the object goes at a later collection, unless its finalizer made it reachable
// again. Until it is swept, though, such an object looks dead, and a span that holds no marked
// object besides is one that the page reclaimer picks.

// blockKind makes and arms objects of one type, hence of one size class.
type blockKind struct {
	size int
	// make returns a pointer to a new object.
	make func() any
	// arm gives an object a finalizer that only counts.
	arm func(any)
	// armToResurrect gives an object a finalizer that stores it where it stays reachable.
	armToResurrect func(any)
	// armWithGarbage gives an object a finalizer that allocates.
	armWithGarbage func(any)
}

// finalized counts the finalizers that ran; it is only touched by the finalizer goroutine.
var finalized int

// resurrected holds the most recent objects that their finalizers brought back. Older ones are
// overwritten, and then die for good.
var resurrected [97]any

func kindOf[T any](size int) blockKind {
	return blockKind{
		size: size,
		make: func() any { return new(T) },
		arm: func(x any) {
			runtime.SetFinalizer(x, func(*T) { finalized++ })
		},
		armToResurrect: func(x any) {
			runtime.SetFinalizer(x, func(p *T) {
				finalized++
				resurrected[finalized%len(resurrected)] = p
			})
		},
		armWithGarbage: func(x any) {
			runtime.SetFinalizer(x, func(*T) {
				finalized++
				sink = make([]byte, 16+finalized%600)
			})
		},
	}
}

// withPointer is an object that the collector must scan: what it points to stays alive as long
// as the object itself waits for its finalizer.
type withPointer[B any] struct {
	next any
	body B
}

// blockKinds are objects with and without pointers, from the tiny allocator's to large ones.
var blockKinds = []blockKind{
	kindOf[[8]byte](8), // shares its 16 bytes with others: one block, several finalizers
	kindOf[[24]byte](24),
	kindOf[[64]byte](64),
	kindOf[[200]byte](200),
	kindOf[[640]byte](640),
	kindOf[[1800]byte](1800),
	kindOf[[9000]byte](9000),
	kindOf[[50000]byte](50000),
	kindOf[withPointer[int64]](24),
	kindOf[withPointer[[32]byte]](48),
	kindOf[withPointer[[112]byte]](128),
	kindOf[withPointer[[496]byte]](512),
	kindOf[withPointer[[1008]byte]](1024),
	kindOf[withPointer[[3000]byte]](3016),
	kindOf[withPointer[[40000]byte]](40016),
}

// finalizerRun is the state of one run of the workload.
type finalizerRun struct {
	rng *rand.Rand
	// keep is the long-lived part: a table in which random entries are replaced.
	keep []any
	// old are objects that wait, without a finalizer, to get one several rounds later.
	old []agedBlock
	// armed is how many finalizers have been set.
	armed int
}

type agedBlock struct {
	kind  int
	round int
	x     any
}

// finalizers uses finalizers of all kinds while collections happen when the pacer wants them.
func finalizers() {
	runFinalizers(28, func(int) {})
}

// finalizersForced does the same with collections that the program asks for.
func finalizersForced() {
	runFinalizers(16, func(round int) {
		switch round % 4 {
		case 1:
			runtime.GC()
		case 3:
			debug.FreeOSMemory()
		}
	})
}

func runFinalizers(rounds int, between func(round int)) {
	r := &finalizerRun{rng: rand.New(rand.NewSource(11)), keep: make([]any, 6000)}
	for round := 0; round < rounds; round++ {
		r.lonelySpans(round)
		r.mixture(1800)
		r.armOldBlocks(round)
		between(round)
		// Let the finalizer goroutine have the processor.
		runtime.Gosched()
	}
	runtime.KeepAlive(r)
}

// lonelySpans fills a few spans of one kind with garbage among which a few objects have a
// finalizer. After the next collection these are all that is left of the span.
func (r *finalizerRun) lonelySpans(round int) {
	k := &blockKinds[1+(round*4)%(len(blockKinds)-1)]
	n := 6*8192/k.size + 2
	perSpan := 8192/k.size + 1
	for i := 0; i < n; i++ {
		x := k.make()
		if i%perSpan == perSpan/2 {
			r.arm(k, x)
		}
		sink = x
	}
	sink = nil
}

// mixture makes n objects of random kinds and fates.
func (r *finalizerRun) mixture(n int) {
	for i := 0; i < n; i++ {
		kind := r.rng.Intn(len(blockKinds))
		if blockKinds[kind].size > 8192 && r.rng.Intn(8) != 0 {
			kind = r.rng.Intn(4)
		}
		k := &blockKinds[kind]
		x := k.make()
		switch fate := r.rng.Intn(100); {
		case fate < 3: // garbage that waits for its finalizer
			r.arm(k, x)
		case fate < 5: // long-lived, and finalized when it is replaced
			r.arm(k, x)
			r.keep[r.rng.Intn(len(r.keep))] = x
		case fate < 7: // armed, then disarmed at once or later
			r.arm(k, x)
			if fate == 5 {
				runtime.SetFinalizer(x, nil)
			} else {
				r.old = append(r.old, agedBlock{kind: -1, x: x})
			}
		case fate < 10: // to be armed when it is old
			r.old = append(r.old, agedBlock{kind: kind, x: x})
		case fate < 40: // long-lived
			r.keep[r.rng.Intn(len(r.keep))] = x
		default: // garbage
			sink = x
		}
	}
	sink = nil
}

// arm gives x a finalizer of one of three sorts. An object that can point somewhere is sometimes
// made to point at another one that has a finalizer too: they run one collection apart.
func (r *finalizerRun) arm(k *blockKind, x any) {
	r.armed++
	if p, ok := x.(*withPointer[[32]byte]); ok && r.armed%3 == 0 {
		inner := k.make()
		k.arm(inner)
		r.armed++
		p.next = inner
	}
	if p, ok := x.(*withPointer[[112]byte]); ok {
		p.next = make([]byte, 300) // kept by an object that is itself only waiting
	}
	switch r.armed % 5 {
	case 0:
		k.armToResurrect(x)
	case 1:
		k.armWithGarbage(x)
	default:
		k.arm(x)
	}
}

// armOldBlocks changes the finalizers of objects made several rounds ago, whose spans may be
// waiting to be swept: half of those it finds are dropped right away.
func (r *finalizerRun) armOldBlocks(round int) {
	left := r.old[:0]
	for _, b := range r.old {
		switch {
		case b.round == 0:
			b.round = round + 1
			left = append(left, b)
		case round-b.round < 3:
			left = append(left, b)
		case b.kind < 0:
			runtime.SetFinalizer(b.x, nil)
		default:
			r.arm(&blockKinds[b.kind], b.x)
			if b.round%2 == 0 {
				r.keep[r.rng.Intn(len(r.keep))] = b.x
			}
		}
	}
	for i := len(left); i < len(r.old); i++ {
		r.old[i] = agedBlock{}
	}
	r.old = left
}
