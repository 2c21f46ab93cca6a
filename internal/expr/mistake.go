package expr

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"

	"github.com/homeostat/homeostat/internal/heal"
)

// Mistake is one thing wrong in an expression or template.
type Mistake struct {
	Line   int    // from 1, within the source
	Column int    // from 1, in characters
	Text   string // what is wrong
	Hint   string // what to do about it; may be empty
}

// String gives "line:column: text (hint)".
func (m Mistake) String() string {
	text := fmt.Sprintf("%d:%d: %s", m.Line, m.Column, m.Text)
	if m.Hint != "" {
		text += " (" + m.Hint + ")"
	}
	return text
}

// Mistakes is everything wrong in one source; the errors of compiling wrap it.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i := range m {
		lines[i] = m[i].String()
	}
	return strings.Join(lines, "; ")
}

// MistakesOf gives the mistakes err holds; any other error becomes one mistake
// at the start.
func MistakesOf(err error) Mistakes {
	if err == nil {
		return nil
	}
	if m, ok := errors.AsType[Mistakes](err); ok {
		return m
	}
	return Mistakes{{Line: 1, Column: 1, Text: err.Error()}}
}

func invalid(source string, m Mistakes) error {
	return heal.Errorf(heal.Invalid, "expression "+quote(source), "%w", m)
}

// quote shortens a source for a message.
func quote(source string) string {
	const most = 60
	line, _, more := strings.Cut(strings.TrimSpace(source), "\n")
	if runes := []rune(line); len(runes) > most {
		line, more = string(runes[:most]), true
	}
	if more {
		line += "..."
	}
	return fmt.Sprintf("%q", line)
}

var undeclared = regexp.MustCompile(`undeclared reference to '([^']*)'`)

func (e *Env) mistakes(source string, issues *cel.Issues) Mistakes {
	var found Mistakes
	for _, err := range issues.Errors() {
		m := Mistake{Line: max(err.Location.Line(), 1), Column: max(err.Location.Column()+1, 1)}
		m.Text, _, _ = strings.Cut(err.Message, "\n")
		m.Text = strings.TrimSuffix(m.Text, " (in container '')")
		m.Hint = e.hint(m.Text, source)
		found = append(found, m)
	}
	return found
}

func (e *Env) hint(text, source string) string {
	switch {
	case undeclared.MatchString(text):
		name := undeclared.FindStringSubmatch(text)[1]
		names := e.names()
		if near := heal.Nearest(name, names); near != "" {
			return fmt.Sprintf("did you mean %s?", near)
		}
		return "there are " + strings.Join(names, ", ")
	case strings.Contains(text, "no matching overload") && strings.Contains(text, "double") && strings.Contains(text, "int"):
		return "whole and fractional numbers do not mix in arithmetic: write 2.0 instead of 2, or double(x)"
	case strings.Contains(text, "no matching overload"):
		return "the operator or function does not take values of these types"
	case strings.Contains(text, "token recognition error") && strings.Contains(source, "'"):
		return "is a quote left open?"
	case strings.Contains(text, "Syntax error") && singleEquals.MatchString(source):
		return "compare with == instead of ="
	case strings.Contains(text, "Syntax error") && words.MatchString(source):
		return "write && for and, || for or, ! for not"
	}
	return ""
}

var (
	singleEquals = regexp.MustCompile(`[^=!<>]=[^=]`)
	words        = regexp.MustCompile(`(?i)\s(and|or|not)\s`)
)

func (e *Env) names() []string {
	names := make([]string, 0, len(e.vars))
	for name := range e.vars {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
