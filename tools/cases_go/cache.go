package main

import (
	"bytes"
	"compress/flate"
	"container/list"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand"
)

// cache acts like a caching proxy: values of very different sizes under string keys, the least
// recently used dropped when a budget of bytes is used up, popular keys asked for again and again.
// What the cache keeps lives long and dies in no particular order; what a request makes on its way
// dies at once. The budget changes twice, as if somebody had changed a setting.
func cache() {
	rng := rand.New(rand.NewSource(17))
	c := newLRU(2 * mib)
	origin := newOrigin(rng)
	for n := 0; n < 10000; n++ {
		switch n {
		case 4000:
			c.resize(4 * mib)
		case 7500:
			c.resize(mib)
		}
		key := origin.pick(rng)
		value, ok := c.get(key)
		if !ok {
			value = origin.fetch(key)
			c.put(key, value)
		}
		sink = respond(key, value, ok)
		if n%400 == 399 {
			sink = c.dump()
		}
	}
	sinks[0] = c
}

type entry struct {
	key   string
	value []byte
	hits  int
}

type lru struct {
	budget, used int
	order        *list.List
	byKey        map[string]*list.Element
}

func newLRU(budget int) *lru {
	return &lru{budget: budget, order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *lru) get(key string) ([]byte, bool) {
	e, ok := c.byKey[key]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	found := e.Value.(*entry)
	found.hits++
	return found.value, true
}

func (c *lru) put(key string, value []byte) {
	c.byKey[key] = c.order.PushFront(&entry{key: key, value: value})
	c.used += len(value)
	c.shrink()
}

func (c *lru) resize(budget int) {
	c.budget = budget
	c.shrink()
}

func (c *lru) shrink() {
	for c.used > c.budget {
		last := c.order.Back()
		gone := c.order.Remove(last).(*entry)
		delete(c.byKey, gone.key)
		c.used -= len(gone.value)
	}
}

// dump writes what the cache holds, most recently used first, in small compressed pieces.
func (c *lru) dump() []byte {
	var out bytes.Buffer
	zip, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is legal
	}
	for e := c.order.Front(); e != nil; e = e.Next() {
		if found := e.Value.(*entry); found.hits > 2 {
			fmt.Fprintf(zip, "%s %d\n", found.key, found.hits)
		}
	}
	_ = zip.Close() // a bytes.Buffer takes everything
	text, err := io.ReadAll(flate.NewReader(&out))
	if err != nil {
		panic(err) // it was written a moment ago
	}
	return text
}

// origin is where values come from: sizes are lognormal, and keys are asked for by Zipf's law.
type origin struct {
	size    []int
	popular *rand.Zipf
}

func newOrigin(rng *rand.Rand) *origin {
	o := &origin{size: make([]int, 40000), popular: rand.NewZipf(rng, 1.1, 40, 39999)}
	for i := range o.size {
		o.size[i] = 64 + int(math.Min(math.Exp(rng.NormFloat64()*1.3+7), 400*kib))
	}
	return o
}

func (o *origin) pick(rng *rand.Rand) string {
	if rng.Intn(8) == 0 {
		return fmt.Sprintf("/static/%05d", rng.Intn(len(o.size)))
	}
	return fmt.Sprintf("/item/%05d", o.popular.Uint64())
}

// fetch makes the value of a key as a client reads a body: by growing a buffer.
func (o *origin) fetch(key string) []byte {
	var number int
	if _, err := fmt.Sscanf(key[len(key)-5:], "%d", &number); err != nil {
		panic(err) // pick wrote it
	}
	var body bytes.Buffer
	chunk := make([]byte, 512)
	for left := o.size[number]; left > 0; left -= len(chunk) {
		binary.LittleEndian.PutUint32(chunk, uint32(left))
		body.Write(chunk[:min(left, len(chunk))])
	}
	return append([]byte(nil), body.Bytes()...)
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// respond makes the answer to a request.
func respond(key string, value []byte, hit bool) []byte {
	headers := map[string]string{"Content-Length": fmt.Sprint(len(value)), "X-Cache": fmt.Sprint(hit)}
	if len(value) > 4*kib {
		headers["ETag"] = fmt.Sprintf("%08x", crc32.ChecksumIEEE(value))
	}
	var out bytes.Buffer
	for _, name := range []string{"Content-Length", "ETag", "X-Cache"} {
		if text, ok := headers[name]; ok {
			fmt.Fprintf(&out, "%s: %s\r\n", name, text)
		}
	}
	out.Write(value[:min(len(value), 2*kib)])
	return out.Bytes()
}
