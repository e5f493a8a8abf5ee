// Command finalizers makes objects that wait for their finalizers, beside some that do not: to be recorded.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
)

type handle struct {
	number int
	buffer []byte
}

func main() {
	n := 6000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	var closed int64
	var open []*handle
	for i := 0; i < n; i++ {
		h := &handle{i, make([]byte, 1000+i%5000)}
		if i%2 == 0 {
			runtime.SetFinalizer(h, func(h *handle) { atomic.AddInt64(&closed, int64(len(h.buffer))) })
		}
		if i%10 == 0 {
			big := new([9000]byte)
			runtime.SetFinalizer(big, func(b *[9000]byte) { atomic.AddInt64(&closed, 1) })
		}
		if i%50 == 0 {
			open = append(open, h)
		}
		if i%2500 == 2499 {
			runtime.GC()
		}
	}
	fmt.Println(len(open), "open, closed", atomic.LoadInt64(&closed) > 0)
}
