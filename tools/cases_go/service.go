package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/template"
	"time"
)

// service acts like a small order service: it reads requests, decodes them, keeps the orders in
// maps and indexes that grow, and answers with text. All of its work is done by the standard
// library, whose mixture of sizes and lifetimes is that of many programs.
func service() {
	s := newService()
	rng := rand.New(rand.NewSource(16))
	clock := time.Date(2024, 2, 29, 22, 0, 0, 0, time.UTC)
	in := bufio.NewReader(bytes.NewReader(requests(rng, 1500)))
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			break
		}
		clock = clock.Add(time.Duration(rng.Intn(90)) * time.Second)
		if err := s.handle(line, clock); err != nil {
			s.errors = append(s.errors, err)
		}
		if n%250 == 0 {
			s.report(rng)
		}
	}
	sink = s
}

type order struct {
	ID       int               `json:"id"`
	Customer string            `json:"customer"`
	Items    []item            `json:"items"`
	Labels   map[string]string `json:"labels,omitempty"`
	Note     string            `json:"note,omitempty"`
	Placed   string            `json:"placed"`
}

type item struct {
	SKU   string  `json:"sku"`
	Count int     `json:"count"`
	Price float64 `json:"price"`
}

type orderService struct {
	orders     map[int]*order
	byCustomer map[string][]*order
	words      map[string]int
	sessions   map[[2]int]time.Time
	errors     []error
	archive    bytes.Buffer
	phone      *regexp.Regexp
	page       *template.Template
}

func newService() *orderService {
	return &orderService{
		orders:     map[int]*order{},
		byCustomer: map[string][]*order{},
		words:      map[string]int{},
		sessions:   map[[2]int]time.Time{},
		phone:      regexp.MustCompile(`\+?(\d{2,3})[ -](\d{3,5})[ -]?(\d+)`),
		page: template.Must(template.New("page").Parse(
			"{{.Customer}}: order {{.ID}}\n{{range .Items}}{{printf \"%4d %-10s %8.2f\" .Count .SKU .Price}}\n{{end}}")),
	}
}

// requests returns n encoded orders, one per line, a few of which are broken.
func requests(rng *rand.Rand, n int) []byte {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for id := 1; id <= n; id++ {
		o := order{ID: id, Customer: "customer-" + strconv.Itoa(rng.Intn(n/4)), Labels: map[string]string{}}
		for i := 1 + rng.Intn(8); i > 0; i-- {
			o.Items = append(o.Items, item{fmt.Sprintf("sku%05d", rng.Intn(4000)), 1 + rng.Intn(9), rng.Float64() * 100})
		}
		for i := rng.Intn(4); i > 0; i-- {
			o.Labels["label"+strconv.Itoa(i)] = strings.Repeat("ab", rng.Intn(30))
		}
		if id%5 == 0 {
			o.Note = fmt.Sprintf("please call +%02d-%04d-%d or leave it at the %s door",
				rng.Intn(90), rng.Intn(9999), rng.Intn(1e6), []string{"red", "green", "side"}[rng.Intn(3)])
		}
		if err := enc.Encode(&o); err != nil {
			panic(err) // an order can always be encoded
		}
		if id%97 == 0 {
			out.WriteString("{\"id\": oops}\n")
		}
	}
	return out.Bytes()
}

// handle decodes one request and files the order.
func (s *orderService) handle(line string, now time.Time) error {
	o := new(order)
	if err := json.NewDecoder(strings.NewReader(line)).Decode(o); err != nil {
		return fmt.Errorf("at %s: %w", now.Format(time.RFC3339), err)
	}
	o.Placed = now.Format("Monday, 02 Jan 2006 15:04:05")
	s.orders[o.ID] = o
	s.byCustomer[o.Customer] = append(s.byCustomer[o.Customer], o)
	s.sessions[[2]int{o.ID, now.Second()}] = now
	for _, w := range strings.Fields(strings.ToUpper(o.Note)) {
		s.words[w]++
	}
	if m := s.phone.FindStringSubmatch(o.Note); m != nil {
		o.Note = s.phone.ReplaceAllString(o.Note, "($1) $2 $3")
		s.words[m[2]]++
	}
	sort.Slice(o.Items, func(i, j int) bool { return o.Items[i].SKU < o.Items[j].SKU })

	var page strings.Builder
	if err := s.page.Execute(&page, o); err != nil {
		return err
	}
	sink = page.String()
	return nil
}

// report writes all orders, compressed, into the archive, and forgets a third of them.
func (s *orderService) report(rng *rand.Rand) {
	names := make([]string, 0, len(s.byCustomer))
	for name := range s.byCustomer {
		names = append(names, name)
	}
	sort.Strings(names)

	zip := gzip.NewWriter(&s.archive)
	out := bufio.NewWriterSize(zip, 4096)
	for _, name := range names {
		var line strings.Builder
		line.WriteString(name)
		for _, o := range s.byCustomer[name] {
			text, err := json.Marshal(o)
			if err != nil {
				s.errors = append(s.errors, err)
				continue
			}
			line.WriteByte('\t')
			line.Write(text)
		}
		fmt.Fprintln(out, line.String())
		if rng.Intn(3) == 0 {
			for _, o := range s.byCustomer[name] {
				delete(s.orders, o.ID)
			}
			delete(s.byCustomer, name)
		}
	}
	// A bytes.Buffer takes everything.
	_ = out.Flush()
	_ = zip.Close()

	// Read it back: the history grows with every report.
	unzip, err := gzip.NewReader(bytes.NewReader(s.archive.Bytes()))
	if err != nil {
		s.errors = append(s.errors, err)
		return
	}
	lines := bufio.NewScanner(unzip)
	lines.Buffer(nil, mib)
	n := 0
	for lines.Scan() {
		n += len(strings.Split(lines.Text(), "\t"))
	}
	s.words["lines"] += n
}
