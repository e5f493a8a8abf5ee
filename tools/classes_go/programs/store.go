// Command store acts like a key-value store with a budget: values of very different sizes, the least recently used
// dropped when the budget is used up, some changed in place of which a new value comes.  What it keeps lives for long and
// dies in no particular order.
//
//	store [operations]
package main

import (
	"container/list"
	"fmt"
	"math"
	"math/rand"
	"os"
	"strconv"
)

type entry struct {
	key     string
	value   []byte
	version int
	fields  []*field
}

type field struct {
	name  string
	value int64
	next  *field
	more  [4]uint64
}

type store struct {
	budget, used int
	recent       *list.List
	byKey        map[string]*list.Element
}

// The store is a variable of the package: it is there when the program ends.
var kept = &store{budget: 24 << 20, recent: list.New(), byKey: map[string]*list.Element{}}

func (s *store) get(key string) *entry {
	e, ok := s.byKey[key]
	if !ok {
		return nil
	}
	s.recent.MoveToFront(e)
	return e.Value.(*entry)
}

func (s *store) put(e *entry) {
	if old, ok := s.byKey[e.key]; ok {
		s.used -= len(old.Value.(*entry).value)
		s.recent.Remove(old)
	}
	s.byKey[e.key] = s.recent.PushFront(e)
	s.used += len(e.value)
	for s.used > s.budget {
		last := s.recent.Back()
		dropped := s.recent.Remove(last).(*entry)
		delete(s.byKey, dropped.key)
		s.used -= len(dropped.value)
	}
}

// size draws from 24 bytes to 40 KiB, small ones more often.
func size(rng *rand.Rand) int {
	return int(24 * math.Exp(rng.Float64()*rng.Float64()*7.4))
}

func newEntry(rng *rand.Rand, key string, version int) *entry {
	e := &entry{key: key, value: make([]byte, size(rng)), version: version}
	for k := rng.Intn(5); k > 0; k-- {
		f := &field{name: fmt.Sprint("field ", k), value: rng.Int63()}
		if k < len(e.fields) {
			f.next = e.fields[k]
		}
		e.fields = append(e.fields, f)
	}
	return e
}

func main() {
	n := 300000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	rng := rand.New(rand.NewSource(23))
	hits := 0
	for i := 0; i < n; i++ {
		key := fmt.Sprintf("user/%d/item", int(float64(n/4)*math.Pow(rng.Float64(), 2)))
		e := kept.get(key)
		switch {
		case e == nil:
			kept.put(newEntry(rng, key, 0))
		case i%7 == 0:
			kept.put(newEntry(rng, key, e.version+1))
		default:
			hits++
		}
	}
	fmt.Println(hits, "hits of", n, "and", kept.used, "bytes in", kept.recent.Len(), "entries")
}
