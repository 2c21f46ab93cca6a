package expr

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/homeostat/homeostat/internal/heal"
)

// MaxTemplate is the longest template taken, in bytes.
const MaxTemplate = 64 << 10

// Template is text with "{{ expr }}" in it. "\{{" stands for "{{" itself. It
// may be used by several goroutines at once.
type Template struct {
	source string
	parts  []part
}

// maxExpressions is the most expressions one template may hold.
const maxExpressions = 256

// part is literal text, or a program and where its source starts.
type part struct {
	text    string
	program *Program
	offset  int
}

// ParseTemplate parses one template over vars. For several templates over the
// same variables make an Env once.
func ParseTemplate(source string, vars map[string]Type) (*Template, error) {
	env, err := NewEnv(vars)
	if err != nil {
		return nil, err
	}
	return env.ParseTemplate(source)
}

// ParseTemplate parses one template. An error is of kind Invalid and holds
// Mistakes, positions counted within the template.
func (e *Env) ParseTemplate(source string) (*Template, error) {
	op := "template " + quote(source)
	switch {
	case len(source) > MaxTemplate:
		return nil, heal.Errorf(heal.Invalid, op, "%w", Mistakes{{Line: 1, Column: 1, Text: "the template is longer than 64 KiB"}})
	case !utf8.ValidString(source):
		return nil, heal.Errorf(heal.Invalid, op, "%w", Mistakes{{Line: 1, Column: 1, Text: "the template is not valid UTF-8"}})
	}
	t := &Template{source: source}
	var found Mistakes
	rest, offset, count := source, 0, 0
	for rest != "" {
		text, open := literal(rest)
		if text != "" {
			t.parts = append(t.parts, part{text: text})
		}
		if open < 0 {
			break
		}
		from := offset + open + len("{{")
		length := closing(source[from:])
		if length < 0 {
			line, column := position(source, offset+open)
			found = append(found, Mistake{Line: line, Column: column, Text: `"{{" is never closed`, Hint: `end the expression with "}}", or write "\{{" for the text itself`})
			break
		}
		program, err := e.Compile(source[from : from+length])
		if err != nil {
			found = append(found, shift(MistakesOf(err), source, from)...)
		}
		t.parts = append(t.parts, part{program: program, offset: from})
		if count++; count > maxExpressions {
			line, column := position(source, from)
			found = append(found, Mistake{Line: line, Column: column, Text: "the template holds more than 256 expressions"})
			break
		}
		offset = from + length + len("}}")
		rest = source[offset:]
	}
	if len(found) > 0 {
		return nil, heal.Errorf(heal.Invalid, op, "%w", found)
	}
	return t, nil
}

// Source is the text the template was parsed from.
func (t *Template) Source() string { return t.source }

// Literal gives the text of a template without expressions.
func (t *Template) Literal() (string, bool) {
	var text strings.Builder
	for _, p := range t.parts {
		if p.program != nil {
			return "", false
		}
		text.WriteString(p.text)
	}
	return text.String(), true
}

// Gives is the type of what Render gives; Dyn if only rendering tells.
func (t *Template) Gives() Type {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		return t.parts[0].program.gives
	}
	return String
}

// Outside gives the text around the expressions.
func (t *Template) Outside() string {
	var text strings.Builder
	for _, p := range t.parts {
		text.WriteString(p.text)
	}
	return text.String()
}

// Refs lists the variables the template reads, positions counted within the
// template.
func (t *Template) Refs() []Ref {
	var refs []Ref
	for _, p := range t.parts {
		if p.program == nil {
			continue
		}
		for _, r := range p.program.refs {
			r.Line, r.Column = moved(r.Line, r.Column, t.source, p.offset)
			refs = append(refs, r)
		}
	}
	return refs
}

// Render gives the value of a template that is exactly one expression with its
// type, and the text of every other.
func (t *Template) Render(vars map[string]any) (any, error) {
	if len(t.parts) == 1 && t.parts[0].program != nil {
		return t.parts[0].program.Eval(vars)
	}
	return t.Text(vars)
}

// Text gives the text of the template, lists and maps in it as JSON. A null is
// an error: a gap in a target or command is never what was meant.
func (t *Template) Text(vars map[string]any) (string, error) {
	return t.TextIn(vars, func(text string) string { return text })
}

// TextIn is Text for a template in another language: escape is applied to what
// each expression gives, so that a value cannot become part of the language.
func (t *Template) TextIn(vars map[string]any, escape func(string) string) (string, error) {
	var out strings.Builder
	for _, p := range t.parts {
		text := p.text
		if p.program != nil {
			value, err := p.program.Eval(vars)
			if err != nil {
				return "", err
			}
			if text, err = Format(value); err != nil {
				return "", heal.Errorf(heal.Invalid, "evaluate "+quote(p.program.source), "%w", err)
			}
			text = escape(text)
		}
		if out.Len()+len(text) > MaxResult {
			return "", heal.Errorf(heal.Invalid, "template "+quote(t.source), "gives more than 1 MiB of text")
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

// Format writes a value as it stands in the text of a template.
func Format(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", fmt.Errorf("gives nothing (null), expected a value")
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case []byte:
		if !utf8.Valid(v) {
			return "", fmt.Errorf("gives bytes that are not text")
		}
		return string(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("gives a value that has no text: %w", err)
	}
	return string(data), nil
}
