package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand"
	"sort"
	"strconv"
	"strings"
)

// compiler acts like a compiler of a small language: for each unit it reads text, builds a tree,
// resolves names, folds constants, makes three-address code in basic blocks and writes it out.
// Tokens and code of a function die with the function, trees with their unit, and what a unit
// exports (its symbols, the types of its functions, the bodies that may be inlined) stays, so the
// live heap grows slowly under waves of garbage.
func compiler() {
	rng := rand.New(rand.NewSource(18))
	p := &program{exports: map[string]*function{}, strings: map[string]int{}}
	for i := 0; i < 16; i++ {
		u := parseUnit(fmt.Sprintf("unit%02d", i), unitText(rng, i))
		p.compile(u)
	}
	sinks[0] = p
}

// unitText writes a unit of the language: functions of lets, ifs, loops and calls.
func unitText(rng *rand.Rand, unit int) string {
	var out strings.Builder
	for f := 0; f < 12+rng.Intn(12); f++ {
		fmt.Fprintf(&out, "func f%d_%d ( a b c ) {\n", unit, f)
		for s := 0; s < 4+rng.Intn(12); s++ {
			switch rng.Intn(5) {
			case 0:
				fmt.Fprintf(&out, "  if %s { x%d = %s }\n", exprText(rng, unit, 2), s%5, exprText(rng, unit, 3))
			case 1:
				fmt.Fprintf(&out, "  while %s { x%d = %s }\n", exprText(rng, unit, 1), s%5, exprText(rng, unit, 2))
			default:
				fmt.Fprintf(&out, "  x%d = %s\n", s%5, exprText(rng, unit, 4))
			}
		}
		fmt.Fprintf(&out, "  return %s\n}\n", exprText(rng, unit, 2))
	}
	return out.String()
}

func exprText(rng *rand.Rand, unit, depth int) string {
	if depth == 0 || rng.Intn(6) == 0 {
		return []string{"a", "b", "c", "x" + strconv.Itoa(rng.Intn(5)), strconv.Itoa(rng.Intn(1000))}[rng.Intn(5)]
	}
	if unit > 0 && rng.Intn(7) == 0 {
		return fmt.Sprintf("call f%d_%d ( %s %s )", rng.Intn(unit), rng.Intn(12),
			exprText(rng, unit, depth-1), exprText(rng, unit, depth-1))
	}
	op := []string{"+", "-", "*", "<", "&"}[rng.Intn(5)]
	return fmt.Sprintf("( %s %s %s )", exprText(rng, unit, depth-1), op, exprText(rng, unit, depth-1))
}

// The tree.

type position struct{ line, word int }

type expr interface{ at() position }

type (
	literal struct {
		position
		value int64
	}
	name struct {
		position
		text   string
		symbol *symbol
	}
	binary2 struct {
		position
		op   string
		x, y expr
	}
	call struct {
		position
		text string
		args []expr
	}
	stmt struct {
		position
		kind   string
		target *name
		cond   expr
		body   []*stmt
	}
	function struct {
		name   string
		params []string
		body   []*stmt
		size   int
		export []byte
	}
	unit struct {
		name      string
		functions []*function
	}
	symbol struct {
		name  string
		index int
		uses  []position
	}
)

func (p position) at() position { return p }

type parser struct {
	words []string
	where []position
	next  int
}

func parseUnit(title, text string) *unit {
	p := &parser{}
	for i, line := range strings.Split(text, "\n") {
		for j, word := range strings.Fields(line) {
			p.words = append(p.words, word)
			p.where = append(p.where, position{i, j})
		}
	}
	u := &unit{name: title}
	for p.next < len(p.words) {
		u.functions = append(u.functions, p.function())
	}
	return u
}

func (p *parser) take() string {
	p.next++
	return p.words[p.next-1]
}

func (p *parser) function() *function {
	p.take()
	f := &function{name: p.take()}
	for p.take(); p.words[p.next] != ")"; {
		f.params = append(f.params, p.take())
	}
	p.take()
	f.body = p.block()
	return f
}

func (p *parser) block() []*stmt {
	var body []*stmt
	for p.take(); p.words[p.next] != "}"; {
		s := &stmt{position: p.where[p.next], kind: p.words[p.next]}
		switch s.kind {
		case "if", "while":
			p.take()
			s.cond = p.expr()
			s.body = p.block()
		case "return":
			p.take()
			s.cond = p.expr()
		default:
			s.kind, s.target = "=", &name{position: s.position, text: p.take()}
			p.take()
			s.cond = p.expr()
		}
		body = append(body, s)
	}
	p.take()
	return body
}

func (p *parser) expr() expr {
	where, word := p.where[p.next], p.take()
	switch {
	case word == "(":
		b := &binary2{position: where, x: p.expr()}
		b.op, b.y = p.take(), p.expr()
		p.take()
		return b
	case word == "call":
		c := &call{position: where, text: p.take()}
		for p.take(); p.words[p.next] != ")"; {
			c.args = append(c.args, p.expr())
		}
		p.take()
		return c
	case word[0] >= '0' && word[0] <= '9':
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			panic(err) // unitText wrote it
		}
		return &literal{where, n}
	}
	return &name{position: where, text: word}
}

// The passes.

type program struct {
	exports map[string]*function
	strings map[string]int
	code    [][]byte
	inlined int
}

func (p *program) compile(u *unit) {
	for _, f := range u.functions {
		scope := map[string]*symbol{}
		for _, s := range f.params {
			scope[s] = &symbol{name: s, index: len(scope)}
		}
		f.body = p.fold(f.body, scope)
		g := &generator{program: p, blocks: []*block{{}}}
		g.stmts(f.body)
		f.size, f.export = g.emit(scope)
	}
	var object bytes.Buffer
	for _, f := range u.functions {
		object.Write(f.export)
		if f.size > 120 {
			f.body = nil // too large to be inlined elsewhere
		}
		p.exports[f.name] = f
		p.strings[f.name] = len(p.strings)
	}
	p.code = append(p.code, append([]byte(nil), object.Bytes()...))
}

// fold returns the statements with names resolved and constant expressions replaced.
func (p *program) fold(body []*stmt, scope map[string]*symbol) []*stmt {
	var kept []*stmt
	for _, s := range body {
		s.cond = p.foldExpr(s.cond, scope)
		if c, ok := s.cond.(*literal); ok && s.kind != "=" && s.kind != "return" {
			if c.value == 0 {
				continue
			}
		}
		s.body = p.fold(s.body, scope)
		if s.target != nil {
			s.target.symbol = resolve(scope, s.target)
		}
		kept = append(kept, s)
	}
	return kept
}

func resolve(scope map[string]*symbol, n *name) *symbol {
	s := scope[n.text]
	if s == nil {
		s = &symbol{name: n.text, index: len(scope)}
		scope[n.text] = s
	}
	s.uses = append(s.uses, n.position)
	return s
}

func (p *program) foldExpr(e expr, scope map[string]*symbol) expr {
	switch e := e.(type) {
	case *name:
		e.symbol = resolve(scope, e)
	case *binary2:
		e.x, e.y = p.foldExpr(e.x, scope), p.foldExpr(e.y, scope)
		x, xok := e.x.(*literal)
		y, yok := e.y.(*literal)
		if xok && yok {
			return &literal{e.position, constant(e.op, x.value, y.value)}
		}
	case *call:
		for i := range e.args {
			e.args[i] = p.foldExpr(e.args[i], scope)
		}
	}
	return e
}

func constant(op string, x, y int64) int64 {
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "&":
		return x & y
	}
	if x < y {
		return 1
	}
	return 0
}

// The code.

type instr struct {
	op     string
	args   []*instr
	value  int64
	number int
	used   bool
}

type block struct {
	code []*instr
	next []*block
}

type generator struct {
	program *program
	blocks  []*block
	depth   int
}

func (g *generator) add(op string, value int64, args ...*instr) *instr {
	for _, a := range args {
		a.used = true
	}
	i := &instr{op: op, value: value, args: append([]*instr(nil), args...)}
	b := g.blocks[len(g.blocks)-1]
	b.code = append(b.code, i)
	return i
}

func (g *generator) begin() *block {
	b := &block{}
	last := g.blocks[len(g.blocks)-1]
	last.next = append(last.next, b)
	g.blocks = append(g.blocks, b)
	return b
}

func (g *generator) stmts(body []*stmt) {
	for _, s := range body {
		v := g.expr(s.cond)
		switch s.kind {
		case "=":
			g.add("store", int64(s.target.symbol.index), v).used = true
		case "return":
			g.add("return", 0, v).used = true
		default:
			g.add("branch", 0, v).used = true
			g.begin()
			g.stmts(s.body)
			g.begin()
		}
	}
}

func (g *generator) expr(e expr) *instr {
	switch e := e.(type) {
	case *literal:
		return g.add("const", e.value)
	case *name:
		return g.add("load", int64(e.symbol.index))
	case *binary2:
		return g.add(e.op, 0, g.expr(e.x), g.expr(e.y))
	case *call:
		args := make([]*instr, 0, len(e.args))
		for _, a := range e.args {
			args = append(args, g.expr(a))
		}
		if f := g.program.exports[e.text]; f != nil && f.body != nil && g.depth < 1 {
			g.depth++
			g.program.inlined++
			g.stmts(f.body)
			g.depth--
		}
		return g.add("call "+e.text, 0, args...)
	}
	panic("an expression of no kind")
}

// emit numbers the instructions that are of use and writes them with their symbols.
func (g *generator) emit(scope map[string]*symbol) (int, []byte) {
	var out bytes.Buffer
	n := 0
	for _, b := range g.blocks {
		for _, i := range b.code {
			if i.used {
				i.number = n
				n++
			}
		}
	}
	line := make([]byte, 0, 32)
	for _, b := range g.blocks {
		for _, i := range b.code {
			line = binary.AppendVarint(line[:0], i.value)
			for _, a := range i.args {
				line = binary.AppendUvarint(line, uint64(a.number))
			}
			out.WriteString(i.op)
			out.Write(line)
		}
	}
	symbols := make([]*symbol, 0, len(scope))
	for _, s := range scope {
		symbols = append(symbols, s)
	}
	sort.Slice(symbols, func(i, j int) bool { return symbols[i].index < symbols[j].index })
	for _, s := range symbols {
		fmt.Fprintf(&out, "%s:%d,", s.name, len(s.uses))
	}
	return n, append([]byte(nil), out.Bytes()...)
}
