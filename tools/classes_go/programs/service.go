// Command service acts like a JSON service over a data set in memory: it decodes requests, looks customers up, changes
// some, adds orders, and encodes answers.  The data set lives until the end; what a request needs dies with it.
//
//	service [requests]
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
)

type address struct {
	Street, City, Country string
	Zip                   int
}

type line struct {
	Item   string
	Count  int
	Cents  int64
	Labels []string
}

type order struct {
	ID    int
	Note  string
	Lines []line
	Paid  bool
	Tags  map[string]string `json:",omitempty"`
}

type customer struct {
	ID      int
	Name    string
	Mail    string
	Home    *address
	Orders  []*order
	History []string
	Scores  [9]float64
}

type request struct {
	Customer int
	Action   string
	Order    *order
}

// The data set, in variables of the package: it is there when the program ends.
var (
	customers = map[int]*customer{}
	byMail    = map[string]*customer{}
	answers   [64][]byte
)

func words(rng *rand.Rand, n int) string {
	var b strings.Builder
	for i := 0; i < n; i++ {
		b.WriteString("abcdefghijklmnopqrstuvwxyz"[rng.Intn(13):][:1+rng.Intn(12)])
		b.WriteByte(' ')
	}
	return b.String()
}

func newOrder(rng *rand.Rand, id int) *order {
	o := &order{ID: id, Note: words(rng, rng.Intn(30)), Lines: make([]line, 1+rng.Intn(6))}
	for i := range o.Lines {
		o.Lines[i] = line{Item: words(rng, 1), Count: 1 + rng.Intn(9), Cents: rng.Int63n(100000)}
		for k := rng.Intn(4); k > 0; k-- {
			o.Lines[i].Labels = append(o.Lines[i].Labels, words(rng, 1))
		}
	}
	if id%5 == 0 {
		o.Tags = map[string]string{"source": words(rng, 1), "campaign": words(rng, 2)}
	}
	return o
}

func newCustomer(rng *rand.Rand, id int) {
	c := &customer{ID: id, Name: words(rng, 2), Mail: fmt.Sprint(words(rng, 1), id), Home: &address{Street: words(rng, 3)}}
	customers[id], byMail[c.Mail] = c, c
}

func handle(text []byte) ([]byte, error) {
	var r request
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, err
	}
	c := customers[r.Customer]
	if c == nil {
		return nil, fmt.Errorf("no customer %d", r.Customer)
	}
	switch r.Action {
	case "add":
		c.Orders = append(c.Orders, r.Order)
		c.History = append(c.History, fmt.Sprintf("order %d of %d lines", r.Order.ID, len(r.Order.Lines)))
	case "drop":
		if len(c.Orders) > 2 {
			c.Orders = append([]*order(nil), c.Orders[len(c.Orders)/2:]...)
		}
	}
	return json.Marshal(c)
}

func main() {
	n := 24000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	rng := rand.New(rand.NewSource(11))
	for id := 0; id < n/3; id++ {
		newCustomer(rng, id)
	}
	total := 0
	for i := 0; i < n; i++ {
		r := request{Customer: rng.Intn(len(customers)), Action: []string{"add", "add", "show", "drop"}[rng.Intn(4)]}
		if r.Action == "add" {
			r.Order = newOrder(rng, i)
		}
		text, err := json.Marshal(r)
		if err == nil {
			text, err = handle(text)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		answers[i%len(answers)] = text
		total += len(text)
	}
	fmt.Println(n, "requests,", total, "bytes of answers")
}
