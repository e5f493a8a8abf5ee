package main

import (
	"math/rand"
	"reflect"
	"strings"
)

// closures makes what the compiler and package reflect allocate behind a program's back:
// function values with what they capture, interface values, method values, deferred calls in
// loops, variadic arguments, and objects whose types are only known at run time.
func closures() {
	rng := rand.New(rand.NewSource(18))
	c := &callbacks{rng: rng}
	shapes := runtimeTypes()
	for round := 0; round < 60; round++ {
		for i := 0; i < 500; i++ {
			c.register(i)
		}
		c.fire()
		c.reflectCalls(round)
		for i := 0; i < 300; i++ {
			v := reflect.New(shapes[rng.Intn(len(shapes))])
			if i%4 == 0 {
				c.values = append(c.values, v)
			}
		}
		if len(c.values) > 3000 {
			c.values = append([]reflect.Value(nil), c.values[2000:]...)
		}
	}
	sink = c
}

type callbacks struct {
	rng    *rand.Rand
	funcs  []func(int) int
	values []reflect.Value
	total  int
}

func (c *callbacks) add(n int) int {
	c.total += n
	return c.total
}

// register adds a function value of one of several shapes.
func (c *callbacks) register(i int) {
	switch a, b := c.rng.Int(), c.rng.Float64(); i % 5 {
	case 0: // captures two values
		c.funcs = append(c.funcs, func(x int) int { return x + a + int(b) })
	case 1: // captures a variable that changes
		n := 0
		c.funcs = append(c.funcs, func(x int) int { n += x; return n })
	case 2: // method value
		c.funcs = append(c.funcs, c.add)
	case 3: // a chain
		next := func(x int) int { return x ^ a }
		if len(c.funcs) > 0 {
			next = c.funcs[c.rng.Intn(len(c.funcs))]
		}
		c.funcs = append(c.funcs, func(x int) int { return next(x&0xff) + 1 })
	default: // captures a big array
		var table [40]int
		table[i%40] = a
		c.funcs = append(c.funcs, func(x int) int { return table[uint(x)%40] })
	}
}

// fire calls what is registered, with deferred calls, and forgets most of it.
func (c *callbacks) fire() {
	for i, f := range c.funcs {
		if i%10 == 0 {
			defer func() { c.total += i }()
		}
		sink = f(i) // boxed
	}
	if len(c.funcs) > 1500 {
		c.funcs = append([]func(int) int(nil), c.funcs[:400]...)
	}
}

// reflectCalls calls through package reflect, which makes its own argument frames.
func (c *callbacks) reflectCalls(round int) {
	join := reflect.ValueOf(strings.Join)
	twice := reflect.MakeFunc(reflect.TypeOf(func(int, string) string { return "" }),
		func(args []reflect.Value) []reflect.Value {
			s := strings.Repeat(args[1].String(), int(args[0].Int()))
			return []reflect.Value{reflect.ValueOf(s)}
		})
	m := reflect.MakeMap(reflect.TypeOf(map[string]int(nil)))
	for i := 0; i < 60; i++ {
		out := twice.Call([]reflect.Value{reflect.ValueOf(1 + i%5), reflect.ValueOf("xyz")})
		parts := reflect.ValueOf([]string{out[0].String(), "and", "more"})
		s := join.Call([]reflect.Value{parts, reflect.ValueOf("-")})[0]
		m.SetMapIndex(s, reflect.ValueOf(round*i))
		sl := reflect.MakeSlice(reflect.TypeOf([]any(nil)), i, i+3)
		for j := 0; j < i; j++ {
			sl.Index(j).Set(reflect.ValueOf(j * 1000))
		}
		sinks[i%len(sinks)] = sl.Interface()
	}
	c.values = append(c.values, m)
}

// runtimeTypes returns types that the compiler never saw.
func runtimeTypes() []reflect.Type {
	var types []reflect.Type
	for _, n := range []int{1, 3, 7, 20, 64, 200, 900, 2500} {
		types = append(types,
			reflect.ArrayOf(n, reflect.TypeOf(byte(0))),
			reflect.ArrayOf(n, reflect.TypeOf((*byte)(nil))),
			reflect.StructOf([]reflect.StructField{
				{Name: "A", Type: reflect.TypeOf("")},
				{Name: "B", Type: reflect.ArrayOf(n, reflect.TypeOf(int32(0)))},
			}))
	}
	return types
}
