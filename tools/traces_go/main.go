// Command traces_go runs a small program of everything that an execution trace has events for, under runtime/trace:
// goroutines that wake each other, coroutines, system calls, sockets, tasks and regions, collections, CPU samples.
//
//	GODEBUG=traceallocfree=1 GOMAXPROCS=6 traces_go OUT.trace WORKERS SECONDS PAUSE
//
// PAUSE is how long each worker sleeps between two rounds, such as 2ms.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"strconv"
	"sync"
	"time"
)

type node struct{ l, r *node }

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{tree(depth - 1), tree(depth - 1)}
}

var kept [64][]byte

// round does one worker's work once.
func round(ctx context.Context, worker, i int, echo net.Conn) {
	trace.WithRegion(ctx, "region"+fmt.Sprint(i%3), func() {
		kept[(worker*7+i)%64] = bytes.Repeat([]byte("x"), 100+i%5000)
		tree(i % 5)
	})
	ch := make(chan int)
	go func() { ch <- 1 }()
	<-ch
	next, stop := iter.Pull(func(yield func(int) bool) {
		for k := 0; k < 3 && yield(k); k++ {
		}
	})
	next()
	if i%2 == 0 {
		next()
	}
	stop()
	if i%8 == 0 {
		var answer [5]byte
		echo.Write([]byte("hello"))
		io.ReadFull(echo, answer[:])
		trace.Log(ctx, "key", "value")
	}
	if i%16 == 0 {
		os.ReadFile("/proc/self/status")
	}
	if worker == 0 && i%100 == 50 {
		runtime.GC()
	}
}

func main() {
	workers, _ := strconv.Atoi(os.Args[2])
	seconds, _ := strconv.ParseFloat(os.Args[3], 64)
	pause, _ := time.ParseDuration(os.Args[4])
	out, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	pprof.StartCPUProfile(io.Discard)
	if err := trace.Start(out); err != nil {
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	end := time.Now().Add(time.Duration(seconds * 1e9))
	var group sync.WaitGroup
	for w := 0; w < workers; w++ {
		group.Add(1)
		go func() {
			defer group.Done()
			ctx, task := trace.NewTask(context.Background(), "work")
			defer task.End()
			echo, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				panic(err)
			}
			defer echo.Close()
			for i := 0; time.Now().Before(end); i++ {
				round(ctx, w, i, echo)
				time.Sleep(pause)
			}
		}()
	}
	group.Wait()
	trace.Stop()
	pprof.StopCPUProfile()
	out.Close()
}
