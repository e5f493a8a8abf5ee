// Command json encodes and decodes records, keeping some of the texts: an ordinary program, to be recorded.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

type order struct {
	ID    int               `json:"id"`
	Name  string            `json:"name"`
	Lines []string          `json:"lines"`
	Notes map[string]string `json:"notes"`
	Rates []float64         `json:"rates"`
}

func main() {
	n := 2000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	kept := 0
	var texts [][]byte
	for i := 0; i < n; i++ {
		o := order{ID: i, Name: fmt.Sprint("order ", i), Notes: map[string]string{}}
		for j := 0; j < i*7%11; j++ {
			o.Lines = append(o.Lines, fmt.Sprintf("line %d of %d", j, i))
			o.Notes[fmt.Sprint(j)] = "fragile"
			o.Rates = append(o.Rates, float64(i)/float64(j+1))
		}
		text, err := json.Marshal(o)
		if err != nil {
			panic(err)
		}
		var back order
		if err := json.Unmarshal(text, &back); err != nil || back.ID != i {
			panic("not what was written")
		}
		if i%9 == 0 {
			texts = append(texts, text)
			kept += len(text)
		}
	}
	fmt.Println(len(texts), "texts of", kept, "bytes")
}
