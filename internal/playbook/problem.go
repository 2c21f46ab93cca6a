package playbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/homeostat/homeostat/internal/heal"
)

// Problem is one mistake in a playbook.
type Problem struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1
	Key    string `json:"key"`    // where in the playbook, as in tasks[0].timeout; empty for the whole
	Text   string `json:"text"`   // what is wrong and what was expected
	Hint   string `json:"hint,omitempty"`
}

// String gives "file:line:column: key: text (hint)".
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
	}
	fmt.Fprintf(&b, "%d:%d: ", p.Line, p.Column)
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems is everything wrong with a playbook; empty when nothing is.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// Err gives the problems as one error of kind Invalid, nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return heal.Errorf(heal.Invalid, "check playbook", "%w", p)
}

// maxProblems is the most problems reported for one playbook: beyond it the
// file is something else than a playbook.
const maxProblems = 100

// report collects problems of one file.
type report struct {
	file     string
	problems Problems
}

// sorted gives the problems in the order of the file.
func (r *report) sorted() Problems {
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.problems
}

func (r *report) add(at view, hint, format string, args ...any) {
	line, column := at.position()
	r.addAt(line, column, at.path, hint, format, args...)
}

func (r *report) addAt(line, column int, key, hint, format string, args ...any) {
	if len(r.problems) >= maxProblems {
		return
	}
	r.problems = append(r.problems, Problem{
		File: r.file, Line: line, Column: column, Key: key, Hint: hint, Text: fmt.Sprintf(format, args...),
	})
}
