package alert

import (
	"fmt"
	"strings"
)

// Problem is one mistake in a mapping file.
type Problem struct {
	File   string
	Line   int
	Column int
	Key    string // dotted path of keys, empty for the whole file
	Text   string // what is wrong and what was expected
}

func (p Problem) String() string {
	if p.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Key, p.Text)
}

// Problems is every mistake in a mapping file; the error of ParseMapping
// wraps it.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}
