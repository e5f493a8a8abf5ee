// Command orders runs a small service under runtime/trace: workers parse orders as JSON, keep the latest in maps, and
// write reports, so that the heap has objects of many sizes and ages.
//
//	GODEBUG=traceallocfree=1 GOGC=50 GOMAXPROCS=4 orders OUT.trace WORKERS ROUNDS KEPT
//
// Each worker handles ROUNDS orders and keeps the last KEPT of them.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
)

type line struct {
	Article string  `json:"article"`
	Count   int     `json:"count"`
	Price   float64 `json:"price"`
}

type order struct {
	ID       int               `json:"id"`
	Customer string            `json:"customer"`
	Lines    []*line           `json:"lines"`
	Tags     map[string]string `json:"tags"`
	next     *order
	scan     []byte
}

// message returns an order as text.
func message(id int, r *rand.Rand) []byte {
	o := order{ID: id, Customer: fmt.Sprintf("customer %d", r.Intn(500)), Tags: map[string]string{}}
	for i := 0; i < 1+r.Intn(8); i++ {
		o.Lines = append(o.Lines, &line{fmt.Sprintf("article %d", r.Intn(2000)), 1 + r.Intn(9), r.Float64() * 100})
	}
	if id%3 == 0 {
		o.Tags["from"] = "shop"
		o.Tags["note"] = string(bytes.Repeat([]byte("-"), r.Intn(400)))
	}
	text, err := json.Marshal(&o)
	if err != nil {
		panic(err)
	}
	return text
}

// serve handles a worker's orders; the oldest is forgotten when there are more than kept.
func serve(worker, rounds, kept int) {
	r := rand.New(rand.NewSource(int64(worker)))
	orders := map[int]*order{}
	var last *order
	for i := 0; i < rounds; i++ {
		o := &order{}
		if err := json.Unmarshal(message(i, r), o); err != nil {
			panic(err)
		}
		o.scan = make([]byte, 64<<r.Intn(7))
		if i%200 == 0 {
			o.scan = make([]byte, 40000+r.Intn(100000))
		}
		if last != nil {
			last.next = o
		}
		last = o
		orders[i] = o
		if i >= kept {
			delete(orders, i-kept)
		}
		if i%500 == 499 {
			var report bytes.Buffer
			for _, o := range orders {
				fmt.Fprintf(&report, "%d %s %d\n", o.ID, o.Customer, len(o.Lines))
			}
		}
	}
}

func main() {
	workers, _ := strconv.Atoi(os.Args[2])
	rounds, _ := strconv.Atoi(os.Args[3])
	kept, _ := strconv.Atoi(os.Args[4])
	out, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := trace.Start(out); err != nil {
		panic(err)
	}
	var group sync.WaitGroup
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			serve(w, rounds, kept)
		}()
	}
	group.Wait()
	trace.Stop()
	out.Close()
}
