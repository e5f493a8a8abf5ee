// Command compiler acts like a compiler: it parses made-up Go files, collects their names, keeps the syntax trees of a
// package until the package is done, and keeps of each package what a linker would need.
//
//	compiler [packages]
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"math/rand"
	"os"
	"strconv"
	"strings"
)

type symbol struct {
	name    string
	pos     token.Pos
	uses    []token.Pos
	callees map[string]int
}

type unit struct {
	name    string
	symbols map[string]*symbol
	code    []byte
}

// What is kept: all units, and the trees of the last packages.
var (
	units []*unit
	trees [3][]*ast.File
	fset  = token.NewFileSet()
)

func function(rng *rand.Rand, b *strings.Builder, pkg, k int) {
	fmt.Fprintf(b, "\n// f%d does what it is told.\nfunc f%d(a, b int, s []string) (int, error) {\n", k, k)
	for n := 1 + rng.Intn(8); n > 0; n-- {
		switch rng.Intn(5) {
		case 0:
			fmt.Fprintf(b, "\tif a > %d && b != a*%d {\n\t\treturn f%d(b, a-1, s[1:])\n\t}\n", rng.Intn(99), n, rng.Intn(k+1))
		case 1:
			fmt.Fprintf(b, "\tfor i := range s {\n\t\ta += len(s[i]) + %d\n\t}\n", rng.Intn(1000))
		case 2:
			fmt.Fprintf(b, "\ttable%d := map[string]int{\"x%d\": a, \"y\": b, \"%s\": 3}\n\tb += table%d[s[0]]\n",
				n, pkg, strings.Repeat("z", rng.Intn(40)), n)
		case 3:
			fmt.Fprintf(b, "\tswitch {\n\tcase a == b:\n\t\ta++\n\tdefault:\n\t\tb = a<<%d | b\n\t}\n", rng.Intn(7))
		case 4:
			fmt.Fprintf(b, "\tg := func(x int) func() int { return func() int { return x + a*%d } }\n\tb -= g(a)()\n", k)
		}
	}
	b.WriteString("\treturn a + b, nil\n}\n")
}

func source(rng *rand.Rand, pkg int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "package p%d\n\ntype t%d struct {\n\tname string\n\tnext *t%d\n\trest [%d]byte\n}\n", pkg, pkg, pkg, pkg+1)
	for k := 0; k < 20+rng.Intn(60); k++ {
		function(rng, &b, pkg, k)
	}
	return b.String()
}

// compile collects names and calls of a file, and prints the tree as its code.
func (u *unit) compile(file *ast.File) error {
	var inside *symbol
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			inside = &symbol{name: n.Name.Name, pos: n.Pos(), callees: map[string]int{}}
			u.symbols[u.name+"."+inside.name] = inside
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && inside != nil {
				inside.callees[f.Name]++
			}
		case *ast.Ident:
			if inside != nil {
				inside.uses = append(inside.uses, n.Pos())
			}
		}
		return true
	})
	var b strings.Builder
	if err := printer.Fprint(&b, fset, file); err != nil {
		return err
	}
	u.code = append(u.code, b.String()[:b.Len()/4]...)
	return nil
}

func main() {
	n := 60
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	rng, total := rand.New(rand.NewSource(7)), 0
	for pkg := 0; pkg < n; pkg++ {
		u := &unit{name: fmt.Sprint("p", pkg), symbols: map[string]*symbol{}}
		var files []*ast.File
		for k := 0; k < 3; k++ {
			text := source(rng, pkg)
			file, err := parser.ParseFile(fset, fmt.Sprintf("p%d/f%d.go", pkg, k), text, parser.ParseComments)
			if err == nil {
				err = u.compile(file)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			files = append(files, file)
			total += len(text)
		}
		trees[pkg%len(trees)] = files
		units = append(units, u)
	}
	fmt.Println(len(units), "packages,", total, "bytes of source")
}
